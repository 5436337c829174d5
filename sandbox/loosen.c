/* What may be taken back of the profile `default`, and what of this machine each needs. */
#include "sandbox/sandbox.h"

#include "base/own.h"
#include "base/text.h"
#include "base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const loosen_names[] = {"userns", "i386", "io-uring", "fuse",
					   "kvm",    "perf", "dumps",    "aio"};

unsigned box_loosen_of(const char *name)
{
	for (unsigned i = 0; i < countof(loosen_names); i++)
		if (!strcmp(name, loosen_names[i]))
			return 1u << i;
	return 0;
}

char *box_profile_name(unsigned loosen)
{
	auto_text struct text t = TEXT_INIT;
	text_add(&t, "default");
	for (unsigned i = 0; i < countof(loosen_names); i++)
		if (loosen >> i & 1)
			text_addf(&t, "+%s", loosen_names[i]);
	return own_dup(text_str(&t));
}

/* The first line of a file of /proc, "" where there is none. */
static const char *line_of(const char *path, char *line, size_t size)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, size - 1);
	line[n > 0 ? n : 0] = 0;
	line[strcspn(line, "\n")] = 0;
	return line;
}

static int device_check(const char *path, struct err *e)
{
	auto_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? err_sys(e, "open %s", path) : 0;
}

/* A dump that the kernel pipes to a program, or sends to a socket, feeds something of the host's.
 */
static int dumps_check(struct err *e)
{
	char line[256];
	const char *pattern = line_of("/proc/sys/kernel/core_pattern", line, sizeof(line));
	if (*pattern != '|' && *pattern != '@')
		return 0;
	return err_set(e, ERR_BOX,
		       "core dumps go to a program of this machine, not to files "
		       "(kernel.core_pattern is %s): sysctl kernel.core_pattern=core",
		       pattern);
}

/* Before Linux 6.6 the only one who knows is the call itself. */
static int io_uring_check(struct err *e)
{
	if (syscall(SYS_io_uring_setup, 0, NULL) >= 0 || errno != ENOSYS)
		return 0;
	return err_sys(e, "io_uring_setup");
}

static int aio_check(struct err *e)
{
	aio_context_t none = 0;
	if (!syscall(SYS_io_setup, 0, &none) || errno != ENOSYS)
		return 0;
	return err_sys(e, "io_setup");
}

static int number_check(const char *path, uint64_t most, const char *what, struct err *e)
{
	char line[32];
	uint64_t n;
	line_of(path, line, sizeof(line));
	if (line[0] == '-' || unit_parse_count(line, &n) || n <= most)
		return 0;
	return err_set(e, ERR_BOX, "%s is %s here: sysctl %s=%llu", what, line, what,
		       (unsigned long long)most);
}

static int one_check(unsigned loosen, struct err *e)
{
	switch ((enum box_loosen)loosen) {
	case BOX_LOOSEN_USERNS:
	case BOX_LOOSEN_ALL:
		return 0;
	case BOX_LOOSEN_I386:
#ifdef __x86_64__
		return 0;
#else
		return err_set(e, ERR_BOX, "this machine is no x86-64");
#endif
	case BOX_LOOSEN_IO_URING:
		return io_uring_check(e) || number_check("/proc/sys/kernel/io_uring_disabled", 0,
							 "kernel.io_uring_disabled", e)
			       ? -1
			       : 0;
	case BOX_LOOSEN_FUSE:
		return device_check("/dev/fuse", e);
	case BOX_LOOSEN_KVM:
		return device_check("/dev/kvm", e);
	case BOX_LOOSEN_PERF:
		if (access("/proc/sys/kernel/perf_event_paranoid", F_OK))
			return err_set(e, ERR_BOX, "this kernel has no perf_event_open");
		return number_check("/proc/sys/kernel/perf_event_paranoid", 2,
				    "kernel.perf_event_paranoid", e);
	case BOX_LOOSEN_DUMPS:
		return dumps_check(e);
	case BOX_LOOSEN_AIO:
		return aio_check(e);
	}
	return 0;
}

int box_loosen_check(unsigned loosen, struct err *e)
{
	if (loosen & ~(unsigned)BOX_LOOSEN_ALL)
		return err_set(e, ERR_USAGE, "loosening %#x is none", loosen);
	for (unsigned i = 0; i < countof(loosen_names); i++)
		if (loosen >> i & 1 && one_check(1u << i, e))
			return err_add(e, "%s can't be allowed", loosen_names[i]);
	return 0;
}
