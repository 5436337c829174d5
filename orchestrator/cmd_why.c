#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/inputs.h"
#include "orchestrator/options.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"

#include <argp.h>
#include <jansson.h>
#include <string.h>

struct why_args {
	struct options_common common;
	const char *run, *package;
};

static const struct argp_child why_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t why_parse(int key, char *arg, struct argp_state *st)
{
	struct why_args *a = st->input;
	uint64_t run;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case ARGP_KEY_ARG:
		if (a->package)
			argp_error(st, "one package of one run");
		else if (a->run)
			a->package = arg;
		else if (unit_parse_count(arg, &run))
			argp_error(st, "a run is a number, not '%s'", arg);
		else
			a->run = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->package)
			argp_error(st, "which package of which run?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp why_argp = {
	NULL,
	why_parse,
	"RUN PACKAGE",
	"Say why a package was run, or not run, in a run: what of its inputs changed since the run "
	"of the "
	"suite before it, or which run had judged them.\v"
	"Example:\n  assay why 12 semver",
	why_children,
	NULL,
	NULL,
};

/* What is not the same in two rows: labels. */
static json_t *why_changed(const struct db_table *t, size_t now, size_t was)
{
	static const char *const columns[] = {"suite_inputs", "variant_inputs", "package_inputs"};
	json_t *list = json_array();
	for (size_t i = 0; i < countof(columns); i++) {
		const char *a = rows_str(t, now, columns[i]), *b = rows_str(t, was, columns[i]);
		inputs_changed(a, b, list);
	}
	return list;
}

static json_t *why_variant(const struct db_table *t, size_t row, size_t end)
{
	json_t *j = json_object();
	const char *key = rows_text(t, row, "input_key");
	int64_t judged = rows_int(t, row, "judged_in", 0);
	json_object_set_new(j, "variant", json_string(rows_str(t, row, "variant")));
	json_object_set_new(j, "status", json_string(rows_text(t, row, "status")));
	json_object_set_new(j, "key", key ? json_string(key) : json_null());
	json_object_set_new(j, "judged_in", judged ? json_integer(judged) : json_null());
	if (row + 1 < end) {
		json_object_set_new(j, "before", json_integer(rows_int(t, row + 1, "run", 0)));
		json_object_set_new(j, "changed", why_changed(t, row, row + 1));
	}
	return j;
}

static void why_print(const json_t *j)
{
	size_t i;
	const json_t *phase, *reused = json_object_get(j, "reused");
	const json_t *label, *changed = json_object_get(j, "changed");
	json_int_t judged = json_integer_value(json_object_get(j, "judged_in")),
		   before = json_integer_value(json_object_get(j, "before"));
	printf("%s: ", json_string_value(json_object_get(j, "variant")));
	if (judged)
		printf("not run: run %lld judged the same inputs: %s\n", (long long)judged,
		       json_string_value(json_object_get(j, "status")));
	else if (!before)
		printf("run: no run of this suite before it had it\n");
	else if (json_is_null(json_object_get(j, "key")))
		printf("run: something it sees may change without anybody knowing (a directory of "
		       "this "
		       "machine)\n");
	else if (!json_array_size(changed))
		printf("run, with the same inputs as in run %lld: nothing trusted was known of "
		       "them, or "
		       "it was asked for\n",
		       (long long)before);
	else {
		printf("run: since run %lld these changed:", (long long)before);
		json_array_foreach(changed, i, label)
			printf("%s %s", i ? "," : "", json_string_value(label));
		putchar('\n');
	}
	if (json_array_size(reused)) {
		printf("%s: not run again, what they left was used:",
		       json_string_value(json_object_get(j, "variant")));
		json_array_foreach(reused, i, phase)
			printf("%s %s of run %lld", i ? "," : "",
			       json_string_value(json_object_get(phase, "phase")),
			       (long long)json_integer_value(json_object_get(phase, "run")));
		putchar('\n');
	}
}

/* Phases of earlier runs of which it used what they had left. */
static json_t *why_reused(const struct db_table *t, const char *variant)
{
	json_t *list = json_array();
	for (size_t i = 0; i < t->n_rows; i++)
		if (!strcmp(rows_str(t, i, "variant"), variant))
			json_array_append_new(list,
					      json_pack("{s:s, s:I}", "phase",
							rows_str(t, i, "phase"), "run",
							(json_int_t)rows_int(t, i, "run", 0)));
	return list;
}

static int why_tell(const struct why_args *a, const struct db_table *t,
		    const struct db_table *reused, struct err *e)
{
	json_t *list = json_array(), *j;
	size_t i;
	for (size_t row = 0, end; row < t->n_rows; row = end) {
		end = row + 1;
		while (end < t->n_rows &&
		       !strcmp(rows_str(t, end, "variant"), rows_str(t, row, "variant")))
			end++;
		/* a variant that only earlier runs had */
		if (rows_int(t, row, "run", 0) != strtoll(a->run, NULL, 10))
			continue;
		j = why_variant(t, row, end);
		json_object_set_new(j, "reused", why_reused(reused, rows_str(t, row, "variant")));
		json_array_append_new(list, j);
	}
	int rc = json_array_size(list)
			 ? 0
			 : err_set(e, ERR_ABSENT, "run %s has no package %s", a->run, a->package);
	if (!rc && a->common.json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (!rc) {
		json_array_foreach(list, i, j) why_print(j);
	}
	json_decref(list);
	return rc;
}

int cmd_why(int argc, char **argv)
{
	struct why_args a = {0};
	struct err e = ERR_INIT;
	struct db_table *t = NULL, *reused = NULL;
	if (argp_parse(&why_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	auto_free char *state = state_path(a.common.state, &e);
	auto_free char *file = state ? own_fmt("%s/assay.db", state) : NULL;
	struct db *d = file ? db_open(file, DB_READ, &e) : NULL;
	const char *const args[] = {a.run, a.package};
	int rc = d ? db_named(d, "inputs", args, 2, &t, &e) : -1;
	if (!rc)
		rc = db_named(d, "reused-by", args, 2, &reused, &e);
	if (!rc)
		rc = why_tell(&a, t, reused, &e);
	db_table_free(t);
	db_table_free(reused);
	db_close(d);
	return rc ? command_fail(&e) : EXIT_OK;
}
