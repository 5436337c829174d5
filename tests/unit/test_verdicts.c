/* What is recorded of a run once it is over, night after night, and comparisons of any two sides.
 */
#include "db_scratch.h"

#include "orchestrator/commands.h"
#include "orchestrator/review.h"
#include "orchestrator/verdicts.h"

/* One letter per result, the job's own first, then repeats: p pass, f fail, s segv, i infra. */
static void judged(struct db *d, int64_t job, const char *letters)
{
	struct err e = ERR_INIT;
	for (const char *r = letters; *r; r++) {
		int64_t attempt = r == letters ? db_attempt_begin(d, job, 100, &e)
					       : db_repeat_begin(d, job, 200, &e);
		const struct db_result row = {
			.status = *r == 'p'   ? "pass"
				  : *r == 'f' ? "fail"
				  : *r == 's' ? "crash"
					      : "infra",
			.reason = *r == 'p'   ? "ok"
				  : *r == 'f' ? "exit"
				  : *r == 's' ? "segv"
					      : "store",
			.phase = "test",
			.evidence_offset = -1,
			.signature = {*r == 'f' ? "0123456789abcdef" : NULL, "x", "x"},
			.ended_ms = 300,
		};
		must(attempt);
		must(db_result(d, job, attempt, &row, &e));
	}
}

/* A night of packages a and b: results as above. Jobs as in struct life: a/base a/next b/base
 * b/next. */
static struct life night(struct db *d, const char *const results[4])
{
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	for (size_t i = 0; i < 4; i++)
		judged(d, l.jobs[i].id, results[i]);
	must(db_run_end(d, l.run, "done", 400, &e));
	must(verdicts_record(d, l.run, &e));
	return l;
}

static void a_run_s_verdicts_are_kept_with_what_they_rest_on(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	night(d, (const char *const[]){"ppppp", "fffff", "p", "p"});
	assert_rows(d,
		    "SELECT package, verdict, confidence, base_runs, base_passes, next_runs, "
		    "next_passes,"
		    " round(p, 4), attribution, cause FROM v_verdict ORDER BY package",
		    "a|regressed|confirmed|5|5|5|0|0.0143|root|0123456789abcdef\n"
		    "b|same|single|1|1|1|1|-|-|-");
	assert_rows(d, "SELECT validity, why FROM v_run", "valid|");
	/* the job's own result is what it was */
	assert_rows(d, "SELECT status, attempts FROM v_job WHERE package = 'a' ORDER BY job",
		    "pass|1\nfail|1");
	assert_sound(d);
}

static void packages_with_one_cause_share_it(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = night(d, (const char *const[]){"p", "f", "p", "f"});
	assert_rows(d, "SELECT attribution FROM v_verdict", "shared\nshared");
	struct review *r = review_load(d, l.run, NULL, NULL, &e);
	assert_non_null(r);
	assert_int_equal(r->n_causes, 1);
	assert_int_equal(r->causes[0].n, 2);
	assert_int_equal(r->causes[0].first_run, l.run);
	review_free(r);
}

static void what_a_dependency_did_is_inherited_from_it(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	static const struct db_need needs[] = {{"a", "b"}},
				    circle[] = {{"a", "b"}, {"b", "a"}, {"b", "b"}};
	struct life l = night(d, (const char *const[]){"p", "f", "p", "f"});
	must(db_depends(d, l.run, needs, 1, &e));
	must(verdicts_record(d, l.run, &e));
	assert_rows(d,
		    "SELECT package, attribution, inherited_from FROM v_verdict ORDER BY package",
		    "a|inherited|b\nb|shared|-");
	/* one that is well has nothing to hand on */
	l = night(d, (const char *const[]){"p", "f", "p", "p"});
	must(db_depends(d, l.run, needs, 1, &e));
	must(verdicts_record(d, l.run, &e));
	assert_rows(d,
		    "SELECT package, attribution, inherited_from FROM v_verdict WHERE run = 2 "
		    "ORDER BY package",
		    "a|root|-\nb|-|-");
	/* and a circle ends */
	l = night(d, (const char *const[]){"p", "f", "p", "f"});
	must(db_depends(d, l.run, circle, 3, &e));
	must(verdicts_record(d, l.run, &e));
	assert_rows(d,
		    "SELECT package, inherited_from FROM v_verdict WHERE run = 3 ORDER BY package",
		    "a|b\nb|a");
}

static void a_mixture_is_unstable_and_no_reason_to_exit_with_1(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = night(d, (const char *const[]){"pp", "fp", "ppp", "pfi"});
	assert_rows(d, "SELECT package, verdict FROM v_verdict", "a|unstable\nb|unstable");
	struct review *r = review_load(d, l.run, NULL, NULL, &e);
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_OK);
	auto_free char *sure = review_certainty(&r->pairs[0]);
	assert_non_null(strstr(sure, "2/2 → 1/2, p "));
	review_free(r);
}

static void what_was_seen_once_is_told_and_no_reason_to_exit_with_1(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = night(d, (const char *const[]){"p", "f", "p", "p"});
	struct review *r = review_load(d, l.run, NULL, NULL, &e);
	auto_free char *headline = review_headline(r);
	assert_non_null(strstr(headline, "1 regressed (1 of them not confirmed) of 2"));
	assert_int_equal(review_exit(r, REVIEW_FAIL_ON), EXIT_OK);
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_REGRESSED);
	review_free(r);
	/* two repeats a side agree and are too few; five are enough */
	l = night(d, (const char *const[]){"ppp", "fff", "p", "p"});
	r = review_load(d, l.run, NULL, NULL, &e);
	assert_int_equal(r->n_seen_once, 0);
	assert_int_equal(review_exit(r, REVIEW_FAIL_ON), EXIT_REGRESSED);
	assert_int_equal(review_exit(r, CONFIDENCE_CONFIRMED), EXIT_OK);
	review_free(r);
	l = night(d, (const char *const[]){"pppppp", "ffffff", "p", "p"});
	r = review_load(d, l.run, NULL, NULL, &e);
	assert_int_equal(review_exit(r, CONFIDENCE_CONFIRMED), EXIT_REGRESSED);
	review_free(r);
}

static void flake_rates_are_learned_once_from_each_night(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	night(d, (const char *const[]){"p", "fp", "p", "p"});
	assert_rows(d,
		    "SELECT package, variant, phase, known, round(passed), round(failed), nights "
		    "FROM v_flake",
		    "a|next|test|1|1|1|1");
	must(verdicts_record(d, 1, &e)); /* again */
	assert_rows(d, "SELECT nights FROM v_flake", "1");
	night(d, (const char *const[]){"p", "p", "p", "p"});
	assert_rows(d, "SELECT round(passed, 2), round(failed, 2), nights, last_run FROM v_flake",
		    "1.95|0.95|2|2");
	/* it is said beside the verdict */
	struct life l = night(d, (const char *const[]){"ppppp", "fffff", "p", "f"});
	assert_rows(d,
		    "SELECT package, verdict, confidence, flake_rate > 0.05 FROM v_verdict WHERE "
		    "run = 3",
		    "a|regressed|confirmed|1\nb|regressed|single|-");
	struct review *r = review_load(d, l.run, NULL, NULL, &e);
	auto_free char *sure = review_certainty(&r->pairs[0]);
	assert_non_null(strstr(sure, "flaky ("));
	review_free(r);
}

/* What broke is not called flaky, however long it stays so. */
static void what_is_broken_from_one_night_on_has_no_flake_rate(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	night(d, (const char *const[]){"ppppp", "fffff", "p", "f"});
	for (int i = 0; i < 5; i++)
		night(d, (const char *const[]){"p", "f", "p", "f"});
	assert_rows(d, "SELECT count(*) FROM v_flake WHERE known", "0");
	night(d, (const char *const[]){"p", "p", "p", "p"});
	assert_rows(d, "SELECT count(*) FROM v_flake WHERE known OR failed > 0", "0");
}

static struct review *between(struct db *d, const char *base, const char *next, struct err *e)
{
	*e = (struct err)ERR_INIT;
	return review_ask(d, base, next, NULL, NULL, e);
}

static void any_two_sides_can_be_compared(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	night(d, (const char *const[]){"p", "p", "f", "f"});
	night(d, (const char *const[]){"p", "f", "p", "pp"});
	struct review *r = between(d, "1", "2", &e); /* next of both */
	assert_string_equal(r->base, "next (run 1)");
	assert_string_equal(r->next, "next (run 2)");
	assert_int_equal(r->verdicts[VERDICT_REGRESSED], 1);
	assert_int_equal(r->verdicts[VERDICT_FIXED], 1);
	assert_int_equal(r->run, 2);
	assert_int_equal(r->base_run, 1);
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_REGRESSED);
	review_free(r);
	r = between(d, "2:base", "2:next", &e);
	assert_string_equal(r->base, "base");
	assert_int_equal(r->verdicts[VERDICT_REGRESSED], 1);
	review_free(r);
	r = between(d, "2:base", "1:base", &e);
	assert_int_equal(r->verdicts[VERDICT_REGRESSED], 1);
	assert_int_equal(r->verdicts[VERDICT_SAME], 1);
	review_free(r);
	must(db_baseline_save(d, "good", 1, "next", 5, &e));
	r = between(d, "@good", "2", &e);
	assert_int_equal(r->verdicts[VERDICT_REGRESSED], 1);
	review_free(r);
	assert_rows(d, "SELECT baseline, run, variant, validity FROM v_baseline",
		    "good|1|next|valid");
}

static void what_a_run_was_not_asked_for_is_not_gone(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	night(d, (const char *const[]){"p", "p", "p", "p"});
	struct db_job job = {.package = "a", .variant = "next"};
	const struct db_variant v = {.name = "next"};
	struct db_run run = {.suite = "s", .pid = 1, .started_ms = 1, .jobs_at_once = 1};
	for (int i = 0; i < 2; i++) {
		run.partial = i == 0;
		must(db_run_begin(d, &run, &v, 1, &job, 1, &e));
		judged(d, job.id, "f");
		must(db_run_end(d, 2 + i, "done", 400, &e));
	}
	assert_rows(d, "SELECT run, partial FROM v_run ORDER BY run", "1|0\n2|1\n3|0");
	struct review *r = between(d, "1", "2", &e);
	assert_int_equal(r->n_pairs, 1);
	assert_int_equal(r->n_not_asked, 1);
	auto_free char *told = review_headline(r);
	assert_string_equal(told,
			    "1 regressed (1 of them not confirmed) of 1 package, without 1 that "
			    "only one of the runs was asked for: next (run 1) → next (run 2)");
	review_free(r);
	r = between(d, "2", "1", &e);
	assert_int_equal(r->n_pairs, 1);
	assert_int_equal(r->verdicts[VERDICT_NEW], 0);
	review_free(r);
	/* a suite that has fewer packages */
	r = between(d, "1", "3", &e);
	assert_int_equal(r->verdicts[VERDICT_GONE], 1);
	assert_int_equal(r->n_not_asked, 0);
	review_free(r);
}

/* A baseline's repeats against what earlier runs said of tonight's side, which was spared. */
static void of_two_runs_repeats_stand_against_what_earlier_runs_said(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life first = night(d, (const char *const[]){"ppppp", "fffff", "p", "f"});
	struct life l = life_begin(d, 500);
	struct db_unchanged list[4];
	for (size_t i = 0; i < 4; i++) {
		auto_free char *own =
			own_fmt("SELECT min(attempt) FROM v_result WHERE job = %lld AND NOT repeat",
				(long long)first.jobs[i].id);
		list[i] = (struct db_unchanged){.job = l.jobs[i].id,
						.attempt = number(d, own),
						.run = first.run,
						.agreed = i < 2 ? 5 : 1};
	}
	must(db_spare(d, list, 4, 600, &e));
	must(db_run_end(d, l.run, "done", 700, &e));
	must(db_baseline_save(d, "good", first.run, "base", 5, &e));
	struct review *r = between(d, "@good", "2:next", &e);
	assert_non_null(r);
	assert_int_equal(r->verdicts[VERDICT_REGRESSED], 2);
	assert_int_equal(r->n_confirmed, 1); /* b was seen once on either side */
	assert_int_equal(r->n_seen_once, 1);
	assert_int_equal(review_exit(r, REVIEW_FAIL_ON), EXIT_REGRESSED);
	auto_free char *sure = review_certainty(&r->pairs[0]);
	assert_string_equal(sure, "5/5 → 0/5, p 0.014, confirmed");
	review_free(r);
}

static void sides_that_are_none_are_told(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	night(d, (const char *const[]){"p", "p", "p", "p"});
	assert_null(between(d, "1", "9", &e));
	assert_int_equal(e.kind, ERR_USAGE);
	assert_null(between(d, "1:none", "1", &e));
	assert_non_null(strstr(e.text, "run 1 has no variant 'none'; it has base, next"));
	assert_null(between(d, "1", "1:next", &e));
	assert_non_null(strstr(e.text, "both sides are next of run 1"));
	assert_null(between(d, "@none", "1", &e));
	assert_int_equal(e.kind, ERR_ABSENT);
	assert_int_equal(db_baseline_save(d, "x", 1, "none", 5, &e), -1);
	assert_int_equal(e.kind, ERR_ABSENT);
	must(db_baseline_save(d, "x", 1, "base", 5, &e));
	assert_int_equal(db_baseline_remove(d, "x", &e), 1);
	assert_int_equal(db_baseline_remove(d, "x", &e), 0);
}

static void of_two_runs_the_worse_validity_counts(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	night(d, (const char *const[]){"p", "i", "p", "i"});
	night(d, (const char *const[]){"p", "f", "p", "p"});
	assert_rows(d, "SELECT validity FROM v_run ORDER BY run", "void\nvalid");
	struct review *r = between(d, "1:base", "2", &e);
	assert_int_equal(r->validity, VALIDITY_VOID);
	assert_non_null(strstr(r->why, "of the base run, 2 of 4 jobs"));
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_OURS);
	review_free(r);
}

/* ---- machines ---- */

/* A run of 40 jobs, of which the last so many are lost, made by turns on these machines. */
static struct review *worked(struct db *d, const char *const *hosts, size_t n_hosts, size_t lost,
			     const struct db_canary *canaries, size_t n_canaries)
{
	struct err e = ERR_INIT;
	struct db_job jobs[40];
	char names[40][8];
	static const struct db_variant variant[] = {{"only", "", "", NULL}};
	const struct db_run run = {
		.suite = "s", .goal = "test", .pid = 7, .started_ms = 1, .jobs_at_once = 1};
	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "p%zu", i);
		jobs[i] = (struct db_job){.package = names[i], .version = "1", .variant = "only"};
	}
	int64_t id = db_run_begin(d, &run, variant, 1, jobs, 40, &e);
	must(id);
	for (size_t i = 0; i < n_canaries; i++)
		must(db_canary(d, id, &canaries[i], &e));
	for (size_t i = 0; i < 40; i++) {
		bool ours = i >= 40 - lost;
		db_host(d, hosts[i * n_hosts / 40]);
		int64_t attempt = db_attempt_begin(d, jobs[i].id, 100, &e);
		const struct db_result row = {.status = ours ? "infra" : "pass",
					      .reason = ours ? "store" : "ok",
					      .phase = "test",
					      .evidence_offset = -1,
					      .ended_ms = 300};
		must(attempt);
		must(db_result(d, jobs[i].id, attempt, &row, &e));
	}
	db_host(d, NULL);
	must(db_run_end(d, id, "done", 400, &e));
	struct review *r = review_load(d, id, NULL, NULL, &e);
	assert_non_null(r);
	return r;
}

static void a_wrong_canary_makes_what_ran_there_count_for_nothing(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	static const char *const one[] = {"north"}, *const two[] = {"north", "south"};
	static const struct db_canary right[] = {{"north", NULL, 5, 1}},
				      wrong[] = {{"north", "reads: it lied", 5, 1}},
				      half[] = {{"north", NULL, 5, 1}, {"south", "it lied", 5, 1}};
	struct review *r = worked(d, one, 1, 0, right, 1);
	assert_int_equal(r->validity, VALIDITY_VALID);
	assert_string_equal(r->why, "");
	review_free(r);
	r = worked(d, one, 1, 0, wrong, 1);
	assert_int_equal(r->validity, VALIDITY_VOID);
	assert_int_equal(r->n_lost, 40);
	assert_int_equal(review_exit(r, REVIEW_FAIL_ON), EXIT_OURS);
	assert_ptr_equal(strstr(r->why, "the canary, a job whose answer is known, was wrong on "
					"north (reads: it lied), so that nothing counts that ran "
					"there; 40 of 40 jobs (100.0 %)"),
			 r->why);
	review_free(r);
	r = worked(d, two, 2, 0, half, 2);
	assert_int_equal(r->n_lost, 20);
	assert_int_equal(r->validity, VALIDITY_VOID);
	assert_non_null(strstr(r->why, "was wrong on south"));
	assert_null(strstr(r->why, "north"));
	review_free(r);
	assert_rows(d, "SELECT run, host, answer, why FROM v_canary WHERE run = 3 ORDER BY host",
		    "3|north|right|-\n3|south|wrong|it lied");
	assert_rows(d, "SELECT host, count(*) FROM v_job WHERE run = 3 GROUP BY host",
		    "north|20\nsouth|20");
}

static void a_machine_that_alone_would_be_void_degrades_the_run(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	static const char *const hosts[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	/* 1 of 40 is degraded anyway; 3 of 40 are, too, but all of them are one machine's */
	struct review *r = worked(d, hosts, 8, 3, NULL, 0);
	assert_int_equal(r->validity, VALIDITY_DEGRADED);
	assert_non_null(strstr(r->why, "3 of 40 jobs (7.5 %) say nothing about their package, of "
				       "those on h 3 of 5 jobs (60.0 %)"));
	review_free(r);
	r = worked(d, hosts, 1, 3, NULL, 0);
	assert_null(strstr(r->why, "of those on"));
	review_free(r);
}

/* ---- what was known beforehand ---- */

/* A night of which the suite knew something; its review. */
static struct review *known(struct db *d, const char *const results[4],
			    const struct db_expectation *x, size_t n)
{
	struct err e = ERR_INIT;
	struct life l = night(d, results);
	must(db_expect(d, l.run, x, n, &e));
	must(verdicts_record(d, l.run, &e));
	struct review *r = review_load(d, l.run, NULL, NULL, &e);
	assert_non_null(r);
	return r;
}

static void a_regression_that_was_known_is_told_and_no_alarm(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	static const struct db_expectation x[] = {
		{"a", "next", "fail", "gone in 24", "https://x", NULL}};
	struct review *r = known(d, (const char *const[]){"p", "f", "p", "p"}, x, 1);
	assert_int_equal(r->verdicts[VERDICT_REGRESSED], 1);
	assert_int_equal(r->n_expected, 1);
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_OK);
	assert_null(review_stale(&r->known[0]));
	auto_free char *sure = review_certainty(&r->pairs[0]), *headline = review_headline(r);
	assert_string_equal(sure, "known to fail: gone in 24");
	assert_non_null(strstr(headline, "1 regressed (1 of them known) of 2"));
	review_free(r);
	assert_rows(d, "SELECT package, verdict, known FROM v_verdict ORDER BY package",
		    "a|regressed|fail\nb|same|-");
	/* of the other side it explains nothing */
	static const struct db_expectation y[] = {{"a", "base", "fail", "r", NULL, NULL}};
	r = known(d, (const char *const[]){"p", "f", "p", "p"}, y, 1);
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_REGRESSED);
	review_free(r);
}

static void what_is_known_to_be_flaky_is_an_alarm_once_it_is_confirmed(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	static const struct db_expectation x[] = {{"a", NULL, "flaky", "races", NULL, NULL}};
	struct review *r = known(d, (const char *const[]){"p", "f", "p", "p"}, x, 1);
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_OK);
	review_free(r);
	r = known(d, (const char *const[]){"ppppp", "fffff", "p", "p"}, x, 1);
	assert_int_equal(review_exit(r, CONFIDENCE_SINGLE), EXIT_REGRESSED);
	review_free(r);
}

static void an_entry_that_does_not_hold_is_told(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	static const struct db_expectation x[] = {
		{"a", "next", "fail", "was broken", NULL, NULL},
		{"b", NULL, "flaky", "races", NULL, NULL},
		{"c", NULL, "skip", "too old", NULL, NULL},
	};
	static const char *const want[] = {"fail, a under next: it passes now (was broken)",
					   "flaky, b: nothing of it was seen (races)",
					   "skip, c: there is no such package (too old)"};
	struct review *r = known(d, (const char *const[]){"f", "p", "p", "p"}, x, countof(x));
	assert_int_equal(r->n_known, countof(x));
	for (size_t i = 0; i < countof(x); i++) {
		auto_free char *stale = review_stale(&r->known[i]);
		assert_string_equal(stale, want[i]);
	}
	review_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_run_s_verdicts_are_kept_with_what_they_rest_on),
		scratch_test(packages_with_one_cause_share_it),
		scratch_test(what_a_dependency_did_is_inherited_from_it),
		scratch_test(a_mixture_is_unstable_and_no_reason_to_exit_with_1),
		scratch_test(what_was_seen_once_is_told_and_no_reason_to_exit_with_1),
		scratch_test(flake_rates_are_learned_once_from_each_night),
		scratch_test(what_is_broken_from_one_night_on_has_no_flake_rate),
		scratch_test(any_two_sides_can_be_compared),
		scratch_test(what_a_run_was_not_asked_for_is_not_gone),
		scratch_test(of_two_runs_repeats_stand_against_what_earlier_runs_said),
		scratch_test(sides_that_are_none_are_told),
		scratch_test(a_regression_that_was_known_is_told_and_no_alarm),
		scratch_test(what_is_known_to_be_flaky_is_an_alarm_once_it_is_confirmed),
		scratch_test(an_entry_that_does_not_hold_is_told),
		scratch_test(of_two_runs_the_worse_validity_counts),
		scratch_test(a_wrong_canary_makes_what_ran_there_count_for_nothing),
		scratch_test(a_machine_that_alone_would_be_void_degrades_the_run),
	};
	return cmocka_run_group_tests_name("verdicts", tests, NULL, NULL);
}
