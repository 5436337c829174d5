/* orchestrator/shelf.c: a harvest on its way from an upper to the database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "orchestrator/boxing.h"
#include "orchestrator/shelf.h"
#include "orchestrator/state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define OK(call)                                                                                   \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s: %s", #call, e.text);                                         \
	} while (0)

struct place {
	char path[128];
	struct state *state;
	struct suite_store store;
	struct shelf shelf;
};

static int set_up(void **state)
{
	struct err e = ERR_INIT;
	struct place *p = own_calloc(1, sizeof(*p));
	snprintf(p->path, sizeof(p->path), "%s/assay-shelf-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(p->path));
	p->state = state_open(p->path, &e);
	if (!p->state)
		fail_msg("%s", e.text);
	p->store = (struct suite_store){.name = (char[]){"cache"}, .path = (char[]){"/store"}};
	p->shelf = (struct shelf){.store = &p->store, .key = own_dup("cache")};
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	state_close(p->state);
	shelf_fini(&p->shelf);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = dir_remove(root, p->path + 1, &e);
	free(p);
	return rc;
}

/* An empty file at the time the test says. */
static void leave(int upper, const char *name, int64_t seconds)
{
	const struct timespec t[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
	auto_fd int fd = openat(upper, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, t), 0);
}

static void publish(struct place *p, const char *upper_name)
{
	struct err e = ERR_INIT;
	struct shelf_publish pub = {.from = shelf_copy(&p->shelf)};
	auto_fd int upper = dir_make(p->state->fd, upper_name, 0755, &e);
	OK(shelf_publish(&pub, p->state->cache, upper, "a test", &e));
	OK(shelf_record(&pub, p->state->db, 0, &e));
	shelf_advance(&p->shelf, &pub);
	shelf_publish_fini(&pub);
}

static void times_beyond_what_can_be_counted_are_the_last_that_can(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct db_table *t;
	auto_fd int upper = dir_make(p->state->fd, "jobs/u", 0755, &e);
	leave(upper, "far", 15000000000);
	leave(upper, "near", 1600000000);
	leave(upper, "past", -2000000000);
	publish(p, "jobs/u");
	OK(db_query(p->state->db, "SELECT mtime_ns FROM entry ORDER BY path", NULL, 0, &t, &e));
	assert_int_equal(t->n_rows, 3);
	assert_true(t->cells[0].i > 0 && t->cells[0].i > t->cells[1].i);
	assert_int_equal(t->cells[1].i, 1600000000 * (int64_t)1000000000);
	assert_int_equal(t->cells[2].i, -2000000000 * (int64_t)1000000000);
	db_table_free(t);
}

static size_t highest(const struct shelf *sh)
{
	size_t at = 0;
	for (size_t i = 0; i < sh->n_layers; i++)
		at = sh->entries[i] > sh->entries[at] ? i : at;
	return at;
}

/* What the shelf knows is what the database would tell the next process. */
static void expect_recorded(struct place *p)
{
	struct err e = ERR_INIT;
	struct db_generation g;
	OK(db_store_current(p->state->db, "cache", &g, &e));
	assert_int_equal(g.id, p->shelf.generation);
	assert_int_equal(g.n_layers, p->shelf.n_layers);
	for (size_t i = 0; i < g.n_layers; i++) {
		assert_string_equal(g.layers[i], p->shelf.layers[i]);
		assert_int_equal(g.entries[i], p->shelf.entries[i]);
	}
	db_generation_fini(&g);
}

/* A large layer stays what it is while small ones come. */
static void a_high_stack_is_flattened_from_above(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	char name[32], base[65];
	auto_fd int first = dir_make(p->state->fd, "jobs/base", 0755, &e);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "base-%d", i);
		leave(first, name, 1600000000);
	}
	publish(p, "jobs/base");
	memcpy(base, p->shelf.layers[0], sizeof(base));
	for (int i = 0; i < 300; i++) {
		char rel[32];
		snprintf(rel, sizeof(rel), "jobs/%d", i);
		snprintf(name, sizeof(name), "small-%d", i);
		auto_fd int upper = dir_make(p->state->fd, rel, 0755, &e);
		leave(upper, name, 1600000000);
		publish(p, rel);
		assert_true(p->shelf.n_layers <= CACHE_MAX_LAYERS);
		assert_string_equal(p->shelf.layers[highest(&p->shelf)], base);
		expect_recorded(p);
	}
	struct db_table *t;
	OK(db_query(p->state->db, "SELECT sum(entries) FROM layer", NULL, 0, &t, &e));
	uint64_t written = (uint64_t)t->cells[0].i;
	db_table_free(t);
	assert_true(written < 500 + 300 * 8);
	uint64_t sum = 0;
	for (size_t i = 0; i < p->shelf.n_layers; i++)
		sum += p->shelf.entries[i];
	assert_int_equal(sum, 800);
}

/* Its root is a job's to close. */
static void an_upper_that_may_not_be_read_is_the_jobs_doing(void **state)
{
	static const mode_t modes[] = {0, 0400, 0100, 0300};
	struct place *p = *state;
	struct err e = ERR_INIT;
	if (!geteuid()) {
		print_message("root may read everything\n");
		skip();
	}
	auto_fd int upper = dir_make(p->state->fd, "jobs/x/u0", 0755, &e);
	for (size_t i = 0; i < countof(modes); i++) {
		struct shelf_publish pub = {0};
		assert_int_equal(fchmod(upper, modes[i]), 0);
		assert_int_equal(boxing_upper(p->state->fd, "jobs/x", 0, &e), -1);
		assert_int_equal(e.kind, ERR_HOSTILE);
		assert_int_equal(shelf_refuse(&pub, &e), 0);
		assert_true(pub.refused);
	}
	assert_int_equal(boxing_upper(p->state->fd, "jobs/y", 0, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(fchmod(upper, 0500), 0);
	auto_fd int fd = boxing_upper(p->state->fd, "jobs/x", 0, &e);
	assert_true(fd >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			times_beyond_what_can_be_counted_are_the_last_that_can, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_upper_that_may_not_be_read_is_the_jobs_doing,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_high_stack_is_flattened_from_above, set_up,
						tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
