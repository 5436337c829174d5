/* cache/: a segment without what nobody needs, and what a kill leaves of making it. */
#include "cache_store.h"

#define STORE(...) struct store s = {.f = *state, ##__VA_ARGS__}

enum { PUBLISHES = 4 };

/* Four publishes in one segment, of one frame each. */
static void publish_four(struct store *s, struct cache_frame frames[PUBLISHES])
{
	for (int i = 0; i < PUBLISHES; i++) {
		auto_free char *name = own_fmt("u%d", i), *path = own_fmt("d/%d", i);
		auto_fd int u = sub(s->f->work, name);
		put(u, path, name);
		store_publish(s, name);
		assert_int_equal(s->out.n_frames, 1);
		frames[i] = s->out.frames[0];
	}
	assert_int_equal(s->n_segments, 1);
}

static void name(struct text *t, const char *layer)
{
	text_put(t, layer, 4);
	text_addc(t, ' ');
}

static int on_record(void *owner, const struct cache_record *r, struct err *e)
{
	(void)e;
	name(owner, r->layer);
	return 0;
}

static int on_damage(void *owner, uint32_t segment, uint64_t offset, uint64_t bytes,
		     const char *why, struct err *e)
{
	(void)owner, (void)segment, (void)offset, (void)bytes, (void)e;
	fail_msg("damage: %s", why);
	return -1;
}

/* Which publishes the segments hold, by their layers. */
static void expect_archive(struct store *s, const int *which, size_t n)
{
	struct err e = ERR_INIT;
	auto_text struct text is = TEXT_INIT, want = TEXT_INIT;
	const struct cache_scan how = {on_record, on_damage, &is};
	OK(cache_scan(s->f->c, &how, &e));
	for (size_t i = 0; i < n; i++)
		name(&want, s->ids[which[i]]);
	assert_string_equal(text_str(&is), text_str(&want));
}

/* The second and the third are needed no more. */
static void rewrite(struct store *s, const struct cache_frame f[PUBLISHES],
		    struct cache_rewritten *out)
{
	struct err e = ERR_INIT;
	const uint64_t live[] = {f[0].offset, f[3].offset};
	OK(cache_segment_rewrite(s->f->c, 1, s->segments[0].bytes, live, 2, out, &e));
	assert_int_equal(out->n_moves, 2);
	assert_int_equal(out->moves[0].from, f[0].offset);
	assert_int_equal(out->moves[0].to, 0);
	assert_int_equal(out->moves[1].from, f[3].offset);
	assert_int_equal(out->moves[1].to, f[0].bytes);
	assert_int_equal(out->bytes, f[0].bytes + f[3].bytes);
}

static void reopen(struct store *s, uint64_t committed)
{
	struct err e = ERR_INIT;
	const char *layers[64];
	s->segments[0].bytes = committed;
	struct cache_known known = store_known(s, layers);
	assert_non_null(fixture_reopen(s->f, &known, &e));
}

static void expect_moved(struct store *s, const struct cache_frame f[PUBLISHES])
{
	static const int left[] = {0, 3};
	struct err e = ERR_INIT;
	struct cache_frame last = f[3];
	last.offset = f[0].bytes;
	assert_false(there(s->f->state, "seg/000001.new"));
	OK(cache_frame_verify(s->f->c, &f[0], &e));
	OK(cache_frame_verify(s->f->c, &last, &e));
	OK(cache_layer_restore(s->f->c, s->ids[3], &last, 1, &e));
	expect_archive(s, left, 2);
}

static void what_is_not_needed_leaves_the_archive(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct cache_frame f[PUBLISHES];
	struct cache_rewritten r;
	publish_four(&s, f);
	rewrite(&s, f, &r);
	/* Up to then nothing is as if it had been done. */
	static const int all[] = {0, 1, 2, 3};
	expect_archive(&s, all, 4);
	s.segments[0].bytes = r.bytes;
	OK(cache_segment_take(s.f->c, 1, &r, &e));
	expect_moved(&s, f);
	/* And it goes on behind them. */
	auto_fd int u = sub(s.f->work, "more");
	put(u, "d/more", "more");
	store_publish(&s, "more");
	assert_int_equal(s.out.frames[0].offset, f[0].bytes + f[3].bytes);
	static const int with[] = {0, 3, 4};
	expect_archive(&s, with, 3);
	reopen(&s, s.segments[0].bytes);
	expect_archive(&s, with, 3);
	store_end(&s);
}

static void a_kill_before_the_commit_leaves_the_old_segment(void **state)
{
	STORE();
	struct cache_frame f[PUBLISHES];
	struct cache_rewritten r;
	static const int all[] = {0, 1, 2, 3};
	publish_four(&s, f);
	uint64_t old = s.segments[0].bytes;
	rewrite(&s, f, &r);
	free(r.moves);
	assert_true(there(s.f->state, "seg/000001.new"));
	reopen(&s, old);
	assert_false(there(s.f->state, "seg/000001.new"));
	expect_archive(&s, all, 4);
	/* As one that did not become whole. */
	put(s.f->state, "seg/000001.new", "torn");
	put(s.f->state, "seg/000007.new", "of no segment");
	reopen(&s, old);
	assert_false(there(s.f->state, "seg/000001.new"));
	assert_false(there(s.f->state, "seg/000007.new"));
	expect_archive(&s, all, 4);
	store_end(&s);
}

static void a_kill_after_the_commit_leaves_the_new_one(void **state)
{
	STORE();
	struct cache_frame f[PUBLISHES];
	struct cache_rewritten r;
	publish_four(&s, f);
	rewrite(&s, f, &r);
	uint64_t now = r.bytes;
	free(r.moves);
	reopen(&s, now);
	expect_moved(&s, f);
	store_end(&s);
}

static void a_lost_database_finds_the_old_segment_whole(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct cache_frame f[PUBLISHES];
	struct cache_rewritten r;
	auto_text struct text found = TEXT_INIT;
	publish_four(&s, f);
	rewrite(&s, f, &r);
	free(r.moves);
	const struct cache_known none = {.on_found = on_record, .owner = &found};
	assert_non_null(fixture_reopen(s.f, &none, &e));
	assert_int_equal(found.n, 4 * 5);
	store_end(&s);
}

static void where_all_is_needed_nothing_is_written(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct cache_frame f[PUBLISHES];
	struct cache_rewritten r;
	publish_four(&s, f);
	const uint64_t live[] = {f[0].offset, f[1].offset, f[2].offset, f[3].offset};
	OK(cache_segment_rewrite(s.f->c, 1, s.segments[0].bytes, live, 4, &r, &e));
	assert_int_equal(r.bytes, s.segments[0].bytes);
	assert_int_equal(r.n_moves, 0);
	assert_false(there(s.f->state, "seg/000001.new"));
	/* One that is not where it should be. */
	const uint64_t wrong[] = {f[0].offset + 1};
	assert_int_equal(cache_segment_rewrite(s.f->c, 1, s.segments[0].bytes, wrong, 1, &r, &e),
			 -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	e = (struct err)ERR_INIT;
	assert_int_equal(cache_segment_rewrite(s.f->c, 9, 1, live, 0, &r, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	store_end(&s);
}

/* Parts of one publish that lie in several segments stay together. */
static void a_part_of_a_publish_does_not_go_alone(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct cache_rewritten r;
	s.f->c->segment_full = 150000;
	s.f->c->frame_full = 70000;
	auto_fd int u = sub(s.f->work, "u");
	auto_free char *noise = own_alloc(400000);
	uint32_t seed = 1;
	for (size_t i = 0; i < 400000; i++)
		noise[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
	put_bytes(u, "big", noise, 400000, 0644);
	store_publish(&s, "u");
	assert_true(s.n_segments > 1);
	OK(cache_segment_rewrite(s.f->c, 1, s.segments[0].bytes, NULL, 0, &r, &e));
	assert_int_equal(r.bytes, s.segments[0].bytes);
	assert_int_equal(r.n_moves, 0);
	store_end(&s);
}

static void what_is_damaged_is_left_as_it_is(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct cache_frame f[PUBLISHES];
	struct cache_rewritten r;
	publish_four(&s, f);
	const uint64_t live[] = {f[3].offset};
	auto_fd int fd = openat(s.f->state, "seg/000001.tar.zst", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\0\0\0\0", 4, (off_t)f[1].offset), 4);
	assert_int_equal(cache_segment_rewrite(s.f->c, 1, s.segments[0].bytes, live, 1, &r, &e),
			 -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_false(there(s.f->state, "seg/000001.new"));
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(what_is_not_needed_leaves_the_archive),
		T(a_kill_before_the_commit_leaves_the_old_segment),
		T(a_kill_after_the_commit_leaves_the_new_one),
		T(a_lost_database_finds_the_old_segment_whole),
		T(where_all_is_needed_nothing_is_written),
		T(a_part_of_a_publish_does_not_go_alone),
		T(what_is_damaged_is_left_as_it_is),
	};
	return cmocka_run_group_tests_name("cache/rewrite", tests, NULL, NULL);
}
