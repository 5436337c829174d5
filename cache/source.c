#include "cache/source.h"
#include "cache/build.h"

#include <errno.h>

static la_ssize_t source_read(struct archive *a, void *arg, const void **bytes)
{
	struct source *s = arg;
	ssize_t n;
	do
		n = read(s->fd, s->buffer, BUILD_BUFFER);
	while (n < 0 && errno == EINTR);
	*bytes = s->buffer;
	if (n >= 0)
		return n;
	s->why = errno;
	archive_set_error(a, errno, "read the archive");
	return ARCHIVE_FATAL;
}

static la_int64_t source_seek(struct archive *a, void *arg, la_int64_t offset, int whence)
{
	struct source *s = arg;
	off_t at = lseek(s->fd, offset, whence);
	if (at >= 0)
		return at;
	/* A damaged archive may say where there is nothing. */
	s->why = errno == EINVAL ? 0 : errno;
	archive_set_error(a, errno, "seek in the archive");
	return ARCHIVE_FATAL;
}

/* Not beyond the end, which reading has to see. */
static la_int64_t source_skip(struct archive *a, void *arg, la_int64_t n)
{
	struct source *s = arg;
	off_t at = lseek(s->fd, 0, SEEK_CUR), end = lseek(s->fd, 0, SEEK_END);
	if (at >= 0 && end >= 0) {
		off_t to = n < end - at ? at + n : end;
		if (lseek(s->fd, to < at ? at : to, SEEK_SET) >= 0)
			return to < at ? 0 : to - at;
	}
	s->why = errno;
	archive_set_error(a, errno, "seek in the archive");
	return ARCHIVE_FATAL;
}

int source_open(struct source *s, struct archive *a, int fd)
{
	*s = (struct source){.fd = fd, .buffer = own_alloc(BUILD_BUFFER)};
	archive_read_set_read_callback(a, source_read);
	archive_read_set_seek_callback(a, source_seek);
	archive_read_set_skip_callback(a, source_skip);
	archive_read_set_callback_data(a, s);
	return archive_read_open1(a);
}

int source_failed(const struct source *s, struct err *e)
{
	if (!s->why)
		return 0;
	errno = s->why;
	(void)!err_sys(e, "read the archive");
	return 1;
}

void source_fini(struct source *s)
{
	free(s->buffer);
	*s = (struct source){.fd = -1};
}
