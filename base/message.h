/* One message of a UNIX socket with descriptors beside it (unix(7), SCM_RIGHTS), for sockets that
 * keep messages apart (SOCK_SEQPACKET). Any thread. */
#pragma once
#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define MESSAGE_FDS 253 /* SCM_MAX_FD: what one message takes */

struct message {
	struct iovec part[2]; /* its bytes; the second may be empty */
	int *fds;             /* sending: borrowed; receiving: room for n_fds */
	size_t n_fds;         /* received: so many came, close-on-exec, the caller's */
	pid_t sender; /* received over a socket with SO_PASSCRED: as this process sees it, else 0 */
};

/* message_send(socket, m, flags): whole or not at all; no SIGPIPE, signals don't interrupt it.
 * flags: MSG_DONTWAIT or 0. 0, or -1 with errno. */
int message_send(int socket, const struct message *m, int flags) must_check;

/* message_receive(socket, m, flags): bytes, 0 at the socket's end, -1 with errno; EMSGSIZE where
 * the message or its descriptors were more than there is room for: none of them is kept (fds: -1).
 */
ssize_t message_receive(int socket, struct message *m, int flags) must_check;
