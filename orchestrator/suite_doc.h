/* A YAML or JSON text as a tree in which everything knows its place, so that whoever finds
 * something wrong can say file:line:column. Private to suite_*.c. A tree is frozen once read; its
 * nodes live as long as their struct doc. */
#pragma once
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Bounds of what a person writes by hand; lists of packages may be longer (suite_lister.c). */
#define DOC_BYTES ((size_t)4 << 20)
#define DOC_DEPTH 32               /* mappings and lists in one another */
#define DOC_NODES ((size_t)500000) /* with every alias written out */

enum doc_kind { DOC_TEXT, DOC_LIST, DOC_MAP };

struct doc_node;
struct doc_item {
	struct doc_node *key; /* DOC_LIST: NULL */
	struct doc_node *value;
};

struct doc_node {
	const struct doc *doc;
	enum doc_kind kind;
	unsigned line, column; /* from 1; columns count characters */
	bool plain;            /* DOC_TEXT without quotes */
	bool number;           /* DOC_TEXT that JSON has as a number or a literal */
	char *text;            /* DOC_TEXT; no NUL inside */
	struct doc_item *items;
	size_t n;
	size_t total; /* nodes, aliases written out */
	unsigned depth;
	struct doc_node *next; /* of the doc's nodes */
};

struct doc {
	char *name; /* as messages show it */
	char *dir;  /* absolute: what relative paths in it are relative to */
	char *text;
	size_t n;
	const struct doc_node *command; /* that printed this text, NULL: a file */
	struct doc_node *root, *nodes;
	struct doc *next; /* of its draft's */
};

/* doc_read(name, dir, max, e): the file's text, not yet parsed: valid UTF-8 without control
 * characters. The caller frees it. name "a/b" is opened as it is; its directory, made absolute,
 * becomes dir. */
struct doc *doc_read(const char *name, size_t max, struct err *e) must_check;
/* doc_take(name, dir, text, n): a text that came otherwise; text is given away. */
struct doc *doc_take(const char *name, const char *dir, char *text, size_t n) must_check;
/* Valid UTF-8 without control characters but line ends and tabs? 0, or -1 with ERR_INPUT at the
 * place. */
int doc_check_text(const struct doc *d, struct err *e) must_check;
/* doc_parse(d, e): fill d->root from YAML: one document, no tags, no key twice, bounded aliases. 0
 * or -1. */
int doc_parse(struct doc *d, struct err *e) must_check;
void doc_free(struct doc *d);

/* doc_text(d, text, n, line, column): a node made by hand. */
struct doc_node *doc_text(struct doc *d, const char *text, size_t n, unsigned line,
			  unsigned column);
/* doc_forget(d, since): the nodes made since d->nodes was `since` are freed; nobody may use them
 * afterwards. */
void doc_forget(struct doc *d, const struct doc_node *since);
/* doc_json(d, j, line): the same tree of a JSON value; jansson knows no columns of values, so that
 * each of its nodes is at the line's start. */
struct doc_node *doc_json(struct doc *d, const json_t *j, unsigned line);

/* The value of a key, NULL: not there, or node is no mapping or NULL. */
const struct doc_node *doc_get(const struct doc_node *node, const char *key);

/* doc_bad(e, node, fmt, ...): ERR_INPUT with "file:line:column: " in front. Returns -1. */
int doc_bad(struct err *e, const struct doc_node *node, const char *fmt, ...) printf_like(3, 4);
int doc_bad_at(struct err *e, const struct doc *d, unsigned line, unsigned column, const char *fmt,
	       ...) printf_like(5, 6);
/* doc_beside(node): the path that node names, relative ones beside its file as that one was called.
 * The caller frees it. */
char *doc_beside(const struct doc_node *node) must_check;
/* doc_where(node): "file:line:column"; the caller frees it. */
char *doc_where(const struct doc_node *node) must_check;
