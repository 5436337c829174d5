/* What phases that did not pass wrote, its beginning and its end, and what layers they saw: for the
 * first packages of the report, as far as the page has room. */
#include "orchestrator/report_page.h"

#include "base/text.h"
#include "base/unit.h"
#include "orchestrator/html.h"
#include "orchestrator/logfile.h"
#include "orchestrator/rows.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 2 << 10, TAIL = 6 << 10 };
/* All logs together, as markup; and how much of them is read for it (a second's work). */
enum { ROOM = 4 << 20, READ = 1 << 30 };

/* ---- the two ends of a log ---- */

struct ends {
	char head[HEAD], tail[TAIL];
	size_t head_n, tail_n;
	uint64_t total;
	uint64_t *left; /* bytes that may still be read */
};

static void ends_tail(struct ends *l, const char *p, size_t n)
{
	size_t keep = n >= TAIL ? 0 : l->tail_n < TAIL - n ? l->tail_n : TAIL - n;
	size_t take = n < TAIL ? n : TAIL;
	memmove(l->tail, l->tail + l->tail_n - keep, keep);
	memcpy(l->tail + keep, p + n - take, take);
	l->tail_n = keep + take;
}

static bool ends_piece(void *ctx, const char *p, size_t n)
{
	struct ends *l = ctx;
	size_t first = n < HEAD - l->head_n ? n : HEAD - l->head_n;
	memcpy(l->head + l->head_n, p, first);
	l->head_n += first;
	ends_tail(l, p + first, n - first);
	l->total += n;
	*l->left -= n < *l->left ? n : *l->left;
	return *l->left > 0;
}

static bool within(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* How many of n > 4 bytes there are without a character that is cut off at their end. */
static size_t whole_characters(const char *s, size_t n)
{
	size_t at = n - 1;
	while (at > n - 4 && within(s[at]))
		at--;
	unsigned char lead = (unsigned char)s[at];
	size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	return at + len > n ? at : n;
}

/* Where something is left out, whole lines are shown, or at least whole characters. */
static void ends_trim(struct ends *l)
{
	size_t n = l->head_n, skip = 0;
	const char *line = memrchr(l->head + HEAD / 2, '\n', HEAD / 2);
	if (line)
		n = (size_t)(line + 1 - l->head);
	else
		n = whole_characters(l->head, n);
	line = memchr(l->tail, '\n', TAIL / 2);
	if (line)
		skip = (size_t)(line + 1 - l->tail);
	else
		while (skip < 3 && within(l->tail[skip]))
			skip++;
	l->head_n = n;
	memmove(l->tail, l->tail + skip, l->tail_n - skip);
	l->tail_n -= skip;
}

static void ends_put(struct text *t, struct ends *l)
{
	char text[UNIT_TEXT];
	bool cut = l->total > l->head_n + l->tail_n;
	if (cut)
		ends_trim(l);
	if (cut) {
		html_block(t, l->head, l->head_n);
		html_addf(t, "\n<i class=\"cut\">… %s left out …</i>\n",
			  unit_size(l->total - l->head_n - l->tail_n, text));
		html_block(t, l->tail, l->tail_n);
		return;
	}
	auto_text struct text whole = TEXT_INIT;
	text_put(&whole, l->head, l->head_n);
	text_put(&whole, l->tail, l->tail_n);
	html_block(t, text_str(&whole), whole.n);
}

/* ---- a phase ---- */

static bool passed(const struct db_table *p, size_t row)
{
	return !strcmp(rows_str(p, row, "ended_as"), "exited") &&
	       !rows_int(p, row, "exit_code", -1);
}

/* The path of a log as one word of a shell. */
static char *log_word(const struct report *r, const char *log)
{
	auto_free char *path = own_fmt("%s/%s", r->state, log);
	return text_shell_word(path);
}

/* What lay below the phase's own directory of changes, the uppermost first. */
static void phase_layers(struct text *t, const struct db_table *p, size_t row)
{
	const char *layers = rows_text(p, row, "layers"),
		   *store = rows_text(p, row, "store_layers");
	if (!layers && !store)
		return;
	text_add(t, "<p class=\"says\">Layers it saw, the uppermost first:</p>\n<pre "
		    "tabindex=\"0\">");
	if (store)
		html_addf(t, "store %s, generation %lld\n", rows_str(p, row, "store"),
			  (long long)rows_int(p, row, "generation", 0));
	html_block(t, store ? store : "", store ? strlen(store) : 0);
	text_add(t, store && layers ? "\n" : "");
	html_block(t, layers ? layers : "", layers ? strlen(layers) : 0);
	text_add(t, "</pre>\n");
}

static void phase_log(struct text *t, const struct report *r, int state_fd, const char *log,
		      uint64_t *left)
{
	struct ends *l = own_calloc(1, sizeof(*l));
	struct err e = ERR_INIT;
	auto_free char *word = log_word(r, log);
	l->left = left;
	if (logfile_read(state_fd, log, ends_piece, l, &e)) {
		html_addf(t, "<p class=\"says\">%s</p>\n", e.text);
	} else if (!l->total) {
		text_add(t, "<p class=\"says\">It wrote nothing.</p>\n");
	} else {
		text_add(t, "<pre tabindex=\"0\" aria-label=\"Beginning and end of the log\">");
		ends_put(t, l);
		html_addf(t, "</pre>\n<p class=\"says\">%s<code>zstdcat %s</code></p>\n",
			  *left ? "All of it: " : "It was not read to its end: ", word);
	}
	free(l);
}

static void phase_put(struct text *t, const struct report *r, int state_fd, const char *side,
		      const struct db_table *p, size_t row, uint64_t *left)
{
	const char *log = rows_text(p, row, "log");
	html_addf(t, "<details class=\"log\"><summary>Log of %s (%s)</summary>\n",
		  rows_str(p, row, "phase"), side);
	if (log)
		phase_log(t, r, state_fd, log, left);
	phase_layers(t, p, row);
	text_add(t, "</details>\n");
}

/* A phase that both sides share is told once. */
static bool told_before(const struct db_table *base, const char *log)
{
	for (size_t i = 0; base && log && i < base->n_rows; i++)
		if (!strcmp(rows_str(base, i, "log"), log))
			return true;
	return false;
}

static void pair_put(struct text *t, const struct report *r, int state_fd, size_t pair,
		     uint64_t *left)
{
	const char *sides[] = {r->review->base, r->review->next};
	for (size_t k = 0; k < 2; k++) {
		const struct db_table *p = r->told[pair][k];
		for (size_t i = 0; p && i < p->n_rows; i++)
			if (!passed(p, i) &&
			    !(k && told_before(r->told[pair][0], rows_text(p, i, "log"))))
				phase_put(t, r, state_fd, sides[k], p, i, left);
	}
}

void report_logs_load(struct report *r)
{
	const struct review *v = r->review;
	auto_fd int state_fd = open(r->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t left = READ;
	size_t used = 0;
	for (size_t i = 0; i < v->n_pairs && i < REPORT_TOLD; i++) {
		auto_text struct text one = TEXT_INIT;
		if (state_fd >= 0 && used < ROOM && left)
			pair_put(&one, r, state_fd, i, &left);
		else if (state_fd >= 0 && (v->pairs[i].verdict != VERDICT_SAME))
			html_addf(&one,
				  "<p class=\"says\">This page shows no more logs: "
				  "<code>assay logs %lld %s</code></p>\n",
				  (long long)v->run, v->pairs[i].package);
		used += one.n;
		r->logs[i] = one.n ? text_take(&one) : NULL;
	}
}

void page_logs(struct text *t, const struct report *r, size_t pair)
{
	if (pair >= REPORT_TOLD || !r->logs[pair])
		return;
	html_addf(t, "<div id=\"l%zu\">\n", pair);
	text_add(t, r->logs[pair]);
	text_add(t, "</div>\n");
}
