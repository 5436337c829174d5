/* What every helper process does first, whoever starts it: nothing of the caller's state is kept,
 * and it goes when the caller's thread goes. */
#pragma once
#include "base/err.h"

/* tie_clean(name, first): signals, personality, name and descriptors as a fresh process has them:
 * those from `first` on are closed. */
void tie_clean(const char *name, unsigned first);

/* tie_forget(word): of argv, once it is read: pid 1 of a box is a copy of its helper, and what that
 * was started with (the caller's pid, ids of this machine) is in its /proc/1/cmdline. */
void tie_forget(char *word);

/* tie_to(parent, e): die with the thread that started this process, which must be of process
 * `parent` still (a number as text, which is forgotten). */
int tie_to(char *parent, struct err *e) must_check;
