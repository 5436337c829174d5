/* cache/: opening and repairing, layers from directories, their names, their checks. */
#include "cache_fixture.h"

#include "cache/list.h"
#include "cache/tree.h"

#include <pthread.h>

static struct cache_layer import(struct fixture *f, const char *rel, const char *prefix)
{
	struct err e = ERR_INIT;
	struct cache_layer out;
	struct cache_import how = {.prefix = prefix};
	auto_free char *path = at_work(f, rel);
	OK(cache_layer_import(f->c, path, &how, &out, &e));
	return out;
}

static void plant(int at, const char *const *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(at, order[i], order[i]);
	assert_int_equal(symlinkat("a/c", at, "zlink"), 0);
	const struct timespec t[2] = {{.tv_sec = 5}, {.tv_sec = 5, .tv_nsec = 7}};
	assert_int_equal(utimensat(at, "zlink", t, AT_SYMLINK_NOFOLLOW), 0);
}

static void two_copies_made_in_another_order_have_one_name(void **state)
{
	struct fixture *f = *state;
	static const char *const one[] = {"a/c", "a-b", "a0", "x/y/z", "a.b/c"},
				 *const two[] = {"x/y/z", "a0", "a.b/c", "a-b", "a/c"};
	auto_fd int a = sub(f->work, "one");
	auto_fd int b = sub(f->work, "two");
	plant(a, one, countof(one));
	plant(b, two, countof(two));
	struct cache_layer first = import(f, "one", NULL), second = import(f, "two", NULL);
	assert_false(first.existed);
	assert_true(second.existed);
	assert_string_equal(first.id, second.id);
	assert_int_equal(first.entries, 10);
	assert_int_equal(first.bytes, 3 + 3 + 2 + 5 + 5);
	expect_clean(f, 1);
}

/* The name is made as cache.h says, from nothing but that text. */
static void the_name_of_a_layer_is_the_digest_of_its_list(void **state)
{
	struct fixture *f = *state;
	char id[CACHE_ID], sha[CACHE_ID];
	auto_fd int a = sub(f->work, "one");
	auto_text struct text t = TEXT_INIT;
	put_bytes(a, "b/run", "hello", 5, 0700);
	put(a, "b-", "");
	struct cache_layer l = import(f, "one", NULL);
	text_add(&t, "d 0755 0.000000000 0 1:b -\n");
	cache_digest("", 0, sha);
	text_addf(&t, "f 0644 1600000000.123456789 0 2:b- %s\n", sha);
	cache_digest("hello", 5, sha);
	text_addf(&t, "f 0755 1600000000.123456789 5 5:b/run %s\n", sha);
	cache_digest(t.p, t.n, id);
	assert_string_equal(l.id, id);
	auto_free char *list = own_fmt("layers/%s.list", l.id);
	expect(f->state, list, t.p);
}

static void files_of_a_layer_are_readable_by_all_and_keep_their_times(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct stat st;
	auto_fd int a = sub(f->work, "one");
	put_bytes(a, "private/key", "k", 1, 0600);
	put_bytes(a, "tool", "t", 1, 06711);
	put_bytes(a, "open", "o", 1, 0666);
	assert_int_equal(fchmodat(a, "private", 0700, 0), 0);
	umask(077);
	struct cache_layer l = import(f, "one", "opt/x");
	umask(022);
	auto_fd int fd = cache_layer_open(f->c, l.id, &e);
	assert_true(fd >= 0);
	static const struct {
		const char *path;
		mode_t mode;
	} want[] = {{".", 0755},
		    {"opt", 0755},
		    {"opt/x", 0755},
		    {"opt/x/private", 0755},
		    {"opt/x/private/key", 0644},
		    {"opt/x/tool", 0755},
		    {"opt/x/open", 0644}};
	for (size_t i = 0; i < countof(want); i++) {
		assert_int_equal(fstatat(fd, want[i].path, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, want[i].mode);
		assert_int_equal(st.st_uid, geteuid());
		if (S_ISREG(st.st_mode)) {
			assert_int_equal(st.st_mtim.tv_sec, 1600000000);
			assert_int_equal(st.st_mtim.tv_nsec, 123456789);
		}
	}
	OK(cache_layer_verify(f->c, l.id, &e));
}

static void a_tree_deeper_than_path_max_becomes_a_layer(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	char name[201];
	auto_fd int at = sub(f->work, "deep");
	memset(name, 'd', 200);
	name[200] = '\0';
	for (int i = 0; i < 60; i++) {
		int next = sub(at, name);
		close(at);
		at = next;
	}
	put(at, "leaf", "down here");
	struct cache_layer l = import(f, "deep", NULL);
	assert_int_equal(l.entries, 61);
	OK(cache_layer_verify(f->c, l.id, &e));
	OK(cache_layer_remove(f->c, l.id, &e));
	expect_clean(f, 0);
}

static void a_damaged_layer_says_what_differs(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	static const struct {
		const char *name, *says;
	} harm[] = {{"bytes", "a/one has other bytes"},       {"gone", "a/one is gone"},
		    {"more", "a/more does not belong there"}, {"time", "a/one has another time"},
		    {"mode", "a/one has another mode"},       {"type", "a/one has another type"}};
	for (size_t i = 0; i < countof(harm); i++) {
		auto_fd int a = sub(f->work, harm[i].name);
		put(a, "a/one", "first");
		put(a, "name", harm[i].name);
		struct cache_layer l = import(f, harm[i].name, NULL);
		auto_free char *rel = own_fmt("layers/%s", l.id);
		auto_fd int fd = openat(f->state, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		OK(cache_layer_verify(f->c, l.id, &e));
		if (!strcmp(harm[i].name, "bytes"))
			put(fd, "a/one", "FIRST");
		else if (!strcmp(harm[i].name, "more"))
			put(fd, "a/more", "");
		else if (!strcmp(harm[i].name, "time"))
			assert_int_equal(utimensat(fd, "a/one", NULL, 0), 0);
		else if (!strcmp(harm[i].name, "mode"))
			assert_int_equal(fchmodat(fd, "a/one", 0755, 0), 0);
		else
			assert_int_equal(unlinkat(fd, "a/one", 0), 0);
		if (!strcmp(harm[i].name, "type"))
			assert_int_equal(symlinkat("x", fd, "a/one"), 0);
		assert_int_equal(cache_layer_verify(f->c, l.id, &e), -1);
		assert_int_equal(e.kind, ERR_CORRUPT);
		assert_non_null(strstr(e.text, harm[i].says));
	}
}

static void what_is_not_there_is_absent_and_removing_it_is_fine(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	char id[CACHE_ID];
	cache_digest("x", 1, id);
	assert_int_equal(cache_layer_open(f->c, id, &e), -1);
	assert_int_equal(e.kind, ERR_ABSENT);
	OK(cache_layer_remove(f->c, id, &e));
	assert_int_equal(cache_layer_open(f->c, "../../etc", &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	struct cache_layer out;
	assert_int_equal(cache_layer_import(f->c, "/nonexistent/x", &(struct cache_import){0}, &out,
					    &e),
			 -1);
	assert_int_equal(e.kind, ERR_ABSENT);
}

static void a_directory_with_a_fifo_or_a_bad_prefix_is_refused_whole(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer out;
	auto_free char *path = at_work(f, "one");
	auto_fd int a = sub(f->work, "one");
	put(a, "file", "x");
	static const char *const prefixes[] = {"/abs", "a//b", "a/../b", ".", "a/"};
	for (size_t i = 0; i < countof(prefixes); i++) {
		struct cache_import how = {.prefix = prefixes[i]};
		assert_int_equal(cache_layer_import(f->c, path, &how, &out, &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
	}
	struct cache_import small = {.max_bytes = 0, .max_entries = 1};
	put(a, "file2", "x");
	assert_int_equal(cache_layer_import(f->c, path, &small, &out, &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	small = (struct cache_import){.max_bytes = 1};
	assert_int_equal(cache_layer_import(f->c, path, &small, &out, &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	assert_int_equal(mkfifoat(a, "pipe", 0644), 0);
	assert_int_equal(cache_layer_import(f->c, path, &(struct cache_import){0}, &out, &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	assert_non_null(strstr(e.text, "pipe"));
	expect_clean(f, 0);
}

static void importing_a_tree_around_the_state_directory_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer out;
	assert_int_equal(cache_layer_import(f->c, f->path, &(struct cache_import){0}, &out, &e),
			 -1);
	assert_int_equal(e.kind, ERR_INPUT);
	expect_clean(f, 0);
}

static void opening_keeps_what_is_known_and_sweeps_the_rest(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	auto_fd int a = sub(f->work, "one");
	put(a, "x", "1");
	struct cache_layer keep = import(f, "one", NULL);
	put(a, "x", "2");
	struct cache_layer lose = import(f, "one", NULL);
	put(f->state, "tmp/123.4/half/file", "x");
	put(f->state, "trash/9/file", "x");
	put(f->state, "seg/000007.tar.zst", "never committed");
	put(f->state, "seg/000001.tar.zst", "committed and torn");
	put(f->state, "seg/README", "not ours");
	struct cache_known_segment segments[] = {{1, 9}};
	const char *layers[] = {keep.id};
	struct cache_known k = {.segments = segments,
				.n_segments = 1,
				.layers = layers,
				.n_layers = 1};
	if (!fixture_reopen(f, &k, &e))
		fail_msg("%s", e.text);
	expect_clean(f, 1);
	OK(cache_layer_verify(f->c, keep.id, &e));
	assert_int_equal(cache_layer_open(f->c, lose.id, &e), -1);
	expect(f->state, "seg/000001.tar.zst", "committed");
	assert_false(there(f->state, "seg/000007.tar.zst"));
	assert_true(there(f->state, "seg/README"));
}

/* A kill in the middle of removing a layer that the archive may bring back, and that stays known.
 */
static void a_list_without_its_layer_is_swept(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	auto_fd int a = sub(f->work, "one");
	put(a, "x", "1");
	struct cache_layer l = import(f, "one", NULL);
	put(a, "x", "2");
	struct cache_layer keep = import(f, "one", NULL);
	auto_free char *dir = own_fmt("layers/%s", l.id);
	OK(dir_remove(f->state, dir, &e));
	const char *layers[] = {keep.id, l.id};
	struct cache_known k = {.layers = layers, .n_layers = 2};
	if (!fixture_reopen(f, &k, &e))
		fail_msg("%s", e.text);
	expect_clean(f, 1);
	OK(cache_layer_verify(f->c, keep.id, &e));
}

static void a_segment_shorter_than_committed_is_corrupt(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	put(f->state, "seg/000001.tar.zst", "short");
	struct cache_known_segment segments[] = {{1, 9}};
	struct cache_known k = {.segments = segments, .n_segments = 1};
	assert_null(fixture_reopen(f, &k, &e));
	assert_int_equal(e.kind, ERR_CORRUPT);
	expect(f->state, "seg/000001.tar.zst", "short");
	segments[0].number = 2;
	assert_null(fixture_reopen(f, &k, &e));
	assert_int_equal(e.kind, ERR_CORRUPT);
	expect(f->state, "seg/000001.tar.zst", "short");
}

static void opened_for_reading_it_repairs_and_writes_nothing(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer out;
	auto_fd int a = sub(f->work, "one");
	put(a, "x", "1");
	struct cache_layer l = import(f, "one", NULL);
	put(f->state, "tmp/left", "x");
	assert_non_null(fixture_reopen(f, NULL, &e));
	assert_true(there(f->state, "tmp/left"));
	OK(cache_layer_verify(f->c, l.id, &e));
	auto_free char *path = at_work(f, "one");
	assert_int_equal(cache_layer_import(f->c, path, &(struct cache_import){0}, &out, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_int_equal(cache_layer_remove(f->c, l.id, &e), -1);
	auto_fd int empty = sub(f->work, "empty");
	struct cache *c = cache_open(empty, NULL, &e);
	assert_non_null(c);
	assert_int_equal(cache_layer_open(c, l.id, &e), -1);
	assert_int_equal(e.kind, ERR_ABSENT);
	assert_int_equal(count_names(empty, "."), 0);
	cache_close(c);
}

static int steps_left;

static void die_at_step(const char *step)
{
	(void)step;
	if (!steps_left--)
		_exit(42);
}

static void an_import_killed_at_any_step_leaves_nothing_or_a_whole_layer(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	auto_fd int a = sub(f->work, "one");
	put(a, "a/x", "1");
	put(a, "b", "2");
	auto_free char *path = at_work(f, "one");
	int steps = 0;
	for (bool killed = true; killed; steps++) {
		pid_t pid = fork();
		if (!pid) {
			struct cache_layer out;
			steps_left = steps;
			cache_on_step = die_at_step;
			_exit(cache_layer_import(f->c, path, NULL, &out, &e) ? 1 : 0);
		}
		int status = -1;
		assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		killed = WEXITSTATUS(status) == 42;
		assert_true(killed || !WEXITSTATUS(status));
		/* Whatever has the name of a layer is that layer. */
		auto_fd int layers = sub(f->state, "layers");
		DIR *d = fdopendir(dup(layers));
		for (struct dirent *it; (it = readdir(d));)
			if (cache_is_id(it->d_name, strlen(it->d_name)))
				OK(cache_layer_verify(f->c, it->d_name, &e));
		closedir(d);
		struct cache_known nothing = {0};
		assert_non_null(fixture_reopen(f, &nothing, &e));
		expect_clean(f, 0);
	}
	assert_true(steps > 5);
}

struct importer {
	struct fixture *f;
	char name[16];
	struct cache_layer out;
	struct err e;
	int rc;
};

static void *import_in_thread(void *arg)
{
	struct importer *im = arg;
	auto_free char *path = at_work(im->f, im->name);
	for (int i = 0; !im->rc && i < 10; i++)
		im->rc = cache_layer_import(im->f->c, path, NULL, &im->out, &im->e);
	return NULL;
}

static void several_threads_import_the_same_and_others_at_once(void **state)
{
	struct fixture *f = *state;
	struct importer im[4] = {0};
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++) {
		im[i].f = f;
		snprintf(im[i].name, sizeof(im[i].name), "t%zu", i);
		auto_fd int a = sub(f->work, im[i].name);
		put(a, "same/x", "1");
		put(a, "which", i % 2 ? "odd" : "even");
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, import_in_thread, &im[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		if (im[i].rc)
			fail_msg("%s", im[i].e.text);
	}
	assert_string_equal(im[0].out.id, im[2].out.id);
	assert_string_equal(im[1].out.id, im[3].out.id);
	expect_clean(f, 2);
}

static void lists_read_back_what_was_written_with_any_bytes_in_names(void **state)
{
	(void)state;
	struct list l = {0};
	static const char path[] = "new\nline 7:x \xff", target[] = "t\n 3:";
	struct list_entry x[] = {
		{'d', 0755, 0, 0, 0, "a", 1, "-", 1},
		{'l', 0777, -3, 999999999, 6, path, sizeof(path) - 1, target, sizeof(target) - 1},
	};
	for (size_t i = 0; i < countof(x); i++)
		list_text(&l.text, &x[i]);
	assert_int_equal(list_parse(&l), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[1].mtime_s, -3);
	assert_int_equal(l.v[1].mtime_ns, 999999999);
	assert_memory_equal(l.v[1].path, path, sizeof(path) - 1);
	assert_memory_equal(l.v[1].end, target, sizeof(target) - 1);
	/* No prefix of a list, and no list with one byte changed, is read beyond its end. */
	auto_free char *whole = own_dup_n(l.text.p, l.text.n);
	size_t n = l.text.n;
	for (size_t i = 0; i < n; i++) {
		list_free(&l);
		auto_free char *exact = own_alloc(n);
		memcpy(exact, whole, n);
		exact[i] = (char)(exact[i] ^ 5);
		text_put(&l.text, exact, n);
		(void)!list_parse(&l);
		list_free(&l);
		text_put(&l.text, whole, i);
		assert_int_equal(list_parse(&l), i && i != 27 ? -1 : 0);
	}
	list_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(two_copies_made_in_another_order_have_one_name),
		T(the_name_of_a_layer_is_the_digest_of_its_list),
		T(files_of_a_layer_are_readable_by_all_and_keep_their_times),
		T(a_tree_deeper_than_path_max_becomes_a_layer),
		T(a_damaged_layer_says_what_differs),
		T(what_is_not_there_is_absent_and_removing_it_is_fine),
		T(a_directory_with_a_fifo_or_a_bad_prefix_is_refused_whole),
		T(importing_a_tree_around_the_state_directory_is_refused),
		T(opening_keeps_what_is_known_and_sweeps_the_rest),
		T(a_list_without_its_layer_is_swept),
		T(a_segment_shorter_than_committed_is_corrupt),
		T(an_import_killed_at_any_step_leaves_nothing_or_a_whole_layer),
		T(several_threads_import_the_same_and_others_at_once),
		T(opened_for_reading_it_repairs_and_writes_nothing),
		cmocka_unit_test(lists_read_back_what_was_written_with_any_bytes_in_names),
	};
	return cmocka_run_group_tests_name("cache/layer", tests, NULL, NULL);
}
