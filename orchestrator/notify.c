#include "orchestrator/notify.h"

#include "base/own.h"
#include "base/unit.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

bool notify_send(const char *lines)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;
	if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
		return false;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0'; /* abstract: unix(7) */
	auto_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
	return fd >= 0 && sendto(fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT,
				 (struct sockaddr *)&a, size) == (ssize_t)strlen(lines);
}

bool notify_watchdog(void)
{
	const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t n;
	if (!us || unit_parse_count(us, &n) || !n)
		return false;
	return !pid || (!unit_parse_count(pid, &n) && n == (uint64_t)getpid());
}
