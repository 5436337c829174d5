/* What is asked of the kernel itself. */
#include "sandbox/doctor.h"

#include "sandbox/filter.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

void doctor_kernel(struct doctor *d, struct box_ability *a)
{
	struct utsname u;
	unsigned major = 0, minor = 0;
	(void)d;
	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) == 2 && major * 1000 + minor >= 5011) {
		ability_yes(a, "Linux %.60s, %.60s", u.release, u.machine);
		return;
	}
	ability_no(a, "Linux %.60s, %.60s", u.release, u.machine);
	ability_follows(a, "what boxes are made of is not all there");
	ability_get(a, "Linux 5.11, better 5.19");
}

void doctor_user_namespaces(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	if (!doctor_able(d, &e, "namespace", "user", NULL)) {
		ability_yes(a, "one was made");
		return;
	}
	const char *hint = probe_hint_found();
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "no box can be made");
	ability_get(a, "%s", hint ? hint : "a kernel with CONFIG_USER_NS");
}

void doctor_namespaces(struct doctor *d, struct box_ability *a)
{
	static const char *const names[] = {"mount", "pid", "net", "ipc", "uts", "cgroup", "time"};
	char without[200] = "";
	size_t n = 0;
	struct err none = ERR_INIT;
	if (doctor_able(d, &none, "namespace", "user", NULL)) {
		ability_no(a, "not tried: there are no user namespaces");
		return;
	}
	for (size_t i = 0; i < countof(names) && n < sizeof(without); i++) {
		struct err e = ERR_INIT;
		if (doctor_able(d, &e, "namespace", names[i], NULL))
			n += (size_t)snprintf(without + n, sizeof(without) - n, "%s%s",
					      n ? "; " : "", e.text);
	}
	if (!n) {
		ability_yes(a, "user, mount, pid, net, ipc, uts, cgroup, time");
		return;
	}
	ability_partly(a, "%s", without);
	ability_follows(a, "a box that lacks one is not made, but for time (then it sees this "
			   "machine's uptime)");
	ability_get(a, "a kernel with all of CONFIG_NAMESPACES; sysctl user.max_*_namespaces");
}

void doctor_seccomp(struct doctor *d, struct box_ability *a)
{
	static const uint32_t wanted[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO,
					  SECCOMP_RET_KILL_PROCESS};
	struct filter f = {NULL, 0};
	struct err e = ERR_INIT;
	(void)d;
	for (size_t i = 0; i < countof(wanted); i++) {
		uint32_t action = wanted[i];
		if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
			err_sys(&e, "seccomp action %#x", action);
	}
	if (!e.kind && !filter_make(&f, 0, &e)) {
		ability_yes(a, "a filter of %u instructions", f.n);
		filter_fini(&f);
		return;
	}
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "no box can be made");
	ability_get(a, "a kernel with CONFIG_SECCOMP_FILTER");
}

void doctor_landlock(struct doctor *d, struct box_ability *a)
{
	(void)d;
	/* landlock_create_ruleset(2): NULL, 0, LANDLOCK_CREATE_RULESET_VERSION */
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
	if (abi >= 6) {
		ability_yes(a, "ABI %ld: files, signals and abstract sockets", abi);
		return;
	}
	if (abi > 0) {
		ability_partly(a, "ABI %ld", abi);
		ability_follows(a, "files have their second layer; with --net host, abstract UNIX "
				   "sockets of this machine can be reached");
		ability_get(a, "Linux 6.12");
		return;
	}
	struct err e = ERR_INIT;
	err_sys(&e, "landlock_create_ruleset");
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "boxes have no second layer below filter and mounts");
	ability_get(a, "Linux 5.13 with CONFIG_SECURITY_LANDLOCK, and landlock in the lsm= list");
}

void doctor_pressure(struct doctor *d, struct box_ability *a)
{
	char line[128];
	struct err e = ERR_INIT;
	(void)d;
	auto_fd int fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line));
	if (n > 0) {
		ability_yes(a, "the kernel counts who waits for what");
		ability_follows(a, "told of a box where it has a cgroup v2");
		return;
	}
	err_sys(&e, "/proc/pressure/memory");
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "how long a box waited for memory, processors or disks is not known");
	ability_get(a, "a kernel with CONFIG_PSI, booted with psi=1");
}
