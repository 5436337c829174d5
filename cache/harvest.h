/* From a frozen upper to a list of judged changes. Nothing is written that stays. One thread at a
 * time. */
#pragma once
#include "cache/cache.h"
#include "cache/content.h"
#include "cache/tree.h"

/* The segment's own records are kept here: nobody else may use the name. */
#define HARVEST_OURS ".assay"

/* Of so many directories of layers the names are in memory at once. */
#define HARVEST_LISTED 128

/* A directory in one layer of the store, while the upper's is walked (lower.c). */
struct lower_dir {
	unsigned short layer;      /* of how->lower_fds */
	unsigned asked;            /* so many names were looked up in it */
	uint64_t size;             /* bytes, as the file system says; 0: not asked yet */
	bool many;                 /* it has more names than are kept in memory */
	struct lower_names *names; /* NULL: not read, or not any more */
};

struct harvest_item {
	struct cache_entry x;
	size_t above;  /* the directory it is in; TREE_ROOT: the store's root */
	bool wanted;   /* goes into the new layer; of a directory: what is wanted lies in it */
	bool taken;    /* x is in a cache_published */
	bool may_link; /* the upper's own file can be the layer's */
	bool as_is;    /* the upper's own entry is what the layer's has to be */
	char *bytes;   /* content that is at hand: merged (may_link is false then), or small */
	dev_t dev;
	ino_t ino;
	/* directories: */
	struct lower_dir *lowers; /* in the layers that have it, uppermost first */
	size_t n_lowers;
	bool hidden; /* the store has something else at this path: nothing below can be shared */
	bool filled; /* something that is no directory lies in it */
};

struct ask; /* ask.h */

struct harvest {
	const struct cache_harvest *how;
	struct cache *c;
	struct harvest_item *v; /* bytewise order by path */
	size_t n, cap;
	uint64_t bytes, kept; /* read so far; of them held in memory to be read once */
	uint64_t held;        /* bytes of memory that the upper's author decides about */
	int64_t deadline_ns;  /* monotonic */
	struct content_reader reader;
	uid_t euid;
	gid_t egid;
	bool xfs;                 /* adopt_ask() */
	struct lower_dir *all;    /* the root, in all layers */
	struct tree_at *lower_at; /* by layer */
	/* Whose names are in memory; the next to be forgotten. */
	struct lower_dir *listed[HARVEST_LISTED];
	size_t next_listed, listed_bytes;
	struct ask *ask; /* NULL: no program is to be asked */
	bool mixed;      /* the upper has a directory that no layer may have */
	size_t words;    /* so many are new */
};

/* harvest_hold(h, n, e): n bytes more of memory for the harvest, or ERR_HOSTILE. */
int harvest_hold(struct harvest *h, uint64_t n, struct err *e) must_check;
/* harvest_run(h, c, how, e): 0, or -1; ERR_HOSTILE refuses all of it, h then holds what was seen.
 * c: what programs are shown is laid out below its tmp/. The caller calls harvest_fini. */
int harvest_run(struct harvest *h, struct cache *c, const struct cache_harvest *how, struct err *e)
	must_check;
void harvest_fini(struct harvest *h);
/* harvest_take(h, out): the entries and counts to the caller, who owns them; h->v[i].x is still
 * readable until they are freed. */
void harvest_take(struct harvest *h, struct cache_published *out);
