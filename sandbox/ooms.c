#include "sandbox/ooms.h"

#include "base/own.h"
#include "sandbox/cgroup_inside.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND_NS = 1000000000 };

/* "oom_kill" of proc_vmstat(5) (Linux 4.13): processes killed, whoever's limit or need it was. */
static uint64_t ooms_of_machine(void)
{
	static const char key[] = "\noom_kill ";
	char text[16384];
	size_t n = 0;
	auto_fd int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	for (ssize_t got = 1; fd >= 0 && got > 0 && n < sizeof(text) - 1; n += (size_t)got)
		if ((got = read(fd, text + n, sizeof(text) - 1 - n)) < 0)
			break;
	text[n] = 0;
	const char *at = strstr(text, key);
	return at ? strtoull(at + sizeof(key) - 1, NULL, 10) : 0;
}

static uint64_t ooms_read(const struct ooms *o)
{
	uint64_t n = 0;
	if (o->group_fd < 0)
		return ooms_of_machine();
	return cgroup_key(o->group_fd, o->file, "oom_kill", &n) ? 0 : n;
}

/* Takes the place's descriptor if its file tells. */
static bool ooms_take(struct ooms *o, struct cgroup_place *place, const char *file)
{
	uint64_t n;
	if (place->fd < 0 || cgroup_key(place->fd, file, "oom_kill", &n))
		return false;
	o->group_fd = place->fd;
	o->file = file;
	place->fd = -1;
	return true;
}

void ooms_find(struct ooms *o, const struct cgroup_world *w)
{
	struct cgroup_places p;
	struct err ignored = ERR_INIT;
	bool found = cgroup_find(w ? w : &cgroup_world_real, &p, &ignored) ||
		     ooms_take(o, &p.v2, "memory.events.local");
	for (size_t i = 0; !found && i < CGROUP_HIERARCHIES; i++)
		found = p.v1[i].controllers & CGROUP_MEMORY &&
			ooms_take(o, &p.v1[i], "memory.oom_control");
	cgroup_places_close(&p);
}

void ooms_close(struct ooms *o)
{
	own_close(&o->group_fd);
}

uint64_t ooms_before(struct ooms *o, int64_t now_ns)
{
	if (!o->read_ns || now_ns - o->read_ns > SECOND_NS) {
		o->kills = ooms_read(o);
		o->read_ns = now_ns;
	}
	return o->kills;
}

uint64_t ooms_since(const struct ooms *o, uint64_t before)
{
	uint64_t now = ooms_read(o);
	return now > before ? now - before : 0;
}
