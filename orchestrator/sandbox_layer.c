/* Layers by their names: read without the state's lock, as it may be in use. */
#include "orchestrator/sandbox_spec.h"

#include "orchestrator/boxing.h"
#include "orchestrator/state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int sandbox_layer_named(const struct sandbox_options *o, const char *name, struct err *e)
{
	struct state st = {.fd = -1, .lock_fd = -1};
	auto_free char *path = state_path(o->state, e);
	if (!path)
		return -1;
	auto_free char *file = own_fmt("%s/assay.db", path);
	auto_fd int state_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat there;
	const char *hint = !stat(name, &there) ? "; a directory has a '/' in its name: ./" : "";
	st.db = state_fd < 0 ? NULL : db_open(file, DB_READ, e);
	if (!st.db && (state_fd < 0 || e->kind == ERR_ABSENT)) {
		*e = (struct err)ERR_INIT;
		return err_set(e, ERR_ABSENT, "there is no layer %s: nothing is in %s yet%s%s",
			       name, path, hint, *hint ? name : "");
	}
	st.cache = st.db ? cache_open(state_fd, NULL, e) : NULL;
	int fd = st.cache ? boxing_layer(&st, name, e) : -1;
	if (fd < 0 && *hint)
		err_set(e, ERR_ABSENT, "there is no layer %s%s%s", name, hint, name);
	cache_close(st.cache);
	db_close(st.db);
	return fd;
}
