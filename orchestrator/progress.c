#include "orchestrator/progress.h"

#include "base/clock.h"
#include "base/unit.h"
#include "orchestrator/table.h"

#include <string.h>

void progress_init(struct progress *p, int64_t run, const struct suite *s, size_t total)
{
	*p = (struct progress){
		.run = run,
		.total = total,
		.started_ns = clock_mono_ns(),
		.terminal = isatty(2) && getenv("TERM") && strcmp(getenv("TERM"), "dumb"),
	};
	for (size_t i = 0; i < s->n_packages; i++) {
		size_t n = table_cells_wide(s->packages[i].id);
		if (n > p->width && n <= 40)
			p->width = n;
	}
	fprintf(stderr, "run %lld: %s, %zu job%s\n", (long long)run, s->name, total,
		total == 1 ? "" : "s");
}

static void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

void progress_news(void *progress, const struct engine_news *n)
{
	struct progress *p = progress;
	char took[UNIT_TEXT];
	bool passed = n->result.status == STATUS_PASS;
	progress_clear(p);
	p->done++;
	size_t wide = table_cells_wide(n->package->id);
	fprintf(stderr, "%*zu/%zu  %s%*s  %-10s %s", p->total > 999 ? 5 : 3, p->done, p->total,
		n->package->id, (int)(wide < p->width ? p->width - wide : 0), "", n->variant->name,
		status_name(n->result.status));
	if (!passed)
		fprintf(stderr, "/%s in %s", reason_name(n->result.reason), n->result.phase);
	/* of a job that ended in a phase it shares there is no time of its own to tell */
	if (n->wall_ms)
		fprintf(stderr, "  %s", unit_duration(n->wall_ms, took));
	putc('\n', stderr);
	if (n->note)
		fprintf(stderr, "assay: %s: %s\n", n->package->id, n->note);
}

void progress_tick(void *progress, const struct engine_now *now)
{
	struct progress *p = progress;
	char so_far[UNIT_TEXT], left[UNIT_TEXT], late[UNIT_TEXT];
	uint64_t ms = (uint64_t)(clock_mono_ns() - p->started_ns) / 1000000;
	if (!p->terminal)
		return;
	progress_clear(p);
	fprintf(stderr, "%zu of %zu done, %zu running, %s", p->done, p->total, now->running,
		unit_duration(ms, so_far));
	if (p->done >= 3 && now->late_ms)
		fprintf(stderr, ", about %s to %s left",
			unit_duration(now->likely_ms - now->likely_ms % 1000, left),
			unit_duration(now->late_ms - now->late_ms % 1000, late));
	fflush(stderr);
	p->shown = true;
}

void progress_held(void *progress, const char *why)
{
	progress_clear(progress);
	if (why)
		fprintf(stderr, "assay: nothing more is started for now: %s\n", why);
	else
		fprintf(stderr, "assay: it goes on\n");
}

void progress_full(void *progress, const char *store)
{
	progress_clear(progress);
	fprintf(stderr,
		"assay: store %s has as many layers as it may: what jobs bring waits until they "
		"are compacted\n",
		store);
}

void progress_fini(struct progress *p)
{
	char took[UNIT_TEXT];
	progress_clear(p);
	fprintf(stderr, "run %lld: %zu of %zu jobs in %s\n", (long long)p->run, p->done, p->total,
		unit_duration((uint64_t)(clock_mono_ns() - p->started_ns) / 1000000, took));
}
