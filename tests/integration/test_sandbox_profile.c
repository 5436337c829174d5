/* What a box may not: each test is an attack that has worked on some sandbox, or a thing programs
 * need that a tight one breaks. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static void nothing_is_open_but_0_to_2(void **state)
{
	(void)state;
	/* opened in the caller without O_CLOEXEC: must not get through three processes */
	int leak = open("/", O_RDONLY | O_DIRECTORY);
	assert_int_equal(dup2(leak, 77), 77);
	try_script("for f in /proc/self/fd/*; do case $f in */0|*/1|*/2|*/3) ;; *) echo $f "
		   "$(readlink $f);; esac; done;"
		   "readlink /proc/self/fd/0; test -e /proc/$$/fd/3 && echo three; true",
		   0, "/dev/null\n");
	close(77);
	close(leak);
}

static void the_host_s_files_are_not_there(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "ls -A /root /home /mnt /srv /var/tmp; for p in /work /boot /lost+found "
		     "/old_root /.dockerenv; do ls -d $p 2>/dev/null; done;"
		     "test \"$(stat -c %i /..)\" = \"$(stat -c %i /)\" && ls -A /../root && cat "
		     "/etc/shadow 2>/dev/null; true");
	try_run(&t);
	try_expect(&t, 0, "/home:\n\n/mnt:\n\n/root:\n\n/srv:\n\n/var/tmp:\n");
	try_fini(&t);
	/* no mount of the host's is left, covered or not */
	try_script("grep -c -e ' /lost' -e old_root -e ' /boot' -e ' - cgroup' "
		   "/proc/self/mountinfo; cd / && stat -c %m /..",
		   0, "0\n/\n");
}

static void pid_1_is_out_of_reach(void **state)
{
	(void)state;
	try_script("(: >>/proc/1/exe) 2>/dev/null && echo write; readlink /proc/1/exe; ls "
		   "/proc/1/fd; cat /proc/1/environ /proc/1/maps | wc -c;"
		   "kill -9 1; kill -TERM 1; kill -STOP 1; sleep 0.1; cat /proc/1/comm; echo alive",
		   0, NULL);
	struct try t;
	try_init(&t, "exec 2>/dev/null; (: >>/proc/1/exe) && echo write; readlink /proc/1/exe "
		     "/proc/1/cwd /proc/1/root /proc/1/fd/*;"
		     "cat /proc/1/environ /proc/1/maps | wc -c; kill -9 1; kill -TERM 1; kill "
		     "-STOP 1; sleep 0.1; cat /proc/1/comm");
	try_run(&t);
	try_expect(&t, 0, "0\nassay-init\n");
	try_fini(&t);
}

static void pid_1_s_descriptors_are_not_even_listed(void **state)
{
	(void)state;
	try_excepted();
	try_script("ls /proc/1/fd 2>/dev/null; true", 0, "");
}

static void the_helper_s_program_can_not_be_written(void **state)
{
	struct try t;
	struct stat before, after;
	(void)state;
	assert_int_equal(stat(getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX, &before), 0);
	/* executed as /proc/self/exe while pid 1's copy is still itself; it holds its own file
	 * open, then writes */
	try_init(&t, "");
	static char exe[] = "/proc/self/exe", try[] = "try", zero[] = "0";
	free(t.argv[2]);
	t.argv[0] = exe;
	t.argv[1] = try;
	t.argv[2] = zero;
	try_run(&t);
	assert_true(t.facts.end == BOX_EXITED || t.facts.end == BOX_SIGNALLED);
	t.argv[2] = NULL;
	try_fini(&t);
	assert_int_equal(stat(getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(before.st_mtime, after.st_mtime);
}

static void mounts_and_namespaces_are_refused(void **state)
{
	(void)state;
	try_script("exec 2>/dev/null; mount -t tmpfs x /mnt && echo mount; umount /proc/keys && "
		   "echo umount; umount -l /usr && echo usr;"
		   "mount -o remount,rw /usr && echo remount; unshare -U true && echo user; "
		   "unshare -m true && echo ns;"
		   "unshare -n true && echo net; mount -t proc p /mnt && echo proc; mknod /tmp/d b "
		   "8 0 && echo dev;"
		   "hostname other && echo host; true",
		   0, "");
}

static void capabilities_are_nine_and_none_is_handed_on(void **state)
{
	(void)state;
	try_script(
		"grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)|^NoNew|^Seccomp:|^Sig(Blk|Ign)' "
		"/proc/self/status | tr -s '\\t ' ' '",
		0,
		"SigBlk: 0000000000000000\nSigIgn: 0000000000000000\n"
		"CapInh: 0000000000000000\nCapPrm: 00000000800400fb\nCapEff: 00000000800400fb\n"
		"CapBnd: 00000000800400fb\nCapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n");
}

static void proc_is_masked_and_its_sys_read_only(void **state)
{
	(void)state;
	try_script(
		"exec 2>/dev/null; for f in acpi asound bus config.gz driver dma fb fs interrupts "
		"iomem "
		"ioports irq kallsyms kcore key-users keys kmsg kpagecgroup kpagecount kpageflags "
		"latency_stats mdstat modules mtrr pagetypeinfo pressure sched_debug scsi slabinfo "
		"softirqs timer_list timer_stats vmallocinfo zoneinfo; do"
		"  if test -d /proc/$f; then ls -A /proc/$f; else timeout 5 head -c 10 /proc/$f; "
		"fi; done;"
		"find /proc/sys -writable | head;"
		"for f in /proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward "
		"/proc/sysrq-trigger; do (echo x >$f) && echo $f; done;"
		"mv /proc/keys /proc/x && echo moved; rm /dev/null && echo removed; ls /sys; cat "
		"/sys/devices/system/cpu/online | wc -l",
		0, "devices\nfs\n1\n");
}

static void devices_are_few_and_work(void **state)
{
	(void)state;
	try_script("echo x >/dev/null && head -c 4 /dev/urandom | wc -c; (echo y >/dev/full) "
		   "2>/dev/null || echo full; test -c /dev/pts/ptmx && echo shm >/dev/shm/f && cat "
		   "/dev/shm/f; ls /dev/pts; echo out >/dev/stdout; echo err >/dev/stderr; "
		   "echo fd >/proc/self/fd/1",
		   0, "4\nfull\nshm\nptmx\nout\nerr\nfd\n");
	struct try t;
	try_init(&t, "ls -I mqueue /dev | tr '\\n' ' '; (: </dev/tty) 2>/dev/null || echo no tty");
	try_run(&t);
	try_expect(&t, 0,
		   "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero "
		   "no tty\n");
	try_fini(&t);
}

/* The caller's pid, ids of this machine. */
static void what_pid_1_was_started_with_says_nothing_of_this_machine(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "tr '\\0' ' ' </proc/1/cmdline | tr -d 0-9; "
		     "tr '\\0' '\\n' </proc/1/cmdline | grep -c '[0-9]'");
	try_run(&t);
	assert_non_null(strchr(text_str(&t.out), ' '));
	assert_string_equal(strrchr(text_str(&t.out), ' '), " 0\n");
	try_fini(&t);
}

static void the_host_sees_another_user(void **state)
{
	struct try t;
	(void)state;
	/* a number of seconds that nobody else sleeps */
	auto_free char *script = own_fmt("id -u; exec sleep 900.%07d", (int)getpid());
	try_init(&t, script);
	try_start(&t);
	while (!t.out.n && !t.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	DIR *proc = opendir("/proc");
	unsigned seen = 0;
	for (int again = 0; !seen && !t.ends && again < 20000; again++) {
		struct process p;
		usleep(5000);
		rewinddir(proc);
		while (process_next(proc, &p))
			if (!strncmp(p.line, strstr(script, "sleep"),
				     strlen(strstr(script, "sleep")))) {
				seen++;
				if (geteuid())
					assert_int_equal(p.uid, geteuid());
				else
					assert_true(p.uid >= 65536);
			}
		uv_run(&try_loop, UV_RUN_NOWAIT);
	}
	closedir(proc);
	assert_int_not_equal(seen, 0);
	box_cancel(t.box, false);
	try_wait(&t);
	assert_string_equal(text_str(&t.out), "0\n");
	try_fini(&t);
}

static void without_network_there_is_loopback_and_nothing_else(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '; python3 -c '\n"
		     "import os, socket\n"
		     "for host, family in ((\"127.0.0.1\", socket.AF_INET), (\"::1\", "
		     "socket.AF_INET6), (\"localhost\", socket.AF_INET)):\n"
		     "    if host == \"::1\" and not os.path.exists(\"/proc/net/if_inet6\"):\n"
		     "        print(\"x\"); continue\n" /* a kernel without IPv6 */
		     "    s = socket.socket(family); s.bind((host, 0)); s.listen()\n"
		     "    c = socket.create_connection(s.getsockname()[:2]); a, _ = s.accept(); "
		     "a.send(b\"x\"); print(c.recv(1).decode())\n"
		     "try:\n"
		     "    socket.create_connection((\"192.0.2.1\", 80), 2)\n"
		     "except OSError as e:\n"
		     "    print(e.strerror)\n'");
	try_file(&t, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
	try_run(&t);
	if (t.facts.exit_code == 127)
		skip(); /* no python3 here */
	try_expect(&t, 0, "lo\nx\nx\nx\nNetwork is unreachable\n");
	try_fini(&t);
}

/* A listener of the host's on loopback is reached with BOX_NET_HOST only. */
static void the_host_s_network_is_there_when_asked_for(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	auto_fd int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)state;
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s, 4), 0);
	getsockname(s, (struct sockaddr *)&a, &n);
	auto_free char *script = own_fmt(
		"exec 2>/dev/null; bash -c ': </dev/tcp/127.0.0.1/%u' && echo reached || echo not",
		ntohs(a.sin_port));
	for (int host = 0; host < 2; host++) {
		struct try t;
		try_init(&t, script);
		t.spec.net = host ? BOX_NET_HOST : BOX_NET_NONE;
		try_run(&t);
		try_expect(&t, 0, host ? "reached\n" : "not\n");
		try_fini(&t);
	}
}

static void links_in_layers_lead_nowhere_out(void **state)
{
	struct try t;
	(void)state;
	/* what an earlier phase may have left: mount points that are links to the host's places,
	 * absolute and relative */
	try_write("hostile/l/keep", "");
	static const char *const names[] = {"data", "work-dir", "escape", "cache", "loop"};
	static const char *const targets[] = {"/etc", "../../../../../../tmp", "/proc/1/root",
					      "/nowhere/at/all", "loop"};
	for (size_t i = 0; i < countof(names); i++) {
		auto_free char *name = own_fmt("hostile/l/%s", names[i]);
		assert_int_equal(symlinkat(targets[i], try_dir_fd, name), 0);
	}
	try_write("hostile/m/f", "mounted\n");
	try_init(&t, "cat /tmp/sub/f /cache/f /nowhere/at/all/f; test -d /etc/ssl && echo etc");
	try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "hostile/l"), "hostile/1");
	try_lower(&t, try_mount(&t, "/work-dir/sub", BOX_RO), "hostile/m");
	try_lower(&t, try_mount(&t, "/cache", BOX_RO), "hostile/m");
	try_lower(&t, try_mount(&t, "/escape/x", BOX_RO), "hostile/m");
	try_run(&t);
	try_expect(&t, 0, "mounted\nmounted\nmounted\netc\n");
	try_fini(&t);
	assert_int_not_equal(access("/tmp/sub", F_OK), 0);
	/* nothing can be made in the read-only /etc of the host, and a loop has no end: both are
	 * named, to the job that left them */
	static const char *const bad[] = {"/data/new", "/loop"};
	for (size_t i = 0; i < countof(bad); i++) {
		try_init(&t, "true");
		auto_free char *upper = own_fmt("hostile/b%zu", i);
		try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "hostile/l"), upper);
		try_lower(&t, try_mount(&t, bad[i], BOX_RO), "hostile/m");
		try_run(&t);
		try_expect(&t, 126, NULL);
		assert_non_null(strstr(text_str(&t.out), bad[i]));
		try_fini(&t);
	}
	assert_int_not_equal(access("/etc/new", F_OK), 0);
	assert_int_not_equal(access("/nowhere", F_OK), 0);
}

static void a_working_directory_can_not_be_a_way_out(void **state)
{
	struct try t;
	(void)state;
	try_write("cwd/l/keep", "");
	assert_int_equal(symlinkat("/proc/self/fd/3", try_dir_fd, "cwd/l/w"), 0);
	try_init(&t, "pwd");
	t.spec.cwd = "/w";
	try_lower(&t, try_mount(&t, "/", BOX_COW), "cwd/l");
	try_run(&t);
	try_expect(&t, 126, NULL);
	assert_non_null(strstr(text_str(&t.out), "working directory /w"));
	try_fini(&t);
}

static void what_programs_need_works(void **state)
{
	(void)state;
	try_script("cd /tmp && touch f && chown 0:0 f && chmod 4755 f && mkfifo p && ln -s f l && "
		   "flock f true && nice true && "
		   "(trap 'echo term' TERM; kill -TERM $(sh -c 'echo $PPID')) && setsid true && "
		   "timeout 500 true && "
		   "head -c 1000000 /dev/zero >big && sync && umask && ulimit -c",
		   0, "term\n0022\n0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_open_but_0_to_2),
		cmocka_unit_test(the_host_s_files_are_not_there),
		cmocka_unit_test(pid_1_is_out_of_reach),
		cmocka_unit_test(pid_1_s_descriptors_are_not_even_listed),
		cmocka_unit_test(the_helper_s_program_can_not_be_written),
		cmocka_unit_test(mounts_and_namespaces_are_refused),
		cmocka_unit_test(capabilities_are_nine_and_none_is_handed_on),
		cmocka_unit_test(proc_is_masked_and_its_sys_read_only),
		cmocka_unit_test(devices_are_few_and_work),
		cmocka_unit_test(what_pid_1_was_started_with_says_nothing_of_this_machine),
		cmocka_unit_test(the_host_sees_another_user),
		cmocka_unit_test(without_network_there_is_loopback_and_nothing_else),
		cmocka_unit_test(the_host_s_network_is_there_when_asked_for),
		cmocka_unit_test(links_in_layers_lead_nowhere_out),
		cmocka_unit_test(a_working_directory_can_not_be_a_way_out),
		cmocka_unit_test(what_programs_need_works),
	};
	return cmocka_run_group_tests_name("sandbox: profile", tests, try_setup, try_teardown);
}
