/* A suite's recipe as JSON, apart from this machine: what `assay export` writes and `assay import`
 * makes a suite of. Its keys are those of assay-suite(5), but for all that would name something of
 * a machine: no ecosystem, no source of a mount, no inherited environment, no list of packages made
 * by a command. So a recipe from anywhere can't reach anything of the machine it comes to. Pure. */
#pragma once
#include "orchestrator/suite.h"

#include <jansson.h>

/* recipe_of(s, package, e): an object, the caller's: {"recipe", "package", "needs"}; package's
 * files are {"name", "file": "files/N"}, N as the suite has them. NULL: ERR_USAGE, where a
 * directory is used as a layer. */
json_t *recipe_of(const struct suite *s, size_t package, struct err *e) must_check;
/* recipe_layers(s, names): the names of the layers that the suite uses, once each; the caller frees
 * the list, not the names. */
size_t recipe_layers(const struct suite *s, const char ***names);

/* recipe_suite(all, name, layers, mounts, e): text of a suite of that name, the caller's, made of
 * an object as recipe_of has it, whoever wrote it. layers: object, from a layer's name there to its
 * name here; mounts: object, from the path of a mount that needs a directory to that directory.
 * ERR_HOSTILE names what is no recipe's; ERR_USAGE a mount that is missing. What it says is then
 * checked as any suite is. */
char *recipe_suite(const json_t *all, const char *name, const json_t *layers, const json_t *mounts,
		   struct err *e) must_check;
