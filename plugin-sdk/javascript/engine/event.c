/* Events, as the class that JavaScript is given: nothing of one is made before it is asked for. */

static JSClassID event_class;

typedef struct {
    lantern_event event;
    uint32_t batch;   /* which batch it is of: it is nothing without that one's frame */
    const type *type; /* as what its data is read */
    JSValue data;     /* once it was asked for; JS_UNINITIALIZED before */
} event_state;

/* A handler and the type of its events, by the number of an event's type in the frame's dictionary. */
typedef struct {
    bool asked, there;
    JSValue function, type;
} handler;

static struct {
    uint32_t number;
    handler *handlers;
    JSValue *texts; /* of the dictionary, once they were asked for */
    uint32_t count, room;
} of_batch;

static void end_batch(void) {
    for (uint32_t i = 0; i < of_batch.count; i++) {
        JS_FreeValue(js, of_batch.texts[i]);
        if (!of_batch.handlers[i].there) continue;
        JS_FreeValue(js, of_batch.handlers[i].function);
        JS_FreeValue(js, of_batch.handlers[i].type);
    }
    of_batch.count = 0;
    of_batch.number++;
}

/* Makes room for what is kept by the dictionary of the frame that is being applied. */
static void keep_dictionary(void) {
    uint32_t count = batch.texts_count;
    if (of_batch.count == count) return;
    if (count > of_batch.room) {
        of_batch.handlers = must(realloc(of_batch.handlers, count * sizeof *of_batch.handlers));
        of_batch.texts = must(realloc(of_batch.texts, count * sizeof *of_batch.texts));
        of_batch.room = count;
    }
    memset(of_batch.handlers, 0, count * sizeof *of_batch.handlers);
    for (uint32_t i = 0; i < count; i++) of_batch.texts[i] = JS_UNDEFINED;
    of_batch.count = count;
}

static JSValue dictionary_text(uint32_t number) {
    keep_dictionary();
    if (JS_IsUndefined(of_batch.texts[number])) {
        lantern_text text = frame_text(&batch, number);
        of_batch.texts[number] = JS_NewStringLen(js, text.ptr, text.len);
    }
    return JS_DupValue(js, of_batch.texts[number]);
}

static uint32_t dictionary_number(const lantern_event *event, uint32_t at) {
    return u32_at(batch.index + (size_t)event->index * batch.stride + at);
}
enum { TOPIC_AT = 16, TYPE_AT = 24 };

/* The handler of an event; NULL where it has none. Its function is undefined when something was thrown. */
static const handler *handler_of(const lantern_event *event) {
    uint32_t number = dictionary_number(event, TYPE_AT);
    keep_dictionary();
    handler *found = &of_batch.handlers[number];
    if (found->asked) return found->there ? found : NULL;
    JSValue name = dictionary_text(number), answered = call("handlerOf", 1, (JSValueConst *)&name);
    found->asked = true;
    found->there = !JS_IsUndefined(answered);
    if (found->there) {
        found->function = JS_IsException(answered) ? JS_UNDEFINED : JS_GetPropertyStr(js, answered, "handler");
        found->type = JS_IsException(answered) ? JS_UNDEFINED : JS_GetPropertyStr(js, answered, "type");
    }
    JS_FreeValue(js, answered);
    JS_FreeValue(js, name);
    return found->there ? found : NULL;
}

static JSValue new_event(const lantern_event *event, JSValueConst type) {
    JSValue object = JS_NewObjectClass(js, (int)event_class);
    if (JS_IsException(object)) return object;
    event_state *state = must(malloc(sizeof *state));
    *state = (event_state){*event, of_batch.number, JS_IsObject(type) ? type_of(type) : NULL, JS_UNINITIALIZED};
    JS_SetOpaque(object, state);
    return object;
}

static void free_event(JSRuntime *of, JSValueConst object) {
    event_state *state = JS_GetOpaque(object, event_class);
    if (!state) return;
    JS_FreeValueRT(of, state->data);
    free(state);
}

static void mark_event(JSRuntime *of, JSValueConst object, JS_MarkFunc *mark) {
    event_state *state = JS_GetOpaque(object, event_class);
    if (state) JS_MarkValue(of, state->data, mark);
}

static event_state *event_of(JSValueConst object) {
    event_state *state = JS_GetOpaque(object, event_class);
    if (state && state->batch == of_batch.number) return state;
    if (state)
        throw_with(LANTERN_OTHER,
                   "an event is used behind its batch, when it is no longer there: keep what you need of it");
    else
        JS_ThrowTypeError(js, "this is no event");
    return NULL;
}

static JSValue bytes_of(lantern_blob bytes) {
    return bytes.ptr ? JS_NewUint8ArrayCopy(js, bytes.ptr, bytes.len) : JS_NULL;
}

static JSValue text_or_throw(bool right, lantern_text text) {
    return right ? JS_NewStringLen(js, text.ptr, text.len) : throw_failed();
}

/* Reads the event's data. What has no type here, or is not as it should be, is read by JavaScript, which says why. */
static JSValue read_data(JSValueConst object, event_state *state, const type *as, JSValueConst js_type) {
    JSValue value;
    const lantern_event *event = &state->event;
    if (as && as->kind == T_BYTES) return bytes_of(event->payload);
    if (as && event->payload.ptr && read_whole(event->payload, as, &value)) return value;
    lantern_text text;
    if (!lantern_event_text(event, &text)) return throw_failed();
    if (is_too_deep(event->payload)) {
        lantern_bad_input(event, "its data is nested more than %d deep", DEPTH_READ_MAX);
        return throw_failed();
    }
    JSValue source = JS_NewStringLen(js, text.ptr, text.len);
    value = call("read", 3, (JSValueConst[]){object, source, js_type});
    JS_FreeValue(js, source);
    return value;
}

static JSValue all_headers(const lantern_event *event) {
    JSValue list = JS_NewArray(js);
    for (uint32_t i = 0; i < event->headers_count; i++) {
        const uint8_t *entry = event->headers + (size_t)i * HEADER_ENTRY_BYTES;
        uint32_t len = u32_at(entry + 8);
        JSValue pair[] = {dictionary_text(u32_at(entry)),
                          bytes_of((lantern_blob){len == NONE ? NULL : batch.arena + u32_at(entry + 4), len})};
        JS_DefinePropertyValueUint32(js, list, i, JS_NewArrayFrom(js, 2, pair), JS_PROP_C_W_E);
    }
    return list;
}

enum {
    E_DATA,
    E_TYPE,
    E_TOPIC,
    E_PARTITION,
    E_OFFSET,
    E_TIMESTAMP,
    E_INDEX,
    E_KEY,
    E_KEY_TEXT,
    E_PAYLOAD,
    E_TEXT,
    E_HEADERS
};

static JSValue event_get(JSContext *ctx, JSValueConst this, int what) {
    (void)ctx;
    lantern_text text = {NULL, 0};
    event_state *state = event_of(this);
    if (!state) return JS_EXCEPTION;
    const lantern_event *event = &state->event;
    switch (what) {
    case E_DATA:
        if (JS_VALUE_GET_TAG(state->data) == JS_TAG_UNINITIALIZED) {
            if (!state->type) return throw_with(LANTERN_OTHER, "this event has no declared data: read it by `decode(…)`");
            JSValue read = read_data(this, state, state->type, state->type->js);
            if (JS_IsException(read)) return read;
            state->data = read;
        }
        return JS_DupValue(js, state->data);
    case E_TYPE:
        return dictionary_text(dictionary_number(event, TYPE_AT));
    case E_TOPIC:
        return dictionary_text(dictionary_number(event, TOPIC_AT));
    case E_PARTITION:
        return JS_NewInt32(js, event->partition);
    case E_OFFSET:
        return to_js(lantern_value_int(event->offset));
    case E_TIMESTAMP:
        return to_js(lantern_value_int(event->timestamp_ms));
    case E_INDEX:
        return JS_NewUint32(js, event->index);
    case E_KEY:
        return bytes_of(event->key);
    case E_KEY_TEXT:
        return text_or_throw(lantern_key_text(event, &text), text);
    case E_PAYLOAD:
        return bytes_of(event->payload);
    case E_TEXT:
        return text_or_throw(lantern_event_text(event, &text), text);
    default:
        return all_headers(event);
    }
}

static JSValue event_decode(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)ctx, (void)argc;
    event_state *state = event_of(this);
    if (!state) return JS_EXCEPTION;
    JSValue as = call("typeOf", 1, argv);
    if (JS_IsException(as)) return as;
    /* Fields that are given at each call would make a type for each. */
    bool is_native = JS_IsStrictEqual(js, as, argv[0]) && is_to_be_known(as);
    JSValue value = read_data(this, state, is_native ? type_of(as) : NULL, as);
    JS_FreeValue(js, as);
    return value;
}

static JSValue event_header(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)ctx, (void)argc;
    event_state *state = event_of(this);
    const char *name = state ? JS_ToCString(js, argv[0]) : NULL;
    if (!name) return JS_EXCEPTION;
    lantern_blob value = lantern_header(&state->event, name);
    JS_FreeCString(js, name);
    return bytes_of(value);
}

static const JSCFunctionListEntry EVENT[] = {
    JS_CGETSET_MAGIC_DEF("data", event_get, NULL, E_DATA),
    JS_CGETSET_MAGIC_DEF("type", event_get, NULL, E_TYPE),
    JS_CGETSET_MAGIC_DEF("topic", event_get, NULL, E_TOPIC),
    JS_CGETSET_MAGIC_DEF("partition", event_get, NULL, E_PARTITION),
    JS_CGETSET_MAGIC_DEF("offset", event_get, NULL, E_OFFSET),
    JS_CGETSET_MAGIC_DEF("timestampMs", event_get, NULL, E_TIMESTAMP),
    JS_CGETSET_MAGIC_DEF("index", event_get, NULL, E_INDEX),
    JS_CGETSET_MAGIC_DEF("key", event_get, NULL, E_KEY),
    JS_CGETSET_MAGIC_DEF("keyText", event_get, NULL, E_KEY_TEXT),
    JS_CGETSET_MAGIC_DEF("payload", event_get, NULL, E_PAYLOAD),
    JS_CGETSET_MAGIC_DEF("text", event_get, NULL, E_TEXT),
    JS_CGETSET_MAGIC_DEF("headers", event_get, NULL, E_HEADERS),
    JS_CFUNC_DEF("decode", 1, event_decode),
    JS_CFUNC_DEF("header", 1, event_header),
};

/* Gives JavaScript the prototype of events: what is not quick to do is added to it there. */
static void add_events(JSValueConst natives) {
    static const JSClassDef DEFINITION = {"Event", .finalizer = free_event, .gc_mark = mark_event};
    JS_NewClassID(runtime, &event_class);
    JS_NewClass(runtime, event_class, &DEFINITION);
    JSValue prototype = JS_NewObject(js);
    JS_SetPropertyFunctionList(js, prototype, EVENT, sizeof EVENT / sizeof *EVENT);
    JS_SetPropertyStr(js, natives, "event", JS_DupValue(js, prototype));
    JS_SetClassProto(js, event_class, prototype);
}
