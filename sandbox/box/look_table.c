/* The table of a box's processes, for the record (format: sandbox.h, box_facts.processes). Written
 * line by line, so that what was got until this is ended is whole lines. */
#include "sandbox/box/look.h"

#include "base/dir.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TABLE_COMMAND 240 /* bytes of a command line, before it is escaped */
#define TABLE_WRITE 4096

struct table {
	int fd;
	size_t bytes;
	struct text lines; /* not written yet */
};

static void table_flush(struct table *t)
{
	if (t->lines.n && dir_write_all(t->fd, text_str(&t->lines), t->lines.n))
		t->bytes = PLAN_TABLE_MAX; /* no more */
	text_fini(&t->lines);
}

static void table_escape(struct text *to, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c == '\\')
			text_add(to, "\\\\");
		else if (c < ' ' || c > '~')
			text_addf(to, "\\x%02x", c);
		else
			text_addc(to, (char)c);
	}
}

/* Its arguments, blanks between them; of one without (a zombie) the name, in parentheses. */
static void table_command(struct text *line, int dirfd, const char *name, size_t n_name)
{
	char buf[TABLE_COMMAND + 1];
	ssize_t n = look_read(dirfd, "cmdline", buf, sizeof(buf));
	while (n > 0 && !buf[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++)
		buf[i] = buf[i] ? buf[i] : ' ';
	if (n > 0) {
		table_escape(line, buf, (size_t)n);
		return;
	}
	text_addc(line, '(');
	table_escape(line, name, n_name);
	text_addc(line, ')');
}

static bool table_add(void *arg, int dirfd, pid_t pid)
{
	struct table *t = arg;
	char buf[1024], state;
	int parent;
	uint64_t user, system;
	int64_t pages;
	auto_text struct text line = TEXT_INIT;
	if (look_read(dirfd, "stat", buf, sizeof(buf)) <= 0)
		return true;
	const char *name = strchr(buf, '('), *rest = strrchr(buf, ')');
	if (!name || !rest ||
	    sscanf(rest + 1,
		   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
		   " %*d %*d %*d %*d %*d %*d %*u %*u %" SCNd64,
		   &state, &parent, &user, &system, &pages) != 5)
		return true;
	uint64_t tick_ms = 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
	text_addf(&line, "%d %d %c %" PRIu64 " %" PRIu64 " ", (int)pid, parent, state,
		  (user + system) * tick_ms, (uint64_t)(pages > 0 ? pages : 0) * page_kib);
	table_command(&line, dirfd, name + 1, (size_t)(rest - name - 1));
	text_addc(&line, '\n');
	if (t->bytes + line.n > PLAN_TABLE_MAX)
		return false;
	t->bytes += line.n;
	text_put(&t->lines, text_str(&line), line.n);
	if (t->lines.n >= TABLE_WRITE)
		table_flush(t);
	return true;
}

void look_table(int fd)
{
	struct table t = {.fd = fd, .lines = TEXT_INIT};
	look_each(table_add, &t);
	table_flush(&t);
	text_fini(&t.lines);
}
