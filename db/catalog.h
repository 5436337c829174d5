/* Layers and stores in the results database: what was published, by whom, what generations show,
 * and what the segments of the archive hold. Part of the door db/db.h, which includes it. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

struct db_layer {
	char id[65];
	char *name; /* NULL: unnamed (a store's) */
	int64_t entries, bytes, made_ms;
	char *source; /* what it was imported from, NULL */
};

/* db_layer_name(d, l, e): record layer l->id under l->name (replacing what the name meant before).
 */
int db_layer_name(struct db *d, const struct db_layer *l, struct err *e) must_check;
/* db_layer_find(d, name, out, e): by name or by an id prefix of at least 8 digits; 1 found, 0
 * absent, -1. Free out with db_layer_fini. */
int db_layer_find(struct db *d, const char *name, struct db_layer *out, struct err *e) must_check;
void db_layer_fini(struct db_layer *l);
/* db_layer_list(d, out, n, e): the named ones by name. */
int db_layer_list(struct db *d, struct db_layer **out, size_t *n, struct err *e) must_check;
void db_layer_list_free(struct db_layer *l, size_t n);
/* db_layer_unname(d, name, id, orphan, e): forget the name; id gets the layer's; *orphan says that
 * no name and no generation names it any more, and then its row is gone. 1 done, 0 no such name,
 * -1. */
int db_layer_unname(struct db *d, const char *name, char id[65], bool *orphan, struct err *e)
	must_check;

struct db_generation {
	int64_t id;         /* 0: the store is empty */
	char chain[65];     /* "": none */
	char (*layers)[65]; /* uppermost first */
	int64_t *entries;   /* by layer: how many it has */
	size_t n_layers;
};
/* db_store_current(d, store, out, e): the store's current generation (an unknown store is an empty
 * one). */
int db_store_current(struct db *d, const char *store, struct db_generation *out, struct err *e)
	must_check;
void db_generation_fini(struct db_generation *g);

struct db_entry {
	const char *path;   /* bytes */
	const char *change; /* "added" "replaced" "merged" go to `entry`; "conflict" "refused"
			       "deleted" "dropped" to `harvest_note` */
	char type;
	unsigned mode;
	int64_t mtime_ns; /* since 1970 */
	int64_t size;
	const char *sha256, *target, *reason; /* NULL or "": none */
	bool word; /* it counts that the package has it: see struct db_publish's trust */
};

struct db_frame {
	int64_t segment, offset, bytes;
	const char *digest; /* "xxh3:" and 32 hex digits, "sha256:" and 64 */
	const char *record; /* SHA-256 of the publish's record, of its first frame; NULL or "": not
			       known */
};

struct db_publish {
	const char *store;
	int64_t phase;           /* who made it; 0: not known */
	const char *job;         /* the same in words, NULL: none */
	const char *refused_all; /* why the whole harvest was, NULL: it was not */
	int64_t parent; /* the generation it was harvested against; another one current: ERR_BUSY */
	bool nothing;   /* only notes and counts: no layer, no generation */
	int64_t trust;  /* so many packages' words the store demands; 0, 1: they do not count */
	const char *package; /* whose words; NULL where they don't count */
	const char *record;  /* nothing, and yet frames: the id of a record of words; NULL: none */
	const char *layer;   /* id */
	int64_t layer_entries, layer_bytes;
	const char *chain; /* of the new generation, NULL: none */
	const struct db_frame *frames;
	size_t n_frames;
	const struct db_entry *entries;
	size_t n_entries;
	int64_t added, replaced, merged, identical, dropped, conflicts, deleted, refused, bytes;
	int64_t pending;
	int64_t made_ms;
};
/* One transaction: segment lengths, frames, layer, generation (parent's layers below the new one),
 * entries, notes, counts. The new generation's id (the parent's where nothing), or -1. Of each
 * change that is a note the first DB_NOTES are kept; the counts tell of all. */
#define DB_NOTES 10000
int64_t db_publish(struct db *d, const struct db_publish *p, struct err *e) must_check;

/* db_store_flatten(d, store, parent, above, n, layer, …): a generation with `layer` in the place of
 * n of parent's layers, those below the uppermost `above`, which shows what they show together.
 * Layers no generation needs after the older generations were forgotten stay until a collect. New
 * generation's id, or -1. */
int64_t db_store_flatten(struct db *d, const char *store, int64_t parent, size_t above, size_t n,
			 const char *layer, int64_t entries, int64_t bytes, int64_t made_ms,
			 struct err *e) must_check;

/* ---- words: which packages had which bytes at a path ---- */

/* db_words(d, store, x, package, others, said, e): in that store, how many other packages' words
 * about x (path, type, sha256 or target) count, and whether that package's does. */
int db_words(struct db *d, const char *store, const struct db_entry *x, const char *package,
	     uint64_t *others, bool *said, struct err *e) must_check;

/* ---- going back, and taking away ---- */

/* A generation that came of no publish: how the archive has it, and who wants it. */
struct db_event {
	const char *store, *job;
	int64_t parent; /* as in struct db_publish */
	const char *chain;
	const struct db_frame *frames; /* of the note about it */
	size_t n_frames;
	int64_t made_ms;
};

/* db_rollback_to(d, ev, generation, e): a new generation that shows what that one showed. ERR_USAGE
 * where it is another store's, shows what it shows already, or holds what was revoked since. The
 * new generation's id, or -1. db_rollback_check: 0 and that generation's chain, or the same errors.
 */
int64_t db_rollback_to(struct db *d, const struct db_event *ev, int64_t generation, struct err *e)
	must_check;
int db_rollback_check(struct db *d, const char *store, int64_t generation, char chain[65],
		      struct err *e) must_check;
/* db_generation_of_chain(d, store, chain, e): the newest with it; 0: none; -1. */
int64_t db_generation_of_chain(struct db *d, const char *store, const char *chain, struct err *e)
	must_check;

/* A publish that is meant to be taken back, in part or as a whole. */
struct db_taken {
	int64_t harvest;
	char layer[65];
	char *store, *job;
	int64_t bytes;   /* of its files that the store shows */
	int64_t last_ms; /* when its package last ran with a store, or it was made */
};
/* db_taken_find(d, job, out, n, e): those of a harvest's number, of a job in words, or of a package
 * ("name" or its whole id), that a store's current generation holds; oldest first. */
int db_taken_find(struct db *d, const char *job, struct db_taken **out, size_t *n, struct err *e)
	must_check;
/* db_taken_oldest(d, store, out, n, e): all that the store's current generation holds, those whose
 * package did not run for the longest time first. */
int db_taken_oldest(struct db *d, const char *store, struct db_taken **out, size_t *n,
		    struct err *e) must_check;
void db_taken_free(struct db_taken *t, size_t n);

/* db_words_find(d, job, out, n, e): as db_taken_find, of those whose words count, whether or not
 * anything of them is shown; layer is the id of their record. db_words_oldest(d, store, out, n, e):
 * those of one store of which nothing at all is shown, as db_taken_oldest. */
int db_words_find(struct db *d, const char *job, struct db_taken **out, size_t *n, struct err *e)
	must_check;
int db_words_oldest(struct db *d, const char *store, struct db_taken **out, size_t *n,
		    struct err *e) must_check;

/* What stands upon words, with some of them or without. */
struct db_upheld {
	int64_t harvest;
	char *path;             /* bytes */
	int64_t left, demanded; /* other words; the harvest's store demanded so many */
};
/* db_upheld_list(d, store, harvests, n, out, n_out, e): which entries of the store have words of
 * these harvests or were brought by them, and how many words are left without those of these. By
 * harvest, the newest first, then path. */
int db_upheld_list(struct db *d, const char *store, const int64_t *harvests, size_t n,
		   struct db_upheld **out, size_t *n_out, struct err *e) must_check;
void db_upheld_free(struct db_upheld *v, size_t n);

/* One path of them. */
struct db_ended {
	int64_t harvest;
	char layer[65]; /* the harvest's */
	char *path;     /* bytes */
	char type;
	int64_t vouchers; /* other packages that brought the same bytes */
	bool shown;       /* the store's current generation shows this very entry */
	int64_t instead;  /* harvest whose entry shows then; 0: none */
	char instead_layer[65];
};
/* db_ended_list(d, store, harvests, n, out, n_out, e): what of the store's current generation would
 * go with these; directories are left out. By harvest, then path. */
int db_ended_list(struct db *d, const char *store, const int64_t *harvests, size_t n,
		  struct db_ended **out, size_t *n_out, struct err *e) must_check;
void db_ended_free(struct db_ended *v, size_t n);

/* db_end(d, ev, revoke, ended, n, layer, entries, bytes, e): a generation of one layer without
 * them. revoke: they count nowhere any more, and generations that hold them can't be gone back to;
 * else their harvests are no part of the new generation, and that is all. Its id, or -1. */
int64_t db_end_entries(struct db *d, const struct db_event *ev, bool revoke,
		       const struct db_ended *ended, size_t n, const char *layer, int64_t entries,
		       int64_t bytes, struct err *e) must_check;

/* db_disown(d, ev, harvests, n, e): their words count no more; no new generation. */
int db_disown(struct db *d, const struct db_event *ev, const int64_t *harvests, size_t n,
	      struct err *e) must_check;

struct db_collected {
	int64_t generations, harvests, entries;
	char (*layers)[65]; /* whose directories nobody needs */
	size_t n_layers;
	uint32_t *segments; /* that hold nothing any more */
	size_t n_segments;
	uint32_t *halves; /* less than half of whose bytes is needed */
	size_t n_halves;
	int64_t dead_bytes; /* so many in them are not */
};
/* db_collect_rows(d, keep, pinned, n, dry_run, out, e): forget generations but the current one and
 * the newest `keep` of each store and those pinned, and what only they needed. The caller removes
 * what out names afterwards, and calls db_collected_fini. */
int db_collect_rows(struct db *d, int64_t keep, const int64_t *pinned, size_t n, bool dry_run,
		    struct db_collected *out, struct err *e) must_check;
void db_collected_fini(struct db_collected *c);

/* db_segment_frames(d, segment, bytes, offsets, n, e): its committed length and where its frames
 * begin, ascending; the caller frees offsets. */
int db_segment_frames(struct db *d, int64_t segment, uint64_t *bytes, uint64_t **offsets, size_t *n,
		      struct err *e) must_check;
/* db_segment_moved(d, segment, bytes, offsets, e): the segment has so many bytes, and of its n
 * frames, as db_segment_frames told them, each begins at that one of offsets. */
int db_segment_moved(struct db *d, int64_t segment, uint64_t bytes, const uint64_t *from,
		     const uint64_t *to, size_t n, struct err *e) must_check;

/* ---- segments written anew with publishes they had lost ---- */

struct db_piece { /* a frame */
	int64_t offset, bytes, harvest;
	char digest[72], record[65]; /* as struct db_frame's */
};
/* db_segment_pieces(d, segment, bytes, v, n, e): its committed length, 0 where it is not known, and
 * its frames in their order; the caller frees v. */
int db_segment_pieces(struct db *d, int64_t segment, uint64_t *bytes, struct db_piece **v,
		      size_t *n, struct err *e) must_check;
/* db_segment_of(d, harvest, segment, e): where a harvest without frames belongs by its order: one
 * without frames between its neighbours', else that of what came before, of what came after, 1. */
int db_segment_of(struct db *d, int64_t harvest, int64_t *segment, struct err *e) must_check;
/* db_segment_anew(d, segment, bytes, v, n, again, n_again, e): the segment has so many bytes and
 * these frames alone; of the harvests in `again` no other segment has any. */
int db_segment_anew(struct db *d, int64_t segment, uint64_t bytes, const struct db_piece *v,
		    size_t n, const int64_t *again, size_t n_again, struct err *e) must_check;

struct db_brought {                   /* an entry of a publish, or a note */
	char *path, *target, *reason; /* bytes; NULL: none */
	char change[12], type;
	unsigned mode;
	int64_t mtime_ns, size;
	char sha256[65]; /* "": none */
	bool word;
};
struct db_harvest {
	char chain[65], parent[65]; /* of its generation, and the one before; "": not known */
	int64_t made_ms;
	int64_t added, replaced, merged, identical, dropped, conflicts, deleted, refused, bytes;
	int64_t pending, trust;
	char *package, *record; /* NULL: none */
	struct db_brought *v;   /* bytewise by path, without what only lay below what was deleted */
	size_t n;
};
/* db_harvest_read(d, harvest, out, e): all of it. db_harvest_fini in both cases. */
int db_harvest_read(struct db *d, int64_t harvest, struct db_harvest *out, struct err *e)
	must_check;
void db_harvest_fini(struct db_harvest *h);

struct db_place {
	char layer[65], *path;
};
/* db_places(d, harvest, sha256, v, n, e): at most 1,000 files of layers that had this content;
 * those of this harvest first. Each group of harvests is looked into once (db/shown.h): for what
 * is asked seldom. The caller calls db_places_free. */
int db_places(struct db *d, int64_t harvest, const char *sha256, struct db_place **v, size_t *n,
	      struct err *e) must_check;
void db_places_free(struct db_place *v, size_t n);

/* ---- what the segments know and the database does not ---- */

/* db_found(d, p, parent_chain, e): a publish that lies whole in the segments. One whose frames were
 * lost gets them back (the same store, job and time); another becomes a generation upon that with
 * parent_chain, or upon the current one where there is none. p's parent and phase are not looked
 * at. The store's current generation, or -1. */
int64_t db_found(struct db *d, const struct db_publish *p, const char *parent_chain, struct err *e)
	must_check;
/* db_segment_lost(d, segment, left, e): nothing behind its first `left` bytes is there any more.
 * What lay there has no frames now. Number of harvests that concerns, or -1. */
int64_t db_segment_lost(struct db *d, int64_t segment, int64_t left, struct err *e) must_check;
/* db_cache_forget(d, e): all that db_found() brings back: segments, generations, layers of stores.
 * Harvests stay for it to find again, with what they refused. */
int db_cache_forget(struct db *d, struct err *e) must_check;

/* What the cache may trust at start. */
struct db_known {
	struct {
		uint32_t number;
		uint64_t bytes;
	} * segments; /* ascending */
	size_t n_segments;
	char (*layers)[65];
	size_t n_layers;
};
int db_known(struct db *d, struct db_known *out, struct err *e) must_check;
void db_known_fini(struct db_known *k);
