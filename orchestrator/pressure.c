#include "orchestrator/pressure.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

/* A small file of the kernel's; "" where it can't be read. */
static void pressure_file(const char *path, char *text, size_t size)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
}

int pressure_parse(const char *text, const char *line, int *avg10)
{
	size_t n = strlen(line);
	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		unsigned whole, part;
		if (strncmp(p, line, n) || p[n] != ' ' ||
		    sscanf(p + n, " avg10=%3u.%2u", &whole, &part) != 2)
			continue;
		*avg10 = (int)(whole * 100 + part);
		return 0;
	}
	return -1;
}

void pressure_disk(int statefd, struct readings *r)
{
	struct statvfs fs;
	*r = (struct readings){-1, -1, -1, UINT64_MAX, UINT64_MAX};
	if (fstatvfs(statefd, &fs))
		return;
	r->disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (fs.f_files)
		r->disk_inodes = fs.f_favail;
}

void pressure_read(int statefd, struct readings *r)
{
	char text[512];
	const char *minded = getenv("ASSAY_PRESSURE");
	pressure_disk(statefd, r);
	if (minded && !strcmp(minded, "off"))
		return;
	pressure_file("/proc/pressure/memory", text, sizeof(text));
	if (pressure_parse(text, "some", &r->memory_some))
		r->memory_some = -1;
	if (pressure_parse(text, "full", &r->memory_full))
		r->memory_full = -1;
	pressure_file("/proc/pressure/io", text, sizeof(text));
	if (pressure_parse(text, "full", &r->io_full))
		r->io_full = -1;
}

uint64_t pressure_memory(void)
{
	char text[4096];
	unsigned long long kib;
	pressure_file("/proc/meminfo", text, sizeof(text));
	const char *at = strstr(text, "MemAvailable:");
	if (!at || sscanf(at, "MemAvailable: %llu kB", &kib) != 1)
		return UINT64_MAX;
	uint64_t bytes = (uint64_t)kib << 10;
	return bytes - bytes / 16;
}
