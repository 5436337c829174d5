/* cache/lower.c: where many names are asked for in one directory its names are read instead, and
 * nothing comes out otherwise. */
#include "cache_store.h"

#include "cache/lower.h"
#include "cache/lower_names.h"

#include <errno.h>

#define STORE(...) struct store s = {.f = *state, ##__VA_ARGS__}

enum { MANY = 40 };

static char *name_of(const char *kind, int i)
{
	return own_fmt("d/%s%02d", kind, i);
}

static void put_many(int at, const char *kind, const char *below, const char *content)
{
	for (int i = 0; i < MANY; i++) {
		auto_free char *path = own_fmt("d/%s%02d%s", kind, i, below);
		put(at, path, content);
	}
}

static void expect_many(const struct store *s, const char *kind, const char *below,
			enum cache_change change)
{
	for (int i = 0; i < MANY; i++) {
		auto_free char *path = own_fmt("d/%s%02d%s", kind, i, below);
		expect_change(s, path, change);
	}
}

static void link_many(int at, const char *kind, const char *target)
{
	for (int i = 0; i < MANY; i++) {
		auto_free char *path = name_of(kind, i);
		assert_int_equal(symlinkat(target, at, path), 0);
	}
}

static void many_names_are_judged_as_one_is(void **state)
{
	STORE();
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v"), w = sub(s.f->work, "w");
	put_many(u, "file", "", "lower");
	put_many(u, "dir", "/in", "lower");
	put_many(u, "was-dir", "/in", "lower");
	link_many(u, "link", "file00");
	store_publish(&s, "u");
	put_many(v, "file", "", "lower");
	put_many(v, "other", "", "upper");
	put_many(v, "dir", "/too", "upper");
	store_publish(&s, "v");
	expect_many(&s, "file", "", CACHE_IDENTICAL);
	assert_int_equal(s.out.counts.added, 2 * MANY);
	put_many(w, "file", "", "other");
	put_many(w, "other", "", "upper");
	put_many(w, "new", "", "x");
	put_many(w, "dir", "/in", "lower");
	put_many(w, "dir", "/too", "other");
	put_many(w, "dir", "/new", "x");
	put_many(w, "was-dir", "", "x");
	put_many(w, "link", "/in", "x");
	store_publish(&s, "w");
	expect_many(&s, "file", "", CACHE_CONFLICT);
	expect_many(&s, "other", "", CACHE_IDENTICAL);
	expect_many(&s, "new", "", CACHE_ADDED);
	expect_many(&s, "dir", "/in", CACHE_IDENTICAL);
	expect_many(&s, "dir", "/too", CACHE_CONFLICT);
	expect_many(&s, "dir", "/new", CACHE_ADDED);
	expect_many(&s, "was-dir", "", CACHE_CONFLICT);
	assert_string_equal(entry_of(&s, "d/was-dir00")->reason, "the store has a directory there");
	expect_many(&s, "link", "", CACHE_CONFLICT);
	expect_many(&s, "link", "/in", CACHE_CONFLICT);
	assert_int_equal(s.out.counts.added, 2 * MANY);
	store_expect(&s, "d/dir39/in", "lower");
	store_end(&s);
}

static void what_a_layer_hides_is_not_there(void **state)
{
	STORE(.deletions = CACHE_DELETIONS_APPLY);
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put_many(u, "file", "", "lower");
	put_many(u, "dir", "/in", "lower");
	store_publish(&s, "u");
	close(sub(v, "d"));
	for (int i = 0; i < MANY; i++) {
		auto_free char *file = name_of("file", i), *dir = name_of("dir", i);
		if (mknodat(v, file, S_IFCHR, makedev(0, 0)) ||
		    mknodat(v, dir, S_IFCHR, makedev(0, 0))) {
			print_message("no whiteouts here: %s\n", strerror(errno));
			store_end(&s);
			skip();
		}
	}
	store_publish(&s, "v");
	assert_int_equal(s.out.counts.deleted, 2 * MANY);
	store_publish(&s, "u");
	expect_many(&s, "file", "", CACHE_ADDED);
	expect_many(&s, "dir", "/in", CACHE_ADDED);
	store_end(&s);
}

/* More than are kept in memory at once. */
static void directories_without_end_are_looked_into(void **state)
{
	enum { DIRS = HARVEST_LISTED + 12, FILES = 9 };
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	for (int i = 0; i < DIRS * FILES; i++) {
		auto_free char *path = own_fmt("%03d/%d", i / FILES, i % FILES);
		put(u, path, "x");
	}
	store_publish(&s, "u");
	for (int i = 0; i < DIRS; i++) {
		auto_free char *path = own_fmt("%03d/new", i);
		put(u, path, "y");
	}
	store_publish(&s, "u");
	assert_int_equal(s.out.counts.added, DIRS);
	assert_int_equal(s.out.counts.identical, DIRS * FILES);
	store_publish(&s, "u");
	assert_true(s.out.nothing);
	store_end(&s);
}

static void names_are_those_of_the_directory(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct lower_names x;
	auto_fd int u = sub(s.f->work, "u"), nothing = sub(u, "nothing");
	char longest[256] = "";
	memset(longest, 'x', 255);
	put(u, longest, "");
	put(u, "\xff\n", "");
	for (int i = 0; i < 1000; i++) {
		auto_free char *name = own_fmt("%d", i);
		put(u, name, "");
	}
	auto_fd int fd = openat(u, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lower_names_read(&x, fd, 1 << 20, &e), 1);
	assert_int_equal(lower_names_find(&x, "nothing"), 'd');
	for (int i = 0; i < 1000; i++) {
		auto_free char *name = own_fmt("%d", i), *none = own_fmt("%d.", i);
		assert_int_equal(lower_names_find(&x, name), '?');
		assert_int_equal(lower_names_find(&x, none), 0);
	}
	assert_int_equal(lower_names_find(&x, longest), '?');
	assert_int_equal(lower_names_find(&x, longest + 1), 0);
	assert_int_equal(lower_names_find(&x, "\xff\n"), '?');
	assert_int_equal(lower_names_find(&x, ""), 0);
	assert_in_range(lower_names_bytes(&x), 1002 * (2 + 4), 1 << 20);
	uint64_t seed = x.seed;
	lower_names_free(&x);
	assert_int_equal(lower_names_read(&x, nothing, 1 << 20, &e), 1);
	assert_int_equal(lower_names_find(&x, "a"), 0);
	assert_true(x.seed != seed); /* who chooses names can't choose what collides */
	lower_names_free(&x);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(lower_names_read(&x, fd, 1000, &e), 0);
	assert_int_equal(lower_names_bytes(&x), 0);
	store_end(&s);
}

/* Names are read where it pays, and kept until there are too many of them. */
static void what_is_read_is_bounded(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct harvest h;
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put_many(u, "file", "", "x");
	put(u, "few/one", "x");
	store_publish(&s, "u");
	put_many(v, "new", "", "x");
	put(v, "few/two", "x");
	const struct cache_harvest how = {.store = "npm-cache",
					  .upper_fd = v,
					  .lower_fds = s.fds,
					  .n_lowers = 1};
	OK(harvest_run(&h, s.f->c, &how, &e));
	assert_int_equal(h.next_listed, 1);
	assert_int_equal(h.listed_bytes, lower_names_bytes(h.listed[0]->names));
	lower_forget(&h);
	assert_int_equal(h.listed_bytes, 0);
	harvest_fini(&h);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(many_names_are_judged_as_one_is),
		T(what_a_layer_hides_is_not_there),
		T(directories_without_end_are_looked_into),
		T(names_are_those_of_the_directory),
		T(what_is_read_is_bounded),
	};
	return cmocka_run_group_tests_name("cache/lower", tests, NULL, NULL);
}
