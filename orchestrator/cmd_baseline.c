#include "orchestrator/commands.h"

#include "base/clock.h"
#include "orchestrator/options.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"

#include <jansson.h>
#include <string.h>

struct baseline_args {
	struct options_common common;
	const char *words[3]; /* save NAME [SIDE], list, remove NAME */
	size_t n_words;
};

static const struct argp_child baseline_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t baseline_parse(int key, char *arg, struct argp_state *st)
{
	struct baseline_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case ARGP_KEY_ARG:
		if (a->n_words == countof(a->words))
			argp_error(st, "what is %s?", arg);
		a->words[a->n_words++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->n_words)
			argp_error(st, "save, list or remove?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp baseline_argp = {
	NULL,
	baseline_parse,
	"save NAME [RUN[:VARIANT]]\nlist\nremove NAME",
	"Give a side of a run (default: the newest run's next one) a name, to compare others with: "
	"assay compare @NAME RUN.\v"
	"A run that is void, or going on, never becomes a baseline. A name that is there already "
	"means "
	"the new side from then on.\n\n"
	"Example:\n  assay baseline save last-good 7:node-22\n  assay compare @last-good 9",
	baseline_children,
	NULL,
	NULL,
};

static bool name_ok(const char *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	return *name && strlen(name) <= 64 && strspn(name, letters) == strlen(name);
}

/* The side that a word names (NULL: the newest run's), believed. */
static int baseline_side(struct db *d, const char *word, struct review_pick *p, char **variant,
			 struct err *e)
{
	auto_free char *newest = NULL;
	if (!word) {
		int64_t run = review_run(d, NULL, e);
		if (run < 0)
			return -1;
		word = newest = own_fmt("%lld", (long long)run);
	}
	auto_free char *kept = NULL;
	if (review_pick(d, word, p, &kept, e))
		return -1;
	struct review *r = review_load(d, p->run, NULL, NULL, e);
	if (!r)
		return -1;
	int rc = 0;
	if (r->running)
		rc = err_set(e, ERR_USAGE, "run %lld is not over", (long long)p->run);
	else if (r->validity == VALIDITY_VOID)
		rc = err_set(e, ERR_USAGE, "run %lld is void, and no baseline: %s",
			     (long long)p->run, r->why);
	*variant = own_dup(p->variant ? p->variant : r->next_variant);
	p->variant = *variant;
	review_free(r);
	return rc;
}

static int baseline_save(const struct baseline_args *a, struct db *d, struct err *e)
{
	struct review_pick p;
	auto_free char *variant = NULL;
	const char *name = a->words[1];
	if (a->n_words < 2)
		return err_set(e, ERR_USAGE, "assay baseline save takes a name, and a run");
	if (!name_ok(name))
		return err_set(
			e, ERR_USAGE,
			"'%s' is no name of a baseline: letters, digits, '.', '_', '-', at most 64",
			name);
	if (baseline_side(d, a->words[2], &p, &variant, e) ||
	    db_baseline_save(d, name, p.run, p.variant, clock_real_ms(), e))
		return -1;
	if (a->common.json)
		printf("{\"name\": \"%s\", \"run\": %lld}\n", name, (long long)p.run);
	else
		printf("baseline %s: %s of run %lld\n", name, p.variant, (long long)p.run);
	return 0;
}

static int baseline_remove(const struct baseline_args *a, struct db *d, struct err *e)
{
	if (a->n_words != 2)
		return err_set(e, ERR_USAGE, "assay baseline remove takes one name");
	int rc = db_baseline_remove(d, a->words[1], e);
	if (!rc)
		return err_set(e, ERR_USAGE, "there is no baseline '%s'", a->words[1]);
	return rc < 0 ? -1 : 0;
}

static int baseline_list(const struct baseline_args *a, struct db *d, struct err *e)
{
	static const char *const columns[] = {"NAME", "RUN", "VARIANT", "SUITE", "VALIDITY"};
	struct db_table *rows = NULL;
	if (a->n_words != 1)
		return err_set(e, ERR_USAGE, "assay baseline list takes nothing else");
	if (db_named(d, "baselines", NULL, 0, &rows, e))
		return -1;
	struct table *t = table_new();
	for (size_t i = 0; i < countof(columns); i++)
		table_column(t, columns[i], i == 1 ? TABLE_RIGHT : TABLE_LEFT);
	for (size_t i = 0; i < rows->n_rows; i++) {
		table_cell(t, rows_str(rows, i, "name"));
		table_cellf(t, "%lld", (long long)rows_int(rows, i, "run", 0));
		table_cell(t, rows_str(rows, i, "variant"));
		table_cell(t, rows_str(rows, i, "suite"));
		table_cell(t, rows_str(rows, i, "validity"));
	}
	if (a->common.json) {
		json_t *j = rows_json(rows);
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
	} else if (rows->n_rows) {
		table_print(t, stdout, table_width(stdout), table_colours(stdout));
	} else {
		puts("no baseline yet: assay baseline save NAME RUN");
	}
	table_free(t);
	db_table_free(rows);
	return 0;
}

/* Whether a verb writes, and so needs the state directory for itself. */
static const struct {
	const char *name;
	bool writes;
	int (*run)(const struct baseline_args *a, struct db *d, struct err *e);
} verbs[] = {{"save", true, baseline_save},
	     {"list", false, baseline_list},
	     {"remove", true, baseline_remove}};

static int baseline_read(const struct baseline_args *a, size_t verb, struct err *e)
{
	auto_free char *state = state_path(a->common.state, e);
	auto_free char *file = state ? own_fmt("%s/assay.db", state) : NULL;
	struct db *d = file ? db_open(file, DB_READ, e) : NULL;
	int rc = d ? verbs[verb].run(a, d, e) : -1;
	db_close(d);
	return rc;
}

int cmd_baseline(int argc, char **argv)
{
	struct baseline_args a = {0};
	struct err e = ERR_INIT;
	size_t verb = 0;
	if (argp_parse(&baseline_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	while (verb < countof(verbs) && strcmp(a.words[0], verbs[verb].name))
		verb++;
	if (verb == countof(verbs)) {
		err_set(&e, ERR_USAGE, "assay baseline: save, list or remove, not '%s'",
			a.words[0]);
		return command_fail(&e);
	}
	if (!verbs[verb].writes)
		return baseline_read(&a, verb, &e) ? command_fail(&e) : EXIT_OK;
	struct state *st = state_open(a.common.state, &e);
	int rc = st ? verbs[verb].run(&a, st->db, &e) : -1;
	state_close(st);
	return rc ? command_fail(&e) : EXIT_OK;
}
