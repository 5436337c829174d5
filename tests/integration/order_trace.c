#include "order_trace.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* ---- what is known ---- */

static bool order_knows(const struct order_trace *o, uint64_t inode)
{
	for (size_t i = 0; i < o->n_known; i++)
		if (o->known[i] == inode)
			return true;
	return false;
}

static void order_learn(struct order_trace *o, uint64_t inode)
{
	o->known = own_grow(o->known, o->n_known + 1, sizeof(*o->known));
	o->known[o->n_known++] = inode;
}

static void order_forget(struct order_trace *o, uint64_t inode)
{
	for (size_t i = 0; i < o->n_known; i++)
		if (o->known[i] == inode)
			o->known[i] = 0;
}

static struct order_trace *walking; /* nftw(3) has no argument for it */

static int order_on_name(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)path;
	(void)type;
	(void)f;
	order_learn(walking, st->st_ino);
	return 0;
}

void order_trace_begin(struct order_trace *o, char *state)
{
	static const char *const whole[] = {"layers", "seg"};
	static const char *const one[] = {"assay.db", "assay.db-wal", "assay.db-shm",
					  "lock",     "tmp",          "trash"};
	struct stat st;
	*o = (struct order_trace){.state = state};
	for (size_t i = 0; i < countof(whole); i++) {
		auto_free char *path = own_fmt("%s/%s", state, whole[i]);
		walking = o;
		if (nftw(path, order_on_name, 16, FTW_PHYS))
			abort();
	}
	for (size_t i = 0; i < countof(one); i++) {
		auto_free char *path = own_fmt("%s/%s", state, one[i]);
		if (!stat(path, &st))
			order_learn(o, st.st_ino);
	}
}

/* ---- the traced process's memory and descriptors ---- */

static void order_read(pid_t pid, uint64_t at, char out[256])
{
	memset(out, 0, 256);
	/* page by page: the next one may not be there */
	for (size_t n = 0; n < 255 && !memchr(out, '\0', n ? n : 0);) {
		size_t left = 4096 - (at + n) % 4096, take = left < 255 - n ? left : 255 - n;
		struct iovec here = {out + n, take};
		struct iovec there = {(void *)(uintptr_t)(at + n), take}; /* NOLINT */
		if (process_vm_readv(pid, &here, 1, &there, 1, 0) <= 0)
			return;
		n += take;
	}
}

/* The path of a descriptor, or of the working directory. */
static void order_fd_path(pid_t pid, int fd, char out[512])
{
	auto_free char *link = fd == AT_FDCWD ? own_fmt("/proc/%d/cwd", (int)pid)
					      : own_fmt("/proc/%d/fd/%d", (int)pid, fd);
	ssize_t n = readlink(link, out, 511);
	out[n > 0 ? n : 0] = '\0';
}

/* Relative to the state directory; false: it is not below it. */
static bool order_relative(const struct order_trace *o, const char *path, char out[256])
{
	size_t n = strlen(o->state);
	if (strncmp(path, o->state, n) || path[n] != '/')
		return false;
	snprintf(out, 256, "%s", path + n + 1);
	return true;
}

/* What a (directory descriptor, path) pair of arguments names. */
static bool order_at(const struct order_trace *o, pid_t pid, uint64_t dirfd, uint64_t name,
		     char whole[512], char rel[256])
{
	char dir[512], text[256];
	order_read(pid, name, text);
	order_fd_path(pid, (int)dirfd, dir);
	snprintf(whole, 512, "%.250s%s%.250s", text[0] == '/' ? "" : dir, text[0] == '/' ? "" : "/",
		 text);
	return order_relative(o, whole, rel);
}

static uint64_t order_inode(const char *path)
{
	struct stat st;
	return lstat(path, &st) ? 0 : st.st_ino;
}

static uint64_t order_above(const char *path)
{
	const char *slash = strrchr(path, '/');
	auto_free char *dir = own_dup_n(path, slash ? (size_t)(slash - path) : 0);
	return order_inode(dir);
}

/* ---- events ---- */

static struct order_event *order_add(struct order_trace *o, enum order_what what)
{
	o->v = own_grow(o->v, o->n + 1, sizeof(*o->v));
	o->v[o->n] = (struct order_event){.what = what};
	return &o->v[o->n++];
}

/* What happens to a file or directory that is open as fd. */
static void order_on_fd(struct order_trace *o, const struct trace_call *c, enum order_what what,
			uint64_t fd)
{
	char path[512], rel[256] = "";
	struct stat st;
	order_fd_path(c->pid, (int)fd, path);
	auto_free char *link = own_fmt("/proc/%d/fd/%d", (int)c->pid, (int)fd);
	if (stat(link, &st) || (!order_relative(o, path, rel) && strcmp(path, o->state)))
		return;
	struct order_event *x = order_add(o, what);
	x->inode = st.st_ino;
	memcpy(x->path, rel, sizeof(rel));
}

static void order_on_path(struct order_trace *o, const struct trace_call *c, uint64_t dirfd,
			  uint64_t name)
{
	char path[512], rel[256];
	if (!order_at(o, c->pid, dirfd, name, path, rel))
		return;
	struct order_event *x = order_add(o, ORDER_META);
	x->inode = order_inode(path);
	memcpy(x->path, rel, sizeof(rel));
}

static void order_on_made(struct order_trace *o, const char *path, const char *rel, bool linked)
{
	struct order_event *x = order_add(o, ORDER_MAKE);
	x->inode = order_inode(path);
	x->dir = order_above(path);
	x->is_new = !linked;
	x->foreign = linked && !order_knows(o, x->inode);
	snprintf(x->path, sizeof(x->path), "%s", rel);
	order_learn(o, x->inode);
}

static void order_on_make(struct order_trace *o, const struct trace_call *c, uint64_t dirfd,
			  uint64_t name, bool linked)
{
	char path[512], rel[256];
	if (order_at(o, c->pid, dirfd, name, path, rel))
		order_on_made(o, path, rel, linked);
}

/* An opened file that was not there before. */
static void order_on_open(struct order_trace *o, const struct trace_call *c)
{
	char path[512], rel[256];
	struct stat st;
	order_fd_path(c->pid, (int)c->result, path);
	if (order_relative(o, path, rel) && !lstat(path, &st) && S_ISREG(st.st_mode) &&
	    !order_knows(o, st.st_ino) && strncmp(rel, "uppers/", 7))
		order_on_made(o, path, rel, false);
}

static void order_on_move(struct order_trace *o, const struct trace_call *c)
{
	char path[512], from[512], rel[256], from_rel[256];
	if (!order_at(o, c->pid, c->args[0], c->args[1], from, from_rel) ||
	    !order_at(o, c->pid, c->args[2], c->args[3], path, rel))
		return;
	struct order_event *x = order_add(o, ORDER_MOVE);
	x->inode = order_inode(path);
	x->dir = order_above(path);
	x->from_dir = order_above(from);
	memcpy(x->path, rel, sizeof(rel));
	memcpy(x->from, from_rel, sizeof(from_rel));
}

static void order_on_remove(struct order_trace *o, const struct trace_call *c, uint64_t dirfd,
			    uint64_t name)
{
	char path[512], rel[256];
	if (!order_at(o, c->pid, dirfd, name, path, rel))
		return;
	struct order_event *x = order_add(o, ORDER_REMOVE);
	x->dir = order_above(path);
	memcpy(x->path, rel, sizeof(rel));
	/* Its inode, if it was the last name, may come again as another file. */
	for (size_t i = o->n - 1; i--;)
		if (o->v[i].what == ORDER_MAKE && !strcmp(o->v[i].path, rel)) {
			order_forget(o, o->v[i].inode);
			break;
		}
}

void order_trace_call(void *owner, const struct trace_call *c)
{
	struct order_trace *o = owner;
	const uint64_t *a = c->args;
	if (c->result < 0)
		return;
	switch (c->number) {
	case SYS_write:
	case SYS_writev:
		if (a[0] == STDOUT_FILENO)
			order_trace_said(o);
		/* fall through */
	case SYS_pwrite64:
	case SYS_pwritev:
	case SYS_sendfile:
	case SYS_ftruncate:
	case SYS_fallocate:
		order_on_fd(o, c, ORDER_BYTES, a[0]);
		break;
	case SYS_copy_file_range:
		order_on_fd(o, c, ORDER_BYTES, a[2]);
		break;
	case SYS_fchmod:
		order_on_fd(o, c, ORDER_META, a[0]);
		break;
	case SYS_utimensat:
		if (!a[1]) {
			order_on_fd(o, c, ORDER_META, a[0]);
			break;
		}
		/* fall through */
	case SYS_fchmodat:
	case SYS_fchmodat2:
		order_on_path(o, c, a[0], a[1]);
		break;
	case SYS_fsync:
		order_on_fd(o, c, ORDER_SYNC, a[0]);
		break;
	case SYS_fdatasync:
		order_on_fd(o, c, ORDER_DATASYNC, a[0]);
		break;
	case SYS_syncfs:
		order_on_fd(o, c, ORDER_SYNCFS, a[0]);
		break;
	case SYS_open:
	case SYS_openat:
	case SYS_openat2:
		order_on_open(o, c);
		break;
	case SYS_mkdirat:
	case SYS_mknodat:
		order_on_make(o, c, a[0], a[1], false);
		break;
	case SYS_mkdir:
		order_on_make(o, c, (uint64_t)AT_FDCWD, a[0], false);
		break;
	case SYS_symlinkat:
		order_on_make(o, c, a[1], a[2], false);
		break;
	case SYS_linkat:
		order_on_make(o, c, a[2], a[3], true);
		break;
	case SYS_renameat:
	case SYS_renameat2:
		order_on_move(o, c);
		break;
	case SYS_unlinkat:
		order_on_remove(o, c, a[0], a[1]);
		break;
	case SYS_unlink:
	case SYS_rmdir:
		order_on_remove(o, c, (uint64_t)AT_FDCWD, a[0]);
		break;
	default:
		break;
	}
}

void order_trace_said(struct order_trace *o)
{
	(void)order_add(o, ORDER_SAID);
}

void order_trace_fini(struct order_trace *o)
{
	free(o->v);
	free(o->known);
	*o = (struct order_trace){0};
}
