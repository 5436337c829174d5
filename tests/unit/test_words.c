/* The words of `assay sandbox`: mounts, files, limits; what is refused and how it is said; what its
 * end is made of. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "orchestrator/sandbox_end.h"
#include "orchestrator/sandbox_options.h"

#include <signal.h>
#include <string.h>

static struct sandbox_options asked;
static struct err why;

/* "assay sandbox" and these words, up to NULL. */
static int ask(const char *first, ...)
{
	static char *argv[32];
	int argc = 0;
	va_list ap;
	sandbox_options_fini(&asked);
	why = (struct err)ERR_INIT;
	argv[argc++] = (char[]){"assay sandbox"};
	va_start(ap, first);
	for (const char *w = first; w; w = va_arg(ap, const char *))
		argv[argc++] = (char *)(uintptr_t)w;
	va_end(ap);
	argv[argc] = NULL;
	return sandbox_options_read(&asked, argc, argv, &why);
}

#define refused(words, ...)                                                                        \
	do {                                                                                       \
		assert_int_equal(ask(__VA_ARGS__, NULL), -1);                                      \
		assert_int_equal(why.kind, ERR_USAGE);                                             \
		if (!strstr(why.text, words))                                                      \
			print_error("%s\n", why.text);                                             \
		assert_non_null(strstr(why.text, words));                                          \
	} while (0)

static const char *variable(const char *name)
{
	size_t n = strlen(name);
	for (char **v = asked.env; *v; v++)
		if (!strncmp(*v, name, n) && (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

static void mounts_are_words_with_two_places(void **state)
{
	(void)state;
	assert_int_equal(ask("--ro", "/usr/share:/data//x/./", "--rw", "/tmp", "--cow",
			     "a\\:b\\\\c:/d\\:e", "--map", "/srv:/s:cow", "--tmpfs", "/t:512M",
			     "--tmpfs", "/u", "--", "true", NULL),
			 0);
	const struct sandbox_mount *m = asked.mounts;
	assert_int_equal(asked.n_mounts, 6);
	assert_string_equal(m[0].source, "/usr/share");
	assert_string_equal(m[0].path, "/data/x");
	assert_int_equal(m[0].mode, BOX_RO);
	assert_string_equal(m[1].path, "/tmp");
	assert_int_equal(m[1].mode, BOX_RW);
	assert_string_equal(m[2].source, "a:b\\c");
	assert_string_equal(m[2].path, "/d:e");
	assert_int_equal(m[2].mode, BOX_COW);
	assert_int_equal(m[3].mode, BOX_COW);
	assert_string_equal(m[3].path, "/s");
	assert_null(m[4].source);
	assert_int_equal(m[4].size, 512u << 20);
	assert_int_equal(m[5].size, 0);
}

static void what_is_kept_is_of_the_cow_before_it_or_of_the_root(void **state)
{
	(void)state;
	assert_int_equal(ask("--keep", "r", "--cow", "/a:/a", "--ro", "/b:/b", "--keep", "c",
			     "true", NULL),
			 0);
	assert_string_equal(asked.keep, "r");
	assert_string_equal(asked.mounts[0].keep, "c");
	assert_null(asked.mounts[1].keep);
	assert_int_equal(ask("--cow", "/a:/a", "--root", "./r", "--keep", "k", "true", NULL), 0);
	assert_string_equal(asked.keep, "k");
	assert_null(asked.mounts[0].keep);
	refused("--keep b: what it is for has a already", "--keep", "a", "--keep", "b", "true");
}

static void the_command_begins_at_the_first_word_that_is_no_option(void **state)
{
	(void)state;
	assert_int_equal(ask("--cd", "/x", "ls", "--time", "3", NULL), 0);
	assert_string_equal(asked.argv[0], "ls");
	assert_string_equal(asked.argv[1], "--time");
	assert_string_equal(asked.argv[2], "3");
	assert_null(asked.argv[3]);
	assert_string_equal(asked.cwd, "/x");
	assert_int_equal(ask("--", "--odd", NULL), 0);
	assert_string_equal(asked.argv[0], "--odd");
	refused("which command?", "--tty");
}

static void limits_are_read_as_suites_read_them(void **state)
{
	(void)state;
	assert_int_equal(ask("--time", "1h30m", "--cpu", "90s", "--memory", "2G", "--cpus", "1.5",
			     "--processes", "512", "--grace", "0", "true", NULL),
			 0);
	assert_int_equal(asked.limits.wall_ms, 5400000);
	assert_int_equal(asked.limits.cpu_ms, 90000);
	assert_int_equal(asked.limits.memory, UINT64_C(2) << 30);
	assert_int_equal(asked.limits.cpu_milli, 1500);
	assert_int_equal(asked.limits.processes, 512);
	assert_int_equal(asked.limits.grace_ms, 0);
	assert_int_equal(ask("true", NULL), 0);
	assert_int_equal(asked.limits.grace_ms, 5000);
	assert_int_equal(asked.limits.wall_ms, 0);
}

static void an_environment_is_made_not_inherited(void **state)
{
	(void)state;
	setenv("ASSAY_TEST_HERE", "here", 1);
	unsetenv("ASSAY_TEST_NOT");
	assert_int_equal(ask("--env", "A=b=c", "--env", "ASSAY_TEST_HERE", "--env",
			     "ASSAY_TEST_NOT", "--env", "LANG=", "true", NULL),
			 0);
	assert_string_equal(variable("A"), "b=c");
	assert_string_equal(variable("ASSAY_TEST_HERE"), "here");
	assert_null(variable("ASSAY_TEST_NOT"));
	assert_string_equal(variable("LANG"), "");
	assert_string_equal(variable("HOME"), "/root");
	assert_int_equal(ask("--uid", "7", "true", NULL), 0);
	assert_null(variable("ASSAY_TEST_HERE"));
	assert_null(variable("USER"));
	assert_string_equal(variable("HOME"), "/tmp");
	assert_int_equal(asked.gid, 7);
	assert_int_equal(ask("--uid", "7", "--gid", "0", "true", NULL), 0);
	assert_int_equal(asked.gid, 0);
	unsetenv("ASSAY_TEST_HERE");
}

static void loosenings_are_named(void **state)
{
	(void)state;
	assert_int_equal(ask("--profile", "default+userns", "--allow", "kvm,fuse", "true", NULL),
			 0);
	assert_int_equal(asked.loosen, BOX_LOOSEN_USERNS | BOX_LOOSEN_KVM | BOX_LOOSEN_FUSE);
	refused("there is no 'everything'", "--allow", "everything", "true");
	refused("there is no 'none'", "--profile", "none", "true");
}

static void what_makes_no_sense_is_refused_in_a_line(void **state)
{
	(void)state;
	refused("--time takes a time with its unit", "--time", "3", "true");
	refused("--memory takes a size", "--memory", "much", "true");
	refused("--processes takes a number", "--processes", "-1", "true");
	refused("--cpus takes a number of processors", "--cpus", "0", "true");
	refused("--cpus takes a number of processors", "--cpus", "1.2345", "true");
	refused("--cpus takes a number of processors", "--cpus", "1.", "true");
	refused("--net takes none, host or nat, not 'lan'", "--net", "lan", "true");
	refused("--ids takes auto, one or range", "--ids", "many", "true");
	refused("no '..'", "--ro", "/a:/b/../c", "true");
	refused("begins with '/'", "--ro", "/a:b", "true");
	refused("which directory or file", "--ro", ":/b", "true");
	refused("SRC or SRC:DST", "--ro", "/a:/b:/c", "true");
	refused("too many ':'", "--cow", "/a:/b:/c:/d", "true");
	refused("SRC:DST:ro, SRC:DST:rw or SRC:DST:cow", "--map", "/a:/b", "true");
	refused("SRC:DST:ro, SRC:DST:rw or SRC:DST:cow", "--map", "/a:/b:rx", "true");
	refused("PATH or PATH:SIZE", "--tmpfs", "/t:big", "true");
	refused("PATH or PATH:SIZE", "--tmpfs", "/t:0", "true");
	refused("DST=SRC", "--file", "/etc/x", "true");
	refused("begins with '/'", "--file", "x=/etc/y", "true");
	refused("begins with '/'", "--cd", "x", "true");
	refused("NAME or NAME=VALUE", "--env", "=x", "true");
	refused("ids end at", "--uid", "4294967295", "true");
	refused("a mount at / is the root", "--rw", "/a:/", "--root", "./r", "true");
	refused("read-only", "--read-only", "--keep", "k", "true");
	/* a place that is not said is looked up */
	assert_int_equal(ask("--ro", "/no/such/place", "true", NULL), -1);
	assert_non_null(strstr(why.text, "/no/such/place: No such file or directory"));
}

static void what_is_no_option_is_told_in_a_line(void **state)
{
	(void)state;
	refused("there is no option --frob; see --help", "--frob", "true");
	refused("there is no option --frob=3; see --help", "--tty", "--frob=3", "true");
	refused("there is no option -x; see --help", "-x", "true");
	refused("there is no option -tx; see --help", "-tx", "true");
	refused("--i begins more than one option", "--i", "3", "true");
	refused("--time takes TIME", "--time");
	refused("--tty takes no value", "--tty=yes", "true");
	refused("--tty takes no value", "--tt=yes", "true");
	/* what begins one only is that one, and an option's name may begin another's */
	assert_int_equal(ask("--sil", "3s", "--cpu", "3s", "--cpus", "1", "true", NULL), 0);
	assert_int_equal(asked.limits.silence_ms, 3000);
}

static void its_end_is_the_commands(void **state)
{
	struct box_facts f = {.end = BOX_EXITED, .exit_code = 7};
	auto_text struct text t = TEXT_INIT;
	(void)state;
	assert_int_equal(sandbox_end_of(&f, 0).status, 7);
	assert_int_equal(sandbox_end_of(&f, SIGINT).signal, 0);
	sandbox_end_line(&f, &t);
	assert_int_equal(t.n, 0);
	f = (struct box_facts){.end = BOX_SIGNALLED, .signal = SIGSEGV};
	assert_int_equal(sandbox_end_of(&f, 0).signal, SIGSEGV);
	assert_int_equal(sandbox_end_of(&f, 0).status, 128 + SIGSEGV);
	f = (struct box_facts){.end = BOX_CANCELLED, .signal = SIGKILL};
	assert_int_equal(sandbox_end_of(&f, SIGINT).signal, SIGINT);
	f = (struct box_facts){.end = BOX_FAILED, .error = "mount /x: no\033[2J way"};
	assert_int_equal(sandbox_end_of(&f, 0).status, SANDBOX_OURS);
	sandbox_end_line(&f, &t);
	assert_string_equal(text_str(&t), "mount /x: no way");
	text_fini(&t);
	f = (struct box_facts){.end = BOX_LIMITED,
			       .limit = BOX_LIMIT_MEMORY,
			       .limit_bound = 1 << 20,
			       .limit_value = 1 << 20};
	assert_int_equal(sandbox_end_of(&f, 0).status, SANDBOX_LIMITED);
	sandbox_end_line(&f, &t);
	assert_string_equal(text_str(&t),
			    "ended by its limit: --memory 1.0 MiB (it was at 1.0 MiB)");
}

static void each_limit_is_told_as_its_option(void **state)
{
	(void)state;
	for (int l = BOX_LIMIT_WALL; l <= BOX_LIMIT_FILE_SIZE; l++) {
		struct box_facts f = {.end = BOX_LIMITED,
				      .limit = (enum box_limit)l,
				      .limit_bound = 2000};
		auto_text struct text t = TEXT_INIT;
		sandbox_end_line(&f, &t);
		const char *option = strstr(text_str(&t), "--");
		assert_non_null(option);
		auto_free char *name = own_dup_n(option, strcspn(option, " "));
		/* and there is such an option */
		assert_int_equal(ask("--keep", "k", name, "4000s", "true", NULL) +
					 ask("--keep", "k", name, "4000", "true", NULL),
				 -1);
	}
}

static void facts_are_json_whatever_a_job_calls_itself(void **state)
{
	struct box_facts f = {.end = BOX_LIMITED,
			      .exit_code = -1,
			      .limit = BOX_LIMIT_WALL,
			      .cgroup = "v2",
			      .processes = "2 1 S 0 4 sleep\n3 1 R 9 8 \xff\033]0;x\007evil\n"};
	(void)state;
	json_t *j = sandbox_end_json(&f, BOX_NET_NONE);
	assert_string_equal(json_string_value(json_object_get(j, "end")), "limited");
	assert_string_equal(json_string_value(json_object_get(j, "limit")), "wall-time");
	assert_true(json_is_null(json_object_get(j, "exit_code")));
	assert_true(json_is_null(json_object_get(j, "error")));
	json_t *p = json_object_get(j, "processes");
	assert_int_equal(json_array_size(p), 2);
	assert_string_equal(json_string_value(json_array_get(p, 0)), "2 1 S 0 4 sleep");
	assert_string_equal(json_string_value(json_array_get(p, 1)), "3 1 R 9 8 \xef\xbf\xbd"
								     "evil");
	json_decref(j);
}

static void a_network_that_was_lost_is_told(void **state)
{
	(void)state;
	static const struct {
		enum box_net net;
		bool lost;
		int type;
	} cases[] = {{BOX_NET_NONE, false, JSON_NULL},
		     {BOX_NET_HOST, false, JSON_NULL},
		     {BOX_NET_NAT, false, JSON_FALSE},
		     {BOX_NET_NAT, true, JSON_TRUE}};
	for (size_t i = 0; i < countof(cases); i++) {
		struct box_facts f = {.cgroup = "v2", .network_lost = cases[i].lost};
		auto_text struct text t = TEXT_INIT;
		json_t *j = sandbox_end_json(&f, cases[i].net);
		assert_int_equal(json_typeof(json_object_get(j, "network_lost")), cases[i].type);
		json_decref(j);
		sandbox_end_line(&f, &t);
		assert_string_equal(text_str(&t),
				    cases[i].lost ? "its network (pasta) ended before it did" : "");
	}
	struct box_facts f = {.end = BOX_LIMITED,
			      .limit = BOX_LIMIT_WALL,
			      .limit_bound = 2000,
			      .network_lost = true};
	auto_text struct text t = TEXT_INIT;
	sandbox_end_line(&f, &t);
	assert_string_equal(
		text_str(&t),
		"ended by its limit: --time 2.0 s; its network (pasta) ended before it did");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounts_are_words_with_two_places),
		cmocka_unit_test(what_is_kept_is_of_the_cow_before_it_or_of_the_root),
		cmocka_unit_test(the_command_begins_at_the_first_word_that_is_no_option),
		cmocka_unit_test(limits_are_read_as_suites_read_them),
		cmocka_unit_test(an_environment_is_made_not_inherited),
		cmocka_unit_test(loosenings_are_named),
		cmocka_unit_test(what_makes_no_sense_is_refused_in_a_line),
		cmocka_unit_test(what_is_no_option_is_told_in_a_line),
		cmocka_unit_test(its_end_is_the_commands),
		cmocka_unit_test(each_limit_is_told_as_its_option),
		cmocka_unit_test(facts_are_json_whatever_a_job_calls_itself),
		cmocka_unit_test(a_network_that_was_lost_is_told),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	sandbox_options_fini(&asked);
	return rc;
}
