/* A whole segment that is somebody's: it is read, and layers are made of it. */
#include "fuzz.h"

static int on_record(void *owner, const struct cache_record *r, struct err *e)
{
	struct fuzz_place *p = owner;
	struct err why = ERR_INIT;
	(void)e;
	MUST(r->n_frames);
	if (r->kind != CACHE_PUBLISH)
		return 0;
	if (!cache_record_verify(p->c, r->frames, r->n_frames, r->layer, &why))
		MUST(why.kind == ERR_NONE);
	if (!cache_layer_restore(p->c, r->layer, r->frames, r->n_frames, &why)) {
		MUST(!cache_layer_verify(p->c, r->layer, &why));
		MUST(!cache_layer_remove(p->c, r->layer, &why));
	} else {
		MUST(why.kind == ERR_CORRUPT);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct fuzz_place *p = fuzz_place();
	const struct cache_scan scan = {.on_record = on_record, .owner = p};
	fuzz_put(p, "state/seg/000001.tar.zst", data, size);
	MUST(!cache_scan(p->c, &scan, &e));
	fuzz_place_check(p);
	return 0;
}
