/* What tests/bench/store measures: each word is one thing done once, in this process; it prints the
 * CPU seconds, the wall seconds and the peak memory (KiB) of that alone.
 *
 *   bench_store make DIR FILES SEED     files as npm's cache has them, median 530 bytes
 *   bench_store hash DIR                read and SHA-256
 *   bench_store pack DIR                the same and zstd level 3, to nowhere
 *   bench_store publish STATE DIR       into the store "bench" of STATE; DIR is an upper
 *   bench_store fill STATE ENTRIES      the store has so many afterwards; nothing is measured
 *   bench_store compact STATE           its stack becomes one layer
 *   bench_store restore STATE DIR       its current generation becomes DIR
 *   bench_store read STATE              from a state directory that is open to the first byte of
 * the store's first layer */
#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/shelf.h"
#include "orchestrator/stack.h"
#include "orchestrator/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/resource.h>
#include <zstd.h>

static struct err e = ERR_INIT;

static int die(void)
{
	fprintf(stderr, "bench_store: %s\n", e.text);
	return 1;
}

/* ---- measuring ---- */

struct span {
	struct rusage cpu;
	int64_t ns;
};

static struct span begin(void)
{
	struct span s;
	getrusage(RUSAGE_SELF, &s.cpu);
	s.ns = clock_mono_ns();
	return s;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int end(struct span s)
{
	struct rusage now;
	int64_t ns = clock_mono_ns() - s.ns;
	getrusage(RUSAGE_SELF, &now);
	printf("%.6f %.6f %ld\n",
	       seconds(now.ru_utime) + seconds(now.ru_stime) - seconds(s.cpu.ru_utime) -
		       seconds(s.cpu.ru_stime),
	       (double)ns / 1e9, now.ru_maxrss);
	return 0;
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

/* A directory, made where it is missing. */
static int directory(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return err_sys(&e, "make %s", path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(&e, "open %s", path) : fd;
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

/* ---- the floor ---- */

struct floor {
	EVP_MD_CTX *hash;
	ZSTD_CCtx *z;
	char *in, *out;
};

static int floor_file(struct floor *f, int fd)
{
	unsigned char sha[EVP_MAX_MD_SIZE];
	EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL);
	for (ssize_t n; (n = read(fd, f->in, 131072)) > 0;) {
		EVP_DigestUpdate(f->hash, f->in, (size_t)n);
		ZSTD_inBuffer in = {f->in, (size_t)n, 0};
		while (f->z && in.pos < in.size) {
			ZSTD_outBuffer out = {f->out, ZSTD_CStreamOutSize(), 0};
			ZSTD_compressStream2(f->z, &out, &in, ZSTD_e_continue);
		}
	}
	return !EVP_DigestFinal_ex(f->hash, sha, NULL);
}

static int floor_walk(struct floor *f, int dir)
{
	int scan = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(scan);
	int rc = 0;
	for (struct dirent *it; !rc && (it = readdir(d));) {
		if (it->d_name[0] == '.')
			continue;
		auto_fd int fd = openat(dir, it->d_name, O_RDONLY | O_CLOEXEC);
		rc = fd < 0 || (it->d_type == DT_DIR ? floor_walk(f, fd) : floor_file(f, fd));
	}
	closedir(d);
	return rc;
}

static int floor_all(const char *dir, bool pack)
{
	struct floor f = {EVP_MD_CTX_new(), pack ? ZSTD_createCCtx() : NULL, own_alloc(131072),
			  own_alloc(ZSTD_CStreamOutSize())};
	if (f.z)
		ZSTD_CCtx_setParameter(f.z, ZSTD_c_compressionLevel, 3);
	auto_fd int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct span s = begin();
	if (root < 0 || floor_walk(&f, root))
		return 1;
	end(s);
	EVP_MD_CTX_free(f.hash);
	ZSTD_freeCCtx(f.z);
	free(f.in);
	free(f.out);
	return 0;
}

/* ---- the store ---- */

static const struct suite_store plain = {(char[]){"bench"}, (char[]){"/bench"}, NULL, 0};

static int publish_into(struct state *st, int upper, bool measured)
{
	struct shelf sh;
	if (shelf_load_named(&sh, &plain, "bench", st->db, &e))
		return die();
	struct shelf_publish p = {.from = shelf_copy(&sh)};
	struct span s = begin();
	if (shelf_publish(&p, st->cache, upper, "bench", &e) || shelf_record(&p, st->db, 0, &e))
		return die();
	if (measured)
		end(s);
	shelf_publish_fini(&p);
	shelf_fini(&sh);
	return 0;
}

static int publish(struct state *st, const char *dir)
{
	auto_fd int upper = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return upper < 0 ? 1 : publish_into(st, upper, true);
}

static int fill(struct state *st, const char *path, uint64_t entries)
{
	enum { AT_ONCE = 4000 };
	for (uint64_t done = 0; done < entries; done += AT_ONCE) {
		uint64_t n = entries - done < AT_ONCE ? entries - done : AT_ONCE;
		auto_free char *dir = own_fmt("%s/fill", path);
		if (make(dir, n, 1000 + done))
			return 1;
		auto_fd int upper = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (publish_into(st, upper, false) || dir_remove(st->fd, "fill", &e))
			return die();
	}
	return 0;
}

static int with_layers(struct state *st, const char *dir)
{
	struct db_generation g;
	struct cache_exported out;
	if (db_store_current(st->db, "bench", &g, &e))
		return die();
	auto_free const char **ids = own_calloc(g.n_layers + 1, sizeof(*ids));
	for (size_t i = 0; i < g.n_layers; i++)
		ids[i] = g.layers[i];
	struct span s = begin();
	if (dir) {
		auto_fd int to = directory(dir);
		if (to < 0 || cache_restore(st->cache, ids, g.n_layers, to, &out, &e))
			return die();
	} else {
		auto_fd int fd = cache_layer_open(st->cache, ids[0], &e);
		if (fd < 0)
			return die();
	}
	end(s);
	db_generation_fini(&g);
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
	if (!strcmp(what, "hash") || !strcmp(what, "pack"))
		return floor_all(argv[2], what[0] == 'p');
	struct state *st = state_open(argv[2], &e);
	if (!st)
		return die();
	int rc = !strcmp(what, "publish") && arg   ? publish(st, arg)
		 : !strcmp(what, "fill") && arg    ? fill(st, argv[2], strtoull(arg, NULL, 10))
		 : !strcmp(what, "restore") && arg ? with_layers(st, arg)
		 : !strcmp(what, "read")           ? with_layers(st, NULL)
		 : !strcmp(what, "compact")        ? compact(st)
						   : 2;
	state_close(st);
	return rc;
}
