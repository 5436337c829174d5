/* The packages of a suite: written in it, listed by a file, or printed by a command. */
#include "orchestrator/suite_parts.h"

#include "base/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#define PACKAGES_MAX 1000000
#define PACKAGE_LINE ((size_t)1 << 20)
#define PACKAGE_FILES 256
#define PACKAGE_FILE_BYTES (16 << 20) /* as the boxes copy them (boxing.h) */
#define PACKAGE_WEIGHT ((uint64_t)10000000)
#define COMMAND_MS ((uint64_t)600000)
#define COMMAND_MS_MAX ((uint64_t)86400000)

/* Which ids there are, to find the second of a pair at once. */
struct known {
	const char *id; /* the package's */
	char *where;
	size_t package;
	UT_hash_handle hh;
};

/* In blocks, and not one by one between what outlives them: what is freed between that would never
 * go back to the system. */
struct known_block {
	struct known_block *next;
	size_t n;
	struct known of[4096];
};

/* A package may depend on one that is listed later. */
struct wish {
	size_t package;
	const struct doc_node *on; /* the document's, which outlives the reading */
};

struct reading {
	struct draft *draft;
	struct text *digest;
	struct known *known;
	struct known_block *blocks;
	size_t cap;
	struct wish *wishes;
	size_t n_wishes, wish_cap;
};

/* ---- one package ---- */

/* How long an id is as part of a file's name, where what is special is percent-encoded. */
static size_t id_length(const char *id)
{
	size_t n = 0;
	for (const char *p = id; *p; p++)
		n += *p == '/' || *p == '%' || (*p == '.' && p == id) ? 3 : 1;
	return n;
}

static int package_file(const struct doc_node *name, const struct doc_node *value,
			struct suite_package *p, struct err *e)
{
	struct stat st;
	if (word_relative(name, "file", e))
		return -1;
	if (value->kind != DOC_TEXT || value->number || word_line(value, "file", 4095, e))
		return value->kind == DOC_TEXT && !value->number
			       ? -1
			       : doc_bad(e, value, "%s: the path of a file", name->text);
	for (size_t i = 0; i < p->n_files; i++)
		if (word_inside(name->text, p->files[i].name) ||
		    word_inside(p->files[i].name, name->text))
			return doc_bad(e, name, "file %s and file %s cannot both be there",
				       name->text, p->files[i].name);
	char *path = value->text[0] == '/' ? own_dup(value->text)
					   : own_fmt("%s/%s", value->doc->dir, value->text);
	p->files = own_grow(p->files, p->n_files + 1, sizeof(*p->files));
	p->files[p->n_files++] = (struct suite_file){own_dup(name->text), path};
	if (word_file(value, "file", path, e))
		return -1;
	if (stat(path, &st) || st.st_size > PACKAGE_FILE_BYTES)
		return doc_bad(e, value, "file %s is larger than %d MiB", path,
			       PACKAGE_FILE_BYTES >> 20);
	return 0;
}

static int package_files(const struct doc_node *files, struct suite_package *p, struct err *e)
{
	if (!files)
		return 0;
	if (files->kind != DOC_MAP)
		return doc_bad(e, files, "files must be a mapping: name below /input: path");
	if (files->n > PACKAGE_FILES)
		return doc_bad(e, files, "files: more than %d of one package", PACKAGE_FILES);
	for (size_t i = 0; i < files->n; i++)
		if (package_file(files->items[i].key, files->items[i].value, p, e))
			return -1;
	return 0;
}

static int package_words(struct pool *texts, const struct doc_node *node, struct suite_package *p,
			 struct err *e)
{
	const struct doc_node *id = doc_get(node, "id"), *name = doc_get(node, "name"),
			      *version = doc_get(node, "version"),
			      *weight = doc_get(node, "weight");
	if (word_line(name, "name", 255, e) || (id && word_line(id, "id", 255, e)))
		return -1;
	if (version && *version->text && word_line(version, "version", 255, e))
		return -1;
	p->name = pool_dup(texts, name->text);
	p->id = id ? pool_dup(texts, id->text) : p->name;
	p->version = pool_dup(texts, version ? version->text : "");
	if (id_length(p->id) > WORD_ID_MAX)
		return doc_bad(e, id ? id : name,
			       "%s '%.40s…' is too long for the names of log files (%d bytes, '/' "
			       "counts 3)%s",
			       id ? "id" : "name", p->id, WORD_ID_MAX, id ? "" : "; give it an id");
	if (weight && (unit_parse_count(weight->text, &p->weight) || p->weight > PACKAGE_WEIGHT))
		return doc_bad(e, weight, "weight: '%.32s' makes no sense; seconds, at most %llu",
			       weight->text, (unsigned long long)PACKAGE_WEIGHT);
	return 0;
}

static struct known *known_new(struct reading *r)
{
	if (!r->blocks || r->blocks->n == countof(r->blocks->of)) {
		struct known_block *b = own_alloc(sizeof(*b));
		b->next = r->blocks;
		b->n = 0;
		r->blocks = b;
	}
	return &r->blocks->of[r->blocks->n++];
}

static int package_know(struct reading *r, const struct doc_node *at, const struct suite_package *p,
			struct err *e)
{
	struct known *k;
	HASH_FIND_STR(r->known, p->id, k);
	if (k)
		return doc_bad(e, at,
			       "package %s is there twice, first at %s; drop one, or give it an id "
			       "of its own",
			       p->id, k->where);
	k = known_new(r);
	*k = (struct known){p->id, p->where, r->draft->suite->n_packages - 1, {0}};
	HASH_ADD_KEYPTR(hh, r->known, k->id, strlen(k->id), k);
	return 0;
}

static struct suite_package *package_new(struct reading *r, const struct doc_node *at)
{
	struct suite *s = r->draft->suite;
	if (s->n_packages == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		s->packages = own_grow(s->packages, r->cap, sizeof(*s->packages));
	}
	struct suite_package *p = &s->packages[s->n_packages++];
	auto_free char *where = doc_where(at);
	*p = (struct suite_package){.where = pool_dup(&s->texts, where)};
	return p;
}

static int package_depends(struct reading *r, const struct doc_node *depends, struct err *e)
{
	if (!depends)
		return 0;
	if (depends->kind != DOC_LIST)
		return doc_bad(e, depends, "depends must be a list of packages' ids");
	for (size_t i = 0; i < depends->n; i++) {
		const struct doc_node *on = depends->items[i].value;
		if (on->kind != DOC_TEXT)
			return doc_bad(e, on, "depends: the id of a package");
		if (r->n_wishes == r->wish_cap) {
			r->wish_cap = r->wish_cap ? r->wish_cap * 2 : 64;
			r->wishes = own_grow(r->wishes, r->wish_cap, sizeof(*r->wishes));
		}
		r->wishes[r->n_wishes++] = (struct wish){r->draft->suite->n_packages - 1, on};
	}
	return 0;
}

/* All packages are known: what each depends on. */
static int packages_depend(struct reading *r, struct err *e)
{
	for (size_t i = 0; i < r->n_wishes; i++) {
		struct suite_package *p = &r->draft->suite->packages[r->wishes[i].package];
		struct known *k;
		HASH_FIND_STR(r->known, r->wishes[i].on->text, k);
		if (!k)
			return doc_bad(e, r->wishes[i].on,
				       "package %s depends on '%.80s', which is no package of this "
				       "suite",
				       p->id, r->wishes[i].on->text);
		p->depends = own_grow(p->depends, p->n_depends + 1, sizeof(*p->depends));
		p->depends[p->n_depends++] = (uint32_t)k->package;
	}
	return 0;
}

static int package_mapping(struct reading *r, const struct doc_node *node, struct err *e)
{
	if (r->draft->suite->n_packages == PACKAGES_MAX)
		return doc_bad(e, node, "more than %d packages", PACKAGES_MAX);
	if (format_check(format_package, node, "a package", e))
		return -1;
	struct suite_package *p = package_new(r, node);
	const struct doc_node *id = doc_get(node, "id");
	if (package_words(&r->draft->suite->texts, node, p, e) ||
	    parts_env(doc_get(node, "env"), &p->env, &p->n_env, e) ||
	    package_files(doc_get(node, "files"), p, e) ||
	    package_depends(r, doc_get(node, "depends"), e))
		return -1;
	return package_know(r, id ? id : doc_get(node, "name"), p, e);
}

/* name@version; the '@' of "@scope/name" belongs to the name. */
static int package_spec(struct reading *r, const struct doc_node *node, struct err *e)
{
	struct pool *texts = &r->draft->suite->texts;
	const char *s = node->text;
	if (r->draft->suite->n_packages == PACKAGES_MAX)
		return doc_bad(e, node, "more than %d packages", PACKAGES_MAX);
	if (word_line(node, "package", 512, e))
		return -1;
	const char *at = *s ? strrchr(s + 1, '@') : NULL;
	if (s[strcspn(s, " \t")] || (at && !at[1]) || !strcmp(s, "@"))
		return doc_bad(e, node, "package '%.80s': write name@version or name", s);
	if (id_length(s) - (at ? strlen(at) : 0) > WORD_ID_MAX)
		return doc_bad(e, node,
			       "package '%.40s…': the name is too long for the names of log files; "
			       "write it as a mapping "
			       "with an id",
			       s);
	struct suite_package *p = package_new(r, node);
	p->name = pool_dup_n(texts, s, at ? (size_t)(at - s) : strlen(s));
	p->id = p->name;
	p->version = pool_dup(texts, at ? at + 1 : "");
	return package_know(r, node, p, e);
}

/* ---- lists of them ---- */

static int line_json(struct reading *r, struct doc *d, const char *line, size_t n, unsigned number,
		     struct err *e)
{
	json_error_t je;
	json_t *j = json_loadb(line, n, JSON_REJECT_DUPLICATES, &je);
	if (!j)
		return doc_bad_at(e, d, number, je.column > 0 ? (unsigned)je.column : 1,
				  "this line is no JSON object: %s", je.text);
	int rc = package_mapping(r, doc_json(d, j, number), e);
	json_decref(j);
	return rc;
}

static int line_spec(struct reading *r, struct doc *d, const char *line, size_t n, unsigned number,
		     struct err *e)
{
	if (*line == '#')
		return 0;
	return package_spec(r, doc_text(d, line, n, number, 1), e);
}

/* Each line that is not blank, without blanks at its end. Of a line that says no dependencies,
 * which are looked up later, no node is needed again. */
static int read_lines(struct reading *r, struct doc *d,
		      int (*line)(struct reading *, struct doc *, const char *, size_t, unsigned,
				  struct err *),
		      struct err *e)
{
	const char *end = d->text + d->n;
	unsigned number = 1;
	for (const char *p = d->text; p < end; number++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop ? stop : end) - p);
		const char *next = stop ? stop + 1 : end;
		if (n > PACKAGE_LINE)
			return doc_bad_at(e, d, number, 1,
					  "a line longer than 1 MiB; one package a line");
		while (n && strchr(" \t\r", p[n - 1]))
			n--;
		const struct doc_node *since = d->nodes;
		size_t n_wishes = r->n_wishes;
		if (n && line(r, d, p, n, number, e))
			return -1;
		if (r->n_wishes == n_wishes)
			doc_forget(d, since);
		p = next;
	}
	return 0;
}

static int read_file(struct reading *r, const struct doc_node *node, struct err *e)
{
	const struct doc_node *file = doc_get(node, "file");
	if (format_check(format_file, node, "a package file", e) ||
	    word_line(file, "file", 4095, e))
		return -1;
	struct doc *d = draft_doc(r->draft, packages_from_file(file, e));
	if (!d)
		return -1;
	size_t n = strlen(d->name);
	bool json = n > 6 && !strcmp(d->name + n - 6, ".jsonl");
	draft_digest(r->digest, "packages", d->text, d->n);
	return read_lines(r, d, json ? line_json : line_spec, e);
}

static int read_command(struct reading *r, const struct doc_node *node, struct err *e)
{
	const struct doc_node *command = doc_get(node, "command"), *time = doc_get(node, "time");
	uint64_t ms = COMMAND_MS;
	if (format_check(format_command, node, "a package command", e))
		return -1;
	if (!command->text[strspn(command->text, " \t\n")])
		return doc_bad(e, command, "the command is blank");
	if (strlen(command->text) > WORD_ARG_MAX)
		return doc_bad(e, command, "the command is longer than Linux takes (%d bytes)",
			       WORD_ARG_MAX);
	if (time && (unit_parse_duration(time->text, &ms) || !ms || ms > COMMAND_MS_MAX))
		return doc_bad(
			e, time,
			"time: '%.64s' makes no sense; a number and ms, s, m or h, at most 24h",
			time->text);
	struct doc *d = draft_doc(r->draft, packages_from_command(command, ms, e));
	if (!d)
		return -1;
	draft_digest(r->digest, "packages", d->text, d->n);
	return read_lines(r, d, line_json, e);
}

static int read_entry(struct reading *r, const struct doc_node *node, struct err *e)
{
	if (node->kind == DOC_TEXT)
		return package_spec(r, node, e);
	if (doc_get(node, "file"))
		return read_file(r, node, e);
	if (doc_get(node, "command"))
		return read_command(r, node, e);
	return package_mapping(r, node, e);
}

int packages_read(struct draft *d, struct text *digest, struct err *e)
{
	const struct doc_node *packages = doc_get(d->ours->at, "packages");
	struct reading r = {.draft = d, .digest = digest};
	int rc = 0;
	own_return_large(); /* what says which ids there are */
	if (packages->kind != DOC_LIST)
		return doc_bad(e, packages, "packages must be a list: lines that begin with '- '");
	for (size_t i = 0; !rc && i < packages->n; i++)
		rc = read_entry(&r, packages->items[i].value, e);
	if (!rc && !d->suite->n_packages)
		rc = doc_bad(e, packages, "there are no packages; a suite has one at least");
	if (!rc)
		rc = packages_depend(&r, e);
	free(r.wishes);
	HASH_CLEAR(hh, r.known);
	for (struct known_block *b = r.blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	return rc;
}
