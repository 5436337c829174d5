/* Harvest, layer, frame, in the order that makes a kill at any point leave nothing but what
 * cache_open() removes: the tree below tmp/, which is a new one of links or the upper itself, the
 * frame past the committed end, both durable, then the layer's name; the caller's commit makes it
 * count. */
#include "cache/adopt.h"
#include "cache/ask.h"
#include "cache/build.h"
#include "cache/harvest.h"
#include "cache/record.h"
#include "cache/segment.h"
#include "cache/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct publish {
	struct cache *c;
	const struct cache_harvest *how;
	struct cache_published *out;
	struct harvest h;
	struct build b;
	struct tree_at upper;
	bool adopted; /* b's tree is the upper: what is wanted lies in it, and may have to be made
			 anew */
};

/* The upper's file read once more, to be written: its bytes must be those that were judged. */
static int publish_copy(struct publish *p, const struct harvest_item *x, int fd, struct err *e)
{
	struct build_meta m = {x->x.mode, x->x.mtime_s, x->x.mtime_ns};
	char id[CACHE_ID];
	uint64_t size;
	int rc = build_copy(&p->b, x->x.path, fd, x->x.size, &m, &size, id, e);
	if ((rc && e->kind == ERR_LIMIT) || (!rc && strcmp(id, x->x.sha256)))
		return err_set(e, ERR_HOSTILE, "%s changed while it was harvested", x->x.path);
	return rc;
}

/* Away with the upper's own entry, where the layer's lies at the same place. */
static int publish_clear(struct publish *p, const struct harvest_item *x, struct err *e)
{
	return p->adopted ? build_remove(&p->b, x->x.path, false, e) : 0;
}

static int publish_file(struct publish *p, const struct harvest_item *x, struct err *e)
{
	struct build_meta m = {x->x.mode, x->x.mtime_s, x->x.mtime_ns};
	const struct stat st = {.st_dev = x->dev, .st_ino = x->ino, .st_size = (off_t)x->x.size};
	const char *name;
	if (p->adopted && x->may_link)
		return build_mode(&p->b, x->x.path, x->x.mode, e);
	if (!x->may_link && x->bytes)
		return publish_clear(p, x, e)
			       ? -1
			       : build_bytes(&p->b, x->x.path, x->bytes, x->x.size, &m, e);
	int dir = tree_at(&p->upper, x->x.path, &name);
	if (dir < 0)
		return err_sys(e, "open the directory of %s", x->x.path);
	int linked = x->may_link ? build_link(&p->b, x->x.path, dir, name, &st, x->x.mode, e) : 0;
	if (linked)
		return linked < 0 ? -1 : 0;
	auto_fd int fd = tree_open(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, "open %s", x->x.path);
	return publish_clear(p, x, e) ? -1 : publish_copy(p, x, fd, e);
}

/* A directory, a whiteout or a link. */
static int publish_other(struct publish *p, const struct harvest_item *x, struct err *e)
{
	struct build_meta m = {x->x.mode, x->x.mtime_s, x->x.mtime_ns};
	if (x->x.type == 'd')
		return p->adopted ? 0 : build_dir(&p->b, x->x.path, e);
	if (publish_clear(p, x, e))
		return -1;
	return x->x.type == 'w' ? build_whiteout(&p->b, x->x.path, e)
				: build_symlink(&p->b, x->x.path, x->x.target, &m, e);
}

static int publish_item(struct publish *p, const struct harvest_item *x, struct err *e)
{
	struct list_entry line = {
		.type = x->x.type,
		.mode = x->x.mode,
		.mtime_s = x->x.mtime_s,
		.mtime_ns = x->x.mtime_ns,
		.size = x->x.size,
		.path = x->x.path,
		.path_n = strlen(x->x.path),
		.end = x->x.type == 'f'   ? x->x.sha256
		       : x->x.type == 'l' ? x->x.target
					  : "-",
	};
	line.end_n = strlen(line.end);
	if (!(p->adopted && x->as_is) &&
	    (x->x.type == 'f' ? publish_file(p, x, e) : publish_other(p, x, e)))
		return -1;
	return list_add(&p->b.list, &line, e);
}

static int publish_tree(struct publish *p, struct err *e)
{
	for (size_t i = 0; i < p->h.n; i++)
		if (p->h.v[i].wanted && publish_item(p, &p->h.v[i], e))
			return -1;
	return build_name(&p->b, &p->out->layer, e);
}

static int publish_record(struct publish *p, struct segment *s, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	record_write(&t, p->how, p->out);
	return segment_record(s, &t, e);
}

/* So many bytes at once: they and zstd's tables fit into a processor's cache. */
#define PUBLISH_READ ((size_t)64 << 10)

/* A file's bytes from the layer that was just built, or from memory. */
static int publish_content(struct publish *p, struct segment *s, const struct harvest_item *x,
			   struct err *e)
{
	uint64_t left = x->x.size;
	if (x->bytes)
		return segment_data(s, x->bytes, x->x.size, e);
	auto_fd int fd = tree_open(p->b.root, x->x.path, O_RDONLY | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, "open %s", x->x.path);
	while (left) {
		ssize_t n = read(fd, p->b.buffer, left < PUBLISH_READ ? left : PUBLISH_READ);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", x->x.path);
		if (!n)
			return err_set(e, ERR_HOSTILE, "%s changed while it was harvested",
				       x->x.path);
		if (segment_data(s, p->b.buffer, (size_t)n, e))
			return -1;
		left -= (uint64_t)n;
	}
	return 0;
}

static int publish_frame(struct publish *p, struct segment *s, struct err *e)
{
	if (publish_record(p, s, e))
		return -1;
	for (size_t i = 0; i < p->h.n; i++) {
		const struct harvest_item *x = &p->h.v[i];
		/* Tar has no word for what is gone: the record says it. */
		if (x->wanted && x->x.type != 'w' &&
		    (segment_add(s, &x->x, e) || (x->x.type == 'f' && publish_content(p, s, x, e))))
			return -1;
	}
	return segment_end(s, e);
}

static int publish_all(struct publish *p, struct err *e)
{
	struct segment s;
	cache_step("harvested");
	if (publish_tree(p, e))
		return -1;
	cache_step("layer linked");
	cache_chain(p->how->parent, p->how->store, p->out->layer.id, p->out->chain);
	if (segment_begin(&s, p->c, p->out->layer.id, e))
		return -1;
	int rc = publish_frame(p, &s, e);
	if (!rc)
		rc = build_settle(&p->b, &p->out->layer, e);
	return segment_over(&s, rc, p->out);
}

/* No layer, and yet words that are new: a frame with the record alone. */
static int publish_words(struct publish *p, struct err *e)
{
	struct segment s;
	struct cache_published *out = p->out;
	cache_step("harvested");
	trust_record_id(p->how, out, out->record);
	snprintf(out->chain, sizeof(out->chain), "%s", p->how->parent ? p->how->parent : "");
	if (segment_begin(&s, p->c, out->record, e))
		return -1;
	int rc = publish_record(p, &s, e) || segment_end(&s, e) ? -1 : 0;
	return segment_over(&s, rc, out);
}

/* The tree of the layer: the upper itself, or one to be filled from it. */
static int publish_begin(struct publish *p, struct err *e)
{
	int adopted = adopt_begin(&p->b, p->c, &p->h, e);
	if (adopted < 0 || (!adopted && build_begin(&p->b, p->c, e)))
		return -1;
	p->adopted = adopted;
	p->b.once = !adopted;
	return 0;
}

static bool publish_anything(const struct harvest *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].wanted)
			return true;
	return false;
}

int cache_publish(struct cache *c, const struct cache_harvest *how, struct cache_published *out,
		  struct err *e)
{
	struct publish p = {.c = c, .how = how, .out = out, .upper = TREE_AT(how->upper_fd)};
	*out = (struct cache_published){.nothing = true};
	if (cache_may_write(c, e))
		return -1;
	if (ask_check(how, e) || trust_check(how, e))
		return err_add(e, "publish %s", how->store ? how->store : "a store");
	int rc = harvest_run(&p.h, c, how, e);
	harvest_take(&p.h, out);
	if (!rc && publish_anything(&p.h)) {
		out->nothing = false;
		rc = publish_begin(&p, e);
		if (!rc) {
			rc = publish_all(&p, e);
			build_drop(&p.b);
		}
	} else if (!rc && p.h.words) {
		rc = publish_words(&p, e);
	}
	tree_at_fini(&p.upper);
	harvest_fini(&p.h);
	if (!rc)
		return 0;
	out->nothing = true;
	out->layer = (struct cache_layer){0};
	out->chain[0] = out->record[0] = '\0';
	return err_add(e, "publish %s", how->store ? how->store : "a store");
}

void cache_chain(const char *parent, const char *store, const char *layer, char out[CACHE_ID])
{
	auto_free char *text =
		own_fmt("%s\n%s\n%s\n", parent ? parent : "", store ? store : "", layer);
	cache_digest(text, strlen(text), out);
}

/* The file is cut by the next segment_begin(). */
void cache_publish_undo(struct cache *c, const struct cache_published *p)
{
	if (!p->n_frames) /* also where all of p is zero */
		return;
	c->segment = p->frames->segment;
	c->segment_end = p->frames->offset;
	if (c->sealed >= c->segment)
		c->sealed = c->segment - 1;
}

void cache_published_fini(struct cache_published *p)
{
	for (size_t i = 0; i < p->n_entries; i++) {
		free(p->entries[i].path);
		free(p->entries[i].target);
		free(p->entries[i].reason);
	}
	free(p->entries);
	free(p->frames);
	*p = (struct cache_published){.nothing = true};
}
