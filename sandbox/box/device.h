/* Device nodes for boxes whose ids are nobody's on this machine, where the host's own nodes may be
 * closed to them (/dev/kvm is root's or a group's): made by a helper that is root, on a file system
 * of ours. Whose ids are a user's own uses the host's nodes, as that user may. */
#pragma once
#include "base/err.h"
#include "sandbox/box/ids.h"

#include <stdint.h>

enum device {
	DEVICE_FUSE = 1, /* "fuse" */
	DEVICE_KVM = 2,  /* "kvm" */
	DEVICE_TUN = 4,  /* "tun": for pasta(1), not for the box */
};

/* devices_make(which, ids, e): a detached tmpfs that holds them, the box's root their owner. */
int devices_make(unsigned which, const struct ids *ids, struct err *e) must_check;
