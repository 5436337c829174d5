#include "sandbox/oci/entry.h"

#include "base/message.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char *const entry_dirs[] = {INSIDE_ROOT, "/proc", "/dev", "/sys",
					 "/run",      "/etc",  "/tmp"};

static int entry_program(int dir, int program_fd, struct err *e)
{
	struct stat st;
	off_t at = 0;
	auto_fd int fd =
		openat(dir, &INSIDE_PROGRAM[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
	if (fd < 0 || fstat(program_fd, &st))
		return err_sys(e, "the container's program");
	while (at < st.st_size) {
		ssize_t n = sendfile(fd, program_fd, &at, (size_t)(st.st_size - at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, "copy the container's program");
	}
	return fchmod(fd, 0555) ? err_sys(e, "the container's program") : 0;
}

int entry_make(const char *dir, int program_fd, struct err *e)
{
	if (mkdir(dir, 0755))
		return err_sys(e, "mkdir %s", dir);
	auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", dir);
	for (size_t i = 0; i < countof(entry_dirs); i++)
		if (mkdirat(fd, entry_dirs[i] + 1, 0755))
			return err_sys(e, "mkdir %s%s", dir, entry_dirs[i]);
	return entry_program(fd, program_fd, e);
}

int entry_bell(const char *dir, struct err *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s%s", dir, INSIDE_BELL);
	auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || n >= (int)sizeof(at.sun_path) ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) || listen(fd, 1))
		return err_sys(e, "listen at %s%s", dir, INSIDE_BELL);
	return give_fd(&fd);
}

static int entry_send(int socket, const struct inside_hello *hello, int *fds, size_t n)
{
	struct message m = {.part = {{(void *)(uintptr_t)hello, sizeof(*hello)}},
			    .fds = fds,
			    .n_fds = n};
	return message_send(socket, &m, 0);
}

int entry_hear(int bell_fd, pid_t *pid, struct err *e)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const int tell = 1; /* the helper which process says what it reads: unix(7) */
	auto_fd int fd = accept4(bell_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &tell, sizeof(tell)))
		return err_sys(e, "hear the container's program");
	*pid = peer.pid;
	return give_fd(&fd);
}

int entry_tell(int socket, const struct init *in, struct inside_hello *hello, struct err *e)
{
	int fds[INSIDE_FDS];
	hello->version = PLAN_VERSION;
	hello->start = *in->start;
	memcpy(hello->oom, in->oom, sizeof(hello->oom));
	memcpy(fds, in->fds, in->n_fds * sizeof(int));
	fds[in->n_fds] = in->null_fd;
	return entry_send(socket, hello, fds, in->n_fds + 1)
		       ? err_sys(e, "speak to the container's program")
		       : 0;
}
