/* cache/ask.c: what rules leave to a program, with one that is a function here. */
#include "cache_store.h"

/* What it leaves for the file whose path ends so, and answers. */
struct word {
	const char *name;
	enum cache_answer answer;
	const char *result;                           /* NULL: nothing is left */
	void (*leave)(int dirfd, const char *number); /* instead */
	const char *why;
};

struct asked {
	const struct word *words;
	size_t n_words;
	bool fails;
	struct fixture *f;
	/* seen */
	size_t calls, done, rule, n;
	char paths[256], olds[256], news[256];
};

static const struct word *asked_word(const struct asked *a, const char *path)
{
	for (size_t i = 0; i < a->n_words; i++)
		if (!strcmp(path, a->words[i].name))
			return &a->words[i];
	return NULL;
}

static void asked_see(char seen[256], int dirfd, const char *of, size_t i)
{
	char name[32];
	size_t n = strlen(seen);
	snprintf(name, sizeof(name), "%s/%zu", of, i + 1);
	auto_free char *is = get(dirfd, name);
	snprintf(seen + n, 256 - n, "%s ", is ? is : "-");
}

static int asked_run(void *owner, struct cache_question *q, struct err *e)
{
	struct asked *a = owner;
	a->calls++;
	a->rule = q->rule;
	a->n = q->n;
	if (a->fails)
		return err_set(e, ERR_BOX, "no box");
	q->out_fd = sub(a->f->work, "out");
	for (size_t i = 0; i < q->n; i++) {
		char number[24];
		const struct word *w = asked_word(a, q->paths[i]);
		size_t n = strlen(a->paths);
		snprintf(a->paths + n, sizeof(a->paths) - n, "%s ", q->paths[i]);
		asked_see(a->olds, q->fd, "old", i);
		asked_see(a->news, q->fd, "new", i);
		assert_int_equal(q->answers[i], CACHE_ANSWER_REFUSE);
		if (!w)
			continue;
		snprintf(number, sizeof(number), "%zu", i + 1);
		q->answers[i] = w->answer;
		q->why[i] = w->why ? own_dup(w->why) : NULL;
		if (w->result)
			put(q->out_fd, number, w->result);
		if (w->leave)
			w->leave(q->out_fd, number);
	}
	return 0;
}

static void asked_done(void *owner, struct cache_question *q)
{
	struct asked *a = owner;
	struct err e = ERR_INIT;
	a->done++;
	own_close(&q->out_fd);
	OK(dir_remove(a->f->work, "out", &e));
}

static const struct cache_rule facts[] = {{"facts/**", CACHE_PROGRAM}};

#define ASKED(...)                                                                                 \
	static const struct word words[] = {__VA_ARGS__};                                          \
	struct asked a = {.words = words, .n_words = countof(words), .f = *state};                 \
	const struct cache_runner runner = {asked_run, asked_done, &a};                            \
	struct store s = {.f = *state, .rules = facts, .n_rules = 1, .runner = &runner}

static void where_nobody_runs_programs_it_is_said_at_once(void **state)
{
	struct err e = ERR_INIT;
	struct store s = {.f = *state, .rules = facts, .n_rules = 1};
	auto_fd int u = sub(s.f->work, "u");
	put(u, "other", "x");
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_non_null(strstr(e.text, "rule 1 (facts/**): a program decides there"));
	assert_true(s.out.nothing);
	store_end(&s);
}

static void it_is_asked_once_about_all_that_is_not_the_stores_already(void **state)
{
	ASKED({"facts/a", CACHE_ANSWER_TAKE, "A", NULL, NULL},
	      {"facts/b", CACHE_ANSWER_TAKE, "B", NULL, NULL},
	      {"facts/c", CACHE_ANSWER_TAKE, "1", NULL, NULL});
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "facts/a", "A");
	put(u, "facts/c", "1");
	put(u, "free", "x");
	store_publish(&s, "u");
	assert_string_equal(a.paths, "facts/a facts/c ");
	assert_string_equal(a.olds, "- - ");
	a.paths[0] = a.olds[0] = a.news[0] = '\0';
	put(v, "facts/a", "A");
	put(v, "facts/b", "B");
	put(v, "facts/c", "2");
	store_publish(&s, "v");
	assert_int_equal(a.calls, 2);
	assert_int_equal(a.done, 2);
	assert_int_equal(a.rule, 0);
	assert_string_equal(a.paths, "facts/b facts/c ");
	assert_string_equal(a.olds, "- 1 ");
	assert_string_equal(a.news, "B 2 ");
	expect_change(&s, "facts/a", CACHE_IDENTICAL);
	store_publish(&s, "u"); /* without a question no call */
	put(v, "facts/c", "1");
	store_publish(&s, "v");
	assert_int_equal(a.calls, 2);
	store_end(&s);
	expect_clean(s.f, 2);
}

static void its_answer_is_what_comes_in(void **state)
{
	ASKED({"facts/kept", CACHE_ANSWER_KEEP, "never read", NULL, NULL},
	      {"facts/merged", CACHE_ANSWER_TAKE, "old and new", NULL, NULL},
	      {"facts/new", CACHE_ANSWER_TAKE, "new", NULL, NULL},
	      {"facts/old", CACHE_ANSWER_TAKE, "old", NULL, NULL},
	      {"facts/refused", CACHE_ANSWER_REFUSE, "never read", NULL, "it lies"},
	      {"facts/made", CACHE_ANSWER_TAKE, "", NULL, NULL});
	static const char *const all[] = {"facts/kept", "facts/merged",  "facts/new",
					  "facts/old",  "facts/refused", "facts/silent"};
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	s.n_rules = 0;
	for (size_t i = 0; i < countof(all); i++)
		put(u, all[i], "old");
	store_publish(&s, "u");
	s.n_rules = 1;
	for (size_t i = 0; i < countof(all); i++)
		put(v, all[i], "new");
	put(v, "facts/made", "from more");
	store_publish(&s, "v");
	expect_change(&s, "facts/kept", CACHE_DROPPED);
	expect_change(&s, "facts/merged", CACHE_MERGED);
	expect_change(&s, "facts/new", CACHE_REPLACED);
	expect_change(&s, "facts/old", CACHE_IDENTICAL);
	expect_change(&s, "facts/made", CACHE_ADDED);
	expect_change(&s, "facts/refused", CACHE_REFUSED);
	expect_change(&s, "facts/silent", CACHE_REFUSED);
	assert_string_equal(entry_of(&s, "facts/refused")->reason, "it lies");
	assert_string_equal(entry_of(&s, "facts/silent")->reason, "its program gave no answer");
	assert_int_equal(s.out.counts.bytes, strlen("old and new") + strlen("new"));
	store_expect(&s, "facts/kept", "old");
	store_expect(&s, "facts/merged", "old and new");
	store_expect(&s, "facts/new", "new");
	store_expect(&s, "facts/made", "");
	store_expect(&s, "facts/refused", "old");
	for (size_t i = 0; i < s.n; i++) {
		struct err e = ERR_INIT;
		OK(cache_layer_verify(s.f->c, s.ids[i], &e));
	}
	struct err e = ERR_INIT;
	OK(cache_record_verify(s.f->c, s.out.frames, s.out.n_frames, s.out.layer.id, &e));
	store_end(&s);
	expect_clean(s.f, 2);
}

static void leave_link(int dirfd, const char *number)
{
	assert_int_equal(symlinkat("/etc/passwd", dirfd, number), 0);
}
static void leave_fifo(int dirfd, const char *number)
{
	assert_int_equal(mkfifoat(dirfd, number, 0666), 0);
}
static void leave_dir(int dirfd, const char *number)
{
	assert_int_equal(mkdirat(dirfd, number, 0755), 0);
}
static void leave_large(int dirfd, const char *number)
{
	put(dirfd, number, "x");
	auto_fd int fd = openat(dirfd, number, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (16 << 20) + 1), 0);
}
static void leave_most(int dirfd, const char *number)
{
	put(dirfd, number, "x");
	auto_fd int fd = openat(dirfd, number, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 16 << 20), 0);
}

static void what_is_no_small_file_is_no_result(void **state)
{
	static const char *const whys[] = {"facts/dir",   "is not a regular file",
					   "facts/fifo",  "is not a regular file",
					   "facts/large", "larger than 16777216 bytes",
					   "facts/link",  "open",
					   "facts/none",  "there is none"};
	ASKED({"facts/dir", CACHE_ANSWER_TAKE, NULL, leave_dir, NULL},
	      {"facts/fifo", CACHE_ANSWER_TAKE, NULL, leave_fifo, NULL},
	      {"facts/large", CACHE_ANSWER_TAKE, NULL, leave_large, NULL},
	      {"facts/link", CACHE_ANSWER_TAKE, NULL, leave_link, NULL},
	      {"facts/none", CACHE_ANSWER_TAKE, NULL, NULL, NULL},
	      {"facts/ok", CACHE_ANSWER_TAKE, "ok", NULL, NULL});
	auto_fd int u = sub(s.f->work, "u");
	for (size_t i = 0; i < countof(whys); i += 2)
		put(u, whys[i], "x");
	put(u, "facts/ok", "x");
	store_publish(&s, "u");
	for (size_t i = 0; i < countof(whys); i += 2) {
		expect_change(&s, whys[i], CACHE_REFUSED);
		assert_non_null(strstr(entry_of(&s, whys[i])->reason, whys[i + 1]));
	}
	store_expect(&s, "facts/ok", "ok");
	assert_int_equal(s.out.counts.refused, countof(whys) / 2);
	store_end(&s);
	expect_clean(s.f, 1);
}

static void results_are_bounded_together(void **state)
{
	ASKED({"facts/1", CACHE_ANSWER_TAKE, NULL, leave_most, NULL},
	      {"facts/2", CACHE_ANSWER_TAKE, NULL, leave_most, NULL},
	      {"facts/3", CACHE_ANSWER_TAKE, NULL, leave_most, NULL},
	      {"facts/4", CACHE_ANSWER_TAKE, NULL, leave_most, NULL},
	      {"facts/5", CACHE_ANSWER_TAKE, NULL, leave_most, NULL},
	      {"facts/6", CACHE_ANSWER_TAKE, "", NULL, NULL});
	auto_fd int u = sub(s.f->work, "u");
	for (size_t i = 0; i < countof(words); i++)
		put(u, words[i].name, "x");
	store_publish(&s, "u");
	expect_change(&s, "facts/4", CACHE_ADDED);
	expect_change(&s, "facts/5", CACHE_REFUSED);
	expect_change(&s, "facts/6", CACHE_ADDED);
	store_end(&s);
}

static void only_files_are_shown_and_no_large_ones(void **state)
{
	ASKED({"none", CACHE_ANSWER_KEEP, NULL, NULL, NULL});
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	s.n_rules = 0;
	put(u, "facts/dir/x", "x");
	leave_large(u, "facts/was-large");
	store_publish(&s, "u");
	s.n_rules = 1;
	put(v, "facts/dir", "a file where the store has a directory");
	assert_int_equal(symlinkat("dir", v, "facts/link"), 0);
	leave_large(v, "facts/large");
	put(v, "facts/was-large", "x");
	store_publish(&s, "v");
	expect_change(&s, "facts/dir", CACHE_CONFLICT);
	expect_change(&s, "facts/link", CACHE_REFUSED);
	expect_change(&s, "facts/large", CACHE_REFUSED);
	expect_change(&s, "facts/was-large", CACHE_REFUSED);
	assert_string_equal(entry_of(&s, "facts/was-large")->reason,
			    "the store's file is larger than a program is shown");
	assert_int_equal(a.calls, 0);
	assert_true(s.out.nothing);
	store_end(&s);
	expect_clean(s.f, 1);
}

static void our_own_trouble_publishes_nothing(void **state)
{
	ASKED({"none", CACHE_ANSWER_KEEP, NULL, NULL, NULL});
	struct err e = ERR_INIT;
	auto_fd int u = sub(s.f->work, "u");
	put(u, "facts/a", "x");
	put(u, "other", "x");
	a.fails = true;
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_BOX);
	assert_string_equal(e.text, "publish npm-cache: rule 1 (facts/**): no box");
	assert_true(s.out.nothing);
	assert_int_equal(a.done, 1);
	store_end(&s);
	expect_clean(s.f, 0);
}

/* The first harvest to be refused as a whole has nobody asked. */
static void what_is_refused_as_a_whole_is_asked_about_nothing(void **state)
{
	static const struct cache_rule rules[] = {{"facts/**", CACHE_PROGRAM},
						  {"never", CACHE_REJECT}};
	ASKED({"none", CACHE_ANSWER_KEEP, NULL, NULL, NULL});
	struct err e = ERR_INIT;
	auto_fd int u = sub(s.f->work, "u");
	s.rules = rules;
	s.n_rules = 2;
	put(u, "facts/a", "x");
	put(u, "never", "x");
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	assert_int_equal(a.calls, 0);
	store_end(&s);
	expect_clean(s.f, 0);
}

static void die(const char *step)
{
	if (!strcmp(step, "program asked"))
		_exit(9);
}

static void a_kill_while_it_runs_leaves_nothing(void **state)
{
	ASKED({"facts/a", CACHE_ANSWER_TAKE, "A", NULL, NULL});
	struct err e = ERR_INIT;
	const char *layers[64];
	int status;
	auto_fd int u = sub(s.f->work, "u");
	put(u, "facts/a", "A");
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		cache_on_step = die;
		(void)!store_try(&s, "u", &e);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 9);
	assert_int_equal(count_names(s.f->state, "tmp"), 1);
	const struct cache_known known = store_known(&s, layers);
	assert_non_null(fixture_reopen(s.f, &known, &e));
	expect_clean(s.f, 0);
	store_publish(&s, "u");
	store_expect(&s, "facts/a", "A");
	store_end(&s);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		STORY(where_nobody_runs_programs_it_is_said_at_once),
		STORY(it_is_asked_once_about_all_that_is_not_the_stores_already),
		STORY(its_answer_is_what_comes_in),
		STORY(what_is_no_small_file_is_no_result),
		STORY(results_are_bounded_together),
		STORY(only_files_are_shown_and_no_large_ones),
		STORY(our_own_trouble_publishes_nothing),
		STORY(what_is_refused_as_a_whole_is_asked_about_nothing),
		STORY(a_kill_while_it_runs_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
