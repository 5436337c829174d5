#include "sandbox/subids.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define SUBIDS_LINE 512
#define SUBIDS_FIRST 100000u
#define SUBIDS_EXTENTS 96 /* of at most 33 bytes as the kernel gets them */

/* One number of a line, and what ends it. */
static bool number(char **at, char end, uint64_t *n)
{
	char *next;
	if (**at < '0' || **at > '9')
		return false;
	*n = strtoull(*at, &next, 10);
	if (*next != end)
		return false;
	*at = next + !!end;
	return true;
}

/* NAME:FIRST:COUNT. false: no such line. */
static bool line_read(char *line, char **name, struct subids_range *r)
{
	char *at = strchr(line, ':');
	uint64_t first, n;
	line[strcspn(line, "\r\n")] = 0;
	if (!at)
		return false;
	*at++ = 0;
	*name = line;
	if (!number(&at, ':', &first) || !number(&at, 0, &n) || !first || !n ||
	    first >= UINT32_MAX || n > UINT32_MAX - first)
		return false;
	*r = (struct subids_range){(uint32_t)first, (uint32_t)n};
	return true;
}

/* The next line that fits, cut off at its end; a longer one is passed over whole. */
static bool line_next(FILE *f, char line[SUBIDS_LINE])
{
	for (bool inside = false; fgets(line, SUBIDS_LINE, f);) {
		bool whole = strchr(line, '\n') || feof(f);
		if (whole && !inside)
			return true;
		inside = !whole;
	}
	return false;
}

static bool overlap(const struct subids_range *a, uint64_t first, uint64_t n)
{
	return a->first < first + n && first < (uint64_t)a->first + a->n;
}

static bool subids_fits(const struct subids *s, const struct subids_range *r, uint32_t own)
{
	if (overlap(r, own, 1))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (overlap(r, s->all[i].first, s->all[i].n))
			return false;
	return true;
}

static void subids_add(struct subids *s, const struct subids_range *r)
{
	s->all = own_grow(s->all, s->n + 1, sizeof(*s->all));
	s->all[s->n++] = *r;
}

int subids_read(const char *path, const char *name, uint32_t id, uint32_t own, struct subids *out,
		struct err *e)
{
	char line[SUBIDS_LINE], digits[16], *whose;
	struct subids_range r;
	*out = (struct subids){NULL, 0};
	auto_file FILE *f = fopen(path, "re");
	snprintf(digits, sizeof(digits), "%" PRIu32, id);
	while (f && line_next(f, line))
		if (line_read(line, &whose, &r) &&
		    ((name && !strcmp(whose, name)) || !strcmp(whose, digits)) &&
		    subids_fits(out, &r, own))
			subids_add(out, &r);
	return f && ferror(f) ? err_sys(e, "read %s", path) : 0;
}

void subids_fini(struct subids *s)
{
	free(s->all);
	*s = (struct subids){NULL, 0};
}

void subids_cut(struct subids *s, uint32_t n)
{
	struct subids whole = *s;
	*s = (struct subids){NULL, 0};
	for (size_t i = 0; i < whole.n; i++)
		for (uint32_t at = 0; whole.all[i].n - at >= n; at += n)
			subids_add(s, &(struct subids_range){whole.all[i].first + at, n});
	subids_fini(&whole);
}

void subids_map(const struct subids *s, uint32_t own, struct text *t)
{
	uint64_t inside = 1;
	text_addf(t, "0:%" PRIu32 ":1", own);
	for (size_t i = 0; i < s->n && i < SUBIDS_EXTENTS; i++) {
		if (inside + s->all[i].n > UINT32_MAX)
			break;
		text_addf(t, ",%" PRIu64 ":%" PRIu32 ":%" PRIu32, inside, s->all[i].first,
			  s->all[i].n);
		inside += s->all[i].n;
	}
}

uint32_t subids_unused(const char *path)
{
	char line[SUBIDS_LINE], *whose;
	struct subids_range r;
	uint32_t unused = SUBIDS_FIRST;
	auto_file FILE *f = fopen(path, "re");
	while (f && line_next(f, line))
		if (line_read(line, &whose, &r) && r.first + r.n > unused)
			unused = r.first + r.n;
	return unused;
}
