#include "cache/lower_names.h"

#include <dirent.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

/* The slot it is in, or would be. */
static uint32_t *names_slot(const struct lower_names *x, const char *name)
{
	size_t i = XXH3_64bits_withSeed(name, strlen(name), x->seed) & (x->n_slots - 1);
	while (x->slots[i] && strcmp(text_str(&x->text) + x->slots[i], name) != 0)
		i = (i + 1) & (x->n_slots - 1);
	return &x->slots[i];
}

static void names_place(struct lower_names *x, size_t n)
{
	x->n_slots = 16;
	while (x->n_slots < 2 * n)
		x->n_slots *= 2;
	x->slots = own_calloc(x->n_slots, sizeof(*x->slots));
	for (size_t at = 0; at < x->text.n; at += 2 + strlen(text_str(&x->text) + at + 1))
		*names_slot(x, text_str(&x->text) + at + 1) = (uint32_t)at + 1;
}

/* 1, 0 or -1 as lower_names_read(); *names: so many. */
static int names_list(struct lower_names *x, int fd, size_t most, size_t *names, struct err *e)
{
	_Alignas(struct dirent64) char buffer[16384];
	ssize_t n;
	while ((n = getdents64(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < n; ++*names) {
			const struct dirent64 *it = (const struct dirent64 *)(buffer + at);
			text_addc(&x->text, it->d_type == DT_DIR ? 'd' : '?');
			text_put(&x->text, it->d_name, strlen(it->d_name) + 1);
			at += it->d_reclen;
		}
		if (x->text.n > most)
			return 0;
	}
	return n < 0 ? err_sys(e, "list a directory of the store") : 1;
}

int lower_names_read(struct lower_names *x, int fd, size_t most, struct err *e)
{
	size_t names = 0;
	*x = (struct lower_names){0};
	text_add(&x->text, "");
	if (getrandom(&x->seed, sizeof(x->seed), 0) != (ssize_t)sizeof(x->seed))
		return err_sys(e, "take a random number");
	int rc = names_list(x, fd, most, &names, e);
	if (rc > 0)
		names_place(x, names);
	else
		lower_names_free(x);
	return rc;
}

size_t lower_names_bytes(const struct lower_names *x)
{
	return x->text.cap + x->n_slots * sizeof(*x->slots);
}

char lower_names_find(const struct lower_names *x, const char *name)
{
	uint32_t at = *names_slot(x, name);
	return at ? text_str(&x->text)[at - 1] : '\0';
}

void lower_names_free(struct lower_names *x)
{
	if (!x)
		return;
	text_fini(&x->text);
	free(x->slots);
	*x = (struct lower_names){0};
}
