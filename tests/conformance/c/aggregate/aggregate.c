/* The aggregate of tests/conformance/README.md, which says what each command and event does. */
#include "lantern.h"

static const lantern_manifest MANIFEST = {.name = "counter-c", .topics = LANTERN_LIST("counter-c")};

typedef struct {
    int64_t count, sum;
    lantern_text note;
} counter;

static const lantern_field COUNTER[] = {LANTERN_FIELD(counter, count), LANTERN_FIELD(counter, sum),
                                        LANTERN_OPTIONAL(counter, note), LANTERN_END};

typedef struct {
    int64_t n;
} added;

static const lantern_field ADDED[] = {LANTERN_FIELD(added, n), LANTERN_END};

typedef struct {
    lantern_json n;
} add_many;

static const lantern_field ADD_MANY[] = {LANTERN_FIELD(add_many, n), LANTERN_END};

typedef struct {
    lantern_text text;
} note;

static const lantern_field NOTE[] = {LANTERN_FIELD(note, text), LANTERN_END};

typedef struct {
    lantern_text text, aggregate, id;
    int64_t version, time_ms;
    lantern_text correlation;
} noted;

static const lantern_field NOTED[] = {
    LANTERN_FIELD(noted, text),    LANTERN_FIELD(noted, aggregate), LANTERN_FIELD(noted, id),
    LANTERN_FIELD(noted, version), LANTERN_FIELD(noted, time_ms),   LANTERN_OPTIONAL(noted, correlation),
    LANTERN_END,
};

static const lantern_field NOTHING[] = {LANTERN_END};

static bool add(const counter *is, const lantern_command *command, lantern_decision *decision) {
    added data;
    int64_t sum;
    if (!lantern_command_read(command, ADDED, &data)) return false;
    if (data.n < 0) {
        lantern_reject(decision, "negative", "n is %lld", (long long)data.n);
        return lantern_reject_detail(decision, ADDED, &data);
    }
    if (data.n == 0) return true;
    if (__builtin_add_overflow(is->sum, data.n, &sum))
        return lantern_reject(decision, "overflow", "the sum is %lld", (long long)is->sum);
    return lantern_happens(decision, "Added", ADDED, &data);
}

static bool decide(const void *state, const lantern_command *command, lantern_decision *decision) {
    if (lantern_is(command->name, "Add")) return add(state, command, decision);
    if (lantern_is(command->name, "AddMany")) {
        add_many data;
        lantern_items items;
        if (!lantern_command_read(command, ADD_MANY, &data) || !lantern_json_array(data.n, &items)) return false;
        while (lantern_next(&items)) {
            added one;
            if (!lantern_json_int(items.item, &one.n) || !lantern_happens(decision, "Added", ADDED, &one)) return false;
        }
        return true;
    }
    if (lantern_is(command->name, "Note")) {
        note data;
        if (!lantern_command_read(command, NOTE, &data)) return false;
        noted event = {data.text,        command->aggregate, command->id, command->version,
                       command->time_ms, command->correlation};
        return lantern_happens(decision, "Noted", NOTED, &event);
    }
    if (lantern_is(command->name, "Crash")) {
        char none;
        if (!lantern_command_read(command, NOTHING, &none)) return false;
        lantern_trap("boom");
    }
    return lantern_command_unknown(command);
}

static bool evolve(void *state, const lantern_event *event) {
    counter *is = state;
    if (lantern_is(event->kind, "Added")) {
        added data;
        if (!lantern_read(event, ADDED, &data)) return false;
        is->sum += data.n;
    } else if (lantern_is(event->kind, "Noted")) {
        noted data;
        if (!lantern_read(event, NOTED, &data)) return false;
        is->note = data.text;
    } else if (lantern_is(event->kind, "Crashed")) {
        lantern_trap("boom");
    } else {
        return lantern_bad_input(event, "there is no such event");
    }
    is->count++;
    return true;
}

LANTERN_AGGREGATE(MANIFEST, counter, COUNTER, decide, evolve)
