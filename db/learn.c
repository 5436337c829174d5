/* What earlier runs tell of how long a phase takes and what it needs. */
#include "db/handle.h"

/* clang-format off */
static const char learned[] =
	"WITH recent AS (SELECT id FROM run WHERE suite = ?1 ORDER BY id DESC LIMIT ?2),"
	" seen AS (SELECT f.package, f.name, v.name AS variant, f.wall_us, f.ended_as = 'limited' AS censored, f.peak_memory, f.disk_bytes,"
	"   row_number() OVER w AS place, count(*) OVER (PARTITION BY f.package, f.name, v.name) AS n"
	"  FROM phase f LEFT JOIN variant v ON v.run = f.run AND v.number = f.variant"
	"  WHERE f.run IN recent AND f.ended_as IN ('exited', 'signalled', 'limited') AND f.wall_us IS NOT NULL"
	"  WINDOW w AS (PARTITION BY f.package, f.name, v.name ORDER BY f.wall_us, f.ended_as = 'limited'))"
	" SELECT p.name, s.variant, s.name, max(s.n),"
	"  max(CASE WHEN s.place = (9 * s.n + 9) / 10 THEN s.wall_us END) / 1000,"
	"  max(CASE WHEN s.place = (9 * s.n + 9) / 10 THEN s.censored END),"
	"  coalesce(max(s.peak_memory), 0), coalesce(max(s.disk_bytes), 0)"
	" FROM seen s JOIN package p ON p.id = s.package GROUP BY s.package, s.name, s.variant";
/* clang-format on */

int db_learned(struct db *d, const char *suite, int64_t runs,
	       void (*each)(void *ctx, const struct db_learned *l), void *ctx, struct err *e)
{
	sqlite3_stmt *s = db_ask(d, e, learned, "si", suite, runs);
	int rc = s ? 0 : -1;
	while (!rc && (rc = db_step(d, s, e)) > 0) {
		const struct db_learned l = {
			.package = (const char *)sqlite3_column_text(s, 0),
			.variant = (const char *)sqlite3_column_text(s, 1),
			.phase = (const char *)sqlite3_column_text(s, 2),
			.n = sqlite3_column_int64(s, 3),
			.p90_ms = sqlite3_column_int64(s, 4),
			.censored = sqlite3_column_int(s, 5) != 0,
			.peak_memory = sqlite3_column_int64(s, 6),
			.disk_bytes = sqlite3_column_int64(s, 7),
		};
		each(ctx, &l);
		rc = 0;
	}
	db_done(s);
	return rc < 0 ? -1 : 0;
}
