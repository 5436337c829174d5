/* What life.c (a box's whole life) and hear.c (what its pid 1 says) share. */
#pragma once
#include "sandbox/box/life.h"

/* What is in the place of an upper. */
struct carried {
	int fd;
	uint32_t layer;
	enum upper_marks marks;
	bool fuse;
};

/* life_reply(r, fd): to the caller; fd, or -1, goes along and stays ours. */
int life_reply(const struct plan_reply *r, int fd);
/* life_fail(l, e): our own trouble: it ends. */
void life_fail(struct life *l, const struct err *e);
/* In hear.c. life_hear(l): one thing that pid 1 said, if there is one. false: no more will come. */
bool life_hear(struct life *l);
