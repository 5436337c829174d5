/* Other people's sandboxes, one start after the other, for tests/bench/box-start:
 *
 *     bench_spawns BOXES AT-ONCE DIR plain|uppers|overlays ARGV...
 *
 * AT-ONCE processes take turns at BOXES starts: each calls ARGV again and again, in which "@"
 * is its own directory DIR/K and "%" its K. With `uppers` DIR/K/box has for each start the fresh
 * directories r.u, r.w, s.u and s.w, as for assay's boxes. With `overlays` it mounts the two over
 * DIR/rootfs and DIR/store, too, at DIR/K/rootfs and DIR/K/rootfs/store, as a caller has to whose
 * sandbox mounts none; and takes both away afterwards. One line of JSON: "life": ns, between the
 * directories and without them; "dirs": what making and removing them took, and "dirs_cpu". */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

struct start {
	const char *dir;
	char *at; /* owned: DIR/K */
	int at_fd, said_fd;
	bool uppers, overlays;
	char **argv; /* owned, with what it points to */
};

struct took {
	int64_t life, dirs, dirs_cpu;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_spawns: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *word_for(const char *word, const char *dir, size_t k)
{
	size_t n = strcspn(word, "@%");
	if (!word[n])
		return own_dup(word);
	return word[n] == '@' ? own_fmt("%.*s%s%s", (int)n, word, dir, word + n + 1)
			      : own_fmt("%.*s%zu%s", (int)n, word, k, word + n + 1);
}

static void start_open(struct start *s, const char *dir, size_t k, const char *how, char **argv)
{
	size_t n = 0;
	while (argv[n])
		n++;
	*s = (struct start){.dir = dir,
			    .at = own_fmt("%s/%zu", dir, k),
			    .uppers = strcmp(how, "plain"),
			    .overlays = !strcmp(how, "overlays"),
			    .argv = own_calloc(n + 1, sizeof(char *))};
	for (size_t i = 0; i < n; i++)
		s->argv[i] = word_for(argv[i], s->at, k);
	s->at_fd = open(s->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->said_fd = memfd_create("said", MFD_CLOEXEC);
	if (s->at_fd < 0 || s->said_fd < 0)
		die(s->at);
}

static void overlay_on(const struct start *s, const char *lower, const char *name, const char *at)
{
	auto_free char *options =
		own_fmt("lowerdir=%s/%s,upperdir=%s/box/%s.u,workdir=%s/box/%s.w,volatile", s->dir,
			lower, s->at, name, s->at, name);
	auto_free char *target = own_fmt("%s/%s", s->at, at);
	if (mount("overlay", target, "overlay", 0, options))
		die(target);
}

static void overlays_mount(const struct start *s)
{
	overlay_on(s, "rootfs", "r", "rootfs");
	overlay_on(s, "store", "s", "rootfs/store");
}

static void overlays_unmount(const struct start *s)
{
	auto_free char *root = own_fmt("%s/rootfs", s->at), *store = own_fmt("%s/store", root);
	if (umount2(store, 0) || umount2(root, 0))
		die("umount");
}

/* Until all of it is gone: bwrap itself ends before the box's pid 1 has, which is then our child
 * (PR_SET_CHILD_SUBREAPER) and whose time counts only if it is waited for. What it says goes to a
 * file of ours: runc wants to own it (fchown(2)). */
static int start_run(const struct start *s)
{
	posix_spawn_file_actions_t files;
	pid_t pid;
	int status = 0;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, s->said_fd, STDERR_FILENO);
	errno = posix_spawn(&pid, s->argv[0], &files, NULL, s->argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (errno || waitpid(pid, &status, 0) != pid)
		die(s->argv[0]);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return status;
}

static void complain(const struct start *s, int status)
{
	char said[500];
	ssize_t n = pread(s->said_fd, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	fprintf(stderr, "%sbench_spawns: %s ended with wait status %#x\n", said, s->argv[0],
		(unsigned)status);
	exit(1);
}

static void die_of(const struct err *e)
{
	fprintf(stderr, "bench_spawns: %s\n", e->text);
	exit(1);
}

static struct took start_one(const struct start *s)
{
	struct err e = ERR_INIT;
	struct dirs_cost dirs = {.wall = 0};
	struct uppers u;
	if (s->uppers && uppers_make(&u, s->at_fd, "box", &dirs, &e))
		die_of(&e);
	int64_t began = clock_mono_ns();
	if (s->overlays)
		overlays_mount(s);
	int status = start_run(s);
	if (s->overlays)
		overlays_unmount(s);
	int64_t end = clock_mono_ns();
	if (s->uppers)
		uppers_close(&u);
	if (s->uppers && uppers_remove(s->at_fd, "box", &dirs, &e))
		die_of(&e);
	if (status)
		complain(s, status);
	return (struct took){end - began, dirs.wall, dirs.cpu};
}

/* One of those that take turns; its results go through a pipe. */
static pid_t worker(struct start *s, size_t boxes, int to)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("become a subreaper");
	for (size_t i = 0; i < boxes; i++) {
		struct took t = start_one(s);
		if (dir_write_all(to, &t, sizeof(t)))
			die("write");
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int pipes[2];
	if (argc < 6) {
		fprintf(stderr, "bench_spawns: started by tests/bench/box-start\n");
		return 1;
	}
	size_t boxes = strtoul(argv[1], NULL, 10), at_once = strtoul(argv[2], NULL, 10);
	if (!boxes || !at_once || pipe2(pipes, O_CLOEXEC))
		die("start");
	int64_t usage = usage_all_ns(), busy = machine_busy_ns(), began = clock_mono_ns();
	for (size_t k = 0; k < at_once; k++) {
		struct start s;
		start_open(&s, argv[3], k, argv[4], argv + 5);
		worker(&s, boxes / at_once + (k < boxes % at_once), pipes[1]);
	}
	close(pipes[1]);
	struct series life = {.name = "life"}, dirs = {.name = "dirs"};
	int64_t dirs_cpu = 0;
	struct took t;
	while (read(pipes[0], &t, sizeof(t)) == (ssize_t)sizeof(t)) {
		series_add(&life, t.life);
		series_add(&dirs, t.dirs);
		dirs_cpu += t.dirs_cpu;
	}
	int64_t wall = clock_mono_ns() - began;
	bool whole = life.n == boxes;
	for (int status; wait(&status) > 0 || errno == EINTR;)
		whole &= !status;
	printf("{");
	series_print(&life);
	series_print(&dirs);
	printf("\"boxes\": %zu, \"wall\": %" PRId64 ", \"cpu\": %" PRId64 ", \"dirs_cpu\": %" PRId64
	       ", \"busy\": %" PRId64 "}\n",
	       boxes, wall, usage_all_ns() - usage, dirs_cpu, machine_busy_ns() - busy);
	return whole ? 0 : 1;
}
