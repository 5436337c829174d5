/* cache/trust.c: what fewer packages brought than the store demands is in no layer. */
#include "cache_store.h"

/* Whose words were told, as a database would keep them. */
struct said {
	struct {
		char what[256], package[16];
	} v[128];
	size_t n;
	const char *package; /* of the harvest */
	bool lost;           /* it can't be asked */
};

static void said_what(const struct cache_entry *x, char out[256])
{
	snprintf(out, 256, "%c %s %s", x->type, x->path, x->target ? x->target : x->sha256);
}

static int said_words(void *owner, const struct cache_entry *x, struct cache_words *out,
		      struct err *e)
{
	struct said *s = owner;
	char what[256];
	said_what(x, what);
	if (s->lost)
		return err_set(e, ERR_SYS, "the database is gone");
	for (size_t i = 0; i < s->n; i++) {
		bool ours = !strcmp(s->v[i].package, s->package);
		if (strcmp(s->v[i].what, what))
			continue;
		out->others += !ours;
		out->said |= ours;
	}
	return 0;
}

static void said_commit(struct said *s, const struct cache_published *out)
{
	for (size_t i = 0; i < out->n_entries; i++) {
		if (!out->entries[i].word)
			continue;
		assert_true(s->n < countof(s->v));
		said_what(&out->entries[i], s->v[s->n].what);
		snprintf(s->v[s->n++].package, 16, "%s", s->package);
	}
}

#define STORE(demanded)                                                                            \
	struct said said = {.n = 0};                                                               \
	struct store s = {.f = *state, .trust = {demanded, NULL, said_words, &said}}

static int try_as(struct store *s, const char *package, const char *upper, struct err *e)
{
	struct said *said = s->trust.owner;
	said->package = s->trust.package = package;
	return store_try(s, upper, e);
}

static void publish_as(struct store *s, const char *package, const char *upper)
{
	struct err e = ERR_INIT;
	OK(try_as(s, package, upper, &e));
	said_commit(s->trust.owner, &s->out);
	store_commit(s);
}

static void what_one_package_brought_is_pending(void **state)
{
	STORE(2);
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "d/x", "bytes");
	assert_int_equal(symlinkat("x", u, "d/link"), 0);
	put(v, "d/x", "bytes");
	publish_as(&s, "a", "u");
	expect_change(&s, "d/x", CACHE_PENDING);
	expect_change(&s, "d/link", CACHE_PENDING);
	expect_change(&s, "d", CACHE_PENDING);
	assert_true(s.out.nothing && s.out.n_frames == 1 && s.out.record[0]);
	assert_int_equal(s.out.counts.pending, 3);
	assert_int_equal(s.out.counts.added + s.out.counts.bytes, 0);
	assert_int_equal(s.n, 0);
	expect_clean(s.f, 0);
	/* Its bytes are nowhere, what was said of them is. */
	assert_true(s.segments[0].bytes > 0);
	publish_as(&s, "b", "v");
	expect_change(&s, "d/x", CACHE_ADDED);
	expect_change(&s, "d", CACHE_ADDED);
	store_expect(&s, "d/x", "bytes");
	assert_true(store_has(&s, "d/link") < 0);
	assert_false(s.out.nothing);
	expect_clean(s.f, 1);
	store_end(&s);
}

static void the_same_package_twice_is_one(void **state)
{
	STORE(2);
	auto_fd int u = sub(s.f->work, "u");
	put(u, "x", "bytes");
	publish_as(&s, "a", "u");
	publish_as(&s, "a", "u");
	expect_change(&s, "x", CACHE_PENDING);
	assert_int_equal(s.out.counts.pending, 1);
	assert_true(s.out.nothing && !s.out.n_frames &&
		    !s.out.record[0]); /* nothing new was said */
	store_end(&s);
}

static void other_bytes_are_counted_apart(void **state)
{
	STORE(3);
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "x", "these");
	put(v, "x", "those");
	publish_as(&s, "a", "u");
	publish_as(&s, "b", "v");
	publish_as(&s, "c", "u");
	expect_change(&s, "x", CACHE_PENDING);
	publish_as(&s, "d", "v");
	expect_change(&s, "x", CACHE_PENDING);
	publish_as(&s, "e", "v");
	expect_change(&s, "x", CACHE_ADDED);
	store_expect(&s, "x", "those");
	/* From then on the others are what they would be in any store. */
	publish_as(&s, "f", "u");
	expect_change(&s, "x", CACHE_CONFLICT);
	assert_false(entry_of(&s, "x")->word);
	store_end(&s);
}

static void one_harvest_may_have_both(void **state)
{
	struct err e = ERR_INIT;
	STORE(2);
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "shared/x", "bytes");
	put(v, "shared/x", "bytes");
	put(v, "own/y", "of v alone");
	put(v, "shared/z", "likewise");
	publish_as(&s, "a", "u");
	publish_as(&s, "b", "v");
	expect_change(&s, "shared/x", CACHE_ADDED);
	expect_change(&s, "own/y", CACHE_PENDING);
	expect_change(&s, "shared/z", CACHE_PENDING);
	assert_true(store_has(&s, "own") < 0 && store_has(&s, "shared/z") < 0);
	assert_int_equal(s.out.layer.entries, 2);
	assert_int_equal(s.out.counts.bytes, 5);
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	OK(cache_record_verify(s.f->c, s.out.frames, s.out.n_frames, s.ids[0], &e));
	OK(cache_layer_remove(s.f->c, s.ids[0], &e));
	OK(cache_layer_restore(s.f->c, s.ids[0], s.out.frames, s.out.n_frames, &e));
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	store_end(&s);
}

static void what_replaces_needs_words_and_what_adds_up_does_not(void **state)
{
	static const struct cache_rule rules[] = {{"index/*", CACHE_NEWEST},
						  {"stats/*", CACHE_SUM_COUNTERS}};
	STORE(2);
	s.rules = rules;
	s.n_rules = countof(rules);
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "index/x", "old");
	put(u, "stats/n", "hits 1\n");
	put(v, "index/x", "new");
	put(v, "stats/n", "hits 2\n");
	const struct timespec t[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	assert_int_equal(utimensat(v, "index/x", t, 0), 0);
	publish_as(&s, "a", "u");
	expect_change(&s, "stats/n", CACHE_ADDED);
	assert_false(entry_of(&s, "stats/n")->word);
	publish_as(&s, "b", "u");
	store_expect(&s, "index/x", "old");
	store_expect(&s, "stats/n", "hits 2\n");
	publish_as(&s, "c", "v");
	expect_change(&s, "index/x", CACHE_PENDING);
	store_expect(&s, "index/x", "old");
	store_expect(&s, "stats/n", "hits 4\n");
	publish_as(&s, "d", "v");
	expect_change(&s, "index/x", CACHE_REPLACED);
	store_expect(&s, "index/x", "new");
	store_end(&s);
}

static void an_empty_directory_needs_words(void **state)
{
	STORE(2);
	close(sub(s.f->work, "u/in/empty"));
	publish_as(&s, "a", "u");
	expect_change(&s, "in/empty", CACHE_PENDING);
	assert_int_equal(s.n, 0);
	publish_as(&s, "b", "u");
	expect_change(&s, "in/empty", CACHE_ADDED);
	assert_int_equal(store_has(&s, "in/empty"), 0);
	store_end(&s);
}

/* ---- the segments alone ---- */

struct heard {
	struct text t;
};

static int on_heard(void *owner, const struct cache_record *r, struct err *e)
{
	struct heard *h = owner;
	(void)e;
	text_addf(&h->t, "%d %s of %u:", (int)r->kind, r->package ? r->package : "-", r->trust);
	for (size_t i = 0; i < r->n_entries; i++)
		text_addf(&h->t, " %s %s%s", r->entries[i].path,
			  cache_change_name(r->entries[i].change), r->entries[i].word ? "!" : "");
	text_addf(&h->t, " (%llu)\n", (unsigned long long)r->counts.pending);
	return 0;
}

static void the_segments_say_whose_word_was_what(void **state)
{
	struct err e = ERR_INIT;
	struct heard h = {TEXT_INIT};
	const struct cache_scan scan = {.on_record = on_heard, .owner = &h};
	STORE(2);
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "x", "bytes");
	put(v, "x", "bytes");
	put(v, "y", "own");
	publish_as(&s, "a", "u");
	publish_as(&s, "b", "v");
	publish_as(&s, "c", "u"); /* what is there: a word all the same */
	assert_true(s.out.nothing && s.out.n_frames == 1);
	publish_as(&s, "c", "u");
	assert_int_equal(s.out.n_frames, 0);
	OK(cache_scan(s.f->c, &scan, &e));
	auto_free char *is = text_take(&h.t),
		       *want = own_fmt("%d a of 2: x pending! (1)\n"
				       "%d b of 2: x added! y pending! (1)\n"
				       "%d c of 2: x identical! (0)\n",
				       CACHE_PENDING_WORDS, CACHE_PUBLISH, CACHE_PENDING_WORDS);
	assert_string_equal(is, want);
	store_end(&s);
}

static void a_store_that_demands_none_writes_what_it_always_did(void **state)
{
	char plain[CACHE_SUM];
	struct said said = {.lost = true};
	struct store s = {.f = *state};
	auto_fd int u = sub(s.f->work, "u");
	struct err e = ERR_INIT;
	put(u, "x", "bytes");
	OK(store_try(&s, "u", &e));
	memcpy(plain, s.out.frames[0].digest, CACHE_SUM);
	cache_publish_undo(s.f->c, &s.out);
	s.trust = (struct cache_trust){1, "a", said_words, &said};
	OK(store_try(&s, "u", &e));
	assert_string_equal(s.out.frames[0].digest, plain);
	store_end(&s);
}

/* ---- what can't be had ---- */

static void expect_usage(struct store *s, const char *why)
{
	struct err e = ERR_INIT;
	assert_int_equal(store_try(s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	if (!strstr(e.text, why))
		fail_msg("'%s' is not in: %s", why, e.text);
}

static void what_goes_not_together_is_told(void **state)
{
	static const struct cache_rule lines[] = {{"index/*", CACHE_UNION_LINES}};
	STORE(2);
	auto_fd int u = sub(s.f->work, "u");
	put(u, "x", "bytes");
	expect_usage(&s, "whose word");
	s.trust.package = said.package = "a";
	s.deletions = CACHE_DELETIONS_APPLY;
	expect_usage(&s, "deletions: apply");
	s.deletions = CACHE_DELETIONS_REJECT;
	s.rules = lines;
	s.n_rules = 1;
	expect_usage(&s, "rule 1 (index/*)");
	s.n_rules = 0;
	publish_as(&s, "a", "u");
	store_end(&s);
}

static void where_nobody_can_be_asked_nothing_is_published(void **state)
{
	struct err e = ERR_INIT;
	STORE(2);
	auto_fd int u = sub(s.f->work, "u");
	put(u, "x", "bytes");
	said.lost = true;
	assert_int_equal(try_as(&s, "a", "u", &e), -1);
	assert_non_null(strstr(e.text, "x: the database is gone"));
	assert_true(s.out.nothing && !s.out.n_frames && !s.out.record[0]);
	expect_clean(s.f, 0);
	said.lost = false;
	publish_as(&s, "a", "u");
	expect_change(&s, "x", CACHE_PENDING);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(what_one_package_brought_is_pending),
		T(the_same_package_twice_is_one),
		T(other_bytes_are_counted_apart),
		T(one_harvest_may_have_both),
		T(what_replaces_needs_words_and_what_adds_up_does_not),
		T(an_empty_directory_needs_words),
		T(the_segments_say_whose_word_was_what),
		T(a_store_that_demands_none_writes_what_it_always_did),
		T(what_goes_not_together_is_told),
		T(where_nobody_can_be_asked_nothing_is_published),
	};
	return cmocka_run_group_tests_name("cache/trust", tests, NULL, NULL);
}
