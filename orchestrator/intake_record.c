/* A run that was elsewhere, as rows here. */
#include "orchestrator/intake.h"

#include "base/clock.h"
#include "orchestrator/record.h"
#include "orchestrator/result.h"
#include "orchestrator/shelf.h"
#include "orchestrator/verdicts.h"

#include <string.h>

struct rows_in {
	struct suite *suite;
	struct state *st;
	int64_t run, generation, now;
	int64_t *shared; /* by phase of the suite: its row, once it is there */
};

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static int64_t int_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static size_t phase_of(const struct suite *s, const char *name)
{
	size_t i = 0;
	while (i < s->n_phases && strcmp(s->phases[i].name, name))
		i++;
	return i;
}

static const char *one_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(word, words[i]))
			return words[i];
	return NULL;
}

static const char *limit_of(const char *word)
{
	for (int l = BOX_LIMIT_NONE; l <= BOX_LIMIT_FILE_SIZE; l++)
		if (!strcmp(word, box_limit_name((enum box_limit)l)))
			return box_limit_name((enum box_limit)l);
	return NULL;
}

/* A phase that was run there. */
struct phase_in {
	size_t at;
	bool shared;
	struct db_phase row;
	struct db_facts facts;
};

static int phase_in(const struct rows_in *r, const json_t *one, const char *variant,
		    struct phase_in *in, struct err *e)
{
	static const char *const ends[] = {"exited", "signalled", "limited", "cancelled", "failed"};
	const struct suite_package *p = &r->suite->packages[0];
	int net = box_net_of(text_of(one, "network"));
	const char *end = one_of(text_of(one, "ended_as"), ends, countof(ends)),
		   *limit = limit_of(text_of(one, "limit"));
	*in = (struct phase_in){.at = phase_of(r->suite, text_of(one, "phase")),
				.shared = json_is_true(json_object_get(one, "shared"))};
	if (in->at == r->suite->n_phases || net < 0 || !end || !limit)
		return err_set(e, ERR_HOSTILE, "a phase that was run under %s makes no sense",
			       variant);
	in->row = (struct db_phase){.run = r->run,
				    .package = p->id,
				    .version = p->version,
				    .variant = in->shared ? NULL : variant,
				    .name = r->suite->phases[in->at].name,
				    .network = box_net_name((enum box_net)net),
				    .generation = r->generation,
				    .started_ms = r->now,
				    .cpus = 1};
	in->facts = (struct db_facts){.end = end,
				      .exit_code = int_of(one, "exit_code"),
				      .signal = int_of(one, "signal"),
				      .limit = limit,
				      .cgroup = "none",
				      .ended_ms = r->now};
	return 0;
}

static int64_t phase_row(struct rows_in *r, const struct phase_in *in, struct err *e)
{
	if (in->shared && r->shared[in->at])
		return r->shared[in->at];
	int64_t id = db_phase_begin(r->st->db, &in->row, e);
	if (id < 0 || db_phase_end(r->st->db, id, &in->facts, e))
		return -1;
	if (in->shared)
		r->shared[in->at] = id;
	return id;
}

static const json_t *result_of_variant(const json_t *all, const char *variant)
{
	const json_t *one;
	size_t i;
	json_array_foreach(json_object_get(all, "results"), i,
			   one) if (!strcmp(text_of(one, "variant"), variant)) return one;
	return NULL;
}

/* What came of a variant there; it borrows from suite and manifest. */
static int result_in(const struct rows_in *r, const json_t *one, const char *variant,
		     struct db_result *out, struct err *e)
{
	enum status status;
	enum reason reason;
	size_t at = phase_of(r->suite, text_of(one, "phase"));
	if (status_parse(text_of(one, "status"), &status) ||
	    reason_parse(text_of(one, "reason"), &reason) || at == r->suite->n_phases ||
	    reason_status(reason) != status ||
	    json_array_size(json_object_get(one, "phases")) > r->suite->n_phases)
		return err_set(e, ERR_HOSTILE, "the result of %s makes no sense", variant);
	*out = (struct db_result){.status = status_name(status),
				  .phase = r->suite->phases[at].name,
				  .reason = reason_name(reason),
				  .exit_code = int_of(one, "exit_code"),
				  .signal = int_of(one, "signal"),
				  .limit = "none",
				  .evidence_offset = -1,
				  .ended_ms = r->now};
	return 0;
}

/* One variant's result and phases: looked at only where job is 0. 0, also where there is none. */
static int variant_in(struct rows_in *r, const json_t *all, const char *variant, int64_t job,
		      struct err *e)
{
	const json_t *one = result_of_variant(all, variant), *phase;
	struct db_result row;
	size_t i;
	if (!one)
		return 0;
	if (result_in(r, one, variant, &row, e))
		return -1;
	auto_free int64_t *ids = own_calloc(r->suite->n_phases + 1, sizeof(*ids));
	json_array_foreach(json_object_get(one, "phases"), i, phase)
	{
		struct phase_in in;
		if (phase_in(r, phase, variant, &in, e))
			return -1;
		ids[i] = job ? phase_row(r, &in, e) : 0;
		if (ids[i] < 0)
			return -1;
	}
	if (!job)
		return 0;
	row.phases = ids;
	row.n_phases = i;
	int64_t attempt = db_attempt_begin(r->st->db, job, r->now, e);
	return attempt < 0 ? -1 : db_result(r->st->db, job, attempt, &row, e);
}

static int generation_now(struct rows_in *r, struct err *e)
{
	struct shelf sh;
	if (!r->suite->n_stores)
		return 0;
	int rc = shelf_load(&sh, r->suite, 0, r->st->db, e);
	r->generation = sh.generation;
	shelf_fini(&sh);
	return rc;
}

/* ids NULL: looked at only, so that nothing is begun that could not be ended. */
static int rows_all(struct rows_in *r, const json_t *all, const struct plan *plan,
		    const int64_t *ids, struct err *e)
{
	for (size_t i = 0; i < plan->n_units; i++)
		if (plan->units[i].variant != PLAN_NONE &&
		    variant_in(r, all, r->suite->variants[plan->units[i].variant].name,
			       ids ? ids[i] : 0, e))
			return -1;
	return 0;
}

static int run_in(struct rows_in *r, const json_t *all, const struct plan *plan,
		  const struct how *how, struct err *e)
{
	struct err late = ERR_INIT;
	auto_free int64_t *ids = own_calloc(plan->n_units + 1, sizeof(*ids));
	if (generation_now(r, e) || rows_all(r, all, plan, NULL, e))
		return -1;
	r->run = record_begin(plan, r->st, how, ids, e);
	if (r->run < 0)
		return -1;
	int rc = rows_all(r, all, plan, ids, e);
	if (db_run_end(r->st->db, r->run, rc ? "aborted" : "done", clock_real_ms(), rc ? &late : e))
		rc = -1;
	return rc || !r->suite->has_compare ? rc : verdicts_record(r->st->db, r->run, e);
}

int64_t intake_record(const json_t *all, struct suite *s, struct state *st, const struct how *how,
		      struct err *e)
{
	struct rows_in r = {.suite = s, .st = st, .now = clock_real_ms()};
	struct plan *plan = plan_make(s, NULL, 0, record_layer_known, st->db, e);
	r.shared = own_calloc(s->n_phases + 1, sizeof(*r.shared));
	int rc = plan ? run_in(&r, all, plan, how, e) : -1;
	free(r.shared);
	plan_free(plan);
	return rc ? -1 : r.run;
}
