/* Packages of a run for `assay import`: whatever they say, a run is taken in whole or not at all,
 * what it is made of reaches nothing of this machine that was not given, and nothing is left.
 *
 * The input is such an archive, or begins with "%%%% NAME\n": then it is what one holds, part by
 * part, each begun by such a line; and in assay.json "=NAME" is that part's digest, so that what is
 * changed need not fail by its digest. */
#include "fuzz.h"

#include "orchestrator/intake.h"

#define PART "%%%% "
#define PARTS_MAX 32
#define AGAIN 500 /* inputs, then the state directory is a new one */

struct part {
	char *name;
	const char *p;
	size_t n;
};

static struct state *state;
static char *state_path_is;
static unsigned inputs;

static void state_end(void)
{
	struct err e = ERR_INIT;
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	state_close(state);
	state = NULL;
	if (state_path_is)
		(void)!dir_remove(root, state_path_is + 1, &e);
}

static struct state *state_now(struct fuzz_place *p)
{
	struct err e = ERR_INIT;
	if (!state_path_is) {
		state_path_is = own_fmt("%s/job", p->path);
		atexit(state_end);
	}
	if (inputs++ % AGAIN == 0)
		state_end();
	if (!state)
		state = state_open(state_path_is, &e);
	MUST(state);
	return state;
}

/* ---- what the input is ---- */

static size_t parts_read(const uint8_t *data, size_t size, struct part parts[PARTS_MAX])
{
	static const char next[] = "\n" PART;
	const char *p = (const char *)data, *end = p + size;
	size_t n = 0;
	while (n < PARTS_MAX && end - p > (ptrdiff_t)strlen(PART)) {
		const char *name = p + strlen(PART);
		const char *line = memchr(name, '\n', (size_t)(end - name));
		if (!line)
			break;
		p = memmem(line, (size_t)(end - line), next, strlen(next));
		const char *to = p ? p : end;
		const char *from = line < to ? line + 1 : to;
		size_t named = strnlen(name, (size_t)(line - name));
		parts[n++] = (struct part){own_dup_n(name, named), from, (size_t)(to - from)};
		if (!p)
			break;
		p++;
	}
	return n;
}

/* The manifest with each "=NAME" as that part's digest. */
static void manifest_write(const struct part *m, const struct part *parts, size_t n,
			   struct text *out)
{
	for (const char *p = m->p, *end = p + m->n; p < end;) {
		size_t i = 0, left = (size_t)(end - p);
		char digest[CACHE_ID];
		for (; left > 2 && p[0] == '"' && p[1] == '=' && i < n; i++) {
			size_t k = strlen(parts[i].name);
			if (k && left > k + 2 && !memcmp(p + 2, parts[i].name, k) &&
			    p[k + 2] == '"')
				break;
		}
		if (left <= 2 || p[0] != '"' || p[1] != '=' || i == n) {
			text_addc(out, *p++);
			continue;
		}
		cache_digest(parts[i].p, parts[i].n, digest);
		text_addf(out, "\"%s\"", digest);
		p += strlen(parts[i].name) + 3;
	}
}

/* As a directory, which an import takes as well. */
static void parts_put(struct fuzz_place *p, const struct part *parts, size_t n)
{
	struct err e = ERR_INIT;
	MUST(!dir_remove(p->fd, "parts", &e));
	auto_fd int at = dir_make(p->fd, "parts", 0700, &e);
	MUST(at >= 0);
	for (size_t i = 0; i < n; i++) {
		auto_text struct text t = TEXT_INIT;
		char *name = parts[i].name, *slash = strrchr(name, '/');
		if (!*name || name[0] == '/' || strstr(name, "..") || strlen(name) > 200)
			continue;
		if (slash) {
			auto_free char *above = own_dup_n(name, (size_t)(slash - name));
			auto_fd int made = dir_make(at, above, 0700, &e);
			if (made < 0)
				continue;
		}
		if (strcmp(name, "assay.json"))
			text_put(&t, parts[i].p, parts[i].n);
		else
			manifest_write(&parts[i], parts, n, &t);
		(void)!dir_write_whole(at, name, text_str(&t), t.n, 0600, &e);
	}
}

/* ---- what may come of it ---- */

static size_t rows(struct state *st, const char *sql)
{
	struct err e = ERR_INIT;
	struct db_table *t = NULL;
	MUST(!db_query(st->db, sql, NULL, 0, &t, &e) && t->n_rows == 1);
	size_t n = (size_t)t->cells[0].i;
	db_table_free(t);
	return n;
}

/* No directory of this machine but the one that was given, no file but those it brought. */
static void reaches_nothing(const struct state *st, const struct intake *in)
{
	struct err e = ERR_INIT;
	struct suite *s = suite_load(in->suite, &e);
	auto_free char *ours = own_fmt("%s/imports/", st->path);
	MUST(s && !s->ecosystem && !s->n_inherit_env && s->n_packages == 1);
	MUST(s->root_is_host || s->root[0] != '/');
	for (size_t i = 0; i < s->n_mounts; i++)
		MUST(!s->mounts[i].source ||
		     (!strcmp(s->mounts[i].path, "/live") && !strcmp(s->mounts[i].source, "/usr")));
	for (size_t i = 0; i < s->n_layers; i++)
		MUST(s->layers[i][0] != '/');
	for (size_t i = 0; i < s->n_phases; i++)
		for (size_t k = 0; k < s->phases[i].n_layers; k++)
			MUST(s->phases[i].layers[k][0] != '/');
	for (size_t i = 0; i < s->n_variants; i++)
		for (size_t k = 0; k < s->variants[i].n_layers; k++)
			MUST(s->variants[i].layers[k][0] != '/');
	for (size_t i = 0; i < s->packages[0].n_files; i++)
		MUST(!strncmp(s->packages[0].files[i].path, ours, strlen(ours)) &&
		     !strstr(s->packages[0].files[i].path, ".."));
	suite_free(s);
}

static void may_be_refused(const struct err *e)
{
	MUST(e->kind == ERR_HOSTILE || e->kind == ERR_INPUT || e->kind == ERR_USAGE ||
	     e->kind == ERR_SYS || e->kind == ERR_LIMIT);
	MUST(e->text[0]);
	for (const char *c = e->text; *c; c++)
		MUST((unsigned char)*c >= ' ' && *c != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char runs[] = "SELECT count(*) FROM run",
			  open[] = "SELECT count(*) FROM run WHERE state <> 'done'",
			  layers[] = "SELECT count(*) FROM layer_name";
	struct fuzz_place *p = fuzz_place();
	struct state *st = state_now(p);
	struct part parts[PARTS_MAX];
	struct err e = ERR_INIT;
	struct how how = {0};
	struct intake in;
	bool whole = size < strlen(PART) || memcmp(data, PART, strlen(PART)) != 0;
	size_t n = whole ? 0 : parts_read(data, size, parts), had = rows(st, runs),
	       named = rows(st, layers), dirs = fuzz_names(st->fd, "imports");
	if (whole)
		fuzz_put(p, "archive", data, size);
	else
		parts_put(p, parts, n);
	auto_free char *path = own_fmt("%s/%s", p->path, whole ? "archive" : "parts");
	json_t *mounts = json_pack("{s:s}", "/live", "/usr");
	const struct intake_asked asked = {path, NULL, mounts, &how};
	how_fill(&how);
	bool taken = !intake(&in, st, &asked, &e);
	if (taken)
		reaches_nothing(st, &in);
	else
		may_be_refused(&e);
	MUST(rows(st, runs) == had + taken && !rows(st, open));
	MUST(taken || rows(st, layers) == named);
	MUST(!fuzz_names(st->fd, "tmp") && !fuzz_names(st->fd, "trash"));
	/* the same once more is the same */
	dirs = fuzz_names(st->fd, "imports") - dirs;
	MUST(!dirs || (taken && dirs == 1));
	intake_fini(&in);
	json_decref(mounts);
	for (size_t i = 0; i < n; i++)
		free(parts[i].name);
	fuzz_place_check(p);
	return 0;
}
