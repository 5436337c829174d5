#include "orchestrator/judge.h"

#include "orchestrator/plain.h"
#include "orchestrator/rows.h"
#include "orchestrator/suite.h"

#include <string.h>

/* From `at`, n lines back or on, within [begin, end). */
static const char *lines_back(const char *begin, const char *at, unsigned n)
{
	while (at > begin) {
		if (at[-1] == '\n' && !n--)
			break;
		at--;
	}
	return at;
}

static const char *lines_on(const char *at, const char *end, unsigned n)
{
	while (at < end) {
		if (*at == '\n' && !n--)
			break;
		at++;
	}
	return at;
}

static char *evidence_text(const struct judged *j, const struct evidence *ev)
{
	static const struct plain_bounds bounds = {.line = 1000, .lines = RESULT_EVIDENCE};
	const char *begin = j->log, *line = j->log + ev->offset, *end = j->log + j->log_n;
	const char *from = lines_back(begin, line, 2), *to = lines_on(line, end, 12);
	/* The deciding line itself must be in, however long those around it are. */
	if (line - from > RESULT_EVIDENCE / 4)
		from = line;
	if (to - from > RESULT_EVIDENCE)
		to = from + RESULT_EVIDENCE;
	/* Kept as anybody's terminal may show it: plain UTF-8, whatever the job wrote. */
	auto_text struct text t = TEXT_INIT;
	plain_add(&t, from, (size_t)(to - from), &bounds);
	size_t n = t.n < RESULT_EVIDENCE ? t.n : RESULT_EVIDENCE - 1;
	while (n < t.n && n && ((unsigned char)t.p[n] & 0xc0) == 0x80)
		n--; /* never within a character */
	return own_dup_n(text_str(&t), n);
}

static char *evidence_line(const struct judged *j, const struct evidence *ev)
{
	size_t n = (size_t)ev->length < RESULT_EVIDENCE ? (size_t)ev->length : RESULT_EVIDENCE;
	auto_free char *line = own_dup_n(j->log + ev->offset, n);
	return plain_line(line, RESULT_LINE);
}

void judge_job(const struct suite *s, const struct judged *j, const struct capture_log *log,
	       struct result *r, struct evidence *ev)
{
	*r = result_of(s, j, ev);
	if (ev->offset < 0)
		return;
	ev->text = evidence_text(j, ev);
	ev->line = evidence_line(j, ev);
	size_t at = (size_t)ev->offset;
	if (at >= log->tail_at)
		ev->offset = (int64_t)(log->tail_offset + (at - log->tail_at));
	else if (at + (size_t)ev->length > log->tail_at && log->tail_offset > log->tail_at)
		ev->length =
			(int64_t)(log->tail_at - at); /* the line goes on where the text does not */
}

static const char *const ends[] = {
	[BOX_EXITED] = "exited",       [BOX_SIGNALLED] = "signalled", [BOX_LIMITED] = "limited",
	[BOX_CANCELLED] = "cancelled", [BOX_FAILED] = "failed",
};

const char *judge_end_name(enum box_end end)
{
	return ends[end];
}

void judge_facts(const struct box_facts *f, const struct capture_log *log, struct db_facts *row)
{
	*row = (struct db_facts){
		.end = ends[f->end],
		.exit_code = f->exit_code,
		.signal = f->signal,
		.core = f->core,
		.limit = box_limit_name(f->limit),
		.limit_bound = (int64_t)f->limit_bound,
		.limit_value = (int64_t)f->limit_value,
		.setup_us = (int64_t)(f->setup_ns / 1000),
		.wall_us = (int64_t)(f->wall_ns / 1000),
		.cpu_user_us = (int64_t)(f->cpu_user_ns / 1000),
		.cpu_system_us = (int64_t)(f->cpu_system_ns / 1000),
		.peak_memory = (int64_t)f->peak_memory,
		.output_bytes = (int64_t)f->output_bytes,
		.oom_kills = (int64_t)f->oom_kills,
		.host_oom_kills = (int64_t)f->host_oom_kills,
		.processes_refused = (int64_t)f->processes_refused,
		.processes_peak = (int64_t)f->processes_peak,
		.io_read_bytes = (int64_t)f->io_read_bytes,
		.io_write_bytes = (int64_t)f->io_write_bytes,
		.disk_bytes = (int64_t)f->disk_bytes,
		.disk_inodes = (int64_t)f->disk_inodes,
		.throttled = (int64_t)f->throttled,
		.throttled_us = (int64_t)(f->throttled_ns / 1000),
		.stalled_memory_us = (int64_t)(f->stalled_memory_ns / 1000),
		.stalled_cpu_us = (int64_t)(f->stalled_cpu_ns / 1000),
		.stalled_io_us = (int64_t)(f->stalled_io_ns / 1000),
		.executor = f->executor,
		.profile = f->profile,
		.uppers = f->uppers,
		.network_lost = f->network_lost,
		.processes = f->processes,
		.cgroup = f->cgroup,
		.error = f->error[0]       ? f->error
			 : f->network_lost ? "its network (pasta) ended before it did"
					   : NULL,
		.log_bytes = (int64_t)log->kept,
		.log_stored = (int64_t)log->stored,
		.log_sha256 = log->sha256,
	};
}

static int recall_end(const char *word, enum box_end *end)
{
	for (size_t i = 0; i < countof(ends); i++)
		if (!strcmp(word, ends[i])) {
			*end = (enum box_end)i;
			return 0;
		}
	return -1;
}

static int recall_limit(const char *word, enum box_limit *limit)
{
	*limit = BOX_LIMIT_NONE;
	if (!*word)
		return 0;
	for (unsigned i = BOX_LIMIT_NONE; i <= BOX_LIMIT_FILE_SIZE; i++)
		if (!strcmp(word, box_limit_name((enum box_limit)i))) {
			*limit = (enum box_limit)i;
			return 0;
		}
	return -1;
}

int judge_recall(const struct db_table *t, size_t row, struct box_facts *f, bool *host_full,
		 struct err *e)
{
	const char *end = rows_str(t, row, "ended_as"), *limit = rows_str(t, row, "limit_hit");
	*f = (struct box_facts){
		.exit_code = (int)rows_int(t, row, "exit_code", -1),
		.signal = (int)rows_int(t, row, "signal", 0),
		.oom_kills = (uint64_t)rows_int(t, row, "oom_kills", 0),
		.host_oom_kills = (uint64_t)rows_int(t, row, "host_oom_kills", 0),
		.network_lost = rows_int(t, row, "network_lost", 0),
	};
	/* Where nobody noted it, what was judged tells. */
	*host_full =
		rows_int(t, row, "host_full", !strcmp(rows_str(t, row, "reason"), "enospc")) != 0;
	if (recall_end(end, &f->end))
		return err_set(e, ERR_CORRUPT, "a phase ended as '%s': what is that?", end);
	if (recall_limit(limit, &f->limit))
		return err_set(e, ERR_CORRUPT, "a phase reached the limit '%s': what is that?",
			       limit);
	return 0;
}
