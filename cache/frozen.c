/* What a whole tree is, as text:
 *
 *   "assay-frozen 1\n", then for each entry, in bytewise order of the paths,
 *   "<type> <mode octal> <size> <mtime sec>.<nsec> <device> <path length>:<path> <what it holds>\n"
 *
 * Type is the file type in octal (S_IFMT >> 12); size and mtime are 0 for directories, whose own
 * depend on the file system; the device is that of device nodes (0: an overlay's whiteout). What it
 * holds is the content's SHA-256, or "<link length>:<target>", or "-". After what carries user
 * attributes (an overlay's marks are such) come lines "  <name length>:<name> <length>:<value>\n",
 * by name. */
#include "cache/hash.h"
#include "cache/tree.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

struct frozen {
	struct hash all, one;
	struct text line;
	char *buffer;
	struct cache_frozen *out;
};

#define FROZEN_BUFFER ((size_t)256 << 10)

static void frozen_bytes(struct text *t, const void *bytes, size_t n)
{
	text_addf(t, "%zu:", n);
	text_put(t, bytes, n);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int frozen_attribute(struct frozen *f, int fd, const char *name)
{
	ssize_t n = fgetxattr(fd, name, f->buffer, FROZEN_BUFFER);
	if (n < 0)
		return -1;
	text_add(&f->line, "  ");
	frozen_bytes(&f->line, name, strlen(name));
	text_addc(&f->line, ' ');
	frozen_bytes(&f->line, f->buffer, (size_t)n);
	text_addc(&f->line, '\n');
	return 0;
}

/* Of a file or directory that is open to be read. */
static int frozen_attributes(struct frozen *f, int fd, const char *path, struct err *e)
{
	ssize_t n = flistxattr(fd, f->buffer, FROZEN_BUFFER);
	if (n < 0 && (errno == ENOTSUP || errno == ENOSYS))
		return 0;
	if (n < 0)
		return err_sys(e, "list the attributes of %s", path);
	auto_free char *names = own_alloc((size_t)n + 1);
	memcpy(names, f->buffer, (size_t)n);
	auto_free char **list = own_calloc((size_t)n + 1, sizeof(*list));
	size_t n_list = 0;
	for (char *p = names; p < names + n; p += strlen(p) + 1)
		if (!strncmp(p, "user.", 5))
			list[n_list++] = p;
	if (n_list > 1)
		qsort(list, n_list, sizeof(*list), by_name);
	for (size_t i = 0; i < n_list; i++)
		if (frozen_attribute(f, fd, list[i]))
			return err_sys(e, "read attribute %s of %s", list[i], path);
	return 0;
}

static int frozen_content(struct frozen *f, int fd, const char *path, struct err *e)
{
	char id[CACHE_ID];
	if (hash_add_fd(&f->one, fd, f->buffer, FROZEN_BUFFER, NULL))
		return err_sys(e, "read %s", path);
	hash_id(&f->one, id);
	text_addf(&f->line, "%s\n", id);
	return frozen_attributes(f, fd, path, e);
}

static int frozen_file(struct frozen *f, struct tree_item *it, struct err *e)
{
	auto_fd int fd = tree_item_open(it);
	if (fd < 0)
		return err_sys(e, "open %s", it->path);
	return frozen_content(f, fd, it->path, e);
}

static int frozen_dir(struct frozen *f, struct tree_item *it, struct err *e)
{
	text_add(&f->line, "-\n");
	if (it->elsewhere)
		return err_set(e, ERR_HOSTILE, "%s is on another file system", it->path);
	it->opened = openat(it->dirfd, it->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (it->opened < 0)
		return err_sys(e, "open directory %s", it->path);
	return frozen_attributes(f, it->opened, it->path, e);
}

static int frozen_link(struct frozen *f, const struct tree_item *it, struct err *e)
{
	ssize_t n = readlinkat(it->dirfd, it->name, f->buffer, FROZEN_BUFFER);
	if (n < 0)
		return err_sys(e, "read link %s", it->path);
	frozen_bytes(&f->line, f->buffer, (size_t)n);
	text_addc(&f->line, '\n');
	return 0;
}

static int frozen_item(void *arg, struct tree_item *it, struct err *e)
{
	struct frozen *f = arg;
	const struct stat *st = &it->st;
	bool dir = S_ISDIR(st->st_mode), device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
	int rc = 0;
	f->line.n = 0;
	f->out->entries++;
	f->out->bytes += (uint64_t)st->st_blocks * 512;
	text_addf(&f->line, "%o %04o %lld %lld.%09ld %llx ", (st->st_mode & S_IFMT) >> 12,
		  st->st_mode & 07777, dir ? 0 : (long long)st->st_size,
		  dir ? 0 : (long long)st->st_mtim.tv_sec, dir ? 0 : st->st_mtim.tv_nsec,
		  device ? (unsigned long long)st->st_rdev : 0);
	frozen_bytes(&f->line, it->path, strlen(it->path));
	text_addc(&f->line, ' ');
	if (S_ISREG(st->st_mode))
		rc = frozen_file(f, it, e);
	else if (dir)
		rc = frozen_dir(f, it, e);
	else if (S_ISLNK(st->st_mode))
		rc = frozen_link(f, it, e);
	else
		text_add(&f->line, "-\n");
	hash_add(&f->all, f->line.p, f->line.n);
	return rc;
}

int cache_frozen(int dirfd, struct cache_frozen *out, struct err *e)
{
	static const struct tree_bounds bounds = {.max_entries = 2000000,
						  .max_depth = 1024,
						  .open = true};
	static const char head[] = "assay-frozen 1\n";
	struct frozen f = {.line = TEXT_INIT, .out = out};
	int rc = -1;
	*out = (struct cache_frozen){0};
	if (hash_open(&f.all, "SHA256") || hash_open(&f.one, "SHA256")) {
		err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	} else {
		f.buffer = own_alloc(FROZEN_BUFFER);
		hash_add(&f.all, head, sizeof(head) - 1);
		rc = tree_walk(dirfd, &bounds, frozen_item, &f, e);
		hash_id(&f.all, out->digest);
	}
	hash_close(&f.all);
	hash_close(&f.one);
	text_fini(&f.line);
	free(f.buffer);
	return rc;
}
