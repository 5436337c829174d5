/* What a process has of its parent's, beside what a box's namespaces, identity and descriptors
 * replace. The helper gives it up once, before it makes boxes; they inherit from the helper. */
#pragma once

/* inherited_drop(): as a process of a fresh login has it: no signal ignored or blocked that was not
 * ours to ignore, soft limits as high as the hard ones, no personality, niceness, scheduling
 * policy, I/O priority, timer slack, memory policy or session keyring of the caller's. What the
 * kernel doesn't give back to an ordinary user stays (a raised niceness: setpriority(2); a lowered
 * hard limit), and so does the set of processors: taskset(1) on the caller is meant for its boxes.
 */
void inherited_drop(void);
/* inherited_signals(): the signals of it: none ignored, but SIGPIPE and SIGINT by us, none blocked.
 */
void inherited_signals(void);
