/* cache/: segments that any tar restores, publishes that a kill or a full disk leaves whole or
 * absent, flattening. */
#include "cache_store.h"

#include "cache/frame.h"
#include "cache/list.h"

#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <zstd.h>

#define STORE(...) struct store s = {.f = *state, ##__VA_ARGS__}

static void fill(struct store *s, const char *upper, int from, int to)
{
	auto_fd int u = sub(s->f->work, upper);
	for (int i = from; i < to; i++) {
		auto_free char *path = own_fmt("d%d/file-%d", i % 7, i),
			       *content = own_fmt("content of %d\n", i);
		put(u, path, content);
	}
}

/* Run a command line of our own making; its status. */
static int shell(const char *command)
{
	pid_t pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	int status = -1;
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool have(const char *program)
{
	auto_free char *command = own_fmt("command -v %s >/dev/null", program);
	return !shell(command);
}

/* What the whole store shows, as one list, times in whole seconds; the caller frees it. */
static char *seen(struct fixture *f, const char *dir, bool files_only)
{
	auto_free char *command = own_fmt("cd %s/work/%s && find . -path ./.assay -prune -o %s "
					  "-printf '%%y %%m %%.10T@ %%p %%l\\n' | "
					  "sed 's/^l 777/l 777/' | sort > ../%s.seen && find . "
					  "-path ./.assay -prune -o -type f -print0 | "
					  "sort -z | xargs -0 sha256sum >> ../%s.seen",
					  f->path, dir, files_only ? "! -type d" : "", dir, dir);
	assert_int_equal(shell(command), 0);
	auto_free char *name = own_fmt("%s.seen", dir);
	return get(f->work, name);
}

static void any_tar_restores_the_store_from_its_segments(void **state)
{
	STORE();
	static const struct {
		const char *program, *how;
	} tars[] = {{"tar", "tar --zstd -x -C"}, {"bsdtar", "bsdtar -x -f - -C"}};
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	fill(&s, "u", 0, 50);
	put_bytes(u, "bin/run", "#!/bin/sh\n", 10, 0755);
	assert_int_equal(symlinkat("../d1", u, "bin/link"), 0);
	put(u, "name with \n newline and \xff bytes", "odd");
	put(u, "f\xc3\xbcr", "utf-8");
	char part[251];
	memset(part, 'n', 250);
	part[250] = '\0';
	auto_free char *deep = own_fmt("%s/%s/%s", part, part, part);
	put(u, deep, "deep");
	put(u, "empty", "");
	store_publish(&s, "u");
	fill(&s, "v", 40, 80);
	put(v, "d1/more", "second frame");
	store_publish(&s, "v");
	/* Another segment: as if the first were full. */
	s.f->c->segment_end = 0;
	s.f->c->segment = 2;
	auto_fd int w = sub(s.f->work, "w");
	put(w, "third", "other segment");
	store_publish(&s, "w");
	assert_int_equal(s.n_segments, 2);
	/* What it should be: the layers one over the other. */
	auto_free char *layers =
		own_fmt("mkdir %s/work/want && for l in %s %s %s; do cp -a %s/state/layers/$l/. "
			"%s/work/want/; done",
			s.f->path, s.ids[0], s.ids[1], s.ids[2], s.f->path, s.f->path);
	assert_int_equal(shell(layers), 0);
	auto_free char *want = seen(s.f, "want", true);
	assert_non_null(strstr(want, "third"));
	size_t tried = 0;
	for (size_t i = 0; i < countof(tars); i++) {
		if (!have(tars[i].program) || !have("zstd")) {
			print_message("no %s or zstd here\n", tars[i].program);
			continue;
		}
		auto_free char *command =
			own_fmt("mkdir %s/work/%s && cat %s/state/seg/*.tar.zst | %s %s/work/%s",
				s.f->path, tars[i].program, s.f->path, tars[i].how, s.f->path,
				tars[i].program);
		assert_int_equal(shell(command), 0);
		auto_free char *is = seen(s.f, tars[i].program, true);
		assert_string_equal(is, want);
		tried++;
	}
	store_end(&s);
	if (!tried)
		skip();
}

/* The frame as tar, decompressed; the caller frees it. */
static char *frame(struct store *s, size_t *n)
{
	struct err e = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	auto_free char *name = own_fmt("seg/%06u.tar.zst", (unsigned)s->out.frames->segment);
	OK(dir_read_whole(s->f->state, name, 1 << 24, &t, &e));
	assert_true(t.n >= s->out.frames->offset + s->out.frames->bytes);
	char digest[CACHE_SUM];
	struct sum sum;
	OK(sum_open(&sum, SUM_XXH3, &e));
	sum_add(&sum, t.p + s->out.frames->offset, s->out.frames->bytes - FRAME_MARK);
	sum_text(&sum, digest);
	sum_close(&sum);
	assert_string_equal(digest, s->out.frames->digest);
	char *tar = own_alloc(1 << 22);
	*n = ZSTD_decompress(tar, 1 << 22, t.p + s->out.frames->offset, s->out.frames->bytes);
	assert_false(ZSTD_isError(*n));
	return tar;
}

static void a_frame_begins_with_the_record_of_what_was_published(void **state)
{
	static const struct cache_rule rules[] = {{"tmp/**", CACHE_DROP}};
	STORE(.rules = rules, .n_rules = 1);
	auto_fd int u = sub(s.f->work, "u");
	put(u, "a", "hello");
	put(u, "tmp/x", "dropped");
	put(u, "odd \xff", "bytes");
	assert_int_equal(mkfifoat(u, "pipe", 0600), 0);
	store_publish(&s, "u");
	size_t n, at;
	auto_free char *tar = frame(&s, &n);
	assert_int_equal(n % 512, 0);
	/* No block of zeros: tar would stop there. The last entry's padding is there. */
	auto_free char *zeros = own_calloc(512, 1);
	for (at = 0; at < n; at += 512)
		assert_true(memcmp(tar + at, zeros, 512));
	char *json = memmem(tar, n, "{\"assay\":2", 10);
	assert_non_null(json);
	assert_int_equal((json - tar) % 512, 0);
	assert_null(memmem(tar, (size_t)(json - tar), "PaxHeader", 9));
	auto_free char *name = own_fmt(".assay/%s.json", s.out.layer.id);
	assert_non_null(memmem(tar, (size_t)(json - tar), name, strlen(name)));
	json_t *o = json_loads(json, JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "job")),
			    "run 1 semver@7.5.4 fetch");
	assert_string_equal(json_string_value(json_object_get(o, "store")), "npm-cache");
	assert_string_equal(json_string_value(json_object_get(o, "layer")), s.out.layer.id);
	assert_string_equal(json_string_value(
				    json_array_get(json_array_get(json_object_get(o, "rules"), 0),
						   1)),
			    "drop");
	json_t *entries = json_object_get(o, "entries");
	assert_int_equal(json_array_size(entries), s.out.n_entries);
	assert_string_equal(json_string_value(
				    json_object_get(json_array_get(entries, 0), "sha256")),
			    entry_of(&s, "a")->sha256);
	assert_string_equal(json_string_value(
				    json_object_get(json_array_get(entries, 1), "path-hex")),
			    "6f646420ff");
	assert_string_equal(json_string_value(
				    json_object_get(json_array_get(entries, 2), "change")),
			    "refused");
	json_decref(o);
	store_end(&s);
}

/* A pax header is a kilobyte: only names that need one have it, times are whole seconds and the
 * record has them to the nanosecond. */
static void headers_have_whole_seconds_and_the_record_the_rest(void **state)
{
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	put(u, "d/a", "hello");
	assert_int_equal(symlinkat("a", u, "d/l"), 0);
	const struct timespec t[2] = {{.tv_sec = -7, .tv_nsec = 5}, {.tv_sec = -7, .tv_nsec = 5}};
	assert_int_equal(utimensat(u, "d/l", t, AT_SYMLINK_NOFOLLOW), 0);
	put(u, "d/odd \xff", "bytes");
	store_publish(&s, "u");
	size_t n, pax = 0;
	auto_free char *tar = frame(&s, &n);
	assert_non_null(memmem(tar, n, "\"mtime\":\"1600000000.123456789\"", 30));
	assert_non_null(memmem(tar, n, "\"mtime\":\"-7.000000005\"", 22));
	assert_null(memmem(tar, n, "mtime=1600000000.", 17));
	for (char *p = tar; (p = memmem(p, n - (size_t)(p - tar), "PaxHeader", 9)); p++)
		pax++;
	/* The time before 1970 and the name that is not UTF-8. */
	assert_int_equal(pax, 2);
	/* And so the layer is made again, to the nanosecond. */
	struct err e = ERR_INIT;
	auto_free char *layer = own_fmt("layers/%s", s.ids[0]);
	OK(dir_remove(s.f->state, layer, &e));
	OK(cache_layer_restore(s.f->c, s.ids[0], s.out.frames, s.out.n_frames, &e));
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	store_end(&s);
}

static char *segment_bytes(struct fixture *f, size_t *n)
{
	struct err e = ERR_INIT;
	struct text t = TEXT_INIT;
	OK(dir_read_whole(f->state, "seg/000001.tar.zst", 1 << 24, &t, &e));
	*n = t.n;
	return t.p;
}

static void the_same_changes_give_the_same_bytes(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	char id[CACHE_ID];
	size_t n, m;
	auto_fd int u = sub(s.f->work, "u");
	put(u, "f\xc3\xbcr", "utf-8");
	fill(&s, "u", 0, 30);
	store_publish(&s, "u");
	memcpy(id, s.ids[0], CACHE_ID);
	auto_free char *first = segment_bytes(s.f, &n);
	store_end(&s);
	/* The same tree in another place and order, into an empty state. */
	struct cache_known nothing = {0};
	assert_non_null(fixture_reopen(s.f, &nothing, &e));
	s = (struct store){.f = *state};
	auto_fd int v = sub(s.f->work, "v");
	for (int i = 29; i >= 0; i--)
		fill(&s, "v", i, i + 1);
	put(v, "f\xc3\xbcr", "utf-8");
	store_publish(&s, "v");
	auto_free char *second = segment_bytes(s.f, &m);
	assert_string_equal(s.ids[0], id);
	assert_int_equal(n, m);
	assert_memory_equal(first, second, n);
	store_end(&s);
}

/* ---- kills ---- */

static const char *killer_step;
static int killer_count;

static void killer(const char *step)
{
	if (killer_step ? !strcmp(step, killer_step) : !killer_count--)
		_exit(42);
}

/* Publish work/upper in a child that is gone at its nth step. False: there is no nth step, the
 * child came to its end. */
static bool killed_publish(struct store *s, const char *upper, int nth)
{
	pid_t pid = fork();
	if (!pid) {
		struct err e = ERR_INIT;
		killer_count = nth;
		cache_on_step = killer;
		_exit(store_try(s, upper, &e) ? 1 : 0);
	}
	int status = -1;
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 42 || WEXITSTATUS(status) == 0));
	return WEXITSTATUS(status) == 42;
}

static void a_publish_killed_at_any_step_leaves_the_old_generation(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	fill(&s, "u", 0, 10);
	store_publish(&s, "u");
	fill(&s, "v", 10, 20);
	int steps = 0;
	for (bool killed = true; killed; steps++) {
		const char *layers[64];
		size_t n;
		killed = killed_publish(&s, "v", steps);
		/* Also what was published whole but not committed goes away. */
		struct cache_known k = store_known(&s, layers);
		if (!fixture_reopen(s.f, &k, &e))
			fail_msg("%d: %s", steps, e.text);
		expect_clean(s.f, 1);
		OK(cache_layer_verify(s.f->c, s.ids[0], &e));
		free(segment_bytes(s.f, &n));
		assert_int_equal(n, s.segments[0].bytes);
		/* And the next one works. */
		assert_true(there(s.f->work, "v/d3/file-10"));
	}
	assert_true(steps >= 8);
	store_publish(&s, "v");
	expect_clean(s.f, 2);
	OK(cache_layer_verify(s.f->c, s.ids[1], &e));
	store_end(&s);
}

static void a_committed_publish_survives_opening_again(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	const char *layers[64];
	fill(&s, "u", 0, 10);
	store_publish(&s, "u");
	fill(&s, "v", 10, 20);
	store_publish(&s, "v");
	struct cache_known k = store_known(&s, layers);
	assert_non_null(fixture_reopen(s.f, &k, &e));
	expect_clean(s.f, 2);
	fill(&s, "w", 20, 30);
	store_publish(&s, "w");
	assert_int_equal(s.out.frames->offset, k.segments[0].bytes - s.out.frames->bytes);
	store_expect(&s, "d3/file-3", "content of 3\n");
	store_expect(&s, "d3/file-24", "content of 24\n");
	store_end(&s);
}

static void a_full_disk_leaves_the_old_generation_and_the_next_publish_works(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	size_t n, old;
	fill(&s, "u", 0, 10);
	store_publish(&s, "u");
	old = s.segments[0].bytes;
	/* Bytes no compressor shortens, so that the frame is longer than the limit. */
	auto_fd int v = sub(s.f->work, "v");
	auto_free char *noise = own_alloc(200000);
	uint32_t seed = 1;
	for (size_t i = 0; i < 200000; i++)
		noise[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
	put_bytes(v, "noise", noise, 200000, 0644);
	struct rlimit was, small = {.rlim_cur = old + 50000};
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small.rlim_max = was.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int rc = store_try(&s, "v", &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EFBIG);
	free(segment_bytes(s.f, &n));
	assert_int_equal(n, old);
	expect_clean(s.f, 1);
	store_publish(&s, "v");
	assert_int_equal(s.out.frames->offset, old);
	expect_clean(s.f, 2);
	store_end(&s);
}

static void what_could_not_be_committed_is_written_over(void **state)
{
	STORE();
	size_t n;
	fill(&s, "u", 0, 10);
	store_publish(&s, "u");
	uint64_t end = s.segments[0].bytes;
	struct err e = ERR_INIT;
	fill(&s, "v", 10, 200);
	OK(store_try(&s, "v", &e));
	cache_publish_undo(s.f->c, &s.out);
	fill(&s, "w", 20, 30);
	store_publish(&s, "w");
	assert_int_equal(s.out.frames->offset, end);
	free(segment_bytes(s.f, &n));
	assert_int_equal(n, end + s.out.frames->bytes);
	/* Also where it was the first of a segment. */
	s.f->c->segment_end = CACHE_SEGMENT_FULL;
	for (int i = 0; i < 2; i++) {
		OK(store_try(&s, "v", &e));
		assert_int_equal(s.out.frames->segment, 2);
		assert_int_equal(s.out.frames->offset, 0);
		cache_publish_undo(s.f->c, &s.out);
	}
	store_end(&s);
}

/* ---- flatten ---- */

static char *layer_list(struct fixture *f, const char *id)
{
	auto_free char *rel = own_fmt("layers/%s.list", id);
	return get(f->state, rel);
}

static void a_flattened_stack_shows_what_the_layers_show_together(void **state)
{
	static const struct cache_rule rules[] = {{"**/newest", CACHE_NEWEST}};
	STORE(.rules = rules, .n_rules = 1);
	struct err e = ERR_INIT;
	struct cache_layer flat;
	const char *ids[3];
	for (int i = 0; i < 3; i++) {
		char name[16];
		snprintf(name, sizeof(name), "u%d", i);
		auto_fd int u = sub(s.f->work, name);
		fill(&s, name, 10 * i, 10 * i + 15);
		put(u, "x/newest", name);
		const struct timespec t[2] = {{.tv_sec = i}, {.tv_sec = i}};
		assert_int_equal(utimensat(u, "x/newest", t, 0), 0);
		assert_int_equal(symlinkat("x", u, name), 0);
		store_publish(&s, name);
		ids[2 - i] = s.ids[i];
	}
	OK(cache_flatten(s.f->c, ids, 3, &flat, &e));
	OK(cache_layer_verify(s.f->c, flat.id, &e));
	auto_fd int fd = cache_layer_open(s.f->c, flat.id, &e);
	expect(fd, "x/newest", "u2");
	for (int i = 0; i < 35; i++) {
		auto_free char *path = own_fmt("d%d/file-%d", i % 7, i),
			       *content = own_fmt("content of %d\n", i);
		expect(fd, path, content);
	}
	assert_int_equal(flat.entries, 7 + 35 + 2 + 3);
	/* Links, not copies; and a lost list is made again. */
	struct stat a, b;
	assert_int_equal(fstatat(fd, "d0/file-0", &a, 0), 0);
	assert_int_equal(fstatat(s.fds[0], "d0/file-0", &b, 0), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	auto_free char *list = own_fmt("layers/%s.list", ids[1]);
	put(s.f->state, list, "damaged");
	struct cache_layer again;
	OK(cache_flatten(s.f->c, ids, 3, &again, &e));
	assert_string_equal(again.id, flat.id);
	assert_true(again.existed);
	auto_free char *remade = layer_list(s.f, ids[1]);
	char id[CACHE_ID];
	cache_digest(remade, strlen(remade), id);
	assert_string_equal(id, ids[1]);
	store_end(&s);
}

static void a_file_over_a_directory_hides_what_lies_below(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer l[3], flat;
	const char *ids[3];
	static const struct {
		const char *path, *content;
	} t[3][3] = {
		{{"a/x", "top"}, {"b", "file"}, {"c/1", "top"}},
		{{"a", "file hides what is deeper"},
		 {"b/y", "hidden by the file above"},
		 {"c/2", "middle"}},
		{{"a/z", "hidden by the middle"}, {"b/deep/er", "hidden"}, {"c/1", "lowest"}},
	};
	for (int i = 0; i < 3; i++) {
		char name[16];
		snprintf(name, sizeof(name), "l%d", i);
		auto_fd int d = sub(f->work, name);
		for (int k = 0; k < 3; k++)
			put(d, t[i][k].path, t[i][k].content);
		auto_free char *path = at_work(f, name);
		OK(cache_layer_import(f->c, path, NULL, &l[i], &e));
		ids[i] = l[i].id;
	}
	OK(cache_flatten(f->c, ids, 3, &flat, &e));
	OK(cache_layer_verify(f->c, flat.id, &e));
	auto_fd int fd = cache_layer_open(f->c, flat.id, &e);
	expect(fd, "a/x", "top");
	expect(fd, "b", "file");
	expect(fd, "c/1", "top");
	expect(fd, "c/2", "middle");
	assert_false(there(fd, "a/z"));
	assert_int_equal(flat.entries, 6);
}

static void flattening_what_is_not_there_makes_nothing(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer flat;
	char id[CACHE_ID];
	const char *ids[] = {id};
	cache_digest("x", 1, id);
	assert_int_equal(cache_flatten(f->c, ids, 1, &flat, &e), -1);
	assert_int_equal(e.kind, ERR_ABSENT);
	expect_clean(f, 0);
}

static void a_harvest_that_ends_in_an_error_leaves_nothing_behind(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	fill(&s, "u", 0, 3);
	assert_non_null(fixture_reopen(s.f, NULL, &e));
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_int_equal(count_names(s.f->state, "seg"), 0);
	expect_clean(s.f, 0);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(any_tar_restores_the_store_from_its_segments),
		T(a_frame_begins_with_the_record_of_what_was_published),
		T(headers_have_whole_seconds_and_the_record_the_rest),
		T(the_same_changes_give_the_same_bytes),
		T(a_publish_killed_at_any_step_leaves_the_old_generation),
		T(a_committed_publish_survives_opening_again),
		T(a_full_disk_leaves_the_old_generation_and_the_next_publish_works),
		T(what_could_not_be_committed_is_written_over),
		T(a_flattened_stack_shows_what_the_layers_show_together),
		T(a_file_over_a_directory_hides_what_lies_below),
		T(flattening_what_is_not_there_makes_nothing),
		T(a_harvest_that_ends_in_an_error_leaves_nothing_behind),
	};
	return cmocka_run_group_tests_name("cache/publish", tests, NULL, NULL);
}
