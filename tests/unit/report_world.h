/* Runs of packages that did their worst to spoil a report, made in a database of their own; and
 * what every page is looked at for. */
#pragma once
#include "orchestrator/report.h"

/* Closes what can be closed, colours, hides, reverses, and ends early. */
#define EVIL                                                                                       \
	"</pre></td></title></style><script>alert(1)</script><img src=x onerror=alert(2)>\" "      \
	"onload='x' \033[2J\033]0;t\007"                                                           \
	"\xe2\x80\xae\xff&lt;-->]]>"

enum { MADE_JOBS = 128 };

struct outcome {
	const char *status, *reason, *phase, *evidence;
	int64_t exit_code, signal, offset, length;
};

struct wanted {
	const char *package;
	struct outcome base, next; /* status NULL: no result */
};

struct made {
	char dir[32];
	struct db *db;
	struct err e;
	const char *state;  /* the report's; none is there */
	int64_t generation; /* that phases see; 0: of no store */
	uint64_t at_once;
	int64_t run; /* the last; of its jobs, as they were planned: */
	int64_t job[MADE_JOBS], attempt[MADE_JOBS]; /* attempt 0: it has no result */
};

extern const struct outcome made_passed;
/* Of all kinds: same, regressed twice, fixed, failing on both sides, our own trouble. */
enum { MADE_HOSTILE = 6 };
extern const struct wanted made_hostile[MADE_HOSTILE];

/* cmocka's: *state is a struct made with an empty database, one box at once. */
int made_setup(void **state);
int made_teardown(void **state);
/* A run of these packages, one side where `one` is set, ended with `state` (NULL: still running).
 */
void run_add(struct made *m, const struct wanted *w, size_t n, bool one, const char *state);
/* Where the log of a phase of the last run is to be, below the state directory; variant NULL:
 * shared. The caller frees it. */
char *made_log(const struct made *m, const char *package, const char *variant, const char *phase);
/* The last run's review and report; the caller undoes it with loaded_free. */
struct report *loaded(struct made *m);
void loaded_free(struct report *r);
void report_made(struct made *m, struct text *page, struct text *markdown);

/* Every tag is one the report knows, is closed where HTML wants it closed, in order, with quoted
 * attributes none of which is a handler; every & begins an entity. */
void is_well_formed(const char *page);
size_t times(const char *s, const char *what);
/* Each of these stands behind the one before. */
void in_order(const char *s, const char *const *words, size_t n);
