/* How fast a run's rows become durable: by db/'s own functions, as the engine calls them for jobs
 * of one phase, at most TOGETHER of them in one transaction (the engine: what waits, 256 at most).
 *
 *   bench_ingest FILE RESULTS TOGETHER
 *
 * A run is added to the database FILE, which is made where it is missing. One line: results and
 * rows (attempt, phase, result and the link between them) a second of wall and of processor time.
 */
#include "base/clock.h"
#include "db/db.h"

#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

struct step {
	int64_t run, attempt, phase;
	struct db_job *job;
};

static int attempt_begin(struct db *d, struct step *s, struct err *e)
{
	s->attempt = db_attempt_begin(d, s->job->id, 1, e);
	return s->attempt < 0 ? -1 : 0;
}

static int phase_begin(struct db *d, struct step *s, struct err *e)
{
	const struct db_phase p = {.run = s->run,
				   .package = s->job->package,
				   .version = s->job->version,
				   .variant = s->job->variant,
				   .name = "test",
				   .network = "none",
				   .log = "runs/1/package.test.log.zst",
				   .started_ms = 1,
				   .cpus = 1};
	s->phase = db_phase_begin(d, &p, e);
	return s->phase < 0 ? -1 : 0;
}

static int phase_end(struct db *d, struct step *s, struct err *e)
{
	const struct db_facts f = {.end = "exited",
				   .limit = "none",
				   .wall_us = 1000,
				   .log_bytes = 5000,
				   .log_stored = 900,
				   .cgroup = "v2",
				   .executor = "native",
				   .profile = "default",
				   .uppers = "as given",
				   .ended_ms = 2};
	return db_phase_end(d, s->phase, &f, e);
}

static int result(struct db *d, struct step *s, struct err *e)
{
	const struct db_result r = {.status = "pass",
				    .phase = "test",
				    .reason = "ok",
				    .limit = "none",
				    .evidence_offset = -1,
				    .phases = &s->phase,
				    .n_phases = 1,
				    .ended_ms = 2};
	return db_result(d, s->job->id, s->attempt, &r, e);
}

static int (*const steps[])(struct db *, struct step *, struct err *) = {
	attempt_begin,
	phase_begin,
	phase_end,
	result,
};

/* Some jobs that are under way at once: each step of all of them, one after the other. */
static int carry(struct db *d, struct step *s, size_t n, bool together, struct err *e)
{
	for (size_t k = 0; k < countof(steps); k++) {
		if (together && db_together(d, e))
			return -1;
		for (size_t i = 0; i < n; i++)
			if (steps[k](d, &s[i], e))
				return -1;
		if (together && db_together_end(d, e))
			return -1;
	}
	return 0;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double used(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return seconds(u.ru_utime) + seconds(u.ru_stime);
}

static int ingest(struct db *d, size_t n, size_t together, struct err *e)
{
	const struct db_variant variants[] = {{.name = "base", .layers = "", .env = ""}};
	auto_free struct db_job *jobs = own_calloc(n, sizeof(*jobs));
	auto_free struct step *s = own_calloc(n, sizeof(*s));
	struct pool names = POOL_INIT;
	const struct db_run run = {.suite = "ingest",
				   .goal = "test",
				   .host = "h",
				   .version = "1",
				   .engine = "native",
				   .pid = 1,
				   .started_ms = 1,
				   .jobs_at_once = together};
	for (size_t i = 0; i < n; i++) {
		auto_free char *name = own_fmt("package-%05zu", i + 1);
		jobs[i] = (struct db_job){.package = pool_dup(&names, name),
					  .version = "1.0.0",
					  .variant = "base"};
	}
	int64_t id = db_run_begin(d, &run, variants, 1, jobs, n, e), began = clock_mono_ns();
	double cpu = used();
	int rc = id < 0 ? -1 : 0;
	for (size_t i = 0; i < n; i++)
		s[i] = (struct step){.run = id, .job = &jobs[i]};
	for (size_t i = 0; !rc && i < n; i += together)
		rc = carry(d, s + i, n - i < together ? n - i : together, together > 1, e);
	cpu = used() - cpu;
	double wall = (double)(clock_mono_ns() - began) / 1e9;
	if (!rc)
		rc = db_run_end(d, id, "done", 3, e);
	pool_fini(&names);
	if (rc)
		return -1;
	printf("%zu results, %zu at most in a transaction: %.0f results/s, %.0f rows/s; of "
	       "processor time %.0f results/s, %.0f rows/s\n",
	       n, together, (double)n / wall, (double)(4 * n) / wall, (double)n / cpu,
	       (double)(4 * n) / cpu);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	size_t n = argc == 4 ? strtoul(argv[2], NULL, 10) : 0,
	       together = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	if (!n || !together) {
		fprintf(stderr, "bench_ingest FILE RESULTS TOGETHER\n");
		return 3;
	}
	/* SQLite takes and frees 128 KiB with each savepoint. In a run something lies above that;
	 * here it would go to the system and come back each time, which takes longer than rows. */
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
	struct db *d = db_open(argv[1], DB_WRITE, &e);
	int rc = d ? ingest(d, n, together, &e) : -1;
	if (rc)
		fprintf(stderr, "bench_ingest: %s\n", e.text);
	db_close(d);
	return rc ? 1 : 0;
}
