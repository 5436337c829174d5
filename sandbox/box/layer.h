/* The directories a plan came with, made into mounts of the box. As the host's root the helper
 * clones them (and shows their owners: owners.h) before the box is cloned, and the box inherits
 * detached mounts; an ordinary user's helper may not, so that the box, which may do it in its own
 * namespaces, finds each directory again by its path and checks that it is the same one. */
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/spec.h"

#include <sys/types.h>

struct layer {
	int fd;      /* a detached mount, or -1: by path */
	char *path;  /* owned; for messages and, by path, for finding it */
	char *name;  /* owned; of an upper or work directory, or of a single file that is not shown
			as it is: its name in the directory that is mounted (path: the one above) */
	int back_fd; /* of an upper that was given away for this box only; else -1 */
	dev_t dev;
	ino_t ino;
	bool recursive; /* with what is mounted below it */
	uint64_t attr;  /* MOUNT_ATTR_* */
};

struct layers {
	struct layer *all; /* by index of the plan's descriptors */
	size_t n;
	const struct ids *ids; /* that the box must have to be the owner of what is its own */
};

/* layers_open(out, spec, fds, n, ids, e): in the helper. The caller frees out with layers_close, in
 * both cases. */
int layers_open(struct layers *out, const struct spec *spec, const int *fds, size_t n,
		const struct ids *ids, struct err *e) must_check;
void layers_close(struct layers *ls);

/* layer_inside(l, e): in the helper: what l->name names, opened for reading. */
int layer_inside(const struct layer *l, struct err *e) must_check;
/* For a pid 1 that was not cloned with them. layers_put(ls, t, fds): as text, and the descriptors
 * of their mounts; how many, at most ls->n. layers_get(out, text, n, fds, n_fds, e): in pid 1: the
 * contrary; the descriptors are out's. */
size_t layers_put(const struct layers *ls, struct text *t, int *fds);
int layers_get(struct layers *out, const char *text, size_t n, const int *fds, size_t n_fds,
	       struct err *e) must_check;

/* layers_settle(ls): in the helper, when the box is gone: uppers that lie in nothing that may be
 * given get the owners back that the box saw. What can't be is told on stderr. */
void layers_settle(struct layers *ls);

/* layer_take(l, e): in the box: the detached mount, the caller's. */
int layer_take(struct layer *l, struct err *e) must_check;
