/* What of a publish, a compaction, a collect and an import would be there after a power cut: each
 * is traced, and the order of its changes and syncs checked (order.h). That the check finds what is
 * wrong is seen on made-up traces, and on real ones of which a sync was taken out. */
#include "order_trace.h"
#include "store_story.h"

#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- made-up traces ---- */

enum { LAYERS = 1, SEG, TMP, NEW, SUB, FILE_A, LIST, SEGMENT, WAL, DB, ROOT, TRASH };

#define BYTES(i, p)                                                                                \
	{                                                                                          \
		.what = ORDER_BYTES, .inode = (i), .path = p                                       \
	}
#define META(i, p)                                                                                 \
	{                                                                                          \
		.what = ORDER_META, .inode = (i), .path = p                                        \
	}
#define MAKE(i, d, p)                                                                              \
	{                                                                                          \
		.what = ORDER_MAKE, .inode = (i), .dir = (d), .path = p, .is_new = true            \
	}
#define LINK(i, d, p)                                                                              \
	{                                                                                          \
		.what = ORDER_MAKE, .inode = (i), .dir = (d), .path = p, .foreign = true           \
	}
#define MOVE(i, fd, f, d, p)                                                                       \
	{                                                                                          \
		.what = ORDER_MOVE, .inode = (i), .from_dir = (fd), .from = f, .dir = (d),         \
		.path = p                                                                          \
	}
#define REMOVE(d, p)                                                                               \
	{                                                                                          \
		.what = ORDER_REMOVE, .dir = (d), .path = p                                        \
	}
#define SYNC(i, p)                                                                                 \
	{                                                                                          \
		.what = ORDER_SYNC, .inode = (i), .path = p                                        \
	}
#define DATASYNC(i, p)                                                                             \
	{                                                                                          \
		.what = ORDER_DATASYNC, .inode = (i), .path = p                                    \
	}
#define SYNCFS                                                                                     \
	{                                                                                          \
		.what = ORDER_SYNCFS                                                               \
	}
#define SAID                                                                                       \
	{                                                                                          \
		.what = ORDER_SAID                                                                 \
	}

/* A publish as it should be. */
static const struct order_event whole[] = {
	MAKE(NEW, TMP, "tmp/1"),
	MAKE(SUB, NEW, "tmp/1/d"),
	LINK(FILE_A, SUB, "tmp/1/d/a"),
	META(FILE_A, "tmp/1/d/a"),
	MAKE(SEGMENT, SEG, "seg/000001.tar.zst"),
	BYTES(SEGMENT, "seg/000001.tar.zst"),
	DATASYNC(SEGMENT, "seg/000001.tar.zst"),
	SYNC(SEG, "seg"),
	SYNCFS,
	MOVE(NEW, TMP, "tmp/1", LAYERS, "layers/x"),
	SYNC(LAYERS, "layers"),
	BYTES(WAL, "assay.db-wal"),
	DATASYNC(WAL, "assay.db-wal"),
	SAID,
	MOVE(NEW, LAYERS, "layers/x", TRASH, "trash/1"),
	BYTES(DB, "assay.db"),
	DATASYNC(DB, "assay.db"),
	REMOVE(ROOT, "assay.db-wal"),
};

static void expect_broken(const struct order_event *v, size_t n, const char *says)
{
	auto_text struct text why = TEXT_INIT;
	size_t broken = order_check(v, n, &why);
	if (!says && broken)
		fail_msg("%s", text_str(&why));
	if (says && (!broken || !strstr(text_str(&why), says)))
		fail_msg("'%s' is not among: %s", says, text_str(&why));
}

/* The same without event `without`. */
static void expect_broken_without(size_t without, const char *says)
{
	struct order_event v[countof(whole)];
	size_t n = 0;
	for (size_t i = 0; i < countof(whole); i++)
		if (i != without)
			v[n++] = whole[i];
	expect_broken(v, n, says);
}

static size_t nth_of(enum order_what what, uint64_t inode)
{
	for (size_t i = 0; i < countof(whole); i++)
		if (whole[i].what == what && whole[i].inode == inode)
			return i;
	fail_msg("no such event");
	return 0;
}

static void what_is_synced_in_order_is_as_it_should_be(void **state)
{
	(void)state;
	expect_broken(whole, countof(whole), NULL);
}

static void each_sync_that_is_left_out_is_missed(void **state)
{
	(void)state;
	expect_broken_without(nth_of(ORDER_SYNCFS, 0),
			      "rule 1: rename to layers/x, and the names of tmp/1 are not synced");
	expect_broken_without(nth_of(ORDER_SYNCFS, 0),
			      "rule 1: rename to layers/x, and the bytes of tmp/1/d/a are");
	expect_broken_without(nth_of(ORDER_SYNC, LAYERS),
			      "rule 2: write to assay.db-wal, and the names of layers are");
	expect_broken_without(nth_of(ORDER_DATASYNC, WAL),
			      "rule 3: remove layers/x, and the bytes of assay.db-wal are");
	expect_broken_without(nth_of(ORDER_DATASYNC, WAL),
			      "rule 4: say that it is done, and the bytes of assay.db-wal are");
	expect_broken_without(nth_of(ORDER_DATASYNC, DB),
			      "rule 5: remove assay.db-wal, and the bytes of assay.db are");
}

/* In the whole trace syncfs stands for these. */
static void a_segment_is_synced_with_its_name_before_the_commit(void **state)
{
	(void)state;
	const struct order_event v[] = {MAKE(SEGMENT, SEG, "seg/000001.tar.zst"),
					BYTES(SEGMENT, "seg/000001.tar.zst"), SYNC(SEG, "seg"),
					DATASYNC(SEGMENT, "seg/000001.tar.zst"),
					BYTES(WAL, "assay.db-wal")};
	expect_broken(v, countof(v), NULL);
	const struct order_event no_name[] = {v[0], v[1], v[3], v[4]},
				 no_bytes[] = {v[0], v[1], v[2], v[4]},
				 late[] = {v[0], v[2], v[3], v[1], v[4]};
	expect_broken(no_name, countof(no_name), "rule 2: write to assay.db-wal, and the names");
	expect_broken(no_bytes, countof(no_bytes), "rule 2: write to assay.db-wal, and the bytes");
	expect_broken(late, countof(late), "rule 2: write to assay.db-wal, and the bytes");
}

static void fdatasync_does_not_do_for_times_and_modes(void **state)
{
	(void)state;
	struct order_event v[] = {MAKE(LIST, TMP, "tmp/1.list"), BYTES(LIST, "tmp/1.list"),
				  META(LIST, "tmp/1.list"), SYNC(LIST, "tmp/1.list"),
				  MOVE(LIST, TMP, "tmp/1.list", LAYERS, "layers/x.list")};
	expect_broken(v, countof(v), NULL);
	v[3].what = ORDER_DATASYNC;
	expect_broken(v, countof(v), "rule 1: rename to layers/x.list, and mode or times");
}

static void a_sync_of_something_else_does_nothing(void **state)
{
	(void)state;
	const struct order_event v[] = {MAKE(LIST, TMP, "tmp/1.list"), BYTES(LIST, "tmp/1.list"),
					SYNC(TMP, "tmp"), SYNC(SUB, "tmp/2"),
					MOVE(LIST, TMP, "tmp/1.list", LAYERS, "layers/x.list")};
	expect_broken(v, countof(v), "rule 1: rename to layers/x.list, and the bytes");
}

/* ---- real ones ---- */

struct told {
	struct place *p;
	const struct story *story;
	int out;
};

static int told_tell(void *arg)
{
	struct told *t = arg;
	if (dup2(t->out, STDOUT_FILENO) < 0)
		return 99;
	int status = t->story->tell(t->p);
	fflush(NULL);
	return status;
}

static bool is_sync(uint64_t number)
{
	return number == SYS_fsync || number == SYS_fdatasync || number == SYS_syncfs;
}

/* How many rules the story breaks where its nth sync is none; -1: it has not so many. */
static long broken_without(struct told *t, const char *from, long nth, struct text *why)
{
	struct order_trace o;
	struct trace trace = {.what = nth < 0 ? TRACE_WATCH : TRACE_LIE,
			      .nth = nth,
			      .counts = is_sync,
			      .on_call = order_trace_call,
			      .owner = &o};
	story_again(t->p, from);
	order_trace_begin(&o, t->p->path);
	assert_int_equal(trace_run(&trace, told_tell, t), 0);
	assert_int_equal(trace.status, 0);
	order_trace_said(&o);
	assert_true(o.n > 20 && trace.calls > 5);
	long broken = (long)order_check(o.v, o.n, why);
	order_trace_fini(&o);
	return nth >= 0 && !trace.happened ? -1 : broken;
}

static void tell_in_order(struct place *p, const struct story *story)
{
	struct told t = {p, story, memfd_create("out", MFD_CLOEXEC)};
	auto_free char *from = NULL;
	auto_text struct text why = TEXT_INIT;
	long missed = 0, nth = 0, found;
	story_begin(p, story);
	/* what the last opening leaves to be repaired is no part of the story */
	place_open(p);
	place_close(p);
	if (story->damage)
		story->damage(p);
	from = story_keep(p);
	if (broken_without(&t, from, -1, &why))
		fail_msg("%s: %s", story->name, text_str(&why));
	for (;; nth++) {
		auto_text struct text ignored = TEXT_INIT;
		if ((found = broken_without(&t, from, nth, &ignored)) < 0)
			break;
		missed += !found;
	}
	print_message("           %s: of %ld syncs %ld can't be left out\n", story->name, nth,
		      nth - missed);
	assert_true(nth - missed >= 3);
	close(t.out);
}

static void a_publish_is_durable_when_it_counts(void **state)
{
	tell_in_order(*state, &stories[0]);
}

static void a_compaction_is_durable_when_it_counts(void **state)
{
	tell_in_order(*state, &stories[1]);
}

static void nothing_is_collected_before_it_is_forgotten(void **state)
{
	tell_in_order(*state, &stories[2]);
}

static void an_import_is_durable_when_it_counts(void **state)
{
	tell_in_order(*state, &stories[3]);
}

static void a_repair_is_durable_when_it_counts(void **state)
{
	tell_in_order(*state, &stories[4]);
}

static void words_are_durable_when_they_count(void **state)
{
	tell_in_order(*state, &stories[5]);
}

static void an_upper_that_is_taken_is_durable_when_it_counts(void **state)
{
	tell_in_order(*state, &stories[6]);
}

int main(void)
{
	const struct CMUnitTest checks[] = {
		cmocka_unit_test(what_is_synced_in_order_is_as_it_should_be),
		cmocka_unit_test(each_sync_that_is_left_out_is_missed),
		cmocka_unit_test(a_segment_is_synced_with_its_name_before_the_commit),
		cmocka_unit_test(fdatasync_does_not_do_for_times_and_modes),
		cmocka_unit_test(a_sync_of_something_else_does_nothing),
	};
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, story_teardown)
		T(a_publish_is_durable_when_it_counts),
		T(a_compaction_is_durable_when_it_counts),
		T(nothing_is_collected_before_it_is_forgotten),
		T(an_import_is_durable_when_it_counts),
		T(a_repair_is_durable_when_it_counts),
		T(words_are_durable_when_they_count),
		T(an_upper_that_is_taken_is_durable_when_it_counts),
	};
	int failed = cmocka_run_group_tests_name("order", checks, NULL, NULL);
	if (failed)
		return failed;
	story_in_memory();
	if (!trace_can()) {
		puts("skipped: this process may not trace");
		return 77;
	}
	return cmocka_run_group_tests_name("state/order", tests, NULL, NULL);
}
