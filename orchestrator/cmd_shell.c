/* assay shell: into the box of a phase that was run. Everything of it but the command; what is
 * changed there goes with it. Its own trouble is exit status 125, so that all others are the
 * shell's. */
#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/hand.h"
#include "orchestrator/retrace.h"
#include "orchestrator/sandbox_stdio.h"

#include <argp.h>
#include <string.h>

struct shell_args {
	struct options_common common;
	struct retrace_asked asked;
	struct how how;
	bool tty, all_limits;
	char **argv; /* the command; NULL: a shell */
};

enum { SHELL_VARIANT = 0x400, SHELL_PHASE, SHELL_ALL_LIMITS };

static const struct argp_option shell_options[] = {
	{"variant", SHELL_VARIANT, "VARIANT", 0,
	 "of this variant (default: the first that did not pass)", 0},
	{"phase", SHELL_PHASE, "PHASE", 0, "of this phase (default: the one that decided)", 0},
	{"tty", 't', NULL, 0, "a terminal for a command that is given, too", 0},
	{"all-limits", SHELL_ALL_LIMITS, NULL, 0,
	 "at a terminal: also those of time, which else count how long you think", 0},
	{"executor", 'e', "NAME", 0, "who makes the boxes (default: as in the run)", 0},
	{"verbose", 'v', NULL, 0, "tell every step of a box", 0},
	{0},
};

static const struct argp_child shell_children[] = {{&options_ids_argp, 0, NULL, 0},
						   {&options_common_argp, 0, NULL, 0},
						   {0}};

static void shell_word(struct shell_args *a, char *arg, struct argp_state *st)
{
	uint64_t run;
	if (!a->asked.run) {
		if (unit_parse_count(arg, &run) || !run || run > INT64_MAX)
			argp_error(st, "a run is a number, not '%s'", arg);
		a->asked.run = (int64_t)run;
	} else if (!a->asked.package) {
		a->asked.package = arg;
	} else {
		/* the rest is the command's, whatever it looks like */
		a->argv = &st->argv[st->next - 1];
		st->next = st->argc;
	}
}

static error_t shell_parse(int key, char *arg, struct argp_state *st)
{
	struct shell_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->how.ids;
		st->child_inputs[1] = &a->common;
		return 0;
	case SHELL_VARIANT:
		a->asked.variant = arg;
		return 0;
	case SHELL_PHASE:
		a->asked.phase = arg;
		return 0;
	case SHELL_ALL_LIMITS:
		a->all_limits = true;
		return 0;
	case 't':
		a->tty = true;
		return 0;
	case 'v':
		a->how.verbose = true;
		return 0;
	case 'e':
		a->how.executor = executor_of(arg);
		if (!a->how.executor)
			argp_error(st, "there is no executor '%s'", arg);
		return 0;
	case ARGP_KEY_ARG:
		shell_word(a, arg, st);
		return 0;
	case ARGP_KEY_END:
		if (!a->asked.package)
			argp_error(st, "which package of which run?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp shell_argp = {
	shell_options,
	shell_parse,
	"RUN PACKAGE [-- COMMAND [ARGUMENT…]]",
	"Go into the box of a phase of a run: the same root, layers, stores, files, environment, "
	"network and limits, with a shell in place of the phase's command, which is shown.\v"
	"What the phases before it left is there as it is kept (assay cache kept), or made by "
	"running them again. What you change is gone "
	"when you leave; nothing is recorded, and a run may go on meanwhile. Limits of time, "
	"silence and output are left out at a terminal. The exit status is the shell's, or the "
	"command's; 125 is trouble of assay's own.\n\n"
	"Example:\n  assay shell 12 semver\n  assay shell 12 semver --variant next --phase build "
	"-- ls -l",
	shell_children,
	NULL,
	NULL,
};

struct shell {
	struct shell_args *a;
	struct retrace r;
	struct retrace_box box;
	char **env;
};

static void shell_tell(const struct shell *s)
{
	const struct retrace *r = &s->r;
	const struct suite *suite = r->again.suite;
	const struct retrace_phase *last = &r->phases[r->n_phases - 1];
	const struct suite_phase *p = &suite->phases[last->phase];
	const struct suite_package *package = &suite->packages[r->package];
	fprintf(stderr, "run %lld, %s%s%s under %s: %s\nphase %s, network %s, in %s:\n",
		(long long)r->again.run, package->name, *package->version ? "@" : "",
		package->version, suite->variants[r->branch->variant].name, r->ended, p->name,
		box_net_name(last->net), suite->workdir);
	for (const char *line = p->run; *line;) {
		size_t n = strcspn(line, "\n");
		fprintf(stderr, "    %.*s\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
	fputs("What you change here is gone when you leave.\n", stderr);
}

/* The variables that say what our terminal can. */
static void shell_environment(struct shell *s)
{
	const char *term = getenv("TERM");
	size_t n = 0;
	while (s->box.made.env[n])
		n++;
	s->env = own_calloc(n + 2, sizeof(*s->env));
	memcpy(s->env, s->box.made.env, n * sizeof(*s->env));
	s->env[n] = own_fmt("TERM=%s", term && *term ? term : "dumb");
	s->box.made.spec.env = s->env;
}

static int shell_open(void *owner, struct err *e)
{
	static char sh[] = "/bin/sh", flag[] = "-c",
		    text[] = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";
	static char *plain[] = {sh, flag, text, NULL};
	struct shell *s = owner;
	size_t at = s->r.n_phases - 1;
	if (retrace_box(&s->r, at, s->r.phases[at].net, at, &s->box, e))
		return -1;
	struct box_spec *b = &s->box.made.spec;
	b->argv = s->a->argv ? s->a->argv : plain;
	b->terminal = s->a->tty;
	if (!b->terminal)
		return 0;
	shell_environment(s);
	b->limits.silence_ms = b->limits.output_bytes = 0; /* nobody reads along */
	if (!s->a->all_limits)
		b->limits.wall_ms = b->limits.cpu_ms = b->limits.idle_ms = 0;
	return 0;
}

static void shell_close(void *owner)
{
	struct shell *s = owner;
	if (s->env) {
		size_t n = 0;
		while (s->env[n + 1])
			n++;
		free(s->env[n]);
		free(s->env);
		s->env = NULL;
	}
	retrace_box_close(&s->r, &s->box);
}

static void shell_leave(void *owner)
{
	struct shell *s = owner;
	shell_close(owner);
	retrace_close(&s->r);
}

static struct sandbox_end shell_run(struct shell *s)
{
	char name[24];
	struct hand h = {
		.box = &s->box.made.spec,
		.conf = retrace_conf(&s->r, name),
		.open = shell_open,
		.close = shell_close,
		.leave = shell_leave,
		.owner = s,
	};
	hand_run(&h);
	if (h.line.n)
		fprintf(stderr, "assay: %s\n", text_str(&h.line));
	struct sandbox_end end = h.end;
	hand_fini(&h);
	return end;
}

static int shell(struct shell *s, struct state *st, struct sandbox_end *end, struct err *e)
{
	int signal = 0;
	if (s->a->tty && !isatty(STDIN_FILENO))
		return err_set(e, ERR_USAGE,
			       "standard input is no terminal: give a command after --, or call "
			       "this at a terminal");
	if (retrace_open(&s->r, st, &s->a->asked, &s->a->how, e))
		return -1;
	if (!s->a->argv || s->a->tty)
		shell_tell(s);
	if (retrace_before(&s->r, &signal, e))
		return -1;
	*end = (struct sandbox_end){.signal = signal};
	if (!signal)
		*end = shell_run(s);
	return 0;
}

int cmd_shell(int argc, char **argv)
{
	struct shell_args a = {.how.repeats = HOW_UNGIVEN, .how.repeat_fixes = HOW_UNGIVEN};
	struct shell s = {.a = &a};
	struct sandbox_end end = {.status = SANDBOX_OURS};
	struct err e = ERR_INIT;
	argp_err_exit_status = SANDBOX_OURS;
	if (sandbox_stdio_standard(&e)) {
		fprintf(stderr, "assay: shell: %s\n", e.text);
		return SANDBOX_OURS;
	}
	if (argp_parse(&shell_argp, argc, argv, ARGP_IN_ORDER, NULL, &a))
		return SANDBOX_OURS;
	a.tty = a.tty || !a.argv;
	struct state *st = state_look(a.common.state, &e);
	if (!st || shell(&s, st, &end, &e))
		fprintf(stderr, "assay: shell: %s\n", e.text);
	retrace_close(&s.r);
	state_close(st);
	if (end.signal)
		sandbox_end_die(end.signal);
	return end.status;
}
