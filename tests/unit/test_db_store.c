/* db/store.c and db/layer.c: generations, publishing, names of layers. */
#include "db_scratch.h"

#include "db/handle.h"

#include <errno.h>

static char names[64][64];
static struct db_entry entries[64];

static int64_t publish(struct db *d, int64_t phase, int64_t parent, unsigned digest, int64_t offset,
		       const char *prefix)
{
	struct err e = ERR_INIT;
	struct db_publish p =
		life_publish(phase, parent, digest, offset, entries, names, 3, prefix);
	int64_t generation = db_publish(d, &p, &e);
	must(generation);
	return generation;
}

static void assert_current(struct db *d, const char *store, int64_t id, const unsigned *digests,
			   size_t n)
{
	struct err e = ERR_INIT;
	struct db_generation g;
	char want[65];
	must(db_store_current(d, store, &g, &e));
	assert_int_equal(g.id, id);
	assert_int_equal(g.n_layers, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(g.layers[i], hex(want, digests[i]));
	db_generation_fini(&g);
}

static void an_unknown_store_is_an_empty_one(void **state)
{
	assert_current(((struct scratch *)*state)->db, "nobody/heard-of", 0, NULL, 0);
}

static void a_generation_lists_its_layers_uppermost_first(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110);
	int64_t first = publish(d, phase, 0, 1, 0, "x"),
		second = publish(d, phase, first, 2, 100, "y"),
		third = publish(d, phase, second, 3, 200, "z");
	assert_current(d, "npm/cache", third, (unsigned[]){3, 2, 1}, 3);
	assert_rows(d,
		    "SELECT generation = 3, parent, current, layers, entries, bytes, package FROM "
		    "v_store ORDER BY generation DESC LIMIT 1",
		    "1|2|1|3|9|27|a");
	assert_rows(d, "SELECT number, bytes FROM segment", "1|300");
	assert_sound(d);
}

static void an_entry_names_who_brought_it(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct life l = life_begin(d, 100);
	int64_t a = life_phase(d, &l, 0, true, "fetch", 110),
		b = life_phase(d, &l, 2, true, "fetch", 110);
	int64_t first = publish(d, a, 0, 1, 0, "x");
	publish(d, b, first, 2, 100, "x");
	assert_named(d, "who", (const char *[]){"x/00001"}, 1,
		     "npm/"
		     "cache|1|0|added|"
		     "0000000100000000000000000000000000000000000000000000000000000000|1|a|fetch|"
		     "0000006300000000000000000000000000000000000000000000000000000000|3|1|run 1 a "
		     "fetch|2|-\n"
		     "npm/"
		     "cache|2|1|added|"
		     "0000000200000000000000000000000000000000000000000000000000000000|1|b|fetch|"
		     "0000006300000000000000000000000000000000000000000000000000000000|3|2|run 1 b "
		     "fetch|2|-");
}

/* The index has harvests in groups: a question about content asks every one of them. */
static void whoever_brought_some_bytes_is_found_however_long_ago(void **state)
{
	enum { PUBLISHES = 20 };
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t a = life_phase(d, &l, 0, true, "fetch", 110),
		b = life_phase(d, &l, 2, true, "fetch", 110);
	char sha[65];
	struct db_place *v;
	size_t n;
	for (int64_t i = 0, parent = 0; i < PUBLISHES; i++) {
		auto_free char *prefix = own_fmt("%02d", (int)i);
		parent = publish(d, i ? a : b, parent, (unsigned)i + 1, 100 * i, prefix);
	}
	must(db_do(d, &e, "UPDATE entry SET sha256 = zeroblob(32) WHERE path < x'3031'", ""));
	must(db_do(d, &e, "UPDATE entry SET sha256 = zeroblob(32) WHERE path >= x'3139'", ""));
	assert_rows(d, "SELECT max(harvest) FROM entry", "20");
	struct db_table *t;
	must(db_named(d, "who", (const char *[]){"19/00000"}, 1, &t, &e));
	assert_int_equal(t->n_rows, 1);
	assert_int_equal(t->cells[12].i, 2); /* packages */
	db_table_free(t);
	memset(sha, '0', 64);
	sha[64] = '\0';
	must(db_places(d, 1, sha, &v, &n, &e));
	assert_int_equal(n, 6);
	assert_string_equal(v[0].layer, hex(sha, 1));
	assert_string_equal(v[5].layer, hex(sha, PUBLISHES));
	db_places_free(v, n);
	must(db_places(d, 20, "00", &v, &n, &e));
	assert_int_equal(n, 0);
	db_places_free(v, n);
}

/* With what ANALYZE notes SQLite (3.40) may lose rows where an index is on an expression. */
static void what_somebody_analyzed_is_found_all_the_same(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t a = life_phase(d, &l, 0, true, "fetch", 110),
		b = life_phase(d, &l, 2, true, "fetch", 110);
	char sha[65];
	struct db_place *v;
	struct db_table *t;
	size_t n;
	int64_t first = publish(d, a, 0, 1, 0, "x");
	publish(d, b, first, 2, 100, "x");
	must(db_do(d, &e, "ANALYZE", ""));
	must(db_do(d, &e, "ANALYZE sqlite_schema", ""));
	must(db_places(d, 1, hex(sha, 99), &v, &n, &e));
	assert_int_equal(n, 6);
	db_places_free(v, n);
	must(db_named(d, "who", (const char *[]){"x/00001"}, 1, &t, &e));
	assert_int_equal(t->n_rows, 2);
	assert_int_equal(t->cells[12].i, 2); /* packages */
	db_table_free(t);
}

static void publishing_is_all_or_nothing(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110),
		first = publish(d, phase, 0, 1, 0, "x");
	static const struct db_entry wrong[] = {
		{.path = "z",
		 .change = "added",
		 .type = 'f',
		 .mode = 0644}, /* a file without a digest */
		{.path = "z", .change = "added", .type = 'p', .mode = 0644}, /* a pipe */
		{.path = "z", .change = "added", .type = 'l', .mode = 0777}, /* a link to nowhere */
		{.path = "y/00001", .change = "added", .type = 'd', .mode = 0755}, /* twice */
		{.path = "z", .change = "invented", .type = 'd', .mode = 0755},
		{.path = "", .change = "added", .type = 'd', .mode = 0755},
		{.path = "z", .change = "added", .type = 'f', .sha256 = "abc"},
	};
	for (size_t i = 0; i < countof(wrong); i++) {
		struct db_publish p = life_publish(phase, first, 2, 100, entries, names, 3, "y");
		entries[3] = wrong[i];
		p.n_entries = 4;
		assert_int_equal(db_publish(d, &p, &e), -1);
		assert_int_equal(e.kind, ERR_CORRUPT);
	}
	struct db_publish p = life_publish(phase, first, 2, 99, entries, names, 3, "y");
	assert_int_equal(db_publish(d, &p, &e), -1); /* a frame over another */
	p.frames = &(struct db_frame){.segment = 1, .offset = 100, .bytes = 100, .digest = ""};
	assert_int_equal(db_publish(d, &p, &e), -1);
	assert_current(d, "npm/cache", first, (unsigned[]){1}, 1);
	assert_rows(d,
		    "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM layer), (SELECT "
		    "count(*) FROM generation),"
		    " (SELECT count(*) FROM harvest), (SELECT count(*) FROM frame), (SELECT bytes "
		    "FROM segment)",
		    "3|1|1|1|1|100");
	assert_sound(d);
}

static void a_harvest_against_an_older_generation_is_refused(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110),
		first = publish(d, phase, 0, 1, 0, "x");
	struct db_publish p = life_publish(phase, 0, 2, 100, entries, names, 3, "y");
	assert_int_equal(db_publish(d, &p, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	p.parent = first + 7;
	assert_int_equal(db_publish(d, &p, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	char flat[65];
	assert_int_equal(db_store_flatten(d, "npm/cache", 0, 0, 1, hex(flat, 9), 1, 1, 1, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	assert_current(d, "npm/cache", first, (unsigned[]){1}, 1);
}

static void nothing_new_leaves_notes_and_counts_but_no_generation(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110),
		first = publish(d, phase, 0, 1, 0, "x");
	const struct db_entry notes[] = {
		{.path = "i\xff\n'",
		 .change = "conflict",
		 .type = 'f',
		 .size = 4,
		 .reason = "other bytes"},
		{.path = "dev", .change = "refused", .type = '?', .reason = "a device"},
		{.path = "gone", .change = "deleted", .type = '?', .reason = ""},
		{.path = "same", .change = "identical", .type = 'f'},
	};
	struct db_publish p = {.store = "npm/cache",
			       .phase = phase,
			       .parent = first,
			       .nothing = true,
			       .entries = notes,
			       .n_entries = 4,
			       .identical = 1,
			       .conflicts = 1,
			       .refused = 1,
			       .deleted = 1,
			       .made_ms = 600};
	assert_int_equal(db_publish(d, &p, &e), first);
	assert_current(d, "npm/cache", first, (unsigned[]){1}, 1);
	assert_named(d, "conflicts", (const char *[]){"1"}, 1,
		     "npm/cache|a|fetch|conflict|i\xef\xbf\xbd\n'|other "
		     "bytes\nnpm/cache|a|fetch|refused|dev|a device");
	assert_rows(d, "SELECT hex(path) FROM harvest_note WHERE ordinal = 0", "69FF0A27");
	assert_named(d, "harvests", (const char *[]){"1"}, 1,
		     "npm/cache|a|fetch|3|0|0|0|0|0|0|0|9|0\n"
		     "npm/cache|a|fetch|0|0|0|1|0|1|1|1|0|0");
	p.entries = entries, p.n_entries = 1;
	assert_int_equal(db_publish(d, &p, &e), -1); /* "added", and yet nothing */
}

static void of_very_many_notes_a_part_is_kept_and_all_are_counted(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	size_t n = 3 * DB_NOTES;
	auto_free struct db_entry *notes = own_calloc(n, sizeof(*notes));
	for (size_t i = 0; i < n; i++)
		notes[i] = (struct db_entry){.path = "x",
					     .change = i % 3 ? "conflict" : "refused",
					     .type = '?'};
	struct db_publish p = {.store = "npm/cache",
			       .phase = life_phase(d, &l, 0, true, "fetch", 110),
			       .nothing = true,
			       .entries = notes,
			       .n_entries = n,
			       .conflicts = 2 * DB_NOTES,
			       .refused = DB_NOTES,
			       .made_ms = 600};
	assert_int_equal(db_publish(d, &p, &e), 0);
	assert_int_equal(number(d, "SELECT conflicts + refused FROM harvest"), n);
	assert_int_equal(number(d, "SELECT count(*) FROM harvest_note WHERE change = 'conflict'"),
			 DB_NOTES);
	assert_int_equal(number(d, "SELECT count(*) FROM harvest_note WHERE change = 'refused'"),
			 DB_NOTES);
}

static void flattening_shows_the_same_through_one_layer(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	char flat[65];
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110),
		first = publish(d, phase, 0, 1, 0, "x"),
		second = publish(d, phase, first, 2, 100, "y");
	int64_t third =
		db_store_flatten(d, "npm/cache", second, 0, 2, hex(flat, 9), 6, 18, 700, &e);
	must(third);
	assert_current(d, "npm/cache", third, (unsigned[]){9}, 1);
	assert_rows(d, "SELECT made_by, layers, entries, parent FROM v_store WHERE current",
		    "flatten|1|6|2");
	assert_int_equal(number(d, "SELECT count(*) FROM v_entry WHERE current"), 6);
	publish(d, phase, third, 3, 200, "x");
	assert_rows(d, "SELECT current, count(*) FROM v_entry GROUP BY current", "0|3\n1|6");
	assert_sound(d);
}

static void the_upper_part_of_a_stack_may_be_flattened(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	char flat[65];
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110), g = 0;
	for (unsigned i = 1; i <= 4; i++) {
		char prefix[2] = {(char)('a' + i), '\0'};
		g = publish(d, phase, g, i, 100 * (i - 1), prefix);
	}
	/* Layer 2 comes up again: the places of a stack are in order, not without gaps. */
	g = publish(d, phase, g, 2, 400, "z");
	assert_current(d, "npm/cache", g, (unsigned[]){2, 4, 3, 1}, 4);
	g = db_store_flatten(d, "npm/cache", g, 0, 3, hex(flat, 9), 9, 27, 700, &e);
	must(g);
	assert_current(d, "npm/cache", g, (unsigned[]){9, 1}, 2);
	g = db_store_flatten(d, "npm/cache", g, 0, 1, hex(flat, 1), 3, 9, 700,
			     &e); /* the same as one below */
	must(g);
	assert_current(d, "npm/cache", g, (unsigned[]){1}, 1);
	assert_sound(d);
}

static void two_stores_may_hold_the_same_layer(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110);
	publish(d, phase, 0, 1, 0, "x");
	struct db_publish p = life_publish(phase, 0, 1, 100, entries, names, 3, "x");
	p.store = "pip/cache";
	must(db_publish(d, &p, &e));
	assert_rows(d, "SELECT store, count(*) FROM v_entry WHERE current GROUP BY store",
		    "npm/cache|3\npip/cache|3");
	assert_int_equal(number(d, "SELECT count(*) FROM layer"), 1);
}

static void a_layer_that_comes_back_is_not_stacked_twice(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110),
		first = publish(d, phase, 0, 1, 0, "x"),
		second = publish(d, phase, first, 2, 100, "x"),
		third = publish(d, phase, second, 1, 200, "x");
	assert_current(d, "npm/cache", third, (unsigned[]){1, 2}, 2);
}

static void what_the_cache_may_trust_is_what_was_committed(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	struct db_known k;
	char want[65];
	must(db_known(d, &k, &e));
	assert_int_equal(k.n_segments + k.n_layers, 0);
	db_known_fini(&k);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110),
		first = publish(d, phase, 0, 1, 0, "x");
	struct db_publish p = life_publish(phase, first, 2, 8, entries, names, 3, "y");
	struct db_frame elsewhere = *p.frames;
	elsewhere.segment = 2;
	p.frames = &elsewhere;
	must(db_publish(d, &p, &e));
	must(db_known(d, &k, &e));
	assert_int_equal(k.n_segments, 2);
	assert_int_equal(k.segments[0].number, 1);
	assert_int_equal(k.segments[0].bytes, 100);
	assert_int_equal(k.segments[1].bytes, 108);
	assert_int_equal(k.n_layers, 2);
	assert_string_equal(k.layers[1], hex(want, 2));
	db_known_fini(&k);
}

static void any_bytes_of_a_path_come_back(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110);
	char every[256], digest[65];
	for (int i = 1; i < 256; i++)
		every[i - 1] = (char)i;
	every[255] = '\0';
	struct db_publish p = life_publish(phase, 0, 1, 0, entries, names, 1, "x");
	entries[0] = (struct db_entry){.path = every,
				       .change = "added",
				       .type = 'l',
				       .mode = 0777,
				       .sha256 = "",
				       .target = every};
	entries[1] = (struct db_entry){.path = "d",
				       .change = "merged",
				       .type = 'f',
				       .mode = 0644,
				       .mtime_ns = -1,
				       .sha256 = hex(digest, 3)};
	p.n_entries = 2;
	must(db_publish(d, &p, &e));
	struct db_table *t = ask(d, "SELECT hex(path) = hex(target), length(path), hex(path) FROM "
				    "entry WHERE type = 'l'");
	assert_int_equal(t->cells[0].i, 1);
	assert_int_equal(t->cells[1].i, 255);
	for (int i = 1; i < 256; i++) {
		char pair[3];
		snprintf(pair, sizeof(pair), "%02X", (unsigned)i);
		assert_memory_equal(t->cells[2].s + (size_t)(i - 1) * 2, pair, 2);
	}
	db_table_free(t);
	assert_named(
		d, "who", (const char *[]){every}, 1,
		"npm/"
		"cache|1|1|added|0000000100000000000000000000000000000000000000000000000000000000|"
		"1|a|fetch|-|0|1|run 1 a fetch|0|-");
}

/* ---- names of layers ---- */

static void name_layer(struct db *d, const char *name, unsigned digest, int64_t made_ms)
{
	struct err e = ERR_INIT;
	struct db_layer l = {.name = (char[]){"............"},
			     .entries = 1,
			     .bytes = 2,
			     .made_ms = made_ms,
			     .source = (char[]){"/opt"}};
	snprintf(l.name, 13, "%s", name);
	hex(l.id, digest);
	must(db_layer_name(d, &l, &e));
}

static void a_layer_is_found_by_name_and_by_the_beginning_of_its_digest(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_layer l;
	char id[65];
	name_layer(d, "node-20", 0x12345678, 10);
	name_layer(d, "lts", 0x12345678, 20);
	assert_int_equal(db_layer_find(d, "lts", &l, &e), 1);
	assert_string_equal(l.id, hex(id, 0x12345678));
	assert_int_equal(l.made_ms, 20);
	assert_string_equal(l.source, "/opt");
	db_layer_fini(&l);
	assert_int_equal(db_layer_find(d, "12345678", &l, &e), 1);
	assert_string_equal(l.name, "lts"); /* the first of its names */
	db_layer_fini(&l);
	assert_int_equal(db_layer_find(d, hex(id, 0x12345678), &l, &e), 1);
	db_layer_fini(&l);
	static const char *const absent[] = {"1234567", "12345679",  "node",
					     "",        "12345678%", "ABCDEF00"};
	for (size_t i = 0; i < countof(absent); i++) {
		assert_int_equal(db_layer_find(d, absent[i], &l, &e), 0);
		assert_null(l.name);
	}
	struct db_layer near = {.name = (char[]){"near"}, .made_ms = 1};
	memcpy(near.id, id, sizeof(id));
	near.id[63] = '1';
	must(db_layer_name(d, &near, &e));
	assert_int_equal(db_layer_find(d, "12345678", &l, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_null(l.name);
	struct db_layer bad = {.name = (char[]){"bad"}, .id = "not hex"};
	assert_int_equal(db_layer_name(d, &bad, &e), -1);
}

static void a_name_can_be_moved_and_forgotten(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_layer *all;
	size_t n;
	char id[65], want[65];
	bool orphan;
	name_layer(d, "b", 1, 10);
	name_layer(d, "a", 1, 10);
	name_layer(d, "b", 2, 30);
	must(db_layer_list(d, &all, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(all[0].name, "a");
	assert_string_equal(all[1].id, hex(want, 2));
	db_layer_list_free(all, n);
	assert_int_equal(db_layer_unname(d, "c", id, &orphan, &e), 0);
	assert_int_equal(db_layer_unname(d, "b", id, &orphan, &e), 1);
	assert_string_equal(id, want);
	assert_true(orphan);
	name_layer(d, "z", 1, 10);
	assert_int_equal(db_layer_unname(d, "a", id, &orphan, &e), 1);
	assert_false(orphan); /* z */
	struct life l = life_begin(d, 100);
	publish(d, life_phase(d, &l, 0, true, "fetch", 110), 0, 1, 0, "x");
	assert_int_equal(db_layer_unname(d, "z", id, &orphan, &e), 1);
	assert_false(orphan); /* a generation */
	assert_named(
		d, "layers", NULL, 0,
		"-|0000000100000000000000000000000000000000000000000000000000000000|1|2|10|/opt|1");
	assert_sound(d);
}

/* ---- trouble ---- */

static void a_full_disk_leaves_the_old_generation(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110),
		first = publish(d, phase, 0, 1, 0, "x");
	size_t n = 3000;
	auto_free struct db_entry *many = own_calloc(n, sizeof(*many));
	auto_free void *text = own_calloc(n, 64);
	auto_free char *bound = own_fmt("PRAGMA max_page_count = %lld",
					(long long)number(d, "PRAGMA page_count") + 5);
	must(db_script(d, bound, &e));
	struct db_publish p = life_publish(phase, first, 2, 100, many, text, n, "y");
	assert_int_equal(db_publish(d, &p, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, ENOSPC);
	assert_current(d, "npm/cache", first, (unsigned[]){1}, 1);
	must(db_script(d, "PRAGMA max_page_count = 100000", &e));
	must(db_publish(d, &p, &e)); /* there is room again: the connection is none the worse */
	assert_sound(d);
}

static void a_second_writer_is_told_that_somebody_writes(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	struct db *other = db_open(s->file, DB_WRITE, &e);
	assert_non_null(other);
	sqlite3_busy_timeout(other->h, 0);
	must(db_begin(s->db, &e));
	struct db_publish p = life_publish(0, 0, 1, 0, entries, names, 3, "x");
	assert_int_equal(db_publish(other, &p, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	must(db_commit(s->db, &e));
	must(db_publish(other, &p, &e));
	db_close(other);
}

static void twenty_thousand_entries_are_one_transaction(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	size_t n = 20000;
	auto_free struct db_entry *many = own_calloc(n, sizeof(*many));
	auto_free void *text = own_calloc(n, 64);
	struct db_publish p = life_publish(life_phase(d, &l, 0, true, "fetch", 110), 0, 1, 0, many,
					   text, n, "_cacache/content-v2/sha512");
	must(db_publish(d, &p, &e));
	assert_int_equal(number(d, "SELECT count(*) FROM v_entry WHERE current"), 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(an_unknown_store_is_an_empty_one),
		scratch_test(a_generation_lists_its_layers_uppermost_first),
		scratch_test(an_entry_names_who_brought_it),
		scratch_test(whoever_brought_some_bytes_is_found_however_long_ago),
		scratch_test(what_somebody_analyzed_is_found_all_the_same),
		scratch_test(publishing_is_all_or_nothing),
		scratch_test(a_harvest_against_an_older_generation_is_refused),
		scratch_test(nothing_new_leaves_notes_and_counts_but_no_generation),
		scratch_test(of_very_many_notes_a_part_is_kept_and_all_are_counted),
		scratch_test(flattening_shows_the_same_through_one_layer),
		scratch_test(the_upper_part_of_a_stack_may_be_flattened),
		scratch_test(two_stores_may_hold_the_same_layer),
		scratch_test(a_layer_that_comes_back_is_not_stacked_twice),
		scratch_test(what_the_cache_may_trust_is_what_was_committed),
		scratch_test(any_bytes_of_a_path_come_back),
		scratch_test(a_layer_is_found_by_name_and_by_the_beginning_of_its_digest),
		scratch_test(a_name_can_be_moved_and_forgotten),
		scratch_test(a_full_disk_leaves_the_old_generation),
		scratch_test(a_second_writer_is_told_that_somebody_writes),
		scratch_test(twenty_thousand_entries_are_one_transaction),
	};
	return cmocka_run_group_tests_name("db_store", tests, NULL, NULL);
}
