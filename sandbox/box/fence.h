/* What keeps a box with a way out of its own network (pasta(1)) from the host's own sockets:
 * whatever it reaches it reaches from this machine, also what listens here. So packets to any
 * address that is this machine's are refused in the box's network, and packets to groups, to which
 * programs here may listen, dropped; by nf_tables, because routes are passed over by sockets that
 * name an interface. An address that this machine gets later is not known. */
#pragma once
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct fence_range {
	uint8_t first[16], last[16]; /* IPv4: four bytes of each */
};

struct fence_side {
	struct fence_range *all; /* owned */
	size_t n;
};

struct fence {
	struct fence_side four, six;
};

/* fence_look(f, e): in the host's network: what is its own (rtnetlink(7), the table `local`). An
 * error unless the list is whole. The caller frees it with fence_fini, in both cases. */
int fence_look(struct fence *f, struct err *e) must_check;
void fence_fini(struct fence *f);

/* fence_raise(f, e): in the box's network, with CAP_NET_ADMIN there. */
int fence_raise(const struct fence *f, struct err *e) must_check;
