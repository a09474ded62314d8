/* The database and its rows, as the classes that JavaScript is given: the C SDK does the work. */

static JSClassID row_class;
/* The one database there is. */
static JSValue db_object;

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

/* A table of src/table.js. It is kept as long as the instance lives. */
typedef struct {
    lantern_table table;
    JSValue js;
    uint32_t key_count, count;
    /* The columns' names as JavaScript has them: the same literal is mostly the same string. */
    JSValue *columns;
    JSAtom *atoms;
} js_table;

static const char **names_of(JSValueConst list, uint32_t *count, JSValue **kept) {
    int64_t length = 0;
    JS_GetLength(js, list, &length);
    const char **names = must(calloc((size_t)length + 1, sizeof *names));
    *kept = must(calloc((size_t)length + 1, sizeof **kept));
    for (uint32_t i = 0; i < length; i++) {
        JSValue name = JS_GetPropertyUint32(js, list, i);
        JSAtom atom = JS_ValueToAtom(js, name);
        JS_FreeValue(js, name);
        /* As an atom, it is the very string that every literal of this name is. */
        (*kept)[i] = JS_AtomToString(js, atom);
        JS_FreeAtom(js, atom);
        names[i] = must((void *)JS_ToCString(js, (*kept)[i]));
    }
    *count = (uint32_t)length;
    return names;
}

static js_table *new_table(JSValueConst from) {
    js_table *made = must(calloc(1, sizeof *made));
    JSValue name = JS_GetPropertyStr(js, from, "name"), key = JS_GetPropertyStr(js, from, "key"),
            columns = JS_GetPropertyStr(js, from, "columns"), *key_names;
    made->table.name = must((void *)JS_ToCString(js, name));
    made->table.key = names_of(key, &made->key_count, &key_names);
    made->table.columns = names_of(columns, &made->count, &made->columns);
    made->atoms = must(calloc(made->count + 1, sizeof *made->atoms));
    for (uint32_t i = 0; i < made->count; i++) made->atoms[i] = JS_ValueToAtom(js, made->columns[i]);
    for (uint32_t i = 0; i < made->key_count; i++) JS_FreeValue(js, key_names[i]);
    free(key_names);
    JS_FreeValue(js, name);
    JS_FreeValue(js, key);
    JS_FreeValue(js, columns);
    return made;
}

static void free_names(const char *const *names, JSValue *kept) {
    for (uint32_t i = 0; names[i]; i++) {
        JS_FreeCString(js, names[i]);
        if (kept) JS_FreeValue(js, kept[i]);
    }
    free((void *)(uintptr_t)names);
    free(kept);
}

static void free_table(js_table *from) {
    for (uint32_t i = 0; i < from->count; i++) JS_FreeAtom(js, from->atoms[i]);
    free(from->atoms);
    free_names(from->table.columns, from->columns);
    free_names(from->table.key, NULL);
    JS_FreeCString(js, from->table.name);
    free(from);
}

/* What a table of JavaScript is here; NULL when something was thrown. It is made once, and then found by a property of
 * the table. */
static js_table *table_of(JSValueConst from) {
    static js_table **tables;
    static uint32_t count;
    if (!JS_IsObject(from)) goto none;
    JSValue known = JS_GetProperty(js, from, atom_native);
    uint32_t at = JS_VALUE_GET_TAG(known) == JS_TAG_INT ? (uint32_t)JS_VALUE_GET_INT(known) : count;
    JS_FreeValue(js, known);
    if (at < count && JS_VALUE_GET_PTR(tables[at]->js) == JS_VALUE_GET_PTR(from)) return tables[at];
    if (JS_IsInstanceOf(js, from, table_class) != 1) goto none;
    js_table *made = new_table(from);
    /* One that is declared anew, as in a handler, is the one that is there: those would have no end. */
    for (at = 0; at < count; at++) {
        js_table *other = tables[at];
        if (strcmp(other->table.name, made->table.name) != 0 || !same_list(other->table.key, made->table.key) ||
            !same_list(other->table.columns, made->table.columns))
            continue;
        free_table(made);
        return other;
    }
    made->js = JS_DupValue(js, from);
    tables = must(realloc(tables, (count + 1) * sizeof *tables));
    tables[count] = made;
    JS_SetProperty(js, from, atom_native, JS_NewUint32(js, count));
    return tables[count++];
none:
    if (!JS_HasException(js))
        throw_with(LANTERN_OTHER, "no table was given: declare one with `table(name, { key, columns })`");
    return NULL;
}

/* ---- Values of JavaScript, for one call of the C SDK ------------------------------------------------------------- */

/* Most calls have few: a key, and the columns of a row. */
enum { VALUES_FEW = 2 * COLUMNS_MAX };

/* What a value is made of, until the call is done. */
typedef struct {
    const char *text;
    JSValue bytes;
} held;

typedef struct {
    uint32_t count, room;
    lantern_value *values;
    held *held;
    lantern_value few[VALUES_FEW];
    held few_held[VALUES_FEW];
} values;

static void values_begin(values *into) {
    into->count = 0;
    into->room = VALUES_FEW;
    into->values = into->few;
    into->held = into->few_held;
}

static void values_free(values *from) {
    for (uint32_t i = 0; i < from->count; i++) {
        if (from->held[i].text) JS_FreeCString(js, from->held[i].text);
        JS_FreeValue(js, from->held[i].bytes);
    }
}

static void values_grow(values *into) {
    uint32_t room = into->room * 2;
    lantern_value *more = take(room * sizeof *more, 8);
    held *more_held = take(room * sizeof *more_held, 8);
    memcpy(more, into->values, into->count * sizeof *more);
    memcpy(more_held, into->held, into->count * sizeof *more_held);
    into->room = room;
    into->values = more;
    into->held = more_held;
}

static bool values_push(values *into, JSValueConst value) {
    if (JS_IsException(value)) return false;
    if (into->count == into->room) values_grow(into);
    held *with = &into->held[into->count];
    *with = (held){NULL, JS_UNDEFINED};
    if (!value_of(value, &into->values[into->count], &with->text)) return false;
    if (into->values[into->count].kind == LANTERN_BLOB) with->bytes = JS_DupValue(js, value);
    into->count++;
    return true;
}

/* All of a list. */
static bool values_push_all(values *into, JSValueConst list) {
    int64_t count = 0;
    bool right = !JS_GetLength(js, list, &count);
    for (int64_t i = 0; right && i < count; i++) {
        JSValue item = JS_GetPropertyInt64(js, list, i);
        right = values_push(into, item);
        JS_FreeValue(js, item);
    }
    return right;
}

/* A key: one value, or a list of its parts. */
static bool values_push_key(values *into, const js_table *table, JSValueConst key) {
    values_begin(into);
    if (!JS_IsArray(key)) {
        if (!values_push(into, key)) return false;
    } else if (!values_push_all(into, key)) {
        return false;
    }
    for (uint32_t i = 0; i < into->count; i++) {
        lantern_kind kind = into->values[i].kind;
        if (kind != LANTERN_NULL && kind != LANTERN_REAL) continue;
        throw_with(LANTERN_OTHER, "a key of `%s` has NULL or a real in it: keys are texts, integers and blobs",
                   table->table.name);
        return false;
    }
    if (into->count == table->key_count) return true;
    lantern_text parts = list_text(table->table.key);
    throw_with(LANTERN_OTHER, "a key of `%s` has the parts %.*s; %u were given", table->table.name, LANTERN_ARG(parts),
               (unsigned)into->count);
    return false;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

typedef struct {
    lantern_row row;
    js_table *table;
    uint32_t key_len;
    uint8_t key[]; /* as it is in a frame: to enter the row anew, when what was gathered of it is written */
} row_state;

static void free_row(JSRuntime *of, JSValueConst object) {
    (void)of;
    free(JS_GetOpaque(object, row_class));
}

/* Whether all writes were right. The error of one that could not answer it itself is thrown: it fails the event,
 * whatever JavaScript makes of it. */
static bool is_written(void) {
    if (the_db.kept.is) rethrow(the_db.kept.error, the_db.kept.event);
    return !the_db.kept.is;
}

static JSValue enter_row(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int is_update) {
    (void)ctx, (void)this, (void)argc;
    values key;
    js_table *table = table_of(argv[0]);
    if (!table) return JS_EXCEPTION;
    if (!values_push_key(&key, table, argv[1])) return values_free(&key), JS_EXCEPTION;
    lantern_row row = lantern_row_enter(&the_db, &table->table, is_update, key.values, key.count);
    values_free(&key);
    if (!is_written()) return JS_EXCEPTION;
    const uint8_t *at = NULL;
    uint32_t len = 0;
    if (row.there) {
        const cache *in = the_db.caches[row.cache];
        const entry *found = &ENTRIES(in)[row.entry];
        at = in->arena.ptr + found->key_pos;
        len = found->key_len;
    }
    row_state *state = must(malloc(sizeof *state + len));
    *state = (row_state){row, table, len};
    if (len) copy(state->key, at, len);
    JSValue object = JS_NewObjectClass(js, (int)row_class);
    if (JS_IsException(object)) return free(state), object;
    JS_SetOpaque(object, state);
    return object;
}

static bool column_of(const js_table *table, JSValueConst name, uint32_t *at) {
    if (JS_VALUE_GET_TAG(name) == JS_TAG_STRING)
        for (uint32_t i = 0; i < table->count; i++)
            if (JS_VALUE_GET_PTR(table->columns[i]) == JS_VALUE_GET_PTR(name)) return *at = i, true;
    const char *column = JS_ToCString(js, name);
    if (!column) return false;
    bool found = or_throw(column_at(&table->table, column, at));
    JS_FreeCString(js, column);
    return found;
}

static bool change_row(row_state *state, uint32_t at, change how, JSValueConst value) {
    lantern_value to;
    const char *held = NULL;
    if (!value_of(value, &to, &held)) return false;
    if (how != SET && to.kind != LANTERN_INT) {
        const char *text = JS_ToCString(js, value);
        throw_with(LANTERN_OTHER, "column `%s`: %s is no integer, and only those are added and compared",
                   state->table->table.columns[at], text ? text : "it");
        if (text) JS_FreeCString(js, text);
        if (held) JS_FreeCString(js, held);
        return false;
    }
    lantern_row *row = &state->row;
    /* What was gathered of it is written: the row is entered anew. */
    if (row->there && row->generation != the_db.generation && !reenter(row, state->key, state->key_len))
        keep_error(&the_db);
    else
        row_change_at(row, at, how, to);
    if (held) JS_FreeCString(js, held);
    return is_written();
}

/* Sets the columns that an object names. */
static bool set_columns(row_state *state, JSValueConst columns) {
    JSPropertyEnum *names;
    uint32_t count, at;
    if (JS_GetOwnPropertyNames(js, &names, &count, columns, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY)) return false;
    bool right = true;
    for (uint32_t i = 0; right && i < count; i++) {
        JSValue name = JS_AtomToString(js, names[i].atom), value = JS_GetProperty(js, columns, names[i].atom);
        right = !JS_IsException(value) && column_of(state->table, name, &at) && change_row(state, at, SET, value);
        JS_FreeValue(js, name);
        JS_FreeValue(js, value);
    }
    JS_FreePropertyEnum(js, names, count);
    return right;
}

static JSValue row_do(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int how) {
    (void)argc;
    row_state *state = JS_GetOpaque2(ctx, this, row_class);
    uint32_t at;
    if (!state) return JS_EXCEPTION;
    bool right = how == SET && JS_IsObject(argv[0])
                     ? set_columns(state, argv[0])
                     : column_of(state->table, argv[0], &at) && change_row(state, at, (change)how, argv[1]);
    return right ? JS_DupValue(js, this) : JS_EXCEPTION;
}

static JSValue put_row(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)ctx, (void)this, (void)argc;
    values row;
    js_table *table = table_of(argv[0]);
    if (!table) return JS_EXCEPTION;
    if (!JS_IsObject(argv[2])) return throw_with(LANTERN_OTHER, "no columns were put into `%s`", table->table.name);
    bool right = values_push_key(&row, table, argv[1]);
    uint32_t lacking = 0;
    for (uint32_t i = 0; right && i < table->count; i++) {
        JSValue value = JS_GetProperty(js, argv[2], table->atoms[i]);
        lacking += JS_IsUndefined(value);
        right = !JS_IsException(value) && (JS_IsUndefined(value) || values_push(&row, value));
        JS_FreeValue(js, value);
    }
    JSPropertyEnum *names = NULL;
    uint32_t count = 0;
    if (right && !JS_GetOwnPropertyNames(js, &names, &count, argv[2], JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY))
        JS_FreePropertyEnum(js, names, count);
    if (right && (lacking || count != table->count)) {
        lantern_text columns = list_text(table->table.columns);
        throw_with(LANTERN_OTHER, "%u columns were put into `%s`, of which %u are missing: it declares %.*s",
                   (unsigned)count, table->table.name, (unsigned)lacking, LANTERN_ARG(columns));
        right = false;
    }
    if (right) lantern_row_put(&the_db, &table->table, row.values, row.count);
    values_free(&row);
    return right && is_written() ? JS_UNDEFINED : JS_EXCEPTION;
}

static JSValue delete_row(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)ctx, (void)this, (void)argc;
    values key;
    js_table *table = table_of(argv[0]);
    if (!table) return JS_EXCEPTION;
    bool right = values_push_key(&key, table, argv[1]);
    if (right) lantern_row_delete(&the_db, &table->table, key.values, key.count);
    values_free(&key);
    return right && is_written() ? JS_UNDEFINED : JS_EXCEPTION;
}

static JSValue get_row(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)ctx, (void)this, (void)argc;
    values key;
    lantern_stored stored;
    js_table *table = table_of(argv[0]);
    if (!table) return JS_EXCEPTION;
    bool right = values_push_key(&key, table, argv[1]) &&
                 or_throw(lantern_row_get(&the_db, &table->table, &stored, key.values, key.count));
    values_free(&key);
    if (!right) return JS_EXCEPTION;
    return stored.values ? object_from(table->atoms, stored.values, table->count) : JS_NULL;
}

/* ---- Statements -------------------------------------------------------------------------------------------------- */

/* The statement and its parameters, if there are any. */
static bool values_push_sql(values *into, int argc, JSValueConst *argv) {
    values_begin(into);
    if (!values_push(into, argv[0])) return false;
    if (into->values[0].kind == LANTERN_TEXT && !is_utf8(into->values[0].blob, into->values[0].len)) {
        throw_with(LANTERN_OTHER, "the statement is not text: it has half of a surrogate pair");
        return false;
    }
    return argc < 2 || JS_IsUndefined(argv[1]) || values_push_all(into, argv[1]);
}

static JSValue execute(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)ctx, (void)this;
    values given;
    bool right = values_push_sql(&given, argc, argv) && or_throw(lantern_run(&the_db, given.values, given.count));
    values_free(&given);
    return right ? JS_UNDEFINED : JS_EXCEPTION;
}

/* The rows of a query as objects; with `is_value`, the first column of its first row. */
static JSValue query(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int is_value) {
    (void)ctx, (void)this;
    values given;
    lantern_rows rows;
    bool right =
        values_push_sql(&given, argc, argv) && or_throw(lantern_select(&the_db, &rows, given.values, given.count));
    values_free(&given);
    if (!right) return JS_EXCEPTION;
    if (is_value) return lantern_next_row(&rows) && rows.width ? to_js(rows.values[0]) : JS_NULL;
    frame_layout layout;
    frame_parse(&layout, rows.frame, rows.frame_len, ROWS, ROW_STRIDE);
    JSAtom *names = take((layout.texts_count + 1) * sizeof *names, 4);
    for (uint32_t i = 0; i < layout.texts_count; i++) {
        lantern_text name = frame_text(&layout, i);
        names[i] = JS_NewAtomLen(js, name.ptr, name.len);
    }
    JSValue list = JS_NewArray(js);
    for (uint32_t nth = 0; lantern_next_row(&rows); nth++) {
        uint32_t width = rows.width < layout.texts_count ? rows.width : layout.texts_count;
        JS_DefinePropertyValueUint32(js, list, nth, object_from(names, rows.values, width), JS_PROP_C_W_E);
    }
    for (uint32_t i = 0; i < layout.texts_count; i++) JS_FreeAtom(js, names[i]);
    return list;
}

static const JSCFunctionListEntry ROW[] = {
    JS_CFUNC_MAGIC_DEF("set", 2, row_do, SET),
    JS_CFUNC_MAGIC_DEF("add", 2, row_do, ADD),
    JS_CFUNC_MAGIC_DEF("max", 2, row_do, MAX),
    JS_CFUNC_MAGIC_DEF("min", 2, row_do, MIN),
};

static const JSCFunctionListEntry DB[] = {
    JS_CFUNC_MAGIC_DEF("upsert", 2, enter_row, false),
    JS_CFUNC_MAGIC_DEF("update", 2, enter_row, true),
    JS_CFUNC_DEF("put", 3, put_row),
    JS_CFUNC_DEF("delete", 2, delete_row),
    JS_CFUNC_DEF("get", 2, get_row),
    JS_CFUNC_DEF("execute", 2, execute),
    JS_CFUNC_MAGIC_DEF("query", 2, query, false),
    JS_CFUNC_MAGIC_DEF("queryValue", 2, query, true),
};

/* Gives JavaScript the database: what is not quick to do is added to it there. */
static void add_db(JSValueConst natives) {
    static const JSClassDef DEFINITION = {"Row", .finalizer = free_row};
    JS_NewClassID(runtime, &row_class);
    JS_NewClass(runtime, row_class, &DEFINITION);
    JSValue prototype = JS_NewObject(js);
    JS_SetPropertyFunctionList(js, prototype, ROW, sizeof ROW / sizeof *ROW);
    JS_SetClassProto(js, row_class, prototype);
    db_object = JS_NewObject(js);
    JS_SetPropertyFunctionList(js, db_object, DB, sizeof DB / sizeof *DB);
    JS_SetPropertyStr(js, natives, "db", JS_DupValue(js, db_object));
}
