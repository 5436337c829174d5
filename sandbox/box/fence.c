#include "sandbox/box/fence.h"

#include "sandbox/box/nft.h"

#include <errno.h>
#include <linux/icmp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FENCE_CHUNK 64        /* rules in one batch: a socket's buffer is bounded */
#define FENCE_TRIES 8         /* to read a list that changes meanwhile */
#define LOOPBACK 1u           /* the index of lo in every network namespace */
#define PORT_UNREACHABLE_6 4u /* ICMPV6_PORT_UNREACH of linux/icmpv6.h */

/* What differs between IPv4 and IPv6. */
struct family {
	uint8_t routes, tables; /* AF_*, NFPROTO_* */
	uint32_t size, at;      /* of an address; where the destination is in a packet's header */
	uint32_t refused;       /* ICMP's code for "nobody listens there" */
	struct fence_range groups;
	bool udp; /* of the groups only UDP: neighbour discovery needs the rest */
};

static const struct family four = {
	.routes = AF_INET,
	.tables = NFPROTO_IPV4,
	.size = 4,
	.at = 16,
	.refused = ICMP_PORT_UNREACH,
	/* multicast, reserved, broadcast */
	.groups = {{224, 0, 0, 0}, {255, 255, 255, 255}},
};
static const struct family six = {
	.routes = AF_INET6,
	.tables = NFPROTO_IPV6,
	.size = 16,
	.at = 24,
	.refused = PORT_UNREACHABLE_6,
	.groups = {{0xff},
		   {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff}},
	.udp = true,
};

static void side_add(struct fence_side *side, const uint8_t *address, uint32_t size, unsigned bits)
{
	struct fence_range r = {.first = {0}};
	memcpy(r.first, address, size);
	memcpy(r.last, address, size);
	for (unsigned i = bits; i < size * 8; i++) {
		r.first[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
		r.last[i / 8] |= (uint8_t)(0x80u >> i % 8);
	}
	side->all = own_grow(side->all, side->n + 1, sizeof(*side->all));
	side->all[side->n++] = r;
}

/* What is sent there this machine itself may take: broadcasts, and of a router the address that all
 * of its network's routers have. */
static bool is_own(unsigned char type)
{
	return type == RTN_LOCAL || type == RTN_BROADCAST || type == RTN_ANYCAST;
}

static void side_route(struct fence_side *side, const struct family *f, const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	const char *at = (const char *)h, *end = at + h->nlmsg_len;
	uint32_t table = r->rtm_table;
	const uint8_t *to = NULL;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*r)) || r->rtm_family != f->routes ||
	    !is_own(r->rtm_type) || r->rtm_dst_len > f->size * 8)
		return;
	for (at += NLMSG_SPACE(sizeof(*r)); end - at >= (ptrdiff_t)sizeof(struct rtattr);) {
		const struct rtattr *a = (const void *)at;
		if (a->rta_len < sizeof(*a) || a->rta_len > end - at)
			break;
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) == f->size)
			to = RTA_DATA(a);
		else if (a->rta_type == RTA_TABLE && RTA_PAYLOAD(a) == sizeof(table))
			memcpy(&table, RTA_DATA(a), sizeof(table));
		at += RTA_ALIGN(a->rta_len);
	}
	if (to && table == RT_TABLE_LOCAL)
		side_add(side, to, f->size, r->rtm_dst_len);
}

/* The error that a message ends a dump with (netlink(7)), 0: none. */
static int dump_error(const struct nlmsghdr *h)
{
	int error = 0;
	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
		memcpy(&error, NLMSG_DATA(h), sizeof(error));
	return error < 0 ? -error : h->nlmsg_type == NLMSG_ERROR ? EPROTO : 0;
}

/* Only that there is no such family means that there is no address of it. */
static int dump_end(const struct nlmsghdr *h, struct err *e)
{
	errno = dump_error(h);
	if (!errno || errno == EAFNOSUPPORT || errno == EOPNOTSUPP)
		return 0;
	return err_sys(e, "list this machine's addresses");
}

/* 1: more will come, 0: that was all, -1. torn: the list changed while it was told. */
static int side_read(struct fence_side *side, const struct family *f, int fd, bool *torn,
		     struct err *e)
{
	static _Alignas(NLMSG_ALIGNTO) char bytes[64 << 10];
	ssize_t n;
	while ((n = recv(fd, bytes, sizeof(bytes), MSG_TRUNC)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return err_sys(e, "read this machine's addresses");
	if ((size_t)n > sizeof(bytes) || n < (ssize_t)sizeof(struct nlmsghdr))
		return err_set(e, ERR_BOX, "read this machine's addresses: %zd bytes at once", n);
	for (struct nlmsghdr *h = (void *)bytes; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
		*torn |= !!(h->nlmsg_flags & NLM_F_DUMP_INTR);
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return dump_end(h, e);
		if (h->nlmsg_type == RTM_NEWROUTE)
			side_route(side, f, h);
	}
	return 1;
}

static int side_look(struct fence_side *side, const struct family *f, struct err *e)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg r;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask),
		      .nlmsg_type = RTM_GETROUTE,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.r = {.rtm_family = f->routes},
	};
	auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	for (unsigned try = 0; try < FENCE_TRIES; try++) {
		bool torn = false;
		int rc = 1;
		if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0)
			return err_sys(e, "ask for this machine's addresses");
		side->n = 0;
		while (rc > 0)
			rc = side_read(side, f, fd, &torn, e);
		if (rc || !torn)
			return rc;
	}
	return err_set(e, ERR_BOX, "this machine's addresses change faster than they can be read");
}

int fence_look(struct fence *f, struct err *e)
{
	*f = (struct fence){.four = {NULL, 0}};
	return side_look(&f->four, &four, e) || side_look(&f->six, &six, e) ? -1 : 0;
}

void fence_fini(struct fence *f)
{
	free(f->four.all);
	free(f->six.all);
	*f = (struct fence){.four = {NULL, 0}};
}

/* Between the box's own processes all is free. */
static void rule_loopback(struct nft *t)
{
	size_t rule = nft_rule(t);
	nft_meta_is(t, NFT_META_OIF, &(uint32_t){LOOPBACK}, sizeof(uint32_t));
	nft_verdict(t, NF_ACCEPT);
	nft_rule_end(t, rule);
}

static void rule_groups(struct nft *t, const struct family *f)
{
	size_t rule = nft_rule(t);
	if (f->udp)
		nft_meta_is(t, NFT_META_L4PROTO, &(uint8_t){IPPROTO_UDP}, 1);
	nft_header_within(t, f->at, f->size, f->groups.first, f->groups.last);
	nft_verdict(t, NF_DROP);
	nft_rule_end(t, rule);
}

static void rule_own(struct nft *t, const struct family *f, const struct fence_range *own)
{
	size_t rule = nft_rule(t);
	nft_header_within(t, f->at, f->size, own->first, own->last);
	nft_refuse(t, f->refused);
	nft_rule_end(t, rule);
}

static int side_raise(int fd, const struct fence_side *side, const struct family *f, struct err *e)
{
	auto_nft struct nft t = {.family = f->tables};
	nft_begin(&t);
	nft_chain(&t);
	rule_loopback(&t);
	rule_groups(&t, f);
	for (size_t i = 0; i < side->n; i++) {
		rule_own(&t, f, &side->all[i]);
		if ((i + 1) % FENCE_CHUNK || i + 1 == side->n)
			continue;
		if (nft_commit(&t, fd, e))
			return -1;
		nft_begin(&t);
	}
	return nft_commit(&t, fd, e);
}

int fence_raise(const struct fence *f, struct err *e)
{
	auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return err_sys(e, "open nf_tables");
	bool has_six = !access("/proc/net/if_inet6", F_OK);
	if (side_raise(fd, &f->four, &four, e) || (has_six && side_raise(fd, &f->six, &six, e)))
		return err_add(e, "keep this machine's addresses out of the box's network");
	return 0;
}
