#include "orchestrator/retrace.h"

#include "base/text.h"
#include "orchestrator/inputs.h"
#include "orchestrator/rows.h"

#include <string.h>

/* ---- what is meant ---- */

int retrace_package(const struct record_again *again, const char *word, size_t *package,
		    struct err *e)
{
	const struct suite *s = again->suite;
	size_t named = 0;
	for (size_t i = 0; i < s->n_packages; i++)
		if (!strcmp(s->packages[i].id, word)) {
			*package = i;
			return 0;
		}
	for (size_t i = 0; i < s->n_packages; i++)
		if (!strcmp(s->packages[i].name, word)) {
			*package = i;
			named++;
		}
	if (named == 1)
		return 0;
	return named ? err_set(e, ERR_USAGE, "%zu packages are named %s; say which by its id",
			       named, word)
		     : err_set(e, ERR_ABSENT,
			       "run %lld has no package %s; assay query 'SELECT DISTINCT package "
			       "FROM v_job WHERE run = %lld' lists them",
			       (long long)again->run, word, (long long)again->run);
}

/* Row of the variant among the package's jobs. */
static int retrace_variant(const struct retrace *r, const char *word, const struct db_table *jobs,
			   size_t *row, struct err *e)
{
	auto_text struct text all = TEXT_INIT;
	const char *id = r->again.suite->packages[r->package].id;
	if (!jobs->n_rows)
		return err_set(e, ERR_ABSENT, "run %lld has no package %s", (long long)r->again.run,
			       id);
	*row = 0;
	for (size_t i = 0; !word && i < jobs->n_rows; i++)
		if (*rows_str(jobs, i, "status") && strcmp(rows_str(jobs, i, "status"), "pass")) {
			*row = i;
			break;
		}
	for (size_t i = 0; word && i < jobs->n_rows; i++) {
		if (!strcmp(rows_str(jobs, i, "variant"), word)) {
			*row = i;
			return 0;
		}
		text_addf(&all, "%s%s", i ? ", " : "", rows_str(jobs, i, "variant"));
	}
	return word ? err_set(e, ERR_USAGE, "run %lld has no variant %s of %s; it has %s",
			      (long long)r->again.run, word, id, text_str(&all))
		    : 0;
}

static int retrace_units(struct retrace *r, const char *variant, struct db *d, struct err *e)
{
	const struct suite *s = r->again.suite;
	const char *id = s->packages[r->package].id;
	r->plan = plan_make(s, &id, 1, record_layer_known, d, e);
	for (size_t i = 0; r->plan && i < r->plan->n_units; i++) {
		const struct plan_unit *u = &r->plan->units[i];
		if (u->package != r->package || u->variant == PLAN_NONE ||
		    strcmp(s->variants[u->variant].name, variant))
			continue;
		r->branch = u;
		r->trunk = u->trunk == PLAN_NONE ? NULL : &r->plan->units[u->trunk];
		return 0;
	}
	return r->plan ? err_set(e, ERR_ABSENT, "%s is not run under %s", id, variant) : -1;
}

static char *retrace_words(const struct db_table *jobs, size_t row)
{
	auto_text struct text t = TEXT_INIT;
	int64_t code = rows_int(jobs, row, "exit_code", -1), sig = rows_int(jobs, row, "signal", 0);
	text_addf(&t, "%s/%s in %s", rows_str(jobs, row, "status"), rows_str(jobs, row, "reason"),
		  rows_str(jobs, row, "phase"));
	if (sig)
		text_addf(&t, ", signal %lld", (long long)sig);
	else if (code >= 0)
		text_addf(&t, ", exit status %lld", (long long)code);
	return text_take(&t);
}

/* ---- its phases ---- */

static size_t phase_of(const struct suite *s, const char *name)
{
	size_t i = 0;
	while (i < s->n_phases && strcmp(s->phases[i].name, name))
		i++;
	return i;
}

static int retrace_never(const struct retrace *r, const struct db_table *ran, const char *variant,
			 const char *phase, struct err *e)
{
	auto_text struct text all = TEXT_INIT;
	for (size_t i = 0; i < ran->n_rows; i++)
		if (!strcmp(rows_str(ran, i, "variant"), variant))
			text_addf(&all, "%s%s", all.n ? ", " : "", rows_str(ran, i, "phase"));
	if (!all.n)
		return err_set(e, ERR_ABSENT,
			       "no phase of %s under %s was run in run %lld (%s): there is nothing "
			       "to go into",
			       r->again.suite->packages[r->package].id, variant,
			       (long long)r->again.run, r->ended);
	return err_set(e, ERR_ABSENT,
		       "phase %s of %s under %s was not run in run %lld (%s): only %s", phase,
		       r->again.suite->packages[r->package].id, variant, (long long)r->again.run,
		       r->ended, all.p);
}

static int retrace_phases(struct retrace *r, const struct db_table *ran, const char *variant,
			  const char *wanted, struct err *e)
{
	const struct suite *s = r->again.suite;
	r->phases = own_calloc(ran->n_rows + 1, sizeof(*r->phases));
	if (phase_of(s, wanted) == s->n_phases)
		return err_set(e, ERR_USAGE, "suite %s has no phase %s", s->name, wanted);
	for (size_t i = 0; i < ran->n_rows; i++) {
		const char *name = rows_str(ran, i, "phase");
		int net = box_net_of(rows_str(ran, i, "network"));
		if (strcmp(rows_str(ran, i, "variant"), variant))
			continue;
		r->phases[r->n_phases] = (struct retrace_phase){
			.phase = phase_of(s, name),
			.net = net < 0 ? BOX_NET_NONE : (enum box_net)net,
			.generation = rows_int(ran, i, "generation", 0),
			.started_ms = rows_int(ran, i, "started_ms", 0),
			.id = rows_int(ran, i, "phase_id", 0),
		};
		if (r->phases[r->n_phases++].phase == s->n_phases)
			return err_set(e, ERR_INPUT, "suite %s has no phase %s any more", s->name,
				       name);
		if (!strcmp(name, wanted))
			return 0;
	}
	return retrace_never(r, ran, variant, wanted, e);
}

static int retrace_job(struct retrace *r, const struct retrace_asked *asked,
		       const struct db_table *jobs, struct err *e)
{
	size_t row;
	struct db_table *ran = NULL;
	auto_free char *run = own_fmt("%lld", (long long)asked->run);
	const char *const args[] = {run, r->again.suite->packages[r->package].id};
	if (retrace_variant(r, asked->variant, jobs, &row, e))
		return -1;
	const char *variant = rows_str(jobs, row, "variant"),
		   *phase = asked->phase ? asked->phase : rows_str(jobs, row, "phase");
	int64_t judged = rows_int(jobs, row, "judged_in", 0);
	if (judged)
		return err_set(e, ERR_ABSENT,
			       "%s was not run under %s in run %s: run %lld had judged the same "
			       "inputs; ask for that one",
			       args[1], variant, run, (long long)judged);
	if (!*rows_str(jobs, row, "status"))
		return err_set(e, ERR_ABSENT, "%s has no result under %s in run %s (it is %s)",
			       args[1], variant, run, rows_str(jobs, row, "state"));
	r->ended = retrace_words(jobs, row);
	if (db_named(r->state->db, "retrace", args, 2, &ran, e))
		return -1;
	int rc = retrace_phases(r, ran, variant, phase, e);
	db_table_free(ran);
	return rc ? -1 : retrace_units(r, variant, r->state->db, e);
}

/* What a box is made of and is not the suite's: told where it is not what it was. */
static int retrace_inputs(const struct retrace *r, struct err *e)
{
	static const char *const columns[] = {"suite_inputs", "variant_inputs", "package_inputs"};
	const struct suite *s = r->again.suite;
	struct inputs in = {0};
	struct db_table *t = NULL;
	auto_free char *run = own_fmt("%lld", (long long)r->again.run);
	const char *const args[] = {run, s->packages[r->package].id};
	if (inputs_load(&in, s, &r->how, r->state->db, e))
		return -1;
	auto_free char *package = inputs_package(s, r->package, e);
	int rc = package ? db_named(r->state->db, "inputs", args, 2, &t, e) : -1;
	for (size_t i = 0; !rc && i < t->n_rows; i++) {
		const char *now[] = {in.suite, in.variants[r->branch->variant], package};
		const json_t *label;
		size_t k;
		if (rows_int(t, i, "run", 0) != r->again.run ||
		    strcmp(rows_str(t, i, "variant"), s->variants[r->branch->variant].name))
			continue;
		json_t *changed = json_array();
		for (size_t c = 0; c < countof(columns); c++)
			if (rows_text(t, i, columns[c]))
				inputs_changed(now[c], rows_str(t, i, columns[c]), changed);
		json_array_foreach(changed, k, label)
			fprintf(stderr, "%s %s", k ? "," : "assay: since that run these changed:",
				json_string_value(label));
		if (json_array_size(changed))
			fputc('\n', stderr);
		json_decref(changed);
	}
	db_table_free(t);
	inputs_fini(&in);
	return rc;
}

int retrace_open(struct retrace *r, struct state *st, const struct retrace_asked *asked,
		 const struct how *h, struct err *e)
{
	struct db_table *jobs = NULL;
	*r = (struct retrace){.state = st, .how = *h, .aside = {.fd = -1}};
	if (record_same(&r->again, st, asked->run, &r->how, e))
		return -1;
	how_fill(&r->how);
	if (retrace_package(&r->again, asked->package, &r->package, e))
		return -1;
	auto_free char *run = own_fmt("%lld", (long long)asked->run);
	const char *const args[] = {run, r->again.suite->packages[r->package].id};
	if (db_named(st->db, "jobs-of-package", args, 2, &jobs, e))
		return -1;
	int rc = retrace_job(r, asked, jobs, e);
	db_table_free(jobs);
	if (rc || retrace_inputs(r, e) || state_can_box(st, e) || aside_take(st->fd, &r->aside, e))
		return -1;
	const struct suite_package *package = &r->again.suite->packages[r->package];
	if (boxing_input(r->aside.fd, BOXING_INPUT, package, e))
		return -1;
	r->uppers = own_calloc(r->again.suite->n_phases + 1, sizeof(*r->uppers));
	r->held = own_calloc(r->again.suite->n_phases + 1, sizeof(*r->held));
	for (size_t i = 0; i < r->again.suite->n_phases; i++)
		r->held[i] = -1;
	return 0;
}

void retrace_close(struct retrace *r)
{
	for (size_t i = 0; r->uppers && i < r->again.suite->n_phases; i++)
		free(r->uppers[i]);
	for (size_t i = 0; r->held && i < r->again.suite->n_phases; i++)
		own_close(&r->held[i]);
	for (size_t i = 0; i < r->n_pins; i++)
		pin_drop(&r->pins[i]);
	if (r->state)
		aside_drop(r->state->fd, &r->aside);
	plan_free(r->plan);
	record_again_fini(&r->again);
	free(r->pins);
	free(r->uppers);
	free(r->held);
	free(r->phases);
	free(r->ended);
	*r = (struct retrace){.aside = {.fd = -1}};
}
