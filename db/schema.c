/* Which schema a database has, and the way from there to today's: the steps, then the views. */
#include "db/schema.h"

#include "db/handle.h"

enum { APPLICATION_ID = 0x61737379 /* "assy" */ };

static int pragma_number(struct db *d, const char *sql, struct err *e, int *out)
{
	int64_t n = 0;
	if (db_number(d, e, &n, sql, "") < 0)
		return -1;
	*out = (int)n;
	return 0;
}

int schema_version(struct db *d, struct err *e)
{
	int id = 0, version = 0, tables = 0;
	if (pragma_number(d, "PRAGMA application_id", e, &id) ||
	    pragma_number(d, "PRAGMA user_version", e, &version) ||
	    pragma_number(d, "SELECT count(*) FROM sqlite_schema", e, &tables))
		return -1;
	if (id != APPLICATION_ID && (id || version || tables))
		return err_set(e, ERR_INPUT, "%s is a database, but not one of assay", d->path);
	if (version > schema_current)
		return err_set(e, ERR_INPUT,
			       "%s has schema version %d, and this assay (%s) knows versions up to "
			       "%d: use a newer assay",
			       d->path, version, ASSAY_VERSION, schema_current);
	return version;
}

int schema_check(struct db *d, struct err *e)
{
	int version = schema_version(d, e);
	if (version < 0)
		return -1;
	if (version < schema_current)
		return err_set(e, ERR_INPUT,
			       "%s has schema version %d, this assay reads %d: any command that "
			       "writes it (assay run, assay layer import) brings it up to date",
			       d->path, version, schema_current);
	return 0;
}

/* Views hold no data: they are made anew with each version. */
static int schema_make_views(struct db *d, struct err *e)
{
	for (;;) {
		auto_free char *drop = NULL;
		sqlite3_stmt *s =
			db_ask(d, e, "SELECT name FROM sqlite_schema WHERE type = 'view' LIMIT 1",
			       "");
		int rc = s ? db_step(d, s, e) : -1;
		if (rc > 0)
			drop = own_fmt("DROP VIEW \"%s\"", (const char *)sqlite3_column_text(s, 0));
		db_done(s);
		if (rc < 0 || (drop && db_script(d, drop, e)))
			return -1;
		if (!drop)
			break;
	}
	for (const char *const *v = schema_views; *v; v++)
		if (db_script(d, *v, e))
			return -1;
	return 0;
}

static int schema_climb(struct db *d, int from, int to, struct err *e)
{
	for (int version = from; version < to; version++)
		if (db_script(d, schema_steps[version], e))
			return err_add(e, "schema version %d", version + 1);
	if (to == schema_current && schema_make_views(d, e))
		return -1;
	auto_free char *stamp =
		own_fmt("PRAGMA user_version = %d; PRAGMA application_id = %d", to, APPLICATION_ID);
	return db_script(d, stamp, e);
}

int schema_migrate(struct db *d, int to, struct err *e)
{
	int from = schema_version(d, e);
	if (from < 0 || from >= to)
		return from < 0 ? -1 : 0;
	if (db_begin(d, e))
		return -1;
	from = schema_version(d, e); /* somebody else may have done it before the lock was ours */
	if (from < 0 || (from < to && schema_climb(d, from, to, e)))
		return db_rollback(d);
	return db_commit(d, e);
}
