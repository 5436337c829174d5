/* The table of abilities. */
#include "sandbox/doctor.h"

#include "base/dir.h"
#include "base/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#define DOCTOR_DIR "assay-doctor."

static const struct ability {
	const char *name;
	bool needed; /* for any box at all */
	void (*try)(struct doctor *d, struct box_ability *a);
} abilities[] = {
	{"a box", true, doctor_native},
	{"kernel", false, doctor_kernel},
	{"user namespaces", true, doctor_user_namespaces},
	{"namespaces", false, doctor_namespaces},
	{"a range of ids", false, doctor_ids},
	{"idmapped mounts", false, doctor_idmap},
	{"overlay in memory", false, doctor_overlay_memory},
	{"overlay on disk", false, doctor_overlay_disk},
	{"overlay over overlay", false, doctor_overlay_lower},
	{"overlay upon overlay", false, doctor_overlay_upper},
	{"layers", false, doctor_layers},
	{"fuse-overlayfs", false, doctor_fuse_overlayfs},
	{"project quota", false, doctor_quota},
	{"control groups", false, doctor_cgroup},
	{"born in its group", false, doctor_cgroup_birth},
	{"cgroup.kill", false, doctor_cgroup_kill},
	{"pressure", false, doctor_pressure},
	{"seccomp", false, doctor_seccomp},
	{"Landlock", false, doctor_landlock},
	{"network by pasta", false, doctor_nat},
	{"executor crun", false, doctor_executor},
	{"executor runc", false, doctor_executor},
	{"executor podman", false, doctor_executor},
	{"executor docker", false, doctor_executor},
	{"allow i386", false, doctor_loosening},
	{"allow io-uring", false, doctor_loosening},
	{"allow fuse", false, doctor_loosening},
	{"allow kvm", false, doctor_loosening},
	{"allow perf", false, doctor_loosening},
	{"allow dumps", false, doctor_loosening},
	{"allow aio", false, doctor_loosening},
};

static void ability_text(char text[256], const char *fmt, va_list ap)
{
	vsnprintf(text, 256, fmt, ap);
}

#define ABILITY(function, does)                                                                    \
	void function(struct box_ability *a, const char *fmt, ...)                                 \
	{                                                                                          \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		does;                                                                              \
		va_end(ap);                                                                        \
	}

ABILITY(ability_yes, a->has = ABILITY_YES; ability_text(a->found, fmt, ap))
ABILITY(ability_partly, a->has = ABILITY_PARTLY; ability_text(a->found, fmt, ap))
ABILITY(ability_no, a->has = ABILITY_NO; ability_text(a->found, fmt, ap))
ABILITY(ability_follows, ability_text(a->follows, fmt, ap))
ABILITY(ability_get, ability_text(a->get, fmt, ap))

int doctor_able(const struct doctor *d, struct err *e, ...)
{
	char *words[HELPER_WORDS + 1] = {(char[]){"able"}};
	size_t n = 1;
	va_list ap;
	va_start(ap, e);
	while (n < HELPER_WORDS && (words[n] = va_arg(ap, char *)))
		n++;
	va_end(ap);
	if (!helper_run(d->program.box_fd, words, -1, -1, e))
		return 0;
	static const char who[] = "assay-box: ";
	if (!strncmp(e->text, who, strlen(who)))
		memmove(e->text, e->text + strlen(who), strlen(e->text + strlen(who)) + 1);
	return -1;
}

char *doctor_place(struct doctor *d, struct err *e)
{
	if (!d->dir) {
		err_set(e, ERR_ABSENT, "nothing can be written in %.150s to try it in",
			d->conf->uppers ? d->conf->uppers : "(no directory)");
		return NULL;
	}
	auto_free char *rel = own_fmt("%s/%u", d->name, d->n_dirs++);
	auto_fd int fd = dir_make(d->dir_fd, rel, 0755, e);
	return fd < 0 ? NULL : own_fmt("%s/%s", d->conf->uppers, rel);
}

/* What one that was killed left. */
static void doctor_sweep(const struct doctor *d)
{
	struct err ignored = ERR_INIT;
	int fd = d->dir_fd < 0 ? -1 : openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		own_close(&fd);
	for (struct dirent *it; dir && (it = readdir(dir));) {
		uint64_t pid;
		if (!strncmp(it->d_name, DOCTOR_DIR, strlen(DOCTOR_DIR)) &&
		    !unit_parse_count(it->d_name + strlen(DOCTOR_DIR), &pid) && pid <= INT32_MAX &&
		    kill((pid_t)pid, 0) && errno == ESRCH &&
		    sandbox_remove(NULL, d->dir_fd, it->d_name, &ignored))
			fprintf(stderr, "assay: %s\n", ignored.text);
	}
	if (dir)
		closedir(dir);
}

/* Where nothing can be written it is not tried there. */
static void doctor_dir(struct doctor *d)
{
	struct err ignored = ERR_INIT;
	if (!d->conf->uppers)
		return;
	d->dir_fd = open(d->conf->uppers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	doctor_sweep(d);
	snprintf(d->name, sizeof(d->name), DOCTOR_DIR "%d", (int)getpid());
	auto_fd int made = d->dir_fd < 0 ? -1 : dir_make(d->dir_fd, d->name, 0755, &ignored);
	if (made >= 0)
		d->dir = own_fmt("%s/%s", d->conf->uppers, d->name);
}

static void doctor_close(struct doctor *d)
{
	struct err e = ERR_INIT;
	if (d->dir && sandbox_remove(NULL, d->dir_fd, d->name, &e))
		fprintf(stderr, "assay: %s\n", e.text);
	free(d->dir);
	own_close(&d->dir_fd);
	helper_program_close(&d->program);
}

int sandbox_doctor(const struct sandbox_conf *conf,
		   void (*tell)(void *owner, const struct box_ability *a), void *owner)
{
	struct doctor d = {.conf = conf, .dir_fd = -1, .program = {.box_fd = -1, .oci_fd = -1}};
	struct err e = ERR_INIT;
	int missing = 0;
	if (helper_find(&d.program, conf->helper, NULL, &e)) {
		struct box_ability a = {.name = abilities[0].name};
		ability_no(&a, "%s", e.text);
		ability_follows(&a, "there are no boxes, and nothing else was tried");
		ability_get(&a, "install assay whole, or set ASSAY_BOX");
		tell(owner, &a);
		return 1;
	}
	doctor_dir(&d);
	for (size_t i = 0; i < countof(abilities); i++) {
		struct box_ability a = {.name = abilities[i].name};
		abilities[i].try(&d, &a);
		missing += abilities[i].needed && a.has == ABILITY_NO;
		tell(owner, &a);
	}
	doctor_close(&d);
	return missing;
}
