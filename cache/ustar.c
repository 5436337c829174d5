/* Fields of the header: pax(1), "ustar Interchange Format". Numbers are octal, zeros before them, a
 * space and where there is room for it a NUL behind, as libarchive has them: the same entry is the
 * same bytes, whoever writes it. */
#include "cache/ustar.h"

#include <string.h>

struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100],
		magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155],
		rest[12];
};
_Static_assert(sizeof(struct ustar) == USTAR_BLOCK, "a header is a block");

static const char ustar_digits[] = "000000 ";

static void ustar_octal(char *field, unsigned digits, uint64_t v)
{
	for (; digits; v >>= 3)
		field[--digits] = (char)('0' + (v & 7));
}

static bool ustar_is_ascii(const char *s, size_t n)
{
	unsigned char all = 0;
	for (size_t i = 0; i < n; i++)
		all |= (unsigned char)s[i];
	return all < 0x80;
}

/* The path, a directory's with a slash behind, in one piece or, at the first slash that leaves not
 * too much behind it, in two. */
static bool ustar_name(struct ustar *u, const char *path, size_t n, bool dir)
{
	size_t all = n + dir;
	const char *cut = NULL;
	if (all > sizeof(u->name)) {
		const char *from = path + all - sizeof(u->name) - 1;
		cut = from < path + n ? memchr(from + (from == path), '/',
					       (size_t)(path + n - from - (from == path)))
				      : NULL;
		if (!cut || (size_t)(cut - path) > sizeof(u->prefix))
			return false;
		memcpy(u->prefix, path, (size_t)(cut - path));
		n -= (size_t)(cut + 1 - path);
		path = cut + 1;
	}
	memcpy(u->name, path, n);
	if (dir)
		u->name[n] = '/';
	return true;
}

bool ustar_header(const struct cache_entry *x, char out[USTAR_BLOCK])
{
	struct ustar u = {.type = x->type == 'd'   ? '5'
				  : x->type == 'l' ? '2'
						   : '0',
			  .magic = "ustar",
			  .version = {'0', '0'}};
	size_t n = strlen(x->path), target = x->type == 'l' && x->target ? strlen(x->target) : 0;
	uint64_t size = x->type == 'f' ? x->size : 0;
	if (size >> 33 || x->mtime_s < 0 || x->mtime_s >= INT32_MAX || target > sizeof(u.link) ||
	    !ustar_is_ascii(x->path, n) || !ustar_is_ascii(x->target, target) ||
	    !ustar_name(&u, x->path, n, x->type == 'd'))
		return false;
	char *const zero[] = {u.mode, u.uid, u.gid, u.major, u.minor};
	for (size_t i = 0; i < countof(zero); i++)
		memcpy(zero[i], ustar_digits, sizeof(ustar_digits));
	ustar_octal(u.mode, 6, x->mode & 07777);
	ustar_octal(u.size, 11, size);
	ustar_octal(u.mtime, 11, (uint64_t)x->mtime_s);
	u.size[11] = u.mtime[11] = ' ';
	if (target)
		memcpy(u.link, x->target, target);
	/* Of all bytes, its own field taken for spaces. */
	memset(u.sum, ' ', sizeof(u.sum));
	memcpy(out, &u, sizeof(u));
	unsigned sum = 0;
	for (size_t i = 0; i < USTAR_BLOCK; i++)
		sum += (unsigned char)out[i];
	char *field = out + offsetof(struct ustar, sum);
	ustar_octal(field, 6, sum);
	field[6] = '\0';
	return true;
}
