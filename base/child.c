#include "base/child.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

size_t child_hear(int fd, char *text, size_t size)
{
	char more[256];
	size_t n = 0;
	for (;;) {
		bool room = n < size - 1;
		ssize_t r = read(fd, room ? text + n : more, room ? size - 1 - n : sizeof(more));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += room ? (size_t)r : 0;
	}
	while (n && text[n - 1] == '\n')
		n--;
	for (char *nl = text; (nl = memchr(nl, '\n', n - (size_t)(nl - text)));)
		*nl = ' ';
	text[n] = 0;
	return n;
}

int child_end(pid_t pid)
{
	int status = 0;
	pid_t got;
	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	return got < 0 ? -1 : status;
}
