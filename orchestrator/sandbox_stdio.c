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

bool sandbox_stdio_fed(bool stdin_taken)
{
	struct stat st;
	if (stdin_taken || isatty(STDIN_FILENO))
		return !stdin_taken;
	return geteuid() && !fstat(STDIN_FILENO, &st) && S_ISFIFO(st.st_mode) &&
	       !access("/proc/self/fd/0", R_OK | W_OK);
}

void sandbox_stdio_of(const struct box_limits *l, bool stdin_taken, int stdio[3])
{
	bool heard = l->silence_ms || l->output_bytes;
	stdio[0] = stdin_taken || sandbox_stdio_fed(stdin_taken) ? -1 : 0;
	for (int fd = 1; fd < 3; fd++)
		stdio[fd] = heard || isatty(fd) ? -1 : fd;
}
