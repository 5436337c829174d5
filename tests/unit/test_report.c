/* The report of a run that jobs did their worst to spoil, as page and as Markdown. */
#include "orchestrator/html.h"
#include "report_world.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void nothing_a_job_wrote_breaks_out_of_the_page(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	run_add(m, made_hostile, MADE_HOSTILE, false, "done");
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_int_equal(strlen(page.p), page.n);
	assert_int_equal(times(page.p, "<script>"), 1);
	assert_int_equal(times(page.p, "<script type=\"application/json\""), 1);
	assert_int_equal(times(page.p, "<script"), 2);
	assert_int_equal(times(page.p, "<img"), 0);
	assert_null(strpbrk(page.p, "\033\007\r"));
	assert_null(strstr(page.p, "\xe2\x80\xae"));
	assert_null(strstr(page.p, "http:"));
	assert_non_null(strstr(page.p, "&lt;script&gt;alert(1)&lt;/script&gt;"));
	assert_null(strpbrk(markdown.p, "\033\007\r"));
	assert_null(strstr(markdown.p, "\xe2\x80\xae"));
}

static void values_are_escaped_and_cut_wherever_they_stand(void **state)
{
	auto_text struct text t = TEXT_INIT, lines = TEXT_INIT;
	const char *volatile nothing = NULL;
	(void)state;
	html_addf(&t, "<a title=\"%s\">%s %zu %lld%%</a>", "\" onload='x' &<>\033[1m\nnext",
		  nothing, (size_t)7, -3LL);
	assert_string_equal(t.p, "<a title=\"&quot; onload=&#39;x&#39; &amp;&lt;&gt;\"> 7 -3%</a>");
	html_lines(&lines, "<1>\n<2>\n\n<4>\n<5>", 4, 1);
	assert_string_equal(lines.p, "&lt;1&gt;\n<mark>&lt;2&gt;</mark>\n\n&lt;4&gt;\n…");
}

static void the_policy_lets_only_the_page_s_own_script_run(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	unsigned char sum[EVP_MAX_MD_SIZE], base64[64];
	run_add(m, made_hostile, MADE_HOSTILE, false, "done");
	report_made(m, &page, &markdown);
	const char *begin = strstr(page.p, "<script>") + 8, *end = strstr(begin, "</script>");
	assert_int_equal(EVP_Digest(begin, (size_t)(end - begin), sum, NULL, EVP_sha256(), NULL),
			 1);
	EVP_EncodeBlock(base64, sum, 32);
	auto_free char *policy = own_fmt("default-src 'none'; style-src 'unsafe-inline'; base-uri "
					 "'none'; form-action 'none'; "
					 "script-src 'sha256-%s'\"",
					 (char *)base64);
	assert_non_null(strstr(page.p, policy));
}

static void validity_is_said_before_any_count_and_regressions_before_all_else(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	static const char *const html[] = {"This run is degraded",
					   "1 of 12 jobs (8.3 %)",
					   "<h1>2 regressed (2 of them not confirmed)",
					   ", 1 incomparable, 1 fixed of 6 packages</h1>",
					   "<h2 id=\"h-causes\"",
					   "<b>2</b> packages",
					   "the deciding line &lt;/pre&gt;",
					   "<a href=\"#p0\">broken&lt;/pre",
					   "<h2 id=\"h-regressed\"",
					   "broken&lt;/pre",
					   "<mark>the deciding line",
					   "assay rerun 1 &#39;broken",
					   "zstdcat &#39;/var/lib/assay&#39;\\&#39;&#39;s/runs/",
					   "crashed",
					   "signal 11 SIGSEGV",
					   "Processes when test was ended (",
					   "3 2 R 9 8 node",
					   "<h2 id=\"h-incomparable\"",
					   "assay itself: mount ",
					   "<h2 id=\"h-fixed\"",
					   "mended",
					   "Failing on both sides",
					   "never",
					   "All packages",
					   "same",
					   "Where the time went",
					   "Conflicts"};
	static const char *const md[] = {
		"This run is degraded",  "## 2 regressed", "### Causes",
		"- 2 packages: `",       "### Regressed",  "the deciding line",
		"assay rerun 1 ",        "zstdcat",        "### Fixed",
		"Failing on both sides", "`never`"};
	run_add(m, made_hostile, MADE_HOSTILE, false, "done");
	report_made(m, &page, &markdown);
	in_order(page.p, html, countof(html));
	in_order(markdown.p, md, countof(md));
}

static void markdown_fits_a_comment_and_counts_what_did_not(void **state)
{
	enum { MANY = 60 };
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT, log = TEXT_INIT;
	struct wanted w[MANY];
	char names[MANY][24];
	for (int i = 0; i < 12; i++)
		text_addf(&log, "%0110d `````` \n", i);
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "package-%02d", i);
		w[i] = (struct wanted){names[i],
				       made_passed,
				       {"fail", "exit", "test", log.p, 1, 0, 0, 118}};
	}
	run_add(m, w, MANY, false, "done");
	report_made(m, &page, &markdown);
	assert_true(markdown.n <= REPORT_COMMENT && markdown.n > REPORT_COMMENT / 2);
	assert_non_null(strstr(markdown.p, "more changes did not fit"));
	assert_true(times(markdown.p, "```````text") > 10);
	assert_int_equal(times(markdown.p, "```````text"), times(markdown.p, "  ```````\n"));
	is_well_formed(page.p);
	assert_int_equal(times(page.p, "<article"), MANY);
}

static void a_run_of_one_variant_has_results_and_no_verdicts(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	static const struct wanted one[] = {
		{"fine", {"pass", "ok", "test", NULL, 0, 0, -1, 0}, {0}},
		{"broken", {"fail", "exit", "test", "why", 1, 0, 0, 3}, {0}}};
	run_add(m, one, countof(one), true, "done");
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_non_null(strstr(page.p, "<h1>1 pass, 1 fail of 2 packages</h1>"));
	assert_null(strstr(page.p, "regressed"));
	assert_non_null(strstr(markdown.p, "broken"));
}

/* Failures without a word have no line in common, and their phases may differ. */
static void what_fails_silently_shares_no_cause(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	const struct wanted w[] = {
		{"early", made_passed, {"fail", "exit", "test", NULL, 1, 0, -1, 0}},
		{"late", made_passed, {"fail", "exit", "fetch", NULL, 1, 0, -1, 0}}};
	run_add(m, w, countof(w), false, "done");
	struct report *r = loaded(m);
	for (size_t i = 0; i < countof(w); i++)
		assert_int_equal(r->review->pairs[i].attribution, ATTRIBUTION_ROOT);
	loaded_free(r);
	report_made(m, &page, &markdown);
	assert_non_null(strstr(page.p, "<span class=\"line\">fail/exit, without a word</span>"));
	assert_non_null(strstr(markdown.p, "- 2 packages: `fail/exit, without a word` ("));
	/* and what repeats them is on a line of its own */
	assert_non_null(
		strstr(markdown.p, "`fail/exit in test`  \n  repeat: `assay rerun 1 early"));
}

/* Neither side passes, by the same words, and what decided is another: that is news. */
static void what_fails_for_another_cause_is_changed(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"hidden",
					   {"fail", "exit", "test", NULL, 1, 0, -1, 0},
					   {"fail", "exit", "test", "why", 1, 0, 0, 3}},
					  {"slow",
					   {"kill", "silence", "test", NULL, 1, 0, -1, 0},
					   {"kill", "silence", "test", "why", 1, 0, 0, 3}}};
	run_add(m, w, countof(w), false, "done");
	struct report *r = loaded(m);
	assert_int_equal(r->review->verdicts[VERDICT_CHANGED], 1);
	assert_int_equal(r->review->verdicts[VERDICT_SAME], 1);
	assert_string_equal(r->review->pairs[0].package, "hidden");
	assert_int_equal(review_exit(r->review, CONFIDENCE_SINGLE), 0);
	loaded_free(r);
}

static void what_was_known_and_is_not_so_is_a_list_with_links(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	const struct wanted w[] = {{"mended", made_passed, made_passed},
				   {"broken",
				    made_passed,
				    {"fail", "exit", "test", "why", 1, 0, 0, 3}}};
	static const struct db_expectation known[] = {
		{"mended", NULL, "fail", "was broken " EVIL, "https://x.example/1?a=\"b\"", NULL},
		{"absent", NULL, "skip", "too old", "javascript:alert(3)", NULL},
		{"broken", NULL, "fail", "upstream", "https://x.example/2", NULL}};
	static const char *const html[] = {
		"known to fail: upstream</span> <a href=\"https://x.example/2\"",
		"<h2 id=\"h-stale\">",
		"<ul class=\"causes\">\n<li>skip, absent: there is no such package (too old) ",
		"<span class=\"fact\">javascript:",
		"<li>fail, mended: it passes now (was broken &lt;/pre&gt;",
		" <a href=\"https://x.example/1?a=&quot;b&quot;\" rel=\"noreferrer\">https:",
		"</ul>\n</section>"};
	run_add(m, w, countof(w), false, "done");
	assert_int_equal(db_expect(m->db, m->run, known, countof(known), &m->e), 0);
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	in_order(page.p, html, countof(html));
	assert_null(strstr(page.p, "&lt;ul"));
}

static void a_network_that_was_lost_is_told_of_its_phase_and_counted(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	static const struct wanted w[] = {{"cut-off",
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0},
					   {"infra", "network-lost", "test", NULL, 1, 0, -1, 0}}};
	static const char *const html[] = {"infra/network-lost", ", its network lost",
					   "Where the time went", ", nat, 1 lost"};
	run_add(m, w, countof(w), false, "done");
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	in_order(page.p, html, countof(html));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_a_job_wrote_breaks_out_of_the_page,
						made_setup, made_teardown),
		cmocka_unit_test(values_are_escaped_and_cut_wherever_they_stand),
		cmocka_unit_test_setup_teardown(the_policy_lets_only_the_page_s_own_script_run,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(
			validity_is_said_before_any_count_and_regressions_before_all_else,
			made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(markdown_fits_a_comment_and_counts_what_did_not,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(a_run_of_one_variant_has_results_and_no_verdicts,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(what_fails_for_another_cause_is_changed, made_setup,
						made_teardown),
		cmocka_unit_test_setup_teardown(what_fails_silently_shares_no_cause, made_setup,
						made_teardown),
		cmocka_unit_test_setup_teardown(what_was_known_and_is_not_so_is_a_list_with_links,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(
			a_network_that_was_lost_is_told_of_its_phase_and_counted, made_setup,
			made_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
