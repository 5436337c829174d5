#include "orchestrator/kept.h"

#include "base/dir.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

double kept_value(const struct db_kept *k)
{
	double likely = ((double)k->uses + 1) / ((double)k->chances + 2);
	return (double)k->saves_ms * likely / ((double)k->bytes + 1);
}

uint64_t kept_budget(uint64_t want, uint64_t free, uint64_t taken)
{
	uint64_t most = free > UINT64_MAX - taken ? UINT64_MAX : (free + taken) / 2;
	return want < most ? want : most;
}

const char *kept_dir(int64_t phase, char name[KEPT_DIR])
{
	snprintf(name, KEPT_DIR, "kept/%lld", (long long)phase);
	return name;
}

/* ---- what is held ---- */

int kept_hold(int state_fd, int64_t phase)
{
	char name[KEPT_DIR];
	int fd = dir_open_beneath(state_fd, kept_dir(phase, name), O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB))
		own_close(&fd);
	return fd;
}

bool kept_held(int state_fd, int64_t phase)
{
	char name[KEPT_DIR];
	auto_fd int fd =
		dir_open_beneath(state_fd, kept_dir(phase, name), O_RDONLY | O_DIRECTORY, 0);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}

int kept_remove(int state_fd, int64_t phase, struct err *e)
{
	char name[KEPT_DIR];
	return kept_held(state_fd, phase)
		       ? 0
		       : sandbox_remove(NULL, state_fd, kept_dir(phase, name), e);
}

/* ---- who goes ---- */

static int by_phase(const void *pa, const void *pb)
{
	const struct db_kept *a = pa, *b = pb;
	return a->phase < b->phase ? -1 : a->phase > b->phase;
}

#define NONE ((size_t)-1)

static size_t kept_find(const struct db_kept *list, size_t n, int64_t phase)
{
	const struct db_kept key = {.phase = phase};
	const struct db_kept *k = !n ? NULL : bsearch(&key, list, n, sizeof(*list), by_phase);
	return k ? (size_t)(k - list) : NONE;
}

/* One and all that lies upon it. */
struct pile {
	size_t at;          /* in the list */
	size_t below;       /* what it lies upon, NONE: nothing */
	size_t first, next; /* of what lies upon it; beside it upon the same */
	double worth, bytes;
	bool in_use, lost, gone;
};

static int by_value(const void *pa, const void *pb)
{
	const struct pile *a = pa, *b = pb;
	double va = a->lost ? -1 : a->worth / a->bytes, vb = b->lost ? -1 : b->worth / b->bytes;
	if (va != vb)
		return va < vb ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at; /* of equals the oldest */
}

/* What lies upon another ran later, and has a higher number: there are no rings. */
static void kept_pile(const struct db_kept *list, size_t n, struct pile *p)
{
	for (size_t i = 0; i < n; i++) {
		size_t below = list[i].upon ? kept_find(list, i, list[i].upon) : NONE;
		p[i] = (struct pile){.at = i, .below = below, .first = NONE, .next = NONE};
		p[i].lost = list[i].upon && below == NONE;
		if (below == NONE)
			continue;
		p[i].next = p[below].first;
		p[below].first = i;
	}
	/* Each adds itself to all it lies upon. A chain is as long as a suite has phases. */
	for (size_t i = 0; i < n; i++) {
		double bytes = (double)list[i].bytes + 1, worth = kept_value(&list[i]) * bytes;
		for (size_t k = i; k != NONE; k = p[k].below) {
			p[k].worth += worth;
			p[k].bytes += bytes;
			p[k].in_use |= list[i].in_use;
		}
	}
}

struct choice {
	const struct db_kept *list;
	struct pile *piles;
	int64_t *out;
	size_t n;
	uint64_t left; /* bytes */
};

/* As deep as a suite has phases. */
static void kept_go(struct choice *c, size_t at)
{
	struct pile *p = &c->piles[at];
	if (p->gone)
		return;
	p->gone = true;
	c->out[c->n++] = c->list[at].phase;
	c->left -= (uint64_t)c->list[at].bytes;
	for (size_t k = p->first; k != NONE; k = c->piles[k].next)
		kept_go(c, k);
}

size_t kept_choose(struct db_kept *list, size_t n, uint64_t bytes, int64_t *out)
{
	auto_free struct pile *piles = own_calloc(n + 1, sizeof(*piles));
	auto_free struct pile *order = own_calloc(n + 1, sizeof(*order));
	struct choice c = {.list = list, .piles = piles, .out = out};
	for (size_t i = 0; i < n; i++)
		c.left += (uint64_t)list[i].bytes;
	if (c.left <= bytes)
		return 0;
	qsort(list, n, sizeof(*list), by_phase);
	kept_pile(list, n, piles);
	memcpy(order, piles, n * sizeof(*order));
	qsort(order, n, sizeof(*order), by_value);
	for (size_t i = 0; i < n && c.left > bytes; i++)
		if (!order[i].in_use)
			kept_go(&c, order[i].at);
	return c.n;
}

/* ---- at a start ---- */

struct names {
	int64_t *phases; /* ascending */
	size_t n;
};

static int by_number(const void *pa, const void *pb)
{
	const int64_t *a = pa, *b = pb;
	return *a < *b ? -1 : *a > *b;
}

/* The directories there are; what has no number for a name is removed at once. */
static int sweep_read(struct state *s, struct names *out, struct err *e)
{
	auto_fd int fd = dir_make(s->fd, "kept", 0700, e);
	int again = fd < 0 ? -1 : dir_open_beneath(fd, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	int rc = 0;
	if (!d) {
		own_close(&again);
		return fd < 0 ? -1 : err_sys(e, "read %s/kept", s->path);
	}
	for (struct dirent *it; !rc && (errno = 0, it = readdir(d));) {
		char *end;
		long long phase = strtoll(it->d_name, &end, 10);
		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
			continue;
		if (*end || phase <= 0) {
			rc = sandbox_remove(NULL, fd, it->d_name, e);
			continue;
		}
		out->phases = own_grow(out->phases, out->n + 1, sizeof(*out->phases));
		out->phases[out->n++] = phase;
	}
	if (!rc && errno)
		rc = err_sys(e, "read %s/kept", s->path);
	closedir(d);
	if (out->n)
		qsort(out->phases, out->n, sizeof(*out->phases), by_number);
	return rc;
}

/* Both are in order: what only one of them has goes. */
static int sweep_compare(struct state *s, const struct names *dirs, const struct db_kept *rows,
			 size_t n_rows, struct err *e)
{
	auto_free int64_t *lost = own_calloc(n_rows + 1, sizeof(*lost));
	size_t n_lost = 0, k = 0;
	for (size_t i = 0; i < dirs->n || k < n_rows;) {
		int64_t dir = i < dirs->n ? dirs->phases[i] : INT64_MAX,
			row = k < n_rows ? rows[k].phase : INT64_MAX;
		if (row < dir)
			lost[n_lost++] = row;
		if (dir < row && kept_remove(s->fd, dir, e))
			return -1;
		i += dir <= row;
		k += row <= dir;
	}
	return n_lost ? db_kept_forget(s->db, lost, n_lost, e) : 0;
}

int kept_sweep(struct state *s, struct err *e)
{
	struct names dirs = {0};
	struct db_kept *rows = NULL;
	size_t n = 0;
	int rc = sweep_read(s, &dirs, e);
	if (!rc)
		rc = db_kept_rest(s->db, e);
	if (!rc)
		rc = db_kept_list(s->db, &rows, &n, e);
	if (!rc && n)
		qsort(rows, n, sizeof(*rows), by_phase);
	if (!rc)
		rc = sweep_compare(s, &dirs, rows, n, e);
	free(dirs.phases);
	free(rows);
	return rc ? err_add(e, "sweep %s", s->path) : 0;
}

/* ---- by hand ---- */

/* Rows first: what a kill leaves then is nobody's. */
static int kept_end(struct state *s, const int64_t *phases, size_t n, struct err *e)
{
	if (n && db_kept_forget(s->db, phases, n, e))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (kept_remove(s->fd, phases[i], e))
			return -1;
	return 0;
}

int kept_shrink(struct state *s, uint64_t bytes, bool dry, size_t *gone, size_t *n, struct err *e)
{
	struct db_kept *list = NULL;
	*gone = *n = 0;
	if (db_kept_list(s->db, &list, n, e))
		return -1;
	auto_free int64_t *out = own_calloc(*n + 1, sizeof(*out));
	*gone = kept_choose(list, *n, bytes, out);
	free(list);
	return dry ? 0 : kept_end(s, out, *gone, e);
}

int kept_forget(struct state *s, struct err *e)
{
	struct db_kept *list = NULL;
	size_t n = 0;
	if (db_kept_list(s->db, &list, &n, e))
		return -1;
	auto_free int64_t *out = own_calloc(n + 1, sizeof(*out));
	for (size_t i = 0; i < n; i++)
		out[i] = list[i].phase;
	free(list);
	return kept_end(s, out, n, e);
}
