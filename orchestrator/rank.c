#include "orchestrator/rank.h"

#include "base/own.h"

static void rank_max(uint64_t *to, uint64_t n)
{
	if (n > *to)
		*to = n;
}

uint64_t rank_units(const struct rank_unit *u, size_t n, const struct graph *g, size_t n_packages,
		    uint64_t *after)
{
	auto_free uint64_t *branch = own_calloc(n_packages + 1, sizeof(*branch));
	auto_free uint64_t *whole = own_calloc(n_packages + 1, sizeof(*whole));
	auto_free uint64_t *behind = own_calloc(n_packages + 1, sizeof(*behind));
	auto_free bool *trunk = own_calloc(n + 1, sizeof(*trunk));
	uint64_t longest = 0;
	for (size_t i = 0; i < n; i++)
		if (u[i].trunk != RANK_NONE)
			trunk[u[i].trunk] = true;
	for (size_t i = 0; i < n; i++)
		if (!trunk[i])
			rank_max(&branch[u[i].package], u[i].total_ms);
	for (size_t i = 0; i < n; i++)
		rank_max(&whole[u[i].package],
			 branch[u[i].package] + (trunk[i] ? u[i].total_ms : 0));
	if (g)
		graph_after(g, whole, behind);
	for (size_t i = 0; i < n; i++) {
		uint32_t p = u[i].package;
		after[i] = behind[p] + branch[p] - (trunk[i] ? 0 : u[i].total_ms);
		rank_max(&longest, whole[p] + behind[p]);
	}
	return longest;
}
