/* Publishing as one transaction. */
#include "db/shown.h"
#include "db/store.h"
#include "db/tier.h"

#include <string.h>

int64_t publish_harvest(struct db *d, const struct db_publish *p, int64_t store, int64_t generation,
			int64_t layer, struct err *e)
{
	int rc = db_do(d, e,
		       "INSERT INTO harvest (phase, store, seen, generation, layer, added, "
		       "replaced, merged, identical, dropped,"
		       " conflicts, deleted, refused, bytes, made_ms, job, refused_all, pending,"
		       " trust, package, record)"
		       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
		       " ?16, ?17, ?18, ?19, ?20, ?21)",
		       "zizzziiiiiiiiiissizss", p->phase, store, p->parent, generation, layer,
		       p->added, p->replaced, p->merged, p->identical, p->dropped, p->conflicts,
		       p->deleted, p->refused, p->bytes, p->made_ms, p->job, p->refused_all,
		       p->pending, p->trust > 1 ? p->trust : 0, p->trust > 1 ? p->package : NULL,
		       p->record);
	return rc < 0 ? -1 : sqlite3_last_insert_rowid(d->h);
}

int publish_frame_row(struct db *d, const struct db_frame *f, int64_t harvest, struct err *e)
{
	return db_do(d, e,
		     "INSERT INTO frame (segment, offset, bytes, digest, record, harvest) VALUES "
		     "(?1, ?2, ?3, ?4, ?5, ?6)",
		     "iiisxi", f->segment, f->offset, f->bytes, f->digest, f->record, harvest) < 0
		       ? -1
		       : 0;
}

/* The segment grows to the frame's end. A frame that begins before the committed length would
 * overwrite another. */
static int publish_frame(struct db *d, const struct db_frame *f, int64_t harvest, struct err *e)
{
	int n = db_do(
		d, e,
		"INSERT INTO segment (number, bytes) VALUES (?1, ?2 + ?3) ON CONFLICT (number)"
		" DO UPDATE SET bytes = excluded.bytes WHERE bytes <= ?2",
		"iii", f->segment, f->offset, f->bytes);
	if (!n)
		return err_set(e, ERR_CORRUPT,
			       "segment %lld: a frame at %lld lies below its committed length",
			       (long long)f->segment, (long long)f->offset);
	if (n < 0 || publish_frame_row(d, f, harvest, e))
		return err_add(e, "segment %lld", (long long)f->segment);
	return 0;
}

int publish_frames(struct db *d, const struct db_publish *p, int64_t harvest, struct err *e)
{
	if (!p->n_frames)
		return err_set(e, ERR_CORRUPT, "something was published, and no frame has it");
	for (size_t i = 0; i < p->n_frames; i++)
		if (publish_frame(d, &p->frames[i], harvest, e))
			return -1;
	return 0;
}

/* Where what is published goes. */
struct publish_to {
	int64_t harvest;
	int64_t tier; /* of its entries */
};

static int publish_entry(struct db *d, const struct publish_to *to, size_t ordinal,
			 const struct db_entry *x, struct err *e)
{
	char type[2] = {x->type, '\0'};
	(void)ordinal;
	return db_do(d, e,
		     "INSERT INTO entry (harvest, path, change, type, mode, mtime_ns, size, "
		     "sha256, target, tier)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		     "ibssiiixbi", to->harvest, x->path, x->change, type, (int64_t)x->mode,
		     x->mtime_ns, x->size, x->sha256, x->target, to->tier);
}

static int publish_note(struct db *d, const struct publish_to *to, size_t ordinal,
			const struct db_entry *x, struct err *e)
{
	char type[2] = {x->type, '\0'};
	return db_do(d, e,
		     "INSERT INTO harvest_note (harvest, ordinal, change, path, type, size, "
		     "sha256, target, reason)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
		     "iisbsixbs", to->harvest, (int64_t)ordinal, x->change, x->path, type, x->size,
		     x->sha256, x->target, x->reason && *x->reason ? x->reason : NULL);
}

/* Counted, not listed: most of what a warm cache touches. But that another package brought the same
 * bytes vouches for them. */
static int publish_seen(struct db *d, const struct publish_to *to, size_t ordinal,
			const struct db_entry *x, struct err *e)
{
	(void)ordinal;
	if (x->type != 'f')
		return 0;
	return db_do(d, e,
		     "INSERT INTO sighting (sha256, package) SELECT ?2, f.package FROM harvest h"
		     " JOIN phase f ON f.id = h.phase WHERE h.id = ?1 AND ?2 IS NOT NULL"
		     " ON CONFLICT DO NOTHING",
		     "ix", to->harvest, x->sha256);
}

/* Whose word it is stands in a table of its own. */
static int publish_pending(struct db *d, const struct publish_to *to, size_t ordinal,
			   const struct db_entry *x, struct err *e)
{
	(void)d, (void)to, (void)ordinal, (void)x, (void)e;
	return 0;
}

typedef int (*publish_fn)(struct db *d, const struct publish_to *to, size_t ordinal,
			  const struct db_entry *x, struct err *e);

/* How many a harvest may have of what goes there: what is in the store is told whole, of what a
 * hostile job piled up beside it a part is enough. */
#define PUBLISH_ALL SIZE_MAX

/* clang-format off */
static const struct {
	const char *change;
	publish_fn put;
	size_t most;
} changes[] = {
	{"added",     publish_entry,   PUBLISH_ALL},
	{"replaced",  publish_entry,   PUBLISH_ALL},
	{"merged",    publish_entry,   PUBLISH_ALL},
	{"conflict",  publish_note,    DB_NOTES},
	{"refused",   publish_note,    DB_NOTES},
	{"deleted",   publish_note,    DB_NOTES},
	{"dropped",   publish_note,    DB_NOTES},
	{"identical", publish_seen,    PUBLISH_ALL},
	{"pending",   publish_pending, PUBLISH_ALL},
};
/* clang-format on */

/* Index into changes, or -1. */
static int publish_change(const struct db_publish *p, const struct db_entry *x, struct err *e)
{
	for (size_t i = 0; x->change && i < countof(changes); i++)
		if (!strcmp(x->change, changes[i].change)) {
			if (changes[i].put != publish_entry || !p->nothing)
				return (int)i;
			return err_set(e, ERR_CORRUPT, "%s is %s, and yet nothing was published",
				       x->path, x->change);
		}
	return err_set(e, ERR_CORRUPT, "%s: '%s' is no change", x->path,
		       x->change ? x->change : "");
}

/* What is deleted whole takes what was in it along: a note for each, so that a question about one
 * path is answered by that path. */
static int publish_deleted(struct db *d, int64_t harvest, struct err *e)
{
	return db_do(d, e,
		     "INSERT INTO harvest_note (harvest, ordinal, change, path, type)"
		     " SELECT ?1, (SELECT max(ordinal) FROM harvest_note WHERE harvest = ?1)"
		     "  + row_number() OVER (ORDER BY path), 'deleted', path, 'w' FROM"
		     " (SELECT DISTINCT e.path FROM harvest_note n"
		     "  JOIN harvest h ON h.id = n.harvest"
		     "  CROSS JOIN entry e ON e." IN_TIERS
		     "   AND CAST(e.path AS TEXT) > CAST(n.path AS TEXT) || '/'"
		     "   AND CAST(e.path AS TEXT) < CAST(n.path AS TEXT) || '0'"
		     "  JOIN harvest eh ON eh.id = e.harvest AND eh.store = h.store"
		     "  WHERE n.harvest = ?1 AND n.change = 'deleted' AND n.type = 'w')",
		     "i", harvest) < 0
		       ? -1
		       : 0;
}

static int publish_words(struct db *d, const struct db_publish *p, int64_t harvest, struct err *e)
{
	int64_t store = 0;
	if (p->trust < 2)
		return 0;
	if (db_number(d, e, &store, "SELECT store FROM harvest WHERE id = ?1", "i", harvest) < 0)
		return -1;
	for (size_t i = 0; i < p->n_entries; i++)
		if (word_put(d, p, store, harvest, &p->entries[i], e))
			return err_add(e, "%s", p->entries[i].path);
	return 0;
}

/* *tier is one for its entries, if it has any. */
static int publish_tier(struct db *d, const struct db_publish *p, int64_t *tier, struct err *e)
{
	int64_t n = 0;
	for (size_t i = 0; i < p->n_entries; i++) {
		int c = publish_change(p, &p->entries[i], e);
		if (c < 0)
			return -1;
		n += changes[c].put == publish_entry;
	}
	return n ? tier_begin(d, n, tier, e) : 0;
}

int publish_entries(struct db *d, const struct db_publish *p, int64_t harvest, struct err *e)
{
	size_t n[countof(changes)] = {0};
	bool deletes = false;
	struct publish_to to = {.harvest = harvest};
	if (publish_tier(d, p, &to.tier, e))
		return -1;
	for (size_t i = 0; i < p->n_entries; i++) {
		int c = publish_change(p, &p->entries[i], e);
		if (c < 0)
			return -1;
		/* What is not in the store any more is told whole, too. */
		bool deleted = p->entries[i].type == 'w' && !p->nothing;
		deletes |= deleted;
		if ((deleted || n[c]++ < changes[c].most) &&
		    changes[c].put(d, &to, i, &p->entries[i], e) < 0)
			return err_add(e, "%s", p->entries[i].path);
	}
	if (deletes && publish_deleted(d, harvest, e))
		return -1;
	return publish_words(d, p, harvest, e);
}

/* Layer, generation and frame, in the order in which they refer to each other. The new generation,
 * or -1. */
static int64_t publish_something(struct db *d, const struct db_publish *p, int64_t store,
				 struct err *e)
{
	int64_t layer =
		db_layer_row(d, p->layer, p->layer_entries, p->layer_bytes, p->made_ms, NULL, e);
	int64_t generation = layer < 0 ? -1
				       : store_generation(d, store, p->parent, "publish", p->chain,
							  layer, p->made_ms, e);
	if (generation < 0 || store_inherit(d, generation, p->parent, 0, layer, e))
		return -1;
	int64_t harvest = publish_harvest(d, p, store, generation, layer, e);
	if (harvest < 0 || publish_frames(d, p, harvest, e) || publish_entries(d, p, harvest, e) ||
	    parts_publish(d, layer, store, harvest, e))
		return -1;
	return generation;
}

static int64_t publish_all(struct db *d, const struct db_publish *p, struct err *e)
{
	int64_t store = store_at(d, p->store, p->parent, e);
	if (store < 0)
		return -1;
	if (!p->nothing)
		return publish_something(d, p, store, e);
	int64_t harvest = publish_harvest(d, p, store, 0, 0, e);
	return harvest < 0 || (p->record && publish_frames(d, p, harvest, e)) ||
			       publish_entries(d, p, harvest, e)
		       ? -1
		       : p->parent;
}

int64_t db_publish(struct db *d, const struct db_publish *p, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t generation = publish_all(d, p, e);
	return db_end(d, generation < 0 ? -1 : 0, e) ? -1 : generation;
}
