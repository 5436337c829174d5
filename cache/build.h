/* A layer being made: a tree below tmp/ with its list, until build_settle() gives both their name.
 * One thread at a time. */
#pragma once
#include "cache/inner.h"
#include "cache/list.h"
#include "cache/tree.h"

struct build {
	struct cache *c;
	char name[40]; /* below tmp/; its list is name.list */
	int root;
	struct tree_at at; /* where the next entry goes */
	struct list_writer list;
	struct hash hash;
	char *buffer;
	bool once; /* each path is made once, what it lies in before it: one that is there already
		      is refused, and nothing that leads to one can be a link */
	bool plain_modes; /* what is made in root with modes up to 0755 has them: build_modes() */
};

struct build_meta {
	unsigned mode; /* 0644, 0755 … : what the file shall have */
	int64_t mtime_s;
	uint32_t mtime_ns;
};

/* build_begin: an empty tree. build_drop removes what was not settled; after build_settle it only
 * frees. */
int build_begin(struct build *b, struct cache *c, struct err *e) must_check;
void build_drop(struct build *b);
/* build_begin_with(b, c, dirfd, name, fd, e): with the tree that is called so in dirfd, and which
 * fd is of: it is b's from then on. 1; 0: it can't be moved from there (another file system),
 * nothing was begun; -1. */
int build_begin_with(struct build *b, struct cache *c, int dirfd, const char *name, int fd,
		     struct err *e) must_check;

/* build_modes(root): does neither the umask nor the directory itself change modes up to 0755 of
 * what is made in it? false also where that can't be told. */
bool build_modes(int root) must_check;

/* Entries come parents first. These make them, and do not list them. */
int build_dir(struct build *b, const char *path, struct err *e) must_check; /* may exist */
/* build_dirs(b, path, e): path and everything above it. */
int build_dirs(struct build *b, const char *path, struct err *e) must_check;
/* build_file: a new empty file for writing, private until build_finish gives it what it shall have.
 * A descriptor or -1. */
int build_file(struct build *b, const char *path, struct err *e) must_check;
int build_finish(int fd, const struct build_meta *m, struct err *e) must_check;
int build_bytes(struct build *b, const char *path, const void *bytes, size_t n,
		const struct build_meta *m, struct err *e) must_check;
/* build_copy: what src_fd gives up to its end, at most max bytes (else ERR_LIMIT). *size and id
 * tell what it was; id may be NULL. */
int build_copy(struct build *b, const char *path, int src_fd, uint64_t max,
	       const struct build_meta *m, uint64_t *size, char id[CACHE_ID], struct err *e)
	must_check;
/* build_link: the file `name` in dirfd itself, if link(2) may do that. 1 linked, 0 it can't be
 * linked, -1. */
int build_link(struct build *b, const char *path, int dirfd, const char *name,
	       const struct stat *st, unsigned mode, struct err *e) must_check;
/* build_mode, build_remove: of what is there already; an empty directory is removed as well. */
int build_mode(struct build *b, const char *path, unsigned mode, struct err *e) must_check;
int build_remove(struct build *b, const char *path, bool dir, struct err *e) must_check;
int build_symlink(struct build *b, const char *path, const char *target, const struct build_meta *m,
		  struct err *e) must_check;
/* build_whiteout(b, path, e): what layers below have there is hidden: a character device 0:0
 * (overlayfs.rst), which since Linux 5.8 anybody may make. */
int build_whiteout(struct build *b, const char *path, struct err *e) must_check;

/* build_list(b, e): list what is there by reading it all: for trees whose entries came in no order.
 */
int build_list(struct build *b, struct err *e) must_check;
/* build_list_tree(root, w, h, e): the same for any tree. */
int build_list_tree(int root, struct list_writer *w, struct hash *h, struct err *e) must_check;

/* build_name(b, out, e): the list is complete: what the layer will be called. Once. */
int build_name(struct build *b, struct cache_layer *out, struct err *e) must_check;
/* build_settle(b, out, e): durable and then, by one rename, there; out as build_name gave it. */
int build_settle(struct build *b, struct cache_layer *out, struct err *e) must_check;

/* build_replace(b, out, e): as build_settle, and whatever had that name is gone. */
int build_replace(struct build *b, struct cache_layer *out, struct err *e) must_check;

#define BUILD_BUFFER ((size_t)256 << 10)
