/* tmp/PID.N/RULE/new/1 … and old/1 …: copies, so that a program can't be shown what is not judged,
 * nor reach an inode of a layer. A kill leaves them to cache_open(). */
#include "cache/ask.h"
#include "cache/inner.h"
#include "cache/rules.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct ask_file {
	size_t item; /* of the harvest */
	bool was;    /* the store has a file there … */
	char old[CACHE_ID];
};

struct ask_rule {
	int dir, dir_new, dir_old; /* -1: nothing waits */
	struct ask_file *v;
	size_t n;
};

struct ask {
	struct cache *c;
	char name[32]; /* below tmp/ */
	int fd;
	struct ask_rule *rules; /* as the harvest's */
	size_t n_rules, n_files, paths, held;
	uint64_t bytes;
};

int ask_check(const struct cache_harvest *how, struct err *e)
{
	for (size_t i = 0; i < how->n_rules && !how->runner; i++)
		if (how->rules[i].what == CACHE_PROGRAM)
			return err_set(
				e, ERR_USAGE,
				"rule %zu (%.200s): a program decides there, and this caller "
				"has nothing to run it with",
				i + 1, how->rules[i].match);
	return 0;
}

static void ask_refuse(struct harvest_item *x, char *why_take)
{
	x->x.type = '?';
	x->x.change = CACHE_REFUSED;
	x->x.reason = why_take;
	x->wanted = false;
}

/* ---- laid out ---- */

static struct ask *ask_begin(struct harvest *h, struct err *e)
{
	struct ask *a = own_calloc(1, sizeof(*a));
	*a = (struct ask){.c = h->c, .fd = -1, .n_rules = h->how->n_rules};
	a->rules = own_calloc(a->n_rules + 1, sizeof(*a->rules));
	for (size_t i = 0; i < a->n_rules; i++)
		a->rules[i] = (struct ask_rule){.dir = -1, .dir_new = -1, .dir_old = -1};
	snprintf(a->name, sizeof(a->name), "%d.%lu", (int)getpid(),
		 atomic_fetch_add(&a->c->serial, 1));
	a->fd = dir_make(a->c->tmp_fd, a->name, 0755, e);
	if (a->fd >= 0)
		return a;
	ask_free(a);
	return NULL;
}

/* Whoever the box's user is reads them: whatever our umask says. */
static int ask_dir(int at, const char *rel, struct err *e)
{
	auto_fd int fd = dir_make(at, rel, 0755, e);
	if (fd >= 0 && fchmod(fd, 0755))
		return err_sys(e, "set the mode of %s", rel);
	return give_fd(&fd);
}

static int ask_open(struct ask *a, size_t rule, struct err *e)
{
	char name[24];
	struct ask_rule *r = &a->rules[rule];
	if (r->dir >= 0)
		return 0;
	snprintf(name, sizeof(name), "%zu", rule);
	r->dir = ask_dir(a->fd, name, e);
	r->dir_new = r->dir < 0 ? -1 : ask_dir(r->dir, "new", e);
	r->dir_old = r->dir_new < 0 ? -1 : ask_dir(r->dir, "old", e);
	return r->dir_old < 0 ? -1 : 0;
}

static int ask_put(int dirfd, size_t number, const void *bytes, size_t n, struct err *e)
{
	char name[24];
	snprintf(name, sizeof(name), "%zu", number);
	auto_fd int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) || dir_write_all(fd, bytes, n))
		return err_sys(e, "show a program the file %s", name);
	return 0;
}

static int ask_put_old(struct ask *a, struct ask_rule *r, struct ask_file *f, const struct lower *l,
		       struct err *e)
{
	auto_text struct text old = TEXT_INIT;
	auto_fd int fd = lower_read(l, e);
	if (fd < 0 || dir_read_fd(fd, ASK_FILE, &old, e))
		return -1;
	f->was = true;
	cache_digest(text_str(&old), old.n, f->old);
	a->bytes += old.n;
	return ask_put(r->dir_old, r->n + 1, text_str(&old), old.n, e);
}

static const char *ask_too_much(struct ask *a, const struct harvest_item *x, const struct lower *l)
{
	size_t path = strlen(x->x.path);
	if (l->found && l->st.st_size > (off_t)ASK_FILE)
		return "the store's file is larger than a program is shown";
	a->n_files++;
	a->paths += path;
	a->bytes += x->x.size;
	return a->n_files > ASK_MOST || a->paths > ASK_PATHS || a->bytes > ASK_BYTES
		       ? "more than a program is asked about at once"
		       : NULL;
}

int ask_add(struct harvest *h, size_t item, const struct lower *l, const struct content *mine,
	    struct err *e)
{
	struct harvest_item *x = &h->v[item];
	size_t rule = rules_at(h->how->rules, h->how->n_rules, x->x.path);
	struct ask_file f = {.item = item};
	if (!h->ask && !(h->ask = ask_begin(h, e)))
		return -1;
	struct ask_rule *r = &h->ask->rules[rule];
	const char *why = ask_too_much(h->ask, x, l);
	ask_refuse(x, own_dup(why ? why : "its program was not asked"));
	if (why)
		return 0;
	if (ask_open(h->ask, rule, e) || (l->found && ask_put_old(h->ask, r, &f, l, e)) ||
	    ask_put(r->dir_new, r->n + 1, mine->bytes, x->x.size, e))
		return err_add(e, "%s", x->x.path);
	if (!(r->n & (r->n - 1)))
		r->v = own_grow(r->v, r->n ? 2 * r->n : 1, sizeof(*r->v));
	r->v[r->n++] = f;
	return 0;
}

/* ---- asked ---- */

/* The result, a regular file of at most ASK_FILE bytes. NULL, or why it is none. */
static char *ask_result(struct ask *a, const struct cache_question *q, size_t i, struct text *out)
{
	char name[24];
	struct err e = ERR_INIT;
	snprintf(name, sizeof(name), "%zu", i + 1);
	if (q->out_fd < 0 || dir_read_whole(q->out_fd, name, ASK_FILE, out, &e))
		return own_fmt("its program's result: %s",
			       e.kind == ERR_ABSENT || q->out_fd < 0 ? "there is none" : e.text);
	if (out->n > ASK_HELD - a->held)
		return own_dup("its program's results are together more than allowed");
	return NULL;
}

static void ask_is(struct harvest_item *x, enum cache_change change)
{
	free(x->x.reason);
	x->x.reason = NULL;
	x->x.type = 'f';
	x->x.change = change;
	x->wanted = change == CACHE_ADDED || change == CACHE_REPLACED || change == CACHE_MERGED;
}

/* What the program made is what the store gets, and if it is the upper's own, that. */
static void ask_take(struct ask *a, const struct ask_file *f, struct harvest_item *x,
		     struct text *out)
{
	char id[CACHE_ID];
	cache_digest(text_str(out), out->n, id);
	bool mine = !strcmp(id, x->x.sha256);
	if (f->was && !strcmp(id, f->old)) {
		ask_is(x, CACHE_IDENTICAL);
		return;
	}
	ask_is(x, !f->was ? CACHE_ADDED : mine ? CACHE_REPLACED : CACHE_MERGED);
	if (mine)
		return;
	a->held += out->n;
	memcpy(x->x.sha256, id, CACHE_ID);
	x->x.size = out->n;
	x->may_link = x->as_is = false;
	x->bytes = text_take(out);
}

static void ask_answer(struct ask *a, struct harvest_item *x, const struct ask_file *f,
		       struct cache_question *q, size_t i)
{
	auto_text struct text out = TEXT_INIT;
	char *why = NULL;
	switch (q->answers[i]) {
	case CACHE_ANSWER_KEEP:
		ask_is(x, CACHE_DROPPED);
		return;
	case CACHE_ANSWER_TAKE:
		why = ask_result(a, q, i, &out);
		if (!why) {
			ask_take(a, f, x, &out);
			return;
		}
		break;
	case CACHE_ANSWER_REFUSE:
		why = q->why[i] ? give(q->why[i]) : own_dup("its program gave no answer");
		break;
	}
	free(x->x.reason);
	ask_refuse(x, why);
}

static int ask_rule(struct harvest *h, size_t rule, struct err *e)
{
	const struct cache_runner *by = h->how->runner;
	struct ask_rule *r = &h->ask->rules[rule];
	auto_free const char **paths = own_calloc(r->n, sizeof(*paths));
	auto_free enum cache_answer *answers = own_calloc(r->n, sizeof(*answers));
	auto_free char **why = own_calloc(r->n, sizeof(*why));
	struct cache_question q = {
		.rule = rule,
		.paths = paths,
		.n = r->n,
		.fd = r->dir,
		.answers = answers,
		.why = why,
		.out_fd = -1,
	};
	for (size_t i = 0; i < r->n; i++)
		paths[i] = h->v[r->v[i].item].x.path;
	cache_step("program asked");
	int rc = by->run(by->owner, &q, e);
	for (size_t i = 0; i < r->n; i++) {
		if (!rc)
			ask_answer(h->ask, &h->v[r->v[i].item], &r->v[i], &q, i);
		free(why[i]);
	}
	by->done(by->owner, &q);
	return rc ? err_add(e, "rule %zu (%.200s)", rule + 1, h->how->rules[rule].match) : 0;
}

int ask_all(struct harvest *h, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; !rc && h->ask && i < h->ask->n_rules; i++)
		if (h->ask->rules[i].n)
			rc = ask_rule(h, i, e);
	ask_free(h->ask);
	h->ask = NULL;
	return rc;
}

void ask_free(struct ask *a)
{
	struct err stays = ERR_INIT; /* cache_open sweeps what stays */
	if (!a)
		return;
	for (size_t i = 0; i < a->n_rules; i++) {
		own_close(&a->rules[i].dir);
		own_close(&a->rules[i].dir_new);
		own_close(&a->rules[i].dir_old);
		free(a->rules[i].v);
	}
	if (a->fd >= 0)
		(void)!dir_remove(a->c->tmp_fd, a->name, &stays);
	own_close(&a->fd);
	free(a->rules);
	free(a);
}
