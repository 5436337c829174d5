/* assay export: a package of a run as one archive that another machine can run again: the recipe,
 * the package's files, the layers, what the stores held, and what came of it. The same state gives
 * the same bytes. */
#include "orchestrator/commands.h"

#include "base/dir.h"
#include "base/unit.h"
#include "orchestrator/inputs.h"
#include "orchestrator/recipe.h"
#include "orchestrator/retrace.h"
#include "orchestrator/rows.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#define EXPORT_FILE_MAX ((size_t)16 << 20) /* as boxing_input takes them */

struct export_args {
	struct options_common common;
	uint64_t run;
	const char *package, *file;
	bool no_stores;
};

static const struct argp_option export_options[] = {
	{"no-stores", 'n', NULL, 0,
	 "without what the stores held: its phases will need their network there", 0},
	{0},
};
static const struct argp_child export_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t export_parse(int key, char *arg, struct argp_state *st)
{
	struct export_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case 'n':
		a->no_stores = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->run) {
			if (unit_parse_count(arg, &a->run) || !a->run || a->run > INT64_MAX)
				argp_error(st, "a run is a number, not '%s'", arg);
		} else if (!a->package) {
			a->package = arg;
		} else if (!a->file) {
			a->file = arg;
		} else {
			argp_error(st, "what is %s?", arg);
		}
		return 0;
	case ARGP_KEY_END:
		if (!a->file)
			argp_error(st, "which package of which run, into which file?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp export_argp = {
	export_options,
	export_parse,
	"RUN PACKAGE FILE",
	"Write what it takes to run a package of a run again on another machine into one archive: "
	"recipe, files, layers, what the stores held, and what came of it, which assay import "
	"reads there. (assay cache export writes a package store, and nothing of a run.)\v"
	"What it can't bring is told: this machine's own root, directories that are mounted live. "
	"The same state gives the same bytes. Its digest is printed, for assay import --sha256.\n\n"
	"Example:\n  assay export 12 semver semver.assay",
	export_children,
	NULL,
	NULL,
};

struct outbound {
	const struct export_args *a;
	struct state *st;
	struct record_again again;
	struct how how;
	size_t package;
	struct aside aside;
	struct pin pin;
	json_t *manifest;
	struct cache_member *members;
	char **names;
	size_t n;
};

static void outbound_add(struct outbound *o, char *name, int fd, uint64_t size)
{
	o->members = own_grow(o->members, o->n + 1, sizeof(*o->members));
	o->names = own_grow(o->names, o->n + 1, sizeof(*o->names));
	o->names[o->n] = name;
	o->members[o->n++] = (struct cache_member){.name = name, .fd = fd, .size = size};
}

/* What these layers show, as an archive of its own. */
static int outbound_layers(struct outbound *o, const char *const *ids, size_t n, char *name,
			   struct cache_exported *x, struct err *e)
{
	auto_free char *part = own_fmt("%zu", o->n);
	int fd = openat(o->aside.fd, part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "create %s/%s", o->aside.name, part);
	outbound_add(o, name, fd, 0);
	if (cache_export(o->st->cache, ids, n, fd, x, e))
		return -1;
	o->members[o->n - 1].size = x->archive_bytes;
	return lseek(fd, 0, SEEK_SET) ? err_sys(e, "read %s/%s", o->aside.name, part) : 0;
}

static int export_layers(struct outbound *o, struct err *e)
{
	const char **names;
	size_t n = recipe_layers(o->again.suite, &names);
	json_t *list = json_array();
	int rc = 0;
	for (size_t i = 0; !rc && i < n; i++) {
		struct db_layer l = {0};
		struct cache_exported x;
		int found = db_layer_find(o->st->db, names[i], &l, e);
		rc = found > 0   ? 0
		     : found < 0 ? -1
				 : err_set(e, ERR_ABSENT,
					   "layer %s is not here any more; get it back with: assay "
					   "layer import %s DIR|ARCHIVE",
					   names[i], names[i]);
		const char *id = l.id;
		if (!rc)
			rc = outbound_layers(o, &id, 1, own_fmt("layers/%zu.tar.zst", i), &x, e);
		if (rc)
			err_add(e, "layer %s", names[i]);
		else
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s, s:s}", "name", names[i],
							"id", l.id, "file", o->names[o->n - 1],
							"sha256", x.sha256));
		db_layer_fini(&l);
	}
	free(names);
	json_object_set_new(o->manifest, "layers", list);
	return rc;
}

/* The newest generation that a phase of the package saw; of other stores than the first, and where
 * none is recorded, the current one. */
static int64_t export_generation(const struct db_table *ran, size_t store, int64_t current)
{
	int64_t generation = 0;
	for (size_t i = 0; !store && i < ran->n_rows; i++) {
		int64_t saw = rows_int(ran, i, "generation", 0);
		generation = saw > generation ? saw : generation;
	}
	return generation ? generation : current;
}

static int export_store(struct outbound *o, const struct db_table *ran, size_t i, json_t *list,
			struct err *e)
{
	struct shelf now, sh;
	struct cache_exported x;
	const struct suite *s = o->again.suite;
	if (shelf_load(&now, s, i, o->st->db, e))
		return -1;
	int64_t generation = export_generation(ran, i, now.generation);
	shelf_fini(&now);
	if (generation && o->pin.fd < 0 && pin_take(o->st->fd, generation, &o->pin, e))
		return -1;
	if (shelf_load_at(&sh, s, i, generation, o->st->db, e)) {
		shelf_fini(&sh);
		return -1;
	}
	auto_free const char **ids = own_calloc(sh.n_layers + 1, sizeof(*ids));
	for (size_t k = 0; k < sh.n_layers; k++)
		ids[k] = sh.layers[k];
	int rc = sh.n_layers ? outbound_layers(o, ids, sh.n_layers,
					       own_fmt("stores/%zu.tar.zst", i), &x, e)
			     : 0;
	if (!rc && sh.n_layers)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s}", "name", s->stores[i].name,
						"file", o->names[o->n - 1], "sha256", x.sha256));
	shelf_fini(&sh);
	return rc;
}

static int export_files(struct outbound *o, struct err *e)
{
	const struct suite_package *p = &o->again.suite->packages[o->package];
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_files; i++) {
		char digest[CACHE_ID];
		struct text bytes = TEXT_INIT;
		auto_fd int fd =
			open(p->files[i].path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		outbound_add(o, own_fmt("files/%zu", i), -1, 0);
		if (fd < 0 || dir_read_fd(fd, EXPORT_FILE_MAX, &bytes, e)) {
			text_fini(&bytes);
			json_decref(list);
			return fd < 0 ? err_sys(e, "%s: file of package %s: open %s", p->where,
						p->id, p->files[i].path)
				      : -1;
		}
		cache_digest(text_str(&bytes), bytes.n, digest);
		o->members[o->n - 1].size = bytes.n;
		o->members[o->n - 1].bytes = text_take(&bytes);
		json_array_append_new(list, json_pack("{s:s, s:s}", "file", o->names[o->n - 1],
						      "sha256", digest));
	}
	json_object_set_new(o->manifest, "files", list);
	return 0;
}

/* ---- what came of it ---- */

static json_t *export_phases(const struct db_table *ran, const char *variant)
{
	json_t *list = json_array();
	for (size_t i = 0; i < ran->n_rows; i++)
		if (!strcmp(rows_str(ran, i, "variant"), variant))
			json_array_append_new(
				list,
				json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:b}", "phase",
					  rows_str(ran, i, "phase"), "network",
					  rows_str(ran, i, "network"), "ended_as",
					  rows_str(ran, i, "ended_as"), "exit_code",
					  (json_int_t)rows_int(ran, i, "exit_code", -1), "signal",
					  (json_int_t)rows_int(ran, i, "signal", 0), "limit",
					  rows_text(ran, i, "limit_hit")
						  ? rows_str(ran, i, "limit_hit")
						  : "none",
					  "shared", (int)rows_int(ran, i, "shared", 0)));
	return list;
}

static int export_results(struct outbound *o, const struct db_table *jobs,
			  const struct db_table *ran, struct err *e)
{
	json_t *list = json_array();
	for (size_t i = 0; i < jobs->n_rows; i++) {
		const char *variant = rows_str(jobs, i, "variant");
		if (!*rows_str(jobs, i, "status") || rows_int(jobs, i, "judged_in", 0))
			continue;
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "variant",
						variant, "status", rows_str(jobs, i, "status"),
						"phase", rows_str(jobs, i, "phase"), "reason",
						rows_str(jobs, i, "reason"), "exit_code",
						(json_int_t)rows_int(jobs, i, "exit_code", -1),
						"signal",
						(json_int_t)rows_int(jobs, i, "signal", 0),
						"phases", export_phases(ran, variant)));
	}
	bool any = json_array_size(list);
	json_object_set_new(o->manifest, "results", list);
	return any ? 0
		   : err_set(e, ERR_ABSENT,
			     "run %llu has no result of %s of its own: there is nothing to repeat",
			     (unsigned long long)o->a->run, o->a->package);
}

/* What its boxes could see there, to be compared with what they can elsewhere. */
static int export_inputs(struct outbound *o, const char *const args[2], struct err *e)
{
	struct db_table *t = NULL;
	json_t *variants = json_object();
	if (db_named(o->st->db, "inputs", args, 2, &t, e)) {
		json_decref(variants);
		return -1;
	}
	json_t *j = json_object();
	for (size_t i = 0; i < t->n_rows; i++) {
		if (rows_int(t, i, "run", 0) != (int64_t)o->a->run)
			continue;
		json_object_set_new(j, "suite", json_string(rows_str(t, i, "suite_inputs")));
		json_object_set_new(j, "package", json_string(rows_str(t, i, "package_inputs")));
		json_object_set_new(variants, rows_str(t, i, "variant"),
				    json_string(rows_str(t, i, "variant_inputs")));
	}
	json_object_set_new(j, "variants", variants);
	json_object_set_new(o->manifest, "inputs", j);
	db_table_free(t);
	return 0;
}

static int export_facts(struct outbound *o, struct err *e)
{
	struct db_table *jobs = NULL, *ran = NULL;
	json_t *stores = json_array();
	auto_free char *run = own_fmt("%llu", (unsigned long long)o->a->run);
	const char *const args[] = {run, o->again.suite->packages[o->package].id};
	int rc = db_named(o->st->db, "jobs-of-package", args, 2, &jobs, e) ||
				 db_named(o->st->db, "retrace", args, 2, &ran, e) ||
				 export_results(o, jobs, ran, e) || export_inputs(o, args, e)
			 ? -1
			 : 0;
	for (size_t i = 0; !rc && !o->a->no_stores && i < o->again.suite->n_stores; i++)
		rc = export_store(o, ran, i, stores, e);
	json_object_set_new(o->manifest, "stores", stores);
	db_table_free(jobs);
	db_table_free(ran);
	return rc;
}

static int outbound_open(struct outbound *o, struct err *e)
{
	struct utsname u;
	if (record_same(&o->again, o->st, (int64_t)o->a->run, &o->how, e) ||
	    retrace_package(&o->again, o->a->package, &o->package, e))
		return -1;
	o->manifest = recipe_of(o->again.suite, o->package, e);
	if (!o->manifest || aside_take(o->st->fd, &o->aside, e))
		return -1;
	uname(&u);
	json_object_set_new(o->manifest, "assay-export", json_integer(1));
	json_object_set_new(o->manifest, "suite", json_string(o->again.suite->name));
	json_object_set_new(o->manifest, "machine", json_string(u.machine));
	return export_files(o, e) || export_layers(o, e) || export_facts(o, e) ? -1 : 0;
}

static void outbound_close(struct outbound *o)
{
	for (size_t i = 0; i < o->n; i++) {
		own_close(&o->members[i].fd);
		free((void *)(uintptr_t)o->members[i].bytes);
		free(o->names[i]);
	}
	free(o->members);
	free(o->names);
	json_decref(o->manifest);
	pin_drop(&o->pin);
	if (o->st)
		aside_drop(o->st->fd, &o->aside);
	record_again_fini(&o->again);
	state_close(o->st);
}

/* The manifest goes first; the file appears whole. */
static int outbound_write(struct outbound *o, struct cache_exported *x, struct err *e)
{
	auto_free char *text = json_dumps(o->manifest, JSON_INDENT(1) | JSON_SORT_KEYS);
	auto_free char *part = own_fmt("%s.part", o->a->file);
	auto_free struct cache_member *all = own_calloc(o->n + 1, sizeof(*all));
	all[0] = (struct cache_member){"assay.json", -1, text, strlen(text)};
	if (o->n)
		memcpy(all + 1, o->members, o->n * sizeof(*all));
	auto_fd int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST ? err_set(e, ERR_USAGE,
						 "%s is there: of an export that goes on, or died; "
						 "remove it",
						 part)
				       : err_sys(e, "create %s", part);
	int rc = cache_pack(all, o->n + 1, fd, x, e);
	if (!rc && rename(part, o->a->file))
		rc = err_sys(e, "name %s", o->a->file);
	if (rc)
		unlink(part);
	return rc;
}

static void outbound_tell(const struct outbound *o, const struct cache_exported *x)
{
	char size[UNIT_TEXT];
	json_t *needs = json_object_get(o->manifest, "needs"), *one;
	size_t i;
	if (o->a->common.json) {
		json_t *j = json_pack("{s:s, s:I, s:s, s:O}", "file", o->a->file, "bytes",
				      (json_int_t)x->archive_bytes, "sha256", x->sha256, "needs",
				      needs);
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
		return;
	}
	printf("%s: %s, SHA-256 %s\n", o->a->file, unit_size(x->archive_bytes, size), x->sha256);
	if (o->again.suite->root_is_host)
		printf("the other machine needs: a /usr like this one's (root: host), %s\n",
		       json_string_value(json_object_get(o->manifest, "machine")));
	json_array_foreach(json_object_get(needs, "mounts"), i, one)
		printf("the other machine needs: what %s is here, with --mount %s=PATH\n",
		       json_string_value(json_object_get(one, "was")),
		       json_string_value(json_object_get(one, "path")));
	json_array_foreach(json_object_get(needs, "environment"), i, one)
		printf("not exported: the variable %s of assay's environment\n",
		       json_string_value(one));
}

int cmd_export(int argc, char **argv)
{
	struct export_args a = {0};
	struct err e = ERR_INIT;
	struct cache_exported x;
	struct outbound o = {.a = &a,
			     .aside = {.fd = -1},
			     .pin = {.dirfd = -1, .fd = -1},
			     .how = {.repeats = HOW_UNGIVEN, .repeat_fixes = HOW_UNGIVEN}};
	if (argp_parse(&export_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	o.st = state_look(a.common.state, &e);
	int rc = !o.st || outbound_open(&o, &e) || outbound_write(&o, &x, &e) ? -1 : 0;
	if (!rc)
		outbound_tell(&o, &x);
	outbound_close(&o);
	return rc ? command_fail(&e) : EXIT_OK;
}
