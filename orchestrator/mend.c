#include "orchestrator/mend.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct mend {
	struct db *d;
	struct cache *c;
	struct archived *v;
	size_t n;
	int64_t *segment; /* by publish: where it is to be written; 0: nowhere */
};

/* ---- a publish as the database tells it ---- */

struct mend_publish {
	struct db *d;
	struct db_harvest h;
	struct cache_record record;
	struct cache_again again;
	int64_t harvest;
	struct db_place *places;
	struct cache_place *shown; /* the same, in the words of cache/ */
	size_t n_places;
};

static enum cache_change mend_change(const char *word)
{
	int c = CACHE_ADDED;
	while (c < CACHE_REFUSED && strcmp(word, cache_change_name((enum cache_change)c)))
		c++;
	return (enum cache_change)c;
}

static struct cache_entry mend_entry(const struct db_brought *b)
{
	const int64_t s = 1000000000;
	struct cache_entry x = {
		.path = b->path,
		.change = mend_change(b->change),
		.type = b->type,
		.mode = b->mode,
		.mtime_s = b->mtime_ns / s - (b->mtime_ns % s < 0),
		.mtime_ns = (uint32_t)((b->mtime_ns % s + s) % s),
		.size = (uint64_t)b->size,
		.target = b->target,
		.reason = b->reason,
		.word = b->word,
	};
	memcpy(x.sha256, b->sha256, sizeof(x.sha256));
	return x;
}

static struct cache_counts mend_counts(const struct db_harvest *h)
{
	return (struct cache_counts){.added = (uint64_t)h->added,
				     .replaced = (uint64_t)h->replaced,
				     .merged = (uint64_t)h->merged,
				     .identical = (uint64_t)h->identical,
				     .dropped = (uint64_t)h->dropped,
				     .conflicts = (uint64_t)h->conflicts,
				     .deleted = (uint64_t)h->deleted,
				     .refused = (uint64_t)h->refused,
				     .pending = (uint64_t)h->pending,
				     .bytes = (uint64_t)h->bytes};
}

static void places_free(struct mend_publish *p)
{
	db_places_free(p->places, p->n_places);
	free(p->shown);
	p->places = NULL;
	p->shown = NULL;
	p->n_places = 0;
}

static int on_places(void *owner, const struct cache_entry *x, const struct cache_place **v,
		     size_t *n, struct err *e)
{
	struct mend_publish *p = owner;
	places_free(p);
	if (db_places(p->d, p->harvest, x->sha256, &p->places, &p->n_places, e))
		return -1;
	p->shown = own_calloc(p->n_places + 1, sizeof(*p->shown));
	for (size_t i = 0; i < p->n_places; i++)
		p->shown[i] = (struct cache_place){p->places[i].layer, p->places[i].path};
	*v = p->shown;
	*n = p->n_places;
	return 0;
}

/* Generations that were forgotten took their chains along. A record that is readable still says
 * them, and that it is right can be seen; else it goes upon whatever lies before it. */
static void publish_chain(struct mend *m, const struct archived *x, struct cache_record *r)
{
	struct cache_record old = {0};
	struct err damaged = ERR_INIT;
	char chain[CACHE_ID];
	if (r->chain[0])
		return;
	if (x->n_frames && !cache_record_read(m->c, x->frames, x->n_frames, &old, &damaged) &&
	    old.chain[0]) {
		cache_chain(old.parent, r->store, r->layer, chain);
		if (!strcmp(chain, old.chain))
			memcpy(r->parent, old.parent, sizeof(r->parent));
	}
	if (x->n_frames)
		cache_record_fini(&old);
	cache_chain(r->parent, r->store, r->layer, r->chain);
}

static void publish_fini(struct mend_publish *p)
{
	places_free(p);
	free(p->record.entries);
	free(p->record.store);
	free(p->record.job);
	db_harvest_fini(&p->h);
}

/* The caller calls publish_fini in both cases. */
static int publish_load(struct mend *m, const struct archived *x, unsigned salt,
			struct mend_publish *p, struct err *e)
{
	*p = (struct mend_publish){.d = m->d, .harvest = x->harvest};
	if (db_harvest_read(m->d, x->harvest, &p->h, e))
		return -1;
	struct cache_record *r = &p->record;
	*r = (struct cache_record){.store = own_dup(x->store),
				   .job = own_dup(x->job ? x->job : ""),
				   .made_ms = p->h.made_ms,
				   .counts = mend_counts(&p->h),
				   .n_entries = p->h.n};
	snprintf(r->layer, sizeof(r->layer), "%s", x->layer);
	r->kind =
		p->h.record && !strcmp(p->h.record, x->layer) ? CACHE_PENDING_WORDS : CACHE_PUBLISH;
	r->trust = (unsigned)p->h.trust;
	r->package = p->h.package; /* h's */
	memcpy(r->parent, p->h.parent, sizeof(r->parent));
	memcpy(r->chain, p->h.chain, sizeof(r->chain));
	if (r->kind == CACHE_PUBLISH)
		publish_chain(m, x, r);
	else
		memcpy(r->chain, r->parent, sizeof(r->chain));
	r->entries = own_calloc(p->h.n + 1, sizeof(*r->entries));
	for (size_t i = 0; i < p->h.n; i++)
		r->entries[i] = mend_entry(&p->h.v[i]);
	p->again = (struct cache_again){.record = r,
					.places = on_places,
					.owner = p,
					.now_ms = clock_real_ms(),
					.salt = salt};
	return 0;
}

/* ---- what can be done ---- */

static void mend_say(struct archived *x, const char *more)
{
	char *both = own_fmt("%s; %s", x->why ? x->why : "damaged", more);
	free(x->why);
	x->why = both;
}

/* Nothing brings it back but the job. */
static void mend_lost(struct archived *x, const struct mend_publish *p,
		      const struct cache_missing *missing)
{
	auto_free char *more =
		missing->files ? own_fmt("%" PRIu64 " of the %zu entries it brought are in no "
					 "layer either, %s first: run it again",
					 missing->files, p->h.n, missing->first)
			       : own_dup("what the database says of it is not what it brought");
	mend_say(x, more);
}

static int mend_check(struct mend *m, size_t i, struct err *e)
{
	struct archived *x = &m->v[i];
	struct mend_publish p;
	struct cache_missing missing = {0};
	int can =
		publish_load(m, x, 0, &p, e) ? -1 : cache_again_check(m->c, &p.again, &missing, e);
	if (!can)
		mend_lost(x, &p, &missing);
	free(missing.first);
	publish_fini(&p);
	if (can <= 0)
		return can;
	m->segment[i] = x->n_frames ? x->frames[0].segment : 0;
	return x->n_frames ? 0 : db_segment_of(m->d, x->harvest, &m->segment[i], e);
}

/* ---- a segment ---- */

struct mend_segment {
	struct mend *m;
	struct cache_anew *w;
	int64_t number;
	unsigned salt;
	uint64_t bytes, at;   /* of the old one; so much of it is dealt with */
	struct db_piece *old; /* its frames */
	struct db_piece *v;   /* those of the new one */
	size_t n_old, n;
	int64_t *again; /* harvests that are written */
	size_t n_again;
};

static void piece_add(struct mend_segment *s, struct db_piece piece)
{
	s->v = own_grow(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = piece;
}

static int segment_publish(struct mend_segment *s, const struct archived *x, struct err *e)
{
	struct mend_publish p;
	auto_free struct cache_frame *frames = NULL;
	size_t n = 0;
	int rc = publish_load(s->m, x, s->salt, &p, e);
	if (!rc)
		rc = cache_anew_publish(s->w, &p.again, &frames, &n, e);
	for (size_t i = 0; !rc && i < n; i++) {
		struct db_piece piece = {.offset = (int64_t)frames[i].offset,
					 .bytes = (int64_t)frames[i].bytes,
					 .harvest = x->harvest};
		memcpy(piece.digest, frames[i].digest, sizeof(piece.digest));
		memcpy(piece.record, frames[i].record, sizeof(piece.record));
		piece_add(s, piece);
	}
	publish_fini(&p);
	s->again[s->n_again++] = x->harvest;
	return rc;
}

static bool segment_has(const struct mend_segment *s, int64_t harvest)
{
	for (size_t i = 0; i < s->n_again; i++)
		if (s->again[i] == harvest)
			return true;
	return false;
}

/* Those that have no frames and were made before that harvest (0: all). */
static int segment_lost_before(struct mend_segment *s, int64_t harvest, struct err *e)
{
	const struct mend *m = s->m;
	for (size_t i = 0; i < m->n && (!harvest || m->v[i].harvest < harvest); i++)
		if (m->segment[i] == s->number && !m->v[i].n_frames &&
		    !segment_has(s, m->v[i].harvest) && segment_publish(s, &m->v[i], e))
			return -1;
	return 0;
}

/* The publish of that harvest, where it is written again here or in another segment; else NULL. */
static const struct archived *segment_mends(const struct mend_segment *s, int64_t harvest,
					    int64_t *where)
{
	const struct mend *m = s->m;
	for (size_t i = 0; i < m->n && m->v[i].harvest <= harvest; i++)
		if (m->v[i].harvest == harvest && m->segment[i]) {
			*where = m->segment[i];
			return &m->v[i];
		}
	return NULL;
}

static int segment_piece(struct mend_segment *s, const struct db_piece *piece, struct err *e)
{
	uint64_t to = 0, at = (uint64_t)piece->offset;
	int64_t where = 0;
	if (at > s->at && cache_anew_rest(s->w, s->at, at - s->at, e))
		return -1;
	if (segment_lost_before(s, piece->harvest, e))
		return -1;
	s->at = at + (uint64_t)piece->bytes;
	const struct archived *x = segment_mends(s, piece->harvest, &where);
	if (x && where == s->number)
		return segment_has(s, x->harvest) ? 0 : segment_publish(s, x, e);
	if (cache_anew_keep(s->w, at, (uint64_t)piece->bytes, &to, e))
		return -1;
	struct db_piece moved = *piece;
	moved.offset = (int64_t)to;
	piece_add(s, moved);
	return 0;
}

static int segment_write(struct mend_segment *s, struct err *e)
{
	s->n = s->n_again = 0;
	s->at = 0;
	for (size_t i = 0; i < s->n_old; i++)
		if (segment_piece(s, &s->old[i], e))
			return -1;
	if (segment_lost_before(s, 0, e))
		return -1;
	return s->bytes > s->at ? cache_anew_rest(s->w, s->at, s->bytes - s->at, e) : 0;
}

/* The new file, durable. */
static int segment_make(struct mend_segment *s, struct cache_rewritten *out, struct err *e)
{
	for (int ended = 0; !ended; s->salt++) {
		s->w = cache_anew_begin(s->m->c, (uint32_t)s->number, s->bytes, e);
		if (!s->w)
			return -1;
		if (segment_write(s, e)) {
			cache_anew_drop(s->w);
			return -1;
		}
		ended = cache_anew_end(s->w, out, e);
		if (ended < 0)
			return -1;
	}
	return 0;
}

static void segment_mended(struct mend_segment *s)
{
	for (size_t i = 0; i < s->m->n; i++)
		if (s->m->segment[i] == s->number) {
			s->m->v[i].mended = true;
			s->m->v[i].damaged = false;
		}
}

static int mend_segment(struct mend *m, int64_t number, struct err *e)
{
	struct cache_rewritten out;
	struct mend_segment s = {.m = m, .number = number};
	if (db_segment_pieces(m->d, number, &s.bytes, &s.old, &s.n_old, e))
		return -1;
	s.again = own_calloc(m->n + 1, sizeof(*s.again));
	int rc = segment_make(&s, &out, e);
	if (!rc && db_segment_anew(m->d, number, out.bytes, s.v, s.n, s.again, s.n_again, e)) {
		cache_segment_later(&out);
		rc = -1;
	} else if (!rc) {
		rc = cache_segment_take(m->c, (uint32_t)number, &out, e);
	}
	if (!rc)
		segment_mended(&s);
	free(s.old);
	free(s.v);
	free(s.again);
	return rc;
}

/* The next segment that something is to be written into, 0: none. */
static int64_t mend_next(const struct mend *m, int64_t number)
{
	int64_t next = 0;
	for (size_t i = 0; i < m->n; i++)
		if (m->segment[i] > number && (!next || m->segment[i] < next))
			next = m->segment[i];
	return next;
}

int mend_archive(struct db *d, struct cache *c, struct archived *v, size_t n, struct err *e)
{
	auto_free int64_t *segment = own_calloc(n + 1, sizeof(*segment));
	struct mend m = {.d = d, .c = c, .v = v, .n = n, .segment = segment};
	for (size_t i = 0; i < n; i++)
		if (v[i].damaged && mend_check(&m, i, e))
			return -1;
	for (int64_t at = 0; (at = mend_next(&m, at));)
		if (mend_segment(&m, at, e))
			return err_add(e, "segment %06u", (unsigned)at);
	return 0;
}
