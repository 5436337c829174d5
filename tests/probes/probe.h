/* assay-probe: tries from inside a sandbox what a job could try, and what programs need. Static, of
 * libc alone, so that it runs in any root. tests/probes/run prepares the host's side, starts it in
 * each engine and counts.
 *
 * A probe is a row of a table and a function that tries it for real, in a process of its own with a
 * time-out, and ends it with a verdict. What would harm the host where it succeeds (this runs bare,
 * too, and as root) is tried in a way that changes nothing: a call's permission is asked before its
 * arguments are looked at, or the same value is written again. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum probe_kind { PROBE_ATTACK, PROBE_LIMIT, PROBE_USE };

struct probe {
	const char *name;
	enum probe_kind kind;
	const char *line; /* of the profile, or the CVE, that it stands for */
	void (*try)(const struct probe *p);
	long a, b, c;     /* what this row of a family is about */
	const char *what; /* the same */
};

/* Each room's table, ended by a row without a name. */
extern const struct probe attack_calls[], attack_flags[], attack_sockets[], attack_kernelfs[],
	attack_files[], attack_process[], attack_powers[], attack_host[], attack_inherited[],
	attack_shares[], limits[], use_files[], use_process[], use_talk[];

/* The verdict ends the probe: what was tried went as it should, or not, or there is no such thing
 * here (told, and counted neither way). */
enum verdict { VERDICT_NONE, VERDICT_GOOD, VERDICT_BAD, VERDICT_ABSENT };
void verdict(enum verdict v, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
#define contained(...) verdict(VERDICT_GOOD, __VA_ARGS__)
#define open_to(...) verdict(VERDICT_BAD, __VA_ARGS__)
#define held(...) verdict(VERDICT_GOOD, __VA_ARGS__)
#define passed(...) verdict(VERDICT_BAD, __VA_ARGS__)
#define works(...) verdict(VERDICT_GOOD, __VA_ARGS__)
#define broken(...) verdict(VERDICT_BAD, __VA_ARGS__)
#define absent(...) verdict(VERDICT_ABSENT, __VA_ARGS__)

/* use: the condition must hold, else the probe ends as broken with errno's name. */
#define need(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			broken("%s: %s", #condition, error_name(errno));                           \
	} while (0)

/* refused(rc, what): contained if rc is -1 with an errno that says "not you" or "no such call";
 * open if it succeeded or the kernel went on to look at the arguments. */
void refused(long rc, const char *what) __attribute__((noreturn));
bool is_refusal(int error);
const char *error_name(int error);

/* fact(name): what the runner said of the host, as NAME=VALUE; "" ends the probe as bad, because a
 * probe that was told nothing proves nothing, and "-" (the host has none) as absent. */
const char *fact(const char *name);
unsigned long fact_number(const char *name);
/* No namespace of pids of our own: signals to all reach the host. */
bool is_bare(void);

/* Small things that many probes need. */
ssize_t file_get(const char *path, char *out, size_t size);     /* NUL-terminated; -1 */
int file_put(const char *path, const char *text);               /* an existing one; 0 or -1 */
int file_make(const char *path, const char *text, mode_t mode); /* descriptor, read and write */
unsigned long long status_number(const char *field, int base);  /* of /proc/self/status */
/* waits for pid: its wait status; a try that does not end is ended by the probe's time-out */
int wait_for(pid_t pid);
/* Run f(arg) in a child; its wait status. */
int in_child(void (*f)(void *arg), void *arg);
extern char probe_exe[];        /* this program's path, in the box */
extern const char *probe_work;  /* the probe's own empty directory */
extern const char *probe_share; /* what the host shows read-only: DIR/shared of `host DIR` */
extern const char *probe_top;   /* what it shows to be written: a copy of DIR/lower, or over it */

/* The other faces of the program. */
int host_main(int argc, char **argv);  /* assay-probe host DIR */
int dirty_main(int argc, char **argv); /* assay-probe dirty COMMAND... */
int gained_main(void);                 /* assay-probe gained: who am I after an execve */
