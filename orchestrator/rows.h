/* Rows of the database by the names of their columns. An absent column and a NULL read alike: NULL,
 * or what the caller says. */
#pragma once
#include "db/db.h"

#include <jansson.h>

/* rows_cell(t, row, column): NULL where there is no such column. */
const struct db_cell *rows_cell(const struct db_table *t, size_t row, const char *column);
/* Text of a text cell, borrowed from t; else NULL. */
const char *rows_text(const struct db_table *t, size_t row, const char *column);
/* The same, "" for NULL. */
const char *rows_str(const struct db_table *t, size_t row, const char *column);
/* An integer cell (reals are cut), else `none`. */
int64_t rows_int(const struct db_table *t, size_t row, const char *column, int64_t none);

/* A row as an object, and all rows as an array of them, as the command line prints them; t NULL is
 * no rows. What JSON has no word for (infinities) is null. */
json_t *rows_object(const struct db_table *t, size_t row) must_check;
json_t *rows_json(const struct db_table *t) must_check;
