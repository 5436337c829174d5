/* median(X), an aggregate that SQLite lacks: of the integers X that are not NULL the one in the
 * middle, the lesser of two; NULL where there is none. With window functions it would take a sort
 * of all that is asked for beside it. */
#include "db/handle.h"

struct median {
	int64_t *of;
	size_t n, cap;
};

static void median_step(sqlite3_context *c, int n_args, sqlite3_value **args)
{
	(void)n_args;
	struct median *m = sqlite3_aggregate_context(c, sizeof(*m));
	int type = sqlite3_value_type(args[0]);
	if (!m) {
		sqlite3_result_error_nomem(c);
	} else if (type == SQLITE_INTEGER) {
		if (m->n == m->cap) {
			m->cap = m->cap ? m->cap * 2 : 64;
			m->of = own_grow(m->of, m->cap, sizeof(*m->of));
		}
		m->of[m->n++] = sqlite3_value_int64(args[0]);
	} else if (type != SQLITE_NULL) {
		sqlite3_result_error(c, "median() is of integers", -1);
	}
}

static int by_number(const void *pa, const void *pb)
{
	const int64_t *a = pa, *b = pb;
	return *a < *b ? -1 : *a > *b;
}

/* Called also where the query ended early. */
static void median_final(sqlite3_context *c)
{
	struct median *m = sqlite3_aggregate_context(c, 0);
	if (!m || !m->n)
		return;
	qsort(m->of, m->n, sizeof(*m->of), by_number);
	sqlite3_result_int64(c, m->of[(m->n - 1) / 2]);
	free(m->of);
}

int db_median(sqlite3 *h)
{
	return sqlite3_create_function_v2(h, "median", 1,
					  SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
					  NULL, NULL, median_step, median_final, NULL);
}
