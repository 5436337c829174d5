#include "orchestrator/program.h"

#include "base/dir.h"
#include "base/text.h"
#include "orchestrator/boxing.h"
#include "orchestrator/hostfiles.h"
#include "orchestrator/phase_box.h"
#include "orchestrator/plain.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

enum { PROGRAM_SAYS = 4096, PROGRAM_LINE = 200, PROGRAM_TICK_MS = 100 };

struct programs {
	struct programs_conf conf;
	int *layers; /* uppermost first; the root's is the last, unless that is this machine's */
	size_t n_layers;
	atomic_bool ended;
};

/* ---- what there is ---- */

/* The first of the suite's rules that has one, from store s and rule r on; false: none. */
static bool programs_next(const struct suite *suite, size_t *s, size_t *r)
{
	for (; *s < suite->n_stores; ++*s, *r = 0)
		for (; *r < suite->stores[*s].n_rules; ++*r)
			if (suite->stores[*s].rules[*r].what == CACHE_PROGRAM)
				return true;
	return false;
}

static int programs_layer(struct programs *p, const char *name, struct err *e)
{
	int fd = boxing_layer(p->conf.state, name, e);
	if (fd >= 0)
		p->layers[p->n_layers++] = fd;
	return fd < 0 ? -1 : 0;
}

int programs_open(struct programs **out, const struct programs_conf *conf, struct err *e)
{
	const struct suite *s = conf->suite;
	size_t store = 0, rule = 0;
	*out = NULL;
	if (!programs_next(s, &store, &rule))
		return 0;
	struct programs *p = own_calloc(1, sizeof(*p));
	p->conf = *conf;
	p->layers = own_calloc(s->n_layers + 1, sizeof(*p->layers));
	int rc = 0;
	for (size_t i = 0; !rc && i < s->n_layers; i++)
		rc = programs_layer(p, s->layers[i], e);
	if (!rc && !s->root_is_host)
		rc = programs_layer(p, s->root, e);
	if (!rc)
		*out = p;
	else
		programs_close(p);
	return rc ? err_add(e, "programs of rules") : 0;
}

void programs_close(struct programs *p)
{
	if (!p)
		return;
	while (p->n_layers)
		close(p->layers[--p->n_layers]);
	free(p->layers);
	free(p);
}

void programs_end(struct programs *p)
{
	if (p)
		atomic_store(&p->ended, true);
}

/* Its box says nothing that its program says, and has one processor's time like any publish. */
static struct box_limits program_limits(const struct suite_program *program)
{
	struct box_limits l = phase_limits(&program->limits);
	l.silence_ms = l.idle_ms = l.grace_ms = 0;
	return l;
}

int programs_keep(const struct programs *p, const struct sandbox *sb, struct err *e)
{
	const struct suite *suite = p ? p->conf.suite : NULL;
	for (size_t s = 0, r = 0; suite && programs_next(suite, &s, &r); r++) {
		struct box_limits l = program_limits(&suite->stores[s].programs[r]);
		if (sandbox_keeps(sb, &l, 0, e))
			return err_add(e, "store %s: rule %zu (--best-effort does without)",
				       suite->stores[s].name, r + 1);
	}
	return 0;
}

/* ---- what calls it ---- */

static void script_make(struct text *t, const struct cache_question *q)
{
	text_add(t, "run=$1\n"
		    "export ASSAY_PATH ASSAY_OLD ASSAY_NEW ASSAY_OUT\n"
		    "p() {\n"
		    "	ASSAY_PATH=$2 ASSAY_OLD= ASSAY_NEW=/program/in/new/$1\n"
		    "	ASSAY_OUT=/program/out/$1\n"
		    "	[ ! -e \"/program/in/old/$1\" ] || ASSAY_OLD=/program/in/old/$1\n"
		    "	s=0\n"
		    "	/bin/sh -ec \"$run\" </dev/null >\"/program/out/$1.says\" 2>&1 || s=$?\n"
		    "	echo \"$s\" >\"/program/out/$1.status\"\n"
		    "}\n");
	for (size_t i = 0; i < q->n; i++) {
		text_addf(t, "p %zu ", i + 1);
		auto_free char *path = text_shell_word(q->paths[i]);
		text_add(t, path);
		text_add(t, "\n");
	}
}

/* ---- its box ---- */

struct life {
	struct program_run *run;
	uv_loop_t loop;
	uv_timer_t tick;
	struct sandbox *sandbox;
	struct box *box;
	bool over;
	struct box_facts facts;
	struct text said; /* of what calls it: why it could not */
};

static void on_output(void *owner, const void *bytes, size_t n)
{
	struct life *l = owner;
	if (l->said.n < PROGRAM_SAYS)
		text_put(&l->said, bytes, n < PROGRAM_SAYS ? n : PROGRAM_SAYS);
}

static void on_end(void *owner, const struct box_facts *facts)
{
	struct life *l = owner;
	l->facts = *facts;
	l->box = NULL;
	l->over = true;
	uv_stop(&l->loop);
}

static void on_closed(void *owner)
{
	struct life *l = owner;
	l->sandbox = NULL;
}

static void on_tick(uv_timer_t *t)
{
	struct life *l = t->data;
	if (l->box && atomic_load(&l->run->programs->ended))
		box_cancel(l->box, false);
}

static int life_box(struct life *l, const struct cache_question *q, int upper, int work,
		    struct err *e)
{
	static const struct box_events events = {.on_output = on_output, .on_end = on_end};
	const struct programs *p = l->run->programs;
	const struct suite *s = p->conf.suite;
	const struct suite_program *program = &l->run->store->programs[q->rule];
	auto_text struct text script = TEXT_INIT;
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"/program/run"}, program->run, NULL};
	char **env = plan_env_program(s);
	struct box_mount mounts[3] = {
		{.path = "/program/in",
		 .mode = BOX_RO,
		 .lowers = &q->fd,
		 .n_lowers = 1,
		 .upper_fd = -1,
		 .work_fd = -1,
		 .ours = true},
		{.path = "/program/out",
		 .mode = BOX_COW,
		 .upper_fd = upper,
		 .work_fd = work,
		 .ours = true},
		{.path = "/",
		 .mode = BOX_RO,
		 .lowers = p->layers,
		 .n_lowers = p->n_layers,
		 .upper_fd = -1,
		 .work_fd = -1,
		 .ours = true},
	};
	struct hostfiles hosts;
	struct box_spec spec = {
		.name = "program",
		.root_host = s->root_is_host,
		.mounts = mounts,
		.n_mounts = p->n_layers ? 3 : 2,
		.argv = argv,
		.env = env,
		.cwd = "/",
		.hostname = "assay",
		.net = BOX_NET_NONE,
		.limits = program_limits(program),
	};
	script_make(&script, q);
	hostfiles_make(&hosts, &spec);
	struct box_file files[countof(hosts.files) + 1] = {
		{.path = "/program/run", .bytes = text_str(&script), .n = script.n, .mode = 0444}};
	memcpy(files + 1, hosts.files, hosts.n * sizeof(*files));
	spec.files = files;
	spec.n_files = hosts.n + 1;
	l->box = box_start(l->sandbox, &spec, &events, l, e);
	hostfiles_fini(&hosts);
	plan_env_free(env);
	while (l->box && !l->over)
		uv_run(&l->loop, UV_RUN_DEFAULT);
	if (!l->over)
		return -1;
	return l->facts.end == BOX_FAILED ? err_set(e, ERR_BOX, "%s", l->facts.error) : 0;
}

static int life_dir(const struct program_run *r, const char *name, struct err *e)
{
	auto_fd int fd = dir_make(r->aside.fd, name, 0755, e);
	if (fd >= 0 && fchmod(fd, 0755))
		return err_sys(e, "chmod %s", name);
	return give_fd(&fd);
}

static int life_run(struct life *l, struct cache_question *q, struct err *e)
{
	const struct programs_conf *c = &l->run->programs->conf;
	char name[24];
	state_box_name(c->state, name);
	const struct sandbox_conf conf = {
		.executor = c->executor,
		.helper = c->helper,
		/* what others than its root leave we might not read */
		.ids = geteuid() ? BOX_IDS_ONE : BOX_IDS_AUTO,
		.best_effort = c->best_effort,
		.verbose = c->verbose,
		.slots = 1,
		.name = name,
		.given = c->state->path,
		.no_probe = true,
	};
	auto_fd int upper = life_dir(l->run, "u", e);
	auto_fd int work = upper < 0 ? -1 : life_dir(l->run, "w", e);
	if (work < 0)
		return -1;
	uv_timer_init(&l->loop, &l->tick);
	l->tick.data = l;
	uv_timer_start(&l->tick, on_tick, PROGRAM_TICK_MS, PROGRAM_TICK_MS);
	l->sandbox = sandbox_open(&l->loop, &conf, e);
	int rc = l->sandbox ? life_box(l, q, upper, work, e) : -1;
	if (l->sandbox)
		sandbox_close(l->sandbox, on_closed, l);
	uv_close((uv_handle_t *)&l->tick, NULL);
	while (uv_run(&l->loop, UV_RUN_DEFAULT))
		;
	if (!rc)
		q->out_fd = give_fd(&upper);
	return rc;
}

/* ---- its answers ---- */

/* Why what has no status has none. */
static char *answer_none(const struct life *l)
{
	const struct box_facts *f = &l->facts;
	auto_free char *said = plain_line(text_str(&l->said), PROGRAM_LINE);
	switch (f->end) {
	case BOX_LIMITED:
		return own_fmt("its program was ended by its limit: %s", box_limit_name(f->limit));
	case BOX_CANCELLED:
		return own_dup("the run was ended before its program had an answer");
	case BOX_SIGNALLED:
		return own_fmt("what calls its program was ended by signal %d", f->signal);
	case BOX_EXITED:
	case BOX_FAILED:
		break;
	}
	return own_fmt("its program could not be run%s%s", *said ? ": " : "", said);
}

static char *answer_status(int out_fd, size_t number, const char *status)
{
	char bytes[PROGRAM_SAYS + 1];
	int64_t n = strtol(status, NULL, 10);
	auto_free char *name = own_fmt("%zu.says", number);
	auto_fd int fd = dir_open_beneath(out_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	ssize_t got = fd < 0 ? -1 : read(fd, bytes, PROGRAM_SAYS);
	bytes[got > 0 ? got : 0] = '\0';
	auto_free char *says = plain_line(bytes, PROGRAM_LINE);
	const char *colon = *says ? ": " : "";
	if (n > 128 && n < 128 + 65)
		return own_fmt("its program was ended by signal %d%s%s", (int)n - 128, colon, says);
	return own_fmt("its program ended with status %d%s%s", (int)(n & 255), colon, says);
}

static void answer(const struct life *l, struct cache_question *q, size_t i)
{
	auto_text struct text status = TEXT_INIT;
	struct err none = ERR_INIT;
	auto_free char *name = own_fmt("%zu.status", i + 1);
	if (dir_read_whole(q->out_fd, name, 16, &status, &none)) {
		q->why[i] = answer_none(l);
		return;
	}
	if (!strcmp(text_str(&status), "0\n"))
		q->answers[i] = CACHE_ANSWER_TAKE;
	else if (strtol(text_str(&status), NULL, 10) == PROGRAM_KEEP)
		q->answers[i] = CACHE_ANSWER_KEEP;
	else
		q->why[i] = answer_status(q->out_fd, i + 1, text_str(&status));
}

/* ---- for the cache ---- */

static int program_run(void *owner, struct cache_question *q, struct err *e)
{
	struct program_run *r = owner;
	struct life l = {.run = r, .said = TEXT_INIT};
	if (aside_take(r->programs->conf.state->fd, &r->aside, e))
		return -1;
	int rc = uv_loop_init(&l.loop);
	if (rc)
		return err_set(e, ERR_SYS, "event loop: %s", uv_strerror(rc));
	rc = life_run(&l, q, e);
	uv_loop_close(&l.loop);
	for (size_t i = 0; !rc && i < q->n; i++)
		answer(&l, q, i);
	text_fini(&l.said);
	return rc;
}

static void program_done(void *owner, struct cache_question *q)
{
	struct program_run *r = owner;
	own_close(&q->out_fd);
	if (r->aside.fd >= 0)
		aside_drop(r->programs->conf.state->fd, &r->aside);
}

struct cache_runner program_runner(struct program_run *r, struct programs *p,
				   const struct suite_store *store)
{
	*r = (struct program_run){.programs = p, .store = store, .aside = {.fd = -1}};
	return (struct cache_runner){program_run, program_done, r};
}
