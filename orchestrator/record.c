#include "orchestrator/record.h"

#include "base/clock.h"
#include "base/text.h"
#include "orchestrator/inputs.h"
#include "orchestrator/known.h"
#include "orchestrator/rows.h"

#include <string.h>
#include <uthash.h>

int record_layer_known(void *ctx, const char *name, struct err *e)
{
	struct db_layer l = {0};
	int found = db_layer_find(ctx, name, &l, e);
	if (found > 0)
		db_layer_fini(&l);
	return found;
}

static char *record_lines(const struct suite_env *env, size_t n)
{
	auto_text struct text t = TEXT_INIT;
	for (size_t i = 0; i < n; i++)
		text_addf(&t, "%s%s=%s", i ? "\n" : "", env[i].name, env[i].value);
	return text_take(&t);
}

static char *record_layers(struct db *d, const struct suite_variant *v)
{
	auto_text struct text t = TEXT_INIT;
	for (size_t i = 0; i < v->n_layers; i++) {
		struct db_layer l = {0};
		struct err e = ERR_INIT;
		text_addf(&t, "%s%s", i ? " " : "", v->layers[i]);
		if (db_layer_find(d, v->layers[i], &l, &e) > 0) {
			text_addf(&t, "=%.12s", l.id);
			db_layer_fini(&l);
		}
	}
	return text_take(&t);
}

/* What the rows of the jobs say of their inputs; text and key are those of the latest row. */
struct record_inputs {
	struct inputs of;
	const struct plan *plan;
	size_t *units;  /* by job: its unit */
	size_t n;       /* jobs; the skips, which have no inputs, come behind them */
	size_t package; /* whose text it is */
	char *text;
	char key[CACHE_ID];
};

static void record_inputs_fini(struct record_inputs *in)
{
	free(in->units);
	free(in->text);
	inputs_fini(&in->of);
}

/* db_run.fill: the branches of a package are side by side, so that its text is made once. Where
 * something may change and nobody would know there is no key. */
static int record_fill(void *ctx, size_t i, struct db_job *job, struct err *e)
{
	struct record_inputs *in = ctx;
	if (i >= in->n)
		return 0;
	const struct plan_unit *u = &in->plan->units[in->units[i]];
	if (!in->text || in->package != u->package) {
		free(in->text);
		in->package = u->package;
		in->text = inputs_package(in->plan->suite, u->package, e);
		if (!in->text)
			return -1;
	}
	job->inputs = in->text;
	if (in->of.unknown)
		return 0;
	inputs_key(&in->of, u->variant, in->text, in->key);
	job->input_key = in->key;
	return 0;
}

int64_t record_begin(const struct plan *p, struct state *st, const struct how *h, int64_t *ids,
		     struct err *e)
{
	const struct suite *s = p->suite;
	char host[256] = "";
	auto_free struct db_variant *variants = own_calloc(s->n_variants, sizeof(*variants));
	auto_free struct db_job *jobs = own_calloc(p->n_jobs + p->n_skips, sizeof(*jobs));
	struct record_inputs in = {.plan = p};
	size_t n = 0;
	if (inputs_load(&in.of, s, h, st->db, e))
		return -1;
	in.units = own_calloc(p->n_jobs + 1, sizeof(*in.units));
	gethostname(host, sizeof(host) - 1);
	for (size_t i = 0; i < s->n_variants; i++)
		variants[i] =
			(struct db_variant){s->variants[i].name,
					    record_layers(st->db, &s->variants[i]),
					    record_lines(s->variants[i].env, s->variants[i].n_env),
					    in.of.variants[i]};
	for (size_t i = 0; i < p->n_units; i++) {
		const struct plan_unit *u = &p->units[i];
		if (u->variant == PLAN_NONE)
			continue;
		jobs[n] = (struct db_job){.package = s->packages[u->package].id,
					  .version = s->packages[u->package].version,
					  .variant = s->variants[u->variant].name};
		in.units[n++] = i;
	}
	in.n = n;
	auto_free char *engine = how_engine(h), *options = how_json(h);
	const char *goal = NULL;
	for (size_t i = 0; i < s->n_phases; i++)
		if (s->phases[i].goal)
			goal = s->phases[i].name;
	struct db_run run = {
		.suite = s->name,
		.suite_path = s->path,
		.suite_sha256 = s->sha256,
		.ecosystem = s->ecosystem,
		.goal = goal,
		.compare_base = s->has_compare ? s->variants[s->compare[0]].name : NULL,
		.compare_next = s->has_compare ? s->variants[s->compare[1]].name : NULL,
		.host = host,
		.version = ASSAY_VERSION,
		.engine = engine,
		.pid = getpid(),
		.started_ms = clock_real_ms(),
		.jobs_at_once = h->jobs,
		.partial = p->partial,
		.inputs = in.of.suite,
		.options = options,
		.fill = record_fill,
		.ctx = &in,
	};
	known_jobs(p, jobs + n);
	int64_t id = db_run_begin(st->db, &run, variants, s->n_variants, jobs, n + p->n_skips, e);
	if (id > 0 && known_record(p, st->db, id, jobs + n, e))
		id = -1;
	for (size_t i = 0; i < n; i++)
		ids[in.units[i]] = jobs[i].id;
	for (size_t i = 0; i < s->n_variants; i++) {
		free((void *)(uintptr_t)variants[i].layers);
		free((void *)(uintptr_t)variants[i].env);
	}
	record_inputs_fini(&in);
	return id;
}

/* ---- once more ---- */

struct left {
	char *name; /* PACKAGE NUL VARIANT */
	size_t n;
	int64_t job;
	UT_hash_handle hh;
};

static char *left_name(const char *package, const char *variant, size_t *n)
{
	auto_text struct text t = TEXT_INIT;
	text_add(&t, package);
	text_addc(&t, '\0');
	text_add(&t, variant);
	*n = t.n;
	return text_take(&t);
}

struct lefts {
	const struct suite *suite;
	struct left *of;
};

static const struct left *lefts_find(const struct lefts *l, size_t package, size_t variant)
{
	struct left *x;
	size_t n;
	auto_free char *name =
		left_name(l->suite->packages[package].id, l->suite->variants[variant].name, &n);
	HASH_FIND(hh, l->of, name, n, x);
	return x;
}

static bool lefts_keep(void *ctx, const struct plan_unit *u)
{
	return u->judged || lefts_find(ctx, u->package, u->variant) != NULL;
}

static void lefts_load(struct lefts *l, const struct db_table *t)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		struct left *x = own_calloc(1, sizeof(*x));
		x->name = left_name(rows_str(t, i, "package"), rows_str(t, i, "variant"), &x->n);
		x->job = rows_int(t, i, "job", 0);
		HASH_ADD_KEYPTR(hh, l->of, x->name, x->n, x);
	}
}

static void lefts_fini(struct lefts *l)
{
	struct left *x, *next;
	HASH_ITER (hh, l->of, x, next) {
		HASH_DEL(l->of, x);
		free(x->name);
		free(x);
	}
}

/* A variant's layers are named; a name may mean something else by now. */
static int again_layers(const struct record_again *a, struct db *d, const char *run, struct err *e)
{
	struct db_table *t = NULL;
	int rc = db_named(d, "variants", &run, 1, &t, e);
	for (size_t i = 0; !rc && i < t->n_rows && i < a->suite->n_variants; i++) {
		auto_free char *now = record_layers(d, &a->suite->variants[i]);
		const char *was = rows_str(t, i, "layers");
		if (strcmp(now, was))
			rc = err_set(
				e, ERR_INPUT,
				"variant %s had the layers '%s' when run %s began, and has '%s' "
				"now: give the name its layer back with assay layer import NAME, "
				"or begin a new run with: assay run %s",
				a->suite->variants[i].name, was, run, now, a->suite->path);
	}
	db_table_free(t);
	return rc;
}

static void again_ids(struct record_again *a, const struct lefts *left)
{
	const struct plan *p = a->plan;
	a->ids = own_calloc(p->n_units + 1, sizeof(*a->ids));
	a->skips = own_calloc(p->n_skips + 1, sizeof(*a->skips));
	for (size_t i = 0; i < p->n_units; i++)
		if (p->units[i].judged)
			a->ids[i] = takeup_job(&a->takeup, &p->units[i]);
		else if (p->units[i].variant != PLAN_NONE)
			a->ids[i] = lefts_find(left, p->units[i].package, p->units[i].variant)->job;
	for (size_t i = 0; i < p->n_skips; i++) {
		const struct left *x = lefts_find(left, p->skips[i].package, p->skips[i].variant);
		a->skips[i] = x ? x->job : 0;
	}
}

static int again_plan(struct record_again *a, struct db *d, const char *run, const struct how *h,
		      struct err *e)
{
	struct db_table *t = NULL;
	struct lefts left = {.suite = a->suite};
	const struct confirm_conf confirm = how_confirm(h);
	unsigned fixes = h->repeat_fixes == HOW_UNGIVEN ? 0 : (unsigned)h->repeat_fixes;
	if (takeup_load(&a->takeup, d, a->suite, a->run, &confirm, fixes, e) ||
	    db_named(d, "unfinished", &run, 1, &t, e))
		return -1;
	lefts_load(&left, t);
	db_table_free(t);
	a->plan = plan_make(a->suite, NULL, 0, record_layer_known, d, e);
	if (a->plan) {
		takeup_mark(&a->takeup, a->plan, lefts_keep, &left);
		plan_keep(a->plan, lefts_keep, &left);
		again_ids(a, &left);
	}
	lefts_fini(&left);
	return a->plan ? 0 : -1;
}

static int again_suite(struct record_again *a, struct db *d, const char *run,
		       const struct db_table *t, struct err *e)
{
	a->suite = suite_load(rows_str(t, 0, "suite_path"), e);
	if (!a->suite)
		return err_add(e, "suite of run %s", run);
	if (strcmp(a->suite->sha256, rows_str(t, 0, "suite_sha256")))
		return err_set(e, ERR_INPUT,
			       "%s: suite, ecosystem or packages changed since run %s began: begin "
			       "a new run with: assay run %s",
			       a->suite->path, run, a->suite->path);
	return again_layers(a, d, run, e);
}

static int again_which(struct db *d, int64_t *run, struct err *e)
{
	struct db_table *t = NULL;
	if (*run)
		return 0;
	if (db_named(d, "resumable", NULL, 0, &t, e))
		return -1;
	*run = t->n_rows ? rows_int(t, 0, "run", 0) : 0;
	db_table_free(t);
	return *run ? 0
		    : err_set(e, ERR_USAGE,
			      "no run was interrupted: there is nothing to go on with");
}

/* Row `t` of the run, its options and suite. */
static int again_load(struct record_again *a, struct db *d, int64_t run, bool unfinished,
		      struct how *h, struct err *e)
{
	char id[24];
	const char *arg = id, *state;
	struct db_table *t = NULL;
	snprintf(id, sizeof(id), "%lld", (long long)run);
	*a = (struct record_again){.run = run};
	if (db_named(d, "again", &arg, 1, &t, e))
		return -1;
	int rc = t->n_rows ? 0 : err_set(e, ERR_ABSENT, "there is no run %s", id);
	state = rc ? "" : rows_str(t, 0, "state");
	if (!rc && unfinished && strcmp(state, "interrupted") && strcmp(state, "aborted"))
		rc = err_set(e, ERR_USAGE, "run %s is %s: there is nothing to go on with", id,
			     state);
	if (!rc)
		rc = how_again(h, rows_text(t, 0, "options"), e);
	if (!rc)
		rc = again_suite(a, d, id, t, e);
	if (!rc)
		a->jobs = (size_t)rows_int(t, 0, "jobs", 0);
	if (!rc && unfinished)
		rc = again_plan(a, d, id, h, e);
	db_table_free(t);
	if (rc)
		record_again_fini(a);
	return rc;
}

int record_again(struct record_again *a, struct state *st, int64_t run, struct how *h,
		 struct err *e)
{
	*a = (struct record_again){0};
	return again_which(st->db, &run, e) ? -1 : again_load(a, st->db, run, true, h, e);
}

int record_same(struct record_again *a, struct state *st, int64_t run, struct how *h, struct err *e)
{
	return again_load(a, st->db, run, false, h, e);
}

int record_resume(struct record_again *a, struct state *st, const struct how *h, struct err *e)
{
	int n = db_run_resume(st->db, a->run, getpid(), (int64_t)h->jobs, clock_real_ms(), e);
	if (n < 0)
		return -1;
	a->resumed = (unsigned)n;
	return known_again(a->plan, st->db, a->run, a->skips, e);
}

void record_again_fini(struct record_again *a)
{
	takeup_fini(&a->takeup);
	plan_free(a->plan);
	suite_free(a->suite);
	free(a->ids);
	free(a->skips);
	*a = (struct record_again){0};
}
