#include "orchestrator/intake.h"

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/inputs.h"
#include "orchestrator/recipe.h"
#include "orchestrator/shelf.h"

#include <fcntl.h>
#include <string.h>

#define MANIFEST_MAX ((size_t)16 << 20)
#define INTAKE_LAYERS 100
#define INTAKE_FILES 1000

struct under_way {
	struct intake *in;
	struct state *st;
	const struct intake_asked *asked;
	struct cache_unpacked tree;
	char id[13]; /* of the manifest, and of what is mounted: all else is named by it */
	char *name;  /* of the suite */
	char *dir;   /* of suite and files, below the state directory */
	struct suite *suite;
	json_t *named; /* layers that had no such name before */
	bool fresh;    /* dir was not there before */
};

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

/* A file of the archive that is what the manifest says, to be read from its beginning; or -1. */
static int member_open(const struct under_way *w, const char *name, const char *sha256,
		       struct err *e)
{
	struct stat st;
	char is[CACHE_ID];
	auto_fd int fd = dir_open_beneath(w->tree.fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return err_set(e, ERR_HOSTILE, "%s: it has no file %.100s", w->asked->file, name);
	if (cache_digest_fd(fd, is, e))
		return -1;
	if (strcmp(is, sha256))
		return err_set(e, ERR_HOSTILE, "%s: %.100s has the digest %s, not %.64s",
			       w->asked->file, name, is, sha256);
	return give_fd(&fd);
}

/* What the suite made of it is, is a function of these. */
static void intake_id(struct under_way *w, const struct text *manifest)
{
	char digest[CACHE_ID];
	auto_text struct text t = TEXT_INIT;
	text_put(&t, manifest->p, manifest->n);
	if (json_object_size(w->asked->mounts)) {
		auto_free char *mounts = json_dumps(w->asked->mounts, JSON_SORT_KEYS);
		text_add(&t, mounts);
	}
	cache_digest(t.p, t.n, digest);
	snprintf(w->id, sizeof(w->id), "%.12s", digest);
}

static int intake_manifest(struct under_way *w, struct err *e)
{
	json_error_t je;
	auto_text struct text t = TEXT_INIT;
	if (dir_read_whole(w->tree.fd, "assay.json", MANIFEST_MAX, &t, e)) {
		if (e->kind == ERR_ABSENT)
			err_set(e, ERR_INPUT,
				"%s: it is no archive of assay export: it has no assay.json "
				"(archives of stores go in by assay cache import)",
				w->asked->file);
		return -1;
	}
	json_t *all = json_loadb(text_str(&t), t.n, JSON_REJECT_DUPLICATES, &je);
	w->in->all = all;
	if (!json_is_object(all))
		return err_set(e, ERR_HOSTILE, "%s: assay.json is no JSON object: line %d: %s",
			       w->asked->file, all ? 1 : je.line, all ? "another value" : je.text);
	json_int_t version = json_integer_value(json_object_get(all, "assay-export"));
	if (version != 1)
		return err_set(e, ERR_INPUT,
			       "%s: format version %lld is not known; this assay reads version 1",
			       w->asked->file, (long long)version);
	intake_id(w, &t);
	const char *was = text_of(all, "suite");
	size_t n = strspn(was, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	w->name = own_fmt("%.*s.%s", n && was[0] != '-' ? (int)(n < 40 ? n : 40) : 6,
			  n && was[0] != '-' ? was : "import", w->id);
	w->dir = own_fmt("imports/%s", w->id);
	return 0;
}

/* ---- layers ---- */

/* Under a name that nobody else uses: a suite of somebody's must not find it by accident. */
static int intake_layer(struct under_way *w, const json_t *one, struct err *e)
{
	struct cache_layer got;
	const char *name = text_of(one, "name"), *id = text_of(one, "id");
	auto_fd int fd = member_open(w, text_of(one, "file"), text_of(one, "sha256"), e);
	if (fd < 0)
		return -1;
	auto_free char *source = own_fmt("/proc/self/fd/%d", fd);
	if (cache_layer_import(w->st->cache, source, NULL, &got, e))
		return err_add(e, "%s: layer %.64s", w->asked->file, name);
	if (strcmp(got.id, id))
		return err_set(e, ERR_HOSTILE, "%s: layer %.64s is %.12s, not %.12s",
			       w->asked->file, name, got.id, id);
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	if (!n || name[0] == '-')
		return err_set(e, ERR_HOSTILE, "%s: '%.64s' is no name of a layer", w->asked->file,
			       name);
	auto_free char *here = own_fmt("%.*s.%.12s", n < 40 ? (int)n : 40, name, id);
	struct db_layer row = {.name = here,
			       .entries = (int64_t)got.entries,
			       .bytes = (int64_t)got.bytes,
			       .made_ms = clock_real_ms(),
			       .source = (char *)(uintptr_t)w->asked->file};
	memcpy(row.id, got.id, sizeof(row.id));
	struct db_layer before = {0};
	int found = db_layer_find(w->st->db, here, &before, e);
	db_layer_fini(&before);
	if (found < 0 || db_layer_name(w->st->db, &row, e))
		return -1;
	if (!found)
		json_array_append_new(w->named, json_string(here));
	json_object_set_new(w->in->layers, name, json_string(here));
	return 0;
}

static int intake_layers(struct under_way *w, struct err *e)
{
	json_t *list = json_object_get(w->in->all, "layers"), *one;
	size_t i;
	if (json_array_size(list) > INTAKE_LAYERS)
		return err_set(e, ERR_HOSTILE, "%s: it has more than %d layers", w->asked->file,
			       INTAKE_LAYERS);
	json_array_foreach(list, i, one) if (intake_layer(w, one, e)) return -1;
	return 0;
}

/* ---- suite and files ---- */

static int intake_file(const struct under_way *w, int dirfd, size_t i, const json_t *one,
		       struct err *e)
{
	auto_text struct text bytes = TEXT_INIT;
	auto_free char *name = own_fmt("files/%zu", i);
	if (strcmp(text_of(one, "file"), name))
		return err_set(e, ERR_HOSTILE, "%s: its files are not in their order",
			       w->asked->file);
	auto_fd int fd = member_open(w, name, text_of(one, "sha256"), e);
	if (fd < 0 || dir_read_fd(fd, MANIFEST_MAX, &bytes, e))
		return -1;
	return dir_write_whole(dirfd, name, text_str(&bytes), bytes.n, 0644, e);
}

/* The directory appears whole; one that is there is the same, and an earlier run's: it is replaced,
 * for it may have been damaged, when there is another. */
static int intake_suite(struct under_way *w, struct err *e)
{
	json_t *files = json_object_get(w->in->all, "files"), *one;
	size_t i;
	auto_free char *text =
		recipe_suite(w->in->all, w->name, w->in->layers, w->asked->mounts, e);
	if (!text)
		return err_add(e, "%s", w->asked->file);
	if (json_array_size(files) > INTAKE_FILES)
		return err_set(e, ERR_HOSTILE, "%s: it has more than %d files", w->asked->file,
			       INTAKE_FILES);
	auto_free char *part = own_fmt("%s.part", w->dir);
	w->fresh = faccessat(w->st->fd, w->dir, F_OK, 0) != 0;
	if (dir_remove(w->st->fd, part, e))
		return -1;
	auto_fd int dirfd = dir_make(w->st->fd, part, 0700, e);
	auto_fd int at = dirfd < 0 ? -1 : dir_make(dirfd, "files", 0700, e);
	if (at < 0 || dir_write_whole(dirfd, "suite.yaml", text, strlen(text), 0644, e))
		return -1;
	json_array_foreach(files, i, one) if (intake_file(w, dirfd, i, one, e)) return -1;
	if (dir_remove(w->st->fd, w->dir, e))
		return -1;
	if (renameat(w->st->fd, part, w->st->fd, w->dir) || fsync(dirfd))
		return err_sys(e, "name %s", w->dir);
	w->in->suite = own_fmt("%s/%s/suite.yaml", w->st->path, w->dir);
	w->suite = suite_load(w->in->suite, e);
	if (w->suite)
		return 0;
	/* it is what they wrote that is wrong, not what somebody here did */
	e->kind = ERR_HOSTILE;
	return err_add(e, "%s", w->asked->file);
}

/* ---- stores ---- */

static int intake_store(struct under_way *w, const json_t *one, struct err *e)
{
	const char *name = text_of(one, "name");
	struct cache_unpacked u;
	size_t i = 0;
	while (i < w->suite->n_stores && strcmp(w->suite->stores[i].name, name))
		i++;
	if (i == w->suite->n_stores)
		return err_set(e, ERR_HOSTILE, "%s: its recipe has no store %.64s", w->asked->file,
			       name);
	auto_fd int fd = member_open(w, text_of(one, "file"), text_of(one, "sha256"), e);
	if (fd < 0)
		return -1;
	auto_free char *source = own_fmt("/proc/self/fd/%d", fd);
	struct shelf_publish p = {.recorded = false};
	auto_free char *job = own_fmt("assay import %s", w->asked->file);
	/* A hostile archive has no program run; what it brings was judged where it comes from, and
	 * the store is a new one. */
	auto_free struct cache_rule *rules =
		own_calloc(w->suite->stores[i].n_rules + 1, sizeof(*rules));
	struct suite_store store = w->suite->stores[i];
	for (size_t k = 0; k < store.n_rules; k++) {
		rules[k] = store.rules[k];
		if (rules[k].what == CACHE_PROGRAM)
			rules[k].what = CACHE_SAME;
	}
	store.rules = rules;
	int rc = shelf_load(&p.from, w->suite, i, w->st->db, e);
	p.from.store = &store;
	rc = rc || cache_unpack(w->st->cache, source, NULL, NULL, &u, e) ? -1 : 0;
	if (!rc) {
		p.spare_dirfd = u.dirfd;
		p.spare = u.name;
		rc = shelf_publish(&p, w->st->cache, u.fd, job, e);
		if (!rc && shelf_record(&p, w->st->db, 0, e)) {
			shelf_undo(&p, w->st->cache);
			rc = -1;
		}
		cache_unpack_drop(&u);
	}
	if (!rc && p.refused) {
		*e = p.refusal;
		rc = -1;
	}
	shelf_publish_fini(&p);
	return rc ? err_add(e, "%s: store %s", w->asked->file, name) : 0;
}

static int intake_stores(struct under_way *w, struct err *e)
{
	json_t *list = json_object_get(w->in->all, "stores"), *one;
	size_t i;
	if (json_array_size(list) > w->suite->n_stores)
		return err_set(e, ERR_HOSTILE, "%s: it brings more stores than its recipe has",
			       w->asked->file);
	json_array_foreach(list, i, one) if (intake_store(w, one, e)) return -1;
	return 0;
}

/* ---- what is not the same here ---- */

static int intake_differs(struct under_way *w, struct err *e)
{
	struct inputs now = {0};
	const json_t *was = json_object_get(w->in->all, "inputs");
	w->in->differs = json_array();
	if (inputs_load(&now, w->suite, w->asked->how, w->st->db, e))
		return -1;
	auto_free char *package = inputs_package(w->suite, 0, e);
	if (package) {
		if (*text_of(was, "suite"))
			inputs_changed(now.suite, text_of(was, "suite"), w->in->differs);
		if (*text_of(was, "package"))
			inputs_changed(package, text_of(was, "package"), w->in->differs);
	}
	inputs_fini(&now);
	return package ? 0 : -1;
}

static int intake_all(struct under_way *w, struct err *e)
{
	if (intake_manifest(w, e) || intake_layers(w, e) || intake_suite(w, e) ||
	    intake_stores(w, e) || intake_differs(w, e))
		return -1;
	w->in->run = intake_record(w->in->all, w->suite, w->st, w->asked->how, e);
	return w->in->run < 0 ? err_add(e, "%s", w->asked->file) : 0;
}

/* What was made before it was refused: names nobody will use, and a directory. */
static void intake_undo(struct under_way *w)
{
	json_t *one;
	size_t i;
	json_array_foreach(w->named, i, one)
	{
		char id[CACHE_ID];
		bool orphan = false;
		struct err ignored =
			ERR_INIT; /* the next start of a writer removes what is nobody's */
		if (db_layer_unname(w->st->db, json_string_value(one), id, &orphan, &ignored) > 0 &&
		    orphan)
			(void)!cache_layer_remove(w->st->cache, id, &ignored);
	}
	for (int part = 0; w->dir && part < 2; part++) {
		struct err ignored = ERR_INIT;
		auto_free char *rel = own_fmt("%s%s", w->dir, part ? ".part" : "");
		if (part || w->fresh)
			(void)!dir_remove(w->st->fd, rel, &ignored);
	}
}

/* What it says may be anything, and goes to a terminal. */
static void intake_plain(struct err *e)
{
	for (char *p = e->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
}

int intake(struct intake *in, struct state *st, const struct intake_asked *asked, struct err *e)
{
	struct under_way w = {
		.in = in, .st = st, .asked = asked, .tree = {.fd = -1}, .named = json_array()};
	*in = (struct intake){.layers = json_object()};
	int rc = cache_unpack(st->cache, asked->file, asked->sha256, NULL, &w.tree, e);
	if (!rc)
		rc = intake_all(&w, e);
	if (rc) {
		intake_undo(&w);
		intake_plain(e);
	}
	cache_unpack_drop(&w.tree);
	json_decref(w.named);
	suite_free(w.suite);
	free(w.name);
	free(w.dir);
	return rc;
}

void intake_fini(struct intake *in)
{
	json_decref(in->all);
	json_decref(in->layers);
	json_decref(in->differs);
	free(in->suite);
	*in = (struct intake){.run = 0};
}
