/* How a run is carried out, apart from what it runs: options that `run`, `resume` and `rerun` have.
 * What a resumed run must be given again is kept in the database as JSON. */
#pragma once
#include "base/err.h"
#include "orchestrator/confirm.h"
#include "orchestrator/options.h"

#include <stdint.h>

#define HOW_UNGIVEN UINT64_MAX
#define HOW_REPEATS 50 /* most that repeats may be */

struct how {
	uint64_t jobs, fetches;         /* 0: not given */
	uint64_t repeats, repeat_fixes; /* HOW_UNGIVEN: not given */
	const char *executor;           /* one of executor_names; NULL: not given */
	const char *helper;             /* assay-box, NULL: found */
	struct options_ids ids;
	struct options_fail_on fail_on;
	bool best_effort;
	bool verbose, porcelain;
	bool reuse;          /* what earlier runs judged, and left, is not run again */
	double recheck;      /* percent of what was judged that runs all the same */
	uint64_t keep_bytes; /* of what phases leave so much stays for later runs, at the most */
	bool json;
};
/* As a child of argp its input is a struct how. */
extern const struct argp how_argp;

/* how_fill(h): what was not given is as usual. */
void how_fill(struct how *h);
/* how_confirm(h): how what differs is repeated; what was not given is as usual. */
struct confirm_conf how_confirm(const struct how *h);
/* how_json(h): the caller frees it. how_again(h, json, e): what h was not given is as json says. */
char *how_json(const struct how *h) must_check;
int how_again(struct how *h, const char *json, struct err *e) must_check;
/* how_engine(h): "native, root", for people; the caller frees it. */
char *how_engine(const struct how *h) must_check;
