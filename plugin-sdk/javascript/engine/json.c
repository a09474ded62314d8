/* JSON, read into JavaScript by the types that an event declares (src/schema.js). What is as declared is read here, in
 * one pass over its bytes; whatever is not is left to JavaScript, which reads it anew and says what is wrong: one place
 * knows the words. */

typedef struct type type;
struct type {
    /* As src/schema.js numbers them. */
    enum {
        T_OTHER,
        T_TEXT,
        T_INTEGER,
        T_BIGINT,
        T_NUMBER,
        T_BOOLEAN,
        T_JSON,
        T_BYTES,
        T_OPTIONAL,
        T_NULLABLE,
        T_LIST,
        T_RECORD,
        T_OBJECT
    } kind;
    const type *of; /* of what an optional, a nullable, a list and a record consist */
    JSValue js;     /* the type itself */
    uint32_t count; /* of an object's fields */
    struct field {
        const char *name;
        size_t name_len;
        JSAtom atom;
        const type *type;
    } *fields;
};

/* Of types that are made at each call there is no end: those beyond TYPES_MAX are read by JavaScript. */
enum { FIELDS_MAX = 64, NESTED_MAX = 64, TYPES_MAX = 4096 };

static const type *type_of(JSValueConst from);

static const type *type_at(JSValueConst of, const char *name) {
    JSValue inner = JS_GetPropertyStr(js, of, name);
    const type *found = type_of(inner);
    JS_FreeValue(js, inner);
    return found;
}

static void read_fields(JSValueConst fields, type *into) {
    int64_t count = 0;
    JS_GetLength(js, fields, &count);
    /* An object with more is left to JavaScript. */
    if (count > FIELDS_MAX) {
        into->kind = T_OTHER;
        return;
    }
    into->fields = must(calloc((size_t)count + 1, sizeof *into->fields));
    into->count = (uint32_t)count;
    for (uint32_t i = 0; i < into->count; i++) {
        JSValue entry = JS_GetPropertyUint32(js, fields, i), name = JS_GetPropertyUint32(js, entry, 0),
                inner = JS_GetPropertyUint32(js, entry, 1);
        struct field *field = &into->fields[i];
        /* Kept as long as the instance lives, as the type is. */
        field->name = must((void *)JS_ToCStringLen(js, &field->name_len, name));
        field->atom = JS_NewAtomLen(js, field->name, field->name_len);
        field->type = type_of(inner);
        JS_FreeValue(js, entry);
        JS_FreeValue(js, name);
        JS_FreeValue(js, inner);
    }
}

static uint32_t types_count;

/* Whether a type is known, or there is room for one more. */
static bool is_to_be_known(JSValueConst type) {
    JSValue known = JS_GetProperty(js, type, atom_native);
    bool is_known = JS_VALUE_GET_TAG(known) == JS_TAG_INT;
    JS_FreeValue(js, known);
    return is_known || types_count < TYPES_MAX;
}

/* What a type of src/schema.js is here. It is made once, and then found by a property of the type. */
static const type *type_of(JSValueConst from) {
    static const type **types;
    JSValue known = JS_GetProperty(js, from, atom_native);
    if (JS_VALUE_GET_TAG(known) == JS_TAG_INT) return types[JS_VALUE_GET_INT(known)];
    JS_FreeValue(js, known);
    type *made = must(calloc(1, sizeof *made));
    uint32_t index = types_count++;
    types = must(realloc(types, types_count * sizeof *types));
    types[index] = made;
    JSValue kind = JS_GetPropertyStr(js, from, "kind");
    made->kind = JS_VALUE_GET_TAG(kind) == JS_TAG_INT ? JS_VALUE_GET_INT(kind) : T_OTHER;
    made->js = JS_DupValue(js, from);
    if (made->kind == T_OBJECT) {
        JSValue fields = JS_GetPropertyStr(js, from, "of");
        read_fields(fields, made);
        JS_FreeValue(js, fields);
    } else if (made->kind >= T_OPTIONAL) {
        made->of = type_at(from, "of");
    }
    JS_SetProperty(js, from, atom_native, JS_NewUint32(js, index));
    return made;
}

/* How deep JSON may be nested that JavaScript reads. What reads it calls itself, and the host's stack would end before
 * the limit for JavaScript's own calls. */
enum { DEPTH_READ_MAX = 1000 };

static bool is_too_deep(lantern_blob json) {
    uint32_t depth = 0;
    bool is_text = false;
    for (size_t i = 0; i < json.len; i++) {
        uint8_t c = json.ptr[i];
        if (c == '"')
            is_text = !is_text;
        else if (is_text)
            i += c == '\\';
        else if (c == '[' || c == '{')
            depth++;
        else if (c == ']' || c == '}')
            depth--;
        if (depth > DEPTH_READ_MAX && depth <= UINT32_MAX / 2) return true;
    }
    return false;
}

/* Whether JavaScript can be given some JSON; fails where it cannot. */
static bool is_readable(lantern_blob json, lantern_fault fault, const char *what) {
    if (!is_utf8(json.ptr, json.len)) return lantern_fail(fault, "%s is not UTF-8", what);
    return !is_too_deep(json) || lantern_fail(fault, "%s is nested more than %d deep", what, DEPTH_READ_MAX);
}

static bool read_json(reader *in, JSValue *into, int depth);
static bool read_type(reader *in, const type *as, JSValue *into, int depth);

static bool read_js_text(reader *in, JSValue *into) {
    lantern_text text;
    if (peek(in) != '"') return false;
    in->at++;
    if (!read_text(in, &text, true)) return false;
    *into = JS_NewStringLen(js, text.ptr, text.len);
    return !JS_IsException(*into);
}

/* An integer as a number, or as a bigint where no number holds it. */
static JSValue exact_number(const uint8_t *start, int64_t value) {
    /* As JSON.parse has it. */
    return value == 0 && *start == '-' ? JS_NewFloat64(js, -0.0) : to_js(lantern_value_int(value));
}

static bool read_js_integer(reader *in, JSValue *into, bool is_bigint) {
    int64_t value;
    skip_space(in);
    const uint8_t *start = in->at;
    if (!read_int(in, &value)) return false;
    bool is_safe = value >= -SAFE_MAX && value <= SAFE_MAX;
    if (!is_bigint && !is_safe) return false;
    *into = is_bigint ? JS_NewBigInt64(js, value) : exact_number(start, value);
    return !JS_IsException(*into);
}

static bool read_js_number(reader *in, JSValue *into) {
    double value;
    skip_space(in);
    if (!read_real(in, &value)) return false;
    *into = JS_NewNumber(js, value);
    return true;
}

/* Any number: an integer that no number holds is a bigint. */
static bool read_any_number(reader *in, JSValue *into) {
    reader start = *in;
    int64_t value;
    if (!read_int(in, &value)) {
        *in = start;
        bool is_integer;
        if (!scan_number(in, &is_integer) || is_integer) return false; /* of more than 64 bits */
        *in = start;
        return read_js_number(in, into);
    }
    *into = exact_number(start.at, value);
    return !JS_IsException(*into);
}

static bool read_js_bool(reader *in, JSValue *into) {
    int c = peek(in);
    *into = JS_NewBool(js, c == 't');
    return (c == 't' || c == 'f') && read_word(in, c == 't' ? "true" : "false");
}

/* The items of a list, each as a type, or as what it is without one. */
static bool read_list(reader *in, const type *as, JSValue *into, int depth) {
    if (!expect(in, '[', "")) return false;
    JSValue list = JS_NewArray(js);
    bool right = !JS_IsException(list);
    for (uint32_t n = 0; right && peek(in) != ']'; n++) {
        JSValue item;
        right = (n == 0 || expect(in, ',', "")) &&
                (as ? read_type(in, as, &item, depth) : read_json(in, &item, depth)) &&
                JS_DefinePropertyValueUint32(js, list, n, item, JS_PROP_C_W_E) >= 0;
    }
    if (right && in->at < in->end) {
        in->at++;
        *into = list;
        return true;
    }
    JS_FreeValue(js, list);
    return false;
}

static bool read_name(reader *in, bool is_first, lantern_text *name) {
    return (is_first || expect(in, ',', "")) && expect(in, '"', "") && read_text(in, name, true) && expect(in, ':', "");
}

/* An object of any fields, each as a type, or as what it is without one. */
static bool read_record(reader *in, const type *as, JSValue *into, int depth) {
    if (!expect(in, '{', "")) return false;
    JSValue record = JS_NewObject(js);
    bool right = !JS_IsException(record);
    for (bool is_first = true; right && peek(in) != '}'; is_first = false) {
        lantern_text name;
        JSValue item;
        right = read_name(in, is_first, &name) && (as ? read_type(in, as, &item, depth) : read_json(in, &item, depth));
        if (!right) break;
        /* `__proto__` is a field like any other. */
        JSAtom atom = JS_NewAtomLen(js, name.ptr, name.len);
        right = JS_DefinePropertyValue(js, record, atom, item, JS_PROP_C_W_E) >= 0;
        JS_FreeAtom(js, atom);
    }
    if (right && in->at < in->end) {
        in->at++;
        *into = record;
        return true;
    }
    JS_FreeValue(js, record);
    return false;
}

/* An object with the fields that are declared, in their order; others are passed over. */
static bool read_declared(reader *in, const type *as, JSValue *into, int depth) {
    if (!expect(in, '{', "")) return false;
    JSValue values[FIELDS_MAX];
    uint32_t count = as->count, next = 0;
    for (uint32_t i = 0; i < count; i++) values[i] = JS_UNDEFINED;
    bool right = true;
    for (bool is_first = true; right && peek(in) != '}'; is_first = false) {
        lantern_text name;
        right = read_name(in, is_first, &name);
        if (!right) break;
        /* Fields mostly come in the order in which they are declared. */
        uint32_t tried = 0, at = next;
        for (; tried < count; tried++, at++) {
            if (at >= count) at = 0;
            if (as->fields[at].name_len == name.len && same_bytes(as->fields[at].name, name.ptr, name.len)) break;
        }
        if (tried == count) {
            right = skip_value(in);
            continue;
        }
        JSValue value;
        right = read_type(in, as->fields[at].type, &value, depth);
        if (!right) break;
        /* Of a field that is given twice, the last counts. */
        JS_FreeValue(js, values[at]);
        values[at] = value;
        next = at + 1;
    }
    right = right && in->at < in->end;
    for (uint32_t i = 0; right && i < count; i++) {
        if (!JS_IsUndefined(values[i])) continue;
        right = as->fields[i].type->kind == T_OPTIONAL;
        values[i] = JS_NULL;
    }
    JSValue object = right ? JS_NewObject(js) : JS_EXCEPTION;
    for (uint32_t i = 0; i < count; i++) {
        if (JS_IsException(object))
            JS_FreeValue(js, values[i]);
        else
            JS_DefinePropertyValue(js, object, as->fields[i].atom, values[i], JS_PROP_C_W_E);
    }
    if (!right || JS_IsException(object)) return false;
    in->at++;
    *into = object;
    return true;
}

static bool read_json(reader *in, JSValue *into, int depth) {
    if (depth == NESTED_MAX) return false;
    switch (peek(in)) {
    case '"':
        return read_js_text(in, into);
    case '{':
        return read_record(in, NULL, into, depth + 1);
    case '[':
        return read_list(in, NULL, into, depth + 1);
    case 't':
    case 'f':
        return read_js_bool(in, into);
    case 'n':
        *into = JS_NULL;
        return read_word(in, "null");
    default:
        return read_any_number(in, into);
    }
}

/* Reads a value as a type. False where it is not of the type, or in a form that is not read here. */
static bool read_type(reader *in, const type *as, JSValue *into, int depth) {
    if (depth == NESTED_MAX) return false;
    switch (as->kind) {
    case T_TEXT:
        return read_js_text(in, into);
    case T_INTEGER:
        return read_js_integer(in, into, false);
    case T_BIGINT:
        return read_js_integer(in, into, true);
    case T_NUMBER:
        return read_js_number(in, into);
    case T_BOOLEAN:
        return read_js_bool(in, into);
    case T_JSON:
        return read_json(in, into, depth);
    case T_OPTIONAL:
    case T_NULLABLE:
        if (peek(in) != 'n') return read_type(in, as->of, into, depth + 1);
        *into = JS_NULL;
        return read_word(in, "null");
    case T_LIST:
        return read_list(in, as->of, into, depth + 1);
    case T_RECORD:
        return read_record(in, as->of, into, depth + 1);
    case T_OBJECT:
        return read_declared(in, as, into, depth + 1);
    default:
        return false;
    }
}

/* Reads all of some bytes as a type. False: JavaScript has to. */
static bool read_whole(lantern_blob json, const type *as, JSValue *into) {
    if (!is_utf8(json.ptr, json.len)) return false;
    reader in = reader_of(json.ptr, json.len);
    if (!read_type(&in, as, into, 0)) {
        /* Nothing but memory is thrown here, and what comes next meets that too. */
        if (JS_HasException(js)) JS_FreeValue(js, JS_GetException(js));
        return false;
    }
    if (ends(&in)) return true;
    JS_FreeValue(js, *into);
    return false;
}
