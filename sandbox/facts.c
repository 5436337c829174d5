#include "sandbox/sandbox.h"

#include "base/own.h"
#include "base/text.h"

#include <string.h>

static const char *const loosen_names[] = {"userns", "i386", "io-uring", "fuse",
					   "kvm",    "perf", "dumps"};

unsigned box_loosen_of(const char *name)
{
	for (unsigned i = 0; i < countof(loosen_names); i++)
		if (!strcmp(name, loosen_names[i]))
			return 1u << i;
	return 0;
}

char *box_profile_name(unsigned loosen)
{
	auto_text struct text t = TEXT_INIT;
	text_add(&t, "default");
	for (unsigned i = 0; i < countof(loosen_names); i++)
		if (loosen >> i & 1)
			text_addf(&t, "+%s", loosen_names[i]);
	return own_dup(text_str(&t));
}

const char *box_limit_name(enum box_limit l)
{
	switch (l) {
	case BOX_LIMIT_NONE:
		return "none";
	case BOX_LIMIT_WALL:
		return "wall-time";
	case BOX_LIMIT_CPU:
		return "cpu-time";
	case BOX_LIMIT_SILENCE:
		return "silence";
	case BOX_LIMIT_MEMORY:
		return "memory";
	case BOX_LIMIT_PROCESSES:
		return "processes";
	case BOX_LIMIT_DISK:
		return "disk";
	case BOX_LIMIT_INODES:
		return "inodes";
	case BOX_LIMIT_OUTPUT:
		return "log-size";
	case BOX_LIMIT_IDLE:
		return "idle";
	case BOX_LIMIT_FILE_SIZE:
		return "file-size";
	}
	return "none";
}
