/* Inside sandbox/ only: what the profile `default` says about each system call, as data. filter.c
 * makes code of it, the tests go through it. Three answers are possible: allow, an errno, and (for
 * everything not named here) ENOSYS, which the C library and most programs take as "an older
 * kernel" and work around. */
#pragma once
#include <stddef.h>
#include <stdint.h>

extern const char *const filter_allowed[];
extern const size_t filter_n_allowed;

/* Calls of the lists that a libseccomp may be too old to know: since Linux 5.1 numbers are the same
 * on every architecture (younger ones in the gap that x86-64 has at 335 are of that one only). */
struct filter_young {
	const char *name;
	int number;
};

extern const struct filter_young filter_young[];
extern const size_t filter_n_young;

/* Where libseccomp's answer for i386 is not the call's own number. */
extern const struct filter_young filter_i386[];
extern const size_t filter_n_i386;

struct filter_refusal {
	const char *name;
	int error;
};

extern const struct filter_refusal filter_refused[];
extern const size_t filter_n_refused;

/* Calls that a loosening allows, whatever the lists above say. */
struct filter_loosened {
	unsigned loosen; /* an enum box_loosen */
	const char *name;
};

extern const struct filter_loosened filter_loosened[];
extern const size_t filter_n_loosened;

#define FILTER_CONDITIONS 3

/* One row: when every condition holds, `answer` (SECCOMP_RET_*). A condition looks at the low 32
 * bits of an argument, as the kernel does for the calls here (CVE-2019-10063: a comparison of all
 * 64 bits is passed by setting a high one). Mask 0: no condition. Rows of one call stand together
 * and are tried in order, those with `loosen` only with one of these (FILTER_NO_CGROUPS among
 * them); the last of them has no condition, and none but it and those with `loosen`. */
struct filter_condition {
	uint8_t arg;
	uint32_t mask, value;
};
struct filter_check {
	const char *call;
	struct filter_condition when[FILTER_CONDITIONS];
	uint32_t answer;
	unsigned loosen;
};

extern const struct filter_check filter_checks[];
extern const size_t filter_n_checks;
