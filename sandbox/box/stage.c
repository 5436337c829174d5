#include "sandbox/box/stage.h"

#include "base/dir.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/place.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* Of the stage itself, and what is enough of it but for what a plan adds. The box may fill what is
 * left by way of /dev. */
#define STAGE_ROOM (4ull << 20)
#define STAGE_ENOUGH (2ull << 20)
#define STAGE_ROOM_FILE (64ull << 10) /* a file and the directories above it */

#define STAGE_STACKED 64
#define STAGE_WHICH (STATX_MNT_ID | STATX_INO) /* what tells directories apart */

/* What only some boxes need is made by who needs it. */
static const char *const stage_dirs[] = {"n", "r", "d", "p", "s", "w"};

static const char *const stage_host[] = PLAN_HOST_DIRS;

static void step_add(struct stage *st, const char *path, enum step_kind kind, unsigned mode)
{
	for (size_t i = 0; i < st->spec->n_mounts; i++)
		if (!strcmp(st->spec->mounts[i].path, path))
			return; /* the plan has its own idea */
	st->steps[st->n_steps++] = (struct step){path, kind, mode, NULL, false};
}

/* Ours first: a link that an earlier phase left in the way of one of the plan's mounts then leads
 * to what the box will see there. */
static void stage_steps(struct stage *st)
{
	const struct spec *spec = st->spec;
	struct stat s;
	st->steps = own_calloc(spec->n_mounts + countof(stage_host) + 4, sizeof(*st->steps));
	step_add(st, "/dev", STEP_DEV, 0);
	step_add(st, "/tmp", STEP_TMPFS, 01777);
	step_add(st, "/run", STEP_TMPFS, 0755);
	for (size_t i = 0; spec->flags & PLAN_ROOT_HOST && i < countof(stage_host); i++)
		if (!lstat(stage_host[i], &s) && S_ISDIR(s.st_mode))
			step_add(st, stage_host[i], STEP_HOST, 0);
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (strcmp(spec->mounts[i].path, "/"))
			st->steps[st->n_steps++] = (struct step){spec->mounts[i].path, STEP_MOUNT,
								 0, &spec->mounts[i], false};
}

static int stage_open(struct stage *st, const char *at, struct err *e)
{
	char options[48];
	snprintf(options, sizeof(options), "mode=755,size=%llu", STAGE_ROOM);
	st->at = at;
	/* Nothing of the host's mounts may reach the box any more, and nothing of the box's the
	 * host. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_sys(e, "make the mounts private");
	if (!st->lately)
		kernelfs_look(&st->kernelfs, NULL);
	if (mnt_new("tmpfs", at, MS_NOSUID, options, e))
		return -1;
	if (chdir(at))
		return err_sys(e, "chdir to the stage");
	for (size_t i = 0; i < countof(stage_dirs); i++)
		if (mkdir(stage_dirs[i], 0755))
			return err_sys(e, "mkdir %s in the stage", stage_dirs[i]);
	snprintf(options, sizeof(options), "mode=755,size=%lu", PLAN_TMPFS);
	return mnt_new("tmpfs", "w", MS_NOSUID | MS_NODEV, options, e);
}

static int stage_resize(const char *at, unsigned long flags, uint64_t bytes, struct err *e)
{
	char options[32];
	snprintf(options, sizeof(options), "size=%llu", (unsigned long long)bytes);
	if (mount(NULL, at, NULL, MS_REMOUNT | flags, options))
		return err_sys(e, "give the tmpfs at %s %s", at, options);
	return 0;
}

/* What the plan needs of its own, and what it allows. */
static int stage_sizes(struct stage *st, struct err *e)
{
	uint64_t bytes = STAGE_ENOUGH;
	st->tmpfs = st->spec->tmpfs ? st->spec->tmpfs : PLAN_TMPFS;
	for (size_t i = 0; i < st->spec->n_files; i++)
		bytes += st->spec->files[i].n + STAGE_ROOM_FILE;
	for (size_t i = 0; i < st->spec->n_mounts; i++) {
		const struct spec_mount *m = &st->spec->mounts[i];
		bool copied = m->file && m->mode == PLAN_MOUNT_COW;
		bytes += STAGE_ROOM_FILE + (copied && m->size < PLAN_COPY_MAX ? m->size : 0);
	}
	if (bytes > STAGE_ROOM && stage_resize(".", MS_NOSUID, bytes, e))
		return -1;
	return st->tmpfs != PLAN_TMPFS ? stage_resize("w", MS_NOSUID | MS_NODEV, st->tmpfs, e) : 0;
}

/* Layers of ours below something writable: earlier boxes may have written them. */
static bool stage_has_past(const struct stage *st)
{
	for (size_t i = 0; i < st->spec->n_mounts; i++) {
		const struct spec_mount *m = &st->spec->mounts[i];
		if (m->mode == PLAN_MOUNT_COW && m->ours && m->n)
			return true;
	}
	return false;
}

int stage_blame(const struct stage *st, int fd, struct err *e)
{
	if (fd < 0 && place_is_taken(e) && stage_has_past(st))
		e->kind = ERR_HOSTILE;
	return fd;
}

static uint64_t stage_mount_id(int dirfd, const char *path)
{
	struct statx st;
	return statx(dirfd, path, AT_EMPTY_PATH, STATX_MNT_ID, &st) ? 0 : st.stx_mnt_id;
}

/* A link of the job's may lead to the root itself: what is put over that, nobody in the box could
 * come to see. */
bool stage_is_root(const struct stage *st, int place)
{
	struct statx a;
	const struct statx *b = &st->root_is;
	return !statx(place, "", AT_EMPTY_PATH, STAGE_WHICH, &a) && a.stx_mnt_id == b->stx_mnt_id &&
	       a.stx_ino == b->stx_ino && a.stx_dev_major == b->stx_dev_major &&
	       a.stx_dev_minor == b->stx_dev_minor;
}

int stage_root(struct stage *st, int fd, struct err *e)
{
	if (fd < 0)
		return -1;
	st->root = fd;
	if (mnt_put(fd, AT_FDCWD, "r", e))
		return -1;
	return statx(fd, "", AT_EMPTY_PATH, STAGE_WHICH, &st->root_is) ? err_sys(e, "the new root")
								       : 0;
}

int stage_dir(const struct stage *st, const char *path, struct err *e)
{
	return stage_blame(st, place_dir(st->root, path, 0755, e), e);
}

int stage_file(const struct stage *st, const char *path, struct err *e)
{
	return stage_blame(st, place_file(st->root, path, e), e);
}

/* pivot_root(2): with "." twice the old root comes to lie over the new one, the stage below it in
 * its tree, and goes with it in one call (each waits for the kernel's readers). Whatever else is
 * stacked there is taken away one by one, until what is above the root is the root. */
static int stage_pivot(struct stage *st, struct err *e)
{
	if (fchdir(st->root) || syscall(SYS_pivot_root, ".", "."))
		return err_sys(e, "pivot_root");
	uint64_t mine = stage_mount_id(st->root, "");
	for (int i = 0; i < STAGE_STACKED && stage_mount_id(AT_FDCWD, "/..") != mine; i++)
		if (umount2(".", MNT_DETACH))
			return err_sys(e, "detach the host's root");
	if (!mine || stage_mount_id(AT_FDCWD, "/..") != mine)
		return err_set(e, ERR_BOX, "the host's root can't be detached");
	return chdir("/") ? err_sys(e, "chdir to the new root") : 0;
}

/* The directories a command may count on; a read-only root may lack its home. */
static int stage_homes(struct stage *st, struct err *e)
{
	struct err unimportant = ERR_INIT;
	if (*st->spec->home == '/') {
		int home = place_dir(st->root, st->spec->home, 0755, &unimportant);
		if (home >= 0)
			close(home);
	}
	auto_fd int cwd = stage_dir(st, st->spec->cwd, e);
	return cwd < 0 ? err_add(e, "working directory %s", st->spec->cwd) : 0;
}

/* All but /proc. */
static int stage_mounts(struct stage *st, struct err *e)
{
	stage_steps(st);
	wants_list(st);
	if (stage_sizes(st, e) || uppers_choose(st, e) || root_make(st, e))
		return -1;
	for (size_t i = 0; i < st->n_steps; i++)
		if (mount_step(st, &st->steps[i], e))
			return err_add(e, "mount %s", st->steps[i].path);
	return files_bind(st, e) || kernelfs_sys(st, e) || upper_tell_room(st, e) ? -1 : 0;
}

int stage_raise(struct stage *st, const char *at, struct err *e)
{
	return stage_open(st, at, e) || kernelfs_make(st, e) || stage_mounts(st, e) ? -1 : 0;
}

static int stage_enter(struct stage *st, struct err *e)
{
	if (kernelfs_proc(st, e) ||
	    (st->spec->flags & PLAN_LOOSEN_USERNS && kernelfs_whole_proc(st, e)) ||
	    stage_homes(st, e))
		return -1;
	spec_say(st->spec, "pivot");
	return stage_pivot(st, e);
}

int stage_ahead(struct stage *st, struct err *e)
{
	return stage_open(st, "/sys", e) || kernelfs_make(st, e) || kernelfs_make_proc(st, e) ? -1
											      : 0;
}

int stage_build(struct stage *st, struct err *e)
{
	return stage_mounts(st, e) || stage_enter(st, e) ? -1 : 0;
}

/* Again, because the name of a descriptor is where it was opened; unless it is not there but
 * elsewhere, by a link. */
static int stage_devices(struct stage *st, struct err *e)
{
	struct stat s;
	auto_fd int fd = dir_open_beneath(st->root, "dev/null", O_RDONLY, 0);
	if (fd >= 0 && !fstat(fd, &s) && S_ISCHR(s.st_mode) && s.st_rdev == makedev(1, 3)) {
		close(st->null);
		st->null = give_fd(&fd);
	}
	auto_fd int queues = dir_open_beneath(st->root, "dev/mqueue", O_PATH | O_DIRECTORY, 0);
	if (queues >= 0 && kernelfs_queues(queues, e))
		return -1;
	if (!(st->spec->flags & PLAN_TERMINAL_WANTED))
		return 0;
	st->terminal = dir_open_beneath(st->root, "dev/pts/ptmx", O_RDWR | O_NOCTTY, 0);
	return st->terminal < 0 ? err_sys(e, "open /dev/pts/ptmx in the box") : 0;
}

int stage_resume(struct stage *st, const char *root, struct err *e)
{
	if (stage_open(st, "/sys", e) || stage_sizes(st, e) || kernelfs_make_proc(st, e))
		return -1;
	return stage_root(st, mnt_clone(AT_FDCWD, root, true, e), e) || stage_devices(st, e) ||
			       stage_enter(st, e)
		       ? -1
		       : 0;
}
