#include "orchestrator/commands.h"

#include "base/dir.h"
#include "orchestrator/options.h"
#include "orchestrator/report.h"
#include "orchestrator/state.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

struct report_args {
	struct options_common common;
	struct options_sides sides;
	const char *out;
};

enum { REPORT_OUT = 0x100 };

static const struct argp_option report_options[] = {
	{"out", REPORT_OUT, "DIR", 0,
	 "write them into DIR (default: reports/ in the state directory)", 0},
	{0},
};

static const struct argp_child report_children[] = {{&options_sides_argp, 0, NULL, 0},
						    {&options_common_argp, 0, NULL, 0},
						    {0}};

static error_t report_parse(int key, char *arg, struct argp_state *st)
{
	struct report_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->sides;
		st->child_inputs[1] = &a->common;
		return 0;
	case REPORT_OUT:
		a->out = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp report_argp = {
	report_options,
	report_parse,
	"[RUN]\nBASE NEXT",
	"Write what a run (default: the newest) says as one self-contained HTML page, run-N.html, "
	"and "
	"beside it as Markdown (.md), JSON (.json), CSV (.csv) and JUnit XML (.xml).\v"
	"The page needs no server and no network, and can be read without scripts; the Markdown "
	"fits into a comment.\n\n"
	"Example:\n  assay report\n  assay report 7 --out public/",
	report_children,
	NULL,
	NULL,
};

/* The directory the files go to, made where it is missing; *path gets its name. */
static int report_directory(const struct report_args *a, const char *state, char **path,
			    struct err *e)
{
	if (!a->out) {
		auto_fd int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, "open state directory %s", state);
		*path = own_fmt("%s/reports", state);
		return dir_make(fd, "reports", 0700, e);
	}
	if (mkdir(a->out, 0777) && errno != EEXIST)
		return err_sys(e, "make directory %s", a->out);
	int fd = open(a->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open directory %s", a->out);
	*path = own_dup(a->out);
	return fd;
}

/* What is written, by the ending of its name. */
static const struct {
	const char *ending, *name;
	void (*make)(const struct report *r, struct text *t);
} files[] = {
	{"html", "html", report_html},  {"md", "markdown", report_markdown},
	{"json", "json", report_json},  {"csv", "csv", report_csv},
	{"xml", "junit", report_junit},
};

static int report_write(const struct report_args *a, const struct report *r, struct err *e)
{
	auto_free char *dir = NULL;
	auto_fd int fd = report_directory(a, r->state, &dir, e);
	if (fd < 0)
		return -1;
	json_t *names = json_pack("{s:I}", "run", (json_int_t)r->review->run);
	int rc = 0;
	for (size_t i = 0; i < countof(files) && !rc; i++) {
		auto_text struct text content = TEXT_INIT;
		auto_free char *name =
			own_fmt("run-%lld.%s", (long long)r->review->run, files[i].ending);
		auto_free char *path = own_fmt("%s/%s", dir, name);
		files[i].make(r, &content);
		rc = dir_write_whole(fd, name, text_str(&content), content.n, 0644, e);
		if (rc)
			err_add(e, "report into %s", dir);
		else if (!a->common.json)
			puts(path);
		else if (json_object_set_new(names, files[i].name, json_string(path)))
			rc = err_set(e, ERR_USAGE, "%s is no name that JSON can hold (not UTF-8)",
				     dir);
	}
	if (!rc && a->common.json) {
		json_dumpf(names, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(names);
	return rc;
}

static int report_run(const struct report_args *a, const char *state, struct db *d, struct err *e)
{
	const struct options_sides *of = &a->sides;
	struct review *review = review_ask(d, of->run, of->other, of->base, of->next, e);
	if (!review)
		return -1;
	struct report *r = own_calloc(1, sizeof(*r));
	r->state = state;
	r->say_state = a->common.state || getenv("ASSAY_STATE") ? state : NULL;
	int rc = report_load(d, review, r, e);
	if (!rc)
		rc = report_write(a, r, e);
	report_fini(r);
	free(r);
	review_free(review);
	return rc;
}

int cmd_report(int argc, char **argv)
{
	struct report_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&report_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	auto_free char *state = state_path(a.common.state, &e);
	auto_free char *file = state ? own_fmt("%s/assay.db", state) : NULL;
	struct db *d = file ? db_open(file, DB_READ, &e) : NULL;
	int rc = d ? report_run(&a, state, d, &e) : -1;
	db_close(d);
	return rc ? command_fail(&e) : EXIT_OK;
}
