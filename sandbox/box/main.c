/* assay-box: static and small, because each box begins as a copy of it. Each verb is followed by
 * the caller's pid, with which it ends; what it could not do is one line on stderr and exit status
 * 125.
 *
 *   serve IDS [WORD…] builds boxes for the caller (protocol: plan.h)
 *   try IDS           could it? (ids.h)
 *   userns UIDS GIDS  makes a user namespace and sends its descriptor (userns.h)
 *   remove IDS NAME   removes NAME in the directory that is descriptor PLAN_SOCKET (base/dir.h)
 *   able WHAT WORD…   can this machine do that? (able.h)
 *
 * `assay-box inside`, without a pid, is what an engine's container runs (inside.h).
 */
#include "sandbox/box/able.h"
#include "sandbox/box/birth.h"
#include "sandbox/box/inside.h"
#include "sandbox/box/serve.h"
#include "sandbox/box/tie.h"
#include "sandbox/box/userns.h"

#include "base/dir.h"

#include <string.h>
#include <unistd.h>

static int complain(const struct err *e)
{
	fprintf(stderr, "assay-box: %s\n", e->text);
	return 125;
}

static int run_serve(char **words, int n, struct err *e)
{
	struct serve s = {.kind = &birth_native, .way = OVERLAY_FD};
	(void)n;
	return serve_words(&s, words[0], words + 1, e) || serve_run(&s, e) ? -1 : 0;
}

static int run_try(char **words, int n, struct err *e)
{
	struct ids ids;
	(void)n;
	return ids_open(&ids, words[0], e) || birth_try(&ids, e) ? -1 : 0;
}

static int run_userns(char **words, int n, struct err *e)
{
	(void)n;
	auto_fd int fd = userns_make(words[0], words[1], e);
	return fd < 0 ? -1 : userns_send(fd, e);
}

static int run_remove(char **words, int n, struct err *e)
{
	struct ids ids;
	(void)n;
	return ids_open(&ids, words[0], e) || dir_remove(PLAN_SOCKET, words[1], e) ? -1 : 0;
}

static int run_able(char **words, int n, struct err *e)
{
	if (n == 2 && !strcmp(words[0], "namespace"))
		return able_namespace(words[1], e);
	if (n == 3 && !strcmp(words[0], "overlay"))
		return able_overlay(words[1], words[2], e);
	if (n == 3 && !strcmp(words[0], "idmap"))
		return able_idmap(words[1], words[2], e);
	return err_set(e, ERR_USAGE, "%s is nothing that can be tried", words[0]);
}

static const struct {
	const char *name;
	int least, most; /* words behind the parent's pid */
	int (*run)(char **words, int n, struct err *e);
} verbs[] = {
	{"serve", 1, 4, run_serve},   {"try", 1, 1, run_try},   {"userns", 2, 2, run_userns},
	{"remove", 2, 2, run_remove}, {"able", 2, 3, run_able},
};

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	if (argc == 2 && !strcmp(argv[1], "inside"))
		return inside_run();
	for (size_t i = 0; argc > 2 && i < countof(verbs); i++) {
		int n = argc - 3;
		if (strcmp(argv[1], verbs[i].name) || n < verbs[i].least || n > verbs[i].most)
			continue;
		close(PLAN_PROGRAM);
		tie_clean("assay-box", ids_enters(argv[3]) ? PLAN_USERNS + 1 : PLAN_SOCKET + 1);
		return tie_to(argv[2], &e) || verbs[i].run(argv + 3, n, &e) ? complain(&e) : 0;
	}
	fprintf(stderr, "assay-box is started by assay, not by hand\n");
	return 125;
}
