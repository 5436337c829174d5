#include "orchestrator/reclassify.h"

#include "orchestrator/judge.h"
#include "orchestrator/logfile.h"
#include "orchestrator/rows.h"
#include "orchestrator/signature.h"
#include "orchestrator/suite.h"

#include <string.h>

static bool phase_find(const struct suite *s, const char *name, size_t *at)
{
	for (*at = 0; *at < s->n_phases; ++*at)
		if (!strcmp(s->phases[*at].name, name))
			return true;
	return false;
}

/* Facts and logs decide these; what policy or another package decided stays. */
static bool from_facts(const char *status, const char *reason)
{
	enum status s;
	return !status_parse(status, &s) && s != STATUS_SKIP &&
	       strcmp(reason, reason_name(REASON_DEP_FAILED)) != 0;
}

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool row_says(const struct db_table *t, size_t row, const struct result *r,
		     const struct evidence *ev)
{
	return !strcmp(rows_str(t, row, "status"), status_name(r->status)) &&
	       !strcmp(rows_str(t, row, "reason"), reason_name(r->reason)) &&
	       texts_equal(rows_text(t, row, "rule"), r->rule) &&
	       rows_int(t, row, "evidence_offset", -1) == ev->offset &&
	       (ev->offset < 0 || rows_int(t, row, "evidence_length", 0) == ev->length);
}

static bool row_signed(const struct db_table *t, size_t row, const struct result *r,
		       const struct evidence *ev)
{
	struct signature s;
	return texts_equal(rows_text(t, row, "cause"),
			   signature_make(r, ev->line, &s) ? s.id : NULL);
}

static void change_add(struct reclassify *out, size_t row, const struct result *r,
		       struct evidence *ev)
{
	bool quiet = row_says(out->rows, row, r, ev);
	if (quiet && row_signed(out->rows, row, r, ev)) {
		evidence_fini(ev);
		return;
	}
	out->changes = own_grow(out->changes, out->n_changes + 1, sizeof(*out->changes));
	out->changes[out->n_changes++] = (struct reclassify_change){row, *r, *ev, quiet};
	out->n_quiet += quiet;
}

/* The log of a row; 1 there, 0 it is not (or can't be read as one), -1. */
static int row_log(int state_fd, const struct db_table *t, size_t row, struct capture_log *log,
		   struct err *e)
{
	const char *rel = rows_text(t, row, "log");
	*log = (struct capture_log){0};
	if (!rel) { /* it said nothing */
		log->text = own_dup("");
		return 1;
	}
	if (!logfile_recall(state_fd, rel, log, e))
		return 1;
	return e->kind == ERR_ABSENT || e->kind == ERR_CORRUPT ? 0 : -1;
}

/* A phase before the goal decides by passing only where it was repeated: as it says when it runs.
 */
static void repeat_passed(struct result *r, struct evidence *ev)
{
	if (r->reason != REASON_HARNESS)
		return;
	*r = (struct result){STATUS_PASS, REASON_OK, r->phase, NULL};
	evidence_fini(ev);
}

static int row_judge(int state_fd, const struct suite *s, size_t row, struct reclassify *out,
		     struct err *e)
{
	const struct db_table *t = out->rows;
	struct box_facts facts;
	struct judged j = {.facts = &facts};
	struct capture_log log;
	struct result result;
	struct evidence ev;
	if (!from_facts(rows_str(t, row, "status"), rows_str(t, row, "reason")) ||
	    !phase_find(s, rows_str(t, row, "phase"), &j.phase)) {
		out->n_other++;
		return 0;
	}
	if (judge_recall(t, row, &facts, &j.host_full, e))
		return -1;
	int there = row_log(state_fd, t, row, &log, e);
	if (there <= 0) {
		out->n_no_log++;
		return there;
	}
	j.networked = strcmp(rows_str(t, row, "network"), "none") != 0;
	j.log = log.text;
	j.log_n = log.text_n;
	judge_job(s, &j, &log, &result, &ev);
	repeat_passed(&result, &ev);
	free(log.text);
	out->n_judged++;
	change_add(out, row, &result, &ev);
	return 0;
}

int reclassify_run(struct db *d, int state_fd, const struct suite *s, int64_t run,
		   struct reclassify *out, struct err *e)
{
	char id[24];
	const char *args[] = {id};
	*out = (struct reclassify){0};
	snprintf(id, sizeof(id), "%lld", (long long)run);
	if (db_named(d, "judged", args, 1, &out->rows, e))
		return -1;
	for (size_t i = 0; i < out->rows->n_rows; i++)
		if (row_judge(state_fd, s, i, out, e))
			return err_add(e, "%s under %s", rows_str(out->rows, i, "package"),
				       rows_str(out->rows, i, "variant"));
	return 0;
}

int reclassify_keep(struct db *d, const struct reclassify *r, int64_t now_ms, struct err *e)
{
	auto_free struct db_revision *rows = own_calloc(r->n_changes + 1, sizeof(*rows));
	auto_free struct signature *signatures = own_calloc(r->n_changes + 1, sizeof(*signatures));
	for (size_t i = 0; i < r->n_changes; i++) {
		const struct reclassify_change *c = &r->changes[i];
		rows[i] = (struct db_revision){
			.attempt = rows_int(r->rows, c->row, "attempt", 0),
			.status = status_name(c->result.status),
			.reason = reason_name(c->result.reason),
			.evidence_offset = c->evidence.offset,
			.evidence_length = c->evidence.length,
			.evidence = c->evidence.text,
			.rule = c->result.rule,
			.signature = {NULL, signatures[i].text, c->evidence.line},
		};
		if (signature_make(&c->result, c->evidence.line, &signatures[i]))
			rows[i].signature.name = signatures[i].id;
	}
	return r->n_changes ? db_revise(d, rows, r->n_changes, now_ms, e) : 0;
}

void reclassify_fini(struct reclassify *r)
{
	for (size_t i = 0; i < r->n_changes; i++)
		evidence_fini(&r->changes[i].evidence);
	free(r->changes);
	db_table_free(r->rows);
	*r = (struct reclassify){0};
}
