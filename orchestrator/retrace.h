/* From what is recorded of a phase back to its box: the suite as it was, the layers of the variant,
 * the stores in the generation that the phase saw, and what the phases before it left: as it is
 * kept (kept.h), or made again by running them. Reads the state directory
 * and writes nothing but a directory aside, so that a run may go on beside it. Main thread;
 * blocking. */
#pragma once
#include "orchestrator/aside.h"
#include "orchestrator/phase_box.h"
#include "orchestrator/pin.h"
#include "orchestrator/record.h"

struct retrace_asked {
	int64_t run;
	const char *package; /* id, or a name that is one package's only */
	const char *variant; /* NULL: the first that did not pass, else the first */
	const char *phase;   /* NULL: the one that decided */
};

/* retrace_package(again, word, package, e): which of the suite's packages has that id, or, as the
 * only one, that name. 0, or -1: ERR_ABSENT, ERR_USAGE. */
int retrace_package(const struct record_again *again, const char *word, size_t *package,
		    struct err *e) must_check;

/* A phase as it is recorded. */
struct retrace_phase {
	size_t phase; /* of the suite */
	enum box_net net;
	int64_t generation; /* of the first store; 0: not known, or empty */
	int64_t started_ms;
	int64_t id; /* of its row: names its uppers where they are kept */
};

struct retrace {
	struct state *state;
	struct how how; /* the run's, but for what the caller was given */
	struct record_again again;
	struct plan *plan;
	size_t package;
	const struct plan_unit *trunk, *branch; /* trunk may be NULL */
	struct retrace_phase *phases; /* of the job, as they ran, up to the one asked for */
	size_t n_phases;
	char *ended; /* how the job ended, in words */
	struct aside aside;
	char **uppers; /* by phase of the suite: below the directory aside, as boxing_from takes
			  them */
	struct pin *pins;
	size_t n_pins;
	int *held; /* by phase of the suite: its kept uppers, which stay as long (kept_hold); -1 */
};

/* retrace_open(r, st, asked, h, e): st and h are borrowed. ERR_USAGE or ERR_ABSENT where there is
 * no such run, package, variant or phase, or it was not run; ERR_INPUT where suite or layers are
 * not what they were; what of the inputs is not may be told on stderr. The caller calls
 * retrace_close in all cases. */
int retrace_open(struct retrace *r, struct state *st, const struct retrace_asked *asked,
		 const struct how *h, struct err *e) must_check;
void retrace_close(struct retrace *r);

/* The box of one of r->phases, ready to be started. */
struct retrace_box {
	char *dir; /* of its uppers, below the directory aside */
	struct plan_mounts mounts;
	struct shelf *shelves;
	struct boxing boxing;
	struct phase_box made;
};
/* retrace_box(r, at, net, stores_at, b, e): r->phases[at] with that network and the stores as
 * r->phases[stores_at] saw them. In place; retrace_box_close in all cases, when it is over. */
int retrace_box(struct retrace *r, size_t at, enum box_net net, size_t stores_at,
		struct retrace_box *b, struct err *e) must_check;
void retrace_box_close(struct retrace *r, struct retrace_box *b);

/* retrace_before(r, e): what the phases before the last of r->phases left is what the last one's
 * box is made of: as it is kept, up to the first of which it is not, or is not what it was; from
 * there they are run, one after another. What they say goes to stderr. One that can
 * do without its network by what stores have now does. ERR_ABSENT where one does not pass any more.
 * *signal: what ended us meanwhile, else 0. */
int retrace_before(struct retrace *r, int *signal, struct err *e) must_check;
/* retrace_conf(r): for the sandbox of one such box; name is to be kept that long. */
struct sandbox_conf retrace_conf(const struct retrace *r, char name[24]) must_check;
