/* The words that describe a mount or a file of `assay sandbox`. */
#include "orchestrator/sandbox_options.h"

#include "base/text.h"
#include "base/unit.h"

#include <string.h>

#define WORD_FIELDS 3

/* The fields of a word, each of them unescaped; how many, or -1. */
static int word_split(const char *word, char *fields[WORD_FIELDS], struct err *e)
{
	struct text t[WORD_FIELDS] = {TEXT_INIT, TEXT_INIT, TEXT_INIT};
	size_t n = 0;
	for (const char *p = word; *p && n < WORD_FIELDS; p++) {
		if (*p == ':') {
			n++;
			continue;
		}
		if (*p == '\\' && (p[1] == ':' || p[1] == '\\'))
			p++;
		text_addc(&t[n], *p);
	}
	for (size_t i = 0; i < WORD_FIELDS; i++)
		fields[i] = text_take(&t[i]);
	if (n == WORD_FIELDS)
		return err_set(e, ERR_USAGE,
			       "%s: too many ':'; one that is part of a name is written \\:", word);
	return (int)n + 1;
}

static void word_free(char *fields[WORD_FIELDS])
{
	for (size_t i = 0; i < WORD_FIELDS; i++)
		free(fields[i]);
}

char *sandbox_word_path(const char *word, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	if (word[0] != '/') {
		err_set(e, ERR_USAGE, "%s: a path in the box begins with '/'",
			*word ? word : "(nothing)");
		return NULL;
	}
	for (const char *p = word; *p;) {
		while (*p == '/')
			p++;
		size_t n = strcspn(p, "/");
		if (n == 2 && !strncmp(p, "..", 2)) {
			err_set(e, ERR_USAGE, "%s: no '..' in a path in the box", word);
			return NULL;
		}
		if (n && !(n == 1 && *p == '.')) {
			text_addc(&t, '/');
			text_put(&t, p, n);
		}
		p += n;
	}
	if (!t.n)
		text_addc(&t, '/');
	return text_take(&t);
}

static int mount_set(struct sandbox_mount *m, const char *word, const char *source,
		     const char *path, enum box_mode mode, struct err *e)
{
	*m = (struct sandbox_mount){.mode = mode};
	if (!*source)
		return err_set(e, ERR_USAGE, "%s: which directory or file of this machine?", word);
	auto_free char *whole = path ? NULL : realpath(source, NULL);
	if (!path && !whole)
		return err_sys(e, "%s", source);
	m->path = sandbox_word_path(path ? path : whole, e);
	if (!m->path)
		return -1;
	m->source = own_dup(source);
	return 0;
}

int sandbox_word_mount(const char *word, enum box_mode mode, struct sandbox_mount *m, struct err *e)
{
	char *f[WORD_FIELDS];
	int n = word_split(word, f, e);
	int rc = n < 0 ? -1 : 0;
	if (n > 2)
		rc = err_set(e, ERR_USAGE,
			     "%s: SRC or SRC:DST; a ':' that is part of a name is written \\:",
			     word);
	if (!rc)
		rc = mount_set(m, word, f[0], n == 2 ? f[1] : NULL, mode, e);
	word_free(f);
	return rc;
}

int sandbox_word_map(const char *word, struct sandbox_mount *m, struct err *e)
{
	static const struct {
		const char *name;
		enum box_mode mode;
	} modes[] = {{"ro", BOX_RO}, {"rw", BOX_RW}, {"cow", BOX_COW}};
	char *f[WORD_FIELDS];
	int rc = word_split(word, f, e) < 0 ? -1 : 0;
	size_t i = 0;
	while (!rc && i < countof(modes) && strcmp(f[2], modes[i].name))
		i++;
	if (!rc && i == countof(modes))
		rc = err_set(e, ERR_USAGE, "%s: SRC:DST:ro, SRC:DST:rw or SRC:DST:cow", word);
	if (!rc)
		rc = mount_set(m, word, f[0], f[1], modes[i].mode, e);
	word_free(f);
	return rc;
}

int sandbox_word_tmpfs(const char *word, struct sandbox_mount *m, struct err *e)
{
	char *f[WORD_FIELDS];
	int n = word_split(word, f, e), rc = n < 0 ? -1 : 0;
	*m = (struct sandbox_mount){.mode = BOX_TMPFS};
	if (n > 2 || (n == 2 && (unit_parse_size(f[1], &m->size) || !m->size)))
		rc = err_set(e, ERR_USAGE, "%s: PATH or PATH:SIZE, as in /scratch:512M", word);
	if (!rc && !(m->path = sandbox_word_path(f[0], e)))
		rc = -1;
	word_free(f);
	return rc;
}

int sandbox_word_file(const char *word, struct sandbox_file *f, struct err *e)
{
	const char *equals = strchr(word, '=');
	*f = (struct sandbox_file){NULL, NULL};
	if (!equals || !equals[1])
		return err_set(e, ERR_USAGE,
			       "%s: DST=SRC, a path in the box and a file of this machine", word);
	auto_free char *path = own_dup_n(word, (size_t)(equals - word));
	f->source = equals + 1;
	f->path = sandbox_word_path(path, e);
	return f->path ? 0 : -1;
}
