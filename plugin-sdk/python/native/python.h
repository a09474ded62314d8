/* The part of CPython's C API that the core uses, declared by hand, since CPython's own headers are on no package registry. All of it is
 * in the Stable ABI (https://docs.python.org/3/c-api/stable.html) but one thing: that an object begins with a count and its type, which is so in
 * every CPython that has a GIL. */

#pragma once

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t Py_ssize_t;
typedef struct type PyTypeObject;
typedef struct {
    Py_ssize_t count;
    PyTypeObject *type;
} PyObject;

typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);

typedef struct {
    const char *name;
    PyCFunction function;
    int flags;
    const char *doc;
} PyMethodDef;

typedef struct {
    const char *name;
    int type;
    Py_ssize_t offset;
    int flags;
    const char *doc;
} PyMemberDef;

typedef struct {
    const char *name;
    PyObject *(*get)(PyObject *, void *);
    int (*set)(PyObject *, PyObject *, void *);
    const char *doc;
    void *closure;
} PyGetSetDef;

typedef struct {
    int slot;
    void *function;
} PyType_Slot;

typedef struct {
    const char *name;
    int basicsize;
    int itemsize;
    unsigned flags;
    PyType_Slot *slots;
} PyType_Spec;

typedef struct {
    PyObject head;
    PyObject *(*init)(void);
    Py_ssize_t index;
    PyObject *copy;
    const char *name;
    const char *doc;
    Py_ssize_t size;
    PyMethodDef *methods;
    PyType_Slot *slots;
    void *traverse, *clear, *free;
} PyModuleDef;

enum { METH_KEYWORDS = 0x0002, METH_O = 0x0008, METH_FASTCALL = 0x0080 };
enum { Py_T_PYSSIZET = 19, Py_T_BOOL = 14, Py_T_OBJECT_EX = 16, Py_READONLY = 1 };
enum { Py_mod_exec = 2 };
enum {
    Py_tp_call = 50,
    Py_tp_dealloc = 52,
    Py_tp_init = 60,
    Py_tp_new = 65,
    Py_tp_methods = 64,
    Py_tp_members = 72,
    Py_tp_getset = 73,
    Py_tp_free = 74
};
enum { Py_TPFLAGS_BASETYPE = 1 << 10 };

extern PyObject _Py_NoneStruct, _Py_TrueStruct, _Py_FalseStruct;
extern PyTypeObject PyLong_Type, PyUnicode_Type, PyBytes_Type, PyFloat_Type, PyTuple_Type;
extern PyObject *PyExc_TypeError, *PyExc_IndexError;

void Py_IncRef(PyObject *);
void Py_DecRef(PyObject *);

PyObject *PyModuleDef_Init(PyModuleDef *);
int PyModule_AddObjectRef(PyObject *, const char *, PyObject *);
PyObject *PyType_FromSpec(PyType_Spec *);
PyObject *PyType_GenericAlloc(PyTypeObject *, Py_ssize_t);
void *PyType_GetSlot(PyTypeObject *, int);

PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *);
PyObject *PyObject_Call(PyObject *, PyObject *, PyObject *);
PyObject *PyObject_CallNoArgs(PyObject *);
PyObject *PyObject_GetAttr(PyObject *, PyObject *);
int PyObject_GenericSetAttr(PyObject *, PyObject *, PyObject *);

PyObject *PyLong_FromLong(long);
PyObject *PyLong_FromLongLong(long long);
Py_ssize_t PyLong_AsSsize_t(PyObject *);
long long PyLong_AsLongLongAndOverflow(PyObject *, int *);
PyObject *PyFloat_FromDouble(double);
double PyFloat_AsDouble(PyObject *);
double PyOS_string_to_double(const char *, char **, PyObject *);
PyObject *PyUnicode_InternFromString(const char *);
PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);
PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
int PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
Py_ssize_t PyTuple_Size(PyObject *);
PyObject *PyTuple_New(Py_ssize_t);
PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
int PyTuple_SetItem(PyObject *, Py_ssize_t, PyObject *);
PyObject *PySequence_Tuple(PyObject *);
Py_ssize_t PyList_Size(PyObject *);
PyObject *PyList_New(Py_ssize_t);
PyObject *PyList_GetItem(PyObject *, Py_ssize_t);
int PyList_SetItem(PyObject *, Py_ssize_t, PyObject *);
int PyList_Append(PyObject *, PyObject *);
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *);
int PyDict_SetItem(PyObject *, PyObject *, PyObject *);

PyObject *PyErr_Occurred(void);
void PyErr_Clear(void);
PyObject *PyErr_NoMemory(void);
PyObject *PyErr_Format(PyObject *, const char *, ...);
