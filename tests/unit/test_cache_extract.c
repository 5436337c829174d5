/* cache/: archives as layers, honest and hostile. */
#include "cache_fixture.h"

#include <archive.h>
#include <archive_entry.h>

struct member {
	const char *name;
	mode_t type;
	const char *content; /* of a file, or where a link points to */
	bool hard;
	mode_t perm;
};

/* Write an archive of these members; format: archive_write_set_format_*, filter may be NULL. */
static char *pack(struct fixture *f, const char *name, int (*format)(struct archive *),
		  int (*filter)(struct archive *), const struct member *m, size_t n)
{
	char *path = at_work(f, name);
	struct archive *a = archive_write_new();
	assert_int_equal(format(a), ARCHIVE_OK);
	if (filter)
		assert_int_equal(filter(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *x = archive_entry_new();
		size_t size =
			S_ISREG(m[i].type) && m[i].content && !m[i].hard ? strlen(m[i].content) : 0;
		archive_entry_set_pathname(x, m[i].name);
		archive_entry_set_filetype(x, m[i].type);
		archive_entry_set_perm(x, m[i].perm ? m[i].perm : 0644);
		archive_entry_set_mtime(x, 1500000000, 0);
		archive_entry_set_uid(x, 12345);
		archive_entry_set_size(x, (la_int64_t)size);
		if (m[i].hard)
			archive_entry_set_hardlink(x, m[i].content);
		else if (S_ISLNK(m[i].type))
			archive_entry_set_symlink(x, m[i].content);
		if (archive_write_header(a, x) < ARCHIVE_WARN)
			fail_msg("%s", archive_error_string(a));
		if (size)
			assert_int_equal(archive_write_data(a, m[i].content, size), size);
		archive_entry_free(x);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	return path;
}

static const struct member honest[] = {
	{"top/", AE_IFDIR, NULL, false, 0700},
	{"top/bin/tool", AE_IFREG, "#!/bin/sh\n", false, 04711},
	{"./top//bin/./again", AE_IFREG, "again", false, 0600},
	{"top/bin/hard", AE_IFREG, "top/bin/again", true, 0},
	{"top/lib/link", AE_IFLNK, "../../../anywhere", false, 0},
	{"top/f\xc3\xbcr", AE_IFREG, "", false, 0444},
	{"top/bin/tool", AE_IFREG, "#!/bin/bash\n", false, 0755},
};

static void honest_archives_of_each_kind_become_the_same_layer(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer first = {0}, l;
	struct stat st, hard;
	static const struct {
		const char *name;
		int (*format)(struct archive *), (*filter)(struct archive *);
	} kinds[] = {
		{"a.tar", archive_write_set_format_pax, NULL},
		{"a.tar.gz", archive_write_set_format_ustar, archive_write_add_filter_gzip},
		{"a.tar.xz", archive_write_set_format_gnutar, archive_write_add_filter_xz},
		{"a.tar.zst", archive_write_set_format_pax_restricted,
		 archive_write_add_filter_zstd},
		{"a.cpio.bz2", archive_write_set_format_cpio_newc, archive_write_add_filter_bzip2},
	};
	for (size_t i = 0; i < countof(kinds); i++) {
		/* cpio has no hard link without the file's own content */
		auto_free char *path = pack(f, kinds[i].name, kinds[i].format, kinds[i].filter,
					    honest, countof(honest) - 1);
		OK(cache_layer_import(f->c, path,
				      &(struct cache_import){.strip = 1, .prefix = "opt/x"}, &l,
				      &e));
		if (i && i < 4)
			assert_string_equal(l.id, first.id);
		else
			first = l;
		if (i == 4)
			break;
		auto_fd int fd = cache_layer_open(f->c, l.id, &e);
		expect(fd, "opt/x/bin/tool", "#!/bin/sh\n");
		expect(fd, "opt/x/f\xc3\xbcr", "");
		assert_int_equal(fstatat(fd, "opt/x/bin/tool", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		assert_int_equal(st.st_uid, geteuid());
		assert_int_equal(st.st_mtim.tv_sec, 1500000000);
		assert_int_equal(fstatat(fd, "opt/x/bin/again", &st, 0), 0);
		assert_int_equal(fstatat(fd, "opt/x/bin/hard", &hard, 0), 0);
		assert_int_equal(st.st_ino, hard.st_ino);
		assert_int_equal(st.st_mode & 07777, 0644);
		OK(cache_layer_verify(f->c, l.id, &e));
	}
}

static void a_zip_is_read_and_a_later_member_replaces_an_earlier_one(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer l;
	static const struct member m[] = {{"d/one", AE_IFREG, "1", false, 0},
					  {"d/one", AE_IFREG, "2", false, 0755}};
	auto_free char *path = pack(f, "a.zip", archive_write_set_format_zip, NULL, m, countof(m));
	OK(cache_layer_import(f->c, path, NULL, &l, &e));
	auto_fd int fd = cache_layer_open(f->c, l.id, &e);
	expect(fd, "d/one", "2");
	assert_int_equal(l.entries, 2);
	auto_free char *tar =
		pack(f, "b.tar", archive_write_set_format_pax, NULL, honest, countof(honest));
	OK(cache_layer_import(f->c, tar, NULL, &l, &e));
	auto_fd int fd2 = cache_layer_open(f->c, l.id, &e);
	expect(fd2, "top/bin/tool", "#!/bin/bash\n");
}

static char long_name[5001], long_part[301];

static const struct hostile {
	const char *why;
	struct member m[3];
} hostiles[] = {
	{"absolute", {{"/etc/evil", AE_IFREG, "x", false, 0}}},
	{"leads out", {{"a/../../evil", AE_IFREG, "x", false, 0}}},
	{"leads out", {{"..", AE_IFDIR, NULL, false, 0}}},
	{"beyond a link", {{"l", AE_IFLNK, "/tmp", false, 0}, {"l/evil", AE_IFREG, "x", false, 0}}},
	{"beyond a link",
	 {{"d/l", AE_IFLNK, "..", false, 0}, {"d/l/a/b/evil", AE_IFREG, "x", false, 0}}},
	{"beyond a link", {{"f", AE_IFREG, "x", false, 0}, {"f/evil", AE_IFREG, "x", false, 0}}},
	{"beyond a link",
	 {{"l", AE_IFLNK, "/", false, 0}, {"l/tmp/evil", AE_IFDIR, NULL, false, 0}}},
	{"leads out", {{"h", AE_IFREG, "../../../../../etc/passwd", true, 0}}},
	{"has not made", {{"h", AE_IFREG, "etc/passwd", true, 0}}},
	{"has not made", {{"l", AE_IFLNK, "/etc", false, 0}, {"h", AE_IFREG, "l/passwd", true, 0}}},
	{"has not made", {{"l", AE_IFLNK, "/etc/passwd", false, 0}, {"h", AE_IFREG, "l", true, 0}}},
	{"has not made", {{"d", AE_IFDIR, NULL, false, 0}, {"h", AE_IFREG, "d", true, 0}}},
	{"device", {{"null", AE_IFCHR, NULL, false, 0}}},
	{"device", {{"disk", AE_IFBLK, NULL, false, 0}}},
	{"fifo", {{"pipe", AE_IFIFO, NULL, false, 0}}},
	{"a link where a file",
	 {{"x", AE_IFREG, "1", false, 0}, {"x", AE_IFLNK, "/etc", false, 0}}},
	{"a directory where a link",
	 {{"x", AE_IFLNK, "/etc", false, 0}, {"x/", AE_IFDIR, NULL, false, 0}}},
	{"a file where a directory",
	 {{"x/y", AE_IFREG, "1", false, 0}, {"x", AE_IFREG, "1", false, 0}}},
	{"longer than 4095", {{long_name, AE_IFREG, "x", false, 0}}},
	{"longer than 255", {{long_part, AE_IFREG, "x", false, 0}}},
};

static void hostile_archives_are_refused_and_leave_nothing(void **state)
{
	struct fixture *f = *state;
	struct cache_layer l;
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (size_t i = 100; i < sizeof(long_name) - 1; i += 101)
		long_name[i] = '/';
	memset(long_part, 'n', sizeof(long_part) - 1);
	for (size_t i = 0; i < countof(hostiles); i++) {
		const struct hostile *h = &hostiles[i];
		size_t n = 0;
		while (n < countof(h->m) && h->m[n].name)
			n++;
		struct err e = ERR_INIT;
		auto_free char *path =
			pack(f, "evil.tar", archive_write_set_format_pax, NULL, h->m, n);
		assert_int_equal(cache_layer_import(f->c, path, NULL, &l, &e), -1);
		if (e.kind != ERR_HOSTILE || !strstr(e.text, h->why))
			fail_msg("%zu, %s: %s", i, h->why, e.text);
		/* The message names the member, as much of it as a line takes. */
		char begin[20];
		snprintf(begin, sizeof(begin), "%s", h->m[n - 1].name);
		assert_non_null(strstr(e.text, begin));
		expect_clean(f, 0);
		assert_false(there(f->work, "evil"));
		assert_false(there(f->state, "evil"));
	}
	assert_int_not_equal(access("/tmp/evil", F_OK), 0);
}

static void a_bomb_stops_at_the_limits(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct cache_layer l;
	size_t n = 8 << 20;
	auto_free char *zeros = own_calloc(n + 1, 1);
	memset(zeros, '0', n);
	const struct member m[] = {{"a", AE_IFREG, "small", false, 0},
				   {"bomb", AE_IFREG, zeros, false, 0}};
	auto_free char *zip = pack(f, "bomb.zip", archive_write_set_format_zip, NULL, m, 2);
	auto_free char *tar = pack(f, "bomb.tar.gz", archive_write_set_format_pax,
				   archive_write_add_filter_gzip, m, 2);
	const char *both[] = {zip, tar};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(cache_layer_import(f->c, both[i],
						    &(struct cache_import){.max_bytes = 1 << 20},
						    &l, &e),
				 -1);
		assert_int_equal(e.kind, ERR_HOSTILE);
		assert_non_null(strstr(e.text, "bomb: more than 1048576 bytes"));
		assert_int_equal(cache_layer_import(f->c, both[i],
						    &(struct cache_import){.max_entries = 1}, &l,
						    &e),
				 -1);
		assert_int_equal(e.kind, ERR_HOSTILE);
		OK(cache_layer_import(f->c, both[i],
				      &(struct cache_import){.max_entries = 2, .max_bytes = n + 5},
				      &l, &e));
	}
	expect_clean(f, 1);
}

static void what_is_no_archive_or_an_empty_one_is_said_so(void **state)
{
	struct fixture *f = *state;
	struct cache_layer l;
	put(f->work, "noise", "this is not an archive at all");
	put(f->work, "empty", "");
	/* A description of files elsewhere is not an archive either: it would read them. */
	put(f->work, "mtree", "#mtree\n./passwd type=file contents=/etc/passwd\n");
	free(pack(f, "none.tar", archive_write_set_format_pax, NULL, honest, 0));
	free(pack(f, "one.tar", archive_write_set_format_pax, NULL, honest, 1));
	static const struct {
		const char *name;
		unsigned strip;
	} bad[] = {{"noise", 0}, {"empty", 0}, {"mtree", 0}, {"none.tar", 0}, {"one.tar", 1}};
	for (size_t i = 0; i < countof(bad); i++) {
		struct err e = ERR_INIT;
		auto_free char *path = at_work(f, bad[i].name);
		assert_int_equal(cache_layer_import(f->c, path,
						    &(struct cache_import){.strip = bad[i].strip},
						    &l, &e),
				 -1);
		if (e.kind != ERR_INPUT)
			fail_msg("%s: %s", bad[i].name, e.text);
	}
	expect_clean(f, 0);
}

/* Bytes exchanged, cut or doubled, from a fixed seed: whatever comes of it, nothing lies outside
 * and nothing half-made stays. */
static void damaged_archives_change_nothing_outside(void **state)
{
	struct fixture *f = *state;
	struct cache_layer l;
	uint32_t seed = 20240607;
	static int (*const formats[])(struct archive *) = {archive_write_set_format_pax,
							   archive_write_set_format_zip,
							   archive_write_set_format_cpio_newc,
							   archive_write_set_format_7zip};
	size_t refused = 0;
	for (size_t round = 0; round < 200; round++) {
		struct err e = ERR_INIT;
		auto_free char *path = pack(f, "fuzz", formats[round % 4], NULL, honest,
					    countof(honest) - (round % 4 ? 4 : 1));
		auto_text struct text t = TEXT_INIT;
		OK(dir_read_whole(f->work, "fuzz", 1 << 24, &t, &e));
		for (int k = 0; k < 1 + (int)(round % 9); k++) {
			seed = seed * 1664525 + 1013904223;
			t.p[(seed >> 8) % t.n] = (char)(seed >> 3);
		}
		seed = seed * 1664525 + 1013904223;
		size_t keep = round % 3 ? t.n : (seed >> 8) % t.n;
		put_bytes(f->work, "fuzz", t.p, keep, 0644);
		if (cache_layer_import(f->c, path,
				       &(struct cache_import){.max_bytes = 1 << 20,
							      .max_entries = 100},
				       &l, &e)) {
			assert_true(e.kind != ERR_NONE && e.text[0]);
			refused++;
		} else {
			OK(cache_layer_verify(f->c, l.id, &e));
			OK(cache_layer_remove(f->c, l.id, &e));
		}
		expect_clean(f, 0);
		assert_int_equal(count_names(f->work, "."), 1);
	}
	assert_true(refused > 50 && refused < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(honest_archives_of_each_kind_become_the_same_layer),
		T(a_zip_is_read_and_a_later_member_replaces_an_earlier_one),
		T(hostile_archives_are_refused_and_leave_nothing),
		T(a_bomb_stops_at_the_limits),
		T(what_is_no_archive_or_an_empty_one_is_said_so),
		T(damaged_archives_change_nothing_outside),
	};
	return cmocka_run_group_tests_name("cache/extract", tests, NULL, NULL);
}
