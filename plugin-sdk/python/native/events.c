/* The events of a batch, read where they lie in their frame: `Events` and `Raw` of batch.py. */

#include "core.h"

/* frames.md has the layout. */
enum { HEADER_BYTES = 32, ENTRY_BYTES = 12 };
enum { OFFSET = 0, TIMESTAMP = 8, TOPIC = 16, PARTITION = 20, KIND = 24, KEY = 28, PAYLOAD = 36, HEADERS = 44 };

typedef struct {
    PyObject head;
    PyObject *frame;
    PyObject *texts;
    const uint8_t *index, *arena;
    uint32_t count, stride, arena_bytes;
} events;

typedef struct {
    PyObject head;
    PyObject *batch, *read, *data, *index;
    const uint8_t *item;
} event;

static PyTypeObject *events_type;

static uint32_t u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static long long i64(const uint8_t *at) {
    int64_t value;
    memcpy(&value, at, 8);
    return value;
}

static int refuse(const char *what) {
    PyObject *said = PyUnicode_InternFromString(what);
    PyObject *refused = said ? PyObject_Vectorcall(known.refuse, &said, 1, NULL) : NULL;
    drop(said);
    drop(refused);
    return -1;
}

/* Counts bytes that are used; whether they lie in the arena. */
static bool uses(const events *batch, uint32_t pos, uint32_t length, uint64_t *used) {
    if (length == NONE) return true;
    *used += length;
    return (uint64_t)pos + length <= batch->arena_bytes;
}

static int check_headers(const events *batch, const uint8_t *item, uint32_t texts, uint64_t *used) {
    uint64_t at = u32(item + HEADERS), bytes = (uint64_t)u32(item + HEADERS + 4) * ENTRY_BYTES;
    if (at + bytes > batch->arena_bytes) return refuse("the headers");
    *used += bytes;
    /* Before they are looked at: they must not be gone through more often than there are bytes. */
    if (*used > batch->arena_bytes) return 0;
    for (const uint8_t *entry = batch->arena + at; entry < batch->arena + at + bytes; entry += ENTRY_BYTES) {
        if (u32(entry) >= texts) return refuse("a header's name");
        if (!uses(batch, u32(entry + 4), u32(entry + 8), used)) return refuse("a header");
    }
    return 0;
}

static int check(const events *batch) {
    uint32_t texts = (uint32_t)PyList_Size(batch->texts);
    uint64_t used = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        const uint8_t *item = batch->index + (size_t)i * batch->stride;
        if (u32(item + TOPIC) >= texts || u32(item + KIND) >= texts) return refuse("the topic or type");
        if (!uses(batch, u32(item + KEY), u32(item + KEY + 4), &used)) return refuse("the key");
        if (!uses(batch, u32(item + PAYLOAD), u32(item + PAYLOAD + 4), &used)) return refuse("the payload");
        if (check_headers(batch, item, texts, &used) < 0) return -1;
        /* The same bytes twice: that is no part of an item. */
        if (used > batch->arena_bytes) return refuse("");
    }
    return 0;
}

static int events_init(PyObject *self, PyObject *given, PyObject *names) {
    (void)names;
    events *batch = (events *)self;
    PyObject *frame = PyTuple_GetItem(given, 0);
    if (!frame) return -1;
    /* The parts are checked by what knows the words. */
    PyObject *texts = PyObject_Vectorcall(known.parse, &frame, 1, NULL);
    if (!texts) return -1;
    put(&batch->texts, texts);
    char *bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(frame, &bytes, &length) < 0) return -1;
    put(&batch->frame, held(frame));
    const uint8_t *start = (const uint8_t *)bytes;
    batch->count = u32(start + 8);
    batch->stride = u32(start + 12);
    batch->arena_bytes = u32(start + 20);
    batch->index = start + HEADER_BYTES + (size_t)u32(start + 16) * 8;
    batch->arena = batch->index + (size_t)batch->count * batch->stride;
    return check(batch);
}

static void events_dealloc(PyObject *self) {
    put(&((events *)self)->frame, NULL);
    put(&((events *)self)->texts, NULL);
    end(self);
}

static PyObject *kinds(PyObject *self, void *closure) {
    (void)closure;
    const events *batch = (const events *)self;
    PyObject *list = PyList_New((Py_ssize_t)batch->count);
    for (uint32_t i = 0; list && i < batch->count; i++) {
        PyObject *kind = PyLong_FromLong((long)kind_at(self, i));
        if (!kind || PyList_SetItem(list, (Py_ssize_t)i, kind) < 0) put(&list, NULL);
    }
    return list;
}

static void event_fill(event *self, events *batch, PyObject *index, uint32_t at, PyObject *read) {
    put(&self->batch, held((PyObject *)batch));
    put(&self->index, held(index));
    put(&self->read, held(read));
    put(&self->data, NULL);
    self->item = batch->index + (size_t)at * batch->stride;
}

/* Event(batch, index, read) */
static int event_init(PyObject *self, PyObject *given, PyObject *names) {
    (void)names;
    PyObject *batch = PyTuple_GetItem(given, 0), *index = PyTuple_GetItem(given, 1), *read = PyTuple_GetItem(given, 2);
    if (!batch || !index || !read) return -1;
    Py_ssize_t at = PyLong_AsSsize_t(index);
    if (at == -1 && PyErr_Occurred()) return -1;
    if (!is(batch, events_type) || at < 0 || at >= (Py_ssize_t)((events *)batch)->count) {
        PyErr_Format(PyExc_IndexError, "there is no event %zd", at);
        return -1;
    }
    event_fill((event *)self, (events *)batch, index, (uint32_t)at, read);
    return 0;
}

static void event_dealloc(PyObject *self) {
    event *of = (event *)self;
    put(&of->batch, NULL);
    put(&of->read, NULL);
    put(&of->data, NULL);
    put(&of->index, NULL);
    end(self);
}

static const events *batch_of(PyObject *self) { return (const events *)((event *)self)->batch; }

static PyObject *text_at(PyObject *self, size_t place) {
    event *of = (event *)self;
    /* It was checked that there is such a text. */
    return held(PyList_GetItem(batch_of(self)->texts, (Py_ssize_t)u32(of->item + place)));
}

static PyObject *part(const events *batch, const uint8_t *at) {
    uint32_t length = u32(at + 4);
    if (length == NONE) return held(&_Py_NoneStruct);
    return PyBytes_FromStringAndSize((const char *)batch->arena + u32(at), (Py_ssize_t)length);
}

static PyObject *event_type(PyObject *self, void *closure) {
    (void)closure;
    return text_at(self, KIND);
}

static PyObject *event_topic(PyObject *self, void *closure) {
    (void)closure;
    return text_at(self, TOPIC);
}

static PyObject *event_partition(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong((int32_t)u32(((event *)self)->item + PARTITION));
}

static PyObject *event_offset(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLongLong(i64(((event *)self)->item + OFFSET));
}

static PyObject *event_timestamp(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLongLong(i64(((event *)self)->item + TIMESTAMP));
}

static PyObject *event_key(PyObject *self, void *closure) {
    (void)closure;
    return part(batch_of(self), ((event *)self)->item + KEY);
}

static PyObject *event_payload(PyObject *self, void *closure) {
    (void)closure;
    return part(batch_of(self), ((event *)self)->item + PAYLOAD);
}

static PyObject *event_data(PyObject *self, void *closure) {
    (void)closure;
    event *of = (event *)self;
    if (of->data) return held(of->data);
    const events *batch = batch_of(self);
    uint32_t pos = u32(of->item + PAYLOAD), length = u32(of->item + PAYLOAD + 4);
    PyObject *data = NULL;
    if (is(of->read, reader_type) && length != NONE)
        data = read_json(of->read, (const char *)batch->arena + pos, length);
    if (!data) {
        PyObject *given[] = {self, of->read};
        PyObject *decode = PyObject_GetAttr((PyObject *)self->type, name_decode);
        data = decode ? PyObject_Vectorcall(decode, given, 2, NULL) : NULL;
        drop(decode);
        if (!data) return NULL;
    }
    put(&of->data, data);
    return held(data);
}

static PyObject *event_headers(PyObject *self, void *closure) {
    (void)closure;
    const events *batch = batch_of(self);
    const uint8_t *item = ((event *)self)->item, *entry = batch->arena + u32(item + HEADERS);
    uint32_t count = u32(item + HEADERS + 4);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint32_t i = 0; list && i < count; i++, entry += ENTRY_BYTES) {
        PyObject *pair = PyTuple_New(2), *value = part(batch, entry + 4);
        bool is_made = pair && value &&
                       PyTuple_SetItem(pair, 0, held(PyList_GetItem(batch->texts, (Py_ssize_t)u32(entry)))) == 0 &&
                       PyTuple_SetItem(pair, 1, value) == 0;
        if (!is_made || PyList_SetItem(list, (Py_ssize_t)i, pair) < 0) put(&list, NULL);
    }
    return list;
}

/* event.header(name) */
static PyObject *event_header(PyObject *self, PyObject *name) {
    const events *batch = batch_of(self);
    const uint8_t *item = ((event *)self)->item, *entry = batch->arena + u32(item + HEADERS);
    Py_ssize_t length;
    const char *wanted = is(name, &PyUnicode_Type) ? PyUnicode_AsUTF8AndSize(name, &length) : NULL;
    if (!wanted) {
        PyErr_Clear();
        return held(&_Py_NoneStruct);
    }
    for (uint32_t i = u32(item + HEADERS + 4); i > 0; i--, entry += ENTRY_BYTES) {
        PyObject *found = PyList_GetItem(batch->texts, (Py_ssize_t)u32(entry));
        Py_ssize_t found_length;
        const char *text = PyUnicode_AsUTF8AndSize(found, &found_length);
        if (!text) return NULL;
        if (found_length == length && memcmp(text, wanted, (size_t)length) == 0) return part(batch, entry + 4);
    }
    return held(&_Py_NoneStruct);
}

static PyMemberDef EVENTS_MEMBERS[] = {
    {"texts", Py_T_OBJECT_EX, offsetof(events, texts), Py_READONLY, NULL},
    {0},
};
static PyGetSetDef EVENTS_GETSET[] = {{"kinds", kinds, NULL, NULL, NULL}, {0}};
static PyType_Slot EVENTS_SLOTS[] = {
    {Py_tp_init, (void *)events_init},       {Py_tp_dealloc, (void *)events_dealloc},
    {Py_tp_members, (void *)EVENTS_MEMBERS}, {Py_tp_getset, (void *)EVENTS_GETSET},
    {Py_tp_new, (void *)new_object},         {0},
};
static PyType_Spec EVENTS = {"lantern._native.Events", sizeof(events), 0, 0, EVENTS_SLOTS};

static PyMemberDef EVENT_MEMBERS[] = {
    {"index", Py_T_OBJECT_EX, offsetof(event, index), Py_READONLY, NULL},
    {0},
};
static PyMethodDef EVENT_METHODS[] = {{"header", event_header, METH_O, NULL}, {0}};
static PyGetSetDef EVENT_GETSET[] = {
    {"type", event_type, NULL, NULL, NULL},
    {"topic", event_topic, NULL, NULL, NULL},
    {"partition", event_partition, NULL, NULL, NULL},
    {"offset", event_offset, NULL, NULL, NULL},
    {"timestamp_ms", event_timestamp, NULL, NULL, NULL},
    {"key", event_key, NULL, NULL, NULL},
    {"payload", event_payload, NULL, NULL, NULL},
    {"data", event_data, NULL, NULL, NULL},
    {"headers", event_headers, NULL, NULL, NULL},
    {0},
};
static PyType_Slot EVENT_SLOTS[] = {
    {Py_tp_init, (void *)event_init},
    {Py_tp_dealloc, (void *)event_dealloc},
    {Py_tp_members, (void *)EVENT_MEMBERS},
    {Py_tp_methods, (void *)EVENT_METHODS},
    {Py_tp_getset, (void *)EVENT_GETSET},
    {Py_tp_new, (void *)new_object},
    {0},
};
static PyType_Spec EVENT = {"lantern._native.Raw", sizeof(event), 0, Py_TPFLAGS_BASETYPE, EVENT_SLOTS};

PyObject *event_at(PyObject *batch, uint32_t at, PyObject *index, PyObject *read) {
    PyObject *made = PyType_GenericAlloc((PyTypeObject *)known.event, 0);
    if (made) event_fill((event *)made, (events *)batch, index, at, read);
    return made;
}

uint32_t events_count(PyObject *batch) { return ((events *)batch)->count; }

uint32_t kind_at(PyObject *batch, uint32_t at) {
    const events *of = (const events *)batch;
    return u32(of->index + (size_t)at * of->stride + KIND);
}

bool are_events(PyObject *object) { return is(object, events_type); }

int add_events(PyObject *module) {
    events_type = add_type(module, &EVENTS);
    return events_type && add_type(module, &EVENT) ? 0 : -1;
}
