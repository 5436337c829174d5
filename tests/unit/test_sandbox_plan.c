/* The text of a plan, from the one that writes it to the one that reads it; and torn, as only a
 * broken caller would send it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "sandbox/box/spec.h"
#include "sandbox/pack.h"

/* The reader is the helper's, which is a program of its own. */
#include "sandbox/box/spec.c"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static int lowers[2], one[1], upper_fd, work_fd;
static char sh[] = "sh", c[] = "-c", yes[] = "true", path[] = "PATH=/bin", home[] = "HOME=/home/x";
static char *argv[] = {sh, c, yes, NULL}, *env[] = {path, home, NULL};
static struct sock_filter code[] = {{.code = 6, .k = 1}, {.code = 6, .k = 2}};
static const struct filter filter = {.code = code, .n = 2};

static struct box_mount mounts[] = {
	{.path = "/z", .mode = BOX_RO, .lowers = one, .n_lowers = 1, .upper_fd = -1, .work_fd = -1},
	{.path = "/", .mode = BOX_COW, .lowers = lowers, .n_lowers = 2, .n_past = 1, .ours = true},
	{.path = "/t", .mode = BOX_TMPFS, .size = 4096, .upper_fd = -1, .work_fd = -1},
};
static const struct box_file files[] = {{"/etc/hosts", "a\0b", 3, 0640}};

/* Descriptors of directories that are each another one. */
static int setup(void **state)
{
	static const char *const paths[] = {"/", "/usr", "/etc", "/tmp", "/var"};
	int *const fds[] = {&lowers[0], &lowers[1], &one[0], &upper_fd, &work_fd};
	(void)state;
	for (size_t i = 0; i < countof(paths); i++)
		*fds[i] = open(paths[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
	mounts[1].upper_fd = upper_fd;
	mounts[1].work_fd = work_fd;
	return work_fd < 0 ? -1 : 0;
}

static struct box_spec example(void)
{
	return (struct box_spec){
		.name = "n",
		.root_host = true,
		.mounts = mounts,
		.n_mounts = 3,
		.files = files,
		.n_files = 1,
		.argv = argv,
		.env = env,
		.cwd = "/build",
		.hostname = "h",
		.limits = {.open_files = 7, .file_size = 8, .memory = 9},
	};
}

static void what_is_packed_is_what_is_read(void **state)
{
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	struct pack p;
	struct spec s;
	(void)state;
	assert_int_equal(pack_check(&spec, &e), 0);
	assert_int_equal(pack_make(&p, &spec, &filter, 99, true, &e), 0);
	assert_int_equal(p.n_fds, 5);
	assert_int_equal(spec_read(&s, p.text_fd, p.bytes, (uint32_t)p.n_fds, &e), 0);
	assert_int_equal(s.flags, PLAN_ROOT_HOST | PLAN_VERBOSE);
	assert_string_equal(s.cwd, "/build");
	assert_string_equal(s.home, "/home/x");
	assert_int_equal(s.open_files, 7);
	assert_int_equal(s.processes, 99);
	assert_int_equal(s.tmpfs, 9);
	assert_int_equal(s.n_mounts, 3);
	/* by path */
	assert_string_equal(s.mounts[0].path, "/");
	assert_true(s.mounts[0].ours);
	assert_int_equal(p.fds[s.mounts[0].first], lowers[0]);
	assert_int_equal(p.fds[s.mounts[0].first + 1], lowers[1]);
	assert_int_equal(p.fds[s.mounts[0].upper], upper_fd);
	assert_int_equal(p.fds[s.mounts[0].work], work_fd);
	assert_int_equal(s.mounts[0].past, 1);
	assert_false(s.mounts[0].file);
	assert_string_equal(s.mounts[1].path, "/t");
	assert_int_equal(s.mounts[1].size, 4096);
	assert_string_equal(s.mounts[2].path, "/z");
	assert_int_equal(s.mounts[2].upper, PLAN_NO_FD);
	assert_int_equal(p.fds[s.mounts[2].first], one[0]);
	assert_int_equal(s.files[0].n, 3);
	assert_memory_equal(s.files[0].bytes, "a\0b", 3);
	assert_int_equal(s.files[0].mode, 0640);
	assert_string_equal(s.argv[2], "true");
	assert_null(s.argv[3]);
	assert_string_equal(s.env[1], "HOME=/home/x");
	assert_int_equal(s.n_filter, 2);
	assert_int_equal(s.filter[1].k, 2);
	spec_fini(&s);
	pack_fini(&p);
}

static void a_torn_plan_is_refused_wherever_it_is_torn(void **state)
{
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	struct pack p;
	struct spec s;
	(void)state;
	assert_int_equal(pack_make(&p, &spec, &filter, 0, false, &e), 0);
	for (uint64_t n = 0; n < p.bytes; n++) {
		assert_int_equal(spec_read(&s, p.text_fd, n, (uint32_t)p.n_fds, &e), -1);
		spec_fini(&s);
	}
	/* longer than the text; descriptors that did not come */
	assert_int_equal(spec_read(&s, p.text_fd, p.bytes + 1, (uint32_t)p.n_fds, &e), -1);
	spec_fini(&s);
	assert_int_equal(spec_read(&s, p.text_fd, p.bytes, 4, &e), -1);
	spec_fini(&s);
	pack_fini(&p);
}

static void a_description_that_makes_no_sense_is_refused(void **state)
{
	(void)state;
	static const char *const names[] = {
		"", ".hidden", "a/b", "a b",
		"0123456789012345678901234567890123456789012345678901234567890123456789"};
	for (size_t i = 0; i < countof(names); i++) {
		struct box_spec spec = example();
		struct err e = ERR_INIT;
		spec.name = names[i];
		assert_int_equal(pack_check(&spec, &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
	}
	struct box_mount bad[] = {
		{.path = "/a", .mode = BOX_RO, .upper_fd = -1, .work_fd = -1},
		{.path = "/a",
		 .mode = BOX_RW,
		 .lowers = lowers,
		 .n_lowers = 2,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/a",
		 .mode = BOX_TMPFS,
		 .lowers = one,
		 .n_lowers = 1,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/a", .mode = BOX_COW, .upper_fd = 3, .work_fd = -1},
		{.path = "/",
		 .mode = BOX_RW,
		 .lowers = one,
		 .n_lowers = 1,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/dev", .mode = BOX_TMPFS, .upper_fd = -1, .work_fd = -1},
	};
	for (size_t i = 0; i < countof(bad); i++) {
		struct box_spec spec = example();
		struct err e = ERR_INIT;
		spec.mounts = &bad[i];
		spec.n_mounts = 1;
		assert_int_equal(pack_check(&spec, &e), -1);
		assert_non_null(strstr(e.text, bad[i].path));
	}
}

static struct box_mount of(const char *at, enum box_mode mode, const int *fd)
{
	return (struct box_mount){.path = at,
				  .mode = mode,
				  .lowers = fd,
				  .n_lowers = fd ? 1 : 0,
				  .upper_fd = -1,
				  .work_fd = -1};
}

/* Refused as ERR_USAGE, with these words; in whatever order they come. */
static void refused(const struct box_mount *list, size_t n, const struct box_file *file,
		    const char *a, const char *b)
{
	struct box_mount turned[4];
	for (size_t i = 0; i < n; i++)
		turned[i] = list[n - 1 - i];
	for (int turn = 0; turn < 2; turn++) {
		struct box_spec spec = example();
		struct err e = ERR_INIT;
		spec.mounts = turn ? turned : list;
		spec.n_mounts = n;
		spec.files = file;
		spec.n_files = !!file;
		assert_int_equal(pack_check(&spec, &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
		if (!strstr(e.text, a) || !strstr(e.text, b))
			print_error("%s\n", e.text);
		assert_non_null(strstr(e.text, a));
		assert_non_null(strstr(e.text, b));
	}
}

static void what_hides_or_lacks_a_place_is_refused_with_both_names(void **state)
{
	(void)state;
	int file[] = {open("/etc/passwd", O_RDONLY | O_CLOEXEC)};
	struct box_file at = {"/f", "x", 1, 0644}, in = {"/f/g", "x", 1, 0644};
	struct box_mount twice[] = {of("/f", BOX_TMPFS, NULL), of("/f", BOX_RO, one)};
	refused(twice, 2, NULL, "mount /f", "twice");
	for (enum box_mode mode = BOX_RO; mode <= BOX_COW; mode++) {
		struct box_mount inside[] = {of("/f", mode, file), of("/f/d", BOX_RO, one)};
		refused(inside, 2, NULL, "mount /f/d is inside", "mount /f,");
		refused(inside, 1, &in, "file /f/g is inside", "mount /f,");
		refused(inside, 1, &at, "mount /f", "file /f");
	}
	struct box_mount below[] = {of("/f/d", BOX_RO, one)};
	refused(below, 1, &at, "mount /f/d is inside", "file /f");
	struct box_mount root[] = {of("/", BOX_COW, file)};
	refused(root, 1, NULL, "mount /", "file");
	/* neighbours whose names begin alike hide nothing */
	struct box_mount fine[] = {of("/f", BOX_RO, file), of("/fd", BOX_RO, one),
				   of("/f.d", BOX_COW, file), of("/fd/x/y", BOX_TMPFS, NULL)};
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	spec.mounts = fine;
	spec.n_mounts = countof(fine);
	assert_int_equal(pack_check(&spec, &e), 0);
	close(file[0]);
}

static void two_files_of_one_place_are_refused(void **state)
{
	(void)state;
	static const struct box_file twice[][2] = {{{"/a", "", 0, 0}, {"/a", "", 0, 0}},
						   {{"/a/b", "", 0, 0}, {"/a", "", 0, 0}}};
	for (size_t i = 0; i < countof(twice); i++) {
		struct box_spec spec = example();
		struct err e = ERR_INIT;
		spec.files = twice[i];
		spec.n_files = 2;
		assert_int_equal(pack_check(&spec, &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
		assert_non_null(strstr(e.text, twice[i][0].path));
	}
}

static void only_directories_and_regular_files_can_be_shown(void **state)
{
	int pair[2], fifo[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(fifo, O_CLOEXEC), 0);
	int null[] = {open("/dev/null", O_PATH | O_CLOEXEC)};
	int link[] = {open("/proc/self/exe", O_PATH | O_NOFOLLOW | O_CLOEXEC)};
	int closed[] = {10000};
	struct box_mount list[] = {of("/a", BOX_RO, pair)};
	refused(list, 1, NULL, "mount /a", "a socket");
	list[0].lowers = fifo;
	refused(list, 1, NULL, "mount /a", "a fifo");
	list[0].lowers = null;
	refused(list, 1, NULL, "/dev/null is a device", "regular files");
	list[0].lowers = link;
	refused(list, 1, NULL, "mount /a", "a symbolic link");
	int mixed[] = {one[0], open("/etc/passwd", O_PATH | O_CLOEXEC)};
	list[0].lowers = mixed;
	list[0].n_lowers = 2;
	refused(list, 1, NULL, "/etc/passwd is a file", "of several");
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	list[0].lowers = closed;
	list[0].n_lowers = 1;
	spec.mounts = list;
	spec.n_mounts = 1;
	assert_int_equal(pack_check(&spec, &e), -1);
	assert_int_equal(e.sys, EBADF);
	int all[] = {pair[0], pair[1], fifo[0], fifo[1], null[0], link[0], mixed[1]};
	for (size_t i = 0; i < countof(all); i++)
		close(all[i]);
}

static void more_uppers_than_can_be_watched_are_refused(void **state)
{
	struct box_mount list[PLAN_UPPERS_MAX + 1];
	char paths[countof(list)][16];
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	(void)state;
	for (size_t i = 0; i < countof(list); i++) {
		snprintf(paths[i], sizeof(paths[i]), "/%zu", i);
		list[i] = of(paths[i], BOX_COW, NULL);
		list[i].upper_fd = memfd_create("no directory", MFD_CLOEXEC);
		list[i].work_fd = list[i].upper_fd;
	}
	spec.mounts = list;
	spec.n_mounts = countof(list);
	assert_int_equal(pack_check(&spec, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_non_null(strstr(e.text, "the changes of 65 mounts"));
	spec.n_mounts--; /* what is wrong with these is something else */
	assert_int_equal(pack_check(&spec, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	for (size_t i = 0; i < countof(list); i++)
		close(list[i].upper_fd);
}

static void what_is_written_is_nothing_else_at_the_same_time(void **state)
{
	(void)state;
	struct box_mount a = of("/a", BOX_COW, one), b = of("/b", BOX_COW, NULL);
	a.upper_fd = b.upper_fd = upper_fd;
	a.work_fd = work_fd;
	b.work_fd = lowers[1];
	refused((struct box_mount[]){a, b}, 2, NULL, "/a", "/b");
	b.upper_fd = one[0];
	refused((struct box_mount[]){a, b}, 2, NULL, "mount /b: its upper", "mount /a");
	int file[] = {open("/etc/passwd", O_RDONLY | O_CLOEXEC)};
	a.lowers = file;
	refused(&a, 1, NULL, "mount /a", "no upper of its own");
	a = of("/a", BOX_COW, one);
	a.n_past = 2;
	refused(&a, 1, NULL, "mount /a", "earlier");
	close(file[0]);
}

static void a_file_is_copied_up_to_a_bound(void **state)
{
	int file[] = {memfd_create("big", MFD_CLOEXEC)};
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	(void)state;
	assert_int_equal(ftruncate(file[0], (off_t)BOX_FILE_COW + 1), 0);
	struct box_mount list[] = {of("/", BOX_COW, NULL), of("/big", BOX_COW, file)};
	refused(list, 2, NULL, "mount /big: ", "67108865 bytes");
	/* what is bound to its place is not copied */
	list[1].mode = BOX_RO;
	spec.mounts = list;
	spec.n_mounts = 2;
	assert_int_equal(pack_check(&spec, &e), 0);
	list[1].mode = BOX_COW;
	list[0].mode = BOX_TMPFS;
	assert_int_equal(pack_check(&spec, &e), 0);
	assert_int_equal(ftruncate(file[0], (off_t)BOX_FILE_COW), 0);
	list[0].mode = BOX_COW;
	assert_int_equal(pack_check(&spec, &e), 0);
	close(file[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_is_what_is_read),
		cmocka_unit_test(a_torn_plan_is_refused_wherever_it_is_torn),
		cmocka_unit_test(a_description_that_makes_no_sense_is_refused),
		cmocka_unit_test(what_hides_or_lacks_a_place_is_refused_with_both_names),
		cmocka_unit_test(two_files_of_one_place_are_refused),
		cmocka_unit_test(only_directories_and_regular_files_can_be_shown),
		cmocka_unit_test(more_uppers_than_can_be_watched_are_refused),
		cmocka_unit_test(what_is_written_is_nothing_else_at_the_same_time),
		cmocka_unit_test(a_file_is_copied_up_to_a_bound),
	};
	return cmocka_run_group_tests_name("sandbox: plan", tests, setup, NULL);
}
