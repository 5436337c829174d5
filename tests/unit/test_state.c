/* orchestrator/state.c, state_path.c: the state directory is found, made, locked and swept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct place {
	char path[128];
	char *env[4];
};
static const char *const names[] = {"ASSAY_STATE", "XDG_STATE_HOME", "HOME"};

static int set_up(void **state)
{
	struct place *p = own_calloc(1, sizeof(*p));
	snprintf(p->path, sizeof(p->path), "%s/assay-state-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	for (size_t i = 0; i < countof(names); i++) {
		p->env[i] = getenv(names[i]) ? own_dup(getenv(names[i])) : NULL;
		unsetenv(names[i]);
	}
	*state = p;
	return mkdtemp(p->path) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e;
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < countof(names); i++) {
		if (p->env[i])
			setenv(names[i], p->env[i], 1);
		free(p->env[i]);
	}
	int rc = dir_remove(root, p->path + 1, &e);
	free(p);
	return rc;
}

static void expect_path(const char *opt, const char *want)
{
	struct err e = ERR_INIT;
	auto_free char *path = state_path(opt, &e);
	assert_non_null(path);
	assert_string_equal(path, want);
}

static void the_option_wins_then_assay_state_then_xdg_then_home(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	assert_null(state_path(NULL, &e));
	assert_int_equal(e.kind, ERR_USAGE);
	setenv("HOME", "/h", 1);
	expect_path(NULL, "/h/.local/state/assay");
	setenv("XDG_STATE_HOME", "relative", 1); /* the specification: to be ignored */
	expect_path(NULL, "/h/.local/state/assay");
	setenv("XDG_STATE_HOME", "/x", 1);
	expect_path(NULL, "/x/assay");
	setenv("ASSAY_STATE", "/a", 1);
	expect_path(NULL, "/a");
	expect_path("", "/a");
	expect_path("/o", "/o");
	auto_free char *cwd = getcwd(NULL, 0);
	auto_free char *want = own_fmt("%s/o", cwd);
	expect_path("o", want);
}

static struct state *open_state(const char *path)
{
	struct err e = ERR_INIT;
	struct state *s = state_open(path, &e);
	if (!s)
		fail_msg("%s", e.text);
	return s;
}

static void it_is_made_with_its_parents_for_its_owner_only(void **state)
{
	struct place *p = *state;
	struct stat st;
	auto_free char *path = own_fmt("%s/a/b/state", p->path);
	struct state *s = open_state(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	static const char *const made[] = {"assay.db", "lock", "jobs", "runs"};
	for (size_t i = 0; i < countof(made); i++)
		assert_int_equal(faccessat(s->fd, made[i], F_OK, 0), 0);
	state_close(s);
}

static void one_at_a_time_and_the_other_is_told_who(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct state *s = open_state(p->path);
	auto_free char *pid = own_fmt("in use by process %d;", (int)getpid());
	assert_null(state_open(p->path, &e));
	assert_int_equal(e.kind, ERR_BUSY);
	assert_non_null(strstr(e.text, pid));
	state_close(s);
	state_close(open_state(p->path));
}

static void a_death_unlocks_it(void **state)
{
	struct place *p = *state;
	pid_t pid = fork();
	if (!pid) {
		struct err e;
		_exit(state_open(p->path, &e) ? 7 : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	state_close(open_state(p->path));
}

static void what_a_killed_run_left_is_swept(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct state *s = open_state(p->path);
	struct db_variant v = {.name = "base"};
	struct db_job job = {.package = "p", .version = "1", .variant = "base"};
	struct db_run run = {.suite = "s",
			     .pid = 1,
			     .started_ms = clock_real_ms(),
			     .jobs_at_once = 1};
	int64_t id = db_run_begin(s->db, &run, &v, 1, &job, 1, &e);
	assert_true(id > 0);
	int left = dir_make(s->fd, "jobs/1/0/build.1/0/u/deep/er", 0700, &e);
	assert_true(left >= 0);
	close(left);
	state_close(s);
	s = open_state(p->path);
	assert_int_equal(faccessat(s->fd, "jobs/1", F_OK, 0), -1);
	assert_int_equal(faccessat(s->fd, "jobs", F_OK, 0), 0);
	struct db_table *t = NULL;
	assert_int_equal(db_query(s->db,
				  "SELECT r.state, j.state FROM run r JOIN job j ON j.run = r.id",
				  NULL, 0, &t, &e),
			 0);
	assert_string_equal(t->cells[0].s, "aborted");
	assert_string_equal(t->cells[1].s, "abandoned");
	db_table_free(t);
	state_close(s);
}

/* The cgroups of its boxes carry the name: it must be found again. */
static void however_it_is_spelled_its_boxes_have_one_name(void **state)
{
	struct place *p = *state;
	char first[24], again[24];
	auto_free char *odd = own_fmt("%s/../%s/./", p->path, strrchr(p->path, '/') + 1);
	auto_free char *link = own_fmt("%s/link", p->path), *deep = own_fmt("%s/deep", p->path);
	struct state *s = open_state(p->path);
	state_box_name(s, first);
	state_close(s);
	s = open_state(odd);
	state_box_name(s, again);
	assert_string_equal(first, again);
	state_close(s);
	s = open_state(deep);
	state_box_name(s, first);
	state_close(s);
	assert_int_equal(symlink("deep", link), 0);
	s = open_state(link);
	state_box_name(s, again);
	assert_string_equal(first, again);
	assert_int_equal(strlen(first), 14);
	state_close(s);
}

static void a_file_in_its_place_is_refused(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	auto_free char *path = own_fmt("%s/file", p->path),
		       *below = own_fmt("%s/file/state", p->path);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_null(state_open(path, &e));
	assert_non_null(strstr(e.text, path));
	assert_null(state_open(below, &e));
	assert_non_null(strstr(e.text, "Not a directory"));
}

static void what_everybody_may_write_is_refused(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	assert_int_equal(chmod(p->path, 0777), 0);
	assert_null(state_open(p->path, &e));
	assert_non_null(strstr(e.text, "chmod o-w"));
	assert_int_equal(chmod(p->path, 0775), 0);
	state_close(open_state(p->path));
}

/* The sweep removes what no row names: without rows that would be everything. */
static void archives_are_not_swept_because_the_database_is_gone(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct state *s = open_state(p->path);
	auto_fd int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	state_close(s);
	assert_int_equal(mknodat(fd, "seg/000001.tar.zst", S_IFREG | 0644, 0), 0);
	for (int i = 0; i < 2; i++) { /* gone, then empty */
		assert_int_equal(unlinkat(fd, "assay.db", 0), 0);
		if (i)
			assert_int_equal(mknodat(fd, "assay.db", S_IFREG | 0644, 0), 0);
		assert_null(state_open(p->path, &e));
		assert_int_equal(e.kind, ERR_CORRUPT);
		assert_int_equal(faccessat(fd, "seg/000001.tar.zst", F_OK, 0), 0);
		if (!i)
			assert_int_equal(mknodat(fd, "assay.db", S_IFREG | 0644, 0), 0);
	}
	assert_int_equal(unlinkat(fd, "seg/000001.tar.zst", 0), 0);
	state_close(open_state(p->path));
}

static void set_immutable(int fd, bool on)
{
	int flags = on ? FS_IMMUTABLE_FL : 0;
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags)) {
		print_message("no immutable files here: %s\n", strerror(errno));
		skip();
	}
}

static void what_cannot_be_removed_stays_and_is_in_nobodys_way(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct state *s = open_state(p->path);
	auto_fd int left = dir_make(s->fd, "jobs/1/0", 0700, &e);
	assert_true(left >= 0);
	state_close(s);
	set_immutable(left, true);
	s = open_state(p->path);
	assert_int_equal(faccessat(s->fd, "jobs/1/0", F_OK, 0), 0);
	set_immutable(left, false);
	state_close(s);
	s = open_state(p->path);
	assert_int_equal(faccessat(s->fd, "jobs/1", F_OK, 0), -1);
	state_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_option_wins_then_assay_state_then_xdg_then_home,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_is_made_with_its_parents_for_its_owner_only,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_at_a_time_and_the_other_is_told_who, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_death_unlocks_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_killed_run_left_is_swept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(however_it_is_spelled_its_boxes_have_one_name,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_in_its_place_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_everybody_may_write_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(archives_are_not_swept_because_the_database_is_gone,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_removed_stays_and_is_in_nobodys_way,
						set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
