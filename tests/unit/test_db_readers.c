/* Readers beside the writer: they never wait, and each statement sees one moment. */
#include "db_scratch.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum { READERS = 2, PUBLISHES = 40, EACH = 50 };

struct reader {
	const char *file;
	pthread_t thread;
	int64_t seen;   /* the newest generation */
	uint64_t asked; /* statements */
	char wrong[1200];
};

static atomic_bool over;

/* One statement, one moment: as many entries, layers and segment bytes as the current generation
 * says. */
static int read_once(struct db *d, struct reader *r, struct err *e)
{
	struct db_table *t;
	if (db_query(d,
		     "SELECT coalesce((SELECT current FROM store), 0), (SELECT count(*) FROM "
		     "entry), (SELECT count(*) FROM layer),"
		     " (SELECT coalesce(sum(bytes), 0) FROM segment), (SELECT count(*) FROM "
		     "v_entry WHERE path = 'x/00001')",
		     NULL, 0, &t, e))
		return -1;
	int64_t g = t->cells[0].i;
	bool whole = t->cells[1].i == g * EACH && t->cells[2].i == g && t->cells[3].i == g * 100 &&
		     t->cells[4].i == g;
	db_table_free(t);
	if (!whole || g < r->seen)
		return err_set(e, ERR_CORRUPT, "generation %lld, after %lld, was not whole",
			       (long long)g, (long long)r->seen);
	r->seen = g;
	r->asked++;
	return 0;
}

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct err e = ERR_INIT;
	struct db *d = db_open(r->file, DB_READ, &e);
	int rc = d ? 0 : -1;
	bool last = false;
	while (!rc && !last) {
		last = atomic_load(&over);
		rc = read_once(d, r, &e);
	}
	if (rc)
		snprintf(r->wrong, sizeof(r->wrong), "%s", e.text);
	db_close(d);
	return NULL;
}

static void readers_see_whole_generations_while_one_writes(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	static struct db_entry entries[EACH];
	static char names[EACH][64];
	struct reader readers[READERS] = {{0}};
	for (size_t i = 0; i < READERS; i++) {
		readers[i].file = s->file;
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
	}
	struct life l = life_begin(s->db, 100);
	int64_t phase = life_phase(s->db, &l, 0, true, "fetch", 110), parent = 0;
	for (unsigned i = 1; i <= PUBLISHES; i++) {
		struct db_publish p = life_publish(phase, parent, i, (int64_t)(i - 1) * 100,
						   entries, names, EACH, "x");
		parent = db_publish(s->db, &p, &e);
		must(parent);
	}
	atomic_store(&over, true);
	for (size_t i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_string_equal(readers[i].wrong, "");
		assert_true(readers[i].asked > 0);
		assert_int_equal(readers[i].seen, PUBLISHES);
	}
}

static int no_locks(int fd, int what, ...)
{
	va_list args;
	va_start(args, what);
	long arg = va_arg(args, long);
	va_end(args);
	if (what == F_SETLK || what == F_SETLKW || what == F_OFD_SETLK || what == F_OFD_SETLKW) {
		errno = ENOLCK;
		return -1;
	}
	return fcntl(fd, what, arg);
}

static void a_file_system_without_locks_is_told_at_once(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	db_close(s->db);
	s->db = NULL;
	assert_int_equal(vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr)no_locks),
			 SQLITE_OK);
	struct db *reader = db_open(s->file, DB_READ, &e);
	assert_int_equal(vfs->xSetSystemCall(vfs, "fcntl", NULL), SQLITE_OK);
	assert_null(reader);
	assert_int_equal(e.kind, ERR_SYS);
	assert_non_null(strstr(e.text, "gives no locks"));
	s->db = db_open(s->file, DB_WRITE, &e);
	assert_non_null(s->db);
}

static void a_reader_sees_at_once_what_was_committed(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	struct db *reader = db_open(s->file, DB_READ, &e);
	assert_non_null(reader);
	life_begin(s->db, 100);
	assert_int_equal(number(reader, "SELECT count(*) FROM v_run"), 1);
	life_begin(s->db, 200);
	assert_int_equal(number(reader, "SELECT count(*) FROM v_run"), 2);
	db_close(reader);
}

static void a_reader_cannot_write(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	struct db *reader = db_open(s->file, DB_READ, &e);
	assert_non_null(reader);
	struct db_job jobs[] = {{.package = "a", .variant = "base"}};
	const struct db_variant v = {.name = "base"};
	const struct db_run run = {.suite = "s", .pid = 1, .started_ms = 1, .jobs_at_once = 1};
	assert_int_equal(db_run_begin(reader, &run, &v, 1, jobs, 1, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(number(s->db, "SELECT count(*) FROM v_run"), 0);
	db_close(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(readers_see_whole_generations_while_one_writes),
		scratch_test(a_file_system_without_locks_is_told_at_once),
		scratch_test(a_reader_sees_at_once_what_was_committed),
		scratch_test(a_reader_cannot_write),
	};
	return cmocka_run_group_tests_name("db_readers", tests, NULL, NULL);
}
