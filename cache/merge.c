#include "cache/merge.h"
#include "cache/ask.h"
#include "cache/counters.h"
#include "cache/npm.h"
#include "cache/tree.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>

/* The file that the upper's was made from. 1 in *t, 0 it was made from none, -1. */
static int merge_base(const struct merge *m, struct text *t, struct err *e)
{
	for (size_t i = 0; i < m->how->n_bases; i++) {
		struct stat st;
		auto_fd int fd =
			tree_open(m->how->base_fds[i], m->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 && errno != ENOTDIR && errno != ELOOP && errno != ENXIO)
			return err_sys(e, "open %s in an earlier generation", m->path);
		if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
			return 0;
		return dir_read_fd(fd, COUNTERS_MAX, t, e) ? -1 : 1;
	}
	return 0;
}

static enum merged merge_cant(struct merge *m, enum merged result, char *why_take)
{
	m->why = why_take;
	return result;
}

static int merge_counters(struct merge *m, enum merged *result, struct err *e)
{
	auto_text struct text base = TEXT_INIT;
	size_t line;
	int got = merge_base(m, &base, e);
	if (got < 0)
		return -1;
	*result = MERGE_DONE;
	if (counters_sum(got ? &base : NULL, m->store, m->mine, &m->out, &line))
		return 0;
	*result = line ? merge_cant(m, MERGE_REFUSED, own_fmt("line %zu is no counter", line))
		       : merge_cant(m, MERGE_CONFLICT,
				    own_dup("the store's file is no list of counters"));
	return 0;
}

static int merge_lines(struct merge *m, enum merged *result, struct err *e)
{
	(void)e;
	*result = npm_union(m->path, m->store, m->mine, &m->out)
			  ? MERGE_DONE
			  : merge_cant(m, MERGE_REFUSED, own_dup("no line of it is valid"));
	return 0;
}

static const struct {
	int (*run)(struct merge *m, enum merged *result, struct err *e);
	size_t max;
} merge_rules[] = {
	[CACHE_UNION_LINES] = {merge_lines, NPM_BUCKET_MAX},
	[CACHE_SUM_COUNTERS] = {merge_counters, COUNTERS_MAX},
	[CACHE_PROGRAM] = {NULL, ASK_FILE},
};

size_t merge_max(enum cache_do rule)
{
	return (size_t)rule < countof(merge_rules) ? merge_rules[rule].max : 0;
}

int merge_run(struct merge *m, enum merged *result, struct err *e)
{
	return merge_rules[m->rule].run(m, result, e);
}
