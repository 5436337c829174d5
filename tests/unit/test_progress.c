/* orchestrator/progress.c: what a person sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"
#include "orchestrator/progress.h"

#include <string.h>

static struct suite_package packages[] = {{.id = (char[]){"semver"}}, {.id = (char[]){"des.js"}}};
static const struct suite_variant next = {.name = (char[]){"next"}};
static const struct suite suite = {.name = (char[]){"demo"}, .packages = packages, .n_packages = 2};

static FILE *caught;
static int stderr_fd = -1;

static void catch_stderr(void)
{
	fflush(stderr);
	caught = tmpfile();
	stderr_fd = dup(2);
	dup2(fileno(caught), 2);
}

static void caught_text(struct text *t)
{
	char buf[4096];
	fflush(stderr);
	dup2(stderr_fd, 2);
	close(stderr_fd);
	rewind(caught);
	size_t n = fread(buf, 1, sizeof(buf), caught);
	text_put(t, buf, n);
	fclose(caught);
}

static struct engine_news news(enum status s, enum reason r, const char *note)
{
	return (struct engine_news){.package = &packages[0],
				    .variant = &next,
				    .result = {s, r, "test", NULL},
				    .wall_ms = 1500,
				    .note = note};
}

static void each_result_is_a_line(void **state)
{
	struct progress p;
	auto_text struct text t = TEXT_INIT;
	(void)state;
	catch_stderr();
	progress_init(&p, 7, &suite, 2);
	struct engine_news passed = news(STATUS_PASS, REASON_OK, NULL);
	progress_news(&p, &passed);
	struct engine_news failed = news(STATUS_FAIL, REASON_MISSING_DEP, "harvest refused: x");
	progress_news(&p, &failed);
	progress_fini(&p);
	caught_text(&t);
	assert_non_null(strstr(t.p, "run 7: demo, 2 jobs\n"));
	assert_non_null(strstr(t.p, "  1/2  semver  next       pass  1.5 s\n"));
	assert_non_null(strstr(t.p, "  2/2  semver  next       fail/missing-dep in test  1.5 "
				    "s\nassay: semver: harvest refused: x\n"));
	assert_non_null(strstr(t.p, "run 7: 2 of 2 jobs in "));
}

static void names_are_as_wide_as_terminals_show_them(void **state)
{
	struct suite_package wide[] = {{.id = (char[]){"日本"}}, {.id = (char[]){"héllo"}}};
	const struct suite s = {.name = (char[]){"wide"}, .packages = wide, .n_packages = 2};
	struct progress p;
	auto_text struct text t = TEXT_INIT;
	(void)state;
	catch_stderr();
	progress_init(&p, 1, &s, 2);
	struct engine_news n = news(STATUS_PASS, REASON_OK, NULL);
	for (size_t i = 0; i < 2; i++) {
		n.package = &wide[i];
		progress_news(&p, &n);
	}
	progress_fini(&p);
	caught_text(&t);
	assert_non_null(strstr(t.p, "日本   next "));
	assert_non_null(strstr(t.p, "héllo  next "));
}

static void a_job_without_phases_of_its_own_tells_no_time(void **state)
{
	struct progress p;
	auto_text struct text t = TEXT_INIT;
	(void)state;
	catch_stderr();
	progress_init(&p, 1, &suite, 2);
	struct engine_news n = news(STATUS_FAIL, REASON_EXIT, NULL);
	n.wall_ms = 0;
	progress_news(&p, &n);
	progress_fini(&p);
	caught_text(&t);
	assert_non_null(strstr(t.p, "fail/exit in test\n"));
}

static void without_a_terminal_nothing_is_drawn(void **state)
{
	struct progress p;
	auto_text struct text t = TEXT_INIT;
	(void)state;
	catch_stderr();
	progress_init(&p, 1, &suite, 2);
	progress_tick(&p, &(struct engine_now){2, 30000, 60000});
	progress_fini(&p);
	caught_text(&t);
	assert_null(strchr(t.p, '\r'));
	assert_null(strstr(t.p, "running"));
}

static void on_a_terminal_the_last_line_is_redrawn_and_gone_in_the_end(void **state)
{
	struct progress p;
	auto_text struct text t = TEXT_INIT;
	(void)state;
	catch_stderr();
	progress_init(&p, 1, &suite, 9);
	p.terminal = true;
	progress_tick(&p, &(struct engine_now){4, 30000, 60000});
	struct engine_news passed = news(STATUS_PASS, REASON_OK, NULL);
	for (int i = 0; i < 3; i++)
		progress_news(&p, &passed);
	progress_tick(&p, &(struct engine_now){2, 30000, 60000});
	progress_fini(&p);
	caught_text(&t);
	const char *first = strstr(t.p, "0 of 9 done, 4 running, "),
		   *last = strstr(t.p, "3 of 9 done, 2 running, ");
	assert_non_null(first);
	assert_null(memmem(first, (size_t)(strchr(first, '\r') - first), " left",
			   5)); /* too early to tell */
	assert_memory_equal(strchr(first, '\r'), "\r\033[K  1/9", 9);
	assert_non_null(strstr(last, ", about 30.0 s to 1 m 00 s left"));
	assert_non_null(strstr(last, " left\r\033[Krun 1: 3 of 9 jobs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_result_is_a_line),
		cmocka_unit_test(names_are_as_wide_as_terminals_show_them),
		cmocka_unit_test(a_job_without_phases_of_its_own_tells_no_time),
		cmocka_unit_test(without_a_terminal_nothing_is_drawn),
		cmocka_unit_test(on_a_terminal_the_last_line_is_redrawn_and_gone_in_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
