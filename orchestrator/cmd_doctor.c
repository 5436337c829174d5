/* assay doctor: what this machine can do of what boxes are made of. */
#include "orchestrator/commands.h"

#include "orchestrator/options.h"
#include "orchestrator/plain.h"
#include "orchestrator/state.h"
#include "sandbox/sandbox.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

static error_t doctor_parse(int key, char *arg, struct argp_state *st)
{
	if (key == ARGP_KEY_INIT) {
		st->child_inputs[0] = st->input;
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		argp_error(st, "too many arguments: %s", arg);
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child doctor_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static const struct argp doctor_argp = {
	NULL,
	doctor_parse,
	"",
	"Try everything that boxes are made of, one by one, and say what this machine has, what "
	"follows from what it has not, and how to get it.\v"
	"Nothing is left behind. Exit status: 0 if a box can be made here, else 2.\n\n"
	"Example:\n  assay doctor\n  assay doctor --state /srv/assay --json",
	doctor_children,
	NULL,
	NULL,
};

#define DOCTOR_NAME 20
#define DOCTOR_LINE 1000

struct doctor_told {
	json_t *json; /* NULL: lines */
};

static const char *doctor_has(const struct box_ability *a)
{
	switch (a->has) {
	case ABILITY_YES:
		return "yes";
	case ABILITY_PARTLY:
		return "partly";
	case ABILITY_NO:
		break;
	}
	return "no";
}

static void on_ability(void *owner, const struct box_ability *a)
{
	const struct doctor_told *told = owner;
	/* What it says was said by programs and the kernel of this machine. */
	auto_free char *found = plain_line(a->found, DOCTOR_LINE),
		       *follows = plain_line(a->follows, DOCTOR_LINE),
		       *get = plain_line(a->get, DOCTOR_LINE);
	if (told->json) {
		json_array_append_new(told->json, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name",
							    a->name, "has", doctor_has(a), "found",
							    found, "follows", follows, "get", get));
		return;
	}
	printf("%-6s  %-*s  %s\n", a->has == ABILITY_YES ? "ok" : doctor_has(a), DOCTOR_NAME,
	       a->name, found);
	if (a->has == ABILITY_YES)
		return;
	if (*follows)
		printf("%*s-> %s\n", DOCTOR_NAME + 10, "", follows);
	if (*get)
		printf("%*sto have it: %s\n", DOCTOR_NAME + 10, "", get);
	fflush(stdout);
}

/* The state directory, or, where there is none yet, what it would be made in: the same file system.
 */
static char *doctor_dir(const char *state, struct err *e)
{
	struct stat st;
	char *path = state_path(state, e);
	while (path && stat(path, &st)) {
		char *slash = strrchr(path, '/');
		slash[slash == path] = 0;
	}
	return path;
}

int cmd_doctor(int argc, char **argv)
{
	struct options_common common = {0};
	struct err e = ERR_INIT;
	struct doctor_told told = {NULL};
	if (argp_parse(&doctor_argp, argc, argv, 0, NULL, &common))
		return EXIT_USAGE;
	auto_free char *dir = doctor_dir(common.state, &e);
	if (!dir)
		return command_fail(&e);
	const struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX"),
					  .slots = 1,
					  .name = "assay-doctor",
					  .uppers = dir};
	if (common.json)
		told.json = json_array();
	int missing = sandbox_sweep(conf.name, &e) ? -1 : sandbox_doctor(&conf, on_ability, &told);
	if (missing < 0)
		return command_fail(&e);
	if (common.json) {
		json_dumpf(told.json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(told.json);
	} else {
		printf("\n%s\n", missing ? "No box can be made here." : "Boxes can be made here.");
	}
	return missing ? EXIT_OURS : EXIT_OK;
}
