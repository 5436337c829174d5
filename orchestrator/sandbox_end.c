#include "orchestrator/sandbox_end.h"

#include "base/unit.h"
#include "orchestrator/plain.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define END_LINE 1000

struct sandbox_end sandbox_end_of(const struct box_facts *f, int cause)
{
	switch (f->end) {
	case BOX_EXITED:
		return (struct sandbox_end){.status = f->exit_code};
	case BOX_SIGNALLED:
		return (struct sandbox_end){.status = 128 + f->signal, .signal = f->signal};
	case BOX_LIMITED:
		return (struct sandbox_end){.status = SANDBOX_LIMITED};
	case BOX_CANCELLED:
		return (struct sandbox_end){.status = cause ? 128 + cause : SANDBOX_OURS,
					    .signal = cause};
	case BOX_FAILED:
		break;
	}
	return (struct sandbox_end){.status = SANDBOX_OURS};
}

/* The option that sets it, and what its numbers are. */
struct end_limit {
	const char *option;
	enum { END_MS, END_BYTES, END_COUNT } unit;
};

static struct end_limit end_limit(enum box_limit limit)
{
	switch (limit) {
	case BOX_LIMIT_NONE:
		break;
	case BOX_LIMIT_WALL:
		return (struct end_limit){"time", END_MS};
	case BOX_LIMIT_CPU:
		return (struct end_limit){"cpu", END_MS};
	case BOX_LIMIT_SILENCE:
		return (struct end_limit){"silence", END_MS};
	case BOX_LIMIT_IDLE:
		return (struct end_limit){"idle", END_MS};
	case BOX_LIMIT_MEMORY:
		return (struct end_limit){"memory", END_BYTES};
	case BOX_LIMIT_PROCESSES:
		return (struct end_limit){"processes", END_COUNT};
	case BOX_LIMIT_DISK:
		return (struct end_limit){"disk", END_BYTES};
	case BOX_LIMIT_INODES:
		return (struct end_limit){"inodes", END_COUNT};
	case BOX_LIMIT_OUTPUT:
		return (struct end_limit){"log", END_BYTES};
	case BOX_LIMIT_FILE_SIZE:
		return (struct end_limit){"file-size", END_BYTES};
	}
	return (struct end_limit){"limit", END_COUNT};
}

static const char *end_number(const struct end_limit *l, uint64_t n, char buf[UNIT_TEXT])
{
	switch (l->unit) {
	case END_MS:
		return unit_duration(n, buf);
	case END_BYTES:
		return unit_size(n, buf);
	case END_COUNT:
		break;
	}
	snprintf(buf, UNIT_TEXT, "%" PRIu64, n);
	return buf;
}

static void end_limit_line(const struct box_facts *f, struct text *t)
{
	char bound[UNIT_TEXT], value[UNIT_TEXT];
	struct end_limit l = end_limit(f->limit);
	text_addf(t, "ended by its limit: --%s", l.option);
	/* memory that an OOM kill of the whole machine took has no bound */
	if (f->limit_bound)
		text_addf(t, " %s", end_number(&l, f->limit_bound, bound));
	if (f->limit_value)
		text_addf(t, " (it was at %s)", end_number(&l, f->limit_value, value));
}

void sandbox_end_line(const struct box_facts *f, struct text *t)
{
	if (f->end == BOX_FAILED) {
		auto_free char *error = plain_line(f->error, END_LINE);
		text_add(t, error);
	}
	if (f->end == BOX_LIMITED)
		end_limit_line(f, t);
	if (f->network_lost)
		text_addf(t, "%sits network (pasta) ended before it did", t->n ? "; " : "");
}

static json_t *end_text(const char *s)
{
	auto_free char *line = plain_line(s, END_LINE);
	return json_string(line);
}

/* Their names are the job's: made fit to be shown. */
static json_t *end_lines(const char *s)
{
	json_t *list = json_array();
	for (; s && *s; s += strcspn(s, "\n"), s += *s == '\n') {
		auto_free char *line = own_dup_n(s, strcspn(s, "\n"));
		json_array_append_new(list, end_text(line));
	}
	return list;
}

json_t *sandbox_end_json(const struct box_facts *f, enum box_net net)
{
	static const char *const ends[] = {[BOX_EXITED] = "exited",
					   [BOX_SIGNALLED] = "signalled",
					   [BOX_LIMITED] = "limited",
					   [BOX_CANCELLED] = "cancelled",
					   [BOX_FAILED] = "failed"};
	const struct {
		const char *name;
		uint64_t n;
	} numbers[] = {
		{"limit_bound", f->limit_bound},
		{"limit_value", f->limit_value},
		{"setup_ns", f->setup_ns},
		{"wall_ns", f->wall_ns},
		{"cpu_user_ns", f->cpu_user_ns},
		{"cpu_system_ns", f->cpu_system_ns},
		{"peak_memory", f->peak_memory},
		{"output_bytes", f->output_bytes},
		{"oom_kills", f->oom_kills},
		{"host_oom_kills", f->host_oom_kills},
		{"processes_refused", f->processes_refused},
		{"processes_peak", f->processes_peak},
		{"io_read_bytes", f->io_read_bytes},
		{"io_write_bytes", f->io_write_bytes},
		{"disk_bytes", f->disk_bytes},
		{"disk_inodes", f->disk_inodes},
		{"throttled", f->throttled},
		{"throttled_ns", f->throttled_ns},
		{"stalled_memory_ns", f->stalled_memory_ns},
		{"stalled_cpu_ns", f->stalled_cpu_ns},
		{"stalled_io_ns", f->stalled_io_ns},
	};
	const char *const texts[][2] = {
		{"cgroup", f->cgroup},   {"ids", f->ids},       {"executor", f->executor},
		{"profile", f->profile}, {"uppers", f->uppers},
	};
	json_t *j = json_object();
	json_object_set_new(j, "end", json_string(ends[f->end]));
	json_object_set_new(j, "exit_code",
			    f->exit_code < 0 ? json_null() : json_integer(f->exit_code));
	json_object_set_new(j, "signal", f->signal ? json_integer(f->signal) : json_null());
	json_object_set_new(j, "core", json_boolean(f->core));
	json_object_set_new(j, "limit",
			    f->limit ? json_string(box_limit_name(f->limit)) : json_null());
	json_object_set_new(j, "started_ms", json_integer(f->started_ms));
	for (size_t i = 0; i < countof(numbers); i++)
		json_object_set_new(j, numbers[i].name, json_integer((json_int_t)numbers[i].n));
	for (size_t i = 0; i < countof(texts); i++)
		json_object_set_new(j, texts[i][0],
				    texts[i][1] ? json_string(texts[i][1]) : json_null());
	json_object_set_new(j, "network_lost",
			    net == BOX_NET_NAT ? json_boolean(f->network_lost) : json_null());
	json_object_set_new(j, "processes", end_lines(f->processes));
	json_object_set_new(j, "error", f->error[0] ? end_text(f->error) : json_null());
	return j;
}

void sandbox_end_die(int signal)
{
	struct rlimit none = {0, 0};
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t only;
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	sigaction(signal, &standard, NULL);
	sigemptyset(&only);
	sigaddset(&only, signal);
	sigprocmask(SIG_UNBLOCK, &only, NULL);
	raise(signal);
}
