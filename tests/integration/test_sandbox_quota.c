/* A project quota where there is one: root, and $TMPDIR on an ext4 or XFS with project quotas (the
 * guest of tests/uml has one). */
#include "test_sandbox.h"

#include "sandbox/quota.h"

#define MIB ((uint64_t)1 << 20)

static int at(const char *rel)
{
	return try_open(rel);
}

static void a_project_counts_what_is_in_its_directories(void **state)
{
	struct quota q, other;
	uint64_t bytes = 1, inodes = 1;
	(void)state;
	int dirs[] = {at("count/u"), at("count/w")}, more[] = {at("more/u"), at("more/w")};
	assert_true(quota_set(&q, dirs, 2, 4 * MIB, 100));
	assert_true(quota_set(&other, more, 2, 0, 0));
	assert_int_not_equal(q.project, other.project);
	assert_true(quota_used(&q, &bytes, &inodes));
	assert_true(bytes <= 4 * 4096);
	assert_int_equal(inodes, 0);
	try_write("count/u/a/f", "content\n");
	try_write("count/w/g", "content\n");
	assert_true(quota_used(&q, &bytes, &inodes));
	assert_in_range(inodes, 2, 3); /* one is taken to be overlayfs's own */
	/* a file goes from one to the other, as overlayfs does it */
	assert_int_equal(renameat(dirs[1], "g", dirs[0], "g"), 0);
	/* and is refused above the limit, with a little room to see it from */
	auto_fd int fd = openat(dirs[0], "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char block[65536] = {1};
	ssize_t n = 0;
	for (int i = 0; i < 1000 && n >= 0; i++)
		n = write(fd, block, sizeof(block));
	/* root's CAP_SYS_RESOURCE would do without */
	assert_true(n < 0 ? errno == EDQUOT : true);
	assert_true(quota_used(&q, &bytes, &inodes));
	assert_true(n >= 0 || (bytes > 4 * MIB && bytes < 6 * MIB));
	quota_clear(&q);
	n = write(fd, block, sizeof(block));
	assert_int_equal(n, sizeof(block));
	assert_false(quota_used(&q, &bytes, &inodes));
	quota_clear(&other);
	for (size_t i = 0; i < 2; i++) {
		close(dirs[i]);
		close(more[i]);
	}
}

static void limited(const char *script, struct box_limits limits, enum box_limit which,
		    struct try *t)
{
	static unsigned number;
	auto_free char *rel = own_fmt("limits/%u", number++);
	try_init(t, script);
	limits.wall_ms = TRY_WALL_MS;
	t->spec.limits = limits;
	try_upper(try_mount(t, "/data", BOX_COW), rel);
	try_run(t);
	if (t->facts.limit != which)
		try_tell(t);
	assert_string_equal(box_limit_name(t->facts.limit), box_limit_name(which));
	assert_true(t->facts.limit_value > t->facts.limit_bound);
	try_fini(t);
}

static void nothing_is_hidden_from_it(void **state)
{
	struct try t;
	(void)state;
	limited("head -c 200000000 /dev/zero >/data/f; sleep 900",
		(struct box_limits){.disk = 16 * MIB}, BOX_LIMIT_DISK, &t);
	assert_true(t.facts.disk_bytes <= 16 * MIB + 2 * MIB);
	/* mapped, and neither named nor open */
	limited("python3 -c 'import mmap, os, time\n"
		"fd = os.open(\"/data/m\", os.O_RDWR | os.O_CREAT)\n"
		"os.ftruncate(fd, 12 << 20)\n"
		"m = mmap.mmap(fd, 12 << 20)\n"
		"os.close(fd); os.unlink(\"/data/m\")\n"
		"for i in range(0, 12 << 20, 4096): m[i] = 1\n"
		"time.sleep(900)' || head -c 12000000 /dev/zero >/data/f; sleep 900",
		(struct box_limits){.disk = 8 * MIB}, BOX_LIMIT_DISK, &t);
	limited("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); : >/data/$i; done; sleep 900",
		(struct box_limits){.disk_inodes = 500}, BOX_LIMIT_INODES, &t);
	assert_true(t.facts.disk_inodes <= 500 + 80);
}

static void what_stays_below_is_left_alone(void **state)
{
	struct try t;
	struct stat st;
	(void)state;
	try_init(&t, "mkdir -p /data/a/b && head -c 3000000 /dev/zero >/data/a/b/f && mv /data/a/b "
		     "/data/c && ln /data/c/f /data/g && mv /data/l/x /data/l/y && echo z "
		     ">>/data/l/z && rm -r /data/a && echo done");
	try_write("below/l/l/x", "x\n");
	try_write("below/l/l/z", "z\n");
	t.spec.limits =
		(struct box_limits){.disk = 8 * MIB, .disk_inodes = 40, .wall_ms = TRY_WALL_MS};
	try_upper(try_lower(&t, try_mount(&t, "/data", BOX_COW), "below/l"), "below");
	try_run(&t);
	try_expect(&t, 0, "done\n");
	assert_in_range(t.facts.disk_bytes, 3000000, 3200000);
	assert_in_range(t.facts.disk_inodes, 5, 12);
	try_fini(&t);
	assert_int_equal(fstatat(try_dir_fd, "below/u/c/f", &st, 0), 0);
	/* what it left has no bounds any more, and moves to where others are */
	assert_int_equal(renameat(try_dir_fd, "below/u/c/f", try_dir_fd, "moved"), 0);
}

static int quota_setup(void **state)
{
	struct quota q;
	if (try_setup(state))
		return -1;
	int dir = try_open("try");
	bool has = quota_set(&q, &dir, 1, MIB, 10);
	quota_clear(&q);
	close(dir);
	if (has)
		return 0;
	print_message("[  SKIPPED ] no project quotas in %s\n", try_dir);
	try_teardown(state);
	exit(77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_project_counts_what_is_in_its_directories),
		cmocka_unit_test(nothing_is_hidden_from_it),
		cmocka_unit_test(what_stays_below_is_left_alone),
	};
	return cmocka_run_group_tests_name("sandbox: quota", tests, quota_setup, try_teardown);
}
