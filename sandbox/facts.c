#include "sandbox/sandbox.h"

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
