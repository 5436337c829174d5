/* orchestrator/state_cache.c: whatever becomes of the database, the segments bring back what the
 * store showed. */
#include "store_place.h"

#include <errno.h>
#include <sys/wait.h>

#define CURRENT "SELECT path, change, sha256, job FROM v_entry WHERE current ORDER BY path, harvest"

static void publish_many(struct place *p, int from, int to)
{
	for (int i = from; i < to; i++) {
		auto_free char *path = own_fmt("d%d/file-%d", i % 5, i),
			       *content = own_fmt("content %d\n", i),
			       *job = own_fmt("run 1 p%d@1 fetch", i);
		place_publish_file(p, path, content, job);
	}
}

static void rebuild(struct place *p)
{
	struct err e = ERR_INIT;
	state_close(p->state);
	p->state = state_open_rebuild(p->path, &e);
	if (!p->state)
		fail_msg("%s", e.text);
}

/* Enough to have been flattened. */
static void all_layers_and_tables_come_back_from_the_segments_alone(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	publish_many(p, 0, 80);
	auto_free char *shown = place_shown(p), *current = place_ask(p, CURRENT);
	assert_int_not_equal(strlen(current), 0);
	OK(dir_remove(p->state->fd, "layers", &e));
	rebuild(p);
	assert_int_equal(p->state->found, 80);
	auto_free char *again = place_shown(p), *current_again = place_ask(p, CURRENT);
	assert_string_equal(again, shown);
	assert_string_equal(current_again, current);
	assert_true(p->shelf.n_layers <= CACHE_MAX_LAYERS);
	place_expect(p, "SELECT count(*) FROM harvest", "80"); /* no row came twice */
	place_expect_sound(p);
	/* And what comes next goes on from there. */
	publish_many(p, 80, 85);
	place_close(p);
	place_open(p);
	assert_int_equal(p->state->found, 0);
	place_expect(p, "SELECT count(*) FROM v_entry WHERE current AND type = 'f'", "85");
}

static void a_database_that_is_gone_comes_back(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	publish_many(p, 0, 10);
	auto_free char *shown = place_shown(p), *current = place_ask(p, CURRENT);
	auto_free char *source = own_fmt("%s/source", p->path);
	auto_fd int dir = dir_make(p->state->fd, "source", 0755, &e);
	struct cache_layer tool;
	place_put(dir, "bin/node", "not of any store");
	OK(cache_layer_import(p->state->cache, source, NULL, &tool, &e));
	int fd = dup(p->state->fd);
	place_close(p);
	static const char *const files[] = {"assay.db", "assay.db-wal", "assay.db-shm"};
	for (size_t i = 0; i < countof(files); i++)
		assert_true(!unlinkat(fd, files[i], 0) || errno == ENOENT);
	close(fd);
	assert_null(state_open(p->path, &e));
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_non_null(strstr(e.text, "assay cache rebuild"));
	rebuild(p);
	auto_free char *again = place_shown(p), *current_again = place_ask(p, CURRENT);
	assert_string_equal(again, shown);
	assert_string_equal(current_again, current);
	/* A tool's layer is in no segment: it stays, under a name that says so. */
	auto_free char *want = own_fmt("kept-%.12s|%s", tool.id, tool.id);
	place_expect(p,
		     "SELECT name, layer FROM v_layer WHERE layer IN (SELECT digest FROM layer l"
		     " JOIN layer_name n ON n.layer = l.id) AND entries = 2",
		     want);
	place_close(p);
	place_open(p);
	OK(cache_layer_verify(p->state->cache, tool.id, &e));
	place_expect_sound(p);
}

static void copy_file(struct place *p, const char *from, const char *to)
{
	struct err e = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	OK(dir_read_whole(p->state->fd, from, 1 << 28, &t, &e));
	OK(dir_write_whole(p->state->fd, to, t.p, t.n, 0600, &e));
}

static void an_older_database_learns_what_came_after_it(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	publish_many(p, 0, 5);
	place_close(p);
	place_open(p); /* the write-ahead log is in the file now */
	copy_file(p, "assay.db", "older");
	place_load(p);
	publish_many(p, 5, 12);
	auto_free char *shown = place_shown(p), *current = place_ask(p, CURRENT);
	place_close(p);
	auto_fd int fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unlinkat(fd, "assay.db-wal", 0);
	unlinkat(fd, "assay.db-shm", 0);
	assert_int_equal(renameat(fd, "older", fd, "assay.db"), 0);
	place_open(p);
	assert_int_equal(p->state->found, 7);
	auto_free char *again = place_shown(p), *current_again = place_ask(p, CURRENT);
	assert_string_equal(again, shown);
	assert_string_equal(current_again, current);
	place_expect(p, "SELECT made_by, count(*) FROM generation GROUP BY made_by ORDER BY 1",
		     "found|7\npublish|5");
	(void)e;
	place_expect_sound(p);
}

static void a_lost_segment_leaves_the_store_and_one_that_returns_is_taken(void **state)
{
	struct place *p = *state;
	publish_many(p, 0, 3);
	p->state->cache->segment_full = 1;
	publish_many(p, 3, 6);
	auto_free char *shown = place_shown(p);
	assert_int_equal(renameat(p->state->fd, "seg/000002.tar.zst", p->state->fd, "away"), 0);
	place_close(p);
	place_open(p);
	auto_free char *still = place_shown(p);
	assert_string_equal(still, shown);
	place_expect(p, "SELECT job FROM v_entry WHERE current AND type = 'f' AND segment IS NULL",
		     "run 1 p3@1 fetch");
	place_close(p);
	place_open(p); /* told once */
	assert_int_equal(renameat(p->state->fd, "away", p->state->fd, "seg/000002.tar.zst"), 0);
	place_close(p);
	place_open(p);
	assert_int_equal(p->state->found, 1);
	place_expect(p, "SELECT count(*) FROM v_entry WHERE current AND segment IS NULL", "0");
	place_expect(p, "SELECT count(*) FROM harvest", "6");
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	place_expect_sound(p);
}

/* Between any two steps: the store is what it was, or has it all. */
static void a_publish_killed_at_any_step_counts_wholly_or_not_at_all(void **state)
{
	struct place *p = *state;
	publish_many(p, 0, 2);
	for (int nth = 0, killed = 1; killed; nth++) {
		auto_free char *before = place_shown(p), *path = own_fmt("killed/%d", nth);
		auto_fd int upper = place_upper(p);
		place_put(upper, path, "x");
		place_close(p);
		pid_t pid = fork();
		if (!pid) {
			struct err e = ERR_INIT;
			place_open(p);
			place_load(p);
			place_kill_at(nth);
			_exit(place_try(p, upper, "killed", 0, &e) ? 1 : 0);
		}
		int status = -1;
		assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		killed = WEXITSTATUS(status) == PLACE_KILLED;
		assert_true(killed || !WEXITSTATUS(status));
		place_open(p);
		auto_free char *after = place_shown(p);
		bool whole = strstr(after, path) != NULL;
		if (!whole)
			assert_string_equal(after, before);
		assert_true(whole || killed);
		place_expect_sound(p);
	}
}

static void a_refused_harvest_is_on_record(void **state)
{
	struct cache_rule rules[] = {{"never/**", CACHE_REJECT}};
	struct place *p = *state;
	p->store.rules = rules;
	p->store.n_rules = 1;
	auto_fd int upper = place_upper(p);
	place_put(upper, "a", "1");
	place_put(upper, "never/x", "1");
	struct err e = ERR_INIT;
	struct shelf_publish pub = {.from = shelf_copy(&p->shelf)};
	OK(shelf_publish(&pub, p->state->cache, upper, "run 1 bad@1 fetch", &e));
	assert_true(pub.refused);
	OK(shelf_record(&pub, p->state->db, 0, &e));
	shelf_publish_fini(&pub);
	place_expect(
		p, "SELECT job, added, refused, refused_all FROM v_harvest",
		"run 1 bad@1 fetch|0|1|publish cache: never/x: a rule allows nothing new there");
	place_expect(p, "SELECT path, change FROM v_note", "never/x|refused");
	place_expect(p, "SELECT count(*) FROM entry", "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
		T(all_layers_and_tables_come_back_from_the_segments_alone),
		T(a_database_that_is_gone_comes_back),
		T(an_older_database_learns_what_came_after_it),
		T(a_lost_segment_leaves_the_store_and_one_that_returns_is_taken),
		T(a_publish_killed_at_any_step_counts_wholly_or_not_at_all),
		T(a_refused_harvest_is_on_record),
	};
	return cmocka_run_group_tests_name("state/rebuild", tests, NULL, NULL);
}
