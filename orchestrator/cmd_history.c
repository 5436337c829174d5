#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/options.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"

#include <jansson.h>
#include <string.h>

struct history_args {
	struct options_common common;
	const char *package;
};

static const struct argp_child history_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t history_parse(int key, char *arg, struct argp_state *st)
{
	struct history_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case ARGP_KEY_ARG:
		if (a->package)
			argp_error(st, "one package at a time");
		a->package = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->package)
			argp_error(st, "of which package?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp history_argp = {
	NULL,
	history_parse,
	"PACKAGE",
	"Tell every night of a package, the newest first: its results, the verdict, and how often "
	"it is "
	"known to fail without a reason.\v"
	"The same as a table of the database: assay query history PACKAGE.\n\n"
	"Example:\n  assay history enjoi",
	history_children,
	NULL,
	NULL,
};

static char *row_outcome(const struct db_table *t, size_t row)
{
	const char *status = rows_text(t, row, "status");
	if (!status)
		return own_dup("-");
	if (!strcmp(status, "pass"))
		return own_dup(status);
	return own_fmt("%s/%s in %s", status, rows_str(t, row, "reason"),
		       rows_str(t, row, "phase"));
}

static void history_nights(const struct db_table *t)
{
	static const char *const columns[] = {"RUN",     "DAY",     "SUITE",
					      "VERSION", "VARIANT", "RESULT"};
	struct table *out = table_new();
	for (size_t i = 0; i < countof(columns); i++)
		table_column(out, columns[i], i ? TABLE_LEFT : TABLE_RIGHT);
	table_column(out, "TOOK", TABLE_RIGHT);
	table_column(out, "VERDICT", TABLE_LEFT);
	for (size_t i = 0; i < t->n_rows; i++) {
		int64_t run = rows_int(t, i, "run", 0), wall = rows_int(t, i, "wall_ms", -1);
		bool again = i && rows_int(t, i - 1, "run", 0) == run;
		char took[UNIT_TEXT] = "";
		auto_free char *outcome = row_outcome(t, i);
		if (wall >= 0)
			unit_duration((uint64_t)wall, took);
		if (again)
			table_cell(out, "");
		else
			table_cellf(out, "%lld", (long long)run);
		table_cell(out, again ? "" : rows_str(t, i, "day"));
		table_cell(out, again ? "" : rows_str(t, i, "suite"));
		table_cell(out, again ? "" : rows_str(t, i, "version"));
		table_cell(out, rows_str(t, i, "variant"));
		table_cell(out, outcome);
		table_cell(out, took);
		table_cell(out, again ? "" : rows_str(t, i, "verdict"));
	}
	table_print(out, stdout, table_width(stdout), table_colours(stdout));
	table_free(out);
}

static int history_ask(const struct history_args *a, struct db *d, struct err *e)
{
	struct db_table *nights = NULL, *flakes = NULL;
	int rc = db_named(d, "history", &a->package, 1, &nights, e) ||
				 db_named(d, "flakes-of-package", &a->package, 1, &flakes, e)
			 ? -1
			 : 0;
	if (!rc && !nights->n_rows)
		rc = err_set(e, ERR_ABSENT, "there is no package '%s' in any run", a->package);
	if (!rc && a->common.json) {
		json_t *j = json_pack("{s:s, s:o, s:o}", "package", a->package, "flaky",
				      rows_json(flakes), "nights", rows_json(nights));
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
	} else if (!rc) {
		for (size_t i = 0; i < flakes->n_rows; i++) {
			const struct db_cell *rate = rows_cell(flakes, i, "rate");
			printf("flaky: %s under %s fails %.0f %% of the time in %s (%lld nights)\n",
			       a->package, rows_str(flakes, i, "variant"), rate ? rate->r * 100 : 0,
			       rows_str(flakes, i, "phase"),
			       (long long)rows_int(flakes, i, "nights", 0));
		}
		history_nights(nights);
	}
	db_table_free(nights);
	db_table_free(flakes);
	return rc;
}

int cmd_history(int argc, char **argv)
{
	struct history_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&history_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	auto_free char *state = state_path(a.common.state, &e);
	auto_free char *file = state ? own_fmt("%s/assay.db", state) : NULL;
	struct db *d = file ? db_open(file, DB_READ, &e) : NULL;
	int rc = d ? history_ask(&a, d, &e) : -1;
	db_close(d);
	return rc ? command_fail(&e) : EXIT_OK;
}
