/* Format, version 2: one JSON object, an entry a line, so that a person can read it too and a
 * program needs no more memory than the entries do:
 *   {"assay":2,"store":…,"job":…,"made_ms":…,"parent":"<chain>","chain":"<chain>","layer":"<id>",
 *    "rules":[["<glob>","<rule>"],…],"counts":{"added":…,…,"bytes":…},"entries":[       (one line)
 *   {"change":"added","type":"f","mode":"0644","mtime":"<sec>.<nsec>","size":5,"sha256":…,"path":…},
 *   …
 *   ]}
 * "target" and "reason" where there is one, "sha256" where there is content. Text that is not UTF-8
 * is given in hex under the same key with "-hex" behind it. Entries are all that struct
 * cache_published has but what is identical: also those that published nothing. What is deleted and
 * has type "w" is hidden by the layer; the archive has no other word about it. Version 1 had
 * neither made_ms, parent, chain nor counts, and the identical ones.
 *
 * A publish that was written again (anew.c) has "again_ms", when that was, behind "layer", no
 * rules, and maybe a "salt" that means nothing.
 *
 * Where the words of packages count, "trust", how many were demanded, and "package", whose words
 * these are, stand behind "layer", the counts have one that is "pending", and entries are also
 * those that are pending, and those identical ones that are a word; what else is no word, for the
 * package had said so before or nobody needs to, has "said":true. A record of words alone has the
 * "kind" pending and its own digest as layer.
 *
 * A note has "kind" and "of" behind "assay", its own digest as layer, no rules or counts, and
 * entries that are paths only: {"path":…}. */
#include "cache/record.h"
#include "cache/inner.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* ---- writing: by hand, as there may be a million lines ---- */

/* Length of the UTF-8 sequence (RFC 3629) at p, 0 where there is none. */
static size_t record_utf8(const unsigned char *p)
{
	if (p[0] < 0x80)
		return 1;
	unsigned n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	unsigned long c = p[0] & (0xffu >> (n + 1));
	static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

static bool record_is_utf8(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		size_t n = record_utf8(p);
		if (!n)
			return false;
		p += n;
	}
	return true;
}

static void record_string(struct text *t, const char *s)
{
	text_addc(t, '"');
	for (; *s; s++) {
		size_t n = 0;
		while ((unsigned char)s[n] >= 0x20 && s[n] != '"' && s[n] != '\\')
			n++;
		text_put(t, s, n);
		s += n;
		if (!*s)
			break;
		if (*s == '"' || *s == '\\')
			text_addf(t, "\\%c", *s);
		else
			text_addf(t, "\\u%04x", (unsigned char)*s);
	}
	text_addc(t, '"');
}

static void record_text(struct text *t, const char *key, const char *value)
{
	if (record_is_utf8(value)) {
		text_addf(t, ",\"%s\":", key);
		record_string(t, value);
		return;
	}
	text_addf(t, ",\"%s-hex\":\"", key);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		text_addf(t, "%02x", *p);
	text_addc(t, '"');
}

static bool record_may_be_word(enum cache_change change)
{
	return change <= CACHE_IDENTICAL || change == CACHE_PENDING;
}

static void record_entry(struct text *t, const struct cache_entry *x, bool words)
{
	text_addf(t,
		  "{\"change\":\"%s\",\"type\":\"%c\",\"mode\":\"%04o\",\"mtime\":\"%lld.%09u\","
		  "\"size\":%llu",
		  cache_change_name(x->change), x->type, x->mode & 07777, (long long)x->mtime_s,
		  x->mtime_ns, (unsigned long long)x->size);
	if (x->sha256[0])
		text_addf(t, ",\"sha256\":\"%s\"", x->sha256);
	record_text(t, "path", x->path);
	if (x->target)
		record_text(t, "target", x->target);
	if (x->reason)
		record_text(t, "reason", x->reason);
	if (words && record_may_be_word(x->change) && !x->word)
		text_add(t, ",\"said\":true");
	text_addc(t, '}');
}

/* In the order of enum cache_change; bytes last. */
static const struct {
	const char *word;
	size_t at;
} record_counts[] = {
#define COUNT(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct cache_counts, name)                                         \
	}
	COUNT(added),     COUNT(replaced), COUNT(merged),  COUNT(identical), COUNT(dropped),
	COUNT(conflicts), COUNT(deleted),  COUNT(pending), COUNT(refused),   COUNT(bytes),
};

static uint64_t *record_count(struct cache_counts *n, size_t i)
{
	return (uint64_t *)(void *)((char *)n + record_counts[i].at);
}

static const char *const record_kinds[] = {
	[CACHE_PUBLISH] = "publish", [CACHE_ROLLBACK] = "rollback",     [CACHE_REVOKE] = "revoke",
	[CACHE_COLLECT] = "collect", [CACHE_PENDING_WORDS] = "pending", [CACHE_DISOWN] = "disown",
};

/* Its entries are those of a harvest, not paths alone. */
static bool record_harvested(enum cache_kind kind)
{
	return kind == CACHE_PUBLISH || kind == CACHE_PENDING_WORDS;
}

static void record_write_kind(struct text *t, enum cache_kind kind, const char *of)
{
	text_add(t, "{\"assay\":2");
	if (kind != CACHE_PUBLISH)
		text_addf(t, ",\"kind\":\"%s\",\"of\":\"%s\"", record_kinds[kind], of ? of : "");
}

static void record_write_trust(struct text *t, unsigned n, const char *package)
{
	if (n < 2)
		return;
	text_addf(t, ",\"trust\":%u", n);
	record_text(t, "package", package);
}

static void record_write_head(struct text *t, const char *store, const char *job, int64_t made_ms,
			      const char *parent, const char *chain, const char *layer)
{
	record_text(t, "store", store ? store : "");
	record_text(t, "job", job ? job : "");
	text_addf(t, ",\"made_ms\":%lld,\"parent\":\"%s\",\"chain\":\"%s\",\"layer\":\"%s\"",
		  (long long)made_ms, parent ? parent : "", chain, layer);
}

static void record_write_counts(struct text *t, struct cache_counts counts, bool words)
{
	text_add(t, "],\"counts\":{");
	for (size_t i = 0; i < countof(record_counts); i++)
		if (words || i != CACHE_PENDING)
			text_addf(t, "%s\"%s\":%llu", i ? "," : "", record_counts[i].word,
				  (unsigned long long)*record_count(&counts, i));
}

static void record_write_entries(struct text *t, const struct cache_entry *v, size_t n, bool words)
{
	bool any = false;
	text_add(t, "},\"entries\":[\n");
	for (size_t i = 0; i < n; i++) {
		if (v[i].change == CACHE_IDENTICAL && !v[i].word)
			continue;
		text_add(t, any ? ",\n" : "");
		record_entry(t, &v[i], words);
		any = true;
	}
	text_add(t, any ? "\n]}\n" : "]}\n");
}

void record_write_again(struct text *t, const struct cache_record *r, int64_t now_ms, unsigned salt)
{
	char id[CACHE_ID];
	record_write_kind(t, r->kind, r->of);
	record_write_head(t, r->store, r->job, r->made_ms, r->parent, r->chain, r->layer);
	record_write_trust(t, r->trust, r->package);
	text_addf(t, ",\"again_ms\":%lld", (long long)now_ms);
	text_add(t, salt ? ",\"salt\":\"" : "");
	for (unsigned i = salt; i; i--) {
		cache_digest(&i, sizeof(i), id);
		text_add(t, id);
	}
	text_add(t, salt ? "\",\"rules\":[" : ",\"rules\":[");
	record_write_counts(t, r->counts, r->trust > 1);
	record_write_entries(t, r->entries, r->n_entries, r->trust > 1);
}

void record_write_note(struct text *t, const struct cache_note *n, const struct cache_published *p)
{
	record_write_kind(t, n->kind, n->of);
	record_write_head(t, n->store, n->job, n->made_ms, n->parent, p->chain, p->layer.id);
	text_add(t, ",\"entries\":[\n");
	for (size_t i = 0; i < n->n_paths; i++) {
		size_t brace = t->n;
		record_text(t, "path", n->paths[i]);
		t->p[brace] = '{'; /* for the comma */
		text_add(t, i + 1 < n->n_paths ? "},\n" : "}\n");
	}
	text_add(t, "]}\n");
}

void record_write(struct text *t, const struct cache_harvest *how, const struct cache_published *p)
{
	record_write_kind(t, p->record[0] ? CACHE_PENDING_WORDS : CACHE_PUBLISH, NULL);
	record_write_head(t, how->store, how->job, how->made_ms, how->parent, p->chain,
			  record_id(p));
	record_write_trust(t, how->trust.n, how->trust.package);
	text_add(t, ",\"rules\":[");
	for (size_t i = 0; i < how->n_rules; i++) {
		text_add(t, i ? ",[" : "[");
		record_string(t, how->rules[i].match);
		text_addf(t, ",\"%s\"]", cache_do_name(how->rules[i].what));
	}
	record_write_counts(t, p->counts, how->trust.n > 1);
	record_write_entries(t, p->entries, p->n_entries, how->trust.n > 1);
}

/* ---- reading ---- */

static int record_bad(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "the record of a publish: %s", what);
}

static int record_hex(const char *hex, char **out)
{
	size_t n = strlen(hex);
	auto_free char *bytes = own_alloc(n / 2 + 1);
	for (size_t i = 0; i < n / 2; i++) {
		char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'}, *end;
		unsigned long v = strtoul(pair, &end, 16);
		if (*end || !v || pair[0] == '-' || pair[0] == '+' || pair[0] == ' ')
			return -1;
		bytes[i] = (char)v;
	}
	bytes[n / 2] = '\0';
	*out = n % 2 ? NULL : give(bytes);
	return *out ? 0 : -1;
}

/* 1 there and in *out, the caller's; 0 absent; -1 not of that shape. */
static int record_get(const json_t *o, const char *key, char **out)
{
	char hex_key[24];
	const json_t *v = json_object_get(o, key);
	if (v) {
		const char *s = json_string_value(v);
		if (!s || strlen(s) != json_string_length(v))
			return -1;
		*out = own_dup(s);
		return 1;
	}
	snprintf(hex_key, sizeof(hex_key), "%s-hex", key);
	v = json_object_get(o, hex_key);
	if (!v)
		return 0;
	return !json_string_value(v) || record_hex(json_string_value(v), out) ? -1 : 1;
}

/* A digest; may it be absent or empty? */
static int record_read_id(const json_t *o, const char *key, bool may_lack, char out[CACHE_ID])
{
	const char *s = json_string_value(json_object_get(o, key));
	out[0] = '\0';
	if (!s || !*s)
		return may_lack ? 0 : -1;
	if (!cache_is_id(s, strlen(s)))
		return -1;
	memcpy(out, s, CACHE_ID);
	return 0;
}

static int record_change(const json_t *o, enum cache_change *out)
{
	const char *s = json_string_value(json_object_get(o, "change"));
	for (int i = CACHE_ADDED; s && i <= CACHE_REFUSED; i++)
		if (!strcmp(s, cache_change_name((enum cache_change)i))) {
			*out = (enum cache_change)i;
			return 0;
		}
	return -1;
}

/* "<sec>.<nsec, 9 digits>" */
static int record_time(const char *s, struct cache_entry *x)
{
	char *end, *last;
	if (!s)
		return -1;
	errno = 0;
	x->mtime_s = strtoll(s, &end, 10);
	if (errno || end == s || *end != '.' || strspn(end + 1, "0123456789") != 9)
		return -1;
	x->mtime_ns = (uint32_t)strtoul(end + 1, &last, 10);
	return *last ? -1 : 0;
}

static int record_number(const json_t *o, const char *key, uint64_t *out)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return -1;
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int record_read_entry(const json_t *o, bool words, struct cache_entry *x)
{
	const char *type = json_string_value(json_object_get(o, "type")),
		   *mode = json_string_value(json_object_get(o, "mode"));
	char *end = NULL;
	if (!type || !*type || type[1] || !strchr("fdlw?", *type) || !mode || !*mode)
		return -1;
	x->type = *type;
	x->mode = (unsigned)strtoul(mode, &end, 8) & 07777;
	if (*end || record_change(o, &x->change))
		return -1;
	x->word =
		words && record_may_be_word(x->change) && !json_is_true(json_object_get(o, "said"));
	return record_number(o, "size", &x->size) ||
			       record_time(json_string_value(json_object_get(o, "mtime")), x) ||
			       record_read_id(o, "sha256", true, x->sha256) ||
			       record_get(o, "path", &x->path) != 1 ||
			       record_get(o, "target", &x->target) < 0 ||
			       record_get(o, "reason", &x->reason) < 0
		       ? -1
		       : 0;
}

static int record_read_entries(const char *p, const char *stop, struct cache_record *r,
			       struct err *e)
{
	size_t cap = 0;
	while (p < stop && *p == '{') {
		const char *line = memchr(p, '\n', (size_t)(stop - p));
		if (!line)
			break;
		size_t n = (size_t)(line - p) - (line[-1] == ',');
		json_t *o = json_loadb(p, n, 0, NULL);
		if (r->n_entries == cap) {
			cap = cap ? 2 * cap : 16;
			r->entries = own_grow(r->entries, cap, sizeof(*r->entries));
		}
		struct cache_entry *x = &r->entries[r->n_entries++];
		*x = (struct cache_entry){0};
		int rc = !o                          ? -1
			 : record_harvested(r->kind) ? record_read_entry(o, r->trust > 1, x)
						     : -(record_get(o, "path", &x->path) != 1);
		json_decref(o);
		if (rc)
			return record_bad(e, "an entry that can't be read");
		p = line + 1;
	}
	return stop - p == 3 && !memcmp(p, "]}\n", 3) ? 0 : record_bad(e, "it has no end");
}

static int record_read_counts(const json_t *o, struct cache_record *r)
{
	for (size_t i = 0; i < countof(record_counts); i++)
		if (record_number(o, record_counts[i].word, record_count(&r->counts, i)) &&
		    (i != CACHE_PENDING || r->trust > 1))
			return -1;
	return 0;
}

static int record_read_kind(const json_t *o, struct cache_record *r)
{
	const json_t *v = json_object_get(o, "kind");
	const char *kind = v ? json_string_value(v) : record_kinds[CACHE_PUBLISH];
	for (size_t i = 0; kind && i < countof(record_kinds); i++)
		if (!strcmp(kind, record_kinds[i])) {
			r->kind = (enum cache_kind)i;
			return record_read_id(o, "of", i != CACHE_ROLLBACK && i != CACHE_REVOKE,
					      r->of);
		}
	return -1;
}

static int record_read_trust(const json_t *o, struct cache_record *r)
{
	uint64_t n = 0;
	if (!json_object_get(o, "trust"))
		return 0;
	if (record_number(o, "trust", &n) || n < 2 || n > CACHE_TRUST_MAX ||
	    record_get(o, "package", &r->package) != 1)
		return -1;
	r->trust = (unsigned)n;
	return 0;
}

static int record_read_head(const json_t *o, struct cache_record *r, struct err *e)
{
	uint64_t version = 0, made = 0;
	if (record_number(o, "assay", &version) || version < 1 || version > 2)
		return record_bad(e, "of a version this assay does not know");
	r->version = (unsigned)version;
	if (record_read_kind(o, r))
		return record_bad(e, "of a kind this assay does not know");
	if (record_get(o, "store", &r->store) != 1 || !*r->store ||
	    record_get(o, "job", &r->job) != 1)
		return record_bad(e, "it names no store or no job");
	if (record_read_id(o, "layer", false, r->layer))
		return record_bad(e, "it names no layer");
	if (version < 2)
		return 0;
	if (record_number(o, "made_ms", &made) || record_read_id(o, "parent", true, r->parent) ||
	    record_read_id(o, "chain", r->kind >= CACHE_PENDING_WORDS, r->chain) ||
	    record_read_trust(o, r) ||
	    (record_harvested(r->kind) && record_read_counts(json_object_get(o, "counts"), r)))
		return record_bad(e, "its time, chain or counts can't be read");
	r->made_ms = (int64_t)made;
	return 0;
}

/* The counts of version 1 are those of its entries. */
static void record_count_all(struct cache_record *r)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct cache_entry *x = &r->entries[i];
		++*record_count(&r->counts, x->change);
		if (x->change <= CACHE_MERGED && x->type == 'f')
			r->counts.bytes += x->size;
	}
}

int record_parse(const char *p, size_t n, struct cache_record *r, struct err *e)
{
	static const char opens[] = "\"entries\":[\n";
	*r = (struct cache_record){0};
	const char *line = memchr(p, '\n', n);
	size_t head = line ? (size_t)(line + 1 - p) : 0, open_n = sizeof(opens) - 1;
	if (head <= open_n || memcmp(line + 1 - open_n, opens, open_n))
		return record_bad(e, "its first line is not one");
	auto_text struct text t = TEXT_INIT;
	text_put(&t, p, head - 1);
	text_add(&t, "]}");
	json_t *o = json_loadb(t.p, t.n, 0, NULL);
	int rc = o ? record_read_head(o, r, e) : record_bad(e, "its first line is not one");
	json_decref(o);
	if (rc || record_read_entries(p + head, p + n, r, e))
		return -1;
	if (r->version < 2)
		record_count_all(r);
	return 0;
}

void record_fini(struct cache_record *r)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		free(r->entries[i].path);
		free(r->entries[i].target);
		free(r->entries[i].reason);
	}
	free(r->entries);
	free(r->store);
	free(r->job);
	free(r->package);
	struct cache_frame *frames = r->frames;
	size_t n = r->n_frames;
	*r = (struct cache_record){.frames = frames, .n_frames = n};
}
