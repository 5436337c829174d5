/* cache/: segments as what is left when everything else is gone: cut, sealed, read without a
 * database, made into layers again. */
#include "cache_told.h"

#include "cache/frame.h"
#include "cache/record.h"

#define STORE(...) struct store s = {.f = *state, ##__VA_ARGS__}

/* Bytes no compressor shortens. */
static void put_noise(int at, const char *rel, size_t n, uint32_t seed)
{
	auto_free char *noise = own_alloc(n);
	for (size_t i = 0; i < n; i++)
		noise[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
	put_bytes(at, rel, noise, n, 0644);
}

static mode_t mode_of(struct store *s, const char *rel)
{
	struct stat st;
	assert_int_equal(fstatat(s->f->state, rel, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 0777;
}

/* What was committed after the first of three. */
static struct cache_known_segment first_ends[4];
static size_t n_first_ends;

/* Three publishes in several segments, the last of many frames. */
static void publish_three(struct store *s)
{
	s->f->c->segment_full = 150000;
	s->f->c->frame_full = 70000;
	auto_fd int u = sub(s->f->work, "u"), v = sub(s->f->work, "v"), w = sub(s->f->work, "w");
	put(u, "a/one", "1");
	put_noise(u, "a/noise", 160000, 1);
	store_publish(s, "u");
	n_first_ends = s->n_segments;
	memcpy(first_ends, s->segments, s->n_segments * sizeof(*s->segments));
	put(v, "a/two", "2");
	put(v, "odd \xff \n name", "x");
	assert_int_equal(symlinkat("two", v, "a/link"), 0);
	store_publish(s, "v");
	put_noise(w, "b/big", 500000, 2);
	put(w, "b/small", "behind the big one");
	store_publish(s, "w");
}

static void a_long_publish_is_cut_into_frames_and_goes_on_in_the_next_segment(void **state)
{
	STORE();
	publish_three(&s);
	assert_true(s.out.n_frames >= 3);
	for (size_t i = 0; i < s.out.n_frames; i++) {
		struct err e = ERR_INIT;
		assert_true(s.out.frames[i].bytes < 70000 + (256 << 10));
		OK(cache_frame_verify(s.f->c, &s.out.frames[i], &e));
	}
	assert_true(s.out.frames[s.out.n_frames - 1].segment > s.out.frames[0].segment);
	struct told t = {0};
	scan(&s, &t);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.v[2].n_frames, s.out.n_frames);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(t.v[i].layer, s.ids[i]);
	for (size_t i = 0; i < s.out.n_frames; i++)
		assert_memory_equal(&t.v[2].frames[i], &s.out.frames[i], sizeof(*s.out.frames));
	assert_int_equal(t.damage.n, 0);
	told_fini(&t);
	store_end(&s);
}

static void all_but_the_last_segment_are_read_only(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	publish_three(&s);
	uint32_t last = s.out.frames[s.out.n_frames - 1].segment;
	auto_fd int x = sub(s.f->work, "x");
	put(x, "later", "l");
	store_publish(&s, "x");
	for (uint32_t n = 1; n < last; n++) {
		auto_free char *rel = own_fmt("seg/%06u.tar.zst", (unsigned)n);
		assert_int_equal(mode_of(&s, rel), 0444);
	}
	/* Also those that an assay left open which was killed. */
	assert_int_equal(fchmodat(s.f->state, "seg/000001.tar.zst", 0644, 0), 0);
	const char *layers[64];
	struct cache_known k = store_known(&s, layers);
	if (!fixture_reopen(s.f, &k, &e))
		fail_msg("%s", e.text);
	assert_int_equal(mode_of(&s, "seg/000001.tar.zst"), 0444);
	store_end(&s);
}

static void a_publish_says_who_made_it_upon_what(void **state)
{
	static const struct cache_rule rules[] = {{"drop/**", CACHE_DROP}};
	STORE(.rules = rules, .n_rules = 1);
	struct told t = {0};
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "a", "1");
	put(u, "drop/x", "1");
	assert_int_equal(mkfifoat(u, "pipe", 0600), 0);
	store_publish(&s, "u");
	char first[CACHE_ID];
	memcpy(first, s.chain, CACHE_ID);
	put(v, "a", "2");
	put(v, "b", "2");
	store_publish(&s, "v");
	scan(&s, &t);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.v[0].job, "run 1 semver@7.5.4 fetch");
	assert_string_equal(t.v[0].store, "npm-cache");
	assert_string_equal(t.v[0].parent, "");
	assert_string_equal(t.v[0].chain, first);
	assert_string_equal(t.v[1].parent, first);
	assert_string_equal(t.v[1].chain, s.chain);
	char chain[CACHE_ID];
	cache_chain(first, "npm-cache", s.ids[1], chain);
	assert_string_equal(s.chain, chain);
	assert_int_equal(t.v[0].counts.added, 1);
	assert_int_equal(t.v[0].counts.refused, 1);
	assert_int_equal(t.v[0].counts.dropped, 2);
	assert_int_equal(t.v[1].counts.conflicts, 1);
	assert_int_equal(t.v[1].n_entries, 2);
	told_fini(&t);
	store_end(&s);
}

static void layers_are_made_again_from_the_segments_alone(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct told t = {0};
	publish_three(&s);
	scan(&s, &t);
	for (size_t i = 0; i < 3; i++) {
		/* gone, changed, and whole */
		auto_free char *gone = own_fmt("layers/%s", s.ids[i]),
			       *list = own_fmt("layers/%s.list", s.ids[i]);
		OK(cache_layer_verify(s.f->c, s.ids[i], &e));
		OK(dir_remove(s.f->state, gone, &e));
		OK(cache_layer_restore(s.f->c, s.ids[i], t.v[i].frames, t.v[i].n_frames, &e));
		OK(cache_layer_verify(s.f->c, s.ids[i], &e));
		auto_free char *file = own_fmt("%s/planted", gone);
		put(s.f->state, file, "not of the layer");
		put(s.f->state, list, "nonsense");
		assert_int_equal(cache_layer_verify(s.f->c, s.ids[i], &e), -1);
		OK(cache_layer_restore(s.f->c, s.ids[i], t.v[i].frames, t.v[i].n_frames, &e));
		OK(cache_layer_verify(s.f->c, s.ids[i], &e));
		OK(cache_record_verify(s.f->c, t.v[i].frames, t.v[i].n_frames, s.ids[i], &e));
		struct cache_layer count;
		OK(cache_layer_count(s.f->c, s.ids[i], &count, &e));
		assert_true(count.entries >= 3);
	}
	expect_clean(s.f, 3);
	/* Another publish's frames are no help. */
	assert_int_equal(cache_layer_restore(s.f->c, s.ids[0], t.v[1].frames, t.v[1].n_frames, &e),
			 -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_int_equal(cache_record_verify(s.f->c, t.v[1].frames, t.v[1].n_frames, s.ids[0], &e),
			 -1);
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	expect_clean(s.f, 3);
	told_fini(&t);
	store_end(&s);
}

/* tests/data/segments: as earlier programs wrote them, with times to the nanosecond in the headers.
 * 2-nanoseconds are two publishes of the first version 2; 1 is the first of them with the record
 * that version 1 had, and without a mark. */
static void segments_of_earlier_programs_are_read(void **state)
{
#define FIRST "00b03eafa1d5bf6b266c25228ce89963c47f2ed03d60b8e6dc7a5aae5da824ff"
#define SECOND "5f050989fd96932fdf91d92a70f0938577cf70335fa69edf86423c81ac5830e2"
	static const struct {
		const char *name, *layers[2];
	} old[] = {{"1", {FIRST}}, {"2-nanoseconds", {FIRST, SECOND}}};
	for (size_t i = 0; i < countof(old); i++) {
		STORE();
		struct err e = ERR_INIT;
		struct told t = {0};
		auto_text struct text bytes = TEXT_INIT;
		auto_free char *name = own_fmt("%s.tar.zst", old[i].name);
		auto_fd int data = open(ASSAY_SOURCE "/tests/data/segments",
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		OK(dir_read_whole(data, name, 1 << 20, &bytes, &e));
		put_bytes(s.f->state, "seg/000001.tar.zst", bytes.p, bytes.n, 0644);
		scan(&s, &t);
		assert_string_equal(text_str(&t.damage), "");
		assert_int_equal(t.n, old[i].layers[1] ? 2 : 1);
		for (size_t k = 0; k < t.n; k++) {
			assert_string_equal(t.v[k].layer, old[i].layers[k]);
			OK(cache_record_verify(s.f->c, t.v[k].frames, t.v[k].n_frames, t.v[k].layer,
					       &e));
			OK(cache_layer_restore(s.f->c, t.v[k].layer, t.v[k].frames, t.v[k].n_frames,
					       &e));
			OK(cache_layer_verify(s.f->c, t.v[k].layer, &e));
		}
		told_fini(&t);
		store_end(&s);
	}
}

/* Overwrite one byte of a segment's file. */
static void flip(struct store *s, uint32_t segment, uint64_t at)
{
	unsigned char c;
	auto_free char *rel = own_fmt("seg/%06u.tar.zst", (unsigned)segment);
	assert_int_equal(fchmodat(s->f->state, rel, 0644, 0), 0);
	auto_fd int fd = openat(s->f->state, rel, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
	c ^= 0x10;
	assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
}

static void each_flipped_byte_is_found(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "a", "a file of the store");
	store_publish(&s, "u");
	struct cache_frame f = *s.out.frames;
	put(v, "b", "and one more");
	store_publish(&s, "v");
	for (uint64_t at = 0; at < f.bytes; at++) {
		struct told t = {0};
		flip(&s, 1, f.offset + at);
		int frame = cache_frame_verify(s.f->c, &f, &e),
		    layer = cache_layer_restore(s.f->c, s.ids[0], &f, 1, &e);
		scan(&s, &t);
		/* Of the mark's bytes the frame itself is not concerned. */
		bool mark = at >= f.bytes - FRAME_MARK;
		if (!frame && !mark)
			fail_msg("byte %llu", (unsigned long long)at);
		assert_true(t.n < 2 || !t.damage.n);
		assert_true(t.damage.n);
		if (!layer) /* it was a bit that nobody reads */
			OK(cache_layer_verify(s.f->c, s.ids[0], &e));
		told_fini(&t);
		flip(&s, 1, f.offset + at);
	}
	OK(cache_frame_verify(s.f->c, &f, &e));
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	store_end(&s);
}

static void what_an_older_database_does_not_know_is_offered_and_not_cut(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct told t = {.take = 1};
	publish_three(&s);
	auto_free char *third = own_fmt("layers/%s", s.ids[2]);
	OK(dir_remove(s.f->state, third, &e));
	/* The database of after the first publish. */
	const char *layers[] = {s.ids[0]};
	struct cache_known k = {.segments = first_ends,
				.n_segments = n_first_ends,
				.layers = layers,
				.n_layers = 1,
				.on_found = on_found,
				.owner = &t};
	if (!fixture_reopen(s.f, &k, &e))
		fail_msg("%s", e.text);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.v[0].layer, s.ids[1]);
	assert_string_equal(t.v[1].layer, s.ids[2]);
	expect_clean(s.f, 3);
	for (size_t i = 0; i < 3; i++)
		OK(cache_layer_verify(s.f->c, s.ids[i], &e));
	/* And what is published next comes behind it. */
	auto_fd int x = sub(s.f->work, "x");
	put(x, "later", "l");
	uint64_t end = s.segments[s.n_segments - 1].bytes;
	store_publish(&s, "x");
	assert_true(s.out.frames->offset == end || s.out.frames->offset == 0);
	told_fini(&t);
	/* Declined, it goes. */
	t.take = 0;
	if (!fixture_reopen(s.f, &k, &e))
		fail_msg("%s", e.text);
	assert_int_equal(t.n, 3);
	expect_clean(s.f, 1);
	told_fini(&t);
	scan(&s, &t);
	assert_string_equal(text_str(&t.damage), "");
	assert_int_equal(t.n, 1);
	assert_int_equal(t.damage.n, 0);
	told_fini(&t);
	store_end(&s);
}

static void a_torn_end_is_cut_and_the_publishes_before_it_stay(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v");
	put(u, "a", "1");
	store_publish(&s, "u");
	put(v, "b", "2");
	store_publish(&s, "v");
	struct cache_frame f = *s.out.frames;
	for (uint64_t left = 0; left < f.bytes; left += left < f.bytes - 3 ? 7 : 1) {
		struct told t = {.take = 1};
		auto_free char *copy = NULL;
		{
			auto_fd int fd =
				openat(s.f->state, "seg/000001.tar.zst", O_RDWR | O_CLOEXEC);
			copy = own_alloc(f.bytes);
			assert_int_equal(pread(fd, copy, f.bytes, (off_t)f.offset), f.bytes);
			assert_int_equal(ftruncate(fd, (off_t)(f.offset + left)), 0);
		}
		const char *layers[] = {s.ids[0], s.ids[1]};
		const struct cache_known_segment one = {1, f.offset};
		struct cache_known k = {.segments = &one,
					.n_segments = 1,
					.layers = layers,
					.n_layers = 2,
					.on_found = on_found,
					.owner = &t};
		if (!fixture_reopen(s.f, &k, &e))
			fail_msg("%s", e.text);
		assert_int_equal(t.n, 0);
		struct stat st;
		assert_int_equal(fstatat(s.f->state, "seg/000001.tar.zst", &st, 0), 0);
		assert_int_equal(st.st_size, f.offset);
		auto_fd int fd = openat(s.f->state, "seg/000001.tar.zst", O_RDWR | O_CLOEXEC);
		assert_int_equal(pwrite(fd, copy, f.bytes, (off_t)f.offset), f.bytes);
		told_fini(&t);
	}
	store_end(&s);
}

static void a_lost_segment_is_told_and_the_store_goes_on(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct told t = {.take = 1};
	publish_three(&s);
	const char *layers[64];
	struct cache_known k = store_known(&s, layers);
	k.on_lost = on_lost;
	k.owner = &t;
	uint32_t last = s.segments[s.n_segments - 1].number;
	auto_free char *rel = own_fmt("seg/%06u.tar.zst", (unsigned)last);
	assert_int_equal(unlinkat(s.f->state, "seg/000001.tar.zst", 0), 0);
	assert_int_equal(unlinkat(s.f->state, rel, 0), 0);
	if (!fixture_reopen(s.f, &k, &e))
		fail_msg("%s", e.text);
	auto_free char *want = own_fmt("1:0 %u:0 ", (unsigned)last);
	assert_string_equal(text_str(&t.lost), want);
	expect_clean(s.f, 3);
	for (size_t i = 0; i < 3; i++)
		OK(cache_layer_verify(s.f->c, s.ids[i], &e));
	/* Neither number is given again. */
	auto_fd int x = sub(s.f->work, "x");
	put(x, "later", "l");
	store_publish(&s, "x");
	assert_int_equal(s.out.frames->segment, last + 1);
	told_fini(&t);
	store_end(&s);
}

static void marks_are_read_back_and_nothing_else_is_one(void **state)
{
	unsigned char bytes[FRAME_MARK];
	struct frame_mark m = {.last = true, .part = 3, .bytes = 12345678901}, is;
	(void)state;
	snprintf(m.digest, sizeof(m.digest), "xxh3:0123456789abcdef0123456789abcdef");
	cache_digest("b", 1, m.id);
	frame_mark_write(&m, bytes);
	assert_int_equal(frame_mark_read(bytes, sizeof(bytes), &is), 0);
	assert_string_equal(is.record, "");
	/* Only what begins a publish has a record. */
	cache_digest("a", 1, m.record);
	frame_mark_write(&m, bytes);
	assert_int_equal(frame_mark_read(bytes, sizeof(bytes), &is), -1);
	m.part = 0;
	frame_mark_write(&m, bytes);
	assert_int_equal(frame_mark_read(bytes, sizeof(bytes), &is), 0);
	assert_true(is.last && !is.part && is.bytes == 12345678901 && is.size == FRAME_MARK);
	assert_string_equal(is.digest, m.digest);
	assert_string_equal(is.record, m.record);
	assert_string_equal(is.id, m.id);
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(frame_mark_read(bytes, n, &is), -1);
	for (size_t i = 0; i < 8 * sizeof(bytes); i++) {
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_int_equal(frame_mark_read(bytes, sizeof(bytes), &is), -1);
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
	}
}

/* What records of other hands may say. */
static void a_record_that_is_none_is_refused(void **state)
{
#define HEAD "{\"assay\":2,\"store\":\"s\",\"job\":\"j\",\"made_ms\":1,\"parent\":\"\",\"chain\":\""
#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define COUNTS                                                                                     \
	"\"counts\":{\"added\":1,\"replaced\":0,\"merged\":0,\"identical\":0,\"dropped\":0,"       \
	"\"conflicts\":0,\"deleted\":0,\"refused\":0,\"bytes\":1}"
#define GOOD HEAD ID64 "\",\"layer\":\"" ID64 "\",\"rules\":[]," COUNTS ",\"entries\":[\n"
#define LINE                                                                                       \
	"{\"change\":\"added\",\"type\":\"f\",\"mode\":\"0644\",\"mtime\":\"1.000000000\","        \
	"\"size\":1"
	static const char *const bad[] = {
		"",
		"\n",
		"{}",
		GOOD,
		GOOD "]}",
		GOOD "]}\n ",
		GOOD LINE "}\n]}\n",
		GOOD LINE ",\"path\":5}\n]}\n",
		GOOD LINE ",\"path-hex\":\"0\"}\n]}\n",
		GOOD LINE ",\"path-hex\":\"00\"}\n]}\n",
		GOOD LINE ",\"path-hex\":\"zz\"}\n]}\n",
		GOOD LINE ",\"path\":\"a\\u0000b\"}\n]}\n",
		GOOD LINE ",\"path\":\"a\",\"sha256\":\"12\"}\n]}\n",
		GOOD "{\"change\":\"eaten\",\"type\":\"f\",\"mode\":\"0644\",\"mtime\":"
		     "\"1.000000000\",\"size\":1,\"path\":\"a\"}\n]}\n",
		GOOD "{\"change\":\"added\",\"type\":\"ff\",\"mode\":\"0644\",\"mtime\":"
		     "\"1.000000000\",\"size\":1,\"path\":\"a\"}\n]}\n",
		GOOD "{\"change\":\"added\",\"type\":\"f\",\"mode\":\"9\",\"mtime\":"
		     "\"1.000000000\",\"size\":1,\"path\":\"a\"}\n]}\n",
		GOOD "{\"change\":\"added\",\"type\":\"f\",\"mode\":\"0644\",\"mtime\":"
		     "\"1.0\",\"size\":1,\"path\":\"a\"}\n]}\n",
		GOOD "{\"change\":\"added\",\"type\":\"f\",\"mode\":\"0644\",\"mtime\":"
		     "\"1.000000000\",\"size\":-1,\"path\":\"a\"}\n]}\n",
		HEAD "short\",\"layer\":\"" ID64 "\",\"rules\":[]," COUNTS ",\"entries\":[\n]}\n",
		HEAD ID64 "\",\"layer\":\"x\",\"rules\":[]," COUNTS ",\"entries\":[\n]}\n",
		HEAD ID64 "\",\"layer\":\"" ID64 "\",\"rules\":[],\"entries\":[\n]}\n",
		"{\"assay\":3,\"entries\":[\n]}\n",
		"{\"assay\":\"2\",\"entries\":[\n]}\n",
	};
	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		struct err e = ERR_INIT;
		struct cache_record r;
		if (!record_parse(bad[i], strlen(bad[i]), &r, &e))
			fail_msg("%zu: %s", i, bad[i]);
		assert_int_equal(e.kind, ERR_CORRUPT);
		record_fini(&r);
	}
	struct err e = ERR_INIT;
	struct cache_record r;
	static const char good[] =
		GOOD LINE ",\"path\":\"a\\u0001\\\"\"},\n" LINE ",\"path-hex\":\"ff\"}\n]}\n";
	OK(record_parse(good, sizeof(good) - 1, &r, &e));
	assert_int_equal(r.n_entries, 2);
	assert_string_equal(r.entries[0].path, "a\x01\"");
	assert_string_equal(r.entries[1].path, "\xff");
	record_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(a_long_publish_is_cut_into_frames_and_goes_on_in_the_next_segment),
		T(all_but_the_last_segment_are_read_only),
		T(a_publish_says_who_made_it_upon_what),
		T(layers_are_made_again_from_the_segments_alone),
		T(segments_of_earlier_programs_are_read),
		T(each_flipped_byte_is_found),
		T(what_an_older_database_does_not_know_is_offered_and_not_cut),
		T(a_torn_end_is_cut_and_the_publishes_before_it_stay),
		T(a_lost_segment_is_told_and_the_store_goes_on),
		cmocka_unit_test(marks_are_read_back_and_nothing_else_is_one),
		cmocka_unit_test(a_record_that_is_none_is_refused),
	};
	return cmocka_run_group_tests_name("cache/segment", tests, NULL, NULL);
}
