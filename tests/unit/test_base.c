/* base/: errors, units, text, files below a directory descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "base/pool.h"
#include "base/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int scratch(char *path)
{
	snprintf(path, 64, "%s/assay-base-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(path));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void scratch_end(int fd, const char *path)
{
	struct err e = ERR_INIT;
	close(fd);
	auto_fd int up = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_remove(up, path + 1, &e))
		fail_msg("%s", e.text);
	assert_int_equal(access(path, F_OK), -1);
}

static void an_error_is_one_line_whatever_the_name(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(&e, "open %s", "a\nb\033[31m"), -1);
	assert_string_equal(e.text, "open a?b?[31m: No such file or directory");
	assert_int_equal(e.sys, ENOENT);
	err_add(&e, "store %s", "npm");
	assert_string_equal(e.text, "store npm: open a?b?[31m: No such file or directory");
	/* what is no UTF-8, and control characters that are two bytes of it */
	err_set(&e, ERR_HOSTILE, "%s",
		"\x9b"
		"2J\xc2\x9b"
		"2J\xc3\xa4\xe2\x80\xa6\xe2\x80 \xff\xc2");
	assert_string_equal(e.text, "?2J??2J\xc3\xa4\xe2\x80\xa6?? ??");
	char big[3000];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_add(&e, "%s", big);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void sizes_and_durations_need_sense(void **state)
{
	uint64_t v;
	(void)state;
	static const struct {
		const char *s;
		uint64_t v;
	} sizes[] = {{"0", 0},
		     {"17", 17},
		     {"1K", 1024},
		     {"1.5G", 1610612736},
		     {"2GiB", (uint64_t)2 << 30},
		     {"3MB", 3 << 20}},
	  times[] = {{"0", 0},        {"250ms", 250},     {"1.5s", 1500},
		     {"10m", 600000}, {"1h30m", 5400000}, {"2d", 172800000}};
	for (size_t i = 0; i < countof(sizes); i++) {
		assert_int_equal(unit_parse_size(sizes[i].s, &v), 0);
		assert_int_equal(v, sizes[i].v);
	}
	for (size_t i = 0; i < countof(times); i++) {
		assert_int_equal(unit_parse_duration(times[i].s, &v), 0);
		assert_int_equal(v, times[i].v);
	}
	static const char *const bad_sizes[] = {"",    "G",  "-1",    "1.",           "1.2.3",
						"1 G", "1Q", "1Gi B", "99999999999T", "0x10"};
	static const char *const bad_times[] = {"", "5", "m", "5 m", "1h-2m", "1y", "10mm", "1.m"};
	for (size_t i = 0; i < countof(bad_sizes); i++)
		assert_int_equal(unit_parse_size(bad_sizes[i], &v), -1);
	for (size_t i = 0; i < countof(bad_times); i++)
		assert_int_equal(unit_parse_duration(bad_times[i], &v), -1);
}

static void days_are_there_and_written_in_one_way(void **state)
{
	static const char *const bad[] = {"",           "yesterday",   "2026-2-3",   " 2026-11-20",
					  "2026-02-30", "2026-11-20 ", "20261120",   "2026-13-01",
					  "1969-12-31", "2026-11-2x",  "-2026-1-01", "2026-1-001"};
	(void)state;
	assert_true(unit_is_day("2026-11-20"));
	assert_true(unit_is_day("2028-02-29"));
	assert_true(unit_is_day("1970-01-01"));
	for (size_t i = 0; i < countof(bad); i++)
		if (unit_is_day(bad[i]))
			fail_msg("'%s' is a day", bad[i]);
}

static void people_read_sizes_and_durations(void **state)
{
	char b[UNIT_TEXT];
	(void)state;
	assert_string_equal(unit_size(0, b), "0 B");
	assert_string_equal(unit_size(1023, b), "1023 B");
	assert_string_equal(unit_size(1536, b), "1.5 KiB");
	assert_string_equal(unit_size(UINT64_MAX, b), "16.0 EiB");
	assert_string_equal(unit_duration(999, b), "999 ms");
	assert_string_equal(unit_duration(59949, b), "59.9 s");
	assert_string_equal(unit_duration(60000, b), "1 m 00 s");
	assert_string_equal(unit_duration(5400000, b), "1 h 30 m");
}

static void nothing_below_a_link_is_opened(void **state)
{
	char path[64];
	int d = scratch(path);
	(void)state;
	assert_int_equal(symlinkat("/etc", d, "out"), 0);
	assert_int_equal(dir_open_beneath(d, "out/passwd", O_RDONLY, 0), -1);
	assert_int_equal(dir_open_beneath(d, "../", O_RDONLY, 0), -1);
	assert_int_equal(dir_open_beneath(d, "/etc/passwd", O_RDONLY, 0), -1);
	scratch_end(d, path);
}

static void a_whole_file_replaces_the_older_one_and_is_read_within_bounds(void **state)
{
	char path[64];
	struct err e = ERR_INIT;
	int d = scratch(path);
	(void)state;
	assert_int_equal(dir_write_whole(d, "f", "first", 5, 0644, &e), 0);
	assert_int_equal(dir_write_whole(d, "f", "second!", 7, 0644, &e), 0);
	auto_text struct text t = TEXT_INIT;
	assert_int_equal(dir_read_whole(d, "f", 7, &t, &e), 0);
	assert_string_equal(t.p, "second!");
	assert_int_equal(dir_read_whole(d, "f", 6, &t, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_int_equal(dir_read_whole(d, "g", 6, &t, &e), -1);
	assert_int_equal(e.kind, ERR_ABSENT);
	assert_int_equal(mkfifoat(d, "pipe", 0600), 0);
	assert_int_equal(dir_read_whole(d, "pipe", 6, &t, &e), -1);
	scratch_end(d, path);
}

static void the_deepest_and_the_most_forbidding_tree_is_removed(void **state)
{
	char path[64];
	struct err e = ERR_INIT;
	int d = scratch(path);
	(void)state;
	/* Far deeper than PATH_MAX and than the descriptors there are. */
	int at = dir_make(d, "tree", 0755, &e);
	static const char name[] = "a-name-long-enough-to-pass-PATH_MAX-soon";
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(mkdirat(at, name, 0755), 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	at = dir_make(d, "tree/shut/inner", 0755, &e);
	close(openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0000));
	assert_int_equal(fchmod(at, 0), 0);
	close(at);
	assert_int_equal(fchmodat(d, "tree/shut", 0, 0), 0);
	assert_int_equal(symlinkat(path, d, "tree/link"), 0);
	if (dir_remove(d, "tree", &e))
		fail_msg("%s", e.text);
	assert_int_equal(faccessat(d, "tree", F_OK, 0), -1);
	assert_int_equal(dir_remove(d, "tree", &e), 0);
	scratch_end(d, path);
}

static void what_is_removed_may_be_wide_and_of_every_kind(void **state)
{
	char path[64];
	struct err e = ERR_INIT;
	int d = scratch(path);
	(void)state;
	int at = dir_make(d, "tree/many", 0755, &e);
	for (int i = 0; i < 3000; i++) {
		auto_free char *name = own_fmt("file-%d", i);
		close(openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		auto_free char *dir = own_fmt("dir-%d", i);
		if (i % 10 == 0)
			close(dir_make(at, dir, 0755, &e));
	}
	assert_int_equal(mkfifoat(at, "pipe", 0600), 0);
	assert_int_equal(symlinkat("nowhere", at, "link"), 0);
	assert_int_equal(linkat(at, "pipe", at, "pipe-2", 0), 0);
	close(at);
	/* what a name of ours would be */
	close(dir_make(d, "tree/.assay-rm-0/.assay-rm-1", 0755, &e));
	if (dir_remove(d, "tree", &e))
		fail_msg("%s", e.text);
	assert_int_equal(faccessat(d, "tree", F_OK, 0), -1);
	/* neither followed nor entered: a link, a file, a pipe */
	close(dir_make(d, "kept/inner", 0755, &e));
	assert_int_equal(symlinkat("kept", d, "to"), 0);
	assert_int_equal(dir_remove(d, "to", &e), 0);
	assert_int_equal(faccessat(d, "to", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(mkfifoat(d, "pipe", 0600), 0);
	assert_int_equal(dir_remove(d, "pipe", &e), 0);
	assert_int_equal(dir_remove(d, "absent/there", &e), 0);
	assert_int_equal(faccessat(d, "kept/inner", F_OK, 0), 0);
	assert_int_equal(dir_remove(d, "kept/inner", &e), 0);
	assert_int_equal(dir_remove(d, "kept", &e), 0);
	scratch_end(d, path);
}

static void usage_counts_entries_and_stops_at_its_bound(void **state)
{
	char path[64];
	struct err e = ERR_INIT;
	struct dir_usage u;
	int d = scratch(path);
	(void)state;
	for (int i = 0; i < 20; i++) {
		auto_free char *rel = own_fmt("sub/%d", i);
		close(dir_make(d, rel, 0755, &e));
	}
	assert_int_equal(dir_write_whole(d, "sub/file", path, 64, 0644, &e), 0);
	assert_int_equal(dir_usage(d, ".", 0, &u, &e), 0);
	assert_int_equal(u.inodes, 22);
	assert_true(u.bytes >= 512);
	assert_int_equal(dir_usage(d, ".", 5, &u, &e), 0);
	assert_int_equal(u.inodes, 5);
	assert_int_equal(dir_usage(d, "absent", 0, &u, &e), -1);
	scratch_end(d, path);
}

static void text_grows_and_is_taken(void **state)
{
	struct text t = TEXT_INIT;
	(void)state;
	assert_string_equal(text_str(&t), "");
	for (int i = 0; i < 1000; i++)
		text_addf(&t, "%d,", i);
	assert_int_equal(t.n, 10 * 2 + 90 * 3 + 900 * 4);
	text_put(&t, "\0x", 2);
	auto_free char *s = text_take(&t);
	assert_int_equal(s[3890], '\0');
	assert_null(t.p);
	auto_free char *empty = text_take(&t);
	assert_string_equal(empty, "");
}

static void strings_of_a_pool_stay_where_they_are(void **state)
{
	struct pool p = POOL_INIT;
	char *at[1000], expected[32];
	auto_free char *large = own_calloc(1, 200000);
	memset(large, 'x', 199999);
	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(expected, sizeof(expected), "string %d", i);
		at[i] = pool_dup(&p, expected);
	}
	assert_string_equal(pool_dup(&p, large), large);
	assert_string_equal(pool_dup_n(&p, "abcdef", 3), "abc");
	assert_string_equal(pool_dup_n(&p, NULL, 0), "");
	for (int i = 0; i < 1000; i++) {
		snprintf(expected, sizeof(expected), "string %d", i);
		assert_string_equal(at[i], expected);
		assert_true(!i || at[i] != at[i - 1]);
	}
	pool_fini(&p);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_is_one_line_whatever_the_name),
		cmocka_unit_test(sizes_and_durations_need_sense),
		cmocka_unit_test(days_are_there_and_written_in_one_way),
		cmocka_unit_test(people_read_sizes_and_durations),
		cmocka_unit_test(nothing_below_a_link_is_opened),
		cmocka_unit_test(a_whole_file_replaces_the_older_one_and_is_read_within_bounds),
		cmocka_unit_test(the_deepest_and_the_most_forbidding_tree_is_removed),
		cmocka_unit_test(what_is_removed_may_be_wide_and_of_every_kind),
		cmocka_unit_test(usage_counts_entries_and_stops_at_its_bound),
		cmocka_unit_test(text_grows_and_is_taken),
		cmocka_unit_test(strings_of_a_pool_stay_where_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
