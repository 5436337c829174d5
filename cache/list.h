/* The list of a layer: the text its name is the SHA-256 of (see cache.h), kept beside it as
 * layers/<id>.list. With it a layer can be checked path by path and merged with others without
 * reading a byte of content. */
#pragma once
#include "cache/hash.h"
#include "base/text.h"

/* No list is larger. */
#define LIST_MAX ((size_t)4 << 30)

struct list_entry {
	char type; /* 'f' 'd' 'l' 'w' */
	unsigned mode;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size;
	const char *path; /* not NUL-terminated */
	size_t path_n;
	const char
		*end; /* files: 64 hex digits; links: the target; directories and whiteouts: "-" */
	size_t end_n;
};

/* list_compare: bytewise by path, as qsort(3) wants it. */
int list_compare(const void *a, const void *b);
/* list_same: what they say is the same, whatever their paths. */
bool list_same(const struct list_entry *a, const struct list_entry *b);

/* Written in bytewise order of the paths, into a file below dirfd. */
struct list_writer {
	int fd;
	struct hash hash;
	struct text text;
	uint64_t entries, bytes;
};
int list_begin(struct list_writer *w, int dirfd, const char *name, struct err *e) must_check;
int list_add(struct list_writer *w, const struct list_entry *x, struct err *e) must_check;
/* list_end(w, out, e): out gets the tree's digest and counts; the file is complete, not synced. */
int list_end(struct list_writer *w, struct cache_layer *out, struct err *e) must_check;
void list_fini(struct list_writer *w);

struct list {
	struct text text;
	struct list_entry *v; /* point into text */
	size_t n;
};
/* list_read(l, layers_fd, id, e): 1 read, 0 there is none or it is not what id says (it can be made
 * again), -1. */
int list_read(struct list *l, int layers_fd, const char *id, struct err *e) must_check;
void list_free(struct list *l);
/* list_text(t, x): the line of x. */
void list_text(struct text *t, const struct list_entry *x);
/* list_parse(l): l->v from l->text. 0, or -1 where the text is no list. */
int list_parse(struct list *l) must_check;
