/* Inside the report: the parts of the page that its files share. */
#pragma once
#include "orchestrator/report.h"

/* "1.2 s", "3.4 MiB"; nothing for a negative number. */
void page_duration(struct text *t, int64_t ms);
void page_size(struct text *t, int64_t bytes);
/* Opens a section with its heading; the caller closes it. says: NULL for none. */
void page_section(struct text *t, const char *id, const char *title, const char *says);

/* What stands below the packages: results by side, where the time went, stores, conflicts, the
 * sides and the host. */
void page_annex(struct text *t, const struct report *r);
