/* assay's own boxes, for tests/bench/box-start:
 *
 *     bench_boxes [-n BOXES] [-j AT-ONCE] [-t MIB] [-s EVERY] [-b HELPER] [-e EXECUTOR] DIR
 *
 * Each box runs /true in an overlay over DIR/rootfs and one over DIR/store, with fresh uppers in
 * DIR, all of the default profile on, and limits. -t: this process has touched so much memory
 * before. -s: after so many boxes at a time a line on stderr of what this process, its helpers and
 * the kernel have grown to. One line of JSON, in ns: "life" of each box from its order to its end,
 * "dirs": what making and removing the directories took before and after that, and "dirs_cpu",
 * "setup" to the command's execution, "start": how long box_start took, "block": how long one turn
 * of the loop kept it from others, our own work with directories left out; "start_alone" and
 * "block_alone" are those of them during which nobody else was given the processor instead. */
#include "tests/bench/bench.h"

#include "sandbox/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

struct bench {
	uv_loop_t loop;
	struct sandbox *sandbox;
	const char *helper, *executor;
	int dir_fd, rootfs_fd, store_fd;
	size_t boxes, at_once, every; /* wanted */
	size_t started, ended;
	int64_t mine; /* spent with directories, since the loop's turn began */
	int64_t dirs_cpu;
	int64_t turn, idle;
	long preempted;
	size_t sampled; /* of life: told in a line */
	struct series life, dirs, setup, start, block, start_alone, block_alone;
	uv_prepare_t prepare;
};

struct one {
	struct bench *bench;
	char name[24];
	int64_t began;
	struct dirs_cost dirs;
};

static void die(const struct err *e)
{
	fprintf(stderr, "bench_boxes: %s\n", e->text);
	exit(1);
}

static int entries(const char *dir)
{
	int n = 0;
	DIR *d = opendir(dir);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

static int lines(const char *path)
{
	auto_file FILE *f = fopen(path, "re");
	int n = 0;
	for (int c; f && (c = getc(f)) != EOF;)
		n += c == '\n';
	return n;
}

/* From smaps_rollup: what is its own. */
static unsigned private_kib(const char *pid)
{
	auto_free char *path = own_fmt("/proc/%s/smaps_rollup", pid);
	auto_file FILE *f = fopen(path, "re");
	char line[128];
	unsigned n, all = 0;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_Dirty: %u", &n) == 1 ||
		    sscanf(line, "Private_Clean: %u", &n) == 1)
			all += n;
	return all;
}

static unsigned cgroups(void)
{
	auto_file FILE *f = fopen("/proc/cgroups", "re");
	char line[128];
	unsigned n, most = 0;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*u %u", &n) == 1 && n > most)
			most = n;
	return most;
}

static int64_t by_size(const void *a, const void *b)
{
	return *(const int64_t *)a - *(const int64_t *)b;
}

static int by_size_sign(const void *a, const void *b)
{
	int64_t d = by_size(a, b);
	return (d > 0) - (d < 0);
}

static double median_ms(const struct series *s, size_t from)
{
	size_t n = s->n - from;
	auto_free int64_t *copy = own_alloc((n + 1) * sizeof(*copy));
	memcpy(copy, s->all + from, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), by_size_sign);
	return n ? (double)copy[n / 2] / 1e6 : 0;
}

static void sample(struct bench *b)
{
	unsigned helpers_kib = 0;
	int helpers_fds = 0, helpers = 0;
	char pid[24];
	auto_free char *children = own_fmt("/proc/self/task/%d/children", (int)getpid());
	auto_file FILE *f = fopen(children, "re");
	for (; f && fscanf(f, "%23s", pid) == 1; helpers++) {
		auto_free char *fds = own_fmt("/proc/%s/fd", pid);
		helpers_kib += private_kib(pid);
		helpers_fds += entries(fds);
	}
	fprintf(stderr,
		"after %6zu boxes: median %.2f ms; own %u KiB, %d descriptors; %d helpers %u KiB, "
		"%d descriptors; %d mounts, %u cgroups\n",
		b->ended, median_ms(&b->life, b->sampled), private_kib("self"),
		entries("/proc/self/fd"), helpers, helpers_kib, helpers_fds,
		lines("/proc/self/mountinfo"), cgroups());
	b->sampled = b->life.n;
}

static void one_start(struct bench *b);

static void one_end(void *owner, const struct box_facts *facts)
{
	struct one *o = owner;
	struct bench *b = o->bench;
	struct err e = ERR_INIT;
	int64_t over = clock_mono_ns();
	if (facts->end != BOX_EXITED || facts->exit_code) {
		fprintf(stderr, "bench_boxes: a box ended otherwise (%d, exit %d, signal %d) %s\n",
			(int)facts->end, facts->exit_code, facts->signal, facts->error);
		exit(1);
	}
	int64_t wall = o->dirs.wall;
	if (uppers_remove(b->dir_fd, o->name, &o->dirs, &e))
		die(&e);
	b->mine += o->dirs.wall - wall;
	b->dirs_cpu += o->dirs.cpu;
	series_add(&b->life, over - o->began);
	series_add(&b->dirs, o->dirs.wall);
	series_add(&b->setup, (int64_t)facts->setup_ns);
	free(o);
	if (b->every && ++b->ended % b->every == 0)
		sample(b);
	if (b->started < b->boxes)
		one_start(b);
}

static void one_start(struct bench *b)
{
	static const struct box_events events = {.on_end = one_end};
	struct err e = ERR_INIT;
	struct one *o = own_calloc(1, sizeof(*o));
	struct uppers u;
	o->bench = b;
	snprintf(o->name, sizeof(o->name), "box.%zu", b->started++);
	if (uppers_make(&u, b->dir_fd, o->name, &o->dirs, &e))
		die(&e);
	b->mine += o->dirs.wall;
	struct box_mount mounts[] = {
		{.path = "/",
		 .mode = BOX_COW,
		 .lowers = &b->rootfs_fd,
		 .n_lowers = 1,
		 .upper_fd = u.fd[0],
		 .work_fd = u.fd[1],
		 .ours = true},
		{.path = "/store",
		 .mode = BOX_COW,
		 .lowers = &b->store_fd,
		 .n_lowers = 1,
		 .upper_fd = u.fd[2],
		 .work_fd = u.fd[3],
		 .ours = true},
	};
	char *argv[] = {(char[]){"/true"}, NULL}, *env[] = {(char[]){"PATH=/"}, NULL};
	struct box_spec spec = {
		.name = "start",
		.mounts = mounts,
		.n_mounts = countof(mounts),
		.argv = argv,
		.env = env,
		.cwd = "/",
		.hostname = "box",
		.limits = {.wall_ms = 60000, .memory = 1 << 30, .processes = 100},
	};
	long preempted = preemptions();
	o->began = clock_mono_ns();
	if (!box_start(b->sandbox, &spec, &events, o, &e))
		die(&e);
	int64_t took = clock_mono_ns() - o->began;
	series_add(&b->start, took);
	if (preemptions() == preempted)
		series_add(&b->start_alone, took);
	uppers_close(&u);
}

/* Before the loop waits: how long was it awake? */
static void on_prepare(uv_prepare_t *handle)
{
	struct bench *b = handle->data;
	int64_t now = clock_mono_ns(), idle = (int64_t)uv_metrics_idle_time(&b->loop);
	long preempted = preemptions();
	int64_t took = now - b->turn - (idle - b->idle) - b->mine;
	if (b->turn)
		series_add(&b->block, took);
	if (b->turn && preempted == b->preempted)
		series_add(&b->block_alone, took);
	b->preempted = preempted;
	b->turn = now;
	b->idle = idle;
	b->mine = 0;
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

static void bench_session(struct bench *b, size_t boxes)
{
	struct err e = ERR_INIT;
	bool closed = false;
	struct sandbox_conf conf = {.helper = b->helper,
				    .executor = b->executor,
				    .slots = b->at_once,
				    .name = "bench"};
	uv_loop_init(&b->loop);
	uv_loop_configure(&b->loop, UV_METRICS_IDLE_TIME);
	b->sandbox = sandbox_open(&b->loop, &conf, &e);
	if (!b->sandbox)
		die(&e);
	b->boxes = b->at_once; /* the helpers are started */
	b->started = 0;
	for (size_t i = 0; i < b->at_once; i++)
		one_start(b);
	uv_prepare_init(&b->loop, &b->prepare);
	uv_unref((uv_handle_t *)&b->prepare);
	b->prepare.data = b;
	/* Helpers keep the loop alive: their end is not what is waited for here. */
	while (b->life.n < b->at_once)
		uv_run(&b->loop, UV_RUN_ONCE);
	b->life.n = b->dirs.n = b->setup.n = b->start.n = b->start_alone.n = b->sampled = b->ended =
		0;
	b->boxes = b->started + boxes;
	b->turn = b->dirs_cpu = 0;
	uv_prepare_start(&b->prepare, on_prepare);
	int64_t busy = machine_busy_ns(), began = clock_mono_ns();
	for (size_t i = 0; i < b->at_once && b->started < b->boxes; i++)
		one_start(b);
	while (b->life.n < boxes)
		uv_run(&b->loop, UV_RUN_ONCE);
	if (boxes)
		printf("\"wall\": %" PRId64 ", \"busy\": %" PRId64 ", ", clock_mono_ns() - began,
		       machine_busy_ns() - busy);
	uv_prepare_stop(&b->prepare);
	uv_close((uv_handle_t *)&b->prepare, NULL);
	sandbox_close(b->sandbox, on_closed, &closed);
	while (!closed)
		uv_run(&b->loop, UV_RUN_ONCE);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	uv_loop_close(&b->loop);
}

static int child_dir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct bench b = {.life = {.name = "life"},
			  .dirs = {.name = "dirs"},
			  .setup = {.name = "setup"},
			  .start = {.name = "start"},
			  .block = {.name = "block"},
			  .start_alone = {.name = "start_alone"},
			  .block_alone = {.name = "block_alone"},
			  .at_once = 1};
	size_t boxes = 100, touch = 0;
	for (int c; (c = getopt(argc, argv, "n:j:t:s:b:e:")) != -1;)
		switch (c) {
		case 'n':
			boxes = strtoul(optarg, NULL, 10);
			break;
		case 'j':
			b.at_once = strtoul(optarg, NULL, 10);
			break;
		case 't':
			touch = strtoul(optarg, NULL, 10) << 20;
			break;
		case 's':
			b.every = strtoul(optarg, NULL, 10);
			break;
		case 'b':
			b.helper = optarg;
			break;
		case 'e':
			b.executor = optarg;
			break;
		default:
			return 1;
		}
	if (optind != argc - 1 || !boxes || !b.at_once) {
		fprintf(stderr, "bench_boxes: started by tests/bench/box-start\n");
		return 1;
	}
	auto_free char *memory = own_alloc(touch + 1);
	memset(memory, 1, touch + 1);
	__asm__ volatile("" : : "r"(memory) : "memory");
	b.dir_fd = child_dir(AT_FDCWD, argv[optind]);
	b.rootfs_fd = child_dir(b.dir_fd, "rootfs");
	b.store_fd = child_dir(b.dir_fd, "store");
	/* One that was killed has left its groups. */
	sandbox_sweep_now("bench");
	/* Twice: what it takes to open and close, and to start the helpers, is no box's. */
	printf("{");
	int64_t usage = usage_all_ns();
	bench_session(&b, 0);
	int64_t idle = usage_all_ns() - usage;
	usage = usage_all_ns();
	bench_session(&b, boxes);
	int64_t cpu = usage_all_ns() - usage - idle;
	series_print(&b.life);
	series_print(&b.dirs);
	series_print(&b.setup);
	series_print(&b.start);
	series_print(&b.block);
	series_print(&b.start_alone);
	series_print(&b.block_alone);
	printf("\"boxes\": %zu, \"cpu\": %" PRId64 ", \"dirs_cpu\": %" PRId64 "}\n", boxes, cpu,
	       b.dirs_cpu);
	return 0;
}
