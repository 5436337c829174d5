/* A state directory with one store in it, and publishing into it as a run does. For programs that
 * look at cache/ and db/ together. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "cache/inner.h"
#include "orchestrator/shelf.h"
#include "orchestrator/state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define OK(call)                                                                                   \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s: %s", #call, e.text);                                         \
	} while (0)

struct place {
	char path[128];
	struct state *state;
	struct suite_store store;
	struct shelf shelf;
	const char *package; /* whose word the next harvest is */
	int uppers;          /* how many were made */
};

static inline void place_open(struct place *p)
{
	struct err e = ERR_INIT;
	p->state = state_open(p->path, &e);
	if (!p->state)
		fail_msg("%s", e.text);
}

static inline void place_close(struct place *p)
{
	state_close(p->state);
	p->state = NULL;
}

/* The shelf as the database has it. */
static inline void place_load(struct place *p)
{
	struct err e = ERR_INIT;
	shelf_fini(&p->shelf);
	OK(shelf_load_named(&p->shelf, &p->store, "cache", p->state->db, &e));
}

static inline int place_setup(void **state)
{
	struct place *p = own_calloc(1, sizeof(*p));
	snprintf(p->path, sizeof(p->path), "%s/assay-place-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(p->path));
	p->store = (struct suite_store){.name = (char[]){"cache"}, .path = (char[]){"/store"}};
	place_open(p);
	place_load(p);
	*state = p;
	return 0;
}

static inline int place_teardown(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	state_close(p->state);
	shelf_fini(&p->shelf);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = dir_remove(root, p->path + 1, &e);
	free(p);
	return rc;
}

/* A new upper; the caller closes it. */
static inline int place_upper(struct place *p)
{
	struct err e = ERR_INIT;
	char rel[32];
	snprintf(rel, sizeof(rel), "uppers/%d", p->uppers++);
	int fd = dir_make(p->state->fd, rel, 0755, &e);
	assert_true(fd >= 0);
	return fd;
}

/* A file; what was in the way goes. */
static inline void place_put(int upper, const char *path, const char *content)
{
	struct err e = ERR_INIT;
	const char *slash = strrchr(path, '/');
	auto_free char *above = slash ? own_dup_n(path, (size_t)(slash - path)) : own_dup(".");
	auto_fd int dir = dir_make(upper, above, 0755, &e);
	const char *name = slash ? slash + 1 : path;
	const struct timespec t[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};
	assert_true(dir >= 0);
	unlinkat(dir, name, 0);
	auto_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_int_equal(dir_write_all(fd, content, strlen(content)), 0);
	assert_int_equal(futimens(fd, t), 0);
}

/* On to the database; 0 or -1 with e, as shelf_publish() and shelf_record() say. */
static inline int place_try(struct place *p, int upper, const char *job, int64_t phase,
			    struct err *e)
{
	struct shelf_publish pub = {.from = shelf_copy(&p->shelf),
				    .package = p->package,
				    .words = p->state->db};
	int rc = shelf_publish(&pub, p->state->cache, upper, job, e) ||
				 shelf_record(&pub, p->state->db, phase, e)
			 ? -1
			 : 0;
	if (!rc)
		shelf_advance(&p->shelf, &pub);
	shelf_publish_fini(&pub);
	return rc;
}

static inline void place_publish(struct place *p, int upper, const char *job)
{
	struct err e = ERR_INIT;
	OK(place_try(p, upper, job, 0, &e));
}

/* One file, published. */
static inline void place_publish_file(struct place *p, const char *path, const char *content,
				      const char *job)
{
	auto_fd int upper = place_upper(p);
	place_put(upper, path, content);
	place_publish(p, upper, job);
}

/* What the store's current generation shows by its layers' own words: path, type and content of
 * each entry, sorted by layer; all layers are compared with their names on the way. The caller
 * frees it. */
static inline char *place_shown(struct place *p)
{
	struct err e = ERR_INIT;
	struct cache_layer flat;
	place_load(p);
	auto_free const char **ids = own_calloc(p->shelf.n_layers + 1, sizeof(*ids));
	for (size_t i = 0; i < p->shelf.n_layers; i++) {
		ids[i] = p->shelf.layers[i];
		OK(cache_layer_verify(p->state->cache, ids[i], &e));
	}
	OK(cache_flatten(p->state->cache, ids, p->shelf.n_layers, &flat, &e));
	auto_free char *rel = own_fmt("layers/%s.list", flat.id);
	struct text t = TEXT_INIT;
	OK(dir_read_whole(p->state->fd, rel, 1 << 26, &t, &e));
	return text_take(&t);
}

/* Rows of a query as text, cells divided by '|'; the caller frees it. */
static inline char *place_ask(struct place *p, const char *sql)
{
	struct err e = ERR_INIT;
	struct db_table *t = NULL;
	struct text out = TEXT_INIT;
	OK(db_query(p->state->db, sql, NULL, 0, &t, &e));
	for (size_t i = 0; i < t->n_rows * t->n_columns; i++) {
		const struct db_cell *c = &t->cells[i];
		text_add(&out, i % t->n_columns ? "|" : i ? "\n" : "");
		if (c->type == DB_TEXT)
			text_add(&out, c->s);
		else if (c->type == DB_INT)
			text_addf(&out, "%lld", (long long)c->i);
		else
			text_addc(&out, '-');
	}
	db_table_free(t);
	return text_take(&out);
}

static inline void place_expect(struct place *p, const char *sql, const char *want)
{
	auto_free char *is = place_ask(p, sql);
	assert_string_equal(is, want);
}

/* The database contradicts neither itself nor what it refers to. */
static inline void place_expect_sound(struct place *p)
{
	place_expect(p, "SELECT * FROM pragma_integrity_check", "ok");
	place_expect(p, "SELECT count(*) FROM pragma_foreign_key_check", "0");
}

/* place_kill_at(nth): this process ends, with PLACE_KILLED, at the nth step of the cache's from now
 * on, counted from 0. */
#define PLACE_KILLED 42
static int place_steps_left;
static inline void place_killer(const char *step)
{
	(void)step;
	if (!place_steps_left--)
		_exit(PLACE_KILLED);
}
static inline void place_kill_at(int nth)
{
	place_steps_left = nth;
	cache_on_step = place_killer;
}
