/* assay cache on what an older assay wrote: its archive, and its rows about frames. */
#include "cache_words.h"

static void old_place(struct place *p)
{
	struct err e = ERR_INIT;
	auto_text struct text old = TEXT_INIT;
	auto_fd int at =
		open(ASSAY_SOURCE "/tests/data/segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OK(dir_read_whole(at, "2-sha256.tar.zst", 1 << 20, &old, &e));
	OK(dir_write_whole(p->state->fd, "seg/000001.tar.zst", old.p, old.n, 0644, &e));
	expect_says(p, EXIT_OK, "rebuild", SAYS("5 publishes", "1 store"));
	place_expect(p, "SELECT DISTINCT substr(digest, 1, 7), record IS NULL FROM frame",
		     "sha256:|1");
}

static void damage(struct place *p, off_t at)
{
	unsigned char c;
	auto_fd int fd = openat(p->state->fd, "seg/000001.tar.zst", O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

#define KINDS                                                                                      \
	"SELECT substr(digest, 1, instr(digest, ':') - 1), count(*), count(record) FROM frame"     \
	" GROUP BY 1 ORDER BY 1"

#define PATHS "SELECT DISTINCT path FROM v_entry WHERE current AND type <> 'd' ORDER BY path"

/* Seven frames of five records, and what comes later. */
static void an_older_archive_is_added_to_repaired_and_collected_from(void **state)
{
	struct place *p = *state;
	old_place(p);
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	place_publish_file(p, "e/five", "5\n", "run 3 epsilon@5 fetch");
	place_expect(p, KINDS, "sha256|7|0\nxxh3|1|1");
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	expect_rebuilds(p);
	place_expect(p, KINDS, "sha256|7|0\nxxh3|1|1");
	auto_free char *shown = place_shown(p);
	/* Of the publish of three parts the second: all of it is written as today's. */
	damage(p, 1800);
	expect_says(p, 1, "verify --level=frames",
		    SAYS("archive: damaged", "run 1 beta@2 fetch", "has other bytes"));
	expect_says(p, 1, "verify --repair", SAYS("archive: repaired", "run 1 beta@2 fetch"));
	place_expect(p, KINDS, "sha256|4|0\nxxh3|2|2");
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	auto_free char *still = place_shown(p);
	assert_string_equal(still, shown);
	expect_rebuilds(p);
	place_expect(p, KINDS, "sha256|4|0\nxxh3|2|2");
	/* And of today's archive a byte. */
	damage(p, 900);
	expect_says(p, 1, "verify --repair --level=frames", SAYS("archive: repaired"));
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	expect_says(p, EXIT_OK, "collect --max-size=8 --keep=0", SAYS("left out"));
	place_expect(p, PATHS, "d/four\ne/five");
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	expect_says(p, EXIT_OK, "rebuild", SAYS("1 store"));
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	place_expect(p, PATHS, "d/four\ne/five");
	place_expect_sound(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
		T(an_older_archive_is_added_to_repaired_and_collected_from),
	};
	return cmocka_run_group_tests_name("cmd cache versions", tests, NULL, NULL);
}
