/* cache/: headers of tar are what libarchive writes, or left to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cache/charset.h"
#include "cache/ustar.h"
#include "base/own.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

/* The first block of what libarchive's pax format writes for x; how many there are. */
static size_t theirs(const struct cache_entry *x, char block[USTAR_BLOCK])
{
	static char all[1 << 16];
	size_t n = 0;
	struct charset charset = charset_enter();
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	archive_write_set_format_pax(a);
	archive_write_add_filter_none(a);
	archive_write_set_bytes_per_block(a, 0);
	assert_int_equal(archive_write_open_memory(a, all, sizeof(all), &n), 0);
	archive_entry_set_pathname(entry, x->path);
	archive_entry_set_filetype(entry, x->type == 'd'   ? AE_IFDIR
					  : x->type == 'l' ? AE_IFLNK
							   : AE_IFREG);
	archive_entry_set_perm(entry, x->mode);
	archive_entry_set_mtime(entry, x->mtime_s, 0);
	archive_entry_set_size(entry, x->type == 'f' ? (la_int64_t)x->size : 0);
	if (x->type == 'l')
		archive_entry_set_symlink(entry, x->target);
	assert_true(archive_write_header(a, entry) >= ARCHIVE_WARN);
	size_t header = n;
	memcpy(block, all, USTAR_BLOCK);
	archive_write_free(a);
	archive_entry_free(entry);
	charset_leave(&charset);
	return header / USTAR_BLOCK;
}

static void expect_theirs(const struct cache_entry *x)
{
	char ours[USTAR_BLOCK], want[USTAR_BLOCK];
	size_t blocks = theirs(x, want);
	bool plain = ustar_header(x, ours);
	if (plain != (blocks == 1))
		fail_msg("%c %s: %zu blocks of libarchive, %d of ours", x->type, x->path, blocks,
			 plain);
	if (plain && memcmp(ours, want, USTAR_BLOCK))
		fail_msg("%c %s: other bytes", x->type, x->path);
}

static void each_kind_is_what_libarchive_writes(void **state)
{
	const struct cache_entry v[] = {
		{.type = 'f', .path = (char[]){"a"}, .mode = 0644},
		{.type = 'f',
		 .path = (char[]){"d/with space\n"},
		 .mode = 0755,
		 .size = 12345,
		 .mtime_s = 1600000000,
		 .mtime_ns = 5},
		{.type = 'f', .path = (char[]){"large"}, .mode = 0644, .size = 077777777777},
		{.type = 'f', .path = (char[]){"larger"}, .mode = 0644, .size = 0100000000000},
		{.type = 'f', .path = (char[]){"2038"}, .mode = 0644, .mtime_s = 0x7ffffffe},
		{.type = 'f', .path = (char[]){"late"}, .mode = 0644, .mtime_s = 0x7fffffff},
		{.type = 'f', .path = (char[]){"old"}, .mode = 0644, .mtime_s = -1},
		{.type = 'f', .path = (char[]){"f\xc3\xbcr"}, .mode = 0644},
		{.type = 'f', .path = (char[]){"no utf-8 \xff"}, .mode = 0644},
		{.type = 'd', .path = (char[]){"d"}, .mode = 0755},
		{.type = 'l', .path = (char[]){"l"}, .mode = 0777, .target = (char[]){"../x"}},
		{.type = 'l', .path = (char[]){"l"}, .mode = 0777, .target = (char[]){"\xc3\xbc"}},
	};
	(void)state;
	for (size_t i = 0; i < countof(v); i++)
		expect_theirs(&v[i]);
	char target[103];
	memset(target, 't', sizeof(target));
	for (size_t n = 99; n < 103; n++) {
		target[n] = '\0';
		expect_theirs(&(struct cache_entry){
			.type = 'l', .path = (char[]){"l"}, .mode = 0777, .target = target});
		target[n] = 't';
	}
}

/* Where names are cut in two. */
static void names_of_any_length_are_what_libarchive_writes(void **state)
{
	uint32_t seed = 1;
	char path[300];
	(void)state;
	for (size_t i = 0; i < 6000; i++) {
		size_t n = 90 + i % 180;
		seed = seed * 1664525 + 1013904223;
		uint32_t often = 2 + (seed >> 24) % 120;
		for (size_t k = 0; k < n; k++) {
			seed = seed * 1664525 + 1013904223;
			bool slash =
				k && k + 1 < n && path[k - 1] != '/' && !((seed >> 16) % often);
			path[k] = slash ? '/' : (char)('a' + (seed >> 24) % 26);
		}
		path[n] = '\0';
		expect_theirs(&(struct cache_entry){.type = i % 2 ? 'f' : 'd',
						    .path = path,
						    .mode = i % 2 ? 0644 : 0755});
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_is_what_libarchive_writes),
		cmocka_unit_test(names_of_any_length_are_what_libarchive_writes),
	};
	return cmocka_run_group_tests_name("cache/ustar", tests, NULL, NULL);
}
