/* Lantern plugins in C: what lantern.h declares.
 *
 * In order: memory, errors and log, texts, buffers, frames, JSON, manifest, events, the cache of rows, the database,
 * aggregates, upcasters, what the host calls. An instance has one thread and one plugin, so its state is static. */
#include "lantern.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define HEADER_BYTES 32
#define ROWS_MAX 100000u
/* The most bytes that writes may take before they are handed to the host, in the middle of a batch if need be. */
#define BUFFER_BYTES_MAX (8u * 1024 * 1024)
#define COLUMNS_MAX 64

#ifdef __wasm__
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
IMPORT("lantern:plugin/logger@0.1.0", "write") void host_log(uint32_t level, const char *text, size_t len);
IMPORT("lantern:plugin/sql@0.1.0", "prepare") void host_prepare(const char *sql, size_t len, void *answer);
IMPORT("lantern:plugin/sql@0.1.0", "apply") void host_apply(const uint8_t *frame, size_t len, void *answer);
IMPORT("lantern:plugin/sql@0.1.0", "query")
void host_query(uint32_t statement, const uint8_t *params, size_t len, uint32_t rows_max, void *answer);
#endif

/* ---- Memory: a list of chunks that is taken from until the call is done ----------------------------------------- */

typedef struct chunk {
    struct chunk *before;
    size_t size, used;
} chunk;

static chunk *chunks;

static void *must(void *memory) {
    if (!memory) lantern_trap("out of memory");
    return memory;
}

static void *take(size_t bytes, size_t align) {
    size_t used = chunks ? (chunks->used + align - 1) & ~(align - 1) : 0;
    if (!chunks || used > chunks->size || bytes > chunks->size - used) {
        size_t size = bytes + 16 > 65536 ? bytes + 16 : 65536;
        chunk *next = must(malloc(sizeof(chunk) + 16 + size));
        *next = (chunk){chunks, size, 0};
        chunks = next;
        used = 0;
    }
    chunks->used = used + bytes;
    uint8_t *base = (uint8_t *)(chunks + 1);
    return base + (-(uintptr_t)base & 15) + used;
}

void *lantern_alloc(size_t bytes) { return take(bytes, 16); }

/* Gives all back but the first chunk, which the next batch uses. */
static void give_back(void) {
    while (chunks && chunks->before) {
        chunk *before = chunks->before;
        free(chunks);
        chunks = before;
    }
    if (chunks) chunks->used = 0;
}

LANTERN_EXPORT("cabi_realloc")
void *lantern_export_realloc(void *old, size_t old_size, size_t align, size_t size) {
    void *memory = take(size, align);
    if (old_size) memcpy(memory, old, old_size < size ? old_size : size);
    return memory;
}

/* ---- Errors and log --------------------------------------------------------------------------------------------- */

static struct {
    bool is;
    lantern_error error;
    uint32_t event;
} failed = {.event = NONE};

static lantern_text format_rest(const char *format, va_list rest) {
    va_list again;
    va_copy(again, rest);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0) lantern_trap("the format \"%s\" is not right", format);
    char *text = take((size_t)len + 1, 1);
    vsnprintf(text, (size_t)len + 1, format, rest);
    return (lantern_text){text, (size_t)len};
}

#define FORMAT_REST(text, format)            \
    lantern_text text;                       \
    do {                                     \
        va_list rest;                        \
        va_start(rest, format);              \
        text = format_rest(format, rest);    \
        va_end(rest);                        \
    } while (0)

lantern_text lantern_format(const char *format, ...) {
    FORMAT_REST(text, format);
    return text;
}

static bool fail_with(lantern_fault fault, lantern_text message, uint32_t event) {
    failed.is = true;
    failed.error = (lantern_error){fault, message};
    failed.event = event;
    return false;
}

bool lantern_fail(lantern_fault fault, const char *format, ...) {
    FORMAT_REST(text, format);
    return fail_with(fault, text, NONE);
}

lantern_error lantern_caught(void) {
    lantern_error error = failed.error;
    if (!failed.is) error = (lantern_error){LANTERN_OTHER, lantern_str("nothing has failed")};
    failed.is = false;
    return error;
}

const char *lantern_fault_name(lantern_fault fault) {
    static const char *const NAMES[] = {"bad-input", "sql", "conflict", "unsupported", "other"};
    return NAMES[fault];
}

static void log_text(lantern_level level, lantern_text text) {
#ifdef __wasm__
    host_log(level, text.ptr, text.len);
#else
    static const char *const NAMES[] = {"error", "warn", "info", "debug", "trace"};
    fprintf(stderr, "%s: %.*s\n", NAMES[level], LANTERN_ARG(text));
#endif
}

void lantern_log(lantern_level level, const char *format, ...) {
    FORMAT_REST(text, format);
    log_text(level, text);
}

#ifdef LANTERN_HOST
static _Noreturn void host_trap(lantern_text text);
#endif

static _Noreturn void trap(lantern_text text) {
#ifdef LANTERN_HOST
    host_trap(text);
#else
    log_text(LANTERN_ERROR, text);
    __builtin_trap();
#endif
}

_Noreturn void lantern_trap(const char *format, ...) {
    char message[1024];
    va_list rest;
    va_start(rest, format);
    int len = vsnprintf(message, sizeof message, format, rest);
    va_end(rest);
    if (len < 0) len = 0;
    trap((lantern_text){message, (size_t)len < sizeof message ? (size_t)len : sizeof message - 1});
}

#ifdef __wasm__
/* The C library's own would print to a file, or say nothing at all. */
_Noreturn void abort(void) { lantern_trap("aborted"); }
_Noreturn void __assert_fail(const char *what, const char *file, int line, const char *function) {
    lantern_trap("assertion failed: %s (%s:%d, %s)", what, file, line, function);
}
#endif

/* ---- Texts ------------------------------------------------------------------------------------------------------ */

static inline uint32_t u32_at(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static inline uint64_t u64_at(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

/* Without a call: WebAssembly has no instruction for comparing. */
static inline bool same_bytes(const void *a, const void *b, size_t len) {
    const uint8_t *left = a, *right = b;
    while (len >= 8) {
        if (u64_at(left) != u64_at(right)) return false;
        left += 8, right += 8, len -= 8;
    }
    while (len--)
        if (*left++ != *right++) return false;
    return true;
}

lantern_text lantern_str(const char *zero_ended) {
    return (lantern_text){zero_ended, zero_ended ? strlen(zero_ended) : 0};
}

bool lantern_same(lantern_text a, lantern_text b) { return a.len == b.len && same_bytes(a.ptr, b.ptr, a.len); }

/* What is seldom needed, and would make what is quick too large to be inlined. */
#define OUT_OF_LINE __attribute__((noinline, cold))

/* Eight bytes at a time, of which the last may be looked at twice. */
static inline bool is_ascii(const uint8_t *at, size_t len) {
    uint64_t high = 0;
    if (len >= 8) {
        for (size_t i = 0; i + 8 <= len; i += 8) high |= u64_at(at + i);
        high |= u64_at(at + len - 8);
    } else if (len >= 4) {
        high = u32_at(at) | u32_at(at + len - 4);
    } else {
        for (size_t i = 0; i < len; i++) high |= at[i];
    }
    return !(high & 0x8080808080808080u);
}

static OUT_OF_LINE bool is_utf8_beyond_ascii(const uint8_t *at, size_t len) {
    const uint8_t *end = at + len;
    while (at < end) {
        if (end - at >= 8 && !(u64_at(at) & 0x8080808080808080u)) {
            at += 8;
            continue;
        }
        uint8_t first = *at++;
        if (first < 0x80) continue;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at < more) return false;
        uint8_t second = at[0];
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
            (first == 0xf4 && second > 0x8f))
            return false;
        while (more--)
            if ((*at++ & 0xc0) != 0x80) return false;
    }
    return true;
}

static inline bool is_utf8(const uint8_t *at, size_t len) { return is_ascii(at, len) || is_utf8_beyond_ascii(at, len); }

/* ---- Buffers: bytes that grow ----------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *ptr;
    size_t len, room;
} buffer;

static void grow(buffer *out, size_t more) {
    size_t room = out->room ? out->room : 256;
    while (room - out->len < more) room *= 2;
    out->ptr = must(realloc(out->ptr, room));
    out->room = room;
}

static inline uint8_t *reserve(buffer *out, size_t more) {
    if (out->room - out->len < more) grow(out, more);
    return out->ptr + out->len;
}

/* A copy whose length is only known when it runs is a call of the engine, which takes longer than a few bytes: two copies of
 * known lengths, which may overlap, need none. There is room for it. */
static inline void copy(uint8_t *to, const void *from, size_t len) {
    const uint8_t *bytes = from;
    if (len >= 8 && len <= 16) {
        uint64_t first = u64_at(bytes), last = u64_at(bytes + len - 8);
        memcpy(to, &first, 8);
        memcpy(to + len - 8, &last, 8);
    } else if (len > 16 && len <= 32) {
        uint64_t a = u64_at(bytes), b = u64_at(bytes + 8), c = u64_at(bytes + len - 16), d = u64_at(bytes + len - 8);
        memcpy(to, &a, 8);
        memcpy(to + 8, &b, 8);
        memcpy(to + len - 16, &c, 8);
        memcpy(to + len - 8, &d, 8);
    } else if (len > 32 && len <= 64) {
        uint64_t first[4], last[4];
        memcpy(first, bytes, 32);
        memcpy(last, bytes + len - 32, 32);
        memcpy(to, first, 32);
        memcpy(to + len - 32, last, 32);
    } else if (len >= 4 && len < 8) {
        uint32_t first = u32_at(bytes), last = u32_at(bytes + len - 4);
        memcpy(to, &first, 4);
        memcpy(to + len - 4, &last, 4);
    } else if (len < 4) {
        for (size_t i = 0; i < len; i++) to[i] = bytes[i];
    } else {
        memcpy(to, from, len);
    }
}

static inline void append(buffer *out, const void *bytes, size_t len) {
    copy(reserve(out, len), bytes, len);
    out->len += len;
}

static inline void append_u32(buffer *out, uint32_t value) {
    memcpy(reserve(out, 4), &value, 4);
    out->len += 4;
}

static inline void append_byte(buffer *out, char byte) {
    *reserve(out, 1) = (uint8_t)byte;
    out->len += 1;
}

static void append_str(buffer *out, const char *text) { append(out, text, strlen(text)); }

/* ---- Frames: plugin-sdk/wit/frames.md --------------------------------------------------------------------------- */

enum { EVENTS = 1, OPS = 2, ROWS = 3 };
enum { EVENT_STRIDE = 56, OP_STRIDE = 16, ROW_STRIDE = 8, HEADER_ENTRY_BYTES = 12 };

static const char MANGLED_BOUNDS[] = "bounds", MANGLED_UTF8[] = "utf8", MANGLED_TAG[] = "tag";

typedef struct {
    uint32_t count, stride, texts_count, arena_len;
    const uint8_t *texts, *index, *arena;
} frame_layout;

static bool in_arena(const frame_layout *layout, uint32_t pos, uint32_t len) {
    return pos <= layout->arena_len && len <= layout->arena_len - pos;
}

static inline lantern_text frame_text(const frame_layout *layout, uint32_t id) {
    const uint8_t *entry = layout->texts + (size_t)id * 8;
    return (lantern_text){(const char *)layout->arena + u32_at(entry), u32_at(entry + 4)};
}

/* Checks header, lengths and dictionary; answers what is wrong by the name that the test vectors have, or NULL. */
static const char *frame_parse(frame_layout *layout, const uint8_t *frame, size_t len, int kind, uint32_t stride_least) {
    if (len < HEADER_BYTES) return "short";
    if (memcmp(frame, "LTRN", 4) != 0) return "magic";
    int version = frame[4] | frame[5] << 8;
    if (version != 1) return "version";
    if ((frame[6] | frame[7] << 8) != kind) return "kind";
    *layout = (frame_layout){u32_at(frame + 8), u32_at(frame + 12), u32_at(frame + 16), u32_at(frame + 20),
                             frame + HEADER_BYTES, NULL, NULL};
    if (layout->stride < stride_least) return "stride";
    uint64_t index_bytes = (uint64_t)layout->count * layout->stride;
    /* 64 bits hold the sum of the others; the product alone may be nearly as large. */
    if (index_bytes > len || HEADER_BYTES + (uint64_t)layout->texts_count * 8 + index_bytes + layout->arena_len != len)
        return "length";
    layout->index = layout->texts + (size_t)layout->texts_count * 8;
    layout->arena = layout->index + index_bytes;
    uint32_t left = layout->arena_len;
    for (uint32_t id = 0; id < layout->texts_count; id++) {
        const uint8_t *entry = layout->texts + (size_t)id * 8;
        if (!in_arena(layout, u32_at(entry), u32_at(entry + 4))) return MANGLED_BOUNDS;
        lantern_text text = frame_text(layout, id);
        if (!is_utf8((const uint8_t *)text.ptr, text.len)) return MANGLED_UTF8;
        if (text.len > left) return MANGLED_BOUNDS;
        left -= (uint32_t)text.len;
    }
    return NULL;
}

static bool take_bytes(const frame_layout *layout, const uint8_t *at, uint32_t *left, lantern_blob *into) {
    uint32_t pos = u32_at(at), len = u32_at(at + 4);
    *into = (lantern_blob){NULL, 0};
    if (len == NONE) return true;
    if (!in_arena(layout, pos, len) || len > *left) return false;
    *left -= len;
    *into = (lantern_blob){layout->arena + pos, len};
    return true;
}

/* Reads an event. `left` is what of the arena no event before has taken: none share bytes. */
static const char *frame_event(const frame_layout *layout, uint32_t item, uint32_t *left, lantern_event *event) {
    const uint8_t *row = layout->index + (size_t)item * layout->stride;
    uint32_t topic = u32_at(row + 16), kind = u32_at(row + 24), headers = u32_at(row + 44), count = u32_at(row + 48);
    if (topic >= layout->texts_count || kind >= layout->texts_count) return MANGLED_BOUNDS;
    event->topic = frame_text(layout, topic);
    event->kind = frame_text(layout, kind);
    event->offset = (int64_t)u64_at(row);
    event->timestamp_ms = (int64_t)u64_at(row + 8);
    event->partition = (int32_t)u32_at(row + 20);
    event->index = item;
    if (!take_bytes(layout, row + 28, left, &event->key)) return MANGLED_BOUNDS;
    if (!take_bytes(layout, row + 36, left, &event->payload)) return MANGLED_BOUNDS;
    uint64_t bytes = (uint64_t)count * HEADER_ENTRY_BYTES;
    if (bytes > *left || !in_arena(layout, headers, (uint32_t)bytes)) return MANGLED_BOUNDS;
    *left -= (uint32_t)bytes;
    event->headers = layout->arena + headers;
    event->headers_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = event->headers + (size_t)i * HEADER_ENTRY_BYTES;
        lantern_blob value;
        if (u32_at(entry) >= layout->texts_count || !take_bytes(layout, entry + 4, left, &value)) return MANGLED_BOUNDS;
    }
    return NULL;
}

/* The `count` values of an item, which end where the next item's begin. */
static const char *frame_values(const frame_layout *layout, uint32_t item, size_t at, lantern_value *into, uint32_t count) {
    const uint8_t *row = layout->index + (size_t)item * layout->stride + at;
    uint32_t pos = u32_at(row), end = layout->arena_len;
    if (item + 1 < layout->count) end = u32_at(row + layout->stride);
    if (pos > end || end > layout->arena_len || count > end - pos) return MANGLED_BOUNDS;
    const uint8_t *from = layout->arena + pos, *to = layout->arena + end;
    for (uint32_t i = 0; i < count; i++) {
        if (from == to) return MANGLED_BOUNDS;
        uint8_t tag = *from++;
        if (tag > LANTERN_BLOB) return MANGLED_TAG;
        size_t fixed = tag == LANTERN_NULL ? 0 : tag <= LANTERN_REAL ? 8 : 4;
        if ((size_t)(to - from) < fixed) return MANGLED_BOUNDS;
        into[i] = (lantern_value){.kind = (lantern_kind)tag};
        if (fixed == 8) into[i].integer = (int64_t)u64_at(from);
        if (fixed == 4) into[i].len = u32_at(from);
        from += fixed;
        if (fixed == 4) {
            if ((size_t)(to - from) < into[i].len) return MANGLED_BOUNDS;
            if (tag == LANTERN_TEXT && !is_utf8(from, into[i].len)) return MANGLED_UTF8;
            into[i].blob = from;
            from += into[i].len;
        }
    }
    return NULL;
}

/* Items and what they point to, until they are written one behind the other. */
typedef struct {
    uint32_t count;
    buffer index, arena, texts;
} writer;

static void writer_clear(writer *from) {
    from->count = 0;
    from->index.len = from->arena.len = from->texts.len = 0;
}

static void writer_text(writer *into, const char *text) {
    size_t len = strlen(text);
    append_u32(&into->texts, (uint32_t)into->arena.len);
    append_u32(&into->texts, (uint32_t)len);
    append(&into->arena, text, len);
}

static void writer_finish(writer *from, int kind, uint32_t stride, buffer *out) {
    uint32_t header[8] = {0x4e52544c, 1u | (uint32_t)kind << 16, from->count, stride, (uint32_t)(from->texts.len / 8),
                          (uint32_t)from->arena.len, 0, 0};
    out->len = 0;
    reserve(out, sizeof header + from->texts.len + from->index.len + from->arena.len);
    append(out, header, sizeof header);
    append(out, from->texts.ptr, from->texts.len);
    append(out, from->index.ptr, from->index.len);
    append(out, from->arena.ptr, from->arena.len);
    writer_clear(from);
}

static bool append_value(buffer *out, lantern_value value) {
    uint8_t *to;
    switch (value.kind) {
    case LANTERN_NULL:
        append_byte(out, LANTERN_NULL);
        return true;
    case LANTERN_INT:
    case LANTERN_REAL:
        to = reserve(out, 9);
        to[0] = (uint8_t)value.kind;
        memcpy(to + 1, &value.integer, 8);
        out->len += 9;
        return true;
    case LANTERN_TEXT:
        if (!is_utf8(value.blob, value.len))
            return lantern_fail(LANTERN_BAD_INPUT, "a text is not UTF-8: write it as a blob");
        /* fall through */
    case LANTERN_BLOB:
        to = reserve(out, 5 + (size_t)value.len);
        to[0] = (uint8_t)value.kind;
        memcpy(to + 1, &value.len, 4);
        copy(to + 5, value.blob, value.len);
        out->len += 5 + (size_t)value.len;
        return true;
    case LANTERN_TOO_LARGE:
        break;
    }
    return lantern_fail(LANTERN_BAD_INPUT,
                        "%llu is above the largest integer that SQLite holds, 9223372036854775807: write it as text",
                        (unsigned long long)value.integer);
}

static bool append_values(buffer *out, const lantern_value *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!append_value(out, values[i])) return false;
    return true;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

enum { F_TEXT = 1, F_INT, F_INT32, F_REAL, F_BOOL, F_MAYBE_INT, F_MAYBE_REAL, F_JSON };
enum { DEPTH_MAX = 128 };

/* A JSON text that is being read. Errors say where in `start` they are. */
typedef struct {
    const uint8_t *start, *at, *end;
    const char *error;
    const char *error_name; /* a field's name in it */
    size_t error_name_len;
} reader;

static bool json_error(reader *in, const char *error) {
    in->error = error;
    in->error_name = NULL;
    return false;
}

static bool json_error_field(reader *in, const char *error, const char *name, size_t len) {
    in->error = error;
    in->error_name = name;
    in->error_name_len = len;
    return false;
}

static lantern_text json_error_text(const reader *in) {
    size_t line = 1, column = 0;
    const uint8_t *stop = in->at < in->end ? in->at + 1 : in->end;
    for (const uint8_t *at = in->start; at < stop; at++) {
        column++;
        if (*at == '\n') line++, column = 0;
    }
    if (in->error_name)
        return lantern_format("%s `%.*s` at line %zu column %zu", in->error, (int)in->error_name_len, in->error_name, line,
                              column);
    return lantern_format("%s at line %zu column %zu", in->error, line, column);
}

static inline void skip_space(reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')) in->at++;
}

/* The next byte that is no space; 0 at the end. */
static inline int peek(reader *in) {
    skip_space(in);
    return in->at < in->end ? *in->at : 0;
}

static inline bool expect(reader *in, char byte, const char *error) {
    if (peek(in) != byte) return json_error(in, in->at == in->end ? "the JSON ends too early" : error);
    in->at++;
    return true;
}

static bool hex4(reader *in, uint32_t *into) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        if (in->at == in->end) return json_error(in, "the JSON ends too early");
        uint8_t c = *in->at;
        uint32_t digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 16;
        if (digit == 16) return json_error(in, "invalid escape");
        value = value * 16 + digit;
    }
    *into = value;
    return true;
}

/* Behind a backslash: reads the escape; writes it to `out`, if there is one; answers its bytes by `len`. */
static bool read_escape(reader *in, char *out, size_t *len) {
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end) return json_error(in, "the JSON ends too early");
    uint8_t c = *in->at;
    if (c != 'u') {
        const char *found = memchr(FROM, c, 8);
        if (!found) return json_error(in, "invalid escape");
        in->at++;
        if (out) *out = TO[found - FROM];
        *len = 1;
        return true;
    }
    in->at++;
    uint32_t code, low;
    if (!hex4(in, &code)) return false;
    if (code >= 0xdc00 && code < 0xe000) return json_error(in, "lone surrogate in an escape");
    if (code >= 0xd800 && code < 0xdc00) {
        if (in->end - in->at < 2 || in->at[0] != '\\' || in->at[1] != 'u')
            return json_error(in, "lone surrogate in an escape");
        in->at += 2;
        if (!hex4(in, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return json_error(in, "lone surrogate in an escape");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (!out) return true;
    static const uint8_t LEADS[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = *len; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(LEADS[*len] | code);
    return true;
}

/* Passes over bytes of a text up to its end or a backslash; whether any is beyond ASCII is added to `high`. */
static inline bool plain_text(reader *in, uint64_t *high) {
    const uint8_t *at = in->at;
    for (; in->end - at >= 8; at += 8) {
        uint64_t word = u64_at(at), ones = 0x0101010101010101u, tops = ones << 7;
        uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        /* Bytes below 0x20, quotes and backslashes; what is beyond ASCII is no hit. */
        uint64_t hits = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word)) & tops;
        if (hits) {
            int skip = __builtin_ctzll(hits) / 8;
            *high |= skip ? word << (64 - 8 * skip) : 0;
            at += skip;
            in->at = at;
            return *at >= 0x20 || json_error(in, "control character in a text");
        }
        *high |= word;
    }
    for (; at < in->end; at++) {
        if (*at == '"' || *at == '\\' || *at < 0x20) {
            in->at = at;
            return *at >= 0x20 || json_error(in, "control character in a text");
        }
        *high |= (uint64_t)*at << 56 | *at;
    }
    in->at = at;
    return json_error(in, "the JSON ends within a text");
}

/* Reads a text, behind its first quote. Without escapes it is borrowed. */
static bool read_text(reader *in, lantern_text *into, bool check) {
    const uint8_t *start = in->at;
    uint64_t high = 0;
    if (!plain_text(in, &high)) return false;
    if (*in->at == '"') {
        *into = (lantern_text){(const char *)start, (size_t)(in->at - start)};
    } else {
        /* An escape is never longer than what it stands for: count where the text ends, then write. */
        reader ahead = *in;
        while (*ahead.at != '"') {
            size_t len;
            ahead.at++;
            if (!read_escape(&ahead, NULL, &len) || !plain_text(&ahead, &high)) {
                *in = ahead;
                return false;
            }
        }
        char *text = take((size_t)(ahead.at - start), 1), *out = text;
        in->at = start;
        for (;;) {
            const uint8_t *from = in->at;
            if (!plain_text(in, &high)) return false;
            memcpy(out, from, (size_t)(in->at - from));
            out += in->at - from;
            if (*in->at == '"') break;
            size_t len;
            in->at++;
            if (!read_escape(in, out, &len)) return false;
            out += len;
        }
        *into = (lantern_text){text, (size_t)(out - text)};
    }
    if (check && (high & 0x8080808080808080u) && !is_utf8((const uint8_t *)into->ptr, into->len))
        return json_error(in, "invalid unicode in a text");
    in->at++;
    return true;
}

/* Passes over a number as JSON has it; whether it is an integer. */
static bool scan_number(reader *in, bool *is_integer) {
    const uint8_t *at = in->at, *end = in->end;
    *is_integer = true;
    if (at < end && *at == '-') at++;
    const uint8_t *digits = at;
    while (at < end && *at >= '0' && *at <= '9') at++;
    bool right = at > digits && (at - digits == 1 || *digits != '0');
    if (right && at < end && *at == '.') {
        *is_integer = false;
        const uint8_t *fraction = ++at;
        while (at < end && *at >= '0' && *at <= '9') at++;
        right = at > fraction;
    }
    if (right && at < end && (*at | 32) == 'e') {
        *is_integer = false;
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        const uint8_t *exponent = at;
        while (at < end && *at >= '0' && *at <= '9') at++;
        right = at > exponent;
    }
    in->at = at;
    return right || json_error(in, "invalid number");
}

static bool read_int(reader *in, int64_t *into) {
    const uint8_t *start = in->at;
    int first = in->at < in->end ? *in->at : 0;
    if (first != '-' && (first < '0' || first > '9')) return json_error(in, "expected an integer");
    const uint8_t *at = start + (first == '-');
    uint64_t value = 0;
    bool fits = true;
    const uint8_t *digits = at;
    for (; at < in->end && *at >= '0' && *at <= '9'; at++) {
        unsigned digit = *at - '0';
        if (value > (UINT64_MAX - digit) / 10) fits = false;
        value = value * 10 + digit;
    }
    bool is_integer = at < in->end && (*at == '.' || (*at | 32) == 'e') ? false : true;
    if (at == digits || (at - digits > 1 && *digits == '0')) return json_error(in, "invalid number");
    if (!is_integer) return json_error(in, "expected an integer, found a fraction");
    if (!fits || value > (uint64_t)INT64_MAX + (first == '-'))
        return json_error(in, "expected an integer of 64 bits, found a larger one");
    in->at = at;
    *into = first == '-' ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static bool read_real(reader *in, double *into) {
    const uint8_t *start = in->at;
    int first = in->at < in->end ? *in->at : 0;
    if (first != '-' && (first < '0' || first > '9')) return json_error(in, "expected a number");
    bool is_integer;
    if (!scan_number(in, &is_integer)) return false;
    size_t len = (size_t)(in->at - start);
    if (is_integer && len <= 15) {
        int64_t value = 0;
        for (size_t i = first == '-'; i < len; i++) value = value * 10 + (start[i] - '0');
        *into = first == '-' ? -(double)value : (double)value;
        return true;
    }
    /* strtod wants a zero behind it. */
    char few[64], *text = len < sizeof few ? few : take(len + 1, 1);
    memcpy(text, start, len);
    text[len] = 0;
    *into = strtod(text, NULL);
    if (*into - *into != 0) {
        in->at = start;
        return json_error(in, "number out of range");
    }
    return true;
}

static bool read_word(reader *in, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(in->end - in->at) < len || !same_bytes(in->at, word, len)) return json_error(in, "expected a JSON value");
    in->at += len;
    return true;
}

static bool skip_text(reader *in) {
    uint64_t high = 0;
    in->at++;
    for (;;) {
        if (!plain_text(in, &high)) return false;
        bool ends = *in->at++ == '"';
        if (ends) return true;
        size_t len;
        if (!read_escape(in, NULL, &len)) return false;
    }
}

/* Passes over any value, and checks that it is one. */
static bool skip_value(reader *in) {
    uint8_t closing[DEPTH_MAX];
    int depth = 0;
    for (;;) {
        bool is_integer, opened = false;
        int c = peek(in);
        if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX) return json_error(in, "the JSON is nested too deeply");
            closing[depth++] = c == '{' ? '}' : ']';
            in->at++;
            opened = true;
        } else if (c == '"') {
            if (!skip_text(in)) return false;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            if (!scan_number(in, &is_integer)) return false;
        } else if (c == 't' || c == 'f' || c == 'n') {
            if (!read_word(in, c == 't' ? "true" : c == 'f' ? "false" : "null")) return false;
        } else {
            return json_error(in, in->at == in->end ? "the JSON ends too early" : "expected a JSON value");
        }
        /* Behind a value: what is closed, and what comes next. */
        while (depth) {
            c = peek(in);
            if (c == closing[depth - 1]) {
                in->at++;
                depth--;
                opened = false;
                continue;
            }
            if (!opened) {
                if (c != ',') return json_error(in, in->at == in->end ? "the JSON ends too early" : "expected `,`");
                in->at++;
            }
            if (closing[depth - 1] == '}') {
                if (peek(in) != '"') return json_error(in, "expected a field's name");
                if (!skip_text(in) || !expect(in, ':', "expected `:`")) return false;
            }
            break;
        }
        if (!depth) return true;
    }
}

static bool read_field(reader *in, const lantern_field *field, uint8_t *into) {
    int c = peek(in);
    void *to = into + field->offset;
    if (c == 'n' && (field->optional || field->type == F_MAYBE_INT || field->type == F_MAYBE_REAL))
        return read_word(in, "null");
    int64_t integer;
    const uint8_t *start = in->at;
    switch (field->type) {
    case F_TEXT:
        if (c != '"') return json_error(in, "expected a text");
        in->at++;
        return read_text(in, to, true);
    case F_INT:
        return read_int(in, to);
    case F_INT32:
        if (!read_int(in, &integer)) return false;
        if (integer < INT32_MIN || integer > INT32_MAX) {
            in->at = start;
            return json_error(in, "expected an integer of 32 bits, found a larger one");
        }
        *(int32_t *)to = (int32_t)integer;
        return true;
    case F_REAL:
        return read_real(in, to);
    case F_BOOL:
        if (c != 't' && c != 'f') return json_error(in, "expected true or false");
        *(bool *)to = c == 't';
        return read_word(in, c == 't' ? "true" : "false");
    case F_MAYBE_INT:
        ((lantern_maybe_int *)to)->there = true;
        return read_int(in, &((lantern_maybe_int *)to)->value);
    case F_MAYBE_REAL:
        ((lantern_maybe_real *)to)->there = true;
        return read_real(in, &((lantern_maybe_real *)to)->value);
    default:
        if (!skip_value(in)) return false;
        *(lantern_json *)to = (lantern_json){(const char *)start, (size_t)(in->at - start)};
        return true;
    }
}

static size_t field_size(const lantern_field *field) {
    static const uint8_t SIZES[] = {0, sizeof(lantern_text), 8, 4, 8, sizeof(bool), sizeof(lantern_maybe_int),
                                    sizeof(lantern_maybe_real), sizeof(lantern_json)};
    return SIZES[field->type];
}

static bool read_object(reader *in, const lantern_field *fields, uint8_t *into) {
    uint64_t seen = 0;
    int count = 0;
    for (; fields[count].name; count++) {
        const lantern_field *field = &fields[count];
        if (count == 64) lantern_trap("a struct has more than 64 fields");
        if (field->optional || field->type >= F_MAYBE_INT) memset(into + field->offset, 0, field_size(field));
    }
    if (!expect(in, '{', "expected an object")) return false;
    /* Fields mostly stand in the order of the description: the search begins where the last one was found. */
    int next = 0;
    for (bool first = true; peek(in) != '}'; first = false) {
        if (!first && !expect(in, ',', "expected `,` or `}`")) return false;
        if (!expect(in, '"', "expected a field's name")) return false;
        lantern_text name;
        if (!read_text(in, &name, false)) return false;
        int found = -1;
        for (int i = 0; i < count; i++) {
            int at = next + i < count ? next + i : next + i - count;
            if (fields[at].name_len == name.len && same_bytes(fields[at].name, name.ptr, name.len)) {
                found = at;
                break;
            }
        }
        if (found >= 0 && seen >> found & 1) return json_error_field(in, "duplicate field", name.ptr, name.len);
        if (!expect(in, ':', "expected `:`")) return false;
        if (found < 0) {
            if (!skip_value(in)) return false;
            continue;
        }
        seen |= (uint64_t)1 << found;
        next = found + 1;
        if (!read_field(in, &fields[found], into)) return false;
    }
    in->at++;
    for (int i = 0; i < count; i++) {
        const lantern_field *field = &fields[i];
        bool may_lack = field->optional || field->type == F_MAYBE_INT || field->type == F_MAYBE_REAL;
        if (!may_lack && !(seen >> i & 1)) {
            in->at--;
            return json_error_field(in, "missing field", field->name, field->name_len);
        }
    }
    return true;
}

static reader reader_of(const void *ptr, size_t len) {
    return (reader){.start = ptr, .at = ptr, .end = (const uint8_t *)ptr + len};
}

static bool ends(reader *in) {
    skip_space(in);
    return in->at == in->end || json_error(in, "something stands behind the JSON");
}

static bool json_fails(reader *in) {
    lantern_text text = json_error_text(in);
    return lantern_fail(LANTERN_BAD_INPUT, "%.*s", LANTERN_ARG(text));
}

bool lantern_json_read(lantern_json json, const lantern_field *fields, void *into) {
    reader in = reader_of(json.ptr, json.len);
    return (read_object(&in, fields, into) && ends(&in)) || json_fails(&in);
}

bool lantern_json_int(lantern_json json, int64_t *into) {
    reader in = reader_of(json.ptr, json.len);
    skip_space(&in);
    return (read_int(&in, into) && ends(&in)) || json_fails(&in);
}

bool lantern_json_real(lantern_json json, double *into) {
    reader in = reader_of(json.ptr, json.len);
    skip_space(&in);
    return (read_real(&in, into) && ends(&in)) || json_fails(&in);
}

bool lantern_json_text(lantern_json json, lantern_text *into) {
    reader in = reader_of(json.ptr, json.len);
    return (expect(&in, '"', "expected a text") && read_text(&in, into, true) && ends(&in)) || json_fails(&in);
}

bool lantern_json_is_null(lantern_json json) {
    return !json.ptr || (json.len == 4 && memcmp(json.ptr, "null", 4) == 0);
}

bool lantern_json_array(lantern_json json, lantern_items *items) {
    reader in = reader_of(json.ptr, json.len);
    /* All of it is checked once, so that its items cannot fail. */
    if (peek(&in) != '[') return json_error(&in, "expected an array"), json_fails(&in);
    const uint8_t *start = in.at + 1;
    if (!skip_value(&in) || !ends(&in)) return json_fails(&in);
    *items = (lantern_items){.rest = (const char *)start, .end = json.ptr + json.len};
    return true;
}

bool lantern_next(lantern_items *items) {
    reader in = reader_of(items->rest, (size_t)(items->end - items->rest));
    int c = peek(&in);
    if (c == ',') in.at++, c = peek(&in);
    if (c == ']' || c == 0) return false;
    const uint8_t *start = in.at;
    skip_value(&in);
    items->item = (lantern_json){(const char *)start, (size_t)(in.at - start)};
    items->rest = (const char *)in.at;
    return true;
}

static void write_quoted(buffer *out, const char *text, size_t len) {
    append_byte(out, '"');
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        static const char FROM[] = "\"\\\b\f\n\r\t", TO[] = "\"\\bfnrt";
        const char *found = c < 0x20 || c == '"' || c == '\\' ? memchr(FROM, c, 7) : NULL;
        if (found) {
            append_byte(out, '\\');
            append_byte(out, TO[found - FROM]);
        } else if (c < 0x20) {
            append_str(out, "\\u00");
            append_byte(out, "01"[c >> 4]);
            append_byte(out, "0123456789abcdef"[c & 15]);
        } else {
            append_byte(out, (char)c);
        }
    }
    append_byte(out, '"');
}

static void write_int(buffer *out, int64_t value) {
    char digits[20], *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--at = '-';
    append(out, at, (size_t)(digits + sizeof digits - at));
}

static void write_real(buffer *out, double value) {
    if (value - value != 0) {
        append_str(out, "null"); /* JSON has neither infinity nor NaN */
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    append_str(out, text);
    /* It stays a real for whoever reads it. */
    if (!strpbrk(text, ".e")) append_str(out, ".0");
}

static void write_object(buffer *out, const lantern_field *fields, const uint8_t *from) {
    append_byte(out, '{');
    for (const lantern_field *field = fields; field && field->name; field++) {
        const void *at = from + field->offset;
        if (field != fields) append_byte(out, ',');
        write_quoted(out, field->name, field->name_len);
        append_byte(out, ':');
        const lantern_text *text = at;
        const lantern_maybe_int *maybe_int = at;
        const lantern_maybe_real *maybe_real = at;
        switch (field->type) {
        case F_TEXT:
            if (text->ptr) write_quoted(out, text->ptr, text->len);
            else append_str(out, "null");
            break;
        case F_INT:
            write_int(out, *(const int64_t *)at);
            break;
        case F_INT32:
            write_int(out, *(const int32_t *)at);
            break;
        case F_REAL:
            write_real(out, *(const double *)at);
            break;
        case F_BOOL:
            append_str(out, *(const bool *)at ? "true" : "false");
            break;
        case F_MAYBE_INT:
            if (maybe_int->there) write_int(out, maybe_int->value);
            else append_str(out, "null");
            break;
        case F_MAYBE_REAL:
            write_real(out, maybe_real->there ? maybe_real->value : 0.0 / 0.0);
            break;
        default:
            if (text->ptr) append(out, text->ptr, text->len);
            else append_str(out, "null");
        }
    }
    append_byte(out, '}');
}

/* What a buffer holds, in memory that lives until the batch ends. */
static lantern_text kept(buffer *from) {
    char *text = take(from->len, 1);
    memcpy(text, from->ptr, from->len);
    return (lantern_text){text, from->len};
}

static buffer scratch;

lantern_text lantern_json_write(const lantern_field *fields, const void *from) {
    scratch.len = 0;
    write_object(&scratch, fields, from);
    return kept(&scratch);
}

lantern_text lantern_json_quote(lantern_text text) {
    scratch.len = 0;
    write_quoted(&scratch, text.ptr, text.len);
    return kept(&scratch);
}

/* ---- The manifest ----------------------------------------------------------------------------------------------- */

static void write_str(buffer *out, const char *text) { write_quoted(out, text, strlen(text)); }

static void write_list(buffer *out, const char *key, const char *const *list) {
    append_byte(out, ',');
    write_str(out, key);
    append_str(out, ":[");
    for (size_t i = 0; list && list[i]; i++) {
        if (i) append_byte(out, ',');
        write_str(out, list[i]);
    }
    append_byte(out, ']');
}

static void write_manifest(buffer *out, const lantern_manifest *manifest) {
    static const char *const ENVELOPES[] = {"cloud-events", "header", "json-field", "topic"};
    static const char *const TYPE_AT[] = {NULL, "name", "field", "type"};
    append_str(out, "{\"name\":");
    write_str(out, manifest->name ? manifest->name : "");
    append_str(out, ",\"version\":");
    write_str(out, manifest->version ? manifest->version : "");
    if (manifest->description) {
        append_str(out, ",\"description\":");
        write_str(out, manifest->description);
    }
    write_list(out, "topics", manifest->topics);
    write_list(out, "types", manifest->types);
    if (manifest->all_headers) {
        append_str(out, ",\"headers\":null");
    } else if (manifest->sends && !manifest->headers) {
        /* What it sends says by these what it was caused by. */
        write_list(out, "headers", LANTERN_LIST("ce_id", "ce_correlationid"));
    } else {
        write_list(out, "headers", manifest->headers);
        if (manifest->sends) {
            out->len--;
            append_str(out, ",\"ce_id\",\"ce_correlationid\"]");
        }
    }
    append_str(out, ",\"envelope\":{\"kind\":");
    write_str(out, ENVELOPES[manifest->envelope]);
    if (manifest->type_at && TYPE_AT[manifest->envelope]) {
        append_byte(out, ',');
        write_str(out, TYPE_AT[manifest->envelope]);
        append_byte(out, ':');
        write_str(out, manifest->type_at);
    }
    append_byte(out, '}');
    write_list(out, "schema", manifest->schema);
    append_str(out, ",\"state_version\":");
    write_int(out, manifest->state_version ? manifest->state_version : 1);
    append_str(out, ",\"queries\":{");
    for (const lantern_query_offered *query = manifest->queries; query && query->name; query++) {
        if (query != manifest->queries) append_byte(out, ',');
        write_str(out, query->name);
        append_str(out, ":{\"sql\":");
        write_str(out, query->sql);
        append_str(out, ",\"description\":");
        write_str(out, query->description ? query->description : "");
        append_byte(out, '}');
    }
    append_byte(out, '}');
    if (manifest->sends) write_list(out, "sends", manifest->sends);
    append_byte(out, '}');
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

bool lantern_bad_input(const lantern_event *event, const char *format, ...) {
    FORMAT_REST(reason, format);
    return lantern_fail(LANTERN_BAD_INPUT, "%.*s/%d@%lld (%.*s): %.*s", LANTERN_ARG(event->topic), (int)event->partition,
                        (long long)event->offset, LANTERN_ARG(event->kind), LANTERN_ARG(reason));
}

static bool has_data(const lantern_event *event) {
    return event->payload.ptr || lantern_bad_input(event, "it has no data: it is a tombstone");
}

bool lantern_read(const lantern_event *event, const lantern_field *fields, void *into) {
    if (!has_data(event)) return false;
    reader in = reader_of(event->payload.ptr, event->payload.len);
    if (read_object(&in, fields, into) && ends(&in)) return true;
    lantern_text why = json_error_text(&in);
    return lantern_bad_input(event, "%.*s", LANTERN_ARG(why));
}

bool lantern_event_text(const lantern_event *event, lantern_text *into) {
    if (!has_data(event)) return false;
    if (!is_utf8(event->payload.ptr, event->payload.len)) return lantern_bad_input(event, "its data is not text: it is not UTF-8");
    *into = (lantern_text){(const char *)event->payload.ptr, event->payload.len};
    return true;
}

bool lantern_key_text(const lantern_event *event, lantern_text *into) {
    if (!event->key.ptr) return lantern_bad_input(event, "it has no key");
    if (!is_utf8(event->key.ptr, event->key.len)) return lantern_bad_input(event, "its key is not text: it is not UTF-8");
    *into = (lantern_text){(const char *)event->key.ptr, event->key.len};
    return true;
}

/* The frame whose events are being applied: names of headers are in its dictionary. */
static frame_layout batch;

lantern_blob lantern_header(const lantern_event *event, const char *name) {
    lantern_text wanted = lantern_str(name);
    for (uint32_t i = 0; i < event->headers_count; i++) {
        const uint8_t *entry = event->headers + (size_t)i * HEADER_ENTRY_BYTES;
        if (!lantern_same(frame_text(&batch, u32_at(entry)), wanted)) continue;
        uint32_t pos = u32_at(entry + 4), len = u32_at(entry + 8);
        if (len == NONE) break;
        return (lantern_blob){batch.arena + pos, len};
    }
    return (lantern_blob){NULL, 0};
}

/* ---- The host's answers, as the contract lays them out ---------------------------------------------------------- */

typedef struct {
    uint8_t failed;
    union {
        uint32_t number;
        lantern_blob bytes;
        struct {
            uint8_t fault;
            lantern_text message;
            uint8_t has_index;
            uint32_t index;
        } failure;
        struct {
            uint8_t rejected;
            union {
                lantern_blob events;
                struct {
                    lantern_text code, message;
                    uint8_t has_detail;
                    lantern_text detail;
                } rejection;
            };
        } decision;
    };
} answer;

static bool host_answered(const answer *from) {
    if (!from->failed) return true;
    return fail_with((lantern_fault)from->failure.fault, from->failure.message,
                     from->failure.has_index ? from->failure.index : NONE);
}

#ifdef LANTERN_HOST
/* lantern_test.c, which includes this file, is the host. */
static void host_prepare(const char *sql, size_t len, answer *into);
static void host_apply(const uint8_t *frame, size_t len, answer *into);
static void host_query(uint32_t statement, const uint8_t *params, size_t len, uint32_t rows_max, answer *into);
#elif !defined(__wasm__)
/* Natively there is no database but in tests, which are compiled with lantern_test.c. */
static void host_prepare(const char *sql, size_t len, void *into) {
    (void)sql, (void)len;
    *(answer *)into = (answer){.failed = 0, .number = 0};
}
static void host_apply(const uint8_t *frame, size_t len, void *into) {
    (void)frame, (void)len;
    *(answer *)into = (answer){.failed = 0, .number = 0};
}
static void host_query(uint32_t statement, const uint8_t *params, size_t len, uint32_t rows_max, void *into) {
    (void)statement, (void)params, (void)len, (void)rows_max;
    *(answer *)into = (answer){.failed = 1, .failure = {LANTERN_UNSUPPORTED, lantern_str("there is no database here"), 0, 0}};
}
#endif

/* ---- The rows of one table that a batch writes: found by key, changed in memory, flushed as writes ---------------- *
 *
 * Nothing is allocated per row: keys and texts lie one behind the other in an arena, in the form that they have in a frame,
 * columns in one list of cells. The order is that of first writing, so the same batch always gives the same writes. */

typedef struct {
    enum { CELL_NULL, CELL_INT, CELL_ENCODED } kind;
    uint32_t len;
    union {
        int64_t integer;
        uint32_t pos;
    };
} cell;

/* Which columns are written, and how, as bits by the columns' positions. Those in none of the others are set. */
typedef struct {
    uint64_t written, add, max, min;
} columns;

typedef struct {
    uint32_t hash, key_pos, key_len;
    uint32_t whole_len; /* of a row that was put and not touched since: how many bytes its key and values have, one behind the other */
    uint32_t cells;     /* where its cells begin, or NONE */
    uint32_t event; /* the last that touched the row */
    enum { NOTHING, UPSERT, UPDATE, DELETE, REPLACE } pending;
    bool known;  /* all cells have the row's values, or it is known that there is no row */
    bool absent; /* there is no row in the database */
    columns how;
} entry;

typedef enum { SET, ADD, MAX, MIN, UNKNOWN } change;

typedef struct {
    int verb;
    columns how;
    uint32_t statement;
} written_by;

typedef struct {
    const lantern_table *table;
    uint32_t key_width, width;
    buffer arena, entries, cells, statements;
    uint32_t *slots, slots_count; /* an entry's position plus one, or 0; a power of two, at least twice the entries */
    uint32_t select;
    bool touched;
} cache;

struct lantern_db {
    cache **caches;
    uint32_t caches_count;
    buffer touched; /* which caches hold rows, in the order in which they were first touched */
    buffer statements, sql;
    writer ops, params;
    buffer frame;
    uint32_t event;
    uint32_t generation; /* counts flushes of rows */
    struct {
        bool is;
        lantern_error error;
        uint32_t event;
    } kept; /* the first error of a write that could not answer one itself: it fails the event */
};

static lantern_db the_db = {.event = NONE};

#define ENTRIES(cache) ((entry *)(cache)->entries.ptr)
#define ENTRIES_COUNT(cache) ((uint32_t)((cache)->entries.len / sizeof(entry)))

static void keep_error(lantern_db *db) {
    if (!failed.is) return;
    failed.is = false;
    if (db->kept.is) return;
    db->kept.is = true;
    db->kept.error = failed.error;
    db->kept.event = failed.event;
}

/* A hash by multiplication, eight bytes at a time. A batch is bounded, so chosen keys do no harm. */
static uint32_t hash_of(const uint8_t *at, size_t len) {
    const uint64_t factor = 0x517cc1b727220a95u;
    uint64_t hash = len, last = 0;
    if (len >= 8) {
        last = u64_at(at + len - 8);
        for (; len >= 8; at += 8, len -= 8) hash = ((hash << 5 | hash >> 59) ^ u64_at(at)) * factor;
    } else {
        for (size_t i = 0; i < len; i++) last = last << 8 | at[i];
    }
    return (uint32_t)((((hash << 5 | hash >> 59) ^ last) * factor) >> 32);
}

/* Where the search for a hash begins: at its highest bits, which every bit of the key has had a part in. */
static inline uint32_t first_slot(uint32_t hash, uint32_t slots) { return hash >> (32 - __builtin_ctz(slots)); }

static uint32_t list_len(const char *const *list) {
    uint32_t len = 0;
    while (list && list[len]) len++;
    return len;
}

static lantern_text list_text(const char *const *list) {
    scratch.len = 0;
    append_byte(&scratch, '[');
    for (size_t i = 0; list && list[i]; i++) {
        if (i) append_str(&scratch, ", ");
        write_str(&scratch, list[i]);
    }
    append_byte(&scratch, ']');
    return kept(&scratch);
}

/* Appends a key to the arena, where it is the last thing. */
static bool write_key(cache *in, const lantern_value *key, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (key[i].kind == LANTERN_NULL || key[i].kind == LANTERN_REAL)
            return lantern_fail(LANTERN_OTHER, "a key of `%s` has NULL or a real in it: those are never equal",
                                in->table->name);
    if (count == in->key_width) return append_values(&in->arena, key, count);
    lantern_text parts = list_text(in->table->key);
    return lantern_fail(LANTERN_OTHER, "a key of `%s` has the parts %.*s; %zu were given", in->table->name,
                        LANTERN_ARG(parts), count);
}

/* The entry of the key that the arena has from `start` on, or NONE and the free slot for it. */
static uint32_t find_entry(const cache *in, uint32_t hash, size_t start, uint32_t *slot) {
    uint32_t mask = in->slots_count - 1, at = first_slot(hash, in->slots_count);
    size_t len = in->arena.len - start;
    for (;; at = (at + 1) & mask) {
        uint32_t found = in->slots[at];
        *slot = at;
        if (!found) return NONE;
        const entry *candidate = &ENTRIES(in)[found - 1];
        if (candidate->hash == hash && candidate->key_len == len &&
            same_bytes(in->arena.ptr + candidate->key_pos, in->arena.ptr + start, len))
            return found - 1;
    }
}

static void more_slots(cache *in) {
    uint32_t count = in->slots_count * 2, mask = count - 1;
    free(in->slots);
    in->slots = must(calloc(count, sizeof *in->slots));
    in->slots_count = count;
    for (uint32_t i = 0; i < ENTRIES_COUNT(in); i++) {
        uint32_t slot = first_slot(ENTRIES(in)[i].hash, count);
        while (in->slots[slot]) slot = (slot + 1) & mask;
        in->slots[slot] = i + 1;
    }
}

/* The entry of the key that the arena has from `start` on; it is made if there is none. */
static uint32_t enter_key(cache *in, size_t start, bool *is_new) {
    uint32_t hash = hash_of(in->arena.ptr + start, in->arena.len - start), slot;
    uint32_t found = find_entry(in, hash, start, &slot);
    *is_new = found == NONE;
    if (found != NONE) {
        in->arena.len = start;
        return found;
    }
    uint32_t count = ENTRIES_COUNT(in);
    if ((count + 1) * 2 > in->slots_count) {
        more_slots(in);
        find_entry(in, hash, start, &slot);
    }
    in->slots[slot] = count + 1;
    *(entry *)reserve(&in->entries, sizeof(entry)) = (entry){.hash = hash,
                                                             .key_pos = (uint32_t)start,
                                                             .key_len = (uint32_t)(in->arena.len - start),
                                                             .cells = NONE,
                                                             .event = NONE};
    in->entries.len += sizeof(entry);
    return count;
}

static OUT_OF_LINE cell *make_cells(cache *in, entry *row) {
    row->cells = (uint32_t)(in->cells.len / sizeof(cell));
    cell *cells = (cell *)reserve(&in->cells, in->width * sizeof(cell));
    in->cells.len += in->width * sizeof(cell);
    const uint8_t *from = in->arena.ptr + row->key_pos + row->key_len;
    for (uint32_t i = 0; i < in->width; i++) {
        cells[i].kind = CELL_NULL;
        if (!row->whole_len) continue;
        uint32_t len = 1;
        if (from[0] == LANTERN_INT) {
            cells[i].kind = CELL_INT;
            cells[i].integer = (int64_t)u64_at(from + 1);
            len = 9;
        } else if (from[0] != LANTERN_NULL) {
            len = from[0] == LANTERN_REAL ? 9 : 5 + u32_at(from + 1);
            cells[i].kind = CELL_ENCODED;
            cells[i].pos = (uint32_t)(from - in->arena.ptr);
            cells[i].len = len;
        }
        from += len;
    }
    row->whole_len = 0;
    return cells;
}

/* The cells of an entry, which has none before they are asked for: a row that was put is taken apart then. */
static inline cell *cells_of(cache *in, entry *row) {
    return row->cells != NONE ? (cell *)in->cells.ptr + row->cells : make_cells(in, row);
}

static void cache_clear(cache *in) {
    in->touched = false;
    in->arena.len = in->entries.len = in->cells.len = 0;
    memset(in->slots, 0, in->slots_count * sizeof *in->slots);
}

static bool encode_cell(cache *in, cell *to, lantern_value value) {
    if (value.kind == LANTERN_NULL) {
        to->kind = CELL_NULL;
    } else if (value.kind == LANTERN_INT) {
        to->kind = CELL_INT;
        to->integer = value.integer;
    } else {
        size_t pos = in->arena.len;
        if (!append_value(&in->arena, value)) return false;
        to->kind = CELL_ENCODED;
        to->pos = (uint32_t)pos;
        to->len = (uint32_t)(in->arena.len - pos);
    }
    return true;
}

static lantern_value cell_value(const cache *in, const cell *from) {
    if (from->kind == CELL_NULL) return (lantern_value){.kind = LANTERN_NULL};
    if (from->kind == CELL_INT) return lantern_value_int(from->integer);
    const uint8_t *at = in->arena.ptr + from->pos;
    lantern_value value = {.kind = (lantern_kind)at[0]};
    if (value.kind == LANTERN_REAL) {
        value.integer = (int64_t)u64_at(at + 1);
    } else {
        value.len = u32_at(at + 1);
        value.blob = at + 5;
    }
    return value;
}

/* Changes a column. False without a reason: this change cannot be put together with what is gathered. */
static bool cache_change(cache *in, uint32_t at, uint32_t column, change how, lantern_value value) {
    entry *row = &ENTRIES(in)[at];
    columns *now = &row->how;
    uint64_t bit = (uint64_t)1 << column;
    change before = !(now->written & bit) ? (row->known ? SET : UNKNOWN)
                    : now->add & bit      ? ADD
                    : now->max & bit      ? MAX
                    : now->min & bit      ? MIN
                                          : SET;
    /* Nothing is known of the column, or it does not matter: the change itself is gathered. */
    if (before == UNKNOWN || how == SET) {
        now->written |= bit;
        now->add = (now->add & ~bit) | (how == ADD ? bit : 0);
        now->max = (now->max & ~bit) | (how == MAX ? bit : 0);
        now->min = (now->min & ~bit) | (how == MIN ? bit : 0);
        return encode_cell(in, cells_of(in, row) + column, value);
    }
    /* The column's value, or what is to be added to it, is known, and changes here. */
    cell *old = cells_of(in, row) + column;
    int64_t n = value.integer, merged = n;
    if (before == SET && old->kind == CELL_NULL) {
        merged = n;
    } else if (old->kind == CELL_INT && (before == SET || before == how)) {
        if (how == ADD && __builtin_add_overflow(old->integer, n, &merged)) return false;
        if (how == MAX) merged = old->integer > n ? old->integer : n;
        if (how == MIN) merged = old->integer < n ? old->integer : n;
    } else {
        return false;
    }
    now->written |= bit;
    old->kind = CELL_INT;
    old->integer = merged;
    return true;
}

/* Statements that write: parameters are the key, then the columns by position. */

static void sql_name(buffer *out, const char *name) {
    append_byte(out, '"');
    for (; *name; name++) {
        if (*name == '"') append_byte(out, '"');
        append_byte(out, *name);
    }
    append_byte(out, '"');
}

static void sql_column(buffer *out, const lantern_table *table, const char *column) {
    /* Only a qualified name is surely a column: a bare one that is misspelt would be a text. */
    sql_name(out, table->name);
    append_byte(out, '.');
    sql_name(out, column);
}

static void sql_where(buffer *out, const cache *in) {
    for (uint32_t i = 0; i < in->key_width; i++) {
        append_str(out, i ? " AND " : " WHERE ");
        sql_column(out, in->table, in->table->key[i]);
        append_str(out, " = ?");
        write_int(out, i + 1);
    }
}

static void sql_new(buffer *out, const cache *in, bool is_update, uint32_t nth, const char *column) {
    if (is_update) {
        append_byte(out, '?');
        write_int(out, in->key_width + nth + 1);
    } else {
        append_str(out, "excluded.");
        sql_name(out, column);
    }
}

static void sql_assign(buffer *out, const cache *in, columns how, bool is_update) {
    uint32_t nth = 0;
    for (uint64_t rest = how.written; rest; rest &= rest - 1, nth++) {
        uint64_t bit = rest & -rest;
        const char *column = in->table->columns[__builtin_ctzll(rest)];
        if (nth) append_str(out, ", ");
        sql_name(out, column);
        append_str(out, " = ");
        if (how.add & bit) {
            append_str(out, "ifnull(");
            sql_column(out, in->table, column);
            append_str(out, ", 0) + ");
            sql_new(out, in, is_update, nth, column);
        } else if ((how.max | how.min) & bit) {
            append_str(out, how.max & bit ? "max(ifnull(" : "min(ifnull(");
            sql_column(out, in->table, column);
            append_str(out, ", ");
            sql_new(out, in, is_update, nth, column);
            append_str(out, "), ");
            sql_new(out, in, is_update, nth, column);
            append_byte(out, ')');
        } else {
            sql_new(out, in, is_update, nth, column);
        }
    }
}

static void write_sql(buffer *out, const cache *in, int verb, columns how) {
    out->len = 0;
    if (verb == DELETE) {
        append_str(out, "DELETE FROM ");
        sql_name(out, in->table->name);
        sql_where(out, in);
    } else if (verb == UPDATE) {
        append_str(out, "UPDATE ");
        sql_name(out, in->table->name);
        append_str(out, " SET ");
        sql_assign(out, in, how, true);
        sql_where(out, in);
    } else {
        append_str(out, "INSERT INTO ");
        sql_name(out, in->table->name);
        append_str(out, " (");
        for (uint32_t i = 0; i < in->key_width; i++) {
            if (i) append_str(out, ", ");
            sql_name(out, in->table->key[i]);
        }
        uint32_t count = in->key_width;
        for (uint64_t rest = how.written; rest; rest &= rest - 1, count++) {
            append_str(out, ", ");
            sql_name(out, in->table->columns[__builtin_ctzll(rest)]);
        }
        append_str(out, ") VALUES (");
        for (uint32_t i = 0; i < count; i++) append_str(out, i ? ", ?" : "?");
        append_str(out, ") ON CONFLICT (");
        for (uint32_t i = 0; i < in->key_width; i++) {
            if (i) append_str(out, ", ");
            sql_name(out, in->table->key[i]);
        }
        append_str(out, how.written ? ") DO UPDATE SET " : ") DO NOTHING");
        sql_assign(out, in, how, false);
    }
}

static bool prepare(const char *sql, size_t len, uint32_t *statement) {
    answer from = {0};
    host_prepare(sql, len, &from);
    if (!host_answered(&from)) return false;
    *statement = from.number;
    return true;
}

static bool cache_statement(lantern_db *db, cache *in, int verb, columns how, uint32_t *statement) {
    written_by *known = (written_by *)in->statements.ptr;
    for (size_t i = 0; i < in->statements.len / sizeof(written_by); i++) {
        if (known[i].verb == verb && memcmp(&known[i].how, &how, sizeof how) == 0) {
            *statement = known[i].statement;
            return true;
        }
    }
    write_sql(&db->sql, in, verb, how);
    if (!prepare((const char *)db->sql.ptr, db->sql.len, statement)) return false;
    append(&in->statements, &(written_by){verb, how, *statement}, sizeof(written_by));
    return true;
}

static void push_op(writer *ops, uint32_t statement, uint32_t event, size_t start, uint32_t count) {
    uint32_t item[4] = {statement, event, (uint32_t)start, count};
    append(&ops->index, item, sizeof item);
    ops->count++;
}

static columns all_of(const cache *in) { return (columns){.written = in->width ? UINT64_MAX >> (64 - in->width) : 0}; }

/* Writes the rows that were put from one on, as long as they lie one behind the other; answers which is the last. */
static bool flush_whole(lantern_db *db, cache *in, uint32_t *at) {
    const entry *row = &ENTRIES(in)[*at], *end = ENTRIES(in) + ENTRIES_COUNT(in);
    uint32_t statement, from = row->key_pos, to = from;
    if (!cache_statement(db, in, UPSERT, all_of(in), &statement)) {
        if (failed.event == NONE) failed.event = row->event;
        return false;
    }
    for (; row < end && row->whole_len && row->key_pos == to; row++) {
        push_op(&db->ops, statement, row->event, db->ops.arena.len + to - from, in->key_width + in->width);
        to += row->whole_len;
    }
    append(&db->ops.arena, in->arena.ptr + from, to - from);
    *at = (uint32_t)(row - ENTRIES(in)) - 1;
    return true;
}

/* Turns all rows into writes, and forgets them. */
static bool cache_flush(lantern_db *db, cache *in) {
    written_by last = {.verb = NOTHING};
    for (uint32_t at = 0; at < ENTRIES_COUNT(in); at++) {
        entry *row = &ENTRIES(in)[at];
        if (row->pending == NOTHING || (row->pending == UPDATE && !row->how.written)) continue;
        if (row->whole_len) {
            if (!flush_whole(db, in, &at)) return false;
            continue;
        }
        int verbs[2] = {row->pending, NOTHING};
        if (row->pending == REPLACE) verbs[0] = DELETE, verbs[1] = UPSERT;
        for (int i = 0; i < 2 && verbs[i] != NOTHING; i++) {
            columns how = verbs[i] == DELETE ? (columns){0} : row->how;
            if (last.verb != verbs[i] || memcmp(&last.how, &how, sizeof how) != 0) {
                last = (written_by){verbs[i], how, 0};
                if (!cache_statement(db, in, verbs[i], how, &last.statement)) {
                    if (failed.event == NONE) failed.event = row->event;
                    return false;
                }
            }
            size_t start = db->ops.arena.len;
            append(&db->ops.arena, in->arena.ptr + row->key_pos, row->key_len);
            uint32_t count = in->key_width;
            const cell *cells = how.written ? cells_of(in, row) : NULL;
            for (uint64_t rest = how.written; rest; rest &= rest - 1, count++) {
                const cell *from = &cells[__builtin_ctzll(rest)];
                if (from->kind == CELL_ENCODED) append(&db->ops.arena, in->arena.ptr + from->pos, from->len);
                else append_value(&db->ops.arena, cell_value(in, from));
            }
            push_op(&db->ops, last.statement, row->event, start, count);
        }
    }
    cache_clear(in);
    return true;
}

/* ---- The database ----------------------------------------------------------------------------------------------- */

static bool flush_rows(lantern_db *db) {
    uint32_t *touched = (uint32_t *)db->touched.ptr;
    if (!db->touched.len) return true;
    db->generation++;
    for (size_t i = 0; i < db->touched.len / 4; i++)
        if (!cache_flush(db, db->caches[touched[i]])) return false;
    db->touched.len = 0;
    return true;
}

static bool flush_ops(lantern_db *db) {
    if (!db->ops.count) return true;
    writer_finish(&db->ops, OPS, OP_STRIDE, &db->frame);
    answer from = {0};
    host_apply(db->frame.ptr, db->frame.len, &from);
    if (host_answered(&from)) return true;
    /* Whatever the caller makes of it, these writes are lost: the event cannot count as applied. */
    lantern_error error = failed.error;
    uint32_t event = failed.event;
    keep_error(db);
    return fail_with(error.fault, error.message, event);
}

static bool same_list(const char *const *a, const char *const *b) {
    uint32_t len = list_len(a);
    if (a == b) return true;
    if (len != list_len(b)) return false;
    for (uint32_t i = 0; i < len; i++)
        if (strcmp(a[i], b[i]) != 0) return false;
    return true;
}

static bool new_cache(lantern_db *db, const lantern_table *table, uint32_t *index) {
    for (uint32_t i = 0; i < db->caches_count; i++) {
        const lantern_table *other = db->caches[i]->table;
        if (strcmp(other->name, table->name) != 0) continue;
        *index = i;
        if (same_list(other->key, table->key) && same_list(other->columns, table->columns)) return true;
        return lantern_fail(LANTERN_OTHER, "table `%s` is declared twice, and not the same: declare each table once",
                            table->name);
    }
    uint32_t width = list_len(table->columns), key_width = list_len(table->key);
    if (!key_width) return lantern_fail(LANTERN_OTHER, "table `%s` is declared without a key", table->name);
    if (width > COLUMNS_MAX)
        return lantern_fail(LANTERN_OTHER, "table `%s` has more than %d columns beside its key", table->name, COLUMNS_MAX);
    cache *made = must(calloc(1, sizeof *made));
    *made = (cache){.table = table, .key_width = key_width, .width = width, .slots_count = 64, .select = NONE};
    made->slots = must(calloc(made->slots_count, sizeof *made->slots));
    db->caches = must(realloc(db->caches, (db->caches_count + 1) * sizeof *db->caches));
    *index = db->caches_count;
    db->caches[db->caches_count++] = made;
    return true;
}

/* The cache of a table, which counts as touched from now on. */
static bool cache_of(lantern_db *db, const lantern_table *table, uint32_t *index) {
    uint32_t at = 0;
    while (at < db->caches_count && db->caches[at]->table != table) at++;
    if (at == db->caches_count && !new_cache(db, table, &at)) return false;
    if (!db->caches[at]->touched) {
        db->caches[at]->touched = true;
        append_u32(&db->touched, at);
    }
    *index = at;
    return true;
}

/* Enters a row that nothing is gathered of: what is gathered is written first. */
static bool reenter(lantern_row *row, const uint8_t *key, size_t key_len) {
    lantern_db *db = row->db;
    cache *in = db->caches[row->cache];
    bool is_new;
    if (!flush_rows(db) || !cache_of(db, in->table, &row->cache)) return false;
    size_t start = in->arena.len;
    append(&in->arena, key, key_len);
    row->entry = enter_key(in, start, &is_new);
    entry *made = &ENTRIES(in)[row->entry];
    made->pending = row->is_update ? UPDATE : UPSERT;
    made->event = db->event;
    row->there = true;
    row->generation = db->generation;
    return true;
}

static uint8_t *copy_of(const uint8_t *from, size_t len) {
    uint8_t *to = take(len, 1);
    memcpy(to, from, len);
    return to;
}

static bool try_enter(lantern_row *row, const lantern_table *table, const lantern_value *key, size_t count) {
    lantern_db *db = row->db;
    if (!cache_of(db, table, &row->cache)) return false;
    cache *in = db->caches[row->cache];
    size_t start = in->arena.len;
    if (!write_key(in, key, count)) {
        in->arena.len = start;
        return false;
    }
    bool is_new;
    row->entry = enter_key(in, start, &is_new);
    row->generation = db->generation;
    entry *at = &ENTRIES(in)[row->entry];
    if (row->is_update) {
        if (at->pending == DELETE || (at->pending == NOTHING && at->absent)) return true;
        if (at->pending == NOTHING) at->pending = UPDATE;
    } else if (at->pending == NOTHING) {
        /* One that was read is there. */
        at->pending = is_new || at->absent ? UPSERT : UPDATE;
    } else if (at->pending == DELETE) {
        at->pending = REPLACE;
        at->known = at->absent = false;
    } else if (at->pending == UPDATE && !at->known) {
        /* An update may have met no row, which an upsert now makes: two writes, not one. */
        uint8_t *copied = copy_of(in->arena.ptr + at->key_pos, at->key_len);
        return reenter(row, copied, at->key_len);
    }
    /* A new row's other columns have defaults, which only the database knows. */
    if (at->absent) at->known = at->absent = false;
    at->event = db->event;
    row->there = true;
    return true;
}

lantern_row lantern_row_enter(lantern_db *db, const lantern_table *table, bool update, const lantern_value *key,
                              size_t count) {
    lantern_row row = {.db = db, .is_update = update};
    if (!try_enter(&row, table, key, count)) {
        row.there = false;
        keep_error(db);
    }
    return row;
}

static bool column_at(const lantern_table *table, const char *column, uint32_t *at) {
    /* The same literal is mostly the same address. */
    for (uint32_t i = 0; table->columns[i]; i++)
        if (table->columns[i] == column) return *at = i, true;
    for (uint32_t i = 0; table->columns[i]; i++)
        if (strcmp(table->columns[i], column) == 0) return *at = i, true;
    lantern_text names = list_text(table->columns);
    return lantern_fail(LANTERN_OTHER, "table `%s` declares no column `%s`, only %.*s", table->name, column,
                        LANTERN_ARG(names));
}

static inline void row_change_at(lantern_row *row, uint32_t at, change how, lantern_value value) {
    lantern_db *db = row->db;
    cache *in = db->caches[row->cache];
    if (!row->there) return;
    if (!cache_change(in, row->entry, at, how, value) && !failed.is) {
        /* What is gathered and what comes now are not one change: the first is written, the second begins anew. */
        const entry *old = &ENTRIES(in)[row->entry];
        size_t key_len = old->key_len;
        uint8_t *key = copy_of(in->arena.ptr + old->key_pos, key_len);
        if (reenter(row, key, key_len)) cache_change(in, row->entry, at, how, value);
    }
    keep_error(db);
}

static void row_change(lantern_row *row, const char *column, change how, lantern_value value) {
    lantern_db *db = row->db;
    if (!row->there) return;
    const lantern_table *table = db->caches[row->cache]->table;
    uint32_t at;
    if (row->generation != db->generation) {
        lantern_fail(LANTERN_OTHER, "a row of `%s` was entered before a statement or a query: enter it anew behind it",
                     table->name);
    } else if (column_at(table, column, &at)) {
        row_change_at(row, at, how, value);
        return;
    }
    keep_error(db);
}

void lantern_row_set(lantern_row *row, const char *column, lantern_value value) { row_change(row, column, SET, value); }
void lantern_add(lantern_row *row, const char *column, int64_t n) { row_change(row, column, ADD, lantern_value_int(n)); }
void lantern_max(lantern_row *row, const char *column, int64_t n) { row_change(row, column, MAX, lantern_value_int(n)); }
void lantern_min(lantern_row *row, const char *column, int64_t n) { row_change(row, column, MIN, lantern_value_int(n)); }

static bool try_put(lantern_db *db, const lantern_table *table, const lantern_value *values, size_t count) {
    uint32_t index;
    if (!cache_of(db, table, &index)) return false;
    cache *in = db->caches[index];
    if (count != in->key_width + in->width) {
        lantern_text key = list_text(table->key), names = list_text(table->columns);
        return lantern_fail(LANTERN_OTHER, "%zu values were put into `%s`, which has the key %.*s and the columns %.*s", count,
                            table->name, LANTERN_ARG(key), LANTERN_ARG(names));
    }
    size_t start = in->arena.len;
    bool is_new;
    if (!write_key(in, values, in->key_width)) return false;
    uint32_t at = enter_key(in, start, &is_new);
    entry *row = &ENTRIES(in)[at];
    values += in->key_width;
    if (is_new) {
        /* It stays as it is written in the end, behind its key. */
        if (!append_values(&in->arena, values, in->width)) return false;
        row->whole_len = (uint32_t)(in->arena.len - start);
    } else {
        cell *cells = cells_of(in, row);
        for (uint32_t i = 0; i < in->width; i++)
            if (!encode_cell(in, &cells[i], values[i])) return false;
    }
    row->pending = row->pending == DELETE || row->pending == REPLACE ? REPLACE : UPSERT;
    row->how = all_of(in);
    row->known = true;
    row->absent = false;
    row->event = db->event;
    return true;
}

void lantern_row_put(lantern_db *db, const lantern_table *table, const lantern_value *values, size_t count) {
    if (!try_put(db, table, values, count)) keep_error(db);
}

static bool try_delete(lantern_db *db, const lantern_table *table, const lantern_value *key, size_t count) {
    uint32_t index;
    bool is_new;
    if (!cache_of(db, table, &index)) return false;
    cache *in = db->caches[index];
    size_t start = in->arena.len;
    if (!write_key(in, key, count)) return false;
    entry *row = &ENTRIES(in)[enter_key(in, start, &is_new)];
    if (row->absent) return true;
    row->pending = DELETE;
    row->whole_len = 0;
    row->how = (columns){0};
    row->known = true;
    row->event = db->event;
    return true;
}

void lantern_row_delete(lantern_db *db, const lantern_table *table, const lantern_value *key, size_t count) {
    if (!try_delete(db, table, key, count)) keep_error(db);
}

static bool select_rows(lantern_db *db, uint32_t statement, const lantern_value *params, size_t count, lantern_rows *into) {
    writer_clear(&db->params);
    if (!flush_ops(db) || !append_values(&db->params.arena, params, count)) return false;
    uint32_t item[2] = {0, (uint32_t)count};
    append(&db->params.index, item, sizeof item);
    db->params.count = 1;
    writer_finish(&db->params, ROWS, ROW_STRIDE, &db->frame);
    answer from = {0};
    host_query(statement, db->frame.ptr, db->frame.len, ROWS_MAX, &from);
    if (!host_answered(&from)) return false;
    frame_layout layout;
    const char *mangled = frame_parse(&layout, from.bytes.ptr, from.bytes.len, ROWS, ROW_STRIDE);
    if (mangled) return lantern_fail(LANTERN_OTHER, "the host answered a mangled frame: %s", mangled);
    *into = (lantern_rows){NULL, layout.texts_count, layout.count, 0, from.bytes.ptr, from.bytes.len};
    return true;
}

bool lantern_next_row(lantern_rows *rows) {
    frame_layout layout;
    if (rows->next >= rows->count) return false;
    layout = (frame_layout){.count = rows->count, .stride = u32_at(rows->frame + 12), .arena_len = u32_at(rows->frame + 20)};
    layout.index = rows->frame + HEADER_BYTES + (size_t)u32_at(rows->frame + 16) * 8;
    layout.arena = rows->frame + rows->frame_len - layout.arena_len;
    uint32_t width = u32_at(layout.index + (size_t)rows->next * layout.stride + 4);
    lantern_value *values = width <= rows->width && rows->values
                                ? (lantern_value *)(uintptr_t)rows->values
                                : take((width > rows->width ? width : rows->width) * sizeof *values, 8);
    rows->values = values;
    /* The host writes no mangled row; if it did, the rows would end there. */
    return !frame_values(&layout, rows->next++, 0, values, width);
}

static bool try_get(lantern_db *db, const lantern_table *table, lantern_stored *into, const lantern_value *key,
                    size_t count) {
    uint32_t index, slot;
    *into = (lantern_stored){table, NULL};
    if (!cache_of(db, table, &index)) return false;
    cache *in = db->caches[index];
    size_t start = in->arena.len;
    if (!write_key(in, key, count)) return false;
    uint32_t at = find_entry(in, hash_of(in->arena.ptr + start, in->arena.len - start), start, &slot);
    in->arena.len = start;
    if (at == NONE || !ENTRIES(in)[at].known) {
        /* A row that was written in part: the database puts the parts together. */
        if (at != NONE && (!flush_rows(db) || !cache_of(db, table, &index))) return false;
        if (in->select == NONE) {
            buffer *sql = &db->sql;
            sql->len = 0;
            append_str(sql, "SELECT ");
            for (uint32_t i = 0; i < in->width; i++) {
                if (i) append_str(sql, ", ");
                sql_column(sql, table, table->columns[i]);
            }
            if (!in->width) append_byte(sql, '1');
            append_str(sql, " FROM ");
            sql_name(sql, table->name);
            sql_where(sql, in);
            if (!prepare((const char *)sql->ptr, sql->len, &in->select)) return false;
        }
        lantern_rows rows;
        if (!select_rows(db, in->select, key, count, &rows)) return false;
        bool is_new, found = lantern_next_row(&rows);
        start = in->arena.len;
        if (!write_key(in, key, count)) return false;
        at = enter_key(in, start, &is_new);
        ENTRIES(in)[at].known = true;
        ENTRIES(in)[at].absent = !found;
        for (uint32_t i = 0; found && i < in->width && i < rows.width; i++)
            if (!encode_cell(in, cells_of(in, &ENTRIES(in)[at]) + i, rows.values[i])) return false;
    }
    const entry *row = &ENTRIES(in)[at];
    if (row->absent || row->pending == DELETE) return true;
    lantern_value *values = take((in->width + 1) * sizeof *values, 8);
    for (uint32_t i = 0; i < in->width; i++) {
        values[i] = cell_value(in, cells_of(in, &ENTRIES(in)[at]) + i);
        /* The cache's memory moves when it grows. */
        if (values[i].kind >= LANTERN_TEXT) values[i].blob = copy_of(values[i].blob, values[i].len);
    }
    into->values = values;
    return true;
}

bool lantern_row_get(lantern_db *db, const lantern_table *table, lantern_stored *into, const lantern_value *key,
                     size_t count) {
    return try_get(db, table, into, key, count);
}

lantern_value lantern_column(const lantern_stored *row, const char *column) {
    uint32_t at;
    if (!row->values) lantern_trap("column `%s` of a row of `%s` that is not there", column, row->table->name);
    if (!column_at(row->table, column, &at)) trap(failed.error.message);
    return row->values[at];
}

/* A statement of the plugin, found by its text. */
typedef struct {
    char *sql;
    size_t len;
    uint32_t statement;
} known_sql;

static bool statement_of(lantern_db *db, const lantern_value *values, size_t count, uint32_t *statement) {
    if (!count || values[0].kind != LANTERN_TEXT)
        return lantern_fail(LANTERN_OTHER, "a statement is missing: its SQL comes first, then its parameters");
    const char *sql = values[0].text;
    size_t len = values[0].len;
    known_sql *known = (known_sql *)db->statements.ptr;
    for (size_t i = 0; i < db->statements.len / sizeof *known; i++) {
        if (known[i].len == len && same_bytes(known[i].sql, sql, len)) {
            *statement = known[i].statement;
            return true;
        }
    }
    if (!prepare(sql, len, statement)) return false;
    char *copied = must(malloc(len + 1));
    memcpy(copied, sql, len);
    append(&db->statements, &(known_sql){copied, len, *statement}, sizeof(known_sql));
    return true;
}

bool lantern_run(lantern_db *db, const lantern_value *sql_and_values, size_t count) {
    uint32_t statement;
    if (!flush_rows(db) || !statement_of(db, sql_and_values, count, &statement)) return false;
    size_t start = db->ops.arena.len;
    if (!append_values(&db->ops.arena, sql_and_values + 1, count - 1)) {
        db->ops.arena.len = start;
        return false;
    }
    push_op(&db->ops, statement, db->event, start, (uint32_t)count - 1);
    return true;
}

bool lantern_select(lantern_db *db, lantern_rows *into, const lantern_value *sql_and_values, size_t count) {
    uint32_t statement;
    *into = (lantern_rows){0};
    return flush_rows(db) && statement_of(db, sql_and_values, count, &statement) &&
           select_rows(db, statement, sql_and_values + 1, count - 1, into);
}

static bool other_kind(const char *expected, lantern_value found) {
    static const char *const NAMES[] = {"NULL", "an integer", "a real", "a text", "a blob", "too large"};
    return lantern_fail(LANTERN_OTHER, "a value is %s, not %s", NAMES[found.kind], expected);
}

bool lantern_as_int(lantern_value value, int64_t *into) {
    if (value.kind != LANTERN_INT) return other_kind("an integer", value);
    *into = value.integer;
    return true;
}

bool lantern_as_text(lantern_value value, lantern_text *into) {
    if (value.kind != LANTERN_TEXT) return other_kind("a text", value);
    *into = (lantern_text){value.text, value.len};
    return true;
}

bool lantern_as_real(lantern_value value, double *into) {
    if (value.kind != LANTERN_REAL && value.kind != LANTERN_INT) return other_kind("a number", value);
    *into = value.kind == LANTERN_REAL ? value.real : (double)value.integer;
    return true;
}

static const lantern_table OUTBOX = LANTERN_TABLE(
    "_lantern_outbox", LANTERN_KEY("key"),
    LANTERN_COLUMNS("aggregate", "id", "command", "payload", "due_ms", "correlation", "causation"));

static lantern_text header_text(const lantern_event *event, const char *name) {
    lantern_blob value = lantern_header(event, name);
    if (value.ptr && !is_utf8(value.ptr, value.len)) value.ptr = NULL;
    return (lantern_text){(const char *)value.ptr, value.len};
}

void lantern_send(lantern_db *db, const lantern_event *event, lantern_text key, lantern_message message) {
    lantern_text cause = header_text(event, "ce_id"), correlation = header_text(event, "ce_correlationid");
    /* What an event without a correlation begins is known by that event. */
    if (!correlation.ptr) correlation = cause;
    lantern_blob payload = {(const uint8_t *)message.payload.ptr, message.payload.len};
    if (!payload.ptr) payload = (lantern_blob){(const uint8_t *)"{}", 2};
    lantern_put(db, &OUTBOX, key, message.aggregate, message.id, message.command, payload, message.due_ms, correlation,
                cause);
}

void lantern_cancel(lantern_db *db, lantern_text key) { lantern_delete(db, &OUTBOX, key); }

static bool db_ends_event(lantern_db *db) {
    if (db->kept.is) return fail_with(db->kept.error.fault, db->kept.error.message, db->kept.event);
    size_t bytes = db->ops.arena.len + db->ops.index.len;
    for (size_t i = 0; i < db->touched.len / 4; i++) {
        const cache *in = db->caches[((const uint32_t *)db->touched.ptr)[i]];
        bytes += in->arena.len + in->entries.len + in->cells.len;
    }
    return bytes <= BUFFER_BYTES_MAX || (flush_rows(db) && flush_ops(db));
}

/* Forgets what was written. Statements stay: they are the instance's, not the transaction's. */
static void db_reset(lantern_db *db) {
    for (uint32_t i = 0; i < db->caches_count; i++) cache_clear(db->caches[i]);
    writer_clear(&db->ops);
    db->touched.len = 0;
    db->generation++;
    db->event = NONE;
    db->kept.is = false;
}

/* ---- Aggregates and upcasters ----------------------------------------------------------------------------------- */

/* Rows of `type` and `payload`. */
typedef struct {
    writer rows;
} typed_rows;

struct lantern_decision {
    typed_rows events;
    bool rejected;
    lantern_text code, message, detail;
};

struct lantern_upcasts {
    typed_rows events;
};

static buffer answer_frame;

static void typed_begin(typed_rows *into) {
    writer_clear(&into->rows);
    writer_text(&into->rows, "type");
    writer_text(&into->rows, "payload");
}

static bool typed_push(typed_rows *into, const char *type, lantern_value payload) {
    buffer *arena = &into->rows.arena;
    uint32_t item[2] = {(uint32_t)arena->len, 2};
    if (!append_value(arena, lantern_value_str(type)) || !append_value(arena, payload)) return false;
    append(&into->rows.index, item, sizeof item);
    into->rows.count++;
    return true;
}

static lantern_blob json_blob(const lantern_field *fields, const void *data) {
    scratch.len = 0;
    write_object(&scratch, fields, data);
    return (lantern_blob){scratch.ptr, scratch.len};
}

bool lantern_happens(lantern_decision *decision, const char *type, const lantern_field *fields, const void *data) {
    return typed_push(&decision->events, type, lantern_value_blob(json_blob(fields, data)));
}

bool lantern_reject(lantern_decision *decision, const char *code, const char *format, ...) {
    FORMAT_REST(message, format);
    decision->rejected = true;
    decision->code = lantern_str(code);
    decision->message = message;
    return true;
}

bool lantern_reject_detail(lantern_decision *decision, const lantern_field *fields, const void *detail) {
    decision->detail = lantern_json_write(fields, detail);
    return true;
}

bool lantern_becomes(lantern_upcasts *upcasts, const char *type, lantern_blob payload) {
    return typed_push(&upcasts->events, type, lantern_value_blob(payload));
}

bool lantern_becomes_json(lantern_upcasts *upcasts, const char *type, const lantern_field *fields, const void *data) {
    return lantern_becomes(upcasts, type, json_blob(fields, data));
}

static bool command_fails(const lantern_command *command, const char *why, size_t len) {
    return lantern_fail(LANTERN_BAD_INPUT, "%.*s %.*s: the command %.*s: %.*s", LANTERN_ARG(command->aggregate),
                        LANTERN_ARG(command->id), LANTERN_ARG(command->name), (int)len, why);
}

bool lantern_command_read(const lantern_command *command, const lantern_field *fields, void *into) {
    reader in = reader_of(command->data.ptr, command->data.len);
    if (read_object(&in, fields, into) && ends(&in)) return true;
    lantern_text why = json_error_text(&in);
    return command_fails(command, why.ptr, why.len);
}

bool lantern_command_unknown(const lantern_command *command) {
    static const char WHY[] = "there is no such command";
    return command_fails(command, WHY, sizeof WHY - 1);
}

static bool read_state(const lantern_aggregate *aggregate, const uint8_t *json, size_t len, void *state) {
    memset(state, 0, aggregate->size);
    if (!json) return true;
    reader in = reader_of(json, len);
    if (read_object(&in, aggregate->fields, state) && ends(&in)) return true;
    lantern_text why = json_error_text(&in);
    return lantern_fail(LANTERN_OTHER, "the stored state is not of this form: %.*s; raise the manifest's state_version",
                        LANTERN_ARG(why));
}

enum { R_AGGREGATE, R_ID, R_VERSION, R_STATE, R_COMMAND, R_PAYLOAD, R_TIME, R_CORRELATION, REQUEST_COLUMNS };
enum {
    IS_NULL = 1 << LANTERN_NULL,
    IS_INTEGER = 1 << LANTERN_INT,
    IS_TEXT = 1 << LANTERN_TEXT,
    IS_BYTES = 1 << LANTERN_TEXT | 1 << LANTERN_BLOB
};
/* The columns of a command, and the kinds of value that each may have. */
static const struct {
    const char *name;
    unsigned kinds;
} REQUEST[] = {{"aggregate", IS_TEXT},           {"id", IS_TEXT},      {"version", IS_INTEGER},
               {"state", IS_BYTES | IS_NULL},    {"command", IS_TEXT}, {"payload", IS_BYTES},
               {"time_ms", IS_INTEGER},          {"correlation", IS_TEXT | IS_NULL}};

static bool read_request(const uint8_t *frame, size_t len, lantern_value *into) {
    frame_layout layout;
    const char *mangled = frame_parse(&layout, frame, len, ROWS, ROW_STRIDE);
    if (mangled || !layout.count) return lantern_fail(LANTERN_OTHER, "a mangled frame: %s", mangled ? mangled : "column");
    uint32_t width = u32_at(layout.index + 4);
    lantern_value *values = take(width * sizeof *values, 8);
    if ((mangled = frame_values(&layout, 0, 0, values, width)) != NULL)
        return lantern_fail(LANTERN_OTHER, "a mangled frame: %s", mangled);
    for (int i = 0; i < REQUEST_COLUMNS; i++) {
        uint32_t at = 0;
        while (at < layout.texts_count && !lantern_same(frame_text(&layout, at), lantern_str(REQUEST[i].name))) at++;
        if (at >= layout.texts_count || at >= width)
            return lantern_fail(LANTERN_OTHER, "a mangled frame: it lacks the column `%s`", REQUEST[i].name);
        if (!(REQUEST[i].kinds >> values[at].kind & 1))
            return lantern_fail(LANTERN_OTHER, "a mangled frame: its column `%s` has another kind of value", REQUEST[i].name);
        into[i] = values[at];
    }
    return true;
}

static lantern_text text_of(lantern_value value) {
    return value.kind == LANTERN_NULL ? (lantern_text){NULL, 0} : (lantern_text){value.text, value.len};
}

static bool try_decide(const lantern_aggregate *aggregate, const uint8_t *frame, size_t len, lantern_decision *into) {
    lantern_value request[REQUEST_COLUMNS];
    if (!read_request(frame, len, request)) return false;
    lantern_text payload = text_of(request[R_PAYLOAD]);
    lantern_command command = {text_of(request[R_COMMAND]), text_of(request[R_AGGREGATE]), text_of(request[R_ID]),
                               request[R_VERSION].integer,  request[R_TIME].integer,       text_of(request[R_CORRELATION]),
                               {payload.ptr, payload.len}};
    void *state = take(aggregate->size, 16);
    lantern_text stored = text_of(request[R_STATE]);
    return read_state(aggregate, (const uint8_t *)stored.ptr, stored.len, state) &&
           aggregate->decide(state, &command, into);
}

/* ---- What the host calls ---------------------------------------------------------------------------------------- */

static void *failure(uint32_t event) {
    answer *to = take(sizeof *to, 8);
    if (!failed.is) lantern_fail(LANTERN_OTHER, "a function answered false, and no reason: use lantern_fail");
    if (failed.event != NONE) event = failed.event;
    *to = (answer){.failed = 1};
    to->failure.fault = (uint8_t)failed.error.fault;
    to->failure.message = failed.error.message;
    to->failure.has_index = event != NONE;
    to->failure.index = event;
    failed.is = false;
    return to;
}

static void *success(lantern_blob bytes) {
    answer *to = take(sizeof *to, 8);
    *to = (answer){.failed = 0};
    to->bytes = bytes;
    return to;
}

static lantern_blob blob_of(const buffer *from) { return (lantern_blob){from->ptr, from->len}; }

/* Reads the frame's events one by one. */
static bool next_event(uint32_t *at, uint32_t *left, lantern_event *event) {
    const char *mangled = frame_event(&batch, *at, left, event);
    if (mangled) return lantern_fail(LANTERN_OTHER, "a mangled frame: %s of item %u", mangled, (unsigned)*at);
    return true;
}

static bool begin_events(const uint8_t *frame, size_t len) {
    failed.is = false;
    const char *mangled = frame_parse(&batch, frame, len, EVENTS, EVENT_STRIDE);
    return !mangled || lantern_fail(LANTERN_OTHER, "a mangled frame: %s", mangled);
}

void *lantern_describe(const lantern_manifest *manifest) {
    scratch.len = 0;
    write_manifest(&scratch, manifest);
    lantern_text *to = take(sizeof *to, 8);
    *to = (lantern_text){(const char *)scratch.ptr, scratch.len};
    return to;
}

void *lantern_apply(lantern_apply_fn *apply, const uint8_t *frame, size_t len) {
    lantern_db *db = &the_db;
    uint32_t at = NONE;
    bool right = begin_events(frame, len);
    uint32_t left = right ? batch.arena_len : 0;
    for (at = 0; right && at < batch.count; at++) {
        lantern_event event;
        db->event = at;
        failed.is = false;
        right = next_event(&at, &left, &event) && apply(&event, db) && db_ends_event(db);
        if (!right) break;
    }
    if (right) {
        at = db->event = NONE;
        right = flush_rows(db);
    }
    if (!right) {
        db_reset(db);
        return failure(at);
    }
    writer_finish(&db->ops, OPS, OP_STRIDE, &db->frame);
    return success(blob_of(&db->frame));
}

static lantern_decision *begin_decision(void) {
    static lantern_decision decision;
    failed.is = false;
    decision.rejected = false;
    decision.detail = (lantern_text){NULL, 0};
    typed_begin(&decision.events);
    return &decision;
}

static void *end_decision(lantern_decision *decision) {
    answer *to = take(sizeof *to, 8);
    *to = (answer){.failed = 0};
    to->decision.rejected = decision->rejected;
    if (decision->rejected) {
        to->decision.rejection.code = decision->code;
        to->decision.rejection.message = decision->message;
        to->decision.rejection.has_detail = decision->detail.ptr != NULL;
        to->decision.rejection.detail = decision->detail;
    } else {
        writer_finish(&decision->events.rows, ROWS, ROW_STRIDE, &answer_frame);
        to->decision.events = blob_of(&answer_frame);
    }
    return to;
}

void *lantern_decide(const lantern_aggregate *aggregate, const uint8_t *frame, size_t len) {
    lantern_decision *decision = begin_decision();
    return try_decide(aggregate, frame, len, decision) ? end_decision(decision) : failure(NONE);
}

void *lantern_evolve(const lantern_aggregate *aggregate, const uint8_t *json, size_t json_len, const uint8_t *frame,
                     size_t len) {
    uint32_t at = NONE;
    bool right = begin_events(frame, len);
    void *state = take(aggregate->size, 16);
    right = right && read_state(aggregate, json, json_len, state);
    uint32_t left = right ? batch.arena_len : 0;
    for (at = 0; right && at < batch.count; at++) {
        lantern_event event;
        right = next_event(&at, &left, &event) && aggregate->evolve(state, &event);
        if (!right) break;
    }
    if (!right) return failure(at);
    return success(json_blob(aggregate->fields, state));
}

void *lantern_upcast(lantern_upcast_fn *upcast, const uint8_t *frame, size_t len) {
    static lantern_upcasts upcasts;
    uint32_t at = NONE;
    bool right = begin_events(frame, len);
    uint32_t left = right ? batch.arena_len : 0;
    typed_begin(&upcasts.events);
    for (at = 0; right && at < batch.count; at++) {
        lantern_event event;
        right = next_event(&at, &left, &event) && upcast(&event, &upcasts);
        if (right && upcasts.events.rows.count != at + 1)
            right = lantern_bad_input(&event, "an upcaster says of each event once what it becomes, and did so %s",
                                      upcasts.events.rows.count > at ? "twice" : "never");
        if (!right) break;
    }
    if (!right) return failure(at);
    writer_finish(&upcasts.events.rows, ROWS, ROW_STRIDE, &answer_frame);
    return success(blob_of(&answer_frame));
}

/* The host has read the answer. */
void lantern_done(void *from) {
    (void)from;
    give_back();
}
