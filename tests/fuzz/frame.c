/* Marks, frames and records of segments: bytes of anybody who wrote into the state directory. */
#include "fuzz.h"

#include "cache/frame.h"
#include "cache/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct frame_mark m;
	struct cache_record r;
	uint64_t bytes = 0;
	auto_fd int fd = memfd_create("frame", MFD_CLOEXEC);
	MUST(fd >= 0 && !dir_write_all(fd, data, size));
	for (uint64_t at = 0; at <= size && at < 8; at++)
		if (frame_measure(fd, at, size, &bytes, &e) > 0)
			MUST(bytes && at + bytes <= size);
	if (!frame_mark_read(data, size, &m)) {
		MUST(m.size <= size && m.digest[0] && strlen(m.id) == CACHE_ID - 1);
		MUST(!m.record[0] || (!m.part && strlen(m.record) == CACHE_ID - 1));
	}
	if (!frame_mark_read(data, size, &m) && sum_kind_of(m.digest) == SUM_XXH3) {
		unsigned char again[FRAME_MARK];
		frame_mark_write(&m, again);
		MUST(!memcmp(again, data, FRAME_MARK));
	}
	if (record_parse((const char *)data, size, &r, &e))
		MUST(e.kind == ERR_CORRUPT && e.text[0]);
	record_fini(&r);
	return 0;
}
