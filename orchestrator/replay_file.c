/* Jobs of a simulation from a file of JSON lines. */
#include "orchestrator/replay.h"

#include "base/unit.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <uthash.h>

#define FILE_SECONDS 1e9

struct named {
	char *name;
	uint32_t package;
	UT_hash_handle hh;
};

/* A dependency is known when all lines were read. */
struct wish {
	uint32_t package;
	char *on;
	unsigned line;
};

struct reader {
	const char *path;
	unsigned line;
	struct sim *s;
	size_t room; /* of packages */
	struct named *names;
	struct wish *wishes;
	size_t n_wishes, wish_room;
};

static int bad(const struct reader *r, struct err *e, const char *why, const char *what)
{
	return err_set(e, ERR_INPUT, "%s:%u: %s%s", r->path, r->line, why, what);
}

/* A number of seconds as ms; absent: none. */
static int file_seconds(const struct reader *r, const json_t *j, const char *key, uint64_t none,
			uint64_t *ms, struct err *e)
{
	const json_t *v = json_object_get(j, key);
	double s = v ? json_number_value(v) : 0;
	*ms = none;
	if (!v)
		return 0;
	if (!json_is_number(v) || !(s >= 0 && s <= FILE_SECONDS))
		return bad(r, e, key, ": a number of seconds from 0 to 1e9");
	*ms = (uint64_t)llround(s * 1000);
	return 0;
}

static int file_memory(const struct reader *r, const json_t *j, uint64_t *bytes, struct err *e)
{
	const json_t *v = json_object_get(j, "memory");
	*bytes = 0;
	if (v && (!json_is_string(v) || unit_parse_size(json_string_value(v), bytes)))
		return bad(r, e, "memory", ": a size such as \"1.5G\"");
	return 0;
}

static int file_name(struct reader *r, const char *name, uint32_t package, struct err *e)
{
	struct named *x;
	HASH_FIND_STR(r->names, name, x);
	if (x)
		return bad(r, e, "this name is there twice: ", name);
	x = own_calloc(1, sizeof(*x));
	x->name = own_dup(name);
	x->package = package;
	HASH_ADD_KEYPTR(hh, r->names, x->name, strlen(x->name), x);
	return 0;
}

static int file_depends(struct reader *r, const json_t *list, uint32_t package, struct err *e)
{
	size_t i;
	const json_t *on;
	if (list && !json_is_array(list))
		return bad(r, e, "depends", ": a list of names");
	json_array_foreach(list, i, on)
	{
		if (!json_is_string(on))
			return bad(r, e, "depends", ": a list of names");
		if (r->n_wishes == r->wish_room) {
			r->wish_room = r->wish_room ? r->wish_room * 2 : 64;
			r->wishes = own_grow(r->wishes, r->wish_room, sizeof(*r->wishes));
		}
		r->wishes[r->n_wishes++] =
			(struct wish){package, own_dup(json_string_value(on)), r->line};
	}
	return 0;
}

static int file_known(struct reader *r, const json_t *j, struct err *e)
{
	static const char *const keys[] = {"name",   "seconds", "expect", "cpus",
					   "memory", "fetch",   "depends"};
	const char *key;
	const json_t *value;
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		size_t i = 0;
		while (i < countof(keys) && strcmp(key, keys[i]))
			i++;
		if (i == countof(keys))
			return bad(r, e, "unknown key: ", key);
	}
	return 0;
}

static void file_room(struct reader *r)
{
	struct sim *s = r->s;
	if (s->n_packages < r->room)
		return;
	r->room = r->room ? r->room * 2 : 256;
	s->units = own_grow(s->units, r->room, sizeof(*s->units));
	s->phases = own_grow(s->phases, 2 * r->room, sizeof(*s->phases));
}

static int file_job(struct reader *r, const json_t *j, struct err *e)
{
	struct sim *s = r->s;
	const char *name = json_string_value(json_object_get(j, "name"));
	const json_t *cpus = json_object_get(j, "cpus");
	uint64_t ms, expect, fetch, memory;
	if (!json_is_object(j) || !name || !*name || !json_object_get(j, "seconds"))
		return bad(r, e, "a job is an object with name and seconds at least", "");
	if (file_known(r, j, e) || file_seconds(r, j, "seconds", 0, &ms, e) ||
	    file_seconds(r, j, "expect", ms, &expect, e) ||
	    file_seconds(r, j, "fetch", 0, &fetch, e) || file_memory(r, j, &memory, e))
		return -1;
	if (cpus && (!json_is_integer(cpus) || json_integer_value(cpus) < 1 ||
		     json_integer_value(cpus) > 4096))
		return bad(r, e, "cpus", ": a number from 1 to 4096");
	uint32_t package = (uint32_t)s->n_packages;
	if (file_name(r, name, package, e) ||
	    file_depends(r, json_object_get(j, "depends"), package, e))
		return -1;
	file_room(r);
	struct sim_unit *u = &s->units[s->n_units++];
	*u = (struct sim_unit){package, RANK_NONE, (uint32_t)s->n_phases, 0};
	if (fetch)
		s->phases[u->first + u->n++] =
			(struct sim_phase){fetch, fetch, {{[SCHED_FETCH] = 1}}};
	s->phases[u->first + u->n++] =
		(struct sim_phase){ms,
				   expect,
				   {{[SCHED_CPU] = cpus ? (uint64_t)json_integer_value(cpus) : 1,
				     [SCHED_MEMORY] = memory}}};
	s->n_phases += u->n;
	s->n_packages++;
	return 0;
}

static int file_lines(struct reader *r, FILE *f, struct err *e)
{
	auto_free char *line = NULL;
	size_t size = 0;
	ssize_t n;
	while ((n = getline(&line, &size, f)) >= 0) {
		json_error_t je;
		r->line++;
		if (line[strspn(line, " \t\r\n")] == '\0')
			continue;
		json_t *j = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &je);
		if (!j)
			return bad(r, e, "this line is no JSON object: ", je.text);
		int rc = file_job(r, j, e);
		json_decref(j);
		if (rc)
			return -1;
	}
	if (ferror(f))
		return err_sys(e, "read %s", r->path);
	if (!r->s->n_packages)
		return err_set(e, ERR_INPUT, "%s: there are no jobs in it", r->path);
	return 0;
}

static int file_graph(struct reader *r, struct err *e)
{
	struct sim *s = r->s;
	if (!r->n_wishes)
		return 0;
	s->graph = graph_new(s->n_packages);
	for (size_t i = 0; i < r->n_wishes; i++) {
		const struct named *on;
		HASH_FIND_STR(r->names, r->wishes[i].on, on);
		r->line = r->wishes[i].line;
		if (!on)
			return bad(r, e, "depends: there is no job ", r->wishes[i].on);
		graph_edge(s->graph, r->wishes[i].package, on->package);
	}
	graph_close(s->graph);
	return 0;
}

int replay_file(const char *path, struct sim *s, struct err *e)
{
	struct reader r = {.path = path, .s = s};
	struct named *x, *next;
	*s = (struct sim){0};
	auto_file FILE *f = fopen(path, "re");
	int rc = f ? file_lines(&r, f, e) : err_sys(e, "open %s", path);
	if (!rc)
		rc = file_graph(&r, e);
	HASH_ITER (hh, r.names, x, next) {
		HASH_DEL(r.names, x);
		free(x->name);
		free(x);
	}
	for (size_t i = 0; i < r.n_wishes; i++)
		free(r.wishes[i].on);
	free(r.wishes);
	return rc;
}
