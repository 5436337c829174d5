/* assay import: what assay export wrote elsewhere, as a run here; and with --run whether the same
 * comes of it. */
#include "orchestrator/commands.h"

#include "orchestrator/carry.h"
#include "orchestrator/intake.h"
#include "orchestrator/rows.h"

#include <string.h>

struct import_args {
	struct options_common common;
	struct how how;
	const char *file, *sha256;
	json_t *mounts;
	bool run;
};

enum { IMPORT_RUN = 0x480, IMPORT_SHA256, IMPORT_MOUNT };

static const struct argp_option import_options[] = {
	{"run", IMPORT_RUN, NULL, 0, "run it, and say whether the result is as recorded", 0},
	{"sha256", IMPORT_SHA256, "DIGEST", 0, "of the file, as assay export printed it", 0},
	{"mount", IMPORT_MOUNT, "PATH=SOURCE", 0,
	 "what of this machine its boxes see at PATH, where it needs that", 0},
	{0},
};
static const struct argp_child import_children[] = {{&how_argp, 0, NULL, 0},
						    {&options_common_argp, 0, NULL, 0},
						    {0}};

static error_t import_mount(struct import_args *a, const char *arg, const struct argp_state *st)
{
	const char *is = strchr(arg, '=');
	if (!is || arg[0] != '/' || is[1] != '/')
		argp_error(st, "--mount takes PATH=SOURCE, both absolute, not '%s'", arg);
	auto_free char *path = own_dup_n(arg, is ? (size_t)(is - arg) : 0);
	json_object_set_new(a->mounts, path, json_string(is ? is + 1 : ""));
	return 0;
}

static error_t import_parse(int key, char *arg, struct argp_state *st)
{
	struct import_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->how;
		st->child_inputs[1] = &a->common;
		return 0;
	case IMPORT_RUN:
		a->run = true;
		return 0;
	case IMPORT_SHA256:
		if (strlen(arg) != 64 || arg[strspn(arg, "0123456789abcdef")])
			argp_error(st, "--sha256 takes 64 hex digits, not '%s'", arg);
		a->sha256 = arg;
		return 0;
	case IMPORT_MOUNT:
		return import_mount(a, arg, st);
	case ARGP_KEY_ARG:
		if (a->file)
			argp_error(st, "one file");
		a->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->file)
			argp_error(st, "which file?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp import_argp = {
	import_options,
	import_parse,
	"FILE",
	"Take in what assay export wrote on another machine, as a run of this one that is over: "
	"assay shell, rerun and compare work on it. (assay cache import brings an archive into a "
	"package store.)\v"
	"The file may be anybody's: what it brings gets names of its own, and nothing of this "
	"machine is shown to its boxes that --mount does not name. It is taken in whole or not at "
	"all. Exit status of --run: 0 the result is as recorded, 1 it is not.\n\n"
	"Example:\n  assay import semver.assay --run",
	import_children,
	NULL,
	NULL,
};

/* What its boxes may that a box without more may not; names were checked with the suite. */
static void import_tell_rights(const struct intake *in)
{
	json_t *phase, *may;
	size_t i, k;
	json_array_foreach(json_object_get(json_object_get(in->all, "recipe"), "phases"), i, phase)
	{
		const char *net = json_string_value(json_object_get(phase, "network")),
			   *name = json_string_value(json_object_get(phase, "name"));
		if (net && strcmp(net, "none"))
			fprintf(stderr, "its phase %s has network %s\n", name ? name : "?", net);
		json_array_foreach(json_object_get(phase, "allow"), k, may)
			fprintf(stderr, "its phase %s is allowed %s\n", name ? name : "?",
				json_string_value(may));
	}
}

static void import_tell(const struct import_args *a, const struct intake *in)
{
	json_t *one, *differs = in->differs;
	size_t i;
	if (a->common.json && !a->run) {
		json_t *j = json_pack("{s:I, s:s, s:O, s:O}", "run", (json_int_t)in->run, "suite",
				      in->suite, "layers", in->layers, "differs", differs);
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
		return;
	}
	fprintf(stderr, "it is run %lld here, of suite %s\n", (long long)in->run, in->suite);
	import_tell_rights(in);
	json_array_foreach(differs, i, one)
		fprintf(stderr, "%s %s", i ? "," : "not as it was there:", json_string_value(one));
	if (json_array_size(differs))
		fputc('\n', stderr);
}

/* ---- is it the same? ---- */

static char *result_words(const struct db_table *t, size_t row)
{
	const char *status = rows_text(t, row, "status");
	return status ? own_fmt("%s/%s in %s", status, rows_str(t, row, "reason"),
				rows_str(t, row, "phase"))
		      : own_dup("no result");
}

static int import_same(struct state *st, int64_t was, int64_t now, const char *package,
		       struct err *e)
{
	struct db_table *a = NULL, *b = NULL;
	bool same = true;
	auto_free char *run_a = own_fmt("%lld", (long long)was),
		       *run_b = own_fmt("%lld", (long long)now);
	int rc = db_named(st->db, "jobs-of-package", (const char *[]){run_a, package}, 2, &a, e) ||
				 db_named(st->db, "jobs-of-package",
					  (const char *[]){run_b, package}, 2, &b, e)
			 ? -1
			 : 0;
	for (size_t i = 0; !rc && i < a->n_rows && i < b->n_rows; i++) {
		auto_free char *recorded = result_words(a, i), *here = result_words(b, i);
		/* a variant that has no result there says nothing */
		bool known = rows_text(a, i, "status") != NULL, as = !strcmp(recorded, here);
		same = same && (as || !known);
		fprintf(stderr, "%s: %s%s%s\n", rows_str(a, i, "variant"), here,
			!known ? ", not recorded"
			: as   ? ", as recorded"
			       : "; recorded: ",
			known && !as ? recorded : "");
	}
	db_table_free(a);
	db_table_free(b);
	return rc ? -1 : same ? EXIT_OK : EXIT_REGRESSED;
}

static int import_run(const struct import_args *a, struct state *st, const struct intake *in,
		      struct err *e)
{
	int64_t run;
	struct suite *s = suite_load(in->suite, e);
	int status = s ? carry_anew(s, NULL, 0, &a->how, st, &run, e) : -1;
	if (status >= 0 && status != EXIT_OURS)
		status = import_same(st, in->run, run, s->packages[0].id, e);
	suite_free(s);
	return status;
}

int cmd_import(int argc, char **argv)
{
	struct import_args a = {.mounts = json_object()};
	struct intake in = {.run = 0};
	struct err e = ERR_INIT;
	if (argp_parse(&import_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	a.how.json = a.common.json;
	how_fill(&a.how);
	struct intake_asked asked = {a.file, a.sha256, a.mounts, &a.how};
	struct state *st = state_open(a.common.state, &e);
	int status = st && !intake(&in, st, &asked, &e) ? EXIT_OK : -1;
	if (!status)
		import_tell(&a, &in);
	if (!status && a.run)
		status = import_run(&a, st, &in, &e);
	if (status < 0)
		status = command_fail(&e);
	intake_fini(&in);
	state_close(st);
	json_decref(a.mounts);
	return status;
}
