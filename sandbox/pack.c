#include "sandbox/pack.h"

#include "base/dir.h"
#include "base/text.h"
#include "sandbox/box/plan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PACK_NAME_MAX 64

static_assert(PLAN_LOOSEN_USERNS == BOX_LOOSEN_USERNS << PLAN_LOOSEN_SHIFT &&
		      PLAN_LOOSEN_FUSE == BOX_LOOSEN_FUSE << PLAN_LOOSEN_SHIFT &&
		      PLAN_LOOSEN_KVM == BOX_LOOSEN_KVM << PLAN_LOOSEN_SHIFT &&
		      PLAN_LOOSEN_DUMPS == BOX_LOOSEN_DUMPS << PLAN_LOOSEN_SHIFT,
	      "a plan's loosenings are the door's");

static const char pack_resolv[] = "/etc/resolv.conf";

static int check_stdio(const struct box_spec *s, struct err *e)
{
	static const char *const names[] = {"standard input", "standard output", "standard error"};
	bool heard = !s->stdio && !s->terminal;
	if (s->stdio && s->terminal)
		return err_set(e, ERR_USAGE, "a terminal or descriptors of the caller's, not both");
	for (size_t i = 0; s->stdio && i < 3; i++) {
		struct stat st;
		int flags = s->stdio[i] < 0 ? 0 : fcntl(s->stdio[i], F_GETFL);
		if (s->stdio[i] < 0)
			continue;
		if (flags < 0 || fstat(s->stdio[i], &st))
			return err_sys(e, "%s", names[i]);
		if (S_ISDIR(st.st_mode) || flags & O_PATH || isatty(s->stdio[i]))
			return err_set(e, ERR_USAGE, "%s is %s: no box gets one", names[i],
				       S_ISDIR(st.st_mode) ? "a directory"
				       : flags & O_PATH    ? "a mere path"
							   : "a terminal");
	}
	if (s->stdio)
		heard = s->stdio[1] < 0 && s->stdio[2] < 0;
	if (!heard && (s->limits.silence_ms || s->limits.output_bytes))
		return err_set(
			e, ERR_USAGE,
			"silence and output are limited only where the output is read along");
	return 0;
}

int pack_check(const struct box_spec *s, struct err *e)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	if (!s->name || !*s->name || strlen(s->name) > PACK_NAME_MAX ||
	    s->name[strspn(s->name, allowed)] || s->name[0] == '.')
		return err_set(e, ERR_USAGE, "box name %s", s->name ? s->name : "(none)");
	if (!s->argv || !s->argv[0] || !s->argv[0][0] || !s->env)
		return err_set(e, ERR_USAGE, "no command or no environment");
	if (!path_is_plain(s->cwd))
		return err_set(e, ERR_USAGE, "working directory %s", s->cwd ? s->cwd : "(none)");
	if (!s->hostname || !*s->hostname || strlen(s->hostname) > 63)
		return err_set(e, ERR_USAGE, "host name %s", s->hostname ? s->hostname : "(none)");
	return mounts_check(s, e) || check_stdio(s, e) ? -1 : 0;
}

static void put_u32(struct text *t, uint32_t v)
{
	text_put(t, &v, sizeof(v));
}

static void put_u64(struct text *t, uint64_t v)
{
	text_put(t, &v, sizeof(v));
}

static void put_bytes(struct text *t, const void *bytes, size_t n)
{
	put_u32(t, (uint32_t)n);
	if (n)
		text_put(t, bytes, n);
	text_addc(t, 0);
}

static void put_string(struct text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

static void put_strings(struct text *t, char *const *list)
{
	uint32_t n = 0;
	while (list[n])
		n++;
	put_u32(t, n);
	for (uint32_t i = 0; i < n; i++)
		put_string(t, list[i]);
}

static uint32_t pack_fd(struct pack *p, int fd)
{
	p->fds[p->n_fds] = fd;
	return (uint32_t)p->n_fds++;
}

static enum plan_mount_mode plan_mode(enum box_mode mode)
{
	switch (mode) {
	case BOX_RO:
		return PLAN_MOUNT_RO;
	case BOX_RW:
		return PLAN_MOUNT_RW;
	case BOX_COW:
		return PLAN_MOUNT_COW;
	case BOX_TMPFS:
		return PLAN_MOUNT_TMPFS;
	}
	return PLAN_MOUNT_RO;
}

static void put_mount(struct pack *p, struct text *t, const struct box_mount *m)
{
	uint32_t first = (uint32_t)p->n_fds;
	bool upper = m->mode == BOX_COW && m->upper_fd >= 0, file = mount_is_file(m);
	for (size_t i = 0; i < m->n_lowers; i++)
		pack_fd(p, m->lowers[i]);
	put_string(t, m->path);
	put_u32(t, plan_mode(m->mode));
	put_u32(t, (m->ours ? PLAN_MOUNT_OURS : 0u) | (file ? PLAN_MOUNT_FILE : 0u));
	put_u64(t, file ? mount_file_bytes(m) : m->size);
	put_u32(t, first);
	put_u32(t, (uint32_t)m->n_lowers);
	put_u32(t, upper ? pack_fd(p, m->upper_fd) : PLAN_NO_FD);
	put_u32(t, upper ? pack_fd(p, m->work_fd) : PLAN_NO_FD);
	put_u32(t, (uint32_t)m->n_past);
}

static void put_mounts(struct pack *p, struct text *t, const struct box_spec *s)
{
	size_t n_fds = 0;
	auto_free const struct box_mount **sorted = mounts_sorted(s);
	for (size_t i = 0; i < s->n_mounts; i++)
		n_fds += s->mounts[i].n_lowers + 2;
	p->fds = own_calloc(n_fds + 1, sizeof(*p->fds));
	put_u32(t, (uint32_t)s->n_mounts);
	for (size_t i = 0; i < s->n_mounts; i++)
		put_mount(p, t, sorted[i]);
}

static void put_file(struct text *t, const char *path, unsigned mode, const void *bytes, size_t n)
{
	put_string(t, path);
	put_u32(t, mode);
	put_bytes(t, bytes, n);
}

/* The host's /etc is shown, and its resolv.conf is a link out of it (systemd-resolved, resolvconf)
 * or says what is not so in the box: names resolve only if the right one comes along. */
static bool resolv_wanted(const struct box_spec *s, struct text *content)
{
	char target[2];
	if (!s->root_host ||
	    (s->net == BOX_NET_HOST && readlink(pack_resolv, target, sizeof(target)) < 0))
		return false;
	for (size_t i = 0; i < s->n_files; i++)
		if (!strcmp(s->files[i].path, pack_resolv))
			return false;
	for (size_t i = 0; i < s->n_mounts; i++)
		if (!strcmp(s->mounts[i].path, "/etc") || !strcmp(s->mounts[i].path, pack_resolv))
			return false;
	return box_resolv_conf(s->net, content);
}

static void put_files(struct text *t, const struct box_spec *s)
{
	auto_text struct text resolv = TEXT_INIT;
	bool extra = resolv_wanted(s, &resolv);
	put_u32(t, (uint32_t)s->n_files + extra);
	for (size_t i = 0; i < s->n_files; i++)
		put_file(t, s->files[i].path, s->files[i].mode, s->files[i].bytes, s->files[i].n);
	if (extra)
		put_file(t, pack_resolv, 0444, text_str(&resolv), resolv.n);
}

static const char *pack_home(char *const *env)
{
	for (; *env; env++)
		if (!strncmp(*env, "HOME=", 5) && path_is_plain(*env + 5))
			return *env + 5;
	return "";
}

/* Sealed: what the helper reads is what was written. */
static int pack_text(const struct text *t, struct err *e)
{
	auto_fd int fd = memfd_create("assay-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || dir_write_all(fd, text_str(t), t->n) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		return err_sys(e, "plan in a memfd");
	return give_fd(&fd);
}

int pack_make(struct pack *p, const struct box_spec *s, const struct filter *filter,
	      uint64_t processes, bool verbose, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	*p = (struct pack){.text_fd = -1};
	put_u32(&t, (s->root_host ? PLAN_ROOT_HOST : 0u) |
			    (s->net == BOX_NET_HOST ? PLAN_NET_HOST : 0u) |
			    (s->net == BOX_NET_NAT ? PLAN_NET_NAT : 0u) |
			    (s->terminal ? PLAN_TERMINAL_WANTED : 0u) |
			    (verbose ? PLAN_VERBOSE : 0u) | s->loosen << PLAN_LOOSEN_SHIFT);
	put_u32(&t, s->uid);
	put_u32(&t, s->gid);
	put_string(&t, s->name);
	put_string(&t, s->hostname);
	put_string(&t, s->cwd);
	put_string(&t, pack_home(s->env));
	put_u64(&t, s->limits.open_files);
	put_u64(&t, s->limits.file_size);
	put_u64(&t, processes);
	put_u64(&t, s->limits.memory);
	put_u64(&t, s->limits.disk);
	put_u64(&t, s->limits.disk_inodes);
	put_mounts(p, &t, s);
	put_files(&t, s);
	put_strings(&t, s->argv);
	put_strings(&t, s->env);
	put_bytes(&t, filter->code, filter->n * sizeof(*filter->code));
	if (t.n > PLAN_TEXT_MAX)
		return err_set(e, ERR_LIMIT,
			       "box %s: its files, arguments and environment take %zu bytes",
			       s->name, t.n);
	p->bytes = t.n;
	p->text_fd = pack_text(&t, e);
	return p->text_fd < 0 ? -1 : 0;
}

void pack_fini(struct pack *p)
{
	if (p->text_fd >= 0)
		close(p->text_fd);
	free(p->fds);
	*p = (struct pack){.text_fd = -1};
}
