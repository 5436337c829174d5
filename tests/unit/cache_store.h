/* A store over a fixture's cache: a stack of layers that grows by publishing, and what "the
 * database" remembers of it. */
#pragma once
#include "cache_fixture.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct store {
	struct fixture *f;
	char ids[64][CACHE_ID];
	int fds[64]; /* as `ids`: oldest first */
	size_t n;
	char chain[CACHE_ID];
	struct cache_known_segment segments[16];
	size_t n_segments;
	const struct cache_rule *rules;
	size_t n_rules;
	const struct cache_runner *runner;
	int base; /* the layer that the upper was made upon, where it is another than the store's */
	bool has_base;
	enum cache_deletions deletions;
	struct cache_trust trust;
	bool trusted; /* the overlay used trusted.overlay.* */
	uint64_t max_entries, max_bytes, max_file;
	unsigned max_depth;
	uint64_t max_ms;
	struct cache_published out; /* of the last publish */
};

static inline void store_end(struct store *s)
{
	cache_published_fini(&s->out);
	for (size_t i = 0; i < s->n; i++)
		close(s->fds[i]);
}

static inline struct cache_known store_known(struct store *s, const char **layers)
{
	for (size_t i = 0; i < s->n; i++)
		layers[i] = s->ids[i];
	return (struct cache_known){.segments = s->segments,
				    .n_segments = s->n_segments,
				    .layers = layers,
				    .n_layers = s->n};
}

/* Harvest the upper, which work/name may be taken for; nothing is remembered. */
static inline int store_take_fd(struct store *s, int fd, const char *name, struct err *e)
{
	int lowers[64];
	for (size_t i = 0; i < s->n; i++)
		lowers[i] = s->fds[s->n - 1 - i];
	struct cache_harvest how = {
		.store = "npm-cache",
		.upper_fd = fd,
		.spare_dirfd = s->f->work,
		.spare_name = name,
		.lower_fds = lowers,
		.n_lowers = s->n,
		.base_fds = &s->base,
		.n_bases = s->has_base,
		.rules = s->rules,
		.n_rules = s->n_rules,
		.runner = s->runner,
		.deletions = s->deletions,
		.trust = s->trust,
		.userxattr = !s->trusted,
		.max_entries = s->max_entries,
		.max_bytes = s->max_bytes,
		.max_file = s->max_file,
		.max_depth = s->max_depth,
		.max_ms = s->max_ms,
		.job = "run 1 semver@7.5.4 fetch",
		.parent = s->chain,
	};
	cache_published_fini(&s->out);
	return cache_publish(s->f->c, &how, &s->out, e);
}

static inline int store_try_fd(struct store *s, int fd, struct err *e)
{
	return store_take_fd(s, fd, NULL, e);
}

static inline int store_try(struct store *s, const char *upper, struct err *e)
{
	auto_fd int fd = sub(s->f->work, upper);
	return store_try_fd(s, fd, e);
}

/* What a commit to the database remembers. */
static inline void store_commit(struct store *s)
{
	struct err e = ERR_INIT;
	for (size_t i = 0; i < s->out.n_frames; i++) {
		const struct cache_frame *f = &s->out.frames[i];
		if (!s->n_segments || s->segments[s->n_segments - 1].number != f->segment)
			s->segments[s->n_segments++].number = f->segment;
		s->segments[s->n_segments - 1].bytes = f->offset + f->bytes;
	}
	if (s->out.nothing)
		return;
	memcpy(s->ids[s->n], s->out.layer.id, CACHE_ID);
	s->fds[s->n] = cache_layer_open(s->f->c, s->out.layer.id, &e);
	assert_true(s->fds[s->n] >= 0);
	s->n++;
	memcpy(s->chain, s->out.chain, CACHE_ID);
}

static inline void store_publish(struct store *s, const char *upper)
{
	struct err e = ERR_INIT;
	OK(store_try(s, upper, &e));
	store_commit(s);
}

static inline const struct cache_entry *entry_of(const struct store *s, const char *path)
{
	for (size_t i = 0; i < s->out.n_entries; i++)
		if (!strcmp(s->out.entries[i].path, path))
			return &s->out.entries[i];
	return NULL;
}

static inline void expect_change(const struct store *s, const char *path, enum cache_change change)
{
	const struct cache_entry *x = entry_of(s, path);
	if (!x)
		fail_msg("%s is not among the entries", path);
	if (x->change != change)
		fail_msg("%s is %s (%s), not %s", path, cache_change_name(x->change),
			 x->reason ? x->reason : "", cache_change_name(change));
}

/* The uppermost layer that has path, or -1. */
static inline int store_has(const struct store *s, const char *path)
{
	for (size_t i = s->n; i--;)
		if (there(s->fds[i], path))
			return (int)i;
	return -1;
}

static inline void store_expect(const struct store *s, const char *path, const char *content)
{
	int i = store_has(s, path);
	if (i < 0)
		fail_msg("the store has no %s", path);
	expect(s->fds[i], path, content);
}
