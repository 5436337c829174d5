/* Inside db/ only: the public views, made anew whenever the schema's version moves. */
#pragma once

/* One CREATE VIEW after another. */
extern const char *const schema_views[];
