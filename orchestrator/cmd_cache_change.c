/* assay cache rollback, compact, revoke: other generations of what there is. */
#include "orchestrator/cache_cmd.h"
#include "orchestrator/kept.h"

#include "orchestrator/rows.h"
#include "orchestrator/stack.h"
#include "orchestrator/store_end.h"

#include <inttypes.h>
#include <string.h>

/* ---- rollback ---- */

/* How many paths the current generation shows otherwise, by kind of change. */
static const char *const kinds[] = {"added", "changed", "gone"};

static int rollback_count(void *owner, const struct db_table *t, struct err *e)
{
	json_int_t *n = owner;
	(void)e;
	for (size_t k = 0; k < countof(kinds); k++)
		n[k] += !strcmp(rows_str(t, 0, "change"), kinds[k]);
	return 0;
}

static int rollback_changes(struct db *d, int64_t from, int64_t to, json_t **out, struct err *e)
{
	json_int_t n[countof(kinds)] = {0};
	auto_free char *one = own_fmt("%" PRId64, from), *two = own_fmt("%" PRId64, to);
	const char *args[] = {one, two};
	if (db_named_each(d, "generation-diff", args, 2, rollback_count, n, e))
		return -1;
	*out = json_pack("{s:I, s:I, s:I}", kinds[0], n[0], kinds[1], n[1], kinds[2], n[2]);
	return 0;
}

static int rollback_do(const struct cache_args *a, struct state *s, struct err *e)
{
	char chain[65];
	int64_t to = 0, id = 0;
	struct db_table *t;
	struct db_generation current = {0};
	json_t *changes = NULL;
	if (cache_cmd_generation(s->db, a->words[0], &to, e) ||
	    cache_cmd_ask(s->db, "generation", a->words[0], &t, e))
		return -1;
	auto_free char *store = own_dup(rows_str(t, 0, "store"));
	db_table_free(t);
	if (db_rollback_check(s->db, store, to, chain, e) ||
	    db_store_current(s->db, store, &current, e))
		return -1;
	int rc = rollback_changes(s->db, current.id, to, &changes, e);
	if (!rc && !a->dry_run) {
		id = store_rollback(s->cache, s->db, store, to, "assay cache rollback", NULL, e);
		rc = id < 0 ? -1 : 0;
	}
	if (!rc && a->common.json)
		cache_cmd_json(json_pack("{s:s, s:I, s:I, s:I, s:O, s:b}", "store", store, "from",
					 (json_int_t)current.id, "to", (json_int_t)to, "generation",
					 (json_int_t)id, "changes", changes, "dry_run",
					 a->dry_run));
	else if (!rc)
		printf("%s: %s generation %" PRId64 " instead of %" PRId64
		       ": %lld added, %lld changed, "
		       "%lld gone%s\n",
		       store, a->dry_run ? "would show" : "shows", to, current.id,
		       (long long)json_integer_value(json_object_get(changes, "added")),
		       (long long)json_integer_value(json_object_get(changes, "changed")),
		       (long long)json_integer_value(json_object_get(changes, "gone")),
		       a->dry_run ? "" : "; what was current stays, too");
	json_decref(changes);
	db_generation_fini(&current);
	return rc;
}

int cache_rollback(const struct cache_args *a, struct err *e)
{
	struct state *s = state_open(a->common.state, e);
	int rc = s ? rollback_do(a, s, e) : -1;
	state_close(s);
	return rc;
}

/* ---- compact ---- */

static int compact_store(const struct cache_args *a, struct state *s, const char *store,
			 json_t *all, struct err *e)
{
	struct db_generation before, after;
	if (db_store_current(s->db, store, &before, e))
		return -1;
	int rc = a->dry_run ? 0 : stack_flatten(s->cache, s->db, store, true, e);
	if (rc >= 0 && !(rc = db_store_current(s->db, store, &after, e))) {
		size_t n = a->dry_run ? before.n_layers > 0 : after.n_layers;
		json_array_append_new(all, json_pack("{s:s, s:I, s:I, s:I}", "store", store,
						     "layers_before", (json_int_t)before.n_layers,
						     "layers", (json_int_t)n, "generation",
						     (json_int_t)after.id));
		if (!a->common.json)
			printf("%s: %zu layer%s %s %zu\n", store, before.n_layers,
			       before.n_layers == 1 ? "" : "s",
			       a->dry_run ? "would become" : "became", n);
		db_generation_fini(&after);
	}
	db_generation_fini(&before);
	return rc < 0 ? -1 : 0;
}

int cache_compact(const struct cache_args *a, struct err *e)
{
	struct db_table *t = NULL;
	json_t *all = json_array();
	auto_free char *only = NULL;
	struct state *s = state_open(a->common.state, e);
	int rc = s ? cache_cmd_ask(s->db, "stores", NULL, &t, e) : -1;
	if (!rc && a->n_words)
		rc = cache_cmd_store(s->db, a->words[0], &only, e);
	for (size_t i = 0; !rc && i < t->n_rows; i++)
		if (!only || !strcmp(only, rows_str(t, i, "store")))
			rc = compact_store(a, s, rows_str(t, i, "store"), all, e);
	if (!rc && a->common.json)
		cache_cmd_json(json_incref(all));
	json_decref(all);
	db_table_free(t);
	state_close(s);
	return rc;
}

/* ---- revoke ---- */

struct revoke {
	const struct cache_args *a;
	struct state *s;
	json_t *ended, *kept, *saw, *words;
	struct db_taken *t, *w; /* what is shown of what they brought; whose words count */
	size_t n_t, n_w;
	int64_t *ending; /* the harvests of both */
	size_t n_ending;
	struct db_upheld *up; /* of the store whose turn it is */
	size_t n_up;
};

static json_t *entry_json(const struct db_taken *t, const struct db_ended *v)
{
	/* Not every file name is UTF-8. */
	json_t *path = json_string(v->path);
	json_t *j =
		json_pack("{s:s, s:s, s:I, s:I, s:b, s:I}", "store", t->store, "job", t->job,
			  "harvest", (json_int_t)v->harvest, "vouchers", (json_int_t)v->vouchers,
			  "shown", v->shown, "instead", (json_int_t)v->instead);
	json_object_set_new(j, "path", path ? path : json_null());
	return j;
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
			json_array_append_new(stays ? r->kept : r->ended, entry_json(t, &v[i]));
		if (stays)
			continue;
		struct db_ended swap = v[ends];
		v[ends++] = v[i];
		v[i] = swap;
	}
	return ends;
}

static int revoke_saw(struct revoke *r, int64_t harvest, struct err *e)
{
	struct db_table *t;
	auto_free char *arg = own_fmt("%" PRId64, harvest);
	if (cache_cmd_ask(r->s->db, "who-saw", arg, &t, e))
		return -1;
	for (size_t i = 0; i < t->n_rows; i++)
		json_array_append_new(r->saw, rows_object(t, i));
	db_table_free(t);
	return 0;
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
		json_array_append_new(r->words,
				      json_pack("{s:s, s:s, s:I}", "store", w->store, "job", w->job,
						"harvest", (json_int_t)w->harvest));
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

static void revoke_print(const struct revoke *r)
{
	size_t i;
	json_t *j;
	const struct {
		const json_t *list;
		const char *what;
	} parts[] = {{r->ended, r->a->dry_run ? "would end" : "ended"},
		     {r->kept, "stays, others brought the same"}};
	for (size_t k = 0; k < countof(parts); k++)
		json_array_foreach(parts[k].list, i, j)
		{
			const char *path = json_string_value(json_object_get(j, "path"));
			printf("%s: %s (%s)\n", parts[k].what,
			       path ? path : "(a name that is no text)",
			       json_string_value(json_object_get(j, "job")));
		}
	json_array_foreach(r->saw, i, j)
	{
		const char *variant = json_string_value(json_object_get(j, "variant"));
		printf("saw it: run %lld %s%s%s %s\n",
		       (long long)json_integer_value(json_object_get(j, "run")),
		       json_string_value(json_object_get(j, "package")), variant ? " " : "",
		       variant ? variant : "", json_string_value(json_object_get(j, "phase")));
	}
	json_array_foreach(r->words, i, j)
	{
		printf("%s: the word of %s\n",
		       r->a->dry_run ? "would count no more" : "counts no more",
		       json_string_value(json_object_get(j, "job")));
	}
	printf("%zu entries %s, %zu stay, %zu phases saw them\n", json_array_size(r->ended),
	       r->a->dry_run ? "would end" : "ended", json_array_size(r->kept),
	       json_array_size(r->saw));
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
	struct revoke r = {.a = a,
			   .ended = json_array(),
			   .kept = json_array(),
			   .saw = json_array(),
			   .words = json_array()};
	r.s = state_open(a->common.state, e);
	int rc = r.s ? revoke_all(&r, e) : -1;
	if (!rc && a->common.json)
		cache_cmd_json(json_pack("{s:O, s:O, s:O, s:O, s:b}", "ended", r.ended, "kept",
					 r.kept, "saw", r.saw, "words", r.words, "dry_run",
					 a->dry_run));
	else if (!rc)
		revoke_print(&r);
	json_decref(r.ended);
	json_decref(r.kept);
	json_decref(r.saw);
	json_decref(r.words);
	db_taken_free(r.t, r.n_t);
	db_taken_free(r.w, r.n_w);
	free(r.ending);
	state_close(r.s);
	return rc;
}
