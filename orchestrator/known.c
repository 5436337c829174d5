#include "orchestrator/known.h"

#include "base/clock.h"
#include "orchestrator/result.h"

#include <string.h>
#include <time.h>

void known_jobs(const struct plan *p, struct db_job *jobs)
{
	const struct suite *s = p->suite;
	for (size_t i = 0; i < p->n_skips; i++) {
		const struct suite_package *package = &s->packages[p->skips[i].package];
		jobs[i] = (struct db_job){.package = package->id,
					  .version = package->version,
					  .variant = s->variants[p->skips[i].variant].name};
	}
}

static int record_skip(const struct plan *p, struct db *d, const struct plan_skip *skip,
		       int64_t job, struct err *e)
{
	const int64_t now = clock_real_ms();
	const struct db_result row = {
		.status = status_name(STATUS_SKIP),
		.reason = reason_name(REASON_LISTED),
		.phase = p->suite->phases[0].name,
		.exit_code = -1,
		.evidence_offset = -1,
		.evidence = skip->why->reason,
		.ended_ms = now,
	};
	int64_t attempt = db_attempt_begin(d, job, now, e);
	return attempt < 0 ? -1 : db_result(d, job, attempt, &row, e);
}

static bool planned(const struct plan *p, size_t package)
{
	for (size_t i = 0; i < p->n_units; i++)
		if (p->units[i].package == package)
			return true;
	for (size_t i = 0; i < p->n_skips; i++)
		if (p->skips[i].package == package)
			return true;
	return false;
}

static void expectation_add(struct db_expectation **list, size_t *n, const struct suite *s,
			    const struct suite_known *k, const char *package)
{
	*list = own_grow(*list, *n + 1, sizeof(**list));
	(*list)[(*n)++] = (struct db_expectation){
		.package = package,
		.variant = k->variant == SUITE_ANY_VARIANT ? NULL : s->variants[k->variant].name,
		.expect = suite_expect_name(k->expect),
		.reason = k->reason,
		.link = k->link,
		.until = k->until,
	};
}

/* By the ids of the packages that are meant; what means none of the suite is kept as it stands, to
 * be told; what means one that this run leaves out is of no concern. */
static void expectations(const struct plan *p, struct db_expectation **list, size_t *n)
{
	const struct suite *s = p->suite;
	for (size_t i = 0; i < s->n_known; i++) {
		const struct suite_known *k = &s->known[i];
		bool any = false;
		for (size_t x = 0; x < s->n_packages; x++) {
			const struct suite_package *package = &s->packages[x];
			if (strcmp(k->package, package->id) && strcmp(k->package, package->name))
				continue;
			any = true;
			if (planned(p, x))
				expectation_add(list, n, s, k, package->id);
		}
		if (!any)
			expectation_add(list, n, s, k, k->package);
	}
}

/* Which of the plan's packages depend on which others of them. */
static int record_needs(const struct plan *p, struct db *d, int64_t run, struct err *e)
{
	const struct suite *s = p->suite;
	auto_free bool *in = own_calloc(s->n_packages + 1, sizeof(*in));
	struct db_need *list = NULL;
	size_t n = 0;
	for (size_t i = 0; i < p->n_units; i++)
		in[p->units[i].package] = true;
	for (size_t i = 0; i < s->n_packages; i++)
		for (size_t k = 0; in[i] && k < s->packages[i].n_depends; k++) {
			uint32_t on = s->packages[i].depends[k];
			if (!in[on])
				continue;
			list = own_grow(list, n + 1, sizeof(*list));
			list[n++] = (struct db_need){s->packages[i].id, s->packages[on].id};
		}
	int rc = n ? db_depends(d, run, list, n, e) : 0;
	free(list);
	return rc;
}

int known_again(const struct plan *p, struct db *d, int64_t run, const int64_t *jobs, struct err *e)
{
	struct db_expectation *list = NULL;
	size_t n = 0;
	expectations(p, &list, &n);
	int rc = n ? db_expect(d, run, list, n, e) : 0;
	if (!rc)
		rc = record_needs(p, d, run, e);
	for (size_t i = 0; i < p->n_skips && !rc; i++)
		if (jobs[i])
			rc = record_skip(p, d, &p->skips[i], jobs[i], e);
	free(list);
	return rc;
}

int known_record(const struct plan *p, struct db *d, int64_t run, const struct db_job *jobs,
		 struct err *e)
{
	auto_free int64_t *ids = own_calloc(p->n_skips + 1, sizeof(*ids));
	for (size_t i = 0; i < p->n_skips; i++)
		ids[i] = jobs[i].id;
	return known_again(p, d, run, ids, e);
}

void known_today(char day[16])
{
	struct tm tm;
	time_t now = (time_t)(clock_real_ms() / 1000);
	gmtime_r(&now, &tm);
	strftime(day, 16, "%Y-%m-%d", &tm);
}
