/* assay-box: builds boxes for one caller (protocol: plan.h), and `assay-box try SLOT` says with its
 * exit status and one line whether it could. Static and small, because each box begins as a copy of
 * it. */
#include "sandbox/box/birth.h"
#include "sandbox/box/inside.h"
#include "sandbox/box/serve.h"
#include "sandbox/box/tie.h"

#include "base/unit.h"

#include <string.h>

static int complain(const struct err *e)
{
	fprintf(stderr, "assay-box: %s\n", e->text);
	return 125;
}

int main(int argc, char **argv)
{
	struct serve s = {.kind = &birth_native, .way = OVERLAY_FD, .ids = {.userns_fd = -1}};
	struct err e = ERR_INIT;
	uint64_t slot;
	if (argc == 2 && !strcmp(argv[1], "inside"))
		return inside_run();
	if (argc == 3 && !strcmp(argv[1], "try")) {
		if (unit_parse_count(argv[2], &slot) || slot >= IDS_SLOTS)
			return 125;
		tie_clean("assay-box", PLAN_SOCKET + 1);
		return ids_open(&s.ids, (unsigned)slot, &e) || birth_try(&s.ids, &e) ? complain(&e)
										     : 0;
	}
	if ((argc != 4 && argc != 5) || strcmp(argv[1], "serve") ||
	    unit_parse_count(argv[3], &slot) || slot >= IDS_SLOTS ||
	    (argc == 5 && !overlay_way_of(argv[4], &s.way))) {
		fprintf(stderr, "assay-box is started by assay, not by hand\n");
		return 125;
	}
	s.only_way = argc == 5;
	tie_clean("assay-box", PLAN_SOCKET + 1);
	if (tie_to(argv[2], &e) || ids_open(&s.ids, (unsigned)slot, &e) || serve_run(&s, &e))
		return complain(&e);
	return 0;
}
