/* JSON as objects of a class, in one pass over its bytes: what `codec.reader` reads. Whatever is not as the class says
 * is left to that, which reads it anew and says what is wrong: one place knows the words. */

#include "core.h"
#include "json.h"
#include <stdlib.h>

PyTypeObject *reader_type;

/* What a field may be; codec.py has the same numbers. */
enum { TEXT = 1, INTEGER = 2, BOOLEAN = 4, REAL = 8, NOTHING = 16, LIST = 32, RECORD = 64, OTHER = 128 };
/* What a field is that is not there. */
enum { NEEDED, DEFAULT, FACTORY };
enum { FIELDS_MAX = 64 };

/* What a value may be. */
typedef struct shape {
    int kinds;
    PyObject *of;       /* the reader of a RECORD; what reads a text, of OTHER */
    struct shape *item; /* of a LIST */
} shape;

typedef struct {
    const char *name; /* in JSON */
    Py_ssize_t name_length;
    PyObject *attribute;
    int absent;
    PyObject *otherwise; /* the default, or what makes it */
    shape shape;
} field;

/* reader(value): what a value of JSON is as the class. */
typedef struct {
    PyObject head;
    PyObject *read;   /* does it, in Python */
    PyObject *made;   /* the class; NULL where only Python can make it */
    PyObject *called; /* where it has to be called: with arguments of these names */
    field *fields;
    Py_ssize_t count;
} reader;

static PyObject *read_record(text *json, reader *of);
static PyObject *read_value(text *json, const shape *of);

static PyObject *read_list(text *json, const shape *item) {
    PyObject *list = PyList_New(0);
    if (!list || pass(json, ']')) return list;
    if (++json->depth > NESTED_MAX) goto otherwise;
    do {
        PyObject *value = read_value(json, item);
        if (!value) goto otherwise;
        int appended = PyList_Append(list, value);
        Py_DecRef(value);
        if (appended < 0) goto otherwise;
    } while (pass(json, ','));
    json->depth--;
    if (pass(json, ']')) return list;
otherwise:
    Py_DecRef(list);
    return NULL;
}

static PyObject *read_other(text *json, PyObject *read) {
    const char *start = json->at;
    if (!pass_value(json)) return NULL;
    PyObject *written = PyUnicode_DecodeUTF8(start, json->at - start, NULL);
    if (!written) return NULL;
    PyObject *value = PyObject_Vectorcall(read, &written, 1, NULL);
    Py_DecRef(written);
    return value;
}

/* NULL: it is left to Python, whether something was raised or not. */
static PyObject *read_value(text *json, const shape *of) {
    pass_space(json);
    if (json->at == json->end) return NULL;
    int kinds = of->kinds;
    if (kinds & OTHER) return read_other(json, of->of);
    switch (*json->at) {
    case '"':
        json->at++;
        return kinds & TEXT ? read_text(json) : NULL;
    case '{':
        return kinds & RECORD ? read_record(json, (reader *)of->of) : NULL;
    case '[':
        json->at++;
        return kinds & LIST ? read_list(json, of->item) : NULL;
    case 't':
        return kinds & BOOLEAN && pass_word(json, "true") ? held(&_Py_TrueStruct) : NULL;
    case 'f':
        return kinds & BOOLEAN && pass_word(json, "false") ? held(&_Py_FalseStruct) : NULL;
    case 'n':
        return kinds & NOTHING && pass_word(json, "null") ? held(&_Py_NoneStruct) : NULL;
    default:
        return read_number(json, kinds & INTEGER, kinds & REAL);
    }
}

/* The field of a name that was passed; events have them mostly in the order in which the class does. */
static Py_ssize_t field_of(const reader *of, const char *name, Py_ssize_t length, Py_ssize_t likely) {
    for (Py_ssize_t i = 0; i < of->count; i++) {
        Py_ssize_t place = likely + i < of->count ? likely + i : likely + i - of->count;
        const field *field = &of->fields[place];
        if (field->name_length == length && memcmp(field->name, name, (size_t)length) == 0) return place;
    }
    return -1;
}

static bool read_fields(text *json, reader *of, PyObject **values) {
    if (pass(json, '}')) return true;
    Py_ssize_t likely = 0;
    do {
        if (!pass(json, '"')) return false;
        const char *name = json->at;
        bool is_plain;
        if (!pass_text(json, &is_plain) || !is_plain) return false;
        Py_ssize_t place = field_of(of, name, json->at - 1 - name, likely);
        if (!pass(json, ':')) return false;
        if (place < 0) {
            /* A name that is no text is refused by Python; those of the class are texts. */
            PyObject *unknown = PyUnicode_DecodeUTF8(name, json->at - 2 - name, "replace");
            drop(unknown);
            if (!unknown || !pass_value(json)) return false;
            continue;
        }
        PyObject *value = read_value(json, &of->fields[place].shape);
        if (!value) return false;
        /* Of two of a name the last is meant. */
        put(&values[place], value);
        likely = place + 1;
    } while (pass(json, ','));
    return pass(json, '}');
}

/* Gives those their default that are not there. */
static bool fill(reader *of, PyObject **values) {
    for (Py_ssize_t i = 0; i < of->count; i++) {
        const field *field = &of->fields[i];
        if (values[i]) continue;
        if (field->absent == NEEDED) return false;
        values[i] = field->absent == DEFAULT ? held(field->otherwise) : PyObject_CallNoArgs(field->otherwise);
        if (!values[i]) return false;
    }
    return true;
}

/* An instance, made as the class's own `__init__` would, of which codec.py has seen that it only sets the fields. */
static PyObject *with_fields(const reader *of, PyObject **values) {
    PyObject *made = PyType_GenericAlloc((PyTypeObject *)of->made, 0);
    for (Py_ssize_t i = 0; made && i < of->count; i++)
        if (PyObject_GenericSetAttr(made, of->fields[i].attribute, values[i]) < 0) put(&made, NULL);
    return made;
}

static PyObject *read_record(text *json, reader *of) {
    if (!of->fields || ++json->depth > NESTED_MAX || !pass(json, '{')) return NULL;
    PyObject *values[FIELDS_MAX] = {0};
    PyObject *made = NULL;
    if (read_fields(json, of, values) && fill(of, values)) {
        made = of->called == &_Py_NoneStruct ? with_fields(of, values)
                                             : PyObject_Vectorcall(of->made, values, 0, of->called);
    }
    for (Py_ssize_t i = 0; i < of->count; i++)
        drop(values[i]);
    json->depth--;
    return made;
}

PyObject *read_json(PyObject *of, const char *bytes, size_t length) {
    text json = {bytes, bytes + length, 0};
    pass_space(&json);
    PyObject *made = read_record(&json, (reader *)of);
    if (made) {
        pass_space(&json);
        if (json.at == json.end) return made;
        Py_DecRef(made);
    }
    PyErr_Clear();
    return NULL;
}

/* Takes a shape from what codec.py says of it: kinds, and what they are of. */
static int learn_shape(PyObject *said, shape *into) {
    PyObject *kinds = PyTuple_GetItem(said, 0), *of = PyTuple_GetItem(said, 1);
    if (!kinds || !of) return -1;
    into->kinds = (int)PyLong_AsSsize_t(kinds);
    if (into->kinds & LIST) {
        into->item = calloc(1, sizeof *into->item);
        if (!into->item) {
            PyErr_NoMemory();
            return -1;
        }
        return learn_shape(of, into->item);
    }
    into->of = held(of);
    return 0;
}

/* reader.learn(class, fields, called): from now on objects are made here. Of each field the name in JSON, the
 * attribute, what it is when it is not there, and its shape; and the names of the arguments, or None where none of the
 * class's own code has to run. */
static PyObject *learn(PyObject *self, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    (void)names;
    reader *of = (reader *)self;
    if (count != 3) return PyErr_Format(PyExc_TypeError, "learn(class, fields, called)");
    Py_ssize_t fields = PyTuple_Size(given[1]);
    if (fields < 0) return NULL;
    if (fields > FIELDS_MAX) return held(&_Py_NoneStruct);
    /* Readers are kept as long as the instance lives. */
    field *learnt = calloc((size_t)fields + 1, sizeof *learnt);
    if (!learnt) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < fields; i++) {
        PyObject *said = PyTuple_GetItem(given[1], i), *part[5];
        for (int j = 0; j < 5; j++)
            if (!(part[j] = PyTuple_GetItem(said, j))) return NULL;
        field *into = &learnt[i];
        if (!(into->name = PyUnicode_AsUTF8AndSize(held(part[0]), &into->name_length))) return NULL;
        into->attribute = held(part[1]);
        into->absent = (int)PyLong_AsSsize_t(part[2]);
        into->otherwise = held(part[3]);
        if (learn_shape(part[4], &into->shape) < 0 || PyErr_Occurred()) return NULL;
    }
    of->made = held(given[0]);
    of->called = held(given[2]);
    of->count = fields;
    of->fields = learnt;
    return held(&_Py_NoneStruct);
}

static int reader_init(PyObject *self, PyObject *given, PyObject *names) {
    (void)names;
    PyObject *read = PyTuple_GetItem(given, 0);
    if (!read) return -1;
    put(&((reader *)self)->read, held(read));
    return 0;
}

static PyObject *reader_call(PyObject *self, PyObject *given, PyObject *names) {
    return PyObject_Call(((reader *)self)->read, given, names);
}

static void reader_dealloc(PyObject *self) {
    put(&((reader *)self)->read, NULL);
    end(self);
}

static PyMethodDef READER_METHODS[] = {
    {"learn", (PyCFunction)(void (*)(void))learn, METH_FASTCALL | METH_KEYWORDS, NULL}, {0}};
static PyType_Slot READER_SLOTS[] = {
    {Py_tp_init, (void *)reader_init},       {Py_tp_call, (void *)reader_call}, {Py_tp_dealloc, (void *)reader_dealloc},
    {Py_tp_methods, (void *)READER_METHODS}, {Py_tp_new, (void *)new_object},   {0},
};
static PyType_Spec READER = {"lantern._native.Reader", sizeof(reader), 0, 0, READER_SLOTS};

int add_readers(PyObject *module) {
    reader_type = add_type(module, &READER);
    return reader_type ? 0 : -1;
}
