/* db/tier.c: in whichever tier an entry is, it is found by its path. */
#include "db_scratch.h"

#include "db/tier.h"

/* Of one phase's publishes, each of `n` entries "<number>/<ordinal>", the newest generation. */
static int64_t publish_many(struct db *d, int64_t phase, int64_t parent, int from, int to, size_t n)
{
	static char names[8][64];
	static struct db_entry entries[8];
	struct err e = ERR_INIT;
	for (int i = from; i < to; i++) {
		auto_free char *prefix = own_fmt("%03d", i);
		struct db_publish p = life_publish(phase, parent, (unsigned)i + 1, 100 * (int64_t)i,
						   entries, names, n, prefix);
		parent = db_publish(d, &p, &e);
		must(parent);
	}
	return parent;
}

static int64_t a_phase(struct db *d)
{
	struct life l = life_begin(d, 100);
	return life_phase(d, &l, 0, true, "fetch", 110);
}

/* No entry is in a tier that has no row, and each path is found by itself. */
static void assert_found(struct db *d, int publishes, size_t n)
{
	assert_int_equal(number(d, "SELECT count(*) FROM entry WHERE tier NOT IN"
				   " (SELECT number FROM entry_tier)"),
			 0);
	assert_int_equal(number(d, "SELECT count(*) FROM v_entry"), publishes * (int64_t)n);
	for (int i = 0; i < publishes; i++) {
		auto_free char *sql =
			own_fmt("SELECT harvest, current FROM v_entry WHERE path = '%03d/%05zu'", i,
				n - 1);
		auto_free char *want = own_fmt("%d|1", i + 1);
		assert_rows(d, sql, want);
	}
}

static void a_publish_s_entries_are_a_tier_and_never_very_many(void **state)
{
	enum { PUBLISHES = 150, ENTRIES = 3 };
	struct db *d = ((struct scratch *)*state)->db;
	int64_t phase = a_phase(d), last = publish_many(d, phase, 0, 0, 5, ENTRIES);
	assert_rows(d, "SELECT number, entries, target FROM entry_tier",
		    "1|3|-\n2|3|-\n3|3|-\n4|3|-\n5|3|-");
	publish_many(d, phase, last, 5, PUBLISHES, ENTRIES);
	assert_in_range(number(d, "SELECT count(*) FROM entry_tier"), 2, 64);
	assert_found(d, PUBLISHES, ENTRIES);
	assert_sound(d);
}

static void tiers_become_few_when_layers_are_compacted(void **state)
{
	enum { PUBLISHES = 30, ENTRIES = 4 };
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	char flat[65];
	int64_t last = publish_many(d, a_phase(d), 0, 0, PUBLISHES, ENTRIES);
	assert_int_equal(number(d, "SELECT count(*) FROM entry_tier"), PUBLISHES);
	must(db_store_flatten(d, "npm/cache", last, 0, PUBLISHES, hex(flat, 999),
			      PUBLISHES * ENTRIES, 1, 700, &e));
	assert_rows(d, "SELECT entries, target FROM entry_tier", "120|-");
	assert_found(d, PUBLISHES, ENTRIES);
	assert_sound(d);
}

static void a_small_tier_is_not_spread_over_a_large_one(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	int64_t phase = a_phase(d), last = publish_many(d, phase, 0, 0, 1, 8);
	must(db_do(d, &e, "UPDATE entry_tier SET entries = 1000000", ""));
	publish_many(d, phase, last, 1, 10, 8);
	must(tier_settle(d, &e));
	assert_rows(d, "SELECT entries FROM entry_tier ORDER BY number", "1000000\n72");
	assert_found(d, 10, 8);
}

/* What is too much for one transaction is gone on with in the next; meanwhile all is found. */
static void a_tier_is_emptied_bit_by_bit(void **state)
{
	enum { TIERS = 6, EACH = 10000, ALL = TIERS * EACH };
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	publish_many(d, a_phase(d), 0, 0, 1, 1);
	must(db_do(d, &e, "DELETE FROM entry", ""));
	must(db_do(d, &e, "DELETE FROM entry_tier", ""));
	must(db_begin(d, &e));
	for (int64_t i = 0, tier; i < TIERS; i++) {
		must(tier_begin(d, EACH, &tier, &e));
		must(db_do(d, &e,
			   "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE "
			   "i + 1 < ?1)"
			   " INSERT INTO entry (harvest, path, change, type, mode, mtime_ns, size,"
			   "  tier)"
			   " SELECT 1, CAST(printf('%05d.%d', i, ?2) AS BLOB), 'added', 'd', 493, "
			   "0, 0, ?2 FROM n",
			   "ii", (int64_t)EACH, tier));
	}
	must(db_commit(d, &e));
	for (int64_t round = 0, left = TIERS; left > 1; round++) {
		assert_in_range(round, 0, 5);
		must(tier_settle(d, &e));
		int64_t fewer = number(d, "SELECT count(*) FROM entry_tier");
		assert_true(fewer < left);
		left = fewer;
		assert_int_equal(number(d, "SELECT sum(entries) FROM entry_tier"), ALL);
		assert_int_equal(number(d, "SELECT count(*) FROM entry e JOIN entry_tier t"
					   " ON t.number = e.tier"),
				 ALL);
		assert_int_equal(number(d, "SELECT count(*) FROM v_entry WHERE path >= '00500'"
					   " AND path < '00510'"),
				 10 * TIERS);
		assert_int_equal(number(d, "SELECT count(*) FROM v_entry WHERE path = '09999.6'"),
				 1);
	}
	must(tier_settle(d, &e));
	assert_rows(d, "SELECT entries, target FROM entry_tier", "60000|-");
}

/* Large ones take many transactions: what comes meanwhile becomes few all the same. */
static void large_tiers_do_not_keep_the_small_ones(void **state)
{
	enum { LARGE = 4, EACH = 30000, PUBLISHES = 120 };
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	int64_t phase = a_phase(d), last = publish_many(d, phase, 0, 0, 1, 1);
	must(db_begin(d, &e));
	for (int64_t i = 0, tier; i < LARGE; i++) {
		must(tier_begin(d, EACH, &tier, &e));
		must(db_do(d, &e,
			   "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE "
			   "i + 1 < ?1)"
			   " INSERT INTO entry (harvest, path, change, type, mode, mtime_ns, size,"
			   "  tier)"
			   " SELECT 1, CAST(printf('large/%05d.%d', i, ?2) AS BLOB), 'added', 'd',"
			   "  493, 0, 0, ?2 FROM n",
			   "ii", (int64_t)EACH, tier));
	}
	must(db_commit(d, &e));
	for (int i = 1; i < PUBLISHES; i++) {
		last = publish_many(d, phase, last, i, i + 1, 1);
		assert_in_range(number(d, "SELECT count(*) FROM entry_tier"), 2, 64);
		assert_int_equal(number(d, "SELECT count(*) FROM entry_tier WHERE target NOT IN"
					   " (SELECT number FROM entry_tier WHERE target IS NULL)"),
				 0);
	}
	for (int i = 0; i < 5; i++)
		must(tier_settle(d, &e));
	assert_int_equal(number(d, "SELECT count(*) FROM entry e JOIN entry_tier t"
				   " ON t.number = e.tier"),
			 LARGE * EACH + PUBLISHES);
	assert_rows(d, "SELECT sum(entries), count(*) < 5, count(target) FROM entry_tier",
		    "120120|1|0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_publish_s_entries_are_a_tier_and_never_very_many),
		scratch_test(tiers_become_few_when_layers_are_compacted),
		scratch_test(a_small_tier_is_not_spread_over_a_large_one),
		scratch_test(a_tier_is_emptied_bit_by_bit),
		scratch_test(large_tiers_do_not_keep_the_small_ones),
	};
	return cmocka_run_group_tests_name("db_tier", tests, NULL, NULL);
}
