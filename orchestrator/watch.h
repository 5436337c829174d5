/* What `assay watch` shows of a snapshot (control.h): pure text, so that it can be tested. */
#pragma once
#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>

/* watch_line(snapshot, t): one plain line, as it is told where there is no terminal. */
void watch_line(const json_t *snapshot, struct text *t);
/* watch_screen(snapshot, width, height, colours, t): the whole of a terminal of that size: at most
 * `height` lines of at most `width` cells, each with its end erased, without a newline behind the
 * last. */
void watch_screen(const json_t *snapshot, size_t width, size_t height, bool colours,
		  struct text *t);
