/* A box before any job's: whatever this machine can't do is said once, before anything is judged.
 * It runs on a loop of its own, which is over when it is. */
#include "sandbox/doctor.h"
#include "sandbox/inside.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PROBE_MS 60000

struct probe {
	struct slot *slot;
	const char *uppers;
	struct box_facts facts;
	struct box_mount root;
	int lower_fd, dir_fd; /* of uppers */
	char name[40];        /* in it */
};

static void on_end(void *owner, const struct box_facts *facts)
{
	struct probe *p = owner;
	p->facts = *facts;
	if (p->slot->helper)
		helper_stop(p->slot->helper);
}

/* The command has nothing to do, and need not even be there: that the box says so is enough. */
static int probe_run(struct sandbox *sb, struct probe *p, struct err *e)
{
	static const struct box_events events = {.on_end = on_end};
	char *argv[] = {(char[]){"true"}, NULL}, *env[] = {NULL};
	struct box_spec spec = {
		.name = "probe",
		.root_host = true,
		.mounts = &p->root,
		.n_mounts = p->dir_fd >= 0,
		.argv = argv,
		.env = env,
		.cwd = "/",
		.hostname = "probe",
		.limits = {.wall_ms = PROBE_MS, .memory = 256 << 20, .processes = 64},
	};
	uv_loop_t loop, *theirs = sb->loop;
	int rc = uv_loop_init(&loop);
	if (rc)
		return err_set(e, ERR_SYS, "a loop for a first box: %s", uv_strerror(rc));
	sb->loop = &loop;
	rc = box_start(sb, &spec, &events, p, e) ? 0 : -1;
	if (rc && p->slot->helper)
		helper_stop(p->slot->helper);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	sb->loop = theirs;
	if (!rc && p->facts.end == BOX_FAILED)
		rc = err_set(e, ERR_BOX, "no box can be made%s%s: %s",
			     p->uppers ? " with uppers in " : " here", p->uppers ? p->uppers : "",
			     p->facts.error);
	/* What is written fills memory then, and is moved at the end of each box. */
	if (!rc && p->uppers && strcmp(p->facts.uppers, "as given"))
		fprintf(stderr,
			"assay: %s is on a file system that carries no upper of an overlay: what a "
			"box "
			"writes there is in memory (%s) until it ends\n",
			p->uppers, p->facts.uppers);
	return rc;
}

/* What commonly forbids an ordinary user's namespaces, and the way out of it. */
static const struct {
	const char *file, *value, *hint;
} hints[] = {
	{"/proc/sys/user/max_user_namespaces", "0",
	 "user namespaces are switched off here: sysctl user.max_user_namespaces=65536"},
	{"/proc/sys/kernel/unprivileged_userns_clone", "0",
	 "user namespaces are root's here: sysctl kernel.unprivileged_userns_clone=1, or run as "
	 "root"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
	 "AppArmor restricts user namespaces here: sysctl "
	 "kernel.apparmor_restrict_unprivileged_userns=0, the profile share/assay/apparmor/assay, "
	 "or "
	 "run as root"},
};

const char *probe_hint_found(void)
{
	char value[16];
	for (size_t i = 0; i < countof(hints); i++) {
		auto_fd int fd = open(hints[i].file, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, value, sizeof(value) - 1);
		if (n <= 0)
			continue;
		value[n] = 0;
		value[strcspn(value, "\n")] = 0;
		if (!strcmp(value, hints[i].value))
			return hints[i].hint;
	}
	return NULL;
}

static void probe_hint(struct err *e)
{
	char said[sizeof(e->text)];
	const char *hint = probe_hint_found();
	memcpy(said, e->text, sizeof(said));
	if (hint)
		err_set(e, ERR_BOX, "%.600s (%s)", said, hint);
}

static int probe_dirs(struct probe *p, const char *uppers, struct err *e)
{
	p->dir_fd = open(uppers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd < 0)
		return err_sys(e, "open %s", uppers);
	snprintf(p->name, sizeof(p->name), "probe.%d", (int)getpid());
	auto_fd int dir = dir_make(p->dir_fd, p->name, 0755, e);
	if (dir < 0)
		return err_add(e, "%s", uppers);
	p->lower_fd = dir_make(dir, "l", 0755, e);
	p->root.upper_fd = p->lower_fd < 0 ? -1 : dir_make(dir, "u", 0755, e);
	p->root.work_fd = p->root.upper_fd < 0 ? -1 : dir_make(dir, "w", 0755, e);
	return p->root.work_fd < 0 ? err_add(e, "%s", uppers) : 0;
}

static int probe_namespaces(struct sandbox *sb, struct err *e)
{
	char word[RANGES_WORD];
	if (ranges_word(&sb->ranges, 0, word, e))
		return -1;
	const struct helper_ids ids = {word, sb->ranges.userns_fd, ""};
	return helper_try(&sb->program, &ids, e);
}

int probe_engine(struct sandbox *sb, struct err *e)
{
	char said[sizeof(e->text)];
	if (sb->program.oci_fd < 0 || !probe_namespaces(sb, e))
		return 0;
	memcpy(said, e->text, sizeof(said));
	return err_set(e, e->kind,
		       "executor %s: %.500s; assay doctor tells how to get what it takes, and "
		       "native, the default, needs none",
		       sb->program.executor, said);
}

int probe_box(struct sandbox *sb, const char *uppers, struct err *e)
{
	struct probe p = {
		.slot = &sb->slots[0],
		.uppers = uppers,
		.lower_fd = -1,
		.dir_fd = -1,
		.root = {.path = "/",
			 .mode = BOX_COW,
			 .n_lowers = 1,
			 .upper_fd = -1,
			 .work_fd = -1,
			 .ours = true},
	};
	p.root.lowers = &p.lower_fd;
	int rc = uppers ? probe_dirs(&p, uppers, e) : 0;
	if (!rc)
		rc = probe_namespaces(sb, e) || probe_run(sb, &p, e) ? -1 : 0;
	if (rc && e->kind == ERR_BOX)
		probe_hint(e);
	own_close(&p.lower_fd);
	own_close(&p.root.upper_fd);
	own_close(&p.root.work_fd);
	struct err left = ERR_INIT;
	if (p.dir_fd >= 0 && dir_remove(p.dir_fd, p.name, &left) && !rc)
		rc = err_set(e, ERR_SYS, "%s: %s", uppers, left.text);
	own_close(&p.dir_fd);
	return rc;
}
