#include "sandbox/ooms.h"

#include "base/own.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND_NS = 1000000000 };

/* "oom_kill" of proc_vmstat(5) (Linux 4.13): processes killed, whoever's limit or need it was. */
static uint64_t ooms_read(void)
{
	static const char key[] = "\noom_kill ";
	char text[16384];
	size_t n = 0;
	auto_fd int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	for (ssize_t got = 1; fd >= 0 && got > 0 && n < sizeof(text) - 1; n += (size_t)got)
		if ((got = read(fd, text + n, sizeof(text) - 1 - n)) < 0)
			break;
	text[n] = 0;
	const char *at = strstr(text, key);
	return at ? strtoull(at + sizeof(key) - 1, NULL, 10) : 0;
}

uint64_t ooms_before(struct ooms *o, int64_t now_ns)
{
	if (!o->read_ns || now_ns - o->read_ns > SECOND_NS) {
		o->kills = ooms_read();
		o->read_ns = now_ns;
	}
	return o->kills;
}

uint64_t ooms_since(uint64_t before)
{
	uint64_t now = ooms_read();
	return now > before ? now - before : 0;
}
