/* What the database says a generation shows is what its layers show, whatever was published,
 * deleted, gone back to, flattened, revoked and collected before, and after all of it was made
 * again from the archive. ASSAY_TEST_HISTORIES says how many random histories (3), ASSAY_TEST_SEED
 * the first one's seed (1). */
#include "cache_words.h"

#include "orchestrator/rows.h"
#include "orchestrator/stack.h"
#include "orchestrator/store_end.h"

#include <dirent.h>
#include <errno.h>

/* ---- what layers show: overlayfs.rst read once more, beside cache/flatten.c ---- */

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && !st->st_rdev;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in any of these directories, sorted; the caller frees each and the list. */
static char **names_of(const int *dirs, size_t n, size_t *n_out)
{
	char **names = NULL;
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		DIR *d = fdopendir(openat(dirs[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		assert_non_null(d);
		for (struct dirent *x; (x = readdir(d));) {
			bool known = !strcmp(x->d_name, ".") || !strcmp(x->d_name, "..");
			for (size_t j = 0; j < k && !known; j++)
				known = !strcmp(names[j], x->d_name);
			if (known)
				continue;
			names = own_grow(names, k + 1, sizeof(*names));
			names[k++] = own_dup(x->d_name);
		}
		closedir(d);
	}
	if (k)
		qsort(names, k, sizeof(*names), by_name);
	*n_out = k;
	return names;
}

static void tell_leaf(int dir, const char *name, const char *path, const struct stat *st,
		      struct text *out)
{
	char id[CACHE_ID] = "-";
	struct err e = ERR_INIT;
	if (S_ISREG(st->st_mode)) {
		auto_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		OK(cache_digest_fd(fd, id, &e));
	}
	text_addf(out, "%s %c %lld %s\n", path, S_ISREG(st->st_mode) ? 'f' : 'l',
		  (long long)st->st_size, id);
}

/* Files and links to out, directories to folders, which may be NULL. */
static void tell_merged(const int *dirs, size_t n, const char *above, struct text *out,
			struct text *folders)
{
	size_t n_names;
	char **names = names_of(dirs, n, &n_names);
	for (size_t i = 0; i < n_names; i++) {
		auto_free char *path = own_fmt("%s%s", above, names[i]);
		auto_free int *below = own_calloc(n + 1, sizeof(*below));
		size_t n_below = 0;
		for (size_t k = 0; k < n; k++) {
			struct stat st;
			if (fstatat(dirs[k], names[i], &st, AT_SYMLINK_NOFOLLOW))
				continue;
			if (S_ISDIR(st.st_mode)) {
				below[n_below++] = openat(dirs[k], names[i],
							  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
				continue;
			}
			if (!n_below && !is_whiteout(&st))
				tell_leaf(dirs[k], names[i], path, &st, out);
			break;
		}
		auto_free char *inside = own_fmt("%s/", path);
		if (n_below && folders)
			text_addf(folders, "\n%s\n", path);
		if (n_below)
			tell_merged(below, n_below, inside, out, folders);
		for (size_t k = 0; k < n_below; k++)
			close(below[k]);
		free(names[i]);
	}
	free(names);
}

static int by_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines of t in bytewise order. */
static char *sorted(struct text *t)
{
	char *rest = NULL, **lines = NULL;
	size_t n = 0;
	auto_free char *all = text_take(t);
	for (char *l = strtok_r(all, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
		lines = own_grow(lines, n + 1, sizeof(*lines));
		lines[n++] = l;
	}
	if (n)
		qsort(lines, n, sizeof(*lines), by_line);
	struct text out = TEXT_INIT;
	for (size_t i = 0; i < n; i++)
		text_addf(&out, "%s\n", lines[i]);
	free(lines);
	return text_take(&out);
}

static char *shown_with(struct place *p, int64_t generation, struct text *folders)
{
	struct err e = ERR_INIT;
	struct db_table *t;
	struct text out = TEXT_INIT;
	auto_free char *id = own_fmt("%lld", (long long)generation);
	const char *arg = id;
	OK(db_named(p->state->db, "generation-layers", &arg, 1, &t, &e));
	auto_free int *fds = own_calloc(t->n_rows + 1, sizeof(*fds));
	for (size_t i = 0; i < t->n_rows; i++) {
		int fd = cache_layer_open(p->state->cache, rows_str(t, i, "layer"), &e);
		if (fd < 0)
			fail_msg("%s", e.text);
		fds[i] = fd;
	}
	tell_merged(fds, t->n_rows, "", &out, folders);
	for (size_t i = 0; i < t->n_rows; i++)
		close(fds[i]);
	db_table_free(t);
	return sorted(&out);
}

static char *shown_by_layers(struct place *p, int64_t generation)
{
	return shown_with(p, generation, NULL);
}

/* ---- what the database says ---- */

static char *shown_by_database(struct place *p, int64_t generation)
{
	struct err e = ERR_INIT;
	struct db_table *t;
	struct text out = TEXT_INIT;
	auto_free char *id = own_fmt("%lld", (long long)generation);
	const char *arg = id;
	OK(db_named(p->state->db, "generation-entries", &arg, 1, &t, &e));
	for (size_t i = 0; i < t->n_rows; i++) {
		const char *sha256 = rows_text(t, i, "sha256");
		text_addf(&out, "%s %s %lld %s\n", rows_str(t, i, "path"), rows_str(t, i, "type"),
			  (long long)rows_int(t, i, "size", -1), sha256 ? sha256 : "-");
	}
	db_table_free(t);
	return sorted(&out);
}

static char *shown_by_view(struct place *p)
{
	struct text out = TEXT_INIT;
	auto_free char *rows =
		place_ask(p, "SELECT path || ' ' || type || ' ' || size || ' ' || coalesce(sha256, "
			     "'-') FROM v_entry WHERE current AND type <> 'd'");
	text_addf(&out, "%s\n", rows);
	return sorted(&out);
}

/* ---- one against the other ---- */

struct story {
	struct place *p;
	unsigned seed, random;
	struct text told; /* what was done, for who has to find out */
};

static unsigned story_random(struct story *s, unsigned n)
{
	s->random = s->random * 1103515245u + 12345u;
	return (s->random >> 16) % n;
}

static void expect_same(struct story *s, const char *what, int64_t generation, const char *is,
			const char *want)
{
	if (!strcmp(is, want))
		return;
	fail_msg("seed %u, generation %lld: %s says\n%sand its layers show\n%safter\n%s", s->seed,
		 (long long)generation, what, is, want, text_str(&s->told));
}

/* Each change from one list to another, as generation-diff tells them: path and word. */
static char *difference(const char *old, const char *new)
{
	struct text out = TEXT_INIT;
	const char *sides[] = {old, new}, *others[] = {new, old};
	for (size_t side = 0; side < 2; side++) {
		char *rest = NULL;
		auto_free char *lines = own_dup(sides[side]);
		for (char *l = strtok_r(lines, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
			auto_free char *line = own_fmt("\n%s\n", l),
				       *all = own_fmt("\n%s", others[side]),
				       *path = own_dup_n(l, strcspn(l, " ")),
				       *start = own_fmt("\n%s ", path);
			if (strstr(all, line))
				continue;
			bool both = strstr(all, start) != NULL;
			if (!both || side)
				text_addf(&out, "%s %s\n", path,
					  both   ? "changed"
					  : side ? "added"
						 : "gone");
		}
	}
	return sorted(&out);
}

static void expect_diff(struct story *s, int64_t from, int64_t to)
{
	struct err e = ERR_INIT;
	struct db_table *t;
	struct text out = TEXT_INIT;
	auto_free char *one = own_fmt("%lld", (long long)from),
		       *two = own_fmt("%lld", (long long)to);
	const char *args[] = {one, two};
	OK(db_named(s->p->state->db, "generation-diff", args, 2, &t, &e));
	for (size_t i = 0; i < t->n_rows; i++)
		text_addf(&out, "%s %s\n", rows_str(t, i, "path"), rows_str(t, i, "change"));
	db_table_free(t);
	auto_free char *is = sorted(&out), *old = shown_by_layers(s->p, from),
		       *new = shown_by_layers(s->p, to), *want = difference(old, new);
	expect_same(s, "the difference", to, is, want);
}

/* An archive of it has the same in it. */
static void expect_exports(struct story *s, const char *want)
{
	struct err e = ERR_INIT;
	struct place *p = s->p;
	struct cache_exported x;
	struct cache_unpacked u;
	struct text out = TEXT_INIT;
	auto_free const char **ids = own_calloc(p->shelf.n_layers + 1, sizeof(*ids));
	for (size_t i = 0; i < p->shelf.n_layers; i++)
		ids[i] = p->shelf.layers[i];
	auto_free char *file = own_fmt("%s/archive", p->path);
	auto_fd int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	OK(cache_export(p->state->cache, ids, p->shelf.n_layers, fd, &x, &e));
	if (x.entries) { /* no archive of nothing is taken in */
		OK(cache_unpack(p->state->cache, file, x.sha256, &(struct cache_import){0}, &u,
				&e));
		tell_merged(&u.fd, 1, "", &out, NULL);
		cache_unpack_drop(&u);
	}
	auto_free char *is = sorted(&out);
	expect_same(s, "its archive", p->shelf.generation, is, want);
}

/* A directory that somebody brought is there. */
static void expect_folders(struct story *s)
{
	char *rest = NULL;
	auto_text struct text folders = TEXT_INIT;
	auto_free char *rows =
		place_ask(s->p, "SELECT path FROM v_entry WHERE current AND type = 'd'");
	free(shown_with(s->p, s->p->shelf.generation, &folders));
	for (char *f = strtok_r(rows, "\n", &rest); f; f = strtok_r(NULL, "\n", &rest)) {
		auto_free char *line = own_fmt("\n%s\n", f);
		if (!strstr(text_str(&folders), line))
			fail_msg("seed %u: there is no directory %s after\n%s", s->seed, f,
				 text_str(&s->told));
	}
}

static int64_t *generations(struct story *s, size_t *n)
{
	struct err e = ERR_INIT;
	struct db_table *t;
	OK(db_query(s->p->state->db, "SELECT id FROM generation ORDER BY id", NULL, 0, &t, &e));
	int64_t *ids = own_calloc(t->n_rows + 1, sizeof(*ids));
	for (size_t i = 0; i < t->n_rows; i++)
		ids[i] = rows_int(t, i, "id", 0);
	*n = t->n_rows;
	db_table_free(t);
	return ids;
}

static void expect_agreement(struct story *s)
{
	size_t n;
	auto_free int64_t *ids = generations(s, &n);
	place_load(s->p);
	for (size_t i = 0; i < n; i++) {
		auto_free char *layers = shown_by_layers(s->p, ids[i]),
			       *rows = shown_by_database(s->p, ids[i]);
		expect_same(s, "the database", ids[i], rows, layers);
		if (ids[i] != s->p->shelf.generation)
			continue;
		auto_free char *view = shown_by_view(s->p);
		expect_same(s, "v_entry", ids[i], view, layers);
		expect_exports(s, layers);
		expect_folders(s);
	}
	if (n)
		expect_diff(s, ids[story_random(s, (unsigned)n)],
			    ids[story_random(s, (unsigned)n)]);
}

/* ---- what happens to a store ---- */

static void put_at(int upper, const char *path, unsigned what)
{
	static const char *const contents[] = {"1", "22", "333"};
	const struct timespec t[2] = {{.tv_sec = 1600000000 + (time_t)(what / 4)},
				      {.tv_sec = 1600000000 + (time_t)(what / 4)}};
	if (what % 4 < 3) {
		place_put(upper, path, contents[what % 4]);
	} else {
		struct err e = ERR_INIT;
		const char *slash = strrchr(path, '/');
		auto_free char *above =
			slash ? own_dup_n(path, (size_t)(slash - path)) : own_dup(".");
		auto_fd int dir = dir_make(upper, above, 0755, &e);
		assert_true(dir >= 0);
		unlinkat(dir, slash ? slash + 1 : path, 0);
		assert_int_equal(symlinkat("else", dir, slash ? slash + 1 : path), 0);
	}
	assert_int_equal(utimensat(upper, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

/* false where who runs this may make no whiteouts. */
static bool hide_at(int upper, const char *path)
{
	struct err e = ERR_INIT;
	const char *slash = strrchr(path, '/');
	auto_free char *above = slash ? own_dup_n(path, (size_t)(slash - path)) : own_dup(".");
	auto_fd int dir = dir_make(upper, above, 0755, &e);
	assert_true(dir >= 0);
	return !mknodat(dir, slash ? slash + 1 : path, S_IFCHR, 0);
}

static void publish(struct story *s, int upper, const char *job)
{
	struct err e = ERR_INIT;
	if (place_try(s->p, upper, job, 0, &e))
		fail_msg("%s after\n%s", e.text, text_str(&s->told));
}

static void publish_some(struct story *s)
{
	static const char *const paths[] = {"a", "d/x", "d/y", "d/e/z", "l", "l/m", "d/e"};
	auto_fd int upper = place_upper(s->p);
	auto_free char *job = own_fmt("run 1 p%u@1 fetch", story_random(s, 3));
	text_addf(&s->told, "%s:", job);
	bool used[countof(paths)] = {false};
	for (unsigned i = 0, n = 1 + story_random(s, 2); i < n; i++) {
		unsigned at = story_random(s, countof(paths)), what = story_random(s, 8);
		/* No directory where this upper has a file already. */
		if (used[at] || ((at == 4 || at == 5) && (used[4] || used[5])) ||
		    ((at == 3 || at == 6) && (used[3] || used[6])))
			continue;
		used[at] = true;
		text_addf(&s->told, " %s=%u", paths[at], what);
		put_at(upper, paths[at], what);
	}
	text_addc(&s->told, '\n');
	publish(s, upper, job);
}

static void delete_some(struct story *s)
{
	static const char *const paths[] = {"a", "d/x", "d", "d/e", "l"};
	auto_fd int upper = place_upper(s->p);
	const char *path = paths[story_random(s, countof(paths))];
	text_addf(&s->told, "delete %s\n", path);
	if (!hide_at(upper, path))
		skip();
	publish(s, upper, "run 2 q@1 fetch");
}

static void go_back(struct story *s)
{
	size_t n;
	struct err e = ERR_INIT;
	auto_free int64_t *ids = generations(s, &n);
	if (!n)
		return;
	int64_t to = ids[story_random(s, (unsigned)n)];
	int64_t id =
		store_rollback(s->p->state->cache, s->p->state->db, "cache", to, "back", NULL, &e);
	if (id < 0 && e.kind != ERR_USAGE)
		fail_msg("%s", e.text);
	text_addf(&s->told, "roll back to %lld%s\n", (long long)to, id < 0 ? ": refused" : "");
}

/* Some of the stack, below some of it, as a compaction beside publishes does; or all. */
static void flatten_some(struct story *s)
{
	struct err e = ERR_INIT;
	struct cache_layer flat;
	struct db_generation g;
	struct cache *c = s->p->state->cache;
	OK(db_store_current(s->p->state->db, "cache", &g, &e));
	size_t above = g.n_layers > 1 ? story_random(s, (unsigned)g.n_layers) : 0;
	size_t n = 1 + (g.n_layers ? story_random(s, (unsigned)(g.n_layers - above)) : 0);
	auto_free const char **ids = own_calloc(g.n_layers + 1, sizeof(*ids));
	for (size_t i = 0; i < g.n_layers; i++)
		ids[i] = g.layers[i];
	if (g.n_layers > 1) {
		OK(cache_flatten_height(c, ids + above, n, g.n_layers - above, &n, &e));
		OK(cache_flatten(c, ids + above, n, &flat, &e));
		bool again = false;
		for (size_t i = 0; i < above; i++)
			again |= !strcmp(ids[i], flat.id);
		text_addf(&s->told, "flatten %zu of %zu below %zu%s\n", n, g.n_layers, above,
			  again ? ": one of those above it" : "");
		if (!again &&
		    db_store_flatten(s->p->state->db, "cache", g.id, above, n, flat.id,
				     (int64_t)flat.entries, (int64_t)flat.bytes, 1, &e) < 0)
			fail_msg("%s", e.text);
	}
	db_generation_fini(&g);
}

static void command(struct story *s, int status, const char *words)
{
	auto_free char *out = NULL;
	int is = cache(s->p, &out, words);
	text_addf(&s->told, "%s: %d\n", words, is);
	if (is && is != status)
		fail_msg("seed %u: %s: %d: %s after\n%s", s->seed, words, is, out,
			 text_str(&s->told));
}

static void revoke_one(struct story *s)
{
	auto_free char *harvests =
		place_ask(s->p, "SELECT DISTINCT v.harvest FROM v_entry v ORDER BY 1 DESC LIMIT 6");
	char *rest = NULL, *which = NULL;
	unsigned nth = story_random(s, 6);
	for (char *h = strtok_r(harvests, "\n", &rest); h; h = strtok_r(NULL, "\n", &rest))
		if (!which || nth-- > 0)
			which = h;
	auto_free char *words = own_fmt("revoke %s", which ? which : "0");
	command(s, EXIT_OURS, words); /* where no store shows anything of it */
}

static void collect_some(struct story *s)
{
	static const char *const words[] = {"collect --keep 3", "collect --keep 0",
					    "collect --keep 4 --max-size 4"};
	command(s, 0, words[story_random(s, countof(words))]);
}

static void make_again(struct story *s)
{
	auto_free char *before = shown_by_layers(s->p, s->p->shelf.generation),
		       *view = place_ask(s->p,
					 "SELECT path, type, sha256 FROM v_entry WHERE current"
					 " AND type <> 'd' ORDER BY path");
	command(s, 0, "rebuild");
	place_load(s->p);
	auto_free char *after = shown_by_layers(s->p, s->p->shelf.generation),
		       *view_after =
			       place_ask(s->p,
					 "SELECT path, type, sha256 FROM v_entry WHERE current"
					 " AND type <> 'd' ORDER BY path");
	expect_same(s, "what was made again", s->p->shelf.generation, after, before);
	expect_same(s, "v_entry of what was made again", s->p->shelf.generation, view_after, view);
}

static void tell_story(struct place *p, unsigned seed)
{
	/* clang-format off */
	static void (*const acts[])(struct story *s) = {
		publish_some, publish_some, publish_some, publish_some, publish_some, delete_some, delete_some,
		delete_some, go_back, go_back, flatten_some, flatten_some, revoke_one, collect_some, make_again,
	};
	/* clang-format on */
	struct story s = {.p = p, .seed = seed, .random = seed * 2654435761u, .told = TEXT_INIT};
	for (int i = 0; i < 20; i++) {
		acts[story_random(&s, countof(acts))](&s);
		expect_agreement(&s);
	}
	make_again(&s);
	expect_agreement(&s);
	command(&s, 0, "verify --dry-run");
	place_expect_sound(p);
	text_fini(&s.told);
}

static void every_generation_is_what_its_layers_show(void **state)
{
	struct place *p = *state;
	struct cache_rule newest[] = {{"d/**", CACHE_NEWEST}, {"a", CACHE_NEWEST}};
	const char *count = getenv("ASSAY_TEST_HISTORIES"), *first = getenv("ASSAY_TEST_SEED");
	unsigned n = count ? (unsigned)strtoul(count, NULL, 10) : 3,
		 seed = first ? (unsigned)strtoul(first, NULL, 10) : 1;
	for (unsigned i = 0; i < n; i++) {
		if (i) {
			assert_int_equal(place_teardown(state), 0);
			place_setup(state);
			p = *state;
		}
		p->store.rules = newest;
		p->store.n_rules = countof(newest);
		p->store.deletions = CACHE_DELETIONS_APPLY;
		tell_story(p, seed + i);
	}
}

/* ---- one by one ---- */

static void deletes(struct place *p)
{
	p->store.deletions = CACHE_DELETIONS_APPLY;
	place_publish_file(p, "a", "1", "one");
	auto_fd int upper = place_upper(p);
	if (!hide_at(upper, "a"))
		skip();
	place_publish(p, upper, "two");
}

/* The same bytes are the same layer: where it lies in the stack counts, not who brought it last. */
static void what_came_back_is_gone_where_it_was_gone(void **state)
{
	struct place *p = *state;
	deletes(p);
	place_publish_file(p, "a", "1", "three");
	place_expect(p, "SELECT job FROM v_entry WHERE current", "three");
	expect_says(p, EXIT_OK, "rollback 2", SAYS("0 added, 0 changed, 1 gone"));
	place_expect(p, "SELECT job FROM v_entry WHERE current", "");
	expect_says(p, EXIT_OK, "entries 3 --json", SAYS("three"));
	auto_free char *none = NULL;
	assert_int_equal(cache(p, &none, "entries --json"), EXIT_OK);
	assert_null(strstr(none, "path"));
}

/* A layer that was made of others may have the bytes of one that was published: what hides below it
 * there hides nothing here. */
static void a_layer_made_of_others_hides_nothing_where_it_lies_otherwise(void **state)
{
	struct place *p = *state;
	p->store.deletions = CACHE_DELETIONS_APPLY;
	place_publish_file(p, "a", "1", "one");
	place_publish_file(p, "b", "1", "two");
	auto_fd int upper = place_upper(p);
	if (!hide_at(upper, "a"))
		skip();
	place_publish(p, upper, "three");
	expect_says(p, EXIT_OK, "compact", SAYS("3 layers became 1"));
	place_expect(p, "SELECT path FROM v_entry WHERE current", "b");
	expect_says(p, EXIT_OK, "rollback 2", SAYS("1 added"));
	place_expect(p, "SELECT path FROM v_entry WHERE current ORDER BY path", "a\nb");
	expect_says(p, EXIT_OK, "compact", SAYS("2 layers became 1"));
	place_expect(p, "SELECT path FROM v_entry WHERE current ORDER BY path", "a\nb");
}

/* Nobody said that what is in the directory is to go. */
static void a_link_takes_no_directory_s_place(void **state)
{
	struct place *p = *state;
	struct cache_rule newest[] = {{"**", CACHE_NEWEST}};
	p->store.rules = newest;
	p->store.n_rules = 1;
	place_publish_file(p, "d/x", "1", "one");
	auto_fd int upper = place_upper(p);
	put_at(upper, "d", 7); /* a link, and later than that */
	place_publish(p, upper, "two");
	place_expect(p, "SELECT path, change, reason FROM v_note",
		     "d|conflict|the store has a directory there");
	auto_free char *layers = shown_by_layers(p, p->shelf.generation), *rows = shown_by_view(p);
	assert_string_equal(rows, layers);
	assert_non_null(strstr(rows, "d/x f 1 "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
		T(what_came_back_is_gone_where_it_was_gone),
		T(a_layer_made_of_others_hides_nothing_where_it_lies_otherwise),
		T(a_link_takes_no_directory_s_place),
		T(every_generation_is_what_its_layers_show),
	};
	return cmocka_run_group_tests_name("state/shown", tests, NULL, NULL);
}
