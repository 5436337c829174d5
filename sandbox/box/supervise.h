/* What a box's pid 1 does while the command runs, and when it has ended. Inside pid 1. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

/* supervise_ready(): before the command is started: all signals are blocked, and no end of a child
 * is missed. */
void supervise_ready(void);
/* supervise_run(helper, command, processes): reaps whatever ends and passes on what the helper says
 * over its socket, which becomes the only descriptor; when the command has ended says INIT_OVER and
 * ends all others. Without the helper it ends. processes: of the plan. */
void supervise_run(int helper, pid_t command, uint64_t processes) __attribute__((noreturn));
