#include "orchestrator/result.h"

#include "orchestrator/suite.h"

#include <regex.h>
#include <signal.h>
#include <string.h>

static enum reason reason_of_signal(int signal)
{
	switch (signal) {
	case SIGSEGV:
		return REASON_SEGV;
	case SIGABRT:
		return REASON_ABRT;
	case SIGBUS:
		return REASON_BUS;
	case SIGILL:
		return REASON_ILL;
	case SIGFPE:
		return REASON_FPE;
	case SIGSYS:
		return REASON_SYS;
	default:
		return REASON_OTHER_SIGNAL;
	}
}

static enum reason reason_of_limit(enum box_limit limit)
{
	switch (limit) {
	case BOX_LIMIT_WALL:
		return REASON_WALL_TIME;
	case BOX_LIMIT_CPU:
		return REASON_CPU_TIME;
	case BOX_LIMIT_SILENCE:
		return REASON_SILENCE;
	case BOX_LIMIT_MEMORY:
		return REASON_MEMORY;
	case BOX_LIMIT_PROCESSES:
		return REASON_PROCESSES;
	case BOX_LIMIT_IDLE:
		return REASON_IDLE;
	case BOX_LIMIT_FILE_SIZE:
		return REASON_FILE_SIZE;
	case BOX_LIMIT_DISK:
		return REASON_DISK;
	case BOX_LIMIT_INODES:
		return REASON_INODES;
	case BOX_LIMIT_OUTPUT:
		return REASON_LOG_SIZE;
	case BOX_LIMIT_NONE:
		break;
	}
	return REASON_CANCELLED;
}

/* What a program may run into that waits for a network that is gone. */
static bool limit_waited(enum box_limit limit)
{
	return limit == BOX_LIMIT_WALL || limit == BOX_LIMIT_SILENCE || limit == BOX_LIMIT_IDLE;
}

/* The harness's own observations, the log not looked at. */
static enum reason reason_of_facts(const struct judged *j, bool goal)
{
	const struct box_facts *f = j->facts;
	bool passed = f->end == BOX_EXITED && f->exit_code == 0;
	/* half of it may be gone without its knowing */
	if (f->host_oom_kills && !f->oom_kills && f->end != BOX_CANCELLED)
		return REASON_HOST_OOM;
	if (f->end == BOX_FAILED)
		return j->host_full ? REASON_ENOSPC : REASON_BOX_START;
	if (f->end == BOX_LIMITED)
		return f->network_lost && limit_waited(f->limit) ? REASON_NETWORK_LOST
								 : reason_of_limit(f->limit);
	if (f->oom_kills)
		return REASON_MEMORY;
	if (f->end == BOX_CANCELLED)
		return REASON_CANCELLED;
	if (passed)
		return goal ? REASON_OK
			    : REASON_HARNESS; /* a phase before the goal never decides by passing */
	if (j->host_full)
		return REASON_ENOSPC;
	if (f->network_lost)
		return REASON_NETWORK_LOST;
	return f->end == BOX_SIGNALLED ? reason_of_signal(f->signal) : REASON_EXIT;
}

/* A line looks like the one that says why, where no rule knows better. */
static bool line_tells(const char *line, size_t n)
{
	static const char *const words[] = {"Error: ", "Error [",     "error:",    "ERROR",
					    "not ok ", "FAIL",        "Exception", "npm error code",
					    "fatal:",  "panic:",      "Assertion", "Cannot ",
					    "cannot ", "No such file"};
	for (size_t i = 0; i < countof(words); i++)
		if (memmem(line, n, words[i], strlen(words[i])))
			return true;
	return false;
}

struct line_found {
	const char *at;
	size_t n;
};

/* Call `is` for each line in order; the first it takes is the answer. */
static bool log_find(const struct judged *j, bool (*is)(const char *, size_t, void *), void *ctx,
		     struct line_found *out)
{
	const char *end = j->log + j->log_n;
	for (const char *p = j->log; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		if (n && is(p, n, ctx)) {
			*out = (struct line_found){p, n};
			return true;
		}
		p += n + 1;
	}
	return false;
}

static bool line_matches(const char *line, size_t n, void *ctx)
{
	/* A line of megabytes is no evidence, and regexec would take its time with it. */
	regmatch_t m = {.rm_so = 0, .rm_eo = (regoff_t)(n < 4096 ? n : 4096)};
	return !regexec(ctx, line, 1, &m, REG_STARTEND);
}

static bool line_tells_any(const char *line, size_t n, void *ctx)
{
	(void)ctx;
	return line_tells(line, n < 4096 ? n : 4096);
}

static bool line_last(const char *line, size_t n, void *ctx)
{
	struct line_found *last = ctx;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] > ' ') {
			*last = (struct line_found){line, n};
			break;
		}
	return false;
}

/* A phase that fetches runs nothing of what is judged: where it said no, its log may tell that the
 * package never had a chance. */
static bool rule_may(const struct suite_log_rule *r, const struct suite_phase *p,
		     enum status status)
{
	if (!strcmp(r->status, status_name(status)))
		return true;
	return status == STATUS_FAIL && !strcmp(r->status, status_name(STATUS_BLOCK)) && r->phase &&
	       !p->goal && p->network != BOX_NET_NONE;
}

/* The first rule, in the suite's order, that has a line. */
static const struct suite_log_rule *rule_find(const struct suite *s, const struct judged *j,
					      enum status status, struct line_found *line)
{
	for (size_t i = 0; i < s->n_log_rules; i++) {
		const struct suite_log_rule *r = &s->log_rules[i];
		regex_t re;
		if (!rule_may(r, &s->phases[j->phase], status) ||
		    (r->phase && strcmp(r->phase, s->phases[j->phase].name)) ||
		    regcomp(&re, r->match, REG_EXTENDED | REG_NEWLINE))
			continue;
		bool found = log_find(j, line_matches, &re, line);
		regfree(&re);
		if (found)
			return r;
	}
	return NULL;
}

struct result result_of(const struct suite *s, const struct judged *j, struct evidence *ev)
{
	enum reason reason = reason_of_facts(j, s->phases[j->phase].goal);
	struct result r = {reason_status(reason), reason, s->phases[j->phase].name, NULL};
	struct line_found line = {0};
	*ev = (struct evidence){.offset = -1};
	if (r.status == STATUS_PASS || !j->log_n)
		return r;
	if (r.status == STATUS_FAIL || r.status == STATUS_CRASH) {
		const struct suite_log_rule *rule = rule_find(s, j, r.status, &line);
		enum reason refined;
		if (rule && !reason_parse(rule->reason, &refined) &&
		    !strcmp(rule->status, status_name(reason_status(refined)))) {
			r.status = reason_status(refined);
			r.reason = refined;
			r.rule = rule->id;
		}
	}
	if (!line.at && !log_find(j, line_tells_any, NULL, &line))
		log_find(j, line_last, &line, &line);
	if (line.at) {
		ev->offset = line.at - j->log;
		ev->length = (int64_t)line.n;
	}
	return r;
}

struct evidence evidence_copy(const struct evidence *ev)
{
	struct evidence own = *ev;
	own.text = ev->text ? own_dup(ev->text) : NULL;
	own.line = ev->line ? own_dup(ev->line) : NULL;
	return own;
}

void evidence_fini(struct evidence *ev)
{
	free(ev->text);
	free(ev->line);
	*ev = (struct evidence){.offset = -1};
}
