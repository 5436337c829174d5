/* The door of cache/: layers, and stores made of layers. Usable without the orchestrator. No
 * function here knows SQLite: what must be remembered is returned as a value, and the caller tells
 * cache_open() what was committed.
 *
 * Below the state directory:
 *   layers/<64 hex>/      immutable trees; the name is the tree digest (below)
 *   layers/<64 hex>.list  the text that digest is of: a check can say what differs,
 *                         and merging reads no content
 *   seg/NNNNNN.tar.zst    append-only archives of what was published; only the last one grows
 *   tmp/ trash/           a crash leaves things only here, or past a segment's committed length,
 *                         or as a layer nobody names
 *
 * Tree digest, version 1: SHA-256 over the tree's entries in bytewise order of their paths; for
 * each entry the text
 *   "<type> <mode octal> <mtime sec>.<nsec 9 digits> <size> <path length>:<path> <what it holds>\n"
 * where that is the content's SHA-256 in hex, or "<link length>:<link target>".
 *
 * Type is f, d or l; the mode has 4 digits; directories have no mtime or size (0), so that making
 * one does not change the digest, and
 * "-" for what they hold.
 *
 * Threads: a struct cache may be used from several threads for different layers; calls that append
 * to the segment (cache_publish) and cache_open/cache_close are the caller's to serialise (one
 * lane). */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_ID 65 /* 64 hex digits of SHA-256 and a NUL */

struct cache;

/* What the caller's database says was committed. */
struct cache_known_segment {
	uint32_t number;
	uint64_t bytes; /* committed length */
};
struct cache_known {
	const struct cache_known_segment *segments; /* ascending */
	size_t n_segments;
	const char *const *layers; /* ids */
	size_t n_layers;
};

/* cache_open(state_dirfd, known, e): make the directories where they are missing and repair what a
 * killed process left: segments are cut to their committed length (a segment shorter than that is
 * ERR_CORRUPT), unnamed segments and layers and tmp/, trash/ are removed. known NULL: open for
 * reading, repair nothing. The caller frees it with cache_close. */
struct cache *cache_open(int state_dirfd, const struct cache_known *known, struct err *e)
	must_check;
void cache_close(struct cache *c);

/* ---- layers ---- */

struct cache_layer {
	char id[CACHE_ID];
	uint64_t entries, bytes; /* bytes: sum of regular files' sizes */
	bool existed;            /* the same tree was there already */
};

struct cache_import {
	unsigned strip;     /* leading path components taken off each archive member, as tar
			       --strip-components */
	const char *prefix; /* put in front of every path: "opt/node"; NULL or "": nothing.
			       Relative, normalised. */
	uint64_t max_entries, max_bytes; /* 0: 2,000,000 entries, 64 GiB */
};

/* cache_layer_import(c, source, how, out, e): a directory or an archive (whatever libarchive reads:
 * tar, tar.gz, zip …) becomes a layer. A hostile archive gets ERR_HOSTILE naming the member:
 * absolute or escaping names, links through links, hard links to what the archive did not make,
 * devices, fifos, sockets, a name used twice with different types, names over 4095 bytes, more than
 * the limits. Owners become ours, modes lose set-id bits, and files and directories become readable
 * by all (a layer is public to every box); times are kept. Nothing appears under layers/ unless all
 * of it is there and synced. */
int cache_layer_import(struct cache *c, const char *source, const struct cache_import *how,
		       struct cache_layer *out, struct err *e) must_check;

/* cache_layer_open(c, id, e): a directory descriptor (O_PATH|O_DIRECTORY), or -1; ERR_ABSENT where
 * there is none. */
int cache_layer_open(struct cache *c, const char *id, struct err *e) must_check;
/* cache_layer_remove(c, id, e): absent is fine. The caller knows that nothing uses it. */
int cache_layer_remove(struct cache *c, const char *id, struct err *e) must_check;
/* cache_layer_verify(c, id, e): read it all and compare with its name; ERR_CORRUPT says what
 * differs. */
int cache_layer_verify(struct cache *c, const char *id, struct err *e) must_check;

/* ---- stores: rules, harvest, publish ---- */

enum cache_do {
	CACHE_SAME,         /* identical bytes or a conflict: first one stays */
	CACHE_CONTENT_HASH, /* npm's content-v2/ALGO/xx/yy/rest: the path must be the content's
			       hash; mismatch refuses the whole harvest */
	CACHE_KEEP,         /* first one stays, silently */
	CACHE_NEWEST,       /* later mtime wins */
	CACHE_UNION_LINES,  /* npm's index-v5: lines "sha1(json) TAB json", bad ones dropped, newest
			       `time` per `key` wins */
	CACHE_DROP,         /* never harvested */
	CACHE_REJECT,       /* any change here refuses the whole harvest */
};

/* "union-lines" …: the word of ecosystem files, a static string. */
const char *cache_do_name(enum cache_do d);

/* Globs: '/' separates; '*' and '?' stay inside a component, '**' as a whole component matches any
 * number of them; [a-f] classes. First match wins; what no rule matches is CACHE_SAME. */
struct cache_rule {
	const char *match;
	enum cache_do what;
};

struct cache_harvest {
	const char *store;    /* its name */
	int upper_fd;         /* the frozen upper; nobody writes it any more */
	const int *lower_fds; /* the store's *current* generation, uppermost layer first */
	size_t n_lowers;
	const struct cache_rule *rules;
	size_t n_rules;
	bool userxattr; /* the overlay was mounted with userxattr: honour user.overlay.*, else
			   trusted.overlay.* */
	uint64_t max_entries, max_bytes, max_file; /* 0: 1,000,000 entries, 16 GiB, 4 GiB */
	unsigned max_depth;                        /* 0: 256 */
	uint64_t max_ms;                           /* 0: 10 minutes */
	const char *job; /* who made it, for the segment's own record and the entries: "run 3
			    semver@7.5.4 fetch" */
};

enum cache_change {
	CACHE_ADDED,     /* new path */
	CACHE_REPLACED,  /* a rule let it replace (newest) */
	CACHE_MERGED,    /* a rule made new bytes of both (union-lines) */
	CACHE_IDENTICAL, /* the store has these bytes at this path already: not a change */
	CACHE_DROPPED,   /* rule drop or keep */
	CACHE_CONFLICT,  /* rule same, other bytes: the store's stay */
	CACHE_DELETED,   /* a whiteout or an opaque directory hid it: ignored */
	CACHE_REFUSED, /* device, socket, fifo, set-id, escaping link, unreadable, too large …: see
			  reason */
};
const char *cache_change_name(enum cache_change c);

struct cache_entry {
	char *path; /* bytes, relative, no leading "./"; may hold any byte but NUL */
	enum cache_change change;
	char type;     /* 'f' 'd' 'l', '?' for what was refused */
	unsigned mode; /* permission bits after normalising: 0644, 0755 */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size;
	char sha256[CACHE_ID]; /* of the bytes that would be stored; "" for directories and links */
	char *target;          /* symbolic links */
	char *reason;          /* CACHE_REFUSED, CACHE_CONFLICT: in words, else NULL */
};

struct cache_counts {
	uint64_t added, replaced, merged, identical, dropped, conflicts, deleted, refused;
	uint64_t bytes; /* of added, replaced and merged content */
};

/* What was published: one generation's new layer and one frame of the segment. All of it is durable
 * on disk but counts only when the caller has committed it to its database; uncommitted, the next
 * cache_open removes it. */
struct cache_published {
	bool nothing; /* no change worth a layer: the generation stays; the other fields below but
			 entries and counts are empty */
	struct cache_layer layer;
	uint32_t segment;
	uint64_t frame_offset, frame_bytes; /* in the segment's file; the committed length becomes
					       offset + bytes */
	char frame_sha256[CACHE_ID];        /* of the compressed bytes */
	struct cache_entry *entries;        /* bytewise order by path; all that was seen but
					       CACHE_IDENTICAL directories */
	size_t n_entries;
	struct cache_counts counts;
};

/* cache_publish(c, how, out, e): harvest how->upper_fd relative to the current generation and
 * publish what the rules admit. The upper's own files become the layer's by link(2) where they can
 * (read-only, public modes), else by copy; the upper may be deleted afterwards. ERR_HOSTILE: the
 * whole harvest is refused (content-hash mismatch, reject, bounds: those of how, and 256 MiB of
 * names and merged lines); nothing was published. The caller frees out with cache_published_fini in
 * both cases. */
int cache_publish(struct cache *c, const struct cache_harvest *how, struct cache_published *out,
		  struct err *e) must_check;
void cache_published_fini(struct cache_published *p);
/* cache_publish_undo(c, p): the caller could not commit p: the next frame goes where p's is. What p
 * left on disk stays until then, or until the next cache_open: whether a commit that failed took
 * effect is known for sure only when the database is opened again. */
void cache_publish_undo(struct cache *c, const struct cache_published *p);

/* cache_flatten(c, layers, n, out, e): one layer (hard links) that shows what n layers, uppermost
 * first, show together. */
int cache_flatten(struct cache *c, const char *const *layers, size_t n, struct cache_layer *out,
		  struct err *e) must_check;

/* A generation with more layers than this should be flattened before the next job mounts it (misses
 * cost per layer). */
#define CACHE_MAX_LAYERS 32

/* cache_digest(bytes, n, out): SHA-256 in hex, for keys and names. */
void cache_digest(const void *bytes, size_t n, char out[CACHE_ID]);
