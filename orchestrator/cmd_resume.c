#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/carry.h"
#include "orchestrator/record.h"
#include "orchestrator/spare.h"

struct resume_args {
	struct options_common common;
	struct how how;
	uint64_t run;
};

static const struct argp_child resume_children[] = {{&how_argp, 0, NULL, 0},
						    {&options_common_argp, 0, NULL, 0},
						    {0}};

static error_t resume_parse(int key, char *arg, struct argp_state *st)
{
	struct resume_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->how;
		st->child_inputs[1] = &a->common;
		return 0;
	case ARGP_KEY_ARG:
		if (a->run || unit_parse_count(arg, &a->run) || !a->run || a->run > INT64_MAX)
			argp_error(st, "a run is a number, and one at a time: not '%s'", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp resume_argp = {
	NULL,
	resume_parse,
	"[RUN]",
	"Go on with a run that was interrupted, killed or ended by trouble of our own (default: "
	"the "
	"newest such), and then compare it.\v"
	"Results that are recorded stay; what was running, and what ended as infra, is done once "
	"more, and what was being repeated is repeated further. "
	"Suite and layers must be as they were when it began. Options are as then, but for those "
	"given "
	"now.\n\n"
	"Example:\n  assay resume\n  assay resume 12 --jobs 8",
	resume_children,
	NULL,
	NULL,
};

static int resume_run(struct resume_args *a, struct state *st, struct err *e)
{
	struct record_again again;
	if (record_again(&again, st, (int64_t)a->run, &a->how, e))
		return -1;
	how_fill(&a->how);
	int status = -1;
	struct spare spared = {0};
	/* it may have been killed before it said what need not run */
	if (!record_resume(&again, st, &a->how, e) &&
	    !spare_jobs(again.plan, st, again.run, &a->how, again.ids, &spared, e)) {
		auto_free char *more =
			again.takeup.packages
				? own_fmt("; packages of which more is to be repeated: %zu",
					  again.takeup.packages)
				: NULL;
		takeup_was(&again.takeup, again.plan, &spared.was);
		struct carry c = {.how = &a->how,
				  .plan = again.plan,
				  .state = st,
				  .run = again.run,
				  .ids = again.ids,
				  .was = spared.was,
				  .resumed = again.resumed};
		fprintf(stderr, "run %lld goes on: %zu of %zu jobs are left%s\n",
			(long long)again.run, again.plan->n_jobs, again.jobs, more ? more : "");
		status = carry_out(&c, e);
	}
	free(spared.was);
	record_again_fini(&again);
	return status;
}

int cmd_resume(int argc, char **argv)
{
	struct resume_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&resume_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	a.how.json = a.common.json;
	struct state *st = state_open(a.common.state, &e);
	int status = st ? resume_run(&a, st, &e) : -1;
	if (status < 0)
		status = command_fail(&e);
	state_close(st);
	return status;
}
