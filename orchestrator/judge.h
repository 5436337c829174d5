/* The record of a judgement: facts as the database takes them, and the evidence as people read it.
 * Lane or loop; touches only what it is given. */
#pragma once
#include "db/db.h"
#include "orchestrator/capture.h"
#include "orchestrator/result.h"

struct suite;
struct db_table;

/* judge_job(s, j, log, r, ev): result_of, with the evidence's place mapped to the log as stored and
 * its text cut out: the deciding line, up to two before it and twelve after it. The caller frees
 * with evidence_fini. */
void judge_job(const struct suite *s, const struct judged *j, const struct capture_log *log,
	       struct result *r, struct evidence *ev);

/* judge_facts(f, log, row): everything but stores, uppers and times; row borrows from f and log.
 */
void judge_facts(const struct box_facts *f, const struct capture_log *log, struct db_facts *row);

/* judge_recall(t, row, f, host_full): of a row of the named query "judged", what result_of looks
 * at. A word nobody knows is ERR_CORRUPT. */
int judge_recall(const struct db_table *t, size_t row, struct box_facts *f, bool *host_full,
		 struct err *e) must_check;
/* judge_end_name(end): "exited" …, as the database has it. */
const char *judge_end_name(enum box_end end);
