#include "sandbox/box/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

static const char table_name[] = "assay", chain_name[] = "out";

/* Attributes and messages begin with their length, which is known when they are whole: what begins
 * one gives its place, for what ends it. */
static size_t put_open(struct text *t, uint16_t type)
{
	struct nlattr a = {.nla_type = type};
	text_put(t, &a, sizeof(a));
	return t->n - sizeof(a);
}

static void put_close(struct text *t, size_t at)
{
	uint16_t n = (uint16_t)(t->n - at);
	memcpy(t->p + at, &n, sizeof(n));
	while (t->n % NLA_ALIGNTO)
		text_addc(t, 0);
}

static void put_bytes(struct text *t, uint16_t type, const void *bytes, size_t n)
{
	size_t at = put_open(t, type);
	text_put(t, bytes, n);
	put_close(t, at);
}

static void put_name(struct text *t, uint16_t type, const char *name)
{
	put_bytes(t, type, name, strlen(name) + 1);
}

static void put_u32(struct text *t, uint16_t type, uint32_t v)
{
	uint32_t net = htonl(v);
	put_bytes(t, type, &net, sizeof(net));
}

static size_t message_open(struct text *t, uint16_t type, uint16_t flags, uint8_t family,
			   uint16_t resource)
{
	struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
	struct nfgenmsg g = {.nfgen_family = family, .res_id = htons(resource)};
	text_put(t, &h, sizeof(h));
	text_put(t, &g, sizeof(g));
	return t->n - sizeof(h) - sizeof(g);
}

static void message_close(struct text *t, size_t at)
{
	uint32_t n = (uint32_t)(t->n - at);
	memcpy(t->p + at, &n, sizeof(n));
}

static size_t nft_open(struct nft *t, int message, uint16_t flags)
{
	return message_open(&t->bytes, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message), flags,
			    t->family, 0);
}

void nft_begin(struct nft *t)
{
	size_t m =
		message_open(&t->bytes, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_close(&t->bytes, m);
}

void nft_chain(struct nft *t)
{
	size_t m = nft_open(t, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	put_name(&t->bytes, NFTA_TABLE_NAME, table_name);
	message_close(&t->bytes, m);
	m = nft_open(t, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	put_name(&t->bytes, NFTA_CHAIN_TABLE, table_name);
	put_name(&t->bytes, NFTA_CHAIN_NAME, chain_name);
	size_t hook = put_open(&t->bytes, NFTA_CHAIN_HOOK | NLA_F_NESTED);
	put_u32(&t->bytes, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
	put_u32(&t->bytes, NFTA_HOOK_PRIORITY, 0);
	put_close(&t->bytes, hook);
	put_u32(&t->bytes, NFTA_CHAIN_POLICY, NF_ACCEPT);
	put_name(&t->bytes, NFTA_CHAIN_TYPE, "filter");
	message_close(&t->bytes, m);
}

/* The place of the message and, 16 bits up, how far behind it that of its expressions is. */
size_t nft_rule(struct nft *t)
{
	size_t m = nft_open(t, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	put_name(&t->bytes, NFTA_RULE_TABLE, table_name);
	put_name(&t->bytes, NFTA_RULE_CHAIN, chain_name);
	size_t list = put_open(&t->bytes, NFTA_RULE_EXPRESSIONS | NLA_F_NESTED);
	return m << 16 | (list - m);
}

void nft_rule_end(struct nft *t, size_t rule)
{
	size_t m = rule >> 16;
	put_close(&t->bytes, m + (rule & 0xffff));
	message_close(&t->bytes, m);
}

/* One expression: its two frames. */
struct expression {
	size_t element, data;
};

static struct expression expression_open(struct text *t, const char *name)
{
	struct expression x = {.element = put_open(t, NFTA_LIST_ELEM | NLA_F_NESTED)};
	put_name(t, NFTA_EXPR_NAME, name);
	x.data = put_open(t, NFTA_EXPR_DATA | NLA_F_NESTED);
	return x;
}

static void expression_close(struct text *t, struct expression x)
{
	put_close(t, x.data);
	put_close(t, x.element);
}

static void put_compare(struct text *t, uint32_t how, const void *value, size_t n)
{
	struct expression x = expression_open(t, "cmp");
	put_u32(t, NFTA_CMP_SREG, NFT_REG_1);
	put_u32(t, NFTA_CMP_OP, how);
	size_t data = put_open(t, NFTA_CMP_DATA | NLA_F_NESTED);
	put_bytes(t, NFTA_DATA_VALUE, value, n);
	put_close(t, data);
	expression_close(t, x);
}

void nft_meta_is(struct nft *t, uint32_t key, const void *value, size_t n)
{
	struct expression x = expression_open(&t->bytes, "meta");
	put_u32(&t->bytes, NFTA_META_DREG, NFT_REG_1);
	put_u32(&t->bytes, NFTA_META_KEY, key);
	expression_close(&t->bytes, x);
	put_compare(&t->bytes, NFT_CMP_EQ, value, n);
}

void nft_header_within(struct nft *t, uint32_t at, uint32_t n, const uint8_t *first,
		       const uint8_t *last)
{
	struct expression x = expression_open(&t->bytes, "payload");
	put_u32(&t->bytes, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_u32(&t->bytes, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	put_u32(&t->bytes, NFTA_PAYLOAD_OFFSET, at);
	put_u32(&t->bytes, NFTA_PAYLOAD_LEN, n);
	expression_close(&t->bytes, x);
	put_compare(&t->bytes, NFT_CMP_GTE, first, n);
	put_compare(&t->bytes, NFT_CMP_LTE, last, n);
}

void nft_verdict(struct nft *t, uint32_t verdict)
{
	struct expression x = expression_open(&t->bytes, "immediate");
	put_u32(&t->bytes, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	size_t data = put_open(&t->bytes, NFTA_IMMEDIATE_DATA | NLA_F_NESTED);
	size_t inner = put_open(&t->bytes, NFTA_DATA_VERDICT | NLA_F_NESTED);
	put_u32(&t->bytes, NFTA_VERDICT_CODE, verdict);
	put_close(&t->bytes, inner);
	put_close(&t->bytes, data);
	expression_close(&t->bytes, x);
}

void nft_refuse(struct nft *t, uint32_t code)
{
	uint8_t byte = (uint8_t)code;
	struct expression x = expression_open(&t->bytes, "reject");
	put_u32(&t->bytes, NFTA_REJECT_TYPE, NFT_REJECT_ICMP_UNREACH);
	put_bytes(&t->bytes, NFTA_REJECT_ICMP_CODE, &byte, 1);
	expression_close(&t->bytes, x);
}

/* The kernel has done all when the message is sent; it answers what it refuses and nothing else. */
static int nft_answers(int fd, struct err *e)
{
	_Alignas(NLMSG_ALIGNTO) char bytes[8192];
	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : err_sys(e, "hear from nf_tables");
		const struct nlmsghdr *h = (const void *)bytes;
		const struct nlmsgerr *answer = NLMSG_DATA(h);
		if (n < (ssize_t)NLMSG_LENGTH(sizeof(*answer)) || h->nlmsg_type != NLMSG_ERROR)
			continue;
		errno = -answer->error;
		if (answer->error)
			return err_sys(e, "nf_tables");
	}
}

int nft_commit(struct nft *t, int fd, struct err *e)
{
	size_t m = message_open(&t->bytes, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_close(&t->bytes, m);
	ssize_t n;
	while ((n = send(fd, text_str(&t->bytes), t->bytes.n, 0)) < 0 && errno == EINTR)
		;
	text_fini(&t->bytes);
	t->bytes = (struct text)TEXT_INIT;
	return n < 0 ? err_sys(e, "speak to nf_tables") : nft_answers(fd, e);
}
