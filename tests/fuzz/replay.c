/* Every file of a corpus by name, and some changes to each of them: as many as ASSAY_FUZZ_RUNS,
 * else the second argument says (10). The changes are the same every time. */
#include "fuzz.h"

#include <dirent.h>

static uint64_t seed = 1;

static size_t chance(size_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return n ? (size_t)(seed >> 33) % n : 0;
}

/* Flip, overwrite, cut out or double something. */
static void change(struct text *t)
{
	static const char words[] = "../\0/.assay/\xff\x00\x7f-1 99999999999999999999";
	if (!t->n)
		text_addc(t, 'x');
	size_t at = chance(t->n), n = chance(t->n - at < 64 ? t->n - at : 64) + 1;
	switch (chance(5)) {
	case 0:
		t->p[at] = (char)(t->p[at] ^ (1 << chance(8)));
		break;
	case 1:
		t->p[at] = (char)chance(256);
		break;
	case 2:
		n = at + n > t->n ? t->n - at : n;
		memmove(t->p + at, t->p + at + n, t->n - at - n);
		t->n -= n;
		break;
	case 3: {
		n = at + n > t->n ? t->n - at : n;
		auto_free char *copy = own_dup_n(t->p + at, 0);
		copy = own_grow(copy, n + 1, 1);
		memcpy(copy, t->p + at, n);
		text_put(t, copy, n);
		break;
	}
	default:
		for (size_t i = 0, from = chance(sizeof(words)); i < 8 && at + i < t->n; i++)
			t->p[at + i] = words[(from + i) % sizeof(words)];
	}
}

static size_t replay(int dir, const char *name, size_t runs)
{
	struct err e = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	if (dir_read_whole(dir, name, 1 << 24, &t, &e)) {
		fprintf(stderr, "%s: %s\n", name, e.text);
		exit(1);
	}
	text_add(&t, "");
	LLVMFuzzerTestOneInput((const uint8_t *)text_str(&t), t.n);
	for (size_t i = 0; i < runs; i++) {
		auto_text struct text copy = TEXT_INIT;
		text_put(&copy, text_str(&t), t.n);
		for (size_t k = chance(4) + 1; k--;)
			change(&copy);
		LLVMFuzzerTestOneInput((const uint8_t *)copy.p, copy.n);
	}
	return runs + 1;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int main(int argc, char **argv)
{
	const char *count = getenv("ASSAY_FUZZ_RUNS");
	count = count ? count : argc > 2 ? argv[2] : "10";
	size_t n = 0, runs = strtoull(count, NULL, 10);
	auto_fd int dir = open(argc > 1 ? argv[1] : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list = NULL;
	int names = dir < 0 ? 0 : scandirat(dir, ".", &list, NULL, by_name);
	for (int i = 0; i < names; free(list[i++]))
		if (list[i]->d_name[0] != '.')
			n += replay(dir, list[i]->d_name, runs);
	free(list);
	printf("%zu inputs\n", n);
	return n ? 0 : 1;
}
