#include "cache/npm.h"
#include "cache/hash.h"

#include <jansson.h>
#include <string.h>

static const struct {
	const char *name, *evp;
	size_t hex;
} npm_algos[] = {{"sha512", "SHA512", 128},
		 {"sha384", "SHA384", 96},
		 {"sha256", "SHA256", 64},
		 {"sha1", "SHA1", 40}};

/* The last n components of path, the first of them in *first. -1 where it has fewer. */
static int npm_tail(const char *path, size_t n, const char **first)
{
	const char *p = path + strlen(path);
	while (n) {
		if (p == path)
			return -1;
		p--;
		while (p > path && p[-1] != '/')
			p--;
		if (!--n)
			break;
		if (p == path)
			return -1;
		p--;
	}
	*first = p;
	return 0;
}

/* "xx/yy/rest" joined, if that is n lower-case hex digits. */
static int npm_join(const char *p, size_t n, char hex[NPM_HEX])
{
	if (strlen(p) != n + 2 || p[2] != '/' || p[5] != '/')
		return -1;
	memcpy(hex, p, 2);
	memcpy(hex + 2, p + 3, 2);
	memcpy(hex + 4, p + 6, n - 4);
	hex[n] = '\0';
	return strspn(hex, "0123456789abcdef") == n ? 0 : -1;
}

int npm_content_name(const char *path, const char **algo, char hex[NPM_HEX])
{
	const char *tail;
	if (npm_tail(path, 4, &tail))
		return -1;
	for (size_t i = 0; i < countof(npm_algos); i++) {
		size_t n = strlen(npm_algos[i].name);
		if (strncmp(tail, npm_algos[i].name, n) || tail[n] != '/')
			continue;
		*algo = npm_algos[i].evp;
		return npm_join(tail + n + 1, npm_algos[i].hex, hex);
	}
	return -1;
}

struct npm_line {
	const char *json;
	size_t n;
	char *identity; /* key and request headers: what a later line replaces */
	size_t key_n;   /* of it, that are the key */
	char *says;     /* the entry but for its time */
	double time;
	bool deletes, gone;
};

struct npm_lines {
	struct npm_line *v;
	size_t n, cap;
	struct hash sha1;
	char bucket[NPM_HEX]; /* SHA-256 every key here must have, or "" */
};

static char *npm_identity(const json_t *key, const json_t *entry)
{
	auto_text struct text t = TEXT_INIT;
	text_put(&t, json_string_value(key), json_string_length(key));
	text_addc(&t, '\n');
	json_t *headers = json_object_get(json_object_get(entry, "metadata"), "reqHeaders");
	char *dump = headers ? json_dumps(headers, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)
			     : NULL;
	if (dump)
		text_add(&t, dump);
	free(dump);
	return text_take(&t);
}

/* What an entry says apart from when it was written: npm writes a line anew, with another time,
 * each time it uses it. */
static char *npm_says(json_t *entry)
{
	json_object_del(entry, "time");
	char *dump = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
	if (!dump)
		abort(); /* only for want of memory */
	return dump;
}

static void npm_line_free(struct npm_line *x)
{
	free(x->identity);
	free(x->says);
}

static bool npm_belongs(const struct npm_lines *l, const json_t *key)
{
	char id[CACHE_ID];
	cache_digest(json_string_value(key), json_string_length(key), id);
	return !l->bucket[0] || !strcmp(l->bucket, id);
}

/* A line that is what it says it is, read into x. */
static bool npm_parse(struct npm_lines *l, const char *p, size_t n, struct npm_line *x)
{
	char hex[HASH_HEX];
	if (n < 42 || p[40] != '\t')
		return false;
	hash_add(&l->sha1, p + 41, n - 41);
	hash_hex(&l->sha1, hex);
	if (memcmp(hex, p, 40))
		return false;
	json_t *entry = json_loadb(p + 41, n - 41, 0, NULL);
	const json_t *key = json_object_get(entry, "key"), *time = json_object_get(entry, "time");
	bool good = json_is_string(key) && json_is_number(time) && npm_belongs(l, key);
	if (good)
		*x = (struct npm_line){
			.json = p + 41,
			.n = n - 41,
			.identity = npm_identity(key, entry),
			.key_n = json_string_length(key),
			.time = json_number_value(time),
			.deletes = !json_is_string(json_object_get(entry, "integrity")),
		};
	if (good)
		x->says = npm_says(entry);
	json_decref(entry);
	return good;
}

/* Lines of one key together, the last of them first. Pointers into one array: their order is that
 * of the lines. */
static int npm_by_key(const void *left, const void *right)
{
	const struct npm_line *a = *(struct npm_line *const *)left,
			      *b = *(struct npm_line *const *)right;
	int c = memcmp(a->identity, b->identity, a->key_n < b->key_n ? a->key_n : b->key_n);
	if (!c)
		c = (a->key_n > b->key_n) - (a->key_n < b->key_n);
	return c ? c : (a < b) - (a > b);
}

static bool npm_same_key(const struct npm_line *a, const struct npm_line *b)
{
	return a->key_n == b->key_n && !memcmp(a->identity, b->identity, a->key_n);
}

/* A deleting line speaks about its key, whatever the headers were: what stands before it among the
 * lines from `from` on is gone. */
static void npm_delete(struct npm_lines *l, size_t from)
{
	size_t n = l->n - from;
	auto_free struct npm_line **v = own_calloc(n, sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[i] = &l->v[from + i];
	qsort(v, n, sizeof(struct npm_line *), npm_by_key);
	for (size_t i = 0; i < n; i++)
		v[i]->gone = v[i]->deletes || (i && npm_same_key(v[i - 1], v[i]) && v[i - 1]->gone);
}

static void npm_read(struct npm_lines *l, const struct text *t)
{
	const char *p = text_str(t), *stop = p + t->n;
	size_t from = l->n;
	bool deletes = false;
	while (p < stop) {
		const char *end = memchr(p, '\n', (size_t)(stop - p));
		struct npm_line x;
		size_t n = (size_t)((end ? end : stop) - p);
		if (npm_parse(l, p, n, &x)) {
			deletes |= x.deletes;
			if (l->n == l->cap) {
				l->cap = l->cap ? 2 * l->cap : 8;
				l->v = own_grow(l->v, l->cap, sizeof(*l->v));
			}
			l->v[l->n++] = x;
		}
		p += n + 1;
	}
	if (deletes)
		npm_delete(l, from);
}

static int npm_by_bytes(const struct npm_line *a, const struct npm_line *b)
{
	int c = memcmp(a->json, b->json, a->n < b->n ? a->n : b->n);
	return c ? c : (a->n > b->n) - (a->n < b->n);
}

static int npm_by_time(const void *left, const void *right)
{
	const struct npm_line *a = left, *b = right;
	return a->time < b->time ? -1 : a->time > b->time ? 1 : npm_by_bytes(a, b);
}

static int npm_by_identity(const void *left, const void *right)
{
	const struct npm_line *a = left, *b = right;
	int c = strcmp(a->identity, b->identity);
	return c ? c : npm_by_time(a, b);
}

/* Of lines i to j, one identity's in the order of time: the newest stays, as it was first written.
 */
static void npm_keep_one(struct npm_line *v, size_t i, size_t j)
{
	size_t keep = j;
	while (keep > i && !strcmp(v[keep - 1].says, v[j].says))
		keep--;
	for (size_t k = i; k <= j; k++)
		v[k].gone = k != keep;
}

static void npm_newest(struct npm_lines *l)
{
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].gone)
			npm_line_free(&l->v[i]);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
	if (n)
		qsort(l->v, n, sizeof(*l->v), npm_by_identity);
	for (size_t i = 0, j; i < n; i = j + 1) {
		for (j = i; j + 1 < n && !strcmp(l->v[j].identity, l->v[j + 1].identity);)
			j++;
		npm_keep_one(l->v, i, j);
	}
	if (n)
		qsort(l->v, n, sizeof(*l->v), npm_by_time);
}

static void npm_write(struct npm_lines *l, const struct npm_line *x, struct text *out)
{
	char hex[HASH_HEX];
	hash_add(&l->sha1, x->json, x->n);
	hash_hex(&l->sha1, hex);
	text_addc(out, '\n');
	text_add(out, hex);
	text_addc(out, '\t');
	text_put(out, x->json, x->n);
}

size_t npm_union(const char *path, const struct text *old, const struct text *new, struct text *out)
{
	struct npm_lines l = {0};
	const char *tail;
	size_t kept = 0;
	if (hash_open(&l.sha1, "SHA1"))
		abort();
	if (npm_tail(path, 3, &tail) || npm_join(tail, 64, l.bucket))
		l.bucket[0] = '\0';
	if (old)
		npm_read(&l, old);
	npm_read(&l, new);
	npm_newest(&l);
	for (size_t i = 0; i < l.n; i++) {
		if (!l.v[i].gone) {
			npm_write(&l, &l.v[i], out);
			kept++;
		}
		npm_line_free(&l.v[i]);
	}
	free(l.v);
	hash_close(&l.sha1);
	return kept;
}
