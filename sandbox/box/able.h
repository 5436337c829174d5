/* What this machine can do of what boxes are made of, each tried by itself for `assay doctor`: one
 * process, which does it in namespaces of its own and ends. */
#pragma once
#include "base/err.h"

/* able_namespace(name, e): user, mount, pid, net, ipc, uts, cgroup or time, by who started this. */
int able_namespace(const char *name, struct err *e) must_check;
/* able_overlay(way, place, e): an overlay with an upper by that way (overlay.h), in which a file is
 * changed and one is removed. place: an empty directory of the caller's, "tmpfs", "overlay" (its
 * upper on an overlay) or "stack" (its lower is one); all but the first are made for it. */
int able_overlay(const char *way, const char *place, struct err *e) must_check;
/* able_idmap(ids, place, e): the owners of what is on that file system can be shown to these ids
 * (owners.h). */
int able_idmap(const char *ids, const char *place, struct err *e) must_check;
