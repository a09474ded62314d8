/* A Lantern plugin in plain C, without a libc and without an SDK: how many people went through which turnstile.
 *
 * It shows that the contract can be met by hand. What it has to do is in ../../plugin-sdk/wit: the functions in lantern.wit,
 * the bytes of frames in frames.md. Functions cross the border as the component model lowers them: a text or a list is an address and
 * a length, and a result that is larger than one number is written to memory, at an address that one side gives the other. */

typedef unsigned char u8;
typedef unsigned int u32;

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define NONE 0xFFFFFFFFu

/* result<list<u8>, failure>, and with `statement` in its place result<u32, failure>. */
typedef struct {
    u8 failed;
    union {
        struct { const u8 *bytes; u32 len; } ok;
        u32 statement;
        struct { u8 kind; const char *message; u32 message_len; u8 has_index; u32 index; } failure;
    };
} Result;

enum { BAD_INPUT = 0 };

IMPORT("lantern:plugin/sql@0.1.0", "prepare") void sql_prepare(const char *sql, u32 len, Result *result);

/* ---- Memory: what the host and a call need lies behind the program's own data, and is free again when the call is over. */

extern u8 __heap_base;
static u8 *next = &__heap_base;

static void *allocate(u32 len) {
    u8 *at = (u8 *)(((u32)next + 7) & ~7u);
    u32 end = (u32)at + len, have = __builtin_wasm_memory_size(0) << 16;
    if (end < len || (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (__SIZE_TYPE__)-1)) __builtin_trap();
    next = (u8 *)end;
    return at;
}

/* The host asks here for room for the events. It never asks for an old place to be changed. */
EXPORT("cabi_realloc") void *room(void *old, u32 old_len, u32 align, u32 len) { return allocate(len); }

/* Called when the host has read what `apply` answered. */
EXPORT("cabi_post_lantern:plugin/projection@0.1.0#apply") void done(Result *result) { next = &__heap_base; }

/* ---- What this plugin is: its manifest, as JSON. */

static const char MANIFEST[] =
    "{\"name\":\"turnstiles\",\"description\":\"People by turnstile\",\"topics\":[\"turnstiles\"],\"types\":[\"Passed\"],\"headers\":[],"
    "\"schema\":[\"CREATE TABLE passages (turnstile TEXT PRIMARY KEY, people INTEGER NOT NULL)\"]}";

EXPORT("lantern:plugin/meta@0.1.0#describe") void *describe(void) {
    static struct { const char *text; u32 len; } manifest = { MANIFEST, sizeof MANIFEST - 1 };
    return &manifest;
}

/* ---- Events in, writes out. */

static const char UPSERT[] =
    "INSERT INTO passages (turnstile, people) VALUES (CAST(?1 AS TEXT), 1) ON CONFLICT DO UPDATE SET people = people + 1";

static Result result;

static Result *fail(u8 kind, const char *message, u32 len, u32 index) {
    result.failed = 1;
    result.failure.kind = kind;
    result.failure.message = message;
    result.failure.message_len = len;
    result.failure.has_index = index != NONE;
    result.failure.index = index;
    return &result;
}

/* Numbers of a frame are little-endian, as WebAssembly's are, and need not be aligned. */
static u32 get(const u8 *at) { return at[0] | at[1] << 8 | at[2] << 16 | (u32)at[3] << 24; }
static u8 *put(u8 *at, u32 n) { for (int i = 0; i < 4; i++) *at++ = (u8)(n >> 8 * i); return at; }

EXPORT("lantern:plugin/projection@0.1.0#apply") Result *apply(const u8 *events, u32 len) {
    /* A statement keeps its number as long as this instance lives. */
    static u32 upsert = NONE;
    if (upsert == NONE) {
        sql_prepare(UPSERT, sizeof UPSERT - 1, &result);
        if (result.failed) return &result;
        upsert = result.statement;
    }

    /* A frame: header, dictionary, index with an item for each event, arena. The host's frames need no checks. */
    u32 count = get(events + 8), stride = get(events + 12), texts = get(events + 16);
    const u8 *index = events + 32 + 8 * texts, *arena = index + count * stride;

    /* The writes: one for each event, with one value, a blob: tag, length, and as many bytes as the key has. */
    u32 arena_len = 0;
    for (u32 i = 0; i < count; i++) {
        u32 key_len = get(index + i * stride + 32);
        if (key_len == NONE) {
            static const char MESSAGE[] = "it has no key: a passage's key is its turnstile";
            return fail(BAD_INPUT, MESSAGE, sizeof MESSAGE - 1, i);
        }
        arena_len += 1 + 4 + key_len;
    }
    u8 *frame = allocate(32 + 16 * count + arena_len), *item = frame + 32, *values = item + 16 * count, *value = values;
    put(frame, 'L' | 'T' << 8 | 'R' << 16 | (u32)'N' << 24);
    put(frame + 4, 1 | 2 << 16); /* layout 1, kind 2: writes */
    put(frame + 8, count);
    put(frame + 12, 16); /* bytes per write */
    put(frame + 16, 0);  /* no texts */
    put(frame + 20, arena_len);
    put(frame + 24, 0);
    put(frame + 28, 0);
    for (u32 i = 0; i < count; i++) {
        const u8 *key = arena + get(index + i * stride + 28);
        u32 key_len = get(index + i * stride + 32);
        item = put(item, upsert);
        item = put(item, i); /* the event that caused it, so that an error of SQLite names it */
        item = put(item, value - values);
        item = put(item, 1);
        *value++ = 4; /* a blob */
        value = put(value, key_len);
        for (u32 k = 0; k < key_len; k++) *value++ = key[k];
    }
    result.failed = 0;
    result.ok.bytes = frame;
    result.ok.len = value - frame;
    return &result;
}
