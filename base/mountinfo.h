/* Lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)). Any thread. */
#pragma once
#include <stdbool.h>

/* Pointers into the line: "ID PARENT DEVICE ROOT POINT OPTIONS TAG... - TYPE SOURCE SUPER" */
struct mountinfo {
	int id, parent;
	char *device; /* "major:minor" */
	char *root;   /* what of the file system is mounted */
	char *point;  /* where, as seen from the reader's root */
	char *type, *source;
	char *super; /* options of the file system */
};

/* mountinfo_parse(line, m): in place; what the kernel escaped ("\040" is a space) is as it was in
 * root and point. A newline at the end is passed over. False if it is no such line. */
bool mountinfo_parse(char *line, struct mountinfo *m);
