#include "orchestrator/result.h"

#include <string.h>

static const char *const statuses[STATUS_COUNT] = {"pass",  "fail", "crash", "kill",
						   "block", "skip", "infra"};

/* clang-format off */
static const struct {
	enum status status;
	const char *name;
} reasons[REASON_COUNT] = {
	[REASON_OK]            = {STATUS_PASS,  "ok"},
	[REASON_EXIT]          = {STATUS_FAIL,  "exit"},
	[REASON_TEST_FAILED]   = {STATUS_FAIL,  "test-failed"},
	[REASON_COMPILE_ERROR] = {STATUS_FAIL,  "compile-error"},
	[REASON_MISSING_FILE]  = {STATUS_FAIL,  "missing-file"},
	[REASON_MISSING_DEP]   = {STATUS_FAIL,  "missing-dep"},
	[REASON_NET_DENIED]    = {STATUS_FAIL,  "net-denied"},
	[REASON_FAIL_UNKNOWN]  = {STATUS_FAIL,  "unknown"},
	[REASON_SEGV]          = {STATUS_CRASH, "segv"},
	[REASON_ABRT]          = {STATUS_CRASH, "abrt"},
	[REASON_BUS]           = {STATUS_CRASH, "bus"},
	[REASON_ILL]           = {STATUS_CRASH, "ill"},
	[REASON_FPE]           = {STATUS_CRASH, "fpe"},
	[REASON_SYS]           = {STATUS_CRASH, "sys"},
	[REASON_OTHER_SIGNAL]  = {STATUS_CRASH, "other-signal"},
	[REASON_WALL_TIME]     = {STATUS_KILL,  "wall-time"},
	[REASON_CPU_TIME]      = {STATUS_KILL,  "cpu-time"},
	[REASON_SILENCE]       = {STATUS_KILL,  "silence"},
	[REASON_IDLE]          = {STATUS_KILL,  "idle"},
	[REASON_MEMORY]        = {STATUS_KILL,  "memory"},
	[REASON_PROCESSES]     = {STATUS_KILL,  "processes"},
	[REASON_DISK]          = {STATUS_KILL,  "disk"},
	[REASON_INODES]        = {STATUS_KILL,  "inodes"},
	[REASON_LOG_SIZE]      = {STATUS_KILL,  "log-size"},
	[REASON_FILE_SIZE]     = {STATUS_KILL,  "file-size"},
	[REASON_CANCELLED]     = {STATUS_KILL,  "cancelled"},
	[REASON_DEP_FAILED]    = {STATUS_BLOCK, "dep-failed"},
	[REASON_UNRESOLVABLE]  = {STATUS_BLOCK, "unresolvable"},
	[REASON_BAD_MANIFEST]  = {STATUS_BLOCK, "bad-manifest"},
	[REASON_SOURCE_GONE]   = {STATUS_BLOCK, "source-gone"},
	[REASON_UNSUPPORTED]   = {STATUS_BLOCK, "unsupported"},
	[REASON_LISTED]        = {STATUS_SKIP,  "listed"},
	[REASON_FILTERED]      = {STATUS_SKIP,  "filtered"},
	[REASON_UNCHANGED]     = {STATUS_SKIP,  "unchanged"},
	[REASON_NOTHING_TO_DO] = {STATUS_SKIP,  "nothing-to-do"},
	[REASON_BUDGET]        = {STATUS_SKIP,  "budget"},
	[REASON_ENOSPC]        = {STATUS_INFRA, "enospc"},
	[REASON_HOST_OOM]      = {STATUS_INFRA, "host-oom"},
	[REASON_BOX_START]     = {STATUS_INFRA, "box-start"},
	[REASON_STORE]         = {STATUS_INFRA, "store"},
	[REASON_FETCH]         = {STATUS_INFRA, "fetch"},
	[REASON_HOST_LOST]     = {STATUS_INFRA, "host-lost"},
	[REASON_HARNESS]       = {STATUS_INFRA, "harness"},
	[REASON_NETWORK_LOST]  = {STATUS_INFRA, "network-lost"},
};
/* clang-format on */

const char *status_name(enum status s)
{
	return statuses[s];
}

int status_parse(const char *name, enum status *s)
{
	for (unsigned i = 0; i < STATUS_COUNT; i++)
		if (!strcmp(name, statuses[i])) {
			*s = (enum status)i;
			return 0;
		}
	return -1;
}

const char *reason_name(enum reason r)
{
	return reasons[r].name;
}

int reason_parse(const char *name, enum reason *r)
{
	for (unsigned i = 0; i < REASON_COUNT; i++)
		if (!strcmp(name, reasons[i].name)) {
			*r = (enum reason)i;
			return 0;
		}
	return -1;
}

enum status reason_status(enum reason r)
{
	return reasons[r].status;
}
