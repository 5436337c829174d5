/* A review for programs: what `assay compare --json` prints and the report keeps beside the page.
 */
#include "orchestrator/review.h"
#include "orchestrator/rows.h"

#include <string.h>

enum { LINE_KEPT = 300 };

static json_t *side_json(const struct review_side *s)
{
	if (s->is.presence == PRESENCE_ABSENT)
		return json_null();
	auto_free char *line = review_line(s, LINE_KEPT);
	bool done = s->is.presence == PRESENCE_DONE;
	json_t *j = json_pack("{s:s, s:I}", "state", s->state, "job",
			      (json_int_t)rows_int(s->jobs, s->row, "job", 0));
	if (!done)
		return j;
	json_t *more = json_pack("{s:s, s:s, s:s?, s:I, s:I, s:I, s:s?, s:s?, s:s}", "status",
				 status_name(s->is.status), "reason", reason_name(s->is.reason),
				 "phase", s->is.phase, "exit_code", (json_int_t)s->exit_code,
				 "signal", (json_int_t)s->signal, "wall_ms", (json_int_t)s->wall_ms,
				 "log", s->log, "cause", s->cause, "line", line);
	json_object_update(j, more);
	json_decref(more);
	return j;
}

static json_t *pair_json(const struct review *r, const struct review_pair *p)
{
	const struct comparison *c = &p->how;
	json_t *j = json_pack("{s:s, s:s, s:s?, s:o, s:o}", "package", p->package, "version",
			      p->version, "verdict", r->base ? verdict_name(p->verdict) : NULL,
			      "base", side_json(&p->base), "next", side_json(&p->next));
	if (!r->base)
		return j;
	json_t *more = json_pack("{s:s, s:o, s:[ii], s:[ii], s:s?, s:s?, s:o, s:s?}", "confidence",
				 confidence_name(c->confidence), "p",
				 c->p >= 0 ? json_real(c->p) : json_null(), "base_passes_of_runs",
				 (int)c->base.passes, (int)c->base.n, "next_passes_of_runs",
				 (int)c->next.passes, (int)c->next.n, "attribution",
				 p->attributed ? attribution_name(p->attribution) : NULL,
				 "inherited_from", p->inherited_from, "flake_rate",
				 p->flake_rate >= 0 ? json_real(p->flake_rate) : json_null(),
				 "known", p->known ? suite_expect_name(p->known->expect) : NULL);
	json_object_update(j, more);
	json_decref(more);
	return j;
}

static json_t *known_json(const struct review *r)
{
	static const char *const words[] = {"holds", "passes", "unseen", "absent"};
	json_t *known = json_array();
	for (size_t i = 0; i < r->n_known; i++) {
		const struct review_known *k = &r->known[i];
		json_array_append_new(known,
				      json_pack("{s:s, s:s?, s:s, s:s, s:s?, s:s}", "package",
						k->package, "variant", k->variant, "expect",
						suite_expect_name(k->expect), "reason", k->reason,
						"link", k->link, "is", words[k->is]));
	}
	return known;
}

static json_t *causes_json(const struct review *r)
{
	json_t *causes = json_array();
	for (size_t i = 0; i < r->n_causes; i++) {
		const struct review_cause *c = &r->causes[i];
		auto_free char *line = review_cause_line(r, c, LINE_KEPT);
		json_t *packages = json_array();
		for (size_t k = 0; k < c->n; k++)
			json_array_append_new(packages, json_string(r->pairs[c->pairs[k]].package));
		json_array_append_new(causes,
				      json_pack("{s:s, s:s, s:I, s:o}", "cause", c->id, "line",
						line, "first_run", (json_int_t)c->first_run,
						"packages", packages));
	}
	return causes;
}

json_t *review_json(const struct review *r)
{
	json_t *counts = json_object(), *pairs = json_array();
	for (unsigned v = 0; r->base && v < VERDICT_COUNT; v++)
		json_object_set_new(counts, verdict_name((enum verdict)v),
				    json_integer((json_int_t)r->verdicts[v]));
	for (size_t i = 0; i < r->n_pairs; i++)
		json_array_append_new(pairs, pair_json(r, &r->pairs[i]));
	return json_pack(
		"{s:s, s:s, s:b, s:I, s:o, s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, "
		"s:o, s:o, s:o}",
		"validity", validity_name(r->validity), "why", r->why, "final", !r->running, "run",
		(json_int_t)r->run, "base_run",
		r->base_run ? json_integer((json_int_t)r->base_run) : json_null(), "suite",
		rows_str(r->row, 0, "suite"), "state", rows_str(r->row, 0, "state"), "base",
		r->base, "next", r->next, "jobs", (json_int_t)r->n_jobs, "jobs_done",
		(json_int_t)r->n_done, "jobs_lost", (json_int_t)r->n_lost, "confirmed",
		(json_int_t)r->n_confirmed, "not_confirmed", (json_int_t)r->n_seen_once,
		"not_asked", (json_int_t)r->n_not_asked, "verdicts", counts, "causes",
		causes_json(r), "known", known_json(r), "packages", pairs);
}
