#include "orchestrator/commands.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/unit.h"
#include "orchestrator/options.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum { STATUS_RUNS = 10, STATUS_WATCH_FILES = 200000 };

/* Who writes, as far as can be seen. */
struct holder {
	bool held;   /* somebody has the lock */
	int64_t pid; /* what the lock file says, 0: nothing */
	bool alive;  /* that process exists */
};

/* What lies on disk, folder by folder. */
static const char *const folders[] = {"layers", "seg", "runs", "reports", "jobs", "tmp", "trash"};

struct standing {
	char *path;
	int fd; /* -1: there is no state directory */
	struct holder holder;
	struct dir_usage usage[countof(folders)];
	bool there[countof(folders)];
	uint64_t db_bytes;
	struct db *db; /* NULL: nothing was ever written */
	struct db_table *runs, *stores, *layers, *totals;
	struct review *newest; /* NULL: no run, or one without sides to compare */
};

static const struct argp_child status_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t status_arg(int key, char *arg, struct argp_state *st)
{
	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	st->child_inputs[0] = st->input;
	return 0;
}

static const struct argp status_argp = {
	NULL,
	status_arg,
	"",
	"Say what the state directory holds: runs, stores, layers, sizes on disk, and who is "
	"writing it.\v"
	"Example:\n  assay status\n  assay status --json --state /srv/assay",
	status_children,
	NULL,
	NULL,
};

/* Held, as proc(5)'s /proc/locks says it: "1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE …". Trying
 * the lock would tell as well, but for that moment it would turn a run away that begins just then.
 * -1: there is no such list. */
static int lock_listed(const struct stat *lock)
{
	char line[256];
	auto_file FILE *f = fopen("/proc/locks", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		unsigned long long inode;
		if (sscanf(line, "%*s FLOCK ADVISORY WRITE %*s %*x:%*x:%llu", &inode) == 1 &&
		    inode == lock->st_ino)
			return 1;
	}
	return 0;
}

static void holder_look(int dirfd, struct holder *h)
{
	char pid[32] = "";
	struct stat st;
	uint64_t n;
	auto_fd int fd = dir_open_beneath(dirfd, "lock", O_RDONLY, 0);
	if (fd < 0 || fstat(fd, &st))
		return;
	ssize_t got = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[got > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	if (!unit_parse_count(pid, &n) && n <= INT32_MAX)
		h->pid = (int64_t)n;
	h->alive = h->pid > 0 && (!kill((pid_t)h->pid, 0) || errno == EPERM);
	int listed = lock_listed(&st);
	if (listed < 0 && !flock(fd, LOCK_SH | LOCK_NB))
		listed = 0; /* let go with the descriptor */
	h->held = listed != 0;
}

static void status_measure(struct standing *s)
{
	static const char *const files[] = {"assay.db", "assay.db-wal", "assay.db-shm"};
	struct err e;
	struct stat st;
	for (size_t i = 0; i < countof(folders); i++)
		s->there[i] = !dir_usage(s->fd, folders[i], STATUS_WATCH_FILES, &s->usage[i], &e);
	for (size_t i = 0; i < countof(files); i++)
		if (!fstatat(s->fd, files[i], &st, AT_SYMLINK_NOFOLLOW))
			s->db_bytes += (uint64_t)st.st_blocks * 512;
}

static int status_ask(struct standing *s, struct err *e)
{
	const struct {
		const char *name;
		struct db_table **to;
	} wanted[] = {{"runs", &s->runs},
		      {"stores", &s->stores},
		      {"layers", &s->layers},
		      {"totals", &s->totals}};
	for (size_t i = 0; i < countof(wanted); i++)
		if (db_named(s->db, wanted[i].name, NULL, 0, wanted[i].to, e))
			return -1;
	struct err uncompared = ERR_INIT;
	if (s->runs->n_rows) {
		s->newest =
			review_load(s->db, rows_int(s->runs, 0, "run", 0), NULL, NULL, &uncompared);
		if (!s->newest && uncompared.kind != ERR_USAGE) {
			*e = uncompared;
			return -1;
		}
	}
	return 0;
}

static int status_load(struct standing *s, struct err *e)
{
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open state directory %s", s->path);
	auto_free char *file = own_fmt("%s/assay.db", s->path);
	holder_look(s->fd, &s->holder);
	status_measure(s);
	s->db = db_open(file, DB_READ, e);
	if (!s->db)
		return e->kind == ERR_ABSENT ? 0 : -1;
	return status_ask(s, e);
}

static void status_fini(struct standing *s)
{
	db_table_free(s->runs);
	db_table_free(s->stores);
	db_table_free(s->layers);
	db_table_free(s->totals);
	review_free(s->newest);
	db_close(s->db);
	own_close(&s->fd);
	free(s->path);
}

static void print_heading(const char *what, struct table *t)
{
	if (table_rows(t)) {
		printf("\n%s\n", what);
		table_print(t, stdout, table_width(stdout), table_colours(stdout));
	}
	table_free(t);
}

static void print_time(struct table *t, int64_t ms)
{
	char when[32] = "";
	time_t at = (time_t)(ms / 1000);
	struct tm tm;
	if (ms > 0 && localtime_r(&at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
	table_cell(t, when);
}

static void print_runs(const struct standing *s)
{
	struct table *t = table_new();
	char took[UNIT_TEXT];
	table_column(t, "RUN", TABLE_RIGHT);
	table_column(t, "SUITE", TABLE_LEFT);
	table_column(t, "STATE", TABLE_LEFT);
	table_column(t, "BEGAN", TABLE_LEFT);
	table_column(t, "TOOK", TABLE_RIGHT);
	table_column(t, "JOBS", TABLE_RIGHT);
	table_column(t, "COMPARES", TABLE_LEFT);
	for (size_t i = 0; i < s->runs->n_rows && i < STATUS_RUNS; i++) {
		int64_t wall = rows_int(s->runs, i, "wall_ms", -1),
			jobs = rows_int(s->runs, i, "jobs", 0);
		const char *base = rows_text(s->runs, i, "compare_base");
		table_cellf(t, "%lld", (long long)rows_int(s->runs, i, "run", 0));
		table_cell(t, rows_text(s->runs, i, "suite"));
		table_cell(t, rows_text(s->runs, i, "state"));
		print_time(t, rows_int(s->runs, i, "started_ms", 0));
		table_cell(t, wall >= 0 ? unit_duration((uint64_t)wall, took) : "");
		table_cellf(t, "%lld/%lld", (long long)rows_int(s->runs, i, "jobs_done", 0),
			    (long long)jobs);
		table_cellf(t, "%s%s%s", base ? base : "", base ? " → " : "",
			    base ? rows_str(s->runs, i, "compare_next") : "");
	}
	print_heading("Runs", t);
	if (s->runs->n_rows > STATUS_RUNS)
		printf("%zu older: assay query runs\n", s->runs->n_rows - STATUS_RUNS);
}

static void print_stores(const struct standing *s)
{
	struct table *t = table_new();
	char size[UNIT_TEXT];
	table_column(t, "STORE", TABLE_LEFT);
	table_column(t, "GENERATION", TABLE_RIGHT);
	table_column(t, "LAYERS", TABLE_RIGHT);
	table_column(t, "ENTRIES", TABLE_RIGHT);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "MADE", TABLE_LEFT);
	for (size_t i = 0; i < s->stores->n_rows; i++) {
		table_cell(t, rows_text(s->stores, i, "store"));
		table_cellf(t, "%lld", (long long)rows_int(s->stores, i, "generation", 0));
		table_cellf(t, "%lld", (long long)rows_int(s->stores, i, "layers", 0));
		table_cellf(t, "%lld", (long long)rows_int(s->stores, i, "entries", 0));
		table_cell(t, unit_size((uint64_t)rows_int(s->stores, i, "bytes", 0), size));
		print_time(t, rows_int(s->stores, i, "made_ms", 0));
	}
	print_heading("Stores", t);
}

static void print_layers(const struct standing *s)
{
	struct table *t = table_new();
	char size[UNIT_TEXT];
	uint64_t unnamed = 0, bytes = 0;
	table_column(t, "LAYER", TABLE_LEFT);
	table_column(t, "ENTRIES", TABLE_RIGHT);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "FROM", TABLE_LEFT);
	for (size_t i = 0; i < s->layers->n_rows; i++) {
		const char *name = rows_text(s->layers, i, "name");
		uint64_t n = (uint64_t)rows_int(s->layers, i, "bytes", 0);
		if (!name) {
			unnamed++;
			bytes += n;
			continue;
		}
		table_cell(t, name);
		table_cellf(t, "%lld", (long long)rows_int(s->layers, i, "entries", 0));
		table_cell(t, unit_size(n, size));
		table_cell(t, rows_text(s->layers, i, "source"));
	}
	if (unnamed) {
		table_cellf(t, "(%llu of stores)", (unsigned long long)unnamed);
		table_cell(t, "");
		table_cell(t, unit_size(bytes, size));
		table_cell(t, "");
	}
	print_heading("Layers", t);
}

static void print_disk(const struct standing *s)
{
	struct table *t = table_new();
	char size[UNIT_TEXT];
	table_column(t, "ON DISK", TABLE_LEFT);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "FILES", TABLE_RIGHT);
	table_cell(t, "assay.db");
	table_cell(t, unit_size(s->db_bytes, size));
	table_cell(t, "");
	for (size_t i = 0; i < countof(folders); i++) {
		bool more = s->usage[i].inodes >= STATUS_WATCH_FILES;
		if (!s->there[i] || !s->usage[i].inodes)
			continue;
		table_cellf(t, "%s/", folders[i]);
		table_cellf(t, "%s%s", more ? "> " : "", unit_size(s->usage[i].bytes, size));
		table_cellf(t, "%s%llu", more ? "> " : "", (unsigned long long)s->usage[i].inodes);
	}
	putchar('\n');
	table_print(t, stdout, table_width(stdout), table_colours(stdout));
	table_free(t);
}

static void print_holder(const struct holder *h)
{
	const char *dead = h->alive ? "" : ", which this process cannot see";
	if (h->held && h->pid)
		printf("In use by process %lld%s\n", (long long)h->pid, dead);
	else if (h->held)
		printf("In use by another process\n");
	else
		printf("Not in use\n");
}

static void status_print(const struct standing *s)
{
	printf("State directory %s\n", s->path);
	if (s->fd < 0 || !s->db) {
		printf("%s; begin with: assay run SUITE\n",
		       s->fd < 0 ? "It does not exist yet" : "No runs yet");
		return;
	}
	print_holder(&s->holder);
	if (s->newest) {
		auto_free char *headline = review_headline(s->newest);
		printf("Newest: run %lld, %s: %s%s%s\n", (long long)s->newest->run,
		       validity_name(s->newest->validity), headline, *s->newest->why ? "; " : "",
		       s->newest->why);
	}
	print_runs(s);
	print_stores(s);
	print_layers(s);
	print_disk(s);
}

static json_t *newest_json(const struct review *r)
{
	if (!r)
		return json_null();
	json_t *verdicts = json_object();
	for (unsigned v = 0; r->base && v < VERDICT_COUNT; v++)
		json_object_set_new(verdicts, verdict_name((enum verdict)v),
				    json_integer((json_int_t)r->verdicts[v]));
	return json_pack("{s:I, s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:o}", "run",
			 (json_int_t)r->run, "validity", validity_name(r->validity), "why", r->why,
			 "base", r->base, "next", r->next, "jobs", (json_int_t)r->n_jobs,
			 "jobs_done", (json_int_t)r->n_done, "jobs_lost", (json_int_t)r->n_lost,
			 "verdicts", verdicts);
}

static void status_print_json(const struct standing *s)
{
	json_t *disk = json_object(), *totals = rows_json(s->totals), *j = json_object();
	for (size_t i = 0; i < countof(folders); i++)
		if (s->there[i])
			json_object_set_new(disk, folders[i],
					    json_pack("{s:I, s:I, s:b}", "bytes",
						      (json_int_t)s->usage[i].bytes, "files",
						      (json_int_t)s->usage[i].inodes, "whole",
						      s->usage[i].inodes < STATUS_WATCH_FILES));
	json_object_set_new(disk, "assay.db", json_pack("{s:I}", "bytes", (json_int_t)s->db_bytes));
	json_object_set_new(j, "state", json_string(s->path));
	json_object_set_new(j, "exists", json_boolean(s->fd >= 0));
	json_object_set_new(j, "lock",
			    json_pack("{s:b, s:I, s:b}", "held", s->holder.held, "pid",
				      (json_int_t)s->holder.pid, "alive", s->holder.alive));
	json_object_set_new(j, "newest", newest_json(s->newest));
	json_object_set_new(j, "runs", rows_json(s->runs));
	json_object_set_new(j, "stores", rows_json(s->stores));
	json_object_set_new(j, "layers", rows_json(s->layers));
	json_object_set(j, "totals", json_array_get(totals, 0));
	json_object_set_new(j, "disk", disk);
	json_decref(totals);
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

int cmd_status(int argc, char **argv)
{
	struct options_common a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&status_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	struct standing s = {.path = state_path(a.state, &e), .fd = -1};
	int rc = s.path ? status_load(&s, &e) : -1;
	if (!rc && a.json)
		status_print_json(&s);
	else if (!rc)
		status_print(&s);
	status_fini(&s);
	return rc ? command_fail(&e) : EXIT_OK;
}
