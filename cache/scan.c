/* Frames are found by their block headers and their marks, which no job decides about; what is
 * inside is looked at only when a publish is whole. */
#include "cache/scan.h"
#include "cache/frame.h"
#include "cache/reader.h"
#include "cache/segment.h"
#include "cache/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct scan {
	struct cache *c;
	const struct cache_scan *how;
	struct scan_end *ends;
	size_t n_ends;
	struct cache_frame *frames; /* of the publish that is not whole yet */
	size_t n_frames;
	char id[CACHE_ID]; /* what its marks say it is about */
};

static int scan_by_number(const void *a, const void *b)
{
	const struct scan_end *x = a, *y = b;
	return (x->segment > y->segment) - (x->segment < y->segment);
}

/* The segments that are there, in order, each with 0 bytes. */
static int scan_list(struct scan *s, struct err *e)
{
	if (s->c->seg_fd < 0)
		return 0;
	int fd = openat(s->c->seg_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err_sys(e, "read seg");
		own_close(&fd);
		return -1;
	}
	for (struct dirent *it; (errno = 0, it = readdir(d));) {
		uint32_t number = segment_number(it->d_name);
		if (!number)
			continue;
		s->ends = own_grow(s->ends, s->n_ends + 1, sizeof(*s->ends));
		s->ends[s->n_ends++] = (struct scan_end){.segment = number};
	}
	int rc = errno ? err_sys(e, "read seg") : 0;
	closedir(d);
	if (s->n_ends)
		qsort(s->ends, s->n_ends, sizeof(*s->ends), scan_by_number);
	return rc;
}

static int scan_damage(struct scan *s, uint32_t segment, uint64_t offset, uint64_t bytes,
		       const char *why, struct err *e)
{
	return s->how->on_damage && bytes
		       ? s->how->on_damage(s->how->owner, segment, offset, bytes, why, e)
		       : 0;
}

/* The publish that was begun has no end. */
static int scan_give_up(struct scan *s, const char *why, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; !rc && i < s->n_frames; i++)
		rc = scan_damage(s, s->frames[i].segment, s->frames[i].offset, s->frames[i].bytes,
				 why, e);
	s->n_frames = 0;
	return rc;
}

static struct scan_end *scan_end_of(struct scan *s, uint32_t segment)
{
	for (size_t i = 0; i < s->n_ends; i++)
		if (s->ends[i].segment == segment)
			return &s->ends[i];
	return NULL;
}

/* All its frames are there: what does it say? Without marks only version 1 is a whole one. */
static int scan_publish(struct scan *s, bool marked, struct err *e)
{
	struct reader r;
	struct cache_record record = {0};
	struct err why = ERR_INIT;
	int rc = reader_open(&r, s->c, s->frames, s->n_frames, &why);
	if (!rc)
		rc = reader_record(&r, &record, &why);
	reader_close(&r);
	if (rc && why.kind == ERR_SYS) {
		*e = why;
	} else if (rc) {
		rc = scan_give_up(s, why.text, e);
	} else if (marked ? strcmp(record.layer, s->id) : record.version > 1) {
		rc = scan_give_up(s, "its record is not the one its mark is about", e);
	} else {
		for (size_t i = 0; i < s->n_frames; i++)
			scan_end_of(s, s->frames[i].segment)->bytes =
				s->frames[i].offset + s->frames[i].bytes;
		rc = s->how->on_record(s->how->owner, &record, e);
	}
	reader_record_fini(&record);
	s->n_frames = 0;
	return rc;
}

static void scan_add(struct scan *s, uint32_t segment, uint64_t at, uint64_t bytes,
		     const char *digest, const struct frame_mark *m)
{
	s->frames = own_grow(s->frames, s->n_frames + 1, sizeof(*s->frames));
	struct cache_frame *f = &s->frames[s->n_frames++];
	*f = (struct cache_frame){.segment = segment, .offset = at, .bytes = bytes};
	memcpy(f->digest, digest, CACHE_SUM);
	if (m) {
		f->bytes += m->size;
		memcpy(f->record, m->record, CACHE_ID);
		memcpy(s->id, m->id, CACHE_ID);
	}
}

/* One frame at *at. 1, 0: there is none, and why says so; -1. */
static int scan_frame(struct scan *s, int fd, uint32_t segment, uint64_t *at, uint64_t end,
		      const char **why, struct err *e)
{
	uint64_t bytes = 0;
	char digest[CACHE_SUM];
	struct frame_mark m;
	int got = frame_measure(fd, *at, end, &bytes, e);
	int marked = got > 0 ? frame_find_mark(fd, *at + bytes, end, &m, e) : 0;
	*why = "no whole frame";
	if (got <= 0 || marked < 0)
		return got < 0 || marked < 0 ? -1 : 0;
	if (marked && m.bytes != bytes) {
		*why = "a frame that is not as long as its mark says";
		return 0;
	}
	enum sum_kind kind = marked ? sum_kind_of(m.digest) : SUM_SHA256;
	int read = frame_digest(fd, *at, bytes, kind, digest, e);
	if (read <= 0)
		return read ? -1 : err_set(e, ERR_CORRUPT, "segment %06u shrinks", segment);
	bool damaged = marked && strcmp(digest, m.digest);
	bool goes_on = marked && m.part && m.part == s->n_frames && !strcmp(m.id, s->id);
	if (!goes_on && s->n_frames && scan_give_up(s, "a publish that does not go on", e))
		return -1;
	uint64_t from = *at;
	*at += bytes + (marked ? m.size : 0);
	if (damaged || (marked && m.part && !goes_on))
		return scan_damage(s, segment, from, *at - from,
				   damaged ? "a frame with other bytes than its mark says"
					   : "the rest of a publish whose beginning is gone",
				   e) ||
				       (damaged &&
					scan_give_up(s, "a publish that does not go on", e))
			       ? -1
			       : 1;
	scan_add(s, segment, from, bytes, digest, marked ? &m : NULL);
	return (!marked || m.last) && scan_publish(s, marked, e) ? -1 : 1;
}

static int scan_segment(struct scan *s, struct scan_end *end, uint64_t from, struct err *e)
{
	char name[SEGMENT_NAME];
	struct stat st;
	const char *why = "";
	segment_name(end->segment, name);
	auto_fd int fd = tree_open(s->c->seg_fd, name, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, "open segment %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CORRUPT, "segment %s is not a regular file", name);
	uint64_t at = from, size = (uint64_t)st.st_size;
	end->bytes = from < size ? from : size;
	while (at < size) {
		int got = scan_frame(s, fd, end->segment, &at, size, &why, e);
		if (got < 0)
			return -1;
		if (!got)
			return scan_give_up(s, "a publish that does not go on", e) ||
					       scan_damage(s, end->segment, at, size - at, why, e)
				       ? -1
				       : 0;
	}
	return 0;
}

static uint64_t scan_committed(const struct cache_known_segment *known, size_t n, uint32_t segment)
{
	for (size_t i = 0; i < n; i++)
		if (known[i].number == segment)
			return known[i].bytes;
	return 0;
}

int scan_from(struct cache *c, const struct cache_known_segment *known, size_t n,
	      const struct cache_scan *how, struct scan_end **ends, size_t *n_ends, struct err *e)
{
	struct scan s = {.c = c, .how = how};
	int rc = scan_list(&s, e);
	for (size_t i = 0; !rc && i < s.n_ends; i++)
		rc = scan_segment(&s, &s.ends[i], scan_committed(known, n, s.ends[i].segment), e);
	if (!rc)
		rc = scan_give_up(&s, "a publish without an end", e);
	free(s.frames);
	*ends = s.ends;
	*n_ends = s.n_ends;
	return rc;
}

int cache_scan(struct cache *c, const struct cache_scan *how, struct err *e)
{
	struct scan_end *ends = NULL;
	size_t n;
	int rc = scan_from(c, NULL, 0, how, &ends, &n, e);
	free(ends);
	return rc;
}
