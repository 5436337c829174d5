#include "sandbox/ranges.h"

#include "sandbox/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* Where the locks of gids begin in the file: behind those of uids. */
#define GIDS_AT (INT64_C(1) << 32)

/* What user_namespaces(7) says of this process's own ids. */
struct own_map {
	uint64_t ids;      /* how many there are */
	bool zero_is_zero; /* 0 here is 0 above: as far as can be seen, the host's root */
};

static struct own_map own_map(const char *path)
{
	struct own_map m = {.ids = 0};
	auto_file FILE *f = fopen(path, "re");
	uint64_t inside, outside, n;
	while (f && fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &n) == 3) {
		m.ids += n;
		m.zero_is_zero |= !inside && !outside && n;
	}
	return m;
}

/* Is [first, first + RANGES_SIZE) there for us to give away? */
static bool covered(const char *path, uint32_t first)
{
	auto_file FILE *f = fopen(path, "re");
	uint64_t inside, outside, n;
	while (f && fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &n) == 3)
		if (inside <= first && first + (uint64_t)RANGES_SIZE <= inside + n)
			return true;
	return false;
}

static bool groups_are_denied(void)
{
	char word[8] = "";
	auto_file FILE *f = fopen("/proc/self/setgroups", "re");
	return f && fscanf(f, "%7s", word) == 1 && !strcmp(word, "deny");
}

static size_t n_own(const struct ranges *r)
{
	return r->uids.n < r->gids.n ? r->uids.n : r->gids.n;
}

/* The i-th range there could be, in the order they are tried. */
static void range_at(const struct ranges *r, size_t i, uint32_t range[2])
{
	if (i < n_own(r)) {
		range[0] = r->uids.all[i].first;
		range[1] = r->gids.all[i].first;
	} else {
		range[0] = range[1] = RANGES_HIGH + (uint32_t)(i - n_own(r)) * RANGES_SIZE;
	}
}

static bool range_is_there(const uint32_t range[2])
{
	return covered("/proc/self/uid_map", range[0]) && covered("/proc/self/gid_map", range[1]);
}

static bool lock(int fd, int64_t at, short type)
{
	struct flock l = {.l_type = type,
			  .l_whence = SEEK_SET,
			  .l_start = at,
			  .l_len = RANGES_SIZE};
	return !fcntl(fd, F_OFD_SETLK, &l);
}

static void range_unlock(const struct ranges *r, const uint32_t range[2])
{
	lock(r->lock_fd, range[0], F_UNLCK);
	lock(r->lock_fd, GIDS_AT + range[1], F_UNLCK);
}

static bool range_lock(const struct ranges *r, const uint32_t range[2])
{
	if (r->lock_fd < 0)
		return true;
	if (!lock(r->lock_fd, range[0], F_WRLCK))
		return false;
	if (lock(r->lock_fd, GIDS_AT + range[1], F_WRLCK))
		return true;
	lock(r->lock_fd, range[0], F_UNLCK);
	return false;
}

/* By another slot of ours: its lock would not hinder us. */
static bool range_is_taken(const struct ranges *r, const uint32_t range[2])
{
	for (size_t i = 0; i < r->n_slots; i++)
		for (int k = 0; k < 2; k++)
			if (r->of[i][k] && range[k] < (uint64_t)r->of[i][k] + RANGES_SIZE &&
			    r->of[i][k] < (uint64_t)range[k] + RANGES_SIZE)
				return true;
	return false;
}

static int range_choose(struct ranges *r, size_t slot, struct err *e)
{
	uint32_t range[2];
	size_t n = n_own(r) + RANGES_HIGH_N;
	for (size_t i = 0; i < n; i++) {
		range_at(r, i, range);
		if (range_is_taken(r, range) || !range_lock(r, range))
			continue;
		if (range_is_there(range)) {
			memcpy(r->of[slot], range, sizeof(range));
			r->alone[slot] = r->lock_fd >= 0 && i >= n_own(r);
			return 0;
		}
		range_unlock(r, range);
	}
	/* Everybody has something: shared, then. */
	for (size_t i = slot % n; i < n + slot % n; i++) {
		range_at(r, i % n, range);
		if (range_is_there(range)) {
			memcpy(r->of[slot], range, sizeof(range));
			return 0;
		}
	}
	return err_set(e, ERR_BOX,
		       "root of the host, but neither ids of root's in /etc/subuid and /etc/subgid "
		       "nor those from %u on are to be had here",
		       RANGES_HIGH);
}

static int ranges_open_root(struct ranges *r, struct err *e)
{
	r->kind = RANGES_ROOT;
	if (subids_read("/etc/subuid", "root", 0, 0, &r->uids, e) ||
	    subids_read("/etc/subgid", "root", 0, 0, &r->gids, e))
		return -1;
	subids_cut(&r->uids, RANGES_SIZE);
	subids_cut(&r->gids, RANGES_SIZE);
	r->lock_fd = open(RANGES_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	r->of = own_calloc(r->n_slots, sizeof(*r->of));
	r->alone = own_calloc(r->n_slots, sizeof(*r->alone));
	return 0;
}

int ranges_open(struct ranges *r, enum box_ids want, int box_fd, size_t n_slots, struct err *e)
{
	*r = (struct ranges){.kind = RANGES_ONE,
			     .userns_fd = -1,
			     .lock_fd = -1,
			     .n_slots = n_slots};
	if (geteuid()) {
		if (want != BOX_IDS_RANGE)
			return 0;
		r->kind = RANGES_USER;
		r->userns_fd = userns_open(box_fd, e);
		return r->userns_fd < 0 ? -1 : 0;
	}
	struct own_map uids = own_map("/proc/self/uid_map"), gids = own_map("/proc/self/gid_map");
	bool host = uids.zero_is_zero || gids.zero_is_zero;
	if (host && want == BOX_IDS_ONE)
		return err_set(e, ERR_USAGE,
			       "a box of root's always has a range of ids, so that it is not root "
			       "of the host: one id is for ordinary users");
	if (host || uids.ids > RANGES_HIGH)
		return ranges_open_root(r, e);
	/* Root of a user namespace (a container's): what it has, its boxes may have. */
	bool several = uids.ids > 1 && gids.ids > 1 && !groups_are_denied();
	if (want == BOX_IDS_RANGE && !several)
		return err_set(e, ERR_BOX,
			       "root of a user namespace that has one id only: a box can't have "
			       "more");
	if (want != BOX_IDS_ONE && several)
		r->kind = RANGES_ALL;
	return 0;
}

void ranges_close(struct ranges *r)
{
	own_close(&r->userns_fd);
	own_close(&r->lock_fd);
	subids_fini(&r->uids);
	subids_fini(&r->gids);
	free(r->of);
	free(r->alone);
	r->of = NULL;
	r->alone = NULL;
	r->n_slots = 0;
}

int ranges_word(struct ranges *r, size_t slot, char word[RANGES_WORD], struct err *e)
{
	static const char *const words[] = {
		[RANGES_ONE] = "one", [RANGES_ALL] = "all", [RANGES_USER] = "enter"};
	if (r->kind != RANGES_ROOT) {
		snprintf(word, RANGES_WORD, "%s", words[r->kind]);
		return 0;
	}
	if (!r->of[slot][0] && range_choose(r, slot, e))
		return -1;
	snprintf(word, RANGES_WORD, "%" PRIu32 ":%" PRIu32 "%s", r->of[slot][0], r->of[slot][1],
		 r->alone[slot] ? ":alone" : "");
	return 0;
}

enum box_ids ranges_ids(const struct ranges *r)
{
	return r->kind == RANGES_ONE ? BOX_IDS_ONE : BOX_IDS_RANGE;
}

const char *box_ids_name(enum box_ids ids)
{
	switch (ids) {
	case BOX_IDS_AUTO:
		break;
	case BOX_IDS_ONE:
		return "one";
	case BOX_IDS_RANGE:
		return "range";
	}
	return "auto";
}

int box_ids_of(const char *name)
{
	for (int ids = BOX_IDS_AUTO; ids <= BOX_IDS_RANGE; ids++)
		if (!strcmp(name, box_ids_name((enum box_ids)ids)))
			return ids;
	return -1;
}
