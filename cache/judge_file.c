/* Files: what their attributes and bytes, the store's and the rule make of them. */
#include "cache/ask.h"
#include "cache/judge_parts.h"
#include "cache/merge.h"
#include "cache/npm.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

/* Small files are read once: so many bytes of them wait in memory for the segment. Each may take a
 * 256th of what is left, so that there is room for the smallest to the end, whose second opening
 * would cost the most beside what is read. */
#define JUDGE_KEPT ((uint64_t)16 << 20)
#define JUDGE_SHARE 256

/* *why: a file is refused for what attributes it has, else NULL. *foreign: some would travel with a
 * link to it. 0 or -1. */
static int judge_attributes(const struct judge *c, int fd, const char **why, bool *foreign,
			    struct err *e)
{
	const char *space = judge_space(c);
	size_t n_space = strlen(space);
	char names[4096];
	ssize_t n = flistxattr(fd, names, sizeof(names));
	if (n < 0 && errno == ERANGE)
		*why = "a file with more attributes than we read";
	else if (n < 0 && errno != ENOTSUP)
		return err_sys(e, "attributes of %s", c->it->path);
	for (const char *p = names; p < names + n; p += strlen(p) + 1) {
		const char *ours = strncmp(p, space, n_space) ? "" : p + n_space;
		*foreign |= strcmp(p, "security.selinux") != 0;
		if (!strcmp(p, "security.capability"))
			*why = "a file with capabilities";
		if (!strcmp(ours, "metacopy") || !strcmp(ours, "redirect") ||
		    !strcmp(ours, "whiteout"))
			*why = "a file that overlayfs reads from elsewhere";
	}
	return 0;
}

/* Merged: 0 and m->out, MERGE_DONE; else the entry has its word already. */
static int judge_join(struct judge *c, struct merge *m, enum merged *result, struct err *e)
{
	if (merge_run(m, result, e))
		return err_add(e, "%s", c->it->path);
	if (*result == MERGE_REFUSED)
		return judge_refuse(c, m->why);
	return *result == MERGE_CONFLICT ? judge_conflict(c, m->why) : 0;
}

static int judge_merged(struct judge *c, bool file, struct merge *m, struct content *mine)
{
	const struct text *old = m->store, *new = m->mine;
	if (file && m->out.n == old->n && !memcmp(text_str(&m->out), text_str(old), old->n))
		return judge_is(c, CACHE_IDENTICAL);
	/* What could not be merged again must not get in: those who come later could not either. */
	if (m->out.n > merge_max(c->rule))
		return judge_conflict(c, "together a list of lines larger than allowed");
	if (m->out.n != new->n || memcmp(text_str(&m->out), text_str(new), new->n)) {
		c->made = true;
		c->x->may_link = c->x->as_is = false;
		c->x->x.size = m->out.n;
		cache_digest(text_str(&m->out), m->out.n, c->x->x.sha256);
		free(mine->bytes);
		mine->bytes = text_take(&m->out);
	}
	return judge_is(c, file ? CACHE_MERGED : CACHE_ADDED);
}

static int judge_merge(struct judge *c, const struct lower *l, struct content *mine, struct err *e)
{
	auto_text struct text old = TEXT_INIT;
	const struct text new = {.p = mine->bytes, .n = c->x->x.size};
	bool file = l->found && S_ISREG(l->st.st_mode);
	if (l->found && !file)
		return judge_conflict(c, "the store has no file there");
	if (file) {
		if (l->st.st_size > (off_t)merge_max(c->rule))
			return judge_conflict(c,
					      "the store's list of lines is larger than we read");
		auto_fd int fd = lower_read(l, e);
		if (fd < 0 || dir_read_fd(fd, merge_max(c->rule), &old, e))
			return err_add(e, "%s", c->it->path);
	}
	struct merge m = {
		.how = c->h->how,
		.rule = c->rule,
		.path = c->it->path,
		.store = file ? &old : NULL,
		.mine = &new,
	};
	enum merged result;
	int rc = judge_join(c, &m, &result, e);
	if (!rc && result == MERGE_DONE)
		rc = judge_merged(c, file, &m, mine);
	text_fini(&m.out);
	free(m.why);
	return rc;
}

/* A program's affair; its word comes when the whole upper was seen. */
static int judge_asked(struct judge *c, const struct lower *l, const struct content *mine,
		       struct err *e)
{
	if (l->found && !S_ISREG(l->st.st_mode))
		return judge_conflict(c, "the store has no file there");
	return ask_add(c->h, (size_t)(c->x - c->h->v), l, mine, e);
}

static int judge_judge_file(struct judge *c, const struct lower *l, struct content *mine,
			    const char *wanted_hash, struct err *e)
{
	if (*wanted_hash && strcmp(wanted_hash, mine->other))
		return judge_hostile(c, e, "its bytes do not have the digest its name says");
	/* Counters that two jobs brought to the same height were added to twice. */
	if (mine->same && c->rule != CACHE_SUM_COUNTERS)
		return judge_is(c, CACHE_IDENTICAL);
	if (c->rule == CACHE_PROGRAM)
		return judge_asked(c, l, mine, e);
	if (merge_max(c->rule))
		return judge_merge(c, l, mine, e);
	if (!l->found)
		return judge_is_new(c, e);
	if (!S_ISREG(l->st.st_mode))
		return S_ISDIR(l->st.st_mode) && c->rule != CACHE_REJECT
			       ? judge_conflict(c, "the store has a directory there")
			       : judge_differs(c, l, "the store has no file there", e);
	return judge_differs(c, l, "the store has other bytes there", e);
}

static bool judge_is_small(const struct judge *c, uint64_t size)
{
	return size <= (JUDGE_KEPT - c->h->kept) / JUDGE_SHARE;
}

/* Which of a file's bytes are read into memory: buckets for merging, and small ones for the
 * segment. */
static bool judge_keeps(const struct judge *c)
{
	return merge_max(c->rule) || judge_is_small(c, (uint64_t)c->it->st.st_size);
}

/* And which of them stay there: what is nowhere else, and small ones. */
static int judge_keep(struct judge *c, struct content *mine, struct err *e)
{
	uint64_t size = c->x->x.size;
	bool small = judge_is_small(c, size);
	if (!small && !c->made)
		return 0;
	if (!small && harvest_hold(c->h, size, e))
		return -1;
	c->h->kept += small ? size : 0;
	c->x->bytes = give(mine->bytes);
	return 0;
}

static int judge_read_file(struct judge *c, const struct lower *l, int fd, struct err *e)
{
	char hex[NPM_HEX] = "";
	const char *algo = NULL;
	struct content mine;
	auto_fd int lower_fd = -1;
	if (c->rule == CACHE_CONTENT_HASH && npm_content_name(c->it->path, &algo, hex))
		return judge_hostile(c, e, "its name is not a digest we trust");
	if (l->found && S_ISREG(l->st.st_mode) && l->st.st_size == c->it->st.st_size &&
	    (lower_fd = lower_read(l, e)) < 0)
		return -1;
	int got = content_read(&c->h->reader, fd, &c->it->st, algo, lower_fd, judge_keeps(c), &mine,
			       e);
	if (got < 0)
		return err_add(e, "%s", c->it->path);
	if (!got)
		return judge_refuse(c, "it changed while it was read");
	memcpy(c->x->x.sha256, mine.sha256, CACHE_ID);
	int rc = judge_judge_file(c, l, &mine, hex, e);
	if (!rc && c->x->wanted && mine.kept)
		rc = judge_keep(c, &mine, e);
	free(mine.bytes);
	return rc;
}

int judge_file(struct judge *c, const struct lower *l, struct err *e)
{
	const struct cache_harvest *how = c->h->how;
	const struct stat *st = &c->it->st;
	uint64_t max_file = how->max_file ? how->max_file : (uint64_t)4 << 30;
	uint64_t max_bytes = how->max_bytes ? how->max_bytes : (uint64_t)16 << 30;
	if (c->x->x.size > max_file)
		return judge_refuse(c, "a file larger than allowed");
	if (merge_max(c->rule) && c->x->x.size > merge_max(c->rule))
		return judge_refuse(c, c->rule == CACHE_PROGRAM
					       ? "a file larger than a program is shown"
					       : "a list of lines larger than allowed");
	if (st->st_mode & (S_ISUID | S_ISGID))
		return judge_refuse(c, "a set-id file");
	if (!(st->st_mode & 0400))
		return judge_refuse(c, "a file its owner may not read");
	auto_fd int fd = tree_item_open(c->it);
	if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EXDEV))
		return judge_refuse(c, "a file we may not read");
	if (fd < 0)
		return err_sys(e, "open %s", c->it->path);
	bool foreign = false;
	const char *reason = NULL;
	if (judge_attributes(c, fd, &reason, &foreign, e))
		return -1;
	if (reason)
		return judge_refuse(c, reason);
	c->h->bytes += c->x->x.size;
	if (c->h->bytes > max_bytes)
		return err_set(e, ERR_HOSTILE, "more than %llu bytes",
			       (unsigned long long)max_bytes);
	/* A second name of it may lie anywhere in the upper: its mode is not ours to change. */
	c->x->may_link = st->st_nlink == 1 && st->st_uid == c->h->euid && !foreign;
	c->x->as_is = c->x->may_link && (st->st_mode & 07777) == c->x->x.mode;
	c->x->dev = st->st_dev;
	c->x->ino = st->st_ino;
	return judge_read_file(c, l, fd, e);
}
