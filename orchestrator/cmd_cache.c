/* assay cache: the words of its command line, and which verb takes which. */
#include "orchestrator/cache_cmd.h"
#include "orchestrator/commands.h"

#include "base/unit.h"

#include <string.h>

enum {
	CACHE_OPT_DRY_RUN = 0x100,
	CACHE_OPT_KEEP,
	CACHE_OPT_AGE,
	CACHE_OPT_MAX,
	CACHE_OPT_SUITE,
	CACHE_OPT_SHA256,
	CACHE_OPT_STRIP,
	CACHE_OPT_PREFIX,
	CACHE_OPT_REPAIR,
	CACHE_OPT_PENDING,
	CACHE_OPT_LEVEL
};

static const struct argp_option cache_options[] = {
	{"dry-run", CACHE_OPT_DRY_RUN, NULL, 0, "say what would be done, and change nothing", 0},
	{"keep", CACHE_OPT_KEEP, "N", 0,
	 "collect: how many generations of each store stay (default 10)", 0},
	{"max-age", CACHE_OPT_AGE, "TIME", 0,
	 "collect: leave out what packages brought that did not run for so long (90d)", 0},
	{"max-size", CACHE_OPT_MAX, "SIZE", 0,
	 "collect: leave out, oldest use first, until a store has no more than that (20G); kept: "
	 "the least valuable first, until no more than that stays",
	 0},
	{"suite", CACHE_OPT_SUITE, "FILE", 0,
	 "import, publish: by this suite's rules for the store (default: what is there stays)", 0},
	{"sha256", CACHE_OPT_SHA256, "HEX", 0, "import: refuse an archive with another digest", 0},
	{"strip", CACHE_OPT_STRIP, "N", 0, "import: take N leading components off every name", 0},
	{"prefix", CACHE_OPT_PREFIX, "PATH", 0, "import: put PATH in front of every name", 0},
	{"pending", CACHE_OPT_PENDING, NULL, 0,
	 "entries: of a store, what too few packages brought for it to be shown", 0},
	{"repair", CACHE_OPT_REPAIR, NULL, 0,
	 "verify: write again what the archive has lost, from layers that still have it", 0},
	{"level", CACHE_OPT_LEVEL, "LEVEL", 0,
	 "verify: frames, entries (each digest of the archive too) or layers (these too; the "
	 "default)",
	 0},
	{0},
};

static const struct argp_child cache_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static const struct verb {
	const char *name;
	size_t min, max; /* words behind it */
	const char *takes;
	int options[4]; /* besides --state and --json */
	cache_verb_fn run;
} verbs[] = {
	{"list", 0, 0, "nothing", {0}, cache_list},
	{"show", 0, 1, "a store or a generation", {0}, cache_show},
	{"entries", 0, 1, "a store or a generation", {CACHE_OPT_PENDING}, cache_entries},
	{"who", 1, 1, "a path in a store", {0}, cache_who},
	{"diff", 2, 2, "two generations", {0}, cache_diff},
	{"kept", 0, 0, "nothing", {CACHE_OPT_DRY_RUN, CACHE_OPT_MAX}, cache_kept},
	{"rollback", 1, 1, "a generation", {CACHE_OPT_DRY_RUN}, cache_rollback},
	{"revoke",
	 1,
	 1,
	 "a job, a package or a harvest's number",
	 {CACHE_OPT_DRY_RUN},
	 cache_revoke},
	{"collect",
	 0,
	 0,
	 "nothing",
	 {CACHE_OPT_DRY_RUN, CACHE_OPT_KEEP, CACHE_OPT_AGE, CACHE_OPT_MAX},
	 cache_collect},
	{"export", 1, 2, "a store or a generation, and a file", {0}, cache_export_cmd},
	{"restore", 1, 2, "a store or a generation, and a directory", {0}, cache_restore_cmd},
	{"import",
	 2,
	 2,
	 "a store and an archive or a directory",
	 {CACHE_OPT_SUITE, CACHE_OPT_SHA256, CACHE_OPT_STRIP, CACHE_OPT_PREFIX},
	 cache_import_cmd},
	{"publish", 2, 2, "a store and a directory", {CACHE_OPT_SUITE}, cache_publish_cmd},
	{"compact", 0, 1, "a store", {CACHE_OPT_DRY_RUN}, cache_compact},
	{"verify",
	 0,
	 0,
	 "nothing",
	 {CACHE_OPT_DRY_RUN, CACHE_OPT_REPAIR, CACHE_OPT_LEVEL},
	 cache_verify},
	{"rebuild", 0, 0, "nothing", {0}, cache_rebuild},
};

struct parse {
	struct cache_args a;
	int given[8];
	size_t n_given;
};

static int parse_level(const char *word, enum cache_level *out)
{
	static const char *const names[] = {"frames", "entries", "layers"};
	for (size_t i = 0; i < countof(names); i++)
		if (!strcmp(word, names[i])) {
			*out = (enum cache_level)i;
			return 0;
		}
	return -1;
}

static error_t cache_parse(int key, char *arg, struct argp_state *st)
{
	struct parse *p = st->input;
	uint64_t n;
	if (key >= CACHE_OPT_DRY_RUN && key <= CACHE_OPT_LEVEL && p->n_given < countof(p->given))
		p->given[p->n_given++] = key;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &p->a.common;
		return 0;
	case CACHE_OPT_DRY_RUN:
		p->a.dry_run = true;
		return 0;
	case CACHE_OPT_KEEP:
		if (unit_parse_count(arg, &p->a.keep) || p->a.keep > INT32_MAX)
			argp_error(st, "--keep takes a number, not '%s'", arg);
		return 0;
	case CACHE_OPT_AGE:
		if (unit_parse_duration(arg, &p->a.age_ms) || !p->a.age_ms)
			argp_error(st, "--max-age takes a time (90d), not '%s'", arg);
		return 0;
	case CACHE_OPT_MAX:
		if (unit_parse_size(arg, &p->a.max_bytes))
			argp_error(st, "--max-size takes a size (20G), not '%s'", arg);
		return 0;
	case CACHE_OPT_SUITE:
		p->a.suite = arg;
		return 0;
	case CACHE_OPT_SHA256:
		if (strlen(arg) != 64 || strspn(arg, "0123456789abcdef") != 64)
			argp_error(st, "--sha256 takes 64 lower-case hex digits, not '%s'", arg);
		p->a.sha256 = arg;
		return 0;
	case CACHE_OPT_STRIP:
		if (unit_parse_count(arg, &n) || n > 64)
			argp_error(st, "--strip takes a number from 0 to 64, not '%s'", arg);
		p->a.how.strip = (unsigned)n;
		return 0;
	case CACHE_OPT_PREFIX:
		p->a.how.prefix = arg;
		return 0;
	case CACHE_OPT_PENDING:
		p->a.pending = true;
		return 0;
	case CACHE_OPT_REPAIR:
		p->a.repair = true;
		return 0;
	case CACHE_OPT_LEVEL:
		if (parse_level(arg, &p->a.level))
			argp_error(st, "--level takes frames, entries or layers, not '%s'", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (!p->a.verb)
			p->a.verb = arg;
		else if (p->a.n_words == countof(p->a.words))
			argp_error(st, "too many arguments: %s", arg);
		else
			p->a.words[p->a.n_words++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!p->a.verb)
			argp_error(st, "which of: list, show, entries, who, diff, kept, "
				       "rollback, revoke, collect, "
				       "compact, export, restore, import, publish, refresh, "
				       "verify, rebuild?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp cache_argp = {
	cache_options,
	cache_parse,
	"list\nshow [STORE|GENERATION]\nentries [STORE|GENERATION]\nwho PATH\n"
	"diff GENERATION GENERATION\nkept\nrollback GENERATION\nrevoke JOB|PACKAGE|HARVEST\n"
	"collect\ncompact [STORE]\nexport [STORE|GENERATION] FILE|-\n"
	"restore [STORE|GENERATION] DIR\nimport STORE ARCHIVE|DIR\npublish STORE "
	"DIR\nverify\nrebuild",
	"Look after the package stores that jobs share, and their archive.\v"
	"list: the stores. show: the generations of a store, newest first, or the layers of one. "
	"entries: the files a generation shows, and who brought them, or what is pending. who: "
	"every job that brought "
	"something at a path. diff: what the second generation shows otherwise than the first. "
	"kept: what fetch and build phases left that stays for later runs with the same inputs, "
	"the "
	"most valuable first. "
	"rollback: a new generation that shows what an older one showed. revoke: take back what "
	"one "
	"job, or package, brought and nobody else vouches for. collect: forget old generations, "
	"and "
	"what was not used for long. compact: one layer in the place of a stack of them. "
	"export: what a generation shows as one tar archive that gives the same bytes each time. "
	"restore: the same as a directory. import, publish: what an archive or a directory holds "
	"goes through the checks of a harvest into a store. refresh: only the phases of a suite "
	"that fetch. "
	"verify: read the archive and the layers, compare them with their digests, make damaged "
	"layers again from the archive, and with --repair what the archive has lost from the "
	"layers. rebuild: make what the database says of stores, and all "
	"layers, again from the archive alone.\n\n"
	"Exit status: 0, 1 where verify found damage, repaired or not, 2 our own trouble, 3 "
	"usage.\n\n"
	"Example:\n  assay cache list\n  assay cache who index-v5/00/11/2233\n  assay cache verify "
	"--dry-run --level frames",
	cache_children,
	NULL,
	NULL,
};

static const struct verb *verb_find(const char *name, struct err *e)
{
	auto_text struct text known = TEXT_INIT;
	for (size_t i = 0; i < countof(verbs); i++) {
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
		text_addf(&known, "%s%s", i ? ", " : "", verbs[i].name);
	}
	err_set(e, ERR_USAGE, "assay cache: %s, not '%s'", text_str(&known), name);
	return NULL;
}

static int verb_check(const struct verb *v, const struct parse *p, struct err *e)
{
	if (p->a.n_words < v->min || p->a.n_words > v->max)
		return err_set(e, ERR_USAGE, "assay cache %s takes %s%s", v->name, v->takes,
			       v->max && !v->min ? ", or none" : "");
	for (size_t i = 0; i < p->n_given; i++) {
		bool fits = false;
		for (size_t k = 0; k < countof(v->options); k++)
			fits |= v->options[k] == p->given[i];
		for (const struct argp_option *o = cache_options; !fits && o->name; o++)
			if (o->key == p->given[i])
				return err_set(e, ERR_USAGE, "assay cache %s has no --%s", v->name,
					       o->name);
	}
	return 0;
}

int cmd_cache(int argc, char **argv)
{
	struct parse p = {
		.a = {.level = CACHE_LAYERS, .keep = UINT64_MAX, .max_bytes = UINT64_MAX}};
	struct err e = ERR_INIT;
	if (argc > 1 && !strcmp(argv[1], "refresh")) {
		static char name[] = "assay cache refresh";
		argv[1] = name;
		return cmd_cache_refresh(argc - 1, argv + 1);
	}
	if (argp_parse(&cache_argp, argc, argv, 0, NULL, &p))
		return EXIT_USAGE;
	const struct verb *v = verb_find(p.a.verb, &e);
	int rc = v ? verb_check(v, &p, &e) : -1;
	if (!rc)
		rc = v->run(&p.a, &e);
	return rc < 0 ? command_fail(&e) : rc ? EXIT_REGRESSED : EXIT_OK;
}
