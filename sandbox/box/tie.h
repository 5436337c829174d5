/* What every helper process does first, whoever starts it: nothing of the caller's state is kept,
 * and it goes when the caller's thread goes. */
#pragma once
#include "base/err.h"

/* tie_clean(name, first): signals, personality, name and descriptors as a fresh process has them:
 * those from `first` on are closed. */
void tie_clean(const char *name, unsigned first);

/* tie_to(parent, e): die with the thread that started this process, which must be of process
 * `parent` still (a number as text). */
int tie_to(const char *parent, struct err *e) must_check;
