/* cache/: globs, rules, counters, and what npm's cache means. */
#include "cache_fixture.h"

#include "cache/counters.h"
#include "cache/hash.h"
#include "cache/npm.h"
#include "cache/rules.h"

#include <time.h>

static void globs_match_by_components(void **state)
{
	static const struct {
		const char *glob, *path;
		bool matches;
	} t[] = {
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"*", "abc", true},
		{"*", "a/b", false},
		{"*.deb", "x.deb", true},
		{"*.deb", "x.deb.part", false},
		{"a*b*c", "aXbXbYc", true},
		{"a*b*c", "abcb", false},
		{"?", "x", true},
		{"?", "", false},
		{"?/?", "x/y", true},
		{"**", "a", true},
		{"**", "a/b/c", true},
		{"tmp/**", "tmp", true},
		{"tmp/**", "tmp/a/b", true},
		{"tmp/**", "tmpx", false},
		{"**/stats", "stats", true},
		{"**/stats", "a/b/stats", true},
		{"**/stats", "a/xstats", false},
		{"a/**/z", "a/z", true},
		{"a/**/z", "a/b/c/z", true},
		{"a/**/b/**/c", "a/x/b/y/b/z/c", true},
		{"a/**/b/**/c", "a/x/c", false},
		{"a**b", "axxb", true},
		{"a**b", "ax/b", false},
		{"[a-f]", "c", true},
		{"[a-f]", "g", false},
		{"[!a-f]", "g", true},
		{"[!a-f]", "c", false},
		{"[]x]", "]", true},
		{"[a-f", "[a-f", true},
		{"[abc]*", "bzz", true},
		{"x[/]y", "x/y", false},
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"a\\", "a\\", true},
		{"[\\]]", "]", true},
		{"", "", true},
		{"?/?/*[RM]", "a/b/0123R", true},
		{"?/?/*[RM]", "a/b/0123X", false},
		{"\xc3*", "\xc3\xbc", true},
		{"[\x80-\xff]", "\xfc", true},
	};
	(void)state;
	for (size_t i = 0; i < countof(t); i++)
		if (rules_match(t[i].glob, t[i].path) != t[i].matches)
			fail_msg("%s against %s", t[i].glob, t[i].path);
}

/* A name that makes a backtracking matcher try all divisions would take longer than the test's time
 * limit. */
static void no_name_makes_a_glob_slow(void **state)
{
	char name[256], deep[512];
	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[255] = '\0';
	assert_false(rules_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name));
	for (size_t i = 0; i < sizeof(deep) - 1; i++)
		deep[i] = i % 2 ? '/' : 'a';
	deep[511] = '\0';
	assert_false(rules_match("**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b", deep));
}

static void the_first_rule_that_matches_decides(void **state)
{
	static const struct cache_rule rules[] = {{"content-v2/**", CACHE_CONTENT_HASH},
						  {"index-v5/**", CACHE_UNION_LINES},
						  {"**", CACHE_REJECT}};
	(void)state;
	assert_int_equal(rules_find(rules, 3, "content-v2/sha512/ab"), CACHE_CONTENT_HASH);
	assert_int_equal(rules_find(rules, 3, "index-v5"), CACHE_UNION_LINES);
	assert_int_equal(rules_find(rules, 3, "x/y"), CACHE_REJECT);
	assert_int_equal(rules_find(rules, 2, "x/y"), CACHE_SAME);
}

static void rules_and_changes_have_the_words_of_files_and_rows(void **state)
{
	static const char *const rules[] = {"same",   "content-hash", "keep",
					    "newest", "union-lines",  "drop",
					    "reject", "sum-counters", "program"};
	static const char *const changes[] = {"added",     "replaced", "merged",
					      "identical", "dropped",  "conflict",
					      "deleted",   "pending",  "refused"};
	(void)state;
	for (int i = CACHE_SAME; i <= CACHE_PROGRAM; i++)
		assert_string_equal(cache_do_name((enum cache_do)i), rules[i]);
	for (int i = CACHE_ADDED; i <= CACHE_REFUSED; i++)
		assert_string_equal(cache_change_name((enum cache_change)i), changes[i]);
}

static void content_is_named_by_a_digest_we_trust(void **state)
{
	const char *algo;
	char hex[NPM_HEX], sha[HASH_HEX];
	struct hash h;
	(void)state;
	assert_int_equal(hash_open(&h, "SHA512"), 0);
	hash_add(&h, "abc", 3);
	hash_hex(&h, sha);
	hash_close(&h);
	auto_free char *good = own_fmt("content-v2/sha512/%.2s/%.2s/%s", sha, sha + 2, sha + 4);
	assert_int_equal(npm_content_name(good, &algo, hex), 0);
	assert_string_equal(hex, sha);
	assert_string_equal(algo, "SHA512");
	assert_int_equal(
		npm_content_name("content-v2/sha1/a9/99/3e364706816aba3e25717850c26c9cd0d89d",
				 &algo, hex),
		0);
	static const char *const bad[] = {
		"",
		"x",
		"a/b/c",
		"content-v2/sha1/a9/99",
		"content-v2/sha1/a9/99/3e364706816aba3e25717850c26c9cd0d89",
		"content-v2/sha1/a9/99/3e364706816aba3e25717850c26c9cd0d89dd",
		"content-v2/md5/90/01/50983cd24fb0d6963f7d28e17f72",
		"content-v2/sha1/a99/9/3e364706816aba3e25717850c26c9cd0d89d",
		"content-v2/sha1/A9/99/3e364706816aba3e25717850c26c9cd0d89d",
		"content-v2/sha1x/a9/99/3e364706816aba3e25717850c26c9cd0d89d",
		"content-v2/sha1/a9/99/zz364706816aba3e25717850c26c9cd0d89d",
	};
	for (size_t i = 0; i < countof(bad); i++)
		assert_int_equal(npm_content_name(bad[i], &algo, hex), -1);
}

/* ---- sum-counters ---- */

static struct text bytes_of(const char *s)
{
	return (struct text){.p = (char *)(uintptr_t)s, .n = strlen(s)};
}

static void counters_are_what_the_store_has_and_what_came_to_it(void **state)
{
	/* NULL: no such file */
	static const struct {
		const char *base, *store, *mine, *want;
		size_t line; /* of mine, where want is NULL */
	} t[] = {
		/* ccache's: by place */
		{NULL, NULL, "0\n3\n", "0\n3\n", 0},
		{"1\n1\n", "1\n1\n", "2\n1\n", "2\n1\n", 0},
		{"1\n1\n", "5\n2\n", "2\n4\n", "6\n5\n", 0},
		{"1\n1\n", "2\n1\n", "2\n1\n", "3\n1\n", 0}, /* both came to two */
		{NULL, "5\n2\n", "2\n4\n", "7\n6\n", 0},     /* each made its own */
		{"1\n", NULL, "3\n", "2\n", 0},
		{"1\n1\n", "2\n2\n", "1\n1\n7\n", "2\n2\n7\n", 0},    /* a newer ccache has more */
		{"1\n1\n7\n", "2\n2\n7\n", "3\n2\n", "4\n3\n7\n", 0}, /* an older one has less */
		{"5\n", "7\n", "0\n", "2\n", 0},                      /* set back by one job */
		{"5\n", "3\n", "0\n", "0\n", 0},
		{"0\n", "18446744073709551615\n", "1\n", "18446744073709551615\n", 0},
		/* with names */
		{"hits 1\nmisses 2\n", "hits 4\nmisses 2\n", "misses 5\nhits 2\n",
		 "hits 5\nmisses 5\n", 0},
		{NULL, "a=1\n", "b: 2\na=1", "a=2\nb: 2\n", 0},
		{NULL, "a=1\na=2\n", "a=10\na=20\n", "a=11\na=22\n", 0},
		{NULL, "a=1\n", "aa=1\n", "a=1\naa=1\n", 0},
		/* none */
		{NULL, NULL, "1\n\n", NULL, 2},
		{NULL, NULL, "1\nhits\n", NULL, 2},
		{NULL, NULL, "-1\n", NULL, 1},
		{NULL, NULL, "1\n2\n18446744073709551616\n", NULL, 3},
		{NULL, "rubbish\n", "1\n", NULL, 0},
	};
	(void)state;
	for (size_t i = 0; i < countof(t); i++) {
		struct text base = bytes_of(t[i].base ? t[i].base : ""),
			    store = bytes_of(t[i].store ? t[i].store : ""),
			    mine = bytes_of(t[i].mine);
		auto_text struct text is = TEXT_INIT;
		size_t line = 99;
		bool good = counters_sum(t[i].base ? &base : NULL, t[i].store ? &store : NULL,
					 &mine, &is, &line);
		if (good != (t[i].want != NULL) || (!good && line != t[i].line) ||
		    (good && strcmp(text_str(&is), t[i].want)))
			fail_msg("%zu: %s, line %zu, %s", i, good ? "summed" : "refused", line,
				 text_str(&is));
	}
}

/* Whoever comes first: what two jobs added to one file is the same in the end. */
static void counters_come_out_the_same_in_any_order(void **state)
{
	struct text base = bytes_of("10\n20\n30\n"), a = bytes_of("11\n20\n35\n"),
		    b = bytes_of("10\n22\n31\n");
	auto_text struct text ab = TEXT_INIT, ba = TEXT_INIT;
	size_t line;
	(void)state;
	assert_true(counters_sum(&base, &a, &b, &ab, &line));
	assert_true(counters_sum(&base, &b, &a, &ba, &line));
	assert_string_equal(ab.p, ba.p);
	assert_string_equal(ab.p, "11\n22\n36\n");
}

static void of_ccaches_time_the_later_one_counts(void **state)
{
	auto_text struct text old = TEXT_INIT, new = TEXT_INIT, is = TEXT_INIT, want = TEXT_INIT;
	size_t line;
	(void)state;
	for (int i = 0; i < 40; i++) {
		text_add(&old, i == 31 ? "1700000000\n" : "1\n");
		text_add(&new, i == 31 ? "1600000000\n" : "2\n");
		text_add(&want, i == 31 ? "1700000000\n" : "3\n");
	}
	assert_true(counters_sum(NULL, &old, &new, &is, &line));
	assert_string_equal(is.p, want.p);
}

/* ---- union-lines ---- */

static void line(struct text *t, const char *json)
{
	struct hash h;
	char hex[HASH_HEX];
	assert_int_equal(hash_open(&h, "SHA1"), 0);
	hash_add(&h, json, strlen(json));
	hash_hex(&h, hex);
	hash_close(&h);
	text_addf(t, "\n%s\t%s", hex, json);
}

#define A1 "{\"key\":\"a\",\"integrity\":\"sha512-1\",\"time\":1}"
#define A1_AGAIN "{\"key\":\"a\",\"integrity\":\"sha512-1\",\"time\":8}"
#define A2 "{\"key\":\"a\",\"integrity\":\"sha512-2\",\"time\":2.5}"
#define A_OTHER                                                                                    \
	"{\"key\":\"a\",\"integrity\":\"sha512-3\",\"time\":2,\"metadata\":{\"reqHeaders\":{"      \
	"\"accept\":\"x\"}}}"
#define B3 "{\"key\":\"b\",\"integrity\":\"sha512-4\",\"time\":3}"
#define A_GONE "{\"key\":\"a\",\"integrity\":null,\"time\":9}"

static void join(const char *const *old, const char *const *new, const char *const *want)
{
	auto_text struct text o = TEXT_INIT, n = TEXT_INIT, w = TEXT_INIT, is = TEXT_INIT;
	size_t count = 0;
	for (; old && *old; old++)
		line(&o, *old);
	for (; *new; new ++)
		line(&n, *new);
	for (; *want; want++, count++)
		line(&w, *want);
	assert_int_equal(npm_union("index-v5/aa/bb/cc", old ? &o : NULL, &n, &is), count);
	assert_string_equal(text_str(&is), text_str(&w));
}
#define L(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

static void the_newest_line_of_each_key_and_headers_stays(void **state)
{
	(void)state;
	join(NULL, L(A1), L(A1));
	join(L(A1), L(A2), L(A2));
	join(L(A2), L(A1), L(A2));
	join(L(A1, B3), L(A_OTHER), L(A1, A_OTHER, B3));
	join(L(B3), L(A2, A1, A_OTHER), L(A_OTHER, A2, B3));
	join(L(A1), L(A1, A1), L(A1));
}

static void a_line_written_anew_with_nothing_new_is_no_change(void **state)
{
	(void)state;
	join(L(A1), L(A1_AGAIN), L(A1));
	join(L(A1_AGAIN), L(A1), L(A1));
	join(L(A1, B3), L(A1_AGAIN, A2), L(B3, A1_AGAIN)); /* something else was said between */
	join(L(A2), L(A1_AGAIN), L(A1_AGAIN));
}

static void a_deletion_takes_only_what_its_own_file_said_before(void **state)
{
	(void)state;
	join(L(A1), L(A_GONE), L(A1));
	join(L(B3), L(A1, A_OTHER, A_GONE), L(B3));
	join(NULL, L(A1, A_GONE, A2), L(A2));
	join(NULL, L(A_GONE), NONE);
	/* Where a key ends is not said by its bytes. */
	join(NULL,
	     L("{\"key\":\"a\\nb\",\"integrity\":\"1\",\"time\":1}", A1,
	       "{\"key\":\"a\\nc\",\"integrity\":null,\"time\":2}"),
	     L(A1, "{\"key\":\"a\\nb\",\"integrity\":\"1\",\"time\":1}"));
}

/* A job may write as many as fit in 16 MiB: comparing each with each would take minutes. */
static void many_deletions_are_quick(void **state)
{
	auto_text struct text n = TEXT_INIT, is = TEXT_INIT;
	(void)state;
	for (int i = 0; i < 60000; i++) {
		auto_free char *json = own_fmt("{\"key\":\"%d\",\"time\":1}", i);
		line(&n, json);
	}
	line(&n, A1);
	clock_t began = clock(); /* the processor's time: others' work is not in it */
	assert_int_equal(npm_union("x", NULL, &n, &is), 1);
	assert_true(clock() - began < (clock_t)15 * CLOCKS_PER_SEC);
}

static void lines_that_are_not_what_they_say_are_dropped(void **state)
{
	auto_text struct text n = TEXT_INIT, w = TEXT_INIT, is = TEXT_INIT;
	(void)state;
	text_add(&n, "\n0123456789012345678901234567890123456789\t" B3);
	line(&n, "not json");
	line(&n, "[1,2]");
	line(&n, "{\"key\":\"a\",\"integrity\":\"x\"}");
	line(&n, "{\"key\":5,\"integrity\":\"x\",\"time\":1}");
	line(&n, "{\"integrity\":\"x\",\"time\":1}");
	text_add(&n, "\nshort\n\n\t\n");
	line(&n, A1);
	text_add(&n, "\ntorn line without an en");
	line(&w, A1);
	assert_int_equal(npm_union("x", NULL, &n, &is), 1);
	assert_string_equal(is.p, w.p);
}

static void a_bucket_takes_only_keys_that_belong_into_it(void **state)
{
	auto_text struct text n = TEXT_INIT, is = TEXT_INIT, w = TEXT_INIT;
	char id[CACHE_ID];
	(void)state;
	cache_digest("a", 1, id);
	auto_free char *path = own_fmt("index-v5/%.2s/%.2s/%s", id, id + 2, id + 4);
	line(&n, B3);
	line(&n, A1);
	line(&w, A1);
	assert_int_equal(npm_union(path, NULL, &n, &is), 1);
	assert_string_equal(is.p, w.p);
}

static void the_union_is_the_same_from_either_side_and_of_itself(void **state)
{
	static const char *const pool[] = {A1, A2, A_OTHER, B3};
	uint32_t seed = 7;
	(void)state;
	for (int round = 0; round < 300; round++) {
		auto_text struct text a = TEXT_INIT, b = TEXT_INIT, ab = TEXT_INIT, ba = TEXT_INIT,
				      again = TEXT_INIT;
		for (int i = 0; i < 6; i++) {
			seed = seed * 1664525 + 1013904223;
			line(seed & 65536 ? &a : &b, pool[(seed >> 20) % 4]);
		}
		for (int i = 0; i < round % 4 && a.n; i++) {
			seed = seed * 1664525 + 1013904223;
			a.p[(seed >> 8) % a.n] = (char)(seed >> 24);
		}
		size_t n = npm_union("x", &a, &b, &ab);
		assert_int_equal(npm_union("x", &b, &a, &ba), n);
		assert_string_equal(text_str(&ab), text_str(&ba));
		assert_int_equal(npm_union("x", &ab, &b, &again), n);
		assert_string_equal(text_str(&again), text_str(&ab));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs_match_by_components),
		cmocka_unit_test(no_name_makes_a_glob_slow),
		cmocka_unit_test(the_first_rule_that_matches_decides),
		cmocka_unit_test(rules_and_changes_have_the_words_of_files_and_rows),
		cmocka_unit_test(content_is_named_by_a_digest_we_trust),
		cmocka_unit_test(counters_are_what_the_store_has_and_what_came_to_it),
		cmocka_unit_test(counters_come_out_the_same_in_any_order),
		cmocka_unit_test(of_ccaches_time_the_later_one_counts),
		cmocka_unit_test(the_newest_line_of_each_key_and_headers_stays),
		cmocka_unit_test(a_line_written_anew_with_nothing_new_is_no_change),
		cmocka_unit_test(a_deletion_takes_only_what_its_own_file_said_before),
		cmocka_unit_test(many_deletions_are_quick),
		cmocka_unit_test(lines_that_are_not_what_they_say_are_dropped),
		cmocka_unit_test(a_bucket_takes_only_keys_that_belong_into_it),
		cmocka_unit_test(the_union_is_the_same_from_either_side_and_of_itself),
	};
	return cmocka_run_group_tests_name("cache/rules", tests, NULL, NULL);
}
