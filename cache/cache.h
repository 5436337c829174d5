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
 * Type is f, d, l, or w (nothing: it hides what layers below have there; a whiteout of overlayfs,
 * with mode, time and size 0); the mode has 4 digits; directories have no mtime or size (0), so
 * that making one does not change the digest, and
 * "-" for what they and whiteouts hold.
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
/* A frame's digest, with which one it is: "xxh3:" and 32 hex digits (XXH3 with 128 bits), or, of
 * older frames, "sha256:" and 64; and a NUL. */
#define CACHE_SUM 72

struct cache;

/* What the caller's database says was committed. */
struct cache_known_segment {
	uint32_t number;
	uint64_t bytes; /* committed length */
};
struct cache_record;
struct cache_known {
	const struct cache_known_segment *segments; /* ascending */
	size_t n_segments;
	const char *const *layers; /* ids */
	size_t n_layers;
	/* A whole publish that lies past what was committed: its commit was lost, or an older
	 * database was put back. 1: the caller knows it from now on, and it stays; 0: it goes; -1.
	 * NULL: it goes. In the order in which they were published. */
	int (*on_found)(void *owner, const struct cache_record *r, struct err *e);
	/* A segment has `left` bytes, fewer than were committed; 0 also where it is gone. From now
	 * on no more than that counts. 0, or -1. NULL: that is ERR_CORRUPT. */
	int (*on_lost)(void *owner, uint32_t segment, uint64_t left, struct err *e);
	void *owner;
};

/* cache_open(state_dirfd, known, e): make the directories where they are missing and repair what a
 * killed process left: what of the segments was neither committed nor found is cut off, unnamed
 * segments and layers and tmp/, trash/ are removed; a found publish whose layer is missing gets it
 * from its frames. known NULL: open for reading, repair nothing. The caller frees it with
 * cache_close. */
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

/* cache_layer_count(c, id, out, e): how many entries and bytes it has. */
int cache_layer_count(struct cache *c, const char *id, struct cache_layer *out, struct err *e)
	must_check;
/* cache_layer_ids(state_dirfd, ids, n, e): the layers that are on disk, in no order, also before a
 * cache is opened there. The caller frees ids. */
int cache_layer_ids(int state_dirfd, char (**ids)[CACHE_ID], size_t *n, struct err *e) must_check;

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
	CACHE_SUM_COUNTERS, /* lines that end with a number, as ccache's stats: what the upper has
			       more than the file it was made from is added to the store's */
	CACHE_PROGRAM,      /* a program is asked: see struct cache_runner */
};

/* "union-lines" …: the word of ecosystem files, a static string. */
const char *cache_do_name(enum cache_do d);

/* Globs: '/' separates; '*' and '?' stay inside a component, '**' as a whole component matches any
 * number of them; [a-f] classes. First match wins; what no rule matches is CACHE_SAME. */
struct cache_rule {
	const char *match;
	enum cache_do what;
};

/* What becomes of what the upper hides of the store. */
enum cache_deletions {
	CACHE_DELETIONS_IGNORE, /* it is noted, and stays */
	CACHE_DELETIONS_APPLY,  /* the new layer hides it, too: from the next generation on it is
				   gone.  Where a rule drops, it stays; where one rejects, the
				   harvest  is  refused. A directory that was replaced as a whole
				   keeps what  the  store has in it */
	CACHE_DELETIONS_REJECT, /* it refuses the whole harvest, but where a rule drops */
};

struct cache_entry;
/* Words: that a package's harvest had these bytes at this path. A store may demand the words of
 * several packages before it shows what they are about; until then it is CACHE_PENDING: in the
 * archive's record, and in no layer. */
struct cache_words {
	uint64_t others; /* so many other packages said so */
	bool said;       /* this one did already */
};
#define CACHE_TRUST_MAX 1000
struct cache_trust {
	unsigned n; /* so many packages, at most CACHE_TRUST_MAX; 0, 1: nobody is asked, and no word
		       noted */
	const char *package; /* whose word the harvest is; never NULL where n > 1 */
	/* What was said of x in this store: files by sha256, links by target, directories by being
	 * there. Called within cache_publish() and on its thread. 0 or -1. */
	int (*words)(void *owner, const struct cache_entry *x, struct cache_words *out,
		     struct err *e);
	void *owner;
};

/* What a program is asked about the files of one CACHE_PROGRAM rule: those that are not the store's
 * already, at most 10,000 of a harvest, none larger than 16 MiB. It is asked once for all of them.
 */
enum cache_answer {
	CACHE_ANSWER_REFUSE, /* it does not come in */
	CACHE_ANSWER_TAKE,   /* the program's result is what the store gets */
	CACHE_ANSWER_KEEP,   /* the store stays as it is */
};
struct cache_question {
	size_t rule;              /* of the harvest's rules, by place */
	const char *const *paths; /* of the n files, bytewise ascending */
	size_t n;
	int fd; /* a directory of copies, readable by all: new/1 … new/n, and old/K where the store
		   has a file at that path. It is gone soon after the call */
	/* The runner's: */
	enum cache_answer *answers; /* n; at first each is CACHE_ANSWER_REFUSE */
	char **why;                 /* n, NULL at first: of what is refused, malloc'ed */
	int out_fd; /* at first -1: a directory that has the results 1 … n of what is taken. It may
		       be hostile: a result must be a regular file in it of at most 16 MiB, all
		       results together 64 MiB, else that file is refused */
};
/* Who runs programs for cache_publish(), within the call and on its thread. */
struct cache_runner {
	/* 0: the answers are there; -1: our own trouble, nothing is published */
	int (*run)(void *owner, struct cache_question *q, struct err *e);
	/* Results have been read, or run said -1. */
	void (*done)(void *owner, struct cache_question *q);
	void *owner;
};

struct cache_harvest {
	const char *store; /* its name */
	int upper_fd;      /* the frozen upper; nobody writes it any more */
	/* Nobody needs it afterwards: what upper_fd is lies at spare_name in spare_dirfd
	 * (openat(2)), and may become the layer itself, which spares the making of all its
	 * directories. It is gone from there then, whatever becomes of the publish. NULL: it stays.
	 */
	int spare_dirfd;
	const char *spare_name;
	const int *lower_fds; /* the store's *current* generation, uppermost layer first */
	size_t n_lowers;
	const int *base_fds; /* the generation the upper was made upon, in the same order, where it
				may be an older one: what CACHE_SUM_COUNTERS adds to. None: each
				counter of the upper counts whole */
	size_t n_bases;
	const struct cache_rule *rules;
	size_t n_rules;
	const struct cache_runner *runner; /* NULL: no rule may be CACHE_PROGRAM */
	enum cache_deletions deletions;
	/* n > 1 goes neither with CACHE_DELETIONS_APPLY nor with a rule that is CACHE_UNION_LINES:
	 * ERR_USAGE. What CACHE_SUM_COUNTERS adds up is nobody's bytes: it needs no words. */
	struct cache_trust trust;
	bool userxattr; /* the overlay was mounted with userxattr: honour user.overlay.*, else
			   trusted.overlay.* */
	uint64_t max_entries, max_bytes, max_file; /* 0: 1,000,000 entries, 16 GiB, 4 GiB */
	unsigned max_depth;                        /* 0: 256 */
	uint64_t max_ms;                           /* 0: 10 minutes */
	const char *job;    /* who made it, for the segment's own record and the entries: "run 3
			       semver@7.5.4 fetch" */
	const char *parent; /* chain digest of the current generation; NULL or "": none */
	int64_t made_ms;    /* since 1970, for the record */
};

enum cache_change {
	CACHE_ADDED,     /* new path */
	CACHE_REPLACED,  /* a rule let it replace (newest, program) */
	CACHE_MERGED,    /* a rule made new bytes of both (union-lines, sum-counters, program) */
	CACHE_IDENTICAL, /* the store has these bytes at this path already: not a change */
	CACHE_DROPPED,   /* rule drop or keep, or a program that keeps the store's */
	CACHE_CONFLICT,  /* rule same, other bytes: the store's stay */
	CACHE_DELETED,   /* a whiteout or an opaque directory hid it: ignored, but for those of type
			    'w':   the new layer hides it */
	CACHE_PENDING,   /* it would be added, replaced or merged, but for want of words */
	CACHE_REFUSED, /* device, socket, fifo, set-id, escaping link, unreadable, too large …: see
			  reason */
};
const char *cache_change_name(enum cache_change c);

struct cache_entry {
	char *path; /* bytes, relative, no leading "./"; may hold any byte but NUL */
	enum cache_change change;
	char type;     /* 'f' 'd' 'l', 'w' what is deleted, '?' for what was refused */
	unsigned mode; /* permission bits after normalising: 0644, 0755 */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size;
	char sha256[CACHE_ID]; /* of the bytes that would be stored; "" for directories and links */
	char *target;          /* symbolic links */
	char *reason;          /* CACHE_REFUSED, CACHE_CONFLICT: in words, else NULL */
	bool word; /* where words count: this is one, and the package had not said it before */
};

struct cache_counts {
	uint64_t added, replaced, merged, identical, dropped, conflicts, deleted, pending, refused;
	uint64_t bytes; /* of added, replaced and merged content */
};

/* A piece of a segment's file: a zstd frame and its mark. */
struct cache_frame {
	uint32_t segment;
	uint64_t offset,
		bytes; /* bytes with the mark: the committed length becomes offset + bytes */
	char digest[CACHE_SUM]; /* of the compressed bytes without it: finds damage */
	char record[CACHE_ID];  /* SHA-256 of the publish's record, which its first frame begins
				   with; "": another one, or an older frame */
};

/* What was published: one generation's new layer and its frames in the segments. All of it is
 * durable on disk but counts only when the caller has committed it to its database; uncommitted,
 * the next cache_open removes it. */
struct cache_published {
	bool nothing; /* no change worth a layer: the generation stays; the other fields below but
			 entries and counts are empty */
	char record[CACHE_ID]; /* nothing, but for words that are new: then frames hold a record of
				  this id that says them, else "" */
	struct cache_layer layer;
	char chain[CACHE_ID];       /* of the new generation: see cache_chain */
	struct cache_frame *frames; /* in the order of what they hold; at least one */
	size_t n_frames;
	struct cache_entry *entries; /* bytewise order by path; all that was seen but
					CACHE_IDENTICAL directories */
	size_t n_entries;
	struct cache_counts counts;
};

/* cache_publish(c, how, out, e): harvest how->upper_fd relative to the current generation and
 * publish what the rules admit. The upper's own files become the layer's by link(2) where they can
 * (public modes), else by copy, and the upper may be deleted afterwards; or its directory becomes
 * the layer's (spare_name). ERR_HOSTILE: the whole harvest is refused (content-hash mismatch,
 * reject, bounds: those of how, and 256 MiB of names and merged lines); nothing was published.
 * ERR_USAGE: a rule is a program's and how has no runner, or words go with none of its settings.
 * The caller frees out with cache_published_fini in both cases. */
int cache_publish(struct cache *c, const struct cache_harvest *how, struct cache_published *out,
		  struct err *e) must_check;
void cache_published_fini(struct cache_published *p);
/* cache_publish_undo(c, p): the caller could not commit p: the next frame goes where p's is. What p
 * left on disk stays until then, or until the next cache_open: whether a commit that failed took
 * effect is known for sure only when the database is opened again. */
void cache_publish_undo(struct cache *c, const struct cache_published *p);

/* cache_chain(parent, store, layer, out): the digest that stands for a generation and all before
 * it: SHA-256 in hex of "<parent's chain or nothing>\n<store>\n<layer>\n". Making one layer of
 * several does not change it. */
void cache_chain(const char *parent, const char *store, const char *layer, char out[CACHE_ID]);

/* ---- the segments alone ---- */

/* What a record is about. What is not a publish is a note: how a store came to another generation
 * without anything new. */
enum cache_kind {
	CACHE_PUBLISH,
	CACHE_ROLLBACK, /* to the generation whose chain is `of` */
	CACHE_REVOKE,   /* the entries' paths are no more what the publish of layer `of` brought */
	CACHE_COLLECT, /* what the publishes brought whose layers are the entries' paths is left out
			*/
	CACHE_PENDING_WORDS, /* no generation: entries as a publish's, of which none is in a layer
			      */
	CACHE_DISOWN, /* no generation: the words of those publishes, or records of words, whose ids
			 are the entries' paths count no more */
};

/* What a publish says of itself, and where it lies. */
struct cache_record {
	unsigned version; /* 1: no chain, no time, no counts */
	enum cache_kind kind;
	char of[CACHE_ID];
	char *store, *job;
	unsigned trust; /* of a publish, and of words: so many packages were demanded; 0: any */
	char *package;  /* whose words; NULL: none are */
	char layer[CACHE_ID]; /* or the note's own id */
	char parent[CACHE_ID], chain[CACHE_ID];
	int64_t made_ms;
	struct cache_counts counts;
	struct cache_entry
		*entries; /* as published; those that were CACHE_IDENTICAL are counted only */
	size_t n_entries;
	struct cache_frame *frames;
	size_t n_frames;
};

struct cache_note {
	const char *store, *job; /* job: who wants it, in words */
	const char *parent;      /* chain of the current generation, NULL or "": none */
	enum cache_kind kind;
	const char *of;
	const char *const *paths; /* in any order */
	size_t n_paths;
	int64_t made_ms;
};
/* cache_note(c, note, out, e): written behind the last publish, durable; out's chain and frames are
 * those of the new generation (of CACHE_DISOWN, which makes none, the chain is the parent's), its
 * layer.id the note's. Until it is committed it is as a publish
 * that is not. The caller frees out with cache_published_fini in both cases. */
int cache_note(struct cache *c, const struct cache_note *note, struct cache_published *out,
	       struct err *e) must_check;
/* cache_segment_remove(c, number, e): a sealed segment of which nothing is needed; absent is fine.
 */
int cache_segment_remove(struct cache *c, uint32_t number, struct err *e) must_check;

/* A frame of a segment, by where it began and where it begins now. */
struct cache_move {
	uint64_t from, to;
};
struct cache_rewritten {
	uint64_t bytes; /* of the new file */
	struct cache_move *moves;
	size_t n_moves; /* 0: there is nothing to leave out, or nothing is left */
};
/* cache_segment_rewrite(c, number, bytes, live, n_live, out, e): the frames of a segment's
 * committed bytes that are needed, those that begin at live (ascending) and what is published
 * together with them, in a new file beside it, durable. out->bytes == bytes: all of it is needed,
 * and no file was made. ERR_CORRUPT: the segment is damaged, and left as it is. Then the caller
 * commits what out says to its database and calls cache_segment_take, which puts the file in the
 * old one's place; or cache_segment_leave, which removes it. Where the commit failed, whether it
 * took effect all the same is known for sure only when the database is opened again: then, as after
 * a kill, the file stays (cache_segment_later), and cache_open does what the database it is told of
 * wants. All three free out. */
int cache_segment_rewrite(struct cache *c, uint32_t number, uint64_t bytes, const uint64_t *live,
			  size_t n_live, struct cache_rewritten *out, struct err *e) must_check;
int cache_segment_take(struct cache *c, uint32_t number, struct cache_rewritten *out, struct err *e)
	must_check;
void cache_segment_leave(struct cache *c, uint32_t number, struct cache_rewritten *out);
void cache_segment_later(struct cache_rewritten *out);

/* ---- a copy in the archive that is damaged or lost, made again from layers ---- */

/* A file of a layer that may have the bytes that are looked for. */
struct cache_place {
	const char *layer, *path;
};
struct cache_again {
	/* A publish as the caller's database tells it: all but version and frames; entries
	 * bytewise by path, also those it only saw. Without a parent: upon what came before it. */
	const struct cache_record *record;
	/* Where the bytes of file x may be; *v is read until the next call. 0 or -1. */
	int (*places)(void *owner, const struct cache_entry *x, const struct cache_place **v,
		      size_t *n, struct err *e);
	void *owner;
	int64_t now_ms;
	unsigned salt; /* see cache_anew_end */
};
struct cache_missing {
	uint64_t files; /* so many are in no layer */
	char *first;    /* one of them; the caller frees it */
};
/* cache_again_check(c, a, missing, e): can the publish be written again? All files are looked for
 * in layers and compared with their digests. 1; 0: missing says what there is not; with no files
 * missing, what the database tells is not the layer that it names; -1. */
int cache_again_check(struct cache *c, const struct cache_again *a, struct cache_missing *missing,
		      struct err *e) must_check;

/* A segment written anew beside the old one, piece by piece and in the order of its frames, which
 * is the one in which a rebuild tells the store again. One thread; nothing else appends meanwhile.
 * A kill leaves the old one. */
struct cache_anew;
/* cache_anew_begin(c, number, bytes, e): of a segment that has so many committed bytes; where its
 * file is gone there is nothing to keep. NULL where it fails. */
struct cache_anew *cache_anew_begin(struct cache *c, uint32_t number, uint64_t bytes, struct err *e)
	must_check;
/* cache_anew_keep(w, at, bytes, to, e): bytes of the old one as they are, whatever they are; *to is
 * where they begin now. */
int cache_anew_keep(struct cache_anew *w, uint64_t at, uint64_t bytes, uint64_t *to, struct err *e)
	must_check;
/* cache_anew_rest(w, at, bytes, e): what no database knows: its frames, up to the first byte that
 * is of none. */
int cache_anew_rest(struct cache_anew *w, uint64_t at, uint64_t bytes, struct err *e) must_check;
/* cache_anew_publish(w, a, frames, n, e): a publish; the caller frees frames. ERR_CORRUPT: a file
 * is in no layer. */
int cache_anew_publish(struct cache_anew *w, const struct cache_again *a,
		       struct cache_frame **frames, size_t *n, struct err *e) must_check;
/* cache_anew_end(w, out, e): durable; from here on as after cache_segment_rewrite. 1; 0: it is as
 * long as the old one, so that nobody could tell after a kill which of them is meant: it went, and
 * is to be written once more with another salt; -1. Frees w. */
int cache_anew_end(struct cache_anew *w, struct cache_rewritten *out, struct err *e) must_check;
/* cache_anew_drop(w): it goes, and w. NULL is fine. */
void cache_anew_drop(struct cache_anew *w);

struct cache_scan {
	/* Each whole publish, oldest first; r is valid during the call. 0, or -1 to stop. */
	int (*on_record)(void *owner, const struct cache_record *r, struct err *e);
	/* Bytes that are none of it: a torn end, damage. why is in words. NULL: passed over. */
	int (*on_damage)(void *owner, uint32_t segment, uint64_t offset, uint64_t bytes,
			 const char *why, struct err *e);
	void *owner;
};
/* cache_scan(c, scan, e): read all segments, without the database. After damage it goes on with the
 * next segment. 0 or -1. */
int cache_scan(struct cache *c, const struct cache_scan *scan, struct err *e) must_check;

/* cache_record_read(c, frames, n, r, e): the record of the publish that has these frames; the
 * caller calls cache_record_fini in both cases. */
int cache_record_read(struct cache *c, const struct cache_frame *frames, size_t n,
		      struct cache_record *r, struct err *e) must_check;
void cache_record_fini(struct cache_record *r);

/* cache_layer_restore(c, id, frames, n, e): make layer `id` again from the frames of a publish,
 * whatever is there under its name. ERR_CORRUPT: they do not hold it, or are damaged. */
int cache_layer_restore(struct cache *c, const char *id, const struct cache_frame *frames, size_t n,
			struct err *e) must_check;

/* cache_layer_remake(c, id, parts, n, e): make layer `id` again by its list, files from those of n
 * whole layers that have them at the same path; whatever is there under its name is replaced.
 * ERR_CORRUPT: its list is gone, or a file is in none of them; it is as it was then. */
int cache_layer_remake(struct cache *c, const char *id, const char *const *parts, size_t n,
		       struct err *e) must_check;

/* cache_frame_verify(c, f, e): the frame's bytes have their digest; ERR_CORRUPT says how not. */
int cache_frame_verify(struct cache *c, const struct cache_frame *f, struct err *e) must_check;
/* cache_record_verify(c, frames, n, layer, e): read a publish whole: each entry has the digest its
 * record says, and all of it is about that layer. ERR_CORRUPT names the first that differs. */
int cache_record_verify(struct cache *c, const struct cache_frame *frames, size_t n,
			const char *layer, struct err *e) must_check;

/* cache_flatten_height(c, layers, n, all, height, e): of `all` layers, uppermost first, so many
 * have to be flattened together for n of them to be: n, or all, where one of them hides something
 * of those below. */
int cache_flatten_height(struct cache *c, const char *const *layers, size_t n, size_t all,
			 size_t *height, struct err *e) must_check;
/* cache_flatten(c, layers, n, out, e): one layer (hard links) that shows what n layers, uppermost
 * first, show together; what they hide of others is not said any more. */
int cache_flatten(struct cache *c, const char *const *layers, size_t n, struct cache_layer *out,
		  struct err *e) must_check;

/* The same with exceptions: the first `extra` of the layers give only paths that `from` takes of
 * them. */
#define CACHE_FROM_ANY (-1)  /* whichever of the others shows it */
#define CACHE_FROM_NONE (-2) /* it is left out; what is no directory */
struct cache_but {
	size_t extra;
	/* The place of the one layer that gives this path of n bytes, or one of the above. */
	int (*from)(void *owner, const char *path, size_t n);
	void *owner;
};
int cache_flatten_but(struct cache *c, const char *const *layers, size_t n,
		      const struct cache_but *but, struct cache_layer *out, struct err *e)
	must_check;

/* ---- out of a store, and into it ---- */

struct cache_exported {
	uint64_t entries, bytes; /* bytes: of the files */
	uint64_t archive_bytes;
	char sha256[CACHE_ID]; /* of the archive */
};
/* cache_export(c, layers, n, fd, out, e): what n layers, uppermost first, show, as one tar archive
 * (pax, zstd) that any tar restores: entries bytewise by path, owner 0, and nothing that another
 * stack which shows the same would have otherwise, so that it gives the same bytes. Written to fd,
 * synced. Each file is compared with its digest. */
int cache_export(struct cache *c, const char *const *layers, size_t n, int fd,
		 struct cache_exported *out, struct err *e) must_check;
/* A file of an archive that is no layer's: what fd has from where it stands to its end, `size`
 * bytes, or, where fd is -1, so many bytes. */
struct cache_member {
	const char *name; /* relative, normalised */
	int fd;
	const void *bytes;
	uint64_t size;
};
/* cache_pack(members, n, fd, out, e): the same kind of archive of these files, in this order; mode
 * 0644, time 0, owner 0: the same files give the same bytes. Written to fd, synced. */
int cache_pack(const struct cache_member *members, size_t n, int fd, struct cache_exported *out,
	       struct err *e) must_check;
/* cache_restore(c, layers, n, dirfd, out, e): the same as copies in an empty directory; out's
 * archive and sha256 are none. */
int cache_restore(struct cache *c, const char *const *layers, size_t n, int dirfd,
		  struct cache_exported *out, struct err *e) must_check;

/* cache_unpack(c, source, sha256, how, out, e): a directory or an archive, as hostile as in
 * cache_layer_import(), as a tree that cache_publish() takes for an upper. sha256: of the archive's
 * bytes, compared before anything else is done; NULL: anything. Nothing of it is left after
 * cache_unpack_drop, nor after a kill and the next cache_open. */
struct cache_unpacked {
	int fd;    /* of the tree; -1: none */
	int dirfd; /* where it lies, by name: a spare upper for cache_publish(); borrowed */
	const char *name;
	void *inner;
};
int cache_unpack(struct cache *c, const char *source, const char *sha256,
		 const struct cache_import *how, struct cache_unpacked *out, struct err *e)
	must_check;
void cache_unpack_drop(struct cache_unpacked *u);

/* ---- trees that are kept as they are ---- */

/* What is below a directory, all of it: also whiteouts, fifos, modes and user attributes, which a
 * layer of a store has not. Owners are not in it: on disk they depend on how the boxes' ids are
 * shown (sandbox.h). */
struct cache_frozen {
	char digest[CACHE_ID];
	uint64_t bytes; /* allocated */
	uint64_t entries;
};
/* cache_frozen(dirfd, out, e): reads everything below dirfd (at most 2,000,000 entries, 1024
 * levels: ERR_HOSTILE). The format of what is digested opens cache/frozen.c. -1 also where the
 * caller may not read it all. */
int cache_frozen(int dirfd, struct cache_frozen *out, struct err *e) must_check;

/* A generation with more layers than this should be flattened before the next job mounts it (misses
 * cost per layer). */
#define CACHE_MAX_LAYERS 32
/* And none gets more than this, whatever is published while the flattening goes on. */
#define CACHE_MOST_LAYERS 48

/* cache_digest_fd(fd, out, e): the same of what a regular file has from its beginning, where fd is
 * left. */
int cache_digest_fd(int fd, char out[CACHE_ID], struct err *e) must_check;
/* cache_digest(bytes, n, out): SHA-256 in hex, for keys and names. */
void cache_digest(const void *bytes, size_t n, char out[CACHE_ID]);
