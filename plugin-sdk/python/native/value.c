/* Values as they lie in a frame: `encode` of value.py. */

#include "core.h"
#include <stdlib.h>

static uint8_t *room_for(buffer *into, size_t bytes) {
    if (into->room - into->length < bytes) {
        size_t room = (into->room + bytes) * 2;
        uint8_t *grown = realloc(into->bytes, room);
        if (!grown) return NULL;
        into->bytes = grown;
        into->room = room;
    }
    uint8_t *at = into->bytes + into->length;
    into->length += bytes;
    return at;
}

/* Numbers in memory are little-endian in WebAssembly, and where the tests run. */
static bool write_fixed(buffer *into, uint8_t tag, const void *content) {
    uint8_t *at = room_for(into, 9);
    if (!at) return false;
    *at = tag;
    memcpy(at + 1, content, 8);
    return true;
}

static bool write_sized(buffer *into, uint8_t tag, const char *content, Py_ssize_t length) {
    if ((size_t)length >= NONE) return false;
    uint8_t *at = room_for(into, 5 + (size_t)length);
    if (!at) return false;
    uint32_t written = (uint32_t)length;
    *at = tag;
    memcpy(at + 1, &written, 4);
    memcpy(at + 5, content, (size_t)length);
    return true;
}

bool write_value(buffer *into, PyObject *value) {
    long long integer;
    if (as_integer(value, &integer)) return write_fixed(into, 1, &integer);
    if (is(value, &PyUnicode_Type)) {
        Py_ssize_t length;
        const char *text = PyUnicode_AsUTF8AndSize(value, &length);
        if (!text) PyErr_Clear();
        return text && write_sized(into, 3, text, length);
    }
    if (value == &_Py_NoneStruct) {
        uint8_t *at = room_for(into, 1);
        if (at) *at = 0;
        return at != NULL;
    }
    if (is(value, &PyBytes_Type)) {
        char *bytes;
        Py_ssize_t length;
        return PyBytes_AsStringAndSize(value, &bytes, &length) == 0 && write_sized(into, 4, bytes, length);
    }
    if (is(value, &PyFloat_Type)) {
        double number = PyFloat_AsDouble(value);
        return number == number && write_fixed(into, 2, &number);
    }
    return false;
}

PyObject *encode(PyObject *module, PyObject *values) {
    (void)module;
    PyObject *all = PySequence_Tuple(values);
    if (!all) return NULL;
    Py_ssize_t count = PyTuple_Size(all);
    buffer into = {0};
    PyObject *encoded = NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = PyTuple_GetItem(all, i);
        if (write_value(&into, value)) continue;
        /* Its value is one of the usual, or it says what is wrong. */
        PyObject *usual = PyObject_Vectorcall(known.value_of, &value, 1, NULL);
        if (!usual) goto done;
        bool written = write_value(&into, usual);
        Py_DecRef(usual);
        if (written) continue;
        PyErr_NoMemory();
        goto done;
    }
    encoded = PyBytes_FromStringAndSize((char *)into.bytes, (Py_ssize_t)into.length);
done:
    free(into.bytes);
    Py_DecRef(all);
    return encoded;
}
