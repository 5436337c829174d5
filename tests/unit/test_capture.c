/* orchestrator/capture.c and lane.c: bytes in, a zstd file and the text for the judgement out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "orchestrator/logfile.h"

#include <fcntl.h>
#include <string.h>
#include <zstd.h>

struct got {
	int calls, drains;
	struct capture_log log;
};

static void on_done(void *owner, struct capture_log *log)
{
	struct got *g = owner;
	g->calls++;
	g->log = *log;
	log->text = NULL;
}

static void on_drain(void *owner)
{
	((struct got *)owner)->drains++;
}

struct place {
	char path[64];
	int fd;
	uv_loop_t loop;
	struct capture_disk disk;
};

static int set_up(void **state)
{
	struct place *p = own_calloc(1, sizeof(*p));
	snprintf(p->path, sizeof(p->path), "%s/assay-capture-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(p->path) || uv_loop_init(&p->loop))
		return -1;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	capture_disk_init(&p->disk, &p->loop, p->fd);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e;
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = dir_remove(root, p->path + 1, &e) | uv_loop_close(&p->loop);
	capture_disk_fini(&p->disk);
	close(p->fd);
	free(p);
	return rc;
}

/* The file, decompressed. */
static void stored(struct place *p, struct text *out)
{
	struct err e;
	auto_text struct text z = TEXT_INIT;
	char buf[65536];
	if (dir_read_whole(p->fd, "log", (size_t)1 << 30, &z, &e))
		fail_msg("%s", e.text);
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer in = {z.p, z.n, 0};
	size_t left = 1;
	while (left || in.pos < in.size) { /* frame after frame */
		ZSTD_outBuffer o = {buf, sizeof(buf), 0};
		left = ZSTD_decompressStream(d, &o, &in);
		assert_false(ZSTD_isError(left));
		text_put(out, buf, o.pos);
		assert_true(o.pos || in.pos < in.size || !left);
	}
	assert_int_equal(in.pos, in.size);
	ZSTD_freeDCtx(d);
}

static void finish(struct place *p, struct capture *c, struct got *g)
{
	capture_finish(c, on_done);
	assert_int_equal(g->calls, 0);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(g->calls, 1);
	assert_int_equal(g->log.err.kind, ERR_NONE);
}

/* What a stored log gives back is what the judgement had when it was new. */
static void assert_recalled(struct place *p, const struct capture_log *was)
{
	struct capture_log log;
	struct err e = ERR_INIT;
	if (logfile_recall(p->fd, "log", &log, &e))
		fail_msg("%s", e.text);
	assert_int_equal(log.kept, was->kept);
	assert_int_equal(log.text_n, was->text_n);
	assert_int_equal(log.tail_at, was->tail_at);
	assert_int_equal(log.tail_offset, was->tail_offset);
	assert_memory_equal(log.text, was->text, was->text_n + 1);
	free(log.text);
}

static void a_short_log_is_kept_byte_for_byte(void **state)
{
	struct place *p = *state;
	struct got g = {0};
	auto_text struct text file = TEXT_INIT;
	struct capture *c = capture_open(&p->disk, "log", 0, on_drain, &g);
	capture_write(c, "one\n\0\xff", 6);
	capture_write(c, "two", 3);
	finish(p, c, &g);
	stored(p, &file);
	assert_int_equal(file.n, 9);
	assert_memory_equal(file.p, "one\n\0\xfftwo", 9);
	assert_int_equal(g.log.kept, 9);
	assert_int_equal(g.log.text_n, 9);
	assert_memory_equal(g.log.text, "one\n\0\xfftwo", 10);
	assert_recalled(p, &g.log);
	free(g.log.text);
}

static void what_says_nothing_has_no_file(void **state)
{
	struct place *p = *state;
	struct got g = {0};
	finish(p, capture_open(&p->disk, "log", 0, on_drain, &g), &g);
	assert_int_equal(faccessat(p->fd, "log", F_OK, 0), -1);
	assert_int_equal(g.log.kept, 0);
	assert_int_equal(g.log.stored, 0);
	assert_string_equal(g.log.sha256, "");
	assert_string_equal(g.log.text, "");
	free(g.log.text);
}

static void a_log_that_is_gone_or_none_says_so(void **state)
{
	struct place *p = *state;
	struct capture_log log;
	struct err e = ERR_INIT;
	assert_int_equal(logfile_recall(p->fd, "log", &log, &e), -1);
	assert_int_equal(e.kind, ERR_ABSENT);
	e = (struct err)ERR_INIT;
	assert_int_equal(dir_write_whole(p->fd, "log", "not zstd at all", 15, 0600, &e), 0);
	assert_int_equal(logfile_recall(p->fd, "log", &log, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_null(log.text);
}

static bool count_bytes(void *ctx, const char *bytes, size_t n)
{
	(void)bytes;
	*(size_t *)ctx += n;
	return true;
}

/* What was flushed is there to read before the log is over; and over, it is what it would have
 * been. */
static void a_log_can_be_read_while_it_is_written(void **state)
{
	struct place *p = *state;
	struct got g = {0};
	struct err e = ERR_INIT;
	size_t part = 0, all = 0;
	struct capture *c = capture_open(&p->disk, "log", 0, on_drain, &g);
	capture_flush(c); /* of nothing */
	capture_write(c, "so far\n", 7);
	capture_flush(c);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(logfile_read(p->fd, "log", count_bytes, &part, &e), 0);
	assert_int_equal(part, 7);
	capture_write(c, "and on\n", 7);
	finish(p, c, &g);
	assert_int_equal(logfile_read(p->fd, "log", count_bytes, &all, &e), 0);
	assert_int_equal(all, 14);
	assert_recalled(p, &g.log);
	free(g.log.text);
}

/* assay was killed while it wrote: what is there is read. */
static void a_log_cut_short_is_read_as_far_as_it_goes(void **state)
{
	struct place *p = *state;
	struct got g = {0};
	struct err e = ERR_INIT;
	size_t all = 0, part = 0;
	struct capture *c = capture_open(&p->disk, "log", 0, on_drain, &g);
	for (unsigned i = 0; i < 200000; i++) {
		char line[32];
		capture_write(c, line,
			      (size_t)snprintf(line, sizeof(line), "%x\n", i * 2654435761u));
		if (capture_full(c))
			uv_run(&p->loop, UV_RUN_ONCE);
	}
	finish(p, c, &g);
	assert_int_equal(logfile_read(p->fd, "log", count_bytes, &all, &e), 0);
	assert_int_equal(all, g.log.kept);
	auto_fd int fd = openat(p->fd, "log", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)g.log.stored / 2), 0);
	assert_int_equal(logfile_read(p->fd, "log", count_bytes, &part, &e), 0);
	assert_true(part > 0 && part < all);
	free(g.log.text);
}

/* Offsets of the judgement's text are offsets of the log, whatever its length. */
static void head_and_tail_meet_at_every_length(void **state)
{
	struct place *p = *state;
	static const size_t lengths[] = {CAPTURE_TAIL - 1,     CAPTURE_TAIL,
					 CAPTURE_TAIL + 1,     2 * CAPTURE_TAIL,
					 3 * CAPTURE_TAIL,     4 * CAPTURE_TAIL - 7,
					 4 * CAPTURE_TAIL,     4 * CAPTURE_TAIL + 1,
					 9 * CAPTURE_TAIL + 13};
	const uint64_t limit = 4 * CAPTURE_TAIL;
	for (size_t i = 0; i < countof(lengths); i++) {
		struct got g = {0};
		auto_text struct text file = TEXT_INIT, sent = TEXT_INIT;
		struct capture *c = capture_open(&p->disk, "log", limit, on_drain, &g);
		for (unsigned line = 0; sent.n < lengths[i]; line++)
			text_addf(&sent, "%08u\n", line);
		for (size_t at = 0; at < lengths[i];) {
			size_t n = 1000 + at % 7777;
			n = n < lengths[i] - at ? n : lengths[i] - at;
			capture_write(c, sent.p + at, n);
			at += n;
		}
		finish(p, c, &g);
		stored(p, &file);
		assert_int_equal(g.log.kept, file.n);
		assert_true(file.n <= limit + 80);
		assert_memory_equal(g.log.text, file.p, g.log.tail_at);
		assert_memory_equal(g.log.text + g.log.tail_at, file.p + g.log.tail_offset,
				    g.log.text_n - g.log.tail_at);
		assert_int_equal(g.log.tail_offset + (g.log.text_n - g.log.tail_at), file.n);
		assert_memory_equal(file.p + file.n - 9, sent.p + lengths[i] - 9, 9);
		assert_true((strstr(file.p, "bytes left out here]") != NULL) ==
			    (lengths[i] > limit));
		assert_recalled(p, &g.log);
		free(g.log.text);
		assert_int_equal(unlinkat(p->fd, "log", 0), 0);
	}
}

static void one_endless_line_fills_no_memory_and_says_when_it_is_too_much(void **state)
{
	struct place *p = *state;
	struct got g = {0};
	static char block[65536];
	struct capture *c = capture_open(&p->disk, "log", (uint64_t)4 << 20, on_drain, &g);
	memset(block, 'x', sizeof(block));
	int full = 0;
	for (int i = 0; i < 4096; i++) { /* 256 MiB */
		capture_write(c, block, sizeof(block));
		for (; capture_full(c); full++)
			uv_run(&p->loop, UV_RUN_ONCE);
	}
	assert_true(full > 0);
	assert_true(g.drains > 0);
	finish(p, c, &g);
	assert_true(g.log.kept < (4 << 20) + 100);
	assert_true(g.log.stored < 100000);
	free(g.log.text);
}

static void a_log_that_cannot_be_made_says_so_at_the_end(void **state)
{
	struct place *p = *state;
	struct got g = {0};
	struct capture *c = capture_open(&p->disk, "no/such/dir/log", 0, on_drain, &g);
	capture_write(c, "x", 1);
	capture_finish(c, on_done);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(g.calls, 1);
	assert_int_equal(g.log.err.kind, ERR_SYS);
	assert_non_null(strstr(g.log.err.text, "no/such/dir/log"));
	free(g.log.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_short_log_is_kept_byte_for_byte, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_says_nothing_has_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_log_that_is_gone_or_none_says_so, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_log_can_be_read_while_it_is_written, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_log_cut_short_is_read_as_far_as_it_goes, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(head_and_tail_meet_at_every_length, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			one_endless_line_fills_no_memory_and_says_when_it_is_too_much, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_log_that_cannot_be_made_says_so_at_the_end,
						set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
