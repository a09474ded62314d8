/* The JavaScript engine of plugins: QuickJS, with the C SDK of Lantern as what its events, rows and statements are made
 * of.
 *
 * One file of WebAssembly for all plugins and kinds of them. `build.js` starts a copy of it with a plugin's code and
 * keeps its memory (snapshot.js): what `start` has done, no plugin does again. What JavaScript does not do itself it is
 * given here, as natives that src/guest.js takes over; what of it may be slow stays in JavaScript.
 *
 * In order: value.c, values and errors; json.c, JSON read by declared types; event.c, events; db.c, tables and rows;
 * and what the host calls. An instance has one thread and one plugin, so its state is static. */
#include "../../c/lantern.c"

#include "quickjs.h"

/* How deep JavaScript may call, in bytes of the stack that is in memory: more than that is a RangeError. The host's own
 * stack for a plugin ends later. */
#define STACK_BYTES_MAX (256 * 1024)

/* quickjs_wasm.c */
void limit_stack(JSRuntime *runtime, size_t bytes);

static JSRuntime *runtime;
static JSContext *js;
/* What src/guest.js has made of the plugin. */
static JSValue guest;

#include "value.c"
#include "json.c"
#include "event.c"
#include "db.c"

/* ---- Start ------------------------------------------------------------------------------------------------------- */

/* There are no files and no clock: what QuickJS would print about itself goes nowhere. These are WASI's functions for
 * the C library, which would import them otherwise, under the names that it has for them; the types are those of
 * WebAssembly. */
enum { WASI_SUCCESS, WASI_BADF = 8 };
int __imported_wasi_snapshot_preview1_fd_write(int, int, int, int) { return WASI_BADF; }
int __imported_wasi_snapshot_preview1_fd_seek(int, long long, int, int) { return WASI_BADF; }
int __imported_wasi_snapshot_preview1_fd_fdstat_get(int, int) { return WASI_BADF; }
int close(int) { return -1; }
int __imported_wasi_snapshot_preview1_clock_time_get(int, long long, uint64_t *into) {
    *into = 0;
    return WASI_SUCCESS;
}

static JSValue write_log(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)this, (void)argc;
    int32_t level;
    lantern_text text;
    if (JS_ToInt32(ctx, &level, argv[0]) || !text_from(argv[1], &text)) return JS_EXCEPTION;
    log_text((lantern_level)level, text);
    return JS_UNDEFINED;
}

/* Text as UTF-8, and back. */
static JSValue encode(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)this, (void)argc;
    lantern_text text;
    if (!text_from(argv[0], &text)) return JS_EXCEPTION;
    return JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text.ptr, text.len);
}

static JSValue decode(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)this, (void)argc;
    lantern_value bytes;
    if (!object_of(argv[0], &bytes)) return JS_HasException(ctx) ? JS_EXCEPTION : JS_ThrowTypeError(ctx, "no bytes");
    if (JS_ToBool(ctx, argv[1]) && !is_utf8(bytes.blob, bytes.len))
        return JS_ThrowTypeError(ctx, "the bytes are not UTF-8");
    lantern_text text = utf8_of((const char *)bytes.blob, bytes.len);
    return JS_NewStringLen(ctx, text.ptr, text.len);
}

/* Starts the engine with a plugin's code, before its memory is kept. Answers NULL, or what went wrong as a text that
 * ends with a zero. */
LANTERN_EXPORT("start")
const char *start(const char *code, size_t len) {
    runtime = must(JS_NewRuntime());
    limit_stack(runtime, STACK_BYTES_MAX);
    js = must(JS_NewContext(runtime));
    JSValue global = JS_GetGlobalObject(js), natives = JS_NewObject(js);
    JS_SetPropertyStr(js, natives, "log", JS_NewCFunction(js, write_log, "log", 2));
    JS_SetPropertyStr(js, natives, "encode", JS_NewCFunction(js, encode, "encode", 1));
    JS_SetPropertyStr(js, natives, "decode", JS_NewCFunction(js, decode, "decode", 2));
    add_events(natives);
    add_db(natives);
    JS_SetPropertyStr(js, global, "__lantern", natives);
    JSValue done = JS_Eval(js, code, len, "plugin.js", JS_EVAL_TYPE_GLOBAL);
    const char *wrong = NULL;
    if (JS_IsException(done)) {
        JSValue thrown = JS_GetException(js);
        wrong = JS_ToCString(js, thrown);
        if (!wrong) wrong = "something was thrown that is no text";
        JS_FreeValue(js, thrown);
    } else {
        /* The last statement of the code has set it to what the plugin exports. */
        guest = JS_GetPropertyStr(js, global, "__lantern");
        JSAtom name = JS_NewAtom(js, "__lantern");
        JS_DeleteProperty(js, global, name, 0);
        JS_FreeAtom(js, name);
        know_classes();
        JS_RunGC(runtime);
    }
    JS_FreeValue(js, done);
    JS_FreeValue(js, global);
    return wrong;
}

LANTERN_EXPORT("allocate")
void *allocate(size_t bytes) { return must(malloc(bytes)); }

/* ---- What the host calls ----------------------------------------------------------------------------------------- */

/* The text of a value, which is freed. */
static bool take_text(JSValue from, lantern_text *into) {
    bool right = !JS_IsException(from) && text_from(from, into);
    JS_FreeValue(js, from);
    return right || thrown();
}

LANTERN_EXPORT("lantern:plugin/meta@0.1.0#describe")
void *export_describe(void) {
    lantern_text *to = take(sizeof *to, 8);
    if (!take_text(call("describe", 0, NULL), to)) trap(failed.error.message);
    return to;
}

/* Whether a handler has done what it does: nobody comes back to what it has put off. */
static bool is_done(JSValueConst answered, const lantern_event *event) {
    bool is_promise = JS_IsObject(answered) && JS_PromiseState(js, answered) != JS_PROMISE_NOT_A_PROMISE;
    if (!is_promise && !JS_IsJobPending(runtime)) return true;
    /* What they do is taken back with the event. */
    JSContext *of;
    while (JS_IsJobPending(runtime))
        if (JS_ExecutePendingJob(runtime, &of) < 0) JS_FreeValue(js, JS_GetException(js));
    return lantern_fail(LANTERN_OTHER,
                        "the handler of %.*s is async, or calls what is, and nothing awaits it: leave `async` away",
                        LANTERN_ARG(event->kind));
}

static bool apply_event(const lantern_event *event, lantern_db *db) {
    (void)db;
    const handler *found = handler_of(event);
    if (!found) return true;
    if (JS_IsUndefined(found->function)) return thrown();
    JSValue given[] = {new_event(event, found->type), db_object};
    JSValue answered = JS_Call(js, found->function, JS_UNDEFINED, 2, (JSValueConst *)given);
    JS_FreeValue(js, given[0]);
    if (JS_IsException(answered)) return thrown();
    bool right = is_done(answered, event);
    JS_FreeValue(js, answered);
    return right;
}

LANTERN_EXPORT("lantern:plugin/projection@0.1.0#apply")
void *export_apply(uint8_t *frame, size_t len) {
    void *answered = lantern_apply(apply_event, frame, len);
    end_batch();
    return answered;
}

/* Appends a row of a type and a payload, which JavaScript gives as [type, payload]. */
static bool push_typed(typed_rows *into, JSValueConst row) {
    lantern_text type;
    if (!take_text(JS_GetPropertyUint32(js, row, 0), &type)) return false;
    JSValue payload = JS_GetPropertyUint32(js, row, 1);
    lantern_value value;
    const char *held = NULL;
    bool right = value_of(payload, &value, &held);
    if (!right)
        thrown();
    else if (value.kind == LANTERN_TEXT)
        value.kind = LANTERN_BLOB;
    else if (value.kind != LANTERN_BLOB && value.kind != LANTERN_NULL)
        right = lantern_fail(LANTERN_OTHER, "the payload of %.*s is a number: give text, a Uint8Array or null",
                             LANTERN_ARG(type));
    right = right && typed_push(into, lantern_format("%.*s", LANTERN_ARG(type)).ptr, value);
    if (held) JS_FreeCString(js, held);
    JS_FreeValue(js, payload);
    return right;
}

static bool decide(const uint8_t *frame, size_t len, lantern_decision *into) {
    lantern_value request[REQUEST_COLUMNS];
    if (!read_request(frame, len, request)) return false;
    JSValue given = JS_NewObject(js);
    for (int i = 0; i < REQUEST_COLUMNS; i++) {
        /* State and payload are JSON: texts, however they came. */
        bool is_state = i == R_STATE, is_json = is_state || i == R_PAYLOAD;
        if (is_json && request[i].kind != LANTERN_NULL) {
            lantern_blob json = {request[i].blob, request[i].len};
            if (!is_readable(json, is_state ? LANTERN_OTHER : LANTERN_BAD_INPUT,
                             is_state ? "the stored state" : "the command's data")) {
                JS_FreeValue(js, given);
                return false;
            }
            request[i].kind = LANTERN_TEXT;
        }
        JS_SetPropertyStr(js, given, REQUEST[i].name, to_js(request[i]));
    }
    JSValue answered = call("decide", 1, (JSValueConst *)&given);
    JS_FreeValue(js, given);
    if (JS_IsException(answered)) return thrown();
    bool right = true;
    if (JS_IsArray(answered)) {
        int64_t count = 0;
        JS_GetLength(js, answered, &count);
        for (int64_t i = 0; right && i < count; i++) {
            JSValue row = JS_GetPropertyInt64(js, answered, i);
            right = push_typed(&into->events, row);
            JS_FreeValue(js, row);
        }
    } else {
        into->rejected = true;
        JSValue detail = JS_GetPropertyStr(js, answered, "detail");
        right = take_text(JS_GetPropertyStr(js, answered, "code"), &into->code) &&
                take_text(JS_GetPropertyStr(js, answered, "message"), &into->message) &&
                (JS_IsNull(detail) || take_text(JS_DupValue(js, detail), &into->detail));
        JS_FreeValue(js, detail);
    }
    JS_FreeValue(js, answered);
    return right;
}

LANTERN_EXPORT("lantern:plugin/commands@0.1.0#decide")
void *export_decide(uint8_t *frame, size_t len) {
    lantern_decision *decision = begin_decision();
    return decide(frame, len, decision) ? end_decision(decision) : failure(NONE);
}

static bool evolve_event(const lantern_event *event, JSValue *state) {
    const handler *found = handler_of(event);
    if (JS_IsUndefined(found->function)) return thrown();
    JSValue given[] = {*state, new_event(event, found->type)};
    *state = JS_Call(js, found->function, JS_UNDEFINED, 2, (JSValueConst *)given);
    JS_FreeValue(js, given[0]);
    JS_FreeValue(js, given[1]);
    return JS_IsException(*state) ? thrown() : is_done(*state, event);
}

LANTERN_EXPORT("lantern:plugin/commands@0.1.0#evolve")
void *export_evolve(int is, uint8_t *state, size_t state_len, uint8_t *frame, size_t len) {
    uint32_t at = NONE;
    bool right = begin_events(frame, len);
    right = right && (!is || is_readable((lantern_blob){state, state_len}, LANTERN_OTHER, "the stored state"));
    JSValue given[] = {right && is ? JS_NewStringLen(js, (const char *)state, state_len) : JS_NULL, JS_UNDEFINED};
    if (right) {
        given[1] = call("stateOf", 1, (JSValueConst *)given);
        right = !JS_IsException(given[1]) || thrown();
    }
    uint32_t left = right ? batch.arena_len : 0;
    for (at = 0; right && at < batch.count; at++) {
        lantern_event event;
        right = next_event(&at, &left, &event) && evolve_event(&event, &given[1]);
        if (!right) break;
    }
    lantern_text json;
    if (right) {
        at = NONE;
        right = take_text(call("stored", 1, (JSValueConst *)&given[1]), &json);
    }
    JS_FreeValue(js, given[0]);
    JS_FreeValue(js, given[1]);
    end_batch();
    return right ? success((lantern_blob){(const uint8_t *)json.ptr, json.len}) : failure(at);
}

static bool upcast_event(const lantern_event *event, lantern_upcasts *upcasts) {
    const handler *found = handler_of(event);
    if (!found)
        return typed_push(&upcasts->events, lantern_format("%.*s", LANTERN_ARG(event->kind)).ptr,
                          lantern_value_blob(event->payload));
    if (JS_IsUndefined(found->function)) return thrown();
    JSValue given = new_event(event, found->type);
    JSValue answered = JS_Call(js, found->function, JS_UNDEFINED, 1, (JSValueConst *)&given);
    JS_FreeValue(js, given);
    if (JS_IsException(answered)) return thrown();
    bool right = push_typed(&upcasts->events, answered);
    JS_FreeValue(js, answered);
    return right;
}

LANTERN_EXPORT("lantern:plugin/upcast@0.1.0#upcast")
void *export_upcast(uint8_t *frame, size_t len) {
    void *answered = lantern_upcast(upcast_event, frame, len);
    end_batch();
    return answered;
}

LANTERN_EXPORT("cabi_post_lantern:plugin/meta@0.1.0#describe") void post_describe(void *answer) {
    lantern_done(answer);
}
LANTERN_EXPORT("cabi_post_lantern:plugin/projection@0.1.0#apply") void post_apply(void *answer) {
    lantern_done(answer);
}
LANTERN_EXPORT("cabi_post_lantern:plugin/commands@0.1.0#decide") void post_decide(void *answer) {
    lantern_done(answer);
}
LANTERN_EXPORT("cabi_post_lantern:plugin/commands@0.1.0#evolve") void post_evolve(void *answer) {
    lantern_done(answer);
}
LANTERN_EXPORT("cabi_post_lantern:plugin/upcast@0.1.0#upcast") void post_upcast(void *answer) { lantern_done(answer); }
