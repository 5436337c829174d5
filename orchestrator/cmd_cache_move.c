/* assay cache export, restore, import, publish: out of a store, and into it. */
#include "orchestrator/cache_cmd.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/unit.h"
#include "orchestrator/pin.h"
#include "orchestrator/plan.h"
#include "orchestrator/rows.h"
#include "orchestrator/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* ---- out ---- */

/* A generation that stays while it is read. */
struct outward {
	int state_fd;
	struct db *db;
	struct cache *cache;
	int64_t generation;
	struct pin pin;
	struct db_table *layers;
	const char **ids;
};

static int outward_open(struct outward *o, const struct cache_args *a, const char *word,
			struct err *e)
{
	auto_free char *path = state_path(a->common.state, e);
	*o = (struct outward){.state_fd = -1, .pin = {-1, -1, ""}};
	if (!path)
		return -1;
	o->db = cache_cmd_db(a, e);
	if (!o->db || cache_cmd_generation(o->db, word, &o->generation, e))
		return -1;
	o->state_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->state_fd < 0)
		return err_sys(e, "open state directory %s", path);
	/* Where nothing may be written nobody collects either. */
	struct err unpinned = ERR_INIT;
	if (pin_take(o->state_fd, o->generation, &o->pin, &unpinned) && unpinned.sys != EACCES &&
	    unpinned.sys != EROFS) {
		*e = unpinned;
		return -1;
	}
	auto_free char *arg = own_fmt("%" PRId64, o->generation);
	if (cache_cmd_ask(o->db, "generation-layers", arg, &o->layers, e))
		return -1;
	if (!o->layers->n_rows)
		return err_set(e, ERR_ABSENT, "generation %s was collected just now", arg);
	o->ids = own_calloc(o->layers->n_rows, sizeof(*o->ids));
	for (size_t i = 0; i < o->layers->n_rows; i++)
		o->ids[i] = rows_str(o->layers, i, "layer");
	o->cache = cache_open(o->state_fd, NULL, e);
	return o->cache ? 0 : -1;
}

static void outward_close(struct outward *o)
{
	cache_close(o->cache);
	db_table_free(o->layers);
	free(o->ids);
	pin_drop(&o->pin);
	own_close(&o->state_fd);
	db_close(o->db);
}

static void outward_print(const struct cache_args *a, const struct outward *o, const char *to,
			  const struct cache_exported *x)
{
	char size[UNIT_TEXT], packed[UNIT_TEXT];
	if (a->common.json) {
		cache_cmd_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "to", to, "generation",
					 (json_int_t)o->generation, "entries",
					 (json_int_t)x->entries, "bytes", (json_int_t)x->bytes,
					 "archive_bytes", (json_int_t)x->archive_bytes, "sha256",
					 x->sha256));
		return;
	}
	fprintf(stderr, "generation %" PRId64 ": %" PRIu64 " entries, %s", o->generation,
		x->entries, unit_size(x->bytes, size));
	if (x->archive_bytes)
		fprintf(stderr, ", as %s, SHA-256 %s", unit_size(x->archive_bytes, packed),
			x->sha256);
	fputc('\n', stderr);
}

/* The directory a path lies in, and its name there. */
static int outward_place(const char *path, const char **name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	auto_free char *above = !slash          ? own_dup(".")
				: slash == path ? own_dup("/")
						: own_dup_n(path, (size_t)(slash - path));
	*name = slash ? slash + 1 : path;
	int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", above);
	if (**name && strcmp(*name, ".") && strcmp(*name, ".."))
		return fd;
	close(fd);
	return err_set(e, ERR_USAGE, "%s: its last part is no name", path);
}

static int export_file(struct outward *o, const char *path, struct cache_exported *x, struct err *e)
{
	const char *name;
	auto_fd int dir = outward_place(path, &name, e);
	if (dir < 0)
		return -1;
	auto_free char *part = own_fmt("%s.part", name);
	auto_fd int fd =
		openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST
			       ? err_set(e, ERR_USAGE,
					 "%s.part is there: of an export that goes on, or died; "
					 "remove it",
					 path)
			       : err_sys(e, "create %s.part", path);
	int rc = cache_export(o->cache, o->ids, o->layers->n_rows, fd, x, e);
	if (!rc && renameat(dir, part, dir, name))
		rc = err_sys(e, "name %s", path);
	if (rc)
		unlinkat(dir, part, 0);
	else if (fsync(dir))
		rc = err_sys(e, "sync the directory of %s", path);
	return rc;
}

/* The last word is where to; the one before it, if there is one, what. */
static const char *outward_what(const struct cache_args *a)
{
	return a->n_words > 1 ? a->words[0] : NULL;
}

int cache_export_cmd(const struct cache_args *a, struct err *e)
{
	struct outward o;
	struct cache_exported x;
	const char *to = a->words[a->n_words - 1];
	bool out = !strcmp(to, "-");
	int rc = outward_open(&o, a, outward_what(a), e);
	if (!rc && out && isatty(STDOUT_FILENO))
		rc = err_set(e, ERR_USAGE, "an archive is nothing for a terminal");
	if (!rc)
		rc = out ? cache_export(o.cache, o.ids, o.layers->n_rows, STDOUT_FILENO, &x, e)
			 : export_file(&o, to, &x, e);
	if (!rc && !(out && a->common.json))
		outward_print(a, &o, to, &x);
	outward_close(&o);
	return rc;
}

static int restore_dir(struct outward *o, const char *path, struct cache_exported *x, struct err *e)
{
	const char *name;
	struct err ignored = ERR_INIT;
	auto_free char *plain = own_dup(path);
	for (size_t n = strlen(plain); n > 1 && plain[n - 1] == '/'; n--)
		plain[n - 1] = '\0';
	auto_fd int dir = outward_place(plain, &name, e);
	if (dir < 0)
		return -1;
	if (unlinkat(dir, name, AT_REMOVEDIR) && errno != ENOENT)
		return errno == ENOTEMPTY || errno == EEXIST
			       ? err_set(e, ERR_USAGE, "%s is there and not empty", plain)
			       : err_sys(e, "replace %s", plain);
	auto_free char *part = own_fmt("%s.part", name);
	if (mkdirat(dir, part, 0755))
		return errno == EEXIST
			       ? err_set(e, ERR_USAGE,
					 "%s.part is there: of a restore that goes on, or died; "
					 "remove it",
					 plain)
			       : err_sys(e, "make %s.part", plain);
	auto_fd int fd = dir_open_beneath(dir, part, O_RDONLY | O_DIRECTORY, 0);
	int rc = fd < 0 ? err_sys(e, "open %s.part", plain)
			: cache_restore(o->cache, o->ids, o->layers->n_rows, fd, x, e);
	if (!rc && renameat2(dir, part, dir, name, RENAME_NOREPLACE))
		rc = err_sys(e, "name %s", plain);
	if (rc)
		(void)!dir_remove(dir, part, &ignored);
	else if (fsync(dir))
		rc = err_sys(e, "sync the directory of %s", plain);
	return rc;
}

int cache_restore_cmd(const struct cache_args *a, struct err *e)
{
	struct outward o;
	struct cache_exported x;
	const char *to = a->words[a->n_words - 1];
	int rc = outward_open(&o, a, outward_what(a), e);
	if (!rc)
		rc = restore_dir(&o, to, &x, e);
	if (!rc)
		outward_print(a, &o, to, &x);
	outward_close(&o);
	return rc;
}

/* ---- in ---- */

/* The store as the database has it, with the suite's rules for it where a suite is given. */
static int inward_shelf(const struct cache_args *a, struct state *s, const struct suite *suite,
			struct suite_store *plain, struct shelf *sh, struct err *e)
{
	for (size_t i = 0; suite && i < suite->n_stores; i++) {
		auto_free char *key = plan_store_key(suite, i);
		if (!strcmp(key, a->words[0]))
			return shelf_load(sh, suite, i, s->db, e);
	}
	if (suite)
		return err_set(e, ERR_USAGE, "%s has no store %s", a->suite, a->words[0]);
	return shelf_load_named(sh, plain, a->words[0], s->db, e);
}

static void inward_print(const struct cache_args *a, const struct shelf_publish *p)
{
	static const char *const notes[] = {"conflict", "refused"};
	const struct cache_counts *n = &p->out.counts;
	char size[UNIT_TEXT];
	json_t *list = json_array();
	for (size_t i = 0; i < p->out.n_entries; i++) {
		const struct cache_entry *x = &p->out.entries[i];
		if (x->change != CACHE_CONFLICT && x->change != CACHE_REFUSED)
			continue;
		json_t *path = json_string(x->path);
		const char *change = notes[x->change == CACHE_REFUSED];
		if (!a->common.json)
			printf("%s: %s: %s\n", change, path ? x->path : "(a name that is no text)",
			       x->reason ? x->reason : "");
		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:s?}", "change", change, "path",
						path ? path : json_null(), "reason", x->reason));
	}
	if (a->common.json)
		cache_cmd_json(json_pack(
			"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "store", p->from.key,
			"generation", (json_int_t)p->after.generation, "added",
			(json_int_t)n->added, "replaced", (json_int_t)(n->replaced + n->merged),
			"identical", (json_int_t)n->identical, "conflicts",
			(json_int_t)n->conflicts, "pending", (json_int_t)n->pending, "refused",
			(json_int_t)n->refused, "bytes", (json_int_t)n->bytes, "notes", list));
	else
		printf("%s: generation %" PRId64 ": %" PRIu64 " added, %" PRIu64
		       " replaced, %" PRIu64 " were there, %" PRIu64 " conflicts, %" PRIu64
		       " refused, %s",
		       p->from.key, p->after.generation, n->added, n->replaced + n->merged,
		       n->identical, n->conflicts, n->refused, unit_size(n->bytes, size));
	if (!a->common.json && n->pending)
		printf(", %" PRIu64 " pending until more packages bring them", n->pending);
	if (!a->common.json)
		putchar('\n');
	json_decref(list);
}

static int inward_publish(const struct cache_args *a, struct state *s, struct shelf *sh,
			  struct programs *programs, const struct cache_unpacked *u,
			  const char *job, struct err *e)
{
	/* All that comes in by hand is one word. */
	struct shelf_publish p = {.from = shelf_copy(sh),
				  .programs = programs,
				  .package = "(by hand)",
				  .words = s->db,
				  .spare_dirfd = u->dirfd,
				  .spare = u->name};
	int rc = shelf_publish(&p, s->cache, u->fd, job, e);
	if (!rc && p.out.nothing)
		p.after.generation = sh->generation;
	if (!rc && shelf_record(&p, s->db, 0, e)) {
		shelf_undo(&p, s->cache);
		rc = -1;
	}
	if (!rc && p.refused) {
		*e = p.refusal;
		rc = -1;
	}
	if (!rc)
		inward_print(a, &p);
	shelf_publish_fini(&p);
	return rc;
}

static int inward(const struct cache_args *a, struct err *e)
{
	struct suite_store plain = {0};
	struct shelf sh = {0};
	struct cache_unpacked u = {.fd = -1};
	struct suite *suite = a->suite ? suite_load(a->suite, e) : NULL;
	struct programs *programs = NULL;
	if (a->suite && !suite)
		return -1;
	struct state *s = state_open(a->common.state, e);
	const struct programs_conf conf = {.state = s,
					   .suite = suite,
					   .helper = getenv("ASSAY_BOX")};
	int rc = s ? inward_shelf(a, s, suite, &plain, &sh, e) : -1;
	if (!rc && suite)
		rc = programs_open(&programs, &conf, e);
	if (!rc)
		rc = cache_unpack(s->cache, a->words[1], a->sha256, &a->how, &u, e);
	if (!rc) {
		auto_free char *job = own_fmt("assay cache %s %s", a->verb, a->words[1]);
		rc = inward_publish(a, s, &sh, programs, &u, job, e);
	}
	cache_unpack_drop(&u);
	programs_close(programs);
	shelf_fini(&sh);
	state_close(s);
	suite_free(suite);
	return rc;
}

int cache_import_cmd(const struct cache_args *a, struct err *e)
{
	return inward(a, e);
}

int cache_publish_cmd(const struct cache_args *a, struct err *e)
{
	struct stat st;
	if (stat(a->words[1], &st))
		return err_sys(e, "%s", a->words[1]);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE,
			       "%s is no directory; archives go in by assay cache import",
			       a->words[1]);
	return inward(a, e);
}
