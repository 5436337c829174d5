/* assay cache kept: what phases left that stays for later runs, and how much of it shall. */
#include "orchestrator/cache_cmd.h"

#include "orchestrator/kept.h"

static int shrink(const struct cache_args *a, struct err *e)
{
	struct state *st = state_open(a->common.state, e);
	size_t gone = 0, n = 0;
	int rc = st ? kept_shrink(st, a->max_bytes, a->dry_run, &gone, &n, e) : -1;
	if (!rc)
		fprintf(stderr, "%s: what %zu of %zu phases left\n",
			a->dry_run ? "would go" : "gone", gone, n);
	state_close(st);
	return rc;
}

int cache_kept(const struct cache_args *a, struct err *e)
{
	static const struct cache_column columns[] = {
		{"run", "RUN", CACHE_NUMBER},       {"package", "PACKAGE", CACHE_TEXT},
		{"variant", "VARIANT", CACHE_TEXT}, {"name", "PHASE", CACHE_TEXT},
		{"bytes", "SIZE", CACHE_SIZE},      {"saves_ms", "SAVES MS", CACHE_NUMBER},
		{"uses", "USES", CACHE_NUMBER},     {"chances", "OF", CACHE_NUMBER},
		{"made_ms", "MADE", CACHE_TIME},
	};
	if (a->max_bytes != UINT64_MAX && shrink(a, e))
		return -1;
	struct db *d = cache_cmd_db(a, e);
	int rc = d ? cache_cmd_list(a, d, "kept", NULL, 0, columns, countof(columns),
				    "nothing is kept", e)
		   : -1;
	db_close(d);
	return rc;
}
