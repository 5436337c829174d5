/* Inside sandbox/ only: which ids the boxes of each slot get. Loop thread.
 *
 * Root: a range of 65536 for each slot that no other slot and no other sandbox of this machine has
 * at the time: first those root has in /etc/subuid and /etc/subgid (subuid(5)), then RANGES_HIGH +
 * n * 65536, above what systemd-nspawn takes and below its foreign range (systemd's UIDS-GIDS:
 * 1879048192..2147352575 unused). Who has which is said by locks on bytes of RANGES_LOCK (an empty
 * file in memory; F_OFD_SETLK in fcntl(2)), which a death releases. Where that file can't be had,
 * or every range is taken, slots of different sandboxes may share one.
 *
 * An ordinary user: one id, the user; or one user namespace for all boxes, in which 0 is the user
 * and what follows are the user's subordinate ids. All of them share it, because what a box leaves
 * on disk belongs to those very ids, and the next phase's box must know them again; a second range
 * would divide little, since 0 is the user in each. */
#pragma once
#include "sandbox/sandbox.h"

#include "sandbox/subids.h"

#define RANGES_SIZE 65536u
#define RANGES_HIGH 1879048192u
#define RANGES_HIGH_N 4090u
#define RANGES_LOCK "/run/assay.ids"

/* What assay-box is told, in one word (sandbox/box/ids.h). */
#define RANGES_WORD 32

struct ranges {
	enum { RANGES_ONE, RANGES_ALL, RANGES_USER, RANGES_ROOT } kind;
	int userns_fd;            /* RANGES_USER, else -1; not below 10 */
	int lock_fd;              /* RANGES_ROOT, or -1 */
	struct subids uids, gids; /* RANGES_ROOT: root's, in pieces of RANGES_SIZE */
	uint32_t (*of)[2];        /* RANGES_ROOT: by slot, first uid and gid; 0: none yet */
	bool *alone;              /* RANGES_ROOT: by slot: no other sandbox has it, and nobody of
				     /etc/subuid (containers of root's may) */
	size_t n_slots;
};

/* ranges_open(r, want, box_fd, n_slots, e): box_fd is assay-box's. The caller closes r, in both
 * cases. */
int ranges_open(struct ranges *r, enum box_ids want, int box_fd, size_t n_slots, struct err *e)
	must_check;
void ranges_close(struct ranges *r);

/* ranges_word(r, slot, word, e): the slot's; the same one each time. */
int ranges_word(struct ranges *r, size_t slot, char word[RANGES_WORD], struct err *e) must_check;

/* ranges_ids(r): what boxes have: one or a range. */
enum box_ids ranges_ids(const struct ranges *r);
