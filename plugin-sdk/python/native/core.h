/* What the files of the core share. Each thing that is done here is done in Python too, by the module that is named
 * beside it: that says what is meant, and does whatever is unusual or wrong. So nothing here words an error. */

#pragma once

#include "python.h"
#include <stdbool.h>
#include <string.h>

/* No key, payload or header. */
#define NONE 0xFFFFFFFFu

static inline bool is(PyObject *object, PyTypeObject *type) { return object->type == type; }

static inline PyObject *held(PyObject *object) {
    Py_IncRef(object);
    return object;
}

static inline void drop(PyObject *object) {
    if (object) Py_DecRef(object);
}

/* Puts an object into a place that had one, or none. */
static inline void put(PyObject **place, PyObject *object) {
    PyObject *before = *place;
    *place = object;
    drop(before);
}

/* Whether it is an integer of 64 bits. */
static inline bool as_integer(PyObject *value, long long *number) {
    int overflow;
    if (!is(value, &PyLong_Type)) return false;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}

/* Ends an object: what it held was let go. Its class may be one in Python, which says how it is freed. */
static inline void end(PyObject *object) {
    PyTypeObject *type = object->type;
    ((void (*)(void *))PyType_GetSlot(type, Py_tp_free))(object);
    Py_DecRef((PyObject *)type);
}

/* What the modules in Python have said of themselves (`use`), and what is asked for by name. */
extern struct known {
    PyObject *parse, *refuse;        /* batch.py: what splits a frame; what raises for one that is none */
    PyObject *value_of;              /* value.py */
    PyObject *event, *row;           /* the classes of which events and rows are made */
    PyObject *set, *add, *max, *min; /* rows.py: the methods of rows, for whatever is given */
    PyObject *upsert, *put;          /* db.py: the same */
} known;
extern PyObject *name_decode, *name_end;
/* The numbers that say how a column is changed and what is to be written of a row, as rows.py has them. */
extern PyObject *small[8];
enum { UNCHANGED, SET, ADD, MAX, MIN };
enum { UPSERTED = 1, FLUSHED = 5 };

/* value.c: values as they are written. */
typedef struct {
    uint8_t *bytes;
    size_t length, room;
} buffer;
/* Whether it is written: it is one of the usual, and there is memory. Nothing is raised. */
bool write_value(buffer *into, PyObject *value);
PyObject *encode(PyObject *module, PyObject *values);

/* reader.c: JSON as objects of a class. */
extern PyTypeObject *reader_type;
/* The JSON as an object of the reader's class; NULL, with nothing raised: Python has to look at it. */
PyObject *read_json(PyObject *reader, const char *json, size_t length);

/* events.c: the events of a batch. */
bool are_events(PyObject *object);
uint32_t events_count(PyObject *batch);
/* The event's type, as its place among the texts. */
uint32_t kind_at(PyObject *batch, uint32_t at);
PyObject *event_at(PyObject *batch, uint32_t at, PyObject *index, PyObject *read);

/* rows.c: gives each event of a batch to its handler. */
PyObject *run(PyObject *module, PyObject *const *given, Py_ssize_t count);

/* Each adds its types and functions. -1: an error is raised. */
int add_readers(PyObject *module);
int add_events(PyObject *module);
int add_rows(PyObject *module);

PyTypeObject *add_type(PyObject *module, PyType_Spec *spec);
/* An object of a type, with nothing in it yet. */
PyObject *new_object(PyTypeObject *type, PyObject *given, PyObject *names);
