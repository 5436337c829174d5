/* Whose are which subordinate ids: files as subuid(5) has them, and as people spoil them. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/dir.h"
#include "sandbox/subids.h"

#include <fcntl.h>
#include <string.h>

static char file[64];

static void write_file(const char *text)
{
	auto_fd int fd = -1;
	snprintf(file, sizeof(file), "/tmp/assay-subids.XXXXXX");
	fd = mkstemp(file);
	assert_true(fd >= 0);
	assert_int_equal(dir_write_all(fd, text, strlen(text)), 0);
}

/* As the map of user 1000, called jo. */
static void map_is(const char *text, const char *map)
{
	struct err e = ERR_INIT;
	struct subids s;
	auto_text struct text t = TEXT_INIT;
	write_file(text);
	assert_int_equal(subids_read(file, "jo", 1000, 1000, &s, &e), 0);
	subids_map(&s, 1000, &t);
	assert_string_equal(text_str(&t), map);
	subids_fini(&s);
	unlink(file);
}

static void lines_are_by_name_or_by_number(void **state)
{
	(void)state;
	map_is("jo:100000:65536\n", "0:1000:1,1:100000:65536");
	map_is("1000:100000:65536\n", "0:1000:1,1:100000:65536");
	map_is("joe:100000:65536\nj:1:1\n100:5:5\njo:200000:10", "0:1000:1,1:200000:10");
	map_is("1000:300000:5\nroot:100000:65536\njo:200000:10\n",
	       "0:1000:1,1:300000:5,6:200000:10");
}

static void lines_that_make_no_sense_give_nothing(void **state)
{
	(void)state;
	map_is("", "0:1000:1");
	map_is("jo\njo:\njo:1\njo:1:\njo:a:1\njo:1:b\njo:0:5\njo:5:0\njo:-1:5\njo:1:1:1\njo: 1:1\n"
	       "jo:4294967295:1\njo:1:4294967295\njo:99999999999999999999999:1\n\n:::\n",
	       "0:1000:1");
	map_is("jo:2000:10\r\n", "0:1000:1,1:2000:10");
}

static void what_overlaps_is_given_once(void **state)
{
	(void)state;
	map_is("jo:100:10\njo:109:5\njo:95:6\njo:90:100\njo:110:5\njo:100:10\n",
	       "0:1000:1,1:100:10,11:110:5");
	/* one's own id is 0 already */
	map_is("jo:900:200\njo:2000:3\n", "0:1000:1,1:2000:3");
}

static void a_long_line_is_no_line_and_hides_none(void **state)
{
	(void)state;
	auto_free char *text = own_alloc(2100);
	memset(text, 'x', 2000);
	memcpy(text + 2000, ":5:5\njo:100:10\n", 16);
	map_is(text, "0:1000:1,1:100:10");
	/* nor is its rest */
	memset(text, 'x', 2000);
	memcpy(text + 511, "jo:7:7\n", 7);
	memcpy(text + 518, "jo:100:10\n", 11);
	map_is(text, "0:1000:1,1:100:10");
}

static void a_map_is_as_long_as_a_page_takes(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct subids s;
	auto_text struct text lines = TEXT_INIT, map = TEXT_INIT;
	for (int i = 0; i < 500; i++)
		text_addf(&lines, "jo:%u:1\n", 4000000000u + 2u * (unsigned)i);
	write_file(text_str(&lines));
	assert_int_equal(subids_read(file, "jo", 1000, 1000, &s, &e), 0);
	assert_int_equal(s.n, 500);
	subids_map(&s, 1000, &map);
	assert_true(map.n < 4096);
	assert_non_null(strstr(text_str(&map), "96:4000000190:1"));
	assert_null(strstr(text_str(&map), ",97:"));
	subids_fini(&s);
	unlink(file);
}

static void ranges_are_cut_into_equal_pieces(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct subids s;
	write_file("root:100000:200000\n0:500000:65535\nroot:600000:65536\n");
	assert_int_equal(subids_read(file, "root", 0, 0, &s, &e), 0);
	subids_cut(&s, 65536);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.all[0].first, 100000);
	assert_int_equal(s.all[2].first, 100000 + 2 * 65536);
	assert_int_equal(s.all[3].first, 600000);
	subids_fini(&s);
	unlink(file);
}

static void the_first_unused_id_is_behind_all(void **state)
{
	(void)state;
	assert_int_equal(subids_unused("/nonexistent/subuid"), 100000);
	write_file("a:100000:65536\nb:300000:10\nc:200000:1\nnonsense\n");
	assert_int_equal(subids_unused(file), 300010);
	unlink(file);
}

static void no_file_is_no_ids(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct subids s;
	assert_int_equal(subids_read("/nonexistent/subuid", NULL, 5, 5, &s, &e), 0);
	assert_int_equal(s.n, 0);
	subids_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_by_name_or_by_number),
		cmocka_unit_test(lines_that_make_no_sense_give_nothing),
		cmocka_unit_test(what_overlaps_is_given_once),
		cmocka_unit_test(a_long_line_is_no_line_and_hides_none),
		cmocka_unit_test(a_map_is_as_long_as_a_page_takes),
		cmocka_unit_test(ranges_are_cut_into_equal_pieces),
		cmocka_unit_test(the_first_unused_id_is_behind_all),
		cmocka_unit_test(no_file_is_no_ids),
	};
	return cmocka_run_group_tests_name("sandbox: subordinate ids", tests, NULL, NULL);
}
