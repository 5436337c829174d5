/* What control groups do for a box: by one that is made, asked and removed. */
#include "sandbox/doctor.h"

#include <fcntl.h>
#include <string.h>

struct group {
	struct cgroup_host *host;
	struct cgroup *cgroup;
	struct cgroup_counts counts;
	const char *kind;
};

static int group_open(struct group *g, struct err *e)
{
	const struct cgroup_limits limits = {.memory = 256 << 20,
					     .processes = 64,
					     .cpu_milli = 1000};
	*g = (struct group){.kind = "none"};
	g->host = cgroup_host_open("assay-doctor", e);
	if (!g->host)
		return -1;
	g->kind = cgroup_host_kind(g->host);
	g->cgroup = cgroup_make(g->host, "doctor", &limits, e);
	if (!g->cgroup)
		return -1;
	cgroup_read_all(g->cgroup, &g->counts);
	return 0;
}

static void group_close(struct group *g)
{
	struct err ignored = ERR_INIT;
	if (g->cgroup && cgroup_remove(g->cgroup, &ignored))
		fprintf(stderr, "assay: %s\n", ignored.text);
	if (g->host)
		cgroup_host_close(g->host);
}

static void list_add(char list[128], const char *word)
{
	size_t n = strlen(list);
	snprintf(list + n, 128 - n, "%s%s", n ? ", " : "", word);
}

/* A group of one's own with controllers in it is something that whoever runs this machine gives. */
static void group_get(struct box_ability *a, const char *kind)
{
	bool systemd = !access("/run/systemd/system", F_OK);
	bool unified = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
	if (systemd && unified)
		ability_get(a, "systemd-run %s--scope -p Delegate=yes assay …",
			    geteuid() ? "--user " : "");
	else if (systemd && geteuid())
		ability_get(a, "boot with systemd.unified_cgroup_hierarchy=1, then systemd-run "
			       "--user --scope -p Delegate=yes assay …");
	else if (geteuid())
		ability_get(a, "run as root, or have a cgroup v2 with the controllers made and "
			       "given to this user, and start assay alone in it");
	else
		ability_get(a, "%s",
			    strcmp(kind, "none")
				    ? "mount the hierarchies of the missing controllers"
				    : "mount cgroup2, or the v1 hierarchies, writable");
}

void doctor_cgroup(struct doctor *d, struct box_ability *a)
{
	struct group g;
	struct err e = ERR_INIT;
	char has[128] = "", lacks[128] = "";
	(void)d;
	if (group_open(&g, &e)) {
		ability_no(a, "%.250s", e.text);
		ability_follows(a, "no box can be made");
		group_get(a, g.kind);
		group_close(&g);
		return;
	}
	const struct cgroup_counts *c = &g.counts;
	list_add(c->has_memory ? has : lacks, "memory");
	list_add(c->has_processes ? has : lacks, "processes");
	list_add(c->has_cpu ? has : lacks, "processor time");
	list_add(c->has_quota ? has : lacks, "quota of processors");
	list_add(c->has_io ? has : lacks, "input and output");
	if (!*lacks) {
		ability_yes(a, "%s: %s", g.kind, has);
	} else {
		if (*has)
			ability_partly(a, "%s: %s; not: %s", g.kind, has, lacks);
		else
			ability_no(a, "none that this user may write");
		if (!c->has_memory || !c->has_processes)
			ability_follows(a, "%s%s%s kept by looking twice a second%s",
					c->has_memory ? "" : "memory",
					c->has_memory || c->has_processes ? "" : " and ",
					c->has_processes ? "" : "processes",
					c->has_quota ? "" : "; --cpus is refused");
		else if (!c->has_quota)
			ability_follows(a, "--cpus is refused");
		else
			ability_follows(a, "facts do not tell: %s", lacks);
		group_get(a, g.kind);
	}
	group_close(&g);
}

void doctor_cgroup_birth(struct doctor *d, struct box_ability *a)
{
	struct group g;
	struct err e = ERR_INIT;
	(void)d;
	if (!group_open(&g, &e) && cgroup_clone_fd(g.cgroup) >= 0) {
		ability_yes(a, "CLONE_INTO_CGROUP");
	} else {
		ability_no(a, "%.250s",
			   e.kind                   ? e.text
			   : strcmp(g.kind, "none") ? "cgroup v1 has no such thing"
						    : "there are no groups");
		ability_follows(a, "a box goes there by itself, before its command is there");
		ability_get(a, "cgroup v2");
	}
	group_close(&g);
}

void doctor_cgroup_kill(struct doctor *d, struct box_ability *a)
{
	struct group g;
	struct err e = ERR_INIT;
	(void)d;
	int dir = group_open(&g, &e) ? -1 : cgroup_clone_fd(g.cgroup);
	auto_fd int fd = dir < 0 ? -1 : openat(dir, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) == 1) {
		ability_yes(a, "one write ends a whole group");
	} else {
		ability_no(a, "%s",
			   dir < 0 ? "there is no cgroup v2 of ours" : "this kernel has none");
		ability_follows(a, "a box is ended by its pid 1 and one process after the other");
		ability_get(a, "cgroup v2, Linux 5.14");
	}
	group_close(&g);
}
