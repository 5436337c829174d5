/* A fuzz target: LLVMFuzzerTestOneInput() as libFuzzer calls it (with -fsanitize=fuzzer), or
 * replay.c over a corpus. It aborts where something is not as it must be. */
#pragma once
#include "base/dir.h"
#include "cache/inner.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A state directory of its own with an opened cache, made at the first call and removed at the end;
 * beside it lies what nothing may change. */
struct fuzz_place {
	char path[64];
	int fd, state;
	struct cache *c;
};
struct fuzz_place *fuzz_place(void);
/* Nothing is left below tmp/ and trash/, and beside the state directory all is as it was. */
void fuzz_place_check(struct fuzz_place *p);
/* How many names a directory has, those that begin with a dot aside; one that is not there has
 * none.
 */
size_t fuzz_names(int at, const char *rel);
/* A file below the place with these bytes. */
void fuzz_put(struct fuzz_place *p, const char *name, const uint8_t *data, size_t size);
