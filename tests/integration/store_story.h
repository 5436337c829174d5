/* What changes a store, each as a function that opens the state directory, does it and closes it:
 * told in a child, to be killed, failed or watched there. For the programs test_state_*.c. */
#pragma once
#include "../unit/store_place.h"

#include "orchestrator/commands.h"

#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Kills and failing calls know no disk, and a busy one takes its time. */
static inline void story_in_memory(void)
{
	if (!access("/dev/shm", W_OK | X_OK))
		setenv("TMPDIR", "/dev/shm", 1);
}

struct story {
	const char *name;
	int (*tell)(void *place);       /* an exit status */
	void (*damage)(struct place *); /* what is to be told about; NULL: nothing */
	unsigned trust;                 /* so many packages the store demands; 0: any */
};

/* assay cache WORD… with the place's state directory; its output is for nobody. */
static inline int story_cache(struct place *p, const char *const *words)
{
	char *argv[16];
	int argc = 0;
	argv[argc++] = own_dup("assay cache");
	for (; *words; words++)
		argv[argc++] = own_dup(*words);
	argv[argc++] = own_fmt("--state=%s", p->path);
	argv[argc] = NULL;
	return cmd_cache(argc, argv);
}

/* What a job left: something new, something that is there, modes and marks that no layer has. */
static inline void story_upper(int dirfd)
{
	struct err e = ERR_INIT;
	auto_fd int upper = dir_make(dirfd, "uppers/new", 0755, &e);
	assert_true(upper >= 0);
	place_put(upper, "new/a", "a new file");
	place_put(upper, "new/deep/b", "another");
	place_put(upper, "twice/x", "the same");
	assert_int_equal(symlinkat("a", upper, "new/link"), 0);
	const struct timespec t[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};
	assert_int_equal(utimensat(upper, "new/link", t, AT_SYMLINK_NOFOLLOW), 0);
	auto_fd int deep = openat(upper, "new/deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(!fsetxattr(deep, "user.overlay.origin", "y", 1, 0) || errno == ENOTSUP);
	assert_int_equal(fchmodat(upper, "new/deep/b", 0600, 0), 0);
	assert_int_equal(fchmodat(upper, "new", 0700, 0), 0);
}

/* As a run publishes: from an upper. */
static inline int story_publish_from(struct place *p, const char *spare)
{
	struct err e = ERR_INIT;
	struct shelf_publish pub = {.spare = spare};
	p->state = state_open(p->path, &e);
	if (!p->state || shelf_load_named(&p->shelf, &p->store, "cache", p->state->db, &e))
		return command_fail(&e);
	auto_fd int upper = dir_open_beneath(p->state->fd, "uppers/new", O_RDONLY | O_DIRECTORY, 0);
	if (upper < 0) {
		err_sys(&e, "open the upper");
		return command_fail(&e);
	}
	pub.from = shelf_copy(&p->shelf);
	pub.package = p->package;
	pub.words = p->state->db;
	pub.spare_dirfd = p->state->fd;
	int rc = shelf_publish(&pub, p->state->cache, upper, "run 2 new@1 fetch", &e) ||
		 shelf_record(&pub, p->state->db, 0, &e);
	if (!rc && pub.refused) {
		e = pub.refusal;
		rc = 1;
	}
	state_close(p->state);
	return rc ? command_fail(&e) : 0;
}

/* Its files are linked. */
static inline int story_publish(void *p)
{
	return story_publish_from(p, NULL);
}

/* It becomes the layer; where the story is told once more, the job has made it once more. */
static inline int story_take(void *arg)
{
	struct place *p = arg;
	auto_free char *upper = own_fmt("%s/uppers/new", p->path);
	bool gone = access(upper, F_OK) && errno == ENOENT;
	auto_fd int at = gone ? open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (at >= 0)
		story_upper(at);
	return story_publish_from(p, "uppers/new");
}

static inline int story_compact(void *p)
{
	return story_cache(p, (const char *const[]){"compact", "cache", NULL});
}

/* What was brought first is left out, old generations go, and what only they needed: also from the
 * segment, more than half of which nobody needs then. */
static inline int story_collect(void *p)
{
	return story_cache(p, (const char *const[]){"collect", "--keep", "0", "--max-size", "20",
						    NULL});
}

static inline int story_import(void *p)
{
	return story_cache(p, (const char *const[]){"import", "cache",
						    ASSAY_SOURCE
						    "/tests/fuzz/corpus/archive/good.tar.gz",
						    NULL});
}

static inline int story_repair(void *p)
{
	int status = 1;
	/* What was damaged is told, also where it was repaired, as is what can't be read for once.
	 */
	for (int i = 0; i < 3 && status == 1; i++)
		status = story_cache(p, (const char *const[]){"verify", "--repair", NULL});
	return status;
}

/* Of the closed place: a frame whose publish the layers still have. */
static inline void story_damage(struct place *p)
{
	unsigned char c;
	auto_free char *segment = own_fmt("%s/seg/000001.tar.zst", p->path);
	auto_fd int fd = open(segment, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &c, 1, 100), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, 100), 1);
}

static const struct story stories[] = {
	{"publish", story_publish, NULL, 0},
	{"compact", story_compact, NULL, 0},
	{"collect", story_collect, NULL, 0},
	{"import", story_import, NULL, 0},
	{"repair", story_repair, story_damage, 0},
	{"words", story_publish, NULL, 2},
	{"take", story_take, NULL, 0},
};

/* A store of several generations, and an upper that has not been published. The place is closed
 * afterwards. Where packages count, each publish is another's: the upper then makes the number full
 * for one of its files. */
static inline void story_begin(struct place *p, const struct story *story)
{
	char path[32], content[32], package[16] = "";
	p->store.trust = story->trust;
	p->package = package;
	if (story->trust) {
		snprintf(package, sizeof(package), "before");
		place_publish_file(p, "new/a", "a new file", "run 1 before@1 fetch");
	}
	for (int i = 0; i < 4; i++) {
		auto_fd int upper = place_upper(p);
		snprintf(path, sizeof(path), "old/%d", i);
		snprintf(content, sizeof(content), "what %d brought", i);
		place_put(upper, path, content);
		place_put(upper, i % 2 ? "twice/x" : "twice/y", "the same");
		snprintf(path, sizeof(path), "run 1 p%d@1 fetch", i);
		snprintf(package, sizeof(package), "p%d", i);
		place_publish(p, upper, path);
	}
	story_upper(p->state->fd);
	p->package = "new";
	place_close(p);
}

static inline void story_exec(const char *const *argv)
{
	int status = -1;
	pid_t pid = fork();
	if (!pid) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (status)
		fail_msg("%s %s: status %d", argv[0], argv[1], status);
}

/* The closed place as it is, copied beside it until story_teardown(). The caller frees the path. */
static inline char *story_keep(struct place *p)
{
	char *kept = own_fmt("%s.kept", p->path);
	story_exec((const char *const[]){"cp", "-a", "--", p->path, kept, NULL});
	return kept;
}

static inline int story_teardown(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	auto_free char *kept = own_fmt("%s.kept", p->path);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = access(kept, F_OK) ? 0 : dir_remove(root, kept + 1, &e);
	return place_teardown(state) || rc ? -1 : 0;
}

/* The place as it is kept in `from`, whatever became of it. */
static inline void story_again(struct place *p, const char *from)
{
	struct err e = ERR_INIT;
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OK(dir_remove(root, p->path + 1, &e));
	story_exec((const char *const[]){"cp", "-a", "--", from, p->path, NULL});
}

/* ---- what has to hold afterwards ---- */

static inline void story_names(struct place *p, const char *rel,
			       void (*each)(struct place *p, const char *name))
{
	int fd = openat(p->state->fd, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	assert_non_null(d);
	for (struct dirent *it; (it = readdir(d));)
		if (strcmp(it->d_name, ".") && strcmp(it->d_name, ".."))
			each(p, it->d_name);
	closedir(d);
}

static inline void story_no_name(struct place *p, const char *name)
{
	fail_msg("%s: %s is left below tmp/ or trash/", p->path, name);
}

static inline void story_layer_named(struct place *p, const char *name)
{
	char id[CACHE_ID];
	struct stat st;
	snprintf(id, sizeof(id), "%.64s", name);
	auto_free char *sql = own_fmt("SELECT count(*) FROM layer WHERE digest = '%s'", id),
		       *list = own_fmt("layers/%s.list", id), *dir = own_fmt("layers/%s", id);
	if (strlen(id) != 64)
		fail_msg("layers/%s is left", name);
	place_expect(p, sql, "1");
	if (fstatat(p->state->fd, list, &st, 0) || fstatat(p->state->fd, dir, &st, 0))
		fail_msg("layer %s is left in part", id);
}

static inline void story_segment_named(struct place *p, const char *name)
{
	struct stat st;
	auto_free char *rel = own_fmt("seg/%s", name);
	assert_int_equal(fstatat(p->state->fd, rel, &st, AT_SYMLINK_NOFOLLOW), 0);
	auto_free char *sql = own_fmt("SELECT bytes FROM segment WHERE number = %ld",
				      strtol(name, NULL, 10)),
		       *is = own_fmt("%lld", (long long)st.st_size);
	place_expect(p, sql, is);
}

static inline int story_verify(void *p)
{
	return story_cache(p, (const char *const[]){"verify", NULL});
}

/* In a child whose output goes to `log`; its exit status. */
static inline int story_apart(int (*fn)(void *), void *arg, int log)
{
	int status = -1;
	fflush(NULL);
	pid_t pid = fork();
	if (!pid) {
		if (log >= 0 && (dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0))
			_exit(99);
		status = fn(arg);
		fflush(NULL);
		_exit(status);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What the store shows, and whose words it has. The caller frees it. */
static inline char *story_shown(struct place *p)
{
	auto_free char *shown = place_shown(p),
		       *words = place_ask(p,
					  "SELECT path, type, package, pending FROM v_word"
					  " WHERE revoked_ms IS NULL ORDER BY path, type, package");
	return own_fmt("%s%s", shown, words);
}

/* All that was acknowledged is whole, nothing that nobody names is left, and the database agrees.
 * What the store shows; the caller frees it. The place is closed afterwards. */
static inline char *story_check(struct place *p, int log)
{
	place_open(p);
	char *shown = story_shown(p);
	place_close(p);
	/* What shows the store was a layer, too, that nobody names: gone with the next opening. */
	place_open(p);
	place_expect_sound(p);
	story_names(p, "tmp", story_no_name);
	story_names(p, "trash", story_no_name);
	story_names(p, "layers", story_layer_named);
	story_names(p, "seg", story_segment_named);
	place_close(p);
	int status = story_apart(story_verify, p, log);
	if (status)
		fail_msg("assay cache verify ends with %d", status);
	return shown;
}
