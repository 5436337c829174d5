/* The places a box needs in its mounts. In an overlay they go into layers of the box's own: the
 * plan's small files into one above all others; its copy-on-write files into one below what earlier
 * boxes wrote, which may have changed them; a mount point that nothing shows into one below all
 * others, and where a whiteout would hide it there, above. So the upper gets nothing but what the
 * command writes. */
#include "sandbox/box/stage.h"

#include "base/dir.h"
#include "base/text.h"
#include "sandbox/box/place.h"
#include "sandbox/box/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define WANT_LINKS 16

static void want_add(struct stage *st, const char *path, const struct spec_file *file,
		     struct step *step)
{
	st->wants[st->n_wants++] = (struct want){own_dup(path), file, step, false};
}

static bool want_is_mount_of_file(const struct want *w)
{
	return w->step && w->step->kind == STEP_MOUNT && w->step->mount->file;
}

/* As the plan has it. */
static const char *want_name(const struct want *w)
{
	return w->file ? w->file->path : w->step ? w->step->path : w->at;
}

void wants_list(struct stage *st)
{
	const struct spec *spec = st->spec;
	st->wants = own_calloc(st->n_steps + spec->n_files + 4, sizeof(*st->wants));
	for (size_t i = 0; i < st->n_steps; i++)
		want_add(st, st->steps[i].path, NULL, &st->steps[i]);
	want_add(st, "/proc", NULL, NULL);
	want_add(st, "/sys", NULL, NULL);
	want_add(st, spec->cwd, NULL, NULL);
	if (*spec->home == '/')
		want_add(st, spec->home, NULL, NULL);
	for (size_t i = 0; i < spec->n_files; i++)
		want_add(st, spec->files[i].path, &spec->files[i], NULL);
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return !strncmp(path, dir, n) && path[n] == '/';
}

const struct step *wants_owner(const struct stage *st, const char *path)
{
	const struct step *owner = NULL;
	for (size_t i = 0; i < st->n_steps; i++)
		if (below(path, st->steps[i].path) &&
		    (!owner || strlen(st->steps[i].path) > strlen(owner->path)))
			owner = &st->steps[i];
	return owner;
}

static const char *relative(const struct step *owner, const char *path)
{
	return path + (owner ? strlen(owner->path) : 0) + 1;
}

bool wants_missing(const struct stage *st, const struct step *owner, int fd)
{
	for (size_t i = 0; i < st->n_wants; i++) {
		const char *at = st->wants[i].at;
		if (at[1] && !st->wants[i].done && wants_owner(st, at) == owner &&
		    !place_is_named(fd, relative(owner, at)))
			return true;
	}
	return false;
}

/* "/a/b" + "../c/./d" = "/a/c/d" */
static char *path_join(const char *dir, const char *rest)
{
	auto_text struct text t = TEXT_INIT;
	if (rest[0] != '/')
		text_add(&t, dir);
	while (*rest) {
		rest += strspn(rest, "/");
		size_t n = strcspn(rest, "/");
		if (n == 2 && rest[0] == '.' && rest[1] == '.') {
			while (t.n && t.p[--t.n] != '/')
				;
			if (t.p)
				t.p[t.n] = 0;
		} else if (n && !(n == 1 && rest[0] == '.'))
			text_addf(&t, "/%.*s", (int)n, rest);
		rest += n;
	}
	if (!t.n)
		text_add(&t, "/");
	return text_take(&t);
}

/* Follow the link that the first `seen` bytes of rel are. 0: done, -1: not by this. Into the host's
 * own directories no link leads: nothing is made there that the plan itself does not name. */
static int want_follow(const struct stage *st, struct want *w, const struct step *owner,
		       const char *lower, size_t seen)
{
	char target[PATH_MAX];
	const char *rel = relative(owner, w->at);
	auto_free char *link = own_fmt("%s/%.*s", lower, (int)seen, rel);
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return -1;
	target[n] = 0;
	size_t at = (size_t)(rel - w->at) + seen;
	auto_free char *name = own_dup_n(w->at, at);
	*strrchr(name, '/') = 0;
	auto_free char *rest = own_fmt("%s%s", target, w->at + at);
	auto_free char *next = path_join(name, rest);
	const struct step *to = wants_owner(st, next);
	if (to && to->kind == STEP_HOST)
		return -1;
	free(w->at);
	w->at = give(next);
	return 0;
}

static int layer_make(struct stage *st, char name[16], struct err *e)
{
	if (name[0])
		return 0;
	snprintf(name, 16, "f%u", st->n_made++);
	return mkdir(name, 0755) ? err_sys(e, "mkdir %s", name) : 0;
}

/* Make dir/rel's parents as the lowers have them. */
static int parents_like(const char *dir, const char *rel, const struct view *v, struct err *e)
{
	auto_free char *at = own_dup(rel);
	for (char *slash = strchr(at, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct stat st;
		size_t seen, layer;
		*slash = 0;
		bool found = view_find(v, at, &st, &seen, &layer) == VIEW_SHOWN;
		auto_free char *path = own_fmt("%s/%s", dir, at);
		if (mkdir(path, 0755) && errno != EEXIST)
			return err_sys(e, "mkdir %s", path);
		/* An owner the box doesn't know can't be copied; the mode alone then. */
		if (found && chown(path, st.st_uid, st.st_gid) && errno != EINVAL && errno != EPERM)
			return err_sys(e, "chown %s", path);
		if (found && chmod(path, st.st_mode & 07777))
			return err_sys(e, "chmod %s", path);
		*slash = '/';
	}
	return 0;
}

/* A mount point that nothing shows. */
static int want_point(struct want *w, const char *dir, const char *rel, const struct view *v,
		      struct err *e)
{
	auto_free char *path = own_fmt("%s/%s", dir, rel);
	w->done = true;
	if (parents_like(dir, rel, v, e))
		return -1;
	if (want_is_mount_of_file(w))
		return place_write(AT_FDCWD, path, "", 0, 0644, e);
	return mkdir(path, 0755) && errno != EEXIST ? err_sys(e, "mkdir %s", path) : 0;
}

static int want_file(struct stage *st, struct want *w, const char *dir, const char *rel,
		     const struct view *v, struct err *e)
{
	auto_free char *path = own_fmt("%s/%s", dir, rel);
	if (parents_like(dir, rel, v, e))
		return -1;
	if (w->file ? place_write(AT_FDCWD, path, w->file->bytes, w->file->n, w->file->mode, e)
		    : files_copy(st, w->step->mount, path, e))
		return -1;
	w->done = true;
	if (w->step)
		w->step->in_layer = true;
	spec_say(st->spec, "file %s: in layer %s", want_name(w), dir);
	return 0;
}

/* A file replaces whatever has its name; of a mount point a link is followed. */
static int want_layer(struct stage *st, struct want *w, const struct step *owner,
		      const char *const *lowers, size_t n, struct wants_layers *out, struct err *e)
{
	bool copy =
		out->writable && want_is_mount_of_file(w) && w->step->mount->mode == PLAN_MOUNT_COW;
	bool content = w->file || copy;
	size_t skip = copy ? out->past : 0;
	struct view v = {lowers + skip, n - skip};
	for (int links = 0; links < WANT_LINKS && w->at[1] && wants_owner(st, w->at) == owner;
	     links++) {
		struct stat s;
		size_t seen, layer;
		const char *rel = relative(owner, w->at);
		enum view_found found = view_find(&v, rel, &s, &seen, &layer);
		if (found == VIEW_LINK && !(content && !rel[seen])) {
			if (want_follow(st, w, owner, v.lowers[layer], seen))
				return 0;
			continue;
		}
		if (found == VIEW_TAKEN ||
		    (found == VIEW_SHOWN && (!content || S_ISDIR(s.st_mode))))
			return 0; /* if it can't be used, that is told when something is put there
				   */
		char *name = copy                              ? out->middle
			     : content || found == VIEW_HIDDEN ? out->top
							       : out->bottom;
		if (layer_make(st, name, e))
			return -1;
		return content ? want_file(st, w, name, rel, &v, e)
			       : want_point(w, name, rel, &v, e);
	}
	return 0;
}

/* The names in a layer of ours are the plan's, no two alike, but for links of earlier boxes that
 * lead two of them to one place, or one into the other, or to no name at all. */
static bool wants_collide(const struct err *e)
{
	return e->sys == EEXIST || e->sys == ENOTDIR || e->sys == EISDIR || e->sys == ENAMETOOLONG;
}

int wants_layers(struct stage *st, const struct step *owner, const char *const *lowers, size_t n,
		 struct wants_layers *out, struct err *e)
{
	for (size_t i = 0; i < st->n_wants; i++) {
		struct want *w = &st->wants[i];
		if (w->done || !want_layer(st, w, owner, lowers, n, out, e))
			continue;
		if (out->past && wants_collide(e))
			e->kind = ERR_HOSTILE;
		bool file = w->file || want_is_mount_of_file(w);
		return err_add(e, "%s %s", file ? "file" : "place", want_name(w));
	}
	return 0;
}
