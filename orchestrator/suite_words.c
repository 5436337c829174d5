#include "orchestrator/suite_parts.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static const char word_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

int word_name(const struct doc_node *n, const char *what, size_t max, struct err *e)
{
	size_t length = strlen(n->text);
	if (length && length <= max && strspn(n->text, word_letters) == length &&
	    n->text[0] != '.' && n->text[0] != '-')
		return 0;
	return doc_bad(e, n,
		       "%s '%.80s': use letters, digits, '.', '_' and '-', beginning with a "
		       "letter, digit or '_', "
		       "at most %zu",
		       what, n->text, max);
}

static bool word_has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 32 || *s == 127)
			return true;
	return false;
}

int word_line(const struct doc_node *n, const char *what, size_t max, struct err *e)
{
	if (!*n->text)
		return doc_bad(e, n, "%s is empty", what);
	if (word_has_control(n->text))
		return doc_bad(e, n, "%s '%.80s' has a control character in it", what, n->text);
	if (strlen(n->text) > max)
		return doc_bad(e, n, "%s '%.40s…' is longer than %zu bytes", what, n->text, max);
	return 0;
}

/* No empty, "." or ".." component in what follows the first '/', or from the beginning. */
static bool word_normal(const char *p)
{
	while (true) {
		size_t n = strcspn(p, "/");
		if (!n || n > NAME_MAX || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

int word_path(const struct doc_node *n, const char *what, struct err *e)
{
	if (word_line(n, what, PATH_MAX - 1, e))
		return -1;
	if (n->text[0] != '/')
		return doc_bad(e, n, "%s '%s' must be absolute: it begins with '/'", what, n->text);
	if (n->text[1] && !word_normal(n->text + 1))
		return doc_bad(
			e, n, "%s '%s' must be written without '.', '..', '//' or a '/' at its end",
			what, n->text);
	return 0;
}

int word_relative(const struct doc_node *n, const char *what, struct err *e)
{
	if (word_line(n, what, PATH_MAX - 1, e))
		return -1;
	if (n->text[0] == '/' || !word_normal(n->text))
		return doc_bad(
			e, n,
			"%s '%s' must be relative, without '.', '..', '//' or a '/' at its end",
			what, n->text);
	return 0;
}

int word_glob(const struct doc_node *n, struct err *e)
{
	if (word_line(n, "match", PATH_MAX - 1, e))
		return -1;
	if (n->text[0] == '/' || !word_normal(n->text))
		return doc_bad(e, n,
			       "match '%s' must be a pattern of paths below the store: relative, "
			       "without '.', '..' or '//'",
			       n->text);
	for (const char *p = n->text; (p = strchr(p, '[')); p++) {
		/* "[]a]" has ']' as its first member */
		const char *end = strchr(p + 1 + (p[1] == ']'), ']');
		if (!end)
			return doc_bad(e, n, "match '%s': '[' without ']'", n->text);
		p = end;
	}
	return 0;
}

int word_env_name(const struct doc_node *n, struct err *e)
{
	static const char *const ours[] = {"ASSAY",         "ASSAY_ID",      "ASSAY_PACKAGE",
					   "ASSAY_VERSION", "ASSAY_VARIANT", "ASSAY_PHASE",
					   "ASSAY_OFFLINE"};
	const char *s = n->text;
	size_t length = strlen(s);
	/* the letters of a name, '.' and '-' taken out: POSIX wants no more, and shells cannot read
	 * others */
	if (!length || length > 255 || strspn(s, word_letters) != length || strpbrk(s, ".-") ||
	    (*s >= '0' && *s <= '9'))
		return doc_bad(
			e, n,
			"'%.80s' is no name of an environment variable: letters, digits and '_'",
			s);
	for (size_t i = 0; i < countof(ours); i++)
		if (!strcmp(s, ours[i]))
			return doc_bad(e, n, "%s is set by assay itself; take another name", s);
	return 0;
}

int word_lookup(const struct doc_node *n, const char *what, const void *list, size_t count,
		size_t size, size_t *index, struct err *e)
{
	auto_text struct text known = TEXT_INIT;
	for (size_t i = 0; i < count; i++) {
		const char *name = *(char *const *)((const char *)list + i * size);
		*index = i;
		if (!strcmp(name, n->text))
			return 0;
		text_addf(&known, "%s%s", i ? ", " : "; there is ", name);
	}
	return doc_bad(e, n, "there is no %s '%.64s'%.400s", what, n->text, text_str(&known));
}

int word_file(const struct doc_node *n, const char *what, const char *path, struct err *e)
{
	struct stat st;
	if (stat(path, &st) || access(path, R_OK))
		return doc_bad(e, n, "%s %s: %m", what, path);
	if (!S_ISREG(st.st_mode))
		return doc_bad(e, n, "%s %s is no regular file", what, path);
	return 0;
}

bool word_inside(const char *path, const char *in)
{
	size_t n = strlen(in);
	return !strncmp(path, in, n) && (!path[n] || path[n] == '/');
}

/* Where n's text leads, all links followed; malloc'ed, or NULL. */
static char *host_path(const struct doc_node *n, const char *what, struct stat *st, struct err *e)
{
	char real[PATH_MAX];
	if (word_line(n, what, PATH_MAX - 1, e))
		return NULL;
	auto_free char *path =
		n->text[0] == '/' ? own_dup(n->text) : own_fmt("%s/%s", n->doc->dir, n->text);
	if (!realpath(path, real) || stat(real, st)) {
		doc_bad(e, n, "%s %s: %m", what, path);
		return NULL;
	}
	return own_dup(real);
}

char *word_host_dir(const struct doc_node *n, struct err *e)
{
	struct stat st;
	auto_free char *path = host_path(n, "directory", &st, e);
	if (path && !S_ISDIR(st.st_mode)) {
		doc_bad(e, n, "%s is no directory", path);
		return NULL;
	}
	return give(path);
}

char *word_host_path(const struct doc_node *n, uint64_t *bytes, struct err *e)
{
	struct stat st;
	auto_free char *path = host_path(n, "source", &st, e);
	if (path && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
		doc_bad(e, n, "%s is neither a directory nor a regular file", path);
		return NULL;
	}
	*bytes = path && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
	return give(path);
}
