/* A run told to a program: one line per event on standard output, words separated by a blank, each
 * line written whole and at once. Stable: words are appended to lines, new lines come with new
 * first words. A blank, '%' and what is no printable ASCII in a name are %XX; nothing is "-".
 *
 *   RUN run jobs                                        it began; so many jobs
 *   START package variant phase                         a box; variant - where all share it
 *   END package variant phase how wall_ms               exited signalled limited cancelled failed
 *   ACK package variant status phase reason wall_ms     the job's result is recorded, durably
 *   HELD why      GO                                    nothing more is started; it goes on
 *   DONE run state done jobs                            done interrupted aborted
 */
#pragma once
#include "orchestrator/engine.h"

struct porcelain {
	int64_t run;
	size_t done, jobs;
};

void porcelain_init(struct porcelain *p, int64_t run, size_t jobs);
/* For engine_conf, with a struct porcelain as owner. */
void porcelain_news(void *porcelain, const struct engine_news *n);
void porcelain_phase(void *porcelain, const struct engine_phase *p);
void porcelain_held(void *porcelain, const char *why);
void porcelain_full(void *porcelain, const char *store);
void porcelain_fini(const struct porcelain *p, const char *state);
/* porcelain_word(t, s): s as one word, with a blank before it. */
struct text;
void porcelain_word(struct text *t, const char *s);
