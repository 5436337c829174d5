#include "orchestrator/rows.h"

#include <string.h>

const struct db_cell *rows_cell(const struct db_table *t, size_t row, const char *column)
{
	for (size_t i = 0; t && row < t->n_rows && i < t->n_columns; i++)
		if (!strcmp(t->columns[i], column))
			return &t->cells[row * t->n_columns + i];
	return NULL;
}

const char *rows_text(const struct db_table *t, size_t row, const char *column)
{
	const struct db_cell *c = rows_cell(t, row, column);
	return c && c->type == DB_TEXT ? c->s : NULL;
}

const char *rows_str(const struct db_table *t, size_t row, const char *column)
{
	const char *s = rows_text(t, row, column);
	return s ? s : "";
}

int64_t rows_int(const struct db_table *t, size_t row, const char *column, int64_t none)
{
	const struct db_cell *c = rows_cell(t, row, column);
	if (c && c->type == DB_INT)
		return c->i;
	return c && c->type == DB_REAL && c->r > -9e18 && c->r < 9e18 ? (int64_t)c->r : none;
}

static json_t *cell_json(const struct db_cell *c)
{
	switch (c->type) {
	case DB_INT:
		return json_integer((json_int_t)c->i);
	case DB_REAL:
		return json_real(c->r);
	case DB_TEXT:
		return json_string(c->s);
	case DB_NULL:
		break;
	}
	return json_null();
}

json_t *rows_object(const struct db_table *t, size_t row)
{
	json_t *o = json_object();
	for (size_t i = 0; i < t->n_columns; i++) {
		json_t *value = cell_json(&t->cells[row * t->n_columns + i]);
		json_object_set_new(o, t->columns[i], value ? value : json_null());
	}
	return o;
}

json_t *rows_json(const struct db_table *t)
{
	json_t *all = json_array();
	for (size_t r = 0; t && r < t->n_rows; r++)
		json_array_append_new(all, rows_object(t, r));
	return all;
}
