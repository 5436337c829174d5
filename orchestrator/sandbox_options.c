/* The command line of `assay sandbox`: what is but a number, a time or a text is a row of a table;
 * the order of --cow and --keep means something. */
#include "orchestrator/sandbox_options.h"

#include "base/unit.h"

#include <argp.h>
#include <stddef.h>
#include <string.h>

enum {
	OPT_ROOT = 0x100,
	OPT_LAYER,
	OPT_READ_ONLY,
	OPT_RO,
	OPT_RW,
	OPT_COW,
	OPT_MAP,
	OPT_KEEP,
	OPT_TMPFS,
	OPT_FILE,
	OPT_ENV,
	OPT_UID,
	OPT_GID,
	OPT_HOSTNAME,
	OPT_CD,
	OPT_NET,
	OPT_TIME,
	OPT_CPU,
	OPT_SILENCE,
	OPT_IDLE,
	OPT_MEMORY,
	OPT_PROCESSES,
	OPT_DISK,
	OPT_INODES,
	OPT_OPEN_FILES,
	OPT_FILE_SIZE,
	OPT_LOG,
	OPT_CPUS,
	OPT_GRACE,
	OPT_PROFILE,
	OPT_ALLOW,
	OPT_IDS,
	OPT_EXECUTOR,
	OPT_BEST_EFFORT,
	OPT_JSON,
	OPT_PLAN,
	OPT_STATE,
	OPT_USAGE,
};

#define GRACE_MS 5000

/* clang-format off */
static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "What it sees:", 1},
	{"root", OPT_ROOT, "DIR|LAYER|host", 0, "the root: a directory (with a '/' in its name), a layer (assay layer list), or this "
		"machine's /usr, /etc and what they need (default); it is not changed: what is written there is lost, but for --keep", 1},
	{"layer", OPT_LAYER, "LAYER|DIR", 0, "over the root; the first is uppermost", 1},
	{"read-only", OPT_READ_ONLY, NULL, 0, "the root can't be written", 1},
	{"ro", OPT_RO, "SRC[:DST]", 0, "a directory or file of this machine, read-only; DST: where in the box (default: the same path)", 1},
	{"rw", OPT_RW, "SRC[:DST]", 0, "a directory or file of this machine, written through", 1},
	{"cow", OPT_COW, "SRC[:DST]", 0, "a directory or file of this machine that stays as it is, while the box may write there: its changes are lost, but for --keep", 1},
	{"map", OPT_MAP, "SRC:DST:MODE", 0, "--ro, --rw or --cow in another way to say it", 1},
	{"keep", OPT_KEEP, "DIR", 0, "changes of the --cow before it, or without one of the root, are written to DIR, and are there again next time", 1},
	{"tmpfs", OPT_TMPFS, "PATH[:SIZE]", 0, "an empty directory in memory", 1},
	{"file", OPT_FILE, "DST=SRC", 0, "a copy of the file SRC; '-' is standard input", 1},
	{NULL, 0, NULL, 0, "How it runs:", 2},
	{"env", OPT_ENV, "NAME[=VALUE]", 0, "a variable; without =VALUE, what it is here. Nothing else is inherited", 2},
	{"cd", OPT_CD, "DIR", 0, "the working directory in the box (default: /)", 2},
	{"uid", OPT_UID, "N", 0, "who the command is in the box (default: 0, its root, who is nobody here)", 2},
	{"gid", OPT_GID, "N", 0, "the command's group (default: as --uid)", 2},
	{"hostname", OPT_HOSTNAME, "NAME", 0, "default: assay", 2},
	{"tty", 't', NULL, 0, "give it a terminal of its own, for interactive programs", 2},
	{"net", OPT_NET, "none|nat|host", 0, "none: loopback only (default); nat: out through pasta(1); host: this machine's network", 2},
	{NULL, 0, NULL, 0, "Limits (times as 90s, 1h30m; sizes as 512M, 2G; by default there is none):", 3},
	{"time", OPT_TIME, "TIME", 0, "wall time", 3},
	{"cpu", OPT_CPU, "TIME", 0, "processor time of all its processes", 3},
	{"silence", OPT_SILENCE, "TIME", 0, "without a word on stdout and stderr", 3},
	{"idle", OPT_IDLE, "TIME", 0, "without processor time and input or output to speak of", 3},
	{"memory", OPT_MEMORY, "SIZE", 0, "memory, tmpfs included", 3},
	{"processes", OPT_PROCESSES, "N", 0, "processes and threads", 3},
	{"disk", OPT_DISK, "SIZE", 0, "what it writes over --cow and the root", 3},
	{"inodes", OPT_INODES, "N", 0, "files it makes there", 3},
	{"open-files", OPT_OPEN_FILES, "N", 0, "of one process", 3},
	{"file-size", OPT_FILE_SIZE, "SIZE", 0, "of one file", 3},
	{"log", OPT_LOG, "SIZE", 0, "of what it says on stdout and stderr", 3},
	{"cpus", OPT_CPUS, "N", 0, "processors, as in 1.5: it is slowed down, not ended", 3},
	{"grace", OPT_GRACE, "TIME", 0, "between SIGTERM and the end (default: 5s)", 3},
	{NULL, 0, NULL, 0, "The box itself:", 4},
	{"profile", OPT_PROFILE, "default[+NAME...]", 0, "the same in the way a profile is named in --json", 4},
	{"allow", OPT_ALLOW, "NAME[,NAME...]", 0, "takes one restriction back: userns, i386, io-uring, fuse, kvm, perf, dumps or aio", 4},
	{"ids", OPT_IDS, "auto|one|range", 0, "which ids it has (default: auto: a range as root, else one)", 4},
	{"executor", OPT_EXECUTOR, "NAME", 0, "who makes it (default: native)", 4},
	{"best-effort", OPT_BEST_EFFORT, NULL, 0, "a limit that can't be kept here is no error", 4},
	{NULL, 0, NULL, 0, "What is told:", 5},
	{"json", OPT_JSON, "FILE", 0, "how it ended, its limits and what it used, as JSON; '-' is standard output", 5},
	{"plan", OPT_PLAN, NULL, 0, "what the box would be made of; nothing is run", 5},
	{"verbose", 'v', NULL, 0, "every step, on stderr", 5},
	{"state", OPT_STATE, "DIR", 0, "where layers are (default: $ASSAY_STATE, else $XDG_STATE_HOME/assay)", 5},
	{NULL, 0, NULL, 0, NULL, -1},
	{"help", '?', NULL, 0, "this list", -1},
	{"usage", OPT_USAGE, NULL, 0, "the options in short", -1},
	{0},
};

/* Options that only set a field. */
static const struct simple {
	int key;
	enum { SIMPLE_TIME, SIMPLE_SIZE, SIMPLE_COUNT, SIMPLE_TEXT, SIMPLE_FLAG } kind;
	size_t at;
} simple[] = {
#define FIELD(name) offsetof(struct sandbox_options, name)
	{OPT_TIME, SIMPLE_TIME, FIELD(limits.wall_ms)},
	{OPT_CPU, SIMPLE_TIME, FIELD(limits.cpu_ms)},
	{OPT_SILENCE, SIMPLE_TIME, FIELD(limits.silence_ms)},
	{OPT_IDLE, SIMPLE_TIME, FIELD(limits.idle_ms)},
	{OPT_GRACE, SIMPLE_TIME, FIELD(limits.grace_ms)},
	{OPT_MEMORY, SIMPLE_SIZE, FIELD(limits.memory)},
	{OPT_DISK, SIMPLE_SIZE, FIELD(limits.disk)},
	{OPT_FILE_SIZE, SIMPLE_SIZE, FIELD(limits.file_size)},
	{OPT_LOG, SIMPLE_SIZE, FIELD(limits.output_bytes)},
	{OPT_PROCESSES, SIMPLE_COUNT, FIELD(limits.processes)},
	{OPT_INODES, SIMPLE_COUNT, FIELD(limits.disk_inodes)},
	{OPT_OPEN_FILES, SIMPLE_COUNT, FIELD(limits.open_files)},
	{OPT_UID, SIMPLE_COUNT, FIELD(uid)},
	{OPT_GID, SIMPLE_COUNT, FIELD(gid)},
	{OPT_ROOT, SIMPLE_TEXT, FIELD(root)},
	{OPT_HOSTNAME, SIMPLE_TEXT, FIELD(hostname)},
	{OPT_JSON, SIMPLE_TEXT, FIELD(json)},
	{OPT_STATE, SIMPLE_TEXT, FIELD(state)},
	{OPT_READ_ONLY, SIMPLE_FLAG, FIELD(read_only)},
	{OPT_BEST_EFFORT, SIMPLE_FLAG, FIELD(best_effort)},
	{OPT_PLAN, SIMPLE_FLAG, FIELD(plan)},
	{'t', SIMPLE_FLAG, FIELD(tty)},
	{'v', SIMPLE_FLAG, FIELD(verbose)},
#undef FIELD
};
/* clang-format on */

/* What the parser is filling, and what it did not like. */
struct reading {
	struct sandbox_options *o;
	size_t last_cow; /* that a --keep is for: index + 1; 0: the root */
	struct err *e;
};

static const char *option_name(int key)
{
	for (size_t i = 0; i < countof(options); i++)
		if (options[i].key == key && options[i].name)
			return options[i].name;
	return "";
}

static int refuse(const struct reading *r, int key, const char *arg, const char *takes)
{
	return err_set(r->e, ERR_USAGE, "--%s takes %s, not '%s'", option_name(key), takes, arg);
}

static int read_simple(const struct reading *r, const struct simple *s, const char *arg)
{
	void *at = (char *)r->o + s->at;
	switch (s->kind) {
	case SIMPLE_TIME:
		return unit_parse_duration(arg, at)
			       ? refuse(r, s->key, arg, "a time with its unit, as in 90s")
			       : 0;
	case SIMPLE_SIZE:
		return unit_parse_size(arg, at) ? refuse(r, s->key, arg, "a size, as in 512M") : 0;
	case SIMPLE_COUNT:
		return unit_parse_count(arg, at) ? refuse(r, s->key, arg, "a number") : 0;
	case SIMPLE_TEXT:
		*(const char **)at = arg;
		return *arg ? 0 : refuse(r, s->key, arg, "a word");
	case SIMPLE_FLAG:
		*(bool *)at = true;
		return 0;
	}
	return 0;
}

/* "1.5": thousandths. */
static int read_cpus(const struct reading *r, const char *arg)
{
	uint64_t whole, part = 0, unit = 1000;
	size_t n = strcspn(arg, ".");
	auto_free char *left = own_dup_n(arg, n);
	const char *right = arg[n] ? arg + n + 1 : "";
	bool wrong = unit_parse_count(left, &whole) || whole > 100000 || (arg[n] && !*right);
	for (; *right && !wrong; right++) {
		wrong = *right < '0' || *right > '9' || unit == 1;
		unit /= 10;
		part += (uint64_t)(*right - '0') * unit;
	}
	r->o->limits.cpu_milli = whole * 1000 + part;
	if (wrong || !r->o->limits.cpu_milli)
		return refuse(r, OPT_CPUS, arg, "a number of processors, as in 2 or 1.5");
	return 0;
}

static int read_mount(struct reading *r, int key, const char *arg)
{
	struct sandbox_options *o = r->o;
	o->mounts = own_grow(o->mounts, o->n_mounts + 1, sizeof(*o->mounts));
	struct sandbox_mount *m = &o->mounts[o->n_mounts++];
	*m = (struct sandbox_mount){NULL, NULL, BOX_RO, 0, NULL};
	int rc = key == OPT_TMPFS ? sandbox_word_tmpfs(arg, m, r->e)
		 : key == OPT_MAP ? sandbox_word_map(arg, m, r->e)
				  : sandbox_word_mount(arg,
						       key == OPT_RO   ? BOX_RO
						       : key == OPT_RW ? BOX_RW
								       : BOX_COW,
						       m, r->e);
	if (rc)
		return err_add(r->e, "--%s", option_name(key));
	if (m->mode == BOX_COW)
		r->last_cow = o->n_mounts;
	return 0;
}

static int read_keep(struct reading *r, const char *arg)
{
	struct sandbox_options *o = r->o;
	const char **keep = r->last_cow ? &o->mounts[r->last_cow - 1].keep : &o->keep;
	if (*keep)
		return err_set(r->e, ERR_USAGE, "--keep %s: what it is for has %s already", arg,
			       *keep);
	*keep = arg;
	return *arg ? 0 : refuse(r, OPT_KEEP, arg, "a directory");
}

static int read_file(struct reading *r, const char *arg)
{
	struct sandbox_options *o = r->o;
	o->files = own_grow(o->files, o->n_files + 1, sizeof(*o->files));
	return sandbox_word_file(arg, &o->files[o->n_files++], r->e) ? err_add(r->e, "--file") : 0;
}

static void env_put(struct sandbox_options *o, const char *name, size_t n, const char *value)
{
	char *both = own_fmt("%.*s=%s", (int)n, name, value);
	for (size_t i = 0; i < o->n_env; i++)
		if (!strncmp(o->env[i], both, n + 1)) {
			free(o->env[i]);
			o->env[i] = both;
			return;
		}
	o->env = own_grow(o->env, o->n_env + 2, sizeof(*o->env));
	o->env[o->n_env++] = both;
	o->env[o->n_env] = NULL;
}

static int read_env(struct reading *r, const char *arg)
{
	size_t n = strcspn(arg, "=");
	const char *value = arg[n] ? arg + n + 1 : getenv(arg);
	if (!n)
		return refuse(r, OPT_ENV, arg, "NAME or NAME=VALUE");
	if (value)
		env_put(r->o, arg, n, value);
	return 0;
}

/* "NAME,NAME" or, of a profile, "default+NAME+NAME". */
static int read_loosenings(const struct reading *r, int key, const char *arg)
{
	const char *by = key == OPT_PROFILE ? "+" : ",";
	auto_free char *copy = own_dup(arg);
	char *rest = copy, *word;
	if (key == OPT_PROFILE && strcmp(word = strsep(&rest, by), "default"))
		return err_set(r->e, ERR_USAGE, "--profile: there is no '%s', only 'default'",
			       word);
	while ((word = strsep(&rest, by))) {
		unsigned bit = box_loosen_of(word);
		if (!bit)
			return err_set(r->e, ERR_USAGE, "--%s: there is no '%s'; see --help",
				       option_name(key), word);
		r->o->loosen |= bit;
	}
	return 0;
}

static int read_executor(const struct reading *r, const char *arg)
{
	auto_free char *names = executor_list();
	r->o->executor = executor_of(arg);
	return r->o->executor ? 0 : refuse(r, OPT_EXECUTOR, arg, names);
}

static int read_special(struct reading *r, int key, const char *arg)
{
	struct sandbox_options *o = r->o;
	int got;
	switch (key) {
	case OPT_LAYER:
		o->layers = own_grow(o->layers, o->n_layers + 1, sizeof(*o->layers));
		o->layers[o->n_layers++] = arg;
		return *arg ? 0 : refuse(r, key, arg, "a layer");
	case OPT_RO:
	case OPT_RW:
	case OPT_COW:
	case OPT_MAP:
	case OPT_TMPFS:
		return read_mount(r, key, arg);
	case OPT_KEEP:
		return read_keep(r, arg);
	case OPT_FILE:
		return read_file(r, arg);
	case OPT_ENV:
		return read_env(r, arg);
	case OPT_CD:
		free(o->cwd);
		o->cwd = sandbox_word_path(arg, r->e);
		return o->cwd ? 0 : err_add(r->e, "--cd");
	case OPT_NET:
		got = box_net_of(arg);
		o->net = (enum box_net)(got < 0 ? 0 : got);
		return got < 0 ? refuse(r, key, arg, "none, host or nat") : 0;
	case OPT_IDS:
		got = box_ids_of(arg);
		o->ids = (enum box_ids)(got < 0 ? 0 : got);
		return got < 0 ? refuse(r, key, arg, "auto, one or range") : 0;
	case OPT_CPUS:
		return read_cpus(r, arg);
	case OPT_EXECUTOR:
		return read_executor(r, arg);
	case OPT_PROFILE:
	case OPT_ALLOW:
		return read_loosenings(r, key, arg);
	default:
		return 1;
	}
}

/* What getopt(3) stopped at, in the one line that our failures have: argp's own are two. */
static int refuse_word(const struct reading *r, const char *word)
{
	const char *name = strncmp(word, "--", 2) != 0 ? "" : word + 2;
	size_t n = strcspn(name, "="), alike = 0;
	const struct argp_option *found = NULL;
	for (size_t i = 0; n && i < countof(options); i++) {
		if (!options[i].name || strncmp(options[i].name, name, n) != 0)
			continue;
		alike++;
		found = &options[i];
		if (!options[i].name[n]) {
			alike = 1;
			break;
		}
	}
	if (alike == 1 && found->arg && !name[n])
		return err_set(r->e, ERR_USAGE, "%s takes %s", word, found->arg);
	if (alike == 1 && !found->arg)
		return err_set(r->e, ERR_USAGE, "--%s takes no value", found->name);
	return err_set(r->e, ERR_USAGE,
		       alike ? "%s begins more than one option; see --help"
			     : "there is no option %s; see --help",
		       word);
}

/* argp's own say nothing where they don't tell errors. */
static void options_help(int key, const struct argp_state *st)
{
	argp_help(st->root_argp, stdout, key == '?' ? ARGP_HELP_STD_HELP : ARGP_HELP_USAGE,
		  st->name);
	exit(0);
}

static error_t parse(int key, char *arg, struct argp_state *st)
{
	struct reading *r = st->input;
	if (key == '?' || key == OPT_USAGE)
		options_help(key, st);
	if (key == ARGP_KEY_ERROR) {
		if (!r->e->kind)
			refuse_word(r, st->argv[st->next - 1]);
		return 0;
	}
	if (key == ARGP_KEY_ARG) {
		/* The rest is the command's, whatever it looks like. */
		r->o->argv = &st->argv[st->next - 1];
		st->next = st->argc;
		return 0;
	}
	if (key == OPT_ROOT || key == OPT_LAYER)
		r->last_cow = 0;
	for (size_t i = 0; i < countof(simple); i++)
		if (simple[i].key == key) {
			r->o->has_gid |= key == OPT_GID;
			return read_simple(r, &simple[i], arg) ? EINVAL : 0;
		}
	int rc = read_special(r, key, arg);
	return rc > 0 ? ARGP_ERR_UNKNOWN : rc ? EINVAL : 0;
}

static char *help(int key, const char *text, void *input)
{
	(void)input;
	auto_free char *names = executor_list();
	return key == OPT_EXECUTOR ? own_fmt("%s: %s", text, names) : (char *)text;
}

static const struct argp argp = {
	options,
	parse,
	"[--] COMMAND [ARGUMENT...]",
	"Run COMMAND in a sandbox: with a file system of its own, no network, no rights and no "
	"knowledge of this machine's processes.\v"
	"Exit status: the command's; a signal that ended it ends this program, too. 124: a limit "
	"ended it. 125: it could not be run for our own trouble or a wrong word. 126, 127: it "
	"can't be executed, or is not there.\n\n"
	"Example:\n"
	"  assay sandbox --tty -- bash\n"
	"  assay sandbox --cow .:/work --cd /work --time 10m --memory 2G -- make test\n"
	"  assay sandbox --root ./debian --keep new --ids range --net nat -- apt update\n"
	"\nThe manual: assay-sandbox(1).",
	NULL,
	help,
	NULL,
};

static int options_check(struct sandbox_options *o, struct err *e)
{
	if (!o->argv)
		return err_set(e, ERR_USAGE, "which command?");
	if (o->uid >= UINT32_MAX || o->gid >= UINT32_MAX)
		return err_set(e, ERR_USAGE, "ids end at %u", UINT32_MAX - 1);
	if (!o->has_gid)
		o->gid = o->uid;
	for (size_t i = 0; i < o->n_mounts; i++)
		if (!o->mounts[i].path[1] && (o->root || o->n_layers || o->read_only || o->keep))
			return err_set(e, ERR_USAGE,
				       "a mount at / is the root: not with --root, --layer, "
				       "--read-only, or --keep before it");
	if (o->read_only && o->keep)
		return err_set(e, ERR_USAGE,
			       "--keep %s: nothing is written to a root that is read-only",
			       o->keep);
	return 0;
}

/* What the command has in its environment unless it is told otherwise. */
static void options_environment(struct sandbox_options *o)
{
	static const char *const usual[][2] = {
		{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{"LANG", "C.UTF-8"},
		{"TMPDIR", "/tmp"},
	};
	char **said = o->env;
	size_t n_said = o->n_env;
	const char *term = o->tty ? getenv("TERM") : NULL;
	o->env = NULL;
	o->n_env = 0;
	for (size_t i = 0; i < countof(usual); i++)
		env_put(o, usual[i][0], strlen(usual[i][0]), usual[i][1]);
	env_put(o, "HOME", 4, o->uid ? "/tmp" : "/root");
	if (!o->uid)
		env_put(o, "USER", 4, "root");
	if (term && *term)
		env_put(o, "TERM", 4, term);
	for (size_t i = 0; i < n_said; i++) {
		size_t n = strcspn(said[i], "=");
		env_put(o, said[i], n, said[i] + n + 1);
		free(said[i]);
	}
	free(said);
}

int sandbox_options_read(struct sandbox_options *o, int argc, char **argv, struct err *e)
{
	struct reading r = {.o = o, .e = e};
	*o = (struct sandbox_options){.hostname = "assay", .limits = {.grace_ms = GRACE_MS}};
	error_t rc = argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_ERRS | ARGP_NO_HELP,
				NULL, &r);
	if (rc && !e->kind)
		return err_set(e, ERR_USAGE, "%s", strerror(rc));
	if (rc || options_check(o, e))
		return -1;
	options_environment(o);
	if (!o->cwd)
		o->cwd = own_dup("/");
	return 0;
}

void sandbox_options_fini(struct sandbox_options *o)
{
	for (size_t i = 0; i < o->n_mounts; i++) {
		free(o->mounts[i].source);
		free(o->mounts[i].path);
	}
	for (size_t i = 0; i < o->n_files; i++)
		free(o->files[i].path);
	for (size_t i = 0; i < o->n_env; i++)
		free(o->env[i]);
	free(o->layers);
	free(o->mounts);
	free(o->files);
	free(o->env);
	free(o->cwd);
	*o = (struct sandbox_options){0};
}
