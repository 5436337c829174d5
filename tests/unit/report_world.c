#include "report_world.h"

#include "base/dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

const struct outcome made_passed = {"pass", "ok", "test", NULL, 0, 0, -1, 0};

int made_setup(void **state)
{
	struct made *m = own_calloc(1, sizeof(*m));
	memcpy(m->dir, "/tmp/assay-report.XXXXXX", 25);
	assert_non_null(mkdtemp(m->dir));
	auto_free char *file = own_fmt("%s/assay.db", m->dir);
	m->db = db_open(file, DB_WRITE, &m->e);
	assert_non_null(m->db);
	m->at_once = 1;
	m->state = "/var/lib/assay's";
	*state = m;
	return 0;
}

int made_teardown(void **state)
{
	struct made *m = *state;
	db_close(m->db);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(dir_remove(tmp, m->dir + 5, &m->e), 0);
	close(tmp);
	free(m);
	return 0;
}

char *made_log(const struct made *m, const char *package, const char *variant, const char *phase)
{
	return own_fmt("runs/%lld/%s.%s.%s.log.zst", (long long)m->run, package,
		       variant ? variant : "all", phase);
}

static int64_t phase_add(struct made *m, const char *package, const char *variant, const char *name,
			 const struct outcome *o)
{
	bool last = o->status && !strcmp(name, o->phase),
	     ours = last && !strcmp(o->status, "infra"),
	     lost = ours && !strcmp(o->reason, "network-lost");
	auto_free char *log = made_log(m, package, variant, name);
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
		.generation = m->generation,
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

static int64_t result_add(struct made *m, const struct db_job *job, int64_t fetch,
			  const struct outcome *o)
{
	if (!o->status)
		return 0;
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
	return attempt;
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

void run_add(struct made *m, const struct wanted *w, size_t n, bool one, const char *state)
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
		.jobs_at_once = m->at_once,
	};
	auto_free struct db_job *jobs = own_calloc(2 * n + 1, sizeof(*jobs));
	size_t sides = one ? 1 : 2;
	assert_true(n * sides <= MADE_JOBS);
	for (size_t i = 0; i < n * sides; i++)
		jobs[i] = (struct db_job){.package = w[i / sides].package,
					  .version = "1.0 " EVIL,
					  .variant = variants[i % sides].name};
	m->run = db_run_begin(m->db, &run, variants, sides, jobs, n * sides, &m->e);
	assert_true(m->run > 0);
	for (size_t i = 0; i < n; i++) {
		int64_t fetch = phase_add(m, w[i].package, NULL, "fetch", &made_passed);
		for (size_t k = i * sides; k < (i + 1) * sides; k++) {
			m->job[k] = jobs[k].id;
			m->attempt[k] = result_add(m, &jobs[k], fetch,
						   k > i * sides ? &w[i].next : &w[i].base);
		}
		if (!i)
			harvest_add(m, fetch);
	}
	if (state)
		assert_int_equal(db_run_end(m->db, m->run, state, 61000, &m->e), 0);
}

struct report *loaded(struct made *m)
{
	struct review *v = review_load(m->db, m->run, NULL, NULL, &m->e);
	if (!v)
		fail_msg("%s", m->e.text);
	struct report *r = own_calloc(1, sizeof(*r));
	r->state = m->state;
	assert_int_equal(report_load(m->db, v, r, &m->e), 0);
	return r;
}

void loaded_free(struct report *r)
{
	struct review *v = r->review;
	report_fini(r);
	free(r);
	review_free(v);
}

void report_made(struct made *m, struct text *page, struct text *markdown)
{
	struct report *r = loaded(m);
	report_html(r, page);
	report_markdown(r, markdown);
	loaded_free(r);
}

const struct wanted made_hostile[MADE_HOSTILE] = {
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

void is_well_formed(const char *page)
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

size_t times(const char *s, const char *what)
{
	size_t n = 0;
	for (; (s = strstr(s, what)); s += strlen(what))
		n++;
	return n;
}

void in_order(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *found = strstr(s, words[i]);
		if (!found)
			fail_msg("'%s' is not where it should be", words[i]);
		s = found + strlen(words[i]);
	}
}
