/* What the stories of the engine happen in: a real state directory, database and cache, a suite of
 * three phases made in memory, and the fake sandbox. A story says what its boxes do (fake.play),
 * calls world_run, and looks at what was seen. */
#pragma once
#include "orchestrator/engine.h"
#include "tests/unit/fake_sandbox.h"

#define WORLD_VARIANTS 2

struct world_news {
	char *package, *variant, *note;
	const char *phase;
	enum status status;
	enum reason reason;
	uint64_t wall_ms;
};

struct world {
	char *path; /* the state directory */
	struct state *state;
	struct suite suite;
	struct plan *plan;
	struct candidate_side *was; /* by unit, of those that rest */
	int64_t run;
	unsigned resumed; /* that run */
	size_t fetches;   /* 0: as at_once */
	struct world_news *news;
	size_t n_news;
	struct engine_outcome outcome;
	struct confirm_conf confirm; /* all 0: nothing is repeated */
	unsigned repeat_fixes;
	bool reuse;           /* what earlier runs left */
	uint64_t keep_bytes;  /* of what phases leave; 0: nothing stays */
	const char *told[16]; /* why nothing more was started, NULL: that it goes on */
	size_t n_told;
	char *full; /* the store for whose compaction publishes had to wait; NULL: none */
	void (*on_full)(struct world *w); /* called when that is told; or NULL */
	struct err err;
};

/* The suite's three phases: `fetch` (network, harvests the store "cache" at /store, offline first),
 * `build`, `test` (the goal). */
enum { WORLD_FETCH, WORLD_BUILD, WORLD_TEST, WORLD_PHASES };

/* What the machine of the story says of itself; NULL: that it has room for everything. */
extern const struct readings *world_machine;
/* Called whenever the engine looks at the machine, at the start and at each tick (twice a second of
 * the real clock): it may change what is read. NULL: nobody. */
extern void (*world_look)(struct readings *r);

/* cmocka's set_up and tear_down; *state is a struct world without packages. The latter looks for
 * what must not stay: descriptors, boxes, anything below jobs/. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* world_packages(w, n, shared): n packages p0, p1, …; shared: fetch is once-per package. */
void world_packages(struct world *w, size_t n, bool shared);

/* world_run(w, at_once): plan, rows, engine_run, the run's end recorded: what engine_run returned.
 * May be called again: another run. */
int world_run(struct world *w, size_t at_once);

/* world_resume(w, at_once): the last run is gone on with, as `assay resume` does: what has no
 * result yet, or an infra one, and what is to be repeated. -1 also where that could not be
 * recorded. */
int world_resume(struct world *w, size_t at_once);

/* world_reopen(w): as a new process would find the state directory. */
void world_reopen(struct world *w);

/* What became of a job, from the news; NULL: nothing. */
const struct world_news *world_result(const struct world *w, const char *package,
				      const char *variant);
/* The first box of that kind from index *from on, which moves behind it; NULL: none. Names NULL:
 * any. */
const struct fake_seen *world_box(size_t *from, const char *package, const char *variant,
				  const char *phase);
/* How many such boxes there were. */
size_t world_boxes(const char *package, const char *variant, const char *phase);
/* One number out of the database. */
int64_t world_number(struct world *w, const char *sql);
/* Change the database from outside, as a fault. */
void world_exec(struct world *w, const char *sql);
