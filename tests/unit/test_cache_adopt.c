/* cache/: an upper that nobody needs afterwards becomes the layer itself, and it is the layer that
 * would have been made of it otherwise. */
#include "cache_store.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STORE()                                                                                    \
	struct store s = {.f = *state};                                                            \
	struct err e = ERR_INIT

/* The upper work/name is made by `make` twice: once it stays, once it is taken. Whether it was;
 * both are the same layer, which is committed. */
static bool both(struct store *s, const char *name, void (*make)(int upper))
{
	struct err e = ERR_INIT;
	char id[CACHE_ID];
	struct stat upper, layer;
	uint64_t added, dropped;
	{
		auto_fd int fd = sub(s->f->work, "stays");
		make(fd);
		OK(store_try_fd(s, fd, &e));
		assert_false(s->out.nothing);
		memcpy(id, s->out.layer.id, CACHE_ID);
		added = s->out.counts.added;
		dropped = s->out.counts.dropped;
		assert_true(there(s->f->work, "stays"));
		cache_publish_undo(s->f->c, &s->out);
		OK(cache_layer_remove(s->f->c, id, &e));
		OK(dir_remove(s->f->work, "stays", &e));
	}
	auto_fd int fd = sub(s->f->work, name);
	make(fd);
	assert_int_equal(fstat(fd, &upper), 0);
	OK(store_take_fd(s, fd, name, &e));
	assert_string_equal(s->out.layer.id, id);
	assert_int_equal(s->out.counts.added, added);
	assert_int_equal(s->out.counts.dropped, dropped);
	store_commit(s);
	OK(cache_layer_verify(s->f->c, id, &e));
	OK(cache_record_verify(s->f->c, s->out.frames, s->out.n_frames, id, &e));
	expect_clean(s->f, s->n);
	assert_int_equal(fstat(s->fds[s->n - 1], &layer), 0);
	assert_int_equal(layer.st_mode & 07777, 0755);
	bool taken = layer.st_ino == upper.st_ino;
	assert_int_equal(there(s->f->work, name), !taken);
	return taken;
}

static void make_plain(int u)
{
	for (int i = 0; i < 20; i++) {
		auto_free char *path = own_fmt("d%d/sub/file %d", i % 5, i);
		put(u, path, path);
	}
	const struct timespec t[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};
	assert_int_equal(symlinkat("d0/sub", u, "link"), 0);
	assert_int_equal(utimensat(u, "link", t, AT_SYMLINK_NOFOLLOW), 0);
	put_bytes(u, "d1/run", "#!/bin/sh\n", 10, 0755);
	close(sub(u, "empty/deep"));
}

static void what_is_new_is_taken_as_it_is(void **state)
{
	STORE();
	assert_true(both(&s, "u", make_plain));
	store_expect(&s, "d3/sub/file 8", "d3/sub/file 8");
	assert_true(there(s.fds[0], "empty/deep"));
	(void)e;
	store_end(&s);
}

static void attribute(int at, const char *rel, const char *name)
{
	auto_fd int fd = rel ? openat(at, rel, O_RDONLY | O_CLOEXEC) : dup(at);
	assert_true(fd >= 0);
	assert_true(!fsetxattr(fd, name, "y", 1, 0) || errno == ENOTSUP);
}

/* Modes, attributes, second names, what rules drop, what no layer has, long files. */
static void make_dressed(int u)
{
	make_plain(u);
	put(u, "_logs/today", "dropped");
	put(u, "_logs/deep/er", "dropped");
	put(u, "tmp", "dropped");
	put_bytes(u, "d2/private", "p", 1, 0600);
	put_bytes(u, "d2/open", "o", 1, 0666);
	put(u, "twice", "two names");
	assert_int_equal(linkat(u, "twice", u, "d4/again", 0), 0);
	put(u, "d4/marked", "attributes travel with links");
	attribute(u, "d4/marked", "user.note");
	attribute(u, "d4", "user.overlay.origin");
	attribute(u, "d4/sub", "user.overlay.impure");
	attribute(u, "d3", "user.note");
	attribute(u, NULL, "user.overlay.uuid");
	assert_int_equal(mknodat(u, "d1/fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", u, "d1/out"), 0);
	auto_free char *large = own_alloc(300000);
	memset(large, 'x', 300000);
	put_bytes(u, "d0/large", large, 300000, 0640);
	put_bytes(u, "d0/large again", large, 200000, 0644);
	assert_int_equal(linkat(u, "d0/large again", u, "d0/large once more", 0), 0);
	assert_int_equal(fchmodat(u, "d2", 0500, 0), 0);
	assert_int_equal(fchmodat(u, "_logs", 0555, 0), 0);
	assert_int_equal(fchmodat(u, "d3", 02777, 0), 0);
	assert_int_equal(fchmod(u, 01777), 0);
}

static void what_a_layer_may_not_have_is_made_anew_or_goes(void **state)
{
	static const struct cache_rule rules[] = {{"_logs/**", CACHE_DROP}, {"tmp", CACHE_DROP}};
	STORE();
	s.rules = rules;
	s.n_rules = countof(rules);
	assert_true(both(&s, "u", make_dressed));
	int root = s.fds[0];
	char names[100];
	for (size_t i = 0; i < 3; i++) {
		static const char *const dirs[] = {".", "d4", "d3"};
		auto_fd int fd = openat(root, dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ssize_t n = flistxattr(fd, names, sizeof(names));
		assert_true(n <= 0 || !memcmp(names, "security.selinux", 16));
	}
	static const char *const gone[] = {"_logs", "tmp", "d1/fifo", "d1/out"};
	for (size_t i = 0; i < countof(gone); i++)
		assert_false(there(root, gone[i]));
	expect(root, "twice", "two names");
	expect(root, "d4/again", "two names");
	(void)e;
	store_end(&s);
}

static void make_newer(int u)
{
	put(u, "a", "the same");
	put(u, "list", "4 two\n3 one\n");
	put(u, "conflict", "theirs is another");
	put(u, "new/one", "1");
	put(u, "new/two", "2");
	put(u, "new/three", "3");
	put(u, "new/four", "4");
	assert_int_equal(mknodat(u, "old", S_IFCHR, 0), 0);
}

static void what_the_store_has_is_not_brought_twice(void **state)
{
	static const struct cache_rule rules[] = {{"list", CACHE_SUM_COUNTERS}};
	STORE();
	auto_fd int first = sub(s.f->work, "first");
	put(first, "a", "the same");
	put(first, "list", "4 one\n");
	put(first, "conflict", "this one stays");
	put(first, "old", "to be hidden");
	s.rules = rules;
	s.n_rules = countof(rules);
	s.deletions = CACHE_DELETIONS_APPLY;
	store_publish(&s, "first");
	assert_true(both(&s, "u", make_newer));
	assert_false(there(s.fds[1], "a"));
	assert_false(there(s.fds[1], "conflict"));
	struct stat st;
	assert_int_equal(fstatat(s.fds[1], "old", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode) && !st.st_rdev);
	(void)e;
	store_end(&s);
}

static void make_mostly_old(int u)
{
	make_plain(u);
	put(u, "new", "one file");
}

static void little_that_is_new_is_linked(void **state)
{
	STORE();
	auto_fd int first = sub(s.f->work, "first");
	make_plain(first);
	store_publish(&s, "first");
	assert_false(both(&s, "u", make_mostly_old));
	expect(s.fds[1], "new", "one file");
	assert_false(there(s.fds[1], "d1"));
	(void)e;
	store_end(&s);
}

/* A directory that nobody may look into, one of a name that is ours: what is in them is not known.
 */
static void make_closed(int u)
{
	make_plain(u);
	put(u, ".assay/x", "ours");
}

static void what_was_not_looked_into_is_no_layers(void **state)
{
	STORE();
	assert_false(both(&s, "u", make_closed));
	(void)e;
	store_end(&s);
}

/* The file system's own marks on a directory stay with it: such an upper is linked. Where it has
 * none, there is nothing to be seen. */
static bool flagged;

static void make_flagged(int u)
{
	unsigned flags = 0;
	make_plain(u);
	auto_fd int fd = openat(u, "d2", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	flagged = !ioctl(fd, FS_IOC_GETFLAGS, &flags);
	flags |= FS_SYNC_FL;
	flagged = flagged && !ioctl(fd, FS_IOC_SETFLAGS, &flags);
	flags = 0;
	flagged = flagged && !ioctl(fd, FS_IOC_GETFLAGS, &flags) && flags & FS_SYNC_FL;
}

static void marks_of_the_file_system_do_not_get_into_a_layer(void **state)
{
	STORE();
	bool taken = both(&s, "u", make_flagged);
	assert_int_equal(taken, !flagged);
	(void)e;
	store_end(&s);
}

static void make_others(int u)
{
	make_plain(u);
	assert_int_equal(fchownat(u, "d2", 12345, 12345, 0), 0);
}

static void somebody_elses_directories_are_no_layers(void **state)
{
	STORE();
	if (geteuid())
		skip();
	assert_false(both(&s, "u", make_others));
	(void)e;
	store_end(&s);
}

/* A mask that takes more than the usual, and a root that does not show it. */
static void make_open_root(int u)
{
	make_dressed(u);
	assert_int_equal(fchmod(u, 0755), 0);
}

static void no_umask_gets_into_a_layer(void **state)
{
	STORE();
	mode_t old = umask(077);
	bool taken = both(&s, "u", make_open_root);
	umask(old);
	assert_true(taken);
	(void)e;
	store_end(&s);
}

/* A job may give its directories capabilities, which an ordinary user can't take off again. */
static bool capable;

static void make_capable(int u)
{
	/* struct vfs_cap_data, version 2, none (linux/capability.h) */
	static const unsigned char none[20] = {0, 0, 0, 2};
	make_plain(u);
	auto_fd int fd = openat(u, "d2", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	capable = !fsetxattr(fd, "security.capability", none, sizeof(none), 0);
}

static void a_directory_with_capabilities_is_no_layers(void **state)
{
	STORE();
	bool taken = both(&s, "u", make_capable);
	assert_int_equal(taken, !capable);
	(void)e;
	store_end(&s);
}

/* As many attributes as the file system takes: more than are looked at, on some. */
static void make_many_attributes(int u)
{
	make_plain(u);
	auto_fd int fd = openat(u, "d2", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0, rc = 0; !rc && i < 500; i++) {
		auto_free char *name = own_fmt("user.%0200d", i);
		rc = fsetxattr(fd, name, "y", 1, 0);
	}
}

static void many_attributes_are_no_trouble(void **state)
{
	STORE();
	(void)!both(&s, "u", make_many_attributes);
	(void)e;
	store_end(&s);
}

/* A directory that had many names keeps their room, on some file systems. */
static bool wide;

static void make_wide(int u)
{
	struct stat st;
	make_plain(u);
	auto_fd int fd = openat(u, "d2", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 12000; i++) {
		auto_free char *name = own_fmt("%0240d", i % 6000);
		if (i < 6000)
			assert_int_equal(symlinkat("x", fd, name), 0);
		else
			assert_int_equal(unlinkat(fd, name, 0), 0);
	}
	assert_int_equal(fstat(fd, &st), 0);
	wide = st.st_size > 1 << 20;
}

static void room_for_names_that_are_gone_does_not_get_into_a_layer(void **state)
{
	STORE();
	bool taken = both(&s, "u", make_wide);
	assert_int_equal(taken, !wide);
	(void)e;
	store_end(&s);
}

static void another_file_systems_upper_is_copied(void **state)
{
	STORE();
	struct stat here, there_;
	char path[] = "/dev/shm/assay-adopt-XXXXXX";
	int shm = mkdtemp(path) ? open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (shm < 0 || fstat(s.f->fd, &here) || fstat(shm, &there_) ||
	    here.st_dev == there_.st_dev) {
		if (shm >= 0)
			rmdir(path);
		own_close(&shm);
		skip();
	}
	auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_plain(fd);
	int work = s.f->work;
	s.f->work = shm;
	int rc = store_take_fd(&s, fd, path + strlen("/dev/shm/"), &e);
	s.f->work = work;
	bool stays = there(fd, "d1/run");
	struct err ignored = ERR_INIT;
	int removed = dir_remove(shm, path + strlen("/dev/shm/"), &ignored);
	own_close(&shm);
	OK(rc);
	OK(removed);
	assert_true(stays);
	store_commit(&s);
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	store_end(&s);
}

static void what_is_refused_or_nothing_new_stays(void **state)
{
	static const struct cache_rule rules[] = {{"never", CACHE_REJECT}};
	STORE();
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	make_plain(u);
	make_plain(v);
	put(u, "never", "x");
	s.rules = rules;
	s.n_rules = countof(rules);
	assert_int_equal(store_take_fd(&s, u, "u", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	assert_true(there(s.f->work, "u/never"));
	e = (struct err)ERR_INIT;
	unlinkat(u, "never", 0);
	OK(store_take_fd(&s, u, "u", &e));
	store_commit(&s);
	assert_false(there(s.f->work, "u"));
	OK(store_take_fd(&s, v, "v", &e));
	assert_true(s.out.nothing);
	assert_true(there(s.f->work, "v/d1/run"));
	expect_clean(s.f, 1);
	store_end(&s);
}

/* Another directory at that name is not what was judged. */
static void an_upper_that_was_exchanged_is_refused(void **state)
{
	STORE();
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	make_plain(u);
	make_plain(v);
	assert_int_equal(store_take_fd(&s, u, "v", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	expect_clean(s.f, 0);
	store_end(&s);
}

static int killer_left;

static void killer(const char *step)
{
	(void)step;
	if (!killer_left--)
		_exit(42);
}

static void killed_at_any_step_it_leaves_the_old_generation(void **state)
{
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	put(u, "first", "1");
	store_publish(&s, "u");
	int steps = 0, status = -1;
	do {
		const char *layers[64];
		OK(dir_remove(s.f->work, "v", &e));
		auto_fd int v = sub(s.f->work, "v");
		make_dressed(v);
		pid_t pid = fork();
		if (!pid) {
			killer_left = steps;
			cache_on_step = killer;
			_exit(store_take_fd(&s, v, "v", &e) ? 1 : 0);
		}
		assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		struct cache_known k = store_known(&s, layers);
		if (!fixture_reopen(s.f, &k, &e))
			fail_msg("%d: %s", steps, e.text);
		expect_clean(s.f, 1);
		OK(cache_layer_verify(s.f->c, s.ids[0], &e));
		steps++;
	} while (WEXITSTATUS(status) == 42);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(steps >= 8);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(what_is_new_is_taken_as_it_is),
		T(what_a_layer_may_not_have_is_made_anew_or_goes),
		T(what_the_store_has_is_not_brought_twice),
		T(little_that_is_new_is_linked),
		T(what_was_not_looked_into_is_no_layers),
		T(marks_of_the_file_system_do_not_get_into_a_layer),
		T(somebody_elses_directories_are_no_layers),
		T(no_umask_gets_into_a_layer),
		T(a_directory_with_capabilities_is_no_layers),
		T(many_attributes_are_no_trouble),
		T(room_for_names_that_are_gone_does_not_get_into_a_layer),
		T(another_file_systems_upper_is_copied),
		T(what_is_refused_or_nothing_new_stays),
		T(an_upper_that_was_exchanged_is_refused),
		T(killed_at_any_step_it_leaves_the_old_generation),
	};
	return cmocka_run_group_tests_name("cache/adopt", tests, NULL, NULL);
}
