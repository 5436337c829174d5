#include "sandbox/box/spec.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct reader {
	char *p, *end;
	bool bad;
};

static uint32_t read_u32(struct reader *r)
{
	uint32_t v = 0;
	if (r->bad || r->end - r->p < (ptrdiff_t)sizeof(v)) {
		r->bad = true;
		return 0;
	}
	memcpy(&v, r->p, sizeof(v));
	r->p += sizeof(v);
	return v;
}

static uint64_t read_u64(struct reader *r)
{
	uint64_t v = 0;
	if (r->bad || r->end - r->p < (ptrdiff_t)sizeof(v)) {
		r->bad = true;
		return 0;
	}
	memcpy(&v, r->p, sizeof(v));
	r->p += sizeof(v);
	return v;
}

static char *read_bytes(struct reader *r, size_t *n)
{
	static char none[1];
	*n = read_u32(r);
	if (r->bad || (size_t)(r->end - r->p) <= *n || r->p[*n]) {
		r->bad = true;
		*n = 0;
		return none;
	}
	char *s = r->p;
	r->p += *n + 1;
	return s;
}

static char *read_string(struct reader *r)
{
	size_t n;
	char *s = read_bytes(r, &n);
	if (memchr(s, 0, n))
		r->bad = true;
	return s;
}

/* How many elements follow, each at least `least` bytes: so that no count can ask for more memory
 * than the text has bytes. */
static size_t read_count(struct reader *r, size_t least)
{
	size_t n = read_u32(r);
	if (r->bad || n > (size_t)(r->end - r->p) / least) {
		r->bad = true;
		return 0;
	}
	return n;
}

static char **read_strings(struct reader *r)
{
	size_t n = read_count(r, 5);
	char **list = own_calloc(n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		list[i] = read_string(r);
	return list;
}

static void read_mount(struct reader *r, struct spec_mount *m, uint32_t n_fds)
{
	m->path = read_string(r);
	uint32_t mode = read_u32(r);
	m->mode = (enum plan_mount_mode)mode;
	uint32_t flags = read_u32(r);
	m->ours = flags & PLAN_MOUNT_OURS;
	m->file = flags & PLAN_MOUNT_FILE;
	m->size = read_u64(r);
	m->first = read_u32(r);
	m->n = read_u32(r);
	m->upper = read_u32(r);
	m->work = read_u32(r);
	m->past = read_u32(r);
	if (m->past > m->n || (m->file && (m->n != 1 || mode == PLAN_MOUNT_TMPFS || !m->path[1])))
		r->bad = true;
	if (mode > PLAN_MOUNT_TMPFS || m->path[0] != '/' || m->first > n_fds ||
	    m->n > n_fds - m->first || (m->upper == PLAN_NO_FD) != (m->work == PLAN_NO_FD) ||
	    (m->upper != PLAN_NO_FD && (m->upper >= n_fds || m->work >= n_fds)))
		r->bad = true;
}

static void read_files(struct reader *r, struct spec *s)
{
	s->n_files = read_count(r, 14);
	s->files = own_calloc(s->n_files + 1, sizeof(*s->files));
	for (size_t i = 0; i < s->n_files; i++) {
		s->files[i].path = read_string(r);
		s->files[i].mode = read_u32(r) & 0777;
		s->files[i].bytes = read_bytes(r, &s->files[i].n);
		if (s->files[i].path[0] != '/')
			r->bad = true;
	}
}

static void read_all(struct reader *r, struct spec *s, uint32_t n_fds)
{
	size_t n;
	s->flags = read_u32(r);
	s->uid = read_u32(r);
	s->gid = read_u32(r);
	s->name = read_string(r);
	s->hostname = read_string(r);
	s->cwd = read_string(r);
	s->home = read_string(r);
	s->open_files = read_u64(r);
	s->file_size = read_u64(r);
	s->processes = read_u64(r);
	s->tmpfs = read_u64(r);
	s->disk = read_u64(r);
	s->disk_inodes = read_u64(r);
	s->n_mounts = read_count(r, 41);
	s->mounts = own_calloc(s->n_mounts + 1, sizeof(*s->mounts));
	for (size_t i = 0; i < s->n_mounts; i++)
		read_mount(r, &s->mounts[i], n_fds);
	read_files(r, s);
	s->argv = read_strings(r);
	s->env = read_strings(r);
	/* sock_filter wants its alignment: it is the text's last field, moved to where it has it.
	 */
	char *code = read_bytes(r, &n);
	if (r->bad || n % sizeof(struct sock_filter) ||
	    n / sizeof(struct sock_filter) > BPF_MAXINSNS) {
		r->bad = true;
		return;
	}
	char *aligned = s->text + (((size_t)(code - s->text) + 7) & ~(size_t)7);
	memmove(aligned, code, n);
	s->filter = (const struct sock_filter *)(void *)aligned;
	s->n_filter = (unsigned short)(n / sizeof(struct sock_filter));
}

int spec_read(struct spec *s, int fd, uint64_t bytes, uint32_t n_fds, struct err *e)
{
	*s = (struct spec){.text = NULL};
	if (bytes > PLAN_TEXT_MAX)
		return err_set(e, ERR_LIMIT, "plan of %llu bytes", (unsigned long long)bytes);
	s->text = own_alloc(bytes + 16);
	for (size_t at = 0; at < bytes;) {
		ssize_t n = pread(fd, s->text + at, bytes - at, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? err_sys(e, "read the plan")
				 : err_set(e, ERR_CORRUPT, "plan is cut short");
		at += (size_t)n;
	}
	struct reader r = {.p = s->text, .end = s->text + bytes};
	read_all(&r, s, n_fds);
	if (r.bad || r.p != r.end || !s->argv[0])
		return err_set(e, ERR_CORRUPT, "plan breaks its format at byte %zu",
			       (size_t)(r.p - s->text));
	return 0;
}

void spec_fini(struct spec *s)
{
	free(s->text);
	free(s->mounts);
	free(s->files);
	free(s->argv);
	free(s->env);
	*s = (struct spec){.text = NULL};
}

bool spec_mount_is_live(const struct spec_mount *m)
{
	return m->mode == PLAN_MOUNT_RW || (m->mode == PLAN_MOUNT_RO && m->n == 1 && !m->ours);
}

void spec_say(const struct spec *s, const char *fmt, ...)
{
	if (!(s->flags & PLAN_VERBOSE))
		return;
	char line[1024];
	int n = snprintf(line, sizeof(line), "assay-box: %s: ", s->name);
	va_list ap;
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody listens */
}
