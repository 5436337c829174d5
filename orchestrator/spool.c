#include "orchestrator/spool.h"

#include "orchestrator/cache_cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

int spool_open(struct spool *s, int dirfd, struct err *e)
{
	auto_fd int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	*s = (struct spool){.file = NULL};
	if (fd >= 0 && (s->file = fdopen(fd, "w+")))
		fd = -1;
	else if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		s->file = tmpfile();
	return s->file ? 0 : err_sys(e, "make a temporary file for a list");
}

static void spool_count(struct spool *s)
{
	if (!s->failed && ferror(s->file))
		s->failed = errno ? errno : EIO;
	s->n++;
}

void spool_close(struct spool *s)
{
	if (s->file)
		fclose(s->file);
	s->file = NULL;
}

void spool_line(struct spool *s, const char *format, ...)
{
	va_list v;
	va_start(v, format);
	vfprintf(s->file, format, v);
	va_end(v);
	putc('\n', s->file);
	spool_count(s);
}

void spool_json(struct spool *s, json_t *j)
{
	enum { INSIDE = 4 };
	cache_cmd_element(s->file, INSIDE, !s->n, j);
	spool_count(s);
}

int spool_print(struct spool *s, bool json, struct err *e)
{
	char some[8192];
	bool kept = !s->failed && !fflush(s->file) && !fseek(s->file, 0, SEEK_SET);
	if (s->failed)
		errno = s->failed;
	if (!kept)
		return err_sys(e, "keep a list in a temporary file");
	for (size_t n; (n = fread(some, 1, sizeof(some), s->file));)
		fwrite(some, 1, n, stdout);
	if (ferror(s->file))
		return err_sys(e, "read a list back from a temporary file");
	if (json)
		fputs(s->n ? "\n  ]" : "[]", stdout);
	return ferror(stdout) ? err_sys(e, "write the list") : 0;
}
