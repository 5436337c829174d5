/* What tests/bench/store measures: each word is one thing done once, in this process; it prints the
 * CPU seconds, the wall seconds and the peak memory (KiB) of that alone.
 *
 *   make DIR FILES SEED   files as npm's cache has them, median 530 bytes
 *   publish STATE DIR...  into the store "bench" of STATE, one after the other as a run does; each
 *                         DIR is an upper. The CPU seconds of its stages follow: "harvest" (walk,
 *                         read, digest, compressed frame), "layer" (the tree), "sync" (what makes
 *                         both durable), "record" (the database's transaction)
 *   take STATE DIR...     the same of uppers that nobody needs afterwards, as of a job's last phase
 *                         or an import: each DIR is gone then
 *   fill STATE ENTRIES N  the store has so many afterwards, by publishes of N; nothing is measured
 *   compact STATE         its stack becomes one layer
 *   restore STATE DIR     its current generation becomes DIR
 *   read STATE            from an open state directory to a byte of a file, read through an overlay
 *                         of the store's current generation (root only)
 *   hash, pack, guard, frame, layer, tree, copy: store_floor.h */
#include "store_floor.h"

#include "cache/inner.h"
#include "orchestrator/shelf.h"
#include "orchestrator/stack.h"
#include "orchestrator/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

struct err e = ERR_INIT;

static int die(void)
{
	fprintf(stderr, "bench_store: %s\n", e.text);
	return 1;
}

/* What a publish has spent since its step before. */
enum stage { HARVEST, LAYER, SYNC, RECORD, STAGES };
static const struct {
	const char *step;
	enum stage stage;
} steps[] = {
	{"harvested", HARVEST},  {"layer linked", LAYER}, {"frame appended", HARVEST},
	{"frame durable", SYNC}, {"layer synced", SYNC},  {"list named", LAYER},
	{"layer named", LAYER},  {"layer durable", SYNC},
};
static double stages[STAGES];
static struct span stage_began;

static void on_step(const char *step)
{
	for (size_t i = 0; i < countof(steps); i++)
		if (!strcmp(step, steps[i].step)) {
			stages[steps[i].stage] += spent(&stage_began);
			stage_began = begin();
		}
}

/* ---- data ---- */

static uint64_t seed;

static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 33;
}

static int make_one(int root, uint64_t i)
{
	char dir[64], name[64];
	size_t n = (size_t)(530.0 * exp(((double)(rnd() % 2000) / 1000.0 - 1.0) * 2.2));
	auto_free char *bytes = own_alloc(n + 1);
	/* half words, half noise: as compressible as JSON and tarballs together */
	for (size_t k = 0; k < n; k++)
		bytes[k] = (char)(k % 64 < 32 ? "\"integrity\":\"sha512-\",\"time\":16000"[k % 32]
					      : (int)(rnd() & 0xff));
	snprintf(dir, sizeof(dir), "%02x/%02x", (unsigned)(rnd() & 0xff), (unsigned)(i & 0xf));
	snprintf(name, sizeof(name), "%016llx%08llx", (unsigned long long)(rnd() << 31 ^ rnd()),
		 (unsigned long long)i);
	auto_fd int at = dir_make(root, dir, 0755, &e);
	auto_fd int fd = at < 0 ? -1 : openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 || dir_write_all(fd, bytes, n) ? -1 : 0;
}

static int make(const char *dir, uint64_t files, uint64_t with)
{
	auto_fd int root = directory(dir);
	seed = with * 7919 + 1;
	for (uint64_t i = 0; root >= 0 && i < files; i++)
		if (make_one(root, i))
			return die();
	return root < 0 ? die() : 0;
}

/* ---- the store ---- */

static const struct suite_store plain = {.name = (char[]){"bench"}, .path = (char[]){"/bench"}};

/* spare: the upper's name, where it may be taken; else NULL. */
static int publish_into(struct state *st, int upper, const char *spare, bool measured)
{
	struct shelf sh;
	if (shelf_load_named(&sh, &plain, "bench", st->db, &e))
		return die();
	struct shelf_publish p = {.from = shelf_copy(&sh), .spare_dirfd = AT_FDCWD, .spare = spare};
	memset(stages, 0, sizeof(stages));
	struct span s = begin();
	stage_began = s;
	cache_on_step = on_step;
	if (shelf_publish(&p, st->cache, upper, "bench", &e))
		return die();
	stages[LAYER] += spent(&stage_began);
	stage_began = begin();
	if (shelf_record(&p, st->db, 0, &e))
		return die();
	stages[RECORD] = spent(&stage_began);
	if (measured) {
		end(s);
		for (size_t i = 0; i < STAGES; i++)
			printf("%.6f%c", stages[i], i + 1 < STAGES ? ' ' : '\n');
	}
	shelf_publish_fini(&p);
	shelf_fini(&sh);
	return 0;
}

static int publish(struct state *st, char **dirs, bool take)
{
	for (; *dirs; dirs++) {
		auto_fd int upper = open(*dirs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (upper < 0 || publish_into(st, upper, take ? *dirs : NULL, true))
			return 1;
	}
	return 0;
}

static int fill(struct state *st, const char *path, uint64_t entries, uint64_t most)
{
	for (uint64_t done = 0; most && done < entries; done += most) {
		uint64_t n = entries - done < most ? entries - done : most;
		auto_free char *dir = own_fmt("%s/fill", path);
		if (make(dir, n, 1000 + done))
			return 1;
		auto_fd int upper = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (publish_into(st, upper, dir, false) || dir_remove(st->fd, "fill", &e))
			return die();
	}
	return 0;
}

static int restore(struct state *st, const char *dir)
{
	struct db_generation g;
	struct cache_exported out;
	if (db_store_current(st->db, "bench", &g, &e))
		return die();
	auto_free const char **ids = own_calloc(g.n_layers + 1, sizeof(*ids));
	for (size_t i = 0; i < g.n_layers; i++)
		ids[i] = g.layers[i];
	auto_fd int to = directory(dir);
	struct span s = begin();
	if (to < 0 || cache_restore(st->cache, ids, g.n_layers, to, &out, &e))
		return die();
	end(s);
	db_generation_fini(&g);
	return 0;
}

/* An overlay that nobody else sees, over these layers; its directory, or -1. */
static int overlay(const int *layers, size_t n)
{
	auto_fd int fs = (int)syscall(SYS_fsopen, "overlay", 1 /* FSOPEN_CLOEXEC */);
	if (fs < 0 || syscall(SYS_fsconfig, fs, 0 /* FSCONFIG_SET_FLAG */, "userxattr", NULL, 0))
		return -1;
	for (size_t i = 0; i < n; i++) {
		auto_free char *path = own_fmt("/proc/self/fd/%d", layers[i]);
		if (syscall(SYS_fsconfig, fs, 1 /* FSCONFIG_SET_STRING */, "lowerdir+", path, 0))
			return -1;
	}
	if (syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0))
		return -1;
	return (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 1 /* MOUNT_ATTR_RDONLY */);
}

/* A byte of the file that comes first: 0, or -1. */
static int read_first(int dir)
{
	int scan = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = scan < 0 ? NULL : fdopendir(scan);
	int rc = -1;
	char byte;
	for (struct dirent *it; d && rc && (it = readdir(d));) {
		if (it->d_name[0] == '.')
			continue;
		auto_fd int fd = openat(dir, it->d_name, O_RDONLY | O_CLOEXEC);
		rc = fd < 0 ? -1 : it->d_type == DT_DIR ? read_first(fd) : read(fd, &byte, 1) < 0;
	}
	closedir(d);
	return rc;
}

static int read_one(struct state *st)
{
	struct shelf sh;
	auto_free int *layers = NULL;
	struct span s = begin();
	if (shelf_load_named(&sh, &plain, "bench", st->db, &e) ||
	    shelf_open(&sh, st->cache, &layers, &e))
		return die();
	/* An overlay without an upper takes two lowers and more. */
	auto_fd int at = sh.n_layers > 1 ? overlay(layers, sh.n_layers) : dup(layers[0]);
	if (at < 0 || read_first(at)) {
		err_sys(&e, "read through an overlay of %zu layers", sh.n_layers);
		return die();
	}
	end(s);
	for (size_t i = 0; i < sh.n_layers; i++)
		close(layers[i]);
	shelf_fini(&sh);
	return 0;
}

static int compact(struct state *st)
{
	struct span s = begin();
	return stack_flatten(st->cache, st->db, "bench", true, &e) < 0 ? die() : end(s);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 3 ? argv[3] : NULL;
	if (argc < 3)
		return 2;
	if (!strcmp(what, "make") && argc == 5)
		return make(argv[2], strtoull(arg, NULL, 10), strtoull(argv[4], NULL, 10));
	int bare = floor_measure(what, argv[2], arg);
	if (bare < 0)
		bare = copy_measure(what, argv[2], arg);
	if (bare >= 0)
		return bare;
	struct state *st = state_open(argv[2], &e);
	if (!st)
		return die();
	int rc = !strcmp(what, "publish") && arg ? publish(st, argv + 3, false)
		 : !strcmp(what, "take") && arg  ? publish(st, argv + 3, true)
		 : !strcmp(what, "fill") && argc == 5
			 ? fill(st, argv[2], strtoull(arg, NULL, 10), strtoull(argv[4], NULL, 10))
		 : !strcmp(what, "restore") && arg ? restore(st, arg)
		 : !strcmp(what, "read")           ? read_one(st)
		 : !strcmp(what, "compact")        ? compact(st)
						   : 2;
	state_close(st);
	return rc;
}
