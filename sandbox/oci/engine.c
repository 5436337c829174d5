#include "sandbox/oci/engine.h"

#include "base/dir.h"
#include "sandbox/box/inside.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

void words_add(struct words *w, const char *fmt, ...)
{
	va_list ap;
	if (w->n == ENGINE_WORDS_MAX)
		abort(); /* a row of the table below is too long */
	va_start(ap, fmt);
	if (vasprintf(&w->all[w->n], fmt, ap) < 0)
		abort();
	va_end(ap);
	w->n++;
}

void words_list(struct words *w, const char *const *list)
{
	for (; *list; list++)
		words_add(w, "%s", *list);
}

void words_fini(struct words *w)
{
	while (w->n)
		free(w->all[--w->n]);
}

/* No cgroups of its own: pid 1 enters the box's, which are the caller's to make, read and remove.
 * --detach: what is left of it once the container runs is nothing. */
static void crun_start(const struct engine_job *j, struct words *w)
{
	words_add(w, "crun");
	words_add(w, "--root=%s/state", j->dir);
	words_add(w, "--cgroup-manager=disabled");
	words_add(w, "run");
	words_add(w, "--detach");
	words_add(w, "--bundle=%s", j->dir);
	words_add(w, "%s", j->name);
}

/* It has no such word; in a user namespace it does without where cgroups can't be written. */
static void runc_start(const struct engine_job *j, struct words *w)
{
	words_add(w, "runc");
	words_add(w, "--root=%s/state", j->dir);
	words_add(w, "run");
	words_add(w, "--detach");
	words_add(w, "--bundle=%s", j->dir);
	words_add(w, "%s", j->name);
}

void words_rlimits(struct words *w)
{
	static const struct {
		__rlimit_resource_t which;
		const char *name;
	} all[] = {{RLIMIT_NOFILE, "nofile"}, {RLIMIT_NPROC, "nproc"}};
	struct rlimit r;
	for (size_t i = 0; i < countof(all); i++)
		if (!getrlimit(all[i].which, &r))
			words_add(w, "--ulimit=%s=%lld:%lld", all[i].name,
				  r.rlim_cur == RLIM_INFINITY ? -1ll : (long long)r.rlim_cur,
				  r.rlim_max == RLIM_INFINITY ? -1ll : (long long)r.rlim_max);
}

static const char *const engine_caps[] = {"--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN",
					  "--cap-add=SYS_TIME", NULL};

/* crun, because with runc podman insists on a cgroup of its own. /dev/pts: its own would be of
 * group 5, which one id has not. */
static void podman_start(const struct engine_job *j, struct words *w)
{
	static const char *const store[] = {"--storage-driver=vfs", "--cgroup-manager=cgroupfs",
					    "--events-backend=none", "--runtime=crun", NULL};
	static const char *const run[] = {"run",
					  "--detach",
					  "--log-driver=none",
					  "--cgroups=disabled",
					  "--no-hosts",
					  "--security-opt=seccomp=unconfined",
					  "--security-opt=label=disable",
					  "--security-opt=apparmor=unconfined",
					  "--security-opt=no-new-privileges",
					  "--security-opt=unmask=ALL",
					  "--read-only",
					  "--read-only-tmpfs=false",
					  "--volume=/dev/pts:/dev/pts",
					  NULL};
	words_add(w, "podman");
	words_add(w, "--root=%s/storage", j->dir);
	words_add(w, "--runroot=%s/run", j->dir);
	words_add(w, "--tmpdir=%s/tmp", j->dir);
	words_add(w, "--runtime-flag=root=%s/state", j->dir);
	words_list(w, store);
	words_list(w, run);
	words_list(w, engine_caps);
	words_rlimits(w);
	words_add(w, "--network=%s", j->net_host ? "host" : "none");
	words_add(w, "--hostname=%s", j->hostname);
	words_add(w, "--name=%s", j->name);
	words_add(w, "--rootfs");
	words_add(w, "%s", j->root);
	words_add(w, INSIDE_PROGRAM);
	words_add(w, "inside");
}

/* Whatever this machine's administrator wrote for containers in general is not for this one; locks
 * in shared memory would stay in the host's /dev/shm. */
static int podman_prepare(const struct engine_job *j, struct err *e)
{
	static const char conf[] = "[engine]\nlock_type = \"file\"\nevents_logger = \"none\"\n"
				   "[containers]\n[network]\n";
	static const char *const dirs[] = {"storage", "run", "tmp", "home"};
	auto_fd int dir = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, "open %s", j->dir);
	for (size_t i = 0; i < countof(dirs); i++)
		if (mkdirat(dir, dirs[i], 0700))
			return err_sys(e, "mkdir %s/%s", j->dir, dirs[i]);
	auto_fd int fd =
		openat(dir, "containers.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || dir_write_all(fd, conf, sizeof(conf) - 1))
		return err_sys(e, "write %s/containers.conf", j->dir);
	auto_free char *home = own_fmt("%s/home", j->dir), *run = own_fmt("%s/run", j->dir);
	auto_free char *tmp = own_fmt("%s/tmp", j->dir);
	auto_free char *file = own_fmt("%s/containers.conf", j->dir);
	if (setenv("HOME", home, 1) || setenv("XDG_RUNTIME_DIR", run, 1) ||
	    setenv("TMPDIR", tmp, 1) || setenv("CONTAINERS_CONF", file, 1))
		return err_sys(e, "environment of podman");
	return 0;
}

static const struct engine engines[] = {
	{.name = "crun", .programs = {"crun"}, .prepare = bundle_write, .start = crun_start},
	{.name = "runc", .programs = {"runc"}, .prepare = bundle_write, .start = runc_start},
	{.name = "podman",
	 .programs = {"podman", "crun"},
	 .prepare = podman_prepare,
	 .start = podman_start},
	{.name = "docker",
	 .programs = {"docker"},
	 .daemon = true,
	 .install = docker_install,
	 .enter = docker_enter,
	 .prepare = docker_create,
	 .start = docker_start,
	 .end = docker_end},
};

const struct engine *engine_find(const char *name)
{
	for (size_t i = 0; i < countof(engines); i++)
		if (!strcmp(engines[i].name, name))
			return &engines[i];
	return NULL;
}

char *engine_program(const char *file)
{
	const char *path = getenv("PATH");
	if (!path || !*path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (const char *end;; path = end + 1) {
		end = strchrnul(path, ':');
		auto_free char *full = own_fmt("%.*s/%s", (int)(end - path), path, file);
		if (end > path && path[0] == '/' && !access(full, X_OK))
			return give(full);
		if (!*end)
			return NULL;
	}
}

int engine_installed(const struct engine *g, struct err *e)
{
	for (size_t i = 0; g->programs[i]; i++) {
		auto_free char *path = engine_program(g->programs[i]);
		if (!path)
			return err_set(e, ERR_ABSENT, "%s is not installed%s%s", g->programs[i],
				       i ? ", which it takes to run " : "", i ? g->name : "");
	}
	if (g->daemon && geteuid())
		return err_set(
			e, ERR_ABSENT,
			"%s is not for ordinary users: its daemon is root's, and so would be "
			"what its containers leave",
			g->name);
	return g->install ? g->install(e) : 0;
}
