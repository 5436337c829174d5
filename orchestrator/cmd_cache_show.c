/* assay cache: what only looks. */
#include "orchestrator/cache_cmd.h"

#include "base/unit.h"
#include "orchestrator/rows.h"

#include <inttypes.h>

int cache_list(const struct cache_args *a, struct err *e)
{
	static const struct cache_column columns[] = {
		{"store", "STORE", CACHE_TEXT},     {"generation", "GENERATION", CACHE_NUMBER},
		{"layers", "LAYERS", CACHE_NUMBER}, {"entries", "ENTRIES", CACHE_NUMBER},
		{"bytes", "SIZE", CACHE_SIZE},      {"pending", "PENDING", CACHE_NUMBER},
		{"made_ms", "MADE", CACHE_TIME},
	};
	struct db *d = cache_cmd_db(a, e);
	int rc = d ? cache_cmd_list(a, d, "stores", NULL, 0, columns, countof(columns),
				    "no stores yet; assay run makes them", e)
		   : -1;
	db_close(d);
	return rc;
}

static const struct cache_column generation_columns[] = {
	{"generation", "GENERATION", CACHE_NUMBER},
	{"current", "", CACHE_MARK},
	{"made_by", "BY", CACHE_TEXT},
	{"made_ms", "MADE", CACHE_TIME},
	{"layers", "LAYERS", CACHE_NUMBER},
	{"entries", "ENTRIES", CACHE_NUMBER},
	{"bytes", "SIZE", CACHE_SIZE},
	{"new_bytes", "NEW", CACHE_SIZE},
	{"harvest", "HARVEST", CACHE_NUMBER},
	{"job", "JOB", CACHE_TEXT},
};
static const struct cache_column layer_columns[] = {
	{"layer", "LAYER", CACHE_SHORT}, {"entries", "ENTRIES", CACHE_NUMBER},
	{"bytes", "SIZE", CACHE_SIZE},   {"harvests", "HARVESTS", CACHE_NUMBER},
	{"made_ms", "MADE", CACHE_TIME},
};

int cache_show(const struct cache_args *a, struct err *e)
{
	uint64_t n;
	int64_t generation;
	auto_free char *store = NULL;
	const char *word = a->n_words ? a->words[0] : NULL;
	struct db *d = cache_cmd_db(a, e);
	int rc = d ? 0 : -1;
	bool layers = word && !unit_parse_count(word, &n);
	if (!rc)
		rc = layers ? cache_cmd_generation(d, word, &generation, e)
			    : cache_cmd_store(d, word, &store, e);
	const char *of = layers ? word : store;
	if (!rc)
		rc = layers ? cache_cmd_list(a, d, "generation-layers", &of, 1, layer_columns,
					     countof(layer_columns), "it has no layers", e)
			    : cache_cmd_list(a, d, "generations", &of, 1, generation_columns,
					     countof(generation_columns), "it is empty", e);
	db_close(d);
	return rc;
}

static int entries_pending(const struct cache_args *a, struct err *e)
{
	static const struct cache_column columns[] = {
		{"type", "", CACHE_TEXT},           {"size", "SIZE", CACHE_SIZE},
		{"sha256", "SHA-256", CACHE_SHORT}, {"packages", "PACKAGES", CACHE_NUMBER},
		{"demanded", "OF", CACHE_NUMBER},   {"harvest", "HARVEST", CACHE_NUMBER},
		{"job", "JOB", CACHE_TEXT},         {"path", "PATH", CACHE_TEXT},
	};
	auto_free char *store = NULL;
	struct db *d = cache_cmd_db(a, e);
	int rc = d ? cache_cmd_store(d, a->n_words ? a->words[0] : NULL, &store, e) : -1;
	if (!rc) {
		const char *args[] = {store};
		rc = cache_cmd_list(a, d, "pending", args, 1, columns, countof(columns),
				    "nothing is pending", e);
	}
	db_close(d);
	return rc;
}

int cache_entries(const struct cache_args *a, struct err *e)
{
	if (a->pending)
		return entries_pending(a, e);
	static const struct cache_column columns[] = {
		{"type", "", CACHE_TEXT},           {"size", "SIZE", CACHE_SIZE},
		{"sha256", "SHA-256", CACHE_SHORT}, {"harvest", "HARVEST", CACHE_NUMBER},
		{"job", "JOB", CACHE_TEXT},         {"path", "PATH", CACHE_TEXT},
	};
	int64_t generation;
	struct db *d = cache_cmd_db(a, e);
	int rc = d ? cache_cmd_generation(d, a->n_words ? a->words[0] : NULL, &generation, e) : -1;
	if (!rc) {
		auto_free char *of = own_fmt("%" PRId64, generation);
		const char *args[] = {of};
		rc = cache_cmd_list(a, d, "generation-entries", args, 1, columns, countof(columns),
				    "it shows no files", e);
	}
	db_close(d);
	return rc;
}

int cache_who(const struct cache_args *a, struct err *e)
{
	static const struct cache_column columns[] = {
		{"store", "STORE", CACHE_TEXT},
		{"generation", "GENERATION", CACHE_NUMBER},
		{"current", "", CACHE_MARK},
		{"change", "CHANGE", CACHE_TEXT},
		{"size", "SIZE", CACHE_SIZE},
		{"sha256", "SHA-256", CACHE_SHORT},
		{"packages", "PACKAGES", CACHE_NUMBER},
		{"harvest", "HARVEST", CACHE_NUMBER},
		{"job", "JOB", CACHE_TEXT},
	};
	struct db *d = cache_cmd_db(a, e);
	int rc = d ? cache_cmd_list(a, d, "who", a->words, 1, columns, countof(columns),
				    "nobody brought anything there", e)
		   : -1;
	db_close(d);
	return rc;
}

int cache_diff(const struct cache_args *a, struct err *e)
{
	static const struct cache_column columns[] = {
		{"change", "CHANGE", CACHE_TEXT},     {"old_size", "OLD SIZE", CACHE_SIZE},
		{"new_size", "NEW SIZE", CACHE_SIZE}, {"job", "JOB", CACHE_TEXT},
		{"path", "PATH", CACHE_TEXT},
	};
	int64_t one, two;
	struct db *d = cache_cmd_db(a, e);
	int rc = !d || cache_cmd_generation(d, a->words[0], &one, e) ||
				 cache_cmd_generation(d, a->words[1], &two, e)
			 ? -1
			 : 0;
	if (!rc) {
		auto_free char *from = own_fmt("%" PRId64, one), *to = own_fmt("%" PRId64, two);
		const char *args[] = {from, to};
		rc = cache_cmd_list(a, d, "generation-diff", args, 2, columns, countof(columns),
				    "they show the same", e);
	}
	db_close(d);
	return rc;
}
