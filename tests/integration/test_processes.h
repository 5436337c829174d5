/* What integration tests ask the machine: who runs (proc(5)), and what a shell command says. */
#pragma once
#include "base/own.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct process {
	pid_t pid, parent;
	uid_t uid;
	char state;     /* as ps(1) has it */
	char name[32];  /* as ps(1) has it */
	char line[512]; /* the beginning of its command line, a blank after each argument */
};

static inline size_t process_file(DIR *proc, const char *pid, const char *name, char *out,
				  size_t size)
{
	char rel[300];
	snprintf(rel, sizeof(rel), "%s/%s", pid, name);
	auto_fd int fd = openat(dirfd(proc), rel, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, size - 1);
	out[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

/* proc: /proc, opened; who has ended meanwhile is left out. false: there are no more. */
static inline bool process_next(DIR *proc, struct process *p)
{
	for (struct dirent *d; (d = readdir(proc));) {
		char stat_line[512], state;
		int parent = 0;
		struct stat st;
		if (d->d_name[0] < '1' || d->d_name[0] > '9' ||
		    !process_file(proc, d->d_name, "stat", stat_line, sizeof(stat_line)) ||
		    fstatat(dirfd(proc), d->d_name, &st, 0))
			continue;
		char *name = strchr(stat_line, '('), *end = strrchr(stat_line, ')');
		if (!name || !end || sscanf(end + 1, " %c %d", &state, &parent) != 2)
			continue;
		*end = 0;
		*p = (struct process){.pid = (pid_t)strtol(d->d_name, NULL, 10),
				      .parent = parent,
				      .uid = st.st_uid,
				      .state = state};
		snprintf(p->name, sizeof(p->name), "%s", name + 1);
		size_t n = process_file(proc, d->d_name, "cmdline", p->line, sizeof(p->line));
		for (size_t i = 0; i < n; i++)
			if (!p->line[i])
				p->line[i] = ' ';
		return true;
	}
	return false;
}

/* Children of a process whose name begins so; at most `room` are put into out. */
static inline size_t process_children(pid_t parent, const char *name, pid_t *out, size_t room)
{
	struct process p;
	size_t n = 0;
	DIR *proc = opendir("/proc");
	while (n < room && process_next(proc, &p))
		if (p.parent == parent && !strncmp(p.name, name, strlen(name)))
			out[n++] = p.pid;
	closedir(proc);
	return n;
}

/* Children of a process that have ended and that nobody has waited for. */
static inline size_t process_ended(pid_t parent)
{
	struct process p;
	size_t n = 0;
	DIR *proc = opendir("/proc");
	while (process_next(proc, &p))
		n += p.parent == parent && p.state == 'Z';
	closedir(proc);
	return n;
}

/* Processes whose command line has this. */
static inline size_t process_count(const char *words)
{
	struct process p;
	size_t n = 0;
	DIR *proc = opendir("/proc");
	while (process_next(proc, &p))
		n += strstr(p.line, words) != NULL;
	closedir(proc);
	return n;
}

/* What `sh -c command` says on its standard output, appended; its exit status, -1 if a signal ended
 * it. */
static inline int shell_says(const char *command, struct text *out)
{
	int ends[2], status = -1;
	char buf[4096];
	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid_t pid = fork();
	if (!pid) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	for (ssize_t n; (n = read(ends[0], buf, sizeof(buf))) > 0;)
		text_put(out, buf, (size_t)n);
	close(ends[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									       : -1;
}
