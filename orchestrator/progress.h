/* What a person sees of a run while it goes on: a line per result on stderr, and on a terminal a
 * last line that says how far it is. */
#pragma once
#include "orchestrator/engine.h"

struct progress {
	int64_t run;
	size_t total, done;
	int64_t started_ns;
	size_t width; /* of the ids' column */
	bool terminal, shown;
};

void progress_init(struct progress *p, int64_t run, const struct suite *s, size_t total);
/* For engine_conf: on_news and on_tick with a struct progress as owner. */
void progress_news(void *progress, const struct engine_news *n);
void progress_tick(void *progress, const struct engine_now *now);
/* on_held */
void progress_held(void *progress, const char *why);
/* on_full */
void progress_full(void *progress, const char *store);
void progress_fini(struct progress *p);
