#include "orchestrator/hostfiles.h"

#include "base/text.h"

#include <string.h>

static void hostfiles_add(struct hostfiles *h, const char *path, const void *bytes, size_t n)
{
	h->files[h->n++] = (struct box_file){.path = path, .bytes = bytes, .n = n, .mode = 0644};
}

void hostfiles_make(struct hostfiles *h, const char *hostname, enum box_net net)
{
	/* hosts(5); getaddrinfo(3) asks this file before any server */
	static const char hosts[] =
		"127.0.0.1 localhost\n127.0.0.1 assay\n::1 localhost ip6-localhost ip6-loopback\n";
	*h = (struct hostfiles){.resolv = own_calloc(1, sizeof(*h->resolv))};
	hostfiles_add(h, "/etc/hosts", hosts, sizeof(hosts) - 1);
	hostfiles_add(h, "/etc/hostname", hostname, strlen(hostname));
	if (box_resolv_conf(net, h->resolv))
		hostfiles_add(h, "/etc/resolv.conf", text_str(h->resolv), h->resolv->n);
}

void hostfiles_without(struct hostfiles *h, const struct box_mount *mounts, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < h->n; i++) {
		bool taken = false;
		for (size_t k = 0; k < n; k++)
			taken |= !strcmp(mounts[k].path, h->files[i].path);
		if (!taken)
			h->files[kept++] = h->files[i];
	}
	h->n = kept;
}

void hostfiles_fini(struct hostfiles *h)
{
	if (h->resolv)
		text_fini(h->resolv);
	free(h->resolv);
	*h = (struct hostfiles){0};
}
