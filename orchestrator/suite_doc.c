#include "orchestrator/suite_doc.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

struct doc *doc_take(const char *name, const char *dir, char *text, size_t n)
{
	struct doc *d = own_calloc(1, sizeof(*d));
	d->name = own_dup(name);
	d->dir = own_dup(dir);
	d->text = text;
	d->n = n;
	return d;
}

/* The absolute directory of a file that could just be opened. */
static char *doc_dir(const char *path, struct err *e)
{
	char real[PATH_MAX];
	const char *slash = strrchr(path, '/');
	auto_free char *dir = slash ? own_dup_n(path, (size_t)(slash - path) + 1) : own_dup(".");
	if (realpath(dir, real))
		return own_dup(real);
	err_sys(e, "directory of %s", path);
	return NULL;
}

struct doc *doc_read(const char *name, size_t max, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	struct stat st;
	/* nonblocking: a fifo by that name must not hang us */
	auto_fd int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st)) {
		err_set(e, ERR_INPUT, "%s:1:1: cannot be read: %s", name, strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, ERR_INPUT, "%s:1:1: is no regular file; name a YAML file", name);
		return NULL;
	}
	if (dir_read_fd(fd, max, &t, e)) {
		if (e->kind == ERR_LIMIT)
			err_set(e, ERR_INPUT, "%s:1:1: larger than %zu MiB; split it", name,
				max >> 20);
		return NULL;
	}
	auto_free char *dir = doc_dir(name, e);
	if (!dir)
		return NULL;
	size_t n = t.n;
	struct doc *d = doc_take(name, dir, text_take(&t), n);
	if (doc_check_text(d, e)) {
		doc_free(d);
		return NULL;
	}
	return d;
}

void doc_forget(struct doc *d, const struct doc_node *since)
{
	while (d->nodes != since) {
		struct doc_node *n = d->nodes;
		d->nodes = n->next;
		free(n->text);
		free(n->items);
		free(n);
	}
}

void doc_free(struct doc *d)
{
	if (!d)
		return;
	doc_forget(d, NULL);
	free(d->name);
	free(d->dir);
	free(d->text);
	free(d);
}

/* One character of UTF-8 at p: its length in bytes, 0 where it is none (RFC 3629: no overlong
 * forms, no surrogates). */
static size_t doc_char(const unsigned char *p, size_t left, unsigned *code)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc0 ? 2 : 0;
	if (!n || n > left || *p >= 0xf8)
		return 0;
	*code = n == 1 ? *p : *p & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : n;
}

/* U+0085, U+2028 and U+2029 would be line ends to YAML and to nobody else. */
static bool doc_char_ok(unsigned c)
{
	if (c < 0x20)
		return c == '\n' || c == '\t' || c == '\r';
	return !(c >= 0x7f && c < 0xa0) && c != 0x2028 && c != 0x2029 && c != 0xfffe && c != 0xffff;
}

int doc_check_text(const struct doc *d, struct err *e)
{
	const unsigned char *p = (const unsigned char *)d->text, *end = p + d->n;
	unsigned line = 1, column = 1;
	while (p < end) {
		unsigned c = 0;
		size_t n = doc_char(p, (size_t)(end - p), &c);
		if (!n)
			return doc_bad_at(
				e, d, line, column,
				"byte 0x%02x is not UTF-8; save the file in that encoding", *p);
		if (!doc_char_ok(c))
			return doc_bad_at(
				e, d, line, column,
				"control character U+%04X; write it as an escape in double quotes",
				c);
		if (c == '\n')
			line++, column = 1;
		else
			column++;
		p += n;
	}
	return 0;
}

static struct doc_node *doc_new(struct doc *d, enum doc_kind kind, unsigned line, unsigned column)
{
	struct doc_node *n = own_calloc(1, sizeof(*n));
	*n = (struct doc_node){.doc = d,
			       .kind = kind,
			       .line = line,
			       .column = column,
			       .total = 1,
			       .depth = 1,
			       .next = d->nodes};
	d->nodes = n;
	return n;
}

struct doc_node *doc_text(struct doc *d, const char *text, size_t n, unsigned line, unsigned column)
{
	struct doc_node *node = doc_new(d, DOC_TEXT, line, column);
	node->text = own_dup_n(text, n);
	return node;
}

static struct doc_node *doc_json_scalar(struct doc *d, const json_t *j, unsigned line)
{
	if (json_is_string(j))
		return doc_text(d, json_string_value(j), json_string_length(j), line, 1);
	auto_free char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
	struct doc_node *node = doc_text(d, text ? text : "", text ? strlen(text) : 0, line, 1);
	node->number = node->plain = true;
	return node;
}

struct doc_node *doc_json(struct doc *d, const json_t *j, unsigned line)
{
	const char *key;
	json_t *value;
	size_t i;
	if (!json_is_object(j) && !json_is_array(j))
		return doc_json_scalar(d, j, line);
	struct doc_node *node = doc_new(d, json_is_object(j) ? DOC_MAP : DOC_LIST, line, 1);
	node->items =
		own_calloc(json_object_size(j) + json_array_size(j) + 1, sizeof(*node->items));
	json_object_foreach((json_t *)(uintptr_t)j, key, value) node->items[node->n++] =
		(struct doc_item){doc_text(d, key, strlen(key), line, 1), doc_json(d, value, line)};
	json_array_foreach(j, i, value) node->items[node->n++].value = doc_json(d, value, line);
	return node;
}

const struct doc_node *doc_get(const struct doc_node *node, const char *key)
{
	if (!node || node->kind != DOC_MAP)
		return NULL;
	for (size_t i = 0; i < node->n; i++)
		if (!strcmp(node->items[i].key->text, key))
			return node->items[i].value;
	return NULL;
}

char *doc_beside(const struct doc_node *node)
{
	const char *slash = strrchr(node->doc->name, '/');
	int n = slash ? (int)(slash - node->doc->name) + 1 : 0;
	if (node->text[0] == '/')
		return own_dup(node->text);
	return own_fmt("%.*s%s", n, node->doc->name, node->text);
}

char *doc_where(const struct doc_node *node)
{
	if (node->doc->command)
		return doc_where(node->doc->command);
	return own_fmt("%s:%u:%u", node->doc->name, node->line, node->column);
}

static int doc_bad_v(struct err *e, const struct doc *d, unsigned line, unsigned column,
		     const char *fmt, va_list ap)
{
	char text[sizeof(e->text)];
	vsnprintf(text, sizeof(text), fmt, ap);
	if (d->command)
		return doc_bad(e, d->command, "line %u of what the command printed: %s", line,
			       text);
	return err_set(e, ERR_INPUT, "%s:%u:%u: %s", d->name, line, column, text);
}

int doc_bad(struct err *e, const struct doc_node *node, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	doc_bad_v(e, node->doc, node->line, node->column, fmt, ap);
	va_end(ap);
	return -1;
}

int doc_bad_at(struct err *e, const struct doc *d, unsigned line, unsigned column, const char *fmt,
	       ...)
{
	va_list ap;
	va_start(ap, fmt);
	doc_bad_v(e, d, line, column, fmt, ap);
	va_end(ap);
	return -1;
}
