/* Inside db/ only: which entry a generation shows at a path, and which have some content, as text
 * of SQL.
 *
 * A generation is a stack of layers (generation_layer.position, 0 uppermost), a layer a stack of
 * publishes (layer_part.place, the highest uppermost): one whose publish made it, or those of the
 * layers it was made of. What a publish deleted hides what lies below it; in a layer made of others
 * only what lies in that layer from hides_from on, for such a layer says nothing any more of what
 * it hid of others (cache_flatten). An entry that was revoked is in the layers that were made
 * before. */
#pragma once

/* clang-format off */
/* Of an entry `e` with its part `p` in layer `l`: is it in that layer? */
#define SHOWN_IN_LAYER(e, l) "(" #e ".revoked_ms IS NULL OR " #e ".revoked_ms >= " #l ".revoked_ms)"
/* Does what the part w deleted, in layer wg of harvest wh, hide what the part p in layer g has? */
#define SHOWN_HIDES(w, wg, own, p, g) \
	"CASE WHEN " wg ".position = " g ".position THEN " w ".place > " p ".place AND (" own " OR " w ".hides_from <= " p ".place)" \
	" ELSE " wg ".position < " g ".position AND " own " END"

/* Of an entry: in one of the tiers by which entry_by_path has it (db/tier.h). What looks for a path says this beside it. */
#define IN_TIERS "tier IN (SELECT number FROM entry_tier)"
/* The same in a view, where others say what is looked for: to SQLite (3.40) what is in some tiers is otherwise less than what a run
 * or a job brought. It is to think of nearly all, and so uses that index for paths alone. */
#define LIKELY_IN_TIERS(e) "likelihood(" e "." IN_TIERS ", 0.9)"

/* The harvest whose entry shows at `path` (a blob) in generation `generation` of store `store`, NULL: none; of those for which also
 * `but` holds, a condition on nx, an entry. */
#define SHOWN_AT(path, generation, store, but) \
	"(SELECT nx.harvest FROM entry nx CROSS JOIN harvest nh ON nh.id = nx.harvest AND nh.store = " store \
	" CROSS JOIN layer_part np ON np.harvest = nx.harvest" \
	" CROSS JOIN generation_layer ng ON ng.layer = np.layer AND ng.generation = " generation " CROSS JOIN layer nl ON nl.id = np.layer" \
	" WHERE nx." IN_TIERS " AND CAST(nx.path AS TEXT) = CAST(" path " AS TEXT) AND nx.path = " path " AND " SHOWN_IN_LAYER(nx, nl) but \
	" AND NOT EXISTS (SELECT 1 FROM harvest_note nw JOIN harvest wh ON wh.id = nw.harvest AND wh.store = " store \
	"  JOIN layer_part wp ON wp.harvest = nw.harvest" \
	"  JOIN generation_layer wg ON wg.layer = wp.layer AND wg.generation = " generation \
	"  WHERE CAST(nw.path AS TEXT) = CAST(" path " AS TEXT) AND nw.change = 'deleted' AND nw.type = 'w' AND nw.path = " path \
	"   AND " SHOWN_HIDES("wp", "wg", "wh.layer = wp.layer", "np", "ng") ")" \
	" ORDER BY ng.position, np.place DESC LIMIT 1)"

/* A WITH RECURSIVE's part, and entries `e` with the content `sha256` in it: harvests in groups of eight, as entry_by_sha256 has them. A
 * question reads the index once for each group, and a publish changes the pages of one. */
#define ENTRY_GROUPS \
	"entry_group (number) AS MATERIALIZED (SELECT min(id) / 8 FROM harvest UNION ALL SELECT number + 1 FROM entry_group" \
	"  WHERE number < (SELECT max(id) / 8 FROM harvest))"
#define ENTRIES_WITH(e, sha256) \
	"entry_group " #e "_group CROSS JOIN entry " #e " ON " #e ".harvest / 8 = " #e "_group.number AND " #e ".sha256 = " sha256
/* clang-format on */
