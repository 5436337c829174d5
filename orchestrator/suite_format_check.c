/* Compares a tree with a table of suite_format.c and says what is wrong where. */
#include "orchestrator/suite_format.h"

#include "base/text.h"
#include "base/unit.h"

#include <string.h>

static int check_value(const cyaml_schema_value_t *v, const struct doc_node *node, const char *key,
		       struct err *e);

/* How many letters must be put in, taken out or changed to make b of a (Levenshtein's distance). */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b);
	if (n >= countof(row))
		return n;
	for (size_t i = 0; i <= n; i++)
		row[i] = i;
	for (size_t k = 1; *a; a++, k++) {
		size_t diagonal = row[0];
		row[0] = k;
		for (size_t i = 1; i <= n; i++) {
			size_t least = diagonal + (*a != b[i - 1]);
			diagonal = row[i];
			if (row[i] + 1 < least)
				least = row[i] + 1;
			if (row[i - 1] + 1 < least)
				least = row[i - 1] + 1;
			row[i] = least;
		}
	}
	return row[n];
}

static int bad_key(const cyaml_schema_field_t *fields, const struct doc_node *key, const char *what,
		   struct err *e)
{
	auto_text struct text known = TEXT_INIT;
	const char *nearest = NULL;
	size_t best = 3;
	if (!strcmp(key->text, "<<"))
		return doc_bad(e, key, "merge keys (<<) are not known here; write the keys out");
	for (const cyaml_schema_field_t *f = fields; f->key; f++) {
		size_t far = strlen(key->text) < 64 ? distance(key->text, f->key) : best;
		text_addf(&known, "%s%s", known.n ? ", " : "", f->key);
		if (far < best && far < strlen(f->key)) {
			best = far;
			nearest = f->key;
		}
	}
	if (nearest)
		return doc_bad(e, key, "%s has no key '%.64s'; is '%s' meant?", what, key->text,
			       nearest);
	return doc_bad(e, key, "%s has no key '%.64s'; it has %s", what, key->text,
		       text_str(&known));
}

int format_check(const cyaml_schema_field_t *fields, const struct doc_node *node, const char *what,
		 struct err *e)
{
	const cyaml_schema_field_t *f;
	if (node->kind != DOC_MAP)
		return doc_bad(e, node, "%s must be a mapping: key: value", what);
	for (size_t i = 0; i < node->n; i++) {
		const struct doc_item *it = &node->items[i];
		for (f = fields; f->key && strcmp(f->key, it->key->text); f++)
			;
		if (!f->key)
			return bad_key(fields, it->key, what, e);
		if (check_value(&f->value, it->value, f->key, e))
			return -1;
	}
	for (f = fields; f->key; f++)
		if (!(f->value.flags & CYAML_FLAG_OPTIONAL) && !doc_get(node, f->key))
			return doc_bad(e, node, "%s needs the key '%s'", what, f->key);
	return 0;
}

static int check_list(const cyaml_schema_value_t *v, const struct doc_node *node, const char *key,
		      struct err *e)
{
	/* "phases" holds "an entry of phases" */
	auto_free char *what = own_fmt("an entry of %s", key);
	if (node->kind != DOC_LIST)
		return doc_bad(e, node, "%s must be a list: [a, b], or lines that begin with '- '",
			       key);
	if (node->n > v->sequence.max)
		return doc_bad(e, node, "%s: more than %u entries", key, v->sequence.max);
	for (size_t i = 0; i < node->n; i++) {
		const struct doc_node *entry = node->items[i].value;
		int rc = v->sequence.entry->type == CYAML_MAPPING
				 ? format_check(v->sequence.entry->mapping.fields, entry, what, e)
				 : check_value(v->sequence.entry, entry, what, e);
		if (rc)
			return -1;
	}
	return 0;
}

static int check_word(const cyaml_schema_value_t *v, const struct doc_node *node, const char *key,
		      struct err *e)
{
	auto_text struct text known = TEXT_INIT;
	for (uint32_t i = 0; i < v->enumeration.count; i++) {
		if (!strcmp(node->text, v->enumeration.strings[i].str))
			return 0;
		text_addf(&known, "%s%s", i ? ", " : "", v->enumeration.strings[i].str);
	}
	return doc_bad(e, node, "%s: '%.64s' is unknown; it is one of: %s", key, node->text,
		       text_str(&known));
}

/* A scalar of the type the table says. */
static int check_scalar(const cyaml_schema_value_t *v, const struct doc_node *node, const char *key,
			struct err *e)
{
	uint64_t n;
	if (node->kind != DOC_TEXT)
		return doc_bad(e, node, "%s must be one value, not a %s", key,
			       node->kind == DOC_LIST ? "list" : "mapping");
	if (node->plain && !*node->text)
		return doc_bad(
			e, node,
			"%s has no value; leave the key out, or write \"\" for an empty text", key);
	if (v->type == CYAML_BOOL &&
	    (!node->plain || (strcmp(node->text, "true") && strcmp(node->text, "false"))))
		return doc_bad(e, node, "%s: '%.64s' is neither true nor false", key, node->text);
	if (v->type == CYAML_UINT && (!node->plain || unit_parse_count(node->text, &n)))
		return doc_bad(e, node, "%s: '%.64s' is no number; write digits only, like 12", key,
			       node->text);
	if (v->type == CYAML_STRING && node->number)
		return doc_bad(e, node, "%s: %.64s must be a text, in double quotes", key,
			       node->text);
	if (v->type == CYAML_ENUM)
		return check_word(v, node, key, e);
	return 0;
}

static int check_value(const cyaml_schema_value_t *v, const struct doc_node *node, const char *key,
		       struct err *e)
{
	switch (v->type) {
	case CYAML_IGNORE:
		return 0;
	case CYAML_MAPPING:
		return format_check(v->mapping.fields, node, key, e);
	case CYAML_SEQUENCE:
		return check_list(v, node, key, e);
	case CYAML_INT:
	case CYAML_UINT:
	case CYAML_BOOL:
	case CYAML_ENUM:
	case CYAML_FLAGS:
	case CYAML_FLOAT:
	case CYAML_STRING:
	case CYAML_BITFIELD:
	case CYAML_SEQUENCE_FIXED:
	case CYAML__TYPE_COUNT:
		return check_scalar(v, node, key, e);
	}
	return 0;
}
