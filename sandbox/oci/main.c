/* assay-oci: the helper for boxes that are another engine's containers: the protocol of assay-box
 * (sandbox/box/plan.h), with the executor's name behind the ids, and `assay-oci try PARENT-PID IDS
 * EXECUTOR` says with its exit status and one line whether
 * the engine is installed. It is started with assay-box open as PLAN_PROGRAM. */
#include "sandbox/box/serve.h"
#include "sandbox/box/tie.h"
#include "sandbox/oci/daemon.h"
#include "sandbox/oci/engine.h"
#include "sandbox/oci/keeper.h"

#include <string.h>

static int complain(const struct err *e)
{
	fprintf(stderr, "assay-oci: %s\n", e->text);
	return 125;
}

int main(int argc, char **argv)
{
	struct serve s = {.kind = &birth_kept, .way = OVERLAY_FD};
	struct err e = ERR_INIT;
	bool serve = argc >= 5 && !strcmp(argv[1], "serve"),
	     try = argc == 5 && !strcmp(argv[1], "try");
	if (!serve && !try) {
		fprintf(stderr, "assay-oci is started by assay, not by hand\n");
		return 125;
	}
	const struct engine *engine = engine_find(argv[4]);
	tie_clean("assay-oci", ids_enters(argv[3]) ? PLAN_USERNS + 1 : PLAN_PROGRAM + 1);
	if (!engine)
		err_set(&e, ERR_USAGE, "there is no executor %s", argv[4]);
	if (!engine || engine_installed(engine, &e) || tie_to(argv[2], &e))
		return complain(&e);
	keeper_use(engine);
	if (engine->daemon) {
		s.kind = &birth_daemon;
		daemon_sweep();
	}
	if (serve_words(&s, argv[3], argv + 5, &e))
		return complain(&e);
	if (try)
		return birth_try(&s.ids, &e) ? complain(&e) : 0;
	return serve_run(&s, &e) ? complain(&e) : 0;
}
