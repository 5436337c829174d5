#include "sandbox/box/nest.h"

#include "base/child.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define MAP_MAX 4096 /* bytes: the kernel takes less than a page */

/* Each id of this namespace is the same one in that of process pid. */
static int nest_map(pid_t pid, const char *name, struct err *e)
{
	char own[32], its[32], map[MAP_MAX];
	uint32_t inside, outside, n;
	size_t used = 0;
	snprintf(own, sizeof(own), "/proc/self/%s", name);
	snprintf(its, sizeof(its), "/proc/%d/%s", (int)pid, name);
	auto_file FILE *f = fopen(own, "re");
	while (f && used < sizeof(map) - 64 &&
	       fscanf(f, "%" SCNu32 " %" SCNu32 " %" SCNu32, &inside, &outside, &n) == 3)
		used += (size_t)snprintf(map + used, sizeof(map) - used,
					 "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", inside, inside,
					 n);
	auto_fd int fd = open(its, O_WRONLY | O_CLOEXEC);
	if (!used || fd < 0 || write(fd, map, used) != (ssize_t)used)
		return err_sys(e, "%s of the command's namespace", name);
	return 0;
}

/* Still above: once the parent is below, it maps it. */
static void nest_helper(pid_t parent, int from, int report) __attribute__((noreturn));
static void nest_helper(pid_t parent, int from, int report)
{
	struct err e = ERR_INIT;
	char byte;
	if (read(from, &byte, 1) != 1)
		_exit(1);
	if (!nest_map(parent, "uid_map", &e) && !nest_map(parent, "gid_map", &e))
		_exit(0);
	(void)!write(report, e.text, strlen(e.text));
	_exit(1);
}

static int nest_over(pid_t helper, int report, struct err *e)
{
	char text[256];
	size_t n = child_hear(report, text, sizeof(text));
	return child_end(helper) ? err_set(e, ERR_BOX, "%s", n ? text : "namespaces of the command")
				 : 0;
}

int nest_enter(struct err *e)
{
	int go[2], report[2], rc = 0;
	pid_t self = getpid();
	if (pipe2(go, O_CLOEXEC) || pipe2(report, O_CLOEXEC))
		return err_sys(e, "pipe");
	/* Else its files of /proc are nobody's (proc(5)); whoever is executed is it, too. */
	prctl(PR_SET_DUMPABLE, 1);
	pid_t helper = fork();
	if (!helper) {
		close(go[1]);
		nest_helper(self, go[0], report[1]);
	}
	close(go[0]);
	close(report[1]);
	if (helper < 0)
		rc = err_sys(e, "fork");
	else if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		rc = err_sys(e, "namespaces of the command");
	else if (write(go[1], "", 1) != 1)
		rc = err_sys(e, "namespaces of the command");
	close(go[1]);
	if (helper > 0 && (rc || nest_over(helper, report[0], e)))
		rc = -1;
	close(report[0]);
	return rc;
}
