/* The terminal of standard input, its settings: raw while what is typed goes to a box's own, and
 * put back on every way out that a process can take part in. A process has one. Main thread. */
#pragma once
#include <stdbool.h>
#include <termios.h>

/* tty_background(): somebody else is in the foreground of it. */
bool tty_background(void);
/* tty_wait(): come to the foreground: stopped until then as whoever sets a terminal in the
 * background is (SIGTTOU). Returns at once where nobody could bring us there: SIGTTOU ignored, an
 * orphaned process group. */
void tty_wait(void);
/* tty_settings(t): those it has, or had before it was made raw. 0, or -1 with errno. */
int tty_settings(struct termios *t);
/* tty_raw(): in the foreground (tty_wait); may be called again, after we were stopped, when
 * somebody may have given it others: what it has then is what it gets back. */
void tty_raw(void);
/* tty_restore(): where it is raw. Not where somebody else, who is in the foreground, gave it
 * others. */
void tty_restore(void);
