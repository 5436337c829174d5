/* assay cache by its words, on a state directory with a store in it. For programs that look at what
 * it says. */
#pragma once
#include "store_place.h"

#include "cache/inner.h"
#include "orchestrator/commands.h"

#include <jansson.h>
#include <sys/mman.h>

/* assay cache WORDS --state …; its exit status, and in *out what it printed, the caller's to free.
 */
static inline int cache(struct place *p, char **out, const char *words)
{
	char *argv[16], *rest = NULL;
	int argc = 0;
	auto_free char *copy = own_dup(words), *state = own_fmt("--state=%s", p->path),
		       *name = own_dup("assay cache");
	argv[argc++] = name;
	for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		argv[argc++] = w;
	argv[argc++] = state;
	argv[argc] = NULL;
	bool was_open = p->state != NULL;
	place_close(p);
	fflush(stdout);
	auto_fd int there = dup(STDOUT_FILENO), file = memfd_create("out", MFD_CLOEXEC);
	assert_true(there >= 0 && file >= 0 && dup2(file, STDOUT_FILENO) >= 0);
	int status = cmd_cache(argc, argv);
	fflush(stdout);
	assert_true(dup2(there, STDOUT_FILENO) >= 0);
	struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	OK(dir_read_fd(file, 1 << 24, &t, &e));
	char *said = text_take(&t);
	if (out)
		*out = said;
	else
		free(said);
	if (was_open) {
		place_open(p);
		place_load(p);
	}
	return status;
}

static inline void expect_says(struct place *p, int status, const char *words,
			       const char *const *says)
{
	auto_free char *out = NULL;
	int is = cache(p, &out, words);
	if (is != status)
		fail_msg("%s: exit status %d, not %d: %s", words, is, status, out);
	for (; *says; says++)
		if (!strstr(out, *says))
			fail_msg("%s: '%s' is not in: %s", words, *says, out);
}
#define SAYS(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static inline json_t *cache_json(struct place *p, int status, const char *words)
{
	auto_free char *with = own_fmt("%s --json", words), *out = NULL;
	assert_int_equal(cache(p, &out, with), status);
	json_t *j = json_loads(out, 0, NULL);
	if (!j)
		fail_msg("%s: %s", words, out);
	return j;
}

static inline json_int_t json_int(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static inline void publish_few(struct place *p)
{
	place_publish_file(p, "a/one", "first", "run 1 alpha@1 fetch");
	place_publish_file(p, "a/two", "second", "run 1 beta@2 fetch");
	place_publish_file(p, "b/three", "third", "run 2 gamma@3 fetch");
}

/* Change what a layer's file holds, as nobody should. */
static inline void damage_layer(struct place *p, size_t layer, const char *path)
{
	auto_free char *rel = own_fmt("layers/%s/%s", p->shelf.layers[layer], path);
	assert_int_equal(unlinkat(p->state->fd, rel, 0), 0);
	auto_fd int fd = openat(p->state->fd, rel, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_int_equal(dir_write_all(fd, "changed", 7), 0);
}

/* After the database forgot what it knew of stores the archive says the same. */
static inline void expect_rebuilds(struct place *p)
{
	auto_free char *shown = place_shown(p),
		       *current =
			       place_ask(p, "SELECT path, sha256, job FROM v_entry WHERE current "
					    "AND type <> 'd' ORDER BY path");
	expect_says(p, EXIT_OK, "rebuild", (const char *const[]){NULL});
	auto_free char *again = place_shown(p),
		       *current_again = place_ask(p, "SELECT path, sha256, job FROM v_entry WHERE "
						     "current AND type <> 'd' ORDER BY path");
	assert_string_equal(again, shown);
	assert_string_equal(current_again, current);
	place_expect_sound(p);
	expect_says(p, EXIT_OK, "verify", SAYS("as they should be"));
}
