/* Overlays, in the three ways kernels take them. In the box only.
 *
 * Always userxattr (an overlay made in a user namespace may keep its marks in user.* only,
 * Linux 5.11; our harvest reads those, root or not), redirect_dir=nofollow, metacopy=off,
 * index=off, xino=off, and volatile: an upper is used once, and synced by who keeps it. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum overlay_way {
	OVERLAY_FD,      /* fsconfig(FSCONFIG_SET_FD, "lowerdir+"): Linux 6.13, 500 lowers */
	OVERLAY_NAMES,   /* fsconfig(FSCONFIG_SET_STRING, "lowerdir+"): Linux 6.7 */
	OVERLAY_CLASSIC, /* mount(2): one page of options; Linux 5.11 */
};

struct overlay {
	const char *what; /* for messages */
	const char *const *
		lowers; /* names below the current directory, uppermost first: without ':' or ',' */
	size_t n;
	const char *upper, *work; /* the same, or NULL: read-only */
};

/* overlay_way_of(name, way): "fd", "names", "classic". 1 or 0. */
int overlay_way_of(const char *name, enum overlay_way *way);
const char *overlay_way_name(enum overlay_way way);

/* overlay_drop(way): of an overlay that was not put anywhere, what closing its descriptor does not
 * take away. */
void overlay_drop(enum overlay_way way);

/* overlay_mount(o, way, only, e): try the ways from *way on, or that one only; *way is then the one
 * this kernel takes. The current directory is the one the names are below; its "m" is where the
 * classic way mounts first. The detached or movable mount, or -1. */
int overlay_mount(const struct overlay *o, enum overlay_way *way, bool only, struct err *e)
	must_check;
