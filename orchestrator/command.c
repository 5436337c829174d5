#include "orchestrator/commands.h"

#include "base/err.h"

#include <argp.h>
#include <string.h>

int command_fail(const struct err *e)
{
	fprintf(stderr, "assay: %s\n", e->text);
	return e->kind == ERR_USAGE || e->kind == ERR_INPUT ? EXIT_USAGE : EXIT_OURS;
}

int command_run(const struct command *commands, size_t n, int argc, char **argv)
{
	static char help[] = "--help";
	argp_err_exit_status = EXIT_USAGE;
	if (argc == 3 && !strcmp(argv[2], "-h"))
		argv[2] = help;
	for (size_t i = 0; i < n; i++) {
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
