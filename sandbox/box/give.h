/* Where a file system can show no owners by idmapped mounts, root's layers and uppers are given to
 * the boxes' ids instead: GIVE_BASE + n for n, the same for every box, so that it is done once. It
 * is undone where it turns out that owners can be shown after all (a newer kernel). */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Behind the ranges of the slots (sandbox/ranges.h). */
#define GIVE_BASE 2147090432u

/* give_tree(dir, away, e): a layer, or an upper that no box has: the directory that is open (or an
 * O_PATH of it) and everything below belong to GIVE_BASE + n where it was n (0..65535), or with
 * away false the other way round; owners of neither kind stay. The directory itself comes last, so
 * that its own owner tells whether that is done. Two that do it at the same time do the same. Never
 * follows a link, and leaves alone what is mounted there. */
int give_tree(int dir, bool away, struct err *e) must_check;

/* give_is_away(st): does its owner say so? */
bool give_is_away(const struct stat *st);
