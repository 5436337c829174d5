/* A box with a range of ids: as root, and as an ordinary user who has one (subuid(5)). What only
 * root can arrange (somebody who has none, another machine's /etc/subuid) is tried by root in a
 * child that becomes nobody. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <dirent.h>
#include <grp.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/* Runs over the host's root with an upper and the root's own earlier uppers, each DIR/u. */
static void run_over(struct try *t, const char *upper, const char *below)
{
	struct box_mount *m = try_mount(t, "/work", BOX_COW);
	if (below)
		try_lower(t, m, below);
	try_upper(m, upper);
	t->spec.cwd = "/work";
	try_run(t);
}

static void files_are_given_to_other_ids_and_the_next_box_knows_them(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "set -e; : >a; chown 42:43 a; install -o 1 -g 2 -m 640 /etc/hostname b; mkdir "
		     "-m 700 d; "
		     ": >d/f; chmod 4755 d/f; chown -R 65534:65534 d; ln -s x l; chown -h 7:8 l; "
		     "stat -c '%n %u:%g %a' a b d d/f l");
	run_over(&t, "first", NULL);
	try_expect(&t, 0,
		   "a 42:43 644\nb 1:2 640\nd 65534:65534 700\nd/f 65534:65534 755\nl 7:8 777\n");
	assert_string_equal(t.facts.ids, "range");
	try_fini(&t);
	try_init(&t, "set -e; stat -c '%n %u:%g %a' a b d d/f l; echo more >>b; chown 9:9 d/f; mv "
		     "d e; rm a; "
		     "stat -c '%n %u:%g %a' b e e/f");
	run_over(&t, "second", "first/u");
	try_expect(&t, 0,
		   "a 42:43 644\nb 1:2 640\nd 65534:65534 700\nd/f 65534:65534 755\nl 7:8 777\n"
		   "b 1:2 640\ne 65534:65534 700\ne/f 9:9 755\n");
	try_fini(&t);
}

static void commands_become_other_users_as_apt_and_su_do(void **state)
{
	(void)state;
	try_script(
		"set -e; setpriv --reuid 42 --regid 43 --clear-groups sh -c 'id -u; id -g; id -G'; "
		"setpriv --reuid 1000 --regid 1000 --groups 5,6 id -G; "
		"su -s /bin/sh nobody -c 'id -u; cat /root/x 2>&1' || true",
		0, "42\n43\n43\n1000 5 6\n65534\ncat: /root/x: Permission denied\n");
}

static void nobody_s_groups_come_along(void **state)
{
	(void)state;
	try_script("grep ^Groups: /proc/self/status | tr -d '\\t '; cat /proc/self/setgroups", 0,
		   "Groups:\nallow\n");
}

static void an_archive_is_unpacked_with_its_owners(void **state)
{
	struct try t;
	(void)state;
	try_init(&t,
		 "set -e; mkdir in out; : >in/a; : >in/b; chown 1001:1002 in/a; chown 33:0 in/b; "
		 "tar -C in -cf t.tar a b; tar --numeric-owner -C out -xf t.tar; "
		 "cd out; stat -c '%n %u:%g' a b");
	run_over(&t, "tar", NULL);
	try_expect(&t, 0, "a 1001:1002\nb 33:0\n");
	try_fini(&t);
}

static void another_id_s_files_are_not_everybody_s(void **state)
{
	struct try t;
	(void)state;
	try_init(&t,
		 "umask 077; echo secret >s; chown 5:5 s; chmod 755 .; exec 2>&1; "
		 "setpriv --reuid 6 --clear-groups cat s; setpriv --reuid 5 --clear-groups cat s");
	run_over(&t, "modes", NULL);
	try_expect(&t, 0, "cat: s: Permission denied\nsecret\n");
	try_fini(&t);
}

/* What a box can do to keep its tree from being removed. */
static const char thicket[] =
	"umask 077; mkdir -p own/x; : >own/x/f; chown -R 5:6 own; chmod 000 own/x own; "
	"mkdir sticky; : >sticky/f; chown 7:7 sticky/f; chmod 1777 sticky; chown 8:8 sticky; "
	"ln -s %s/outside own-link; mkdir links; ln -s ../../../../outside links/up; "
	"chown -h 9:9 links/up; "
	"chown 9 links; i=0; while [ $i -lt 40 ]; do mkdir -p deep/$i; chown $i:$i deep; cd deep; "
	"i=$((i+1)); done; "
	"(cd /work; chown 3:3 .; chmod 000 .); true";

static void grow_thicket(const char *rel)
{
	struct try t;
	try_init(&t, "");
	free(t.argv[2]);
	t.argv[2] = own_fmt(thicket, try_dir);
	try_write("outside/kept", "kept");
	run_over(&t, rel, NULL);
	try_expect(&t, 0, "");
	try_fini(&t);
}

static void what_other_ids_own_is_removed(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	for (int i = 0; i < 2; i++) {
		/* by the sandbox, and by who comes when there is none any more */
		grow_thicket("gone");
		if (geteuid())
			assert_int_equal(dir_remove(try_dir_fd, "gone", &e), -1);
		e = (struct err)ERR_INIT;
		int rc = sandbox_remove(i ? NULL : try_sandbox, try_dir_fd, "gone", &e);
		if (rc)
			print_error("%s\n", e.text);
		assert_int_equal(rc, 0);
		assert_false(try_exists("gone"));
		assert_true(try_exists("outside/kept"));
	}
	assert_int_equal(sandbox_remove(try_sandbox, try_dir_fd, "never/was", &e), 0);
}

static void processes_of_other_ids_end_with_the_box(void **state)
{
	struct try t;
	(void)state;
	/* a number of seconds that nobody else sleeps */
	auto_free char *mark = own_fmt("987001.%07d", (int)getpid());
	auto_free char *script = own_fmt(
		"setpriv --reuid 42 --clear-groups sh -c 'trap \"\" TERM; setsid sleep %s & "
		"sleep %s' & sleep 0.2; kill -STOP -1; sleep %s",
		mark, mark, mark);
	try_init(&t, script);
	t.spec.limits.wall_ms = 1000;
	t.spec.limits.grace_ms = 100;
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_LIMITED);
	assert_int_equal(t.facts.limit, BOX_LIMIT_WALL);
	try_fini(&t);
	assert_false(process_count(mark));
}

static void processes_of_other_ids_are_counted(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "setpriv --reuid 42 --clear-groups sh -c 'for i in $(seq 60); do sleep 900 & "
		     "done; wait'");
	t.spec.limits.processes = 20;
	try_run(&t);
	if (t.facts.limit != BOX_LIMIT_PROCESSES)
		try_tell(&t);
	assert_int_equal(t.facts.limit, BOX_LIMIT_PROCESSES);
	try_fini(&t);
}

/* Two boxes at the same time, of two sandboxes: what of the host is 1 in them? */
static void two_at_once(uint64_t first[2])
{
	static const char ask[] =
		"awk '$1 <= 1 && 1 < $1 + $3 {print $2 + 1 - $1}' /proc/self/uid_map; sleep 900";
	struct try t[2];
	struct sandbox *mine = try_sandbox, *other;
	struct err e = ERR_INIT;
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .ids = try_ids,
				    .slots = 1,
				    .name = "assay-ids"};
	other = sandbox_open(&try_loop, &conf, &e);
	if (!other)
		print_error("%s\n", e.text);
	assert_non_null(other);
	for (int i = 0; i < 2; i++) {
		try_init(&t[i], ask);
		try_sandbox = i ? other : mine;
		try_start(&t[i]);
	}
	try_sandbox = mine;
	for (int i = 0; i < 2; i++) {
		while (!t[i].ends && !strchr(text_str(&t[i].out), '\n'))
			uv_run(&try_loop, UV_RUN_ONCE);
		first[i] = strtoull(text_str(&t[i].out), NULL, 10);
		box_cancel(t[i].box, false);
	}
	for (int i = 0; i < 2; i++) {
		try_wait(&t[i]);
		try_fini(&t[i]);
	}
	bool closed = false;
	sandbox_close(other, try_closed, &closed);
	while (!closed)
		uv_run(&try_loop, UV_RUN_ONCE);
}

static void ranges_of_two_sandboxes_are_apart_where_root_gives_them(void **state)
{
	uint64_t first[2];
	(void)state;
	if (geteuid())
		skip(); /* all boxes of a user have the user's */
	two_at_once(first);
	assert_true(first[0] >= 65536 && first[1] >= 65536);
	assert_true(first[0] + 65536 <= first[1] || first[1] + 65536 <= first[0]);
}

/* ---- without idmapped mounts ---- */

#define GIVEN 2147090432u

static uid_t owner(const char *rel)
{
	struct stat st;
	assert_int_equal(fstatat(try_dir_fd, rel, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_uid;
}

static mode_t mode_of(const char *rel)
{
	struct stat st;
	assert_int_equal(fstatat(try_dir_fd, rel, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void run_with_idmaps(const char *script, const char *upper, const char *below,
			    const char *output)
{
	struct try t;
	try_init(&t, script);
	run_over(&t, upper, below);
	try_expect(&t, 0, output);
	try_fini(&t);
}

/* The same in a sandbox of its own, of which only state/ may be given away. */
static void run_without_idmaps(const char *script, const char *upper, const char *below,
			       const char *output)
{
	struct err e = ERR_INIT;
	struct sandbox *mine = try_sandbox;
	auto_free char *given = own_fmt("%s/state", try_dir);
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .slots = 1,
				    .name = "assay-noidmap",
				    .uppers = try_dir,
				    .given = given};
	bool closed = false;
	close(try_open("state"));
	setenv("ASSAY_BOX_IDMAP", "off", 1);
	try_sandbox = sandbox_open(&try_loop, &conf, &e);
	if (!try_sandbox)
		print_error("%s\n", e.text);
	assert_non_null(try_sandbox);
	run_with_idmaps(script, upper, below, output);
	unsetenv("ASSAY_BOX_IDMAP");
	sandbox_close(try_sandbox, try_closed, &closed);
	while (!closed)
		uv_run(&try_loop, UV_RUN_ONCE);
	try_sandbox = mine;
}

/* A layer of root's: what only its owner may read, what has an owner of its own, set-id bits. */
static void layer_make(const char *rel)
{
	auto_free char *dir = own_fmt("%s/d", rel), *secret = own_fmt("%s/d/secret", rel),
		       *hers = own_fmt("%s/hers", rel), *link = own_fmt("%s/link", rel);
	close(try_open(dir));
	try_write(secret, "secret\n");
	try_write(hers, "hers\n");
	assert_int_equal(fchmodat(try_dir_fd, secret, 0600, 0), 0);
	assert_int_equal(fchmodat(try_dir_fd, dir, 0700, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", try_dir_fd, link), 0);
	assert_int_equal(fchownat(try_dir_fd, hers, 1000, 1001, 0), 0);
	assert_int_equal(fchmodat(try_dir_fd, hers, 04755, 0), 0);
}

static void layers_are_given_where_no_idmapped_mount_shows_their_owners(void **state)
{
	struct stat before, after;
	struct statfs fs;
	(void)state;
	if (geteuid())
		skip(); /* an ordinary user has none anyway */
	assert_int_equal(stat("/etc/passwd", &before), 0);
	layer_make("state/l");
	run_without_idmaps("set -e; cat d/secret; stat -c '%n %u:%g %a' . d d/secret hers link; "
			   "echo more >>hers; echo more >>d/secret; chown 42:43 d/secret; : >new; "
			   "chmod 2755 hers",
			   "state/first", "state/l",
			   "secret\n. 0:0 755\nd 0:0 700\nd/secret 0:0 600\nhers 1000:1001 4755\n"
			   "link 0:0 777\n");
	assert_int_equal(owner("state/l"), GIVEN);
	assert_int_equal(owner("state/l/d/secret"), GIVEN);
	assert_int_equal(owner("state/l/hers"), GIVEN + 1000);
	assert_int_equal(mode_of("state/l/hers"), 04755);
	assert_int_equal(owner("state/l/link"), GIVEN);
	assert_int_equal(owner("state/first/u/d/secret"), GIVEN + 42);
	run_without_idmaps("set -e; cat d/secret; stat -c '%n %u:%g %a' d/secret hers new; rm new",
			   "state/second", "state/first/u",
			   "secret\nmore\nd/secret 42:43 600\nhers 1000:1001 2755\nnew 0:0 644\n");
	/* a newer kernel comes; one before 6.3 can't show owners of a tmpfs either way */
	if (!fstatfs(try_dir_fd, &fs) && fs.f_type == TMPFS_MAGIC)
		skip();
	run_with_idmaps("set -e; stat -c '%n %u:%g %a' . d d/secret hers new", "state/third",
			"state/first/u",
			". 0:0 755\nd 0:0 700\nd/secret 42:43 600\nhers 1000:1001 2755\n"
			"new 0:0 644\n");
	assert_int_equal(owner("state/first/u/d/secret"), 42);
	assert_int_equal(owner("state/first/u"), 0);
	assert_int_equal(owner("state/l"), GIVEN); /* nobody asked for it */
	run_with_idmaps("stat -c '%n %u:%g %a' hers", "state/fourth", "state/l",
			"hers 1000:1001 4755\n");
	assert_int_equal(owner("state/l/hers"), 1000);
	assert_int_equal(owner("state/l"), 0);
	assert_int_equal(stat("/etc/passwd", &after), 0);
	assert_int_equal(after.st_uid, before.st_uid);
}

static void what_is_not_the_sandbox_s_is_not_given(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	layer_make("other/l");
	/* who keeps an upper may hold its lock */
	auto_fd int locked = try_open("other/upper/u");
	assert_int_equal(flock(locked, LOCK_EX), 0);
	run_without_idmaps("stat -c '%n %u %a' . hers; cat hers; cat d/secret 2>&1; : >new; "
			   "chown 7 new",
			   "other/upper", "other/l",
			   ". 0 755\nhers 65534 4755\nhers\ncat: d/secret: Permission denied\n");
	assert_int_equal(owner("other/l"), 0);
	assert_int_equal(owner("other/l/hers"), 1000);
	/* but an upper belongs to who reads it afterwards, as with them */
	assert_int_equal(owner("other/upper/u"), 0);
	assert_int_equal(owner("other/upper/u/new"), 7);
}

/* ---- what only root can arrange ---- */

#define NOBODY 65534u

/* In the child: a script in a box with a range, of a sandbox of nobody's. */
static void nobody_runs(const char *script, struct text *said)
{
	struct err e = ERR_INIT;
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .ids = BOX_IDS_RANGE,
				    .slots = 1,
				    .name = "assay-nobody"};
	uv_loop_init(&try_loop);
	try_sandbox = sandbox_open(&try_loop, &conf, &e);
	if (!try_sandbox) {
		text_add(said, e.text);
		return;
	}
	struct try t;
	bool closed = false;
	try_init(&t, script);
	try_run(&t);
	text_addf(said, "%s%s", text_str(&t.out), t.facts.error);
	sandbox_close(try_sandbox, try_closed, &closed);
	uv_run(&try_loop, UV_RUN_DEFAULT);
}

/* As nobody, on a machine whose /etc/subuid and /etc/subgid are this text: what the box's script
 * said, or why there is none. */
static void as_nobody(const char *subids, int (*spoil)(void), const char *script, struct text *said)
{
	int fds[2], status;
	char buf[1024];
	if (geteuid())
		skip();
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	try_write("etc/subids", subids);
	auto_free char *file = own_fmt("%s/etc/subids", try_dir);
	pid_t pid = fork();
	if (!pid) {
		struct text t = TEXT_INIT;
		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount(file, "/etc/subuid", NULL, MS_BIND, NULL) ||
		    mount(file, "/etc/subgid", NULL, MS_BIND, NULL) || (spoil && spoil()) ||
		    setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			_exit(77);
		nobody_runs(script, &t);
		_exit(dir_write_all(fds[1], text_str(&t), t.n) ? 1 : 0);
	}
	close(fds[1]);
	for (ssize_t n; (n = read(fds[0], buf, sizeof(buf))) > 0;)
		text_put(said, buf, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void nobody_is_told(const char *subids, int (*spoil)(void), const char *what)
{
	auto_text struct text said = TEXT_INIT;
	as_nobody(subids, spoil, "echo a box", &said);
	if (!strstr(text_str(&said), what))
		print_error("%s\n", text_str(&said));
	assert_non_null(strstr(text_str(&said), what));
}

static void who_has_no_ids_is_told_how_to_get_some(void **state)
{
	(void)state;
	nobody_is_told("root:100000:65536\nsomebody:165536:1000\n", NULL,
		       "nobody has no subordinate ids (no line in /etc/subuid): as root, usermod "
		       "--add-subuids 166536-232071 --add-subgids 166536-232071 nobody");
}

static int spoil_mapper(void)
{
	return mount("none", "/usr/bin", "tmpfs", 0, NULL);
}

static void who_lacks_newuidmap_is_told_its_package(void **state)
{
	(void)state;
	nobody_is_told("nobody:200000:65536\n", spoil_mapper,
		       "newuidmap: is not installed: package uidmap has it");
}

static int spoil_gids(void)
{
	return umount("/etc/subgid");
}

static void who_has_uids_and_no_gids_is_told_so(void **state)
{
	(void)state;
	nobody_is_told("nobody:200000:65536\n", spoil_gids,
		       "nobody has no subordinate ids (no line in /etc/subgid)");
}

/* Its rights are taken from it. */
static int spoil_rights(void)
{
	return mount("/usr/bin", "/usr/bin", NULL, MS_BIND, NULL) ||
	       mount(NULL, "/usr/bin", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL);
}

static void what_newuidmap_refuses_is_told_in_its_words(void **state)
{
	(void)state;
	nobody_is_told("nobody:200000:65536\n", spoil_rights,
		       "a range of ids: assay-box: newuidmap: write to uid_map failed: Operation "
		       "not permitted (asked for 0:65534:1,1:200000:65536)");
}

static void ranges_of_several_lines_by_name_and_number_follow_one_another(void **state)
{
	auto_text struct text said = TEXT_INIT;
	(void)state;
	as_nobody("nobody:200000:1000\n# no line\n65534:300000:500\nnobody:200999:70\n:::\n"
		  "nobody:0:10\nother:400000:65536\nnobody:500000:65536\n",
		  NULL,
		  "cd /tmp; awk '{print $1, $3}' /proc/self/uid_map; : >f; "
		  "chown 1000:1500 f && chown 1500:65535 f && stat -c %u:%g f; "
		  "setpriv --reuid 1500 --regid 1001 --clear-groups id -u",
		  &said);
	assert_string_equal(text_str(&said),
			    "0 1\n1 1000\n1001 500\n1501 64035\n1500:65535\n1500\n");
}

static void a_small_range_is_used_as_it_is(void **state)
{
	auto_text struct text said = TEXT_INIT;
	(void)state;
	as_nobody("nobody:200000:200\n", NULL,
		  "cd /tmp; awk '{print $1, $3}' /proc/self/uid_map; : >f; chown 200 f && stat -c "
		  "%u f; "
		  "chown 201 f 2>&1",
		  &said);
	assert_string_equal(
		text_str(&said),
		"0 1\n1 200\n200\nchown: changing ownership of 'f': Invalid argument\n");
}

int main(int argc, char **argv)
{
	(void)argv;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_given_to_other_ids_and_the_next_box_knows_them),
		cmocka_unit_test(commands_become_other_users_as_apt_and_su_do),
		cmocka_unit_test(nobody_s_groups_come_along),
		cmocka_unit_test(an_archive_is_unpacked_with_its_owners),
		cmocka_unit_test(another_id_s_files_are_not_everybody_s),
		cmocka_unit_test(what_other_ids_own_is_removed),
		cmocka_unit_test(processes_of_other_ids_end_with_the_box),
		cmocka_unit_test(processes_of_other_ids_are_counted),
		cmocka_unit_test(ranges_of_two_sandboxes_are_apart_where_root_gives_them),
		cmocka_unit_test(layers_are_given_where_no_idmapped_mount_shows_their_owners),
		cmocka_unit_test(what_is_not_the_sandbox_s_is_not_given),
		cmocka_unit_test(who_has_no_ids_is_told_how_to_get_some),
		cmocka_unit_test(who_lacks_newuidmap_is_told_its_package),
		cmocka_unit_test(who_has_uids_and_no_gids_is_told_so),
		cmocka_unit_test(what_newuidmap_refuses_is_told_in_its_words),
		cmocka_unit_test(ranges_of_several_lines_by_name_and_number_follow_one_another),
		cmocka_unit_test(a_small_range_is_used_as_it_is),
	};
	(void)argc;
	try_ids = BOX_IDS_RANGE;
	return cmocka_run_group_tests_name("sandbox: a range of ids", tests, try_setup,
					   try_teardown);
}
