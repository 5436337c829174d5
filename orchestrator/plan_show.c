#include "orchestrator/plan_show.h"

#include <string.h>

void plan_limits(const struct suite_limits *l, struct plan_limit out[PLAN_LIMITS])
{
	const struct plan_limit all[PLAN_LIMITS] = {
		{"time", l->time_ms, PLAN_MS},
		{"cpu", l->cpu_ms, PLAN_MS},
		{"silence", l->silence_ms, PLAN_MS},
		{"idle", l->idle_ms, PLAN_MS},
		{"memory", l->memory, PLAN_BYTES},
		{"processes", l->processes, PLAN_COUNT},
		{"disk", l->disk, PLAN_BYTES},
		{"inodes", l->inodes, PLAN_COUNT},
		{"log", l->log, PLAN_BYTES},
		{"open-files", l->open_files, PLAN_COUNT},
		{"file-size", l->file_size, PLAN_BYTES},
		{"cpu-quota", l->cpu_milli, PLAN_COUNT},
		{"grace", l->grace_ms, PLAN_MS},
		{"cpus", l->cpus, PLAN_COUNT},
	};
	memcpy(out, all, sizeof(all));
}

char *plan_lower_text(const struct suite *s, const struct plan_lower *l)
{
	switch (l->from) {
	case PLAN_FROM_UPPER:
		return own_fmt("what %s left", s->phases[l->index].name);
	case PLAN_FROM_LAYER:
		return own_fmt("%s %s", l->name[0] == '/' ? "directory" : "layer", l->name);
	case PLAN_FROM_STORE:
		return own_fmt("store %s", s->stores[l->index].name);
	case PLAN_FROM_DIR:
		return own_fmt("directory %s", l->name);
	case PLAN_FROM_FILE:
		return own_fmt("file %s", l->name);
	case PLAN_FROM_INPUT:
		return own_dup("files of the package");
	}
	return own_dup("?");
}

uint64_t plan_seconds(const struct plan *p, size_t *unknown)
{
	uint64_t sum = 0;
	*unknown = 0;
	for (size_t i = 0; i < p->n_units; i++) {
		uint64_t weight = p->suite->packages[p->units[i].package].weight;
		if (p->units[i].variant == PLAN_NONE)
			continue;
		sum += weight;
		*unknown += !weight;
	}
	return sum;
}
