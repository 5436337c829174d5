#include "sandbox/box/tie.h"

#include "base/unit.h"
#include "sandbox/box/inherited.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

/* Not of a caller that is gone already: prctl(2). */
void tie_forget(char *word)
{
	memset(word, 0, strlen(word));
}

int tie_to(char *parent, struct err *e)
{
	uint64_t pid;
	if (unit_parse_count(parent, &pid))
		return err_set(e, ERR_USAGE, "%s is no process", parent);
	tie_forget(parent);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return err_sys(e, "tie to the caller");
	if ((uint64_t)getppid() != pid)
		return err_set(e, ERR_USAGE, "the caller is gone");
	return 0;
}

void tie_clean(const char *name, unsigned first)
{
	inherited_drop();
	prctl(PR_SET_NAME, name);
	close_range(first, ~0u, 0);
}
