/* What a box would be made of, as text for people: in the order in which sandbox/box/stage.c makes
 * it. */
#include "sandbox/pack.h"

#include "base/text.h"
#include "base/unit.h"
#include "sandbox/box/plan.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

/* One word of a shell; what a terminal would take for more than text is written as \xNN. */
static void add_word(struct text *t, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_./:=,+@%";
	bool strange = false;
	for (const char *p = s; *p; p++)
		strange |= iscntrl((unsigned char)*p) != 0;
	if (*s && !s[strspn(s, plain)]) {
		text_add(t, s);
		return;
	}
	text_add(t, strange ? "$'" : "'");
	for (const char *p = s; *p; p++)
		if (iscntrl((unsigned char)*p))
			text_addf(t, "\\x%02x", (unsigned char)*p);
		else if (strange && (*p == '\'' || *p == '\\'))
			text_addf(t, "\\%c", *p);
		else if (*p == '\'')
			text_add(t, "'\\''");
		else
			text_addc(t, *p);
	text_addc(t, '\'');
}

static void add_fd(struct text *t, int fd)
{
	auto_free char *path = path_of_fd(fd);
	add_word(t, path);
}

static void add_line(struct text *t, const char *path, const char *how)
{
	text_addf(t, "  %-5s ", how);
	add_word(t, path);
}

const char *box_mode_name(enum box_mode mode)
{
	switch (mode) {
	case BOX_RO:
		return "ro";
	case BOX_RW:
		return "rw";
	case BOX_COW:
		return "cow";
	case BOX_TMPFS:
		return "tmpfs";
	}
	return "?";
}

static void add_room(struct text *t, const struct box_spec *s, uint64_t own)
{
	char size[UNIT_TEXT];
	uint64_t bytes = own ? own : s->limits.memory ? s->limits.memory : PLAN_TMPFS;
	text_addf(t, "in memory, at most %s", unit_size(bytes, size));
}

/* What becomes of a single file: pack.h's rules, told. */
static void add_file_mount(struct text *t, const struct box_spec *s, const struct box_mount *m)
{
	char size[UNIT_TEXT];
	const struct box_mount *around = mount_around(s, m->path);
	text_add(t, ": file ");
	add_fd(t, m->lowers[0]);
	text_addf(t, ", %s", unit_size(mount_file_bytes(m), size));
	if (m->mode == BOX_COW && around && around->mode == BOX_COW) {
		text_add(t, ", copied into a layer of ");
		add_word(t, around->path);
	} else if (m->mode == BOX_COW) {
		text_add(t, ", bound to its place; changes are lost: ");
		add_room(t, s, 0);
	} else
		text_add(t, ", bound to its place");
	text_addc(t, '\n');
}

static void add_mount(struct text *t, const struct box_spec *s, const struct box_mount *m)
{
	bool root = !m->path[1];
	add_line(t, m->path, box_mode_name(m->mode));
	if (mount_is_file(m)) {
		add_file_mount(t, s, m);
		return;
	}
	if (m->mode == BOX_TMPFS || (m->mode == BOX_COW && m->upper_fd < 0 && !m->to_be)) {
		text_add(t, m->mode == BOX_COW ? ": changes are lost: " : ": ");
		add_room(t, s, m->mode == BOX_TMPFS ? m->size : s->limits.disk);
	}
	text_addc(t, '\n');
	if (m->to_be) {
		text_add(t, "          upper ");
		add_word(t, m->to_be);
		text_add(t, m->upper_fd < 0 ? ", to be made\n" : "\n");
	} else if (m->mode == BOX_COW && m->upper_fd >= 0) {
		text_add(t, "          upper ");
		add_fd(t, m->upper_fd);
		text_add(t, ", work ");
		add_fd(t, m->work_fd);
		text_addc(t, '\n');
	}
	for (size_t i = 0; i < m->n_lowers; i++) {
		text_add(t, "          ");
		add_fd(t, m->lowers[i]);
		text_add(t, i < m->n_past ? " (of an earlier box)\n" : "\n");
	}
	if (root)
		text_addf(t, "          %s\n",
			  s->root_host ? "a skeleton of the host's root" : "a skeleton");
}

static bool is_mounted(const struct box_spec *s, const char *path)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (!strcmp(s->mounts[i].path, path))
			return true;
	return false;
}

static void add_own(struct text *t, const struct box_spec *s, const char *path, const char *what)
{
	if (is_mounted(s, path))
		return;
	add_line(t, path, "own");
	text_addf(t, ": %s\n", what);
}

static void add_mounts(struct text *t, const struct box_spec *s)
{
	static const char *const host[] = PLAN_HOST_DIRS;
	auto_free const struct box_mount **sorted = mounts_sorted(s);
	size_t n = s->n_mounts, first = n && !sorted[0]->path[1];
	struct stat st;
	text_add(t, "mounts, in the order they are made:\n");
	if (first)
		add_mount(t, s, sorted[0]);
	else {
		add_line(t, "/", "own");
		text_add(t, ": a skeleton of the host's root; changes are lost: ");
		add_room(t, s, 0);
		text_addc(t, '\n');
	}
	add_own(t, s, "/dev", "null, zero, full, random, urandom, tty, pts, shm");
	add_own(t, s, "/tmp", "in memory");
	add_own(t, s, "/run", "in memory");
	for (size_t i = 0; s->root_host && i < countof(host); i++)
		if (!lstat(host[i], &st) && S_ISDIR(st.st_mode) && !is_mounted(s, host[i])) {
			add_line(t, host[i], "ro");
			text_add(t, ": the host's\n");
		}
	for (size_t i = first; i < n; i++)
		add_mount(t, s, sorted[i]);
	add_own(t, s, "/sys", "the processors, nothing else");
	add_own(t, s, "/proc", "of the box alone, masked");
}

static void add_files(struct text *t, const struct box_spec *s)
{
	for (size_t i = 0; i < s->n_files; i++) {
		const struct box_file *f = &s->files[i];
		char size[UNIT_TEXT];
		text_add(t, i ? "  " : "files:\n  ");
		add_word(t, f->path);
		text_addf(t, ": %s, mode %04o\n",
			  f->bytes ? unit_size(f->n, size) : "what will be read", f->mode & 07777);
	}
}

enum limit_unit { LIMIT_TIME, LIMIT_BYTES, LIMIT_COUNT, LIMIT_CPUS };

static void add_limits(struct text *t, const struct box_limits *l)
{
	const struct {
		const char *name;
		uint64_t value;
		enum limit_unit unit;
	} all[] = {
		{"wall time", l->wall_ms, LIMIT_TIME},
		{"cpu time", l->cpu_ms, LIMIT_TIME},
		{"silence", l->silence_ms, LIMIT_TIME},
		{"idle", l->idle_ms, LIMIT_TIME},
		{"memory", l->memory, LIMIT_BYTES},
		{"processes", l->processes, LIMIT_COUNT},
		{"disk", l->disk, LIMIT_BYTES},
		{"inodes", l->disk_inodes, LIMIT_COUNT},
		{"output", l->output_bytes, LIMIT_BYTES},
		{"open files", l->open_files, LIMIT_COUNT},
		{"file size", l->file_size, LIMIT_BYTES},
		{"processors", l->cpu_milli, LIMIT_CPUS},
		{"grace", l->grace_ms, LIMIT_TIME},
	};
	const char *sep = "limits: ";
	for (size_t i = 0; i < countof(all); i++) {
		char buf[UNIT_TEXT];
		if (!all[i].value)
			continue;
		text_addf(t, "%s%s ", sep, all[i].name);
		sep = ", ";
		if (all[i].unit == LIMIT_TIME)
			text_add(t, unit_duration(all[i].value, buf));
		else if (all[i].unit == LIMIT_BYTES)
			text_add(t, unit_size(all[i].value, buf));
		else if (all[i].unit == LIMIT_CPUS)
			text_addf(t, "%.3f", (double)all[i].value / 1000);
		else
			text_addf(t, "%llu", (unsigned long long)all[i].value);
	}
	text_add(t, *sep == 'l' ? "limits: none\n" : "\n");
}

static const char *net_text(enum box_net net)
{
	switch (net) {
	case BOX_NET_NONE:
		return "none: its own, with nothing but the loopback interface";
	case BOX_NET_HOST:
		return "host: this machine's, and all that it reaches";
	case BOX_NET_NAT:
		return "nat: its own, and out of it through pasta";
	}
	return "?";
}

static void add_stdio(struct text *t, const struct box_spec *s)
{
	static const char *const names[] = {"stdin", "stdout", "stderr"};
	if (s->terminal)
		text_add(t, "stdio: a terminal of its own\n");
	else if (!s->stdio)
		text_add(t, "stdio: stdin is empty, stdout and stderr are read along\n");
	else
		for (size_t i = 0; i < 3; i++) {
			text_addf(t, "%s%s ", i ? ", " : "stdio: ", names[i]);
			if (s->stdio[i] < 0)
				text_add(t, i ? "(read along)" : "(empty)");
			else
				add_fd(t, s->stdio[i]);
			text_add(t, i == 2 ? "\n" : "");
		}
}

int box_describe(const struct box_spec *spec, struct text *out, struct err *e)
{
	if (pack_check(spec, e))
		return -1;
	auto_free char *profile = box_profile_name(spec->loosen);
	text_addf(out, "box %s, host name %s\n", spec->name, spec->hostname);
	add_mounts(out, spec);
	add_files(out, spec);
	text_addf(out, "ids: uid %u, gid %u, as the box sees them\n", spec->uid, spec->gid);
	text_addf(out, "network: %s\n", net_text(spec->net));
	add_limits(out, &spec->limits);
	text_addf(out, "profile: %s\n", profile);
	add_stdio(out, spec);
	text_add(out, "environment:\n");
	for (char *const *env = spec->env; *env; env++) {
		text_add(out, "  ");
		add_word(out, *env);
		text_addc(out, '\n');
	}
	text_add(out, "working directory: ");
	add_word(out, spec->cwd);
	text_add(out, "\ncommand:");
	for (char *const *arg = spec->argv; *arg; arg++) {
		text_addc(out, ' ');
		add_word(out, *arg);
	}
	text_addc(out, '\n');
	return 0;
}
