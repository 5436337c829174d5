#include "orchestrator/commands.h"

#include "base/err.h"

int command_fail(const struct err *e)
{
	fprintf(stderr, "assay: %s\n", e->text);
	return e->kind == ERR_USAGE || e->kind == ERR_INPUT ? EXIT_USAGE : EXIT_OURS;
}
