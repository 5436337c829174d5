/* Which groups this process is in, and where they are mounted. Both files are the kernel's, but the
 * names in them are whatever somebody mounted or made. proc_pid_cgroup(5): "ID:CONTROLLERS:PATH",
 * v2 is "0::PATH", PATH as seen from the cgroup namespace's root. */
#include "sandbox/cgroup_inside.h"

#include "base/dir.h"
#include "base/mountinfo.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FIND_MAX (16u << 20)

static const struct {
	const char *name;
	enum cgroup_controller bit;
} controllers[CGROUP_HIERARCHIES] = {
	{"freezer", CGROUP_FREEZER}, {"pids", CGROUP_PIDS}, {"memory", CGROUP_MEMORY},
	{"cpuacct", CGROUP_CPUACCT}, {"cpu", CGROUP_CPU},
};

/* What /proc/self/cgroup says. Paths point into its text. */
struct find {
	const struct cgroup_world *world;
	struct {
		unsigned mask;
		const char *path;
	} v1[CGROUP_HIERARCHIES];
	char *v2;
};

static unsigned find_mask(char *list)
{
	unsigned mask = 0;
	for (char *word; (word = strsep(&list, ","));)
		for (size_t i = 0; i < countof(controllers); i++)
			if (!strcmp(word, controllers[i].name))
				mask |= controllers[i].bit;
	return mask;
}

static size_t find_slot(unsigned mask)
{
	return (size_t)__builtin_ctz(mask);
}

static int find_read(const struct cgroup_world *w, const char *file, struct text *t, struct err *e)
{
	auto_free char *path = own_fmt("%s/%s", w->self, file);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* no /proc: no groups */
	return dir_read_fd(fd, FIND_MAX, t, e) ? err_add(e, "%s", path) : 0;
}

static void find_groups(struct find *f, char *text)
{
	for (char *line; (line = strsep(&text, "\n"));) {
		char *id = strsep(&line, ":"), *list = strsep(&line, ":"), *path = line;
		if (!path || path[0] != '/')
			continue;
		if (!strcmp(id, "0") && !*list) {
			f->v2 = path;
			continue;
		}
		unsigned mask = find_mask(list);
		if (!mask)
			continue;
		f->v1[find_slot(mask)].mask = mask;
		f->v1[find_slot(mask)].path = path;
	}
}

/* path relative to a mount whose root is `root`; NULL if it is not below it. */
static const char *find_beneath(const char *path, const char *root)
{
	size_t n = strcmp(root, "/") ? strlen(root) : 0;
	if (strncmp(path, root, n) || (path[n] && path[n] != '/'))
		return NULL;
	while (path[n] == '/')
		n++;
	return path[n] ? path + n : ".";
}

/* The later of two mounts lies on top, so it wins. dir_open_beneath refuses "..", which the kernel
 * shows for what lies outside a cgroup namespace, as well as links. */
static void find_place(const struct find *f, struct cgroup_place *place, unsigned mask, int version,
		       const char *path, const char *root, const char *point)
{
	const char *rel = path ? find_beneath(path, root) : NULL;
	if (!rel)
		return;
	auto_free char *mounted = own_fmt("%s%s", f->world->prefix, point);
	auto_fd int top = open(mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int fd = top < 0 ? -1 : dir_open_beneath(top, rel, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || !f->world->is_cgroupfs(fd, version))
		return;
	own_close(&place->fd);
	place->fd = give_fd(&fd);
	place->controllers = mask;
}

static void find_mount(const struct find *f, struct cgroup_places *p, char *line)
{
	struct mountinfo m;
	if (!mountinfo_parse(line, &m) || strncmp(m.type, "cgroup", 6))
		return;
	if (!strcmp(m.type, "cgroup2")) {
		find_place(f, &p->v2, 0, 2, f->v2, m.root, m.point);
		return;
	}
	unsigned mask = strcmp(m.type, "cgroup") ? 0 : find_mask(m.super);
	if (mask && f->v1[find_slot(mask)].mask == mask)
		find_place(f, &p->v1[find_slot(mask)], mask, 1, f->v1[find_slot(mask)].path, m.root,
			   m.point);
}

/* "/a/NAME.12/supervisor" becomes "/a" and inside = "NAME.12": the groups of this process, its
 * children and its successors stand side by side in /a, whose controllers are switched on. */
static void find_step_out(char *path, char **inside)
{
	char *leaf = path ? strrchr(path, '/') : NULL;
	if (!leaf || leaf == path || strcmp(leaf, "/supervisor"))
		return;
	*leaf = 0;
	char *name = strrchr(path, '/');
	const char *dot = strchr(name, '.');
	size_t number = dot ? strspn(dot + 1, "0123456789-") : 0;
	if (!number || !isdigit((unsigned char)dot[1]) || dot[1 + number]) {
		*leaf = '/';
		return;
	}
	*inside = own_dup(name + 1);
	name[name == path] = 0;
}

int cgroup_find(const struct cgroup_world *w, struct cgroup_places *p, struct err *e)
{
	auto_text struct text groups = TEXT_INIT, mounts = TEXT_INIT;
	struct find f = {.world = w};
	*p = (struct cgroup_places){.v2 = {.fd = -1}};
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		p->v1[i].fd = -1;
	if (find_read(w, "cgroup", &groups, e) || find_read(w, "mountinfo", &mounts, e))
		return -1;
	if (groups.p)
		find_groups(&f, groups.p);
	find_step_out(f.v2, &p->inside);
	char *rest = mounts.p;
	for (char *line; (line = strsep(&rest, "\n"));)
		find_mount(&f, p, line);
	return 0;
}

void cgroup_places_close(struct cgroup_places *p)
{
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		own_close(&p->v1[i].fd);
	own_close(&p->v2.fd);
	free(p->inside);
	p->inside = NULL;
}
