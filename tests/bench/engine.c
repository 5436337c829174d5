/* What tests/bench/engine measures: a run of the real engine, scheduler and database whose boxes
 * are none: each ends as soon as the loop comes to it. It takes the place of sandbox/ by being
 * linked first, as tests/unit/fake_sandbox.c does, and keeps nothing of what it saw.
 *
 *   bench_engine DIR JOBS AT-ONCE BYTES [PHASES [VARIANTS]]
 *
 * A state directory DIR/state (not there yet) gets one run of JOBS jobs, VARIANTS (2, or 1) of each
 * package, PHASES phases (1), each of which says BYTES bytes. One line: jobs, then seconds of wall
 * time, of processor time and of the loop's thread's, and KiB of memory at most. What is measured
 * lies between the first unit's beginning and the last row; the rows of the plan and the memory of
 * all of it are said too. */
#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/engine.h"
#include "orchestrator/record.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

/* ---- boxes that are none ---- */

struct box {
	struct box *next;
	struct sandbox *sandbox;
	struct box_events events;
	void *owner;
	uint64_t left, said;
	bool paused;
};

struct sandbox {
	uv_idle_t idle; /* runs while some box has something to do */
	struct box *boxes;
	void (*on_closed)(void *owner);
	void *owner;
};

static uint64_t says_bytes;

int sandbox_keeps(const struct sandbox *sb, const struct box_limits *limits, unsigned loosen,
		  struct err *e)
{
	(void)sb, (void)limits, (void)loosen, (void)e;
	return 0;
}

static void box_over(struct box *b)
{
	struct box_facts f = {.end = BOX_EXITED,
			      .wall_ns = 1000000,
			      .output_bytes = b->said,
			      .cgroup = "none",
			      .executor = "native",
			      .profile = "default",
			      .uppers = "as given"};
	b->events.on_end(b->owner, &f);
	free(b);
}

/* As a pipe gives it: 64 KiB at once. */
static bool box_speaks(struct box *b)
{
	static char line[65536];
	uint64_t n = b->left < sizeof(line) ? b->left : sizeof(line);
	for (size_t i = 0; !line[0] && i < sizeof(line); i++)
		line[i] = i % 80 == 79 ? '\n' : (char)('a' + i * 7 % 26);
	if (n)
		b->events.on_output(b->owner, line, (size_t)n);
	b->left -= n;
	b->said += n;
	return b->left;
}

static void on_idle(uv_idle_t *h)
{
	struct sandbox *sb = h->data;
	struct box *b = sb->boxes, *next;
	sb->boxes = NULL;
	for (; b; b = next) {
		next = b->next;
		if (b->paused || box_speaks(b)) {
			b->next = sb->boxes;
			sb->boxes = b;
		} else {
			box_over(b);
		}
	}
	for (b = sb->boxes; b && b->paused; b = b->next)
		;
	if (!b)
		uv_idle_stop(h);
}

struct sandbox *sandbox_open(uv_loop_t *loop, const struct sandbox_conf *conf, struct err *e)
{
	struct sandbox *sb = own_calloc(1, sizeof(*sb));
	(void)conf, (void)e;
	uv_idle_init(loop, &sb->idle);
	sb->idle.data = sb;
	return sb;
}

static void on_closed(uv_handle_t *h)
{
	struct sandbox *sb = h->data;
	sb->on_closed(sb->owner);
	free(sb);
}

void sandbox_close(struct sandbox *sb, void (*closed)(void *owner), void *owner)
{
	sb->on_closed = closed;
	sb->owner = owner;
	uv_close((uv_handle_t *)&sb->idle, on_closed);
}

struct box *box_start(struct sandbox *sb, const struct box_spec *spec, const struct box_events *ev,
		      void *owner, struct err *e)
{
	struct box *b = own_calloc(1, sizeof(*b));
	(void)spec, (void)e;
	*b = (struct box){.next = sb->boxes,
			  .sandbox = sb,
			  .events = *ev,
			  .owner = owner,
			  .left = says_bytes};
	sb->boxes = b;
	uv_idle_start(&sb->idle, on_idle);
	return b;
}

void box_cancel(struct box *b, bool gently)
{
	(void)gently;
	b->left = 0;
	b->paused = false;
	uv_idle_start(&b->sandbox->idle, on_idle);
}

void box_pause_output(struct box *b, bool paused)
{
	b->paused = paused;
	if (!paused)
		uv_idle_start(&b->sandbox->idle, on_idle);
}

int sandbox_sweep(const char *name, struct err *e)
{
	(void)name, (void)e;
	return 0;
}

int sandbox_remove(struct sandbox *sb, int dirfd, const char *name, struct err *e)
{
	(void)sb;
	return dir_remove(dirfd, name, e);
}

/* ---- the run ---- */

struct bench {
	struct how how;
	const char *dir;
	size_t jobs, phases, variants;
	struct err err;
};

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double used(int who)
{
	struct rusage u;
	getrusage(who, &u);
	return seconds(u.ru_utime) + seconds(u.ru_stime);
}

static long memory_kib(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* A machine with room for everything. */
static void readings(int statefd, struct readings *r)
{
	(void)statefd;
	*r = (struct readings){0, 0, 0, UINT64_MAX, UINT64_MAX};
}

static struct suite *bench_suite(struct bench *b)
{
	auto_free char *suite = own_fmt("%s/suite.yaml", b->dir);
	auto_free char *list = own_fmt("%s/packages.txt", b->dir);
	auto_file FILE *s = fopen(suite, "we"), *l = fopen(list, "we");
	if (!s || !l) {
		err_sys(&b->err, "%s", b->dir);
		return NULL;
	}
	for (size_t i = 0; i < (b->jobs + b->variants - 1) / b->variants; i++)
		fprintf(l, "package-%zu@1.0.%zu\n", i, i % 10);
	fprintf(s, "assay: 1\nsuite: bench\nroot: host\nphases:\n");
	for (size_t i = 0; i < b->phases; i++)
		fprintf(s, "  - {name: phase%zu, run: 'true'}\n", i);
	fprintf(s, "packages: [{file: packages.txt}]\n%s\n",
		b->variants > 1 ? "variants: [{name: a}, {name: b}]\ncompare: [a, b]"
				: "variants: [{name: a}]");
	fflush(s);
	fflush(l);
	return suite_load(suite, &b->err);
}

static int bench_carry(struct bench *b, const struct plan *p, struct state *st, const int64_t *ids,
		       int64_t run)
{
	struct engine_outcome out;
	struct engine_conf conf = {
		.plan = p,
		.state = st,
		.run = run,
		.jobs = ids,
		.at_once = b->how.jobs,
		.fetches = b->how.jobs,
		.readings = readings,
	};
	long planned = memory_kib();
	int64_t began = clock_mono_ns();
	double cpu = used(RUSAGE_SELF), loop = used(RUSAGE_THREAD);
	if (engine_run(&conf, &out, &b->err) ||
	    db_run_end(st->db, run, "done", clock_real_ms(), &b->err))
		return -1;
	double wall = (double)(clock_mono_ns() - began) / 1e9;
	cpu = used(RUSAGE_SELF) - cpu;
	loop = used(RUSAGE_THREAD) - loop;
	if (out.done != p->n_jobs)
		return err_set(&b->err, ERR_CORRUPT, "%zu of %zu jobs have a result", out.done,
			       p->n_jobs);
	printf("%zu %.3f %.3f %.3f %ld %ld\n", out.done, wall, cpu, loop, memory_kib(), planned);
	return 0;
}

static int bench_run(struct bench *b)
{
	auto_free char *dir = own_fmt("%s/state", b->dir);
	struct suite *s = bench_suite(b);
	struct state *st = s ? state_open(dir, &b->err) : NULL;
	struct plan *p = st ? plan_make(s, NULL, 0, record_layer_known, st->db, &b->err) : NULL;
	auto_free int64_t *ids = own_calloc(p ? p->n_units : 1, sizeof(*ids));
	int64_t run = p ? record_begin(p, st, &b->how, ids, &b->err) : -1;
	int rc = run > 0 ? bench_carry(b, p, st, ids, run) : -1;
	plan_free(p);
	state_close(st);
	suite_free(s);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc > 7) {
		fprintf(stderr, "bench_engine DIR JOBS AT-ONCE BYTES [PHASES [VARIANTS]]\n");
		return 3;
	}
	struct bench b = {.how = {.jobs = strtoul(argv[3], NULL, 10)},
			  .dir = argv[1],
			  .jobs = strtoul(argv[2], NULL, 10),
			  .phases = argc > 5 ? strtoul(argv[5], NULL, 10) : 1,
			  .variants = argc > 6 && !strcmp(argv[6], "1") ? 1 : 2,
			  .err = ERR_INIT};
	says_bytes = strtoull(argv[4], NULL, 10);
	how_fill(&b.how);
	if (!bench_run(&b))
		return 0;
	fprintf(stderr, "bench_engine: %s\n", b.err.text);
	return 1;
}
