#include "orchestrator/sandbox_stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int sandbox_stdio_standard(struct err *e)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return err_sys(e, "open /dev/null");
	return 0;
}

bool sandbox_stdio_fed(const struct sandbox_spec *s)
{
	struct stat st;
	if (s->stdin_taken || isatty(STDIN_FILENO))
		return !s->stdin_taken;
	return geteuid() && !fstat(STDIN_FILENO, &st) && S_ISFIFO(st.st_mode) &&
	       !access("/proc/self/fd/0", R_OK | W_OK);
}

void sandbox_stdio_of(const struct sandbox_options *o, const struct sandbox_spec *s, int stdio[3])
{
	bool heard = o->limits.silence_ms || o->limits.output_bytes;
	stdio[0] = s->stdin_taken || sandbox_stdio_fed(s) ? -1 : 0;
	for (int fd = 1; fd < 3; fd++)
		stdio[fd] = heard || isatty(fd) ? -1 : fd;
}
