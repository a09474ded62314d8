/* What lantern_test.h does with a process manager. */
#include "lantern_test.h"

static const lantern_manifest MANIFEST = {
    .name = "welcome", .topics = LANTERN_LIST("signups"), .sends = LANTERN_LIST("account"), .headers = LANTERN_LIST("who")};

static bool apply(const lantern_event *event, lantern_db *db) {
    lantern_text who = {(const char *)lantern_header(event, "who").ptr, lantern_header(event, "who").len};
    if (lantern_is(event->kind, "Cancelled")) {
        lantern_cancel(db, who);
        return true;
    }
    if (lantern_is(event->kind, "Asked")) {
        lantern_rows rows;
        return lantern_query(db, &rows, "SELECT key FROM _lantern_outbox");
    }
    lantern_message message = {.aggregate = lantern_str("account"), .id = who, .command = lantern_str("Deposit"),
                               .payload = lantern_str("{\"cents\":500}"), .due_ms = {true, event->timestamp_ms + 1}};
    if (lantern_is(event->kind, "Astray")) message.aggregate = lantern_str("elsewhere");
    lantern_send(db, event, who, message);
    return true;
}

LANTERN_PROJECTION(MANIFEST, apply)

LANTERN_TEST(what_is_sent_waits_in_order_with_its_cause) {
    lantern_given({.type = "SignedUp", .time_ms = 1000, .headers = LANTERN_HEADERS({"who", "zoe"}, {"ce_id", "e-1"})},
                  {.type = "SignedUp", .time_ms = 2000, .headers = LANTERN_HEADERS({"who", "ada"}, {"ce_id", "e-2"})});
    lantern_then_sends({.key = "zoe", .aggregate = "account", .id = "zoe", .command = "Deposit", .due_ms = {true, 1001}},
                       {.key = "ada", .json = LANTERN_JSON({"cents": 500})});
    lantern_then_rows("SELECT causation, correlation FROM _lantern_outbox", LANTERN_ROW("e-1", "e-1"), LANTERN_ROW("e-2", "e-2"));
    lantern_given({.type = "Cancelled", .headers = LANTERN_HEADERS({"who", "zoe"})});
    lantern_given({.type = "Cancelled", .headers = LANTERN_HEADERS({"who", "ada"})});
    lantern_then_sends_nothing();
}

LANTERN_TEST(commands_go_only_where_the_manifest_says_and_are_not_read) {
    lantern_given({.type = "Astray", .headers = LANTERN_HEADERS({"who", "ada"})});
    lantern_then_fails("the manifest's `sends` does not name this aggregate");
    lantern_given(LANTERN_EVENT("Asked"));
    lantern_then_fails("_lantern_outbox cannot be read");
}
