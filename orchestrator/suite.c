/* From a path to a suite: read, find its ecosystem, merge, read the packages, check. */
#include "orchestrator/suite_parts.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define FORMAT_VERSION 1

struct doc *draft_doc(struct draft *d, struct doc *doc)
{
	if (doc) {
		doc->next = d->docs;
		d->docs = doc;
	}
	return doc;
}

void draft_digest(struct text *digest, const char *what, const void *bytes, size_t n)
{
	char id[CACHE_ID];
	cache_digest(bytes, n, id);
	text_addf(digest, "%s %s\n", what, id);
}

static struct raw_file *load_file(struct draft *d, const char *path, enum format which,
				  struct text *digest, struct err *e)
{
	static const char *const names[] = {
		[FORMAT_SUITE] = "suite", [FORMAT_ECOSYSTEM] = "ecosystem"};
	struct doc *doc = draft_doc(d, doc_read(path, DOC_BYTES, e));
	if (!doc || doc_parse(doc, e))
		return NULL;
	/* first of all, for a file of another version may have anything else in it */
	const struct doc_node *version = doc_get(doc->root, "assay");
	if (version && version->kind == DOC_TEXT && strcmp(version->text, "1")) {
		doc_bad(e, version,
			"format version '%.32s' is not known; this assay reads version %d",
			version->text, FORMAT_VERSION);
		return NULL;
	}
	draft_digest(digest, names[which], doc->text, doc->n);
	return format_load(doc, which, e);
}

/* ---- where ecosystems are ---- */

/* path without its last component; false: it had one only. */
static bool path_up(char *path)
{
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	return slash != NULL;
}

/* What came with the program: deploy/ of the source tree, if it lies in a build directory of one
 * (build/NAME/assay-all), else share/assay beside its libexec/, wherever that was put
 * (libexec/assay/assay-all), or its bin/. */
static char *program_data(void)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	if (!path_up(exe))
		return NULL;
	auto_free char *mark = own_fmt("%s/CMakeCache.txt", exe);
	bool built = !access(mark, F_OK);
	const char *dir = strrchr(exe, '/');
	bool deep = built || (dir && !strcmp(dir, "/assay"));
	if (!path_up(exe) || (deep && !path_up(exe)))
		return NULL;
	return own_fmt("%s/%s/", exe, built ? "deploy" : "share/assay");
}

/* The directory above `dir`, which is empty or ends in '/': the shortest name that is right. */
static char *dir_above(const char *dir)
{
	struct stat st;
	size_t n = strlen(dir);
	auto_free char *bare = own_dup_n(dir, n ? n - 1 : 0);
	const char *slash = strrchr(bare, '/'), *last = slash ? slash + 1 : bare;
	if (!*last || !strcmp(last, ".") || !strcmp(last, "..") || lstat(bare, &st) ||
	    !S_ISDIR(st.st_mode))
		return own_fmt("%s../", dir);
	return own_dup_n(dir, (size_t)(last - bare));
}

static char *find_ecosystem(const struct doc_node *use, struct err *e)
{
	auto_text struct text tried = TEXT_INIT;
	const char *name = use->doc->name, *slash = strrchr(name, '/'),
		   *data = getenv("ASSAY_DATA");
	auto_free char *beside = own_dup_n(name, slash ? (size_t)(slash - name) + 1 : 0);
	auto_free char *above = dir_above(beside), *program = program_data();
	auto_free char *given = data && *data ? own_fmt("%s/", data) : NULL;
	const char *installed = ASSAY_DATADIR "/";
	const char *places[] = {beside, above, given, program,
				program && !strcmp(program, installed) ? NULL : installed};
	if (strchr(use->text, '/'))
		return doc_beside(use);
	if (word_name(use, "ecosystem", 64, e))
		return NULL;
	for (size_t i = 0; i < countof(places); i++) {
		if (!places[i])
			continue;
		auto_free char *path = own_fmt("%secosystems/%s.yaml", places[i], use->text);
		if (!access(path, F_OK))
			return give(path);
		text_addf(&tried, "%s%s", tried.n ? ", " : "", path);
	}
	doc_bad(e, use, "there is no ecosystem '%s'; looked for %s", use->text, text_str(&tried));
	return NULL;
}

static int load_ecosystem(struct draft *d, struct text *digest, struct err *e)
{
	const struct doc_node *use = doc_get(d->ours->at, "use");
	if (!use)
		return 0;
	auto_free char *path = find_ecosystem(use, e);
	if (!path)
		return -1;
	if (word_file(use, "ecosystem", path, e))
		return -1;
	d->base = load_file(d, path, FORMAT_ECOSYSTEM, digest, e);
	if (!d->base)
		return -1;
	const struct doc_node *name = doc_get(d->base->at, "ecosystem");
	if (word_name(name, "ecosystem", 64, e))
		return -1;
	if (!strchr(use->text, '/') && strcmp(use->text, name->text))
		return doc_bad(e, name,
			       "the file is called %s.yaml, and the ecosystem in it '%s'; give "
			       "both one name",
			       use->text, name->text);
	return 0;
}

static int load(struct draft *d, const char *path, struct err *e)
{
	auto_text struct text digest = TEXT_INIT;
	char id[CACHE_ID], real[PATH_MAX];
	d->ours = load_file(d, path, FORMAT_SUITE, &digest, e);
	if (!d->ours || load_ecosystem(d, &digest, e) || draft_merge(d, e) || draft_check(d, e) ||
	    packages_read(d, &digest, e))
		return -1;
	if (!realpath(path, real))
		return err_sys(e, "path of %s", path);
	cache_digest(text_str(&digest), digest.n, id);
	d->suite->path = own_dup(real);
	d->suite->sha256 = own_dup(id);
	return 0;
}

struct suite *suite_load(const char *path, struct err *e)
{
	struct draft d = {.suite = own_calloc(1, sizeof(*d.suite))};
	int rc = load(&d, path, e);
	format_free(d.ours, FORMAT_SUITE);
	format_free(d.base, FORMAT_ECOSYSTEM);
	free(d.mount_at);
	free(d.store_at);
	free(d.phase_at);
	for (struct doc *doc = d.docs, *next; doc; doc = next) {
		next = doc->next;
		doc_free(doc);
	}
	if (!rc)
		return d.suite;
	suite_free(d.suite);
	return NULL;
}
