#include "orchestrator/phase_box.h"

struct box_limits phase_limits(const struct suite_limits *l)
{
	return (struct box_limits){
		.wall_ms = l->time_ms,
		.cpu_ms = l->cpu_ms,
		.silence_ms = l->silence_ms,
		.idle_ms = l->idle_ms,
		.memory = l->memory,
		.processes = l->processes,
		.disk = l->disk,
		.disk_inodes = l->inodes,
		.output_bytes =
			l->log > UINT64_MAX / 64
				? 0
				: l->log *
					  64, /* head and tail are kept well before: the hard cap */
		.open_files = l->open_files,
		.file_size = l->file_size,
		.cpu_milli = l->cpu_milli,
		.grace_ms = l->grace_ms,
	};
}

/* By processor time: a busy machine can't make it fail. */
static struct box_limits limits_by_cpu(struct box_limits l)
{
	if (!l.cpu_ms || l.cpu_ms > l.wall_ms)
		l.cpu_ms = l.wall_ms;
	l.wall_ms *= 3;
	return l;
}

void phase_box_make(struct phase_box *b, const struct suite *s, const struct plan_unit *unit,
		    size_t phase, const struct phase_see *see)
{
	static char shell[] = "/bin/sh", flags[] = "-ec";
	const struct suite_phase *p = &s->phases[phase];
	struct box_limits limits = phase_limits(&p->limits);
	*b = (struct phase_box){
		.env = plan_env(s, unit, phase,
				see->net == BOX_NET_NONE && p->network != BOX_NET_NONE),
		.argv = {shell, flags, p->run, NULL},
	};
	b->spec = (struct box_spec){
		.name = see->name,
		.root_host = s->root_is_host,
		.mounts = see->boxing->mounts,
		.n_mounts = see->boxing->n_mounts,
		.argv = b->argv,
		.env = b->env,
		.cwd = s->workdir,
		.hostname = "assay",
		.net = see->net,
		.loosen = p->loosen,
		.limits = see->by_cpu ? limits_by_cpu(limits) : limits,
	};
	hostfiles_make(&b->files, &b->spec);
	b->spec.files = b->files.files;
	b->spec.n_files = b->files.n;
}

void phase_box_fini(struct phase_box *b)
{
	plan_env_free(b->env);
	hostfiles_fini(&b->files);
	*b = (struct phase_box){0};
}
