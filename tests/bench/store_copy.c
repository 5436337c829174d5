/* The floor of a restore: the least calls that make such a tree. */
#include "store_floor.h"

#include "cache/tree.h"

#include <openssl/evp.h>
#include <string.h>

enum { COPY_READ = 262144 };

struct copy_item {
	char *path;
	struct stat st;
};

struct copy {
	struct copy_item *v; /* parents first */
	size_t n, cap;
	int from, to;
	bool read; /* and digest */
	EVP_MD *md;
	EVP_MD_CTX *hash;
	char buffer[COPY_READ];
};

static int copy_note(void *arg, struct tree_item *it, struct err *why)
{
	struct copy *c = arg;
	(void)why;
	if (c->n == c->cap)
		c->v = own_grow(c->v, c->cap = 2 * c->cap + 64, sizeof(*c->v));
	c->v[c->n++] = (struct copy_item){own_dup(it->path), it->st};
	return 0;
}

/* Its bytes, or others that are as many. */
static int copy_bytes(struct copy *c, const struct copy_item *x, int to)
{
	unsigned char sha[EVP_MAX_MD_SIZE];
	auto_fd int from = c->read ? tree_open_unseen(c->from, x->path, O_NOFOLLOW) : -1;
	size_t left = (size_t)x->st.st_size;
	while (left) {
		size_t n = left < COPY_READ ? left : COPY_READ;
		if (c->read && read(from, c->buffer, n) != (ssize_t)n)
			return -1;
		if (c->read)
			EVP_DigestUpdate(c->hash, c->buffer, n);
		if (dir_write_all(to, c->buffer, n))
			return -1;
		left -= n;
	}
	return c->read && (!EVP_DigestFinal_ex(c->hash, sha, NULL) ||
			   !EVP_DigestInit_ex2(c->hash, c->md, NULL))
		       ? -1
		       : 0;
}

static int copy_one(struct copy *c, const struct copy_item *x)
{
	char target[4096];
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, x->st.st_mtim};
	if (S_ISDIR(x->st.st_mode))
		return mkdirat(c->to, x->path, 0755);
	if (S_ISLNK(x->st.st_mode)) {
		ssize_t n = readlinkat(c->from, x->path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		return n < 0 || symlinkat(target, c->to, x->path) ||
		       utimensat(c->to, x->path, times, AT_SYMLINK_NOFOLLOW);
	}
	auto_fd int to = openat(c->to, x->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
				x->st.st_mode & 0755);
	return to < 0 || copy_bytes(c, x, to) || futimens(to, times);
}

static int copy_all(struct copy *c)
{
	struct span s = begin();
	for (size_t i = 0; i < c->n; i++)
		if (copy_one(c, &c->v[i]))
			return 1;
	return syncfs(c->to) ? 1 : end(s);
}

int copy_measure(const char *what, const char *dir, const char *to)
{
	static const struct tree_bounds bounds = TREE_LAYER_BOUNDS;
	bool reads = !strcmp(what, "copy");
	if (!to || (!reads && strcmp(what, "tree")))
		return -1;
	auto_fd int from = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int into = directory(to);
	struct copy *c = own_calloc(1, sizeof(*c));
	*c = (struct copy){.from = from, .to = into, .read = reads};
	c->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	c->hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex2(c->hash, c->md, NULL);
	int rc = from < 0 || into < 0 || tree_walk(from, &bounds, copy_note, c, &e) ? 1
										    : copy_all(c);
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].path);
	EVP_MD_CTX_free(c->hash);
	EVP_MD_free(c->md);
	free(c->v);
	free(c);
	return rc;
}
