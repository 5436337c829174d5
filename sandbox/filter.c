/* For each architecture a binary tree over the call numbers: a leaf is an answer, or for calls
 * whose arguments are looked at the rows of filter_checks, which end in one. The kernel runs a new
 * filter once for every call number (the bitmap of Linux 5.11) and translates it, so its depth and
 * its size are part of what a box's start costs: neighbours with the same answer are one leaf. */
#include "sandbox/filter.h"

#include "base/own.h"
#include "sandbox/filter_table.h"
#include "sandbox/sandbox.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FILTER_ROOM 4096       /* BPF_MAXINSNS of linux/bpf_common.h: what the kernel takes */
#define FILTER_CALLS 1024      /* numbers from here on are no call of any kernel yet */
#define FILTER_SHARED 424      /* from here on a number is one call on every architecture */
#define FILTER_X32 0x40000000u /* __X32_SYSCALL_BIT: the same calls by another table */
#define FILTER_UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the low half of an argument comes first");

struct code {
	struct sock_filter at[FILTER_ROOM];
	unsigned n;
	bool full;
	/* What a row left to do: conditions that lead to an answer, which comes behind all rows;
	 * and what the accumulator holds when it does not hold, or NULL. */
	struct {
		unsigned at;
		uint32_t answer;
	} jumps[FILTER_ROOM];
	unsigned n_jumps;
	const struct filter_condition *loaded;
};

static void code_put(struct code *c, unsigned op, uint32_t k, unsigned jt, unsigned jf)
{
	if (c->n == FILTER_ROOM || jt > 255 || jf > 255) {
		c->full = true;
		return;
	}
	c->at[c->n++] = (struct sock_filter){(uint16_t)op, (uint8_t)jt, (uint8_t)jf, k};
}

static void code_load(struct code *c, size_t offset)
{
	code_put(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void code_answer(struct code *c, uint32_t answer)
{
	code_put(c, BPF_RET | BPF_K, answer, 0, 0);
}

/* What w looks at, unless it is in the accumulator already. */
static void code_argument(struct code *c, const struct filter_condition *w)
{
	if (c->loaded && c->loaded->arg == w->arg && c->loaded->mask == w->mask)
		return;
	code_load(c, offsetof(struct seccomp_data, args) + 8u * w->arg);
	if (w->mask != UINT32_MAX)
		code_put(c, BPF_ALU | BPF_AND | BPF_K, w->mask, 0, 0);
	c->loaded = w;
}

static void code_row(struct code *c, const struct filter_check *row)
{
	unsigned tests[FILTER_CONDITIONS], n = 0;
	for (; n < FILTER_CONDITIONS && row->when[n].mask; n++) {
		code_argument(c, &row->when[n]);
		tests[n] = c->n;
		code_put(c, BPF_JMP | BPF_JEQ | BPF_K, row->when[n].value, 0, 0);
	}
	if (!n) {
		code_answer(c, row->answer);
		return;
	}
	if (c->full)
		return;
	for (unsigned i = 0; i < n; i++)
		c->at[tests[i]].jf = (uint8_t)(c->n - tests[i] - 1);
	c->jumps[c->n_jumps].at = tests[n - 1];
	c->jumps[c->n_jumps++].answer = row->answer;
	if (n > 1)
		c->loaded = NULL; /* any of them may have failed */
}

/* One instruction per answer, whoever gives it. */
static void code_answers(struct code *c)
{
	for (unsigned i = 0; i < c->n_jumps && !c->full; i++) {
		if (c->at[c->jumps[i].at].jt)
			continue; /* it has its answer */
		uint32_t answer = c->jumps[i].answer;
		for (unsigned k = i; k < c->n_jumps; k++) {
			unsigned far = c->n - c->jumps[k].at - 1;
			if (c->jumps[k].answer != answer)
				continue;
			c->full |= far > UINT8_MAX;
			c->at[c->jumps[k].at].jt = (uint8_t)far;
		}
		code_answer(c, answer);
	}
	c->n_jumps = 0;
}

/* What is said about a call. */
struct verdict {
	uint32_t answer;
	const struct filter_check *rows; /* NULL, or the answer is theirs */
};

static bool row_same(const struct filter_check *a, const struct filter_check *b)
{
	for (unsigned i = 0; i < FILTER_CONDITIONS; i++)
		if (a->when[i].arg != b->when[i].arg || a->when[i].mask != b->when[i].mask ||
		    a->when[i].value != b->when[i].value)
			return false;
	return a->answer == b->answer && a->loosen == b->loosen;
}

static const struct filter_check *row_next(const struct filter_check *row)
{
	bool last = row + 1 == filter_checks + filter_n_checks || strcmp(row->call, row[1].call);
	return last ? NULL : row + 1;
}

/* Rows of two calls that say the same are one leaf, too. */
static bool verdict_same(const struct verdict *a, const struct verdict *b)
{
	const struct filter_check *x = a->rows, *y = b->rows;
	if (a->answer != b->answer || !x || !y || x == y)
		return a->answer == b->answer && x == y;
	while (x && y && row_same(x, y)) {
		x = row_next(x);
		y = row_next(y);
	}
	return !x && !y;
}

struct table {
	struct verdict calls[FILTER_CALLS];
	struct {
		uint32_t first; /* number, up to the next one's */
		unsigned leaf;
	} ranges[FILTER_CALLS + 3];
	unsigned n_ranges;
	struct verdict leaves[FILTER_CALLS];
	unsigned n_leaves;
};

/* -1: this architecture has no call of this name. */
static int number_of(uint32_t arch, const char *name)
{
	for (size_t i = 0; arch == SCMP_ARCH_X86 && i < filter_n_i386; i++)
		if (!strcmp(filter_i386[i].name, name))
			return filter_i386[i].number;
	int number = seccomp_syscall_resolve_name_arch(arch, name);
	for (size_t i = 0; i < filter_n_young && number == __NR_SCMP_ERROR; i++)
		if (!strcmp(filter_young[i].name, name) &&
		    (filter_young[i].number >= FILTER_SHARED || arch == seccomp_arch_native()))
			number = filter_young[i].number;
	return number < FILTER_CALLS ? number : -1;
}

/* A name that an architecture does not have stays at ENOSYS. */
static void table_set(struct table *t, uint32_t arch, const char *name, struct verdict v)
{
	int number = number_of(arch, name);
	if (number >= 0)
		t->calls[number] = v;
}

static void table_fill(struct table *t, uint32_t arch, unsigned loosen)
{
	static const struct verdict allow = {SECCOMP_RET_ALLOW, NULL};
	for (size_t i = 0; i < FILTER_CALLS; i++)
		t->calls[i] = (struct verdict){FILTER_UNKNOWN, NULL};
	for (size_t i = 0; i < filter_n_refused; i++)
		table_set(t, arch, filter_refused[i].name,
			  (struct verdict){SECCOMP_RET_ERRNO | (unsigned)filter_refused[i].error,
					   NULL});
	for (size_t i = 0; i < filter_n_allowed; i++)
		table_set(t, arch, filter_allowed[i], allow);
	for (size_t i = 0; i < filter_n_loosened; i++)
		if (filter_loosened[i].loosen & loosen)
			table_set(t, arch, filter_loosened[i].name, allow);
	for (size_t i = filter_n_checks; i--;) /* so that the first row of a call stands */
		table_set(t, arch, filter_checks[i].call, (struct verdict){0, &filter_checks[i]});
}

static unsigned table_leaf(struct table *t, struct verdict v)
{
	unsigned i = 0;
	while (i < t->n_leaves && !verdict_same(&t->leaves[i], &v))
		i++;
	if (i == t->n_leaves)
		t->leaves[t->n_leaves++] = v;
	return i;
}

static void table_range(struct table *t, uint32_t first, struct verdict v)
{
	unsigned leaf = table_leaf(t, v);
	if (t->n_ranges && t->ranges[t->n_ranges - 1].leaf == leaf)
		return;
	t->ranges[t->n_ranges].first = first;
	t->ranges[t->n_ranges++].leaf = leaf;
}

static void table_cut(struct table *t)
{
	static const struct verdict unknown = {FILTER_UNKNOWN, NULL},
				    kill = {SECCOMP_RET_KILL_PROCESS, NULL};
	for (uint32_t i = 0; i < FILTER_CALLS; i++)
		table_range(t, i, t->calls[i]);
	table_range(t, FILTER_CALLS, unknown);
	table_range(t, FILTER_X32, kill);
	table_range(t, UINT32_MAX, unknown); /* what a tracer writes to skip a call */
}

/* The ranges [from, to) as a tree; its leaves are instructions from `leaves` on. A node stands
 * before its left side, that before its right one. */
static void code_tree(struct code *c, const struct table *t, unsigned from, unsigned to,
		      unsigned leaves)
{
	unsigned middle = from + (to - from) / 2, here = c->n + 1;
	if (to - from == 1)
		return;
	bool left = middle - from > 1, right = to - middle > 1;
	code_put(c, BPF_JMP | BPF_JGE | BPF_K, t->ranges[middle].first,
		 right ? middle - from - 1 : leaves + t->ranges[middle].leaf - here,
		 left ? 0 : leaves + t->ranges[from].leaf - here);
	code_tree(c, t, from, middle, leaves);
	code_tree(c, t, middle, to, leaves);
}

static void code_rows(struct code *c, const struct filter_check *row, unsigned loosen)
{
	c->loaded = NULL;
	for (; row; row = row_next(row))
		if (!row->loosen || row->loosen & loosen)
			code_row(c, row);
}

static void code_arch(struct code *c, struct table *t, uint32_t arch, unsigned loosen)
{
	*t = (struct table){.n_ranges = 0};
	table_fill(t, arch, loosen);
	table_cut(t);
	code_load(c, offsetof(struct seccomp_data, nr));
	unsigned leaves = c->n + t->n_ranges - 1;
	code_tree(c, t, 0, t->n_ranges, leaves);
	for (unsigned i = 0; i < t->n_leaves; i++)
		if (t->leaves[i].rows)
			code_put(c, BPF_JMP | BPF_JA, 0, 0, 0);
		else
			code_answer(c, t->leaves[i].answer);
	for (unsigned i = 0; i < t->n_leaves && !c->full; i++)
		if (t->leaves[i].rows) {
			c->at[leaves + i].k = c->n - (leaves + i) - 1;
			code_rows(c, t->leaves[i].rows, loosen);
		}
	code_answers(c);
}

/* Call numbers mean something on their architecture only; those that are not the box's kill. */
static void code_all(struct code *c, struct table *t, unsigned loosen)
{
	unsigned skip = 0;
	code_load(c, offsetof(struct seccomp_data, arch));
	if (loosen & BOX_LOOSEN_I386) {
		code_put(c, BPF_JMP | BPF_JEQ | BPF_K, SCMP_ARCH_X86, 0, 1);
		skip = c->n;
		code_put(c, BPF_JMP | BPF_JA, 0, 0, 0);
	}
	code_put(c, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0);
	code_answer(c, SECCOMP_RET_KILL_PROCESS);
	code_arch(c, t, seccomp_arch_native(), loosen);
	if (!skip)
		return;
	c->at[skip].k = c->n - skip - 1;
	code_arch(c, t, SCMP_ARCH_X86, loosen);
}

int filter_make(struct filter *f, unsigned loosen, struct err *e)
{
	*f = (struct filter){NULL, 0};
	if (loosen & BOX_LOOSEN_I386 && seccomp_arch_native() != SCMP_ARCH_X86_64)
		return err_set(e, ERR_BOX, "this machine is no x86-64");
	auto_free struct code *c = own_calloc(1, sizeof(*c));
	auto_free struct table *t = own_calloc(1, sizeof(*t));
	code_all(c, t, loosen);
	if (c->full)
		return err_set(e, ERR_LIMIT, "the system call filter has more than %d instructions",
			       FILTER_ROOM);
	f->code = own_alloc(c->n * sizeof(*f->code));
	memcpy(f->code, c->at, c->n * sizeof(*f->code));
	f->n = (unsigned short)c->n;
	return 0;
}

void filter_fini(struct filter *f)
{
	free(f->code);
	*f = (struct filter){NULL, 0};
}
