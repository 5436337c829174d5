#include "sandbox/box/kin.h"

#include "base/own.h"
#include "base/unit.h"
#include "sandbox/box/look.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

struct person {
	pid_t pid, parent;
	enum { KIN_UNKNOWN, KIN_NO, KIN_YES } kin;
};

struct people {
	struct person *all; /* owned, by pid */
	size_t n, room;
};

static pid_t parent_of(int process)
{
	char buf[1024], state;
	int parent = 0;
	if (look_read(process, "stat", buf, sizeof(buf)) <= 0)
		return 0;
	const char *rest = strrchr(buf, ')'); /* its name may hold anything */
	return rest && sscanf(rest + 1, " %c %d", &state, &parent) == 2 ? parent : 0;
}

static void people_add(struct people *p, int proc, const char *name)
{
	uint64_t pid;
	if (unit_parse_count(name, &pid) || pid > INT32_MAX)
		return;
	auto_fd int process = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return;
	if (p->n == p->room) {
		p->room = p->room ? p->room * 2 : 256;
		p->all = own_grow(p->all, p->room, sizeof(*p->all));
	}
	p->all[p->n++] = (struct person){(pid_t)pid, parent_of(process), KIN_UNKNOWN};
}

static int by_pid(const void *a, const void *b)
{
	const struct person *x = a, *y = b;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static struct person *people_find(const struct people *p, pid_t pid)
{
	const struct person key = {.pid = pid};
	return p->n ? bsearch(&key, p->all, p->n, sizeof(key), by_pid) : NULL;
}

/* Each is asked once: what is found out holds for all on the way. */
static void people_judge(const struct people *p, struct person *one)
{
	struct person *at = one;
	size_t steps = 0; /* numbers that were given anew meanwhile could make a circle */
	while (at && at->kin == KIN_UNKNOWN && steps++ < p->n)
		at = people_find(p, at->parent);
	bool kin = at && at->kin == KIN_YES;
	for (at = one; at && at->kin == KIN_UNKNOWN; at = people_find(p, at->parent))
		at->kin = kin ? KIN_YES : KIN_NO;
}

void kin_each(pid_t first, void (*fn)(void *arg, int process, bool kin), void *arg)
{
	struct people p = {.n = 0};
	char name[16];
	DIR *dir = opendir("/proc");
	for (struct dirent *d; dir && (d = readdir(dir));)
		people_add(&p, dirfd(dir), d->d_name);
	if (p.n)
		qsort(p.all, p.n, sizeof(*p.all), by_pid);
	struct person *root = people_find(&p, first);
	if (root)
		root->kin = KIN_YES;
	for (size_t i = 0; i < p.n; i++) {
		people_judge(&p, &p.all[i]);
		snprintf(name, sizeof(name), "%d", (int)p.all[i].pid);
		auto_fd int process = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* The number may be another's by now. */
		bool kin = p.all[i].kin == KIN_YES && process >= 0 &&
			   parent_of(process) == p.all[i].parent;
		if (process >= 0)
			fn(arg, process, kin);
	}
	if (dir)
		closedir(dir);
	free(p.all);
}
