#include "orchestrator/porcelain.h"

#include "base/text.h"
#include "orchestrator/judge.h"

#include <string.h>

void porcelain_word(struct text *t, const char *s)
{
	text_addc(t, ' ');
	if (!s || !*s)
		text_addc(t, '-');
	else if (!strcmp(s, "-"))
		text_add(t, "%2D");
	else
		for (; *s; s++)
			if (*s <= ' ' || *s >= 127 || *s == '%')
				text_addf(t, "%%%02X", (unsigned)(unsigned char)*s);
			else
				text_addc(t, *s);
}

static void porcelain_line(struct text *t)
{
	text_addc(t, '\n');
	fputs(text_str(t), stdout);
	fflush(stdout);
}

void porcelain_init(struct porcelain *p, int64_t run, size_t jobs)
{
	auto_text struct text t = TEXT_INIT;
	*p = (struct porcelain){run, 0, jobs};
	text_addf(&t, "RUN %lld %zu", (long long)run, jobs);
	porcelain_line(&t);
}

void porcelain_news(void *porcelain, const struct engine_news *n)
{
	struct porcelain *p = porcelain;
	auto_text struct text t = TEXT_INIT;
	p->done++;
	text_add(&t, "ACK");
	porcelain_word(&t, n->package->id);
	porcelain_word(&t, n->variant->name);
	porcelain_word(&t, status_name(n->result.status));
	porcelain_word(&t, n->result.phase);
	porcelain_word(&t, reason_name(n->result.reason));
	text_addf(&t, " %llu", (unsigned long long)n->wall_ms);
	porcelain_line(&t);
}

void porcelain_phase(void *porcelain, const struct engine_phase *p)
{
	auto_text struct text t = TEXT_INIT;
	(void)porcelain;
	text_add(&t, p->facts ? "END" : "START");
	porcelain_word(&t, p->package->id);
	porcelain_word(&t, p->variant ? p->variant->name : NULL);
	porcelain_word(&t, p->phase);
	if (p->facts) {
		porcelain_word(&t, judge_end_name(p->facts->end));
		text_addf(&t, " %llu", (unsigned long long)(p->facts->wall_ns / 1000000));
	}
	porcelain_line(&t);
}

void porcelain_held(void *porcelain, const char *why)
{
	auto_text struct text t = TEXT_INIT;
	(void)porcelain;
	text_add(&t, why ? "HELD" : "GO");
	if (why)
		porcelain_word(&t, why);
	porcelain_line(&t);
}

void porcelain_full(void *porcelain, const char *store)
{
	auto_text struct text t = TEXT_INIT;
	(void)porcelain;
	text_add(&t, "FULL");
	porcelain_word(&t, store);
	porcelain_line(&t);
}

void porcelain_fini(const struct porcelain *p, const char *state)
{
	auto_text struct text t = TEXT_INIT;
	text_addf(&t, "DONE %lld %s %zu %zu", (long long)p->run, state, p->done, p->jobs);
	porcelain_line(&t);
}
