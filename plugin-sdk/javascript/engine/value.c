/* Values of SQLite as JavaScript has them, texts, and errors on their way between the two. */

/* What is exact as a number of JavaScript: 2^53 - 1. */
#define SAFE_MAX 9007199254740991LL

/* Classes of JavaScript, and names of properties. */
static JSValue real_class, table_class;
static JSAtom atom_value, atom_native;

static void know_classes(void) {
    real_class = JS_GetPropertyStr(js, guest, "Real");
    table_class = JS_GetPropertyStr(js, guest, "Table");
    atom_value = JS_NewAtom(js, "value");
    /* By which types and tables of JavaScript are found again. */
    atom_native = JS_NewAtom(js, "_native");
}

/* Calls a function of the guest. */
static JSValue call(const char *name, int count, JSValueConst *given) {
    JSValue function = JS_GetPropertyStr(js, guest, name);
    JSValue answered = JS_Call(js, function, guest, count, given);
    JS_FreeValue(js, function);
    return answered;
}

/* A text of JavaScript in memory that lives until the call is done. Half of a surrogate pair, which JavaScript knows
 * and UTF-8 does not, becomes U+FFFD: both have three bytes. */
static lantern_text utf8_of(const char *from, size_t len) {
    uint8_t *to = take(len + 1, 1);
    memcpy(to, from, len);
    to[len] = 0;
    size_t end = is_ascii(to, len) ? 0 : len;
    for (size_t i = 0; i + 2 < end; i++)
        if (to[i] == 0xed && to[i + 1] >= 0xa0) memcpy(to + i, "\xef\xbf\xbd", 3);
    return (lantern_text){(const char *)to, len};
}

/* The same of a value that is a text; false when something was thrown. */
static bool text_from(JSValueConst value, lantern_text *into) {
    size_t len;
    const char *text = JS_ToCStringLen(js, &len, value);
    if (!text) return false;
    *into = utf8_of(text, len);
    JS_FreeCString(js, text);
    return true;
}

/* Fails with what JavaScript has thrown: always false. */
static bool thrown(void) {
    JSValue error = JS_GetException(js), parts[3] = {JS_UNDEFINED, JS_UNDEFINED, JS_UNDEFINED};
    JSValue said = call("failure", 1, (JSValueConst *)&error);
    int32_t fault = LANTERN_OTHER;
    uint32_t event = NONE;
    lantern_text message = lantern_str("something was thrown that cannot be described");
    if (JS_IsException(said)) {
        JS_FreeValue(js, JS_GetException(js));
    } else {
        for (uint32_t i = 0; i < 3; i++) parts[i] = JS_GetPropertyUint32(js, said, i);
        JS_ToInt32(js, &fault, parts[0]);
        text_from(parts[1], &message);
        if (!JS_IsUndefined(parts[2])) JS_ToUint32(js, &event, parts[2]);
    }
    for (int i = 0; i < 3; i++) JS_FreeValue(js, parts[i]);
    JS_FreeValue(js, said);
    JS_FreeValue(js, error);
    return fail_with((lantern_fault)fault, message, event);
}

/* Throws what the C SDK has failed with. */
static JSValue rethrow(lantern_error error, uint32_t event) {
    JSValue given[] = {JS_NewInt32(js, error.fault), JS_NewStringLen(js, error.message.ptr, error.message.len),
                       event == NONE ? JS_UNDEFINED : JS_NewUint32(js, event)};
    JSValue made = call("error", 3, (JSValueConst *)given);
    for (int i = 0; i < 3; i++) JS_FreeValue(js, given[i]);
    return JS_IsException(made) ? made : JS_Throw(js, made);
}

static JSValue throw_failed(void) {
    failed.is = false;
    return rethrow(failed.error, failed.event);
}

/* Throws what a function of the C SDK has failed with, if it did. */
static bool or_throw(bool right) {
    if (!right) throw_failed();
    return right;
}

static JSValue throw_with(lantern_fault fault, const char *format, ...) {
    FORMAT_REST(text, format);
    return rethrow((lantern_error){fault, text}, NONE);
}

static JSValue to_js(lantern_value value) {
    switch (value.kind) {
    case LANTERN_INT:
        if (value.integer <= SAFE_MAX && value.integer >= -SAFE_MAX) return JS_NewInt64(js, value.integer);
        return JS_NewBigInt64(js, value.integer);
    case LANTERN_REAL:
        return JS_NewFloat64(js, value.real);
    case LANTERN_TEXT:
        return JS_NewStringLen(js, value.text, value.len);
    case LANTERN_BLOB:
        return JS_NewUint8ArrayCopy(js, value.blob, value.len);
    default:
        return JS_NULL;
    }
}

/* An object of values by their names. */
static JSValue object_from(const JSAtom *names, const lantern_value *values, uint32_t count) {
    JSValue object = JS_NewObject(js);
    for (uint32_t i = 0; i < count; i++)
        JS_DefinePropertyValue(js, object, names[i], to_js(values[i]), JS_PROP_C_W_E);
    return object;
}

static bool number_of(double number, lantern_value *into) {
    if (number - number != 0) {
        *into = number != number ? (lantern_value){.kind = LANTERN_NULL} : lantern_value_real(number);
    } else if (number >= -SAFE_MAX && number <= SAFE_MAX && (double)(int64_t)number == number) {
        *into = lantern_value_int((int64_t)number);
    } else if (__builtin_floor(number) == number) {
        throw_with(LANTERN_BAD_INPUT,
                   "%.17g is beyond 2^53 and no longer exact: give a bigint, or real(…) if it is no integer", number);
        return false;
    } else {
        *into = lantern_value_real(number);
    }
    return true;
}

static bool bigint_of(JSValueConst value, lantern_value *into) {
    int64_t integer;
    if (JS_ToBigInt64(js, &integer, value)) return false;
    /* What has more than 64 bits is cut by it. */
    JSValue same = JS_NewBigInt64(js, integer);
    bool fits = JS_IsStrictEqual(js, value, same);
    JS_FreeValue(js, same);
    if (!fits) {
        const char *text = JS_ToCString(js, value);
        throw_with(LANTERN_BAD_INPUT, "%s does not fit the integers that SQLite holds, 64 bits: write it as text",
                   text ? text : "a bigint");
        if (text) JS_FreeCString(js, text);
    }
    *into = lantern_value_int(integer);
    return fits;
}

static bool object_of(JSValueConst value, lantern_value *into) {
    if (JS_GetTypedArrayType(value) == JS_TYPED_ARRAY_UINT8) {
        size_t len;
        int64_t now;
        const uint8_t *bytes = JS_GetUint8Array(js, &len, value);
        /* Its length is that of when it was made, though its buffer may have been resized since. */
        if ((!bytes && JS_HasException(js)) || JS_GetLength(js, value, &now)) return false;
        len = (size_t)now;
        /* Also no bytes are a blob. */
        *into = lantern_value_blob((lantern_blob){len ? bytes : (const uint8_t *)"", len});
        return true;
    }
    if (JS_IsInstanceOf(js, value, real_class) == 1) {
        double number;
        JSValue real = JS_GetProperty(js, value, atom_value);
        if (JS_ToFloat64(js, &number, real)) return false;
        *into = lantern_value_real(number);
        return true;
    }
    return false;
}

/* A value as one of SQLite's five kinds. A text may have to be held: JS_FreeCString(js, *held), if there is one, once
 * the value was used. False when something was thrown. */
static bool value_of(JSValueConst value, lantern_value *into, const char **held) {
    size_t len;
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_INT:
    case JS_TAG_BOOL:
        *into = lantern_value_int(JS_VALUE_GET_INT(value));
        return true;
    case JS_TAG_NULL:
        *into = (lantern_value){.kind = LANTERN_NULL};
        return true;
    case JS_TAG_FLOAT64:
        return number_of(JS_VALUE_GET_FLOAT64(value), into);
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        *held = JS_ToCStringLen(js, &len, value);
        if (*held) *into = lantern_value_text((lantern_text){*held, len});
        return *held;
    case JS_TAG_SHORT_BIG_INT:
    case JS_TAG_BIG_INT:
        return bigint_of(value, into);
    case JS_TAG_UNDEFINED:
        throw_with(LANTERN_OTHER, "undefined is no value of SQLite: give null where there is none");
        return false;
    default:
        if (JS_IsObject(value) && object_of(value, into)) return true;
        if (JS_HasException(js)) return false;
        throw_with(LANTERN_OTHER,
                   "%s is no value of SQLite: give null, a number, bigint, string, boolean or Uint8Array",
                   JS_IsObject(value) ? "an object" : "a symbol");
        return false;
    }
}
