#include "orchestrator/state.h"

#include <limits.h>

char *state_path(const char *opt, struct err *e)
{
	const char *env = getenv("ASSAY_STATE"), *xdg = getenv("XDG_STATE_HOME"),
		   *home = getenv("HOME");
	auto_free char *path = NULL;
	if (opt && *opt)
		path = own_dup(opt);
	else if (env && *env)
		path = own_dup(env);
	else if (xdg && *xdg == '/')
		path = own_fmt("%s/assay", xdg);
	else if (home && *home == '/')
		path = own_fmt("%s/.local/state/assay", home);
	if (!path) {
		err_set(e, ERR_USAGE,
			"no state directory: give --state DIR, or set ASSAY_STATE, XDG_STATE_HOME "
			"or HOME");
		return NULL;
	}
	if (path[0] == '/')
		return give(path);
	char cwd[PATH_MAX];
	if (!getcwd(cwd, sizeof(cwd))) {
		err_sys(e, "current directory, for --state %s", path);
		return NULL;
	}
	return own_fmt("%s/%s", cwd, path);
}
