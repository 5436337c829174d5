#include "sandbox/box/share.h"

#include "base/own.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SHARE_PART 8
#define SHARE_NAMESPACES 4096 /* of the usual hundred thousand */
#define SHARE_SIGNALS 1024    /* at the least */
#define SHARE_SPARE 512       /* of the open files: twice what one message holds (SCM_MAX_FD) */

/* The host's sysctl, which every process sees, and the user namespace's: namespaces(7). */
static struct share {
	const char *all, *own;
	uint64_t least, part;
} shares[] = {
	{"/proc/sys/fs/inotify/max_user_instances", "/proc/sys/user/max_inotify_instances", 16, 0},
	{"/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches", 4096, 0},
};

static const char *const share_namespaces[] = {"user", "mnt", "pid", "net", "ipc", "uts", "time"};

static bool looked;

void share_look(void)
{
	char text[24];
	for (size_t i = 0; i < countof(shares); i++) {
		auto_fd int fd = open(shares[i].all, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = 0;
		uint64_t part = strtoull(text, NULL, 10) / SHARE_PART;
		shares[i].part = part > shares[i].least ? part : shares[i].least;
	}
	looked = true;
}

static void share_write(const char *path, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, value);
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, text, (size_t)n) != n)
		return; /* without */
}

void share_take(bool nested)
{
	char path[64];
	if (!looked)
		share_look();
	for (size_t i = 0; i < countof(shares); i++)
		share_write(shares[i].own, shares[i].part);
	for (size_t i = 0; nested && i < countof(share_namespaces); i++) {
		snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces",
			 share_namespaces[i]);
		share_write(path, SHARE_NAMESPACES);
	}
}

static rlim_t most(__rlimit_resource_t which)
{
	struct rlimit r;
	return getrlimit(which, &r) ? RLIM_INFINITY : r.rlim_max;
}

rlim_t share_signals(void)
{
	rlim_t all = most(RLIMIT_SIGPENDING), part = all / SHARE_PART;
	return all == RLIM_INFINITY || all < SHARE_SIGNALS ? all
	       : part > SHARE_SIGNALS                      ? part
							   : SHARE_SIGNALS;
}

rlim_t share_files(uint64_t wanted)
{
	rlim_t all = most(RLIMIT_NOFILE);
	rlim_t part = all == RLIM_INFINITY    ? all
		      : all > 4 * SHARE_SPARE ? all - SHARE_SPARE
					      : all - all / 4;
	return wanted && wanted < part ? wanted : part;
}
