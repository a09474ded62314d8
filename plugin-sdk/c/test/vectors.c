/* Every frame of plugin-sdk/wit/vectors reads as the file says, or is refused as it says.
 *     cc -std=c11 -Wall -o vectors test/vectors.c && ./vectors ../wit/vectors */
#include "../lantern.c"

static buffer said;

static void say_hex(const uint8_t *bytes, size_t len) {
    append_byte(&said, '"');
    for (size_t i = 0; i < len; i++) {
        append_byte(&said, "0123456789abcdef"[bytes[i] >> 4]);
        append_byte(&said, "0123456789abcdef"[bytes[i] & 15]);
    }
    append_byte(&said, '"');
}

static void say_blob(lantern_blob blob) {
    if (blob.ptr) say_hex(blob.ptr, blob.len);
    else append_str(&said, "null");
}

static void say_text(lantern_text text) { write_quoted(&said, text.ptr, text.len); }

static void say(const char *format, ...) {
    FORMAT_REST(text, format);
    append(&said, text.ptr, text.len);
}

static void say_values(const lantern_value *values, uint32_t count) {
    append_byte(&said, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i) append_byte(&said, ',');
        const lantern_value value = values[i];
        if (value.kind == LANTERN_NULL) {
            say("null");
            continue;
        }
        if (value.kind == LANTERN_INT) say("{\"integer\":\"%lld\"", (long long)value.integer);
        if (value.kind == LANTERN_REAL) say("{\"real\":\"%016llx\"", (unsigned long long)value.integer);
        if (value.kind == LANTERN_TEXT) say("{\"text\":"), say_text((lantern_text){value.text, value.len});
        if (value.kind == LANTERN_BLOB) say("{\"blob\":"), say_hex(value.blob, value.len);
        append_byte(&said, '}');
    }
    append_byte(&said, ']');
}

static const char *read_events(const uint8_t *frame, size_t len) {
    const char *error = frame_parse(&batch, frame, len, EVENTS, EVENT_STRIDE);
    uint32_t left = error ? 0 : batch.arena_len;
    append_byte(&said, '[');
    for (uint32_t i = 0; !error && i < batch.count; i++) {
        lantern_event event;
        if ((error = frame_event(&batch, i, &left, &event)) != NULL) break;
        if (i) append_byte(&said, ',');
        append_str(&said, "{\"headers\":[");
        for (uint32_t h = 0; h < event.headers_count; h++) {
            const uint8_t *entry = event.headers + (size_t)h * HEADER_ENTRY_BYTES;
            lantern_blob value = {NULL, 0};
            uint32_t all = NONE;
            take_bytes(&batch, entry + 4, &all, &value);
            append_str(&said, h ? ",[" : "[");
            say_text(frame_text(&batch, u32_at(entry)));
            append_byte(&said, ',');
            say_blob(value);
            append_byte(&said, ']');
        }
        append_str(&said, "],\"key\":");
        say_blob(event.key);
        say(",\"offset\":\"%lld\",\"partition\":%d,\"payload\":", (long long)event.offset, (int)event.partition);
        say_blob(event.payload);
        say(",\"timestamp_ms\":\"%lld\",\"topic\":", (long long)event.timestamp_ms);
        say_text(event.topic);
        append_str(&said, ",\"type\":");
        say_text(event.kind);
        append_byte(&said, '}');
    }
    append_byte(&said, ']');
    return error;
}

static const char *read_values(const frame_layout *layout, uint32_t item, size_t at) {
    uint32_t count = u32_at(layout->index + (size_t)item * layout->stride + at + 4);
    if (count > layout->arena_len) return MANGLED_BOUNDS;
    lantern_value *values = take((count + 1) * sizeof *values, 8);
    const char *error = frame_values(layout, item, at, values, count);
    if (!error) say_values(values, count);
    return error;
}

static const char *read_ops(const uint8_t *frame, size_t len) {
    frame_layout layout;
    const char *error = frame_parse(&layout, frame, len, OPS, OP_STRIDE);
    append_byte(&said, '[');
    for (uint32_t i = 0; !error && i < layout.count; i++) {
        const uint8_t *row = layout.index + (size_t)i * layout.stride;
        append_str(&said, i ? ",{\"event\":" : "{\"event\":");
        if (u32_at(row + 4) == NONE) say("null");
        else say("%lu", (unsigned long)u32_at(row + 4));
        say(",\"statement\":%lu,\"values\":", (unsigned long)u32_at(row));
        error = read_values(&layout, i, 8);
        append_byte(&said, '}');
    }
    append_byte(&said, ']');
    return error;
}

static const char *read_rows(const uint8_t *frame, size_t len) {
    frame_layout layout;
    const char *error = frame_parse(&layout, frame, len, ROWS, ROW_STRIDE);
    append_str(&said, "{\"columns\":[");
    for (uint32_t i = 0; !error && i < layout.texts_count; i++) {
        if (i) append_byte(&said, ',');
        say_text(frame_text(&layout, i));
    }
    append_str(&said, "],\"rows\":[");
    for (uint32_t i = 0; !error && i < layout.count; i++) {
        if (i) append_byte(&said, ',');
        error = read_values(&layout, i, 0);
    }
    append_str(&said, "]}");
    return error;
}

/* Writes a frame of writes anew from what was read of it: the same bytes. */
static bool writes_the_same(const uint8_t *frame, size_t len) {
    frame_layout layout;
    writer again = {0};
    buffer out = {0};
    frame_parse(&layout, frame, len, OPS, OP_STRIDE);
    for (uint32_t i = 0; i < layout.count; i++) {
        const uint8_t *row = layout.index + (size_t)i * layout.stride;
        uint32_t count = u32_at(row + 12);
        lantern_value *values = take((count + 1) * sizeof *values, 8);
        frame_values(&layout, i, 8, values, count);
        size_t start = again.arena.len;
        append_values(&again.arena, values, count);
        push_op(&again, u32_at(row), u32_at(row + 4), start, count);
    }
    writer_finish(&again, OPS, OP_STRIDE, &out);
    return out.len == len && memcmp(out.ptr, frame, len) == 0;
}

typedef struct {
    lantern_text name, frame, error;
    lantern_json meaning;
    bool written;
} vector;

static const lantern_field VECTOR[] = {LANTERN_FIELD(vector, name),      LANTERN_FIELD(vector, frame),
                                       LANTERN_OPTIONAL(vector, error),  LANTERN_OPTIONAL(vector, meaning),
                                       LANTERN_OPTIONAL(vector, written), LANTERN_END};

static int check(const char *folder, const char *kind, const char *(*read)(const uint8_t *, size_t)) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.json", folder, kind);
    FILE *file = fopen(path, "rb");
    if (!file) lantern_trap("cannot open %s", path);
    static char text[1 << 20];
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    lantern_items items;
    int count = 0;
    if (!lantern_json_array((lantern_json){text, len}, &items)) trap(lantern_caught().message);
    for (; lantern_next(&items); count++) {
        vector is;
        if (!lantern_json_read(items.item, VECTOR, &is)) trap(lantern_caught().message);
        /* Of exactly its length, so that a tool for memory sees what is read outside. */
        size_t bytes = is.frame.len / 2;
        uint8_t *frame = malloc(bytes + !bytes);
        for (size_t i = 0; i < bytes; i++) {
            unsigned byte;
            sscanf(is.frame.ptr + 2 * i, "%2x", &byte);
            frame[i] = (uint8_t)byte;
        }
        said.len = 0;
        const char *error = read(frame, bytes);
        lantern_text expected = is.error.ptr ? is.error : (lantern_text){is.meaning.ptr, is.meaning.len};
        lantern_text found = error ? lantern_str(error) : (lantern_text){(const char *)said.ptr, said.len};
        if (!lantern_same(expected, found) || (error != NULL) != (is.error.ptr != NULL))
            lantern_trap("%s: %.*s:\nexpected %.*s\nfound    %.*s", kind, LANTERN_ARG(is.name), LANTERN_ARG(expected),
                         LANTERN_ARG(found));
        if (is.written && read == read_ops && !writes_the_same(frame, bytes))
            lantern_trap("%s: %.*s: written otherwise", kind, LANTERN_ARG(is.name));
        free(frame);
    }
    return count;
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "../wit/vectors";
    int count = check(folder, "events", read_events) + check(folder, "ops", read_ops) + check(folder, "rows", read_rows);
    printf("%d frames read as they should\n", count);
    lantern_done(NULL);
    return 0;
}
