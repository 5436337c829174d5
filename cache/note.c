/* Notes: frames of the archive that hold a record and nothing else. */
#include "cache/harvest.h"
#include "cache/record.h"
#include "cache/segment.h"

#include <errno.h>
#include <string.h>

static int note_frame(struct cache *c, const struct cache_note *n, struct cache_published *out,
		      struct err *e)
{
	struct segment s;
	auto_text struct text t = TEXT_INIT;
	record_write_note(&t, n, out);
	if (segment_begin(&s, c, out->layer.id, e))
		return -1;
	int rc = segment_record(&s, &t, e) || segment_end(&s, e) ? -1 : 0;
	return segment_over(&s, rc, out);
}

int cache_note(struct cache *c, const struct cache_note *n, struct cache_published *out,
	       struct err *e)
{
	auto_text struct text about = TEXT_INIT;
	*out = (struct cache_published){.nothing = true};
	if (cache_may_write(c, e))
		return -1;
	text_addf(&about, "%d\n%s\n%lld\n", (int)n->kind, n->of ? n->of : "",
		  (long long)n->made_ms);
	for (size_t i = 0; i < n->n_paths; i++)
		text_put(&about, n->paths[i], strlen(n->paths[i]) + 1);
	cache_digest(about.p, about.n, out->layer.id);
	if (n->kind == CACHE_DISOWN)
		snprintf(out->chain, sizeof(out->chain), "%s", n->parent ? n->parent : "");
	else
		cache_chain(n->parent, n->store, out->layer.id, out->chain);
	return note_frame(c, n, out, e);
}

int cache_segment_remove(struct cache *c, uint32_t number, struct err *e)
{
	char name[SEGMENT_NAME];
	segment_name(number, name);
	if (cache_may_write(c, e))
		return -1;
	if (number >= c->segment)
		return err_set(e, ERR_USAGE, "segment %s is the one that grows", name);
	if (unlinkat(c->seg_fd, name, 0) && errno != ENOENT)
		return err_sys(e, "remove segment %s", name);
	return 0;
}
