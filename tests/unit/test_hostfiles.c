/* orchestrator/hostfiles.c: what a box finds below /etc whatever its root is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "base/text.h"
#include "orchestrator/hostfiles.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/assay-hostfiles.XXXXXX";
static int dir_fd;

static const struct box_file *file_of(const struct hostfiles *h, const char *path)
{
	for (size_t i = 0; i < h->n; i++)
		if (!strcmp(h->files[i].path, path))
			return &h->files[i];
	return NULL;
}

static bool says(const struct hostfiles *h, const char *path, const char *words)
{
	const struct box_file *f = file_of(h, path);
	assert_non_null(f);
	return memmem(f->bytes, f->n, words, strlen(words));
}

static void localhost_and_the_box_s_name_are_always_there(void **state)
{
	(void)state;
	for (int net = BOX_NET_NONE; net <= BOX_NET_NAT; net++)
		for (int host = 0; host < 2; host++) {
			struct box_spec spec = {.hostname = "nemo",
						.net = (enum box_net)net,
						.root_host = host};
			struct hostfiles h;
			hostfiles_make(&h, &spec);
			assert_true(says(&h, "/etc/hosts", "127.0.0.1 localhost nemo\n"));
			assert_true(says(&h, "/etc/hosts", "::1 localhost "));
			assert_true(says(&h, "/etc/hostname", "nemo"));
			if (net == BOX_NET_NONE)
				assert_int_equal(h.n, 2);
			hostfiles_fini(&h);
		}
}

/* One line: what this machine calls itself is not what a box is. */
static void names_of_this_machine_are_its_own(void **state)
{
	(void)state;
	struct box_spec spec = {.hostname = "nemo", .net = BOX_NET_HOST, .root_host = true};
	struct hostfiles h;
	hostfiles_make(&h, &spec);
	const struct box_file *f = file_of(&h, "/etc/hosts");
	auto_free char *text = own_dup_n(f->bytes, f->n);
	size_t lines = 0, loopback = 0;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		lines += *line != 0;
		loopback += !strncmp(line, "127.", 4) || !strncmp(line, "::1", 3);
	}
	assert_true(lines >= 2);
	assert_int_equal(loopback, 2);
	hostfiles_fini(&h);
}

static void who_is_asked_for_names_depends_on_the_network(void **state)
{
	(void)state;
	struct box_spec spec = {.hostname = "n", .net = BOX_NET_NAT, .root_host = true};
	struct hostfiles h;
	if (access("/etc/resolv.conf", R_OK))
		skip();
	hostfiles_make(&h, &spec);
	assert_true(says(&h, "/etc/resolv.conf", "nameserver 169.254.1.1\n"));
	const struct box_file *f = file_of(&h, "/etc/resolv.conf");
	const char *second = memmem((const char *)f->bytes + 1, f->n - 1, "nameserver", 10);
	assert_null(second);
	hostfiles_fini(&h);
	spec.net = BOX_NET_HOST;
	hostfiles_make(&h, &spec);
	assert_false(says(&h, "/etc/resolv.conf", "169.254.1.1"));
	hostfiles_fini(&h);
}

static void a_root_without_a_bundle_gets_this_machine_s(void **state)
{
	static const char bundle[] = "/etc/ssl/certs/ca-certificates.crt";
	struct err e = ERR_INIT;
	(void)state;
	if (access(bundle, R_OK))
		skip();
	auto_fd int bare = dir_make(dir_fd, "bare", 0755, &e);
	auto_fd int full = dir_make(dir_fd, "full/etc/pki/tls/certs", 0755, &e);
	assert_true(bare >= 0 && full >= 0);
	assert_int_equal(symlinkat("/nowhere", full, "ca-bundle.crt"), 0);
	auto_fd int top = openat(dir_fd, "full", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int lowers[] = {bare, top};
	struct box_mount root = {.path = "/", .mode = BOX_COW, .lowers = lowers, .n_lowers = 1};
	struct box_spec spec = {.hostname = "n",
				.net = BOX_NET_HOST,
				.mounts = &root,
				.n_mounts = 1};
	struct hostfiles h;
	hostfiles_make(&h, &spec);
	assert_true(says(&h, bundle, "-----BEGIN CERTIFICATE-----"));
	hostfiles_fini(&h);
	root.n_lowers = 2; /* another layer has one */
	hostfiles_make(&h, &spec);
	assert_null(file_of(&h, bundle));
	hostfiles_fini(&h);
	root.n_lowers = 1;
	spec.net = BOX_NET_NONE;
	hostfiles_make(&h, &spec);
	assert_null(file_of(&h, bundle));
	hostfiles_fini(&h);
}

static void a_mount_at_its_place_is_somebody_s_own_idea(void **state)
{
	struct box_mount hosts = {.path = "/etc/hosts", .mode = BOX_RO};
	struct box_spec spec = {.hostname = "n", .mounts = &hosts, .n_mounts = 1};
	struct hostfiles h;
	(void)state;
	hostfiles_make(&h, &spec);
	assert_null(file_of(&h, "/etc/hosts"));
	assert_non_null(file_of(&h, "/etc/hostname"));
	hostfiles_fini(&h);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0;
}

static int tear_down(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	close(dir_fd);
	auto_fd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_remove(tmp, strrchr(dir, '/') + 1, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(localhost_and_the_box_s_name_are_always_there),
		cmocka_unit_test(names_of_this_machine_are_its_own),
		cmocka_unit_test(who_is_asked_for_names_depends_on_the_network),
		cmocka_unit_test(a_root_without_a_bundle_gets_this_machine_s),
		cmocka_unit_test(a_mount_at_its_place_is_somebody_s_own_idea),
	};
	return cmocka_run_group_tests_name("hostfiles", tests, set_up, tear_down);
}
