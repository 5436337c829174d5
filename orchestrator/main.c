/* assay: says what your change breaks. Each command is a room of its own; this one only opens the
 * doors. */
#include "orchestrator/commands.h"

#include "base/err.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name, *says;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"run", "run a suite: every package under every variant", cmd_run},
	{"plan", "show what a run of a suite would do", cmd_plan},
	{"compare", "what regressed in a run", cmd_compare},
	{"report", "write a run's report as HTML and Markdown", cmd_report},
	{"status", "what the state directory holds", cmd_status},
	{"query", "ask the results database", cmd_query},
	{"layer", "import, list and remove tool and root layers", cmd_layer},
	{"sandbox", "run one command in a sandbox", cmd_sandbox},
	{"doctor", "what this machine can do of what sandboxes need", cmd_doctor},
};

static void usage(FILE *to)
{
	fprintf(to,
		"assay %s: says what your change breaks\n\nUsage: assay COMMAND [ARGUMENT…]\n\n",
		ASSAY_VERSION);
	for (size_t i = 0; i < countof(commands); i++)
		fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].says);
	fprintf(to, "\nassay COMMAND --help says more, with an example. The manual: assay(1), "
		    "assay-suite(5), assay-db(7).\n");
}

int main(int argc, char **argv)
{
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("assay %s\n", ASSAY_VERSION);
		return EXIT_OK;
	}
	argp_err_exit_status = EXIT_USAGE;
	char help[] = "--help";
	if (argc == 3 && !strcmp(argv[2], "-h"))
		argv[2] = help;
	for (size_t i = 0; i < countof(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		auto_free char *name = own_fmt("assay %s", commands[i].name);
		argv[1] = name;
		int status = commands[i].run(argc - 1, argv + 1);
		if (fflush(stdout) || ferror(stdout)) {
			fprintf(stderr, "assay: the output could not be written whole\n");
			return status ? status : EXIT_OURS;
		}
		return status;
	}
	fprintf(stderr, "assay: there is no command '%s'; assay --help lists them\n", argv[1]);
	return EXIT_USAGE;
}
