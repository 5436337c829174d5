/* Eight jobs that read and publish into one store at once, while stacks are flattened, by publishes
 * and as a whole, and old generations collected: each job sees one unchanging generation.
 * ASSAY_TEST_PUBLISHES says how many publishes (48). */
#include "store_place.h"

#include "orchestrator/pin.h"
#include "orchestrator/stack.h"

#include <pthread.h>

enum { JOBS = 8, FILES = 24 };

struct many {
	struct place *p;
	pthread_mutex_t lane; /* as the engine's: one unit at a time holds the store */
	size_t left, published, collected, compacted;
	const char *wrong;
	pthread_mutex_t told; /* of left and wrong */
};

static void tell_wrong(struct many *m, const char *what)
{
	pthread_mutex_lock(&m->told);
	m->wrong = m->wrong ? m->wrong : what;
	pthread_mutex_unlock(&m->told);
}

/* What a job sees through its layers: which of the files are there and what they hold, by digest.
 */
static void look(const int *fds, size_t n, char id[CACHE_ID])
{
	auto_text struct text seen = TEXT_INIT;
	struct err e = ERR_INIT;
	for (int i = 0; i < FILES; i++) {
		char path[32];
		snprintf(path, sizeof(path), "shared/%d", i);
		for (size_t k = 0; k < n; k++) {
			auto_text struct text t = TEXT_INIT;
			if (dir_read_whole(fds[k], path, 1 << 16, &t, &e))
				continue;
			text_addf(&seen, "%s:%s\n", path, text_str(&t));
			break;
		}
	}
	cache_digest(text_str(&seen), seen.n, id);
}

static int publish_one(struct many *m, size_t job, size_t nth)
{
	struct err e = ERR_INIT;
	char rel[48], path[32], content[32], name[48];
	snprintf(rel, sizeof(rel), "uppers/%zu.%zu", job, nth);
	auto_fd int upper = dir_make(m->p->state->fd, rel, 0755, &e);
	snprintf(path, sizeof(path), "shared/%zu", nth % FILES);
	snprintf(content, sizeof(content), "%zu of %zu", nth, job);
	snprintf(name, sizeof(name), "run 1 job%zu fetch", job);
	place_put(upper, path, content);
	/* Later ones are newer, and win. */
	const struct timespec t[2] = {{.tv_sec = 1700000000 - (time_t)nth},
				      {.tv_sec = 1700000000 - (time_t)nth}};
	if (utimensat(upper, path, t, 0))
		return -1;
	snprintf(path, sizeof(path), "own/%zu-%zu", job, nth);
	place_put(upper, path, content);
	pthread_mutex_lock(&m->lane);
	int rc = place_try(m->p, upper, name, 0, &e);
	m->published++;
	pthread_mutex_unlock(&m->lane);
	return rc || dir_remove(m->p->state->fd, rel, &e) ? -1 : 0;
}

/* The generation a job begins with, pinned; the lane is held. */
static int job_open(struct many *m, struct shelf *mine, int **fds, struct pin *pin)
{
	struct err e = ERR_INIT;
	pthread_mutex_lock(&m->lane);
	*mine = shelf_copy(&m->p->shelf);
	int rc = shelf_open(mine, m->p->state->cache, fds, &e) ||
				 pin_take(m->p->state->fd, mine->generation, pin, &e)
			 ? -1
			 : 0;
	pthread_mutex_unlock(&m->lane);
	return rc;
}

static bool job_next(struct many *m, size_t *nth)
{
	pthread_mutex_lock(&m->told);
	bool more = m->left > 0 && !m->wrong;
	*nth = m->left;
	m->left -= more;
	pthread_mutex_unlock(&m->told);
	return more;
}

struct job {
	struct many *m;
	size_t number;
	pthread_t thread;
};

static void *job_run(void *arg)
{
	struct job *j = arg;
	struct many *m = j->m;
	for (size_t nth; job_next(m, &nth);) {
		struct shelf mine;
		struct pin pin;
		int *fds = NULL;
		char before[CACHE_ID], after[CACHE_ID];
		if (job_open(m, &mine, &fds, &pin)) {
			tell_wrong(m, "a generation that is current can't be opened");
			return NULL;
		}
		look(fds, mine.n_layers, before);
		if (publish_one(m, j->number, nth))
			tell_wrong(m, "a publish failed");
		look(fds, mine.n_layers, after);
		if (strcmp(before, after))
			tell_wrong(m, "a job saw its generation change");
		for (size_t i = 0; i < mine.n_layers; i++)
			close(fds[i]);
		free(fds);
		shelf_fini(&mine);
		pin_drop(&pin);
	}
	return NULL;
}

/* As assay cache collect does, with the lane held instead of the lock. */
static int collect_once(struct many *m)
{
	struct err e = ERR_INIT;
	struct db_collected gone;
	int64_t *pinned;
	size_t n;
	struct state *s = m->p->state;
	int rc = pin_list(s->fd, &pinned, &n, &e);
	if (rc)
		return -1;
	rc = db_collect_rows(s->db, 0, pinned, n, false, &gone, &e);
	for (size_t i = 0; !rc && i < gone.n_layers; i++)
		rc = cache_layer_remove(s->cache, gone.layers[i], &e);
	m->collected += rc ? 0 : gone.n_layers;
	db_collected_fini(&gone);
	free(pinned);
	return rc;
}

/* As assay cache compact does. */
static int compact_once(struct many *m)
{
	struct err e = ERR_INIT;
	int made = stack_flatten(m->p->state->cache, m->p->state->db, "cache", true, &e);
	if (made > 0)
		place_load(m->p);
	m->compacted += made > 0;
	return made < 0 ? -1 : 0;
}

static void *collector_run(void *arg)
{
	struct many *m = arg;
	for (size_t last = 0, done = 0; !done;) {
		pthread_mutex_lock(&m->lane);
		if (m->published > last + 10 && collect_once(m))
			tell_wrong(m, "collecting failed");
		if (m->published > last + 10 && m->compacted * 40 < m->published && compact_once(m))
			tell_wrong(m, "compacting failed");
		last = m->published > last + 10 ? m->published : last;
		pthread_mutex_unlock(&m->lane);
		pthread_mutex_lock(&m->told);
		done = !m->left || m->wrong;
		pthread_mutex_unlock(&m->told);
		sched_yield();
	}
	return NULL;
}

static void every_job_sees_one_unchanging_generation(void **state)
{
	struct cache_rule newest = {"shared/**", CACHE_NEWEST};
	struct place *p = *state;
	const char *count = getenv("ASSAY_TEST_PUBLISHES");
	struct many m = {.p = p, .left = count ? strtoul(count, NULL, 10) : 48};
	struct job jobs[JOBS];
	pthread_t collector;
	size_t all = m.left;
	p->store.rules = &newest;
	p->store.n_rules = 1;
	pthread_mutex_init(&m.lane, NULL);
	pthread_mutex_init(&m.told, NULL);
	place_publish_file(p, "shared/0", "the first", "run 1 first fetch");
	for (size_t i = 0; i < JOBS; i++) {
		jobs[i] = (struct job){.m = &m, .number = i};
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, job_run, &jobs[i]), 0);
	}
	assert_int_equal(pthread_create(&collector, NULL, collector_run, &m), 0);
	for (size_t i = 0; i < JOBS; i++)
		pthread_join(jobs[i].thread, NULL);
	pthread_join(collector, NULL);
	if (!m.wrong && (compact_once(&m) || collect_once(&m)))
		tell_wrong(&m, "compacting and collecting at the end failed");
	if (m.wrong)
		fail_msg("%s, after %zu publishes", m.wrong, m.published);
	assert_int_equal(m.published, all);
	assert_true(m.collected > 0 && m.compacted > 0);
	print_message("           %zu publishes, %zu layers collected, compacted %zu times\n",
		      m.published, m.collected, m.compacted);
	auto_free char *shown = place_shown(p);
	for (size_t i = 1; i <= all; i++) {
		auto_free char *mine = own_fmt("-%zu ", i);
		if (!strstr(shown, mine))
			fail_msg("what publish %zu brought is not there", i);
	}
	place_expect_sound(p);
	place_close(p);
	place_open(p);
	assert_int_equal(p->state->found, 0);
	auto_free char *again = place_shown(p);
	assert_string_equal(again, shown);
	pthread_mutex_destroy(&m.lane);
	pthread_mutex_destroy(&m.told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_job_sees_one_unchanging_generation,
						place_setup, place_teardown),
	};
	return cmocka_run_group_tests_name("state/many", tests, NULL, NULL);
}
