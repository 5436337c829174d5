/* What differs between two lists of "label digest" lines. */
#include "orchestrator/inputs.h"

#include <string.h>

/* The digest of a label in such a text; NULL: it has no such line. */
static const char *label_find(const char *text, const char *label, size_t n)
{
	for (const char *p = text; *p; p = strchrnul(p, '\n'), p += *p == '\n')
		if (!strncmp(p, label, n) && p[n] == ' ')
			return p + n + 1;
	return NULL;
}

static void differences(const char *now, const char *was, const char *how, json_t *list)
{
	for (const char *p = now; *p; p = strchrnul(p, '\n'), p += *p == '\n') {
		size_t n = strcspn(p, " \n"), digest = strcspn(p + n, "\n");
		const char *other = label_find(was, p, n);
		if (other && !strncmp(other, p + n + 1, digest ? digest - 1 : 0))
			continue;
		if (other && !how)
			json_array_append_new(list, json_stringn(p, n));
		else if (!other && how) {
			auto_free char *label = own_fmt("%.*s (%s)", (int)n, p, how);
			json_array_append_new(list, json_string(label));
		}
	}
}

void inputs_changed(const char *now, const char *was, json_t *list)
{
	differences(now, was, NULL, list);
	differences(now, was, "new", list);
	differences(was, now, "gone", list);
}
