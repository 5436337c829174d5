#include "orchestrator/stats.h"

#include <math.h>

double stats_log_choose(unsigned n, unsigned k)
{
	return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
}

static double at_most_one(double p)
{
	return p < 1 ? p : 1;
}

double stats_fisher(unsigned a, unsigned n_a, unsigned b, unsigned n_b)
{
	unsigned passed = a + b, n = n_a + n_b;
	unsigned least = passed > n_a ? passed - n_a : 0; /* of b, with the margins held */
	double whole = stats_log_choose(n, passed), p = 0;
	if (!n_a || !n_b)
		return 1;
	for (unsigned k = least; k <= b; k++)
		p += exp(stats_log_choose(n_b, k) + stats_log_choose(n_a, passed - k) - whole);
	return at_most_one(p);
}

static double log_beta(double x, double y)
{
	return lgamma(x) + lgamma(y) - lgamma(x + y);
}

double stats_beta_tail(unsigned k, unsigned n, double failed, double passed)
{
	double whole = log_beta(failed, passed), p = 0;
	if (!k)
		return 1;
	for (unsigned i = k; i <= n; i++)
		p += exp(stats_log_choose(n, i) + log_beta(failed + i, passed + (n - i)) - whole);
	return at_most_one(p);
}
