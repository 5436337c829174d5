/* The tmpfs that carries uppers: one of each box that needs any. */
#include "sandbox/box/init.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/stage.h"

#include <fcntl.h>
#include <sys/stat.h>

#define ROOM_OWN 16 /* inodes: of the tmpfs itself, and upper and work directories */
#define ROOM_MORE_BYTES (1ull << 20)
#define ROOM_MORE_INODES 64

/* So much more than the limit, that to pass it can be seen. */
static uint64_t room_more(uint64_t limit, uint64_t least)
{
	return limit / 16 > least ? limit / 16 : least;
}

static uint64_t room_sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void room_options(const struct stage *st, char *options, size_t n)
{
	const struct spec *spec = st->spec;
	uint64_t bytes = spec->disk ? room_sum(spec->disk, room_more(spec->disk, ROOM_MORE_BYTES))
				    : st->tmpfs;
	uint64_t inodes = room_sum(spec->disk_inodes,
				   ROOM_OWN + room_more(spec->disk_inodes, ROOM_MORE_INODES));
	int at = snprintf(options, n, "mode=755,size=%llu", (unsigned long long)bytes);
	if (spec->disk_inodes)
		snprintf(options + at, n - (size_t)at, ",nr_inodes=%llu",
			 (unsigned long long)inodes);
}

static int room_open(struct stage *st, struct err *e)
{
	const struct spec *spec = st->spec;
	char options[96];
	if (st->room)
		return 0;
	room_options(st, options, sizeof(options));
	st->room = true;
	spec_say(spec, "uppers in memory: tmpfs %s", options);
	if (mkdir("t", 0755))
		return err_sys(e, "mkdir t in the stage");
	return mnt_new("tmpfs", "t", MS_NOSUID | MS_NODEV, options, e);
}

int upper_room(struct stage *st, char **upper, char **work, struct err *e)
{
	if (room_open(st, e))
		return -1;
	*upper = own_fmt("t/u%u", st->n_made);
	*work = own_fmt("t/w%u", st->n_made++);
	return mkdir(*upper, 0755) || mkdir(*work, 0755) ? err_sys(e, "mkdir %s", *upper) : 0;
}

int upper_tell_room(struct stage *st, struct err *e)
{
	struct init_message m = {.kind = INIT_ROOM, .status = (int32_t)st->by};
	struct plan_seen taken = {.has = 0};
	if (!st->room || st->helper < 0 || (!st->spec->disk && !st->spec->disk_inodes))
		return 0;
	auto_fd int fd = open("t", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open the tmpfs of the uppers");
	plan_room_used(fd, &taken);
	m.disk_bytes = taken.disk_bytes;
	m.disk_inodes = taken.disk_inodes;
	init_say(st->helper, &m, fd);
	return 0;
}
