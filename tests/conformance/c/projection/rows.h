/* `Row`: operations on one row. */
#include "lantern.h"

bool rows_apply(const lantern_event *event, lantern_db *db);
