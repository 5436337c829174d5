/* As much of nf_tables' netlink protocol as fence.c needs (linux/netfilter/nf_tables.h; nft(8) with
 * --debug=all shows the same): one base chain for what is sent, and rules in it. A batch is begun,
 * filled and committed; it takes effect whole or not at all. */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

struct nft {
	uint8_t family; /* NFPROTO_IPV4, NFPROTO_IPV6 */
	struct text bytes;
};

void nft_begin(struct nft *t);
/* nft_chain(t): a table of ours with a chain on all that is sent; who passes it may go. */
void nft_chain(struct nft *t);
/* nft_rule(t): begin a rule; what follows are its conditions, then its verdict; nft_rule_end with
 * what this gave. */
size_t nft_rule(struct nft *t);
/* nft_meta_is(t, key, value, n): NFT_META_*, in the machine's byte order. */
void nft_meta_is(struct nft *t, uint32_t key, const void *value, size_t n);
/* nft_header_within(t, at, n, first, last): the n bytes at `at` of the network's header, as a
 * number. */
void nft_header_within(struct nft *t, uint32_t at, uint32_t n, const uint8_t *first,
		       const uint8_t *last);
/* nft_verdict(t, verdict): NF_ACCEPT, NF_DROP. nft_refuse(t, code): an ICMP unreachable. */
void nft_verdict(struct nft *t, uint32_t verdict);
void nft_refuse(struct nft *t, uint32_t code);
void nft_rule_end(struct nft *t, size_t rule);
/* nft_commit(t, fd, e): fd is a NETLINK_NETFILTER socket. t is empty afterwards. */
int nft_commit(struct nft *t, int fd, struct err *e) must_check;

static inline void nft_fini(struct nft *t)
{
	text_fini(&t->bytes);
}
#define auto_nft __attribute__((cleanup(nft_fini)))
