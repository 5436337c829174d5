/* How the owners of root's layers are shown to a box whose ids are others: by idmapped mounts
 * (Linux 5.12; as layers of an overlay 5.19; not every file system has them), else by giving files
 * away (give.h). In the helper only. */
#pragma once
#include "base/err.h"
#include "sandbox/box/ids.h"

#include <sys/types.h>

struct owners {
	bool off;       /* as if there were no idmapped mounts: a test's wish */
	bool has_given; /* what lies below this directory may be given away */
	dev_t given_dev;
	ino_t given_ino;
	struct ids given; /* a box's, where something is given; .ranged false: not made yet */
	struct {
		dev_t dev;
		bool can;
	} * tried; /* by device */
	size_t n_tried;
};

/* owners_word(o, word): "no-idmap", "given:DEV:INO". false: another word. */
bool owners_word(struct owners *o, const char *word);

/* owners_can(o, fd, dev, ids): can the owners of what fd (a directory on device dev) holds be shown
 * by an idmapped mount below an overlay? Tried once per device. */
bool owners_can(struct owners *o, int fd, dev_t dev, const struct ids *ids);

/* owners_given(o, e): the ids of a box that sees given files. NULL with e. */
const struct ids *owners_given(struct owners *o, struct err *e) must_check;

/* owners_may_give(o, fd): is fd, a directory, or one above it the one that may be given away? */
bool owners_may_give(const struct owners *o, int fd);
