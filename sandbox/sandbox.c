/* The sandbox: its slots, and a helper process for each once it is needed. */
#include "sandbox/inside.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

static void on_reply(void *owner, const struct plan_reply *r, int fd)
{
	struct slot *s = owner;
	if (s->box)
		box_heard(s->box, r, fd);
	else if (fd >= 0)
		close(fd);
}

static void on_death(void *owner, const char *how)
{
	struct slot *s = owner;
	s->helper = NULL;
	if (s->box)
		box_lost(s->box, how);
}

static void on_freed(void *owner)
{
	struct slot *s = owner;
	s->sandbox->n_helpers--;
	sandbox_settle(s->sandbox);
}

/* A helper that was not told makes no box. */
static int sandbox_groups(struct slot *s, struct err *e)
{
	int rc = helper_groups(s->helper, s->sandbox->cgroups, e);
	if (rc)
		helper_stop(s->helper);
	return rc;
}

int sandbox_helper(struct slot *s, struct err *e)
{
	static const struct helper_events events = {on_reply, on_death, on_freed};
	char word[RANGES_WORD];
	struct ranges *r = &s->sandbox->ranges;
	if (s->helper)
		return 0;
	if (ranges_word(r, s->number, word, e))
		return -1;
	const struct helper_ids ids = {word, r->userns_fd, s->sandbox->given};
	s->helper = helper_start(s->sandbox->loop, &s->sandbox->program, &ids, &events, s, e);
	if (!s->helper)
		return -1;
	s->sandbox->n_helpers++;
	/* Else it is started before it is known where (sandbox_open). */
	return s->sandbox->cgroups ? sandbox_groups(s, e) : 0;
}

const struct filter *sandbox_filter(struct sandbox *sb, unsigned loosen, struct err *e)
{
	unsigned which = loosen & FILTER_LOOSEN;
	/* What root starts is in nobody's group. */
	if (which & BOX_LOOSEN_USERNS && geteuid() && cgroup_host_owned(sb->cgroups))
		which |= FILTER_NO_CGROUPS;
	struct filter *f = &sb->filters[which];
	return f->code || !filter_make(f, which, e) ? f : NULL;
}

static void sandbox_free(struct sandbox *sb)
{
	helper_program_close(&sb->program);
	if (sb->cgroups)
		cgroup_host_close(sb->cgroups);
	ooms_close(&sb->ooms);
	for (size_t i = 0; i < countof(sb->filters); i++)
		filter_fini(&sb->filters[i]);
	ranges_close(&sb->ranges);
	free(sb->slots);
	free(sb);
}

static size_t sandbox_cpus(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (size_t)CPU_COUNT(&set);
}

static int sandbox_give(struct sandbox *sb, const char *path, struct err *e)
{
	struct stat st;
	if (!path)
		return 0;
	if (stat(path, &st))
		return err_sys(e, "stat %s", path);
	snprintf(sb->given, sizeof(sb->given), "given:%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return 0;
}

/* Half of a box that is sure to come is made meanwhile: unless its namespaces are not the usual
 * ones (ahead.h), or it is to be born in its cgroup. */
static void sandbox_expect(const struct sandbox *sb, const struct box_spec *first)
{
	bool usual = first->net != BOX_NET_HOST &&
		     !(first->loosen & (BOX_LOOSEN_FUSE | BOX_LOOSEN_KVM)) &&
		     strcmp(cgroup_host_kind(sb->cgroups), "v2");
	if (usual && sb->n_cpus > 1)
		helper_say(sb->slots[0].helper, PLAN_AHEAD, 0);
}

static int sandbox_counts(struct sandbox *sb, const char *name, struct err *e)
{
	sb->cgroups = cgroup_host_open(name, e);
	if (!sb->cgroups)
		return -1;
	/* A daemon's containers are in groups of its own. */
	if (!cgroup_host_has_memory(sb->cgroups) && strcmp(sb->program.executor, "docker") != 0)
		ooms_find(&sb->ooms, NULL);
	return 0;
}

struct sandbox *sandbox_open(uv_loop_t *loop, const struct sandbox_conf *conf, struct err *e)
{
	struct sandbox *sb = own_calloc(1, sizeof(*sb));
	*sb = (struct sandbox){
		.loop = loop,
		.verbose = conf->verbose,
		.best_effort = conf->best_effort,
		.ranges = {.userns_fd = -1, .lock_fd = -1},
		.ooms = OOMS_INIT,
		.n_cpus = sandbox_cpus(),
		.n_slots = conf->slots ? conf->slots : 1,
	};
	sb->slots = own_calloc(sb->n_slots, sizeof(*sb->slots));
	for (size_t i = 0; i < sb->n_slots; i++)
		sb->slots[i] = (struct slot){.sandbox = sb, .number = i};
	if (helper_find(&sb->program, conf->helper, conf->executor, e) ||
	    sandbox_give(sb, conf->given, e) ||
	    ranges_open(&sb->ranges, conf->ids, sb->program.box_fd, sb->n_slots, e) ||
	    (conf->no_probe && probe_engine(sb, e)) ||
	    (conf->first && sandbox_helper(&sb->slots[0], e)) ||
	    sandbox_counts(sb, conf->name, e) ||
	    (conf->first && sandbox_groups(&sb->slots[0], e)) ||
	    (!conf->no_probe && probe_box(sb, conf->uppers, e))) {
		helper_leave(sb->slots[0].helper);
		sandbox_free(sb);
		return NULL;
	}
	if (conf->first)
		sandbox_expect(sb, conf->first);
	uv_timer_init(loop, &sb->last);
	uv_unref((uv_handle_t *)&sb->last);
	sb->last.data = sb;
	return sb;
}

static void on_last(uv_handle_t *handle)
{
	struct sandbox *sb = handle->data;
	sb->last_closed = true;
	sandbox_settle(sb);
}

void sandbox_settle(struct sandbox *sb)
{
	if (!sb->on_closed)
		return;
	for (size_t i = 0; i < sb->n_slots; i++)
		if (sb->slots[i].helper && !sb->slots[i].box)
			helper_stop(sb->slots[i].helper);
	if (sb->n_boxes || sb->n_helpers || !sb->last_closed)
		return;
	void (*on_closed)(void *) = sb->on_closed;
	void *owner = sb->owner;
	sandbox_free(sb);
	on_closed(owner);
}

void sandbox_close(struct sandbox *sb, void (*on_closed)(void *owner), void *owner)
{
	sb->on_closed = on_closed;
	sb->owner = owner;
	for (size_t i = 0; i < sb->n_slots; i++) {
		struct box *b = sb->slots[i].box;
		if (!b)
			continue;
		box_cancel(b, false);
		box_pause_output(b, false);
	}
	uv_close((uv_handle_t *)&sb->last, on_last);
	sandbox_settle(sb);
}
