/* Exact probabilities of few observations: nothing here is an approximation for large numbers.
 * Pure functions. Called by confirm.c, flake.c and the comparison. */
#pragma once

/* The logarithm of "n over k"; k is at most n. */
double stats_log_choose(unsigned n, unsigned k);

/* stats_fisher(a, n_a, b, n_b): a of n_a runs of one side passed, b of n_b of the other. How likely
 * is it, if both sides pass equally often, that the other one passes so rarely, or more rarely
 * still? Fisher's exact test, one-sided: the hypergeometric tail with both margins held (R. A.
 * Fisher, Statistical Methods for Research Workers, 5th ed. 1934, § 21.02). In [0, 1]; 1 where a
 * side has no run. With n passes of n against 0 of n it is .5, .17, .05, .014, .004 for n = 1 … 5.
 */
double stats_fisher(unsigned a, unsigned n_a, unsigned b, unsigned n_b);

/* stats_beta_tail(k, n, failed, passed): the share of runs that fail is not known, but for a Beta
 * distribution with these parameters (> 0). How likely is it that k or more of n runs fail?
 * Beta-binomial tail; 1 for k = 0. */
double stats_beta_tail(unsigned k, unsigned n, double failed, double passed);
