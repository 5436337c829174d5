/* assay cache verify: what is damaged is told, and made again from what is not. */
#include "cache_words.h"

#include <errno.h>
#include <sys/wait.h>

static void damage_segment(struct place *p, off_t at)
{
	unsigned char c;
	auto_fd int fd = openat(p->state->fd, "seg/000001.tar.zst", O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

static void a_damaged_layer_is_made_again_from_the_archive(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *shown = place_shown(p);
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	damage_layer(p, 1, "a/two");
	expect_says(p, 1, "verify --dry-run", SAYS("layer: damaged", "a/two has other bytes"));
	expect_says(p, 1, "verify", SAYS("layer: repaired", "a/two has other bytes"));
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	struct err e = ERR_INIT;
	auto_free char *gone = own_fmt("layers/%s", p->shelf.layers[0]);
	OK(dir_remove(p->state->fd, gone, &e));
	json_t *j = cache_json(p, 1, "verify");
	assert_int_equal(json_int(j, "repaired"), 1);
	assert_int_equal(json_int(j, "lost"), 0);
	json_decref(j);
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
}

static void a_damaged_flattened_layer_is_made_again_from_its_parts(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	for (int i = 0; i < 40; i++) {
		auto_free char *path = own_fmt("d/%d", i), *job = own_fmt("run 1 p%d fetch", i);
		place_publish_file(p, path, path, job);
	}
	auto_free char *shown = place_shown(p);
	size_t flat = 0;
	for (size_t i = 0; i < p->shelf.n_layers; i++)
		flat = p->shelf.entries[i] > p->shelf.entries[flat] ? i : flat;
	assert_true(p->shelf.entries[flat] > 16);
	damage_layer(p, flat, "d/3");
	OK(dir_remove(p->state->fd, "layers/.none", &e));
	expect_says(p, 1, "verify", SAYS("layer: repaired", "d/3"));
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
}

/* Its parts together show more than it does: its list says what it had, also directories of which
 * nothing else is left. */
static void expect_mended(struct place *p, const char *path)
{
	auto_free char *shown = place_shown(p);
	assert_int_equal(p->shelf.n_layers, 1);
	damage_layer(p, 0, path);
	expect_says(p, 1, "verify", SAYS("layer: repaired", path));
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	expect_rebuilds(p);
}

/* Nothing of it is left, nor its list: only the archive as a whole knows what was taken out. */
static void expect_rebuilds_lost(struct place *p)
{
	struct err e = ERR_INIT;
	auto_free char *shown = place_shown(p), *gone = own_fmt("layers/%s", p->shelf.layers[0]);
	OK(dir_remove(p->state->fd, gone, &e));
	for (int i = 0; i < 2; i++)
		expect_says(p, 1, "verify", SAYS("layer: lost", "assay cache rebuild", "1 lost"));
	expect_says(p, EXIT_OK, "rebuild", SAYS("publishes found"));
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
}

static void a_layer_that_something_was_revoked_from_is_made_again(void **state)
{
	struct place *p = *state;
	publish_few(p);
	place_publish_file(p, "own/poison", "bad", "run 2 poison@1 fetch");
	place_publish_file(p, "c/last", "last", "run 3 delta@1 fetch");
	expect_says(p, EXIT_OK, "revoke 4", SAYS("ended: own/poison"));
	expect_mended(p, "a/two");
	expect_rebuilds_lost(p);
}

static void a_layer_that_something_was_collected_from_is_made_again(void **state)
{
	struct place *p = *state;
	publish_few(p);
	place_publish_file(p, "c/last", "last", "run 3 delta@1 fetch");
	expect_says(p, EXIT_OK, "collect --keep 0 --max-size 12", SAYS("alpha"));
	place_expect(p, "SELECT count(*) FROM v_entry WHERE current AND path = 'a/one'", "0");
	expect_mended(p, "b/three");
	expect_rebuilds_lost(p);
}

static void what_nothing_brings_back_is_told_with_the_job_that_made_it(void **state)
{
	struct place *p = *state;
	publish_few(p);
	damage_segment(p, 200);
	expect_says(p, 1, "verify --level=frames",
		    SAYS("archive: damaged", "run 1 alpha@1 fetch", "has other bytes"));
	damage_layer(p, 2, "a/one");
	expect_says(p, 1, "verify", SAYS("layer: lost", "run 1 alpha@1 fetch", "a/one"));
	json_t *j = cache_json(p, 1, "verify");
	assert_int_equal(json_int(j, "lost"), 1);
	json_decref(j);
}

/* ---- what the archive has lost ---- */

/* All is as it should be, also for who has nothing but the archive. */
static void expect_whole(struct place *p, const char *shown)
{
	struct err e = ERR_INIT;
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	auto_free char *still = place_shown(p);
	assert_string_equal(still, shown);
	expect_rebuilds(p);
	/* From the segments alone, not from layers that are still there. */
	OK(dir_remove(p->state->fd, "layers", &e));
	expect_says(p, EXIT_OK, "rebuild", SAYS("publishes found"));
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
}

static void a_damaged_frame_is_written_again_from_a_layer(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *shown = place_shown(p);
	damage_segment(p, 200);
	expect_says(p, 1, "verify", SAYS("archive: damaged", "see --repair"));
	assert_int_equal(cache(p, NULL, "verify --dry-run --repair"), EXIT_USAGE);
	expect_says(p, 1, "verify --repair --level=frames",
		    SAYS("archive: repaired", "has other bytes", "run 1 alpha@1 fetch",
			 "1 publishes written again, 0 without"));
	expect_says(p, EXIT_OK, "verify --repair", SAYS("as they should be"));
	place_expect_sound(p);
	/* What comes afterwards goes behind it. */
	place_publish_file(p, "c/four", "fourth", "run 3 delta@4 fetch");
	auto_free char *more = place_shown(p);
	assert_non_null(strstr(more, "a/one"));
	expect_whole(p, more);
	(void)shown;
}

static void what_is_repaired_is_told_in_json(void **state)
{
	struct place *p = *state;
	publish_few(p);
	damage_segment(p, 200);
	json_t *j = cache_json(p, 1, "verify --repair");
	assert_int_equal(json_int(j, "publishes_repaired"), 1);
	assert_int_equal(json_int(j, "publishes_lost"), 0);
	assert_int_equal(json_int(j, "lost"), 0);
	json_t *one = json_array_get(json_object_get(j, "problems"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "in")), "archive");
	assert_string_equal(json_string_value(json_object_get(one, "state")), "repaired");
	assert_string_equal(json_string_value(json_object_get(one, "job")), "run 1 alpha@1 fetch");
	json_decref(j);
	j = cache_json(p, EXIT_OK, "verify --repair");
	assert_int_equal(json_int(j, "publishes_repaired"), 0);
	assert_true(json_is_true(json_object_get(j, "clean")));
	json_decref(j);
}

/* Later ones replaced what it brought: in an archive in another order the first would show again.
 */
static void a_segment_that_is_gone_is_written_again_in_its_place(void **state)
{
	static const struct cache_rule rules[] = {{"**", CACHE_NEWEST}};
	struct place *p = *state;
	p->store.rules = (struct cache_rule *)(uintptr_t)rules;
	p->store.n_rules = 1;
	p->state->cache->segment_full = 1; /* each publish has its own */
	for (int i = 0; i < 5; i++) {
		const struct timespec t[2] = {{.tv_sec = 1600000000 + i},
					      {.tv_sec = 1600000000 + i, .tv_nsec = 5}};
		auto_free char *content = own_fmt("content %d", i), *own = own_fmt("own/%d", i),
			       *job = own_fmt("run 1 p%d@1 fetch", i);
		auto_fd int upper = place_upper(p);
		place_put(upper, "same", content);
		place_put(upper, own, content);
		assert_int_equal(symlinkat("../same", upper, i % 2 ? "odd" : "even"), 0);
		assert_int_equal(utimensat(upper, "same", t, 0), 0);
		place_publish(p, upper, job);
	}
	auto_free char *shown = place_shown(p);
	assert_int_equal(unlinkat(p->state->fd, "seg/000001.tar.zst", 0), 0);
	assert_int_equal(unlinkat(p->state->fd, "seg/000003.tar.zst", 0), 0);
	assert_int_equal(unlinkat(p->state->fd, "seg/000005.tar.zst", 0), 0);
	expect_says(p, 1, "verify",
		    SAYS("archive: lost", "run 1 p0@1 fetch", "run 1 p2@1 fetch",
			 "run 1 p4@1 fetch"));
	json_t *j = cache_json(p, 1, "verify --repair");
	assert_int_equal(json_int(j, "publishes_repaired"), 3);
	assert_int_equal(json_int(j, "publishes_lost"), 0);
	json_decref(j);
	place_expect(p,
		     "SELECT group_concat(segment) FROM (SELECT f.segment FROM frame f JOIN"
		     " harvest h ON h.id = f.harvest ORDER BY h.id)",
		     "1,2,3,4,5");
	expect_whole(p, shown);
}

/* A cut segment goes on where it was cut, also in the middle of what came later. */
static void the_end_of_a_segment_is_written_again(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *shown = place_shown(p),
		       *end = place_ask(p, "SELECT max(offset) + 10 FROM frame");
	auto_free char *segment = own_fmt("%s/seg/000001.tar.zst", p->path);
	assert_int_equal(truncate(segment, strtol(end, NULL, 10)), 0);
	expect_says(p, 1, "verify --repair", SAYS("archive: repaired", "run 2 gamma@3 fetch"));
	expect_whole(p, shown);
}

static void a_publish_of_many_frames_is_written_again(void **state)
{
	struct place *p = *state;
	p->state->cache->frame_full = 4096;
	p->state->cache->segment_full = 16384;
	unsigned seed = 1;
	auto_free char *noise = own_alloc(2000001);
	for (int i = 0; i < 2000000; i++)
		noise[i] = (char)(1 + rand_r(&seed) % 255);
	noise[2000000] = '\0';
	place_publish_file(p, "a/first", "first", "run 1 alpha@1 fetch");
	place_publish_file(p, "b/large", noise, "run 1 beta@2 fetch");
	place_publish_file(p, "c/last", "last", "run 1 gamma@3 fetch");
	place_expect(p, "SELECT count(DISTINCT segment) > 2, count(*) > 8 FROM frame", "1|1");
	auto_free char *shown = place_shown(p);
	auto_free char *at =
		place_ask(p, "SELECT offset + 100 FROM frame WHERE segment = 2 LIMIT 1");
	unsigned char c;
	assert_int_equal(fchmodat(p->state->fd, "seg/000002.tar.zst", 0644, 0), 0);
	auto_fd int rw = openat(p->state->fd, "seg/000002.tar.zst", O_RDWR | O_CLOEXEC);
	off_t offset = strtol(at, NULL, 10);
	assert_int_equal(pread(rw, &c, 1, offset), 1);
	c ^= 1;
	assert_int_equal(pwrite(rw, &c, 1, offset), 1);
	expect_says(p, 1, "verify --repair", SAYS("archive: repaired", "run 1 beta@2 fetch"));
	expect_whole(p, shown);
}

/* The copy in the archive and the layer's own are damaged: another job's layer has the bytes. */
static void a_copy_elsewhere_is_as_good(void **state)
{
	struct place *p = *state;
	publish_few(p);
	place_publish_file(p, "elsewhere/x", "first", "run 2 delta@1 fetch");
	auto_free char *shown = place_shown(p);
	damage_segment(p, 200);
	damage_layer(p, 3, "a/one");
	expect_says(p, 1, "verify --repair",
		    SAYS("archive: repaired", "layer: repaired", "a/one has other bytes"));
	expect_whole(p, shown);
}

static void what_no_layer_has_is_told_with_its_job_and_the_rest_is_repaired(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *one = place_ask(p,
					"SELECT offset + 150 FROM frame ORDER BY offset LIMIT 1"),
		       *two = place_ask(
			       p,
			       "SELECT offset + 150 FROM frame ORDER BY offset LIMIT 1 OFFSET 1");
	damage_segment(p, strtol(one, NULL, 10));
	damage_segment(p, strtol(two, NULL, 10));
	damage_layer(p, 2, "a/one");
	for (int i = 0; i < 2; i++)
		expect_says(
			p, 1, "verify --repair",
			SAYS("archive: damaged", "run 1 alpha@1 fetch",
			     "1 of the 2 entries it brought are in no layer either, a/one first",
			     "layer: lost", "1 without a good copy"));
	json_t *j = cache_json(p, 1, "verify");
	assert_int_equal(json_int(j, "publishes_lost"), 1);
	json_decref(j);
	place_expect_sound(p);
}

/* Whiteouts are in the record alone, and what lay below what was deleted is in the database alone.
 */
static void what_was_deleted_is_deleted_again(void **state)
{
	struct place *p = *state;
	p->store.deletions = CACHE_DELETIONS_APPLY;
	publish_few(p);
	auto_fd int upper = place_upper(p);
	place_put(upper, "new", "new");
	if (mknodat(upper, "a", S_IFCHR, 0)) {
		assert_int_equal(errno, EPERM);
		skip();
	}
	place_publish(p, upper, "run 2 cleaner@1 fetch");
	auto_free char *shown = place_shown(p);
	assert_null(strstr(shown, "a/one"));
	assert_int_equal(unlinkat(p->state->fd, "seg/000001.tar.zst", 0), 0);
	json_t *j = cache_json(p, 1, "verify --repair");
	assert_int_equal(json_int(j, "publishes_repaired"), 4);
	json_decref(j);
	expect_whole(p, shown);
}

/* Between any two steps: it is damaged as it was, or repaired; and once more ends well. */
static void a_repair_killed_at_any_step_is_done_by_the_next(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *shown = place_shown(p);
	for (int nth = 0, killed = 1; killed; nth++) {
		auto_free char *at =
			place_ask(p,
				  "SELECT offset + bytes / 2 FROM frame ORDER BY offset LIMIT 1");
		damage_segment(p, strtol(at, NULL, 10));
		place_close(p);
		fflush(NULL);
		pid_t pid = fork();
		if (!pid) {
			place_kill_at(nth);
			_exit(cache(p, NULL, "verify --repair"));
		}
		int status = -1;
		assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		killed = WEXITSTATUS(status) == PLACE_KILLED;
		assert_true(killed || WEXITSTATUS(status) == 1);
		place_open(p);
		if (killed)
			assert_int_not_equal(cache(p, NULL, "verify --repair"), EXIT_OURS);
		expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
		assert_true(nth < 100);
	}
	expect_whole(p, shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
		T(a_damaged_layer_is_made_again_from_the_archive),
		T(a_damaged_flattened_layer_is_made_again_from_its_parts),
		T(a_layer_that_something_was_revoked_from_is_made_again),
		T(a_layer_that_something_was_collected_from_is_made_again),
		T(what_nothing_brings_back_is_told_with_the_job_that_made_it),
		T(a_damaged_frame_is_written_again_from_a_layer),
		T(what_is_repaired_is_told_in_json),
		T(a_segment_that_is_gone_is_written_again_in_its_place),
		T(the_end_of_a_segment_is_written_again),
		T(a_publish_of_many_frames_is_written_again),
		T(a_copy_elsewhere_is_as_good),
		T(what_no_layer_has_is_told_with_its_job_and_the_rest_is_repaired),
		T(what_was_deleted_is_deleted_again),
		T(a_repair_killed_at_any_step_is_done_by_the_next),
	};
	/* Each repair waits for a disk many times, and kills know none. */
	if (!access("/dev/shm", W_OK | X_OK))
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests_name("cmd/cache/verify", tests, NULL, NULL);
}
