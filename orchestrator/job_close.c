/* The end of a phase: judged, recorded, and what comes of it: the next phase, another try, a
 * result. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "orchestrator/judge.h"

void job_try_free(struct job *j)
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

/* A try without the network that did not pass, in whatever way, says only that the store does not
 * have it all. */
static bool try_again_online(const struct job *j)
{
	return j->offline && !job_box_passed(j) && j->facts.end != BOX_CANCELLED &&
	       j->facts.end != BOX_FAILED;
}

static int close_work(struct job *j, struct err *e)
{
	struct judged judged = {&j->facts, j->host_full, j->networked,
				j->phase,  j->log.text,  j->log.text_n};
	bool last = job_phase(j)->goal;
	j->retry = false;
	if (j->repeat && job_box_passed(j)) {
		/* of a phase before the goal it says as much as is asked */
		j->result = (struct result){STATUS_PASS, REASON_OK, job_phase(j)->name, NULL};
	} else if (!try_again_online(j) && (last || !job_box_passed(j))) {
		judge_job(j->engine->suite, &judged, &j->log, &j->result, &j->evidence);
		j->retry = retry_after(&j->result, j->networked, j->again + 1, &j->retry_ms);
	}
	struct db_facts row;
	judge_facts(&j->facts, &j->log, &row);
	row.store_bytes = (int64_t)j->store_bytes;
	row.store_files = (int64_t)j->store_files;
	row.started_ms = j->facts.started_ms;
	row.ended_ms = j->ended_ms;
	row.host_full = j->host_full;
	if (j->note && !row.error)
		row.error = j->note;
	return db_phase_end(j->engine->state->db, j->phase_id, &row, e);
}

void job_close_start(struct job *j)
{
	job_lane(j, &j->engine->records, close_work);
}

/* What was found does not count: as if the phase had not been tried. */
static enum job_state close_retry(struct job *j)
{
	evidence_fini(&j->evidence);
	j->again++;
	j->offline_tried = false;
	if (j->engine->conf->at_once_again)
		return JOB_QUEUE;
	j->due_ns = clock_mono_ns() + (int64_t)j->retry_ms * 1000000;
	return JOB_AGAIN;
}

void job_again_start(struct job *j)
{
	engine_push(&j->engine->later, j);
}

enum job_state job_close_finish(struct job *j)
{
	struct engine *g = j->engine;
	bool online = try_again_online(j), passed = job_box_passed(j), goal = job_phase(j)->goal;
	bool again = online || j->retry;
	if (!online && j->facts.end != BOX_CANCELLED)
		engine_note(j, passed);
	if (!again && !j->repeat)
		engine_past(j);
	if (again || j->repeat) {
		engine_discard(g, g->jobs_fd, j->phase_dir);
	} else {
		j->phase_ids[j->phase] = j->phase_id;
		j->uppers[j->phase] = give(j->phase_dir);
		if (passed)
			job_fresh(j);
	}
	job_try_free(j);
	if (g->failed || (j->facts.end == BOX_CANCELLED && !job_cancelled(j)))
		return job_leave(
			j); /* cut short by us or by the person at the keyboard: no result */
	if (j->retry)
		return close_retry(j);
	if (online)
		return JOB_QUEUE;
	if (j->repeat)
		return JOB_RESULT;
	if (passed && !goal && j->phase + 1 < j->unit->end_phase) {
		j->phase++;
		j->again = 0;
		j->offline_tried = false;
		return job_next(j);
	}
	if (j->until != PLAN_NONE)
		return job_leave(j); /* the way to what is to be repeated is none any more */
	j->has_result = !passed || goal;
	if (job_is_trunk(j))
		return job_serve(j);
	return JOB_RESULT;
}

void job_boxless(struct job *j)
{
	j->facts = (struct box_facts){.end = BOX_CANCELLED, .exit_code = -1, .cgroup = "none"};
	j->log = (struct capture_log){0};
	j->host_full = false;
	j->store_bytes = j->store_files = 0;
	j->ended_ms = clock_real_ms();
}

void job_cancel(struct job *j)
{
	if (j->ahead) { /* there is a row of its phase: that ends so, too */
		engine_turn(j);
		job_boxless(j);
		job_go(j, JOB_CLOSE);
		return;
	}
	if (j->until != PLAN_NONE && !j->repeat) {
		job_go(j, job_leave(j));
		return;
	}
	j->facts = (struct box_facts){.end = BOX_CANCELLED, .exit_code = -1, .cgroup = "none"};
	j->result = (struct result){STATUS_KILL, REASON_CANCELLED, job_phase(j)->name, NULL};
	j->has_result = true;
	job_go(j, job_is_trunk(j) ? JOB_KEEP : JOB_RESULT);
}
