/* An upper made by the input, harvested over what the input before it left, and then once more as
 * one that may become the layer itself: it has to be the same layer. Each step is a byte that says
 * what, one that says where, and one that says how. */
#include "fuzz.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

static const char *const where[] = {"a",     "b",   "a/x",       "a/y",    "b/x",   "drop/x",
				    "never", "new", "content/z", ".assay", "c/d/e", "odd \xff\n"};

static void step(int upper, const uint8_t *s)
{
	struct err e = ERR_INIT;
	char target[8] = {(char)("/.a"[s[2] % 3]), '.', '/', (char)('a' + s[2] % 4), 0};
	const char *path = where[s[1] % countof(where)], *slash = strrchr(path, '/');
	auto_free char *above = slash ? own_dup_n(path, (size_t)(slash - path)) : own_dup(".");
	auto_fd int dir = dir_make(upper, above, 0755, &e);
	const char *name = slash ? slash + 1 : path;
	if (dir < 0)
		return;
	switch (s[0] % 8) {
	case 0:
	case 1: {
		auto_fd int fd =
			openat(dir, name,
			       O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			       0644);
		for (unsigned i = 0; fd >= 0 && i < s[2]; i++)
			(void)!dir_write_all(fd, s, 3);
		break;
	}
	case 2:
		(void)!symlinkat(target, dir, name);
		break;
	case 3:
		(void)!mknodat(dir, name, S_IFIFO | 0600, 0);
		break;
	case 4:
		(void)!mknodat(dir, name, S_IFCHR, makedev(0, 0));
		break;
	case 5:
		(void)!fchmodat(dir, name, (mode_t)(s[2] % 8 << 9 | 0400 | s[2] >> 3), 0);
		break;
	case 6: {
		static const char *const keys[] = {"user.overlay.opaque", "user.overlay.redirect",
						   "user.overlay.whiteout", "user.overlay.metacopy",
						   "user.other"};
		auto_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			(void)!fsetxattr(fd, keys[s[2] % countof(keys)], "y", 1, 0);
		break;
	}
	default:
		(void)!linkat(dir, name, upper, where[s[2] % 2], 0);
	}
}

/* A program that keeps, refuses, takes what is new, and says that it did where there is nothing. */
static int ask(void *owner, struct cache_question *q, struct err *e)
{
	(void)owner;
	q->out_fd = openat(q->fd, q->n % 2 ? "new" : "old", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q->out_fd < 0)
		return err_sys(e, "open what was found");
	for (size_t i = 0; i < q->n; i++)
		q->answers[i] = (enum cache_answer)((strlen(q->paths[i]) + i) % 3);
	return 0;
}

static void asked(void *owner, struct cache_question *q)
{
	(void)owner;
	own_close(&q->out_fd);
}

/* What was published is whole; it is taken back. id: its layer's, "" for none. */
static void published(struct fuzz_place *p, const struct cache_harvest *how, char id[CACHE_ID])
{
	struct err e = ERR_INIT;
	struct cache_published out;
	id[0] = '\0';
	if (cache_publish(p->c, how, &out, &e)) {
		MUST(e.kind == ERR_HOSTILE);
	} else if (!out.nothing) {
		MUST(!cache_layer_verify(p->c, out.layer.id, &e));
		MUST(!cache_record_verify(p->c, out.frames, out.n_frames, out.layer.id, &e));
		cache_publish_undo(p->c, &out);
		MUST(!cache_layer_remove(p->c, out.layer.id, &e));
		memcpy(id, out.layer.id, CACHE_ID);
	}
	cache_published_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cache_rule rules[] = {{"drop/**", CACHE_DROP},
						  {"never", CACHE_REJECT},
						  {"new", CACHE_NEWEST},
						  {"content/**", CACHE_CONTENT_HASH},
						  {"b/**", CACHE_PROGRAM},
						  {"c/**", CACHE_PROGRAM}};
	static const struct cache_runner runner = {ask, asked, NULL};
	struct err e = ERR_INIT;
	char stays[CACHE_ID] = "", taken[CACHE_ID];
	struct fuzz_place *p = fuzz_place();
	auto_fd int upper = dir_make(p->fd, "upper", 0755, &e),
		    lower = dir_make(p->fd, "lower", 0755, &e);
	MUST(upper >= 0 && lower >= 0);
	for (size_t i = 0; i + 3 <= size && i < 300; i += 3)
		step(data[i] & 0x80 ? lower : upper, data + i);
	struct cache_harvest how = {.store = "fuzz",
				    .upper_fd = upper,
				    .lower_fds = &lower,
				    .n_lowers = 1,
				    .rules = rules,
				    .n_rules = countof(rules),
				    .runner = &runner,
				    .userxattr = true,
				    .max_file = 500,
				    .job = "fuzz"};
	/* Linking gives the upper's own files their modes: one or the other comes first. */
	if (size % 2)
		published(p, &how, stays);
	how.spare_dirfd = p->fd;
	how.spare_name = "upper";
	published(p, &how, taken);
	MUST(size % 2 == 0 || !strcmp(stays, taken));
	MUST(!dir_remove(p->fd, "upper", &e) && !dir_remove(p->fd, "lower", &e));
	fuzz_place_check(p);
	return 0;
}
