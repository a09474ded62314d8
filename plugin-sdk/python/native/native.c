/* The native core of the SDK: what is done for each event, and for each row. Plugins have it; the unit tests of a
 * plugin, which run in a Python that nothing was compiled for, do the same in Python. */

#include "core.h"

struct known known;
PyObject *name_decode, *name_end, *small[8];

PyTypeObject *add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromSpec(spec);
    const char *name = strrchr(spec->name, '.') + 1;
    if (!type || PyModule_AddObjectRef(module, name, type) < 0) return NULL;
    /* It is kept for ever. */
    return (PyTypeObject *)type;
}

PyObject *new_object(PyTypeObject *type, PyObject *given, PyObject *names) {
    (void)given;
    (void)names;
    return PyType_GenericAlloc(type, 0);
}

/* use(name=…): what the modules in Python have for the core. */
static PyObject *use(PyObject *module, PyObject *const *given, Py_ssize_t count, PyObject *names) {
    (void)module;
    static const struct {
        const char *name;
        PyObject **place;
    } KNOWN[] = {
        {"parse", &known.parse}, {"refuse", &known.refuse}, {"value_of", &known.value_of}, {"event", &known.event},
        {"row", &known.row},     {"set", &known.set},       {"add", &known.add},           {"max", &known.max},
        {"min", &known.min},     {"upsert", &known.upsert}, {"put", &known.put},
    };
    Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    for (Py_ssize_t i = 0; i < named; i++) {
        const char *name = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(names, i), NULL);
        if (!name) return NULL;
        bool is_known = false;
        for (size_t j = 0; j < sizeof KNOWN / sizeof *KNOWN; j++) {
            if (strcmp(name, KNOWN[j].name) != 0) continue;
            put(KNOWN[j].place, held(given[count + i]));
            is_known = true;
        }
        if (!is_known) return PyErr_Format(PyExc_TypeError, "the core has no use for %s", name);
    }
    return held(&_Py_NoneStruct);
}

static PyMethodDef FUNCTIONS[] = {
    {"use", (PyCFunction)(void (*)(void))use, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"encode", encode, METH_O, NULL},
    {"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, NULL},
    {0},
};

static int execute(PyObject *module) {
    for (int i = 0; i < 8; i++)
        if (!(small[i] = PyLong_FromLong(i))) return -1;
    if (!(name_decode = PyUnicode_InternFromString("_decode"))) return -1;
    if (!(name_end = PyUnicode_InternFromString("_end"))) return -1;
    return add_readers(module) < 0 || add_events(module) < 0 || add_rows(module) < 0 ? -1 : 0;
}

static PyType_Slot SLOTS[] = {{Py_mod_exec, (void *)execute}, {0}};
static PyModuleDef MODULE = {.name = "lantern._native", .methods = FUNCTIONS, .slots = SLOTS};

__attribute__((visibility("default"))) PyObject *PyInit__native(void) { return PyModuleDef_Init(&MODULE); }
