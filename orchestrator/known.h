/* What is known of packages beforehand, as a run records it: its expectations, and the results of
 * the jobs that are not run because of them. */
#pragma once
#include "db/db.h"
#include "orchestrator/plan.h"

/* known_jobs(p, jobs): a row for each of the plan's skips, from jobs on; jobs has room for
 * p->n_skips. */
void known_jobs(const struct plan *p, struct db_job *jobs);
/* known_record(p, d, run, jobs, e): what the suite knows of the plan's packages and what they
 * depend on, and the results of its skips, whose rows known_jobs made and which have their ids now.
 */
int known_record(const struct plan *p, struct db *d, int64_t run, const struct db_job *jobs,
		 struct err *e) must_check;
/* known_again(p, d, run, jobs, e): the same of a run that is gone on with, where a kill may have
 * come before all of it was recorded. jobs: by skip of the plan its job's id, 0: that has its
 * result. */
int known_again(const struct plan *p, struct db *d, int64_t run, const int64_t *jobs, struct err *e)
	must_check;
/* Today, UTC: "2026-11-28". */
void known_today(char day[16]);
