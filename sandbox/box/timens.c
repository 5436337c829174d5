#include "sandbox/box/timens.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#define TIMENS_AGE 1 /* seconds: no program thinks of 0 as a time */

/* Whole seconds are taken away: the box is then between one and two seconds old. */
static int64_t timens_offset(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return TIMENS_AGE - (int64_t)now.tv_sec;
}

int timens_begin(struct err *e)
{
	char text[96];
	if (unshare(CLONE_NEWTIME))
		return errno == EINVAL ? 0 : err_sys(e, "new time namespace");
	snprintf(text, sizeof(text), "monotonic %" PRId64 " 0\nboottime %" PRId64 " 0\n",
		 timens_offset(CLOCK_MONOTONIC), timens_offset(CLOCK_BOOTTIME));
	auto_fd int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(e, "set the new time namespace's clocks");
	return 0;
}
