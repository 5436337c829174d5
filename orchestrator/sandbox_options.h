/* What `assay sandbox` was asked for, read from the command line and checked as far as words go:
 * nothing is opened, but what is left out of a mount's word is asked of the file system. Main
 * thread. */
#pragma once
#include "base/err.h"
#include "sandbox/sandbox.h"

/* A mount as a word says it: SRC, SRC:DST, PATH[:SIZE] or SRC:DST:MODE. */
struct sandbox_mount {
	char *source; /* of the host; NULL: a tmpfs */
	char *path;   /* in the box: absolute, normalised */
	enum box_mode mode;
	uint64_t size;    /* tmpfs, 0: not said */
	const char *keep; /* cow: the directory that is to be its upper, or NULL: nothing is kept */
};

struct sandbox_file {
	char *path;
	const char *source; /* of the host, "-": standard input */
};

struct sandbox_options {
	const char *root;    /* a directory (with a '/'), a layer, or NULL: the host's */
	const char **layers; /* over it, uppermost first */
	size_t n_layers;
	const char *keep; /* the root's upper, or NULL */
	bool read_only;   /* the root */
	struct sandbox_mount *mounts;
	size_t n_mounts;
	struct sandbox_file *files;
	size_t n_files;
	char **env; /* NULL-terminated, complete */
	size_t n_env;
	char *cwd;
	const char *hostname, *state, *json, *executor;
	uint64_t uid, gid;
	bool has_gid;
	enum box_net net;
	enum box_ids ids;
	unsigned loosen;
	struct box_limits limits;
	bool best_effort, tty, verbose, plan;
	char **argv; /* the command, NULL-terminated; main's */
};

/* sandbox_options_read(o, argc, argv, e): 0, or -1 with ERR_USAGE. --help ends the process. The
 * caller frees it with sandbox_options_fini, in both cases. */
int sandbox_options_read(struct sandbox_options *o, int argc, char **argv, struct err *e)
	must_check;
void sandbox_options_fini(struct sandbox_options *o);

/* In sandbox_words.c, pure but for realpath(3).
 * sandbox_word_mount(word, mode, m, e): "SRC[:DST]"; a ':' that is part of a name is written "\:",
 * a '\' "\\". Without DST the path in the box is SRC's own, absolute and without links.
 * sandbox_word_map: "SRC:DST:ro|rw|cow". sandbox_word_tmpfs: "PATH[:SIZE]". sandbox_word_file:
 * "DST=SRC". */
int sandbox_word_mount(const char *word, enum box_mode mode, struct sandbox_mount *m, struct err *e)
	must_check;
int sandbox_word_map(const char *word, struct sandbox_mount *m, struct err *e) must_check;
int sandbox_word_tmpfs(const char *word, struct sandbox_mount *m, struct err *e) must_check;
int sandbox_word_file(const char *word, struct sandbox_file *f, struct err *e) must_check;
/* sandbox_word_path(word, e): an absolute path of the box without "//", "/./" and an end of "/";
 * ".." is refused. The caller frees it; NULL with e. */
char *sandbox_word_path(const char *word, struct err *e) must_check;
