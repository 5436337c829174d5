/* The report of a run that jobs did their worst to spoil: read from a database made for it, as page
 * and as Markdown. */
#include "base/dir.h"
#include "orchestrator/commands.h"
#include "orchestrator/html.h"
#include "orchestrator/report.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Closes what can be closed, colours, hides, reverses, and ends early. */
#define EVIL                                                                                       \
	"</pre></td></title></style><script>alert(1)</script><img src=x onerror=alert(2)>\" "      \
	"onload='x' \033[2J\033]0;t\007"                                                           \
	"\xe2\x80\xae\xff&lt;-->]]>"

struct outcome {
	const char *status, *reason, *phase, *evidence;
	int64_t exit_code, signal, offset, length;
};

struct wanted {
	const char *package;
	struct outcome base, next; /* status NULL: no result */
};

struct made {
	char dir[32];
	struct db *db;
	struct err e;
	int64_t run;
};

static const struct outcome passed = {"pass", "ok", "test", NULL, 0, 0, -1, 0};

static int made_setup(void **state)
{
	struct made *m = own_calloc(1, sizeof(*m));
	memcpy(m->dir, "/tmp/assay-report.XXXXXX", 25);
	assert_non_null(mkdtemp(m->dir));
	auto_free char *file = own_fmt("%s/assay.db", m->dir);
	m->db = db_open(file, DB_WRITE, &m->e);
	assert_non_null(m->db);
	*state = m;
	return 0;
}

static int made_teardown(void **state)
{
	struct made *m = *state;
	db_close(m->db);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(dir_remove(tmp, m->dir + 5, &m->e), 0);
	close(tmp);
	free(m);
	return 0;
}

static int64_t phase_add(struct made *m, const char *package, const char *variant, const char *name,
			 const struct outcome *o)
{
	bool last = o->status && !strcmp(name, o->phase),
	     ours = last && !strcmp(o->status, "infra"),
	     lost = ours && !strcmp(o->reason, "network-lost");
	auto_free char *log = own_fmt("runs/%lld/%s.%s.log.zst", (long long)m->run, package, name);
	const struct db_phase p = {
		.run = m->run,
		.package = package,
		.version = "1.0 " EVIL,
		.variant = variant,
		.name = name,
		.network = lost      ? "nat"
			   : variant ? "none"
				     : "host",
		.log = log,
		.started_ms = 1000,
		.cpus = 1,
	};
	const struct db_facts f = {
		.end = ours && !lost       ? "failed"
		       : last && o->signal ? "signalled"
					   : "exited",
		.exit_code = last ? o->exit_code : 0,
		.signal = last ? o->signal : 0,
		.limit = "none",
		.setup_us = 2000,
		.wall_us = 1500000,
		.cpu_user_us = 1000,
		.peak_memory = 1 << 20,
		.log_bytes = 100,
		.log_stored = 50,
		.cgroup = "none",
		.network_lost = lost,
		.error = ours ? "mount " EVIL : NULL,
		.processes = last && o->signal ? "2 1 S 0 4 sh " EVIL "\n3 2 R 9 8 node\n" : NULL,
		.ended_ms = 2000,
	};
	int64_t id = db_phase_begin(m->db, &p, &m->e);
	assert_true(id > 0);
	assert_int_equal(db_phase_end(m->db, id, &f, &m->e), 0);
	return id;
}

static void result_add(struct made *m, const struct db_job *job, int64_t fetch,
		       const struct outcome *o)
{
	if (!o->status)
		return;
	int64_t attempt = db_attempt_begin(m->db, job->id, 1000, &m->e);
	assert_true(attempt > 0);
	const int64_t phases[] = {fetch, phase_add(m, job->package, job->variant, "test", o)};
	const struct db_result r = {
		.status = o->status,
		.phase = o->phase,
		.reason = o->reason,
		.exit_code = o->exit_code,
		.signal = o->signal,
		.limit = "none",
		.evidence_offset = o->offset,
		.evidence_length = o->length,
		.evidence = o->evidence,
		.rule = NULL,
		.signature = {strcmp(o->status, "pass")
				      ? o->evidence ? "0123456789abcdef" : "fedcba9876543210"
				      : NULL,
			      "a cause", o->evidence},
		.phases = phases,
		.n_phases = 2,
		.ended_ms = 3000,
	};
	assert_int_equal(db_result(m->db, job->id, attempt, &r, &m->e), 0);
}

static void harvest_add(struct made *m, int64_t fetch)
{
	const struct db_entry conflict = {.path = "a/" EVIL,
					  .change = "conflict",
					  .type = 'f',
					  .reason = "other bytes " EVIL};
	const struct db_publish p = {.store = "store<b>",
				     .phase = fetch,
				     .nothing = true,
				     .entries = &conflict,
				     .n_entries = 1,
				     .identical = 7,
				     .conflicts = 1,
				     .made_ms = 2500};
	assert_true(db_publish(m->db, &p, &m->e) >= 0);
}

/* A run of these packages, one side where `one` is set, ended with `state` (NULL: still running).
 */
static void run_add(struct made *m, const struct wanted *w, size_t n, bool one, const char *state)
{
	const struct db_variant variants[] = {{"old<i>", "node=1 npm=2" EVIL, "A=" EVIL "\nB=2",
					       NULL},
					      {"new", NULL, NULL, NULL}};
	const struct db_run run = {
		.suite = "suite<u>",
		.suite_path = "/suites/a suite.yaml",
		.suite_sha256 = "00",
		.goal = "test",
		.compare_base = one ? NULL : variants[0].name,
		.compare_next = one ? NULL : variants[1].name,
		.host = "host" EVIL,
		.version = "0",
		.engine = "native",
		.pid = 1,
		.started_ms = 1000,
		.jobs_at_once = 1,
	};
	auto_free struct db_job *jobs = own_calloc(2 * n + 1, sizeof(*jobs));
	size_t sides = one ? 1 : 2;
	for (size_t i = 0; i < n * sides; i++)
		jobs[i] = (struct db_job){.package = w[i / sides].package,
					  .version = "1.0 " EVIL,
					  .variant = variants[i % sides].name};
	m->run = db_run_begin(m->db, &run, variants, sides, jobs, n * sides, &m->e);
	assert_true(m->run > 0);
	for (size_t i = 0; i < n; i++) {
		int64_t fetch = phase_add(m, w[i].package, NULL, "fetch", &passed);
		result_add(m, &jobs[i * sides], fetch, &w[i].base);
		if (!one)
			result_add(m, &jobs[i * sides + 1], fetch, &w[i].next);
		if (!i)
			harvest_add(m, fetch);
	}
	if (state)
		assert_int_equal(db_run_end(m->db, m->run, state, 61000, &m->e), 0);
}

static void report_made(struct made *m, struct text *page, struct text *markdown)
{
	struct review *v = review_load(m->db, m->run, NULL, NULL, &m->e);
	if (!v)
		fail_msg("%s", m->e.text);
	struct report *r = own_calloc(1, sizeof(*r));
	r->state = "/var/lib/assay's";
	assert_int_equal(report_load(m->db, v, r, &m->e), 0);
	report_html(r, page);
	report_markdown(r, markdown);
	report_fini(r);
	free(r);
	review_free(v);
}

static const struct wanted hostile[] = {
	{"same",
	 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
	 {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
	{"broken" EVIL,
	 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
	 {"fail", "test-failed", "test",
	  "one\ntwo " EVIL "\nthe deciding line " EVIL "\nfour\n```\n# head", 1, 0, 20, 0}},
	{"crashed",
	 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
	 {"crash", "segv", "test", "Segmentation fault", -1, 11, 0, 18}},
	{"mended",
	 {"fail", "exit", "test", EVIL, 1, 0, 0, 5},
	 {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
	{"never",
	 {"fail", "exit", "test", "no" EVIL, 1, 0, 0, 5},
	 {"fail", "exit", "test", "no" EVIL, 1, 0, 0, 5}},
	{"ours",
	 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
	 {"infra", "box-start", "test", NULL, -1, 0, -1, 0}},
};

/* ---- the page is what was written, and nothing else ---- */

static bool is_void(const char *name)
{
	static const char *const names[] = {"meta", "input", "br"};
	for (size_t i = 0; i < countof(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static const char *attributes_pass(const char *p)
{
	while (*p != '>') {
		assert_int_equal(*p++, ' ');
		size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzB12-");
		assert_true(n > 0);
		assert_true(strncmp(p, "on", 2) && strncmp(p, "src", 3));
		p += n;
		if (*p != '=')
			continue;
		assert_int_equal(p[1], '"');
		p += 2 + strcspn(p + 2, "\"<>");
		assert_int_equal(*p++, '"');
	}
	return p;
}

/* Every tag is one the report knows, is closed where HTML wants it closed, in order, with quoted
 * attributes none of which is a handler; every & begins an entity. */
static void is_well_formed(const char *page)
{
	char open[32][16];
	size_t depth = 0;
	const char *p = page;
	assert_memory_equal(p, "<!DOCTYPE html>\n", 16);
	for (p += 16; *p;) {
		p += strcspn(p, "<>&");
		assert_int_not_equal(*p, '>');
		if (*p == '&') {
			assert_true(!strncmp(p, "&amp;", 5) || !strncmp(p, "&lt;", 4) ||
				    !strncmp(p, "&gt;", 4) || !strncmp(p, "&quot;", 6) ||
				    !strncmp(p, "&#39;", 5));
			p++;
			continue;
		}
		if (!*p)
			break;
		bool closing = p[1] == '/';
		p += 1 + closing;
		char name[16] = "";
		size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789");
		assert_in_range(n, 1, 15);
		memcpy(name, p, n);
		p += n;
		if (closing) {
			assert_true(depth > 0);
			assert_string_equal(open[--depth], name);
		} else {
			p = attributes_pass(p);
			assert_true(depth < countof(open));
			if (!is_void(name))
				memcpy(open[depth++], name, sizeof(name));
		}
		assert_int_equal(*p++, '>');
		if (!closing && (!strcmp(name, "script") || !strcmp(name, "style"))) /* raw text */
			assert_non_null(p = strstr(p, "</"));
	}
	assert_int_equal(depth, 0);
}

static size_t times(const char *s, const char *what)
{
	size_t n = 0;
	for (; (s = strstr(s, what)); s += strlen(what))
		n++;
	return n;
}

static void nothing_a_job_wrote_breaks_out_of_the_page(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	run_add(m, hostile, countof(hostile), false, "done");
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
	run_add(m, hostile, countof(hostile), false, "done");
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

/* Each of these stands behind the one before. */
static void in_order(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *found = strstr(s, words[i]);
		if (!found)
			fail_msg("'%s' is not where it should be", words[i]);
		s = found + strlen(words[i]);
	}
}

static void validity_is_said_before_any_count_and_regressions_before_all_else(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	static const char *const html[] = {"This run is degraded",
					   "1 of 12 jobs (8.3 %)",
					   "<h1>2 regressed (2 of them not confirmed), 1 "
					   "incomparable, 1 fixed of 6 packages</h1>",
					   "<h2 id=\"h-causes\"",
					   "<b>2</b> packages",
					   "the deciding line &lt;/pre&gt;",
					   "<a href=\"#p0\">broken&lt;/pre",
					   "<h2 id=\"h-regressed\"",
					   "broken&lt;/pre",
					   "<mark>the deciding line",
					   "--only",
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
	static const char *const md[] = {"This run is degraded",
					 "## 2 regressed",
					 "### Causes",
					 "- 2 packages: `",
					 "### Regressed",
					 "the deciding line",
					 "--only",
					 "zstdcat",
					 "### Fixed",
					 "Failing on both sides",
					 "`never`"};
	run_add(m, hostile, countof(hostile), false, "done");
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
				       passed,
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

/* ---- the same for programs ---- */

static struct report *loaded(struct made *m, struct review **v)
{
	*v = review_load(m->db, m->run, NULL, NULL, &m->e);
	struct report *r = own_calloc(1, sizeof(*r));
	r->state = "/var/lib/assay";
	assert_int_equal(report_load(m->db, *v, r, &m->e), 0);
	return r;
}

static void csv_is_one_row_a_package_whatever_its_name(void **state)
{
	struct made *m = *state;
	struct review *v;
	auto_text struct text csv = TEXT_INIT;
	static const struct wanted w[] = {
		{"=cmd()|x",
		 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
		 {"fail", "exit", "test", "a,\"b\"", 1, 0, 0, 5}},
		{"plain",
		 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
		 {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
	};
	run_add(m, w, countof(w), false, "done");
	struct report *r = loaded(m, &v);
	report_csv(r, &csv);
	size_t lines = times(csv.p, "\n");
	assert_int_equal(lines, 3);
	assert_non_null(strstr(csv.p, "\n'=cmd()|x,"));
	assert_non_null(strstr(csv.p, ",\"a,\"\"b\"\"\"\n"));
	assert_non_null(strstr(csv.p, ",regressed,single,,,,pass,ok,test,"));
	report_fini(r);
	free(r);
	review_free(v);
}

static void junit_fails_where_something_is_news(void **state)
{
	struct made *m = *state;
	struct review *v;
	auto_text struct text xml = TEXT_INIT;
	run_add(m, hostile, countof(hostile), false, "done");
	struct report *r = loaded(m, &v);
	report_junit(r, &xml);
	assert_non_null(strstr(xml.p, "tests=\"6\" failures=\"2\" errors=\"1\" skipped=\"0\""));
	assert_non_null(strstr(xml.p, "<property name=\"validity\" value=\"degraded\"/>"));
	assert_int_equal(times(xml.p, "<failure "), 2);
	assert_int_equal(times(xml.p, "<testcase "), 6);
	assert_null(strpbrk(xml.p, "\033\007"));
	assert_null(strstr(xml.p, "<script"));
	report_fini(r);
	free(r);
	review_free(v);
}

/* ---- the review under it ---- */

static struct review *reviewed(struct made *m)
{
	struct review *v = review_load(m->db, m->run, NULL, NULL, &m->e);
	if (!v)
		fail_msg("%s", m->e.text);
	return v;
}

static void an_interrupted_run_with_jobs_missing_is_void(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"done",
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0},
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
					  {"half", {"pass", "ok", "test", NULL, 0, 0, -1, 0}, {0}}};
	run_add(m, w, countof(w), false, "interrupted");
	struct review *v = reviewed(m);
	assert_int_equal(v->validity, VALIDITY_VOID);
	assert_int_equal(v->verdicts[VERDICT_INCOMPARABLE], 1);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OURS);
	assert_non_null(strstr(v->why, "interrupted"));
	review_free(v);
}

static void a_run_in_which_nothing_passed_is_degraded(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"cut-off",
					   {"fail", "exit", "fetch", NULL, 1, 0, -1, 0},
					   {"fail", "exit", "fetch", NULL, 1, 0, -1, 0}}};
	run_add(m, w, countof(w), false, "done");
	struct review *v = reviewed(m);
	assert_int_equal(v->verdicts[VERDICT_SAME], 1);
	assert_int_equal(v->validity, VALIDITY_DEGRADED);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OK);
	assert_non_null(strstr(v->why, "not one of 2 jobs passed"));
	review_free(v);
}

static void a_run_that_is_going_on_is_not_final_and_its_open_jobs_not_lost(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"done",
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0},
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
					  {"half", {"pass", "ok", "test", NULL, 0, 0, -1, 0}, {0}}};
	run_add(m, w, countof(w), false, NULL);
	struct review *v = reviewed(m);
	assert_true(v->running);
	assert_int_equal(v->n_lost, 0);
	assert_int_equal(v->validity, VALIDITY_VALID);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OURS);
	assert_non_null(strstr(v->why, "3 of 4"));
	review_free(v);
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	report_made(m, &page, &markdown);
	assert_non_null(strstr(page.p, "Not over"));
	assert_null(strstr(page.p, "valid run"));
	is_well_formed(page.p);
}

static void regressions_alone_are_exit_status_one(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"p",
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0},
					   {"fail", "exit", "test", NULL, 1, 0, -1, 0}}};
	run_add(m, w, countof(w), false, "done");
	struct review *v = reviewed(m);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_REGRESSED);
	assert_string_equal(v->why, "");
	review_free(v);
	v = review_load(m->db, m->run, "new", "old<i>", &m->e);
	assert_int_equal(v->verdicts[VERDICT_FIXED], 1);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OK);
	review_free(v);
}

static void what_is_not_there_is_named(void **state)
{
	struct made *m = *state;
	assert_int_equal(review_run(m->db, NULL, &m->e), -1);
	assert_int_equal(m->e.kind, ERR_ABSENT);
	run_add(m, hostile, 1, false, "done");
	assert_int_equal(review_run(m->db, NULL, &m->e), m->run);
	assert_int_equal(review_run(m->db, "999", &m->e), -1);
	assert_int_equal(m->e.kind, ERR_USAGE);
	assert_int_equal(review_run(m->db, "latest", &m->e), -1);
	assert_null(review_load(m->db, m->run, "old<i>", "newest", &m->e));
	assert_non_null(strstr(m->e.text, "no variant 'newest'; it has old<i>, new"));
	assert_null(review_load(m->db, m->run, "new", NULL, &m->e));
	assert_null(review_load(m->db, m->run, "new", "new", &m->e));
	assert_int_equal(m->e.kind, ERR_USAGE);
}

static void the_deciding_line_is_found_by_its_length(void **state)
{
	static const struct {
		const char *evidence;
		int64_t offset, length;
		const char *line;
	} cases[] = {
		{"a\nbb\nccc\ndddd", 100, 3, "ccc"}, {"bb\nccc\ndddd\ne", 100, 2, "bb"},
		{"a\nbb\nccc", 2, 2, "bb"},          {"first\nsecond", 0, 5, "first"},
		{"a\nb\ncut \nd", 100, 99, "cut"},   {"only", 100, 99, "only"},
	};
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct review_side s = {.evidence = cases[i].evidence,
					.evidence_offset = cases[i].offset,
					.evidence_length = cases[i].length};
		auto_free char *line = review_line(&s, 100);
		assert_string_equal(line, cases[i].line);
	}
}

static void a_word_of_the_shell_is_one_word(void **state)
{
	static const char *const words[][2] = {
		{"semver", "semver"},   {"@a/b.js+c", "@a/b.js+c"}, {"", "''"},  {"a b", "'a b'"},
		{"it's", "'it'\\''s'"}, {"$(x);`y`", "'$(x);`y`'"}, {"~", "'~'"}};
	(void)state;
	for (size_t i = 0; i < countof(words); i++) {
		auto_free char *word = shell_word(words[i][0]);
		assert_string_equal(word, words[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_a_job_wrote_breaks_out_of_the_page,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(the_policy_lets_only_the_page_s_own_script_run,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(
			validity_is_said_before_any_count_and_regressions_before_all_else,
			made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(markdown_fits_a_comment_and_counts_what_did_not,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(csv_is_one_row_a_package_whatever_its_name,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(junit_fails_where_something_is_news, made_setup,
						made_teardown),
		cmocka_unit_test_setup_teardown(a_run_of_one_variant_has_results_and_no_verdicts,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(
			a_network_that_was_lost_is_told_of_its_phase_and_counted, made_setup,
			made_teardown),
		cmocka_unit_test_setup_teardown(an_interrupted_run_with_jobs_missing_is_void,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(a_run_in_which_nothing_passed_is_degraded,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(
			a_run_that_is_going_on_is_not_final_and_its_open_jobs_not_lost, made_setup,
			made_teardown),
		cmocka_unit_test_setup_teardown(regressions_alone_are_exit_status_one, made_setup,
						made_teardown),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_named, made_setup,
						made_teardown),
		cmocka_unit_test(values_are_escaped_and_cut_wherever_they_stand),
		cmocka_unit_test(the_deciding_line_is_found_by_its_length),
		cmocka_unit_test(a_word_of_the_shell_is_one_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
