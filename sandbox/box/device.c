#include "sandbox/box/device.h"

#include "sandbox/box/mnt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const struct {
	enum device device;
	const char *name, *host;
} devices[] = {
	{DEVICE_FUSE, "fuse", "/dev/fuse"},
	{DEVICE_KVM, "kvm", "/dev/kvm"},
	{DEVICE_TUN, "tun", "/dev/net/tun"},
};

static int device_make(int dir, const char *name, const char *host, const struct ids *ids,
		       struct err *e)
{
	struct stat s;
	if (stat(host, &s))
		return err_sys(e, "%s", host);
	if (!S_ISCHR(s.st_mode))
		return err_set(e, ERR_BOX, "%s is no character device", host);
	if (mknodat(dir, name, S_IFCHR | 0660, s.st_rdev) ||
	    fchownat(dir, name, ids->uid, ids->gid, AT_SYMLINK_NOFOLLOW) ||
	    fchmodat(dir, name, 0666, 0))
		return err_sys(e, "make a node like %s", host);
	return 0;
}

int devices_make(unsigned which, const struct ids *ids, struct err *e)
{
	auto_fd int dir = mnt_tmpfs(64 << 10, 0755, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
	if (dir < 0)
		return -1;
	for (size_t i = 0; i < countof(devices); i++)
		if (which & devices[i].device &&
		    device_make(dir, devices[i].name, devices[i].host, ids, e))
			return -1;
	return give_fd(&dir);
}
