/* cache/: uppers that real overlay mounts made, as the boxes make them: in a user namespace, with
 * userxattr. */
#include "tests/unit/cache_store.h"

#include <sched.h>
#include <sys/mount.h>

/* What a job does in the store; run in the merged directory. */
typedef void (*job_fn)(void);

static void say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || dir_write_all(fd, text, strlen(text)))
		_exit(9);
	close(fd);
}

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (x)                                                                             \
			_exit(9);                                                                  \
	} while (0)

/* In a child: the store's layers below a new upper, job inside. Exit 77: no such mounts here. */
static void in_overlay(struct store *s, const char *upper, job_fn job)
{
	auto_text struct text options = TEXT_INIT;
	auto_free char *up = at_work(s->f, upper), *map = own_fmt("0 %u 1", geteuid());
	auto_free char *gmap = own_fmt("0 %u 1", getegid());
	auto_free char *work = own_fmt("%s.work", up), *merged = own_fmt("%s.merged", up);
	const char *dirs[] = {up, work, merged};
	for (size_t i = 0; i < 3; i++)
		MUST(mkdir(dirs[i], 0755));
	text_add(&options, "userxattr,lowerdir=");
	for (size_t i = s->n; i--;)
		text_addf(&options, "%s/state/layers/%s%s", s->f->path, s->ids[i], i ? ":" : "");
	text_addf(&options, ",upperdir=%s,workdir=%s", up, work);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(77);
	int fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	MUST(fd < 0 || write(fd, "deny", 4) != 4);
	close(fd);
	say("/proc/self/uid_map", map);
	say("/proc/self/gid_map", gmap);
	if (mount("overlay", merged, "overlay", 0, options.p))
		_exit(77);
	MUST(chdir(merged));
	job();
	_exit(0);
}

static bool no_overlays;

static void run_job(struct store *s, const char *upper, job_fn job)
{
	pid_t pid = fork();
	if (!pid)
		in_overlay(s, upper, job);
	int status = -1;
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		no_overlays = true;
		store_end(s);
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void begin(struct store *s)
{
	auto_fd int u = sub(s->f->work, "first");
	put(u, "logs/old", "1");
	put(u, "logs/older", "1");
	put(u, "tree/a/b", "1");
	put(u, "touched", "same bytes");
	put(u, "appended", "line\n");
	put(u, "moved/from", "1");
	store_publish(s, "first");
}

static void busy(void)
{
	int fd;
	MUST(unlink("logs/old"));
	MUST(unlink("tree/a/b") || rmdir("tree/a") || mkdir("tree/a", 0700));
	say("tree/a/new", "2");
	MUST(utimensat(AT_FDCWD, "touched", NULL, 0));
	MUST((fd = open("appended", O_WRONLY | O_APPEND)) < 0 || write(fd, "more\n", 5) != 5);
	MUST(rename("moved/from", "moved/to"));
	MUST(mkdir("fresh", 0700));
	say("fresh/file", "new");
	MUST(chmod("fresh/file", 0600));
	MUST(rename("fresh", "renamed"));
	MUST(link("renamed/file", "second-name"));
	MUST(mkfifo("pipe", 0644));
	say("made-and-gone", "x");
	MUST(unlink("made-and-gone"));
}

static void a_real_upper_is_understood(void **state)
{
	struct store s = {.f = *state};
	struct err e = ERR_INIT;
	begin(&s);
	run_job(&s, "job", busy);
	store_publish(&s, "job");
	expect_change(&s, "logs/old", CACHE_DELETED);
	expect_change(&s, "tree/a", CACHE_DELETED);
	expect_change(&s, "tree/a/new", CACHE_ADDED);
	expect_change(&s, "touched", CACHE_IDENTICAL);
	expect_change(&s, "appended", CACHE_CONFLICT);
	expect_change(&s, "moved/from", CACHE_DELETED);
	expect_change(&s, "moved/to", CACHE_ADDED);
	expect_change(&s, "renamed/file", CACHE_ADDED);
	expect_change(&s, "second-name", CACHE_ADDED);
	expect_change(&s, "pipe", CACHE_REFUSED);
	assert_null(entry_of(&s, "fresh"));
	assert_null(entry_of(&s, "made-and-gone"));
	OK(cache_layer_verify(s.f->c, s.ids[1], &e));
	store_end(&s);
}

static void expect_in_job(const char *path, const char *content)
{
	char is[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	MUST(fd < 0 || read(fd, is, sizeof(is) - 1) < 0 || strcmp(is, content));
	close(fd);
}

static void reads_all(void)
{
	expect_in_job("logs/old", "1");
	expect_in_job("tree/a/b", "1");
	expect_in_job("tree/a/new", "2");
	expect_in_job("appended", "line\n");
	expect_in_job("moved/from", "1");
	expect_in_job("moved/to", "1");
	expect_in_job("renamed/file", "new");
	say("appended", "x"); /* what a layer has can be written in a job */
}

static void the_next_job_sees_both_generations_joined_and_may_write(void **state)
{
	struct store s = {.f = *state};
	struct err e = ERR_INIT;
	struct cache_layer flat;
	begin(&s);
	run_job(&s, "job", busy);
	store_publish(&s, "job");
	run_job(&s, "next", reads_all);
	const char *ids[] = {s.ids[1], s.ids[0]};
	OK(cache_flatten(s.f->c, ids, 2, &flat, &e));
	store_end(&s);
	s = (struct store){.f = *state, .n = 1};
	memcpy(s.ids[0], flat.id, CACHE_ID);
	s.fds[0] = cache_layer_open(s.f->c, flat.id, &e);
	run_job(&s, "flattened", reads_all);
	/* Nothing a job did has reached a layer. */
	OK(cache_layer_verify(s.f->c, flat.id, &e));
	store_end(&s);
}

static void deletes(void)
{
	MUST(unlink("logs/old"));
	MUST(unlink("tree/a/b") || rmdir("tree/a") || rmdir("tree"));
	MUST(rename("moved/from", "moved/to"));
}

static void misses_what_was_deleted(void)
{
	MUST(!access("logs/old", F_OK) || !access("tree", F_OK) || !access("moved/from", F_OK));
	expect_in_job("logs/older", "1");
	expect_in_job("moved/to", "1");
	MUST(mkdir("tree", 0755)); /* nothing of the old one is in it */
	MUST(rmdir("tree"));
}

static void what_a_job_deleted_is_gone_for_the_next_where_deletions_apply(void **state)
{
	struct store s = {.f = *state, .deletions = CACHE_DELETIONS_APPLY};
	struct err e = ERR_INIT;
	begin(&s);
	run_job(&s, "job", deletes);
	store_publish(&s, "job");
	run_job(&s, "next", misses_what_was_deleted);
	OK(cache_layer_verify(s.f->c, s.ids[1], &e));
	/* That the next one deleted nothing more is no change. */
	store_publish(&s, "next");
	assert_true(s.out.nothing);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(a_real_upper_is_understood),
		T(what_a_job_deleted_is_gone_for_the_next_where_deletions_apply),
		T(the_next_job_sees_both_generations_joined_and_may_write),
	};
	int rc = cmocka_run_group_tests_name("cache/overlay", tests, NULL, NULL);
	if (no_overlays)
		puts("skipped: no overlay mounts in a user namespace here");
	return no_overlays && !rc ? 77 : rc;
}
