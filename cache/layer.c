/* Layers that are there: opened, removed, compared with their name. */
#include "cache/build.h"
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

static int layer_check_id(const char *id, struct err *e)
{
	if (!cache_is_id(id, strlen(id)))
		return err_set(e, ERR_USAGE, "%s is not the name of a layer", id);
	return 0;
}

int cache_layer_open(struct cache *c, const char *id, struct err *e)
{
	if (layer_check_id(id, e))
		return -1;
	int fd = c->layers_fd < 0 ? -1 : tree_open(c->layers_fd, id, O_PATH | O_DIRECTORY);
	if (fd >= 0)
		return fd;
	if (c->layers_fd < 0 || errno == ENOENT)
		return err_set(e, ERR_ABSENT, "layer %s does not exist", id);
	return err_sys(e, "open layer %s", id);
}

int cache_layer_remove(struct cache *c, const char *id, struct err *e)
{
	char list[CACHE_ID + 8];
	if (layer_check_id(id, e) || cache_may_write(c, e) || cache_discard(c, c->layers_fd, id, e))
		return -1;
	snprintf(list, sizeof(list), "%s.list", id);
	if (unlinkat(c->layers_fd, list, 0) && errno != ENOENT)
		return err_sys(e, "remove %s", list);
	return 0;
}

/* What the layer is by reading it, in l. The list goes through an unnamed file: verifying also
 * works where nothing may be written. */
static int layer_reread(int root, struct list *l, struct cache_layer *is, struct err *e)
{
	struct list_writer w = {.fd = -1};
	struct hash h = {0};
	int rc = -1;
	int fd = memfd_create("list", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "make a list");
	if (hash_open(&w.hash, "SHA256") || hash_open(&h, "SHA256")) {
		close(fd);
		err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	} else {
		w.fd = fd;
		rc = build_list_tree(root, &w, &h, e);
		if (!rc)
			rc = list_end(&w, is, e);
		if (!rc && lseek(fd, 0, SEEK_SET))
			rc = err_sys(e, "read a list");
		if (!rc)
			rc = dir_read_fd(fd, (size_t)-1 / 2, &l->text, e);
		if (!rc && list_parse(l))
			rc = err_set(e, ERR_CORRUPT, "a list can't be read back");
	}
	list_fini(&w);
	hash_close(&h);
	return rc;
}

static const char *layer_what_differs(const struct list_entry *was, const struct list_entry *is)
{
	if (was->type != is->type)
		return "has another type";
	if (was->end_n != is->end_n || memcmp(was->end, is->end, was->end_n) ||
	    was->size != is->size)
		return was->type == 'l' ? "has another target" : "has other bytes";
	return was->mode != is->mode ? "has another mode" : "has another time";
}

/* The first difference of two lists in path order. */
static int layer_differs(const char *id, const struct list *was, const struct list *is,
			 struct err *e)
{
	for (size_t i = 0, k = 0; i < was->n || k < is->n;) {
		const struct list_entry *a = &was->v[i], *b = &is->v[k];
		int order = i == was->n ? 1 : k == is->n ? -1 : list_compare(a, b);
		if (order)
			return err_set(e, ERR_CORRUPT, "layer %s: %.*s %s", id,
				       (int)(order < 0 ? a : b)->path_n, (order < 0 ? a : b)->path,
				       order < 0 ? "is gone" : "does not belong there");
		if (!list_same(a, b))
			return err_set(e, ERR_CORRUPT, "layer %s: %.*s %s", id, (int)a->path_n,
				       a->path, layer_what_differs(a, b));
		i++;
		k++;
	}
	return err_set(e, ERR_CORRUPT, "layer %s does not have its digest", id);
}

int cache_layer_verify(struct cache *c, const char *id, struct err *e)
{
	struct list was = {0}, is = {0};
	struct cache_layer real;
	auto_fd int root = cache_layer_open(c, id, e);
	if (root < 0)
		return -1;
	int rc = layer_reread(root, &is, &real, e);
	if (!rc && strcmp(real.id, id)) {
		rc = list_read(&was, c->layers_fd, id, e);
		if (!rc)
			rc = err_set(e, ERR_CORRUPT,
				     "layer %s does not have its digest, and its list is damaged",
				     id);
		else if (rc > 0)
			rc = layer_differs(id, &was, &is, e);
	}
	list_free(&was);
	list_free(&is);
	return rc;
}

int cache_layer_count(struct cache *c, const char *id, struct cache_layer *out, struct err *e)
{
	struct list l = {0};
	*out = (struct cache_layer){.existed = true};
	auto_fd int root = cache_layer_open(c, id, e);
	if (root < 0)
		return -1;
	int rc = list_read(&l, c->layers_fd, id, e);
	if (!rc)
		rc = layer_reread(root, &l, out, e) ? -1 : 1;
	snprintf(out->id, sizeof(out->id), "%s", id);
	out->entries = l.n;
	out->bytes = 0;
	for (size_t i = 0; i < l.n; i++)
		out->bytes += l.v[i].type == 'f' ? l.v[i].size : 0;
	list_free(&l);
	return rc < 0 ? err_add(e, "layer %.12s", id) : 0;
}

int cache_layer_ids(int state_dirfd, char (**ids)[CACHE_ID], size_t *n, struct err *e)
{
	*ids = NULL;
	*n = 0;
	int fd = dir_open_beneath(state_dirfd, "layers", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT)
		return 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err_sys(e, "read layers");
		own_close(&fd);
		return -1;
	}
	for (struct dirent *it; (errno = 0, it = readdir(d));) {
		if (!cache_is_id(it->d_name, strlen(it->d_name)))
			continue;
		*ids = own_grow(*ids, *n + 1, sizeof(**ids));
		memcpy((*ids)[(*n)++], it->d_name, CACHE_ID);
	}
	int rc = errno ? err_sys(e, "read layers") : 0;
	closedir(d);
	return rc;
}
