/* assay.db: one SQLite file (application_id "assy", user_version = the last step below, WAL).
 *
 * Times are ms since 1970 UTC, durations µs, sizes bytes. Digests are 32-byte blobs, file names
 * blobs: they need not be UTF-8. A variant is (run, number), numbers as the suite lists them. Rows
 * of a run go with it (ON DELETE CASCADE); what a store holds does not. Closed word lists that
 * other rooms append to (reason) are tables, so that a new word is a row and not a new table.
 *
 * A step, once released, never changes: a later one follows it. */
#include "db/schema.h"

#include "db/handle.h"

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE package ("
	"  id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE CHECK (name <> '')"
	") STRICT;"

	"CREATE TABLE run ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT," /* reports are named by it: never given again */
	"  suite TEXT NOT NULL,"
	"  suite_path TEXT, suite_sha256 TEXT, ecosystem TEXT, goal TEXT,"
	"  compare_base TEXT, compare_next TEXT,"
	"  host TEXT, version TEXT, engine TEXT,"
	"  pid INTEGER NOT NULL, jobs_at_once INTEGER NOT NULL,"
	"  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'interrupted', 'aborted')),"
	"  started_ms INTEGER NOT NULL,"
	"  ended_ms INTEGER CHECK ((ended_ms IS NULL) = (state = 'running'))"
	") STRICT;"

	"CREATE TABLE variant ("
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  number INTEGER NOT NULL CHECK (number >= 0),"
	"  name TEXT NOT NULL CHECK (name <> ''),"
	"  layers TEXT, env TEXT,"
	"  PRIMARY KEY (run, number), UNIQUE (run, name)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE job ("
	"  id INTEGER PRIMARY KEY,"
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  package INTEGER NOT NULL REFERENCES package,"
	"  variant INTEGER NOT NULL,"
	"  version TEXT,"
	"  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'abandoned')),"
	"  UNIQUE (run, package, variant),"
	"  FOREIGN KEY (run, variant) REFERENCES variant ON DELETE CASCADE"
	") STRICT;"
	"CREATE INDEX job_by_package ON job (package, run);"

	"CREATE TABLE attempt ("
	"  id INTEGER PRIMARY KEY,"
	"  job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,"
	"  number INTEGER NOT NULL CHECK (number >= 1),"
	"  started_ms INTEGER NOT NULL, ended_ms INTEGER,"
	"  UNIQUE (job, number)"
	") STRICT;"

	"CREATE TABLE store ("
	"  id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE CHECK (name <> ''),"
	"  current INTEGER REFERENCES generation" /* NULL: empty */
	") STRICT;"

	"CREATE TABLE layer ("
	"  id INTEGER PRIMARY KEY,"
	"  digest TEXT NOT NULL UNIQUE CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),"
	"  entries INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	"  made_ms INTEGER NOT NULL,"
	"  source TEXT"
	") STRICT;"

	"CREATE TABLE layer_name ("
	"  name TEXT PRIMARY KEY CHECK (name <> ''),"
	"  layer INTEGER NOT NULL REFERENCES layer,"
	"  made_ms INTEGER NOT NULL,"
	"  source TEXT"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX layer_name_by_layer ON layer_name (layer);"

	"CREATE TABLE generation ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  store INTEGER NOT NULL REFERENCES store,"
	"  parent INTEGER REFERENCES generation ON DELETE SET NULL,"
	"  made_by TEXT NOT NULL CHECK (made_by IN ('publish', 'flatten')),"
	"  made_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX generation_by_store ON generation (store);"

	"CREATE TABLE generation_layer ("
	"  generation INTEGER NOT NULL REFERENCES generation ON DELETE CASCADE,"
	"  position INTEGER NOT NULL CHECK (position >= 0)," /* 0 is uppermost */
	"  layer INTEGER NOT NULL REFERENCES layer,"
	"  PRIMARY KEY (generation, position)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX generation_layer_by_layer ON generation_layer (layer);"

	"CREATE TABLE phase ("
	"  id INTEGER PRIMARY KEY,"
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  package INTEGER NOT NULL REFERENCES package,"
	"  variant INTEGER," /* NULL: shared by all variants */
	"  version TEXT,"
	"  name TEXT NOT NULL,"
	"  network TEXT NOT NULL CHECK (network IN ('none', 'host')),"
	"  generation INTEGER REFERENCES generation ON DELETE SET NULL,"
	"  log TEXT,"
	"  started_ms INTEGER NOT NULL,"
	"  ended_ms INTEGER," /* NULL: running, or assay was killed meanwhile; the facts below are NULL then */
	"  ended_as TEXT CHECK (ended_as IN ('exited', 'signalled', 'limited', 'cancelled', 'failed')),"
	"  exit_code INTEGER, signal INTEGER, core INTEGER CHECK (core IN (0, 1)),"
	"  limit_name TEXT, limit_bound INTEGER, limit_value INTEGER,"
	"  setup_us INTEGER, wall_us INTEGER, cpu_user_us INTEGER, cpu_system_us INTEGER,"
	"  peak_memory INTEGER, output_bytes INTEGER, oom_kills INTEGER, processes_refused INTEGER,"
	"  cgroup TEXT, error TEXT,"
	"  log_bytes INTEGER, log_stored INTEGER, log_sha256 BLOB CHECK (length(log_sha256) = 32),"
	"  store_bytes INTEGER, store_files INTEGER, upper_bytes INTEGER,"
	"  CHECK ((ended_ms IS NULL) = (ended_as IS NULL)),"
	"  FOREIGN KEY (run, variant) REFERENCES variant ON DELETE CASCADE"
	") STRICT;"
	"CREATE INDEX phase_by_run ON phase (run, package);"

	"CREATE TABLE attempt_phase ("
	"  attempt INTEGER NOT NULL REFERENCES attempt ON DELETE CASCADE,"
	"  ordinal INTEGER NOT NULL,"
	"  phase INTEGER NOT NULL REFERENCES phase ON DELETE CASCADE,"
	"  PRIMARY KEY (attempt, ordinal)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX attempt_phase_by_phase ON attempt_phase (phase);"

	"CREATE TABLE reason ("
	"  status TEXT NOT NULL CHECK (status IN ('pass', 'fail', 'crash', 'kill', 'block', 'skip', 'infra')),"
	"  name TEXT NOT NULL,"
	"  PRIMARY KEY (status, name)"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO reason VALUES ('pass', 'ok'),"
	"  ('fail', 'exit'), ('fail', 'test-failed'), ('fail', 'compile-error'), ('fail', 'missing-file'), ('fail', 'missing-dep'),"
	"  ('fail', 'net-denied'), ('fail', 'unknown'),"
	"  ('crash', 'segv'), ('crash', 'abrt'), ('crash', 'bus'), ('crash', 'ill'), ('crash', 'fpe'), ('crash', 'sys'),"
	"  ('crash', 'other-signal'),"
	"  ('kill', 'wall-time'), ('kill', 'cpu-time'), ('kill', 'silence'), ('kill', 'idle'), ('kill', 'memory'), ('kill', 'processes'),"
	"  ('kill', 'disk'), ('kill', 'inodes'), ('kill', 'log-size'), ('kill', 'cancelled'),"
	"  ('block', 'dep-failed'), ('block', 'unresolvable'), ('block', 'bad-manifest'), ('block', 'source-gone'), ('block', 'unsupported'),"
	"  ('skip', 'listed'), ('skip', 'filtered'), ('skip', 'unchanged'), ('skip', 'nothing-to-do'), ('skip', 'budget'),"
	"  ('infra', 'enospc'), ('infra', 'host-oom'), ('infra', 'box-start'), ('infra', 'store'), ('infra', 'fetch'),"
	"  ('infra', 'host-lost'), ('infra', 'harness');"

	"CREATE TABLE result ("
	"  attempt INTEGER PRIMARY KEY REFERENCES attempt ON DELETE CASCADE,"
	"  status TEXT NOT NULL,"
	"  phase TEXT NOT NULL,"
	"  reason TEXT NOT NULL,"
	"  exit_code INTEGER, signal INTEGER, limit_name TEXT,"
	"  evidence_offset INTEGER, evidence_length INTEGER, evidence TEXT,"
	"  rule TEXT,"
	"  FOREIGN KEY (status, reason) REFERENCES reason"
	") STRICT;"

	"CREATE TABLE harvest ("
	"  id INTEGER PRIMARY KEY,"
	"  phase INTEGER REFERENCES phase ON DELETE SET NULL,"
	"  store INTEGER NOT NULL REFERENCES store,"
	"  seen INTEGER REFERENCES generation ON DELETE SET NULL," /* harvested against; NULL: an empty store */
	"  generation INTEGER REFERENCES generation ON DELETE SET NULL," /* what it made; NULL: nothing worth one, or collected since */
	"  layer INTEGER REFERENCES layer ON DELETE SET NULL," /* likewise */
	"  added INTEGER NOT NULL, replaced INTEGER NOT NULL, merged INTEGER NOT NULL, identical INTEGER NOT NULL,"
	"  dropped INTEGER NOT NULL, conflicts INTEGER NOT NULL, deleted INTEGER NOT NULL, refused INTEGER NOT NULL,"
	"  bytes INTEGER NOT NULL,"
	"  made_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX harvest_by_phase ON harvest (phase);"
	"CREATE INDEX harvest_by_generation ON harvest (generation);"
	"CREATE INDEX harvest_by_layer ON harvest (layer);"

	"CREATE TABLE segment ("
	"  number INTEGER PRIMARY KEY CHECK (number >= 1),"
	"  bytes INTEGER NOT NULL CHECK (bytes >= 0)" /* committed length; what follows in the file does not count */
	") STRICT;"

	"CREATE TABLE frame ("
	"  segment INTEGER NOT NULL REFERENCES segment,"
	"  offset INTEGER NOT NULL CHECK (offset >= 0),"
	"  bytes INTEGER NOT NULL CHECK (bytes > 0),"
	"  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
	"  harvest INTEGER NOT NULL REFERENCES harvest,"
	"  PRIMARY KEY (segment, offset)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX frame_by_harvest ON frame (harvest);"

	/* One row per path that a harvest brought into its store. The layer is the harvest's: two stores may share one. The index is
	 * on the text because v_entry shows that: asking a view for one path must not read the table. */
	"CREATE TABLE entry ("
	"  harvest INTEGER NOT NULL REFERENCES harvest,"
	"  path BLOB NOT NULL,"
	"  change TEXT NOT NULL CHECK (change IN ('added', 'replaced', 'merged')),"
	"  type TEXT NOT NULL CHECK (type IN ('f', 'd', 'l')),"
	"  mode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,"
	"  sha256 BLOB CHECK (length(sha256) = 32),"
	"  target BLOB,"
	"  CHECK ((type = 'f') = (sha256 IS NOT NULL)), CHECK ((type = 'l') = (target IS NOT NULL)),"
	"  PRIMARY KEY (harvest, path)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX entry_by_path ON entry (CAST(path AS TEXT));"
	"CREATE INDEX entry_by_sha256 ON entry (sha256) WHERE sha256 IS NOT NULL;"

	"CREATE TABLE harvest_note (" /* what was seen and not taken */
	"  harvest INTEGER NOT NULL REFERENCES harvest ON DELETE CASCADE,"
	"  ordinal INTEGER NOT NULL,"
	"  change TEXT NOT NULL CHECK (change IN ('conflict', 'refused', 'deleted', 'dropped')),"
	"  path BLOB NOT NULL,"
	"  type TEXT, size INTEGER, sha256 BLOB, target BLOB, reason TEXT,"
	"  PRIMARY KEY (harvest, ordinal)"
	") STRICT, WITHOUT ROWID;";

/* More of what was observed of a phase; NULL where nobody counted. processes: the table of them as
 * the box was ended. */
static const char step_2[] =
	"INSERT INTO reason VALUES ('kill', 'file-size');"
	"ALTER TABLE phase ADD COLUMN processes_peak INTEGER;"
	"ALTER TABLE phase ADD COLUMN io_read_bytes INTEGER;"
	"ALTER TABLE phase ADD COLUMN io_write_bytes INTEGER;"
	"ALTER TABLE phase ADD COLUMN disk_bytes INTEGER;"
	"ALTER TABLE phase ADD COLUMN disk_inodes INTEGER;"
	"ALTER TABLE phase ADD COLUMN throttled INTEGER;"
	"ALTER TABLE phase ADD COLUMN throttled_us INTEGER;"
	"ALTER TABLE phase ADD COLUMN stalled_memory_us INTEGER;"
	"ALTER TABLE phase ADD COLUMN stalled_cpu_us INTEGER;"
	"ALTER TABLE phase ADD COLUMN stalled_io_us INTEGER;"
	"ALTER TABLE phase ADD COLUMN executor TEXT;"
	"ALTER TABLE phase ADD COLUMN profile TEXT;"
	"ALTER TABLE phase ADD COLUMN uppers TEXT;"
	"ALTER TABLE phase ADD COLUMN processes TEXT;";

/* One network more: a column that is checked is made anew (lang_altertable). */
static const char step_3[] =
	"DROP VIEW IF EXISTS v_phase;"
	"ALTER TABLE phase ADD COLUMN reach TEXT NOT NULL DEFAULT 'none' CHECK (reach IN ('none', 'host', 'nat'));"
	"UPDATE phase SET reach = network;"
	"ALTER TABLE phase DROP COLUMN network;"
	"ALTER TABLE phase RENAME COLUMN reach TO network;"
	"ALTER TABLE phase ADD COLUMN network_lost INTEGER CHECK (network_lost IN (0, 1));"; /* NULL: none to lose */

static const char step_4[] = "INSERT INTO reason VALUES ('infra', 'network-lost');";

/* What a judgement needs to be made again, and when that was. */
static const char step_5[] =
	"ALTER TABLE phase ADD COLUMN host_full INTEGER CHECK (host_full IN (0, 1));" /* NULL: nobody noted it */
	"ALTER TABLE result ADD COLUMN revised_ms INTEGER;"; /* NULL: as it was first judged */

/* What failures have in common (orchestrator/signature.h). line: the first deciding line it was seen in. */
static const char step_6[] =
	"CREATE TABLE signature ("
	"  id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE CHECK (name <> ''),"
	"  text TEXT NOT NULL, line TEXT,"
	"  first_run INTEGER REFERENCES run ON DELETE SET NULL,"
	"  first_seen_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX signature_by_run ON signature (first_run);"
	"ALTER TABLE result ADD COLUMN signature INTEGER REFERENCES signature;" /* NULL: nothing to explain, or never looked for */
	"CREATE INDEX result_by_signature ON result (signature) WHERE signature IS NOT NULL;";

/* What a run that is gone on with must be given again (JSON of the command run), for how long it held
 * back, and what a phase took of the machine. */
static const char step_7[] =
	"ALTER TABLE run ADD COLUMN options TEXT;"
	"ALTER TABLE run ADD COLUMN held_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE run ADD COLUMN resumed INTEGER NOT NULL DEFAULT 0;" /* so many times */
	"ALTER TABLE phase ADD COLUMN cpus INTEGER NOT NULL DEFAULT 1;"; /* processors it held; 0: it waited for a network */

/* Repeats, and what a run's comparison says once it is over. An attempt that is no repeat is the run's own. A flake's variant is
 * a name: it lasts over runs; version and layers are those it was last seen with. */
static const char step_8[] =
	"ALTER TABLE attempt ADD COLUMN repeat INTEGER NOT NULL DEFAULT 0 CHECK (repeat IN (0, 1));"
	"ALTER TABLE run ADD COLUMN validity TEXT CHECK (validity IN ('valid', 'degraded', 'void'));" /* NULL: it did not come to its end, or is an older assay's */
	"ALTER TABLE run ADD COLUMN why TEXT;"
	"CREATE TABLE verdict ("
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  package INTEGER NOT NULL REFERENCES package,"
	"  verdict TEXT NOT NULL,"
	"  confidence TEXT NOT NULL CHECK (confidence IN ('single', 'likely', 'confirmed')),"
	"  base_runs INTEGER NOT NULL, base_passes INTEGER NOT NULL, next_runs INTEGER NOT NULL, next_passes INTEGER NOT NULL,"
	"  p REAL,"
	"  attribution TEXT CHECK (attribution IN ('root', 'inherited', 'shared')),"
	"  inherited_from INTEGER REFERENCES package,"
	"  signature INTEGER REFERENCES signature,"
	"  flake_rate REAL,"
	"  PRIMARY KEY (run, package)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX verdict_by_package ON verdict (package, run);"
	"CREATE INDEX verdict_that_differs ON verdict (verdict, run) WHERE verdict <> 'same';"
	"CREATE INDEX verdict_by_signature ON verdict (signature) WHERE signature IS NOT NULL;"
	"CREATE TABLE flake ("
	"  suite TEXT NOT NULL,"
	"  package INTEGER NOT NULL REFERENCES package,"
	"  variant TEXT NOT NULL, phase TEXT NOT NULL,"
	"  passed REAL NOT NULL, failed REAL NOT NULL, pending REAL NOT NULL, streak INTEGER NOT NULL,"
	"  rate REAL NOT NULL, known INTEGER NOT NULL CHECK (known IN (0, 1)),"
	"  version TEXT, layers TEXT,"
	"  nights INTEGER NOT NULL, last_run INTEGER NOT NULL,"
	"  PRIMARY KEY (suite, package, variant, phase)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX flake_by_package ON flake (package);"
	"CREATE TABLE baseline ("
	"  name TEXT PRIMARY KEY CHECK (name <> ''),"
	"  run INTEGER NOT NULL, variant INTEGER NOT NULL,"
	"  made_ms INTEGER NOT NULL,"
	"  FOREIGN KEY (run, variant) REFERENCES variant ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX baseline_by_run ON baseline (run, variant);";

/* What a suite knew of its packages when a run began. package is text: there need not be one; variant '': any. */
static const char step_9[] =
	"CREATE TABLE expectation ("
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  package TEXT NOT NULL, variant TEXT NOT NULL,"
	"  expect TEXT NOT NULL CHECK (expect IN ('fail', 'flaky', 'skip')),"
	"  reason TEXT NOT NULL, link TEXT, until TEXT,"
	"  PRIMARY KEY (run, package, variant)"
	") STRICT, WITHOUT ROWID;"
	"ALTER TABLE verdict ADD COLUMN known TEXT CHECK (known IN ('fail', 'flaky', 'skip'));";

/* What a generation is made of and by whom, so that one can be made current again, taken apart and
 * made anew from the segments. layer_harvest: what lies in a layer; in one made of several, all of
 * theirs. Generations of older versions have no chain. sighting: other packages that brought the same
 * bytes as an entry. */
static const char step_10[] =
	"DROP VIEW IF EXISTS v_store;"
	"ALTER TABLE generation ADD COLUMN chain BLOB CHECK (length(chain) = 32);"
	"ALTER TABLE generation ADD COLUMN how TEXT NOT NULL DEFAULT 'publish'"
	"  CHECK (how IN ('publish', 'flatten', 'found', 'import', 'rollback', 'revoke', 'collect'));"
	"UPDATE generation SET how = made_by;"
	"ALTER TABLE generation DROP COLUMN made_by;"
	"ALTER TABLE generation RENAME COLUMN how TO made_by;"
	"CREATE INDEX generation_by_chain ON generation (chain) WHERE chain IS NOT NULL;"

	"ALTER TABLE harvest ADD COLUMN job TEXT;" /* who made it, in words: what is left of a phase that is not known */
	"ALTER TABLE harvest ADD COLUMN refused_all TEXT;" /* why the whole of it was refused */
	"ALTER TABLE entry ADD COLUMN revoked_ms INTEGER;"

	"CREATE TABLE layer_harvest ("
	"  layer INTEGER NOT NULL REFERENCES layer ON DELETE CASCADE,"
	"  harvest INTEGER NOT NULL REFERENCES harvest ON DELETE CASCADE,"
	"  PRIMARY KEY (layer, harvest)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX layer_harvest_by_harvest ON layer_harvest (harvest);"
	"WITH RECURSIVE part (whole, layer) AS ("
	"  SELECT top.layer, below.layer FROM generation g"
	"   JOIN generation_layer top ON top.generation = g.id AND top.position = 0"
	"   JOIN generation_layer below ON below.generation = g.parent"
	"   WHERE g.made_by = 'flatten' AND below.layer NOT IN"
	"    (SELECT layer FROM generation_layer x WHERE x.generation = g.id AND x.position > 0)"
	"  UNION SELECT part.whole, below.layer FROM part"
	"   JOIN generation_layer top ON top.layer = part.layer AND top.position = 0"
	"   JOIN generation g ON g.id = top.generation AND g.made_by = 'flatten'"
	"   JOIN generation_layer below ON below.generation = g.parent"
	"   WHERE below.layer NOT IN (SELECT layer FROM generation_layer x WHERE x.generation = g.id AND x.position > 0)"
	")"
	"INSERT OR IGNORE INTO layer_harvest"
	"  SELECT layer, id FROM harvest WHERE layer IS NOT NULL"
	"  UNION SELECT part.whole, h.id FROM part JOIN harvest h ON h.layer = part.layer;"

	"CREATE TABLE sighting ("
	"  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
	"  package INTEGER NOT NULL REFERENCES package ON DELETE CASCADE,"
	"  PRIMARY KEY (sha256, package)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX sighting_by_package ON sighting (package);";

/* Only views are new (v_cost): they are made anew with each version. */
static const char step_11[] = "";

/* How much is in a run that is over, so that a list of runs does not count the jobs of years. NULL where it never ended since. */
static const char step_12[] =
	"ALTER TABLE run ADD COLUMN n_jobs INTEGER; ALTER TABLE run ADD COLUMN n_done INTEGER; ALTER TABLE run ADD COLUMN n_packages INTEGER;"
	"UPDATE run SET n_jobs = (SELECT count(*) FROM job j WHERE j.run = run.id),"
	"  n_done = (SELECT count(*) FROM job j WHERE j.run = run.id AND j.state = 'done'),"
	"  n_packages = (SELECT count(DISTINCT j.package) FROM job j WHERE j.run = run.id) WHERE state <> 'running';";

/* Layers that hold something that was revoked since; and what a generation that is forgotten has to be
 * taken out of. */
static const char step_13[] =
	"ALTER TABLE layer ADD COLUMN revoked_ms INTEGER;"
	"CREATE INDEX phase_by_generation ON phase (generation) WHERE generation IS NOT NULL;"
	"CREATE INDEX harvest_by_seen ON harvest (seen) WHERE seen IS NOT NULL;"
	"CREATE INDEX generation_by_parent ON generation (parent) WHERE parent IS NOT NULL;";

/* What a job's phases could see (orchestrator/inputs.h), and the result it was spared for: that of another
 * attempt with the same key. recheck: such an attempt there was, and the job ran all the same. */
static const char step_14[] =
	"ALTER TABLE run ADD COLUMN inputs TEXT;"
	"ALTER TABLE variant ADD COLUMN inputs TEXT;"
	"ALTER TABLE job ADD COLUMN inputs TEXT;"
	"ALTER TABLE job ADD COLUMN input_key BLOB CHECK (length(input_key) = 32);"
	"ALTER TABLE job ADD COLUMN unchanged INTEGER REFERENCES attempt ON DELETE SET NULL;"
	"ALTER TABLE job ADD COLUMN recheck INTEGER REFERENCES attempt ON DELETE SET NULL;"
	"CREATE INDEX job_by_input_key ON job (input_key) WHERE input_key IS NOT NULL;"
	"CREATE INDEX job_by_unchanged ON job (unchanged) WHERE unchanged IS NOT NULL;"
	"CREATE INDEX job_by_recheck ON job (recheck) WHERE recheck IS NOT NULL;";

/* What the packages of a run depend on among themselves. */
static const char step_15[] =
	"CREATE TABLE depends ("
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  package INTEGER NOT NULL REFERENCES package,"
	"  needs INTEGER NOT NULL REFERENCES package,"
	"  PRIMARY KEY (run, package, needs)"
	") STRICT, WITHOUT ROWID;";

/* How many of a phase's processes the machine's own want of memory killed. */
static const char step_16[] = "ALTER TABLE phase ADD COLUMN host_oom_kills INTEGER;"; /* NULL: none, or nobody counted */

/* A note of type w: the store does not show the path any more since that harvest. */
static const char step_17[] =
	"CREATE INDEX harvest_note_deleted ON harvest_note (CAST(path AS TEXT)) WHERE change = 'deleted' AND type = 'w';";

/* On which machine an attempt was made, and what the job whose answer is known came to on each. */
static const char step_18[] =
	"ALTER TABLE attempt ADD COLUMN host TEXT;" /* NULL: nobody noted it */
	"CREATE TABLE canary ("
	"  id INTEGER PRIMARY KEY,"
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  host TEXT NOT NULL,"
	"  answer TEXT NOT NULL CHECK (answer IN ('right', 'wrong')),"
	"  why TEXT CHECK ((why IS NULL) = (answer = 'right')),"
	"  wall_ms INTEGER NOT NULL, made_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX canary_by_run ON canary (run);";

/* Frozen uppers of phases that are kept for later runs: kept/<phase> below the state directory. key: what that phase could see
 * (orchestrator/inputs.h); upon: the phase whose kept uppers lay below it, 0: none did. in_use: a job that runs has them as its lowers. */
static const char step_19[] =
	"CREATE TABLE kept ("
	"  phase INTEGER PRIMARY KEY REFERENCES phase ON DELETE CASCADE,"
	"  key BLOB NOT NULL CHECK (length(key) = 32),"
	"  upon INTEGER NOT NULL,"
	"  digest BLOB NOT NULL CHECK (length(digest) = 32),"
	"  bytes INTEGER NOT NULL, entries INTEGER NOT NULL, saves_ms INTEGER NOT NULL,"
	"  made_ms INTEGER NOT NULL, used_ms INTEGER, uses INTEGER NOT NULL DEFAULT 0,"
	"  in_use INTEGER NOT NULL DEFAULT 0 CHECK (in_use IN (0, 1)),"
	"  UNIQUE (key, upon)"
	") STRICT;"
	"CREATE INDEX kept_by_upon ON kept (upon);";

/* For each row, SQLite (3.40) puts the words of an IN list of more than two into a table of its own to look its value up there:
 * a quarter of what recording a publish cost. Its rows and their checks are the same as before. */
static const char step_20[] =
	"ALTER TABLE entry RENAME TO entry_before;"
	"CREATE TABLE entry ("
	"  harvest INTEGER NOT NULL REFERENCES harvest,"
	"  path BLOB NOT NULL,"
	"  change TEXT NOT NULL CHECK (change = 'added' OR change = 'replaced' OR change = 'merged'),"
	"  type TEXT NOT NULL CHECK (type = 'f' OR type = 'd' OR type = 'l'),"
	"  mode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,"
	"  sha256 BLOB CHECK (length(sha256) = 32),"
	"  target BLOB, revoked_ms INTEGER,"
	"  CHECK ((type = 'f') = (sha256 IS NOT NULL)), CHECK ((type = 'l') = (target IS NOT NULL)),"
	"  PRIMARY KEY (harvest, path)"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO entry (harvest, path, change, type, mode, mtime_ns, size, sha256, target, revoked_ms)"
	"  SELECT harvest, path, change, type, mode, mtime_ns, size, sha256, target, revoked_ms FROM entry_before ORDER BY harvest, path;"
	"DROP TABLE entry_before;"
	"CREATE INDEX entry_by_path ON entry (CAST(path AS TEXT));"
	"CREATE INDEX entry_by_sha256 ON entry (sha256) WHERE sha256 IS NOT NULL;";

/* How many attempts of earlier runs had judged an unchanged job's inputs, all of them alike. */
static const char step_21[] = "ALTER TABLE job ADD COLUMN agreed INTEGER;"; /* NULL: none had, or nobody counted */

/* When a run that was gone on with did not: from the last that is known of it. */
static const char step_22[] =
	"CREATE TABLE pause ("
	"  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,"
	"  from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL CHECK (to_ms >= from_ms)"
	") STRICT;"
	"CREATE INDEX pause_by_run ON pause (run);";

/* What lies in a layer, and upon what (db/shown.h); before, it was by the harvests' own order. */
static const char step_23[] =
	"CREATE TABLE layer_part ("
	"  layer INTEGER NOT NULL REFERENCES layer ON DELETE CASCADE,"
	"  place INTEGER NOT NULL CHECK (place > 0)," /* the highest is uppermost */
	"  harvest INTEGER NOT NULL REFERENCES harvest ON DELETE CASCADE,"
	"  hides_from INTEGER NOT NULL CHECK (hides_from > 0),"
	"  PRIMARY KEY (layer, place)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX layer_part_by_harvest ON layer_part (harvest);"
	"INSERT INTO layer_part (layer, place, harvest, hides_from) SELECT layer, harvest, harvest, 1 FROM layer_harvest ORDER BY layer, harvest;"
	"DROP TABLE layer_harvest;";

/* Stores that demand the words of several packages (cache.h). harvest: trust, how many were demanded, NULL: one; package: whose
 * words it has; record: the id of a record of words alone. word: the first harvest in which a package said that these bytes (what:
 * a file's digest, a link's target; of a directory nothing) are at this path. pending: so few said so that nothing shows it. */
static const char step_24[] =
	"ALTER TABLE harvest ADD COLUMN trust INTEGER CHECK (trust > 1);"
	"ALTER TABLE harvest ADD COLUMN package TEXT;"
	"ALTER TABLE harvest ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE harvest ADD COLUMN record TEXT;"
	"CREATE INDEX harvest_by_record ON harvest (record) WHERE record IS NOT NULL;"
	"CREATE TABLE word ("
	"  store INTEGER NOT NULL REFERENCES store,"
	"  path BLOB NOT NULL,"
	"  type TEXT NOT NULL CHECK (type = 'f' OR type = 'd' OR type = 'l'),"
	"  what BLOB NOT NULL,"
	"  package TEXT NOT NULL,"
	"  harvest INTEGER NOT NULL REFERENCES harvest,"
	"  change TEXT NOT NULL," /* what it was in that harvest */
	"  mode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,"
	"  pending INTEGER NOT NULL CHECK (pending = 0 OR pending = 1),"
	"  revoked_ms INTEGER," /* it counts no more */
	"  PRIMARY KEY (store, path, type, what, package)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX word_by_harvest ON word (harvest);"
	"CREATE INDEX word_by_path ON word (CAST(path AS TEXT));"
	"CREATE INDEX word_pending ON word (store, path) WHERE pending = 1 AND revoked_ms IS NULL;";

/* Digests are asked for seldom and come with every publish: in an index over all of them each goes to
 * a page of its own, in one over some harvests a publish's go to a few (db/shown.h). */
static const char step_25[] =
	"DROP INDEX entry_by_sha256;"
	"CREATE INDEX entry_by_sha256 ON entry (harvest / 8, sha256) WHERE sha256 IS NOT NULL;";

static const char step_26[] = "ALTER TABLE run ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;"; /* only some packages of the suite were asked for */

/* New entries are in a tier of their publish's (db/tier.h). */
static const char step_27[] =
	"ALTER TABLE entry ADD COLUMN tier INTEGER NOT NULL DEFAULT 1;"
	"CREATE TABLE entry_tier ("
	"  number INTEGER PRIMARY KEY,"
	"  entries INTEGER NOT NULL," /* about so many */
	"  target INTEGER" /* the tier its entries go to; NULL: they stay */
	") STRICT;"
	"INSERT INTO entry_tier (number, entries) SELECT 1, count(*) FROM entry HAVING count(*) > 0;"
	"DROP INDEX entry_by_path;"
	"CREATE INDEX entry_by_path ON entry (tier, CAST(path AS TEXT));";

/* The digest of a frame says which one it is (cache/sum.h), and a publish's first frame has that of its record. */
static const char step_28[] =
	"ALTER TABLE frame RENAME TO frame_before;"
	"DROP INDEX frame_by_harvest;"
	"CREATE TABLE frame ("
	"  segment INTEGER NOT NULL REFERENCES segment,"
	"  offset INTEGER NOT NULL CHECK (offset >= 0),"
	"  bytes INTEGER NOT NULL CHECK (bytes > 0),"
	"  digest TEXT NOT NULL CHECK ((substr(digest, 1, 5) = 'xxh3:' AND length(digest) = 37)"
	"   OR (substr(digest, 1, 7) = 'sha256:' AND length(digest) = 71)),"
	"  record BLOB CHECK (length(record) = 32)," /* SHA-256; NULL: a later part's, or an older assay's */
	"  harvest INTEGER NOT NULL REFERENCES harvest,"
	"  PRIMARY KEY (segment, offset)"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO frame (segment, offset, bytes, digest, harvest)"
	"  SELECT segment, offset, bytes, 'sha256:' || lower(hex(sha256)), harvest FROM frame_before ORDER BY segment, offset;"
	"DROP TABLE frame_before;"
	"CREATE INDEX frame_by_harvest ON frame (harvest);";

/* From version i to version i + 1. */
const char *const schema_steps[] = {
	step_1,
	step_2,
	step_3,
	step_4,
	step_5,
	step_6,
	step_7,
	step_8,
	step_9,
	step_10,
	step_11,
	step_12,
	step_13,
	step_14,
	step_15,
	step_16,
	step_17,
	step_18,
	step_19,
	step_20,
	step_21,
	step_22,
	step_23,
	step_24,
	step_25,
	step_26,
	step_27,
	step_28,
};
/* clang-format on */

const int schema_current = countof(schema_steps);
