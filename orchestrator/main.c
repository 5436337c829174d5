/* assay: says what your change breaks. Each command is a room of its own; this one only opens the
 * doors. A sandbox is to start at once, and the libraries that suites need (archives, a database)
 * take longer to load than a box takes to be made: so what needs them is another program,
 * assay-all, which this one becomes. */
#include "orchestrator/commands.h"

#include "orchestrator/sandbox_spec.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* argv of a command: "assay NAME" is what its messages begin with; NAME is what it was. */
static char **whole_argv;

/* 0: there is none at that place. */
static int whole_exec(const char *dir, const char *rel, struct err *e)
{
	auto_free char *path = own_fmt("%s/%s", dir, rel);
	execv(path, whole_argv);
	return errno == ENOENT ? 0 : err_sys(e, "%s", path);
}

/* Returns only where it can't be done. */
static int whole_become(struct err *e)
{
	static const char *const places[] = {"assay-all", "../libexec/assay/assay-all"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(e, "where this program is");
	self[n] = 0;
	*strrchr(self, '/') = 0;
	whole_argv[1] = strchr(whole_argv[1], ' ') + 1;
	for (size_t i = 0; i < countof(places); i++)
		if (whole_exec(self, places[i], e))
			return -1;
	if (whole_exec(ASSAY_LIBEXECDIR, "assay-all", e))
		return -1;
	return err_set(e, ERR_ABSENT, "there is no assay-all beside %s/assay, nor in %s", self,
		       ASSAY_LIBEXECDIR);
}

static int whole(int argc, char **argv)
{
	struct err e = ERR_INIT;
	(void)argc;
	(void)argv;
	return whole_become(&e) ? command_fail(&e) : EXIT_OURS;
}

/* In place of sandbox_layer.c: names of layers are in the database. */
int sandbox_layer_named(const struct sandbox_options *o, const char *name, struct err *e)
{
	(void)o;
	(void)name;
	return whole_become(e);
}

static const struct command commands[] = {
	{"run", "run a suite: every package under every variant", whole},
	{"resume", "go on with a run that was interrupted or killed", whole},
	{"rerun", "run packages of a run again", whole},
	{"shell", "go into the box of a phase that was run", whole},
	{"export", "write a package of a run for another machine to repeat", whole},
	{"import", "take in what export wrote, and repeat it", whole},
	{"why", "why a package was run, or was not", whole},
	{"watch", "show the run that goes on, live", whole},
	{"cancel", "end packages of it, or all of it", whole},
	{"pause", "start nothing more of it", whole},
	{"unpause", "let it go on", whole},
	{"set", "change how much it does at once", whole},
	{"plan", "show what a run of a suite would do", whole},
	{"compare", "what regressed in a run, or between any two", whole},
	{"aa", "run a variant against itself: what comes of nothing", whole},
	{"baseline", "name a run to compare others with", whole},
	{"report", "write a run's report as HTML and Markdown", whole},
	{"reclassify", "judge a run once more by changed log rules", whole},
	{"status", "what the state directory holds", whole},
	{"logs", "what a package's phases said, or lines of all logs of a run", whole},
	{"history", "every night of a package", whole},
	{"query", "ask the results database", whole},
	{"simulate", "play a run's jobs through the scheduler on a fake clock", whole},
	{"cache", "look after the package stores and their archive", whole},
	{"layer", "import, list and remove tool and root layers", whole},
	{"sandbox", "run one command in a sandbox", cmd_sandbox},
	{"doctor", "what this machine can do of what sandboxes need", cmd_doctor},
};

static void usage(FILE *to)
{
	fprintf(to,
		"assay %s: says what your change breaks\n\nUsage: assay COMMAND [ARGUMENT…]\n\n",
		ASSAY_VERSION);
	for (size_t i = 0; i < countof(commands); i++)
		fprintf(to, "  %-10s  %s\n", commands[i].name, commands[i].says);
	fprintf(to, "\nassay COMMAND --help says more, with an example. The manual: assay(1), "
		    "assay-cache(1), assay-sandbox(1), assay-suite(5), assay-db(7).\n");
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
	whole_argv = argv;
	return command_run(commands, countof(commands), argc, argv);
}
