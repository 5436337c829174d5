/* A plan for people and for programs; for cmd_plan.c alone. */
#pragma once
#include "orchestrator/plan.h"

#include <jansson.h>

/* A layer that the suite names, and what the state directory knows of it. */
struct plan_layer {
	const struct suite_layer_ref *ref;
	char id[CACHE_ID]; /* "": there is none */
};

struct plan_view {
	const struct plan *plan;
	const struct plan_layer *layers; /* suite->n_layer_refs of them */
	bool verbose;                    /* also what each box is made of */
};

/* plan_show_text(v): on stdout. plan_show_json(v): the caller frees it with json_decref. */
void plan_show_text(const struct plan_view *v);
json_t *plan_show_json(const struct plan_view *v) must_check;

/* The words both use. */
struct plan_limit {
	const char *name;
	uint64_t value;
	enum { PLAN_MS, PLAN_BYTES, PLAN_COUNT } unit;
};
#define PLAN_LIMITS 14
void plan_limits(const struct suite_limits *l, struct plan_limit out[PLAN_LIMITS]);
/* "layer npm", "upper of fetch" …; the caller frees it. */
char *plan_lower_text(const struct suite *s, const struct plan_lower *l) must_check;
/* Seconds of all boxes of the plan by the packages' weights (each variant takes the whole of one);
 * *unknown: jobs without one. */
uint64_t plan_seconds(const struct plan *p, size_t *unknown);
