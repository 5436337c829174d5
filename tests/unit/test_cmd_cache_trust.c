/* assay cache on a store that demands the words of several packages: what is pending, what becomes
 * of it, and that the archive alone says the same. */
#include "cache_words.h"

#include <sys/wait.h>

#define SHOWN "SELECT path FROM v_entry WHERE current AND type = 'f' ORDER BY path"
#define WORDS                                                                                      \
	"SELECT store, path, type, package, change, pending, demanded, revoked_ms IS NOT NULL, "   \
	"job"                                                                                      \
	" FROM v_word ORDER BY store, path, sha256, package"

static int trust_setup(void **state)
{
	int rc = place_setup(state);
	struct place *p = *state;
	p->store.trust = 2;
	return rc;
}

/* A package's harvest: PATH=CONTENT, NULL at the end. */
static void bring(struct place *p, const char *package, const char *const *files)
{
	auto_free char *job = own_fmt("run 1 %s@1 fetch", package);
	auto_fd int upper = place_upper(p);
	for (; *files; files++) {
		auto_free char *path = own_dup(*files);
		char *is = strchr(path, '=');
		*is = '\0';
		place_put(upper, path, is + 1);
	}
	p->package = package;
	place_publish(p, upper, job);
}
#define BRING(package, ...) bring(p, package, (const char *const[]){__VA_ARGS__, NULL})

/* Also of words, which count as they did. */
static void expect_rebuilds_words(struct place *p)
{
	auto_free char *words = place_ask(p, WORDS);
	expect_rebuilds(p);
	auto_free char *again = place_ask(p, WORDS);
	assert_string_equal(again, words);
}

static void what_is_pending_is_told_and_not_shown(void **state)
{
	struct place *p = *state;
	BRING("a", "d/x=bytes", "d/own=of a");
	place_expect(p, SHOWN, "");
	expect_says(p, EXIT_OK, "list", SAYS("cache", "PENDING", " 3"));
	expect_says(p, EXIT_OK, "entries --pending", SAYS("d/x", "d/own", "run 1 a@1 fetch"));
	expect_says(p, EXIT_OK, "who d/x", SAYS("pending", "run 1 a@1 fetch"));
	expect_says(p, EXIT_OK, "verify", SAYS("1 publishes in 1 frames", "as they should be"));
	place_expect(p, "SELECT pending, added, trust FROM v_harvest", "3|0|2");
	expect_rebuilds_words(p);
	BRING("b", "d/x=bytes");
	place_expect(p, SHOWN, "d/x");
	place_expect(p, "SELECT job FROM v_entry WHERE path = 'd/x'", "run 1 b@1 fetch");
	place_expect(p, "SELECT path FROM v_word WHERE pending", "d/own");
	json_t *j = cache_json(p, EXIT_OK, "entries --pending cache");
	assert_int_equal(json_array_size(j), 1);
	assert_int_equal(json_int(json_array_get(j, 0), "packages"), 1);
	assert_int_equal(json_int(json_array_get(j, 0), "demanded"), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "path")),
			    "d/own");
	json_decref(j);
	expect_says(p, EXIT_OK, "who d/x",
		    SAYS("pending", "added", "run 1 a@1 fetch", "run 1 b@1 fetch"));
	j = cache_json(p, EXIT_OK, "list");
	assert_int_equal(json_int(json_array_get(j, 0), "pending"), 1);
	json_decref(j);
	expect_rebuilds_words(p);
	place_close(p);
	place_open(p);
	assert_int_equal(p->state->found, 0);
}

static void a_database_that_is_gone_knows_the_words_again(void **state)
{
	struct place *p = *state;
	BRING("a", "x=bytes", "y=own");
	BRING("b", "x=bytes", "z=other");
	BRING("c", "x=bytes"); /* what is there already */
	auto_free char *words = place_ask(p, WORDS), *shown = place_shown(p);
	int fd = dup(p->state->fd);
	place_close(p);
	static const char *const files[] = {"assay.db", "assay.db-wal", "assay.db-shm"};
	for (size_t i = 0; i < countof(files); i++)
		(void)!unlinkat(fd, files[i], 0);
	close(fd);
	expect_says(p, EXIT_OK, "rebuild", SAYS("3 publishes"));
	place_open(p);
	auto_free char *again = place_ask(p, WORDS), *shown_again = place_shown(p);
	assert_string_equal(again, words);
	assert_string_equal(shown_again, shown);
	place_expect(p, "SELECT count(*) FROM v_word WHERE package = 'c'", "1");
	/* They count as before. */
	BRING("d", "y=own", "z=another");
	place_expect(p, SHOWN, "x\ny");
	place_expect_sound(p);
}

static void a_witness_that_is_revoked_counts_no_more(void **state)
{
	struct place *p = *state;
	BRING("a", "x=bytes", "y=more");
	BRING("b", "x=bytes");
	BRING("c", "y=more");
	BRING("d", "y=more");
	place_expect(p, SHOWN, "x\ny");
	expect_says(p, EXIT_OK, "revoke a --dry-run",
		    SAYS("would end: x (run 1 b@1 fetch)",
			 "would count no more: the word of run 1 a@1"));
	place_expect(p, SHOWN, "x\ny");
	json_t *j = cache_json(p, EXIT_OK, "revoke a");
	assert_int_equal(json_array_size(json_object_get(j, "ended")), 1);
	assert_int_equal(json_array_size(json_object_get(j, "words")), 1);
	json_decref(j);
	/* c and d are enough for y; x waits for another beside b. */
	place_expect(p, SHOWN, "y");
	place_expect(p, "SELECT path, package FROM v_word WHERE pending AND revoked_ms IS NULL",
		     "x|b");
	expect_says(p, EXIT_OK, "entries --pending", SAYS("x"));
	expect_rebuilds_words(p);
	assert_int_equal(cache(p, NULL, "revoke a"), EXIT_OURS); /* nothing more */
	BRING("e", "x=bytes");
	place_expect(p, SHOWN, "x\ny");
	/* Who was revoked may say it again. */
	BRING("a", "x=bytes");
	place_expect(
		p, "SELECT package FROM v_word WHERE path = 'x' AND revoked_ms IS NULL ORDER BY 1",
		"a\nb\ne");
	expect_rebuilds_words(p);
}

static void who_admitted_it_may_be_revoked_where_enough_others_had_it(void **state)
{
	struct place *p = *state;
	BRING("a", "x=bytes", "y=more");
	BRING("b", "x=bytes", "y=more");
	BRING("c", "x=bytes");
	expect_says(p, EXIT_OK, "revoke b", SAYS("ended: y", "stays, others brought the same: x"));
	place_expect(p, SHOWN, "x");
	expect_says(p, EXIT_OK, "revoke c", SAYS("ended: x"));
	place_expect(p, SHOWN, "");
	place_expect(p, "SELECT path, package FROM v_word WHERE revoked_ms IS NULL ORDER BY 1",
		     "x|a\ny|a");
	expect_rebuilds_words(p);
}

static void a_word_alone_is_revoked_and_leaves_the_archive(void **state)
{
	struct place *p = *state;
	BRING("a", "x=bytes");
	BRING("b", "y=other");
	expect_says(p, EXIT_OK, "revoke a", SAYS("counts no more: the word of run 1 a@1"));
	place_expect(p, "SELECT path FROM v_word WHERE revoked_ms IS NULL", "y");
	expect_rebuilds_words(p);
	BRING("c", "x=bytes");
	place_expect(p, SHOWN, "");
	expect_says(p, EXIT_OK, "collect --keep=0", SAYS("1 publishes"));
	place_expect(p, "SELECT path, package FROM v_word ORDER BY 1", "x|c\ny|b");
	place_expect(p,
		     "SELECT count(*) FROM v_harvest h WHERE EXISTS (SELECT 1 FROM v_word w"
		     " WHERE w.harvest = h.harvest)",
		     "2");
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
}

static void words_of_packages_that_run_no_more_are_collected(void **state)
{
	struct place *p = *state;
	BRING("a", "x=bytes");
	BRING("b", "y=other", "z=third");
	BRING("c", "z=third");
	expect_says(p, EXIT_OK, "collect --max-age=1h", SAYS("left out what 0 jobs brought"));
	place_expect(p, "SELECT count(*) FROM v_word", "4");
	/* 1 ms is over by then: made in another one */
	auto_free char *made = place_ask(p, "SELECT max(made_ms) FROM v_harvest");
	for (struct timespec t;
	     strtoll(made, NULL, 10) + 2 >=
	     (clock_gettime(CLOCK_REALTIME, &t), t.tv_sec * 1000 + t.tv_nsec / 1000000);)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	expect_says(p, EXIT_OK, "collect --max-age=1ms", SAYS("left out: run 1 a@1 fetch"));
	place_expect(p, "SELECT count(*) FROM v_word WHERE package = 'a'", "0");
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
	auto_free char *words =
		place_ask(p,
			  "SELECT path, package FROM v_word WHERE revoked_ms IS NULL ORDER BY 1");
	expect_says(p, EXIT_OK, "rebuild", (const char *const[]){NULL});
	place_expect(p, "SELECT path, package FROM v_word WHERE revoked_ms IS NULL ORDER BY 1",
		     words);
}

static void going_back_and_compacting_leave_words_alone(void **state)
{
	struct place *p = *state;
	BRING("a", "x=bytes", "y=more", "own=a");
	BRING("b", "x=bytes");
	BRING("c", "y=more");
	auto_free char *words = place_ask(p, WORDS);
	place_expect(p, SHOWN, "x\ny");
	expect_says(p, EXIT_OK, "compact", SAYS("2 layers became 1"));
	expect_says(p, EXIT_OK, "collect --keep=0", (const char *const[]){NULL});
	auto_free char *compacted = place_ask(p, WORDS);
	assert_string_equal(compacted, words);
	expect_rebuilds_words(p);
	auto_free char *first = place_ask(p, "SELECT min(generation) FROM v_store"),
		       *back = own_fmt("rollback %s", first);
	expect_says(p, EXIT_OK, back, SAYS("1 gone"));
	place_expect(p, SHOWN, "x");
	/* What enough said is used again as soon as somebody brings it. */
	BRING("d", "y=more");
	place_expect(p, SHOWN, "x\ny");
	expect_rebuilds_words(p);
}

static void a_damaged_record_of_words_is_written_again(void **state)
{
	struct place *p = *state;
	unsigned char c;
	BRING("a", "x=bytes", "own=a");
	BRING("b", "x=bytes", "mine=b");
	BRING("c", "x=bytes");
	auto_free char *words = place_ask(p, WORDS);
	for (int i = 0; i < 3; i++) {
		auto_free char *sql = own_fmt("SELECT offset + 100 FROM frame WHERE harvest = %d",
					      i + 1),
			       *at = place_ask(p, sql);
		place_close(p);
		auto_free char *segment = own_fmt("%s/seg/000001.tar.zst", p->path);
		auto_fd int fd = open(segment, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, &c, 1, strtoll(at, NULL, 10)), 1);
		c ^= 1;
		assert_int_equal(pwrite(fd, &c, 1, strtoll(at, NULL, 10)), 1);
		expect_says(p, EXIT_REGRESSED, "verify --dry-run", SAYS("archive: damaged"));
		expect_says(p, EXIT_REGRESSED, "verify --repair", SAYS("archive: repaired"));
		expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
		place_open(p);
	}
	auto_free char *again = place_ask(p, WORDS);
	assert_string_equal(again, words);
	expect_rebuilds_words(p);
}

static void by_hand_is_one_word(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	auto_free char *suite = own_fmt("%s/suite.yaml", p->path),
		       *from = own_fmt("%s/from", p->path),
		       *words = own_fmt("import s/cache %s --suite=%s", from, suite),
		       *plain = own_fmt("import s/cache %s", from);
	static const char yaml[] = "assay: 1\nsuite: s\nroot: host\n"
				   "stores: [{name: cache, path: /c, trust: 2}]\n"
				   "packages: [one]\nvariants: [{name: base}]\n"
				   "phases: [{name: fetch, harvest: [cache], run: 'true'}]\n";
	OK(dir_write_whole(p->state->fd, "suite.yaml", yaml, strlen(yaml), 0600, &e));
	auto_fd int dir = dir_make(p->state->fd, "from", 0755, &e);
	place_put(dir, "x", "bytes");
	expect_says(p, EXIT_OK, words, SAYS("0 added", "1 pending until more packages bring them"));
	expect_says(p, EXIT_OK, words, SAYS("0 added", "1 pending"));
	place_expect(p, "SELECT package, count(*) FROM v_word", "(by hand)|1");
	/* By no suite's rules it is taken as it is. */
	expect_says(p, EXIT_OK, plain, SAYS("1 added"));
}

/* Between any two steps of words alone, and of what they admit. */
static void a_kill_at_any_step_leaves_words_whole_or_none(void **state)
{
	struct place *p = *state;
	for (int admits = 0; admits < 2; admits++)
		for (int nth = 0, killed = 1; killed; nth++) {
			auto_free char *path = own_fmt("killed-%d-%d", admits, nth),
				       *file = own_fmt("%s=x", path),
				       *sql = own_fmt(
					       "SELECT count(*) FROM v_word WHERE path = '%s'",
					       path);
			if (admits)
				BRING("a", file);
			auto_fd int upper = place_upper(p);
			place_put(upper, path, "x");
			place_close(p);
			pid_t pid = fork();
			if (!pid) {
				struct err e = ERR_INIT;
				place_open(p);
				place_load(p);
				p->package = "b";
				place_kill_at(nth);
				_exit(place_try(p, upper, "killed", 0, &e) ? 1 : 0);
			}
			int status = -1;
			assert_true(pid > 0 && waitpid(pid, &status, 0) == pid &&
				    WIFEXITED(status));
			killed = WEXITSTATUS(status) == PLACE_KILLED;
			assert_true(killed || !WEXITSTATUS(status));
			place_open(p);
			place_load(p);
			auto_free char *n = place_ask(p, sql), *shown = place_shown(p);
			bool whole = n[0] == '1' + admits;
			if (!whole)
				assert_int_equal(n[0], '0' + admits);
			assert_true(whole || killed);
			assert_true((strstr(shown, path) != NULL) == (whole && admits));
			place_expect_sound(p);
			expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
		}
	expect_rebuilds_words(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, trust_setup, place_teardown)
		T(what_is_pending_is_told_and_not_shown),
		T(a_database_that_is_gone_knows_the_words_again),
		T(a_witness_that_is_revoked_counts_no_more),
		T(who_admitted_it_may_be_revoked_where_enough_others_had_it),
		T(a_word_alone_is_revoked_and_leaves_the_archive),
		T(words_of_packages_that_run_no_more_are_collected),
		T(going_back_and_compacting_leave_words_alone),
		T(a_damaged_record_of_words_is_written_again),
		T(by_hand_is_one_word),
		T(a_kill_at_any_step_leaves_words_whole_or_none),
	};
	return cmocka_run_group_tests_name("cmd/cache-trust", tests, NULL, NULL);
}
