/* An OCI bundle: config.json of the runtime specification 1.0.2 (config.md, config-linux.md). The
 * namespaces are the box's but for the user's, in which the runtime runs already, and the cgroup's,
 * which pid 1 makes when it has entered the box's groups. Its capabilities are those of the user
 * namespace; what a box's command keeps of them, masks, limits and filter are pid 1's to set, so
 * that they are the same under every engine. */
#include "sandbox/oci/engine.h"

#include "sandbox/box/inside.h"

#include <errno.h>
#include <jansson.h>

/* For the box's pid 1: what privilege.c keeps for the command, and what it takes to get there: to
 * enter a root and namespaces, to have a loopback interface and clocks, to bound what comes after.
 */
static const char *const bundle_caps[] = {
	"CAP_CHOWN",     "CAP_DAC_OVERRIDE", "CAP_FSETID",     "CAP_FOWNER", "CAP_SETGID",
	"CAP_SETUID",    "CAP_SETFCAP",      "CAP_SYS_CHROOT", "CAP_KILL",   "CAP_SYS_ADMIN",
	"CAP_NET_ADMIN", "CAP_SETPCAP",      "CAP_SYS_TIME",
};

static json_t *bundle_strings(const char *const *list, size_t n)
{
	json_t *all = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, json_string(list[i]));
	return all;
}

static json_t *bundle_process(void)
{
	static const char *const args[] = {INSIDE_PROGRAM, "inside"};
	json_t *caps = json_object();
	static const char *const sets[] = {"bounding", "effective", "permitted"};
	for (size_t i = 0; i < countof(sets); i++)
		json_object_set_new(caps, sets[i],
				    bundle_strings(bundle_caps, countof(bundle_caps)));
	return json_pack("{s:b, s:{s:i, s:i}, s:o, s:[], s:s, s:b, s:o}", "terminal", 0, "user",
			 "uid", 0, "gid", 0, "args", bundle_strings(args, countof(args)), "env",
			 "cwd", "/", "noNewPrivileges", 1, "capabilities", caps);
}

/* What it takes to be started; the box's own /dev, /proc and /sys are in its root. */
static json_t *bundle_mounts(void)
{
	return json_pack("[{s:s, s:s, s:s, s:[s,s,s]}, {s:s, s:s, s:s, s:[s,s,s]}]", "destination",
			 "/proc", "type", "proc", "source", "proc", "options", "nosuid", "noexec",
			 "nodev", "destination", "/dev", "type", "tmpfs", "source", "tmpfs",
			 "options", "nosuid", "mode=755", "size=64k");
}

static json_t *bundle_namespaces(bool net_host)
{
	static const char *const types[] = {"pid", "ipc", "uts", "mount", "network"};
	json_t *all = json_array();
	for (size_t i = 0; i < countof(types) - net_host; i++)
		json_array_append_new(all, json_pack("{s:s}", "type", types[i]));
	return all;
}

int bundle_write(const struct engine_job *j, struct err *e)
{
	json_error_t why;
	json_t *config =
		json_pack_ex(&why, 0, "{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:{s:o, s:s}}",
			     "ociVersion", "1.0.2", "process", bundle_process(), "root", "path",
			     j->root, "readonly", 1, "hostname", j->hostname, "mounts",
			     bundle_mounts(), "linux", "namespaces", bundle_namespaces(j->net_host),
			     "rootfsPropagation", "private");
	if (!config)
		return err_set(e, ERR_BOX, "config.json: %s", why.text);
	auto_free char *path = own_fmt("%s/config.json", j->dir);
	int rc = json_dump_file(config, path, JSON_INDENT(1)) ? err_sys(e, "write %s", path) : 0;
	json_decref(config);
	return rc;
}
