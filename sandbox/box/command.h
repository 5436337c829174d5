/* The command itself: the last steps between the box's pid 1 and the job's first program. */
#pragma once
#include "base/err.h"
#include "sandbox/box/init.h"

#include <sys/types.h>

#define COMMAND_ABSENT 127 /* as shells have it */
#define COMMAND_REFUSED 126

/* command_start(in, stdio, e): a child in its own session, with these three for stdin, stdout and
 * stderr and nothing else open, privileges dropped, filtered; with PLAN_TERMINAL_WANTED they are a
 * terminal, which becomes its controlling one. Its pid once it executes
 * argv[0] (looked up in PATH of in->spec->env). A program that is not there is the package's
 * affair: one line on its output and exit status 127, or 126 where it can't be executed, as shells
 * do. -1 where a step of ours was refused. */
pid_t command_start(const struct init *in, const int stdio[3], struct err *e) must_check;
