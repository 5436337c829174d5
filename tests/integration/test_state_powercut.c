/* Power cuts while a store is published into, compacted and collected, on ext4 and xfs: the disk
 * remembers each write and flush (disk.h), so that afterwards any moment can be had: with all that
 * was written, with only what was flushed, with some of the rest. Mounted again, the store has all
 * that was acknowledged, whole. ASSAY_TEST_STORE_CUTS: how many, for each file system (4);
 * ASSAY_TEST_CUT_PUBLISHES: of how many publishes (8); ASSAY_TEST_SEED. Root only. */
#include "disk.h"
#include "store_story.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>

enum { CUT_PUBLISHES = 500, CUT_FILE = 9000 };

struct cut {
	char dir[64]; /* with a tmpfs that nobody else sees, and in it: disk/ fs/ cut/ */
	size_t acknowledged[CUT_PUBLISHES]; /* by publish: events of the disk when it was said */
	size_t n;
};

static long count_of(const char *name, long otherwise)
{
	const char *s = getenv(name);
	return s ? strtol(s, NULL, 10) : otherwise;
}

static int cut_setup(void **state)
{
	static const char *const dirs[] = {"disk", "fs", "cut"};
	struct cut *c = own_calloc(1, sizeof(*c));
	const char *tmp = getenv("TMPDIR");
	snprintf(c->dir, sizeof(c->dir), "%.40s/assay-cut-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(c->dir));
	assert_int_equal(mount("assay-cut", c->dir, "tmpfs", 0, "mode=0755"), 0);
	for (size_t i = 0; i < countof(dirs); i++) {
		auto_free char *path = own_fmt("%s/%s", c->dir, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	*state = c;
	return 0;
}

static int cut_teardown(void **state)
{
	static const char *const mounts[] = {"/cut", "/fs", "/disk", ""};
	struct cut *c = *state;
	for (size_t i = 0; i < countof(mounts); i++) {
		auto_free char *path = own_fmt("%s%s", c->dir, mounts[i]);
		umount2(path, MNT_DETACH);
	}
	int rc = rmdir(c->dir);
	free(c);
	return rc;
}

/* ---- who publishes ---- */

static int write_upper(struct place *p, int nth)
{
	struct err e = ERR_INIT;
	auto_fd int root = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || dir_remove(root, "uppers/new", &e))
		return -1;
	auto_fd int own = dir_make(root, "uppers/new/own", 0755, &e);
	for (int i = 0; i < 3; i++) {
		auto_free char *name = own_fmt("%d.%d", nth, i);
		auto_free char *bytes = own_calloc(1, CUT_FILE);
		memset(bytes, 'a' + nth % 26, (size_t)(nth * 17 + i * 4000) % CUT_FILE);
		auto_fd int fd = openat(own, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || dir_write_all(fd, bytes, CUT_FILE))
			return -1;
	}
	return 0;
}

static int tell_one(struct place *p, int nth)
{
	shelf_fini(&p->shelf);
	if (write_upper(p, nth) || story_publish(p))
		return -1;
	if (nth % 6 == 5 && story_compact(p))
		return -1;
	return nth % 8 == 7 ? story_cache(p, (const char *const[]){"collect", "--keep", "1", NULL})
			    : 0;
}

/* In a child: waits for a byte, publishes, and says which one is acknowledged. */
static void writer(struct place *p, int go, int acknowledge, int n)
{
	char byte;
	int null = open("/dev/null", O_WRONLY);
	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || read(go, &byte, 1) != 1 ||
	    (mkdir(p->path, 0700) && errno != EEXIST))
		_exit(1);
	for (int i = 0; i < n; i++)
		if (tell_one(p, i) || write(acknowledge, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	_exit(0);
}

static void place_at(struct place *p, const struct cut *c, const char *where)
{
	*p = (struct place){.store = {.name = (char[]){"cache"}, .path = (char[]){"/store"}}};
	snprintf(p->path, sizeof(p->path), "%s/%s/state", c->dir, where);
}

/* ---- the disk ---- */

static int make_image(const char *mkfs, const char *const *options, size_t bytes)
{
	if (access(mkfs, X_OK)) {
		print_message("           no %s\n", mkfs);
		skip();
	}
	int fd = memfd_create("image", 0);
	auto_free char *path = own_fmt("/proc/self/fd/%d", fd);
	const char *argv[16] = {mkfs};
	size_t n = 1;
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	while (*options)
		argv[n++] = *options++;
	argv[n] = path;
	story_exec(argv);
	return fd;
}

static int make_ext4(void)
{
	return make_image("/usr/sbin/mkfs.ext4",
			  (const char *const[]){"-qF", "-E",
						"lazy_itable_init=0,lazy_journal_init=0", NULL},
			  (size_t)96 << 20);
}

static struct disk *open_disk(const struct cut *c, int image)
{
	auto_free char *dir = own_fmt("%s/disk", c->dir);
	struct disk *d = disk_open(dir, image);
	int why = errno;
	close(image);
	if (!d) {
		print_message("           no such device here: %s\n", strerror(why));
		skip();
	}
	return d;
}

/* A cut file system at cut/; what is looked at there is the caller's to unmount. */
static void mount_cut(const struct cut *c, const struct disk *d, const char *fs, const char *how,
		      size_t at, enum disk_cache cache, unsigned seed)
{
	char device[32];
	auto_free char *mounted = own_fmt("%s/cut", c->dir);
	auto_fd int image = disk_cut(d, at, cache, seed), loop = disk_loop(image, device);
	if (loop < 0) {
		print_message("           no second loop device here: %s\n", strerror(errno));
		skip();
	}
	if (mount(device, mounted, fs, 0, how))
		fail_msg("mount %s, cut behind event %zu: %s", fs, at, strerror(errno));
}

static void unmount_cut(const struct cut *c)
{
	auto_free char *mounted = own_fmt("%s/cut", c->dir);
	assert_int_equal(umount2(mounted, 0), 0);
}

static void append_file(const struct cut *c, const char *name, bool sync)
{
	auto_free char *path = own_fmt("%s/fs/%s", c->dir, name);
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(dir_write_all(fd, "here", 4), 0);
	if (sync)
		assert_int_equal(fsync(fd), 0);
}

static off_t size_in_cut(const struct cut *c, const char *name)
{
	struct stat st;
	auto_free char *path = own_fmt("%s/cut/%s", c->dir, name);
	return stat(path, &st) ? -1 : st.st_size;
}

/* The tests below can fail: a cut takes what was not synced, and nothing else. Somebody may sync(2)
 * the whole machine just between a write and the cut behind it, but not behind each of some. */
static void a_cut_takes_what_was_not_synced(void **state)
{
	struct cut *c = *state;
	struct disk *d = open_disk(c, make_ext4());
	auto_free char *mounted = own_fmt("%s/fs", c->dir);
	assert_int_equal(mount(disk_device(d), mounted, "ext4", 0, ""), 0);
	size_t before = disk_now(d);
	append_file(c, "synced", true);
	size_t synced = disk_now(d);
	static const char *const loose[] = {"not-synced", "nor-this", "nor-that"};
	size_t after[countof(loose)];
	for (size_t k = 0; k < countof(loose); k++) {
		append_file(c, loose[k], false);
		after[k] = disk_now(d);
	}
	assert_int_equal(umount2(mounted, 0), 0);
	disk_close(d);
	static const enum disk_cache caches[] = {DISK_ALL, DISK_NONE, DISK_SOME};
	for (size_t i = 0; i < countof(caches); i++) {
		mount_cut(c, d, "ext4", "", before, caches[i], 1);
		assert_int_equal(size_in_cut(c, "synced"), -1);
		unmount_cut(c);
		mount_cut(c, d, "ext4", "", synced, caches[i], 1);
		assert_int_equal(size_in_cut(c, "synced"), 4);
		unmount_cut(c);
		size_t lost = 0;
		for (size_t k = 0; k < countof(loose) && !lost; k++) {
			mount_cut(c, d, "ext4", "", after[k], caches[i], 1);
			assert_int_equal(size_in_cut(c, "synced"), 4);
			lost += size_in_cut(c, loose[k]) <= 0;
			unmount_cut(c);
		}
		assert_int_equal(lost, 1);
	}
	disk_free(d);
}

/* ---- the cuts ---- */

static void record(struct cut *c, struct disk *d, const char *fs, const char *how, int n)
{
	struct place p;
	int go[2], acks[2], status = -1, nth;
	auto_free char *mounted = own_fmt("%s/fs", c->dir);
	place_at(&p, c, "fs");
	assert_int_equal(mount(disk_device(d), mounted, fs, 0, how), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(acks, O_CLOEXEC), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (!pid) {
		close(acks[0]);
		writer(&p, go[0], acks[1], n);
	}
	close(acks[1]);
	assert_int_equal(write(go[1], "", 1), 1);
	while (read(acks[0], &nth, sizeof(nth)) == sizeof(nth) && nth == (int)c->n)
		c->acknowledged[c->n++] = disk_now(d);
	close(go[0]);
	close(go[1]);
	close(acks[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(umount2(mounted, 0), 0);
	assert_int_equal(c->n, n);
}

/* Which publishes the store shows: all that were acknowledged before, none in part. */
static void expect_shown(struct cut *c, const char *shown, size_t at, const char *what)
{
	for (size_t i = 0; i < c->n; i++) {
		size_t files = 0;
		for (int k = 0; k < 3; k++) {
			auto_free char *path = own_fmt(":own/%zu.%d ", i, k);
			files += strstr(shown, path) != NULL;
		}
		if (files != 3 && (files || c->acknowledged[i] <= at))
			fail_msg("%s: publish %zu was acknowledged at %zu, and %zu of its 3 files "
				 "are there",
				 what, i, c->acknowledged[i], files);
	}
}

static void cut_at(struct cut *c, const struct disk *d, const char *fs, const char *how, size_t at,
		   enum disk_cache cache, unsigned seed, int log)
{
	static const char *const words[] = {"all that was written", "what was flushed",
					    "some of what was not flushed"};
	struct place p;
	auto_free char *what =
		own_fmt("%s, cut behind event %zu, with %s (seed %u)", fs, at, words[cache], seed);
	print_message("           %s\n", what);
	mount_cut(c, d, fs, how, at, cache, seed);
	place_at(&p, c, "cut");
	auto_free char *shown = story_check(&p, log);
	shelf_fini(&p.shelf);
	expect_shown(c, shown, at, what);
	unmount_cut(c);
}

static void cuts(struct cut *c, const char *fs, const char *how, int image)
{
	unsigned seed = (unsigned)count_of("ASSAY_TEST_SEED", 1);
	long n = count_of("ASSAY_TEST_STORE_CUTS", 4),
	     publishes = count_of("ASSAY_TEST_CUT_PUBLISHES", 8);
	auto_fd int log = memfd_create("log", MFD_CLOEXEC);
	struct disk *d = open_disk(c, image);
	size_t began = disk_now(d);
	record(c, d, fs, how, publishes < CUT_PUBLISHES ? (int)publishes : CUT_PUBLISHES);
	size_t ended = disk_now(d);
	disk_close(d);
	assert_true(ended > began + 20);
	for (long i = 0; i < n; i++) {
		size_t at = began + 1 + (size_t)rand_r(&seed) % (ended - began);
		cut_at(c, d, fs, how, at, (enum disk_cache)(i % 3), seed + (unsigned)i, log);
	}
	print_message("           %s: %ld cuts among %zu writes and flushes of %zu publishes\n", fs,
		      n, ended - began, c->n);
	disk_free(d);
}

static void a_store_on_ext4_survives_power_cuts(void **state)
{
	cuts(*state, "ext4", "", make_ext4());
}

static void a_store_on_xfs_survives_power_cuts(void **state)
{
	cuts(*state, "xfs", "nouuid",
	     make_image("/usr/sbin/mkfs.xfs", (const char *const[]){"-q", "-f", NULL},
			(size_t)320 << 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, cut_setup, cut_teardown)
		T(a_cut_takes_what_was_not_synced),
		T(a_store_on_ext4_survives_power_cuts),
		T(a_store_on_xfs_survives_power_cuts),
	};
	/* What is mounted goes with this process, however it ends. */
	if (geteuid() || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		puts("skipped: only root mounts file systems");
		return 77;
	}
	return cmocka_run_group_tests_name("state/powercut", tests, NULL, NULL);
}
