/* Stacks of layers that publishes have made high become lower while the run goes on: one at a time,
 * by a thread of the lowest priority, for which no publish waits but where a stack has become
 * CACHE_MOST_LAYERS high meanwhile. Boxes keep the generation they have, those that start
 * afterwards get one that shows the same with fewer layers. The engine's thread calls all of it. */
#pragma once
#include "orchestrator/lane.h"
#include "orchestrator/shelf.h"

struct engine;

struct compact {
	struct engine *engine;
	struct lane lane;
	struct lane_task task; /* on lane, then on the engine's records */
	bool busy;        /* from its beginning until its generation is recorded, or given up */
	bool made;        /* the layer is there: it waits for its turn at the store */
	bool told;        /* that publishes wait for it */
	size_t store;     /* of the suite */
	struct shelf was; /* the stack it began with */
	size_t n;         /* so many of its uppermost layers become one */
	struct cache_layer flat;
	size_t above; /* layers that were published upon them meanwhile */
	struct shelf after;
	int rc;
	struct err err;
};

void compact_init(struct compact *c, struct engine *g);
/* compact_look(c): begins with the highest stack that has more than CACHE_MAX_LAYERS, and records
 * what was made once no publish holds the store. */
void compact_look(struct compact *c);
/* compact_holds(c): publishes, of which there are some, have to wait for it; it is told once. */
bool compact_holds(struct compact *c);
