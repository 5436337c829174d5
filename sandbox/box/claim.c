#include "sandbox/box/claim.h"

#include "base/mountinfo.h"
#include "base/own.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/kin.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CLAIM_LINES 65536 /* mounts of one list: a look has an end */
/* The first pid namespace: PROC_PID_INIT_INO in linux/proc_ns.h. */
#define CLAIM_HOST_PIDS 0xeffffffcu

/* ---- numbers of file systems ---- */

static void minors_fini(struct minors *m)
{
	free(m->all);
	*m = (struct minors){.n = 0};
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static bool minors_have(const struct minors *m, uint32_t minor)
{
	return m->n && bsearch(&minor, m->all, m->n, sizeof(minor), by_number);
}

static void minors_add(struct minors *m, uint32_t minor)
{
	if (m->n && m->all[m->n - 1] == minor)
		return;
	if (m->n == m->room) {
		m->room = m->room ? m->room * 2 : 16;
		m->all = own_grow(m->all, m->room, sizeof(*m->all));
	}
	m->all[m->n++] = minor;
}

static void minors_sort(struct minors *m)
{
	if (m->n)
		qsort(m->all, m->n, sizeof(*m->all), by_number);
}

/* "fuse", "fuse.sshfs". "fuseblk" has a real device, which takes the host's root. */
static bool is_fuse(const struct mountinfo *m, uint32_t *minor)
{
	char end;
	return !strncmp(m->type, "fuse", 4) && (!m->type[4] || m->type[4] == '.') &&
	       sscanf(m->device, "0:%u%c", minor, &end) == 1;
}

/* Of a list of mounts, from its beginning: its own are added to m, which is in order then. */
static void minors_read(struct minors *m, int fd)
{
	struct mountinfo info;
	auto_free char *line = NULL;
	size_t room = 0;
	uint32_t minor;
	int copy = lseek(fd, 0, SEEK_SET) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	auto_file FILE *f = copy < 0 ? NULL : fdopen(copy, "re");
	for (size_t i = 0; f && i < CLAIM_LINES && getline(&line, &room, f) > 0; i++)
		if (mountinfo_parse(line, &info) && is_fuse(&info, &minor))
			minors_add(m, minor);
	minors_sort(m);
}

/* ---- what is held ---- */

static void others_add(struct claim *c, int process)
{
	auto_fd int fd = openat(process, "mountinfo", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		minors_read(&c->others, fd);
}

static void others_open(struct claim *c)
{
	auto_fd int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (self >= 0)
		others_add(c, self);
}

static bool is_own(const struct claim *c, uint32_t minor)
{
	return !minors_have(&c->built, minor) && !minors_have(&c->others, minor);
}

/* What has ended is let go. Which numbers it has. */
static struct minors held_numbers(struct claim *c)
{
	struct minors m = {.n = 0};
	size_t n = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (!connection_is_there(&c->held[i], c->ctl)) {
			close(c->held[i].abort_fd);
			continue;
		}
		c->held[n++] = c->held[i];
		minors_add(&m, c->held[i].minor);
	}
	c->n = n;
	minors_sort(&m);
	return m;
}

static void held_add(struct claim *c, uint32_t minor)
{
	struct connection one;
	if (!connection_open(&one, c->ctl, minor))
		return;
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 16;
		c->held = own_grow(c->held, c->room, sizeof(*c->held));
	}
	c->held[c->n++] = one;
}

/* Those from `first` on, if they are in this list. */
static void held_keep(struct claim *c, size_t first, const struct minors *listed)
{
	size_t n = first;
	for (size_t i = first; i < c->n; i++)
		if (minors_have(listed, c->held[i].minor))
			c->held[n++] = c->held[i];
		else
			close(c->held[i].abort_fd);
	c->n = n;
}

/* What is in this list of mounts. A number that is in it before and after it was opened is what was
 * opened, or that one has ended. */
static void held_take(struct claim *c, int list)
{
	struct minors held = held_numbers(c), seen = {.n = 0}, again = {.n = 0};
	size_t first = c->n;
	minors_read(&seen, list);
	for (size_t i = 0; i < seen.n; i++)
		if (is_own(c, seen.all[i]) && !minors_have(&held, seen.all[i]) &&
		    (!i || seen.all[i] != seen.all[i - 1]))
			held_add(c, seen.all[i]);
	if (first < c->n)
		minors_read(&again, list);
	held_keep(c, first, &again);
	minors_fini(&held);
	minors_fini(&seen);
	minors_fini(&again);
}

void claim_look(struct claim *c)
{
	others_open(c);
	held_take(c, c->nested);
	minors_fini(&c->others);
}

/* ---- what is found when it is needed ---- */

static bool space_is_new(struct claim *c, int task)
{
	struct stat st;
	if (fstatat(task, "ns/mnt", &st, 0))
		return true; /* unknown */
	for (size_t i = 0; i < c->n_spaces; i++)
		if (c->spaces[i] == st.st_ino)
			return false;
	c->spaces = own_grow(c->spaces, c->n_spaces + 1, sizeof(*c->spaces));
	c->spaces[c->n_spaces++] = st.st_ino;
	return true;
}

static void claim_task(struct claim *c, int task)
{
	if (!space_is_new(c, task))
		return;
	auto_fd int list = openat(task, "mountinfo", O_RDONLY | O_CLOEXEC);
	if (list >= 0)
		held_take(c, list);
}

/* Each thread can have mounts of its own, and the first may have ended. */
static void claim_process(struct claim *c, int process)
{
	int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		own_close(&fd);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		auto_fd int task = d->d_name[0] == '.' ? -1
						       : openat(fd, d->d_name,
								O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (task >= 0)
			claim_task(c, task);
	}
	if (dir)
		closedir(dir);
}

static void claim_see(void *arg, int process, bool kin)
{
	struct claim *c = arg;
	if (kin && c->nested >= 0)
		claim_process(c, process);
	else if (!kin && c->uid && space_is_new(c, process))
		others_add(c, process);
}

/* Not what carries its uppers, which has the same ids and is to be written back (fuse.h). */
static void claim_own(void *arg, const struct connection *one)
{
	if (is_own(arg, one->minor))
		connection_abort(one);
}

void claim_abort(struct claim *c)
{
	others_open(c);
	if (c->nested >= 0)
		held_take(c, c->nested);
	kin_each(c->pid, claim_see, c);
	for (size_t i = 0; i < c->n; i++)
		connection_abort(&c->held[i]);
	if (c->uid)
		fusectl_each_of(c->ctl, c->uid, IDS_RANGE, claim_own, c);
	minors_fini(&c->others);
	free(c->spaces);
	c->spaces = NULL;
	c->n_spaces = 0;
}

/* A container next to this one may have the same ids, and its mounts are not to be seen from here:
 * only on the host all are. */
static bool sees_all(void)
{
	struct stat st;
	return !stat("/proc/self/ns/pid", &st) && st.st_ino == CLAIM_HOST_PIDS;
}

bool claim_open(struct claim *c, int built, int nested, pid_t pid, uint32_t uid)
{
	*c = (struct claim){.ctl = built < 0 ? -1 : fusectl_open(),
			    .nested = nested,
			    .pid = pid,
			    .uid = sees_all() ? uid : 0};
	if (c->ctl < 0)
		return false;
	if (c->uid)
		c->nested = -1; /* says nothing more */
	minors_read(&c->built, built);
	return true;
}
