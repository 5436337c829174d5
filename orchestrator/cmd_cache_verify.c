/* assay cache verify, rebuild: is it what it was, and if not, what brings it back? */
#include "orchestrator/cache_cmd.h"

#include "orchestrator/mend.h"
#include "orchestrator/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct verify {
	const struct cache_args *a;
	struct state *state; /* NULL: nothing is changed, and */
	struct cache *cache; /* is opened for reading */
	struct db *db;
	struct db_table *rows;
	struct archived *v;
	size_t n;
	json_t *problems;
	size_t frames, layers, repaired, lost;
	size_t again, gone; /* publishes: written again; without a good copy in the archive */
};

/* ---- telling ---- */

/* where: "archive" or "layer"; what became of it: "damaged", "repaired", "lost". */
static void tell(struct verify *v, const char *where, const char *state, const char *store,
		 const char *job, const char *layer, const char *why)
{
	json_array_append_new(v->problems, json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:s}", "in",
						     where, "state", state, "store", store, "job",
						     job, "layer", layer, "why", why));
	if (v->a->common.json)
		return;
	printf("%s: %s: %s", where, state, why);
	if (job)
		printf(" (%s%s%s)", store ? store : "", store ? ", " : "", job);
	putchar('\n');
}

/* ---- the archive ---- */

/* Also once more: what is known of each publish stays. */
static void archived_read(struct verify *v)
{
	const struct db_table *t = v->rows;
	struct archived *x = NULL;
	size_t k = 0;
	for (size_t i = 0; i < t->n_rows; i++) {
		int64_t harvest = rows_int(t, i, "harvest", 0);
		if (!x || x->harvest != harvest) {
			if (k == v->n) {
				v->v = own_grow(v->v, v->n + 1, sizeof(*v->v));
				v->v[v->n++] = (struct archived){.harvest = harvest};
			}
			x = &v->v[k++];
			x->store = rows_text(t, i, "store");
			x->job = rows_text(t, i, "job");
			x->layer = rows_text(t, i, "layer");
			free(x->frames);
			x->frames = NULL;
			x->n_frames = 0;
		}
		if (rows_int(t, i, "segment", 0) <= 0) {
			x->damaged = true;
			continue;
		}
		x->frames = own_grow(x->frames, x->n_frames + 1, sizeof(*x->frames));
		struct cache_frame *f = &x->frames[x->n_frames++];
		*f = (struct cache_frame){
			.segment = (uint32_t)rows_int(t, i, "segment", 0),
			.offset = (uint64_t)rows_int(t, i, "offset", 0),
			.bytes = (uint64_t)rows_int(t, i, "bytes", 0),
		};
		snprintf(f->digest, sizeof(f->digest), "%s", rows_str(t, i, "digest"));
		snprintf(f->record, sizeof(f->record), "%s", rows_str(t, i, "record"));
	}
}

/* 0, or -1 for our own trouble; x->damaged and x->why say the rest. */
static int archived_check(struct verify *v, struct archived *x, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = 0;
	if (x->damaged) {
		x->why = own_dup("the segment with it is gone");
		return 0;
	}
	for (size_t i = 0; !rc && i < x->n_frames; i++, v->frames++)
		rc = cache_frame_verify(v->cache, &x->frames[i], &why);
	if (!rc && v->a->level >= CACHE_ENTRIES)
		rc = cache_record_verify(v->cache, x->frames, x->n_frames, x->layer, &why);
	if (!rc)
		return 0;
	if (why.kind != ERR_CORRUPT && !(why.kind == ERR_SYS && why.sys == EIO)) {
		*e = why;
		return -1;
	}
	x->damaged = true;
	x->why = own_dup(why.text);
	return 0;
}

static void archived_tell(struct verify *v)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct archived *x = &v->v[i];
		if (!x->damaged && !x->mended)
			continue;
		v->again += x->mended;
		v->gone += x->damaged;
		tell(v, "archive",
		     x->mended     ? "repaired"
		     : x->n_frames ? "damaged"
				   : "lost",
		     x->store, x->job, x->layer, x->why);
	}
}

static int archived_mend(struct verify *v, struct err *e)
{
	if (mend_archive(v->db, v->cache, v->v, v->n, e))
		return -1;
	/* Frames have moved. */
	struct db_table *rows;
	if (cache_cmd_ask(v->db, "archived", NULL, &rows, e))
		return -1;
	struct db_table *before = v->rows;
	v->rows = rows;
	archived_read(v);
	db_table_free(before);
	return 0;
}

static int archived_all(struct verify *v, struct err *e)
{
	bool damaged = false;
	if (cache_cmd_ask(v->db, "archived", NULL, &v->rows, e))
		return -1;
	archived_read(v);
	for (size_t i = 0; i < v->n; i++) {
		cache_cmd_progress("publishes", i, v->n);
		if (archived_check(v, &v->v[i], e))
			return -1;
		damaged |= v->v[i].damaged;
	}
	cache_cmd_progress("publishes", v->n, v->n);
	if (damaged && v->a->repair && archived_mend(v, e))
		return -1;
	archived_tell(v);
	return 0;
}

/* ---- layers ---- */

/* Nothing brings it back: whose entries were in it? */
static void layer_lost(struct verify *v, const char *layer, const struct db_table *parts,
		       const char *why)
{
	size_t told = json_array_size(v->problems);
	v->lost++;
	for (size_t i = 0; i < parts->n_rows; i++) {
		const struct archived *x =
			archived_of(v->v, v->n, rows_int(parts, i, "harvest", 0));
		if (x && !x->damaged && v->state)
			continue;
		auto_free char *text =
			own_fmt("%s; %" PRId64 " entries", why, rows_int(parts, i, "entries", 0));
		tell(v, "layer", "lost", rows_text(parts, i, "store"), rows_text(parts, i, "job"),
		     layer, text);
	}
	/* Its parts are in the archive, or it is of no store. */
	if (json_array_size(v->problems) == told)
		tell(v, "layer", "lost", parts->n_rows ? rows_text(parts, 0, "store") : NULL, NULL,
		     layer, why);
}

static int layer_check(struct verify *v, const char *layer, struct err *e)
{
	struct err why = ERR_INIT, how = ERR_INIT;
	struct db_table *parts;
	int rc = 0;
	v->layers++;
	if (!cache_layer_verify(v->cache, layer, &why))
		return 0;
	if (why.kind != ERR_CORRUPT && why.kind != ERR_ABSENT &&
	    !(why.kind == ERR_SYS && why.sys == EIO)) {
		*e = why;
		return -1;
	}
	if (cache_cmd_ask(v->db, "layer-parts", layer, &parts, e))
		return -1;
	const char *store = parts->n_rows ? rows_text(parts, 0, "store") : NULL;
	if (!v->state) {
		tell(v, "layer", "damaged", store, NULL, layer, why.text);
	} else if (!mend_layer(v->cache, v->v, v->n, layer, parts, &how)) {
		v->repaired++;
		tell(v, "layer", "repaired", store, NULL, layer, why.text);
	} else if (how.kind != ERR_CORRUPT && how.kind != ERR_ABSENT) {
		*e = how;
		rc = err_add(e, "layer %s", layer);
	} else {
		auto_free char *both = own_fmt("%s; %s", why.text, how.text);
		layer_lost(v, layer, parts, both);
	}
	db_table_free(parts);
	return rc;
}

/* Those that a name or a generation needs. */
static int layers_check(struct verify *v, struct err *e)
{
	struct db_table *t;
	int rc = cache_cmd_ask(v->db, "layers", NULL, &t, e);
	for (size_t i = 0; !rc && i < t->n_rows; i++) {
		const char *layer = rows_str(t, i, "layer");
		bool again =
			i && rows_text(t, i, "name") && !strcmp(rows_str(t, i - 1, "layer"), layer);
		cache_cmd_progress("layers", i, t->n_rows);
		if (!again && (rows_text(t, i, "name") || rows_int(t, i, "generations", 0)))
			rc = layer_check(v, layer, e);
	}
	if (!rc) {
		cache_cmd_progress("layers", t->n_rows, t->n_rows);
		db_table_free(t);
	}
	return rc;
}

/* ---- the commands ---- */

static int verify_all(struct verify *v, struct err *e)
{
	if (archived_all(v, e))
		return -1;
	return v->a->level >= CACHE_LAYERS ? layers_check(v, e) : 0;
}

static int verify_open(struct verify *v, struct err *e)
{
	if (v->a->dry_run && v->a->repair)
		return err_set(e, ERR_USAGE, "--dry-run changes nothing, and --repair does");
	if (!v->a->dry_run) {
		v->state = state_open(v->a->common.state, e);
		if (!v->state)
			return -1;
		v->db = v->state->db;
		v->cache = v->state->cache;
		return 0;
	}
	auto_free char *path = state_path(v->a->common.state, e);
	auto_fd int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (path && fd < 0)
		return err_sys(e, "open state directory %s", path);
	v->db = path ? cache_cmd_db(v->a, e) : NULL;
	v->cache = v->db ? cache_open(fd, NULL, e) : NULL;
	return v->cache ? 0 : -1;
}

static void verify_close(struct verify *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->v[i].frames);
		free(v->v[i].why);
	}
	free(v->v);
	db_table_free(v->rows);
	if (v->state) {
		state_close(v->state);
	} else {
		cache_close(v->cache);
		db_close(v->db);
	}
}

static void verify_print(struct verify *v)
{
	static const char *const levels[] = {"frames", "entries", "layers"};
	size_t bad = json_array_size(v->problems);
	if (v->a->common.json) {
		cache_cmd_json(
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:O}", "level",
				  levels[v->a->level], "publishes", (json_int_t)v->n, "frames",
				  (json_int_t)v->frames, "layers", (json_int_t)v->layers,
				  "repaired", (json_int_t)v->repaired, "lost", (json_int_t)v->lost,
				  "publishes_repaired", (json_int_t)v->again, "publishes_lost",
				  (json_int_t)v->gone, "clean", !bad, "problems", v->problems));
		return;
	}
	printf("%zu publishes in %zu frames%s", v->n, v->frames,
	       v->a->level == CACHE_ENTRIES ? ", each entry" : "");
	if (v->a->level >= CACHE_LAYERS)
		printf(", %zu layers", v->layers);
	if (!bad) {
		printf(": as they should be\n");
		return;
	}
	printf(": %zu problems, %zu publishes written again, %zu without a good copy in the "
	       "archive%s, %zu layers repaired, %zu lost\n",
	       bad, v->again, v->gone, v->gone && !v->a->repair ? " (see --repair)" : "",
	       v->repaired, v->lost);
}

int cache_verify(const struct cache_args *a, struct err *e)
{
	struct verify v = {.a = a, .problems = json_array()};
	int rc = verify_open(&v, e);
	if (!rc)
		rc = verify_all(&v, e);
	if (!rc) {
		verify_print(&v);
		rc = json_array_size(v.problems) > 0;
	}
	json_decref(v.problems);
	verify_close(&v);
	return rc;
}

int cache_rebuild(const struct cache_args *a, struct err *e)
{
	struct db_table *stores;
	struct state *s = state_open_rebuild(a->common.state, e);
	int rc = s ? cache_cmd_ask(s->db, "stores", NULL, &stores, e) : -1;
	if (!rc && a->common.json) {
		cache_cmd_json(json_pack("{s:I, s:o}", "publishes", (json_int_t)s->found, "stores",
					 rows_json(stores)));
	} else if (!rc) {
		printf("%zu publishes found in the archive, %zu store%s\n", s->found,
		       stores->n_rows, stores->n_rows == 1 ? "" : "s");
	}
	if (!rc)
		db_table_free(stores);
	state_close(s);
	return rc;
}
