/* What runs containers on this machine beside us, one row each: how it is called for one container
 * in the background, and nothing else. What a container holds is decided elsewhere (entry.h): every
 * engine gets the same root, the same command and the same few wishes. */
#pragma once
#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#define ENGINE_WORDS_MAX 64

/* One container. Every path is as the engine sees it. */
struct engine_job {
	const char *name; /* of the container: [a-z0-9-] */
	const char *dir;  /* for what the engine keeps, gone with the box */
	const char *root; /* the container's root: entry.h. A daemon gets what is in it one by one
			   */
	const char *hostname;
	bool net_host;
	bool fuse, kvm;                    /* devices that the box has */
	const volatile sig_atomic_t *told; /* set by a signal: the box is to end */
};

struct words {
	char *all[ENGINE_WORDS_MAX + 1]; /* owned; NULL-terminated */
	size_t n;
};

void words_add(struct words *w, const char *fmt, ...) printf_like(2, 3);
void words_list(struct words *w, const char *const *list);
/* words_rlimits(w): --ulimit with what this process has: to raise one takes CAP_SYS_RESOURCE. */
void words_rlimits(struct words *w);
void words_fini(struct words *w);

struct engine {
	const char *name;
	/* Programs it takes, NULL-terminated; the first is the one that is run. */
	const char *programs[4];
	/* Its containers are a daemon's, in the host's namespaces, and only root may order them;
	 * else they are below the process that calls it, whoever that is. */
	bool daemon;
	/* Once per helper: what it needs on this machine. NULL: nothing. */
	int (*install)(struct err *e);
	/* Per container: what has to be there before it is started. NULL: nothing. ERR_LIMIT: a
	 * daemon may still come to it. */
	int (*prepare)(const struct engine_job *j, struct err *e);
	/* The command that starts the container and comes back. */
	void (*start)(const struct engine_job *j, struct words *w);
	/* daemon: enter its mount namespace. */
	int (*enter)(struct err *e);
	/* daemon: the command that ends and removes it, whatever became of it. */
	void (*end)(const char *name, struct words *w);
};

/* engine_find(name): NULL: there is none of this name. */
const struct engine *engine_find(const char *name);

/* engine_program(file): its path in PATH, the caller's; NULL: it is not installed. */
char *engine_program(const char *file);
/* engine_installed(g, e): -1 with ERR_ABSENT and what is missing, or why it is not for this caller.
 */
int engine_installed(const struct engine *g, struct err *e) must_check;

/* In docker.c. */
int docker_install(struct err *e) must_check;
int docker_enter(struct err *e) must_check;
int docker_create(const struct engine_job *j, struct err *e) must_check;
void docker_start(const struct engine_job *j, struct words *w);
void docker_end(const char *name, struct words *w);

/* In bundle.c: the OCI bundle (opencontainers/runtime-spec 1.0.2, config.json) in j->dir. */
int bundle_write(const struct engine_job *j, struct err *e) must_check;
