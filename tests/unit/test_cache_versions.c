/* cache/: what an older assay wrote is read, and written to, by today's; and what a frame's digest
 * does not protect. */
#include "cache_told.h"

#include "cache/frame.h"

#include <openssl/sha.h>
#include <zstd.h>

/* What such an assay made: a publish, one of three parts, one more, a note that the store went back
 * to before it, and a last publish; behind each frame a mark of version 1. */
#define OLD "2-sha256.tar.zst"
#define OLD_RECORDS 5
#define OLD_NOTE 3
#define TODAY 5 /* publishes and notes of fuzz/corpus/segment/parts-and-a-note */
#define SEGMENT "seg/000001.tar.zst"

static struct text bytes_of(int at, const char *path)
{
	struct err e = ERR_INIT;
	struct text t = TEXT_INIT;
	OK(dir_read_whole(at, path, 1 << 20, &t, &e));
	return t;
}

static struct text old_bytes(void)
{
	auto_fd int at =
		open(ASSAY_SOURCE "/tests/data/segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return bytes_of(at, OLD);
}

/* It becomes the store's archive, and all in it is found. */
static void open_with(struct store *s, const void *p, size_t n, struct told *t)
{
	struct err e = ERR_INIT;
	struct cache_known k = {.on_found = on_found, .owner = t};
	t->take = 1;
	unlinkat(s->f->state, SEGMENT, 0);
	put_bytes(s->f->state, SEGMENT, p, n, 0644);
	if (!fixture_reopen(s->f, &k, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < t->n; i++)
		if (i != OLD_NOTE)
			memcpy(s->ids[s->n++], t->v[i].layer, CACHE_ID);
	for (size_t i = 0; i < s->n; i++)
		assert_true((s->fds[i] = cache_layer_open(s->f->c, s->ids[i], &e)) >= 0);
	if (t->n)
		memcpy(s->chain, t->v[t->n - 1].chain, CACHE_ID);
	s->segments[0] = (struct cache_known_segment){1, n};
	s->n_segments = 1;
}

static void old_open(struct store *s, struct told *t)
{
	auto_text struct text old = old_bytes();
	open_with(s, old.p, old.n, t);
	assert_int_equal(t->n, OLD_RECORDS);
}

/* All that is told is whole, and its frames have digests of that kind. */
static void expect_whole(struct store *s, const struct told *t, size_t from, size_t to,
			 const char *kind)
{
	struct err e = ERR_INIT;
	for (size_t i = from; i < to; i++) {
		for (size_t k = 0; k < t->v[i].n_frames; k++) {
			const struct cache_frame *f = &t->v[i].frames[k];
			assert_int_equal(strncmp(f->digest, kind, strlen(kind)), 0);
			assert_int_equal(f->record[0] != '\0', !k && !strcmp(kind, "xxh3:"));
			OK(cache_frame_verify(s->f->c, f, &e));
		}
		if (i == OLD_NOTE)
			continue;
		OK(cache_record_verify(s->f->c, t->v[i].frames, t->v[i].n_frames, t->v[i].layer,
				       &e));
		OK(cache_layer_restore(s->f->c, t->v[i].layer, t->v[i].frames, t->v[i].n_frames,
				       &e));
		OK(cache_layer_verify(s->f->c, t->v[i].layer, &e));
	}
}

static void an_archive_of_an_older_assay_is_read_and_verified(void **state)
{
	struct store s = {.f = *state};
	struct told t = {0};
	struct err e = ERR_INIT;
	old_open(&s, &t);
	assert_int_equal(t.v[1].n_frames, 3);
	expect_whole(&s, &t, 0, t.n, "sha256:");
	auto_text struct text old = bytes_of(s.f->state, SEGMENT);
	for (size_t at = 0; at < old.n; at += 11) {
		struct told again = {0};
		bool found = false;
		old.p[at] ^= 4;
		put_bytes(s.f->state, SEGMENT, old.p, old.n, 0644);
		scan(&s, &again);
		for (size_t i = 0; i < t.n; i++)
			for (size_t k = 0; k < t.v[i].n_frames; k++)
				found |= cache_frame_verify(s.f->c, &t.v[i].frames[k], &e) == -1;
		if (!again.damage.n && !found)
			fail_msg("byte %zu", at);
		told_fini(&again);
		old.p[at] ^= 4;
	}
	put_bytes(s.f->state, SEGMENT, old.p, old.n, 0644);
	told_fini(&t);
	store_end(&s);
}

static void what_comes_now_goes_behind_what_an_older_assay_wrote(void **state)
{
	struct store s = {.f = *state};
	struct told t = {0};
	struct err e = ERR_INIT;
	const char *layers[64];
	old_open(&s, &t);
	uint64_t end = s.segments[0].bytes;
	auto_fd int u = sub(s.f->work, "u");
	put(u, "new", "of today");
	store_publish(&s, "u");
	assert_int_equal(s.out.frames->segment, 1);
	assert_int_equal(s.out.frames->offset, end);
	struct cache_known k = store_known(&s, layers);
	if (!fixture_reopen(s.f, &k, &e))
		fail_msg("%s", e.text);
	scan(&s, &t);
	assert_int_equal(t.n, OLD_RECORDS + 1);
	assert_int_equal(t.damage.n, 0);
	expect_whole(&s, &t, 0, OLD_RECORDS, "sha256:");
	expect_whole(&s, &t, OLD_RECORDS, t.n, "xxh3:");
	/* A database from before it is offered what it does not know, and what is torn is cut. */
	struct told later = {.take = 1};
	s.segments[0].bytes = end;
	struct cache_known before = store_known(&s, layers);
	before.on_found = on_found;
	before.owner = &later;
	if (!fixture_reopen(s.f, &before, &e))
		fail_msg("%s", e.text);
	assert_int_equal(later.n, 1);
	assert_string_equal(later.v[0].chain, s.chain);
	told_fini(&later);
	told_fini(&t);
	store_end(&s);
}

/* Frames are copied with their marks, whichever they are. */
static void collecting_copies_frames_of_both_kinds(void **state)
{
	struct store s = {.f = *state};
	struct told t = {0};
	struct err e = ERR_INIT;
	struct cache_rewritten out;
	old_open(&s, &t);
	auto_fd int u = sub(s.f->work, "u");
	put(u, "new", "of today");
	store_publish(&s, "u");
	/* One part stands for all three. */
	const uint64_t live[] = {t.v[1].frames[1].offset, s.out.frames->offset};
	OK(cache_segment_rewrite(s.f->c, 1, s.segments[0].bytes, live, 2, &out, &e));
	assert_int_equal(out.n_moves, 4);
	s.segments[0].bytes = out.bytes;
	OK(cache_segment_take(s.f->c, 1, &out, &e));
	scan(&s, &t);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.damage.n, 0);
	expect_whole(&s, &t, 0, 1, "sha256:");
	expect_whole(&s, &t, 1, 2, "xxh3:");
	assert_int_equal(t.v[0].n_frames, 3);
	told_fini(&t);
	store_end(&s);
}

/* ---- frames made by hand ---- */

/* The tar that the first frame holds; the caller frees it. */
static struct text tar_of(const void *p, size_t n)
{
	char *tar = own_alloc(1 << 20);
	size_t got = ZSTD_decompress(tar, 1 << 20, p, ZSTD_findFrameCompressedSize(p, n));
	struct text t = TEXT_INIT;
	assert_false(ZSTD_isError(got));
	text_put(&t, tar, got);
	free(tar);
	return t;
}

static void change(struct text *t, const char *from, const char *to)
{
	char *at = memmem(t->p, t->n, from, strlen(from));
	assert_non_null(at);
	memcpy(at, to, strlen(to));
}

static struct text frame_of(const struct text *tar)
{
	char *frame = own_alloc(ZSTD_compressBound(tar->n));
	struct text t = TEXT_INIT;
	text_put(&t, frame, ZSTD_compress(frame, ZSTD_compressBound(tar->n), tar->p, tar->n, 3));
	free(frame);
	return t;
}

/* As the first assay wrote them. */
static void a_frame_without_a_mark_is_read(void **state)
{
	struct store s = {.f = *state};
	struct told t = {0};
	struct err e = ERR_INIT;
	auto_text struct text old = old_bytes(), tar = tar_of(old.p, old.n);
	change(&tar, "{\"assay\":2", "{\"assay\":1");
	auto_text struct text frame = frame_of(&tar);
	open_with(&s, frame.p, frame.n, &t);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.v[0].frames[0].bytes, frame.n);
	expect_whole(&s, &t, 0, 1, "sha256:");
	auto_fd int u = sub(s.f->work, "u");
	put(u, "new", "of today");
	store_publish(&s, "u");
	scan(&s, &t);
	assert_int_equal(t.n, 2);
	expect_whole(&s, &t, 0, 1, "sha256:");
	expect_whole(&s, &t, 1, 2, "xxh3:");
	frame.p[frame.n / 2] ^= 1;
	put_bytes(s.f->state, SEGMENT, frame.p, frame.n, 0644);
	assert_int_equal(cache_frame_verify(s.f->c, &t.v[0].frames[0], &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	told_fini(&t);
	store_end(&s);
}

/* Somebody can give other bytes the same XXH3; what is inside has SHA-256 all the same. */
static void a_record_that_was_exchanged_is_found_by_its_own_digest(void **state)
{
	struct store s = {.f = *state};
	struct told t = {0};
	struct err e = ERR_INIT;
	struct frame_mark m;
	struct sum sum;
	unsigned char mark[FRAME_MARK];
	auto_fd int u = sub(s.f->work, "u");
	put(u, "a", "1");
	store_publish(&s, "u");
	struct cache_frame f = s.out.frames[0];
	auto_text struct text is = bytes_of(s.f->state, SEGMENT), tar = tar_of(is.p, is.n);
	assert_int_equal(frame_mark_read(is.p + f.bytes - FRAME_MARK, FRAME_MARK, &m), 0);
	assert_string_equal(m.record, f.record);
	change(&tar, "semver@7.5.4", "anyone@0.0.0");
	auto_text struct text forged = frame_of(&tar);
	OK(sum_open(&sum, SUM_XXH3, &e));
	sum_add(&sum, forged.p, forged.n);
	sum_text(&sum, m.digest);
	sum_close(&sum);
	m.bytes = forged.n;
	frame_mark_write(&m, mark);
	text_put(&forged, (const char *)mark, sizeof(mark));
	put_bytes(s.f->state, SEGMENT, forged.p, forged.n, 0644);
	scan(&s, &t);
	assert_int_equal(t.n, 0);
	assert_non_null(strstr(text_str(&t.damage), "its record has other bytes"));
	/* Whoever makes the mark fit as well is found by what the database knows. */
	f.bytes = forged.n;
	memcpy(f.digest, m.digest, CACHE_SUM);
	OK(cache_frame_verify(s.f->c, &f, &e));
	assert_int_equal(cache_record_verify(s.f->c, &f, 1, s.ids[0], &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	f.record[0] = '\0';
	OK(cache_record_verify(s.f->c, &f, 1, s.ids[0], &e));
	told_fini(&t);
	store_end(&s);
}

/* The header of `path` in a tar, or NULL. */
static char *header_of(struct text *tar, const char *path)
{
	for (size_t at = 0; at + 512 <= tar->n;) {
		char *h = tar->p + at;
		if (!strcmp(h, path))
			return h;
		at += 512 + (strtoull(h + 124, NULL, 8) + 511) / 512 * 512;
	}
	return NULL;
}

/* n bytes at `field` of its header become these, and its checksum fits (pax(1)). */
static void forge(struct text *tar, const char *path, size_t field, const char *bytes, size_t n)
{
	char *h = header_of(tar, path);
	unsigned sum = 0;
	assert_non_null(h);
	memcpy(h + field, bytes, n);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 7, "%06o", sum);
}

/* What a plain tar takes from headers is what the record says. */
static void a_header_that_was_exchanged_is_found(void **state)
{
	enum { NAME = 0, MODE = 100, UID = 108, MTIME = 136, TYPE = 156, LINK = 157 };
	static const struct {
		const char *path;
		size_t field;
		const char *bytes;
		size_t n;
	} forged[] = {
		{"d/a", MODE, "004755", 6}, {"d/a", MTIME, "00000000001", 11},
		{"d/a", UID, "001750", 6},  {"d/a", TYPE, "3", 1},
		{"d/empty", TYPE, "2", 1},  {"d/empty", TYPE, "1", 1},
		{"d/", MODE, "000777", 6},  {"d/", NAME, "e/", 3},
		{"d/link", LINK, "b", 1},   {"d/a", NAME, "d/b", 3},
		{"old/", NAME, "odd/", 4},  {"old/", MODE, "001777", 6},
	};
	struct store s = {.f = *state};
	struct err e = ERR_INIT;
	auto_fd int first = sub(s.f->work, "first"), u = sub(s.f->work, "u");
	put(first, "old/x", "there");
	store_publish(&s, "first");
	put(u, "d/a", "1");
	put(u, "d/empty", "");
	put(u, "old/y", "a directory that the record passes over");
	assert_int_equal(symlinkat("a", u, "d/link"), 0);
	store_publish(&s, "u");
	struct cache_frame f = s.out.frames[0];
	OK(cache_record_verify(s.f->c, &f, 1, s.ids[1], &e));
	auto_text struct text is = bytes_of(s.f->state, SEGMENT);
	f.record[0] = '\0';
	for (size_t i = 0; i <= countof(forged); i++) {
		auto_text struct text tar = tar_of(is.p + f.offset, f.bytes);
		if (i < countof(forged))
			forge(&tar, forged[i].path, forged[i].field, forged[i].bytes, forged[i].n);
		auto_text struct text frame = frame_of(&tar);
		struct cache_frame now = {.segment = 1, .bytes = frame.n};
		put_bytes(s.f->state, SEGMENT, frame.p, frame.n, 0644);
		e = (struct err)ERR_INIT;
		int rc = cache_record_verify(s.f->c, &now, 1, s.ids[1], &e);
		if (i < countof(forged) && (!rc || e.kind != ERR_CORRUPT))
			fail_msg("%s, %s at %zu: %d %s", forged[i].path, forged[i].bytes,
				 forged[i].field, rc, e.text);
		if (i == countof(forged))
			OK(rc);
	}
	store_end(&s);
}

/* What today's assay writes stays readable: an archive of it, and a digest that others know. */
static void what_is_written_today_stays_readable(void **state)
{
	struct store s = {.f = *state};
	struct told t = {0};
	struct err e = ERR_INIT;
	struct sum sum;
	char digest[CACHE_SUM];
	OK(sum_open(&sum, SUM_XXH3, &e));
	sum_text(&sum, digest);
	sum_close(&sum);
	/* as xxh128sum prints it of nothing */
	assert_string_equal(digest, "xxh3:99aa06d3014798d86001c324468d497f");
	auto_fd int at =
		open(ASSAY_SOURCE "/tests/fuzz/corpus/segment", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_text struct text now = bytes_of(at, "parts-and-a-note");
	put_bytes(s.f->state, SEGMENT, now.p, now.n, 0644);
	scan(&s, &t);
	if (t.damage.n)
		fail_msg("%s", text_str(&t.damage));
	assert_int_equal(t.n, TODAY);
	assert_int_equal(strncmp(t.v[0].frames[0].digest, "xxh3:", 5), 0);
	told_fini(&t);
	store_end(&s);
}

/* One that is older than what made an archive keeps its hands off it. */
static void an_archive_of_a_newer_assay_is_left_alone(void **state)
{
	struct store s = {.f = *state};
	struct err e = ERR_INIT;
	unsigned char mark[FRAME_MARK], sha[32];
	struct frame_mark m;
	auto_fd int u = sub(s.f->work, "u");
	put(u, "a", "1");
	store_publish(&s, "u");
	auto_text struct text is = bytes_of(s.f->state, SEGMENT);
	memcpy(mark, is.p + is.n - FRAME_MARK, FRAME_MARK);
	mark[16]++; /* its version */
	/* Half of one is a torn end. */
	memcpy(is.p + is.n - FRAME_MARK, mark, FRAME_MARK);
	assert_false(frame_mark_newer(mark, sizeof(mark)));
	SHA256(mark, FRAME_MARK - 8, sha);
	memcpy(mark + FRAME_MARK - 8, sha, 8);
	assert_true(frame_mark_newer(mark, sizeof(mark)));
	assert_false(frame_mark_newer(mark, sizeof(mark) - 1));
	assert_int_equal(frame_mark_read(mark, sizeof(mark), &m), -1);
	memcpy(is.p + is.n - FRAME_MARK, mark, FRAME_MARK);
	put_bytes(s.f->state, SEGMENT, is.p, is.n, 0644);
	struct cache_known nothing = {0};
	assert_null(fixture_reopen(s.f, &nothing, &e));
	assert_non_null(strstr(e.text, "newer assay"));
	auto_text struct text stays = bytes_of(s.f->state, SEGMENT);
	assert_int_equal(stays.n, is.n);
	assert_memory_equal(stays.p, is.p, is.n);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(an_archive_of_an_older_assay_is_read_and_verified),
		T(what_comes_now_goes_behind_what_an_older_assay_wrote),
		T(collecting_copies_frames_of_both_kinds),
		T(a_frame_without_a_mark_is_read),
		T(a_record_that_was_exchanged_is_found_by_its_own_digest),
		T(a_header_that_was_exchanged_is_found),
		T(what_is_written_today_stays_readable),
		T(an_archive_of_a_newer_assay_is_left_alone),
	};
	return cmocka_run_group_tests_name("cache/versions", tests, NULL, NULL);
}
