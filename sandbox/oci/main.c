/* assay-oci: the helper for boxes that are another engine's containers: the protocol of assay-box
 * (sandbox/box/plan.h), and `assay-oci try EXECUTOR` says with its exit status and one line whether
 * the engine is installed. It is started with assay-box open as PLAN_PROGRAM. */
#include "sandbox/box/serve.h"
#include "sandbox/box/tie.h"
#include "sandbox/oci/engine.h"
#include "sandbox/oci/keeper.h"

#include "base/unit.h"

#include <string.h>

static int complain(const struct err *e)
{
	fprintf(stderr, "assay-oci: %s\n", e->text);
	return 125;
}

int main(int argc, char **argv)
{
	struct serve s = {.kind = &birth_kept, .way = OVERLAY_FD, .ids = {.userns_fd = -1}};
	struct err e = ERR_INIT;
	uint64_t slot;
	bool serve = (argc == 5 || argc == 6) && !strcmp(argv[1], "serve"),
	     try = argc == 4 && !strcmp(argv[1], "try");
	if ((!serve && !try) || unit_parse_count(argv[serve ? 3 : 2], &slot) || slot >= IDS_SLOTS ||
	    (argc == 6 && !overlay_way_of(argv[5], &s.way))) {
		fprintf(stderr, "assay-oci is started by assay, not by hand\n");
		return 125;
	}
	const struct engine *engine = engine_find(argv[serve ? 4 : 3]);
	s.only_way = argc == 6;
	tie_clean("assay-oci", PLAN_PROGRAM + 1);
	if (!engine)
		err_set(&e, ERR_USAGE, "there is no executor %s", argv[serve ? 4 : 3]);
	if (!engine || engine_installed(engine, &e))
		return complain(&e);
	keeper_use(engine);
	if (ids_open(&s.ids, (unsigned)slot, &e))
		return complain(&e);
	if (try)
		return birth_try(&s.ids, &e) ? complain(&e) : 0;
	return tie_to(argv[2], &e) || serve_run(&s, &e) ? complain(&e) : 0;
}
