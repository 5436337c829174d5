/* The record that opens each publish in the segments. */
#pragma once
#include "cache/cache.h"
#include "base/text.h"

/* record_id(p): by which id the record of p goes: its layer's, or its own. */
static inline const char *record_id(const struct cache_published *p)
{
	return p->record[0] ? p->record : p->layer.id;
}
/* record_write(t, how, p): the text that says what p publishes; p's layer, chain and entries are
 * there. */
void record_write(struct text *t, const struct cache_harvest *how, const struct cache_published *p);
/* record_write_again(t, r, now_ms, salt): the text of a publish that is written into the archive
 * again; by which rules it was made is not known any more. The salt makes it another text. */
void record_write_again(struct text *t, const struct cache_record *r, int64_t now_ms,
			unsigned salt);
/* record_write_note(t, n, p): the same of a note; p's layer (the note's id) and chain are there. */
void record_write_note(struct text *t, const struct cache_note *n, const struct cache_published *p);
/* record_parse(p, n, r, e): what such a text of version 1 or 2 says; r's frames are left alone. It
 * may be anybody's bytes: ERR_CORRUPT says what is wrong. record_fini in both cases. */
int record_parse(const char *p, size_t n, struct cache_record *r, struct err *e) must_check;
void record_fini(struct cache_record *r);
