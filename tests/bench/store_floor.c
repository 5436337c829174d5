#include "store_floor.h"

#include "cache/segment.h"
#include "cache/tree.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/xattr.h>
#include <xxhash.h>
#include <zstd.h>

enum { FLOOR_READ = 131072, FLOOR_BLOCK = 512 };

struct floor {
	EVP_MD_CTX *hash;
	XXH3_state_t *frame;
	ZSTD_CCtx *z;
	char *in, *out;
	size_t room; /* of in */
	bool guarded;
	int to; /* the frame's file, or -1 */
};

static int floor_compress(struct floor *f, const void *bytes, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	size_t left = 0;
	while (in.pos < in.size || how == ZSTD_e_end) {
		ZSTD_outBuffer out = {f->out, ZSTD_CStreamOutSize(), 0};
		left = ZSTD_compressStream2(f->z, &out, &in, how);
		if (f->to >= 0) {
			XXH3_128bits_update(f->frame, f->out, out.pos);
			if (dir_write_all(f->to, f->out, out.pos))
				return -1;
		}
		if (how == ZSTD_e_end && !left)
			break;
	}
	return 0;
}

/* What else is told of a file, as cheaply as it can be made: not what libarchive writes, and as
 * long. */
static int floor_told(struct floor *f, const char *name, const struct stat *st,
		      const unsigned char *sha)
{
	static const char digits[] = "0123456789abcdef";
	char told[2 * FLOOR_BLOCK] = {0}, hex[65] = {0};
	for (size_t i = 0; i < 64; i++)
		hex[i] = digits[i % 2 ? sha[i / 2] & 15 : sha[i / 2] >> 4];
	int line =
		snprintf(told, FLOOR_BLOCK,
			 "{\"change\":\"added\",\"type\":\"f\",\"mode\":\"0644\",\"mtime\":"
			 "\"%lld.%09ld\",\"size\":%lld,\"sha256\":\"%s\",\"path\":\"%.120s\"},\n",
			 (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long long)st->st_size,
			 hex, name);
	char *p = told + line;
	snprintf(p, 100, "%.99s", name);
	snprintf(p + 124, 12, "%011llo", (unsigned long long)st->st_size);
	snprintf(p + 136, 12, "%011llo", (unsigned long long)st->st_mtim.tv_sec);
	memcpy(p + 257, "ustar", 6);
	return floor_compress(f, told, (size_t)line + FLOOR_BLOCK, ZSTD_e_continue);
}

static int floor_padding(struct floor *f, const struct stat *st)
{
	static const char none[FLOOR_BLOCK];
	return floor_compress(f, none, (size_t)(-(size_t)st->st_size % FLOOR_BLOCK),
			      ZSTD_e_continue);
}

static int floor_read(struct floor *f, int fd, const char *name, const struct stat *st)
{
	unsigned char sha[EVP_MAX_MD_SIZE];
	uint64_t size = 0;
	EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL);
	for (ssize_t n; (n = read(fd, f->in, f->room)) > 0;) {
		EVP_DigestUpdate(f->hash, f->in, (size_t)n);
		if (f->z && f->to < 0 && floor_compress(f, f->in, (size_t)n, ZSTD_e_continue))
			return -1;
		size += (uint64_t)n;
	}
	if (!EVP_DigestFinal_ex(f->hash, sha, NULL))
		return -1;
	if (f->to < 0)
		return 0;
	/* The digest stands before the bytes: all of them are still there. */
	return floor_told(f, name, st, sha) || floor_compress(f, f->in, size, ZSTD_e_continue) ||
			       floor_padding(f, st)
		       ? -1
		       : 0;
}

/* A frame holds a file's digest before its bytes, so all of it is read at once then. */
static void floor_room(struct floor *f, const struct stat *st)
{
	if (f->to < 0 || (uint64_t)st->st_size < f->room)
		return;
	f->room = (size_t)st->st_size + 1;
	free(f->in);
	f->in = own_alloc(f->room);
}

/* to: where a link to it goes, or -1. */
static int floor_file(struct floor *f, int dir, const char *name, int to)
{
	struct stat st = {0};
	char names[4096];
	auto_fd int fd = f->guarded ? tree_open_unseen(dir, name, O_NOFOLLOW | O_NONBLOCK)
				    : openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (f->guarded && (fstat(fd, &st) || flistxattr(fd, names, sizeof(names)) < 0)))
		return -1;
	floor_room(f, &st);
	if (floor_read(f, fd, name, &st) || (f->guarded && fstat(fd, &st)))
		return -1;
	return to >= 0 ? linkat(dir, name, to, name, 0) : 0;
}

static int floor_walk(struct floor *f, int dir, int to)
{
	int scan = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(scan);
	int rc = 0;
	for (struct dirent *it; !rc && (it = readdir(d));) {
		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
			continue;
		if (it->d_type != DT_DIR) {
			rc = floor_file(f, dir, it->d_name, to);
			continue;
		}
		auto_fd int fd = openat(dir, it->d_name, O_RDONLY | O_CLOEXEC);
		if (to >= 0 && mkdirat(to, it->d_name, 0755))
			return -1;
		auto_fd int below = to >= 0 ? openat(to, it->d_name, O_PATH | O_CLOEXEC) : -1;
		rc = fd < 0 || floor_walk(f, fd, below);
	}
	closedir(d);
	return rc;
}

static int floor_all(struct floor *f, const char *dir, const char *into_name)
{
	auto_fd int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int into = into_name ? directory(into_name) : -1;
	struct span s = begin();
	if (root < 0 || floor_walk(f, root, into) ||
	    (f->to >= 0 && floor_compress(f, NULL, 0, ZSTD_e_end)))
		return 1;
	return end(s);
}

int floor_measure(const char *what, const char *dir, const char *to)
{
	bool frame = !strcmp(what, "frame") && to, guard = frame || !strcmp(what, "guard"),
	     pack = guard || !strcmp(what, "pack"), layer = !strcmp(what, "layer") && to;
	if (!pack && !layer && strcmp(what, "hash"))
		return -1;
	struct floor f = {EVP_MD_CTX_new(),
			  XXH3_createState(),
			  frame  ? segment_compressor()
			  : pack ? ZSTD_createCCtx()
				 : NULL,
			  own_alloc(FLOOR_READ),
			  own_alloc(ZSTD_CStreamOutSize()),
			  FLOOR_READ,
			  guard,
			  frame ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1};
	XXH3_128bits_reset(f.frame);
	if (f.z && !frame)
		ZSTD_CCtx_setParameter(f.z, ZSTD_c_compressionLevel, 3);
	int rc = frame && f.to < 0 ? 1 : floor_all(&f, dir, layer ? to : NULL);
	EVP_MD_CTX_free(f.hash);
	XXH3_freeState(f.frame);
	ZSTD_freeCCtx(f.z);
	free(f.in);
	free(f.out);
	own_close(&f.to);
	return rc;
}
