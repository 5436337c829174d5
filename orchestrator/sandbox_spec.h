/* From what `assay sandbox` was asked for to a box's description: directories, layers and files are
 * opened, directories that are to be kept are made and locked. Main thread; blocking. */
#pragma once
#include "orchestrator/hostfiles.h"
#include "orchestrator/sandbox_keep.h"
#include "orchestrator/sandbox_options.h"

struct sandbox_spec {
	struct box_spec box;
	struct box_mount *mounts;
	int *lowers; /* all that mounts name, and own */
	size_t n_lowers;
	struct sandbox_keep *keeps;
	size_t n_keeps;
	struct box_file *files;
	struct text *contents; /* of the files of this machine */
	size_t n_contents;
	struct hostfiles host;
	bool stdin_taken; /* a --file was read from standard input */
};

/* sandbox_spec_read(s, o, make, e): 0, or -1. First of two steps: files of this machine are read,
 * which takes as long as whoever writes into a pipe likes; nothing is made. o is borrowed for as
 * long as s lives. sandbox_spec_open(s, o, make, e): second, if the first went well: directories
 * and layers are opened, directories to keep made and locked. make: false for a mere look
 * (box_describe): nothing is made, locked or removed, and of files only regular ones are read.
 * Close it with sandbox_spec_close, in all cases; that removes work directories, and tells what of
 * them stays on stderr. A closed one, or one that is all 0, may be closed. */
int sandbox_spec_read(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
		      struct err *e) must_check;
int sandbox_spec_open(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
		      struct err *e) must_check;
void sandbox_spec_close(struct sandbox_spec *s);

/* sandbox_layer_named(o, name, e): a descriptor of the layer of that name, or -1. */
int sandbox_layer_named(const struct sandbox_options *o, const char *name, struct err *e)
	must_check;
