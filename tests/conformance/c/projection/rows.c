#include "rows.h"

#include <string.h>

static const lantern_table ROWS = LANTERN_TABLE("rows", LANTERN_KEY("id"), LANTERN_COLUMNS("n", "note"));
static const lantern_table READS = LANTERN_TABLE("reads", LANTERN_KEY("partition", "position", "step"),
                                                 LANTERN_COLUMNS("found", "n", "note"));

typedef struct {
    lantern_text id, ops;
} row_event;

static const lantern_field ROW[] = {LANTERN_FIELD(row_event, id), LANTERN_FIELD(row_event, ops), LANTERN_END};

/* The text up to a byte, which is taken off its front. */
static lantern_text cut(lantern_text *from, char at) {
    const char *found = memchr(from->ptr, at, from->len);
    size_t len = found ? (size_t)(found - from->ptr) : from->len, taken = found ? len + 1 : len;
    lantern_text head = {from->ptr, len};
    *from = (lantern_text){from->ptr + taken, from->len - taken};
    return head;
}

static bool number(const lantern_event *event, lantern_text argument, int64_t *n) {
    lantern_json json = {argument.ptr, argument.len};
    if (lantern_json_int(json, n)) return true;
    lantern_error error = lantern_caught();
    return lantern_bad_input(event, "%.*s: %.*s", LANTERN_ARG(argument), LANTERN_ARG(error.message));
}

static bool read(const lantern_event *event, lantern_db *db, lantern_text id, int step) {
    lantern_stored row;
    if (!lantern_get(db, &ROWS, &row, id)) return false;
    lantern_value none = {.kind = LANTERN_NULL};
    lantern_value n = row.values ? lantern_column(&row, "n") : none;
    lantern_value note = row.values ? lantern_column(&row, "note") : none;
    lantern_put(db, &READS, event->partition, event->offset, step, row.values != NULL, n, note);
    return true;
}

static bool operate(const lantern_event *event, lantern_db *db, lantern_text id, lantern_text argument, int step) {
    lantern_text word = cut(&argument, ' ');
    lantern_row row;
    int64_t n;
    if (lantern_is(word, "get")) return read(event, db, id, step);
    if (lantern_is(word, "delete")) return lantern_delete(db, &ROWS, id), true;
    if (lantern_is(word, "touch")) return (void)lantern_upsert(db, &ROWS, id), true;
    if (lantern_is(word, "null") || lantern_is(word, "note")) {
        row = lantern_upsert(db, &ROWS, id);
        if (lantern_is(word, "null")) lantern_set_null(&row, "n");
        else lantern_set(&row, "note", argument);
        return true;
    }
    static const char *const WITH_NUMBER[] = {"put", "add", "max", "min", "set", "uset", "uadd"};
    int which = 0;
    while (which < 7 && !lantern_same(word, lantern_str(WITH_NUMBER[which]))) which++;
    if (which == 7) return lantern_bad_input(event, "%.*s is no operation", LANTERN_ARG(word));
    if (!number(event, argument, &n)) return false;
    if (which == 0) {
        lantern_put(db, &ROWS, id, n, "put");
        return true;
    }
    if (which >= 5) row = lantern_update(db, &ROWS, id);
    else row = lantern_upsert(db, &ROWS, id);
    if (which == 1 || which == 6) lantern_add(&row, "n", n);
    if (which == 2) lantern_max(&row, "n", n);
    if (which == 3) lantern_min(&row, "n", n);
    if (which == 4 || which == 5) lantern_set(&row, "n", n);
    return true;
}

bool rows_apply(const lantern_event *event, lantern_db *db) {
    row_event is;
    if (!lantern_read(event, ROW, &is)) return false;
    lantern_text rest = is.ops;
    for (int step = 0;; step++) {
        bool is_last = !memchr(rest.ptr, ';', rest.len);
        if (!operate(event, db, is.id, cut(&rest, ';'), step)) return false;
        if (is_last) return true;
    }
}
