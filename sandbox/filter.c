/* The code is two pieces in a row. First the calls whose arguments are looked at, made here from
 * filter_checks: each call's rows end in an answer, all other calls fall through. Then libseccomp's
 * code for filter_allowed and filter_refused, sorted as a binary tree: the kernel runs a new filter
 * once for every call number (the bitmap of Linux 5.11), so its depth is part of what a box's start
 * costs. */
#include "sandbox/filter.h"

#include "base/dir.h"
#include "sandbox/filter_table.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define FILTER_ROOM 4096 /* BPF_MAXINSNS of linux/bpf_common.h: what the kernel takes */

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the low half of an argument comes first");

struct code {
	struct sock_filter at[FILTER_ROOM];
	unsigned n;
	bool full;
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

/* Instructions that a row takes: the answer, and two or three per condition. */
static unsigned row_length(const struct filter_check *row)
{
	unsigned n = 1;
	for (size_t i = 0; i < FILTER_CONDITIONS && row->when[i].mask; i++)
		n += row->when[i].mask == UINT32_MAX ? 2 : 3;
	return n;
}

static void code_row(struct code *c, const struct filter_check *row)
{
	unsigned end = c->n + row_length(row);
	for (size_t i = 0; i < FILTER_CONDITIONS && row->when[i].mask; i++) {
		code_load(c, offsetof(struct seccomp_data, args) + 8u * row->when[i].arg);
		if (row->when[i].mask != UINT32_MAX)
			code_put(c, BPF_ALU | BPF_AND | BPF_K, row->when[i].mask, 0, 0);
		code_put(c, BPF_JMP | BPF_JEQ | BPF_K, row->when[i].value, 0, end - c->n - 1);
	}
	code_put(c, BPF_RET | BPF_K, row->answer, 0, 0);
}

/* All rows of the call that rows[0] is about; how many they are. The accumulator still holds the
 * number after them. */
static size_t code_call(struct code *c, const struct filter_check *rows, size_t left)
{
	size_t n = 0;
	unsigned length = 0;
	for (; n < left && rows[n].call == rows[0].call; n++)
		length += row_length(&rows[n]);
	code_put(c, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rows[0].call, 0, length);
	for (size_t i = 0; i < n; i++)
		code_row(c, &rows[i]);
	return n;
}

/* Call numbers mean something on the native architecture only: others go on to libseccomp's part,
 * which kills. */
static void code_checks(struct code *c)
{
	code_load(c, offsetof(struct seccomp_data, arch));
	code_put(c, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0);
	unsigned skip = c->n;
	code_put(c, BPF_JMP | BPF_JA, 0, 0, 0);
	code_load(c, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < filter_n_checks;)
		i += code_call(c, &filter_checks[i], filter_n_checks - i);
	c->at[skip].k = c->n - skip - 1;
}

static int number_of(const char *name)
{
	int number = seccomp_syscall_resolve_name(name);
	for (size_t i = 0; i < filter_n_young && number == __NR_SCMP_ERROR; i++)
		if (!strcmp(filter_young[i].name, name))
			number = filter_young[i].number;
	return number;
}

/* A name that this architecture does not have has no number (it is negative): the call stays at
 * ENOSYS. */
static int list_add(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
	int number = number_of(name);
	int rc = number < 0 ? 0 : seccomp_rule_add(ctx, action, number, 0);
	errno = -rc;
	return rc;
}

static int list_fill(scmp_filter_ctx ctx, struct err *e)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc) {
		errno = -rc;
		return err_sys(e, "set up the system call filter");
	}
	for (size_t i = 0; i < filter_n_allowed; i++)
		if (list_add(ctx, SCMP_ACT_ALLOW, filter_allowed[i]))
			return err_sys(e, "allow %s in the system call filter", filter_allowed[i]);
	for (size_t i = 0; i < filter_n_refused; i++)
		if (list_add(ctx, SCMP_ACT_ERRNO((unsigned)filter_refused[i].error),
			     filter_refused[i].name))
			return err_sys(e, "refuse %s in the system call filter",
				       filter_refused[i].name);
	return 0;
}

/* libseccomp 2.5 hands its code out through a file descriptor only. */
static int list_export(scmp_filter_ctx ctx, struct text *out, struct err *e)
{
	auto_fd int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "memory for the system call filter");
	int rc = seccomp_export_bpf(ctx, fd);
	if (rc) {
		errno = -rc;
		return err_sys(e, "compile the system call filter");
	}
	if (lseek(fd, 0, SEEK_SET))
		return err_sys(e, "read the system call filter");
	return dir_read_fd(fd, FILTER_ROOM * sizeof(struct sock_filter), out, e);
}

static int code_list(struct code *c, struct err *e)
{
	auto_text struct text list = TEXT_INIT;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!ctx)
		return err_set(e, ERR_BOX, "libseccomp gives no system call filter");
	int rc = list_fill(ctx, e);
	if (!rc)
		rc = list_export(ctx, &list, e);
	seccomp_release(ctx);
	if (rc)
		return -1;
	size_t n = list.n / sizeof(struct sock_filter);
	if (c->full || n > FILTER_ROOM - c->n)
		return err_set(e, ERR_LIMIT, "the system call filter has more than %d instructions",
			       FILTER_ROOM);
	memcpy(&c->at[c->n], text_str(&list), n * sizeof(struct sock_filter));
	c->n += (unsigned)n;
	return 0;
}

int filter_default(struct filter *f, struct err *e)
{
	*f = (struct filter){NULL, 0};
	auto_free struct code *c = own_calloc(1, sizeof(*c));
	code_checks(c);
	if (code_list(c, e))
		return -1;
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
