/* Format, version 1: one line per entry,
 *   "<type> <mode, 4 octal digits> <sec>.<nsec, 9 digits> <size> <n>:<path> <end>\n"
 * end is the SHA-256 of a file's content in hex, "<n>:<target>" of a link, "-" of a directory or a
 * whiteout. A whiteout's mode, time and size are 0. Paths may hold newlines: the lengths say where
 * they end. Directories have mode 0755, time and size 0; links have mode 0777 and the length of the
 * target as size. */
#include "cache/list.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int list_compare(const void *left, const void *right)
{
	const struct list_entry *a = left, *b = right;
	int c = memcmp(a->path, b->path, a->path_n < b->path_n ? a->path_n : b->path_n);
	return c ? c : (a->path_n > b->path_n) - (a->path_n < b->path_n);
}

bool list_same(const struct list_entry *a, const struct list_entry *b)
{
	return a->type == b->type && a->mode == b->mode && a->mtime_s == b->mtime_s &&
	       a->mtime_ns == b->mtime_ns && a->size == b->size && a->end_n == b->end_n &&
	       !memcmp(a->end, b->end, a->end_n);
}

void list_text(struct text *t, const struct list_entry *x)
{
	text_addf(t, "%c %04o %lld.%09u %llu %zu:", x->type, x->mode, (long long)x->mtime_s,
		  x->mtime_ns, (unsigned long long)x->size, x->path_n);
	text_put(t, x->path, x->path_n);
	text_addc(t, ' ');
	if (x->type == 'l')
		text_addf(t, "%zu:", x->end_n);
	text_put(t, x->end, x->end_n);
	text_addc(t, '\n');
}

int list_begin(struct list_writer *w, int dirfd, const char *name, struct err *e)
{
	*w = (struct list_writer){.fd = -1};
	if (hash_open(&w->hash, "SHA256"))
		return err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	w->fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	return w->fd < 0 ? err_sys(e, "create %s", name) : 0;
}

static int list_flush(struct list_writer *w, struct err *e)
{
	hash_add(&w->hash, text_str(&w->text), w->text.n);
	if (dir_write_all(w->fd, text_str(&w->text), w->text.n))
		return err_sys(e, "write the list of a layer");
	w->text.n = 0;
	return 0;
}

int list_add(struct list_writer *w, const struct list_entry *x, struct err *e)
{
	list_text(&w->text, x);
	w->entries++;
	w->bytes += x->type == 'f' ? x->size : 0;
	return w->text.n < 65536 ? 0 : list_flush(w, e);
}

int list_end(struct list_writer *w, struct cache_layer *out, struct err *e)
{
	if (list_flush(w, e))
		return -1;
	*out = (struct cache_layer){.entries = w->entries, .bytes = w->bytes};
	hash_id(&w->hash, out->id);
	return 0;
}

void list_fini(struct list_writer *w)
{
	own_close(&w->fd);
	hash_close(&w->hash);
	text_fini(&w->text);
}

/* A number that ends with `end`; p is moved past it. */
static int list_number(const char **p, const char *stop, char end, int base, long long *out)
{
	char digits[24];
	size_t n = 0;
	while (*p + n < stop && (*p)[n] != end && n < sizeof(digits) - 1) {
		digits[n] = (*p)[n];
		n++;
	}
	digits[n] = '\0';
	char *rest;
	errno = 0;
	*out = strtoll(digits, &rest, base);
	if (!n || *rest || errno || *p + n >= stop || (*p)[n] != end)
		return -1;
	*p += n + 1;
	return 0;
}

/* "<n>:" and as many bytes. */
static int list_counted(const char **p, const char *stop, const char **bytes, size_t *n)
{
	long long length;
	if (list_number(p, stop, ':', 10, &length) || length < 0 || length >= stop - *p)
		return -1;
	*bytes = *p;
	*n = (size_t)length;
	*p += length;
	return 0;
}

static int list_parse_line(const char **p, const char *stop, struct list_entry *x)
{
	long long mode, sec, nsec, size;
	if (stop - *p < 4 || !strchr("fdlw", (*p)[0]) || (*p)[1] != ' ')
		return -1;
	x->type = (*p)[0];
	*p += 2;
	if (list_number(p, stop, ' ', 8, &mode) || list_number(p, stop, '.', 10, &sec) ||
	    list_number(p, stop, ' ', 10, &nsec) || list_number(p, stop, ' ', 10, &size) ||
	    list_counted(p, stop, &x->path, &x->path_n) || *(*p)++ != ' ')
		return -1;
	x->mode = (unsigned)mode;
	x->mtime_s = sec;
	x->mtime_ns = (uint32_t)nsec;
	x->size = (uint64_t)size;
	if (x->type == 'l') {
		if (list_counted(p, stop, &x->end, &x->end_n))
			return -1;
	} else {
		x->end = *p;
		x->end_n = x->type == 'f' ? CACHE_ID - 1 : 1;
		if ((size_t)(stop - *p) <= x->end_n)
			return -1;
		*p += x->end_n;
	}
	return *(*p)++ == '\n' ? 0 : -1;
}

int list_parse(struct list *l)
{
	const char *p = text_str(&l->text), *stop = p + l->text.n;
	size_t cap = 0;
	while (p < stop) {
		if (l->n == cap) {
			cap = cap ? 2 * cap : 64;
			l->v = own_grow(l->v, cap, sizeof(*l->v));
		}
		if (list_parse_line(&p, stop, &l->v[l->n++]))
			return -1;
	}
	return 0;
}

int list_read(struct list *l, int layers_fd, const char *id, struct err *e)
{
	char name[CACHE_ID + 8], real[CACHE_ID];
	*l = (struct list){0};
	snprintf(name, sizeof(name), "%s.list", id);
	if (dir_read_whole(layers_fd, name, LIST_MAX, &l->text, e)) {
		list_free(l);
		return e->kind == ERR_ABSENT ? 0 : -1;
	}
	cache_digest(text_str(&l->text), l->text.n, real);
	if (strcmp(real, id) || list_parse(l)) {
		list_free(l);
		return 0;
	}
	return 1;
}

void list_free(struct list *l)
{
	text_fini(&l->text);
	free(l->v);
	*l = (struct list){0};
}
