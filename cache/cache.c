/* Opening a state directory's cache. */
#include "cache/recover.h"
#include "cache/tree.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

void (*cache_on_step)(const char *step);

int cache_may_write(const struct cache *c, struct err *e)
{
	return c->writable ? 0 : err_set(e, ERR_USAGE, "this cache was opened for reading");
}

bool cache_is_id(const char *s, size_t n)
{
	return n == CACHE_ID - 1 && strspn(s, "0123456789abcdef") >= n;
}

int cache_discard(struct cache *c, int dirfd, const char *name, struct err *e)
{
	char away[64];
	snprintf(away, sizeof(away), "%d.%lu", (int)getpid(), atomic_fetch_add(&c->serial, 1));
	if (renameat(dirfd, name, c->trash_fd, away))
		return errno == ENOENT ? 0 : err_sys(e, "move %s to trash", name);
	return dir_remove(c->trash_fd, away, e);
}

/* Boxes run under other ids and reach a layer by descriptor: what leads to it may stay closed, the
 * layer may not. */
static const struct {
	const char *name;
	mode_t mode;
} cache_dirs[] = {{"layers", 0700}, {"seg", 0700}, {"tmp", 0700}, {"trash", 0700}};

static int cache_open_dirs(struct cache *c, int state_dirfd, struct err *e)
{
	int *fds[] = {&c->layers_fd, &c->seg_fd, &c->tmp_fd, &c->trash_fd};
	for (size_t i = 0; i < countof(fds); i++) {
		const char *name = cache_dirs[i].name;
		if (c->writable)
			*fds[i] = dir_make(state_dirfd, name, cache_dirs[i].mode, e);
		else
			*fds[i] = dir_open_beneath(state_dirfd, name, O_RDONLY | O_DIRECTORY, 0);
		if (*fds[i] < 0 && c->writable)
			return err_add(e, "cache");
		if (*fds[i] < 0 && errno != ENOENT)
			return err_sys(e, "open %s", name);
	}
	return 0;
}

struct cache *cache_open(int state_dirfd, const struct cache_known *known, struct err *e)
{
	struct cache *c = own_calloc(1, sizeof(*c));
	c->layers_fd = c->seg_fd = c->tmp_fd = c->trash_fd = -1;
	c->segment_full = CACHE_SEGMENT_FULL;
	c->frame_full = CACHE_FRAME_FULL;
	c->writable = known != NULL;
	if (cache_open_dirs(c, state_dirfd, e) || (known && recover(c, known, e))) {
		cache_close(c);
		return NULL;
	}
	return c;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	own_close(&c->layers_fd);
	own_close(&c->seg_fd);
	own_close(&c->tmp_fd);
	own_close(&c->trash_fd);
	free(c);
}
