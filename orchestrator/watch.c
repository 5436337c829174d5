#include "orchestrator/watch.h"

#include "base/unit.h"
#include "orchestrator/plain.h"
#include "orchestrator/table.h"

#include <string.h>

static int64_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *word(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static const char *duration(int64_t ms, char *buf)
{
	return unit_duration(ms > 0 ? (uint64_t)ms : 0, buf);
}

static void add_counts(const json_t *snapshot, struct text *t)
{
	const char *key;
	json_t *n;
	json_object_foreach(json_object_get(snapshot, "counts"), key, n)
		text_addf(t, "  %s %lld", key, (long long)json_integer_value(n));
}

static void add_left(const json_t *snapshot, struct text *t)
{
	char likely[UNIT_TEXT], late[UNIT_TEXT];
	const json_t *left = json_object_get(snapshot, "left_ms");
	int64_t a = json_integer_value(json_array_get(left, 0)),
		b = json_integer_value(json_array_get(left, 1));
	if (b < 1000)
		return;
	text_addf(t, ", about %s", duration(a - a % 1000, likely));
	if (b / 1000 > a / 1000)
		text_addf(t, " to %s", duration(b - b % 1000, late));
	text_add(t, " left");
}

void watch_line(const json_t *s, struct text *t)
{
	char took[UNIT_TEXT];
	text_addf(t, "run %lld: %lld of %lld done, %zu running, %s", (long long)number(s, "run"),
		  (long long)number(s, "done"), (long long)number(s, "jobs"),
		  json_array_size(json_object_get(s, "running")),
		  duration(number(s, "wall_ms"), took));
	if (strcmp(word(s, "state"), "running"))
		text_addf(t, ", %s", word(s, "state"));
	add_left(s, t);
	add_counts(s, t);
}

/* ---- a screen ---- */

struct screen {
	struct text *t;
	size_t width, left; /* lines that still fit */
	bool colours, any;
};

/* A line, cut to the width in characters of one cell each and wide ones counted as they are. */
static void screen_line(struct screen *sc, const char *ink, const struct text *line)
{
	size_t cells = 0, at = 0;
	if (!sc->left)
		return;
	if (sc->any)
		text_add(sc->t, "\r\n");
	sc->any = true;
	sc->left--;
	if (sc->colours && ink)
		text_add(sc->t, ink);
	while (at < line->n) {
		uint32_t c;
		char one[8] = "";
		size_t n = plain_next(line->p + at, line->n - at, &c);
		memcpy(one, line->p + at, n < sizeof(one) ? n : sizeof(one) - 1);
		cells += table_cells_wide(one);
		if (cells > sc->width)
			break;
		text_put(sc->t, line->p + at, n);
		at += n;
	}
	if (sc->colours && ink)
		text_add(sc->t, "\033[0m");
	text_add(sc->t, "\033[K");
}

static void add_bar(struct text *t, double share, size_t width)
{
	size_t full = share <= 0 ? 0 : share >= 1 ? width : (size_t)(share * (double)width);
	for (size_t i = 0; i < width; i++)
		text_add(t, i < full ? "█" : "░");
}

/* Names come from suites: shown as plain as anything else. */
static void add_plain(struct text *t, const char *s, size_t cells)
{
	auto_free char *plain = plain_line(s, cells);
	size_t wide = table_cells_wide(plain);
	text_add(t, plain);
	while (wide++ < cells)
		text_addc(t, ' ');
}

static void screen_head(struct screen *sc, const json_t *s)
{
	char took[UNIT_TEXT], disk[UNIT_TEXT];
	auto_text struct text line = TEXT_INIT, bar = TEXT_INIT, machine = TEXT_INIT;
	const json_t *slots = json_object_get(s, "slots"),
		     *pressure = json_object_get(s, "pressure");
	int64_t jobs = number(s, "jobs"), done = number(s, "done");
	auto_free char *suite = plain_line(word(s, "suite"), 40);
	text_addf(&line, "run %lld: %s, %s, %s", (long long)number(s, "run"), suite,
		  word(s, "state"), duration(number(s, "wall_ms"), took));
	add_left(s, &line);
	screen_line(sc, "\033[1m", &line);
	add_bar(&bar, jobs ? (double)done / (double)jobs : 0, sc->width > 60 ? 40 : sc->width / 2);
	text_addf(&bar, " %lld/%lld", (long long)done, (long long)jobs);
	add_counts(s, &bar);
	screen_line(sc, NULL, &bar);
	text_addf(&machine, "slots %lld/%lld  fetches %lld/%lld  waiting %lld+%lld",
		  (long long)number(slots, "jobs_used"), (long long)number(slots, "jobs"),
		  (long long)number(slots, "fetches_used"), (long long)number(slots, "fetches"),
		  (long long)number(slots, "waiting"), (long long)number(slots, "offered"));
	if (number(pressure, "memory") >= 0)
		text_addf(&machine, "  memory stall %.1f%%  i/o stall %.1f%%",
			  (double)number(pressure, "memory") / 100,
			  (double)number(pressure, "io") / 100);
	text_addf(&machine, "  disk free %s",
		  unit_size((uint64_t)number(pressure, "disk_free"), disk));
	screen_line(sc, "\033[2m", &machine);
}

static void screen_running(struct screen *sc, const json_t *running)
{
	size_t i;
	const json_t *r;
	auto_text struct text none = TEXT_INIT;
	screen_line(sc, NULL, &none);
	json_array_foreach(running, i, r)
	{
		char since[UNIT_TEXT];
		auto_text struct text line = TEXT_INIT;
		int64_t ms = number(r, "since_ms"), expect = number(r, "expect_ms");
		add_bar(&line, expect ? (double)ms / (double)expect : 0, 10);
		text_addc(&line, ' ');
		add_plain(&line, word(r, "package"), 28);
		text_addc(&line, ' ');
		add_plain(&line, *word(r, "variant") ? word(r, "variant") : "-", 10);
		text_addc(&line, ' ');
		add_plain(&line, word(r, "phase"), 8);
		text_addf(&line, " %s%s", duration(ms, since),
			  json_is_true(json_object_get(r, "networked")) ? "  network" : "");
		screen_line(sc, expect && ms > expect ? "\033[33m" : NULL, &line);
	}
}

static const char *ink_of(const char *status)
{
	if (!strcmp(status, "pass"))
		return "\033[32m";
	return strcmp(status, "skip") ? "\033[31m" : "\033[2m";
}

static void screen_recent(struct screen *sc, const json_t *recent)
{
	size_t i;
	const json_t *r;
	auto_text struct text none = TEXT_INIT;
	screen_line(sc, NULL, &none);
	json_array_foreach(recent, i, r)
	{
		char took[UNIT_TEXT];
		auto_text struct text line = TEXT_INIT;
		bool passed = !strcmp(word(r, "status"), "pass");
		add_plain(&line, word(r, "package"), 28);
		text_addc(&line, ' ');
		add_plain(&line, word(r, "variant"), 10);
		text_addf(&line, " %s", word(r, "status"));
		if (!passed)
			text_addf(&line, "/%s in %s", word(r, "reason"), word(r, "phase"));
		if (number(r, "wall_ms"))
			text_addf(&line, "  %s", duration(number(r, "wall_ms"), took));
		screen_line(sc, ink_of(word(r, "status")), &line);
	}
}

void watch_screen(const json_t *s, size_t width, size_t height, bool colours, struct text *t)
{
	struct screen sc = {t, width, height, colours, false};
	screen_head(&sc, s);
	screen_running(&sc, json_object_get(s, "running"));
	screen_recent(&sc, json_object_get(s, "recent"));
}
