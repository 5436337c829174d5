/* What a box with BOX_NET_NAT needs of this machine, and how names are found in it. */
#include "sandbox/sandbox.h"

#include "base/dir.h"
#include "base/text.h"
#include "sandbox/box/plan.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESOLV_MAX ((size_t)64 << 10)

static const char tun[] = "/dev/net/tun";

const char *box_net_name(enum box_net net)
{
	switch (net) {
	case BOX_NET_NONE:
		return "none";
	case BOX_NET_HOST:
		return "host";
	case BOX_NET_NAT:
		return "nat";
	}
	return "none";
}

int box_net_of(const char *name)
{
	for (int net = BOX_NET_NONE; net <= BOX_NET_NAT; net++)
		if (!strcmp(name, box_net_name((enum box_net)net)))
			return net;
	return -1;
}

int box_net_check(enum box_net net, struct err *e)
{
	if (net != BOX_NET_NAT)
		return 0;
	static const char *const paths[] = PLAN_PASTA;
	bool found = false;
	for (size_t i = 0; i < countof(paths); i++)
		found |= !access(paths[i], X_OK);
	if (!found)
		return err_set(e, ERR_BOX,
			       "network nat needs pasta(1): it is in the package passt");
	auto_fd int filter = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (filter < 0)
		return err_sys(e,
			       "network nat: nf_tables, which keep a box from this machine itself");
	/* Of boxes that root starts it is a node of ours that is opened. */
	auto_fd int fd = open(tun, geteuid() ? O_RDWR | O_CLOEXEC : O_PATH | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "network nat: open %s", tun) : 0;
}

/* Who is asked is pasta's affair, which asks who this machine asks; the rest of the file stays. */
static void resolv_behind_nat(const char *host, struct text *out)
{
	text_add(out, "nameserver " PLAN_NAMESERVER "\n");
	for (const char *end; *host; host = *end ? end + 1 : end) {
		end = strchrnul(host, '\n');
		const char *word = host + strspn(host, " \t");
		if (strncmp(word, "nameserver", 10) != 0)
			text_addf(out, "%.*s\n", (int)(end - host), host);
	}
}

bool box_resolv_conf(enum box_net net, struct text *out)
{
	auto_text struct text host = TEXT_INIT;
	struct err absent = ERR_INIT;
	if (net == BOX_NET_NONE)
		return false;
	/* followed where it is a link: this machine's own file, no job's */
	auto_fd int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || dir_read_fd(fd, RESOLV_MAX, &host, &absent))
		return false;
	if (net == BOX_NET_NAT)
		resolv_behind_nat(text_str(&host), out);
	else
		text_put(out, text_str(&host), host.n);
	return true;
}
