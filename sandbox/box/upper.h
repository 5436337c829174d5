/* What carries the writes of an overlay. A caller's upper directory does, where its file system
 * can; found by trying, by doing there what a job would do. An overlay can't carry one, nor can
 * some network file systems. Then a tmpfs of a bounded size carries all uppers of the box, and what
 * is in them at its end is moved to the caller's directories (carry.h), where those can keep the
 * marks of an overlay. */
#pragma once
#include "base/err.h"
#include "sandbox/box/plan.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How a directory keeps that a name is gone. */
enum upper_marks {
	UPPER_MARKS_DEVICES, /* character devices 0:0 */
	UPPER_MARKS_XATTRS,  /* files with an xattr, Linux 6.7 (overlayfs.rst, "Nesting overlayfs
				mounts"): what is itself on an overlay allows no such device */
};

/* What was found out about a file system, by its device number; 0: about tmpfs. */
struct upper_known {
	uint64_t dev;
	enum plan_uppers by;
	enum upper_marks marks;
};

#define UPPER_KNOWN 16
/* A helper's knowledge, from box to box. */
struct uppers {
	enum plan_uppers least; /* what to begin with: GIVEN, or for tests another */
	struct upper_known known[UPPER_KNOWN];
	size_t n_known;
};

/* uppers_learn(u, k): forget the oldest where there is no room. */
void uppers_learn(struct uppers *u, const struct upper_known *k);
const struct upper_known *uppers_know(const struct uppers *u, uint64_t dev);

struct stage;
struct spec_mount;

/* uppers_choose(st, e): st->by, once layers can be attached and before any overlay is made. */
int uppers_choose(struct stage *st, struct err *e) must_check;

/* upper_by(st, m): what carries the writes of m. */
enum plan_uppers upper_by(const struct stage *st, const struct spec_mount *m);

/* upper_tell_userns(st, e): the helper has the box's user namespace. */
int upper_tell_userns(struct stage *st, struct err *e) must_check;

/* upper_open(st, m, upper, work, e): upper and work directory for an overlay of m, as names in the
 * stage; the caller frees them. */
int upper_open(struct stage *st, const struct spec_mount *m, char **upper, char **work,
	       struct err *e) must_check;

/* In upper_room.c. upper_room(st, upper, work, e): new and empty ones on the tmpfs that carries
 * uppers, as names in the stage; the caller frees them. */
int upper_room(struct stage *st, char **upper, char **work, struct err *e) must_check;
/* upper_tell_room(st, e): once all is mounted: the helper has the tmpfs, where one carries
 * something and disk is limited. */
int upper_tell_room(struct stage *st, struct err *e) must_check;
