/* The boxes of phases that were: made again; and what those before the one asked for left: kept, or
 * made again by running them. */
#include "orchestrator/retrace.h"

#include "orchestrator/hand.h"
#include "orchestrator/kept.h"
#include "orchestrator/rows.h"

#include <string.h>

/* ---- stores ---- */

/* The generation of a store at that moment: what is recorded of the first one; of others the newest
 * that had been made. Where that is no longer kept the oldest that is: by a store's rules it has
 * the same bytes at the same paths, and more. */
static int generation_at(const struct retrace *r, const struct retrace_phase *p, size_t store,
			 int64_t *generation, struct err *e)
{
	struct db_table *t = NULL;
	auto_free char *key = plan_store_key(r->again.suite, store);
	const char *arg = key;
	*generation = store ? 0 : p->generation;
	if (*generation)
		return 0;
	if (db_named(r->state->db, "generations", &arg, 1, &t, e))
		return -1;
	for (size_t i = 0; !*generation && i < t->n_rows; i++)
		if (rows_int(t, i, "made_ms", 0) <= p->started_ms)
			*generation = rows_int(t, i, "generation", 0);
	/* the first of all had no store before it: it was empty then */
	if (!*generation && t->n_rows && rows_int(t, t->n_rows - 1, "parent", 0)) {
		*generation = rows_int(t, t->n_rows - 1, "generation", 0);
		fprintf(stderr,
			"assay: store %s is no longer kept as it was then: generation %lld is the "
			"oldest there is\n",
			key, (long long)*generation);
	}
	db_table_free(t);
	return 0;
}

/* Nobody collects it as long as we are here. */
static int retrace_pin(struct retrace *r, int64_t generation, struct err *e)
{
	if (!generation)
		return 0;
	r->pins = own_grow(r->pins, r->n_pins + 1, sizeof(*r->pins));
	if (pin_take(r->state->fd, generation, &r->pins[r->n_pins], e))
		return -1;
	r->n_pins++;
	return 0;
}

static int retrace_shelves(struct retrace *r, size_t at, struct shelf **out, struct err *e)
{
	const struct suite *s = r->again.suite;
	*out = own_calloc(s->n_stores + 1, sizeof(**out));
	for (size_t i = 0; i < s->n_stores; i++) {
		int64_t generation;
		if (generation_at(r, &r->phases[at], i, &generation, e) ||
		    retrace_pin(r, generation, e) ||
		    shelf_load_at(&(*out)[i], s, i, generation, r->state->db, e))
			return -1;
	}
	return 0;
}

/* ---- a box ---- */

int retrace_box(struct retrace *r, size_t at, enum box_net net, size_t stores_at,
		struct retrace_box *b, struct err *e)
{
	static unsigned serial;
	const struct suite *s = r->again.suite;
	size_t phase = r->phases[at].phase;
	const struct plan_unit *unit =
		r->trunk && phase < r->trunk->end_phase ? r->trunk : r->branch;
	*b = (struct retrace_box){.dir = own_fmt("%u", serial++)};
	struct boxing_from from = {
		.dirfd = r->aside.fd,
		.dir = b->dir,
		.input = BOXING_INPUT,
		.uppers = (const char *const *)r->uppers,
	};
	struct phase_see see = {.name = "shell", .net = net, .boxing = &b->boxing};
	plan_mounts(s, unit, phase, &b->mounts);
	if (retrace_shelves(r, stores_at, &b->shelves, e))
		return -1;
	from.shelves = b->shelves;
	if (boxing_open(&b->boxing, r->state, &b->mounts, &from, e))
		return -1;
	phase_box_make(&b->made, s, unit, phase, &see);
	return 0;
}

void retrace_box_close(struct retrace *r, struct retrace_box *b)
{
	for (size_t i = 0; b->shelves && i < r->again.suite->n_stores; i++)
		shelf_fini(&b->shelves[i]);
	free(b->shelves);
	phase_box_fini(&b->made);
	boxing_close(&b->boxing);
	plan_mounts_fini(&b->mounts);
	free(b->dir);
	*b = (struct retrace_box){.dir = NULL};
}

struct sandbox_conf retrace_conf(const struct retrace *r, char name[24])
{
	state_box_name(r->state, name);
	return (struct sandbox_conf){
		.executor = r->how.executor,
		.ids = r->how.ids.ids,
		.best_effort = r->how.best_effort,
		.helper = r->how.helper,
		.slots = 1,
		.name = name,
		.verbose = r->how.verbose,
		.given = r->state->path,
		.no_probe = true,
	};
}

/* ---- the phases before ---- */

struct again {
	struct retrace *r;
	size_t at, stores_at;
	enum box_net net;
	struct retrace_box box;
	char *dir;
};

static int again_open(void *owner, struct err *e)
{
	struct again *a = owner;
	int rc = retrace_box(a->r, a->at, a->net, a->stores_at, &a->box, e);
	a->dir = own_dup(a->box.dir);
	return rc;
}

static void again_close(void *owner)
{
	struct again *a = owner;
	retrace_box_close(a->r, &a->box);
}

static void again_leave(void *owner)
{
	struct again *a = owner;
	again_close(owner);
	retrace_close(a->r);
}

/* 1: it passed, 0: it did not, -1. Its uppers are the next ones' lowers where it did. */
static int again_run(struct again *a, int *signal, struct err *e)
{
	char name[24];
	struct retrace *r = a->r;
	struct hand h = {
		.box = &a->box.made.spec,
		.conf = retrace_conf(r, name),
		.apart = true,
		.open = again_open,
		.close = again_close,
		.leave = again_leave,
		.owner = a,
	};
	hand_run(&h);
	int rc = h.passed;
	*signal = h.end.signal;
	if (!rc && !h.end.signal && h.end.status == SANDBOX_OURS)
		rc = err_set(e, ERR_BOX, "%s", text_str(&h.line));
	if (rc > 0)
		r->uppers[r->phases[a->at].phase] = give(a->dir);
	free(a->dir);
	a->dir = NULL;
	hand_fini(&h);
	return rc;
}

static int again_phase(struct retrace *r, size_t at, int *signal, struct err *e)
{
	size_t last = r->n_phases - 1;
	const struct suite_phase *p = &r->again.suite->phases[r->phases[at].phase];
	struct again a = {.r = r, .at = at, .stores_at = at, .net = r->phases[at].net};
	fprintf(stderr, "assay: run again, because what it left is not kept: phase %s\n", p->name);
	/* What it brought to the stores then is there for the phases after it. */
	if (p->offline_first) {
		a.stores_at = last;
		a.net = BOX_NET_NONE;
	}
	int rc = again_run(&a, signal, e);
	if (!rc && !*signal && r->phases[at].net != a.net) {
		a.stores_at = at;
		a.net = r->phases[at].net;
		rc = again_run(&a, signal, e);
	}
	if (!rc && !*signal)
		rc = err_set(
			e, ERR_ABSENT,
			"phase %s does not pass any more, although it did in run %lld: what it "
			"left, which phase %s saw, can't be had again",
			p->name, (long long)r->again.run,
			r->again.suite->phases[r->phases[last].phase].name);
	return rc < 0 ? -1 : 0;
}

/* ---- as it is kept ---- */

/* 1: what the phase left is there and what it was; 0: not; -1. From here on nobody removes it: who
 * would asks after its row is gone (kept_remove), so it is held before that is looked for. */
static int kept_phase(struct retrace *r, size_t at, struct err *e)
{
	const struct retrace_phase *p = &r->phases[at];
	struct db_table *t = NULL;
	struct cache_frozen is;
	struct err ignored = ERR_INIT;
	char name[KEPT_DIR];
	auto_free char *id = own_fmt("%lld", (long long)p->id);
	const char *arg = id;
	int *held = &r->held[p->phase];
	*held = kept_hold(r->state->fd, p->id);
	if (*held < 0)
		return 0;
	if (db_named(r->state->db, "kept-of-phase", &arg, 1, &t, e))
		return -1;
	auto_free char *digest = own_dup(rows_str(t, 0, "digest"));
	db_table_free(t);
	if (!*digest || cache_frozen(*held, &is, &ignored) || strcmp(is.digest, digest)) {
		own_close(held);
		return 0;
	}
	fprintf(stderr, "assay: as it is kept: what phase %s left\n",
		r->again.suite->phases[p->phase].name);
	r->uppers[p->phase] = own_dup(kept_dir(p->id, name));
	return 1;
}

int retrace_before(struct retrace *r, int *signal, struct err *e)
{
	size_t i = 0;
	int kept = 1;
	*signal = 0;
	while (i + 1 < r->n_phases && (kept = kept_phase(r, i, e)) > 0)
		i++;
	if (kept < 0)
		return -1;
	for (; i + 1 < r->n_phases && !*signal; i++)
		if (again_phase(r, i, signal, e))
			return -1;
	return 0;
}
