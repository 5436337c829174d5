/* Inside db/ only: the schema's steps, from version i to version i + 1, and the public views, made
 * anew whenever that version moves. */
#pragma once

extern const char *const schema_steps[];

/* One CREATE VIEW after another. */
extern const char *const schema_views[];

/* clang-format off */
/* Column "agreeing" of job j with result s: how many further judgements earlier runs made of the same inputs, all with this result. */
#define DB_AGREEING \
	"CASE WHEN j.agreed IS NULL THEN 0 WHEN j.unchanged IS NOT NULL THEN j.agreed - 1" \
	"  ELSE (SELECT count(*) FROM result x WHERE x.attempt = j.recheck AND x.status = s.status AND x.phase IS s.phase" \
	"   AND x.reason = s.reason) * j.agreed END AS agreeing"
/* clang-format on */
