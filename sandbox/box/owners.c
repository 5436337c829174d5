#include "sandbox/box/owners.h"

#include "sandbox/box/give.h"
#include "sandbox/box/mnt.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define OWNERS_ABOVE 64 /* directories between a layer and the one that is given */

bool owners_word(struct owners *o, const char *word)
{
	uint64_t dev, ino;
	char end;
	if (!strcmp(word, "no-idmap")) {
		o->off = true;
		return true;
	}
	if (sscanf(word, "given:%" SCNu64 ":%" SCNu64 "%c", &dev, &ino, &end) != 2)
		return false;
	o->has_given = true;
	o->given_dev = (dev_t)dev;
	o->given_ino = (ino_t)ino;
	return true;
}

/* An overlay of two lowers, one of them the mount, never put anywhere. */
static bool overlay_takes(int mount_fd)
{
	char lower[80];
	struct err ignored = ERR_INIT;
	auto_fd int other = mnt_tmpfs(4096, 0755, 0, &ignored);
	auto_fd int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	snprintf(lower, sizeof(lower), "/proc/self/fd/%d:/proc/self/fd/%d", mount_fd, other);
	return other >= 0 && fs >= 0 && !fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", lower, 0) &&
	       !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

static bool owners_try(int fd, const struct ids *ids)
{
	struct err ignored = ERR_INIT;
	auto_fd int plain = mnt_clone(fd, "", false, &ignored);
	auto_fd int shown = mnt_clone(fd, "", false, &ignored);
	int userns_fd = ids_userns(ids, &ignored);
	if (plain < 0 || shown < 0 || userns_fd < 0)
		return true; /* whoever clones it next says why not */
	if (mnt_idmap(shown, userns_fd, 0, false, &ignored))
		return false;
	/* What an overlay does not take anyway is no matter of owners. */
	return overlay_takes(shown) || !overlay_takes(plain);
}

bool owners_can(struct owners *o, int fd, dev_t dev, const struct ids *ids)
{
	if (o->off)
		return false;
	for (size_t i = 0; i < o->n_tried; i++)
		if (o->tried[i].dev == dev)
			return o->tried[i].can;
	o->tried = own_grow(o->tried, o->n_tried + 1, sizeof(*o->tried));
	o->tried[o->n_tried].dev = dev;
	o->tried[o->n_tried].can = owners_try(fd, ids);
	return o->tried[o->n_tried++].can;
}

const struct ids *owners_given(struct owners *o, struct err *e)
{
	char word[32];
	snprintf(word, sizeof(word), "%u:%u", GIVE_BASE, GIVE_BASE);
	if (!o->given.ranged && ids_open(&o->given, word, e))
		return NULL;
	o->given.owners = o;
	return &o->given;
}

bool owners_may_give(const struct owners *o, int fd)
{
	struct stat st, last = {.st_ino = 0};
	auto_fd int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; o->has_given && at >= 0 && i < OWNERS_ABOVE; i++) {
		if (fstat(at, &st) || (st.st_dev == last.st_dev && st.st_ino == last.st_ino))
			return false;
		if (st.st_dev == o->given_dev && st.st_ino == o->given_ino)
			return true;
		last = st;
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
	}
	return false;
}
