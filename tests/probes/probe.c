#include "tests/probes/probe.h"

#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#define TRY_SECONDS 120

struct seen {
	enum verdict verdict;
	char what[240];
};

static const struct probe *const tables[] = {
	use_files,       use_process,    use_talk,       limits,        attack_calls,
	attack_flags,    attack_sockets, attack_files,   attack_host,   attack_inherited,
	attack_kernelfs, attack_powers,  attack_process, attack_shares,
};
static const char *const kinds[] = {"attack", "limit", "use"};
static const char *const words[][2] = {{"contained", "open"},
				       {"held", "passed"},
				       {"works", "broken"}};

static struct seen *seen;
static char **facts;
char probe_exe[PATH_MAX];
const char *probe_work, *probe_share = "/probe", *probe_top = "/work";

void verdict(enum verdict v, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(seen->what, sizeof(seen->what), fmt, args);
	va_end(args);
	seen->verdict = v;
	_exit(0);
}

bool is_refusal(int error)
{
	return error == EPERM || error == EACCES || error == ENOSYS;
}

const char *error_name(int error)
{
	const char *name = strerrorname_np(error);
	return name ? name : "?";
}

void refused(long rc, const char *what)
{
	if (rc != -1)
		open_to("%s: gave %ld", what, rc);
	if (is_refusal(errno))
		contained("%s: %s", what, error_name(errno));
	open_to("%s: the kernel looked at it: %s", what, error_name(errno));
}

const char *fact(const char *name)
{
	size_t n = strlen(name);
	for (char **f = facts; *f; f++)
		if (!strncmp(*f, name, n) && (*f)[n] == '=') {
			if (!strcmp(*f + n + 1, "-"))
				absent("the host has no %s", name);
			if ((*f)[n + 1])
				return *f + n + 1;
		}
	verdict(VERDICT_BAD, "nobody said what the host's %s is", name);
}

unsigned long fact_number(const char *name)
{
	return strtoul(fact(name), NULL, 0);
}

bool is_bare(void)
{
	struct stat st;
	return !stat("/proc/self/ns/pid", &st) && st.st_ino == fact_number("ns_pid");
}

ssize_t file_get(const char *path, char *out, size_t size)
{
	size_t n = 0;
	ssize_t r = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	while (n < size - 1 && (r = read(fd, out + n, size - 1 - n)) > 0)
		n += (size_t)r;
	int error = errno;
	close(fd);
	errno = error;
	out[n] = 0;
	return n || !r ? (ssize_t)n : -1;
}

int file_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

int file_make(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		return -1;
	return fd;
}

unsigned long long status_number(const char *field, int base)
{
	char text[8192], key[64];
	snprintf(key, sizeof(key), "\n%s:", field);
	if (file_get("/proc/self/status", text, sizeof(text)) < 0)
		verdict(VERDICT_BAD, "/proc/self/status: %s", error_name(errno));
	char *at = strstr(text, key);
	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

int wait_for(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	return status;
}

int in_child(void (*f)(void *arg), void *arg)
{
	pid_t pid = fork();
	if (pid < 0)
		verdict(VERDICT_BAD, "fork: %s", error_name(errno));
	if (!pid) {
		f(arg);
		_exit(0);
	}
	return wait_for(pid);
}

static int work_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	remove(path);
	return 0;
}

/* What this program got, and each probe gets: SIGCHLD is the parent's in between. */
static struct sigaction child_action;
static sigset_t child_mask;

/* True when pid ended within TRY_SECONDS. */
static bool probe_await(pid_t pid, int *status)
{
	struct timespec now, end, left;
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += TRY_SECONDS;
	for (;;) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left.tv_sec = end.tv_sec - now.tv_sec;
		left.tv_nsec = 0;
		if (left.tv_sec <= 0)
			return false;
		sigtimedwait(&child, NULL, &left);
	}
}

/* One probe in a process group of its own, ended with all it left after TRY_SECONDS. */
static void probe_try(const struct probe *p, const char *above)
{
	char work[PATH_MAX];
	int status = 0;
	*seen = (struct seen){0};
	snprintf(work, sizeof(work), "%s/%s", above, p->name);
	if (mkdir(work, 0777) && errno != EEXIST)
		snprintf(work, sizeof(work), "%s", above);
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		snprintf(seen->what, sizeof(seen->what), "fork: %s", error_name(errno));
	} else if (!pid) {
		setpgid(0, 0);
		sigaction(SIGCHLD, &child_action, NULL);
		sigprocmask(SIG_SETMASK, &child_mask, NULL);
		probe_work = work;
		p->try(p);
		verdict(VERDICT_BAD, "the probe came to no verdict");
	} else {
		if (!probe_await(pid, &status)) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			seen->verdict = VERDICT_NONE;
			snprintf(seen->what, sizeof(seen->what), "no end within %d s", TRY_SECONDS);
		} else if (!seen->verdict && WIFSIGNALED(status)) {
			/* A call that kills who makes it has not done what it was made for. */
			snprintf(seen->what, sizeof(seen->what), "killed by SIG%s",
				 sigabbrev_np(WTERMSIG(status)));
			if (p->kind == PROBE_ATTACK && WTERMSIG(status) == SIGSYS)
				seen->verdict = VERDICT_GOOD;
		}
		kill(-pid, SIGKILL);
		while (waitpid(-pid, NULL, 0) > 0)
			;
	}
	if (strcmp(work, above))
		nftw(work, work_unlink, 16, FTW_DEPTH | FTW_PHYS);
	for (char *c = seen->what; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	printf("%s\t%s\t%s\t%s\t%s\n", p->name, kinds[p->kind],
	       seen->verdict == VERDICT_ABSENT ? "absent"
					       : words[p->kind][seen->verdict != VERDICT_GOOD],
	       seen->what, p->line);
	fflush(stdout);
}

static bool is_wanted(const struct probe *p, const char *kind, const char *only)
{
	size_t n = strlen(p->name);
	if (kind && strcmp(kind, kinds[p->kind]))
		return false;
	/* only: names with commas between them */
	for (const char *at = only; at && (at = strstr(at, p->name)); at += n)
		if ((at == only || at[-1] == ',') && (!at[n] || at[n] == ','))
			return true;
	return !only;
}

static int try_main(int argc, char **argv)
{
	const char *kind = NULL, *only = NULL;
	sigset_t child;
	int i = 2;
	for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
		if (!strcmp(argv[i], "--kind"))
			kind = argv[i + 1];
		else if (!strcmp(argv[i], "--only"))
			only = argv[i + 1];
		else if (!strcmp(argv[i], "--work"))
			probe_top = argv[i + 1];
		else if (!strcmp(argv[i], "--share"))
			probe_share = argv[i + 1];
		else
			return 2;
	}
	facts = argv + i;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 3;
	ssize_t n = readlink("/proc/self/exe", probe_exe, sizeof(probe_exe) - 1);
	if (n <= 0)
		snprintf(probe_exe, sizeof(probe_exe), "%s", argv[0]);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &child_action);
	sigprocmask(SIG_BLOCK, &child, &child_mask);
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct probe *p = tables[t]; p->name; p++)
			if (is_wanted(p, kind, only))
				probe_try(p, probe_top);
	return 0;
}

static int list_main(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct probe *p = tables[t]; p->name; p++)
			printf("%s\t%s\t%s\n", p->name, kinds[p->kind], p->line);
	return 0;
}

int main(int argc, char **argv)
{
	const char *face = argc > 1 ? argv[1] : "";
	if (!strcmp(face, "try"))
		return try_main(argc, argv);
	if (!strcmp(face, "list"))
		return list_main();
	if (!strcmp(face, "host"))
		return host_main(argc, argv);
	if (!strcmp(face, "dirty"))
		return dirty_main(argc, argv);
	if (!strcmp(face, "gained"))
		return gained_main();
	fprintf(stderr, "usage: assay-probe try [--kind KIND] [--only NAME,...] [--work DIR] "
			"FACT=VALUE...\n"
			"       assay-probe list\n"
			"       assay-probe host DIR\n"
			"       assay-probe dirty COMMAND...\n");
	return 2;
}
