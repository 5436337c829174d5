/* The commands, each in its cmd_NAME.c: argc, argv as main's with argv[0] = "assay NAME". They
 * return the process's exit status and have told their own errors on stderr. */
#pragma once
#include <stddef.h>

enum {
	EXIT_OK = 0,
	EXIT_REGRESSED = 1, /* run, compare: something regressed */
	EXIT_OURS = 2,      /* a void run, an interrupted one, or our own failure */
	EXIT_USAGE = 3,     /* the command line or an input file */
};

int cmd_aa(int argc, char **argv);
int cmd_baseline(int argc, char **argv);
int cmd_cache(int argc, char **argv);
int cmd_cancel(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_layer(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_reclassify(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_rerun(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_shell(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_unpause(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_why(int argc, char **argv);

struct command {
	const char *name, *says;
	int (*run)(int argc, char **argv);
};
/* command_run(commands, n, argc, argv): the command that argv[1] names, with argv from there on;
 * argv[1] then says "assay NAME". The exit status, also where there is no such command, or where
 * its output could not be written. */
int command_run(const struct command *commands, size_t n, int argc, char **argv);

struct err;
/* command_fail(e): "assay: TEXT" on stderr; the exit status that fits e->kind (usage and input: 3,
 * else 2). */
int command_fail(const struct err *e);
