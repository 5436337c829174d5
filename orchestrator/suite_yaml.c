/* YAML into a tree with places, by libyaml's events. The depth is bounded here, so that nothing
 * behind it recurses without end. */
#include "orchestrator/suite_doc.h"

#include <limits.h>
#include <string.h>
#include <yaml.h>

/* What is looked through from end to end each time. */
#define DOC_KEYS 4096
#define DOC_ANCHORS 1024

struct anchor {
	char *name;
	struct doc_node *node;
};

struct building {
	struct doc *doc;
	yaml_parser_t parser;
	struct doc_node *open[DOC_DEPTH]; /* mappings and lists whose end has not come */
	struct doc_node *keys[DOC_DEPTH]; /* of open mappings: the key whose value has not come */
	size_t n_open;
	struct anchor *anchors;
	size_t n_anchors;
	bool ended; /* the document */
};

static unsigned mark_line(yaml_mark_t m)
{
	return m.line < UINT_MAX ? (unsigned)m.line + 1 : UINT_MAX;
}

static unsigned mark_column(yaml_mark_t m)
{
	return m.column < UINT_MAX ? (unsigned)m.column + 1 : UINT_MAX;
}

static int bad_mark(struct err *e, const struct building *b, yaml_mark_t m, const char *what)
{
	return doc_bad_at(e, b->doc, mark_line(m), mark_column(m), "%s", what);
}

/* libyaml's own complaint. A tab is what it stumbles over most often and names least clearly. */
static int bad_yaml(struct err *e, const struct building *b)
{
	const yaml_parser_t *p = &b->parser;
	yaml_mark_t m = p->problem_mark;
	if (m.index < b->doc->n && b->doc->text[m.index] == '\t')
		return bad_mark(e, b, m, "a tab cannot indent or separate here; use spaces");
	if (!p->context)
		return doc_bad_at(e, b->doc, mark_line(m), mark_column(m), "this is not YAML: %s",
				  p->problem ? p->problem : "no more is known");
	return doc_bad_at(e, b->doc, mark_line(m), mark_column(m),
			  "this is not YAML: %s %s that begins in line %u", p->problem, p->context,
			  mark_line(p->context_mark));
}

static struct doc_node *new_node(struct building *b, enum doc_kind kind, yaml_mark_t m)
{
	struct doc_node *n = doc_text(b->doc, "", 0, mark_line(m), mark_column(m));
	n->kind = kind;
	return n;
}

static int add_key(struct building *b, struct doc_node *map, struct doc_node *key, struct err *e)
{
	if (key->kind != DOC_TEXT)
		return doc_bad(e, key, "a key must be plain text");
	for (size_t i = 0; i < map->n; i++)
		if (!strcmp(map->items[i].key->text, key->text))
			return doc_bad(e, key,
				       "key '%s' is there twice, first in line %u; keep one",
				       key->text, map->items[i].key->line);
	if (map->n == DOC_KEYS)
		return doc_bad(e, key, "more than %d keys in one mapping", DOC_KEYS);
	b->keys[b->n_open - 1] = key;
	return 0;
}

/* Room for one more, by doubling. */
static void add_item(struct doc_node *to, struct doc_node *key, struct doc_node *value)
{
	if (!(to->n & (to->n - 1)))
		to->items = own_grow(to->items, to->n ? to->n * 2 : 1, sizeof(*to->items));
	to->items[to->n++] = (struct doc_item){key, value};
	to->total += value->total + (key ? 1 : 0);
	if (to->depth <= value->depth)
		to->depth = value->depth + 1;
}

/* A node is complete: it is the root, the next key, or a value. */
static int put_node(struct building *b, struct doc_node *n, yaml_mark_t m, struct err *e)
{
	if (!b->n_open) {
		b->doc->root = n;
		return 0;
	}
	struct doc_node *to = b->open[b->n_open - 1], *key = b->keys[b->n_open - 1];
	if (to->kind == DOC_MAP && !key)
		return add_key(b, to, n, e);
	add_item(to, key, n);
	b->keys[b->n_open - 1] = NULL;
	if (to->total > DOC_NODES)
		return bad_mark(e, b, m,
				"too much in one file, aliases (*name) written out; split it");
	if (to->depth + b->n_open > DOC_DEPTH)
		return bad_mark(e, b, m, "lists and mappings are nested too deeply");
	return 0;
}

static int add_anchor(struct building *b, const yaml_char_t *name, struct doc_node *n,
		      struct err *e)
{
	if (!name)
		return 0;
	if (b->n_anchors == DOC_ANCHORS)
		return doc_bad(e, n, "more than %d anchors", DOC_ANCHORS);
	if (!(b->n_anchors & (b->n_anchors - 1)))
		b->anchors = own_grow(b->anchors, b->n_anchors ? b->n_anchors * 2 : 1,
				      sizeof(*b->anchors));
	b->anchors[b->n_anchors++] = (struct anchor){own_dup((const char *)name), n};
	return 0;
}

static int on_alias(struct building *b, const yaml_event_t *ev, struct err *e)
{
	const char *name = (const char *)ev->data.alias.anchor;
	for (size_t i = b->n_anchors; i-- > 0;) {
		struct doc_node *n = b->anchors[i].node;
		if (strcmp(b->anchors[i].name, name))
			continue;
		for (size_t k = 0; k < b->n_open; k++)
			if (b->open[k] == n)
				return bad_mark(e, b, ev->start_mark,
						"an alias inside its own anchor has no end");
		return put_node(b, n, ev->start_mark, e);
	}
	return doc_bad_at(e, b->doc, mark_line(ev->start_mark), mark_column(ev->start_mark),
			  "no anchor &%s before this alias", name);
}

static int on_scalar(struct building *b, const yaml_event_t *ev, struct err *e)
{
	const char *text = (const char *)ev->data.scalar.value;
	yaml_mark_t m = ev->start_mark;
	if (ev->data.scalar.tag)
		return bad_mark(e, b, m, "tags (!…) mean nothing here; leave it out");
	if (memchr(text, '\0', ev->data.scalar.length))
		return bad_mark(e, b, m, "a NUL character cannot be used");
	struct doc_node *n =
		doc_text(b->doc, text, ev->data.scalar.length, mark_line(m), mark_column(m));
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (add_anchor(b, ev->data.scalar.anchor, n, e))
		return -1;
	return put_node(b, n, m, e);
}

static int on_open(struct building *b, const yaml_event_t *ev, enum doc_kind kind,
		   const yaml_char_t *anchor, const yaml_char_t *tag, struct err *e)
{
	if (tag)
		return bad_mark(e, b, ev->start_mark, "tags (!…) mean nothing here; leave it out");
	if (b->n_open == DOC_DEPTH)
		return bad_mark(e, b, ev->start_mark, "lists and mappings are nested too deeply");
	struct doc_node *n = new_node(b, kind, ev->start_mark);
	if (add_anchor(b, anchor, n, e))
		return -1;
	b->keys[b->n_open] = NULL;
	b->open[b->n_open++] = n;
	return 0;
}

static int on_close(struct building *b, const yaml_event_t *ev, struct err *e)
{
	struct doc_node *n = b->open[--b->n_open];
	return put_node(b, n, ev->start_mark, e);
}

static int on_event(struct building *b, const yaml_event_t *ev, struct err *e)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->ended)
			return bad_mark(e, b, ev->start_mark,
					"a second document; one file, one document");
		return 0;
	case YAML_DOCUMENT_END_EVENT:
		b->ended = true;
		return 0;
	case YAML_ALIAS_EVENT:
		return on_alias(b, ev, e);
	case YAML_SCALAR_EVENT:
		return on_scalar(b, ev, e);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, ev, DOC_LIST, ev->data.sequence_start.anchor,
			       ev->data.sequence_start.tag, e);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, ev, DOC_MAP, ev->data.mapping_start.anchor,
			       ev->data.mapping_start.tag, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(b, ev, e);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
		return 0;
	}
	return 0;
}

static int build(struct building *b, struct err *e)
{
	bool more = true;
	while (more) {
		yaml_event_t ev;
		if (!yaml_parser_parse(&b->parser, &ev))
			return bad_yaml(e, b);
		more = ev.type != YAML_STREAM_END_EVENT;
		int rc = on_event(b, &ev, e);
		yaml_event_delete(&ev);
		if (rc)
			return -1;
	}
	return b->doc->root ? 0 : doc_bad_at(e, b->doc, 1, 1, "there is nothing in it");
}

int doc_parse(struct doc *d, struct err *e)
{
	struct building b = {.doc = d};
	if (!yaml_parser_initialize(&b.parser))
		abort();
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)d->text, d->n);
	int rc = build(&b, e);
	yaml_parser_delete(&b.parser);
	for (size_t i = 0; i < b.n_anchors; i++)
		free(b.anchors[i].name);
	free(b.anchors);
	return rc;
}
