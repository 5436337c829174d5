/* The fixed questions of other folders, by name. Their columns are promised in db/ask.h; an answer
 * costs what it returns, not what the database holds (but for "totals" and "layers"). */
#include "db/schema.h"
#include "db/shown.h"
#include "db/handle.h"

#include <string.h>

/* clang-format off */
#define RUN_COLUMNS \
	"SELECT run, suite, ecosystem, goal, state, compare_base, compare_next, started_ms, ended_ms, wall_ms, jobs, jobs_done, host," \
	" assay_version, engine, jobs_at_once, suite_path, held_ms, validity, partial FROM v_run"

/* Who made a harvest, in words. */
#define HARVEST_JOB \
	"coalesce(h.job, (SELECT 'run ' || f.run || ' ' || p.name || ' ' || f.name FROM phase f JOIN package p ON p.id = f.package" \
	" WHERE f.id = h.phase))"

/* Of a generation: by path the harvest whose entry it shows, SHOWN_AT of all its paths at once. */
#define GENERATION_AT(name, generation) \
	#name "_in AS MATERIALIZED (SELECT lp.harvest, gl.position, lp.place, lp.hides_from, l.revoked_ms, h.layer = lp.layer AS own," \
	"   row_number() OVER (ORDER BY gl.position, lp.place DESC) AS rank FROM generation g" \
	"   JOIN generation_layer gl ON gl.generation = g.id JOIN layer l ON l.id = gl.layer JOIN layer_part lp ON lp.layer = l.id" \
	"   JOIN harvest h ON h.id = lp.harvest AND h.store = g.store WHERE g.id = " generation ")," \
	" " #name " AS (SELECT e.path, min(i.rank) AS rank, e.harvest FROM " #name "_in i JOIN entry e ON e.harvest = i.harvest" \
	"   WHERE " SHOWN_IN_LAYER(e, i) " AND NOT EXISTS (SELECT 1 FROM harvest_note n CROSS JOIN " #name "_in w ON w.harvest = n.harvest" \
	"    WHERE CAST(n.path AS TEXT) = CAST(e.path AS TEXT) AND n.change = 'deleted' AND n.type = 'w' AND n.path = e.path" \
	"     AND " SHOWN_HIDES("w", "w", "w.own", "i", "i") ")" \
	"   GROUP BY e.path)"

/* A run, and the newest where none is given. */
#define RUN_OR_NEWEST "coalesce(?1, (SELECT max(id) FROM run))"

static const struct query {
	const char *name;
	size_t n_args;
	const char *sql;
} queries[] = {
	{"runs", 0, RUN_COLUMNS " ORDER BY run DESC"},
	{"run", 1, RUN_COLUMNS " WHERE run = ?1"},
	{"last-run", 0, RUN_COLUMNS " ORDER BY run DESC LIMIT 1"},

	{"again", 1,
	 "SELECT state, suite_path, suite_sha256, options, resumed, (SELECT count(*) FROM job j WHERE j.run = r.id) AS jobs,"
	 "  (SELECT count(*) FROM job j WHERE j.run = r.id AND j.state = 'done') AS jobs_done FROM run r WHERE id = ?1"},
	{"spared", 1,
	 "SELECT count(j.unchanged) AS spared, count(j.recheck) AS rechecked,"
	 "  coalesce(sum(j.recheck IS NOT NULL AND n.status IS NOT NULL AND n.status NOT IN ('infra', 'skip')"
	 "   AND (n.status, n.phase, n.reason) IS NOT (w.status, w.phase, w.reason)), 0) AS stale"
	 " FROM job j LEFT JOIN result w ON w.attempt = j.recheck LEFT JOIN result n ON n.attempt ="
	 "  (SELECT x.id FROM attempt x WHERE x.job = j.id AND NOT x.repeat ORDER BY x.number DESC LIMIT 1)"
	 " WHERE j.run = ?1"},
	{"reused", 1,
	 "SELECT count(*) AS phases, coalesce(sum(wall_us), 0) / 1000 AS saved_ms FROM (SELECT DISTINCT f.id, f.wall_us FROM job j"
	 "  JOIN attempt a ON a.job = j.id JOIN attempt_phase ap ON ap.attempt = a.id JOIN phase f ON f.id = ap.phase AND f.run <> j.run"
	 "  WHERE j.run = ?1 AND NOT a.repeat)"},
	{"reused-by", 2,
	 "SELECT v.name AS variant, f.name AS phase, f.run FROM job j JOIN package p ON p.id = j.package"
	 " JOIN variant v ON v.run = j.run AND v.number = j.variant JOIN attempt a ON a.id ="
	 "  (SELECT x.id FROM attempt x WHERE x.job = j.id AND NOT x.repeat ORDER BY x.number DESC LIMIT 1)"
	 " JOIN attempt_phase ap ON ap.attempt = a.id JOIN phase f ON f.id = ap.phase AND f.run <> j.run"
	 " WHERE p.name = ?2 AND j.run = ?1 ORDER BY v.number, ap.ordinal"},
	{"kept", 0,
	 "SELECT phase_id AS phase, run, package, variant, phase AS name, bytes, entries, saves_ms, uses, chances, made_ms, used_ms, upon FROM v_kept"
	 " ORDER BY 1.0 * saves_ms * (uses + 1) / (chances + 2) / (bytes + 1) DESC, phase_id"},
	{"inputs", 2,
	 "WITH asked AS (SELECT j.package, r.suite, j.run FROM job j JOIN run r ON r.id = j.run JOIN package p ON p.id = j.package"
	 "   WHERE j.run = CAST(?1 AS INTEGER) AND p.name = ?2 LIMIT 1),"
	 " seen AS (SELECT v.name AS variant, v.number, j.run, r.inputs AS suite_inputs, v.inputs AS variant_inputs, j.inputs AS package_inputs,"
	 "   lower(nullif(hex(j.input_key), '')) AS input_key, j.id AS job,"
	 "   row_number() OVER (PARTITION BY v.name ORDER BY j.run DESC) AS place"
	 "  FROM asked JOIN job j ON j.package = asked.package AND j.run <= asked.run JOIN run r ON r.id = j.run AND r.suite = asked.suite"
	 "  JOIN variant v ON v.run = j.run AND v.number = j.variant)"
	 " SELECT seen.variant, seen.run, seen.suite_inputs, seen.variant_inputs, seen.package_inputs, seen.input_key, w.judged_in, w.status, w.phase, w.reason"
	 " FROM seen JOIN v_job w ON w.job = seen.job WHERE seen.place <= 3 ORDER BY seen.number, seen.variant, seen.run DESC"},
	{"unfinished", 1,
	 "SELECT j.id AS job, p.name AS package, v.name AS variant FROM job j JOIN package p ON p.id = j.package"
	 " JOIN variant v ON v.run = j.run AND v.number = j.variant"
	 " WHERE j.run = ?1 AND (j.state <> 'done' OR (SELECT s.status FROM attempt a JOIN result s ON s.attempt = a.id WHERE a.job = j.id AND NOT a.repeat"
	 "  ORDER BY a.number DESC LIMIT 1) = 'infra') ORDER BY j.id"},
	{"resumable", 0, "SELECT id AS run FROM run WHERE state IN ('interrupted', 'aborted') ORDER BY id DESC"},

	{"variants", 1, "SELECT number, name, layers, env FROM variant WHERE run = ?1 ORDER BY number"},

	/* As v_job has it, with one look at the phases of each attempt where that takes four. */
	{"jobs", 1,
	 "WITH took AS MATERIALIZED (SELECT j.id AS job, a.id AS attempt, sum(f.wall_us) / 1000 AS wall_ms,"
	 "   sum(f.cpu_user_us + f.cpu_system_us) / 1000 AS cpu_ms, max(f.peak_memory) AS peak_memory_bytes,"
	 "   max(CASE WHEN f.name = s.phase THEN ap.ordinal END) AS decided"
	 "  FROM job j LEFT JOIN attempt a ON a.id = coalesce(j.unchanged,"
	 "    (SELECT x.id FROM attempt x WHERE x.job = j.id AND NOT x.repeat ORDER BY x.number DESC LIMIT 1))"
	 "   LEFT JOIN result s ON s.attempt = a.id LEFT JOIN attempt_phase ap ON ap.attempt = a.id LEFT JOIN phase f ON f.id = ap.phase"
	 "  WHERE j.run = ?1 GROUP BY j.package, j.variant)"
	 " SELECT p.name AS package, j.version, v.name AS variant, j.state, s.status, s.phase, s.reason, s.exit_code, s.signal,"
	 "  s.limit_name AS limit_hit, s.rule, s.evidence, s.evidence_offset, s.evidence_length, t.wall_ms, t.cpu_ms, t.peak_memory_bytes,"
	 "  d.log, j.id AS job, CASE WHEN s.limit_name IS NOT NULL THEN d.limit_bound END AS limit_bound,"
	 "  CASE WHEN s.limit_name IS NOT NULL THEN d.limit_value END AS limit_value, g.name AS cause,"
	 "  CASE WHEN j.unchanged IS NULL THEN a.host END AS host, " DB_AGREEING
	 " FROM took t JOIN job j ON j.id = t.job JOIN package p ON p.id = j.package JOIN variant v ON v.run = j.run AND v.number = j.variant"
	 "  LEFT JOIN attempt a ON a.id = t.attempt LEFT JOIN result s ON s.attempt = a.id"
	 "  LEFT JOIN attempt_phase dp ON dp.attempt = a.id AND dp.ordinal = t.decided LEFT JOIN phase d ON d.id = dp.phase"
	 "  LEFT JOIN signature g ON g.id = s.signature ORDER BY p.name, j.variant"},

	{"judged", 1,
	 "SELECT r.attempt, r.package, r.variant, r.status, r.reason, r.phase, r.rule, r.evidence_offset, r.evidence_length, r.evidence,"
	 "  f.ended_as, f.exit_code, f.signal, f.limit_name AS limit_hit, f.oom_kills, f.host_oom_kills, f.network_lost, f.host_full, f.network, f.log, r.cause"
	 " FROM v_result r JOIN phase f ON f.id = r.phase_id WHERE r.run = ?1 AND f.ended_as IS NOT NULL ORDER BY r.job, r.attempt"},

	{"causes", 1,
	 "SELECT variant, cause, packages, line, text, first_run, first_seen_ms, example FROM v_cause WHERE run = ?1"
	 " ORDER BY variant_number, packages DESC, cause"},

	{"repeats", 1,
	 "SELECT package, variant, status, reason, phase FROM v_result WHERE run = ?1 AND repeat ORDER BY package, variant, attempt"},

	{"pauses", 1, "SELECT from_ms, to_ms FROM pause WHERE run = ?1 ORDER BY from_ms"},
	{"settled", 1,
	 "SELECT job, package, variant, status, reason, phase, judged_in IS NOT NULL AS unchanged, agreeing,"
	 " (SELECT f.wall_us / 1000 FROM attempt_phase ap JOIN phase f ON f.id = ap.phase WHERE ap.attempt = v_job.attempt"
	 "   ORDER BY ap.ordinal DESC LIMIT 1) AS phase_ms"
	 " FROM v_job WHERE run = ?1 AND state = 'done' AND status <> 'infra' ORDER BY package, variant"},

	{"flakes", 1,
	 "SELECT p.name AS package, f.variant, f.phase, f.passed, f.failed, f.pending, f.streak, f.version, f.layers, f.rate, f.known"
	 " FROM flake f JOIN package p ON p.id = f.package WHERE f.suite = ?1 ORDER BY p.name, f.variant, f.phase"},

	{"verdicts", 1,
	 "SELECT package, verdict, confidence, base_runs, base_passes, next_runs, next_passes, p, attribution, inherited_from, cause, flake_rate,"
	 " known FROM v_verdict WHERE run = ?1 ORDER BY package"},

	{"depends", 1, "SELECT package, needs FROM v_depends WHERE run = ?1 ORDER BY package, needs"},

	{"expectations", 1,
	 "SELECT package, variant, expect, reason, link, until FROM v_known WHERE run = ?1 ORDER BY package, variant"},

	{"trend", 2,
	 "SELECT r.id AS run, date(r.started_ms / 1000, 'unixepoch') AS day, (SELECT count(*) FROM verdict t WHERE t.run = r.id) AS packages,"
	 "  (SELECT count(*) FROM verdict t WHERE t.run = r.id AND t.verdict = 'regressed' AND t.verdict <> 'same') AS regressed,"
	 "  (SELECT count(*) FROM verdict t WHERE t.run = r.id AND t.verdict = 'fixed' AND t.verdict <> 'same') AS fixed, r.validity"
	 " FROM run r WHERE r.suite = ?1 AND r.id <= ?2 AND r.validity IS NOT NULL ORDER BY r.id DESC LIMIT 30"},

	{"baselines", 0, "SELECT baseline AS name, run, variant, made_ms, suite, validity FROM v_baseline ORDER BY baseline"},
	{"baseline", 1, "SELECT baseline AS name, run, variant, made_ms, suite, validity FROM v_baseline WHERE baseline = ?1"},

	{"canaries", 1, "SELECT host, answer, why, wall_ms, made_ms FROM v_canary WHERE run = ?1 ORDER BY host, made_ms"},

	{"counts", 1,
	 "SELECT variant, status, count(*) AS n FROM v_job WHERE run = ?1 GROUP BY variant_number, status ORDER BY variant_number, status"},

	{"phases", 1,
	 "SELECT name AS phase, count(*) AS boxes, sum(wall_us) / 1000 AS wall_ms,"
	 "  sum(cpu_user_us + cpu_system_us) / 1000 AS cpu_ms, median(setup_us) AS setup_us,"
	 "  max(peak_memory) AS peak_memory_bytes, coalesce(sum(store_bytes), 0) AS store_bytes,"
	 "  coalesce(sum(store_files), 0) AS store_files, sum(network <> 'none') AS networked, sum(network = 'nat') AS behind_nat,"
	 "  sum(network_lost IS 1) AS networks_lost,"
	 "  group_concat(DISTINCT nullif(profile, 'default')) AS profiles"
	 " FROM phase WHERE run = ?1 GROUP BY name ORDER BY min(started_ms), min(id)"},

	{"phases-of-job", 1,
	 "SELECT f.name AS phase, f.network, f.ended_as, f.exit_code, f.signal, f.limit_name AS limit_hit, f.wall_us / 1000 AS wall_ms,"
	 "  (f.cpu_user_us + f.cpu_system_us) / 1000 AS cpu_ms, f.peak_memory AS peak_memory_bytes, f.log, f.error, f.processes, f.network_lost,"
	 "  f.generation, s.name AS store, (SELECT group_concat(digest, char(10)) FROM (SELECT l.digest FROM generation_layer gl"
	 "   JOIN layer l ON l.id = gl.layer WHERE gl.generation = f.generation ORDER BY gl.position)) AS store_layers,"
	 "  replace(v.layers, ' ', char(10)) AS layers"
	 " FROM attempt a JOIN attempt_phase ap ON ap.attempt = a.id JOIN phase f ON f.id = ap.phase"
	 "  LEFT JOIN generation g ON g.id = f.generation LEFT JOIN store s ON s.id = g.store"
	 "  LEFT JOIN variant v ON v.run = f.run AND v.number = f.variant"
	 " WHERE a.job = ?1 AND a.number = (SELECT max(number) FROM attempt WHERE job = ?1 AND NOT repeat) ORDER BY ap.ordinal"},

	{"retrace", 2,
	 "SELECT v.name AS variant, f.name AS phase, f.network, f.generation, f.started_ms, f.ended_as, f.exit_code, f.signal,"
	 "  f.limit_name AS limit_hit, f.log, f.variant IS NULL AS shared, f.id AS phase_id"
	 " FROM package p JOIN job j ON j.run = CAST(?1 AS INTEGER) AND j.package = p.id JOIN variant v ON v.run = j.run AND v.number = j.variant"
	 "  JOIN attempt a ON a.job = j.id AND a.number = (SELECT max(number) FROM attempt x WHERE x.job = j.id AND NOT x.repeat)"
	 "  JOIN attempt_phase ap ON ap.attempt = a.id JOIN phase f ON f.id = ap.phase"
	 " WHERE p.name = ?2 ORDER BY v.number, ap.ordinal"},
	{"kept-of-phase", 1, "SELECT digest FROM v_kept WHERE phase_id = ?1"},
	{"jobs-of-package", 2,
	 "SELECT w.variant, w.version, w.state, w.status, w.phase, w.reason, w.exit_code, w.signal, w.limit_hit, w.judged_in"
	 " FROM package p JOIN job j ON j.run = CAST(?1 AS INTEGER) AND j.package = p.id JOIN v_job w ON w.job = j.id"
	 " WHERE p.name = ?2 ORDER BY w.variant_number"},

	/* Ordered by the first job of a package, which is how the plan lists them. */
	{"boxes", 1,
	 "WITH placed AS (SELECT package, min(id) AS place FROM job WHERE run = ?1 GROUP BY package)"
	 " SELECT o.place, p.name AS package, f.variant, f.name AS phase, f.network <> 'none' AS networked, f.cpus, f.started_ms, f.ended_ms,"
	 "  f.wall_us / 1000 AS wall_ms, f.peak_memory AS peak_memory_bytes, f.disk_bytes"
	 " FROM phase f JOIN placed o ON o.package = f.package JOIN package p ON p.id = f.package"
	 " WHERE f.run = ?1 AND f.ended_ms IS NOT NULL AND f.ended_as NOT IN ('cancelled', 'failed')"
	 " ORDER BY o.place, f.variant, f.started_ms, f.id"}, /* NULL, the shared ones, first */

	{"stores", 0,
	 "SELECT s.name AS store, v.generation, coalesce(v.layers, 0) AS layers, coalesce(v.entries, 0) AS entries,"
	 "  coalesce(v.bytes, 0) AS bytes, v.made_ms, (SELECT count(*) FROM (SELECT DISTINCT w.path, w.type, w.what FROM word w"
	 "   WHERE w.store = s.id AND w.pending = 1 AND w.revoked_ms IS NULL)) AS pending"
	 " FROM store s LEFT JOIN v_store v ON v.generation = s.current"
	 " WHERE s.current IS NOT NULL OR EXISTS (SELECT 1 FROM word w WHERE w.store = s.id AND w.pending = 1 AND w.revoked_ms IS NULL)"
	 " ORDER BY s.name"},

	{"pending", 1,
	 "SELECT CAST(path AS TEXT) AS path, type, size, CASE WHEN type = 'f' THEN lower(hex(what)) END AS sha256, packages, demanded,"
	 "  first AS harvest, (SELECT " HARVEST_JOB " FROM harvest h WHERE h.id = first) AS job"
	 " FROM (SELECT w.path, w.type, w.what, min(w.size) AS size, count(*) AS packages, max(h.trust) AS demanded, min(w.harvest) AS first"
	 "  FROM (SELECT DISTINCT p.store, p.path, p.type, p.what FROM word p WHERE p.store = (SELECT id FROM store WHERE name = ?1)"
	 "    AND p.pending = 1 AND p.revoked_ms IS NULL) about"
	 "   JOIN word w ON w.store = about.store AND w.path = about.path AND w.type = about.type AND w.what = about.what AND w.revoked_ms IS NULL"
	 "   JOIN harvest h ON h.id = w.harvest GROUP BY w.path, w.type, w.what) t ORDER BY t.path, type, what"},

	{"harvests", 1,
	 "SELECT store, package, phase, added, merged, replaced, identical, dropped, conflicts, deleted, refused, new_bytes, pending"
	 " FROM v_harvest WHERE run = ?1 ORDER BY harvest"},

	{"conflicts", 1,
	 "SELECT store, package, phase, change, path, reason FROM v_note"
	 " WHERE run = ?1 AND change IN ('conflict', 'refused') ORDER BY harvest, ordinal"},

	{"who", 1,
	 "WITH RECURSIVE " ENTRY_GROUPS
	 " SELECT v.store, v.generation, v.current, v.change, v.layer, v.run, v.package, v.phase, v.sha256, v.size, v.harvest,"
	 "  coalesce(v.job, 'run ' || v.run || ' ' || v.package || ' ' || v.phase) AS job,"
	 "  max((SELECT count(*) FROM (SELECT package FROM sighting g WHERE g.sha256 = e.sha256"
	 "   UNION SELECT f.package FROM " ENTRIES_WITH(n, "e.sha256") " JOIN harvest nh ON nh.id = n.harvest JOIN phase f ON f.id = nh.phase"
	 "    WHERE n.revoked_ms IS NULL)),"
	 "   (SELECT count(*) FROM word w JOIN harvest eh ON eh.id = e.harvest AND eh.store = w.store WHERE w.path = e.path"
	 "    AND w.type = e.type AND w.what = coalesce(e.sha256, e.target) AND w.revoked_ms IS NULL)) AS packages, v.revoked_ms"
	 " FROM v_entry v JOIN entry e ON e.harvest = v.harvest AND e.path = CAST(v.path AS BLOB) WHERE v.path = ?1"
	 " UNION ALL SELECT s.name, NULL, 0, w.change, NULL, f.run, w.package, f.name, CASE WHEN w.type = 'f' THEN lower(hex(w.what)) END,"
	 "  w.size, w.harvest, " HARVEST_JOB ", (SELECT count(*) FROM word o WHERE o.store = w.store AND o.path = w.path AND o.type = w.type"
	 "   AND o.what = w.what AND o.revoked_ms IS NULL), w.revoked_ms"
	 "  FROM word w JOIN store s ON s.id = w.store JOIN harvest h ON h.id = w.harvest LEFT JOIN phase f ON f.id = h.phase"
	 "  WHERE CAST(w.path AS TEXT) = ?1 AND (w.change = 'pending' OR w.change = 'identical') ORDER BY 11"},

	{"generations", 1,
	 "SELECT generation, current, made_by, made_ms, layers, entries, bytes, harvest, job, package, added, replaced, merged, conflicts,"
	 " refused, new_bytes, parent, chain FROM v_store WHERE store = ?1 ORDER BY generation DESC"},

	{"generation", 1,
	 "SELECT store, generation, current, made_by, made_ms, layers, entries, bytes, harvest, job, parent, chain FROM v_store"
	 " WHERE generation = ?1"},

	{"generation-layers", 1,
	 "SELECT gl.position, l.digest AS layer, l.entries, l.bytes, l.made_ms,"
	 "  (SELECT count(DISTINCT lh.harvest) FROM layer_part lh WHERE lh.layer = l.id) AS harvests"
	 " FROM generation_layer gl JOIN layer l ON l.id = gl.layer WHERE gl.generation = ?1 ORDER BY gl.position"},

	{"generation-entries", 1,
	 "WITH " GENERATION_AT(shown, "?1")
	 " SELECT CAST(t.path AS TEXT) AS path, e.type, e.size, lower(nullif(hex(e.sha256), '')) AS sha256, e.mtime_ns, " HARVEST_JOB " AS job, e.harvest"
	 " FROM shown t JOIN entry e ON e.harvest = t.harvest AND e.path = t.path AND e.type <> 'd' JOIN harvest h ON h.id = e.harvest ORDER BY t.path"},

	/* What both show of one harvest is the same. */
	{"generation-diff", 2,
	 "WITH " GENERATION_AT(old, "?1") "," GENERATION_AT(new, "?2") ","
	 " both AS (SELECT path, max(CASE side WHEN 1 THEN harvest END) AS one, max(CASE side WHEN 2 THEN harvest END) AS two"
	 "  FROM (SELECT path, harvest, 1 AS side FROM old UNION ALL SELECT path, harvest, 2 AS side FROM new) GROUP BY path HAVING one IS NOT two)"
	 " SELECT CAST(m.path AS TEXT) AS path,"
	 "  CASE WHEN a.path IS NULL THEN 'added' WHEN b.path IS NULL THEN 'gone' ELSE 'changed' END AS change,"
	 "  a.size AS old_size, b.size AS new_size, lower(nullif(hex(a.sha256), '')) AS old_sha256, lower(nullif(hex(b.sha256), '')) AS new_sha256,"
	 "  " HARVEST_JOB " AS job, h.id AS harvest"
	 " FROM both m LEFT JOIN entry a ON a.harvest = m.one AND a.path = m.path AND a.type <> 'd'"
	 "  LEFT JOIN entry b ON b.harvest = m.two AND b.path = m.path AND b.type <> 'd'"
	 "  JOIN harvest h ON h.id = coalesce(b.harvest, a.harvest)"
	 " WHERE a.path IS NULL OR b.path IS NULL OR a.type <> b.type OR a.sha256 IS NOT b.sha256 OR a.target IS NOT b.target ORDER BY m.path"},

	{"archived", 0,
	 "SELECT h.id AS harvest, s.name AS store, " HARVEST_JOB " AS job, coalesce(l.digest, h.record) AS layer, fr.segment, fr.offset,"
	 "  fr.bytes, fr.digest, lower(nullif(hex(fr.record), '')) AS record"
	 " FROM harvest h JOIN store s ON s.id = h.store LEFT JOIN layer l ON l.id = h.layer LEFT JOIN frame fr ON fr.harvest = h.id"
	 " WHERE h.layer IS NOT NULL OR h.record IS NOT NULL ORDER BY h.id, fr.segment, fr.offset"},

	{"frames-of", 1,
	 "SELECT segment, offset, bytes, digest, lower(nullif(hex(record), '')) AS record FROM frame WHERE harvest = ?1 ORDER BY segment, offset"},

	{"harvest-of-layer", 2,
	 "SELECT h.id AS harvest FROM layer l JOIN harvest h ON h.layer = l.id JOIN store s ON s.id = h.store"
	 " WHERE l.digest = ?2 AND s.name = ?1 UNION ALL SELECT h.id FROM harvest h JOIN store s ON s.id = h.store"
	 " WHERE h.record = ?2 AND s.name = ?1 ORDER BY 1 DESC"},

	{"who-saw", 1,
	 "SELECT DISTINCT f.run, p.name AS package, v.name AS variant, f.name AS phase, f.generation FROM layer_part lh"
	 " JOIN generation_layer gl ON gl.layer = lh.layer JOIN phase f ON f.generation = gl.generation"
	 " JOIN package p ON p.id = f.package LEFT JOIN variant v ON v.run = f.run AND v.number = f.variant"
	 " WHERE lh.harvest = ?1 ORDER BY f.run, p.name, f.id"},

	{"layer-parts", 1,
	 "SELECT h.id AS harvest, s.name AS store, " HARVEST_JOB " AS job, pl.digest AS layer,"
	 "  (SELECT count(*) FROM entry e WHERE e.harvest = h.id) AS entries"
	 " FROM layer l JOIN layer_part lh ON lh.layer = l.id JOIN harvest h ON h.id = lh.harvest JOIN store s ON s.id = h.store"
	 "  LEFT JOIN layer pl ON pl.id = h.layer WHERE l.digest = ?1 ORDER BY lh.place DESC"},

	{"segments", 0,
	 "SELECT number, bytes, (SELECT count(*) FROM frame f WHERE f.segment = s.number) AS frames FROM segment s ORDER BY number"},

	{"layers", 0,
	 "SELECT name, layer, entries, bytes, made_ms, source, generations FROM v_layer ORDER BY name IS NULL, name, made_ms, layer"},

	{"failures", 1,
	 "SELECT package, variant, status, reason, phase, cause, v_job.evidence FROM v_job WHERE run = " RUN_OR_NEWEST
	 " AND status NOT IN ('pass', 'skip') ORDER BY package, variant_number"},

	{"regressions", 1,
	 "SELECT t.run, date(r.started_ms / 1000, 'unixepoch') AS day, r.suite, p.name AS package, t.confidence, t.p, t.known, t.attribution,"
	 "  g.name AS cause, g.line"
	 " FROM run r JOIN verdict t ON t.run = r.id JOIN package p ON p.id = t.package LEFT JOIN signature g ON g.id = t.signature"
	 " WHERE t.verdict = 'regressed' AND t.verdict <> 'same' AND r.started_ms >= coalesce(unixepoch(?1) * 1000, 0) ORDER BY t.run DESC, p.name"},

	{"slowest", 1,
	 "SELECT package, variant, wall_ms, cpu_ms, peak_memory_bytes, status FROM v_job WHERE run = " RUN_OR_NEWEST
	 " ORDER BY wall_ms DESC NULLS LAST, package LIMIT 50"},

	{"flaky", 0,
	 "SELECT suite, package, variant, phase, rate, passed, failed, nights, last_run FROM v_flake WHERE known ORDER BY rate DESC, package"},

	{"history", 1,
	 "SELECT j.run, date(j.started_ms / 1000, 'unixepoch') AS day, j.suite, j.variant, j.version, j.status, j.reason, j.phase, j.wall_ms,"
	 "  t.verdict, j.cause"
	 " FROM v_job j JOIN package p ON p.name = j.package LEFT JOIN verdict t ON t.run = j.run AND t.package = p.id"
	 " WHERE j.package = ?1 ORDER BY j.run DESC, j.variant_number"},

	{"cost", 1,
	 "SELECT p.name AS package, count(*) AS boxes, sum(f.wall_us) / 1000 AS wall_ms, sum(f.cpu_user_us + f.cpu_system_us) / 1000 AS cpu_ms,"
	 "  max(f.peak_memory) AS peak_memory_bytes, sum(f.log_stored) AS log_stored_bytes, sum(f.store_bytes) AS store_bytes"
	 " FROM phase f JOIN package p ON p.id = f.package WHERE f.run = " RUN_OR_NEWEST " GROUP BY f.package ORDER BY cpu_ms DESC, package"},

	/* What ran in the run; what earlier runs left of a job's phases; what spared a job. */
	{"logs", 2,
	 "WITH named AS MATERIALIZED (SELECT (SELECT id FROM package WHERE name = ?2) AS id),"
	 " told AS (SELECT f.id FROM phase f WHERE f.run = ?1 AND f.package = coalesce((SELECT id FROM named), CASE WHEN ?2 IS NULL THEN f.package END)"
	 "  UNION ALL SELECT * FROM (SELECT DISTINCT f.id FROM job j JOIN attempt a ON a.id ="
	 "    coalesce(j.unchanged, (SELECT x.id FROM attempt x WHERE x.job = j.id AND NOT x.repeat ORDER BY x.number DESC LIMIT 1))"
	 "   JOIN attempt_phase ap ON ap.attempt = a.id JOIN phase f ON f.id = ap.phase AND f.run <> j.run"
	 "   WHERE j.run = ?1 AND j.package = coalesce((SELECT id FROM named), CASE WHEN ?2 IS NULL THEN j.package END)))"
	 " SELECT p.name AS package, v.name AS variant, f.name AS phase, f.log, f.ended_as, f.id AS phase_id, f.run, f.exit_code, f.signal,"
	 "  nullif(f.limit_name, 'none') AS limit_hit,"
	 "  coalesce((SELECT min(a.repeat) FROM attempt_phase ap JOIN attempt a ON a.id = ap.attempt WHERE ap.phase = f.id), 0) AS repeat"
	 " FROM told JOIN phase f ON f.id = told.id JOIN package p ON p.id = f.package"
	 "  LEFT JOIN variant v ON v.run = f.run AND v.number = f.variant ORDER BY p.name, f.variant, f.id"},

	{"open-jobs", 2, "SELECT count(*) AS n FROM v_job WHERE run = ?1 AND package = ?2 AND state IN ('waiting', 'running')"},

	{"flakes-of-package", 1,
	 "SELECT suite, variant, phase, rate, nights FROM v_flake WHERE package = ?1 AND known ORDER BY suite, variant, phase"},

	{"totals", 0,
	 "SELECT (SELECT count(*) FROM run) AS runs, (SELECT coalesce(sum(jobs), 0) FROM v_run) AS jobs, (SELECT count(*) FROM result) AS results,"
	 "  (SELECT count(*) FROM layer) AS layers, (SELECT count(*) FROM entry) AS entries,"
	 "  (SELECT coalesce(sum(bytes), 0) FROM segment) AS segment_bytes"},
};
/* Of those that people ask: how many values may be left out, from the last on, and one line. */
static const struct asked {
	const char *name;
	size_t n_may;
	const char *first; /* what the first value is: "run", "day" or "package"; NULL: there is none */
	const char *says;  /* NULL: for other folders */
} asked[] = {
	{"failures", 1, "run", "of a run (default: the newest): what did not pass, and why"},
	{"regressions", 1, "day", "since a day (2026-11-20; default: ever), newest first"},
	{"slowest", 1, "run", "of a run (default: the newest): the 50 jobs that took longest"},
	{"flaky", 0, NULL, "what is known to fail now and then, with its rate"},
	{"history", 0, "package", "of a package: every night, newest first"},
	{"causes", 0, "run", "of a run: what its failures have in common, and since when"},
	{"cost", 1, "run", "of a run (default: the newest): what each package took, repeats and shared phases included"},
	{"logs", 1, NULL, NULL},
};
/* clang-format on */

enum { QUERY_ARGS = 4 };

static const struct asked *query_asked(const char *name)
{
	static const struct asked none = {NULL, 0, NULL, NULL};
	for (size_t i = 0; i < countof(asked); i++)
		if (!strcmp(asked[i].name, name))
			return &asked[i];
	return &none;
}

static const struct query *query_find(const char *name, struct err *e)
{
	auto_text struct text known = TEXT_INIT;
	for (size_t i = 0; i < countof(queries); i++) {
		if (!strcmp(queries[i].name, name))
			return &queries[i];
		text_addf(&known, "%s%s", i ? ", " : "", queries[i].name);
	}
	err_set(e, ERR_USAGE, "there is no query named '%s'; there are: %s", name,
		text_str(&known));
	return NULL;
}

/* The query, ready for its first row; who asked ends it (db_done). NULL with e. */
static sqlite3_stmt *query_begin(struct db *d, const char *name, const char *const *args,
				 size_t n_args, struct err *e)
{
	const struct query *q = query_find(name, e);
	if (!q)
		return NULL;
	if (n_args > q->n_args || n_args + query_asked(name)->n_may < q->n_args) {
		err_set(e, ERR_USAGE, "query '%s' takes %zu value%s%s, and %zu came", name,
			q->n_args, q->n_args == 1 ? "" : "s",
			query_asked(name)->n_may ? " at the most" : "", n_args);
		return NULL;
	}
	const char *all[QUERY_ARGS] = {NULL};
	for (size_t i = 0; i < n_args; i++)
		all[i] = args[i];
	sqlite3_stmt *s = db_ask(d, e, q->sql, "");
	if (s && !db_bind_texts(d, s, all, q->n_args, e))
		return s;
	db_done(s);
	err_add(e, "query '%s'", name);
	return NULL;
}

int db_named(struct db *d, const char *name, const char *const *args, size_t n_args,
	     struct db_table **out, struct err *e)
{
	*out = NULL;
	sqlite3_stmt *s = query_begin(d, name, args, n_args, e);
	if (!s)
		return -1;
	int rc = db_collect(d, s, out, e);
	db_done(s);
	return rc ? err_add(e, "query '%s'", name) : 0;
}

int db_named_each(struct db *d, const char *name, const char *const *args, size_t n_args,
		  db_row_fn row, void *owner, struct err *e)
{
	sqlite3_stmt *s = query_begin(d, name, args, n_args, e);
	if (!s)
		return -1;
	int rc = db_each(d, s, row, owner, e);
	db_done(s);
	return rc ? err_add(e, "query '%s'", name) : 0;
}

const char *db_named_at(size_t i, struct db_named_query *q)
{
	if (i >= countof(queries))
		return NULL;
	const struct asked *a = query_asked(queries[i].name);
	*q = (struct db_named_query){queries[i].n_args, a->n_may, a->first, a->says};
	return queries[i].name;
}

const char *db_named_sql(size_t i)
{
	return i < countof(queries) ? queries[i].sql : NULL;
}
