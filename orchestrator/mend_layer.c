#include "orchestrator/mend.h"

#include "orchestrator/rows.h"

#include <string.h>

const struct archived *archived_of(const struct archived *v, size_t n, int64_t harvest)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].harvest == harvest)
			return &v[i];
	return NULL;
}

struct remade {
	struct cache *c;
	const struct archived *v;
	size_t n;
	const char *layer;
	const struct db_table *parts;
	const char **ids; /* those of its parts that are whole */
	size_t n_ids;
	bool all; /* each of them */
};

/* A part is whole, or made so by the archive. */
static int part_have(struct remade *r, size_t i, struct err *e)
{
	struct err why = ERR_INIT;
	const char *id = rows_str(r->parts, i, "layer");
	const struct archived *x = archived_of(r->v, r->n, rows_int(r->parts, i, "harvest", 0));
	bool have = !cache_layer_verify(r->c, id, &why);
	if (!have && x && !x->damaged) {
		if (cache_layer_restore(r->c, id, x->frames, x->n_frames, e))
			return -1;
		have = true;
	}
	if (have)
		r->ids[r->n_ids++] = id;
	r->all &= have;
	return 0;
}

/* What shows through all of them is what it was, unless something was taken out of it. */
static int remade_flatten(struct remade *r, struct err *e)
{
	struct cache_layer made;
	if (cache_flatten(r->c, r->ids, r->n_ids, &made, e))
		return -1;
	bool is = !strcmp(made.id, r->layer);
	if (!is)
		err_set(e, ERR_CORRUPT,
			"its list is gone or damaged, too, and its parts together are another one: "
			"assay cache rebuild makes all layers again from the archive");
	/* Whatever lies under its name passes for the result. */
	if (is && made.existed)
		return cache_layer_remove(r->c, made.id, e) ||
				       cache_flatten(r->c, r->ids, r->n_ids, &made, e)
			       ? -1
			       : 0;
	struct err ignored = ERR_INIT; /* nobody names it: the next opening removes it */
	if (!is && !made.existed)
		(void)!cache_layer_remove(r->c, made.id, &ignored);
	return is ? 0 : -1;
}

static int remade_from_parts(struct remade *r, struct err *e)
{
	struct err why = ERR_INIT;
	for (size_t i = 0; i < r->parts->n_rows; i++)
		if (part_have(r, i, e))
			return -1;
	if (!cache_layer_remake(r->c, r->layer, r->ids, r->n_ids, &why))
		return 0;
	if (why.kind == ERR_CORRUPT && r->all)
		return remade_flatten(r, e);
	if (why.kind == ERR_CORRUPT)
		return err_set(e, ERR_CORRUPT, "the archive has lost a part of it; %s", why.text);
	*e = why;
	return -1;
}

int mend_layer(struct cache *c, const struct archived *v, size_t n, const char *layer,
	       const struct db_table *parts, struct err *e)
{
	struct remade r = {.c = c, .v = v, .n = n, .layer = layer, .parts = parts, .all = true};
	for (size_t i = 0; i < parts->n_rows; i++) {
		const struct archived *x = archived_of(v, n, rows_int(parts, i, "harvest", 0));
		if (x && !x->damaged && !strcmp(x->layer, layer))
			return cache_layer_restore(c, layer, x->frames, x->n_frames, e);
	}
	if (!parts->n_rows)
		return err_set(e, ERR_ABSENT,
			       "it is of no store: import it again (assay layer import)");
	r.ids = own_calloc(parts->n_rows, sizeof(*r.ids));
	int rc = remade_from_parts(&r, e);
	free(r.ids);
	return rc;
}
