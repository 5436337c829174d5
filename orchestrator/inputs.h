/* What a job's phases could see, as a digest: a job whose inputs were judged before need not run
 * again (record.h). Pure but for reading the packages' files and asking which layer a name means.
 *
 * Three texts of lines "label digest", so that what changed can be told: of the suite (root,
 * layers, mounts, stores, environment, each phase's text, network and limits), of a variant, of a
 * package. The key is the digest of all three. A store counts by its name, place and rules, not by
 * what is in it: it only grows, and by its rules a path has the same bytes in every generation. */
#pragma once
#include "db/db.h"
#include "orchestrator/how.h"
#include "orchestrator/plan.h"

#include <jansson.h>

struct inputs {
	char *suite;
	char **variants; /* by variant of the suite */
	char *unknown;   /* why no key can be made ("mount /src is a live directory"), NULL */
};

/* inputs_load(in, s, h, d, e): of all but packages. */
int inputs_load(struct inputs *in, const struct suite *s, const struct how *h, struct db *d,
		struct err *e) must_check;
void inputs_fini(struct inputs *in);
/* inputs_package(s, package, e): of one package; the caller frees it. NULL with e where a file of
 * its can't be read. */
char *inputs_package(const struct suite *s, size_t package, struct err *e) must_check;
/* inputs_key(in, variant, package, key): 64 hex digits. */
void inputs_key(const struct inputs *in, size_t variant, const char *package, char key[CACHE_ID]);
/* inputs_changed(now, was, list): the labels whose digests differ between two such texts are
 * appended to list, those of one alone with "(new)" or "(gone)". */
void inputs_changed(const char *now, const char *was, json_t *list);
/* inputs_phase_key(in, s, unit, phase, package, key): of what one phase of a unit could see: as the
 * key of a job, but of the phases only those up to this one, without log rules, which decide about
 * results alone, and of a trunk without a variant. */
void inputs_phase_key(const struct inputs *in, const struct suite *s, const struct plan_unit *unit,
		      size_t phase, const char *package, char key[CACHE_ID]);
