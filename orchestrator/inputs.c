#include "orchestrator/inputs.h"

#include "base/dir.h"
#include "base/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#define INPUTS_FILE_MAX ((size_t)16 << 20)

/* "label DIGEST" of what was gathered, which is then empty again. */
static void inputs_line(struct text *out, const char *label, struct text *of)
{
	char digest[CACHE_ID];
	cache_digest(text_str(of), of->n, digest);
	text_addf(out, "%s %.16s\n", label, digest);
	of->n = 0;
}

/* Words that can't run into one another: each with its length before it. */
static void word(struct text *t, const char *s)
{
	if (s)
		text_addf(t, "%zu:%s", strlen(s), s);
	else
		text_addc(t, '-');
}

static void number(struct text *t, uint64_t n)
{
	text_addf(t, "%llu,", (unsigned long long)n);
}

static void environment(struct text *t, const struct suite_env *env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		word(t, env[i].name);
		word(t, env[i].value);
	}
}

/* A layer by its content; a directory of this machine can change, and nobody would know. */
static int layer(struct text *t, const char *name, struct inputs *in, struct db *d, struct err *e)
{
	struct db_layer l = {0};
	if (name[0] == '/') {
		if (!in->unknown)
			in->unknown = own_fmt("layer %s is a directory, which may change", name);
		return 0;
	}
	int found = db_layer_find(d, name, &l, e);
	if (found > 0) {
		word(t, l.id);
		db_layer_fini(&l);
	}
	return found < 0 ? -1 : 0;
}

static int layers(struct text *t, char *const *names, size_t n, struct inputs *in, struct db *d,
		  struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (layer(t, names[i], in, d, e))
			return -1;
	return 0;
}

/* This machine's /usr, as far as its package database tells of it. */
static void host(struct text *t)
{
	static const char *const files[] = {"/etc/os-release", "/var/lib/dpkg/status",
					    "/usr/lib/os-release"};
	struct utsname u;
	if (!uname(&u)) {
		word(t, u.machine);
		word(t, u.release);
	}
	for (size_t i = 0; i < countof(files); i++) {
		struct stat st;
		if (stat(files[i], &st))
			continue;
		number(t, (uint64_t)st.st_size);
		number(t, (uint64_t)st.st_mtim.tv_sec);
		number(t, (uint64_t)st.st_mtim.tv_nsec);
	}
}

static void limits(struct text *t, const struct suite_limits *l)
{
	const uint64_t all[] = {l->time_ms, l->cpu_ms,     l->silence_ms, l->idle_ms,
				l->memory,  l->processes,  l->disk,       l->inodes,
				l->log,     l->open_files, l->file_size,  l->cpu_milli,
				l->cpus,    l->grace_ms};
	for (size_t i = 0; i < countof(all); i++)
		number(t, all[i]);
}

static int phase(struct text *out, const struct suite_phase *p, struct inputs *in, struct db *d,
		 struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	auto_free char *label = own_fmt("phase:%s", p->name);
	word(&t, p->run);
	number(&t, p->network);
	number(&t, p->loosen);
	number(&t, p->offline_first);
	number(&t, p->once_per_package);
	number(&t, p->goal);
	for (size_t i = 0; i < p->n_harvest; i++)
		number(&t, p->harvest[i]);
	environment(&t, p->env, p->n_env);
	limits(&t, &p->limits);
	if (layers(&t, p->layers, p->n_layers, in, d, e))
		return -1;
	inputs_line(out, label, &t);
	return 0;
}

static void mounts(struct text *t, const struct suite *s, struct inputs *in)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct suite_mount *m = &s->mounts[i];
		word(t, m->path);
		word(t, m->source);
		number(t, m->mode);
		if (m->source && !in->unknown)
			in->unknown =
				own_fmt("mount %s shows %s, which may change", m->path, m->source);
	}
	for (size_t i = 0; i < s->n_stores; i++) {
		word(t, s->stores[i].name);
		word(t, s->stores[i].path);
		/* keys of before there were any stay what they are */
		if (s->stores[i].deletions != CACHE_DELETIONS_IGNORE)
			number(t, s->stores[i].deletions);
		if (s->stores[i].trust > 1) {
			word(t, "trust");
			number(t, s->stores[i].trust);
		}
		for (size_t k = 0; k < s->stores[i].n_rules; k++) {
			word(t, s->stores[i].rules[k].match);
			number(t, s->stores[i].rules[k].what);
			if (s->stores[i].rules[k].what == CACHE_PROGRAM) {
				word(t, s->stores[i].programs[k].run);
				limits(t, &s->stores[i].programs[k].limits);
			}
		}
	}
}

static int suite(struct text *out, const struct suite *s, const struct how *h, struct inputs *in,
		 struct db *d, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	word(&t, ASSAY_VERSION);
	number(&t, h->ids.ids);
	number(&t, !geteuid());
	number(&t, h->best_effort);
	inputs_line(out, "box", &t);
	word(&t, s->root);
	if (s->root_is_host)
		host(&t);
	else if (layer(&t, s->root, in, d, e))
		return -1;
	inputs_line(out, "root", &t);
	if (layers(&t, s->layers, s->n_layers, in, d, e))
		return -1;
	inputs_line(out, "layers", &t);
	word(&t, s->home);
	word(&t, s->workdir);
	environment(&t, s->env, s->n_env);
	for (size_t i = 0; i < s->n_inherit_env; i++) {
		word(&t, s->inherit_env[i]);
		word(&t, getenv(s->inherit_env[i]));
	}
	inputs_line(out, "environment", &t);
	mounts(&t, s, in);
	inputs_line(out, "mounts", &t);
	for (size_t i = 0; i < s->n_log_rules; i++) {
		const struct suite_log_rule *r = &s->log_rules[i];
		word(&t, r->match);
		word(&t, r->phase);
		word(&t, r->status);
		word(&t, r->reason);
	}
	inputs_line(out, "log-rules", &t);
	for (size_t i = 0; i < s->n_phases; i++)
		if (phase(out, &s->phases[i], in, d, e))
			return -1;
	return 0;
}

static int variant(struct text *out, const struct suite_variant *v, struct inputs *in, struct db *d,
		   struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	word(&t, v->name);
	inputs_line(out, "variant", &t);
	if (layers(&t, v->layers, v->n_layers, in, d, e))
		return -1;
	inputs_line(out, "variant-layers", &t);
	environment(&t, v->env, v->n_env);
	inputs_line(out, "variant-environment", &t);
	return 0;
}

int inputs_load(struct inputs *in, const struct suite *s, const struct how *h, struct db *d,
		struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	*in = (struct inputs){.variants = own_calloc(s->n_variants + 1, sizeof(*in->variants))};
	int rc = suite(&t, s, h, in, d, e);
	in->suite = text_take(&t);
	for (size_t i = 0; !rc && i < s->n_variants; i++) {
		auto_text struct text v = TEXT_INIT;
		rc = variant(&v, &s->variants[i], in, d, e);
		in->variants[i] = text_take(&v);
	}
	if (rc)
		inputs_fini(in);
	return rc;
}

void inputs_fini(struct inputs *in)
{
	for (char **v = in->variants; v && *v; v++)
		free(*v);
	free(in->variants);
	free(in->suite);
	free(in->unknown);
	*in = (struct inputs){0};
}

static int file(struct text *t, const struct suite_package *p, const struct suite_file *f,
		struct err *e)
{
	char digest[CACHE_ID];
	auto_text struct text bytes = TEXT_INIT;
	auto_fd int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "%s: file of package %s: open %s", p->where, p->id, f->path);
	if (dir_read_fd(fd, INPUTS_FILE_MAX, &bytes, e))
		return err_add(e, "%s: file of package %s: %s", p->where, p->id, f->path);
	cache_digest(text_str(&bytes), bytes.n, digest);
	word(t, f->name);
	word(t, digest);
	return 0;
}

char *inputs_package(const struct suite *s, size_t package, struct err *e)
{
	const struct suite_package *p = &s->packages[package];
	auto_text struct text out = TEXT_INIT, t = TEXT_INIT;
	word(&t, p->id);
	word(&t, p->name);
	word(&t, p->version);
	inputs_line(&out, "package", &t);
	if (p->n_env) {
		environment(&t, p->env, p->n_env);
		inputs_line(&out, "package-environment", &t);
	}
	for (size_t i = 0; i < p->n_files; i++)
		if (file(&t, p, &p->files[i], e))
			return NULL;
	if (p->n_files)
		inputs_line(&out, "files", &t);
	return text_take(&out);
}

void inputs_key(const struct inputs *in, size_t variant_, const char *package, char key[CACHE_ID])
{
	auto_text struct text t = TEXT_INIT;
	text_add(&t, "assay-inputs 1\n");
	text_add(&t, in->suite);
	text_add(&t, in->variants[variant_]);
	text_add(&t, package);
	cache_digest(t.p, t.n, key);
}

/* Which of the suite's lines a phase can see. */
static bool seen(const struct suite *s, size_t last, const char *line)
{
	static const char rules[] = "log-rules ", phases[] = "phase:";
	if (!strncmp(line, rules, strlen(rules)))
		return false;
	if (strncmp(line, phases, strlen(phases)))
		return true;
	line += strlen(phases);
	for (size_t i = 0; i <= last; i++) {
		size_t n = strlen(s->phases[i].name);
		if (!strncmp(line, s->phases[i].name, n) && line[n] == ' ')
			return true;
	}
	return false;
}

void inputs_phase_key(const struct inputs *in, const struct suite *s, const struct plan_unit *unit,
		      size_t phase_, const char *package, char key[CACHE_ID])
{
	auto_text struct text t = TEXT_INIT;
	text_addf(&t, "assay-phase 1 %s\n", s->phases[phase_].name);
	for (const char *p = in->suite; *p;) {
		size_t n = strcspn(p, "\n");
		n += p[n] == '\n';
		if (seen(s, phase_, p))
			text_put(&t, p, n);
		p += n;
	}
	text_add(&t, unit->variant == PLAN_NONE ? "shared\n" : in->variants[unit->variant]);
	text_add(&t, package);
	cache_digest(t.p, t.n, key);
}
