/* assay-all: every command, with all the libraries they need. Started by assay (main.c). */
#include "orchestrator/commands.h"

#include "base/own.h"

/* clang-format off */
static const struct command commands[] = {
	{"run", NULL, cmd_run},
	{"plan", NULL, cmd_plan},
	{"aa", NULL, cmd_aa},
	{"baseline", NULL, cmd_baseline},
	{"compare", NULL, cmd_compare},
	{"report", NULL, cmd_report},
	{"status", NULL, cmd_status},
	{"query", NULL, cmd_query},
	{"cache", NULL, cmd_cache},
	{"layer", NULL, cmd_layer},
	{"simulate", NULL, cmd_simulate},
	{"resume", NULL, cmd_resume},
	{"rerun", NULL, cmd_rerun},
	{"shell", NULL, cmd_shell},
	{"export", NULL, cmd_export},
	{"import", NULL, cmd_import},
	{"watch", NULL, cmd_watch},
	{"why", NULL, cmd_why},
	{"cancel", NULL, cmd_cancel},
	{"pause", NULL, cmd_pause},
	{"unpause", NULL, cmd_unpause},
	{"set", NULL, cmd_set},
	{"sandbox", NULL, cmd_sandbox},
	{"reclassify", NULL, cmd_reclassify},
	{"logs", NULL, cmd_logs},
	{"history", NULL, cmd_history},
};
/* clang-format on */

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "assay-all is started by assay, not by hand\n");
		return EXIT_USAGE;
	}
	return command_run(commands, countof(commands), argc, argv);
}
