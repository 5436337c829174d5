/* Globs and paths, and npm's lines: "<glob>\n<path>\n<lines>". */
#include "fuzz.h"

#include "cache/npm.h"
#include "cache/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_text struct text glob = TEXT_INIT, path = TEXT_INIT, lines = TEXT_INIT,
			      merged = TEXT_INIT, again = TEXT_INIT;
	struct text *parts[] = {&glob, &path, &lines};
	const char *algo;
	char hex[NPM_HEX];
	size_t part = 0;
	for (size_t i = 0; i < size && i < 65536; i++)
		if (part < 2 && (data[i] == '\n' || parts[part]->n == 200))
			part++;
		else if (data[i] || part == 2)
			text_addc(parts[part], (char)data[i]);
	const struct cache_rule rule = {text_str(&glob), CACHE_DROP};
	bool match = rules_match(rule.match, text_str(&path));
	MUST(rules_find(&rule, 1, text_str(&path)) == (match ? CACHE_DROP : CACHE_SAME));
	(void)!npm_content_name(text_str(&path), &algo, hex);
	text_add(&lines, "");
	if (npm_union(text_str(&path), NULL, &lines, &merged)) {
		/* Merging once more changes nothing. */
		MUST(npm_union(text_str(&path), &merged, &lines, &again));
		MUST(again.n == merged.n && !memcmp(again.p, merged.p, again.n));
	}
	return 0;
}
