#include "cache/import.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int import_take(struct import_left *left, uint64_t entries, uint64_t bytes, const char *path,
		struct err *e)
{
	if (entries > left->entries)
		return err_set(e, ERR_HOSTILE, "%s: more than %llu entries", path,
			       (unsigned long long)left->max_entries);
	if (bytes > left->bytes)
		return err_set(e, ERR_HOSTILE, "%s: more than %llu bytes", path,
			       (unsigned long long)left->max_bytes);
	left->entries -= entries;
	left->bytes -= bytes;
	return 0;
}

unsigned import_mode(unsigned mode)
{
	return (mode & 0200) | 0444 | (mode & 0111 ? 0111 : 0);
}

struct import {
	struct build *b;
	const char *prefix; /* "" or "opt/node" */
	struct import_left *left;
	dev_t tmp_dev;
	ino_t tmp_ino; /* where we write: must not lie in what is read */
};

static int import_file(struct import *im, struct tree_item *it, const char *path,
		       struct list_entry *x, char id[CACHE_ID], struct err *e)
{
	struct build_meta m = {x->mode, x->mtime_s, x->mtime_ns};
	auto_fd int fd = tree_item_open(it);
	if (fd < 0)
		return err_sys(e, "open %s", it->path);
	if (build_copy(im->b, path, fd, im->left->bytes, &m, &x->size, id, e)) {
		if (e->kind == ERR_LIMIT)
			e->kind = ERR_HOSTILE;
		return -1;
	}
	return import_take(im->left, 1, x->size, it->path, e);
}

static int import_link(struct import *im, struct tree_item *it, const char *path,
		       struct list_entry *x, char target[4096], struct err *e)
{
	struct build_meta m = {x->mode, x->mtime_s, x->mtime_ns};
	ssize_t n = readlinkat(it->dirfd, it->name, target, 4095);
	if (n < 0)
		return err_sys(e, "read link %s", it->path);
	target[n] = '\0';
	x->end = target;
	x->size = x->end_n = (size_t)n;
	if (import_take(im->left, 1, 0, it->path, e))
		return -1;
	return build_symlink(im->b, path, target, &m, e);
}

static int import_dir(struct import *im, struct tree_item *it, const char *path, struct err *e)
{
	if (it->elsewhere)
		return err_set(e, ERR_INPUT, "%s lies on another file system", it->path);
	if (it->st.st_dev == im->tmp_dev && it->st.st_ino == im->tmp_ino)
		return err_set(e, ERR_INPUT, "%s: the state directory lies in what is imported",
			       it->path);
	if (import_take(im->left, 1, 0, it->path, e))
		return -1;
	return build_dir(im->b, path, e);
}

static int import_item(void *arg, struct tree_item *it, struct err *e)
{
	struct import *im = arg;
	char id[CACHE_ID], target[4096];
	auto_free char *path = own_fmt("%s%s%s", im->prefix, *im->prefix ? "/" : "", it->path);
	struct list_entry x = {
		.mtime_s = it->st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)it->st.st_mtim.tv_nsec,
		.path = path,
		.path_n = strlen(path),
	};
	int rc;
	switch (it->st.st_mode & S_IFMT) {
	case S_IFREG:
		x.type = 'f';
		x.mode = import_mode(it->st.st_mode);
		x.end = id;
		x.end_n = CACHE_ID - 1;
		rc = import_file(im, it, path, &x, id, e);
		break;
	case S_IFLNK:
		x.type = 'l';
		x.mode = 0777;
		rc = import_link(im, it, path, &x, target, e);
		break;
	case S_IFDIR:
		x.type = 'd';
		x.mode = 0755;
		x.mtime_s = x.mtime_ns = 0;
		x.end = "-";
		x.end_n = 1;
		rc = import_dir(im, it, path, e);
		break;
	default:
		rc = err_set(e, ERR_HOSTILE, "%s is a device, fifo or socket", it->path);
	}
	return rc ? -1 : list_add(&im->b->list, &x, e);
}

/* The directories of the prefix, made and listed: they sort before what is in them. */
static int import_prefix(struct build *b, const char *prefix, struct err *e)
{
	auto_free char *above = own_dup(prefix);
	size_t n = strlen(above);
	for (size_t i = 1; n && i <= n; i++) {
		if (prefix[i] != '/' && prefix[i])
			continue;
		above[i] = '\0';
		struct list_entry x = {.type = 'd',
				       .mode = 0755,
				       .path = above,
				       .path_n = i,
				       .end = "-",
				       .end_n = 1};
		if (build_dir(b, above, e) || list_add(&b->list, &x, e))
			return -1;
		above[i] = prefix[i];
	}
	return 0;
}

static int import_directory(struct build *b, int fd, const struct cache_import *how,
			    struct import_left *left, struct err *e)
{
	struct stat st;
	const struct tree_bounds bounds = {.max_entries = left->entries, .max_depth = 4096};
	struct import im = {.b = b, .prefix = how->prefix ? how->prefix : "", .left = left};
	if (fstat(b->c->tmp_fd, &st))
		return err_sys(e, "stat tmp");
	im.tmp_dev = st.st_dev;
	im.tmp_ino = st.st_ino;
	if (import_prefix(b, im.prefix, e))
		return -1;
	return tree_walk(fd, &bounds, import_item, &im, e);
}

static int import_check_prefix(const char *prefix, struct err *e)
{
	size_t n = prefix ? strlen(prefix) : 0;
	for (size_t i = 0; i < n;) {
		size_t part = strcspn(prefix + i, "/");
		bool dots = part && strspn(prefix + i, ".") >= part && part < 3;
		if (!part || dots || (prefix[i + part] && !prefix[i + part + 1]))
			return err_set(e, ERR_USAGE, "prefix %s is not a plain relative path",
				       prefix);
		i += part + (prefix[i + part] == '/');
	}
	return 0;
}

/* Everything below b's root; listed only where it comes in order. 0 or -1. */
static int import_tree(struct build *b, int fd, const struct cache_import *how, bool *listed,
		       struct err *e)
{
	struct stat st;
	struct import_left left = {
		.max_entries = how->max_entries ? how->max_entries : 2000000,
		.max_bytes = how->max_bytes ? how->max_bytes : (uint64_t)64 << 30,
	};
	left.entries = left.max_entries;
	left.bytes = left.max_bytes;
	if (fstat(fd, &st))
		return err_sys(e, "stat");
	*listed = S_ISDIR(st.st_mode);
	if (*listed)
		return import_directory(b, fd, how, &left, e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, "neither a directory nor a file");
	return extract_archive(b, fd, how, &left, e);
}

static int import_into(struct build *b, int fd, const struct cache_import *how,
		       struct cache_layer *out, struct err *e)
{
	bool listed;
	if (import_tree(b, fd, how, &listed, e) || (!listed && build_list(b, e)) ||
	    build_name(b, out, e))
		return -1;
	return build_settle(b, out, e);
}

static int import_open(const char *source, struct err *e)
{
	int fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(e, ERR_ABSENT, "%s does not exist", source);
	return fd < 0 ? err_sys(e, "open %s", source) : fd;
}

int cache_layer_import(struct cache *c, const char *source, const struct cache_import *how,
		       struct cache_layer *out, struct err *e)
{
	static const struct cache_import plain = {0};
	struct build b;
	how = how ? how : &plain;
	*out = (struct cache_layer){0};
	if (import_check_prefix(how->prefix, e))
		return -1;
	auto_fd int fd = import_open(source, e);
	if (fd < 0 || build_begin(&b, c, e))
		return -1;
	int rc = import_into(&b, fd, how, out, e);
	build_drop(&b);
	return rc ? err_add(e, "import %s", source) : 0;
}

int cache_digest_fd(int fd, char out[CACHE_ID], struct err *e)
{
	struct hash h = {0};
	int rc = 0;
	if (hash_open(&h, "SHA256"))
		return err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	auto_free char *buffer = own_alloc(BUILD_BUFFER);
	if (hash_add_fd(&h, fd, buffer, BUILD_BUFFER, NULL))
		rc = err_sys(e, "read");
	hash_id(&h, out);
	hash_close(&h);
	if (!rc && lseek(fd, 0, SEEK_SET))
		rc = err_sys(e, "read again");
	return rc;
}

/* What is read afterwards is what has the digest: only who may write the file could change it in
 * between. */
static int unpack_check(int fd, const char *sha256, struct err *e)
{
	char is[CACHE_ID];
	if (cache_digest_fd(fd, is, e))
		return -1;
	return strcmp(is, sha256) ? err_set(e, ERR_HOSTILE, "its digest is %s, not %s", is, sha256)
				  : 0;
}

int cache_unpack(struct cache *c, const char *source, const char *sha256,
		 const struct cache_import *how, struct cache_unpacked *out, struct err *e)
{
	static const struct cache_import plain = {0};
	bool listed;
	*out = (struct cache_unpacked){.fd = -1};
	how = how ? how : &plain;
	if (import_check_prefix(how->prefix, e))
		return -1;
	auto_fd int fd = import_open(source, e);
	if (fd < 0 || (sha256 && unpack_check(fd, sha256, e)))
		return fd < 0 ? -1 : err_add(e, "import %s", source);
	struct build *b = own_calloc(1, sizeof(*b));
	if (build_begin(b, c, e)) {
		free(b);
		return -1;
	}
	if (import_tree(b, fd, how, &listed, e)) {
		build_drop(b);
		free(b);
		return err_add(e, "import %s", source);
	}
	*out = (struct cache_unpacked){.fd = b->root,
				       .dirfd = c->tmp_fd,
				       .name = b->name,
				       .inner = b};
	return 0;
}

void cache_unpack_drop(struct cache_unpacked *u)
{
	struct build *b = u->inner;
	if (b)
		build_drop(b);
	free(b);
	*u = (struct cache_unpacked){.fd = -1};
}
