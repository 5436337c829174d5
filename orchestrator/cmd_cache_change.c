/* assay cache rollback, compact: other generations of what there is. */
#include "orchestrator/cache_cmd.h"

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
