/* Layers from outside: a directory (import.c) or an archive (extract.c). */
#pragma once
#include "cache/build.h"

struct archive;

/* Bounds of one import, counted down. */
struct import_left {
	uint64_t entries, bytes;
	uint64_t max_entries, max_bytes;
};
/* import_take(left, entries, bytes, path, e): 0, or ERR_HOSTILE where it is more than is left. */
int import_take(struct import_left *left, uint64_t entries, uint64_t bytes, const char *path,
		struct err *e) must_check;

/* import_mode(mode, dir): readable by all, executable by all or nobody, writable by the owner only,
 * nothing else. */
unsigned import_mode(unsigned mode);

/* extract_archive(b, fd, how, left, e): everything in the archive, made below b's root but not
 * listed. ERR_HOSTILE names the member; ERR_INPUT: not an archive we read, or damaged;
 * ERR_SYS: its file could not be read. */
int extract_archive(struct build *b, int fd, const struct cache_import *how,
		    struct import_left *left, struct err *e) must_check;
/* extract_rest(b, a, record, left, e): the same for what an archive that somebody opened still has
 * to give, a publish of which the record was read. Times are the record's: headers have whole
 * seconds. */
int extract_rest(struct build *b, struct archive *a, const struct cache_record *record,
		 struct import_left *left, struct err *e) must_check;
