/* The steps of a job, in the order things happen. Each start sets one thing going; each finish,
 * called once that thing is over, says what comes next. After our own trouble (g->failed) a finish
 * gives back what the state held and leads, by way of JOB_CLOSE where a phase ran, to JOB_CLEAN. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/judge.h"
#include "orchestrator/signature.h"

#include <string.h>

/* ---- begin ---- */

static int begin_work(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	const struct suite_package *package = &g->suite->packages[j->unit->package];
	if (!j->trunk && package->n_files)
		j->input = own_fmt("%zu." BOXING_INPUT, j->number);
	if (j->input && boxing_input(g->jobs_fd, j->input, package, e))
		return -1;
	if (job_is_trunk(j) || j->until != PLAN_NONE)
		return job_keep_find(j, e);
	if ((j->awake && db_wake(g->state->db, j->id, e)) ||
	    db_job_state(g->state->db, j->id, "running", e))
		return -1;
	j->attempt = db_attempt_begin(g->state->db, j->id, clock_real_ms(), e);
	return j->attempt < 0 ? -1 : job_keep_find(j, e);
}

static void begin_start(struct job *j)
{
	job_lane(j, &j->engine->records, begin_work);
}

enum job_state job_next(struct job *j)
{
	return j->phase == j->until ? JOB_HOLD : engine_next(j);
}

static enum job_state begin_finish(struct job *j)
{
	bool failed = j->engine->failed, shared = j->trunk && j->trunk->has_result,
	     way = j->until != PLAN_NONE;
	bool blocked = !failed && !shared && !way && needs_block(j);
	bool take = !failed && !shared && !blocked && job_has_found(j);
	if (failed || (shared && way))
		return JOB_CLEAN;
	if (blocked)
		return job_is_trunk(j) ? JOB_KEEP : JOB_RESULT;
	if (!shared)
		return take ? JOB_TAKE : job_next(j);
	/* The phases it shares with other variants did not pass: what was found there is its result
	 * too. */
	j->has_result = true;
	j->result = j->trunk->result;
	j->evidence = evidence_copy(&j->trunk->evidence);
	return JOB_RESULT;
}

/* ---- queue, open ---- */

bool job_may_try_offline(const struct job *j)
{
	const struct suite_phase *p = job_phase(j);
	if (j->offline_tried || !p->offline_first || p->network == BOX_NET_NONE || !p->n_harvest)
		return false;
	for (size_t i = 0; i < p->n_harvest; i++)
		if (!j->engine->shelves[p->harvest[i]].n_layers)
			return false;
	return true;
}

static void queue_start(struct job *j)
{
	engine_wait(j);
}

/* A name as part of a file name: what is no plain ASCII, separators and a first dot (of a word:
 * every dot) are percent-encoded, and what is too long ends in its digest: names that differ stay
 * different, and three of them fit in NAME_MAX. */
static char *file_name_of(const char *name, bool word)
{
	enum { LONGEST = 70, KEPT = LONGEST - 9 };
	char digest[CACHE_ID];
	auto_text struct text t = TEXT_INIT;
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p >= 127 || strchr("/%~", *p) ||
		    (*p == '.' && (word || p == name)))
			text_addf(&t, "%%%02X", (unsigned)(unsigned char)*p);
		else
			text_addc(&t, *p);
	if (t.n <= LONGEST)
		return text_take(&t);
	cache_digest(name, strlen(name), digest);
	return own_fmt("%.*s~%.8s", (int)KEPT, t.p, digest);
}

static void open_names(struct job *j)
{
	struct engine *g = j->engine;
	const struct suite_package *package = &g->suite->packages[j->unit->package];
	const char *variant = job_is_trunk(j) ? NULL : g->suite->variants[j->unit->variant].name;
	auto_free char *file = file_name_of(package->id, false);
	auto_free char *side = variant ? file_name_of(variant, true) : own_dup("");
	auto_free char *phase = file_name_of(job_phase(j)->name, true);
	j->phase_dir = own_fmt("%zu.%s.%u", j->number, phase, j->tries);
	/* A name of its own for every try that is kept: a run may be gone on with, a phase
	 * repeated. */
	auto_free char *resumed =
		g->conf->resumed ? own_fmt("~r%u", g->conf->resumed) : own_dup("");
	auto_free char *again = j->again ? own_fmt("~%u", j->again + 1) : own_dup("");
	auto_free char *repeat = j->repeat ? own_fmt("~repeat%u", j->repeat) : own_dup("");
	j->log_rel = own_fmt("%s%s%s.%s%s%s%s%s.log.zst", file, variant ? "." : "", side, phase,
			     j->offline ? "~offline" : "", resumed, repeat, again);
	j->label = own_fmt("run %lld %s@%s %s%s%s", (long long)g->conf->run, package->name,
			   package->version, variant ? variant : "", variant ? " " : "",
			   job_phase(j)->name);
}

static int open_work(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	const struct suite_package *package = &g->suite->packages[j->unit->package];
	auto_free char *log = own_fmt("runs/%lld/%s", (long long)g->conf->run, j->log_rel);
	auto_free const char **uppers = own_calloc(g->suite->n_phases, sizeof(*uppers));
	for (size_t i = 0; i < g->suite->n_phases; i++)
		uppers[i] = j->uppers[i] ? j->uppers[i] : j->trunk ? j->trunk->uppers[i] : NULL;
	struct boxing_from from = {
		.dirfd = g->jobs_fd,
		.place = &g->place,
		.dir = j->phase_dir,
		.input = j->trunk ? j->trunk->input : j->input,
		.uppers = uppers,
		.shelves = j->shelves,
	};
	if (boxing_open(&j->boxing, g->state, &j->mounts, &from, e))
		return err_add(e, "%s", j->label);
	struct db_phase row = {
		.run = g->conf->run,
		.package = package->id,
		.version = package->version,
		.variant = job_is_trunk(j) ? NULL : g->suite->variants[j->unit->variant].name,
		.name = job_phase(j)->name,
		.network = box_net_name(j->networked ? job_phase(j)->network : BOX_NET_NONE),
		.generation = g->suite->n_stores ? j->shelves[0].generation : 0,
		.log = log,
		.started_ms = clock_real_ms(),
		.cpus = (int64_t)j->cpus,
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
	j->offline = !j->networked && job_phase(j)->network != BOX_NET_NONE;
	j->offline_tried |= j->offline;
	j->cpus = j->ahead ? engine_cpus(j) : j->taken.of[SCHED_CPU];
	if (j->cpus > g->at_once)
		j->cpus = g->at_once;
	j->tries++;
	open_names(j);
	j->shelves = own_calloc(g->suite->n_stores, sizeof(*j->shelves));
	for (size_t i = 0; i < g->suite->n_stores; i++)
		j->shelves[i] = shelf_copy(&g->shelves[i]);
	plan_mounts(g->suite, j->unit, j->phase, &j->mounts);
	job_lane(j, &g->records, open_work);
}

static enum job_state open_finish(struct job *j)
{
	if (!j->engine->stopping)
		return j->ahead ? JOB_QUEUE : JOB_BOX;
	/* a box not yet started is one that is started no more */
	if (j->ahead)
		engine_turn(j);
	else
		engine_give_back(j);
	if (j->task.rc) {
		job_try_free(j);
		return JOB_CLEAN;
	}
	job_boxless(j); /* its row is there: it gets an end */
	return JOB_CLOSE;
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
	if (slot == PLAN_NONE)
		return err_set(e, ERR_CORRUPT, "%s: store %s has no upper to harvest", j->label,
			       g->suite->stores[store].name);
	auto_fd int upper = boxing_upper(g->jobs_fd, j->phase_dir, slot, e);
	if (upper < 0)
		return shelf_refuse(&j->publish, e) ? err_add(e, "%s", j->label) : 0;
	auto_free char *name = boxing_upper_name(j->phase_dir, slot);
	if (job_phase(j)->goal) { /* no phase comes after it, whose lower this could be */
		j->publish.spare_dirfd = g->jobs_fd;
		j->publish.spare = name;
	}
	int rc = shelf_publish(&j->publish, g->state->cache, upper, j->label, e);
	j->publish.spare = NULL;
	return rc;
}

static void publish_start(struct job *j)
{
	struct engine *g = j->engine;
	size_t store = job_phase(j)->harvest[j->harvest_at];
	j->publish = (struct shelf_publish){.from = shelf_copy(&g->shelves[store]),
					    .base = &j->shelves[store],
					    .programs = g->programs,
					    .package = g->suite->packages[j->unit->package].name,
					    .words = g->words,
					    .compacted = true};
	job_lane(j, &g->stores, publish_work);
}

static enum job_state publish_finish(struct job *j)
{
	if (!j->engine->failed)
		return JOB_RECORD;
	shelf_undo(&j->publish, j->engine->state->cache);
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
	} else {
		shelf_undo(&j->publish, g->state->cache);
	}
	shelf_publish_fini(&j->publish);
	g->publishing = false;
	return ++j->harvest_at < p->n_harvest && !g->failed ? JOB_SHELVE : JOB_CLOSE;
}

/* ---- the end ---- */

static void keep_start(struct job *j)
{
	struct engine *g = j->engine;
	for (size_t i = 1; i <= j->n_branches; i++)
		engine_push(&g->branches, engine_job(g, j->number + i));
}

static int result_work(struct job *j, struct err *e)
{
	const struct suite *s = j->engine->suite;
	auto_free int64_t *ids = own_calloc(s->n_phases, sizeof(*ids));
	size_t n = 0;
	for (size_t i = 0; i < s->n_phases && !(j->repeat && i > j->phase); i++) {
		int64_t id = j->repeat && i == j->phase ? j->phase_id
			     : j->phase_ids[i]          ? j->phase_ids[i]
			     : j->trunk                 ? j->trunk->phase_ids[i]
							: 0;
		if (id)
			ids[n++] = id;
	}
	/* Nothing of its own ran where its trunk did not pass. */
	bool own = j->tries || !j->trunk || !j->trunk->has_result;
	const struct box_facts *f = own ? &j->facts : &j->trunk->facts;
	struct signature signature;
	bool signed_by = signature_make(&j->result, j->evidence.line, &signature);
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
		.signature = {signed_by ? signature.id : NULL, signature.text, j->evidence.line},
		.phases = ids,
		.n_phases = n,
		.ended_ms = clock_real_ms(),
	};
	struct db *d = j->engine->state->db;
	if (j->repeat)
		j->attempt = db_repeat_begin(d, j->id,
					     row.ended_ms - (int64_t)(f->wall_ns / 1000000), e);
	return j->attempt < 0 ? -1 : db_result(d, j->id, j->attempt, &row, e);
}

static void result_start(struct job *j)
{
	job_lane(j, &j->engine->records, result_work);
}

static void trunk_release(struct job *trunk)
{
	if (trunk && !--trunk->branches_left && trunk->state == JOB_KEEP)
		job_go(trunk, job_leave(trunk));
}

static enum job_state result_finish(struct job *j)
{
	struct engine *g = j->engine;
	struct engine_news news = {
		.package = &g->suite->packages[j->unit->package],
		.variant = &g->suite->variants[j->unit->variant],
		.result = j->result,
		.wall_ms = j->wall_ms,
		.note = j->note    ? j->note
			: j->trunk ? j->trunk->note
				   : NULL,
	};
	if (j->task.rc)
		return JOB_CLEAN; /* not recorded: there is none */
	if (j->repeat)
		return JOB_HOLD;
	j->own = j->result;
	needs_note(j);
	g->done++;
	engine_remember(j);
	if (g->conf->on_news)
		g->conf->on_news(g->conf->owner, &news);
	return repeat_may(j) ? JOB_HOLD : job_leave(j);
}

static void hold_start(struct job *j)
{
	engine_push(&j->engine->holds, j);
}

/* What a job leaves that can't be removed is told and no reason to end a run: the next start tries
 * again. */
static void clean_one(const struct job *j, const char *dir, struct err *e)
{
	if (dir && sandbox_remove(j->engine->sandbox, j->engine->jobs_fd, dir, e))
		fprintf(stderr, "assay: what a job left in its directory stays for now: %s\n",
			e->text);
}

/* Tries that did not count are discarded as they end; what is kept is not the job's. */
static int clean_work(struct job *j, struct err *e)
{
	for (size_t i = j->unit->first_phase; i < j->unit->end_phase; i++)
		if (j->uppers[i] && strncmp(j->uppers[i], BOXING_KEPT, strlen(BOXING_KEPT)))
			clean_one(j, j->uppers[i], e);
	clean_one(j, j->input, e);
	return 0;
}

void job_leaving(struct job *j)
{
	j->engine->leaving += !j->leaving;
	j->leaving = true;
}

static void clean_start(struct job *j)
{
	job_leaving(j);
	repeat_gone(j);
	job_lane(j, &j->engine->trash, clean_work);
}

static enum job_state clean_finish(struct job *j)
{
	j->engine->leaving--;
	trunk_release(j->trunk);
	return JOB_DONE;
}

static void done_start(struct job *j)
{
	engine_unit_over(j);
}

#define TO(state) (1u << JOB_##state)
#define LEAVES TO(FREEZE) | TO(ENTER) | TO(CLEAN)
/* clang-format off */
const struct job_step job_steps[JOB_STATES] = {
	[JOB_WAIT]    = {"wait",    NULL,          NULL,           true,  TO(BEGIN) | TO(HOLD)},
	[JOB_BEGIN]   = {"begin",   begin_start,   begin_finish,   false, TO(TAKE) | TO(OPEN) | TO(QUEUE) | TO(KEEP) | TO(RESULT) | TO(HOLD) | TO(CLEAN)},
	[JOB_TAKE]    = {"take",    take_start,    take_finish,    false, TO(OPEN) | TO(QUEUE) | TO(KEEP) | TO(HOLD) | TO(CLEAN)},
	[JOB_OPEN]    = {"open",    open_start,    open_finish,    false, TO(QUEUE) | TO(BOX) | TO(CLOSE) | TO(CLEAN)},
	[JOB_QUEUE]   = {"queue",   queue_start,   NULL,           true,  TO(OPEN) | TO(BOX) | TO(CLOSE) | TO(KEEP) | TO(RESULT) | LEAVES},
	[JOB_BOX]     = {"box",     job_box_start, NULL,           false, TO(SHELVE) | TO(CLOSE)},
	[JOB_SHELVE]  = {"shelve",  shelve_start,  NULL,           false, TO(PUBLISH) | TO(CLOSE)},
	[JOB_PUBLISH] = {"publish", publish_start, publish_finish, false, TO(RECORD) | TO(CLOSE)},
	[JOB_RECORD]  = {"record",  record_start,  record_finish,  false, TO(SHELVE) | TO(CLOSE)},
	[JOB_CLOSE]   = {"close",   job_close_start,   job_close_finish,   false, TO(OPEN) | TO(QUEUE) | TO(AGAIN) | TO(KEEP) | TO(RESULT) | TO(HOLD) | LEAVES},
	[JOB_AGAIN]   = {"again",   job_again_start,   NULL,           true,  TO(QUEUE)},
	[JOB_KEEP]    = {"keep",    keep_start,    NULL,           true,  LEAVES},
	[JOB_RESULT]  = {"result",  result_start,  result_finish,  false, TO(HOLD) | LEAVES},
	[JOB_HOLD]    = {"hold",    hold_start,    NULL,           true,  TO(BEGIN) | TO(QUEUE) | LEAVES},
	[JOB_FREEZE]  = {"freeze",  freeze_start,  freeze_finish,  false, TO(ENTER) | TO(CLEAN)},
	[JOB_ENTER]   = {"enter",   enter_start,   enter_finish,   false, TO(KEEP) | TO(CLEAN)},
	[JOB_CLEAN]   = {"clean",   clean_start,   clean_finish,   false, TO(DONE)},
	[JOB_DONE]    = {"done",    done_start,    NULL,           true,  0},
};
/* clang-format on */
