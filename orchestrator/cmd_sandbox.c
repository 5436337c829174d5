/* assay sandbox: one command in one box, by hand. What of standard input, output and error is no
 * terminal the command gets as it is; of one that is a terminal it gets a copy (terminal.h). */
#include "orchestrator/commands.h"

#include "base/dir.h"
#include "orchestrator/hand.h"
#include "orchestrator/sandbox_spec.h"
#include "orchestrator/sandbox_stdio.h"
#include "orchestrator/state.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define BOX_NAME "assay-sandbox" /* of its cgroups */

struct by_hand {
	const struct sandbox_options *o;
	struct sandbox_spec spec;
	struct hand hand;
	struct err early; /* before signals were watched for */
	int json_fd;
};

static int json_open(struct by_hand *b, struct err *e)
{
	b->json_fd = -1;
	if (!b->o->json)
		return 0;
	b->json_fd = !strcmp(b->o->json, "-")
			     ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
			     : open(b->o->json, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return b->json_fd < 0 ? err_sys(e, "--json %s", b->o->json) : 0;
}

static int by_hand_open(void *owner, struct err *e)
{
	struct by_hand *b = owner;
	if (b->early.kind) {
		*e = b->early;
		return -1;
	}
	return sandbox_spec_open(&b->spec, b->o, true, e);
}

static void by_hand_close(void *owner)
{
	struct by_hand *b = owner;
	sandbox_spec_close(&b->spec);
}

static int by_hand_tell(struct by_hand *b)
{
	int status = b->hand.end.status;
	if (b->hand.line.n)
		fprintf(stderr, "assay: %s\n", text_str(&b->hand.line));
	if (b->json_fd >= 0) {
		auto_free char *j = json_dumps(b->hand.facts, JSON_INDENT(2));
		if (dir_write_all(b->json_fd, j, strlen(j)) || dir_write_all(b->json_fd, "\n", 1)) {
			fprintf(stderr, "assay: --json %s: %s\n", b->o->json, strerror(errno));
			status = SANDBOX_OURS;
			b->hand.end.signal = 0;
		}
		close(b->json_fd);
	}
	return status;
}

static void by_hand_leave(void *owner)
{
	struct by_hand *b = owner;
	sandbox_spec_close(&b->spec);
	if (b->o->json && strcmp(b->o->json, "-"))
		by_hand_tell(b);
}

static int by_hand(const struct sandbox_options *o)
{
	struct by_hand b = {.o = o, .json_fd = -1, .early = ERR_INIT};
	struct err none = ERR_INIT;
	auto_free char *state = state_path(o->state, &none);
	b.hand = (struct hand){
		.box = &b.spec.box,
		.conf = {.executor = o->executor,
			 .ids = o->ids,
			 .best_effort = o->best_effort,
			 .helper = getenv("ASSAY_BOX"),
			 .slots = 1,
			 .name = BOX_NAME,
			 .verbose = o->verbose,
			 .no_probe = true},
		.open = by_hand_open,
		.close = by_hand_close,
		.leave = by_hand_leave,
		.owner = &b,
	};
	if (state && !access(state, X_OK))
		b.hand.conf.given = state; /* its layers are ours */
	if (!json_open(&b, &b.early))
		(void)!sandbox_spec_read(&b.spec, o, true, &b.early);
	b.hand.stdin_taken = b.spec.stdin_taken;
	hand_run(&b.hand);
	int status = by_hand_tell(&b), signal = b.hand.end.signal;
	hand_fini(&b.hand);
	if (signal)
		sandbox_end_die(signal);
	return status;
}

static int sandbox_plan(const struct sandbox_options *o, struct err *e)
{
	struct sandbox_spec s;
	auto_text struct text t = TEXT_INIT;
	int stdio[3];
	int rc = sandbox_spec_read(&s, o, false, e) || sandbox_spec_open(&s, o, false, e) ? -1 : 0;
	sandbox_stdio_of(&o->limits, s.stdin_taken, stdio);
	if (!o->tty)
		s.box.stdio = stdio;
	if (!rc)
		rc = box_describe(&s.box, &t, e);
	if (!rc)
		fwrite(text_str(&t), 1, t.n, stdout);
	sandbox_spec_close(&s);
	return rc;
}

int cmd_sandbox(int argc, char **argv)
{
	struct sandbox_options o;
	struct err e = ERR_INIT;
	argp_err_exit_status = SANDBOX_OURS;
	int rc = sandbox_stdio_standard(&e) || sandbox_options_read(&o, argc, argv, &e) ||
		 (o.plan && sandbox_plan(&o, &e));
	if (rc)
		fprintf(stderr, "assay: sandbox: %s\n", e.text);
	int status = rc ? SANDBOX_OURS : o.plan ? EXIT_OK : by_hand(&o);
	sandbox_options_fini(&o);
	return status;
}
