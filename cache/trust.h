/* Stores that demand the words of several packages. */
#pragma once
#include "cache/harvest.h"

/* trust_check(how, e): 0, or ERR_USAGE where what how demands can't be had. */
int trust_check(const struct cache_harvest *how, struct err *e) must_check;
/* trust_ask(h, e): what lacks words is pending from now on; each entry knows whether it is a word
 * that is new, and h->words how many are. Nothing where none are demanded. 0 or -1. */
int trust_ask(struct harvest *h, struct err *e) must_check;
/* trust_record_id(how, p, out): the id of a record of the words in p. */
void trust_record_id(const struct cache_harvest *how, const struct cache_published *p,
		     char out[CACHE_ID]);
