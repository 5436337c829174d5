/* Suites out of texts, for the tests of suite and plan: a directory that goes away, and what is in
 * it. */
#pragma once
#include "base/dir.h"
#include "orchestrator/suite.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct desk {
	char path[64];
	int fd;
};

static inline int desk_open(void **state)
{
	struct desk *d = own_calloc(1, sizeof(*d));
	const char *tmp = getenv("TMPDIR");
	snprintf(d->path, sizeof(d->path), "%s/assay-suite-XXXXXX",
		 tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = d;
	unsetenv("ASSAY_DATA");
	return d->fd < 0 ? -1 : 0;
}

static inline int desk_close(void **state)
{
	struct desk *d = *state;
	struct err e;
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = dir_remove(root, d->path + 1, &e);
	close(d->fd);
	free(d);
	return rc;
}

static inline void desk_write_n(struct desk *d, const char *name, const char *text, size_t n)
{
	struct err e;
	auto_free char *dir = own_dup(name);
	char *slash = strrchr(dir, '/');
	if (slash) {
		*slash = '\0';
		auto_fd int made = dir_make(d->fd, dir, 0755, &e);
		assert_true(made >= 0);
	}
	if (dir_write_whole(d->fd, name, text, n, 0644, &e))
		fail_msg("%s", e.text);
}

static inline void desk_write(struct desk *d, const char *name, const char *text)
{
	desk_write_n(d, name, text, strlen(text));
}

/* The suite `name` of the desk, or NULL with e. */
static inline struct suite *desk_try(struct desk *d, const char *name, struct err *e)
{
	auto_free char *path = own_fmt("%s/%s", d->path, name);
	return suite_load(path, e);
}

/* A suite of this text, which must be right. */
static inline struct suite *desk_suite(struct desk *d, const char *text)
{
	struct err e = ERR_INIT;
	desk_write(d, "suite.yaml", text);
	struct suite *s = desk_try(d, "suite.yaml", &e);
	if (!s)
		fail_msg("%s", e.text);
	return s;
}

/* This text must be refused, at LINE:COLUMN of suite.yaml, in words that contain `words`. */
static inline void desk_refuses(struct desk *d, const char *text, const char *place,
				const char *words)
{
	struct err e = ERR_INIT;
	desk_write(d, "suite.yaml", text);
	struct suite *s = desk_try(d, "suite.yaml", &e);
	auto_free char *begin = own_fmt("%s/suite.yaml:%s: ", d->path, place);
	assert_null(s);
	assert_int_equal(e.kind, ERR_INPUT);
	if (strncmp(e.text, begin, strlen(begin)) || !strstr(e.text, words))
		fail_msg("expected %s%s, got %s", begin, words, e.text);
}

/* What most texts end with. */
#define SUITE_HEAD "assay: 1\nsuite: x\n"
#define SUITE_REST "packages: [a]\nvariants: [{name: v}]\nphases: [{name: t, run: \"true\"}]\n"
