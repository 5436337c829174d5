/* cache/: what an upper hides of a store that wants to know. */
#include "cache_store.h"

#define STORE(...) struct store s = {.f = *state, ##__VA_ARGS__}

/* A store with a/1, a/2, b/c/3, keep and tmp/4, and an upper that hides most of it. */
static void hide(struct store *s)
{
	auto_fd int u = sub(s->f->work, "u"), v = sub(s->f->work, "v"), a = sub(v, "a"),
		    tmp = sub(v, "tmp");
	static const char *const paths[] = {"a/1", "a/2", "b/c/3", "keep", "tmp/4"};
	for (size_t i = 0; i < countof(paths); i++)
		put(u, paths[i], paths[i]);
	s->deletions = CACHE_DELETIONS_IGNORE;
	s->n_rules = 0;
	store_publish(s, "u");
	if (mknodat(a, "1", S_IFCHR, 0)) {
		print_message("no whiteouts here: %s\n", strerror(errno));
		store_end(s);
		skip();
	}
	assert_int_equal(mknodat(v, "b", S_IFCHR, 0), 0);
	assert_int_equal(mknodat(v, "nothing", S_IFCHR, 0), 0);
	assert_int_equal(mknodat(tmp, "4", S_IFCHR, 0), 0);
}

static void expect_hidden(int fd, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode) && !st.st_rdev);
}

static void deletions_are_applied_where_the_store_wants_them(void **state)
{
	static const struct cache_rule drop_tmp[] = {{"tmp/**", CACHE_DROP}};
	STORE();
	struct err e = ERR_INIT;
	struct cache_layer flat;
	size_t height;
	hide(&s);
	s.deletions = CACHE_DELETIONS_APPLY;
	s.rules = drop_tmp;
	s.n_rules = 1;
	store_publish(&s, "v");
	expect_change(&s, "a/1", CACHE_DELETED);
	assert_int_equal(entry_of(&s, "a/1")->type, 'w');
	assert_int_equal(entry_of(&s, "b")->type, 'w');
	assert_int_equal(entry_of(&s, "nothing")->type, '?');
	assert_int_equal(entry_of(&s, "tmp/4")->type, '?');
	expect_hidden(s.fds[1], "a/1");
	expect_hidden(s.fds[1], "b");
	assert_false(there(s.fds[1], "tmp"));
	assert_int_equal(s.out.layer.entries, 3); /* and a */
	OK(cache_layer_verify(s.f->c, s.ids[1], &e));
	/* Its frames say the same. */
	OK(cache_record_verify(s.f->c, s.out.frames, s.out.n_frames, s.ids[1], &e));
	OK(cache_layer_remove(s.f->c, s.ids[1], &e));
	OK(cache_layer_restore(s.f->c, s.ids[1], s.out.frames, s.out.n_frames, &e));
	OK(cache_layer_verify(s.f->c, s.ids[1], &e));
	/* What hides is flattened with all that it hides. */
	const char *ids[] = {s.ids[1], s.ids[0]};
	OK(cache_flatten_height(s.f->c, ids, 1, 2, &height, &e));
	assert_int_equal(height, 2);
	OK(cache_flatten_height(s.f->c, ids + 1, 1, 1, &height, &e));
	assert_int_equal(height, 1);
	OK(cache_flatten(s.f->c, ids, 2, &flat, &e));
	OK(cache_layer_verify(s.f->c, flat.id, &e));
	auto_fd int fd = cache_layer_open(s.f->c, flat.id, &e), out = sub(s.f->work, "out");
	expect(fd, "a/2", "a/2");
	expect(fd, "keep", "keep");
	expect(fd, "tmp/4", "tmp/4");
	assert_false(there(fd, "a/1"));
	assert_false(there(fd, "b"));
	assert_int_equal(flat.entries, 5);
	struct cache_exported exported;
	OK(cache_restore(s.f->c, ids, 2, out, &exported, &e));
	assert_false(there(out, "a/1"));
	assert_false(there(out, "b"));
	expect(out, "a/2", "a/2");
	store_end(&s);
}

static void what_was_deleted_can_come_back(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct cache_layer flat;
	hide(&s);
	s.deletions = CACHE_DELETIONS_APPLY;
	store_publish(&s, "v");
	store_publish(&s, "v"); /* what is hidden is not there to be hidden */
	assert_true(s.out.nothing);
	auto_fd int w = sub(s.f->work, "w");
	put(w, "b/new", "other than before");
	store_publish(&s, "w");
	expect_change(&s, "b", CACHE_ADDED);
	expect_change(&s, "b/new", CACHE_ADDED);
	const char *ids[] = {s.ids[2], s.ids[1], s.ids[0]};
	OK(cache_flatten(s.f->c, ids, 3, &flat, &e));
	auto_fd int fd = cache_layer_open(s.f->c, flat.id, &e);
	expect(fd, "b/new", "other than before");
	assert_false(there(fd, "b/c"));
	store_end(&s);
}

static void deletions_may_refuse_a_harvest(void **state)
{
	static const struct cache_rule drop[] = {{"**", CACHE_DROP}},
				       no_change[] = {{"b", CACHE_REJECT}};
	STORE();
	struct err e = ERR_INIT;
	hide(&s);
	s.deletions = CACHE_DELETIONS_REJECT;
	assert_int_equal(store_try(&s, "v", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	assert_non_null(strstr(e.text, "a/1: it was deleted, which this store does not allow"));
	s.rules = drop;
	s.n_rules = 1;
	e = (struct err)ERR_INIT;
	OK(store_try(&s, "v", &e));
	s.rules = no_change;
	s.deletions = CACHE_DELETIONS_APPLY;
	assert_int_equal(store_try(&s, "v", &e), -1);
	assert_non_null(strstr(e.text, "b: it was deleted, and a rule allows no change there"));
	expect_clean(s.f, 1);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(deletions_are_applied_where_the_store_wants_them),
		T(what_was_deleted_can_come_back),
		T(deletions_may_refuse_a_harvest),
	};
	return cmocka_run_group_tests_name("cache/deletions", tests, NULL, NULL);
}
