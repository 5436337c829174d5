#include "orchestrator/suite_parts.h"

#include "base/unit.h"

#include <string.h>

/* ---- environment ---- */

static int env_value(const struct doc_node *name, const struct doc_node *value, struct err *e)
{
	if (value->kind != DOC_TEXT || value->number)
		return doc_bad(e, value, "the value of %s must be a text%s", name->text,
			       value->number ? ", in double quotes" : "");
	if (strlen(name->text) + 1 + strlen(value->text) > WORD_ARG_MAX)
		return doc_bad(e, value, "the value of %s is longer than Linux takes (%d bytes)",
			       name->text, WORD_ARG_MAX);
	return 0;
}

static void env_set(struct suite_env **env, size_t *n, const char *name, const char *value)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp((*env)[i].name, name)) {
			free((*env)[i].value);
			(*env)[i].value = own_dup(value);
			return;
		}
	*env = own_grow(*env, *n + 1, sizeof(**env));
	(*env)[(*n)++] = (struct suite_env){own_dup(name), own_dup(value)};
}

int parts_env(const struct doc_node *node, struct suite_env **env, size_t *n, struct err *e)
{
	if (!node)
		return 0;
	if (node->kind != DOC_MAP)
		return doc_bad(e, node, "env must be a mapping: NAME: value");
	for (size_t i = 0; i < node->n; i++) {
		const struct doc_item *it = &node->items[i];
		if (word_env_name(it->key, e) || env_value(it->key, it->value, e))
			return -1;
		env_set(env, n, it->key->text, it->value->text);
	}
	return 0;
}

/* ---- limits ---- */

enum limit_unit { LIMIT_DURATION, LIMIT_SIZE, LIMIT_COUNT };

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define TIB ((uint64_t)1 << 40)
#define DAY ((uint64_t)86400000)

/* What is below `least` stops everything at once, what is above `most` is a slip of the keyboard.
 * */
/* clang-format off */
static const struct limit_rule {
	const char *key;
	enum limit_unit unit;
	uint64_t least, most;
	bool may_be_none;
	size_t to, from; /* offsets in struct suite_limits, struct raw_limits */
} limit_rules[] = {
#define LIMIT(member) offsetof(struct suite_limits, member)
#define GIVEN(member) offsetof(struct raw_limits, member)
	{"time",       LIMIT_DURATION, 10,      30 * DAY,  true,  LIMIT(time_ms),    GIVEN(time)},
	{"cpu",        LIMIT_DURATION, 10,      300 * DAY, true,  LIMIT(cpu_ms),     GIVEN(cpu)},
	{"silence",    LIMIT_DURATION, 10,      30 * DAY,  true,  LIMIT(silence_ms), GIVEN(silence)},
	{"idle",       LIMIT_DURATION, 1000,    30 * DAY,  true,  LIMIT(idle_ms),    GIVEN(idle)},
	{"memory",     LIMIT_SIZE,     MIB,     64 * TIB,  true,  LIMIT(memory),     GIVEN(memory)},
	{"processes",  LIMIT_COUNT,    1,       4194304,   true,  LIMIT(processes),  GIVEN(processes)},
	{"disk",       LIMIT_SIZE,     4 * KIB, 1024 * TIB, true, LIMIT(disk),       GIVEN(disk)},
	{"inodes",     LIMIT_COUNT,    1,       1000000000, true, LIMIT(inodes),     GIVEN(inodes)},
	{"log",        LIMIT_SIZE,     4 * KIB, TIB,       false, LIMIT(log),        GIVEN(log)},
	{"open-files", LIMIT_COUNT,    8,       1073741816, true, LIMIT(open_files), GIVEN(open_files)},
	{"file-size",  LIMIT_SIZE,     4 * KIB, 1024 * TIB, true, LIMIT(file_size),  GIVEN(file_size)},
	{"cpu-quota",  LIMIT_COUNT,    1,       4096000,   true,  LIMIT(cpu_milli),  GIVEN(cpu_quota)},
	{"grace",      LIMIT_DURATION, 1,       3600000,   true,  LIMIT(grace_ms),   GIVEN(grace)},
	{"cpus",       LIMIT_COUNT,    1,       4096,      false, LIMIT(cpus),       GIVEN(cpus)},
};
/* clang-format on */

static int limit_parse(enum limit_unit unit, const char *text, uint64_t *value)
{
	switch (unit) {
	case LIMIT_DURATION:
		return unit_parse_duration(text, value);
	case LIMIT_SIZE:
		return unit_parse_size(text, value);
	case LIMIT_COUNT:
		return unit_parse_count(text, value);
	}
	return -1;
}

static const char *limit_text(enum limit_unit unit, uint64_t value, char *buf)
{
	if (unit == LIMIT_DURATION)
		return unit_duration(value, buf);
	if (unit == LIMIT_SIZE)
		return unit_size(value, buf);
	snprintf(buf, UNIT_TEXT, "%llu", (unsigned long long)value);
	return buf;
}

static int limit_read(const struct limit_rule *r, const struct doc_node *node, const char *text,
		      uint64_t *to, struct err *e)
{
	static const char *const hints[] = {
		[LIMIT_DURATION] = "a duration; write a number and ms, s, m, h or d, like 1h30m",
		[LIMIT_SIZE] = "a size; write a number and K, M, G or T, like 512M",
		[LIMIT_COUNT] = "a number; write digits only, like 512",
	};
	char least[UNIT_TEXT], most[UNIT_TEXT];
	const char *none = r->may_be_none ? ", or none" : "";
	uint64_t value;
	if (r->may_be_none && !strcmp(text, "none")) {
		*to = 0;
		return 0;
	}
	if (limit_parse(r->unit, text, &value))
		return doc_bad(e, node, "%s: '%.64s' is not %s%s", r->key, text, hints[r->unit],
			       none);
	if (value < r->least || value > r->most)
		return doc_bad(e, node, "%s: '%.64s' makes no sense; from %s to %s%s", r->key, text,
			       limit_text(r->unit, r->least, least),
			       limit_text(r->unit, r->most, most), none);
	*to = value;
	return 0;
}

int parts_limits(const struct raw_limits *raw, struct suite_limits *to, struct err *e)
{
	for (size_t i = 0; i < countof(limit_rules); i++) {
		const struct limit_rule *r = &limit_rules[i];
		const char *text = *(char *const *)((const char *)raw + r->from);
		if (text && limit_read(r, doc_get(raw->at, r->key), text,
				       (uint64_t *)((char *)to + r->to), e))
			return -1;
	}
	return 0;
}

void parts_limits_default(struct suite_limits *l)
{
	*l = (struct suite_limits){.time_ms = 3600000,
				   .processes = 4096,
				   .log = 16 * MIB,
				   .cpus = 1};
}

/* ---- layers ---- */

static void layer_note(struct suite *s, const struct doc_node *node)
{
	for (size_t i = 0; i < s->n_layer_refs; i++)
		if (!strcmp(s->layer_refs[i].name, node->text))
			return;
	s->layer_refs = own_grow(s->layer_refs, s->n_layer_refs + 1, sizeof(*s->layer_refs));
	s->layer_refs[s->n_layer_refs++] =
		(struct suite_layer_ref){own_dup(node->text), doc_where(node)};
}

char *parts_layer(struct suite *s, const struct doc_node *node, struct err *e)
{
	if (strchr(node->text, '/'))
		return word_host_dir(node, e);
	if (word_name(node, "layer", 64, e))
		return NULL;
	layer_note(s, node);
	return own_dup(node->text);
}

int parts_layers(struct suite *s, const struct doc_node *node, char ***layers, size_t *n,
		 struct err *e)
{
	for (size_t i = 0; node && i < node->n; i++) {
		const struct doc_node *entry = node->items[i].value;
		char *layer = parts_layer(s, entry, e);
		if (!layer)
			return -1;
		*layers = own_grow(*layers, *n + 1, sizeof(**layers));
		(*layers)[(*n)++] = layer;
	}
	return 0;
}
