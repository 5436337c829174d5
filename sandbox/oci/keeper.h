/* Who runs an engine that needs no daemon: the first process of a user, a mount and a pid namespace
 * of its own, per box. In them the box's root is raised (stage.h), and there the engine makes its
 * container, as root of a user namespace that has the box's ids. So
 *
 * - the engine's root is never the host's root, whoever the caller is, and needs no set-up by an
 *   administrator for ordinary users;
 * - its state is in this mount namespace's memory, its monitors in this pid namespace: with this
 *   process, which dies with the helper, all of it is gone, in no time and without its help;
 * - its pid 1 is told its plan, and reports, over a socket that no engine sees. */
#pragma once
#include "sandbox/box/birth.h"

/* keeper_use(engine): a process of one helper has one engine. */
struct engine;
void keeper_use(const struct engine *engine);

extern const struct birth_kind birth_kept;
