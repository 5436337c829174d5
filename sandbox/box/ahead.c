#include "sandbox/box/ahead.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>

#define AHEAD_NS INT64_C(2000000000)

void ahead_open(struct ahead *a)
{
	*a = (struct ahead){
		.birth = BIRTH_INIT,
		.mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC),
	};
}

void ahead_close(struct ahead *a)
{
	birth_fini(&a->birth);
	own_close(&a->mounts_fd);
}

/* Since it was asked last: proc_pid_mounts(5). */
static bool ahead_mounts_changed(const struct ahead *a)
{
	struct pollfd p = {.fd = a->mounts_fd, .events = POLLPRI};
	return poll(&p, 1, 0) != 0;
}

void ahead_look(struct ahead *a)
{
	if (a->birth.pid && ahead_mounts_changed(a))
		birth_fini(&a->birth);
}

void ahead_began(struct ahead *a, const struct birth_kind *kind, const struct plan_start *start,
		 uint32_t flags)
{
	a->again = start->ahead && a->ended_ns && clock_mono_ns() - a->ended_ns < AHEAD_NS &&
		   kind == &birth_native && !start->in_cgroup && !(flags & PLAN_NET_HOST);
}

void ahead_ended(struct ahead *a)
{
	a->ended_ns = clock_mono_ns();
}

void ahead_soon(struct ahead *a, const struct ids *ids)
{
	struct err ignored = ERR_INIT;
	if (a->birth.pid || a->mounts_fd < 0)
		return;
	ahead_mounts_changed(a);
	a->made_ns = clock_mono_ns();
	if (birth_ahead(&a->birth, ids, &ignored))
		birth_fini(&a->birth); /* the next box says what is wrong */
}

void ahead_make(struct ahead *a, const struct ids *ids)
{
	if (a->again)
		ahead_soon(a, ids);
}

int ahead_patience(const struct ahead *a)
{
	int64_t left = a->made_ns + AHEAD_NS - clock_mono_ns();
	if (!a->birth.pid)
		return -1;
	return left > 0 ? (int)(left / 1000000) + 1 : 0;
}

void ahead_expire(struct ahead *a)
{
	if (!ahead_patience(a))
		birth_fini(&a->birth);
}
