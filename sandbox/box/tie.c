#include "sandbox/box/tie.h"

#include "base/unit.h"

#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Not of a caller that is gone already: prctl(2). */
int tie_to(const char *parent, struct err *e)
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

void tie_clean(const char *name, unsigned first)
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
	prctl(PR_SET_NAME, name);
	close_range(first, ~0u, 0);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}
