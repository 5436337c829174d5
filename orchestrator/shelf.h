/* The stores of a suite as the run sees them: which generation is current, kept in memory by the
 * one writer. A publish takes a store through two lanes: the cache makes the layer and the frame
 * (shelf_publish), the database makes them count (shelf_record), and only then does the loop move
 * the shelf on (shelf_advance): the next box sees the new generation, running ones keep theirs. */
#pragma once
#include "cache/cache.h"
#include "db/db.h"
#include "orchestrator/program.h"
#include "orchestrator/suite.h"

struct shelf {
	const struct suite_store *store;
	char *key; /* the database's name for it */
	int64_t generation;
	char chain[65];
	char (*layers)[65]; /* uppermost first */
	uint64_t *entries;  /* by layer: how many it has */
	size_t n_layers;
};

/* shelf_load(sh, s, i, d, e): store i of the suite with its current generation. */
int shelf_load(struct shelf *sh, const struct suite *s, size_t i, struct db *d, struct err *e)
	must_check;
/* shelf_load_named(sh, store, key, d, e): the store of that name in the database, with the rules of
 * `store`, which is borrowed. */
int shelf_load_named(struct shelf *sh, const struct suite_store *store, const char *key,
		     struct db *d, struct err *e) must_check;
/* shelf_load_at(sh, s, i, generation, d, e): store i of the suite as it was in that generation, 0:
 * empty. ERR_ABSENT where there is no such generation any more. */
int shelf_load_at(struct shelf *sh, const struct suite *s, size_t i, int64_t generation,
		  struct db *d, struct err *e) must_check;
void shelf_fini(struct shelf *sh);

/* shelf_copy(sh): generation and layers, to be handed to a lane; shelf_fini it. */
struct shelf shelf_copy(const struct shelf *sh);

/* shelf_open(sh, c, fds, e): descriptors of all its layers, uppermost first, malloc'ed; count in
 * sh->n_layers. 0 or -1. */
int shelf_open(const struct shelf *sh, struct cache *c, int **fds, struct err *e) must_check;

/* One phase's harvest into one store, on its way. */
struct shelf_publish {
	struct shelf from; /* a copy: what was current */
	const struct shelf
		*base; /* borrowed: what the job saw; NULL: it saw nothing of the store */
	struct programs
		*programs; /* borrowed: runs those of the store's rules; NULL: there are none */
	struct cache_published out;
	struct shelf after;      /* the stack that comes of it */
	struct cache_layer flat; /* id "" unless the stack became too high and its upper part was
				    made into one layer */
	size_t n_flat;           /* so many layers of it */
	const char *package;     /* borrowed: whose word it is, for stores that demand several */
	struct db *words;        /* borrowed: where those are looked up, by the lane that publishes;
				    NULL: nowhere, and no store may demand any */
	int spare_dirfd;         /* borrowed: with spare, where the upper lies by name, if nobody */
	const char *spare;       /* needs it afterwards: cache_publish() may take it. Else NULL */
	char *job;               /* who made it, in words */
	int64_t made_ms;
	bool compacted; /* somebody else sees to it that the stack does not become too high: it is
			   flattened on the way only above CACHE_MOST_LAYERS */
	bool recorded;  /* the database has it */
	bool refused;   /* hostile: nothing was published, why is in refusal */
	struct err refusal;
};
/* Store lane. 0 also where the harvest was refused; -1 is our own trouble. */
int shelf_publish(struct shelf_publish *p, struct cache *c, int upper_fd, const char *job,
		  struct err *e) must_check;
/* shelf_refuse(p, e): what e says came from the job: p is refused. 0; or -1 where it did not. */
int shelf_refuse(struct shelf_publish *p, struct err *e) must_check;
/* Database lane. */
int shelf_record(struct shelf_publish *p, struct db *d, int64_t phase, struct err *e) must_check;
/* Loop. */
void shelf_advance(struct shelf *sh, struct shelf_publish *p);
/* shelf_undo(p, c): what was published and not recorded is given up; nobody else publishes
 * meanwhile. */
void shelf_undo(struct shelf_publish *p, struct cache *c);
/* shelf_compacted(now, was, flat, n, after, above): of `was`, an older one's copy, the uppermost n
 * layers became one; `now` with it in their place goes to `after`, the caller's, its generation not
 * yet known. *above: layers of `now` upon it. false: between them lies more than new layers upon
 * the old ones, or flat is one of those: nothing is made. */
bool shelf_compacted(const struct shelf *now, const struct shelf *was,
		     const struct cache_layer *flat, size_t n, struct shelf *after, size_t *above)
	must_check;
void shelf_publish_fini(struct shelf_publish *p);

/* What cache/ says, in the words of db/. Texts are borrowed; shelf_frames is the caller's to free.
 */
struct db_entry shelf_entry(const struct cache_entry *x);
void shelf_counts(struct db_publish *p, const struct cache_counts *n);
struct db_frame *shelf_frames(const struct cache_frame *frames, size_t n) must_check;
