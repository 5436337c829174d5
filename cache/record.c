/* Format, version 1: one JSON object, an entry a line, so that a person can read it too:
 *   {"assay":1,"store":…,"job":…,"layer":"<id>","rules":[["<glob>","<rule>"],…],"entries":[
 *   {"change":"added","type":"f","mode":"0644","mtime":"<sec>.<nsec>","size":5,"sha256":…,"path":…},
 *   …
 *   ]}
 * "target" and "reason" where there is one, "sha256" where there is content. Text that is not UTF-8
 * is given in hex under the same key with "-hex" behind it. Entries are all that struct
 * cache_published has, also those that published nothing. */
#include "cache/record.h"

#include <jansson.h>
#include <string.h>

static void record_text(json_t *o, const char *key, const char *value)
{
	json_t *s = json_string(value ? value : "");
	if (s) {
		json_object_set_new(o, key, s);
		return;
	}
	auto_text struct text hex = TEXT_INIT;
	auto_free char *hex_key = own_fmt("%s-hex", key);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		text_addf(&hex, "%02x", *p);
	json_object_set_new(o, hex_key, json_string(text_str(&hex)));
}

static void record_put(struct text *t, json_t *o)
{
	char *dump = json_dumps(o, JSON_COMPACT);
	if (!dump)
		abort();
	text_add(t, dump);
	free(dump);
	json_decref(o);
}

static void record_entry(struct text *t, const struct cache_entry *x)
{
	char mode[8], mtime[48], type[2] = {x->type, '\0'};
	json_t *o = json_object();
	snprintf(mode, sizeof(mode), "%04o", x->mode & 07777);
	snprintf(mtime, sizeof(mtime), "%lld.%09u", (long long)x->mtime_s, x->mtime_ns);
	record_text(o, "change", cache_change_name(x->change));
	record_text(o, "type", type);
	record_text(o, "mode", mode);
	record_text(o, "mtime", mtime);
	json_object_set_new(o, "size", json_integer((json_int_t)x->size));
	if (x->sha256[0])
		record_text(o, "sha256", x->sha256);
	record_text(o, "path", x->path);
	if (x->target)
		record_text(o, "target", x->target);
	if (x->reason)
		record_text(o, "reason", x->reason);
	record_put(t, o);
}

void record_write(struct text *t, const struct cache_harvest *how, const struct cache_published *p)
{
	json_t *o = json_object(), *rules = json_array();
	json_object_set_new(o, "assay", json_integer(1));
	record_text(o, "store", how->store);
	record_text(o, "job", how->job);
	record_text(o, "layer", p->layer.id);
	for (size_t i = 0; i < how->n_rules; i++)
		json_array_append_new(rules, json_pack("[s,s]", how->rules[i].match,
						       cache_do_name(how->rules[i].what)));
	json_object_set_new(o, "rules", rules);
	record_put(t, o);
	t->n--; /* the closing brace: the entries follow, one a line */
	text_add(t, ",\"entries\":[\n");
	for (size_t i = 0; i < p->n_entries; i++) {
		record_entry(t, &p->entries[i]);
		text_add(t, i + 1 < p->n_entries ? ",\n" : "\n");
	}
	text_add(t, "]}\n");
}
