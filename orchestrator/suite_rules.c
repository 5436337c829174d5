/* Rules of a store: what becomes of which paths, and the programs that some leave it to. */
#include "orchestrator/suite_parts.h"

#include <string.h>

#define MIB ((uint64_t)1 << 20)

/* What a program has to judge is small, and every other publish waits for it. */
static const struct suite_limits program_limits = {
	.time_ms = 300000,
	.memory = 1024 * MIB,
	.processes = 64,
	.disk = 512 * MIB,
	.file_size = 16 * MIB, /* a larger result is none (cache.h) */
	.log = MIB,
	.cpus = 1,
};

static int rule_program(const struct raw_rule *r, struct suite_program *to, struct err *e)
{
	const struct doc_node *run = doc_get(r->at, "run"), *limits = doc_get(r->at, "limits");
	if (r->what != CACHE_PROGRAM && (run || limits))
		return doc_bad(e, run ? run : limits, "%s belongs to do: program, and to no other",
			       run ? "run" : "limits");
	if (r->what != CACHE_PROGRAM)
		return 0;
	if (!run)
		return doc_bad(e, r->at,
			       "do: program needs the key 'run': the command that decides, for "
			       "/bin/sh");
	if (!run->text[strspn(run->text, " \t\n")])
		return doc_bad(e, run, "run is empty");
	if (strlen(run->text) > WORD_ARG_MAX)
		return doc_bad(e, run,
			       "run is longer than Linux takes (%d bytes); put it into a layer",
			       WORD_ARG_MAX);
	to->run = own_dup(run->text);
	to->limits = program_limits;
	return parts_limits(&r->limits, &to->limits, e);
}

int parts_rules(struct suite_store *to, const struct raw_store *raw, struct err *e)
{
	if (!raw)
		return 0;
	to->rules = own_grow(to->rules, to->n_rules + raw->n_rules + 1, sizeof(*to->rules));
	to->programs =
		own_grow(to->programs, to->n_rules + raw->n_rules + 1, sizeof(*to->programs));
	for (size_t i = 0; i < raw->n_rules; i++) {
		const struct raw_rule *r = &raw->rules[i];
		struct suite_program *program = &to->programs[to->n_rules];
		if (word_glob(doc_get(r->at, "match"), e))
			return -1;
		*program = (struct suite_program){.run = NULL};
		to->rules[to->n_rules++] = (struct cache_rule){own_dup(r->match), r->what};
		if (rule_program(r, program, e))
			return -1;
	}
	return 0;
}
