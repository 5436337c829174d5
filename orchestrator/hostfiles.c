#include "orchestrator/hostfiles.h"

#include "base/dir.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define HOSTS_MAX ((size_t)256 << 10)
#define TRUST_MAX ((size_t)4 << 20)

/* Where OpenSSL, GnuTLS, curl, Go and others look, by distribution; the first is where ours goes.
 */
static const char *const bundles[] = {
	"etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
	"etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
	"etc/ssl/ca-bundle.pem",             /* openSUSE */
	"etc/ssl/cert.pem",
};
static const char trust_path[] = "/etc/ssl/certs/ca-certificates.crt";

static void hostfiles_add(struct hostfiles *h, const struct box_spec *spec, const char *path,
			  const void *bytes, size_t n)
{
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (!strcmp(spec->mounts[i].path, path))
			return; /* somebody has his own idea */
	h->files[h->n++] = (struct box_file){.path = path, .bytes = bytes, .n = n, .mode = 0644};
}

/* Of a line of hosts(5): does it say where somebody else is? What is said of this machine's own
 * names is not so in a box. */
static bool names_another(const char *line)
{
	line += strspn(line, " \t");
	return *line && *line != '\n' && *line != '#' && strncmp(line, "127.", 4) != 0 &&
	       strncmp(line, "0.", 2) != 0 && strncmp(line, "::1", 3) != 0 &&
	       strncmp(line, "fe00::", 6) != 0 && strncmp(line, "ff0", 3) != 0;
}

/* getaddrinfo(3) asks this file before any server. */
static void hosts_make(struct text *out, const struct box_spec *spec)
{
	auto_text struct text host = TEXT_INIT;
	struct err absent = ERR_INIT;
	text_addf(out,
		  "127.0.0.1 localhost %s\n"
		  "::1 localhost ip6-localhost ip6-loopback\n",
		  spec->hostname);
	auto_fd int fd = spec->net == BOX_NET_NONE
				 ? -1
				 : open("/etc/hosts", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || dir_read_fd(fd, HOSTS_MAX, &host, &absent))
		return;
	for (const char *line = text_str(&host), *end; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (names_another(line))
			text_addf(out, "%.*s\n", (int)(end - line), line);
	}
}

/* Does a layer of the root bring one? A link counts: what it leads to is the layers' affair. */
static bool trust_is_there(const struct box_spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct box_mount *m = &spec->mounts[i];
		for (size_t k = 0; !strcmp(m->path, "/") && k < m->n_lowers; k++)
			for (size_t b = 0; b < countof(bundles); b++) {
				auto_fd int fd = dir_open_beneath(m->lowers[k], bundles[b],
								  O_PATH | O_NOFOLLOW, 0);
				if (fd >= 0)
					return true;
			}
	}
	return false;
}

static bool trust_read(struct text *out)
{
	for (size_t b = 0; b < countof(bundles); b++) {
		struct err absent = ERR_INIT;
		auto_free char *path = own_fmt("/%s", bundles[b]);
		auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 && !dir_read_fd(fd, TRUST_MAX, out, &absent) && out->n)
			return true;
	}
	return false;
}

void hostfiles_make(struct hostfiles *h, const struct box_spec *spec)
{
	*h = (struct hostfiles){
		.hosts = own_calloc(1, sizeof(*h->hosts)),
		.resolv = own_calloc(1, sizeof(*h->resolv)),
		.trust = own_calloc(1, sizeof(*h->trust)),
	};
	hosts_make(h->hosts, spec);
	hostfiles_add(h, spec, "/etc/hosts", text_str(h->hosts), h->hosts->n);
	hostfiles_add(h, spec, "/etc/hostname", spec->hostname, strlen(spec->hostname));
	if (box_resolv_conf(spec->net, h->resolv))
		hostfiles_add(h, spec, "/etc/resolv.conf", text_str(h->resolv), h->resolv->n);
	if (spec->net != BOX_NET_NONE && !spec->root_host && !trust_is_there(spec) &&
	    trust_read(h->trust))
		hostfiles_add(h, spec, trust_path, text_str(h->trust), h->trust->n);
}

static void text_free(struct text *t)
{
	if (t)
		text_fini(t);
	free(t);
}

void hostfiles_fini(struct hostfiles *h)
{
	text_free(h->hosts);
	text_free(h->resolv);
	text_free(h->trust);
	*h = (struct hostfiles){.n = 0};
}
