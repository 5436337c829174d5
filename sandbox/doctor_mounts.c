/* What mounts of a box are made of. */
#include "sandbox/doctor.h"

#include "sandbox/quota.h"
#include "sandbox/ranges.h"

#include <fcntl.h>
#include <string.h>

void doctor_overlay_memory(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	if (!doctor_able(d, &e, "overlay", "any", "tmpfs", NULL)) {
		ability_yes(a, "files were changed and removed in one");
		return;
	}
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "no root and no directory can be shown as one that stays as it is");
	ability_get(a, "a kernel since 5.11 with CONFIG_OVERLAY_FS");
}

void doctor_overlay_disk(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	struct box_facts f;
	const struct doctor_box how = {.on_disk = true};
	if (doctor_box(d, &how, &f, &e)) {
		ability_no(a, "%.250s", e.text);
		ability_follows(a, "no job with layers can be run in this state directory");
		ability_get(a, "a state directory on another file system (--state)");
	} else if (f.uppers && strcmp(f.uppers, "as given")) {
		ability_partly(a, "the file system of %.150s carries no upper: %s does",
			       d->conf->uppers, f.uppers);
		ability_follows(a, "what a box writes fills memory until it ends");
		ability_get(a,
			    "a state directory on another file system, as ext4 or xfs (--state)");
	} else {
		ability_yes(a, "in %.200s", d->conf->uppers);
	}
}

void doctor_overlay_lower(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	if (!doctor_able(d, &e, "overlay", "any", "stack", NULL)) {
		ability_yes(a, "an overlay is a lower directory of another");
		return;
	}
	ability_no(a, "%.250s", e.text);
	ability_follows(a, "in a container, --cow of the container's own directories fails");
}

void doctor_overlay_upper(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	if (!doctor_able(d, &e, "overlay", "any", "overlay", NULL)) {
		ability_yes(a, "an overlay carries the upper of another");
		return;
	}
	ability_no(a, "%.250s", e.text);
	ability_follows(a,
			"no kernel has it: where the state directory lies on an overlay, as in a "
			"container, what a box writes is in memory until it ends");
	ability_get(a, "put the state directory on a volume (--state)");
}

/* How many lower directories there can be, and how they are named. */
void doctor_layers(struct doctor *d, struct box_ability *a)
{
	static const char *const ways[] = {"fd", "names", "classic"};
	static const char *const says[] = {"by descriptor (Linux 6.13)", "by name (Linux 6.7)",
					   "by mount(2)"};
	struct err e = ERR_INIT;
	char all[128] = "";
	size_t n = 0, first = countof(ways);
	for (size_t i = 0; i < countof(ways); i++) {
		e = (struct err)ERR_INIT;
		if (doctor_able(d, &e, "overlay", ways[i], "tmpfs", NULL))
			continue;
		first = first < i ? first : i;
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", says[i]);
	}
	if (!n) {
		ability_no(a, "%.250s", e.text);
		ability_follows(a, "there are no layers");
		ability_get(a, "a kernel since 5.11 with CONFIG_OVERLAY_FS");
	} else if (first < 2) {
		ability_yes(a, "%s", all);
	} else {
		ability_partly(a, "%s only", all);
		ability_follows(a, "as many as one page of options names; stores are flattened "
				   "before that");
		ability_get(a, "a kernel since 6.7");
	}
}

static bool installed(const char *program)
{
	const char *path = getenv("PATH");
	for (const char *end; path && *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		auto_free char *file = own_fmt("%.*s/%s", (int)(end - path), path, program);
		if (!access(file, X_OK))
			return true;
	}
	return false;
}

void doctor_fuse_overlayfs(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	struct box_facts f;
	const struct doctor_box how = {.on_disk = true};
	/* As tests do it: the usual way is not even tried. */
	const char *was = getenv("ASSAY_BOX_OVERLAY");
	auto_free char *before = was ? own_dup(was) : NULL;
	setenv("ASSAY_BOX_OVERLAY", "fuse", 1);
	int rc = doctor_box(d, &how, &f, &e);
	if (before)
		setenv("ASSAY_BOX_OVERLAY", before, 1);
	else
		unsetenv("ASSAY_BOX_OVERLAY");
	if (!rc && f.uppers && !strcmp(f.uppers, "fuse-overlayfs")) {
		ability_yes(a, "carried a box");
		ability_follows(a, "a way out where the kernel's own overlay can't be had");
		return;
	}
	bool there = installed("fuse-overlayfs");
	ability_no(a, "%.250s",
		   e.kind  ? e.text
		   : there ? "it did not carry the box"
			   : "not installed");
	ability_follows(a, "none of it is needed where overlays can be made in memory");
	ability_get(a, "%s", there ? "" : "install fuse-overlayfs");
}

void doctor_idmap(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	char word[RANGES_WORD];
	snprintf(word, sizeof(word), "%u:%u", RANGES_HIGH, RANGES_HIGH);
	if (geteuid()) {
		ability_yes(a, "not needed: a box's root is who started it");
		return;
	}
	if (!d->dir) {
		ability_no(a, "nothing can be written in %.150s to try it in",
			   d->conf->uppers ? d->conf->uppers : "(no directory)");
	} else if (!doctor_able(d, &e, "idmap", word, d->dir, NULL)) {
		ability_yes(a, "on the file system of %.200s, below an overlay", d->conf->uppers);
		return;
	} else {
		ability_no(a, "%.250s", e.text);
	}
	ability_follows(a,
			"as root, layers and uppers in the state directory are given to other ids");
	ability_get(a, "Linux 5.19, and a state directory on ext4, xfs, btrfs or tmpfs");
}

void doctor_quota(struct doctor *d, struct box_ability *a)
{
	struct err e = ERR_INIT;
	struct quota q = {.project = 0};
	auto_free char *place = doctor_place(d, &e);
	auto_fd int fd = place ? open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0 && quota_set(&q, &fd, 1, 1 << 20, 100)) {
		quota_clear(&q);
		ability_yes(a, "the kernel counts what a box writes in %.180s", d->conf->uppers);
		return;
	}
	ability_no(a, "%.250s", fd < 0 ? e.text : "this file system has none that we may set");
	ability_follows(a, "--disk and --inodes are kept by looking, once a second");
	ability_get(a, "%s",
		    geteuid() ? "run as root, on ext4 or xfs mounted with prjquota"
			      : "ext4 (tune2fs -O project,quota) or xfs, mounted with prjquota");
}
