/* Archives for import: nothing outside is changed, nothing is left behind. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cache_import how = {.max_entries = 1000, .max_bytes = 16 << 20};
	struct err e = ERR_INIT;
	struct fuzz_place *p = fuzz_place();
	struct cache_unpacked u;
	fuzz_put(p, "archive", data, size);
	auto_free char *path = own_fmt("%s/archive", p->path);
	if (!cache_unpack(p->c, path, NULL, &how, &u, &e))
		cache_unpack_drop(&u);
	else
		MUST(e.kind == ERR_HOSTILE || e.kind == ERR_INPUT || e.kind == ERR_SYS);
	fuzz_place_check(p);
	return 0;
}
