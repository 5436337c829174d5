/* assay cache, verb by verb, on a state directory with a store in it. */
#include "store_place.h"

#include "orchestrator/commands.h"

#include <jansson.h>
#include <sys/mman.h>
#include <stdarg.h>

/* assay cache WORDS --state …; its exit status, and in *out what it printed, the caller's to free.
 */
static int cache(struct place *p, char **out, const char *words)
{
	char *argv[16], *rest = NULL;
	int argc = 0;
	auto_free char *copy = own_dup(words), *state = own_fmt("--state=%s", p->path),
		       *name = own_dup("assay cache");
	argv[argc++] = name;
	for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		argv[argc++] = w;
	argv[argc++] = state;
	argv[argc] = NULL;
	bool was_open = p->state != NULL;
	place_close(p);
	fflush(stdout);
	auto_fd int there = dup(STDOUT_FILENO), file = memfd_create("out", MFD_CLOEXEC);
	assert_true(there >= 0 && file >= 0 && dup2(file, STDOUT_FILENO) >= 0);
	int status = cmd_cache(argc, argv);
	fflush(stdout);
	assert_true(dup2(there, STDOUT_FILENO) >= 0);
	struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	OK(dir_read_fd(file, 1 << 24, &t, &e));
	char *said = text_take(&t);
	if (out)
		*out = said;
	else
		free(said);
	if (was_open) {
		place_open(p);
		place_load(p);
	}
	return status;
}

static void expect_says(struct place *p, int status, const char *words, const char *const *says)
{
	auto_free char *out = NULL;
	int is = cache(p, &out, words);
	if (is != status)
		fail_msg("%s: exit status %d, not %d: %s", words, is, status, out);
	for (; *says; says++)
		if (!strstr(out, *says))
			fail_msg("%s: '%s' is not in: %s", words, *says, out);
}
#define SAYS(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static json_t *cache_json(struct place *p, int status, const char *words)
{
	auto_free char *with = own_fmt("%s --json", words), *out = NULL;
	assert_int_equal(cache(p, &out, with), status);
	json_t *j = json_loads(out, 0, NULL);
	if (!j)
		fail_msg("%s: %s", words, out);
	return j;
}

static json_int_t json_int(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static void publish_few(struct place *p)
{
	place_publish_file(p, "a/one", "first", "run 1 alpha@1 fetch");
	place_publish_file(p, "a/two", "second", "run 1 beta@2 fetch");
	place_publish_file(p, "b/three", "third", "run 2 gamma@3 fetch");
}

static void what_is_there_is_shown(void **state)
{
	struct place *p = *state;
	expect_says(p, EXIT_OK, "list", (const char *const[]){NULL});
	publish_few(p);
	expect_says(p, EXIT_OK, "list", SAYS("STORE", "cache", "3"));
	expect_says(p, EXIT_OK, "show", SAYS("publish", "run 2 gamma@3 fetch", "*"));
	expect_says(p, EXIT_OK, "show 2", SAYS("LAYER", "HARVESTS"));
	expect_says(p, EXIT_OK, "entries cache", SAYS("a/one", "b/three", "run 1 beta@2 fetch"));
	expect_says(p, EXIT_OK, "who a/two", SAYS("run 1 beta@2 fetch", "added"));
	expect_says(p, EXIT_OK, "diff 1 3", SAYS("added", "a/two", "b/three"));
	json_t *j = cache_json(p, EXIT_OK, "entries 1");
	assert_int_equal(json_array_size(j), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "path")),
			    "a/one");
	json_decref(j);
	j = cache_json(p, EXIT_OK, "diff 3 1");
	assert_int_equal(json_array_size(j), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "change")),
			    "gone");
	json_decref(j);
}

static void wrong_words_are_told(void **state)
{
	struct place *p = *state;
	publish_few(p);
	static const char *const usage[] = {"lst",    "list x",         "who",
					    "diff 1", "list --dry-run", "show --level=frames"};
	for (size_t i = 0; i < countof(usage); i++)
		assert_int_equal(cache(p, NULL, usage[i]), EXIT_USAGE);
	static const char *const absent[] = {"show nothing", "entries 99", "diff 1 99"};
	for (size_t i = 0; i < countof(absent); i++)
		assert_int_equal(cache(p, NULL, absent[i]), EXIT_OURS);
}

/* Change what a layer's file holds, as nobody should. */
static void damage_layer(struct place *p, size_t layer, const char *path)
{
	auto_free char *rel = own_fmt("layers/%s/%s", p->shelf.layers[layer], path);
	assert_int_equal(unlinkat(p->state->fd, rel, 0), 0);
	auto_fd int fd = openat(p->state->fd, rel, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_int_equal(dir_write_all(fd, "changed", 7), 0);
}

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

static void rebuilding_says_what_it_found(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	publish_few(p);
	auto_free char *shown = place_shown(p);
	OK(dir_remove(p->state->fd, "layers", &e));
	expect_says(p, EXIT_OK, "rebuild", SAYS("3 publishes", "1 store"));
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
		T(what_is_there_is_shown),
		T(wrong_words_are_told),
		T(a_damaged_layer_is_made_again_from_the_archive),
		T(a_damaged_flattened_layer_is_made_again_from_its_parts),
		T(what_nothing_brings_back_is_told_with_the_job_that_made_it),
		T(rebuilding_says_what_it_found),
	};
	return cmocka_run_group_tests_name("cmd/cache", tests, NULL, NULL);
}
