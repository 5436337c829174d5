#include "sandbox/helper.h"

#include "base/dir.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

const char *const executor_names[] = {"native", "crun", "runc", "podman", "docker", NULL};

const char *executor_of(const char *name)
{
	for (const char *const *e = executor_names; *e; e++)
		if (!strcmp(*e, name))
			return *e;
	return NULL;
}

char *executor_list(void)
{
	struct text t = TEXT_INIT;
	for (const char *const *e = executor_names; *e; e++)
		text_addf(&t, "%s%s", e == executor_names ? "" : e[1] ? ", " : " or ", *e);
	return text_take(&t);
}

/* A descriptor below 10 could be where the helper's own are put when it is started. */
static int out_of_the_way(int fd, const char *path, struct err *e)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	return high < 0 ? err_sys(e, "open %s", path) : high;
}

static int sealed_copy(int from, const char *path, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	if (dir_read_fd(from, (size_t)64 << 20, &t, e))
		return err_add(e, "%s", path);
	auto_fd int fd = memfd_create("assay-box", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("assay-box", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || dir_write_all(fd, t.p, t.n) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		return err_sys(e, "sealed copy of %s", path);
	/* The descriptor that made it is open for writing, and what is open for writing can't be
	 * executed. */
	char self[32];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	auto_fd int readable = open(self, O_RDONLY | O_CLOEXEC);
	return readable < 0 ? err_sys(e, "sealed copy of %s", path)
			    : out_of_the_way(readable, path, e);
}

static int find_open(const char *path, struct err *e)
{
	struct stat st;
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_ABSENT, "there is no %s", path);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, "open %s", path);
	uid_t me = geteuid();
	if (me && (st.st_uid == me || !access(path, W_OK)))
		return sealed_copy(fd, path, e);
	return out_of_the_way(fd, path, e);
}

static int find_program(const char *name, struct err *e)
{
	static const char *const places[] = {"", "../libexec/assay/"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(e, "where this program is");
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (size_t i = 0; i < countof(places); i++) {
		auto_free char *beside = own_fmt("%s/%s%s", self, places[i], name);
		*e = (struct err)ERR_INIT;
		int fd = find_open(beside, e);
		if (fd >= 0 || e->kind != ERR_ABSENT)
			return fd;
	}
	auto_free char *installed = own_fmt(ASSAY_LIBEXECDIR "/%s", name);
	*e = (struct err)ERR_INIT;
	return find_open(installed, e);
}

/* Of one build: where assay-box was said to be, assay-oci is too. */
static int find_oci(const char *box, struct err *e)
{
	const char *slash = box ? strrchr(box, '/') : NULL;
	if (!slash)
		return find_program("assay-oci", e);
	auto_free char *beside = own_fmt("%.*s/assay-oci", (int)(slash - box), box);
	return find_open(beside, e);
}

int helper_find(struct helper_program *p, const char *path, const char *executor, struct err *e)
{
	*p = (struct helper_program){.box_fd = -1, .oci_fd = -1};
	p->box_fd = path ? find_open(path, e) : find_program("assay-box", e);
	if (p->box_fd < 0)
		return -1;
	p->executor = executor ? executor_of(executor) : executor_names[0];
	if (!p->executor)
		return err_set(e, ERR_USAGE, "there is no executor %s", executor);
	if (p->executor == executor_names[0])
		return 0;
	p->oci_fd = find_oci(path, e);
	return p->oci_fd < 0 ? -1 : 0;
}

void helper_program_close(struct helper_program *p)
{
	own_close(&p->box_fd);
	own_close(&p->oci_fd);
}
