/* What of this program's standard input, output and error the command of a box by hand gets as it
 * is, and what it gets a copy of. hand.c calls it, before there is a box. */
#pragma once
#include "sandbox/sandbox.h"

/* sandbox_stdio_standard(e): 0, 1 and 2 are open: what is closed would else be some file of ours.
 */
int sandbox_stdio_standard(struct err *e) must_check;

/* sandbox_stdio_fed(stdin_taken): is standard input copied? A terminal is. So is a pipe of an
 * ordinary user's: in the box that is its root, who could open it for writing (/proc/self/fd/0) and
 * so write what whoever shares it reads next, a shell its script. */
bool sandbox_stdio_fed(bool stdin_taken);

/* sandbox_stdio_of(limits, stdin_taken, stdio): which of 0, 1 and 2 the command gets as they are;
 * -1 else. stdin_taken: something of ours was read from it, and the command gets none. */
void sandbox_stdio_of(const struct box_limits *l, bool stdin_taken, int stdio[3]);
