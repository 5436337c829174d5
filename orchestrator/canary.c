#include "orchestrator/canary.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/text.h"
#include "orchestrator/hostfiles.h"
#include "orchestrator/judge.h"
#include "orchestrator/suite.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define CANARY_DIR "jobs/canary"

enum { CANARY_SAID_MAX = 4096, CANARY_LIMIT_MS = 120000 };

const struct canary_step canary_steps[CANARY_STEPS] = {
	{"writes", "echo \"$CANARY\" >/canary/answer; echo \"$CANARY\"", STATUS_PASS, REASON_OK, 0,
	 0, true, false},
	{"reads", "cat /canary/answer; exit 7", STATUS_FAIL, REASON_EXIT, 7, 0, true, true},
	{"crashes", "kill -SEGV $$", STATUS_CRASH, REASON_SEGV, -1, SIGSEGV, false, false},
};

/* ---- the answer ---- */

static struct suite_phase canary_phase = {.name = (char[]){"canary"}, .goal = true};

char *canary_wrong(const struct canary_step *step, const char *word, const struct box_facts *facts,
		   const char *said, size_t n)
{
	const struct suite bare = {.phases = &canary_phase, .n_phases = 1};
	const struct judged judged = {.facts = facts};
	struct evidence ev;
	struct result r = result_of(&bare, &judged, &ev);
	auto_free char *want = step->says ? own_fmt("%s\n", word) : own_dup("");
	if (r.status != step->status || r.reason != step->reason ||
	    facts->exit_code != step->exit_code || facts->signal != step->signal)
		return own_fmt("%s: %s/%s with exit status %d and signal %d, not %s/%s with %d and "
			       "%d",
			       step->name, status_name(r.status), reason_name(r.reason),
			       facts->exit_code, facts->signal, status_name(step->status),
			       reason_name(step->reason), step->exit_code, step->signal);
	if (n != strlen(want) || memcmp(said, want, n))
		return own_fmt("%s: its output is not what it wrote (%zu bytes, not %zu)",
			       step->name, n, strlen(want));
	return NULL;
}

/* ---- its boxes ---- */

struct canary_life {
	const struct canary_conf *conf;
	uv_loop_t loop;
	struct sandbox *sandbox;
	struct cache *cache; /* of its own: what it publishes is nobody's */
	char word[64];
	char layer[CACHE_ID]; /* what the first step left */
	bool over;
	struct box_facts facts;
	struct text said;
};

static void on_output(void *owner, const void *bytes, size_t n)
{
	struct canary_life *l = owner;
	if (l->said.n < CANARY_SAID_MAX)
		text_put(&l->said, bytes, n < CANARY_SAID_MAX ? n : CANARY_SAID_MAX);
}

static void on_end(void *owner, const struct box_facts *facts)
{
	struct canary_life *l = owner;
	l->facts = *facts;
	l->over = true;
	uv_stop(&l->loop);
}

static void on_closed(void *owner)
{
	struct canary_life *l = owner;
	l->sandbox = NULL;
}

static int made(int state_fd, const char *rel, struct err *e)
{
	auto_fd int fd = dir_make(state_fd, rel, 0755, e);
	if (fd >= 0 && fchmod(fd, 0755))
		return err_sys(e, "chmod %s", rel);
	return fd < 0 ? -1 : give_fd(&fd);
}

/* The box of a step, to its end. */
static int life_box(struct canary_life *l, const struct canary_step *step,
		    const struct box_mount *mount, struct err *e)
{
	static const struct box_events events = {.on_output = on_output, .on_end = on_end};
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-ec"}, (char *)(uintptr_t)step->run, NULL};
	auto_free char *word = own_fmt("CANARY=%s", l->word);
	char *env[] = {(char[]){"PATH=/usr/bin:/bin"}, word, NULL};
	struct hostfiles files;
	struct box_spec spec = {
		.name = "canary",
		.root_host = true,
		.mounts = mount,
		.n_mounts = 1,
		.argv = argv,
		.env = env,
		.cwd = "/",
		.hostname = "assay",
		.net = BOX_NET_NONE,
		.limits = {.wall_ms = CANARY_LIMIT_MS},
	};
	hostfiles_make(&files, &spec);
	spec.files = files.files;
	spec.n_files = files.n;
	l->over = false;
	l->said.n = 0;
	struct box *b = box_start(l->sandbox, &spec, &events, l, e);
	hostfiles_fini(&files);
	if (!b)
		return -1;
	while (!l->over)
		uv_run(&l->loop, UV_RUN_DEFAULT);
	if (l->facts.end == BOX_FAILED)
		return err_set(e, ERR_BOX, "%s", l->facts.error);
	return 0;
}

static int life_publish(struct canary_life *l, int upper, struct err *e)
{
	struct cache_published out = {0};
	const struct cache_harvest how = {
		.store = "canary",
		.upper_fd = upper,
		.userxattr = true, /* boxes always mount with userxattr */
		.job = "canary",
		.made_ms = clock_real_ms(),
	};
	int rc = cache_publish(l->cache, &how, &out, e);
	if (!rc && !out.nothing)
		memcpy(l->layer, out.layer.id, sizeof(l->layer));
	cache_published_fini(&out);
	return rc;
}

/* What the step before it left came into a layer, or none did: then there is nothing to be read,
 * and the box says so. */
static int life_step(struct canary_life *l, const struct canary_step *step, struct err *e)
{
	int state = l->conf->state->fd;
	auto_free char *u = own_fmt(CANARY_DIR "/%s/u", step->name);
	auto_free char *w = own_fmt(CANARY_DIR "/%s/w", step->name);
	auto_fd int upper = made(state, u, e);
	auto_fd int work = upper < 0 ? -1 : made(state, w, e);
	auto_fd int lower = -1;
	if (work < 0)
		return -1;
	if (step->reads && *l->layer && (lower = cache_layer_open(l->cache, l->layer, e)) < 0)
		return -1;
	const struct box_mount mount = {.path = "/canary",
					.mode = BOX_COW,
					.lowers = &lower,
					.n_lowers = lower >= 0,
					.upper_fd = upper,
					.work_fd = work,
					.ours = true};
	if (life_box(l, step, &mount, e))
		return -1;
	return step->says && !step->reads ? life_publish(l, upper, e) : 0;
}

static int life_steps(struct canary_life *l, struct canary *out, struct err *e)
{
	for (size_t i = 0; i < CANARY_STEPS && !out->why; i++) {
		const struct canary_step *step = &canary_steps[i];
		if (life_step(l, step, e))
			return err_add(e, "the canary %s", step->name);
		out->why = canary_wrong(step, l->word, &l->facts, text_str(&l->said), l->said.n);
	}
	return 0;
}

static int life_open(struct canary_life *l, struct err *e)
{
	const struct canary_conf *c = l->conf;
	const struct cache_known nothing = {.n_segments = 0};
	char name[24];
	auto_free char *uppers = own_fmt("%s/jobs", c->state->path);
	state_box_name(c->state, name);
	const struct sandbox_conf conf = {
		.executor = c->executor,
		.helper = c->helper,
		.ids = c->ids,
		.best_effort = c->best_effort,
		.verbose = c->verbose,
		.slots = 1,
		.name = name,
		.uppers = uppers,
		.given = c->state->path,
	};
	auto_fd int dir = made(c->state->fd, CANARY_DIR "/cache", e);
	l->cache = dir < 0 ? NULL : cache_open(dir, &nothing, e);
	if (dir >= 0 && !l->cache)
		err_add(e, "the canary's store");
	l->sandbox = l->cache ? sandbox_open(&l->loop, &conf, e) : NULL;
	return l->sandbox ? 0 : -1;
}

int canary_run(const struct canary_conf *c, struct canary *out, struct err *e)
{
	struct canary_life l = {.conf = c, .said = TEXT_INIT};
	struct err late = ERR_INIT;
	int64_t began = clock_mono_ns();
	*out = (struct canary){0};
	snprintf(l.word, sizeof(l.word), "canary-%lld-%lld", (long long)clock_real_ms(),
		 (long long)began);
	int rc = uv_loop_init(&l.loop);
	if (rc)
		return err_set(e, ERR_SYS, "event loop: %s", uv_strerror(rc));
	rc = sandbox_remove(NULL, c->state->fd, CANARY_DIR, e) || life_open(&l, e) ||
			     life_steps(&l, out, e)
		     ? -1
		     : 0;
	cache_close(l.cache);
	if (sandbox_remove(l.sandbox, c->state->fd, CANARY_DIR, rc ? &late : e))
		rc = -1;
	if (l.sandbox)
		sandbox_close(l.sandbox, on_closed, &l);
	uv_run(&l.loop, UV_RUN_DEFAULT);
	uv_loop_close(&l.loop);
	text_fini(&l.said);
	out->wall_ms = (uint64_t)(clock_mono_ns() - began) / 1000000;
	return rc;
}
