#include "tests/unit/fake_sandbox.h"

#include "base/dir.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

struct fake fake;

struct box {
	struct sandbox *sandbox;
	struct box *next;
	struct box_events events;
	void *owner;
	struct fake_act act;
	size_t seen;
	uint64_t until_ms, grace_ms;
	size_t said;
	bool paused;
};

struct sandbox {
	uv_prepare_t prepare; /* before the loop would wait */
	uv_check_t check;     /* after it did: signals were delivered */
	uv_loop_t *loop;
	size_t slots;
	struct box *boxes;
	unsigned signals;
	bool hold;
	unsigned closing;
	void (*on_closed)(void *owner);
	void *owner;
};

static void fake_free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void fake_reset(void)
{
	for (size_t i = 0; i < fake.n_seen; i++) {
		struct fake_seen *s = &fake.seen[i];
		free(s->name);
		free(s->package);
		free(s->variant);
		free(s->phase);
		fake_free_list(s->root);
		fake_free_list(s->store);
	}
	free(fake.seen);
	fake = (struct fake){0};
}

int sandbox_keeps(const struct sandbox *sb, const struct box_limits *limits, unsigned loosen,
		  struct err *e)
{
	(void)sb;
	(void)loosen;
	return limits->cpu_milli == 13 ? err_set(e, ERR_LIMIT, "thirteen is no quota") : 0;
}

/* ---- time ---- */

static void box_over(struct box *b)
{
	struct fake_seen *s = &fake.seen[b->seen];
	struct box **at = &b->sandbox->boxes;
	auto_free char *profile = box_profile_name(s->loosen);
	struct box_facts f = {
		.end = s->cancelled ? BOX_CANCELLED : b->act.end,
		.exit_code = s->cancelled || b->act.end != BOX_EXITED ? -1 : b->act.exit_code,
		.signal = s->cancelled ? (s->gently ? SIGTERM : SIGKILL) : b->act.signal,
		.limit = s->cancelled ? BOX_LIMIT_NONE : b->act.limit,
		.oom_kills = s->cancelled ? 0 : b->act.oom_kills,
		.host_oom_kills = s->cancelled ? 0 : b->act.host_oom_kills,
		.wall_ns = (fake.now_ms - s->began_ms) * 1000000,
		.output_bytes = b->said,
		.cgroup = "v2",
		.profile = profile,
	};
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	fake.running--;
	s->ended = true;
	s->ended_ms = fake.now_ms;
	fake.ending = true;
	b->events.on_end(b->owner, &f);
	fake.ending = false;
	free(b);
}

/* A box's last moment: what it has to say, as far as anybody listens. */
static void box_speak(struct box *b)
{
	static char line[4096];
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	while (b->said < b->act.output && !b->paused && !fake.seen[b->seen].cancelled) {
		size_t left = b->act.output - b->said,
		       n = left < sizeof(line) ? left : sizeof(line);
		b->said += n;
		b->events.on_output(b->owner, line, n);
	}
	if (b->paused && !fake.seen[b->seen].cancelled)
		return;
	if (b->act.says)
		b->events.on_output(b->owner, b->act.says, strlen(b->act.says));
	box_over(b);
}

static struct box *sandbox_next(struct sandbox *sb)
{
	struct box *first = NULL;
	for (struct box *b = sb->boxes; b; b = b->next)
		if ((!b->paused || fake.seen[b->seen].cancelled) &&
		    (!first || b->until_ms <= first->until_ms))
			first = b; /* newest first in the list: of equals the eldest */
	return first;
}

/* While blocking work is under way time stands still; only what ends at this same moment ends too.
 */
static bool sandbox_may_go_on(const struct sandbox *sb, const struct box *b)
{
	if (sb->hold || sb->closing || fake.still)
		return false;
	if (sb->loop->active_reqs.count > fake.beside)
		return b && b->until_ms <= fake.now_ms && b->until_ms > fake.seen[b->seen].began_ms;
	return !fake.holds || !fake.holds();
}

static void on_prepare(uv_prepare_t *h)
{
	struct sandbox *sb = h->data;
	for (struct box *b; b = sandbox_next(sb), sandbox_may_go_on(sb, b);) {
		int number = sb->signals < 4 ? fake.signals[sb->signals].number : 0;
		uint64_t at = number ? fake.signals[sb->signals].at_ms : 0;
		if (number && (!b || at <= b->until_ms)) {
			if (!b && at > fake.now_ms && !sb->boxes)
				return; /* nothing will ever move the clock so far */
			fake.now_ms = at > fake.now_ms ? at : fake.now_ms;
			sb->signals++;
			sb->hold = true;
			raise(number);
			return;
		}
		if (!b)
			return;
		fake.now_ms = b->until_ms > fake.now_ms ? b->until_ms : fake.now_ms;
		box_speak(b);
	}
}

static void on_check(uv_check_t *h)
{
	struct sandbox *sb = h->data;
	sb->hold = false;
}

/* ---- the door ---- */

struct sandbox *sandbox_open(uv_loop_t *loop, const struct sandbox_conf *conf, struct err *e)
{
	if (fake.no_sandbox) {
		err_set(e, ERR_BOX, "no sandbox today");
		return NULL;
	}
	struct sandbox *sb = own_calloc(1, sizeof(*sb));
	sb->loop = loop;
	sb->slots = conf->slots;
	uv_prepare_init(loop, &sb->prepare);
	uv_check_init(loop, &sb->check);
	sb->prepare.data = sb->check.data = sb;
	uv_prepare_start(&sb->prepare, on_prepare);
	uv_check_start(&sb->check, on_check);
	fake.opened++;
	return sb;
}

static void on_closed(uv_handle_t *h)
{
	struct sandbox *sb = h->data;
	if (--sb->closing)
		return;
	fake.closed++;
	sb->on_closed(sb->owner);
	free(sb);
}

void sandbox_close(struct sandbox *sb, void (*closed)(void *owner), void *owner)
{
	for (struct box *b = sb->boxes; b; b = b->next)
		fake.left_running++;
	sb->on_closed = closed;
	sb->owner = owner;
	sb->closing = 2;
	uv_close((uv_handle_t *)&sb->prepare, on_closed);
	uv_close((uv_handle_t *)&sb->check, on_closed);
}

static char *env_of(char *const *env, const char *name)
{
	size_t n = strlen(name);
	for (; *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return own_dup(*env + n + 1);
	return own_dup("");
}

static const struct box_mount *mount_at(const struct box_spec *spec, const char *path)
{
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (!strcmp(spec->mounts[i].path, path))
			return &spec->mounts[i];
	return NULL;
}

static char **lowers_of(const struct box_mount *m)
{
	size_t n = m ? m->n_lowers : 0;
	char **list = own_calloc(n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		char path[4096];
		auto_free char *proc = own_fmt("/proc/self/fd/%d", m->lowers[i]);
		ssize_t got = readlink(proc, path, sizeof(path));
		list[i] = own_dup_n(path, got > 0 ? (size_t)got : 0);
	}
	return list;
}

static void write_in(const struct box_mount *m, const char *name)
{
	if (!name)
		return;
	auto_fd int fd =
		m ? openat(m->upper_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
	if (fd < 0 || write(fd, name, strlen(name)) != (ssize_t)strlen(name))
		abort();
}

static size_t box_see(const struct box_spec *spec)
{
	const struct box_mount *store = mount_at(spec, "/store");
	auto_free char *offline = env_of(spec->env, "ASSAY_OFFLINE");
	fake.seen = own_grow(fake.seen, fake.n_seen + 1, sizeof(*fake.seen));
	fake.seen[fake.n_seen] = (struct fake_seen){
		.name = own_dup(spec->name),
		.package = env_of(spec->env, "ASSAY_PACKAGE"),
		.variant = env_of(spec->env, "ASSAY_VARIANT"),
		.phase = env_of(spec->env, "ASSAY_PHASE"),
		.offline = *offline == '1',
		.networked = spec->net != BOX_NET_NONE,
		.loosen = spec->loosen,
		.root = lowers_of(mount_at(spec, "/")),
		.store = lowers_of(store),
		.n_store = store ? store->n_lowers : 0,
		.began_ms = fake.now_ms,
		.follows = fake.ending,
		.wall_ms = spec->limits.wall_ms,
		.cpu_ms = spec->limits.cpu_ms,
	};
	return fake.n_seen++;
}

struct box *box_start(struct sandbox *sb, const struct box_spec *spec, const struct box_events *ev,
		      void *owner, struct err *e)
{
	if (fake.running == sb->slots) {
		err_set(e, ERR_BUSY, "no free slot");
		return NULL;
	}
	size_t seen = box_see(spec);
	struct fake_act act = fake.play ? fake.play(&fake.seen[seen]) : (struct fake_act){0};
	if (act.never) {
		fake.seen[seen].ended = true;
		err_set(e, ERR_BOX, "no box for %s", spec->name);
		return NULL;
	}
	struct box *b = own_calloc(1, sizeof(*b));
	*b = (struct box){
		.sandbox = sb,
		.next = sb->boxes,
		.events = *ev,
		.owner = owner,
		.act = act,
		.seen = seen,
		.until_ms = fake.now_ms + act.takes_ms,
		.grace_ms = spec->limits.grace_ms,
	};
	write_in(mount_at(spec, "/store"), act.stores);
	write_in(mount_at(spec, "/"), act.leaves);
	sb->boxes = b;
	if (++fake.running > fake.most)
		fake.most = fake.running;
	return b;
}

void box_cancel(struct box *b, bool gently)
{
	struct fake_seen *s = &fake.seen[b->seen];
	if (s->cancelled && (gently || !s->gently))
		return;
	s->cancelled = true;
	s->gently = gently;
	b->until_ms = fake.now_ms + (gently ? b->grace_ms : 0);
}

void box_pause_output(struct box *b, bool paused)
{
	fake.pauses += paused && !b->paused;
	b->paused = paused;
}

int sandbox_sweep(const char *name, struct err *e)
{
	(void)name;
	(void)e;
	return 0;
}

int sandbox_remove(struct sandbox *sb, int dirfd, const char *name, struct err *e)
{
	(void)sb;
	return dir_remove(dirfd, name, e);
}
