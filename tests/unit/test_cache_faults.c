/* cache/: stories in which the 1st, 2nd, … nth system call fails. Whatever fails, the old
 * generation stays whole, nothing leaks, and the same story told again without a fault ends well.
 * The calls that cache/ and base/ make are taken here before the C library sees them. */
#include "cache_store.h"

#include "cache/tree.h"

#include <dlfcn.h>
#include <sys/mman.h>

static long fault_left = -1; /* calls until the one that fails; -1: none does */
static int fault_errno;
static const char *fault_at;

static bool fault(const char *call)
{
	if (fault_left < 0 || fault_left--)
		return false;
	fault_at = call;
	errno = fault_errno;
	return true;
}

#define TAKE(result, call, args, ...)                                                              \
	result call args;                                                                          \
	result call args                                                                           \
	{                                                                                          \
		static result(*real) args;                                                         \
		if (!real)                                                                         \
			*(void **)&real = dlsym(RTLD_NEXT, #call);                                 \
		return fault(#call) ? (result)-1 : real(__VA_ARGS__);                              \
	}

TAKE(int, mkdirat, (int d, const char *p, mode_t m), d, p, m)
TAKE(int, linkat, (int a, const char *p, int b, const char *q, int f), a, p, b, q, f)
TAKE(int, symlinkat, (const char *t, int d, const char *p), t, d, p)
TAKE(int, renameat, (int a, const char *p, int b, const char *q), a, p, b, q)
TAKE(int, renameat2, (int a, const char *p, int b, const char *q, unsigned f), a, p, b, q, f)
TAKE(int, fchmod, (int d, mode_t m), d, m)
TAKE(int, fchmodat, (int d, const char *p, mode_t m, int f), d, p, m, f)
TAKE(int, futimens, (int d, const struct timespec t[2]), d, t)
TAKE(int, utimensat, (int d, const char *p, const struct timespec t[2], int f), d, p, t, f)
TAKE(int, fsync, (int d), d)
TAKE(int, fdatasync, (int d), d)
TAKE(int, syncfs, (int d), d)
TAKE(ssize_t, readlinkat, (int d, const char *p, char *b, size_t n), d, p, b, n)
TAKE(ssize_t, flistxattr, (int d, char *b, size_t n), d, b, n)
TAKE(int, fremovexattr, (int d, const char *k), d, k)
TAKE(ssize_t, fgetxattr, (int d, const char *k, void *b, size_t n), d, k, b, n)
TAKE(ssize_t, write, (int d, const void *b, size_t n), d, b, n)
TAKE(int, memfd_create, (const char *name, unsigned f), name, f)

TAKE(int, fstat, (int d, struct stat *st), d, st)
TAKE(int, fstatat, (int d, const char *p, struct stat *st, int f), d, p, st, f)
TAKE(int, unlinkat, (int d, const char *p, int f), d, p, f)
TAKE(int, ftruncate, (int d, off_t n), d, n)

int openat(int d, const char *p, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	va_list ap;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "openat");
	va_start(ap, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fault("openat") ? -1 : real(d, p, flags, mode);
}

/* openat2(2) has no function of its own. How many arguments there are only the kernel knows: the
 * six it could take are passed on. */
long syscall(long number, ...);
__attribute__((no_sanitize("address"))) long syscall(long number, ...)
{
	static long (*real)(long, ...);
	va_list ap;
	long a[6];
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	va_start(ap, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return fault("openat2") ? -1 : real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static size_t open_descriptors(void)
{
	return count_names(AT_FDCWD, "/proc/self/fd");
}

/* What the second job leaves: something new, something that is there, and what can't be linked. */
static void put_second(int v)
{
	put(v, "a/one", "1");
	put(v, "a/two", "new");
	put_bytes(v, "c/d/private", "p", 1, 0600);
	put(v, "b", "conflict");
	put(v, "twice", "two names");
	assert_int_equal(linkat(v, "twice", v, "again", 0), 0);
	assert_int_equal(symlinkat("a/two", v, "link"), 0);
}

static void make_uppers(struct store *s)
{
	auto_fd int u = sub(s->f->work, "u"), v = sub(s->f->work, "v");
	put(u, "a/one", "1");
	put(u, "b", "2");
	store_publish(s, "u");
	put_second(v);
}

/* One story; 0 or -1. What it made must be whole if it says 0. */
typedef int (*story_fn)(struct store *s, struct err *e);
static void (*story_before)(struct store *s); /* what it uses up is made; NULL: nothing */

static int story_upper = -1;

static int story_publish(struct store *s, struct err *e)
{
	return store_try_fd(s, story_upper, e);
}

/* An upper that becomes the layer, of which something has to go, and something to be made anew. */
static void make_spare(struct store *s)
{
	struct err e = ERR_INIT;
	OK(dir_remove(s->f->work, "spare", &e));
	auto_fd int v = sub(s->f->work, "spare"), a = sub(v, "a");
	put_second(v);
	assert_true(!fsetxattr(a, "user.overlay.origin", "x", 1, 0) || errno == ENOTSUP);
	assert_int_equal(fchmodat(v, "c", 0700, 0), 0);
}

static int story_take(struct store *s, struct err *e)
{
	auto_fd int fd = tree_open(s->f->work, "spare", O_RDONLY | O_DIRECTORY);
	int rc = fd < 0 ? err_sys(e, "open it") : store_take_fd(s, fd, "spare", e);
	/* It was made of it, or else the layer is of links. */
	if (!rc && !fault_at)
		assert_false(there(s->f->work, "spare"));
	return rc;
}

static int story_import(struct store *s, struct err *e)
{
	struct cache_layer out;
	auto_free char *path = at_work(s->f, "v");
	return cache_layer_import(s->f->c, path, NULL, &out, e);
}

static int story_flatten(struct store *s, struct err *e)
{
	struct cache_layer out;
	const char *ids[] = {s->ids[1], s->ids[0]};
	return cache_flatten(s->f->c, ids, 2, &out, e);
}

static int story_verify(struct store *s, struct err *e)
{
	return cache_layer_verify(s->f->c, s->ids[0], e);
}

static int story_remove(struct store *s, struct err *e)
{
	auto_free char *path = at_work(s->f, "v");
	struct cache_layer out;
	int rc = cache_layer_import(s->f->c, path, NULL, &out, e);
	return rc ? rc : cache_layer_remove(s->f->c, out.id, e);
}

static void check_whole(struct store *s)
{
	struct err e = ERR_INIT;
	const char *layers[64];
	struct cache_known k = store_known(s, layers);
	if (!fixture_reopen(s->f, &k, &e))
		fail_msg("after %s: %s", fault_at, e.text);
	expect_clean(s->f, s->n);
	for (size_t i = 0; i < s->n; i++)
		OK(cache_layer_verify(s->f->c, s->ids[i], &e));
	struct stat st;
	assert_int_equal(fstatat(s->f->state, "seg/000001.tar.zst", &st, 0), 0);
	assert_int_equal(st.st_size, s->segments[0].bytes);
}

static void tell(struct store *s, story_fn story, int error)
{
	long left = 0;
	for (long nth = 0;; nth++) {
		struct err e = ERR_INIT;
		/* What the state is repaired to before each telling is checked after it. */
		check_whole(s);
		if (story_before)
			story_before(s);
		size_t before = open_descriptors();
		fault_at = NULL;
		fault_errno = error;
		fault_left = nth;
		int rc = story(s, &e);
		fault_left = -1;
		if (rc && (e.kind == ERR_NONE || !e.text[0]))
			fail_msg("call %ld, %s: no reason given", nth, fault_at);
		if (rc && e.kind == ERR_HOSTILE)
			fail_msg("call %ld, %s: our own trouble taken for the job's: %s", nth,
				 fault_at, e.text);
		cache_published_fini(&s->out);
		assert_int_equal(open_descriptors(), before);
		left += count_names(s->f->state, "tmp") > 0;
		if (!fault_at) {
			assert_int_equal(rc, 0);
			assert_true(nth > 3);
			/* Only where cleaning up itself failed something is left to the next
			 * opening. */
			assert_true(2 * left < nth);
			break;
		}
	}
	check_whole(s);
}

static void tell_all(void **state, story_fn story)
{
	static const int errors[] = {EIO, ENOSPC, EMFILE, ENOMEM};
	struct store s = {.f = *state};
	make_uppers(&s);
	if (story == story_flatten)
		store_publish(&s, "v");
	story_upper = sub(s.f->work, "v");
	for (size_t i = 0; i < countof(errors); i++)
		tell(&s, story, errors[i]);
	own_close(&story_upper);
	store_end(&s);
}

static void a_publish_survives_any_failing_call(void **state)
{
	tell_all(state, story_publish);
}

static void taking_an_upper_survives_any_failing_call(void **state)
{
	story_before = make_spare;
	tell_all(state, story_take);
	story_before = NULL;
}

static void an_import_survives_any_failing_call(void **state)
{
	tell_all(state, story_import);
}

static void flattening_survives_any_failing_call(void **state)
{
	tell_all(state, story_flatten);
}

static void verifying_survives_any_failing_call(void **state)
{
	tell_all(state, story_verify);
}

static void removing_survives_any_failing_call(void **state)
{
	tell_all(state, story_remove);
}

/* Opening is told apart: it has no state to be given back to. */
static void opening_survives_any_failing_call(void **state)
{
	struct store s = {.f = *state};
	const char *layers[64];
	make_uppers(&s);
	cache_close(s.f->c);
	s.f->c = NULL;
	struct cache_known k = store_known(&s, layers);
	for (long nth = 0;; nth++) {
		struct err e = ERR_INIT;
		put(s.f->state, "tmp/1.2/half", "x");
		put(s.f->state, "trash/9/file", "x");
		put(s.f->state, "seg/000009.tar.zst", "x");
		size_t before = open_descriptors();
		fault_at = NULL;
		fault_errno = EIO;
		fault_left = nth;
		struct cache *c = cache_open(s.f->state, &k, &e);
		fault_left = -1;
		assert_true(c || e.text[0]);
		cache_close(c);
		assert_int_equal(open_descriptors(), before);
		if (!fault_at) {
			assert_non_null(c);
			break;
		}
	}
	check_whole(&s);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(a_publish_survives_any_failing_call),
		T(taking_an_upper_survives_any_failing_call),
		T(an_import_survives_any_failing_call),
		T(flattening_survives_any_failing_call),
		T(verifying_survives_any_failing_call),
		T(removing_survives_any_failing_call),
		T(opening_survives_any_failing_call),
	};
	return cmocka_run_group_tests_name("cache/faults", tests, NULL, NULL);
}
