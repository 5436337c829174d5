#include "fuzz.h"

#include <dirent.h>

static struct fuzz_place place = {.fd = -1, .state = -1};

static void remove_place(void)
{
	struct err e = ERR_INIT;
	cache_close(place.c);
	own_close(&place.state);
	own_close(&place.fd);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)!dir_remove(root, place.path + 1, &e);
}

struct fuzz_place *fuzz_place(void)
{
	static const struct cache_known nothing = {0};
	struct err e = ERR_INIT;
	if (place.c)
		return &place;
	umask(022);
	snprintf(place.path, sizeof(place.path), "%.40s/assay-fuzz-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	MUST(mkdtemp(place.path));
	place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place.state = dir_make(place.fd, "state", 0700, &e);
	MUST(place.state >= 0);
	MUST(!dir_write_whole(place.fd, "outside", "untouched", 9, 0600, &e));
	place.c = cache_open(place.state, &nothing, &e);
	MUST(place.c);
	atexit(remove_place);
	return &place;
}

size_t fuzz_names(int at, const char *rel)
{
	size_t n = 0;
	int fd = openat(at, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *it; d && (it = readdir(d));)
		n += it->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

void fuzz_place_check(struct fuzz_place *p)
{
	struct err e = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	MUST(!fuzz_names(p->state, "tmp") && !fuzz_names(p->state, "trash"));
	MUST(!dir_read_whole(p->fd, "outside", 100, &t, &e) && !strcmp(text_str(&t), "untouched"));
}

void fuzz_put(struct fuzz_place *p, const char *name, const uint8_t *data, size_t size)
{
	unlinkat(p->fd, name, 0);
	auto_fd int fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	MUST(fd >= 0 && !dir_write_all(fd, data, size));
}
