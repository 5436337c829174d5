/* What a FUSE file system with one directory and one empty file in it answers, for the tests whose
 * jobs mount their own (linux/fuse.h). */
#pragma once
#include <errno.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <sys/stat.h>

struct fuse_answer {
	struct fuse_out_header head;
	union {
		struct fuse_init_out init;
		struct fuse_entry_out entry;
		struct fuse_open_out open;
		struct fuse_attr_out attr;
	};
};

/* fuse_answer(in, a): the answer to `in`; the bytes of it behind its head, whose length is the
 * caller's to set. */
static inline size_t fuse_answer(const struct fuse_in_header *in, struct fuse_answer *a)
{
	const struct fuse_init_in *init = (const void *)(in + 1);
	struct fuse_attr dir = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2},
			 file = {.ino = 2, .mode = S_IFREG | 0644, .nlink = 1};
	*a = (struct fuse_answer){.head = {.unique = in->unique}};
	switch (in->opcode) {
	case FUSE_INIT:
		a->init =
			(struct fuse_init_out){.major = 7, .minor = init->minor, .max_write = 4096};
		return sizeof(a->init);
	case FUSE_LOOKUP:
		a->entry = (struct fuse_entry_out){.nodeid = 2, .entry_valid = 3600, .attr = file};
		return sizeof(a->entry);
	case FUSE_OPEN:
		return sizeof(a->open);
	case FUSE_GETATTR:
		a->attr.attr = in->nodeid == 2 ? file : dir;
		return sizeof(a->attr);
	default:
		a->head.error = -ENOSYS;
		return 0;
	}
}
