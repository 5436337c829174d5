/* The few files below /etc that a box needs whatever its root is: a minimal root file system has no
 * /etc/hosts, and without it "localhost" does not resolve; one with a network needs to know whom to
 * ask for names, and whom to trust. Loop thread or lane. */
#pragma once
#include "sandbox/sandbox.h"

struct hostfiles {
	struct box_file files[4];
	size_t n;
	struct text *hosts, *resolv, *trust; /* owned: what files points to */
};

/* hostfiles_make(h, spec): of the box that spec describes (host name, network, root, mounts), but
 * for those whose place is a mount's: /etc/hosts, /etc/hostname  always; with a network this
 * machine's own names for others too /etc/resolv.conf           as box_resolv_conf has it
 *   /etc/ssl/certs/ca-certificates.crt  with a network, this machine's, where no layer of a root
 * that is not this machine's brings a bundle of its own The host name is borrowed for as long as h
 * lives. Give it back with hostfiles_fini. */
void hostfiles_make(struct hostfiles *h, const struct box_spec *spec);
void hostfiles_fini(struct hostfiles *h);
