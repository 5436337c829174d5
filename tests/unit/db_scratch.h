/* What the tests of db/ share: a database in a directory of its own, a small run in it, and one
 * number out of it. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "db/db.h"

#include <fcntl.h>
#include <string.h>

struct scratch {
	char dir[64];
	char file[96];
	struct db *db;
};

#define must(call)                                                                                 \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			fail_msg("%s: %s", #call, e.text);                                         \
	} while (0)

static inline void scratch_open(struct scratch *s)
{
	struct err e = ERR_INIT;
	snprintf(s->dir, sizeof(s->dir), "%s/assay-db-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->file, sizeof(s->file), "%s/assay.db", s->dir);
	s->db = db_open(s->file, DB_WRITE, &e);
	if (!s->db)
		fail_msg("%s", e.text);
}

static inline void scratch_close(struct scratch *s)
{
	struct err e = ERR_INIT;
	db_close(s->db);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir_remove(root, s->dir + 1, &e));
}

static inline int scratch_setup(void **state)
{
	struct scratch *s = own_calloc(1, sizeof(*s));
	scratch_open(s);
	*state = s;
	return 0;
}

static inline int scratch_teardown(void **state)
{
	scratch_close(*state);
	free(*state);
	return 0;
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

static inline struct db_table *ask(struct db *d, const char *sql)
{
	struct err e = ERR_INIT;
	struct db_table *t = NULL;
	if (db_query(d, sql, NULL, 0, &t, &e))
		fail_msg("%s: %s", sql, e.text);
	return t;
}

/* The first cell of a query's first row, a number. */
static inline int64_t number(struct db *d, const char *sql)
{
	struct db_table *t = ask(d, sql);
	if (!t->n_rows || t->cells[0].type != DB_INT)
		fail_msg("%s: no number", sql);
	int64_t n = t->cells[0].i;
	db_table_free(t);
	return n;
}

/* All rows as one text: cells divided by '|', rows by newlines, NULL as "-". The caller frees it.
 */
static inline char *table_text(const struct db_table *t)
{
	struct text out = TEXT_INIT;
	text_add(&out, "");
	for (size_t i = 0; i < t->n_rows * t->n_columns; i++) {
		const struct db_cell *c = &t->cells[i];
		if (i % t->n_columns)
			text_addc(&out, '|');
		else if (i)
			text_addc(&out, '\n');
		if (c->type == DB_TEXT)
			text_add(&out, c->s);
		else if (c->type == DB_INT)
			text_addf(&out, "%lld", (long long)c->i);
		else if (c->type == DB_REAL)
			text_addf(&out, "%g", c->r);
		else
			text_addc(&out, '-');
	}
	return text_take(&out);
}

static inline void assert_rows(struct db *d, const char *sql, const char *want)
{
	struct db_table *t = ask(d, sql);
	auto_free char *got = table_text(t);
	db_table_free(t);
	assert_string_equal(got, want);
}

static inline void assert_named(struct db *d, const char *name, const char *const *args, size_t n,
				const char *want)
{
	struct err e = ERR_INIT;
	struct db_table *t = NULL;
	must(db_named(d, name, args, n, &t, &e));
	auto_free char *got = table_text(t);
	db_table_free(t);
	assert_string_equal(got, want);
}

/* Nothing contradicts itself. */
static inline void assert_sound(struct db *d)
{
	assert_rows(d, "PRAGMA integrity_check", "ok");
	assert_rows(d, "PRAGMA foreign_key_check", "");
}

/* ---- a run of two packages under two variants: jobs[0] a/base, [1] a/next, [2] b/base, [3] b/next
 * ---- */

struct life {
	int64_t run;
	struct db_job jobs[4];
};

static inline struct life life_begin(struct db *d, int64_t started_ms)
{
	struct err e = ERR_INIT;
	struct life l = {.jobs = {{0, "a", "1.0", "base", NULL, NULL},
				  {0, "a", "1.0", "next", NULL, NULL},
				  {0, "b", "2.0", "base", NULL, NULL},
				  {0, "b", "2.0", "next", NULL, NULL}}};
	static const struct db_variant variants[] = {{"base", "node-20=1", "", NULL},
						     {"next", "node-22=2", "K=V", NULL}};
	const struct db_run run = {
		.suite = "s",
		.ecosystem = "npm",
		.goal = "test",
		.compare_base = "base",
		.compare_next = "next",
		.host = "h",
		.version = "0.1",
		.engine = "native",
		.pid = 7,
		.started_ms = started_ms,
		.jobs_at_once = 2,
	};
	l.run = db_run_begin(d, &run, variants, 2, l.jobs, 4, &e);
	must(l.run);
	return l;
}

static inline int64_t life_phase(struct db *d, const struct life *l, size_t job, bool shared,
				 const char *name, int64_t start_ms)
{
	struct err e = ERR_INIT;
	auto_free char *log =
		own_fmt("runs/%lld/%s-%s-%s.zst", (long long)l->run, l->jobs[job].package,
			shared ? "all" : l->jobs[job].variant, name);
	const struct db_phase p = {
		.run = l->run,
		.package = l->jobs[job].package,
		.version = l->jobs[job].version,
		.variant = shared ? NULL : l->jobs[job].variant,
		.name = name,
		.network = shared ? "host" : "none",
		.log = log,
		.started_ms = start_ms,
		.cpus = !shared,
	};
	int64_t id = db_phase_begin(d, &p, &e);
	must(id);
	return id;
}

static inline struct db_facts life_facts(int64_t exit_code, int64_t wall_us, int64_t ended_ms)
{
	return (struct db_facts){
		.end = "exited",
		.exit_code = exit_code,
		.limit = "none",
		.setup_us = 1900,
		.wall_us = wall_us,
		.cpu_user_us = wall_us / 2,
		.cpu_system_us = wall_us / 4,
		.peak_memory = 1 << 20,
		.cgroup = "v2",
		.log_bytes = 10,
		.log_stored = 20,
		.ended_ms = ended_ms,
		.log_sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
}

static inline void life_phase_end(struct db *d, int64_t phase, int64_t exit_code, int64_t wall_us,
				  int64_t ended_ms)
{
	struct err e = ERR_INIT;
	struct db_facts f = life_facts(exit_code, wall_us, ended_ms);
	must(db_phase_end(d, phase, &f, &e));
}

/* A digest that differs with n. */
static inline const char *hex(char out[65], unsigned n)
{
	memset(out, '0', 64);
	out[64] = '\0';
	snprintf(out, 65, "%08x", n);
	out[8] = '0';
	return out;
}

/* What a harvest of n new files named prefix/0 … would be, on top of parent. entries has room for
 * n; names for n * 64 bytes. */
static inline struct db_publish life_publish(int64_t phase, int64_t parent, unsigned digest,
					     int64_t offset, struct db_entry *entries,
					     char (*names)[64], size_t n, const char *prefix)
{
	static char layer[65], sha[65], digest_of_frame[65], sum[72];
	static struct db_frame frame;
	snprintf(sum, sizeof(sum), "xxh3:%.32s", hex(digest_of_frame, digest));
	frame = (struct db_frame){1, offset, 100, sum, digest_of_frame};
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], 64, "%s/%05zu", prefix, i);
		entries[i] = (struct db_entry){
			.path = names[i],
			.change = "added",
			.type = 'f',
			.mode = 0644,
			.mtime_ns = 5,
			.size = 3,
			.sha256 = hex(sha, 99),
		};
	}
	return (struct db_publish){
		.store = "npm/cache",
		.phase = phase,
		.parent = parent,
		.layer = hex(layer, digest),
		.layer_entries = (int64_t)n,
		.layer_bytes = (int64_t)n * 3,
		.frames = &frame,
		.n_frames = 1,
		.entries = entries,
		.n_entries = n,
		.added = (int64_t)n,
		.bytes = (int64_t)n * 3,
		.made_ms = 500,
	};
}
