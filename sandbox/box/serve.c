#include "sandbox/box/serve.h"

#include "base/message.h"
#include "sandbox/box/life.h"
#include "sandbox/box/share.h"
#include "sandbox/box/tie.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* At most one such word. */
static bool serve_force(struct serve *s, const char *word)
{
	s->only_way = overlay_way_of(word, &s->way);
	s->uppers = !strcmp(word, "tmpfs")  ? PLAN_UPPERS_TMPFS
		    : !strcmp(word, "fuse") ? PLAN_UPPERS_FUSE
					    : PLAN_UPPERS_GIVEN;
	return s->only_way || s->uppers != PLAN_UPPERS_GIVEN;
}
/* One message and its descriptors, at most `room` of them. Bytes, 0 at the end, -1. */
static ssize_t serve_receive(void *bytes, size_t size, int *fds, size_t room, size_t *n_fds)
{
	struct message m = {.part = {{bytes, size}}, .fds = fds, .n_fds = room};
	ssize_t n = message_receive(PLAN_SOCKET, &m, 0);
	*n_fds = m.n_fds;
	return n;
}

static int serve_speaks(const struct plan_start *m, struct err *e)
{
	return m->version == PLAN_VERSION
		       ? 0
		       : err_set(e, ERR_USAGE, "the caller speaks version %u, this is %u",
				 m->version, PLAN_VERSION);
}

static int serve_start(const struct serve *s, struct life *l, struct plan_start *start, int *first,
		       size_t n_first, struct err *e)
{
	struct plan_start more;
	int rc = serve_speaks(start, e);
	if (!rc && (start->n_doors || start->in_cgroup || start->n_fds > PLAN_LAYERS_MAX ||
		    l->birth.pid || n_first != plan_fds(start)))
		rc = err_set(e, ERR_USAGE, "a plan that breaks the rules");
	size_t n_fds = n_first, all = rc ? n_first : n_first + start->n_fds;
	int *fds = own_calloc(all + GROUP_FDS, sizeof(*fds));
	memcpy(fds, first, n_first * sizeof(*fds));
	while (!rc && n_fds < all) {
		size_t got = 0;
		ssize_t n = serve_receive(&more, sizeof(more), fds + n_fds, all - n_fds, &got);
		n_fds += got;
		if (n != (ssize_t)sizeof(more) || more.kind != PLAN_FDS || !got)
			rc = err_set(e, ERR_USAGE, "%zu descriptors of a plan did not come",
				     all - n_fds);
	}
	if (!rc)
		life_begin(l, s, start, fds, &n_fds);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	free(fds);
	return rc;
}

/* 1: go on, 0: the caller has gone. */
static int serve_caller(const struct serve *s, struct life *l, struct err *e)
{
	struct plan_start m;
	int fds[PLAN_UPPERS_MAX];
	size_t n_fds;
	ssize_t n = serve_receive(&m, sizeof(m), fds, countof(fds), &n_fds);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n != (ssize_t)sizeof(m))
		return n < 0 ? err_sys(e, "receive from the caller")
			     : err_set(e, ERR_USAGE, "message of %zd bytes", n);
	switch ((enum plan_kind)m.kind) {
	case PLAN_START:
		return serve_start(s, l, &m, fds, n_fds, e) ? -1 : 1;
	case PLAN_SIGNAL:
		life_say(l, INIT_SIGNAL, m.signal);
		return 1;
	case PLAN_KILL:
		life_kill(l);
		return 1;
	case PLAN_GO:
		life_say(l, INIT_GO, 0);
		return 1;
	case PLAN_LOOK:
		life_look(l, &m, fds, n_fds);
		return 1;
	case PLAN_AHEAD:
		if (s->kind == &birth_native && !l->birth.pid)
			ahead_soon(l->ahead, &s->ids);
		return 1;
	case PLAN_GROUPS:
		return serve_speaks(&m, e) || group_told(&l->group, &m, fds, n_fds, e) ? -1 : 1;
	case PLAN_FDS:
	case PLAN_BORN:
	case PLAN_RUNS:
	case PLAN_ENDED:
	case PLAN_TERMINAL:
	case PLAN_ROOM:
	case PLAN_LOOKED:
	case PLAN_CROWD:
		break;
	}
	return err_set(e, ERR_USAGE, "message %u is not the caller's", m.kind);
}

int serve_words(struct serve *s, char *ids, char **words, struct err *e)
{
	for (; *words; words++) {
		if (!owners_word(&s->owners, *words) && !serve_force(s, *words))
			return err_set(e, ERR_USAGE, "%s is no word for a helper", *words);
		tie_forget(*words);
	}
	if (ids_open(&s->ids, ids, e))
		return -1;
	tie_forget(ids);
	s->ids.owners = &s->owners;
	return 0;
}

int serve_run(const struct serve *s, struct err *e)
{
	struct ahead ahead;
	struct life l;
	int rc = 1;
	life_init(&l, s, &ahead);
	share_look();
	ahead_open(&ahead);
	while (rc > 0) {
		struct pollfd p[] = {
			{.fd = PLAN_SOCKET, .events = POLLIN},
			{.fd = life_speaks(&l) ? l.birth.socket : -1, .events = POLLIN},
			{.fd = l.birth.pid ? l.birth.pidfd : -1, .events = POLLIN},
			{.fd = l.looks.rest.pidfd, .events = POLLIN},
			{.fd = l.network.report_fd, .events = POLLIN},
			{.fd = l.looks.walk.pidfd, .events = POLLIN},
		};
		int n = poll(p, countof(p), ahead_patience(&ahead));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "poll");
		if (!n)
			ahead_expire(&ahead);
		if (p[1].revents)
			life_listen(&l);
		if (p[3].revents)
			life_looked(&l.looks.rest);
		if (p[5].revents)
			life_looked(&l.looks.walk);
		if (p[4].revents)
			life_network_heard(&l);
		if (p[2].revents) {
			life_end(&l);
			ahead_make(&ahead, &s->ids);
		}
		if (p[0].revents)
			rc = serve_caller(s, &l, e);
	}
	ahead_close(&ahead);
	life_leave(&l);
	return rc;
}
