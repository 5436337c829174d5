/* The public face of the database: assay-db(7) documents each view and column, and they change only
 * with the schema's version. Names in plain words, units in the names, digests as hex text, file
 * names as text. */
#include "db/schema.h"
#include "db/shown.h"

#include <stddef.h>

/* clang-format off */
/* Of attempt a with result s: the phase that decided. */
#define DECIDING \
	"(SELECT ap.phase FROM attempt_phase ap JOIN phase f ON f.id = ap.phase WHERE ap.attempt = a.id AND f.name = s.phase" \
	"  ORDER BY ap.ordinal DESC LIMIT 1)"

/* A number of its limit, where one fired. */
#define FIRED(column) "CASE WHEN s.limit_name IS NOT NULL THEN d." #column " END AS " #column

const char *const schema_views[] = {
	"CREATE VIEW v_run AS SELECT"
	"  r.id AS run, r.suite, r.suite_path, r.suite_sha256, r.ecosystem, r.goal, r.compare_base, r.compare_next,"
	"  r.state, r.started_ms, r.ended_ms, r.ended_ms - r.started_ms AS wall_ms,"
	"  datetime(r.started_ms / 1000, 'unixepoch') AS started, datetime(r.ended_ms / 1000, 'unixepoch') AS ended,"
	"  r.host, r.version AS assay_version, r.engine, r.pid, r.jobs_at_once, r.held_ms, r.resumed, r.partial,"
	"  CASE WHEN r.state = 'running' OR r.n_jobs IS NULL THEN (SELECT count(*) FROM job j WHERE j.run = r.id) ELSE r.n_jobs END AS jobs,"
	"  CASE WHEN r.state = 'running' OR r.n_jobs IS NULL THEN (SELECT count(*) FROM job j WHERE j.run = r.id AND j.state = 'done')"
	"    ELSE r.n_done END AS jobs_done,"
	"  CASE WHEN r.state = 'running' OR r.n_jobs IS NULL THEN (SELECT count(DISTINCT j.package) FROM job j WHERE j.run = r.id)"
	"    ELSE r.n_packages END AS packages, r.validity, r.why"
	" FROM run r;",

	"CREATE VIEW v_variant AS SELECT v.run, v.number, v.name AS variant, v.layers, v.env FROM variant v;",

	"CREATE VIEW v_job AS SELECT"
	"  j.id AS job, j.run, r.suite, p.name AS package, j.version, v.name AS variant, v.number AS variant_number, j.state,"
	"  CASE WHEN j.unchanged IS NULL THEN a.host END AS host, a.id AS attempt, a.number AS attempts, a.started_ms, a.ended_ms,"
	"  (SELECT sum(f.wall_us) / 1000 FROM attempt_phase ap JOIN phase f ON f.id = ap.phase WHERE ap.attempt = a.id) AS wall_ms,"
	"  (SELECT sum(f.cpu_user_us + f.cpu_system_us) / 1000 FROM attempt_phase ap JOIN phase f ON f.id = ap.phase"
	"    WHERE ap.attempt = a.id) AS cpu_ms,"
	"  (SELECT max(f.peak_memory) FROM attempt_phase ap JOIN phase f ON f.id = ap.phase WHERE ap.attempt = a.id) AS peak_memory_bytes,"
	"  s.status, s.phase, s.reason, s.exit_code, s.signal, s.limit_name AS limit_hit, s.rule,"
	"  s.evidence_offset, s.evidence_length, s.evidence, d.log,"
	"  " FIRED(limit_bound) ", " FIRED(limit_value) ", s.revised_ms, g.name AS cause,"
	"  CASE WHEN j.unchanged IS NOT NULL THEN (SELECT o.run FROM attempt x JOIN job o ON o.id = x.job WHERE x.id = j.unchanged) END AS judged_in,"
	"  " DB_AGREEING
	" FROM job j JOIN run r ON r.id = j.run JOIN package p ON p.id = j.package"
	"  JOIN variant v ON v.run = j.run AND v.number = j.variant"
	"  LEFT JOIN attempt a ON a.id = coalesce(j.unchanged,"
	"   (SELECT x.id FROM attempt x WHERE x.job = j.id AND NOT x.repeat ORDER BY x.number DESC LIMIT 1))"
	"  LEFT JOIN result s ON s.attempt = a.id LEFT JOIN phase d ON d.id = " DECIDING
	"  LEFT JOIN signature g ON g.id = s.signature;",

	"CREATE VIEW v_result AS SELECT"
	"  j.run, r.suite, p.name AS package, j.version, v.name AS variant, j.id AS job, a.id AS attempt, a.number AS attempt_number, a.repeat,"
	"  s.status, s.phase, s.reason, s.exit_code, s.signal, s.limit_name AS limit_hit, s.rule,"
	"  s.evidence_offset, s.evidence_length, s.evidence, a.started_ms, a.ended_ms,"
	"  " FIRED(limit_bound) ", " FIRED(limit_value) ", d.id AS phase_id, s.revised_ms, g.name AS cause"
	" FROM result s JOIN attempt a ON a.id = s.attempt JOIN job j ON j.id = a.job JOIN run r ON r.id = j.run"
	"  JOIN package p ON p.id = j.package JOIN variant v ON v.run = j.run AND v.number = j.variant"
	"  LEFT JOIN phase d ON d.id = " DECIDING " LEFT JOIN signature g ON g.id = s.signature;",

	"CREATE VIEW v_verdict AS SELECT"
	"  t.run, r.suite, p.name AS package, r.compare_base AS base, r.compare_next AS next, t.verdict, t.confidence,"
	"  t.base_runs, t.base_passes, t.next_runs, t.next_passes, t.p, t.attribution, f.name AS inherited_from, g.name AS cause, t.flake_rate, t.known"
	" FROM verdict t JOIN run r ON r.id = t.run JOIN package p ON p.id = t.package LEFT JOIN package f ON f.id = t.inherited_from"
	"  LEFT JOIN signature g ON g.id = t.signature;",

	"CREATE VIEW v_depends AS SELECT x.run, p.name AS package, o.name AS needs"
	" FROM depends x JOIN package p ON p.id = x.package JOIN package o ON o.id = x.needs;",

	"CREATE VIEW v_known AS SELECT"
	"  x.run, r.suite, x.package, nullif(x.variant, '') AS variant, x.expect, x.reason, x.link, x.until"
	" FROM expectation x JOIN run r ON r.id = x.run;",

	"CREATE VIEW v_flake AS SELECT"
	"  f.suite, p.name AS package, f.variant, f.phase, f.rate, f.known, f.passed, f.failed, f.nights, f.version, f.last_run"
	" FROM flake f JOIN package p ON p.id = f.package;",

	"CREATE VIEW v_baseline AS SELECT"
	"  b.name AS baseline, b.run, v.name AS variant, r.suite, r.validity, b.made_ms"
	" FROM baseline b JOIN variant v ON v.run = b.run AND v.number = b.variant JOIN run r ON r.id = b.run;",

	"CREATE VIEW v_canary AS SELECT c.run, r.suite, c.host, c.answer, c.why, c.wall_ms, c.made_ms FROM canary c JOIN run r ON r.id = c.run;",

	"CREATE VIEW v_cause AS SELECT"
	"  j.run, r.suite, v.name AS variant, v.number AS variant_number, g.name AS cause, g.text, g.line, count(DISTINCT j.package) AS packages,"
	"  min(p.name) AS example, g.first_run, g.first_seen_ms"
	" FROM job j JOIN attempt a ON a.id IN (SELECT x.id FROM attempt x WHERE x.job = j.id UNION ALL SELECT j.unchanged)"
	"  JOIN result s ON s.attempt = a.id JOIN signature g ON g.id = s.signature"
	"  JOIN run r ON r.id = j.run JOIN package p ON p.id = j.package JOIN variant v ON v.run = j.run AND v.number = j.variant"
	" GROUP BY j.run, v.number, g.id;",

	"CREATE VIEW v_phase AS SELECT"
	"  f.id AS phase_id, f.run, r.suite, p.name AS package, f.version, v.name AS variant, f.name AS phase, f.network,"
	"  f.generation, f.log, f.started_ms, f.ended_ms, f.ended_as, f.exit_code, f.signal, f.core,"
	"  f.limit_name AS limit_hit, f.limit_bound, f.limit_value,"
	"  f.setup_us, f.wall_us, f.cpu_user_us, f.cpu_system_us, f.peak_memory AS peak_memory_bytes, f.output_bytes,"
	"  f.oom_kills, f.processes_refused, f.cgroup, f.error, f.log_bytes, f.log_stored AS log_stored_bytes,"
	"  lower(nullif(hex(f.log_sha256), '')) AS log_sha256, f.store_bytes, f.store_files, f.upper_bytes,"
	"  f.processes_peak, f.io_read_bytes, f.io_write_bytes, f.disk_bytes, f.disk_inodes, f.throttled, f.throttled_us,"
	"  f.stalled_memory_us, f.stalled_cpu_us, f.stalled_io_us, f.executor, f.profile, f.uppers, f.processes,"
	"  f.network_lost, f.host_full, f.cpus, f.host_oom_kills"
	" FROM phase f JOIN run r ON r.id = f.run JOIN package p ON p.id = f.package"
	"  LEFT JOIN variant v ON v.run = f.run AND v.number = f.variant;",

	"CREATE VIEW v_cost AS SELECT"
	"  f.run, r.suite, p.name AS package, v.name AS variant, count(*) AS boxes, sum(f.wall_us) / 1000 AS wall_ms,"
	"  sum(f.cpu_user_us + f.cpu_system_us) / 1000 AS cpu_ms, max(f.peak_memory) AS peak_memory_bytes, sum(f.log_bytes) AS log_bytes,"
	"  sum(f.log_stored) AS log_stored_bytes, sum(f.store_bytes) AS store_bytes, sum(f.io_read_bytes) AS io_read_bytes,"
	"  sum(f.io_write_bytes) AS io_write_bytes"
	" FROM phase f JOIN run r ON r.id = f.run JOIN package p ON p.id = f.package"
	"  LEFT JOIN variant v ON v.run = f.run AND v.number = f.variant"
	" GROUP BY f.run, f.package, f.variant;",

	"CREATE VIEW v_attempt_phase AS SELECT"
	"  j.run, j.id AS job, a.id AS attempt, a.number AS attempt_number, ap.ordinal, ap.phase AS phase_id, f.name AS phase,"
	"  f.variant IS NULL AS shared"
	" FROM attempt_phase ap JOIN attempt a ON a.id = ap.attempt JOIN job j ON j.id = a.job JOIN phase f ON f.id = ap.phase;",

	"CREATE VIEW v_store AS SELECT"
	"  s.name AS store, g.id AS generation, g.parent, g.id = s.current AS current, g.made_by, g.made_ms,"
	"  datetime(g.made_ms / 1000, 'unixepoch') AS made,"
	"  (SELECT count(*) FROM generation_layer gl WHERE gl.generation = g.id) AS layers,"
	"  (SELECT sum(l.entries) FROM generation_layer gl JOIN layer l ON l.id = gl.layer WHERE gl.generation = g.id) AS entries,"
	"  (SELECT sum(l.bytes) FROM generation_layer gl JOIN layer l ON l.id = gl.layer WHERE gl.generation = g.id) AS bytes,"
	"  h.id AS harvest, f.run, p.name AS package, f.id AS phase_id,"
	"  h.added, h.replaced, h.merged, h.identical, h.dropped, h.conflicts, h.deleted, h.refused, h.bytes AS new_bytes,"
	"  (SELECT min(fr.segment) FROM frame fr WHERE fr.harvest = h.id) AS segment,"
	"  (SELECT fr.offset FROM frame fr WHERE fr.harvest = h.id ORDER BY fr.segment, fr.offset LIMIT 1) AS frame_offset,"
	"  (SELECT sum(fr.bytes) FROM frame fr WHERE fr.harvest = h.id) AS frame_bytes,"
	"  h.job, lower(hex(g.chain)) AS chain"
	" FROM generation g JOIN store s ON s.id = g.store LEFT JOIN harvest h ON h.generation = g.id"
	"  LEFT JOIN phase f ON f.id = h.phase LEFT JOIN package p ON p.id = f.package;",

	"CREATE VIEW v_entry AS SELECT"
	"  s.name AS store, CAST(e.path AS TEXT) AS path, e.change, e.type, printf('%04o', e.mode) AS mode, e.mtime_ns, e.size,"
	"  lower(nullif(hex(e.sha256), '')) AS sha256, CAST(e.target AS TEXT) AS target, l.digest AS layer, h.generation, h.id AS harvest,"
	"  " SHOWN_AT("e.path", "s.current", "h.store", "") " IS h.id AS current,"
	"  f.run, p.name AS package, f.name AS phase, f.id AS phase_id,"
	"  (SELECT min(fr.segment) FROM frame fr WHERE fr.harvest = h.id) AS segment,"
	"  (SELECT fr.offset FROM frame fr WHERE fr.harvest = h.id ORDER BY fr.segment, fr.offset LIMIT 1) AS frame_offset,"
	"  h.job, e.revoked_ms"
	" FROM entry e JOIN harvest h ON h.id = e.harvest JOIN store s ON s.id = h.store LEFT JOIN layer l ON l.id = h.layer"
	"  LEFT JOIN phase f ON f.id = h.phase LEFT JOIN package p ON p.id = f.package WHERE " LIKELY_IN_TIERS("e") ";",

	"CREATE VIEW v_harvest AS SELECT"
	"  h.id AS harvest, s.name AS store, h.seen, h.generation, f.run, p.name AS package, f.name AS phase, f.id AS phase_id,"
	"  h.added, h.replaced, h.merged, h.identical, h.dropped, h.conflicts, h.deleted, h.refused, h.bytes AS new_bytes, h.made_ms,"
	"  h.job, h.refused_all, h.pending, coalesce(h.trust, 1) AS trust"
	" FROM harvest h JOIN store s ON s.id = h.store LEFT JOIN phase f ON f.id = h.phase LEFT JOIN package p ON p.id = f.package;",

	"CREATE VIEW v_note AS SELECT"
	"  h.id AS harvest, s.name AS store, f.run, p.name AS package, f.name AS phase, f.id AS phase_id,"
	"  n.ordinal, n.change, CAST(n.path AS TEXT) AS path, n.type, n.size, lower(nullif(hex(n.sha256), '')) AS sha256, CAST(n.target AS TEXT) AS target, n.reason"
	" FROM harvest_note n JOIN harvest h ON h.id = n.harvest JOIN store s ON s.id = h.store"
	"  LEFT JOIN phase f ON f.id = h.phase LEFT JOIN package p ON p.id = f.package;",

	"CREATE VIEW v_word AS SELECT"
	"  s.name AS store, CAST(w.path AS TEXT) AS path, w.type, w.size, CASE WHEN w.type = 'f' THEN lower(hex(w.what)) END AS sha256,"
	"  CASE WHEN w.type = 'l' THEN CAST(w.what AS TEXT) END AS target, w.package, w.harvest, f.run, f.id AS phase_id, h.job, w.change,"
	"  w.pending, h.trust AS demanded, w.revoked_ms"
	" FROM word w JOIN store s ON s.id = w.store JOIN harvest h ON h.id = w.harvest LEFT JOIN phase f ON f.id = h.phase;",

	"CREATE VIEW v_layer AS SELECT"
	"  n.name, l.digest AS layer, l.entries, l.bytes, coalesce(n.made_ms, l.made_ms) AS made_ms, coalesce(n.source, l.source) AS source,"
	"  (SELECT count(*) FROM generation_layer gl WHERE gl.layer = l.id) AS generations"
	" FROM layer l LEFT JOIN layer_name n ON n.layer = l.id;",

	"CREATE VIEW v_kept AS SELECT"
	"  k.phase AS phase_id, f.run, r.suite, p.name AS package, f.version, v.name AS variant, f.name AS phase, lower(hex(k.key)) AS key,"
	"  nullif(k.upon, 0) AS upon, lower(hex(k.digest)) AS digest, k.bytes, k.entries, k.saves_ms, k.made_ms, k.used_ms, k.uses,"
	"  (SELECT count(*) FROM run o WHERE o.suite = r.suite AND o.id > f.run) AS chances, k.in_use"
	" FROM kept k JOIN phase f ON f.id = k.phase JOIN run r ON r.id = f.run JOIN package p ON p.id = f.package"
	"  LEFT JOIN variant v ON v.run = f.run AND v.number = f.variant;",

	"CREATE VIEW v_segment AS SELECT"
	"  s.number AS segment, s.bytes, (SELECT count(*) FROM frame f WHERE f.segment = s.number) AS frames"
	" FROM segment s;",
	NULL,
};
/* clang-format on */
