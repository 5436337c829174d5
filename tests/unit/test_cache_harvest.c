/* cache/: what becomes of each entry of an upper. */
#include "cache_store.h"

#include <openssl/evp.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STORE(...) struct store s = {.f = *state, ##__VA_ARGS__}
#define RULES(...)                                                                                 \
	.rules = (const struct cache_rule[]){__VA_ARGS__},                                         \
	.n_rules = countof(((const struct cache_rule[]){__VA_ARGS__}))

static void new_files_directories_and_links_are_added(void **state)
{
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	struct stat st;
	put_bytes(u, "bin/run", "run", 3, 0711);
	put_bytes(u, "data", "hello", 5, 0600);
	close(sub(u, "empty"));
	assert_int_equal(symlinkat("../data", u, "bin/link"), 0);
	store_publish(&s, "u");
	assert_int_equal(s.out.counts.added, 5);
	assert_int_equal(s.out.counts.bytes, 8);
	assert_int_equal(s.out.n_entries, 5);
	assert_string_equal(s.out.entries[0].path, "bin");
	assert_string_equal(s.out.entries[1].path, "bin/link");
	assert_string_equal(s.out.entries[1].target, "../data");
	const struct cache_entry *x = entry_of(&s, "bin/run");
	assert_int_equal(x->mode, 0755);
	assert_int_equal(x->mtime_s, 1600000000);
	assert_int_equal(x->mtime_ns, 123456789);
	char sha[CACHE_ID];
	cache_digest("hello", 5, sha);
	assert_string_equal(entry_of(&s, "data")->sha256, sha);
	store_expect(&s, "data", "hello");
	assert_int_equal(fstatat(s.fds[0], "data", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	struct err e = ERR_INIT;
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	store_end(&s);
}

static void the_upper_may_be_deleted_afterwards_and_its_files_were_not_copied(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	struct stat before, after;
	auto_fd int u = sub(s.f->work, "u");
	put(u, "a/file", "content");
	assert_int_equal(fstatat(u, "a/file", &before, 0), 0);
	store_publish(&s, "u");
	assert_int_equal(fstatat(s.fds[0], "a/file", &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	OK(dir_remove(s.f->work, "u", &e));
	store_expect(&s, "a/file", "content");
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	store_end(&s);
}

/* chmod on a name in the store would change the job's other name of it. */
static void a_file_with_two_names_is_copied(void **state)
{
	STORE();
	struct stat st, in;
	auto_fd int u = sub(s.f->work, "u");
	put_bytes(u, "one", "x", 1, 0600);
	assert_int_equal(linkat(u, "one", u, "two", 0), 0);
	store_publish(&s, "u");
	assert_int_equal(fstatat(u, "one", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(fstatat(s.fds[0], "one", &in, 0), 0);
	assert_int_equal(in.st_mode & 07777, 0644);
	store_end(&s);
}

static void identical_bytes_are_no_change_whatever_the_time(void **state)
{
	STORE(RULES({"**", CACHE_REJECT}));
	size_t n = s.n_rules;
	s.n_rules = 0;
	auto_fd int u = sub(s.f->work, "u");
	put(u, "index/a", "same");
	assert_int_equal(symlinkat("index/a", u, "l"), 0);
	store_publish(&s, "u");
	assert_int_equal(utimensat(u, "index/a", NULL, 0), 0);
	s.n_rules = n; /* even where no change is allowed */
	store_publish(&s, "u");
	assert_true(s.out.nothing);
	assert_int_equal(s.out.counts.identical, 2);
	assert_int_equal(s.out.n_entries, 2); /* and not the directory */
	expect_change(&s, "index/a", CACHE_IDENTICAL);
	expect_change(&s, "l", CACHE_IDENTICAL);
	expect_clean(s.f, 1);
	store_end(&s);
}

static void the_first_writer_stays_and_the_conflict_is_recorded(void **state)
{
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	put(u, "a/x", "first");
	put(u, "b", "file");
	put(u, "c/d", "in a directory");
	store_publish(&s, "u");
	auto_fd int v = sub(s.f->work, "v");
	put(v, "a/x", "other");
	put(v, "b/under/deep", "the store has a file above");
	put(v, "c", "the store has a directory");
	put(v, "new", "n");
	store_publish(&s, "v");
	expect_change(&s, "a/x", CACHE_CONFLICT);
	expect_change(&s, "b", CACHE_CONFLICT);
	expect_change(&s, "b/under", CACHE_CONFLICT);
	expect_change(&s, "b/under/deep", CACHE_CONFLICT);
	expect_change(&s, "c", CACHE_CONFLICT);
	expect_change(&s, "new", CACHE_ADDED);
	assert_non_null(entry_of(&s, "a/x")->reason);
	store_expect(&s, "a/x", "first");
	store_expect(&s, "b", "file");
	store_expect(&s, "c/d", "in a directory");
	assert_int_equal(s.out.layer.entries, 1);
	store_end(&s);
}

static void each_rule_decides_about_other_bytes(void **state)
{
	STORE(RULES({"keep", CACHE_KEEP}, {"newest*", CACHE_NEWEST}, {"drop/**", CACHE_DROP}));
	auto_fd int u = sub(s.f->work, "u");
	put(u, "keep", "1");
	put(u, "newest", "1");
	put(u, "newest-old", "1");
	put(u, "drop/x", "1");
	store_publish(&s, "u");
	expect_change(&s, "drop", CACHE_DROPPED);
	expect_change(&s, "drop/x", CACHE_DROPPED);
	assert_int_equal(store_has(&s, "drop"), -1);
	auto_fd int v = sub(s.f->work, "v");
	put(v, "keep", "2");
	put(v, "newest", "2");
	put(v, "newest-old", "2");
	const struct timespec later[2] = {{.tv_sec = 1600000000, .tv_nsec = 123456790},
					  {.tv_sec = 1600000000, .tv_nsec = 123456790}};
	assert_int_equal(utimensat(v, "newest", later, 0), 0);
	store_publish(&s, "v");
	expect_change(&s, "keep", CACHE_DROPPED);
	expect_change(&s, "newest", CACHE_REPLACED);
	expect_change(&s, "newest-old", CACHE_DROPPED);
	store_expect(&s, "keep", "1");
	store_expect(&s, "newest", "2");
	store_expect(&s, "newest-old", "1");
	store_end(&s);
}

static void a_rule_that_rejects_refuses_the_whole_harvest(void **state)
{
	enum { KINDS = 3 };
	STORE(RULES({"good/**", CACHE_SAME}, {"tmp/**", CACHE_DROP}, {"**", CACHE_REJECT}));
	auto_fd int u = sub(s.f->work, "u");
	put(u, "good/x", "1");
	put(u, "tmp/y", "1");
	store_publish(&s, "u");
	assert_int_equal(s.out.counts.added, 2);
	for (size_t i = 0; i < KINDS; i++) {
		struct err e = ERR_INIT;
		char name[8];
		snprintf(name, sizeof(name), "v%zu", i);
		auto_fd int v = sub(s.f->work, name);
		put(v, "good/new", "1");
		if (i == 0)
			put(v, "evil", "1");
		else if (i == 1)
			assert_int_equal(mkfifoat(v, "evil", 0644), 0);
		else
			close(sub(v, "dir/empty"));
		assert_int_equal(store_try(&s, name, &e), -1);
		assert_int_equal(e.kind, ERR_HOSTILE);
		assert_true(s.out.nothing);
	}
	expect_clean(s.f, 1);
	store_end(&s);
}

static void deletions_are_seen_and_never_merged(void **state)
{
	STORE(RULES({"log*", CACHE_REJECT}));
	auto_fd int u = sub(s.f->work, "u");
	size_t n = s.n_rules;
	s.n_rules = 0;
	put(u, "logs/old", "1");
	put(u, "opaque/old", "1");
	store_publish(&s, "u");
	s.n_rules = n;
	auto_fd int v = sub(s.f->work, "v");
	auto_fd int l = sub(v, "logs"), o = sub(v, "opaque");
	if (mknodat(l, "old", S_IFCHR, makedev(0, 0)) ||
	    fsetxattr(o, "user.overlay.opaque", "y", 1, 0)) {
		print_message("no whiteouts or attributes here: %s\n", strerror(errno));
		store_end(&s);
		skip();
	}
	assert_int_equal(mknodat(v, "nothing", S_IFCHR, makedev(0, 0)), 0);
	/* as on an upper that takes no devices */
	put(v, "mark", "");
	auto_fd int mark = openat(v, "mark", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(mark, "user.overlay.whiteout", "y", 1, 0), 0);
	put(v, "empty", "");
	put(o, "new", "2");
	store_publish(&s, "v");
	expect_change(&s, "logs/old", CACHE_DELETED);
	expect_change(&s, "nothing", CACHE_DELETED);
	expect_change(&s, "mark", CACHE_DELETED);
	expect_change(&s, "empty", CACHE_ADDED);
	expect_change(&s, "opaque", CACHE_DELETED);
	expect_change(&s, "opaque/new", CACHE_ADDED);
	store_expect(&s, "logs/old", "1");
	store_expect(&s, "opaque/old", "1");
	assert_int_equal(s.out.layer.entries, 3);
	/* The attribute did not come along: in the next mount it would hide the store. */
	assert_int_equal(getxattr("/", "user.overlay.opaque", NULL, 0), -1);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d/opaque", s.fds[1]);
	assert_int_equal(listxattr(path, NULL, 0), 0);
	/* In a mount of the other kind these are only bytes. */
	s.trusted = true;
	auto_fd int w = sub(s.f->work, "w");
	auto_fd int wo = sub(w, "opaque");
	assert_int_equal(fsetxattr(wo, "user.overlay.opaque", "y", 1, 0), 0);
	store_publish(&s, "w");
	assert_null(entry_of(&s, "opaque"));
	store_end(&s);
}

static void attributes_of_files_do_not_come_along(void **state)
{
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	put(u, "x", "1");
	auto_fd int x = openat(u, "x", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(x, "user.overlay.redirect.not", "/etc", 4, 0) ||
	    fsetxattr(x, "user.mine", "1", 1, 0)) {
		print_message("no attributes here: %s\n", strerror(errno));
		skip();
	}
	put(u, "meta", "");
	auto_fd int m = openat(u, "meta", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(m, "user.overlay.metacopy", "", 0, 0), 0);
	put(u, "moved/x", "1");
	auto_fd int moved = sub(u, "moved");
	assert_int_equal(fsetxattr(moved, "user.overlay.redirect", "/y", 2, 0), 0);
	store_publish(&s, "u");
	expect_change(&s, "x", CACHE_ADDED);
	expect_change(&s, "meta", CACHE_REFUSED);
	expect_change(&s, "moved", CACHE_REFUSED);
	assert_null(entry_of(&s, "moved/x"));
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d/x", s.fds[0]);
	assert_int_equal(listxattr(path, NULL, 0), 0);
	store_end(&s);
}

static void what_may_not_be_shared_is_refused_and_the_rest_goes_on(void **state)
{
	STORE(.max_file = 100);
	auto_fd int u = sub(s.f->work, "u");
	char big[101] = "";
	put(u, "good", "1");
	put_bytes(u, "setuid", "1", 1, 04755);
	put_bytes(u, "unreadable", "1", 1, 0);
	put_bytes(u, "big", big, sizeof(big), 0644);
	put(u, "closed/x", "1");
	put(u, ".assay/x.json", "{}");
	put(u, ".assayer", "not ours");
	assert_int_equal(fchmodat(u, "closed", 0, 0), 0);
	assert_int_equal(mkfifoat(u, "fifo", 0644), 0);
	auto_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/work/u/sock", s.f->path);
	assert_int_equal(bind(sock, (struct sockaddr *)&at, sizeof(at)), 0);
	static const char *const refused[] = {"setuid", "unreadable", "big", "closed",
					      ".assay", "fifo",       "sock"};
	store_publish(&s, "u");
	for (size_t i = 0; i < countof(refused); i++) {
		expect_change(&s, refused[i], CACHE_REFUSED);
		assert_non_null(entry_of(&s, refused[i])->reason);
	}
	assert_int_equal(s.out.counts.refused, countof(refused));
	assert_int_equal(s.out.counts.added, 2);
	assert_int_equal(s.out.layer.entries, 2);
	if (!geteuid()) {
		auto_fd int v = sub(s.f->work, "v");
		assert_int_equal(mknodat(v, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
		put(v, "foreign", "1");
		assert_int_equal(fchownat(v, "foreign", 12345, 12345, 0), 0);
		store_publish(&s, "v");
		expect_change(&s, "null", CACHE_REFUSED);
		struct stat st;
		assert_int_equal(fstatat(s.fds[1], "foreign", &st, 0), 0);
		assert_int_equal(st.st_uid, 0);
		assert_int_equal(fstatat(v, "foreign", &st, 0), 0);
		assert_int_equal(st.st_uid, 12345);
	}
	assert_int_equal(fchmodat(u, "closed", 0700, 0), 0);
	store_end(&s);
}

static void links_must_stay_in_the_store(void **state)
{
	static const struct {
		const char *at, *to;
		enum cache_change is;
	} t[] = {
		{"a", "b", CACHE_ADDED},
		{"d/a", "../b", CACHE_ADDED},
		{"d/e/a", "../../b/c", CACHE_ADDED},
		{"d/b", "./c/./d", CACHE_ADDED},
		{"abs", "/etc/passwd", CACHE_REFUSED},
		{"up", "../x", CACHE_REFUSED},
		{"d/up", "../../x", CACHE_REFUSED},
		{"d/back", "x/../y", CACHE_REFUSED},
		{"up2", "./../x", CACHE_REFUSED},
		{"dots", "..", CACHE_REFUSED},
		{"name", "..x/...", CACHE_ADDED},
	};
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	close(sub(u, "d/e"));
	for (size_t i = 0; i < countof(t); i++)
		assert_int_equal(symlinkat(t[i].to, u, t[i].at), 0);
	store_publish(&s, "u");
	for (size_t i = 0; i < countof(t); i++)
		expect_change(&s, t[i].at, t[i].is);
	store_end(&s);
}

static void bounds_refuse_the_whole_harvest(void **state)
{
	struct err e = ERR_INIT;
	STORE();
	auto_fd int u = sub(s.f->work, "u");
	put(u, "a/b/c/file", "12345");
	put(u, "file", "12345");
	s.max_entries = 4;
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	s.max_entries = 5;
	s.max_bytes = 9;
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	s.max_bytes = 10;
	s.max_depth = 3;
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	s.max_depth = 4;
	OK(store_try(&s, "u", &e));
	store_end(&s);
}

static void paths_longer_than_path_max_are_published(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	char name[201];
	auto_fd int at = sub(s.f->work, "u");
	memset(name, 'd', 200);
	name[200] = '\0';
	for (int i = 0; i < 50; i++) {
		int next = sub(at, name);
		close(at);
		at = next;
	}
	put(at, "leaf", "1");
	store_publish(&s, "u");
	assert_int_equal(s.out.counts.added, 51);
	OK(cache_layer_verify(s.f->c, s.ids[0], &e));
	store_publish(&s, "u");
	assert_true(s.out.nothing);
	assert_int_equal(s.out.counts.identical, 1);
	put(at, "leaf", "2");
	store_publish(&s, "u");
	assert_int_equal(s.out.counts.conflicts, 1);
	store_end(&s);
}

static void a_harvest_that_takes_too_long_is_refused(void **state)
{
	STORE(.max_ms = 1);
	struct err e = ERR_INIT;
	for (int i = 0; i < 2000; i++) {
		auto_free char *path = own_fmt("u/%d", i);
		put(s.f->work, path, "x");
	}
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	assert_non_null(strstr(e.text, "took longer"));
	s.max_ms = 0;
	OK(store_try(&s, "u", &e));
	store_end(&s);
}

/* 5,000 paths of 60,000 bytes: no bound on their number helps against that. */
static void names_do_not_take_memory_without_end(void **state)
{
	STORE();
	struct err e = ERR_INIT;
	char name[251];
	auto_fd int at = sub(s.f->work, "u");
	memset(name, 'd', 250);
	name[250] = '\0';
	for (int i = 0; i < 240; i++) {
		int next = mkdirat(at, name, 0755)
				   ? -1
				   : openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(mknodat(at, name, S_IFREG | 0644, 0), 0);
	}
	assert_int_equal(store_try(&s, "u", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	store_end(&s);
}

/* ---- npm ---- */

#define INDEX "index-v5/aa/bb/cc"
#define SHA1_ABC "content-v2/sha1/a9/99/3e364706816aba3e25717850c26c9cd0d89d"

static void content_that_is_not_what_its_name_says_refuses_all(void **state)
{
	struct err e = ERR_INIT;
	STORE(RULES({"content-v2/**", CACHE_CONTENT_HASH}));
	auto_fd int u = sub(s.f->work, "u");
	put(u, SHA1_ABC, "abc");
	store_publish(&s, "u");
	expect_change(&s, SHA1_ABC, CACHE_ADDED);
	auto_fd int v = sub(s.f->work, "v");
	put(v, "content-v2/sha1/a9/99/3e364706816aba3e25717850c26c9cd0d89e", "abc");
	put(v, "good", "1");
	assert_int_equal(store_try(&s, "v", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	assert_non_null(strstr(e.text, "3e364706816aba3e25717850c26c9cd0d89e"));
	/* Also where the store has the true bytes at that path. */
	auto_fd int w = sub(s.f->work, "w");
	put(w, SHA1_ABC, "fak");
	assert_int_equal(store_try(&s, "w", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	auto_fd int x = sub(s.f->work, "x");
	put(x, "content-v2/md5/file", "fak");
	assert_int_equal(store_try(&s, "x", &e), -1);
	assert_int_equal(e.kind, ERR_HOSTILE);
	expect_clean(s.f, 1);
	store_end(&s);
}

static void bucket(int at, const char *json)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n;
	auto_text struct text t = TEXT_INIT;
	EVP_Digest(json, strlen(json), raw, &n, EVP_sha1(), NULL);
	text_add(&t, "\n");
	for (unsigned i = 0; i < n; i++)
		text_addf(&t, "%02x", raw[i]);
	text_addf(&t, "\t%s", json);
	put(at, INDEX, t.p);
}

/* One valid line of about n bytes about the key. */
static void large_bucket(int at, const char *key, size_t n)
{
	auto_text struct text t = TEXT_INIT;
	auto_free char *pad = own_calloc(1, n + 1);
	memset(pad, 'x', n);
	text_addf(&t, "{\"key\":\"%s\",\"integrity\":\"%s\",\"time\":1}", key, pad);
	bucket(at, t.p);
}

/* Each may be read, both together not: nobody could merge with what they would become. */
static void a_bucket_never_becomes_larger_than_can_be_merged(void **state)
{
	STORE(RULES({"index-v5/**", CACHE_UNION_LINES}));
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v"), w = sub(s.f->work, "w");
	large_bucket(u, "a", 9 << 20);
	store_publish(&s, "u");
	expect_change(&s, INDEX, CACHE_ADDED);
	large_bucket(v, "b", 9 << 20);
	store_publish(&s, "v");
	expect_change(&s, INDEX, CACHE_CONFLICT);
	large_bucket(w, "c", 1);
	store_publish(&s, "w");
	expect_change(&s, INDEX, CACHE_MERGED);
	store_end(&s);
}

static void counters_of_jobs_that_ran_at_once_are_added(void **state)
{
	STORE(RULES({"**/stats", CACHE_SUM_COUNTERS}));
	auto_fd int first = sub(s.f->work, "first"), u = sub(s.f->work, "u"),
		    v = sub(s.f->work, "v"), w = sub(s.f->work, "w");
	put(first, "a/stats", "10\n20\n");
	store_publish(&s, "first");
	expect_change(&s, "a/stats", CACHE_ADDED);
	s.base = s.fds[0];
	s.has_base = true;
	/* Both saw the first one. */
	put(u, "a/stats", "11\n20\n");
	put(v, "a/stats", "11\n25\n");
	store_publish(&s, "u");
	expect_change(&s, "a/stats", CACHE_MERGED);
	store_publish(&s, "v");
	expect_change(&s, "a/stats", CACHE_MERGED);
	store_expect(&s, "a/stats", "12\n25\n");
	put(w, "a/stats", "10\n20\n"); /* copied up, nothing added */
	put(w, "b/stats", "none\n");
	assert_int_equal(symlinkat("stats", w, "a/link"), 0);
	assert_int_equal(mkdirat(w, "c", 0755), 0);
	assert_int_equal(symlinkat("stats", w, "c/stats"), 0);
	store_publish(&s, "w");
	expect_change(&s, "a/stats", CACHE_IDENTICAL);
	expect_change(&s, "b/stats", CACHE_REFUSED);
	assert_string_equal(entry_of(&s, "b/stats")->reason, "line 1 is no counter");
	expect_change(&s, "c/stats", CACHE_REFUSED);
	store_end(&s);
}

static void index_buckets_are_joined(void **state)
{
	static const char a[] = "{\"key\":\"a\",\"integrity\":\"1\",\"time\":1}",
			  b[] = "{\"key\":\"b\",\"integrity\":\"1\",\"time\":2}";
	STORE(RULES({"index-v5/**", CACHE_UNION_LINES}));
	auto_fd int u = sub(s.f->work, "u"), v = sub(s.f->work, "v"), w = sub(s.f->work, "w");
	bucket(u, a);
	bucket(v, b);
	store_publish(&s, "u");
	expect_change(&s, INDEX, CACHE_ADDED);
	store_publish(&s, "v");
	expect_change(&s, INDEX, CACHE_MERGED);
	auto_free char *is = get(s.fds[1], INDEX);
	assert_non_null(strstr(is, a));
	assert_non_null(strstr(is, b));
	char sha[CACHE_ID];
	cache_digest(is, strlen(is), sha);
	assert_string_equal(entry_of(&s, INDEX)->sha256, sha);
	assert_int_equal(entry_of(&s, INDEX)->size, strlen(is));
	store_publish(&s, "u"); /* says nothing new any more */
	expect_change(&s, INDEX, CACHE_IDENTICAL);
	assert_true(s.out.nothing);
	put(w, INDEX, "\nrubbish\n");
	store_publish(&s, "w");
	assert_true(s.out.nothing);
	auto_fd int y = sub(s.f->work, "y");
	put(y, "index-v5/aa/bb/new", "\nrubbish\n");
	assert_int_equal(symlinkat("cc", y, "index-v5/aa/bb/link"), 0);
	store_publish(&s, "y");
	expect_change(&s, "index-v5/aa/bb/new", CACHE_REFUSED);
	expect_change(&s, "index-v5/aa/bb/link", CACHE_REFUSED);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(new_files_directories_and_links_are_added),
		T(the_upper_may_be_deleted_afterwards_and_its_files_were_not_copied),
		T(a_file_with_two_names_is_copied),
		T(identical_bytes_are_no_change_whatever_the_time),
		T(the_first_writer_stays_and_the_conflict_is_recorded),
		T(each_rule_decides_about_other_bytes),
		T(a_rule_that_rejects_refuses_the_whole_harvest),
		T(deletions_are_seen_and_never_merged),
		T(attributes_of_files_do_not_come_along),
		T(what_may_not_be_shared_is_refused_and_the_rest_goes_on),
		T(links_must_stay_in_the_store),
		T(bounds_refuse_the_whole_harvest),
		T(paths_longer_than_path_max_are_published),
		T(a_harvest_that_takes_too_long_is_refused),
		T(names_do_not_take_memory_without_end),
		T(content_that_is_not_what_its_name_says_refuses_all),
		T(a_bucket_never_becomes_larger_than_can_be_merged),
		T(counters_of_jobs_that_ran_at_once_are_added),
		T(index_buckets_are_joined),
	};
	return cmocka_run_group_tests_name("cache/harvest", tests, NULL, NULL);
}
