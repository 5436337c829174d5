/* What changes a run while it goes on: cancel, pause, unpause, set. */
#include "orchestrator/commands.h"

#include "base/text.h"
#include "base/unit.h"
#include "orchestrator/control.h"
#include "orchestrator/options.h"
#include "orchestrator/state.h"

#include <argp.h>
#include <errno.h>
#include <string.h>

struct control_args {
	struct options_common common;
	const char *what; /* cancel, pause, unpause, set */
	uint64_t run;
	json_t *request;
};

static const struct argp_child control_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

/* "jobs=8" */
static void control_setting(struct control_args *a, const char *arg, struct argp_state *st)
{
	const char *eq = strchr(arg, '=');
	uint64_t n;
	auto_free char *key = eq ? own_dup_n(arg, (size_t)(eq - arg)) : own_dup("");
	if ((strcmp(key, "jobs") && strcmp(key, "fetches")) || unit_parse_count(eq + 1, &n) ||
	    n > INT32_MAX) {
		argp_error(st, "jobs=N or fetches=N, not '%s'", arg);
		return;
	}
	json_object_set_new(a->request, key, json_integer((json_int_t)n));
}

static void control_package(struct control_args *a, const char *arg)
{
	json_t *list = json_object_get(a->request, "packages");
	if (!list) {
		list = json_array();
		json_object_set_new(a->request, "packages", list);
	}
	json_array_append_new(list, json_string(arg));
}

static void control_arg(struct control_args *a, const char *arg, struct argp_state *st)
{
	if (!a->run) {
		if (unit_parse_count(arg, &a->run) || !a->run || a->run > INT64_MAX)
			argp_error(st, "a run is a number, not '%s'", arg);
		json_object_set_new(a->request, "run", json_integer((json_int_t)a->run));
	} else if (!strcmp(a->what, "set")) {
		control_setting(a, arg, st);
	} else if (!strcmp(a->what, "cancel")) {
		control_package(a, arg);
	} else {
		argp_error(st, "one run at a time");
	}
}

static error_t control_parse(int key, char *arg, struct argp_state *st)
{
	struct control_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case ARGP_KEY_ARG:
		control_arg(a, arg, st);
		return 0;
	case ARGP_KEY_END:
		if (!a->run)
			argp_error(st, "which run? (assay status tells)");
		if (!strcmp(a->what, "set") && json_object_size(a->request) < 3)
			argp_error(st, "set what? jobs=N or fetches=N");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The first line of the answer. */
static json_t *control_answer(int fd, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	char byte;
	ssize_t n;
	json_error_t je;
	while (t.n < 1 << 20 && ((n = read(fd, &byte, 1)) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0 && byte == '\n')
			break;
		else if (n > 0)
			text_addc(&t, byte);
	json_t *j = json_loads(text_str(&t), 0, &je);
	if (!j)
		err_set(e, ERR_SYS, "the run ended before it answered");
	return j;
}

static int control_ask(struct control_args *a, struct err *e)
{
	auto_free char *state = state_path(a->common.state, e);
	if (!state)
		return -1;
	auto_fd int fd = control_connect(state, e);
	if (fd < 0 || control_send(fd, a->request, e))
		return -1;
	json_t *j = control_answer(fd, e);
	if (!j)
		return -1;
	const char *says = json_string_value(json_object_get(j, "says"));
	bool ok = json_is_true(json_object_get(j, "ok"));
	if (!ok)
		err_set(e, ERR_USAGE, "%s", says ? says : "no");
	else if (a->common.json)
		json_dumpf(j, stdout, 0), putchar('\n');
	else
		printf("%s\n", says ? says : "done");
	json_decref(j);
	return ok ? 0 : -1;
}

static int control_command(const char *what, const struct argp *argp, int argc, char **argv)
{
	struct control_args a = {.what = what, .request = json_pack("{s:s}", "do", what)};
	struct err e = ERR_INIT;
	int status = EXIT_OK;
	if (argp_parse(argp, argc, argv, 0, NULL, &a))
		status = EXIT_USAGE;
	else if (control_ask(&a, &e))
		status = command_fail(&e);
	json_decref(a.request);
	return status;
}

int cmd_cancel(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		control_parse,
		"RUN [PACKAGE…]",
		"End packages of a run that goes on, by id or name: their results are "
		"kill/cancelled. "
		"Without packages the whole run ends, and can be gone on with.\v"
		"Example:\n  assay cancel 12 semver\n  assay cancel 12",
		control_children,
		NULL,
		NULL};
	return control_command("cancel", &argp, argc, argv);
}

int cmd_pause(int argc, char **argv)
{
	static const struct argp argp = {NULL,
					 control_parse,
					 "RUN",
					 "Start nothing more of a run that goes on, until assay "
					 "unpause; what runs may end.\v"
					 "Example:\n  assay pause 12",
					 control_children,
					 NULL,
					 NULL};
	return control_command("pause", &argp, argc, argv);
}

int cmd_unpause(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		control_parse,
		"RUN",
		"Let a run that was paused go on.\vExample:\n  assay unpause 12",
		control_children,
		NULL,
		NULL};
	return control_command("unpause", &argp, argc, argv);
}

int cmd_set(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		control_parse,
		"RUN jobs=N|fetches=N…",
		"Change how much a run that goes on does at once.\vExample:\n  assay set 12 jobs=8",
		control_children,
		NULL,
		NULL};
	return control_command("set", &argp, argc, argv);
}
