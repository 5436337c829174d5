/* What phases left for later runs: taken at a job's beginning instead of running them, put by at
 * its end; of a trunk before its branches run, so that a run that is killed has it when it is gone
 * on with. A directory is moved before its row is written, and a row is gone before its directory
 * is removed; what a kill leaves of that the next start removes (kept.h). What can't be kept is no
 * trouble: it goes with the job. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "base/dir.h"

#include <fcntl.h>
#include <string.h>

int keep_open(struct engine *g, struct err *e)
{
	struct db_kept *list = NULL;
	size_t n = 0;
	if (db_kept_list(g->state->db, &list, &n, e))
		return -1;
	for (size_t i = 0; i < n; i++)
		g->kept_bytes += (uint64_t)list[i].bytes;
	free(list);
	return 0;
}

/* The phase below a phase's uppers, 0: none. Each earlier one has its place in the job or its
 * trunk. */
static int64_t upon(const struct job *j, size_t phase)
{
	if (!phase)
		return 0;
	if (j->phase_ids[phase - 1])
		return j->phase_ids[phase - 1];
	return j->trunk ? j->trunk->phase_ids[phase - 1] : 0;
}

/* A phase behind which another comes. */
static bool keepable(const struct job *j, size_t phase)
{
	return !j->engine->suite->phases[phase].goal;
}

/* ---- taken ---- */

int job_keep_find(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	const struct engine_conf *c = g->conf;
	const struct plan_unit *u = j->unit;
	if (!c->inputs || c->inputs->unknown || (!c->reuse && !c->keep_bytes) ||
	    (j->trunk && j->trunk->has_result))
		return 0;
	auto_free char *package = inputs_package(g->suite, u->package, e);
	if (!package)
		return -1;
	j->kept = own_calloc(g->suite->n_phases, sizeof(*j->kept));
	for (size_t i = u->first_phase; i < u->end_phase; i++)
		inputs_phase_key(c->inputs, g->suite, u, i, package, j->kept[i].key);
	int64_t below = upon(j, u->first_phase);
	/* what this very run put by is no earlier run's */
	int64_t of_run = c->reuse && !u->afresh ? 0 : c->run;
	if (of_run && (!c->resumed || !job_is_trunk(j)))
		return 0;
	for (size_t i = u->first_phase; i < u->end_phase; i++) {
		struct job_kept *k = &j->kept[i];
		int rc = keepable(j, i)
				 ? db_kept_take(g->state->db, k->key, below, of_run, &k->row, e)
				 : 0;
		if (rc < 0)
			return -1;
		if (!rc)
			break;
		k->is = KEPT_FOUND;
		below = k->row.phase;
	}
	return 0;
}

bool job_has_found(const struct job *j)
{
	return j->kept && j->kept[j->unit->first_phase].is == KEPT_FOUND;
}

/* Whether they are what they were. */
static bool take_one(const struct job *j, const struct job_kept *k)
{
	char name[KEPT_DIR];
	struct cache_frozen is;
	struct err e = ERR_INIT;
	auto_fd int fd = dir_open_beneath(j->engine->state->fd, kept_dir(k->row.phase, name),
					  O_RDONLY | O_DIRECTORY, 0);
	int rc = fd < 0 ? err_sys(&e, "open it") : cache_frozen(fd, &is, &e);
	if (!rc && strcmp(is.digest, k->row.digest))
		rc = err_set(&e, ERR_CORRUPT, "it is not what it was");
	if (rc)
		fprintf(stderr, "assay: %s/%s is not used, and removed: %s\n",
			j->engine->state->path, name, e.text);
	return !rc;
}

static int take_work(struct job *j, struct err *e)
{
	(void)e;
	for (size_t i = j->unit->first_phase; i < j->unit->end_phase; i++) {
		struct job_kept *k = &j->kept[i];
		if (k->is != KEPT_FOUND)
			break;
		if (!take_one(j, k)) {
			j->damaged = k->row.phase;
			break;
		}
		k->is = KEPT_TAKEN;
	}
	return 0;
}

void take_start(struct job *j)
{
	job_lane(j, &j->engine->keep, take_work);
}

enum job_state take_finish(struct job *j)
{
	struct engine *g = j->engine;
	char name[KEPT_DIR];
	size_t end = j->unit->end_phase;
	if (g->failed)
		return JOB_CLEAN;
	for (; j->phase < end && j->phase != j->until && j->kept[j->phase].is == KEPT_TAKEN;
	     j->phase++) {
		uint64_t spared = expect_phase(g->expect, j->number, j->phase).ms;
		j->uppers[j->phase] = own_dup(kept_dir(j->kept[j->phase].row.phase, name));
		j->phase_ids[j->phase] = j->kept[j->phase].row.phase;
		g->left_ms -= spared < g->left_ms ? spared : g->left_ms;
		g->reused++;
	}
	if (j->phase < end)
		return job_next(j);
	j->phase = end - 1; /* of a trunk: nothing of it is left to run */
	return JOB_KEEP;
}

/* ---- put by ---- */

void job_fresh(struct job *j)
{
	const struct engine_conf *c = j->engine->conf;
	/* what a note is about, or what was written on a full disk, is nothing to build upon */
	if (!j->kept || !c->keep_bytes || j->note || j->host_full || !keepable(j, j->phase))
		return;
	struct job_kept *k = &j->kept[j->phase];
	k->is = KEPT_FRESH;
	k->row = (struct db_kept){.phase = j->phase_id,
				  .upon = upon(j, j->phase),
				  .saves_ms = (int64_t)(j->facts.wall_ns / 1000000)};
}

/* Its branches are still to run. */
static bool serves(const struct job *j)
{
	return j->branches_left && !j->has_result && !j->engine->failed;
}

enum job_state job_serve(const struct job *j)
{
	enum job_state to = job_leave(j);
	return !j->branches_left || (serves(j) && to == JOB_FREEZE) ? to : JOB_KEEP;
}

enum job_state job_leave(const struct job *j)
{
	enum job_state to = JOB_CLEAN;
	if (j->engine->failed || !j->kept)
		return JOB_CLEAN;
	for (size_t i = j->unit->first_phase; i < j->unit->end_phase; i++)
		if (j->kept[i].is == KEPT_FRESH)
			return JOB_FREEZE;
		else if (j->kept[i].is != KEPT_NOT)
			to = JOB_ENTER;
	return to;
}

/* What overlays worked in is of no use any more. */
static int freeze_sweep(const struct job *j, const char *dir, struct err *e)
{
	const struct suite *s = j->engine->suite;
	for (size_t slot = 0; slot < 1 + s->n_mounts + s->n_stores; slot++) {
		auto_free char *work = own_fmt("%s/w%zu", dir, slot);
		if (sandbox_remove(j->engine->sandbox, j->engine->jobs_fd, work, e))
			return -1;
	}
	return 0;
}

static int freeze_one(struct job *j, size_t phase, struct err *e)
{
	char name[KEPT_DIR];
	int state = j->engine->state->fd, jobs = j->engine->jobs_fd;
	struct db_kept *row = &j->kept[phase].row;
	struct cache_frozen is;
	if (freeze_sweep(j, j->uppers[phase], e))
		return -1;
	auto_fd int fd = dir_open_beneath(jobs, j->uppers[phase], O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(e, "open %s", j->uppers[phase]);
	if (cache_frozen(fd, &is, e))
		return -1;
	memcpy(row->digest, is.digest, sizeof(row->digest));
	row->bytes = (int64_t)is.bytes;
	row->entries = (int64_t)is.entries;
	if (renameat(jobs, j->uppers[phase], state, kept_dir(row->phase, name)))
		return err_sys(e, "move %s to %s", j->uppers[phase], name);
	free(j->uppers[phase]);
	j->uppers[phase] = own_dup(name);
	return 0;
}

static int freeze_work(struct job *j, struct err *e)
{
	struct err why = ERR_INIT;
	(void)e;
	for (size_t i = j->unit->first_phase; i < j->unit->end_phase; i++)
		if (j->kept[i].is == KEPT_FRESH && freeze_one(j, i, &why)) {
			if (j->engine->conf->verbose)
				fprintf(stderr, "assay: job %zu: not kept: %s\n", j->number,
					why.text);
			j->kept[i].is = KEPT_NOT;
		}
	return 0;
}

void freeze_start(struct job *j)
{
	if (!serves(j))
		job_leaving(j);
	job_lane(j, &j->engine->keep, freeze_work);
}

enum job_state freeze_finish(struct job *j)
{
	return j->engine->failed ? JOB_CLEAN : JOB_ENTER;
}

/* ---- recorded ---- */

static void gone_add(struct job *j, const int64_t *phases, size_t n)
{
	j->gone = own_grow(j->gone, j->n_gone + n + 1, sizeof(*j->gone));
	for (size_t i = 0; i < n; i++)
		j->gone[j->n_gone++] = phases[i];
}

static int enter_fresh(struct job *j, struct job_kept *k, int64_t now_ms, struct err *e)
{
	int64_t *replaced = NULL;
	size_t n = 0;
	struct db *d = j->engine->state->db;
	int64_t phase = k->row.phase;
	int rc = db_kept_add(d, &k->row, k->key, now_ms, &replaced, &n, e);
	gone_add(j, replaced, n);
	free(replaced);
	if (rc < 0)
		return -1;
	if (serves(j) && rc && db_kept_take(d, k->key, k->row.upon, 0, &k->row, e) <= 0)
		return -1;
	if (serves(j))
		k->is = rc ? KEPT_SERVES : KEPT_OWN;
	else if (!rc)
		gone_add(j, &phase, 1);
	return 0;
}

/* It is not needed any more. */
static int enter_give(struct job *j, struct job_kept *k, int64_t now_ms, struct err *e)
{
	bool used = k->is == KEPT_TAKEN;
	if (k->is == KEPT_OWN)
		gone_add(j, &k->row.phase, 1);
	return (used || k->is == KEPT_FOUND || k->is == KEPT_SERVES) &&
			       db_kept_give(j->engine->state->db, k->row.phase, used, now_ms, e)
		       ? -1
		       : 0;
}

/* Room for what stays, and a twentieth more, so that it is not made anew each time. */
static int enter_room(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	struct db *d = g->state->db;
	struct db_kept *list = NULL;
	size_t n = 0;
	uint64_t most = kept_budget(g->conf->keep_bytes, j->room, g->kept_bytes);
	if (g->kept_bytes <= most)
		return 0;
	if (db_kept_list(d, &list, &n, e))
		return -1;
	auto_free int64_t *out = own_calloc(n + 1, sizeof(*out));
	size_t n_out = kept_choose(list, n, most - most / 20, out);
	free(list);
	gone_add(j, out, n_out);
	return db_kept_forget(d, out, n_out, e);
}

/* As it is now: rows that went may have been counted, or not. */
static int enter_count(struct engine *g, struct err *e)
{
	g->kept_bytes = 0;
	return keep_open(g, e);
}

static int enter_work(struct job *j, struct err *e)
{
	struct engine *g = j->engine;
	int64_t now_ms = clock_real_ms();
	bool forgot = j->damaged != 0;
	if (j->damaged && db_kept_drop(g->state->db, j->damaged, &j->gone, &j->n_gone, e))
		return -1;
	for (size_t i = j->unit->first_phase; i < j->unit->end_phase; i++) {
		struct job_kept *k = &j->kept[i];
		bool fresh = k->is == KEPT_FRESH;
		g->kept_bytes += fresh ? (uint64_t)k->row.bytes : 0;
		if (fresh ? enter_fresh(j, k, now_ms, e)
			  : !serves(j) && enter_give(j, k, now_ms, e))
			return -1;
	}
	forgot |= j->n_gone != 0;
	if (forgot && enter_count(g, e))
		return -1;
	size_t before = j->n_gone;
	if (enter_room(j, e))
		return -1;
	return j->n_gone != before ? enter_count(g, e) : 0;
}

void enter_start(struct job *j)
{
	if (!serves(j))
		job_leaving(j);
	j->room = j->engine->readings.disk_free;
	job_lane(j, &j->engine->records, enter_work);
}

enum job_state enter_finish(struct job *j)
{
	char name[KEPT_DIR];
	for (size_t i = 0; i < j->n_gone && !j->task.rc; i++)
		if (!kept_held(j->engine->state->fd, j->gone[i]))
			engine_discard(j->engine, j->engine->state->fd, kept_dir(j->gone[i], name));
	j->n_gone = 0;
	j->damaged = 0;
	return serves(j) ? JOB_KEEP : JOB_CLEAN;
}
