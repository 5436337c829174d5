/* A run's door: the socket `socket` in its state directory, by which the same user (or root) asks
 * what it does and changes it while it goes on. JSON, an object per line, both ways:
 *
 *   {"do": "cancel", "run": 3, "packages": ["a"]}   no packages: the whole run ends
 *   {"do": "pause"|"unpause", "run": 3}             nothing more is started; it goes on
 *   {"do": "set", "run": 3, "jobs": 8}              also "fetches"
 *   {"do": "watch"}                                 a snapshot, and one twice a second
 *
 * Each is answered by {"ok": true, "says": TEXT} or {"ok": false, "says": TEXT}; a watcher gets
 * snapshots until the run ends, {"end": "done"|…} last. run may be left out. Loop thread. */
#pragma once
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct control;

struct control_calls {
	/* What request asks for (its "do" is no "watch"): true, or false; *says is told, malloc'ed.
	 */
	bool (*ask)(void *owner, const json_t *request, char **says);
	json_t *(*snapshot)(void *owner);
};

/* control_open(loop, dirfd, calls, owner, e): listens in the directory, whose lock the caller
 * holds: a socket that a dead one left is replaced. NULL with e. */
struct control *control_open(uv_loop_t *loop, int dirfd, const struct control_calls *calls,
			     void *owner, struct err *e) must_check;
/* control_tick(c): watchers get a snapshot. */
void control_tick(struct control *c);
/* control_close(c, end): watchers are told how it ended; the loop frees it. NULL is fine. */
void control_close(struct control *c, const char *end);

/* The other side. control_connect(state, e): of the state directory of that name: a descriptor, or
 * -1: ERR_ABSENT where no run goes on. control_send: one line. */
int control_connect(const char *state, struct err *e) must_check;
int control_send(int fd, const json_t *request, struct err *e) must_check;
