#include "orchestrator/suite_format.h"

#include <string.h>

/* Lists that a person writes and that are looked through from end to end. */
#define LIST_MAX 1000

#define MUST CYAML_FLAG_DEFAULT
#define MAY CYAML_FLAG_OPTIONAL
#define TEXT(key, flags, type, member)                                                             \
	CYAML_FIELD_STRING_PTR(key, (flags) | CYAML_FLAG_POINTER, struct type, member, 0,          \
			       CYAML_UNLIMITED)
#define TEXTS(key, flags, type, member)                                                            \
	CYAML_FIELD_SEQUENCE_COUNT(key, (flags) | CYAML_FLAG_POINTER, struct type, member,         \
				   n_##member, &one_text, 0, LIST_MAX)
#define LIST(key, flags, type, member, entry)                                                      \
	CYAML_FIELD_SEQUENCE_COUNT(key, (flags) | CYAML_FLAG_POINTER, struct type, member,         \
				   n_##member, &entry, 0, LIST_MAX)
#define ONE_OF(key, flags, type, member, words)                                                    \
	CYAML_FIELD_ENUM(key, (flags) | CYAML_FLAG_STRICT, struct type, member, words,             \
			 CYAML_ARRAY_LEN(words))
#define YES_NO(key, type, member) CYAML_FIELD_BOOL(key, MAY, struct type, member)

/* clang-format off */
static const cyaml_schema_value_t one_text = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t limits_fields[] = {
	TEXT("time",       MAY, raw_limits, time),
	TEXT("cpu",        MAY, raw_limits, cpu),
	TEXT("silence",    MAY, raw_limits, silence),
	TEXT("idle",       MAY, raw_limits, idle),
	TEXT("memory",     MAY, raw_limits, memory),
	TEXT("processes",  MAY, raw_limits, processes),
	TEXT("disk",       MAY, raw_limits, disk),
	TEXT("inodes",     MAY, raw_limits, inodes),
	TEXT("log",        MAY, raw_limits, log),
	TEXT("open-files", MAY, raw_limits, open_files),
	TEXT("file-size",  MAY, raw_limits, file_size),
	TEXT("cpu-quota",  MAY, raw_limits, cpu_quota),
	TEXT("grace",      MAY, raw_limits, grace),
	TEXT("cpus",       MAY, raw_limits, cpus),
	CYAML_FIELD_END,
};

static const cyaml_strval_t modes[] = {{"ro", SUITE_RO}, {"rw", SUITE_RW}, {"cow", SUITE_COW}};
static const cyaml_schema_field_t mount_fields[] = {
	TEXT("path",   MUST, raw_mount, path),
	TEXT("source", MAY,  raw_mount, source),
	ONE_OF("mode", MAY,  raw_mount, mode, modes),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t one_mount = {CYAML_VALUE_MAPPING(MUST, struct raw_mount, mount_fields)};

static const cyaml_strval_t deeds[] = {
	{"same", CACHE_SAME}, {"content-hash", CACHE_CONTENT_HASH}, {"keep", CACHE_KEEP}, {"newest", CACHE_NEWEST},
	{"union-lines", CACHE_UNION_LINES}, {"sum-counters", CACHE_SUM_COUNTERS}, {"drop", CACHE_DROP}, {"reject", CACHE_REJECT},
	{"program", CACHE_PROGRAM},
};
static const cyaml_schema_field_t rule_fields[] = {
	TEXT("match", MUST, raw_rule, match),
	ONE_OF("do",  MUST, raw_rule, what, deeds),
	TEXT("run",   MAY,  raw_rule, run),
	CYAML_FIELD_MAPPING("limits", MAY, struct raw_rule, limits, limits_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t one_rule = {CYAML_VALUE_MAPPING(MUST, struct raw_rule, rule_fields)};

static const cyaml_strval_t deletions[] = {
	{"ignore", CACHE_DELETIONS_IGNORE}, {"apply", CACHE_DELETIONS_APPLY}, {"reject", CACHE_DELETIONS_REJECT},
};
static const cyaml_schema_field_t store_fields[] = {
	TEXT("name",        MUST, raw_store, name),
	TEXT("path",        MAY,  raw_store, path),
	LIST("rules",       MAY,  raw_store, rules, one_rule),
	ONE_OF("deletions", MAY,  raw_store, deletions, deletions),
	CYAML_FIELD_UINT("trust", MAY, struct raw_store, trust),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t one_store = {CYAML_VALUE_MAPPING(MUST, struct raw_store, store_fields)};

static const cyaml_strval_t networks[] = {{"none", BOX_NET_NONE}, {"host", BOX_NET_HOST}, {"nat", BOX_NET_NAT}};
static const cyaml_strval_t once_per[] = {{"package", true}};
static const cyaml_schema_field_t phase_fields[] = {
	TEXT("name",              MUST, raw_phase, name),
	TEXT("run",               MAY,  raw_phase, run),
	ONE_OF("network",         MAY,  raw_phase, network, networks),
	YES_NO("offline-first",         raw_phase, offline_first),
	ONE_OF("once-per",        MAY,  raw_phase, once_per_package, once_per),
	YES_NO("goal",                  raw_phase, goal),
	TEXTS("harvest",          MAY,  raw_phase, harvest),
	TEXTS("layers",           MAY,  raw_phase, layers),
	TEXTS("allow",            MAY,  raw_phase, allow),
	CYAML_FIELD_IGNORE("env", MAY),
	CYAML_FIELD_MAPPING("limits", MAY, struct raw_phase, limits, limits_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t one_phase = {CYAML_VALUE_MAPPING(MUST, struct raw_phase, phase_fields)};

static const cyaml_schema_field_t log_rule_fields[] = {
	TEXT("id",     MAY,  raw_log_rule, id),
	TEXT("match",  MUST, raw_log_rule, match),
	TEXT("phase",  MAY,  raw_log_rule, phase),
	TEXT("reason", MUST, raw_log_rule, reason),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t one_log_rule = {
	CYAML_VALUE_MAPPING(MUST, struct raw_log_rule, log_rule_fields),
};

static const cyaml_schema_field_t variant_fields[] = {
	TEXT("name",              MUST, raw_variant, name),
	TEXTS("layers",           MAY,  raw_variant, layers),
	CYAML_FIELD_IGNORE("env", MAY),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t one_variant = {CYAML_VALUE_MAPPING(MUST, struct raw_variant, variant_fields)};

static const cyaml_strval_t expects[] = {{"fail", SUITE_EXPECT_FAIL}, {"flaky", SUITE_EXPECT_FLAKY}, {"skip", SUITE_EXPECT_SKIP}};
static const cyaml_schema_field_t known_fields[] = {
	TEXT("package",  MUST, raw_known, package),
	TEXT("variant",  MAY,  raw_known, variant),
	ONE_OF("expect", MUST, raw_known, expect, expects),
	TEXT("reason",   MUST, raw_known, reason),
	TEXT("link",     MAY,  raw_known, link),
	TEXT("until",    MAY,  raw_known, until),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t one_known = {CYAML_VALUE_MAPPING(MUST, struct raw_known, known_fields)};

/* What an ecosystem says and a suite may say too. */
#define SHARED_FIELDS \
	CYAML_FIELD_UINT("assay", MUST, struct raw_file, assay), \
	TEXT("root",              MAY, raw_file, root), \
	TEXT("home",              MAY, raw_file, home), \
	TEXT("workdir",           MAY, raw_file, workdir), \
	TEXTS("layers",           MAY, raw_file, layers), \
	TEXTS("inherit-env",      MAY, raw_file, inherit_env), \
	TEXTS("allow",            MAY, raw_file, allow), \
	CYAML_FIELD_IGNORE("env", MAY), \
	LIST("mounts",            MAY, raw_file, mounts, one_mount), \
	LIST("stores",            MAY, raw_file, stores, one_store), \
	CYAML_FIELD_MAPPING("limits", MAY, struct raw_file, limits, limits_fields), \
	LIST("phases",            MAY, raw_file, phases, one_phase), \
	LIST("log-rules",         MAY, raw_file, log_rules, one_log_rule)

static const cyaml_schema_field_t suite_fields[] = {
	TEXT("suite", MUST, raw_file, suite),
	TEXT("use",   MAY,  raw_file, use),
	SHARED_FIELDS,
	CYAML_FIELD_IGNORE("packages", MUST),
	LIST("variants", MUST, raw_file, variants, one_variant),
	TEXTS("compare", MAY,  raw_file, compare),
	LIST("known", MAY, raw_file, known, one_known),
	TEXT("keep-layers", MAY, raw_file, keep_layers),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t ecosystem_fields[] = {
	TEXT("ecosystem", MUST, raw_file, ecosystem),
	SHARED_FIELDS,
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t tops[] = {
	[FORMAT_SUITE]     = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_file, suite_fields)},
	[FORMAT_ECOSYSTEM] = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_file, ecosystem_fields)},
};

/* These are compared with trees, never loaded: the offsets mean nothing. */
#define KEY_TEXT(name, need) \
	{.key = name, .value = {.type = CYAML_STRING, .flags = (enum cyaml_flag)((need) | CYAML_FLAG_POINTER)}}
const cyaml_schema_field_t format_package[] = {
	KEY_TEXT("id", MAY),
	KEY_TEXT("name", MUST),
	KEY_TEXT("version", MAY),
	{.key = "weight", .value = {.type = CYAML_UINT, .flags = MAY, .data_size = sizeof(uint64_t)}},
	CYAML_FIELD_IGNORE("env", MAY),
	CYAML_FIELD_IGNORE("files", MAY),
	CYAML_FIELD_IGNORE("depends", MAY),
	CYAML_FIELD_END,
};
const cyaml_schema_field_t format_file[] = {KEY_TEXT("file", MUST), CYAML_FIELD_END};
const cyaml_schema_field_t format_command[] = {KEY_TEXT("command", MUST), KEY_TEXT("time", MAY), CYAML_FIELD_END};
/* clang-format on */

static void *format_memory(void *ctx, void *p, size_t size)
{
	(void)ctx;
	if (size)
		return own_grow(p, 1, size);
	free(p);
	return NULL;
}

/* Keeps the first thing libcyaml says. format_check has passed by then, so that this is not
 * expected to be heard. */
static void __attribute__((format(printf, 3, 0)))
format_log(cyaml_log_t level, void *ctx, const char *fmt, va_list ap)
{
	struct err *e = ctx;
	(void)level;
	if (!e->text[0])
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
}

/* Give every mapping of what was loaded its place: the struct, its table and its node say the same
 * thing. */
static void format_bind(const cyaml_schema_field_t *fields, const struct doc_node *node,
			void *mapping)
{
	*(const struct doc_node **)mapping = node;
	for (const cyaml_schema_field_t *f = fields; f->key; f++) {
		const struct doc_node *value = doc_get(node, f->key);
		if (!value)
			continue;
		void *member = (char *)mapping + f->data_offset;
		if (f->value.type == CYAML_MAPPING)
			format_bind(f->value.mapping.fields, value, member);
		if (f->value.type != CYAML_SEQUENCE ||
		    f->value.sequence.entry->type != CYAML_MAPPING)
			continue;
		const cyaml_schema_value_t *entry = f->value.sequence.entry;
		char *array = *(char **)member;
		for (size_t i = 0; i < value->n; i++)
			format_bind(entry->mapping.fields, value->items[i].value,
				    array + i * entry->data_size);
	}
}

static const char *const whats[] = {
	[FORMAT_SUITE] = "a suite", [FORMAT_ECOSYSTEM] = "an ecosystem"};

struct raw_file *format_load(const struct doc *d, enum format which, struct err *e)
{
	struct err heard = ERR_INIT;
	cyaml_data_t *data = NULL;
	const cyaml_config_t config = {.log_fn = format_log,
				       .log_ctx = &heard,
				       .mem_fn = format_memory,
				       .log_level = CYAML_LOG_ERROR};
	if (format_check(tops[which].mapping.fields, d->root, whats[which], e))
		return NULL;
	cyaml_err_t rc =
		cyaml_load_data((const uint8_t *)d->text, d->n, &config, &tops[which], &data, NULL);
	if (rc || !data) {
		heard.text[strcspn(heard.text, "\n")] = '\0';
		doc_bad(e, d->root, "%s (%s)", heard.text, cyaml_strerror(rc));
		return NULL;
	}
	format_bind(tops[which].mapping.fields, d->root, data);
	return data;
}

void format_free(struct raw_file *f, enum format which)
{
	const cyaml_config_t config = {.mem_fn = format_memory, .log_level = CYAML_LOG_ERROR};
	if (f)
		cyaml_free(&config, &tops[which], f, 0);
}
