/* What the kernel counts for all processes of a user, or for all boxes of one caller, together: a
 * box gets a part of it, so that one that takes all it can leaves something for its neighbours, and
 * for the caller. What it counts for the whole machine is refused elsewhere (filter_table.c). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

/* Of kernel.pty.max, which is for all instances of devpts. */
#define SHARE_PTYS 256

/* share_look(): how much there is; the helper's, before it makes boxes: what it clones knows it. */
void share_look(void);

/* share_take(nested): pid 1's, while the host's /proc is there: inotify(7) instances and watches,
 * which count for whoever made the user namespace, too. nested: namespaces of the job's own, which
 * do so likewise. Where that can't be said, in a container whose /proc/sys is read-only, there is
 * no such bound. */
void share_take(bool nested);

/* share_signals(), share_files(wanted): how many queued signals and timers, and open files, a
 * process of the box may have; wanted: or 0. What is sent through sockets and not received yet is
 * counted by user, against the sender's limit of open files (unix(7), ETOOMANYREFS): some less than
 * the caller's own leaves it able to send. */
rlim_t share_signals(void);
rlim_t share_files(uint64_t wanted);
