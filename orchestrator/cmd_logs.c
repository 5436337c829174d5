#include "orchestrator/commands.h"

#include "orchestrator/logfile.h"
#include "orchestrator/options.h"
#include "orchestrator/plain.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <string.h>
#include <time.h>

struct logs_args {
	struct options_common common;
	const char *run, *package, *variant, *phase, *grep;
	bool follow;
};

enum { LOGS_VARIANT = 0x100, LOGS_PHASE, LOGS_GREP, FOLLOW_MS = 250, LINE_LONGEST = 1 << 16 };

static const struct argp_option logs_options[] = {
	{"variant", LOGS_VARIANT, "VARIANT", 0,
	 "of this variant only (phases all share are of none)", 0},
	{"phase", LOGS_PHASE, "PHASE", 0, "of this phase only", 0},
	{"follow", 'f', NULL, 0, "go on with what is written, until the package has its results",
	 0},
	{"grep", LOGS_GREP, "PATTERN", 0,
	 "the lines that match this extended regular expression, of all of the run's logs", 0},
	{0},
};

static const struct argp_child logs_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t logs_parse(int key, char *arg, struct argp_state *st)
{
	struct logs_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case LOGS_VARIANT:
		a->variant = arg;
		return 0;
	case LOGS_PHASE:
		a->phase = arg;
		return 0;
	case LOGS_GREP:
		a->grep = arg;
		return 0;
	case 'f':
		a->follow = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->run && a->package)
			argp_error(st, "what is %s?", arg);
		*(a->run ? &a->package : &a->run) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->run || (!a->package && !a->grep))
			argp_error(st, "which run, and which package?");
		if (a->follow && a->grep)
			argp_error(st, "--follow and --grep do not go together");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp logs_argp = {
	logs_options,
	logs_parse,
	"RUN PACKAGE\n--grep PATTERN RUN [PACKAGE]",
	"Print what a package's phases said in a run, phase after phase, or look for lines in all "
	"of a "
	"run's logs.\v"
	"On a terminal control characters are made harmless; elsewhere bytes are what they were. "
	"With "
	"--grep exit status 1 says that there is no such line.\n\n"
	"Example:\n  assay logs 7 enjoi --variant node-24 --phase test\n"
	"  assay logs --grep 'is not a function$' 7",
	logs_children,
	NULL,
	NULL,
};

struct logs {
	const struct logs_args *args;
	struct db *db;
	int state_fd;
	int64_t run;
	struct db_table *rows; /* named query "logs" */
	bool terminal;
	regex_t re; /* of --grep */
	/* the one that is read; SIZE_MAX: none was yet */
	size_t row;
	int64_t *begun; /* of --follow: phases that were, by their ids */
	size_t n_begun, n_wanted;
	uint64_t seen, skip; /* bytes that came, and those that were shown before */
	struct text line;
	size_t found;
};

static bool row_wanted(const struct logs *l, size_t row)
{
	const char *variant = l->args->variant, *phase = l->args->phase;
	return (!variant || !strcmp(rows_str(l->rows, row, "variant"), variant)) &&
	       (!phase || !strcmp(rows_str(l->rows, row, "phase"), phase));
}

/* "enjoi node-24 test, repeat of run 3": what the row is, as each line of it is named. */
static char *row_name(const struct logs *l)
{
	const struct db_table *t = l->rows;
	const char *variant = rows_text(t, l->row, "variant");
	bool repeat = rows_int(t, l->row, "repeat", 0) > 0;
	int64_t run = rows_int(t, l->row, "run", l->run);
	struct text name = TEXT_INIT;
	text_addf(&name, "%s%s%s %s", rows_str(t, l->row, "package"), variant ? " " : "",
		  variant ? variant : "", rows_str(t, l->row, "phase"));
	if (repeat || run != l->run)
		text_add(&name, ", ");
	if (repeat)
		text_add(&name, run != l->run ? "repeat of " : "repeat");
	if (run != l->run)
		text_addf(&name, "run %lld", (long long)run);
	return text_take(&name);
}

/* "exited with 1", "reached its limit: silence"; NULL while it runs. */
static char *row_end(const struct logs *l)
{
	const struct db_table *t = l->rows;
	const char *ended = rows_text(t, l->row, "ended_as"),
		   *limit = rows_text(t, l->row, "limit_hit");
	int64_t code = rows_int(t, l->row, "exit_code", -1),
		signal = rows_int(t, l->row, "signal", 0);
	if (!ended)
		return NULL;
	if (!strcmp(ended, "exited") && code >= 0)
		return own_fmt("exited with %lld", (long long)code);
	if (!strcmp(ended, "signalled") && signal > 0 && signal < NSIG)
		return own_fmt("ended by signal %lld (SIG%s)", (long long)signal,
			       sigabbrev_np((int)signal) ? sigabbrev_np((int)signal) : "?");
	if (!strcmp(ended, "limited") && limit)
		return own_fmt("reached its limit: %s", limit);
	return own_dup(ended);
}

static void put_line(const struct logs *l, const char *p, size_t n)
{
	static const struct plain_bounds bounds = {SIZE_MAX, SIZE_MAX};
	auto_text struct text plain = TEXT_INIT;
	if (l->terminal) {
		plain_add(&plain, p, n, &bounds);
		p = text_str(&plain);
		n = plain.n;
	}
	fwrite(p, 1, n, stdout);
	if (!n || p[n - 1] != '\n')
		putchar('\n');
}

static void line_over(struct logs *l)
{
	regmatch_t m = {.rm_so = 0, .rm_eo = (regoff_t)l->line.n};
	if (!l->args->grep) {
		put_line(l, text_str(&l->line), l->line.n);
	} else if (!regexec(&l->re, text_str(&l->line), 1, &m, REG_STARTEND)) {
		auto_free char *name = row_name(l);
		printf("%s: ", name);
		put_line(l, text_str(&l->line), l->line.n);
		l->found++;
	}
	l->line.n = 0;
}

/* Bytes as they come: shown at once where nobody has to see lines. */
static bool piece(void *ctx, const char *p, size_t n)
{
	struct logs *l = ctx;
	uint64_t from = l->seen;
	l->seen += n;
	if (l->seen <= l->skip)
		return true;
	size_t over = l->skip > from ? (size_t)(l->skip - from) : 0;
	p += over;
	n -= over;
	if (!l->args->grep && !l->terminal) {
		fwrite(p, 1, n, stdout);
		return !ferror(stdout);
	}
	while (n) {
		const char *nl = memchr(p, '\n', n);
		size_t take = nl ? (size_t)(nl - p) : n;
		/* a line of megabytes is shown, and searched, in parts */
		if (take > LINE_LONGEST - l->line.n)
			take = LINE_LONGEST - l->line.n;
		text_put(&l->line, p, take);
		bool over_now = (nl && take == (size_t)(nl - p)) || l->line.n == LINE_LONGEST;
		if (over_now)
			line_over(l);
		take += nl && take == (size_t)(nl - p);
		p += take;
		n -= take;
	}
	return !ferror(stdout);
}

/* What a log has behind what was shown of it. A log that is gone is told, and no reason to stop. */
static int log_show(struct logs *l, struct err *e)
{
	l->seen = 0;
	if (!rows_text(l->rows, l->row, "log"))
		return 0; /* it said nothing */
	if (!logfile_read(l->state_fd, rows_str(l->rows, l->row, "log"), piece, l, e)) {
		l->skip = l->seen;
		return 0;
	}
	if (e->kind != ERR_ABSENT)
		return -1;
	bool running = !rows_text(l->rows, l->row, "ended_as");
	if (!running)
		fprintf(stderr, "assay: %s\n", e->text);
	*e = (struct err)ERR_INIT;
	return 0;
}

static void log_head(const struct logs *l)
{
	if (l->args->grep)
		return;
	auto_free char *name = row_name(l), *end = row_end(l);
	printf("== %s%s%s\n", name, end ? ": " : "", end ? end : "");
}

static int logs_load(struct logs *l, struct err *e)
{
	const char *args[] = {l->args->run, l->args->package};
	db_table_free(l->rows);
	l->rows = NULL;
	return db_named(l->db, "logs", args, l->args->package ? 2 : 1, &l->rows, e);
}

/* Whether the package's jobs, or the run, may still write logs. */
static int logs_more(const struct logs *l, bool *more, struct err *e)
{
	const char *args[] = {l->args->run, l->args->package};
	struct db_table *t = NULL;
	if (db_named(l->db, "open-jobs", args, 2, &t, e))
		return -1;
	*more = rows_int(t, 0, "n", 0) > 0;
	db_table_free(t);
	return 0;
}

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* One log to its end; followed, until its phase is over. Rows that come meanwhile may stand before
 * it. */
static int log_whole(struct logs *l, struct err *e)
{
	int64_t id = rows_int(l->rows, l->row, "phase_id", 0);
	l->skip = 0;
	log_head(l);
	for (;;) {
		bool running = !rows_text(l->rows, l->row, "ended_as");
		if (log_show(l, e))
			return -1;
		fflush(stdout);
		if (!running || !l->args->follow)
			break;
		pause_ms(FOLLOW_MS);
		if (logs_load(l, e))
			return -1;
		for (l->row = 0; l->row < l->rows->n_rows; l->row++)
			if (rows_int(l->rows, l->row, "phase_id", 0) == id)
				break;
		if (l->row == l->rows->n_rows)
			return err_set(e, ERR_ABSENT, "the phase is not recorded any more");
	}
	if (l->line.n)
		line_over(l);
	return 0;
}

static bool row_begun(const struct logs *l, size_t row)
{
	int64_t id = rows_int(l->rows, row, "phase_id", 0);
	for (size_t i = 0; i < l->n_begun; i++)
		if (l->begun[i] == id)
			return true;
	return false;
}

/* The next one that is wanted: a step where all is over; followed, the first that was not begun. */
static bool row_next(struct logs *l)
{
	size_t row = l->args->follow ? 0 : l->row + 1;
	while (row < l->rows->n_rows &&
	       (!row_wanted(l, row) || (l->args->follow && row_begun(l, row))))
		row++;
	if (row >= l->rows->n_rows)
		return false;
	if (l->args->follow) {
		l->begun = own_grow(l->begun, l->n_begun + 1, sizeof(*l->begun));
		l->begun[l->n_begun++] = rows_int(l->rows, row, "phase_id", 0);
	}
	l->row = row;
	l->n_wanted++;
	return true;
}

/* Nothing was to be shown: why. */
static int logs_none(struct logs *l, struct err *e)
{
	const struct logs_args *a = l->args;
	const char *args[] = {a->run, a->package};
	struct db_table *jobs = NULL;
	if (a->package && db_named(l->db, "jobs-of-package", args, 2, &jobs, e))
		return -1;
	bool known = !jobs || jobs->n_rows;
	db_table_free(jobs);
	if (!known)
		return err_set(e, ERR_ABSENT, "there is no package '%s' in run %s", a->package,
			       a->run);
	return err_set(e, ERR_ABSENT, "run %s has no log%s%s%s%s%s%s%s", a->run,
		       a->package ? " of " : "", a->package ? a->package : "",
		       a->variant ? " under " : "", a->variant ? a->variant : "",
		       a->phase ? " of phase " : "", a->phase ? a->phase : "",
		       l->rows->n_rows ? "" : ": no phase of it was run");
}

static int logs_all(struct logs *l, struct err *e)
{
	l->row = SIZE_MAX;
	for (bool more = true; more;) {
		/* first whether more will come, then what there is: so nothing comes in between */
		more = false;
		if ((l->args->follow && logs_more(l, &more, e)) || logs_load(l, e))
			return -1;
		while (row_next(l))
			if (log_whole(l, e))
				return -1;
		if (more)
			pause_ms(FOLLOW_MS);
	}
	return l->n_wanted ? 0 : logs_none(l, e);
}

static int logs_pattern(struct logs *l, struct err *e)
{
	char why[128];
	if (!l->args->grep)
		return 0;
	int rc = regcomp(&l->re, l->args->grep, REG_EXTENDED | REG_NEWLINE);
	if (!rc)
		return 0;
	regerror(rc, &l->re, why, sizeof(why));
	return err_set(e, ERR_USAGE, "'%s' is no extended regular expression: %s", l->args->grep,
		       why);
}

static int logs_run(const struct logs_args *a, const char *state, struct db *d, struct err *e)
{
	struct logs l = {.args = a, .db = d, .terminal = isatty(STDOUT_FILENO)};
	l.run = review_run(d, a->run, e);
	if (l.run < 0 || logs_pattern(&l, e))
		return -1;
	auto_fd int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	l.state_fd = fd;
	int rc = fd < 0 ? err_sys(e, "open state directory %s", state) : logs_all(&l, e);
	if (a->grep)
		regfree(&l.re);
	db_table_free(l.rows);
	free(l.begun);
	text_fini(&l.line);
	return rc ? -1 : a->grep && !l.found ? EXIT_REGRESSED : EXIT_OK;
}

int cmd_logs(int argc, char **argv)
{
	struct logs_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&logs_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	auto_free char *state = state_path(a.common.state, &e);
	auto_free char *file = state ? own_fmt("%s/assay.db", state) : NULL;
	struct db *d = file ? db_open(file, DB_READ, &e) : NULL;
	int rc = d ? logs_run(&a, state, d, &e) : -1;
	db_close(d);
	return rc < 0 ? command_fail(&e) : rc;
}
