/* What is tried by making a box. */
#include "sandbox/doctor.h"

#include "sandbox/ranges.h"

#include <fcntl.h>
#include <string.h>

#define DOCTOR_MS 60000

struct trial {
	struct sandbox *sandbox;
	struct box_facts facts;
};

static void on_closed(void *owner)
{
	(void)owner;
}

static void on_end(void *owner, const struct box_facts *facts)
{
	struct trial *t = owner;
	t->facts = *facts;
	t->facts.profile = t->facts.processes = "";
	sandbox_close(t->sandbox, on_closed, NULL);
}

/* A root with an upper, as jobs have it: l, u and w in a directory of the doctor's. */
static int trial_dirs(struct doctor *d, struct box_mount *root, int fds[3], struct err *e)
{
	static const char *const names[] = {"l", "u", "w"};
	auto_free char *place = doctor_place(d, e);
	for (size_t i = 0; i < 3; i++) {
		auto_free char *path = place ? own_fmt("%s/%s", place, names[i]) : NULL;
		if (!path)
			return -1;
		if (mkdir(path, 0755))
			return err_sys(e, "mkdir %s", path);
		fds[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fds[i] < 0)
			return err_sys(e, "open %s", path);
	}
	root->upper_fd = fds[1];
	root->work_fd = fds[2];
	return 0;
}

static int trial_run(const struct sandbox_conf *conf, const struct box_spec *spec, struct trial *t,
		     struct err *e)
{
	static const struct box_events events = {.on_end = on_end};
	uv_loop_t loop;
	int rc = uv_loop_init(&loop);
	if (rc)
		return err_set(e, ERR_SYS, "a loop: %s", uv_strerror(rc));
	t->sandbox = sandbox_open(&loop, conf, e);
	rc = t->sandbox ? 0 : -1;
	if (!rc && !box_start(t->sandbox, spec, &events, t, e)) {
		rc = -1;
		sandbox_close(t->sandbox, on_closed, NULL);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	if (!rc && t->facts.end == BOX_FAILED)
		rc = err_set(e, ERR_BOX, "%s", t->facts.error);
	return rc;
}

int doctor_box(struct doctor *d, const struct doctor_box *how, struct box_facts *facts,
	       struct err *e)
{
	struct sandbox_conf conf = {.executor = how->executor,
				    .ids = how->ids,
				    .best_effort = true,
				    .helper = d->conf->helper,
				    .slots = 1,
				    .name = "assay-doctor",
				    .no_probe = !how->probe};
	char *argv[] = {(char[]){"true"}, NULL}, *env[] = {NULL};
	char *shell[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char *)(uintptr_t)how->script, NULL};
	int fds[3] = {-1, -1, -1};
	struct box_mount root = {
		.path = "/", .mode = BOX_COW, .lowers = fds, .n_lowers = 1, .ours = true};
	struct box_spec spec = {
		.name = "doctor",
		.root_host = true,
		.mounts = &root,
		.n_mounts = how->on_disk,
		.argv = how->script ? shell : argv,
		.env = env,
		.cwd = "/",
		.hostname = "doctor",
		.net = how->net,
		.loosen = how->loosen,
		.limits = {.wall_ms = DOCTOR_MS, .memory = 256 << 20, .processes = 64},
	};
	struct trial t = {.facts = {.exit_code = -1}};
	int rc = how->on_disk ? trial_dirs(d, &root, fds, e) : 0;
	if (!rc)
		rc = trial_run(&conf, &spec, &t, e);
	if (!rc && how->script && t.facts.exit_code)
		rc = err_set(e, ERR_BOX, "a box was made, and did not have it");
	if (facts)
		*facts = t.facts;
	for (size_t i = 0; i < 3; i++)
		own_close(&fds[i]);
	return rc;
}

void doctor_native(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	struct box_facts f;
	const struct doctor_box how = {.ids = BOX_IDS_AUTO};
	const char *hint;
	if (!doctor_box(d, &how, &f, &e)) {
		ability_yes(a, "made, in %.1f ms; ids: %s; control groups: %s",
			    (double)f.setup_ns / 1e6, f.ids ? f.ids : "one", f.cgroup);
		return;
	}
	ability_no(a, "%.200s", e.text);
	ability_follows(a, "nothing can be run");
	hint = probe_hint_found();
	ability_get(a, "%s", hint ? hint : "see what else is missing below");
}

void doctor_ids(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	struct box_facts f;
	const struct doctor_box how = {.ids = BOX_IDS_RANGE};
	if (!doctor_box(d, &how, &f, &e) && f.ids && box_ids_of(f.ids) == BOX_IDS_RANGE) {
		ability_yes(a, "%s",
			    geteuid() ? "0 to 65535, by newuidmap(1) and /etc/subuid"
				      : "0 to 65535, ids that own nothing here");
		ability_follows(a, "programs in a box may change users, as apt-get and su do%s",
				geteuid() ? " (--ids range)" : "");
		return;
	}
	ability_no(a, "%.120s", e.kind ? e.text : "the box had one id");
	ability_follows(a, "a box has one id: programs that change users (apt-get, su) fail in it");
	const char *colon = strstr(e.text, "as root, ");
	ability_get(a, "%s",
		    colon ? colon : "install uidmap, and give this user a line in /etc/subuid");
}

void doctor_nat(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	/* another interface than the loopback's */
	const struct doctor_box how = {
		.net = BOX_NET_NAT,
		.script = "while read -r name rest; do case $name in *'|'*|lo:*) ;; "
			  "*:*) exit 0 ;; esac; done </proc/net/dev; exit 1"};
	if (!doctor_box(d, &how, NULL, &e)) {
		ability_yes(a, "a box has its own network and a way out of it");
		return;
	}
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "a box has no network (none), or all of this machine's (host)");
	ability_get(a, "%s",
		    strstr(e.text, "/dev/net/tun")
			    ? "let this user open /dev/net/tun (chmod 666), or run as root"
		    : strstr(e.text, "nf_tables") ? "a kernel with CONFIG_NF_TABLES"
						  : "install passt");
}

void doctor_executor(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	struct box_facts f;
	const struct doctor_box how = {.executor = strrchr(a->name, ' ') + 1, .probe = true};
	if (!doctor_box(d, &how, &f, &e)) {
		ability_yes(a, "a box was made by it, in %.0f ms", (double)f.setup_ns / 1e6);
		return;
	}
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "--executor %s is refused; boxes are made by assay itself (native)",
			how.executor);
	if (strstr(e.text, "not installed"))
		ability_get(a, "install %s",
			    strcmp(how.executor, "docker") ? how.executor : "docker.io");
}

void doctor_loosening(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	const char *name = strrchr(a->name, ' ') + 1;
	const struct doctor_box how = {.loosen = box_loosen_of(name)};
	if (!box_loosen_check(how.loosen, &e) && !doctor_box(d, &how, NULL, &e)) {
		ability_yes(a, "can be given to a box");
		return;
	}
	/* "WORDS: what helps" */
	const char *colon = strstr(e.text, ": sysctl ");
	bool device = strstr(e.text, "open /dev/");
	ability_no(a, "%.*s", colon ? (int)(colon - e.text) : 250, e.text);
	ability_follows(a, "--allow %s is refused", name);
	if (device)
		ability_get(a,
			    "run as root, or let this user open /dev/%s (its group), on a machine "
			    "that has one",
			    name);
	else
		ability_get(a, "%.250s", colon ? colon + 2 : "");
}
