/* The steps of a job, in the order things happen. Each start sets one thing going; each finish, called once that thing is over, says what
 * comes next. After our own trouble (g->failed) a finish gives back what the state held and leads to JOB_CLEAN. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/judge.h"

#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

/* ---- begin ---- */

static int begin_work(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	const struct suite_package *package = &g->suite->packages[j->unit->package];
	auto_fd int dir = dir_make(g->state->fd, j->dir, 0700, e);
	if (dir < 0 || (!j->trunk && boxing_input(g->state, j->dir, package, e)))
		return -1;
	if (job_is_trunk(j))
		return 0;
	if (db_job_state(g->state->db, j->id, "running", e))
		return -1;
	j->attempt = db_attempt_begin(g->state->db, j->id, clock_real_ms(), e);
	return j->attempt < 0 ? -1 : 0;
}

static void begin_start(struct job *j)
{
	j->engine->active++;
	j->engine->beginning++;
	job_lane(j, &j->engine->records, begin_work);
}

static enum job_state begin_finish(struct job *j)
{
	j->engine->beginning--;
	if (j->engine->failed)
		return JOB_CLEAN;
	if (!j->trunk || !j->trunk->has_result)
		return JOB_QUEUE;
	/* The phases it shares with other variants did not pass: what was found there is its result too. */
	j->has_result = true;
	j->result = j->trunk->result;
	j->evidence = j->trunk->evidence;
	if (j->evidence.text)
		j->evidence.text = own_dup(j->evidence.text);
	return JOB_RESULT;
}

/* ---- queue, open ---- */

static void queue_start(struct job *j)
{
	engine_push(&j->engine->ready, j);
}

/* A package's id as one file name: what could be a separator or hidden is percent-encoded. */
static char *file_name_of(const char *id)
{
	auto_text struct text t = TEXT_INIT;
	for (const char *p = id; *p; p++)
		if (*p == '/' || *p == '%' || (*p == '.' && p == id))
			text_addf(&t, "%%%02X", (unsigned)*p);
		else
			text_addc(&t, *p);
	return text_take(&t);
}

static bool may_try_offline(const struct job *j)
{
	const struct suite_phase *p = job_phase(j);
	if (!p->offline_first || p->network == BOX_NET_NONE || !p->n_harvest)
		return false;
	for (size_t i = 0; i < p->n_harvest; i++)
		if (!j->engine->shelves[p->harvest[i]].n_layers)
			return false;
	return true;
}

static void open_names(struct job *j)
{
	struct engine *g = j->engine;
	const struct suite_package *package = &g->suite->packages[j->unit->package];
	const char *variant = job_is_trunk(j) ? NULL : g->suite->variants[j->unit->variant].name;
	auto_free char *file = file_name_of(package->id);
	auto_free char *again = j->offline ? own_dup(".offline") : own_dup("");
	j->phase_dir = own_fmt("%s/%s.%u", j->dir, job_phase(j)->name, j->tries);
	j->log_rel = own_fmt("%s%s%s.%s%s.log.zst", file, variant ? "." : "", variant ? variant : "",
			     job_phase(j)->name, again);
	j->label = own_fmt("run %lld %s@%s %s%s%s", (long long)g->conf->run, package->name,
			   package->version, variant ? variant : "", variant ? " " : "",
			   job_phase(j)->name);
}

static int open_work(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	const struct suite_package *package = &g->suite->packages[j->unit->package];
	auto_free char *input = own_fmt("%s/input", j->trunk ? j->trunk->dir : j->dir);
	auto_free char *log = own_fmt("runs/%lld/%s", (long long)g->conf->run, j->log_rel);
	auto_free const char **uppers = own_calloc(g->suite->n_phases, sizeof(*uppers));
	for (size_t i = 0; i < g->suite->n_phases; i++)
		uppers[i] = j->uppers[i] ? j->uppers[i] : j->trunk ? j->trunk->uppers[i] : NULL;
	struct boxing_from from = {j->phase_dir, input, uppers, j->shelves};
	if (boxing_open(&j->boxing, g->state, &j->mounts, &from, e))
		return err_add(e, "%s", j->label);
	struct db_phase row = {
		.run = g->conf->run,
		.package = package->id,
		.version = package->version,
		.variant = job_is_trunk(j) ? NULL : g->suite->variants[j->unit->variant].name,
		.name = job_phase(j)->name,
		.network = j->networked ? "host" : "none",
		.generation = g->suite->n_stores ? j->shelves[0].generation : 0,
		.log = log,
		.started_ms = clock_real_ms(),
	};
	j->phase_id = db_phase_begin(g->state->db, &row, e);
	if (j->phase_id > 0)
		return 0;
	boxing_close(&j->boxing);
	return -1;
}

static void open_start(struct job *j)
{
	struct engine *g = j->engine;
	j->offline = !j->offline_tried && may_try_offline(j);
	j->offline_tried |= j->offline;
	j->networked = job_phase(j)->network == BOX_NET_HOST && !j->offline;
	j->tries++;
	open_names(j);
	j->shelves = own_calloc(g->suite->n_stores, sizeof(*j->shelves));
	for (size_t i = 0; i < g->suite->n_stores; i++)
		j->shelves[i] = shelf_copy(&g->shelves[i]);
	plan_mounts(g->suite, j->unit, j->phase, &j->mounts);
	job_lane(j, &g->records, open_work);
}

/* What one try of a phase held. */
static void try_free(struct job *j)
{
	for (size_t i = 0; j->shelves && i < j->engine->suite->n_stores; i++)
		shelf_fini(&j->shelves[i]);
	free(j->shelves);
	j->shelves = NULL;
	plan_mounts_fini(&j->mounts);
	boxing_close(&j->boxing);
	free(j->phase_dir);
	free(j->log_rel);
	free(j->label);
	free(j->log.text);
	j->phase_dir = j->log_rel = j->label = j->log.text = NULL;
}

static enum job_state open_finish(struct job *j)
{
	if (!j->engine->failed)
		return JOB_BOX;
	j->engine->used_slots--;
	try_free(j);
	return JOB_CLEAN;
}

/* ---- box ---- */

static void box_over(struct job *j)
{
	const struct suite_phase *p = job_phase(j);
	if (!j->box_ended || !j->log_ended)
		return;
	j->engine->used_slots--;
	bool passed = j->facts.end == BOX_EXITED && j->facts.exit_code == 0 && !j->facts.oom_kills;
	j->harvest_at = 0;
	job_go(j, passed && p->n_harvest && !j->engine->failed ? JOB_SHELVE : JOB_CLOSE);
	engine_kick(j->engine);
}

static void on_log(void *owner, struct capture_log *log)
{
	struct job *j = owner;
	j->log = *log;
	log->text = NULL;
	j->capture = NULL;
	j->log_ended = true;
	if (j->log.err.kind)
		engine_fail(j->engine, &j->log.err);
	box_over(j);
}

static void on_output(void *owner, const void *bytes, size_t n)
{
	struct job *j = owner;
	capture_write(j->capture, bytes, n);
	if (capture_full(j->capture))
		box_pause_output(j->box, true);
}

static void on_drain(void *owner)
{
	struct job *j = owner;
	if (j->box)
		box_pause_output(j->box, false);
}

static void on_box_end(void *owner, const struct box_facts *facts)
{
	struct job *j = owner;
	struct statvfs fs;
	j->box = NULL;
	j->box_ended = true;
	j->facts = *facts;
	j->wall_ms += facts->wall_ns / 1000000;
	j->ended_ms = clock_real_ms();
	j->host_full = !fstatvfs(j->engine->state->fd, &fs) &&
		       ((uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)16 << 20 ||
			(fs.f_files && fs.f_favail < 64));
	capture_finish(j->capture, on_log);
}

static struct box_limits limits_of(const struct suite_limits *l)
{
	return (struct box_limits){
		.wall_ms = l->time_ms,
		.cpu_ms = l->cpu_ms,
		.silence_ms = l->silence_ms,
		.memory = l->memory,
		.processes = l->processes,
		.disk = l->disk,
		.disk_inodes = l->inodes,
		.output_bytes = l->log * 64, /* head and tail are kept well before; this is the hard cap */
		.open_files = l->open_files,
		.grace_ms = l->grace_ms,
	};
}

static void box_start_step(struct job *j)
{
	static const struct box_events events = {on_output, on_box_end};
	struct engine *g = j->engine;
	const struct suite *s = g->suite;
	const struct suite_phase *p = job_phase(j);
	struct err e = ERR_INIT;
	char name[64];
	char **env = plan_env(s, j->unit, j->phase, j->offline);
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-ec"}, p->run, NULL};
	snprintf(name, sizeof(name), "r%lld-%zu-%u", (long long)g->conf->run, j->number, j->tries);
	struct box_spec spec = {
		.name = name,
		.root_host = s->root_is_host,
		.mounts = j->boxing.mounts,
		.n_mounts = j->boxing.n_mounts,
		.argv = argv,
		.env = env,
		.cwd = s->workdir,
		.hostname = "assay",
		.net = j->networked ? BOX_NET_HOST : BOX_NET_NONE,
		.limits = limits_of(&p->limits),
	};
	j->box_ended = j->log_ended = false;
	j->store_bytes = j->store_files = 0;
	j->capture = capture_open(&g->logs, g->runs_fd, j->log_rel, p->limits.log, on_drain, j);
	j->box = box_start(g->sandbox, &spec, &events, j, &e);
	plan_env_free(env);
	boxing_close(&j->boxing);
	if (j->box)
		return;
	struct box_facts facts = {.end = BOX_FAILED, .exit_code = -1, .cgroup = "none", .started_ms = clock_real_ms()};
	snprintf(facts.error, sizeof(facts.error), "%.500s", e.text);
	on_box_end(j, &facts);
}

/* ---- harvest ---- */

static void shelve_start(struct job *j)
{
	engine_push(&j->engine->publishers, j);
}

static int publish_work(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	size_t store = job_phase(j)->harvest[j->harvest_at], slot = PLAN_NONE;
	for (size_t i = 0; i < j->mounts.n_mounts; i++)
		if (j->mounts.mounts[i].store == store)
			slot = j->mounts.mounts[i].slot;
	auto_fd int upper = boxing_upper(g->state, j->phase_dir, slot, e);
	if (upper < 0)
		return -1;
	return shelf_publish(&j->publish, g->state->cache, upper, j->label, e);
}

static void publish_start(struct job *j)
{
	struct engine *g = j->engine;
	size_t store = job_phase(j)->harvest[j->harvest_at];
	j->publish = (struct shelf_publish){.from = shelf_copy(&g->shelves[store])};
	job_lane(j, &g->stores, publish_work);
}

static enum job_state publish_finish(struct job *j)
{
	if (!j->engine->failed)
		return JOB_RECORD;
	shelf_publish_fini(&j->publish);
	j->engine->publishing = false;
	return JOB_CLOSE;
}

static int record_work(struct job *j, struct err *e)
{
	return shelf_record(&j->publish, j->engine->state->db, j->phase_id, e);
}

static void record_start(struct job *j)
{
	job_lane(j, &j->engine->records, record_work);
}

static enum job_state record_finish(struct job *j)
{
	struct engine *g = j->engine;
	const struct cache_counts *n = &j->publish.out.counts;
	const struct suite_phase *p = job_phase(j);
	if (!g->failed) {
		shelf_advance(&g->shelves[p->harvest[j->harvest_at]], &j->publish);
		j->store_bytes += n->bytes;
		j->store_files += n->added + n->replaced + n->merged;
		if (j->publish.refused && !j->note)
			j->note = own_fmt("harvest refused: %s", j->publish.refusal.text);
	}
	shelf_publish_fini(&j->publish);
	g->publishing = false;
	return ++j->harvest_at < p->n_harvest && !g->failed ? JOB_SHELVE : JOB_CLOSE;
}

/* ---- close: the judgement ---- */

static bool try_passed(const struct job *j)
{
	return j->facts.end == BOX_EXITED && j->facts.exit_code == 0 && !j->facts.oom_kills;
}

/* A failed try without the network says only that the store does not have it all. */
static bool try_again_online(const struct job *j)
{
	return j->offline && j->facts.end == BOX_EXITED && j->facts.exit_code != 0 && !j->facts.oom_kills;
}

static int close_work(struct job *j, struct err *e)
{
	struct judged judged = {&j->facts, j->host_full, j->networked, j->phase, j->log.text, j->log.text_n};
	bool last = job_phase(j)->goal;
	if (!try_again_online(j) && (last || !try_passed(j)))
		judge_job(j->engine->suite, &judged, &j->log, &j->result, &j->evidence);
	struct db_facts row;
	judge_facts(&j->facts, &j->log, &row);
	row.store_bytes = (int64_t)j->store_bytes;
	row.store_files = (int64_t)j->store_files;
	row.ended_ms = j->ended_ms;
	if (j->note && !row.error)
		row.error = j->note;
	return db_phase_end(j->engine->state->db, j->phase_id, &row, e);
}

static void close_start(struct job *j)
{
	job_lane(j, &j->engine->records, close_work);
}

static enum job_state close_finish(struct job *j)
{
	struct engine *g = j->engine;
	bool again = try_again_online(j), passed = try_passed(j), goal = job_phase(j)->goal;
	if (!again) {
		j->phase_ids[j->phase] = j->phase_id;
		j->uppers[j->phase] = give(j->phase_dir);
	}
	try_free(j);
	if (g->failed)
		return JOB_CLEAN;
	if (g->signals > 1 && j->facts.end == BOX_CANCELLED)
		return JOB_CLEAN; /* ended by the person at the keyboard: no result */
	if (again)
		return JOB_QUEUE;
	if (passed && !goal && j->phase + 1 < j->unit->end_phase) {
		j->phase++;
		j->offline_tried = false;
		return JOB_QUEUE;
	}
	j->has_result = !passed || goal;
	return job_is_trunk(j) ? JOB_KEEP : JOB_RESULT;
}

/* ---- the end ---- */

static void keep_start(struct job *j)
{
	struct engine *g = j->engine;
	for (size_t i = j->number + 1; i < g->conf->plan->n_units && g->jobs[i].trunk == j; i++)
		engine_push(&g->branches, &g->jobs[i]);
}

static int result_work(struct job *j, struct err *e)
{
	const struct suite *s = j->engine->suite;
	auto_free int64_t *ids = own_calloc(s->n_phases, sizeof(*ids));
	size_t n = 0;
	for (size_t i = 0; i < s->n_phases; i++) {
		int64_t id = j->phase_ids[i] ? j->phase_ids[i] : j->trunk ? j->trunk->phase_ids[i] : 0;
		if (id)
			ids[n++] = id;
	}
	const struct box_facts *f = j->phase_ids[j->phase] || !j->trunk ? &j->facts : &j->trunk->facts;
	struct db_result row = {
		.status = status_name(j->result.status),
		.phase = j->result.phase,
		.reason = reason_name(j->result.reason),
		.exit_code = f->exit_code,
		.signal = f->signal,
		.limit = box_limit_name(f->limit),
		.evidence_offset = j->evidence.offset,
		.evidence_length = j->evidence.length,
		.evidence = j->evidence.text,
		.rule = j->result.rule,
		.phases = ids,
		.n_phases = n,
		.ended_ms = clock_real_ms(),
	};
	return db_result(j->engine->state->db, j->id, j->attempt, &row, e);
}

static void result_start(struct job *j)
{
	job_lane(j, &j->engine->records, result_work);
}

static void trunk_release(struct job *trunk)
{
	if (trunk && !--trunk->branches_left && trunk->state == JOB_KEEP)
		job_go(trunk, JOB_CLEAN);
}

static enum job_state result_finish(struct job *j)
{
	struct engine *g = j->engine;
	if (!g->failed) {
		struct engine_news news = {
			.package = &g->suite->packages[j->unit->package],
			.variant = &g->suite->variants[j->unit->variant],
			.result = j->result,
			.wall_ms = j->wall_ms,
			.note = j->note ? j->note : j->trunk ? j->trunk->note : NULL,
		};
		g->done++;
		g->conf->on_news(g->conf->owner, &news);
	}
	return JOB_CLEAN;
}

static int clean_work(struct job *j, struct err *e)
{
	return dir_remove(j->engine->state->fd, j->dir, e);
}

static void clean_start(struct job *j)
{
	job_lane(j, &j->engine->trash, clean_work);
}

static enum job_state clean_finish(struct job *j)
{
	trunk_release(j->trunk);
	return JOB_DONE;
}

static void done_start(struct job *j)
{
	j->engine->active--;
}

#define TO(state) (1u << JOB_##state)
/* clang-format off */
const struct job_step job_steps[JOB_STATES] = {
	[JOB_WAIT]    = {"wait",    NULL,           NULL,           TO(BEGIN)},
	[JOB_BEGIN]   = {"begin",   begin_start,    begin_finish,   TO(QUEUE) | TO(RESULT) | TO(CLEAN)},
	[JOB_QUEUE]   = {"queue",   queue_start,    NULL,           TO(OPEN)},
	[JOB_OPEN]    = {"open",    open_start,     open_finish,    TO(BOX) | TO(CLEAN)},
	[JOB_BOX]     = {"box",     box_start_step, NULL,           TO(SHELVE) | TO(CLOSE)},
	[JOB_SHELVE]  = {"shelve",  shelve_start,   NULL,           TO(PUBLISH)},
	[JOB_PUBLISH] = {"publish", publish_start,  publish_finish, TO(RECORD) | TO(CLOSE)},
	[JOB_RECORD]  = {"record",  record_start,   record_finish,  TO(SHELVE) | TO(CLOSE)},
	[JOB_CLOSE]   = {"close",   close_start,    close_finish,   TO(QUEUE) | TO(KEEP) | TO(RESULT) | TO(CLEAN)},
	[JOB_KEEP]    = {"keep",    keep_start,     NULL,           TO(CLEAN)},
	[JOB_RESULT]  = {"result",  result_start,   result_finish,  TO(CLEAN)},
	[JOB_CLEAN]   = {"clean",   clean_start,    clean_finish,   TO(DONE)},
	[JOB_DONE]    = {"done",    done_start,     NULL,           0},
};
/* clang-format on */
