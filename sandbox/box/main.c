/* assay-box: builds boxes for one caller (protocol: plan.h), and `assay-box try SLOT` says with its
 * exit status and one line whether it could. Static and small, because each box begins as a copy of
 * it. */
#include "sandbox/box/birth.h"
#include "sandbox/box/serve.h"

#include "base/unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int complain(const struct err *e)
{
	fprintf(stderr, "assay-box: %s\n", e->text);
	return 125;
}

/* Gone with the caller's thread, and not of a caller that is gone already: prctl(2). */
static int tie(const char *parent, struct err *e)
{
	uint64_t pid;
	if (unit_parse_count(parent, &pid))
		return err_set(e, ERR_USAGE, "%s is no process", parent);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return err_sys(e, "tie to the caller");
	if ((uint64_t)getppid() != pid)
		return err_set(e, ERR_USAGE, "the caller is gone");
	return 0;
}

static void clean(void)
{
	struct rlimit files;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL); /* ignored by a parent would be inherited, and nobody could be
				     waited for */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* of the caller's terminal: the caller decides */
	signal(SIGTERM, SIG_DFL);
	personality(PER_LINUX);
	prctl(PR_SET_NAME, "assay-box");
	close_range(PLAN_SOCKET + 1, ~0u, 0);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	struct serve s = {.way = OVERLAY_FD, .ids = {.userns_fd = -1}};
	struct err e = ERR_INIT;
	uint64_t slot;
	if (argc == 3 && !strcmp(argv[1], "try")) {
		if (unit_parse_count(argv[2], &slot) || slot >= IDS_SLOTS)
			return 125;
		clean();
		return ids_open(&s.ids, (unsigned)slot, &e) || birth_try(&s.ids, &e) ? complain(&e)
										     : 0;
	}
	if ((argc != 4 && argc != 5) || strcmp(argv[1], "serve") ||
	    unit_parse_count(argv[3], &slot) || slot >= IDS_SLOTS ||
	    (argc == 5 && !overlay_way_of(argv[4], &s.way))) {
		fprintf(stderr, "assay-box is started by assay, not by hand\n");
		return 125;
	}
	s.only_way = argc == 5;
	clean();
	if (tie(argv[2], &e) || ids_open(&s.ids, (unsigned)slot, &e) || serve_run(&s, &e))
		return complain(&e);
	return 0;
}
