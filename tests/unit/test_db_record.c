/* db/record.c: a run's life. */
#include "db_scratch.h"

#include "db/handle.h"

#include <errno.h>

static const struct db_result passed = {
	.status = "pass",
	.phase = "test",
	.reason = "ok",
	.limit = "none",
	.evidence_offset = -1,
	.evidence_length = 0,
	.ended_ms = 900,
};

static void a_run_is_recorded_from_its_beginning_to_its_end(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	assert_rows(d, "SELECT state, jobs, jobs_done, packages, ended_ms FROM v_run",
		    "running|4|0|2|-");
	assert_rows(d, "SELECT DISTINCT state FROM v_job", "waiting");
	int64_t fetch = life_phase(d, &l, 0, true, "fetch", 110);
	life_phase_end(d, fetch, 0, 4000000, 150);
	must(db_job_state(d, l.jobs[0].id, "running", &e));
	int64_t attempt = db_attempt_begin(d, l.jobs[0].id, 160, &e);
	must(attempt);
	int64_t test = life_phase(d, &l, 0, false, "test", 170);
	life_phase_end(d, test, 1, 2000000, 180);
	const int64_t ids[] = {fetch, test};
	const struct db_result r = {
		.status = "fail",
		.phase = "test",
		.reason = "test-failed",
		.exit_code = 1,
		.limit = "none",
		.evidence_offset = 40,
		.evidence_length = 9,
		.evidence = "not ok 1",
		.rule = "mocha",
		.phases = ids,
		.n_phases = 2,
		.ended_ms = 190,
	};
	must(db_result(d, l.jobs[0].id, attempt, &r, &e));
	assert_rows(d,
		    "SELECT package, version, variant, state, status, phase, reason, exit_code, "
		    "signal, limit_hit, rule, evidence,"
		    " evidence_offset, evidence_length, wall_ms, cpu_ms, peak_memory_bytes, log, "
		    "attempts FROM v_job WHERE state = 'done'",
		    "a|1.0|base|done|fail|test|test-failed|1|-|-|mocha|not ok "
		    "1|40|9|6000|4500|1048576|runs/1/a-base-test.zst|1");
	must(db_run_end(d, l.run, "done", 200, &e));
	assert_rows(d, "SELECT state, jobs_done, wall_ms FROM v_run", "done|1|100");
	assert_int_equal(number(d, "SELECT count(*) FROM v_job WHERE state = 'abandoned'"), 3);
	assert_sound(d);
}

static void a_run_begins_whole_or_not_at_all(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	static const struct db_variant variants[] = {{.name = "base"}};
	const struct db_run run = {.suite = "s", .pid = 1, .started_ms = 1, .jobs_at_once = 1};
	struct db_job twice[] = {{0, "a", NULL, "base", NULL, NULL},
				 {0, "a", NULL, "base", NULL, NULL}},
		      nowhere[] = {{0, "a", NULL, "base", NULL, NULL},
				   {0, "b", NULL, "x", NULL, NULL}};
	assert_int_equal(db_run_begin(d, &run, variants, 1, twice, 2, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_int_equal(twice[0].id, 0);
	assert_int_equal(db_run_begin(d, &run, variants, 1, nowhere, 2, &e), -1);
	assert_non_null(strstr(e.text, "no variant x"));
	assert_int_equal(number(d, "SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM job) "
				   "+ (SELECT count(*) FROM variant)"
				   " + (SELECT count(*) FROM package)"),
			 0);
}

static void what_is_not_recorded_is_not_kept(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	struct life l = life_begin(s->db, 100);
	int64_t attempt = db_attempt_begin(s->db, l.jobs[0].id, 110, &e);
	int64_t phase = life_phase(s->db, &l, 0, false, "test", 120);
	db_close(s->db);
	s->db = db_open(s->file, DB_WRITE, &e);
	assert_non_null(s->db);
	assert_rows(s->db, "SELECT ended_as, ended_ms, exit_code, wall_us, log_sha256 FROM v_phase",
		    "-|-|-|-|-");
	assert_rows(s->db, "SELECT count(*), count(ended_ms) FROM attempt", "1|0");
	assert_int_equal(number(s->db, "SELECT count(*) FROM v_result"), 0);
	must(attempt);
	must(phase);
}

static void a_result_is_given_exactly_once_per_attempt(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t attempt = db_attempt_begin(d, l.jobs[0].id, 110, &e);
	struct db_result again = passed;
	again.status = "fail", again.reason = "exit";
	must(db_result(d, l.jobs[0].id, attempt, &passed, &e));
	assert_int_equal(db_result(d, l.jobs[0].id, attempt, &again, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_int_equal(db_result(d, l.jobs[1].id, attempt, &again, &e), -1);
	assert_rows(d, "SELECT status, reason FROM v_result", "pass|ok");
	assert_int_equal(number(d, "SELECT count(*) FROM v_job WHERE state = 'done'"), 1);
	must(attempt);
}

static void attempts_are_numbered_and_the_last_one_counts(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	struct db_result failed = passed;
	failed.status = "fail", failed.reason = "exit";
	int64_t first = db_attempt_begin(d, l.jobs[0].id, 110, &e);
	must(db_result(d, l.jobs[0].id, first, &failed, &e));
	int64_t second = db_attempt_begin(d, l.jobs[0].id, 120, &e);
	must(db_result(d, l.jobs[0].id, second, &passed, &e));
	assert_rows(d, "SELECT attempt_number, status FROM v_result ORDER BY 1", "1|fail\n2|pass");
	assert_rows(d,
		    "SELECT attempts, status FROM v_job WHERE package = 'a' AND variant = 'base'",
		    "2|pass");
}

static void words_are_closed(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t attempt = db_attempt_begin(d, l.jobs[0].id, 110, &e),
		phase = life_phase(d, &l, 0, false, "test", 120);
	static const struct {
		const char *status, *reason;
	} wrong[] = {{"pass", "exit"},  {"fail", "ok"},  {"fail", "wall-time"},
		     {"infra", "exit"}, {"maybe", "ok"}, {"fail", "because"},
		     {"", ""}};
	for (size_t i = 0; i < countof(wrong); i++) {
		struct db_result r = passed;
		r.status = wrong[i].status, r.reason = wrong[i].reason;
		assert_int_equal(db_result(d, l.jobs[0].id, attempt, &r, &e), -1);
	}
	assert_int_equal(db_job_state(d, l.jobs[0].id, "sleeping", &e), -1);
	assert_int_equal(db_run_end(d, l.run, "running", 200, &e), -1);
	assert_int_equal(db_run_end(d, l.run, "finished", 200, &e), -1);
	struct db_facts f = life_facts(0, 1, 130);
	f.end = "vanished";
	assert_int_equal(db_phase_end(d, phase, &f, &e), -1);
	struct db_phase p = {
		.run = l.run, .package = "a", .name = "x", .network = "some", .started_ms = 1};
	assert_int_equal(db_phase_begin(d, &p, &e), -1);
	p.network = "none", p.variant = "later";
	assert_int_equal(db_phase_begin(d, &p, &e), -1);
	p.variant = NULL, p.package = "unheard-of";
	assert_int_equal(db_phase_begin(d, &p, &e), -1);
	assert_int_equal(number(d, "SELECT count(*) FROM v_result"), 0);
	assert_rows(d, "SELECT state FROM v_run", "running");
	assert_rows(d, "SELECT count(*), count(ended_as) FROM v_phase", "1|0");
	assert_sound(d);
}

static void a_phase_ends_once_and_keeps_its_facts(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, false, "test", 120);
	struct db_facts f = life_facts(-1, 7000, 130);
	f.end = "limited", f.limit = "memory", f.signal = 9, f.limit_bound = 1000,
	f.limit_value = 1001, f.oom_kills = 3, f.core = true;
	f.processes_refused = 4, f.store_bytes = 5, f.store_files = 6, f.upper_bytes = 7,
	f.output_bytes = 8, f.error = "E";
	f.processes_peak = 11, f.io_read_bytes = 12, f.io_write_bytes = 13, f.disk_bytes = 14,
	f.disk_inodes = 15, f.throttled = 16, f.throttled_us = 17, f.stalled_memory_us = 18,
	f.stalled_cpu_us = 19, f.executor = "native", f.profile = "default+kvm", f.uppers = "tmpfs",
	f.processes = "2 1 S 0 4 sh\n", f.network_lost = true;
	must(db_phase_end(d, phase, &f, &e));
	f.end = "exited";
	assert_int_equal(db_phase_end(d, phase, &f, &e), -1);
	/* who had no network of its own lost none */
	assert_rows(d, "SELECT network, network_lost FROM v_phase", "none|-");
	assert_rows(d,
		    "SELECT ended_as, limit_hit, limit_bound, limit_value, exit_code, signal, "
		    "core, oom_kills, processes_refused, store_bytes,"
		    " store_files, upper_bytes, output_bytes, error, setup_us, wall_us, "
		    "cpu_user_us, cpu_system_us, peak_memory_bytes, cgroup,"
		    " log_bytes, log_stored_bytes, substr(log_sha256, 1, 4), length(log_sha256), "
		    "ended_ms FROM v_phase",
		    "limited|memory|1000|1001|-|9|1|3|4|5|6|7|8|E|1900|7000|3500|1750|1048576|v2|"
		    "10|20|aaaa|64|130");
	assert_rows(d,
		    "SELECT processes_peak, io_read_bytes, io_write_bytes, disk_bytes, "
		    "disk_inodes, throttled, throttled_us, stalled_memory_us, stalled_cpu_us,"
		    " stalled_io_us, executor, profile, uppers, processes FROM v_phase",
		    "11|12|13|14|15|16|17|18|19|-|native|default+kvm|tmpfs|2 1 S 0 4 sh\n");
}

static void a_network_that_was_lost_is_told(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	struct db_facts f = life_facts(0, 7000, 130);
	f.network_lost = true;
	struct db_phase nat = {
		.run = l.run, .package = "a", .name = "reach", .network = "nat", .started_ms = 121};
	int64_t reach = db_phase_begin(d, &nat, &e);
	must(db_phase_end(d, reach, &f, &e));
	assert_rows(d, "SELECT network, network_lost FROM v_phase WHERE phase = 'reach'", "nat|1");
}

static void hostile_bytes_come_back_as_text_that_can_be_shown(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t attempt = db_attempt_begin(d, l.jobs[0].id, 110, &e);
	auto_free char *long_one = own_calloc(1, 9001);
	memset(long_one, '\'', 9000);
	struct db_result r = passed;
	r.evidence = "\xff\x01'; DROP TABLE run; --\xc3\xa9\xed\xa0\x80\n\xf0\x9f\x98\x80\xc3";
	must(db_result(d, l.jobs[0].id, attempt, &r, &e));
	assert_rows(d, "SELECT evidence FROM v_result",
		    "\xef\xbf\xbd\x01'; DROP TABLE run; "
		    "--\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n\xf0\x9f\x98\x80\xef\xbf\xbd");
	r.evidence = long_one;
	int64_t other = db_attempt_begin(d, l.jobs[1].id, 110, &e);
	must(db_result(d, l.jobs[1].id, other, &r, &e));
	assert_int_equal(number(d, "SELECT length(evidence) FROM v_result WHERE variant = 'next'"),
			 4096);
}

static void abandoning_ends_what_a_dead_process_left_and_nothing_else(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life over = life_begin(d, 100);
	must(db_run_end(d, over.run, "interrupted", 150, &e));
	struct life dead = life_begin(d, 200);
	int64_t attempt = db_attempt_begin(d, dead.jobs[0].id, 210, &e);
	must(db_result(d, dead.jobs[0].id, attempt, &passed, &e));
	must(db_job_state(d, dead.jobs[1].id, "running", &e));
	assert_int_equal(db_runs_abandon(d, &e), 1);
	assert_rows(d, "SELECT run, state, ended_ms FROM v_run ORDER BY run",
		    "1|interrupted|150\n2|aborted|900");
	assert_rows(d, "SELECT state, count(*) FROM v_job WHERE run = 2 GROUP BY state",
		    "abandoned|3\ndone|1");
	assert_int_equal(db_runs_abandon(d, &e), 0);
	assert_int_equal(db_run_end(d, dead.run, "done", 999, &e), -1);
	assert_rows(d, "SELECT state FROM v_run WHERE run = 2", "aborted");
}

static void what_is_recorded_together_is_kept_or_undone_together(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	must(db_together(d, &e));
	int64_t attempt = db_attempt_begin(d, l.jobs[0].id, 130, &e);
	struct db_result wrong = passed;
	wrong.reason = "boredom";
	assert_int_equal(db_result(d, l.jobs[0].id, attempt, &wrong, &e), -1);
	must(db_result(d, l.jobs[0].id, attempt, &passed, &e)); /* alone it was undone */
	must(db_attempt_begin(d, l.jobs[1].id, 131, &e));
	must(db_together_end(d, &e));
	assert_rows(d, "SELECT job, ended_ms FROM attempt ORDER BY id", "1|900\n2|-");
	assert_rows(d, "SELECT status FROM result", "pass");
	must(db_together(d, &e));
	must(db_attempt_begin(d, l.jobs[2].id, 132, &e));
	assert_int_equal(sqlite3_exec(d->h, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(db_attempt_begin(d, l.jobs[3].id, 133, &e), -1);
	assert_int_equal(db_together_end(d, &e), -1);
	assert_non_null(strstr(e.text, "was undone"));
	assert_rows(d, "SELECT count(*) FROM attempt", "2");
	must(db_attempt_begin(d, l.jobs[2].id, 134, &e));
	assert_sound(d);
}

static void a_run_is_gone_on_with_from_what_is_recorded(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	assert_int_equal(db_run_resume(d, l.run, 9, 3, 150, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	static const char *const ends[][2] = {{"pass", "ok"}, {"infra", "enospc"}};
	for (size_t i = 0; i < 2; i++) {
		struct db_result r = passed;
		int64_t attempt = db_attempt_begin(d, l.jobs[i].id, 130, &e);
		r.status = ends[i][0];
		r.reason = ends[i][1];
		must(db_result(d, l.jobs[i].id, attempt, &r, &e));
	}
	must(db_job_state(d, l.jobs[2].id, "running", &e));
	must(db_attempt_begin(d, l.jobs[2].id, 140, &e));
	must(db_runs_abandon(d, &e));
	auto_free char *run = own_fmt("%lld", (long long)l.run);
	const char *arg = run;
	assert_named(d, "unfinished", &arg, 1, "2|a|next\n3|b|base\n4|b|next");
	assert_named(d, "resumable", NULL, 0, run);
	assert_int_equal(db_run_resume(d, l.run, 9, 3, 1000, &e), 1);
	assert_rows(d, "SELECT from_ms, to_ms FROM pause ORDER BY 1", "900|1000");
	assert_rows(d, "SELECT state, pid, jobs_at_once, resumed, ended_ms FROM v_run",
		    "running|9|3|1|-");
	assert_rows(d, "SELECT state FROM job ORDER BY id", "done\nwaiting\nwaiting\nwaiting");
	assert_rows(d, "SELECT job FROM attempt ORDER BY id", "1\n2");
	assert_named(d, "resumable", NULL, 0, "");
	must(db_run_end(d, l.run, "interrupted", 1900, &e));
	/* a clock that was put back makes no time */
	assert_int_equal(db_run_resume(d, l.run, 9, 3, 800, &e), 2);
	assert_rows(d, "SELECT from_ms, to_ms FROM pause ORDER BY 1", "900|1000\n1900|1900");
	assert_sound(d);
}

/* One buffer for all rows, as fill may have; the job at fails_at is refused. */
struct filling {
	char text[16], key[65];
	size_t fails_at;
};

static int fill(void *ctx, size_t i, struct db_job *job, struct err *e)
{
	struct filling *f = ctx;
	if (i == f->fails_at)
		return err_set(e, ERR_INPUT, "no inputs of job %zu", i);
	snprintf(f->text, sizeof(f->text), "text %zu", i);
	memset(f->key, 'a' + (int)i, 64);
	f->key[64] = '\0';
	job->inputs = f->text;
	job->input_key = f->key;
	return 0;
}

static void what_a_job_is_given_can_be_told_row_by_row(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct filling f = {.fails_at = 1};
	static const struct db_variant variants[] = {{.name = "base"}};
	const struct db_run run = {.suite = "s",
				   .pid = 1,
				   .started_ms = 1,
				   .jobs_at_once = 1,
				   .fill = fill,
				   .ctx = &f};
	struct db_job jobs[] = {{0, "a", "1", "base", NULL, NULL},
				{0, "b", "2", "base", NULL, NULL}};
	assert_int_equal(db_run_begin(d, &run, variants, 1, jobs, 2, &e), -1);
	assert_non_null(strstr(e.text, "no inputs of job 1"));
	assert_int_equal(jobs[0].id, 0);
	assert_int_equal(number(d,
				"SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM job)"),
			 0);
	f.fails_at = 2;
	must(db_run_begin(d, &run, variants, 1, jobs, 2, &e));
	assert_true(jobs[0].id && jobs[1].id && jobs[0].id != jobs[1].id);
	assert_null(jobs[0].inputs);
	assert_rows(d,
		    "SELECT p.name, j.inputs, lower(substr(hex(j.input_key), 61)) FROM job j JOIN "
		    "package p ON p.id = j.package ORDER BY j.id",
		    "a|text 0|aaaa\nb|text 1|bbbb");
	assert_sound(d);
}

/* What the database's file system says to writes that belong to a commit. */
static int write_error;

static ssize_t write_refused(int fd, const void *p, size_t n, off_t at)
{
	(void)fd, (void)p, (void)n, (void)at;
	errno = write_error;
	return -1;
}

static void a_commit_that_the_kernel_refuses_says_why(void **state)
{
	static const int refusals[] = {ENOSPC, EDQUOT, EIO};
	struct db *d = ((struct scratch *)*state)->db;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	for (size_t i = 0; i < countof(refusals); i++) {
		struct err e = ERR_INIT;
		write_error = refusals[i];
		must(db_together(d, &e));
		must(life_begin(d, 100).run);
		assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64",
						     (sqlite3_syscall_ptr)write_refused),
				 SQLITE_OK);
		int rc = db_together_end(d, &e);
		vfs->xSetSystemCall(vfs, "pwrite64", NULL);
		assert_int_equal(rc, -1);
		assert_int_equal(e.sys, refusals[i]);
		assert_non_null(strstr(e.text, strerror(refusals[i])));
		assert_int_equal(number(d, "SELECT count(*) FROM v_run"), 0);
	}
	assert_true(life_begin(d, 100).run > 0);
	assert_sound(d);
}

/* A transaction larger than the cache writes before its end. */
static void what_was_undone_with_others_is_told_why(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT, first = ERR_INIT;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	write_error = ENOSPC;
	must(db_script(d, "PRAGMA cache_size=4; PRAGMA cache_spill=4", &e));
	must(db_together(d, &e));
	vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)write_refused);
	int rc = db_script(d,
			   "CREATE TABLE much AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT "
			   "i + 1 FROM n LIMIT 2000) SELECT i, randomblob(2000) FROM n",
			   &first);
	vfs->xSetSystemCall(vfs, "pwrite64", NULL);
	assert_int_equal(rc, -1);
	assert_int_equal(first.sys, ENOSPC);
	assert_int_equal(db_do(d, &e, "PRAGMA user_version", ""), -1);
	assert_int_equal(e.sys, ENOSPC);
	assert_int_equal(db_together_end(d, &e), -1);
	assert_int_equal(e.sys, ENOSPC);
	assert_non_null(strstr(e.text, strerror(ENOSPC)));
	assert_true(life_begin(d, 100).run > 0);
	assert_sound(d);
}

static ssize_t read_refused(int fd, void *p, size_t n, off_t at)
{
	(void)fd, (void)p, (void)n, (void)at;
	errno = EIO;
	return -1;
}

static void what_the_disk_does_not_read_is_not_called_damaged(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	struct db_table *t = NULL;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	assert_true(life_begin(s->db, 100).run > 0);
	struct db *d = db_open(s->file, DB_READ, &e);
	assert_non_null(d);
	vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)read_refused);
	int rc = db_query(d, "SELECT count(*) FROM v_run", NULL, 0, &t, &e);
	vfs->xSetSystemCall(vfs, "pread64", NULL);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EIO);
	assert_int_equal(number(d, "SELECT count(*) FROM v_run"), 1);
	db_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_run_is_recorded_from_its_beginning_to_its_end),
		scratch_test(a_run_begins_whole_or_not_at_all),
		scratch_test(what_a_job_is_given_can_be_told_row_by_row),
		scratch_test(what_is_not_recorded_is_not_kept),
		scratch_test(a_result_is_given_exactly_once_per_attempt),
		scratch_test(attempts_are_numbered_and_the_last_one_counts),
		scratch_test(words_are_closed),
		scratch_test(a_phase_ends_once_and_keeps_its_facts),
		scratch_test(a_network_that_was_lost_is_told),
		scratch_test(hostile_bytes_come_back_as_text_that_can_be_shown),
		scratch_test(what_is_recorded_together_is_kept_or_undone_together),
		scratch_test(a_run_is_gone_on_with_from_what_is_recorded),
		scratch_test(a_commit_that_the_kernel_refuses_says_why),
		scratch_test(what_was_undone_with_others_is_told_why),
		scratch_test(what_the_disk_does_not_read_is_not_called_damaged),
		scratch_test(abandoning_ends_what_a_dead_process_left_and_nothing_else),
	};
	return cmocka_run_group_tests_name("db_record", tests, NULL, NULL);
}
