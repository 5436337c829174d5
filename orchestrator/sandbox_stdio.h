/* What of this program's standard input, output and error the command of `assay sandbox` gets as it
 * is, and what it gets a copy of. cmd_sandbox.c calls it, before there is a box. */
#pragma once
#include "orchestrator/sandbox_spec.h"

/* sandbox_stdio_standard(e): 0, 1 and 2 are open: what is closed would else be some file of ours.
 */
int sandbox_stdio_standard(struct err *e) must_check;

/* sandbox_stdio_fed(s): is standard input copied? A terminal is. So is a pipe of an ordinary
 * user's: in the box that is its root, who could open it for writing (/proc/self/fd/0) and so write
 * what whoever shares it reads next, a shell its script. */
bool sandbox_stdio_fed(const struct sandbox_spec *s);

/* sandbox_stdio_of(o, s, stdio): which of 0, 1 and 2 the command gets as they are; -1 else. */
void sandbox_stdio_of(const struct sandbox_options *o, const struct sandbox_spec *s, int stdio[3]);
