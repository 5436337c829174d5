#include "orchestrator/spool.h"

#include "orchestrator/cache_cmd.h"

#include <stdarg.h>

int spool_open(struct spool *s, struct err *e)
{
	*s = (struct spool){.file = tmpfile()};
	return s->file ? 0 : err_sys(e, "make a temporary file for a list");
}

void spool_close(struct spool *s)
{
	if (s->file)
		fclose(s->file);
	s->file = NULL;
}

void spool_line(struct spool *s, const char *format, ...)
{
	va_list v;
	va_start(v, format);
	vfprintf(s->file, format, v);
	va_end(v);
	putc('\n', s->file);
	s->n++;
}

void spool_json(struct spool *s, json_t *j)
{
	enum { INSIDE = 4 };
	cache_cmd_element(s->file, INSIDE, !s->n++, j);
}

int spool_print(struct spool *s, bool json, struct err *e)
{
	char some[8192];
	if (fflush(s->file) || ferror(s->file) || fseek(s->file, 0, SEEK_SET))
		return err_sys(e, "keep a list in a temporary file");
	for (size_t n; (n = fread(some, 1, sizeof(some), s->file));)
		fwrite(some, 1, n, stdout);
	if (ferror(s->file))
		return err_sys(e, "read a list back from a temporary file");
	if (json)
		fputs(s->n ? "\n  ]" : "[]", stdout);
	return ferror(stdout) ? err_sys(e, "write the list") : 0;
}
