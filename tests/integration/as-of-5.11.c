/* Runs a program as a kernel without the system calls that came after Linux 5.11 would: they end
 * with ENOSYS, also in all it starts. Since 5.1 every architecture counts new calls alike (arch/ *
 * /entry/syscalls/syscall*.tbl): 441 is 5.11's epoll_pwait2, 442 is 5.12's mount_setattr. Needs
 * CAP_SYS_ADMIN, since no_new_privs would change what is tried.
 *
 *   as-of-5.11 PROGRAM [ARGUMENT...] */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_mount_setattr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};
	if (argc < 2)
		return fprintf(stderr, "as-of-5.11: no program\n"), 2;
	if (geteuid() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return perror("as-of-5.11: no_new_privs"), 2;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		printf("skipped: no filter: %s\n", strerror(errno));
		return 77;
	}
	execv(argv[1], argv + 1);
	fprintf(stderr, "as-of-5.11: %s: %s\n", argv[1], strerror(errno));
	return 2;
}
