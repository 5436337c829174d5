/* What the report shows of logs that do their worst to spoil it. */
#include "base/dir.h"
#include "report_world.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <zstd.h>
#include <cmocka.h>

static const struct outcome failed = {"fail", "exit", "test", NULL, 1, 0, -1, 0},
			    crashed = {"crash", "segv", "test", NULL, -1, 11, -1, 0};

/* The log of a package's test, as capture.c leaves it. */
static void log_write(struct made *m, const char *package, const char *variant,
		      const struct text *log)
{
	size_t room = ZSTD_compressBound(log->n);
	auto_free char *packed = own_calloc(room, 1), *rel = made_log(m, package, variant, "test"),
		       *path = own_fmt("%s/%s", m->dir, rel);
	size_t n = ZSTD_compress(packed, room, log->p, log->n, 1);
	assert_false(ZSTD_isError(n));
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, packed, n), n);
}

static void logs_begin(struct made *m)
{
	auto_free char *runs = own_fmt("%s/runs", m->dir), *run = own_fmt("%s/1", runs);
	assert_int_equal(mkdir(runs, 0700), 0);
	assert_int_equal(mkdir(run, 0700), 0);
	m->state = m->dir;
}

static void a_long_log_is_shown_at_both_ends_and_breaks_out_of_nothing(void **state)
{
	struct made *m = *state;
	const struct wanted w[] = {{"p", made_passed, failed}};
	static const char *const html[] = {"<article id=\"p0\"",
					   "<div id=\"l0\">",
					   "Log of test (new)",
					   "the first &lt;/pre&gt;",
					   "line 7\n",
					   " left out …",
					   "line 2999\n",
					   "\xe2\x90\x80 \xef\xbf\xbd &lt;/pre&gt;",
					   "the last",
					   "</pre>",
					   "zstdcat "};
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT, log = TEXT_INIT;
	text_add(&log, "the first " EVIL "\n");
	for (int i = 0; i < 3000; i++)
		text_addf(&log, "line %d\n", i);
	text_put(&log, "\0 \xff ", 4);
	text_add(&log, EVIL "\nthe last");
	logs_begin(m);
	run_add(m, w, 1, false, "done");
	log_write(m, "p", "new", &log);
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_int_equal(strlen(page.p), page.n);
	in_order(page.p, html, countof(html));
	assert_int_equal(times(page.p, "<script"), 2);
	assert_int_equal(times(page.p, "Log of "), 1);
	assert_null(strstr(page.p, "line 1500\n"));
	assert_null(strpbrk(page.p, "\033\007\r"));
	assert_null(strstr(page.p, "\xe2\x80\xae"));
}

static void a_log_of_a_few_bytes_more_than_is_shown_of_one_is_whole_or_says_so(void **state)
{
	struct made *m = *state;
	const struct wanted w[] = {{"fits", made_passed, failed},
				   {"more", made_passed, failed},
				   {"gone", made_passed, failed}};
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT, log = TEXT_INIT;
	text_add(&log, "..");
	for (int i = 0; i < 8190 / 3; i++)
		text_add(&log, "\xe2\x82\xac");
	logs_begin(m);
	run_add(m, w, countof(w), false, "done");
	log_write(m, "fits", "new", &log);
	text_add(&log, "!");
	log_write(m, "more", "new", &log);
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_int_equal(times(page.p, " left out …"), 1);
	assert_int_equal(times(page.p, "is not there any more"), 1);
	assert_null(strstr(page.p, "\xef\xbf\xbd\xe2\x82\xac")); /* no half of a character */
	assert_null(strstr(page.p, "\xe2\x82\xac\xef\xbf\xbd"));
}

static int64_t layer_add(struct made *m, const char *digest, int64_t parent)
{
	auto_free char *sum = own_fmt("sha256:%s", digest);
	const struct db_frame frame = {1, 100 * parent, 100, sum, NULL};
	const struct db_publish p = {.store = "cache",
				     .parent = parent,
				     .layer = digest,
				     .frames = &frame,
				     .n_frames = 1,
				     .made_ms = 10};
	int64_t generation = db_publish(m->db, &p, &m->e);
	if (generation <= 0)
		fail_msg("%s", m->e.text);
	return generation;
}

static void the_store_s_layers_stand_the_newest_first(void **state)
{
	struct made *m = *state;
	const struct wanted w[] = {{"p", made_passed, failed}};
	static const char
		older[] = "0101010101010101010101010101010101010101010101010101010101010101",
		newer[] = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	m->generation = layer_add(m, newer, layer_add(m, older, 0));
	auto_free char *says = own_fmt("store cache, generation %lld\n%s\n%s</pre>",
				       (long long)m->generation, newer, older);
	logs_begin(m);
	run_add(m, w, 1, false, "done");
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_int_equal(times(page.p, says), 1);
}

static void layers_stand_in_their_order(void **state)
{
	struct made *m = *state;
	const struct wanted w[] = {{"p", failed, made_passed}};
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	logs_begin(m);
	run_add(m, w, 1, false, "done");
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_non_null(strstr(page.p, "the uppermost first"));
	assert_non_null(strstr(page.p, "node=1\nnpm=2"));
}

/* Every byte becomes six. */
static void what_the_page_has_no_room_for_is_said(void **state)
{
	enum { MANY = 60 };
	struct made *m = *state;
	struct wanted w[MANY];
	char names[MANY][24];
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT, log = TEXT_INIT;
	for (int i = 0; i < 10000; i++)
		text_addc(&log, '"');
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "package-%02d", i);
		w[i] = (struct wanted){names[i], failed, crashed};
	}
	logs_begin(m);
	run_add(m, w, MANY, false, "done");
	for (int i = 0; i < MANY; i++) {
		log_write(m, names[i], "old<i>", &log);
		log_write(m, names[i], "new", &log);
	}
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_in_range(page.n, 4 << 20, 5 << 20);
	size_t shown = times(page.p, " left out …"),
	       said = times(page.p, "shows no more logs: <code>assay logs 1 package-");
	assert_int_equal(shown / 2 + said, MANY);
	assert_true(said > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_long_log_is_shown_at_both_ends_and_breaks_out_of_nothing, made_setup,
			made_teardown),
		cmocka_unit_test_setup_teardown(
			a_log_of_a_few_bytes_more_than_is_shown_of_one_is_whole_or_says_so,
			made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(the_store_s_layers_stand_the_newest_first,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(layers_stand_in_their_order, made_setup,
						made_teardown),
		cmocka_unit_test_setup_teardown(what_the_page_has_no_room_for_is_said, made_setup,
						made_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
