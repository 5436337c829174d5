/* assay cache revoke: what a job brought is shown no more. */
#include "orchestrator/cache_cmd.h"
#include "orchestrator/kept.h"

#include "orchestrator/rows.h"
#include "orchestrator/spool.h"
#include "orchestrator/store_end.h"

#include <inttypes.h>
#include <string.h>

/* What it tells, in this order. */
enum { REVOKE_ENDED, REVOKE_KEPT, REVOKE_SAW, REVOKE_WORDS, REVOKE_LISTS };
static const char *const lists[REVOKE_LISTS] = {"ended", "kept", "saw", "words"};

struct revoke {
	const struct cache_args *a;
	struct state *s;
	struct spool said[REVOKE_LISTS]; /* what is printed at the end */
	struct db_taken *t, *w;          /* what is shown of what they brought; whose words count */
	size_t n_t, n_w;
	int64_t *ending; /* the harvests of both */
	size_t n_ending;
	struct db_upheld *up; /* of the store whose turn it is */
	size_t n_up;
};

static void revoke_entry(struct revoke *r, bool stays, const struct db_taken *t,
			 const struct db_ended *v)
{
	struct spool *s = &r->said[stays ? REVOKE_KEPT : REVOKE_ENDED];
	/* Not every file name is UTF-8. */
	json_t *path = json_string(v->path);
	if (!r->a->common.json) {
		spool_line(s, "%s: %s (%s)",
			   stays           ? "stays, others brought the same"
			   : r->a->dry_run ? "would end"
					   : "ended",
			   path ? v->path : "(a name that is no text)", t->job);
		json_decref(path);
		return;
	}
	json_t *j =
		json_pack("{s:s, s:s, s:I, s:I, s:b, s:I}", "store", t->store, "job", t->job,
			  "harvest", (json_int_t)v->harvest, "vouchers", (json_int_t)v->vouchers,
			  "shown", v->shown, "instead", (json_int_t)v->instead);
	json_object_set_new(j, "path", path ? path : json_null());
	spool_json(s, j);
}

/* As db_upheld_list has them. */
static int by_harvest_and_path(const void *pa, const void *pb)
{
	const struct db_upheld *a = pa, *b = pb;
	if (a->harvest != b->harvest)
		return a->harvest > b->harvest ? -1 : 1;
	return strcmp(a->path, b->path);
}

static const struct db_upheld *revoke_upheld(const struct revoke *r, const struct db_ended *v)
{
	const struct db_upheld key = {.harvest = v->harvest, .path = v->path};
	return r->n_up ? bsearch(&key, r->up, r->n_up, sizeof(key), by_harvest_and_path) : NULL;
}

static bool revoke_own(const struct revoke *r, int64_t harvest)
{
	for (size_t i = 0; i < r->n_ending; i++)
		if (r->ending[i] == harvest)
			return true;
	return false;
}

/* What others vouch for stays: enough of them, where the store demands several. The number of those
 * that end, which come first. */
static size_t revoke_split(struct revoke *r, const struct db_taken *t, struct db_ended *v, size_t n)
{
	size_t ends = 0;
	bool own = revoke_own(r, t->harvest);
	for (size_t i = 0; i < n; i++) {
		const struct db_upheld *up = revoke_upheld(r, &v[i]);
		if (up)
			v[i].vouchers = up->left;
		bool stays = up ? up->left >= up->demanded : !own || v[i].vouchers;
		if (own || !stays)
			revoke_entry(r, stays, t, &v[i]);
		if (stays)
			continue;
		struct db_ended swap = v[ends];
		v[ends++] = v[i];
		v[i] = swap;
	}
	return ends;
}

static int revoke_on_saw(void *owner, const struct db_table *t, struct err *e)
{
	struct revoke *r = owner;
	struct spool *s = &r->said[REVOKE_SAW];
	const char *variant = rows_text(t, 0, "variant");
	(void)e;
	if (r->a->common.json)
		spool_json(s, rows_object(t, 0));
	else
		spool_line(s, "saw it: run %" PRId64 " %s%s%s %s", rows_int(t, 0, "run", 0),
			   rows_str(t, 0, "package"), variant ? " " : "", variant ? variant : "",
			   rows_str(t, 0, "phase"));
	return 0;
}

static int revoke_saw(struct revoke *r, int64_t harvest, struct err *e)
{
	auto_free char *arg = own_fmt("%" PRId64, harvest);
	const char *args[] = {arg};
	return db_named_each(r->s->db, "who-saw", args, 1, revoke_on_saw, r, e);
}

static int revoke_one(struct revoke *r, const struct db_taken *t, struct err *e)
{
	struct db_ended *v;
	size_t n;
	if (revoke_saw(r, t->harvest, e) ||
	    db_ended_list(r->s->db, t->store, &t->harvest, 1, &v, &n, e))
		return -1;
	size_t ends = revoke_split(r, t, v, n);
	auto_free char *job = own_fmt("assay cache revoke %s", r->a->words[0]);
	const struct store_end how = {
		.store = t->store,
		.job = job,
		.kind = CACHE_REVOKE,
		.of = t->layer,
		.v = v,
		.n = ends,
	};
	int rc = ends && !r->a->dry_run && store_end(r->s->cache, r->s->db, &how, e) < 0 ? -1 : 0;
	db_ended_free(v, n);
	return rc;
}

/* Of the harvests whose turn may come, the newest that is older than `before`; 0: none. */
static int64_t revoke_next(const struct revoke *r, const char *store, int64_t before)
{
	int64_t next = 0;
	for (size_t i = 0; i < r->n_t; i++)
		if (!strcmp(r->t[i].store, store) && r->t[i].harvest < before &&
		    r->t[i].harvest > next)
			next = r->t[i].harvest;
	for (size_t i = 0; i < r->n_up; i++)
		if (r->up[i].left < r->up[i].demanded && r->up[i].harvest < before &&
		    r->up[i].harvest > next)
			next = r->up[i].harvest;
	return next;
}

/* As far as its store's current generation holds anything of it. */
static int revoke_harvest(struct revoke *r, const char *store, int64_t harvest, struct err *e)
{
	struct db_taken *t;
	size_t n;
	auto_free char *number = own_fmt("%" PRId64, harvest);
	if (db_taken_find(r->s->db, number, &t, &n, e))
		return -1;
	int rc = 0;
	for (size_t i = 0; !rc && i < n; i++)
		if (t[i].harvest == harvest && !strcmp(t[i].store, store))
			rc = revoke_one(r, &t[i], e);
	db_taken_free(t, n);
	return rc;
}

static void revoke_word(struct revoke *r, const struct db_taken *w)
{
	struct spool *s = &r->said[REVOKE_WORDS];
	if (r->a->common.json)
		spool_json(s, json_pack("{s:s, s:s, s:I}", "store", w->store, "job", w->job,
					"harvest", (json_int_t)w->harvest));
	else
		spool_line(s, "%s: the word of %s",
			   r->a->dry_run ? "would count no more" : "counts no more", w->job);
}

/* When all that stood upon them has ended: what is told to end once more after a kill is found. */
static int revoke_words(struct revoke *r, const char *store, struct err *e)
{
	size_t n = 0;
	auto_free struct db_taken *of = own_calloc(r->n_w + 1, sizeof(*of));
	auto_free char *job = own_fmt("assay cache revoke %s", r->a->words[0]);
	for (size_t i = 0; i < r->n_w; i++) {
		const struct db_taken *w = &r->w[i];
		if (strcmp(w->store, store))
			continue;
		of[n++] = *w; /* its texts stay w's */
		revoke_word(r, w);
	}
	return n && !r->a->dry_run ? store_disown(r->s->cache, r->s->db, store, of, n, job, NULL, e)
				   : 0;
}

static int revoke_store(struct revoke *r, const char *store, struct err *e)
{
	if (db_upheld_list(r->s->db, store, r->ending, r->n_ending, &r->up, &r->n_up, e))
		return -1;
	int rc = 0;
	/* The newest first: what an older one brought shows until its turn comes. */
	for (int64_t at = INT64_MAX; !rc && (at = revoke_next(r, store, at));)
		rc = revoke_harvest(r, store, at, e);
	if (!rc)
		rc = revoke_words(r, store, e);
	db_upheld_free(r->up, r->n_up);
	r->up = NULL;
	r->n_up = 0;
	return rc;
}

/* As cache_cmd_json() would print all of it. */
static int revoke_print(struct revoke *r, struct err *e)
{
	bool json = r->a->common.json;
	for (size_t k = 0; k < REVOKE_LISTS; k++) {
		if (json)
			printf("%s  \"%s\": ", k ? ",\n" : "{\n", lists[k]);
		if (spool_print(&r->said[k], json, e))
			return -1;
	}
	if (json)
		printf(",\n  \"dry_run\": %s\n}\n", r->a->dry_run ? "true" : "false");
	else
		printf("%zu entries %s, %zu stay, %zu phases saw them\n", r->said[REVOKE_ENDED].n,
		       r->a->dry_run ? "would end" : "ended", r->said[REVOKE_KEPT].n,
		       r->said[REVOKE_SAW].n);
	return 0;
}

static int revoke_find(struct revoke *r, struct err *e)
{
	const char *job = r->a->words[0];
	if (db_taken_find(r->s->db, job, &r->t, &r->n_t, e) ||
	    db_words_find(r->s->db, job, &r->w, &r->n_w, e))
		return -1;
	if (!r->n_t && !r->n_w)
		return err_set(e, ERR_ABSENT,
			       "no store shows anything of '%s'; assay cache show lists jobs and "
			       "harvests",
			       job);
	r->ending = own_calloc(r->n_t + r->n_w, sizeof(*r->ending));
	for (size_t i = 0; i < r->n_t; i++)
		r->ending[r->n_ending++] = r->t[i].harvest;
	for (size_t i = 0; i < r->n_w; i++)
		if (!revoke_own(r, r->w[i].harvest))
			r->ending[r->n_ending++] = r->w[i].harvest;
	return 0;
}

static int revoke_all(struct revoke *r, struct err *e)
{
	struct db_table *stores;
	if (revoke_find(r, e) || cache_cmd_ask(r->s->db, "stores", NULL, &stores, e))
		return -1;
	int rc = 0;
	for (size_t i = 0; !rc && i < stores->n_rows; i++)
		rc = revoke_store(r, rows_str(stores, i, "store"), e);
	db_table_free(stores);
	/* what phases left may hold it, too */
	return rc || r->a->dry_run ? rc : kept_forget(r->s, e);
}

int cache_revoke(const struct cache_args *a, struct err *e)
{
	struct revoke r = {.a = a, .s = state_open(a->common.state, e)};
	int rc = r.s ? 0 : -1;
	for (size_t k = 0; !rc && k < REVOKE_LISTS; k++)
		rc = spool_open(&r.said[k], r.s->fd, e);
	if (!rc)
		rc = revoke_all(&r, e);
	if (!rc && revoke_print(&r, e))
		rc = err_add(e, a->dry_run ? "nothing was revoked"
					   : "it is revoked, but can't be listed");
	for (size_t k = 0; k < REVOKE_LISTS; k++)
		spool_close(&r.said[k]);
	db_taken_free(r.t, r.n_t);
	db_taken_free(r.w, r.n_w);
	free(r.ending);
	state_close(r.s);
	return rc;
}
