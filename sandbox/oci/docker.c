/* docker: a client that talks to a daemon in the host's namespaces. Its containers are of the
 * host's user namespace, their root must be an image, and their mounts come from the daemon's mount
 * namespace: so the image is empty, everything is a volume, and the box is made inside the
 * container in namespaces of its own (inside.h, nested), for which the container needs no
 * capability but to map its ids and to kill it. */
#include "sandbox/oci/engine.h"

#include "base/dir.h"
#include "sandbox/box/inside.h"
#include "sandbox/oci/order.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DOCKER_SOCKET "unix:///var/run/docker.sock"
#define DOCKER_IMAGE "assay-entry:1"
#define DOCKER_CONNECT_S 10
#define DOCKER_EMPTY 1024 /* bytes of a tar archive of nothing: two blocks of zeros */

/* Who listens there: the daemon, or who listens for it (systemd). */
static pid_t docker_daemon(struct err *e)
{
	static const char scheme[] = "unix://";
	const char *host = getenv("DOCKER_HOST");
	const struct timeval patience = {.tv_sec = DOCKER_CONNECT_S};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (!host || !*host)
		host = DOCKER_SOCKET;
	if (strncmp(host, scheme, sizeof(scheme) - 1) ||
	    strlen(host) - sizeof(scheme) >= sizeof(at.sun_path) - 2)
		return err_set(e, ERR_USAGE, "docker's daemon at %s is not of this machine", host);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", host + sizeof(scheme) - 1);
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* unix(7) says nothing of it: connect(2) waits so long where nobody accepts. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (const struct sockaddr *)&at, sizeof(at)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return err_sys(e, "reach docker's daemon, which must run, at %s", host);
	return peer.pid;
}

int docker_enter(struct err *e)
{
	pid_t pid = docker_daemon(e);
	if (pid < 0)
		return -1;
	auto_free char *path = own_fmt("/proc/%d/ns/mnt", (int)pid);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWNS) ? err_sys(e, "enter the mounts of docker's daemon")
						: 0;
}

static int docker_import(struct err *e)
{
	static const char nothing[DOCKER_EMPTY];
	struct words w = {.n = 0};
	struct order o;
	char path[] = "/run/assay-image.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "%s", path);
	int rc = dir_write_all(fd, nothing, sizeof(nothing)) ? err_sys(e, "write %s", path) : 0;
	close(fd);
	words_add(&w, "docker");
	words_add(&w, "import");
	words_add(&w, "%s", path);
	words_add(&w, DOCKER_IMAGE);
	if (!rc)
		rc = order_run(&o, &w, ORDER_MS, NULL, e);
	words_fini(&w);
	unlink(path);
	return rc;
}

int docker_install(struct err *e)
{
	static const char *const inspect[] = {"docker",  "image",      "inspect", "--format",
					      "{{.Id}}", DOCKER_IMAGE, NULL};
	struct words w = {.n = 0};
	struct order o;
	struct err absent = ERR_INIT;
	if (docker_daemon(e) < 0)
		return -1;
	words_list(&w, inspect);
	int rc = order_run(&o, &w, ORDER_MS, NULL, &absent);
	words_fini(&w);
	if (rc && absent.kind == ERR_LIMIT)
		return err_set(e, ERR_BOX, "docker's daemon does not answer: %s", absent.text);
	return rc ? docker_import(e) : 0;
}

/* Apart from its start: a container that is there can be removed whatever becomes of that, one that
 * may still come into the world can't. */
int docker_create(const struct engine_job *j, struct err *e)
{
	static const char *const create[] = {"docker",
					     "create",
					     "--rm",
					     "--pull=never",
					     "--log-driver=none",
					     "--no-healthcheck",
					     "--read-only",
					     "--userns=host",
					     "--cap-drop=ALL",
					     "--cap-add=SETUID",
					     "--cap-add=SETGID",
					     "--cap-add=KILL",
					     "--security-opt=seccomp=unconfined",
					     "--security-opt=apparmor=unconfined",
					     "--security-opt=systempaths=unconfined",
					     "--security-opt=no-new-privileges",
					     NULL};
	struct words w = {.n = 0};
	struct order o;
	words_list(&w, create);
	words_rlimits(&w);
	words_add(&w, "--network=%s", j->net_host ? "host" : "none");
	/* The nodes are in the root; the daemon's control group asks too (numbers: devices.txt of
	 * the kernel's admin-guide). */
	if (j->fuse)
		words_add(&w, "--device-cgroup-rule=c 10:229 rwm");
	if (j->kvm)
		words_add(&w, "--device-cgroup-rule=c 10:232 rwm");
	words_add(&w, "--name=%s", j->name);
	if (!j->net_host)
		words_add(&w, "--hostname=%s", j->hostname);
	words_add(&w, "--volume=%s" INSIDE_PROGRAM ":" INSIDE_PROGRAM ":ro", j->root);
	words_add(&w, "--volume=%s" INSIDE_BELL ":" INSIDE_BELL, j->root);
	words_add(&w, "--volume=%s" INSIDE_ROOT ":" INSIDE_ROOT, j->root);
	words_add(&w, DOCKER_IMAGE);
	words_add(&w, INSIDE_PROGRAM);
	words_add(&w, "inside");
	int rc = order_run(&o, &w, ORDER_MS, j->told, e);
	words_fini(&w);
	return rc;
}

void docker_start(const struct engine_job *j, struct words *w)
{
	words_add(w, "docker");
	words_add(w, "start");
	words_add(w, "%s", j->name);
}

void docker_end(const char *name, struct words *w)
{
	words_add(w, "docker");
	words_add(w, "rm");
	words_add(w, "--force");
	words_add(w, "%s", name);
}
