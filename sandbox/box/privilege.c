#include "sandbox/box/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP(c) (UINT64_C(1) << CAP_##c)
#define PRIVILEGE_JOB                                                                              \
	(CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FSETID) | CAP(FOWNER) | CAP(SETGID) | CAP(SETUID) |  \
	 CAP(SETFCAP) | CAP(SYS_CHROOT) | CAP(KILL))

/* Never to be had again by an exec, of whatever file. */
static int privilege_bound(uint64_t keep, struct err *e)
{
	for (unsigned long c = 0; c < 64; c++) {
		if (keep >> c & 1 || !prctl(PR_CAPBSET_DROP, c, 0, 0, 0))
			continue;
		if (errno == EINVAL)
			break; /* the first number that the kernel doesn't know */
		return err_sys(e, "drop capability %lu", c);
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return err_sys(e, "clear ambient capabilities");
	return 0;
}

static int privilege_set(uint64_t keep, struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
		{.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
	};
	if (syscall(SYS_capset, &header, data))
		return err_sys(e, "set capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(e, "no_new_privs");
	return 0;
}

int privilege_drop(bool mounts, struct err *e)
{
	uint64_t keep = PRIVILEGE_JOB | (mounts ? CAP(SYS_ADMIN) : 0);
	return privilege_bound(keep, e) || privilege_set(keep, e) ? -1 : 0;
}

int privilege_keep_kill(struct err *e)
{
	return privilege_set(CAP(KILL), e);
}

int privilege_filter(const struct sock_filter *code, unsigned short n, struct err *e)
{
	/* The kernel reads only; its struct just lacks the const. */
	struct sock_fprog program = {.len = n, .filter = (struct sock_filter *)(uintptr_t)code};
	if (!n)
		return 0;
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		     &program))
		return 0;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
		       ? err_sys(e, "install the system call filter")
		       : 0;
}
