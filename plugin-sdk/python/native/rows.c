/* Rows that a batch writes: what is usual of `Row`, `Rows` and `Db` in rows.py and db.py, and the loop over a batch's
 * events. */

#include "core.h"

/* rows.py has the same: what a row takes beside its long texts, and what is long. */
enum { ROW_BYTES = 160, LONG_TEXT = 64 };

typedef struct {
    PyObject head;
    PyObject *db, *rows, *places, *key, *event, *pending, *values, *kinds, *known, *absent;
} row;

typedef struct {
    PyObject head;
    PyObject *rows, *columns, *parts;
} rows;

typedef struct {
    PyObject head;
    PyObject *touched, *event;
    Py_ssize_t bytes;
    char grew;
} db;

/* Whether a value can be kept as it is: it needs no more room than a row has, and is one of SQLite's. */
static bool is_kept(PyObject *value) {
    long long number;
    Py_ssize_t length;
    if (is(value, &PyLong_Type)) return as_integer(value, &number);
    if (value == &_Py_NoneStruct) return true;
    if (is(value, &PyUnicode_Type)) {
        const char *text = PyUnicode_AsUTF8AndSize(value, &length);
        if (!text) PyErr_Clear();
        return text && length <= LONG_TEXT;
    }
    if (is(value, &PyBytes_Type)) {
        char *bytes;
        return PyBytes_AsStringAndSize(value, &bytes, &length) == 0 && length <= LONG_TEXT;
    }
    return false;
}

/* Whether two integers become one; no sum does that is too large. */
static bool merge(int kind, PyObject *old, PyObject *value, PyObject **merged) {
    long long before, number, sum;
    if (!as_integer(old, &before) || !as_integer(value, &number)) return false;
    if (kind == ADD) {
        if (__builtin_add_overflow(before, number, &sum)) return false;
        *merged = PyLong_FromLongLong(sum);
        return *merged != NULL;
    }
    *merged = held((number > before) == (kind == MAX) ? value : old);
    return true;
}

/* Changes a column where that is usual. Where it is not nothing was changed, and nothing is raised. */
static bool change_column(row *of, PyObject *name, PyObject *value, int kind) {
    if (!is((PyObject *)of, (PyTypeObject *)known.row) || of->pending == small[FLUSHED]) return false;
    PyObject *found = PyDict_GetItemWithError(of->places, name);
    if (!found) {
        PyErr_Clear();
        return false;
    }
    Py_ssize_t place = PyLong_AsSsize_t(found);
    PyObject *before = PyList_GetItem(of->kinds, place), *becomes = small[kind], *merged = NULL;
    long long number;
    if (kind == SET) {
        if (is_kept(value)) merged = held(value);
    } else if (before == small[UNCHANGED] && of->known == &_Py_FalseStruct) {
        /* It is not known what the column was: the change itself is gathered. */
        if (as_integer(value, &number)) merged = held(value);
    } else if (before == small[kind] || before == small[SET]) {
        if (!merge(kind, PyList_GetItem(of->values, place), value, &merged)) PyErr_Clear();
        becomes = before;
    }
    if (!merged) return false;
    return PyList_SetItem(of->values, place, merged) == 0 && PyList_SetItem(of->kinds, place, held(becomes)) == 0;
}

static PyObject *change(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names, int kind) {
    PyObject *general = kind == SET ? known.set : kind == ADD ? known.add : kind == MAX ? known.max : known.min;
    Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    PyObject *of = held(self);
    for (Py_ssize_t i = 0; i < named && count == 0; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        if (change_column((row *)of, name, given[i], kind)) continue;
        PyObject *one = PyTuple_New(1);
        if (!one || PyTuple_SetItem(one, 0, held(name)) < 0) goto failed;
        PyObject *both[] = {of, given[i]};
        /* Another row stands for this one after what was gathered has been written. */
        PyObject *changed = PyObject_Vectorcall(general, both, 1, one);
        Py_DecRef(one);
        if (!changed) goto failed;
        put(&of, changed);
    }
    if (count == 0) return of;
    PyErr_Format(PyExc_TypeError, "columns are given by their names");
failed:
    Py_DecRef(of);
    return NULL;
}

static PyObject *row_set(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    return change(self, given, count, names, SET);
}

static PyObject *row_add(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    return change(self, given, count, names, ADD);
}

static PyObject *row_max(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    return change(self, given, count, names, MAX);
}

static PyObject *row_min(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    return change(self, given, count, names, MIN);
}

static void row_dealloc(PyObject *self) {
    row *of = (row *)self;
    PyObject **held[] = {&of->db,      &of->rows,   &of->places, &of->key,   &of->event,
                         &of->pending, &of->values, &of->kinds,  &of->known, &of->absent};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        put(held[i], NULL);
    end(self);
}

static void rows_dealloc(PyObject *self) {
    rows *of = (rows *)self;
    put(&of->rows, NULL);
    put(&of->columns, NULL);
    put(&of->parts, NULL);
    end(self);
}

static void db_dealloc(PyObject *self) {
    put(&((db *)self)->touched, NULL);
    put(&((db *)self)->event, NULL);
    end(self);
}

/* The rows of a table that something was gathered of; NULL where nothing was. */
static rows *touched(db *of, PyObject *table) {
    PyObject *found = PyDict_GetItemWithError(of->touched, table);
    if (!found) PyErr_Clear();
    return (rows *)found;
}

static bool is_key(PyObject *part) {
    return is(part, &PyUnicode_Type) || is(part, &PyLong_Type) || is(part, &PyBytes_Type);
}

/* db.upsert(table, key) */
static PyObject *db_upsert(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    db *of = (db *)self;
    rows *gathered = count == 2 && !names && is_key(given[1]) ? touched(of, given[0]) : NULL;
    /* A key that is known was checked. */
    PyObject *found = gathered ? PyDict_GetItemWithError(gathered->rows, given[1]) : NULL;
    if (found && is(found, (PyTypeObject *)known.row)) {
        row *known_row = (row *)found;
        if (known_row->pending == small[UPSERTED] && known_row->absent == &_Py_FalseStruct) {
            put(&known_row->event, held(of->event));
            return held(found);
        }
    }
    PyErr_Clear();
    PyObject *all[3] = {self};
    if (count > 2 || names) return PyErr_Format(PyExc_TypeError, "upsert() takes a table and a key");
    memcpy(all + 1, given, (size_t)count * sizeof *given);
    return PyObject_Vectorcall(known.upsert, all, (size_t)count + 1, NULL);
}

/* Writes the key and columns of a whole row, if all are usual. */
static bool write_row(const rows *of, PyObject *key, PyObject *const *columns, PyObject *names, buffer *into) {
    Py_ssize_t count = PyTuple_Size(of->columns), parts = PyLong_AsSsize_t(of->parts);
    if ((names ? PyTuple_Size(names) : 0) != count) return false;
    /* The names of a call's arguments are one object each with those of the table, as all names in a program are. */
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyTuple_GetItem(names, i) != PyTuple_GetItem(of->columns, i)) return false;
    if (parts == 1) {
        if (!is_key(key) || !write_value(into, key)) return false;
    } else {
        if (!is(key, &PyTuple_Type) || PyTuple_Size(key) != parts) return false;
        for (Py_ssize_t i = 0; i < parts; i++) {
            PyObject *part = PyTuple_GetItem(key, i);
            if (!is_key(part) || !write_value(into, part)) return false;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!write_value(into, columns[i])) return false;
    return true;
}

/* db.put(table, key, column=…) */
static PyObject *db_put(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    /* Its room is used again. */
    static buffer encoded;
    db *of = (db *)self;
    rows *gathered = count == 2 ? touched(of, given[0]) : NULL;
    encoded.length = 0;
    if (!gathered || !write_row(gathered, given[1], given + 2, names, &encoded)) goto general;
    PyObject *before = PyDict_GetItemWithError(gathered->rows, given[1]);
    if (before ? !is(before, &PyTuple_Type) : PyErr_Occurred() != NULL) goto general;
    PyObject *bytes = PyBytes_FromStringAndSize((char *)encoded.bytes, (Py_ssize_t)encoded.length);
    PyObject *whole = bytes ? PyTuple_New(2) : NULL;
    bool is_new = !before;
    if (!whole || PyTuple_SetItem(whole, 0, held(of->event)) < 0 || PyTuple_SetItem(whole, 1, bytes) < 0) return NULL;
    int entered = PyDict_SetItem(gathered->rows, given[1], whole);
    Py_DecRef(whole);
    if (entered < 0) return NULL;
    of->bytes += (Py_ssize_t)encoded.length + (is_new ? ROW_BYTES : 0);
    of->grew = true;
    return held(&_Py_NoneStruct);
general:
    PyErr_Clear();
    Py_ssize_t all_count = count + (names ? PyTuple_Size(names) : 0);
    PyObject *all[1 + 2 + 256] = {self};
    if (all_count > 2 + 256) return PyErr_Format(PyExc_TypeError, "put() takes no more than 256 columns");
    memcpy(all + 1, given, (size_t)all_count * sizeof *given);
    return PyObject_Vectorcall(known.put, all, (size_t)count + 1, names);
}

/* run(events, handlers, db): of each type the handler and what reads its data, or None. Where one raises, the event is
 * noted in the database. */
PyObject *run(PyObject *module, PyObject *const *given, Py_ssize_t count) {
    (void)module;
    if (count != 3 || !are_events(given[0])) return PyErr_Format(PyExc_TypeError, "run(events, handlers, db)");
    db *into = (db *)given[2];
    uint32_t events = events_count(given[0]);
    for (uint32_t i = 0; i < events; i++) {
        PyObject *found = PyList_GetItem(given[1], (Py_ssize_t)kind_at(given[0], i));
        if (!found) return NULL;
        if (found == &_Py_NoneStruct) continue;
        PyObject *index = PyLong_FromLong((long)i);
        if (!index) return NULL;
        put(&into->event, index);
        PyObject *event = event_at(given[0], i, index, PyTuple_GetItem(found, 1));
        if (!event) return NULL;
        PyObject *both[] = {event, given[2]};
        PyObject *done = PyObject_Vectorcall(PyTuple_GetItem(found, 0), both, 2, NULL);
        Py_DecRef(event);
        if (!done) return NULL;
        Py_DecRef(done);
        if (!into->grew) continue;
        PyObject *method = PyObject_GetAttr(given[2], name_end), *ended = method ? PyObject_CallNoArgs(method) : NULL;
        drop(method);
        if (!ended) return NULL;
        Py_DecRef(ended);
    }
    return held(&_Py_NoneStruct);
}

#define METHOD(name, function) {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS, NULL}
#define MEMBER(name, type, member) {name, Py_T_OBJECT_EX, offsetof(type, member), 0, NULL}

static PyMemberDef ROW_MEMBERS[] = {
    MEMBER("_db", row, db),
    MEMBER("_rows", row, rows),
    MEMBER("_places", row, places),
    MEMBER("_key", row, key),
    MEMBER("_event", row, event),
    MEMBER("_pending", row, pending),
    MEMBER("_values", row, values),
    MEMBER("_kinds", row, kinds),
    MEMBER("_known", row, known),
    MEMBER("_absent", row, absent),
    {0},
};
static PyMethodDef ROW_METHODS[] = {
    METHOD("set", row_set), METHOD("add", row_add), METHOD("max", row_max), METHOD("min", row_min), {0}};
static PyType_Slot ROW_SLOTS[] = {
    {Py_tp_dealloc, (void *)row_dealloc},
    {Py_tp_members, (void *)ROW_MEMBERS},
    {Py_tp_methods, (void *)ROW_METHODS},
    {Py_tp_new, (void *)new_object},
    {0},
};
static PyType_Spec ROW = {"lantern._native.RowBase", sizeof(row), 0, Py_TPFLAGS_BASETYPE, ROW_SLOTS};

static PyMemberDef ROWS_MEMBERS[] = {
    MEMBER("rows", rows, rows), MEMBER("columns", rows, columns), MEMBER("parts", rows, parts), {0}};
static PyType_Slot ROWS_SLOTS[] = {
    {Py_tp_dealloc, (void *)rows_dealloc},
    {Py_tp_members, (void *)ROWS_MEMBERS},
    {Py_tp_new, (void *)new_object},
    {0},
};
static PyType_Spec ROWS = {"lantern._native.RowsBase", sizeof(rows), 0, Py_TPFLAGS_BASETYPE, ROWS_SLOTS};

static PyMemberDef DB_MEMBERS[] = {
    MEMBER("_touched", db, touched),
    MEMBER("_event", db, event),
    {"_bytes", Py_T_PYSSIZET, offsetof(db, bytes), 0, NULL},
    {"_grew", Py_T_BOOL, offsetof(db, grew), 0, NULL},
    {0},
};
static PyMethodDef DB_METHODS[] = {METHOD("upsert", db_upsert), METHOD("put", db_put), {0}};
static PyType_Slot DB_SLOTS[] = {
    {Py_tp_dealloc, (void *)db_dealloc},
    {Py_tp_members, (void *)DB_MEMBERS},
    {Py_tp_methods, (void *)DB_METHODS},
    {Py_tp_new, (void *)new_object},
    {0},
};
static PyType_Spec DB = {"lantern._native.DbBase", sizeof(db), 0, Py_TPFLAGS_BASETYPE, DB_SLOTS};

int add_rows(PyObject *module) {
    return add_type(module, &ROW) && add_type(module, &ROWS) && add_type(module, &DB) ? 0 : -1;
}
