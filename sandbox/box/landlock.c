#include "sandbox/box/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h, whose older versions lack the younger of these. */
#define VERSION_FLAG 1u /* LANDLOCK_CREATE_RULESET_VERSION */
#define PATH_BENEATH 1  /* LANDLOCK_RULE_PATH_BENEATH */

#define WRITE_FILE (1u << 1)
#define READ_FILE (1u << 2)
#define REFER_ABI 2 /* before it no file could be moved to another directory */
#define FILES_ABI2 ((1u << 14) - 1)
#define TRUNCATE_ABI 3
#define TRUNCATE (1u << 14)
#define IOCTL_DEV_ABI 5
#define IOCTL_DEV (1u << 15)

#define SCOPE_ABI 6
#define SCOPE_ABSTRACT_UNIX_SOCKET 1u
#define SCOPE_SIGNAL 2u

struct ruleset {
	uint64_t files, net, scoped;
};

struct rule {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* POSIX message queues are on a mount of their own, below no other, so that a rule must be about
 * its root; without a place for it (kernelfs.c) what mq_open(3) asks for is nobody's to allow. */
static uint64_t landlock_files(const struct spec *spec, long abi, int queues)
{
	if (abi < REFER_ABI || spec->flags & (PLAN_LOOSEN_USERNS | PLAN_LOOSEN_FUSE))
		return 0;
	if (queues < 0 && !access("/proc/sys/fs/mqueue", F_OK))
		return FILES_ABI2 & ~(READ_FILE | WRITE_FILE);
	return FILES_ABI2 | (abi >= TRUNCATE_ABI ? TRUNCATE : 0) |
	       (abi >= IOCTL_DEV_ABI ? IOCTL_DEV : 0);
}

static int rule_add(int set, int fd, uint64_t allowed)
{
	struct rule rule = {.allowed = allowed, .parent_fd = fd};
	return (int)syscall(SYS_landlock_add_rule, set, PATH_BENEATH, &rule, 0);
}

/* What the caller gave the command may be a file outside of the box: `>/dev/stderr` opens it anew,
 * for what it was given and no more. Pipes and sockets need no rule (EBADFD). */
static void landlock_stdio(int set, uint64_t files)
{
	for (int fd = 0; fd < 3; fd++) {
		int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
		uint64_t rights = IOCTL_DEV | (mode == O_WRONLY ? 0 : READ_FILE) |
				  (mode == O_RDONLY ? 0 : WRITE_FILE | TRUNCATE);
		(void)rule_add(set, fd, files & rights);
	}
}

static int landlock_rules(int set, uint64_t files, int queues, struct err *e)
{
	auto_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || rule_add(set, root, files))
		return err_sys(e, "the Landlock rule for /");
	if (queues >= 0)
		(void)rule_add(set, queues, files);
	landlock_stdio(set, files);
	return 0;
}

int landlock_enter(const struct spec *spec, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
	if (abi <= 0)
		return 0; /* not built in, or switched off at boot */
	auto_fd int queues = open("/dev/mqueue", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct ruleset rules = {
		.files = landlock_files(spec, abi, queues),
		.scoped = abi >= SCOPE_ABI ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0,
	};
	if (!rules.files && !rules.scoped)
		return 0;
	auto_fd int set = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (set < 0)
		return err_sys(e, "a Landlock ruleset");
	if (rules.files && landlock_rules(set, rules.files, queues, e))
		return -1;
	/* E2BIG: the caller is below 16 layers of its own. */
	if (syscall(SYS_landlock_restrict_self, set, 0) && errno != E2BIG)
		return err_sys(e, "enter a Landlock domain");
	return 0;
}
