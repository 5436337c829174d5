#include "orchestrator/commands.h"

#include "base/clock.h"
#include "orchestrator/options.h"
#include "orchestrator/reclassify.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"
#include "orchestrator/suite.h"
#include "orchestrator/table.h"
#include "orchestrator/verdicts.h"

#include <jansson.h>
#include <string.h>

struct reclassify_args {
	struct options_common common;
	const char *run, *suite;
	bool dry;
};

enum { RECLASSIFY_SUITE = 0x100, RECLASSIFY_DRY };

static const struct argp_option reclassify_options[] = {
	{"suite", RECLASSIFY_SUITE, "FILE", 0,
	 "judge by this suite (default: the file the run was made from, as it is now)", 0},
	{"dry-run", RECLASSIFY_DRY, NULL, 0, "say what would change, and change nothing", 0},
	{0},
};

static const struct argp_child reclassify_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t reclassify_parse(int key, char *arg, struct argp_state *st)
{
	struct reclassify_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case RECLASSIFY_SUITE:
		a->suite = arg;
		return 0;
	case RECLASSIFY_DRY:
		a->dry = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->run)
			argp_error(st, "one run at a time");
		a->run = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->run)
			argp_error(st, "which run? assay status lists them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp reclassify_argp = {
	reclassify_options,
	reclassify_parse,
	"RUN",
	"Judge a run once more by its suite's log rules as they are now, over the facts and logs "
	"that "
	"were kept. Nothing is run.\v"
	"What the boxes saw decides as it did; rules only refine fail and crash. Results of which "
	"the "
	"log is gone stay as they are.\n\n"
	"Example:\n  assay reclassify 7 --dry-run\n  assay reclassify 7 --suite suites/demo.yaml",
	reclassify_children,
	NULL,
	NULL,
};

static char *outcome(const char *status, const char *reason)
{
	return !strcmp(status, "pass") ? own_dup(status) : own_fmt("%s/%s", status, reason);
}

static void reclassify_print(const struct reclassify *r, int64_t run, bool dry)
{
	struct table *t = table_new();
	static const char *const columns[] = {"PACKAGE", "VARIANT", "PHASE",
					      "BEFORE",  "NOW",     "RULE"};
	for (size_t i = 0; i < countof(columns); i++)
		table_column(t, columns[i], TABLE_LEFT);
	for (size_t i = 0; i < r->n_changes; i++) {
		const struct reclassify_change *c = &r->changes[i];
		if (c->quiet)
			continue;
		auto_free char *before = outcome(rows_str(r->rows, c->row, "status"),
						 rows_str(r->rows, c->row, "reason")),
			       *now = outcome(status_name(c->result.status),
					      reason_name(c->result.reason));
		table_cell(t, rows_str(r->rows, c->row, "package"));
		table_cell(t, rows_str(r->rows, c->row, "variant"));
		table_cell(t, rows_str(r->rows, c->row, "phase"));
		table_cell(t, before);
		table_cell(t, now);
		table_cell(t, c->result.rule);
	}
	printf("Run %lld: %zu of %zu results %s", (long long)run, r->n_changes - r->n_quiet,
	       r->n_judged, dry ? "would change" : "changed");
	if (r->n_no_log)
		printf("; %zu have no log any more and stay", r->n_no_log);
	if (r->n_other)
		printf("; %zu are not by facts, or of phases the suite has no more, and stay",
		       r->n_other);
	printf("\n%s", table_rows(t) ? "\n" : "");
	if (table_rows(t))
		table_print(t, stdout, table_width(stdout), table_colours(stdout));
	table_free(t);
}

static void reclassify_print_json(const struct reclassify *r, int64_t run, bool dry)
{
	json_t *changes = json_array();
	for (size_t i = 0; i < r->n_changes; i++) {
		const struct reclassify_change *c = &r->changes[i];
		if (c->quiet)
			continue;
		json_array_append_new(changes,
				      json_pack("{s:s, s:s, s:s, s:[ss], s:[ss], s:s?}", "package",
						rows_str(r->rows, c->row, "package"), "variant",
						rows_str(r->rows, c->row, "variant"), "phase",
						rows_str(r->rows, c->row, "phase"), "before",
						rows_str(r->rows, c->row, "status"),
						rows_str(r->rows, c->row, "reason"), "now",
						status_name(c->result.status),
						reason_name(c->result.reason), "rule",
						c->result.rule));
	}
	json_t *j =
		json_pack("{s:I, s:b, s:I, s:I, s:I, s:o}", "run", (json_int_t)run, "dry_run", dry,
			  "judged", (json_int_t)r->n_judged, "without_log", (json_int_t)r->n_no_log,
			  "not_by_facts", (json_int_t)r->n_other, "changes", changes);
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

/* By which suite: the one named, else the run's own file. */
static struct suite *reclassify_suite(struct db *d, const struct reclassify_args *a, int64_t run,
				      struct err *e)
{
	char id[24];
	const char *args[] = {id};
	struct db_table *row = NULL;
	if (a->suite)
		return suite_load(a->suite, e);
	snprintf(id, sizeof(id), "%lld", (long long)run);
	if (db_named(d, "run", args, 1, &row, e))
		return NULL;
	const char *path = rows_text(row, 0, "suite_path");
	struct suite *s = path ? suite_load(path, e) : NULL;
	if (!path)
		err_set(e, ERR_USAGE,
			"run %s does not say from which file it was made: give --suite", id);
	else if (!s)
		err_add(e, "the suite of run %s (--suite names another)", id);
	db_table_free(row);
	return s;
}

static int reclassify_judge(const struct reclassify_args *a, struct state *st, struct err *e)
{
	struct reclassify r = {0};
	int64_t run = review_run(st->db, a->run, e);
	struct suite *s = run > 0 ? reclassify_suite(st->db, a, run, e) : NULL;
	int rc = s ? reclassify_run(st->db, st->fd, s, run, &r, e) : -1;
	if (!rc && !a->dry)
		rc = reclassify_keep(st->db, &r, clock_real_ms(), e) ||
				     verdicts_record(st->db, run, e)
			     ? -1
			     : 0;
	if (!rc)
		(a->common.json ? reclassify_print_json : reclassify_print)(&r, run, a->dry);
	reclassify_fini(&r);
	suite_free(s);
	return rc;
}

int cmd_reclassify(int argc, char **argv)
{
	struct reclassify_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&reclassify_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	struct state *st = state_open(a.common.state, &e);
	int rc = st ? reclassify_judge(&a, st, &e) : -1;
	state_close(st);
	return rc ? command_fail(&e) : EXIT_OK;
}
