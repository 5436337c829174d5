#include "cache/harvest.h"
#include "cache/adopt.h"
#include "cache/ask.h"
#include "cache/judge.h"
#include "cache/lower.h"
#include "cache/rules.h"
#include "cache/trust.h"
#include "base/clock.h"

#include <string.h>

/* A million entries of usual names; not a million of the longest at the greatest depth. */
#define HARVEST_HELD ((uint64_t)256 << 20)
#define HARVEST_MS ((uint64_t)10 * 60 * 1000)

int harvest_hold(struct harvest *h, uint64_t n, struct err *e)
{
	h->held += n;
	return h->held <= HARVEST_HELD
		       ? 0
		       : err_set(e, ERR_HOSTILE, "more than %llu MiB of names and lists",
				 (unsigned long long)(HARVEST_HELD >> 20));
}

static unsigned harvest_mode(mode_t mode)
{
	if (S_ISLNK(mode))
		return 0777;
	return S_ISDIR(mode) || mode & 0111 ? 0755 : 0644;
}

/* What can be said of it before it is judged. */
static struct cache_entry harvest_entry(const struct tree_item *it)
{
	bool dir = S_ISDIR(it->st.st_mode);
	return (struct cache_entry){
		.path = own_dup(it->path),
		.type = judge_type(it->st.st_mode),
		.mode = harvest_mode(it->st.st_mode),
		.mtime_s = dir ? 0 : it->st.st_mtim.tv_sec,
		.mtime_ns = dir ? 0 : (uint32_t)it->st.st_mtim.tv_nsec,
		.size = S_ISREG(it->st.st_mode) ? (uint64_t)it->st.st_size : 0,
	};
}

/* What the whole walk may take, of memory and of time. */
static int harvest_bounds(struct harvest *h, const struct tree_item *it, struct err *e)
{
	if (clock_mono_ns() > h->deadline_ns)
		return err_set(e, ERR_HOSTILE, "%.200s: the harvest took longer than allowed",
			       it->path);
	return harvest_hold(h, strlen(it->path) + sizeof(struct harvest_item), e);
}

static int harvest_item(void *arg, struct tree_item *it, struct err *e)
{
	struct harvest *h = arg;
	if (h->n == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 64;
		h->v = own_grow(h->v, h->cap, sizeof(*h->v));
	}
	const struct harvest_item *above = it->above == TREE_ROOT ? NULL : &h->v[it->above];
	struct harvest_item *x = &h->v[h->n];
	*x = (struct harvest_item){.above = it->above, .x = harvest_entry(it)};
	it->tag = h->n++;
	if (!harvest_bounds(h, it, e) && !judge_entry(h, it, x, above, e))
		return 0;
	/* What refused everything is the last that is told. */
	x->x.change = CACHE_REFUSED;
	x->x.type = '?';
	x->wanted = false;
	free(x->x.reason);
	x->x.reason = own_dup(e->text);
	return -1;
}

/* Children stand behind their directory: backwards, what is wanted makes what is above it wanted,
 * and a directory that is made for its content only is an addition then. A rule that rejects an
 * empty directory has nothing else it could be about. */
static int harvest_directories(struct harvest *h, struct err *e)
{
	for (size_t i = h->n; i--;) {
		struct harvest_item *x = &h->v[i];
		struct harvest_item *above = x->above == TREE_ROOT ? NULL : &h->v[x->above];
		bool dropped = x->x.type == 'd' && x->x.change == CACHE_DROPPED,
		     pending = x->x.type == 'd' && x->x.change == CACHE_PENDING;
		if ((dropped || pending) && x->wanted)
			x->x.change = CACHE_ADDED;
		else if (dropped && !x->filled &&
			 rules_find(h->how->rules, h->how->n_rules, x->x.path) == CACHE_REJECT)
			return err_set(e, ERR_HOSTILE, "%.300s: a rule allows nothing new there",
				       x->x.path);
		if (above && (x->filled || x->x.type != 'd'))
			above->filled = true;
		if (above && x->wanted)
			above->wanted = true;
	}
	return 0;
}

int harvest_run(struct harvest *h, struct cache *c, const struct cache_harvest *how, struct err *e)
{
	const struct tree_bounds bounds = {
		.max_entries = how->max_entries ? how->max_entries : 1000000,
		.max_depth = how->max_depth ? how->max_depth : 256,
		.open = true,
	};
	*h = (struct harvest){
		.how = how,
		.c = c,
		.euid = geteuid(),
		.egid = getegid(),
		.deadline_ns = clock_mono_ns() +
			       (int64_t)(how->max_ms ? how->max_ms : HARVEST_MS) * 1000000,
	};
	if (content_open(&h->reader, e))
		return -1;
	adopt_ask(h);
	h->all = own_calloc(how->n_lowers + 1, sizeof(*h->all));
	for (size_t i = 0; i < how->n_lowers; i++)
		h->all[i].layer = (unsigned short)i;
	h->lower_at = own_calloc(how->n_lowers + 1, sizeof(*h->lower_at));
	for (size_t i = 0; i < how->n_lowers; i++)
		h->lower_at[i] = (struct tree_at)TREE_AT(how->lower_fds[i]);
	if (tree_walk(how->upper_fd, &bounds, harvest_item, h, e) || ask_all(h, e) ||
	    trust_ask(h, e))
		return -1;
	return harvest_directories(h, e);
}

static void harvest_count(struct cache_counts *n, const struct harvest_item *x)
{
	uint64_t *const by[] = {
		[CACHE_ADDED] = &n->added,     [CACHE_REPLACED] = &n->replaced,
		[CACHE_MERGED] = &n->merged,   [CACHE_IDENTICAL] = &n->identical,
		[CACHE_DROPPED] = &n->dropped, [CACHE_CONFLICT] = &n->conflicts,
		[CACHE_DELETED] = &n->deleted, [CACHE_PENDING] = &n->pending,
		[CACHE_REFUSED] = &n->refused,
	};
	++*by[x->x.change];
	if (x->wanted && x->x.type == 'f')
		n->bytes += x->x.size;
}

void harvest_take(struct harvest *h, struct cache_published *out)
{
	out->entries = own_calloc(h->n + 1, sizeof(*out->entries));
	for (size_t i = 0; i < h->n; i++) {
		struct harvest_item *x = &h->v[i];
		if (x->x.type == 'd' && x->x.change == CACHE_IDENTICAL)
			continue;
		harvest_count(&out->counts, x);
		out->entries[out->n_entries++] = x->x;
		x->taken = true;
	}
}

void harvest_fini(struct harvest *h)
{
	lower_forget(h);
	for (size_t i = 0; i < h->n; i++) {
		struct harvest_item *x = &h->v[i];
		free(x->bytes);
		free(x->lowers);
		if (x->taken)
			continue;
		free(x->x.path);
		free(x->x.target);
		free(x->x.reason);
	}
	free(h->v);
	for (size_t i = 0; h->lower_at && i < h->how->n_lowers; i++)
		tree_at_fini(&h->lower_at[i]);
	free(h->lower_at);
	free(h->all);
	content_close(&h->reader);
	ask_free(h->ask);
	*h = (struct harvest){0};
}
