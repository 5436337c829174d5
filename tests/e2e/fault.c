/* Put before a program by LD_PRELOAD: one of its calls that touch a directory, or from one on each
 * of them, fails or is its last. For faults.sh; what the program starts is left alone.
 *
 * ASSAY_FAULT_UNDER  the directory; a call touches it by a path or a descriptor below it
 * ASSAY_FAULT_LIST   a file each such call is written to, a line each: PLACE CALL PATTERN
 * ASSAY_FAULT_PLACE  the place that fails: the digest of call, path (digits and digests aside) and
 * the return addresses on the stack that lie in the program, so a call site and how it was come to
 * ASSAY_FAULT_NTH    its first time (1, if it is not given), second, ...
 * ASSAY_FAULT_DO     the error's name, or KILL
 * ASSAY_FAULT_STAYS  if given: from then on every call that could say so fails
 * ASSAY_FAULT_TOLD   a file that is written to when it happens: CALL PATH */
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct {
	const char *name;
	int error;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},     {"EMFILE", EMFILE},
	      {"ENOMEM", ENOMEM}, {"EINTR", EINTR}, {"KILL", 0}};

static char under[4096];
static size_t under_length;
static int list_fd = -1, told_fd = -1, do_error = -1;
static uint64_t wanted;
static long nth = 1;
static bool stays;
static atomic_long seen;
static atomic_bool happens;
static uintptr_t low, high;
static _Thread_local bool inside;

static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	low = UINTPTR_MAX;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_LOAD)
			continue;
		uintptr_t begin = info->dlpi_addr + p->p_vaddr, end = begin + p->p_memsz;
		low = begin < low ? begin : low;
		high = end > high ? end : high;
	}
	return 1;
}

static int own_file(const char *variable)
{
	const char *path = getenv(variable);
	if (!path)
		return -1;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 200);
	close(fd);
	return up;
}

__attribute__((constructor)) static void begin(void)
{
	inside = true;
	const char *dir = getenv("ASSAY_FAULT_UNDER"), *place = getenv("ASSAY_FAULT_PLACE");
	const char *what = getenv("ASSAY_FAULT_DO"), *count = getenv("ASSAY_FAULT_NTH");
	unsetenv("LD_PRELOAD");
	void *frame;
	backtrace(&frame, 1);
	dl_iterate_phdr(find_program, NULL);
	list_fd = own_file("ASSAY_FAULT_LIST");
	told_fd = own_file("ASSAY_FAULT_TOLD");
	if (place)
		wanted = strtoull(place, NULL, 16);
	if (count)
		nth = strtol(count, NULL, 10);
	stays = getenv("ASSAY_FAULT_STAYS");
	for (size_t i = 0; what && i < sizeof(errors) / sizeof(*errors); i++)
		if (!strcmp(what, errors[i].name))
			do_error = errors[i].error;
	if (dir) {
		snprintf(under, sizeof(under), "%s", dir);
		under_length = strlen(under);
	}
	inside = false;
}

/* The path of what the call is about, without links followed that the kernel would not. */
static bool path_of(int fd, const char *name, char *out, size_t size)
{
	if (name && *name == '/')
		return snprintf(out, size, "%s", name) < (int)size;
	char link[64];
	snprintf(link, sizeof(link), fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
	long n = syscall(SYS_readlinkat, AT_FDCWD, link, out, size - 1);
	if (n < 0)
		return false;
	out[n] = 0;
	if (name && *name)
		snprintf(out + n, size - (size_t)n, "/%s", name);
	return true;
}

/* Numbers, digests and names made by chance are one. */
static void pattern_of(const char *path, char *out, size_t size)
{
	size_t n = 0;
	while (*path && n + 2 < size) {
		size_t run = 0, digits = 0;
		while (isalnum((unsigned char)path[run])) {
			digits += isdigit((unsigned char)path[run]) != 0;
			run++;
		}
		if (run >= 12 && digits) {
			out[n++] = '@';
			path += run;
		} else if (isdigit((unsigned char)*path)) {
			out[n++] = '#';
			while (isdigit((unsigned char)*path))
				path++;
		} else {
			out[n++] = *path++;
		}
	}
	out[n] = 0;
}

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
	return h;
}

static uint64_t place_of(const char *call)
{
	void *frames[64];
	int n = backtrace(frames, 64);
	uint64_t h = mix(0xcbf29ce484222325, call, strlen(call));
	for (int i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)frames[i];
		bool again = at < low || at >= high;
		for (int k = 0; k < i && !again; k++)
			again = frames[k] == frames[i];
		at -= low;
		if (!again)
			h = mix(h, &at, sizeof(at));
	}
	return h;
}

static void say(int fd, const char *text, int n)
{
	if (fd >= 0 && n > 0)
		(void)!syscall(SYS_write, fd, text, (size_t)n);
}

/* Whether this call shall fail; then errno is set. */
static bool hit(const char *call, int fd, const char *name)
{
	if (inside || !under_length)
		return false;
	int before = errno;
	bool now = false;
	char path[8192], pattern[4096], line[9000];
	inside = true;
	if (path_of(fd, name, path, sizeof(path)) && !strncmp(path, under, under_length) &&
	    (path[under_length] == '/' || !path[under_length])) {
		if (stays && atomic_load(&happens)) {
			now = true;
		} else {
			pattern_of(path + under_length, pattern, sizeof(pattern));
			uint64_t place = place_of(call);
			say(list_fd, line,
			    snprintf(line, sizeof(line), "%016lx %s .%s\n", place, call, pattern));
			now = do_error >= 0 && place == wanted &&
			      atomic_fetch_add(&seen, 1) + 1 == nth;
			if (now) {
				atomic_store(&happens, true);
				say(told_fd, line,
				    snprintf(line, sizeof(line), "%s %s\n", call, path));
			}
		}
	}
	inside = false;
	if (now && !do_error)
		kill(getpid(), SIGKILL);
	errno = now ? do_error : before;
	return now;
}

/* clang-format off */
#define NEXT(name) static __typeof__(name) *next; if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define CALL(type, name, params, args, fd, path) \
	type name params { NEXT(name); return hit(#name, fd, path) ? (type)-1 : next args; }
/* what has two names in the C library is one call */
#define CALL2(type, name, other, params, args, fd, path) \
	type name params { NEXT(name); return hit(#other, fd, path) ? (type)-1 : next args; }

CALL(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), fd, NULL)
CALL(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), fd, NULL)
CALL2(ssize_t, pread64, pread, (int fd, void *p, size_t n, off64_t at), (fd, p, n, at), fd, NULL)
CALL2(ssize_t, pwrite64, pwrite, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at), fd, NULL)
CALL(int, fsync, (int fd), (fd), fd, NULL)
CALL(int, fdatasync, (int fd), (fd), fd, NULL)
CALL(int, syncfs, (int fd), (fd), fd, NULL)
CALL2(int, ftruncate64, ftruncate, (int fd, off64_t n), (fd, n), fd, NULL)
CALL(int, ftruncate, (int fd, off_t n), (fd, n), fd, NULL)
CALL2(off64_t, lseek64, lseek, (int fd, off64_t at, int how), (fd, at, how), fd, NULL)
CALL(off_t, lseek, (int fd, off_t at, int how), (fd, at, how), fd, NULL)
CALL(int, flock, (int fd, int how), (fd, how), fd, NULL)
CALL(int, mkdir, (const char *path, mode_t m), (path, m), AT_FDCWD, path)
CALL(int, mkdirat, (int fd, const char *path, mode_t m), (fd, path, m), fd, path)
CALL(int, mknodat, (int fd, const char *path, mode_t m, dev_t d), (fd, path, m, d), fd, path)
CALL(int, symlinkat, (const char *to, int fd, const char *path), (to, fd, path), fd, path)
CALL(int, unlink, (const char *path), (path), AT_FDCWD, path)
CALL(int, rmdir, (const char *path), (path), AT_FDCWD, path)
CALL(int, unlinkat, (int fd, const char *path, int how), (fd, path, how), fd, path)
CALL(int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, to)
CALL(int, renameat, (int from_fd, const char *from, int fd, const char *to), (from_fd, from, fd, to), fd, to)
CALL(int, renameat2, (int from_fd, const char *from, int fd, const char *to, unsigned how), (from_fd, from, fd, to, how), fd, to)
CALL(int, linkat, (int from_fd, const char *from, int fd, const char *to, int how), (from_fd, from, fd, to, how), fd, to)
CALL2(int, fstat64, fstat, (int fd, struct stat64 *s), (fd, s), fd, NULL)
CALL(int, fstat, (int fd, struct stat *s), (fd, s), fd, NULL)
CALL2(int, stat64, stat, (const char *path, struct stat64 *s), (path, s), AT_FDCWD, path)
CALL2(int, lstat64, lstat, (const char *path, struct stat64 *s), (path, s), AT_FDCWD, path)
CALL2(int, fstatat64, fstatat, (int fd, const char *path, struct stat64 *s, int how), (fd, path, s, how), fd, path)
CALL(int, fstatat, (int fd, const char *path, struct stat *s, int how), (fd, path, s, how), fd, path)
CALL2(int, fstatfs64, fstatfs, (int fd, struct statfs64 *s), (fd, s), fd, NULL)
CALL2(int, fstatvfs64, fstatvfs, (int fd, struct statvfs64 *s), (fd, s), fd, NULL)
CALL(int, access, (const char *path, int how), (path, how), AT_FDCWD, path)
CALL(int, faccessat, (int fd, const char *path, int how, int flags), (fd, path, how, flags), fd, path)
CALL(int, chmod, (const char *path, mode_t m), (path, m), AT_FDCWD, path)
CALL(int, fchmod, (int fd, mode_t m), (fd, m), fd, NULL)
CALL(int, fchmodat, (int fd, const char *path, mode_t m, int how), (fd, path, m, how), fd, path)
CALL(int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g), fd, NULL)
CALL(int, futimens, (int fd, const struct timespec t[2]), (fd, t), fd, NULL)
CALL(int, utimensat, (int fd, const char *path, const struct timespec t[2], int how), (fd, path, t, how), fd, path)
CALL(ssize_t, fgetxattr, (int fd, const char *name, void *p, size_t n), (fd, name, p, n), fd, NULL)
CALL(int, fsetxattr, (int fd, const char *name, const void *p, size_t n, int how), (fd, name, p, n, how), fd, NULL)
CALL(ssize_t, flistxattr, (int fd, char *p, size_t n), (fd, p, n), fd, NULL)
CALL(ssize_t, readlink, (const char *path, char *p, size_t n), (path, p, n), AT_FDCWD, path)
CALL(ssize_t, readlinkat, (int fd, const char *path, char *p, size_t n), (fd, path, p, n), fd, path)
CALL(int, chdir, (const char *path), (path), AT_FDCWD, path)

#define OPEN(name, shown) \
	int name(const char *path, int how, ...) { NEXT(name); \
		va_list v; va_start(v, how); mode_t m = va_arg(v, mode_t); va_end(v); \
		return hit(shown, AT_FDCWD, path) ? -1 : next(path, how, m); }
#define OPENAT(name, shown) \
	int name(int fd, const char *path, int how, ...) { NEXT(name); \
		va_list v; va_start(v, how); mode_t m = va_arg(v, mode_t); va_end(v); \
		return hit(shown, fd, path) ? -1 : next(fd, path, how, m); }
OPEN(open, "open")
OPEN(open64, "open")
OPENAT(openat, "openat")
OPENAT(openat64, "openat")
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
CALL2(int, __open_2, open, (const char *path, int how), (path, how), AT_FDCWD, path)
CALL2(int, __open64_2, open, (const char *path, int how), (path, how), AT_FDCWD, path)
CALL2(int, __openat_2, openat, (int fd, const char *path, int how), (fd, path, how), fd, path)
#define FCNTL(name) \
	int name(int fd, int what, ...) { NEXT(name); \
		va_list v; va_start(v, what); void *p = va_arg(v, void *); va_end(v); \
		return hit("fcntl", fd, NULL) ? -1 : next(fd, what, p); }
FCNTL(fcntl)
FCNTL(fcntl64)
/* clang-format on */

/* A descriptor is gone, whatever close(2) says. */
int close(int fd)
{
	NEXT(close);
	bool fails = hit("close", fd, NULL);
	int error = errno, result = next(fd);
	if (!fails)
		return result;
	errno = error;
	return -1;
}

void *mmap64(void *p, size_t n, int protection, int how, int fd, off64_t at)
{
	NEXT(mmap64);
	return fd >= 0 && hit("mmap", fd, NULL) ? MAP_FAILED : next(p, n, protection, how, fd, at);
}

DIR *fdopendir(int fd)
{
	NEXT(fdopendir);
	return hit("fdopendir", fd, NULL) ? NULL : next(fd);
}

struct dirent64 *readdir64(DIR *d)
{
	NEXT(readdir64);
	return hit("getdents", dirfd(d), NULL) ? NULL : next(d);
}

FILE *fopen64(const char *path, const char *how)
{
	NEXT(fopen64);
	return hit("open", AT_FDCWD, path) ? NULL : next(path, how);
}

int bind(int fd, const struct sockaddr *a, socklen_t n)
{
	NEXT(bind);
	const char *path =
		a->sa_family == AF_UNIX ? ((const struct sockaddr_un *)a)->sun_path : NULL;
	return path && *path && hit("bind", AT_FDCWD, path) ? -1 : next(fd, a, n);
}

long syscall(long number, ...)
{
	NEXT(syscall);
	va_list v;
	long a[6];
	va_start(v, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(v, long);
	va_end(v);
	if (number == SYS_openat2 && hit("openat2", (int)a[0], (const char *)a[1]))
		return -1;
	if (number == SYS_getdents64 && hit("getdents", (int)a[0], NULL))
		return -1;
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
