/* The list of a tree whose entries came in no order: by reading it all. */
#include "cache/build.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct build_lister {
	struct list_writer *w;
	struct hash *h;
	char *buffer;
};

static int build_hash(struct build_lister *l, struct tree_item *it, char id[CACHE_ID],
		      struct err *e)
{
	auto_fd int fd = tree_item_open(it);
	if (fd < 0)
		return err_sys(e, "open %s", it->path);
	if (hash_add_fd(l->h, fd, l->buffer, BUILD_BUFFER, NULL))
		return err_sys(e, "read %s", it->path);
	hash_id(l->h, id);
	return 0;
}

static int build_list_item(void *arg, struct tree_item *it, struct err *e)
{
	struct build_lister *l = arg;
	char id[CACHE_ID], target[4096];
	struct list_entry x = {
		.type = 'f',
		.mode = it->st.st_mode & 07777,
		.mtime_s = it->st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)it->st.st_mtim.tv_nsec,
		.size = (uint64_t)it->st.st_size,
		.path = it->path,
		.path_n = strlen(it->path),
		.end = id,
		.end_n = CACHE_ID - 1,
	};
	if (S_ISDIR(it->st.st_mode)) {
		x.type = 'd';
		x.mtime_s = x.mtime_ns = 0;
		x.size = 0;
		x.end = "-";
		x.end_n = 1;
	} else if (S_ISLNK(it->st.st_mode)) {
		ssize_t n = readlinkat(it->dirfd, it->name, target, sizeof(target));
		if (n < 0)
			return err_sys(e, "read link %s", it->path);
		x.type = 'l';
		x.end = target;
		x.size = x.end_n = (size_t)n;
	} else if (S_ISCHR(it->st.st_mode) && !it->st.st_rdev) {
		x = (struct list_entry){
			.type = 'w', .path = x.path, .path_n = x.path_n, .end = "-", .end_n = 1};
	} else if (!S_ISREG(it->st.st_mode)) {
		return err_set(e, ERR_CORRUPT, "%s: neither file, directory nor link", it->path);
	} else if (build_hash(l, it, id, e)) {
		return -1;
	}
	return list_add(l->w, &x, e);
}

int build_list_tree(int root, struct list_writer *w, struct hash *h, struct err *e)
{
	static const struct tree_bounds bounds = TREE_LAYER_BOUNDS;
	auto_free char *buffer = own_alloc(BUILD_BUFFER);
	struct build_lister l = {w, h, buffer};
	return tree_walk(root, &bounds, build_list_item, &l, e);
}

int build_list(struct build *b, struct err *e)
{
	return build_list_tree(b->root, &b->list, &b->hash, e);
}
