#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/plan.h"
#include "orchestrator/rows.h"
#include "orchestrator/takeup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

static size_t stores[] = {0};
static struct suite_store store = {.name = (char[]){"cache"}, .path = (char[]){"/store"}};
static struct suite_variant variants[WORLD_VARIANTS] = {{.name = (char[]){"base"}},
							{.name = (char[]){"next"}}};
static const struct suite_phase phases[WORLD_PHASES] = {
	[WORLD_FETCH] = {.name = (char[]){"fetch"},
			 .run = (char[]){"fetch it"},
			 .network = BOX_NET_HOST,
			 .offline_first = true,
			 .harvest = stores,
			 .n_harvest = 1,
			 .limits = {.grace_ms = 500}},
	[WORLD_BUILD] = {.name = (char[]){"build"},
			 .run = (char[]){"build it"},
			 .limits = {.grace_ms = 500}},
	[WORLD_TEST] = {.name = (char[]){"test"},
			.run = (char[]){"test it"},
			.goal = true,
			.limits = {.grace_ms = 500}},
};

static const struct suite empty_suite = {
	.name = (char[]){"world"},
	.root = (char[]){"host"},
	.root_is_host = true,
	.home = (char[]){"/root"},
	.workdir = (char[]){"/build"},
	.stores = &store,
	.n_stores = 1,
	.n_phases = WORLD_PHASES,
	.variants = variants,
	.n_variants = WORLD_VARIANTS,
	.compare = {0, 1},
	.has_compare = true,
};
static char version[] = "1.0.0", where[] = "world:1:1";

static size_t descriptors(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static size_t descriptors_before;
const struct readings *world_machine;
void (*world_look)(struct readings *r);

int world_set_up(void **state)
{
	struct world *w = own_calloc(1, sizeof(*w));
	const char *tmp = getenv("TMPDIR");
	w->path = own_fmt("%s/assay-engine-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(w->path))
		return -1;
	fake_reset();
	w->suite = empty_suite;
	w->suite.phases = own_calloc(WORLD_PHASES, sizeof(*w->suite.phases));
	memcpy(w->suite.phases, phases, sizeof(phases));
	/* libuv keeps what it opened for its first loop. */
	uv_loop_t first;
	if (uv_loop_init(&first) || uv_loop_close(&first))
		return -1;
	descriptors_before = descriptors();
	w->state = state_open(w->path, &w->err);
	if (!w->state)
		fail_msg("%s", w->err.text);
	*state = w;
	return 0;
}

static void world_forget(struct world *w)
{
	for (size_t i = 0; i < w->n_news; i++) {
		free(w->news[i].package);
		free(w->news[i].variant);
		free(w->news[i].note);
	}
	free(w->news);
	w->news = NULL;
	w->n_news = 0;
	plan_free(w->plan);
	w->plan = NULL;
}

static bool empty_dir(int dirfd, const char *rel)
{
	bool empty = true;
	int fd = openat(dirfd, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *it; d && (it = readdir(d));)
		empty &= it->d_name[0] == '.';
	if (d)
		closedir(d);
	return d && empty;
}

int world_tear_down(void **state)
{
	struct world *w = *state;
	struct err e = ERR_INIT;
	assert_true(empty_dir(w->state->fd, "jobs"));
	assert_int_equal(fake.running, 0);
	assert_int_equal(fake.left_running, 0);
	assert_int_equal(fake.opened, fake.closed);
	for (size_t i = 0; i < fake.n_seen; i++)
		assert_true(fake.seen[i].ended);
	state_close(w->state);
	assert_int_equal(descriptors(), descriptors_before);
	world_forget(w);
	free(w->was);
	free(w->full);
	for (size_t i = 0; i < w->suite.n_packages; i++)
		free(w->suite.packages[i].id);
	free(w->suite.packages);
	free(w->suite.phases);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_remove(root, w->path + 1, &e))
		fail_msg("%s", e.text);
	free(w->path);
	free(w);
	fake_reset();
	return 0;
}

void world_packages(struct world *w, size_t n, bool shared)
{
	w->suite.packages = own_calloc(n, sizeof(*w->suite.packages));
	w->suite.n_packages = n;
	for (size_t i = 0; i < n; i++) {
		struct suite_package *p = &w->suite.packages[i];
		p->id = p->name = own_fmt("p%zu", i);
		p->version = version;
		p->where = where;
	}
	w->suite.phases[WORLD_FETCH].once_per_package = shared;
}

static void on_news(void *owner, const struct engine_news *n)
{
	struct world *w = owner;
	w->news = own_grow(w->news, w->n_news + 1, sizeof(*w->news));
	w->news[w->n_news++] = (struct world_news){
		.package = own_dup(n->package->id),
		.variant = own_dup(n->variant->name),
		.note = n->note ? own_dup(n->note) : NULL,
		.phase = n->result.phase,
		.status = n->result.status,
		.reason = n->result.reason,
		.wall_ms = n->wall_ms,
	};
}

static int64_t *world_rows(struct world *w)
{
	const struct suite *s = &w->suite;
	int64_t *ids = own_calloc(w->plan->n_units, sizeof(*ids));
	auto_free struct db_variant *v = own_calloc(s->n_variants, sizeof(*v));
	auto_free struct db_job *jobs = own_calloc(w->plan->n_jobs, sizeof(*jobs));
	size_t n = 0;
	for (size_t i = 0; i < s->n_variants; i++)
		v[i] = (struct db_variant){.name = s->variants[i].name};
	for (size_t i = 0; i < w->plan->n_units; i++) {
		const struct plan_unit *u = &w->plan->units[i];
		if (u->variant != PLAN_NONE)
			jobs[n++] = (struct db_job){
				.package = s->packages[u->package].id,
				.version = s->packages[u->package].version,
				.variant = s->variants[u->variant].name,
			};
	}
	struct db_run run = {.suite = "world",
			     .goal = "test",
			     .compare_base = s->variants[0].name,
			     .compare_next = s->variants[1].name,
			     .pid = 1,
			     .started_ms = clock_real_ms(),
			     .jobs_at_once = 1};
	w->run = db_run_begin(w->state->db, &run, v, s->n_variants, jobs, n, &w->err);
	if (w->run < 0)
		fail_msg("%s", w->err.text);
	n = 0;
	for (size_t i = 0; i < w->plan->n_units; i++)
		if (w->plan->units[i].variant != PLAN_NONE)
			ids[i] = jobs[n++].id;
	return ids;
}

/* A machine with room for everything: what the real one does meanwhile is no part of a story. */
static void world_readings(int statefd, struct readings *r)
{
	(void)statefd;
	*r = world_machine ? *world_machine : (struct readings){0, 0, 0, UINT64_MAX, UINT64_MAX};
	if (world_look)
		world_look(r);
}

static void on_full(void *owner, const char *key)
{
	struct world *w = owner;
	free(w->full);
	w->full = own_dup(key);
	if (w->on_full)
		w->on_full(w);
}

static void on_held(void *owner, const char *why)
{
	struct world *w = owner;
	if (w->n_told < countof(w->told))
		w->told[w->n_told++] = why;
}

static int world_carry(struct world *w, const int64_t *ids, size_t at_once)
{
	struct err e = ERR_INIT;
	const struct how how = {0};
	struct inputs inputs;
	if (inputs_load(&inputs, &w->suite, &how, w->state->db, &e))
		fail_msg("%s", e.text);
	struct engine_conf conf = {
		.plan = w->plan,
		.state = w->state,
		.run = w->run,
		.jobs = ids,
		.was = w->was,
		.resumed = w->resumed,
		.at_once = at_once,
		.fetches = w->fetches ? w->fetches : at_once,
		.readings = world_readings,
		.at_once_again = true,
		.confirm = w->confirm,
		.repeat_fixes = w->repeat_fixes,
		.inputs = w->keep_bytes ? &inputs : NULL,
		.reuse = w->reuse,
		.keep_bytes = w->keep_bytes,
		.on_news = on_news,
		.on_held = on_held,
		.on_full = on_full,
		.owner = w,
		.verbose = getenv("ASSAY_TEST_VERBOSE") != NULL,
	};
	w->err = (struct err)ERR_INIT;
	int rc = engine_run(&conf, &w->outcome, &w->err);
	inputs_fini(&inputs);
	const char *end = rc ? "aborted" : w->outcome.interrupted ? "interrupted" : "done";
	if (db_run_end(w->state->db, w->run, end, clock_real_ms(), &e) && !rc)
		fail_msg("%s", e.text);
	return rc;
}

static void world_plan(struct world *w)
{
	world_forget(w);
	free(w->was);
	w->was = NULL;
	w->plan = plan_make(&w->suite, NULL, 0, NULL, NULL, &w->err);
	if (!w->plan)
		fail_msg("%s", w->err.text);
}

int world_run(struct world *w, size_t at_once)
{
	world_plan(w);
	w->resumed = 0;
	auto_free int64_t *ids = world_rows(w);
	return world_carry(w, ids, at_once);
}

struct lefts {
	const struct suite *suite;
	const struct db_table *rows;
};

/* The job of a branch that is left; 0: none. */
static int64_t left_job(const struct lefts *l, const struct plan_unit *u)
{
	for (size_t i = 0; u->variant != PLAN_NONE && i < l->rows->n_rows; i++)
		if (!strcmp(rows_str(l->rows, i, "package"), l->suite->packages[u->package].id) &&
		    !strcmp(rows_str(l->rows, i, "variant"), l->suite->variants[u->variant].name))
			return rows_int(l->rows, i, "job", 0);
	return 0;
}

static bool left_keep(void *ctx, const struct plan_unit *u)
{
	return u->judged || left_job(ctx, u) != 0;
}

int world_resume(struct world *w, size_t at_once)
{
	char id[24];
	const char *arg = id;
	struct db_table *t = NULL;
	snprintf(id, sizeof(id), "%lld", (long long)w->run);
	world_plan(w);
	if (db_named(w->state->db, "unfinished", &arg, 1, &t, &w->err))
		fail_msg("%s", w->err.text);
	struct lefts left = {&w->suite, t};
	struct takeup again;
	if (takeup_load(&again, w->state->db, &w->suite, w->run, &w->confirm, w->repeat_fixes,
			&w->err))
		fail_msg("%s", w->err.text);
	takeup_mark(&again, w->plan, left_keep, &left);
	plan_keep(w->plan, left_keep, &left);
	auto_free int64_t *ids = own_calloc(w->plan->n_units + 1, sizeof(*ids));
	for (size_t i = 0; i < w->plan->n_units; i++)
		ids[i] = w->plan->units[i].judged ? takeup_job(&again, &w->plan->units[i])
						  : left_job(&left, &w->plan->units[i]);
	takeup_was(&again, w->plan, &w->was);
	takeup_fini(&again);
	db_table_free(t);
	int resumed =
		db_run_resume(w->state->db, w->run, 1, (int64_t)at_once, clock_real_ms(), &w->err);
	if (resumed < 0)
		return -1;
	w->resumed = (unsigned)resumed;
	return world_carry(w, ids, at_once);
}

void world_reopen(struct world *w)
{
	state_close(w->state);
	w->state = state_open(w->path, &w->err);
	if (!w->state)
		fail_msg("%s", w->err.text);
}

const struct world_news *world_result(const struct world *w, const char *package,
				      const char *variant)
{
	const struct world_news *found = NULL;
	for (size_t i = 0; i < w->n_news; i++) {
		const struct world_news *n = &w->news[i];
		if (strcmp(n->package, package) || strcmp(n->variant, variant))
			continue;
		assert_null(found); /* once */
		found = n;
	}
	return found;
}

const struct fake_seen *world_box(size_t *from, const char *package, const char *variant,
				  const char *phase)
{
	while (*from < fake.n_seen) {
		const struct fake_seen *s = &fake.seen[(*from)++];
		if ((!package || !strcmp(s->package, package)) &&
		    (!variant || !strcmp(s->variant, variant)) &&
		    (!phase || !strcmp(s->phase, phase)))
			return s;
	}
	return NULL;
}

size_t world_boxes(const char *package, const char *variant, const char *phase)
{
	size_t n = 0, from = 0;
	while (world_box(&from, package, variant, phase))
		n++;
	return n;
}

static sqlite3 *world_sqlite(struct world *w)
{
	sqlite3 *d = NULL;
	auto_free char *file = own_fmt("%s/assay.db", w->path);
	if (sqlite3_open(file, &d) || sqlite3_busy_timeout(d, 60000))
		fail_msg("%s", sqlite3_errmsg(d));
	return d;
}

int64_t world_number(struct world *w, const char *sql)
{
	sqlite3 *d = world_sqlite(w);
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(d, sql, -1, &s, NULL) || sqlite3_step(s) != SQLITE_ROW)
		fail_msg("%s: %s", sql, sqlite3_errmsg(d));
	int64_t n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(d);
	return n;
}

void world_exec(struct world *w, const char *sql)
{
	sqlite3 *d = world_sqlite(w);
	if (sqlite3_exec(d, sql, NULL, NULL, NULL))
		fail_msg("%s: %s", sql, sqlite3_errmsg(d));
	sqlite3_close(d);
}
