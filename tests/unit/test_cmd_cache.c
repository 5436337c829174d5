/* assay cache, verb by verb, on a state directory with a store in it. */
#include "db_scratch.h"
#include "cache_words.h"

#include "orchestrator/pin.h"

#include <sys/wait.h>
#include <stdarg.h>

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

/* ---- going back, taking away ---- */

static bool shows(struct place *p, const char *path)
{
	auto_free char *shown = place_shown(p), *found = own_fmt(":%s ", path);
	return strstr(shown, found) != NULL;
}

static void a_store_goes_back_to_an_older_generation(void **state)
{
	struct place *p = *state;
	publish_few(p);
	expect_says(p, EXIT_OK, "rollback 1 --dry-run", SAYS("would show", "2 gone"));
	assert_true(shows(p, "b/three"));
	expect_says(p, EXIT_OK, "rollback 1", SAYS("shows generation 1", "0 added", "2 gone"));
	assert_true(shows(p, "a/one"));
	assert_false(shows(p, "b/three"));
	place_expect(p, "SELECT path FROM v_entry WHERE current AND type = 'f'", "a/one");
	/* What comes next stands upon that; and going back can be gone back from. */
	place_publish_file(p, "c/four", "fourth", "run 3 delta@4 fetch");
	place_expect(p, "SELECT path FROM v_entry WHERE current AND type = 'f' ORDER BY path",
		     "a/one\nc/four");
	expect_rebuilds(p);
	expect_says(p, EXIT_OK, "show", SAYS("rollback"));
	auto_free char *third = place_ask(
		p, "SELECT max(generation) FROM v_store WHERE layers = 3 AND job LIKE '%gamma%'");
	auto_free char *back = own_fmt("rollback %s", third);
	expect_says(p, EXIT_OK, back, SAYS("2 added", "1 gone"));
	assert_true(shows(p, "b/three"));
	assert_false(shows(p, "c/four"));
	expect_rebuilds(p);
	auto_free char *here = place_ask(p, "SELECT generation FROM v_store WHERE current"),
		       *same = own_fmt("rollback %s", here);
	assert_int_equal(cache(p, NULL, same), EXIT_USAGE);
}

static void a_stack_becomes_one_layer(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *shown = place_shown(p);
	expect_says(p, EXIT_OK, "compact --dry-run", SAYS("3 layers would become 1"));
	expect_says(p, EXIT_OK, "compact", SAYS("3 layers became 1"));
	assert_int_equal(p->shelf.n_layers, 1);
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	place_expect(p, "SELECT job FROM v_entry WHERE current AND path = 'a/two'",
		     "run 1 beta@2 fetch");
	expect_says(p, EXIT_OK, "compact cache", SAYS("1 layer became 1"));
	expect_rebuilds(p);
}

static void what_one_job_brought_is_taken_back(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct cache_rule rules[] = {{"new/**", CACHE_NEWEST}};
	p->store.rules = rules;
	p->store.n_rules = 1;
	struct life l = life_begin(p->state->db, 1);
	int64_t a = life_phase(p->state->db, &l, 0, true, "fetch", 10),
		b = life_phase(p->state->db, &l, 2, true, "fetch", 20);
	auto_fd int first = place_upper(p), second = place_upper(p), third = place_upper(p);
	place_put(first, "new/index", "good");
	place_put(first, "mine", "of a alone");
	OK(place_try(p, first, "run 1 a@1.0 fetch", a, &e));
	place_put(second, "new/index", "bad");
	const struct timespec t[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	assert_int_equal(utimensat(second, "new/index", t, 0), 0);
	place_put(second, "poison", "of b alone");
	place_put(second, "shared", "both brought it");
	OK(place_try(p, second, "run 1 b@2.0 fetch", b, &e));
	place_put(third, "shared", "both brought it");
	OK(place_try(p, third, "run 1 a@1.0 build", a, &e));
	expect_says(p, EXIT_OK, "compact", (const char *const[]){NULL});
	expect_says(p, EXIT_OK, "collect --keep=0", (const char *const[]){NULL});
	expect_says(p, EXIT_OK, "who shared", SAYS("run 1 b@2.0 fetch", " 2 "));
	expect_says(p, EXIT_OK, "revoke b --dry-run",
		    SAYS("would end: poison", "would end: new/index", "stays", "shared"));
	assert_true(shows(p, "poison"));
	auto_free char *says = NULL, *as_one = NULL;
	assert_int_equal(cache(p, &says, "revoke b --dry-run --json"), EXIT_OK);
	json_t *j = json_loads(says, 0, NULL);
	as_one = json_dumps(j, JSON_INDENT(2));
	assert_non_null(as_one);
	assert_int_equal(strlen(says), strlen(as_one) + 1);
	assert_memory_equal(says, as_one, strlen(as_one));
	json_decref(j);
	j = cache_json(p, EXIT_OK, "revoke b");
	assert_int_equal(json_array_size(json_object_get(j, "ended")), 2);
	assert_int_equal(json_array_size(json_object_get(j, "kept")), 1);
	json_decref(j);
	assert_false(shows(p, "poison"));
	assert_true(shows(p, "shared") && shows(p, "mine"));
	place_expect(p, "SELECT job FROM v_entry WHERE current AND path = 'new/index'",
		     "run 1 a@1.0 fetch");
	auto_free char *rel = NULL;
	for (size_t i = 0; i < p->shelf.n_layers; i++)
		rel = own_fmt("layers/%s/new/index", p->shelf.layers[i]);
	auto_text struct text index = TEXT_INIT;
	OK(dir_read_whole(p->state->fd, rel, 100, &index, &e));
	assert_string_equal(text_str(&index), "good");
	/* No way back to it, and the archive knows. */
	auto_free char *before = place_ask(p,
					   "SELECT max(generation) FROM v_store WHERE NOT current"),
		       *back = own_fmt("rollback %s", before);
	assert_int_equal(cache(p, NULL, back), EXIT_USAGE);
	expect_rebuilds(p);
	assert_false(shows(p, "poison"));
	assert_int_equal(cache(p, NULL, "revoke nobody"), EXIT_OURS);
}

static void old_generations_go_and_what_only_they_needed(void **state)
{
	struct place *p = *state;
	p->state->cache->segment_full = 1; /* a segment for each publish */
	publish_few(p);
	expect_says(p, EXIT_OK, "rollback 1", (const char *const[]){NULL});
	p->state->cache->segment_full = 1;
	place_publish_file(p, "c/four", "fourth", "run 3 delta@4 fetch");
	auto_free char *shown = place_shown(p);
	expect_says(p, EXIT_OK, "collect --dry-run --keep=0", SAYS("would forget 4 generations"));
	place_expect(p, "SELECT count(*) FROM generation", "5");
	expect_says(p, EXIT_OK, "collect --keep=0",
		    SAYS("forgot 4 generations", "2 publishes with", "1 segments"));
	place_expect(p, "SELECT count(*) FROM generation", "1");
	place_expect(p, "SELECT count(*) FROM v_entry WHERE type = 'f'", "2");
	struct stat st;
	assert_int_equal(fstatat(p->state->fd, "seg/000002.tar.zst", &st, 0), -1);
	assert_int_equal(fstatat(p->state->fd, "seg/000001.tar.zst", &st, 0), 0);
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	expect_says(p, EXIT_OK, "collect --keep=0", SAYS("forgot 0 generations, 0 layers"));
	expect_rebuilds(p);
}

static void a_store_over_its_size_loses_what_was_not_used_for_the_longest_time(void **state)
{
	struct place *p = *state;
	publish_few(p);
	expect_says(p, EXIT_OK, "collect --max-size=11 --dry-run",
		    SAYS("left out: run 1 alpha@1 fetch (5 B)"));
	expect_says(p, EXIT_OK, "collect --max-size=11 --keep=0", SAYS("left out", "1 publishes"));
	assert_false(shows(p, "a/one"));
	assert_true(shows(p, "a/two") && shows(p, "b/three"));
	expect_rebuilds(p);
	assert_false(shows(p, "a/one"));
	expect_says(p, EXIT_OK, "collect --max-age=1d", SAYS("left out what 0 jobs brought"));
	assert_true(shows(p, "a/two"));
}

static void a_pinned_generation_stays(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct pin pin;
	publish_few(p);
	OK(pin_take(p->state->fd, 2, &pin, &e));
	/* Of one who died: its lock went with him. */
	auto_fd int stale =
		openat(p->state->fd, "pins/1.77.0", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(stale >= 0);
	expect_says(p, EXIT_OK, "collect --keep=0", SAYS("forgot 1 generations"));
	place_expect(p, "SELECT generation FROM v_store ORDER BY 1", "2\n3");
	pin_drop(&pin);
	expect_says(p, EXIT_OK, "collect --keep=0", SAYS("forgot 1 generations"));
	place_expect(p, "SELECT generation FROM v_store ORDER BY 1", "3");
}

/* ---- out and in ---- */

/* Run a command line of our own making; its status. */
static int shell(const char *command)
{
	pid_t pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	int status = -1;
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_generation_is_one_archive_with_the_same_bytes_whatever_its_layers(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *one = own_fmt("export %s/one.tar.zst", p->path),
		       *two = own_fmt("export cache %s/two.tar.zst", p->path),
		       *first = own_fmt("export 1 %s/first.tar.zst", p->path);
	expect_says(p, EXIT_OK, one, (const char *const[]){NULL});
	expect_says(p, EXIT_OK, "compact", (const char *const[]){NULL});
	json_t *j = cache_json(p, EXIT_OK, two);
	assert_int_equal(json_int(j, "entries"), 5);
	json_decref(j);
	expect_says(p, EXIT_OK, first, (const char *const[]){NULL});
	auto_free char *check = own_fmt(
		"cd %s && cmp one.tar.zst two.tar.zst && ! cmp -s one.tar.zst first.tar.zst &&"
		" mkdir x && tar --zstd -xf one.tar.zst -C x && test \"$(cat x/b/three)\" = third "
		"&&"
		" test $(find x -type f | wc -l) = 3 && test -z \"$(find . -maxdepth 1 -name "
		"'*.part')\"",
		p->path);
	assert_int_equal(shell(check), 0);
	/* It goes into another store as it is. */
	auto_free char *in = own_fmt("import other %s/one.tar.zst", p->path);
	expect_says(p, EXIT_OK, in, SAYS("other: generation", "5 added"));
	expect_says(p, EXIT_OK, in, SAYS("0 added, 0 replaced, 3 were there"));
	auto_free char *again = own_fmt("export other %s/again.tar.zst", p->path),
		       *same = own_fmt("cmp %s/one.tar.zst %s/again.tar.zst", p->path, p->path);
	expect_says(p, EXIT_OK, again, (const char *const[]){NULL});
	assert_int_equal(shell(same), 0);
	expect_rebuilds(p);
}

static void a_generation_becomes_a_directory_whole_or_not_at_all(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *out = own_fmt("restore %s/out", p->path),
		       *first = own_fmt("restore 1 %s/first/", p->path),
		       *check = own_fmt(
			       "cd %s && test \"$(cat out/a/two)\" = second && test $(find "
			       "out -type f | wc -l) = 3 && test $(find first -type f | wc "
			       "-l) = 1 && test -z \"$(find . -maxdepth 1 -name '*.part')\"",
			       p->path);
	expect_says(p, EXIT_OK, out, (const char *const[]){NULL});
	expect_says(p, EXIT_OK, first, (const char *const[]){NULL});
	assert_int_equal(shell(check), 0);
	assert_int_equal(cache(p, NULL, out), EXIT_USAGE); /* not over something */
	damage_layer(p, 1, "a/two");
	auto_free char *bad = own_fmt("restore %s/bad", p->path),
		       *archive = own_fmt("export %s/bad.tar.zst", p->path),
		       *nothing = own_fmt("ls %s | grep -q bad", p->path);
	assert_int_equal(cache(p, NULL, bad), EXIT_OURS);
	assert_int_equal(cache(p, NULL, archive), EXIT_OURS);
	assert_int_equal(shell(nothing), 1);
	struct stat st;
	assert_int_equal(fstatat(p->state->fd, "pins", &st, 0), 0);
	auto_free char *pins = own_fmt("test -z \"$(ls %s/pins)\"", p->path);
	assert_int_equal(shell(pins), 0);
}

static void what_is_imported_goes_through_the_checks_of_a_harvest(void **state)
{
	struct place *p = *state;
	publish_few(p);
	auto_free char *make =
		own_fmt("cd %s && mkdir -p d/a && echo other > d/a/one && echo new > d/a/new && ln "
			"-s /etc/passwd "
			"d/out && tar -cf d.tar -C d . && gzip -k d.tar && xz -k d.tar && zstd -q "
			"d.tar.gz -o "
			"twice.tar.gz.zst && head -c 200 d.tar.xz > cut.tar.xz && mkfifo d/pipe",
			p->path);
	assert_int_equal(shell(make), 0);
	auto_free char *xz = own_fmt("import cache %s/d.tar.xz", p->path);
	expect_says(p, EXIT_OK, xz,
		    SAYS("1 added", "1 conflicts", "1 refused", "conflict: a/one",
			 "refused: out: a link that leads out of the store"));
	static const char *const hostile[] = {"twice.tar.gz.zst", "cut.tar.xz", "d", "nothing"};
	for (size_t i = 0; i < countof(hostile); i++) {
		auto_free char *words = own_fmt("import cache %s/%s", p->path, hostile[i]);
		if (!cache(p, NULL, words))
			fail_msg("%s was taken", hostile[i]);
	}
	auto_free char *digest = own_fmt("import cache %s/d.tar.gz --sha256=%064d", p->path, 0);
	assert_int_equal(cache(p, NULL, digest), EXIT_OURS);
	auto_free char *deep = own_fmt("import cache %s/d.tar.gz --prefix=deep/er", p->path);
	expect_says(p, EXIT_OK, deep, SAYS("added"));
	assert_true(shows(p, "deep/er/a/new"));
	auto_free char *dir = own_fmt("publish cache %s/first", p->path),
		       *file = own_fmt("publish cache %s/d.tar.gz", p->path),
		       *mk = own_fmt("mkdir %s/first && echo x > %s/first/y", p->path, p->path);
	assert_int_equal(shell(mk), 0);
	expect_says(p, EXIT_OK, dir, SAYS("1 added"));
	assert_int_equal(cache(p, NULL, file), EXIT_USAGE);
	auto_free char *clean =
		own_fmt("test -z \"$(find %s/tmp %s/trash -mindepth 1)\"", p->path, p->path);
	place_expect(p, "SELECT count(*) FROM v_harvest WHERE job LIKE 'assay cache import %'",
		     "2");
	assert_int_equal(shell(clean), 0);
	expect_rebuilds(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
		T(what_is_there_is_shown),
		T(wrong_words_are_told),
		T(rebuilding_says_what_it_found),
		T(a_store_goes_back_to_an_older_generation),
		T(a_stack_becomes_one_layer),
		T(what_one_job_brought_is_taken_back),
		T(old_generations_go_and_what_only_they_needed),
		T(a_store_over_its_size_loses_what_was_not_used_for_the_longest_time),
		T(a_pinned_generation_stays),
		T(a_generation_is_one_archive_with_the_same_bytes_whatever_its_layers),
		T(a_generation_becomes_a_directory_whole_or_not_at_all),
		T(what_is_imported_goes_through_the_checks_of_a_harvest),
	};
	return cmocka_run_group_tests_name("cmd/cache", tests, NULL, NULL);
}
