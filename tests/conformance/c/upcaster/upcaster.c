/* The upcaster of tests/conformance/README.md, which says what each event becomes. */
#include "lantern.h"

static const lantern_manifest MANIFEST = {
    .name = "upcaster-c",
    .topics = LANTERN_LIST("conformance-old"),
    .types = LANTERN_LIST("CountV1", "RecordV1", "GoneV1", "BadV1"),
};

typedef struct {
    lantern_text account;
    int64_t amount;
} count_v1;

static const lantern_field COUNT_V1[] = {LANTERN_FIELD(count_v1, account), LANTERN_FIELD(count_v1, amount), LANTERN_END};
/* The same data under today's names. */
static const lantern_field COUNT[] = {LANTERN_FIELD(count_v1, account), LANTERN_FIELD_AS(count_v1, amount, "n"), LANTERN_END};

static bool upcast(const lantern_event *event, lantern_upcasts *upcasts) {
    if (lantern_is(event->kind, "CountV1")) {
        count_v1 data;
        return lantern_read(event, COUNT_V1, &data) && lantern_becomes_json(upcasts, "Count", COUNT, &data);
    }
    if (lantern_is(event->kind, "RecordV1")) return lantern_becomes(upcasts, "Record", event->payload);
    if (lantern_is(event->kind, "GoneV1")) return lantern_becomes(upcasts, "Record", (lantern_blob){NULL, 0});
    return lantern_bad_input(event, "refused by the domain");
}

LANTERN_UPCASTER(MANIFEST, upcast)
