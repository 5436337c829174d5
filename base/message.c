#include "base/message.h"

#include "base/own.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct msghdr head(const struct message *m)
{
	return (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)m->part,
			       .msg_iovlen = m->part[1].iov_len ? 2 : 1};
}

int message_send(int socket, const struct message *m, int flags)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * MESSAGE_FDS)];
		struct cmsghdr align;
	} control;
	struct msghdr h = head(m);
	if (m->n_fds > MESSAGE_FDS) {
		errno = EMSGSIZE;
		return -1;
	}
	if (m->n_fds) {
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * m->n_fds);
		memset(control.bytes, 0, h.msg_controllen);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * m->n_fds);
		memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->n_fds);
	}
	ssize_t n;
	while ((n = sendmsg(socket, &h, MSG_NOSIGNAL | flags)) < 0 && errno == EINTR)
		;
	return n < 0 ? -1 : 0;
}

/* What came in one control message. false: more descriptors than there is room for. */
static bool take(struct message *m, size_t room, const struct cmsghdr *c)
{
	const unsigned char *data = CMSG_DATA(c);
	bool whole = true;
	struct ucred who;
	if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
	    c->cmsg_len == CMSG_LEN(sizeof(who))) {
		memcpy(&who, data, sizeof(who));
		m->sender = who.pid;
	}
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return true;
	for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
		int fd;
		memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		if (m->n_fds < room) {
			m->fds[m->n_fds++] = fd;
		} else {
			close(fd);
			whole = false;
		}
	}
	return whole;
}

ssize_t message_receive(int socket, struct message *m, int flags)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * MESSAGE_FDS) +
			   CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	size_t room = m->n_fds;
	struct msghdr h = head(m);
	h.msg_control = control.bytes;
	h.msg_controllen = sizeof(control.bytes);
	m->n_fds = 0;
	m->sender = 0;
	ssize_t n;
	while ((n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC | flags)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return -1;
	bool whole = !(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
		whole &= take(m, room, c);
	if (whole)
		return n;
	while (m->n_fds)
		own_close(&m->fds[--m->n_fds]);
	errno = EMSGSIZE;
	return -1;
}
