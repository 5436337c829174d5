/* The few files below /etc that a box needs whatever its root is: a minimal root file system has no
 * /etc/hosts, and without it "localhost" does not resolve; one with a network needs this machine's
 * resolv.conf. Loop thread or lane. */
#pragma once
#include "sandbox/sandbox.h"

struct hostfiles {
	struct box_file files[3];
	size_t n;
	struct text *resolv; /* owned: what resolv.conf points to */
};

/* hostfiles_make(h, hostname, net): /etc/hosts and /etc/hostname always; /etc/resolv.conf as
 * box_resolv_conf has it.
 * hostname is borrowed for as long as h lives. Give it back with hostfiles_fini. */
void hostfiles_make(struct hostfiles *h, const char *hostname, enum box_net net);
/* hostfiles_without(h, mounts, n): leave out those whose place is a mount's. */
void hostfiles_without(struct hostfiles *h, const struct box_mount *mounts, size_t n);
void hostfiles_fini(struct hostfiles *h);
