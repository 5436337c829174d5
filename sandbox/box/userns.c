#include "sandbox/box/userns.h"

#include "base/child.h"
#include "base/message.h"
#include "base/own.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define USERNS_WORDS 512

static const char *const mapper_places[] = {"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin",
					    "/sbin"};

/* NAME PID INSIDE OUTSIDE COUNT …, in the place of this process. */
static void mapper_exec(const char *name, pid_t pid, const char *extents) __attribute__((noreturn));
static void mapper_exec(const char *name, pid_t pid, const char *extents)
{
	char number[16], path[64], *argv[USERNS_WORDS + 3], *env[] = {NULL}, *save = NULL;
	auto_free char *words = own_dup(extents);
	size_t n = 0;
	snprintf(number, sizeof(number), "%d", (int)pid);
	argv[n++] = (char *)(uintptr_t)name;
	argv[n++] = number;
	for (char *w = strtok_r(words, ":,", &save); w && n < USERNS_WORDS;
	     w = strtok_r(NULL, ":,", &save))
		argv[n++] = w;
	argv[n] = NULL;
	for (size_t i = 0; i < countof(mapper_places); i++) {
		snprintf(path, sizeof(path), "%s/%s", mapper_places[i], name);
		execve(path, argv, env);
		if (errno != ENOENT && errno != ENOTDIR)
			break;
	}
	if (errno == ENOENT || errno == ENOTDIR)
		dprintf(STDERR_FILENO, "is not installed: package uidmap has it");
	else
		dprintf(STDERR_FILENO, "%s: %s", path, strerror(errno));
	_exit(127);
}

static int mapper_run(const char *name, pid_t pid, const char *extents, struct err *e)
{
	int said[2];
	char text[400];
	if (pipe2(said, O_CLOEXEC))
		return err_sys(e, "pipe");
	pid_t mapper = fork();
	if (!mapper) {
		if (dup2(said[1], STDERR_FILENO) < 0)
			_exit(127);
		mapper_exec(name, pid, extents);
	}
	close(said[1]);
	auto_fd int from = said[0];
	if (mapper < 0)
		return err_sys(e, "fork %s", name);
	child_hear(from, text, sizeof(text));
	if (!child_end(mapper))
		return 0;
	size_t skip = strlen(name);
	const char *why = !strncmp(text, name, skip) && text[skip] == ':' ? text + skip + 2 : text;
	return err_set(e, ERR_BOX, "%s: %s (asked for %.300s)", name,
		       *why ? why : "ended without a word", extents);
}

struct extents {
	const char *uids, *gids;
};

static int userns_map(const void *arg, pid_t pid, struct err *e)
{
	const struct extents *x = arg;
	return mapper_run("newuidmap", pid, x->uids, e) || mapper_run("newgidmap", pid, x->gids, e)
		       ? -1
		       : 0;
}

int userns_make(const char *uids, const char *gids, struct err *e)
{
	const struct extents x = {uids, gids};
	return ids_namespace(userns_map, &x, e);
}

int userns_send(int fd, struct err *e)
{
	char byte = 0;
	struct message m = {.part = {{&byte, 1}}, .fds = &fd, .n_fds = 1};
	return message_send(PLAN_SOCKET, &m, 0) ? err_sys(e, "send a user namespace") : 0;
}
