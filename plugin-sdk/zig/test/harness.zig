//! What lantern.testing does with plugins of each kind: `zig build test`.

const std = @import("std");
const lantern = @import("lantern");
const testing = lantern.testing;
const expectEqual = std.testing.expectEqual;

const Vals = lantern.Table("vals", struct { id: []const u8 }, struct { v: lantern.Value });
const Counts = lantern.Table("counts", struct { id: []const u8 }, struct { n: i64 });

const Thing = union(enum) {
    Put,
    Add: struct { id: []const u8, n: i64 },
    Sum,
    Execute: struct { sql: []const u8 },
    Fail: struct { id: []const u8 },
    Seen,
};

const Things = struct {
    pub const manifest: lantern.Manifest = .{
        .name = "things",
        .topics = &.{"things"},
        .types = lantern.typesOf(Thing),
        .headers = &.{"trace"},
        .schema = &.{
            "CREATE TABLE vals (id TEXT PRIMARY KEY, v)",
            "CREATE TABLE counts (id TEXT PRIMARY KEY, n INTEGER NOT NULL DEFAULT 7 CHECK (n < 100))",
            \\CREATE TABLE seen (id INTEGER PRIMARY KEY, topic TEXT, partition INTEGER, position INTEGER, time_ms INTEGER,
            \\    key BLOB, payload BLOB, trace BLOB, other BLOB)
        },
        .queries = &.{.{ .name = "count", .sql = "SELECT n FROM counts WHERE id = :id" }},
    };

    pub fn apply(event: *const lantern.Event, db: *lantern.Db) !void {
        if (std.mem.eql(u8, event.kind, "Seen")) return seen(event, db);
        switch (try event.decode(Thing)) {
            .Put => for (stored) |is| db.put(Vals, .{ .id = is.@"0" }, .{ .v = is.@"1" }),
            .Add => |is| db.upsert(Counts, .{ .id = is.id }, .{ .n = lantern.add(is.n) }),
            .Sum => {
                const sum = try db.queryValue(i64, "SELECT sum(n) FROM counts", .{});
                const a = try db.get(Counts, .{ .id = "a" });
                db.put(Vals, .{ .id = "sum" }, .{ .v = try .of(sum) });
                db.put(Vals, .{ .id = "a" }, .{ .v = try .of(if (a) |row| row.n else null) });
            },
            .Execute => |is| inline for (refused) |case| {
                if (std.mem.eql(u8, case[0], is.sql)) return if (comptime std.mem.startsWith(u8, case[0], "DELETE FROM vals RETURNING")) queried(db, case[0]) else db.execute(case[0], .{});
            },
            .Fail => |is| return event.badInput("no {s}", .{is.id}),
            .Seen => unreachable,
        }
    }

    fn maybe(bytes: ?[]const u8) ?lantern.Blob {
        return blob(bytes orelse return null);
    }

    fn queried(db: *lantern.Db, comptime sql: []const u8) !void {
        _ = try db.query(sql, .{});
    }

    fn seen(event: *const lantern.Event, db: *lantern.Db) !void {
        try db.execute("INSERT INTO seen VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", .{
            event.topic,         event.partition,         event.offset,                     event.timestamp_ms,
            maybe(event.key), maybe(event.payload), maybe(event.header("trace")), maybe(event.header("other")),
        });
    }
};

const stored = [_]struct { []const u8, lantern.Value }{
    .{ "beyond a real", .{ .integer = 9007199254740993 } },
    .{ "blob", .{ .blob = "\x00\xff" } },
    .{ "empty blob", .{ .blob = "" } },
    .{ "empty text", .{ .text = "" } },
    .{ "largest", .{ .integer = std.math.maxInt(i64) } },
    .{ "least", .{ .integer = std.math.minInt(i64) } },
    .{ "null", .null },
    .{ "real", .{ .real = 1.5 } },
    .{ "text", .{ .text = "it's é" } },
    .{ "whole real", .{ .real = 2 } },
};

/// Statements, and why they are refused.
const refused = .{
    .{ "INSERT INTO nowhere VALUES (1)", "no such table: nowhere\n  in: INSERT INTO nowhere" },
    .{ "INSERT INTO vals VALUES (?1, 1)", "the statement has 1 parameters, 0 values were given" },
    .{ "DELETE FROM vals; DELETE FROM counts", "Multiple statements" },
    .{ "DELETE FROM vals RETURNING id", "a query must not write" },
    .{ "INSERT INTO vals VALUES ('r', random())", "random() gives other rows at every replay" },
    .{ "COMMIT", "a batch is one transaction" },
    .{ "PRAGMA foreign_keys = OFF", "the engine owns the settings" },
    .{ "CREATE TABLE more (id)", "tables are made by the manifest's schema" },
    .{ "ATTACH ':memory:' AS other", "a read model is one file" },
};

fn blob(bytes: []const u8) lantern.Blob {
    return .{ .bytes = bytes };
}

fn add(id: []const u8, n: i64) testing.Event {
    return .of(Thing{ .Add = .{ .id = id, .n = n } });
}

test "values of every kind are stored as they are" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    try things.apply(&.{.of(Thing.Put)});
    try things.expectRows("SELECT id, v, typeof(v) FROM vals ORDER BY id", .{
        .{ "beyond a real", 9007199254740993, "integer" },
        .{ "blob", blob("\x00\xff"), "blob" },
        .{ "empty blob", blob(""), "blob" },
        .{ "empty text", "", "text" },
        .{ "largest", std.math.maxInt(i64), "integer" },
        .{ "least", std.math.minInt(i64), "integer" },
        .{ "null", null, "null" },
        .{ "real", 1.5, "real" },
        .{ "text", "it's é", "text" },
        .{ "whole real", 2.0, "real" },
    });
}

test "each read model begins with empty tables" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    try things.apply(&.{add("a", 1)});
    var others: testing.ReadModel(Things) = try .init();
    defer others.deinit();
    try others.expectRows("SELECT * FROM counts", .{});
    try others.apply(&.{add("a", 2)});
    try things.expectRows("SELECT * FROM counts", .{.{ "a", 1 }});
}

test "a read sees what the batch has written, and what was before it" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    try things.apply(&.{add("a", 1)});
    try things.apply(&.{ add("b", 20), add("a", 2), .of(Thing.Sum) });
    try things.expectRows("SELECT id, v FROM vals ORDER BY id", .{ .{ "a", 3 }, .{ "sum", 23 } });
    const counts = try things.query(struct { n: i64 }, "count", .{"b"});
    try std.testing.expectEqualDeep(&[_]@TypeOf(counts[0]){.{ .n = 20 }}, counts);
}

test "an event is given with all that it has" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    try things.apply(&.{
        .{ .kind = "Seen", .payload = "{\"a\":1}", .record = .{
            .key = "k",
            .topic = "other",
            .partition = 3,
            .offset = 17,
            .timestamp_ms = 5,
            .headers = &.{ .{ .name = "trace", .value = "t-1" }, .{ .name = "other", .value = "x" } },
        } },
        .{ .kind = "Seen", .payload = "\x00\x01", .record = .{ .key = "\xff", .headers = &.{.{ .name = "trace", .value = null }} } },
        .{ .kind = "Seen", .payload = null },
    });
    try things.expectRows("SELECT topic, partition, position, time_ms, key, payload, trace, other FROM seen", .{
        .{ "other", 3, 17, 5, blob("k"), blob("{\"a\":1}"), blob("t-1"), null },
        .{ "things", 0, 18, 5, blob("\xff"), blob("\x00\x01"), null, null },
        .{ "things", 0, 19, 5, null, null, null, null },
    });
}

test "types that are not read are passed over and count in offsets" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    try things.apply(&.{ .{ .kind = "Unread" }, .of(Thing.Seen) });
    try things.expectRows("SELECT position, time_ms FROM seen", .{.{ 1, 1767225600000 }});
}

test "an event that fails is named and leaves nothing of its batch" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    try things.apply(&.{add("a", 1)});
    const failing = [_]testing.Event{ .{ .kind = "Unread" }, add("b", 1), .of(Thing{ .Fail = .{ .id = "way" } }) };
    try things.expectFailure("things/0@3 (Fail): no way", 2, &failing);
    try expectEqual(.bad_input, things.attempt(&failing).?.fault);
    try things.expectRows("SELECT id, n FROM counts", .{.{ "a", 1 }});
    try things.apply(&.{add("c", 1)});
    try things.expectRows("SELECT id FROM counts", .{ .{"a"}, .{"c"} });
}

test "a constraint names the event that broke it" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    const failing = [_]testing.Event{ add("a", 1), add("b", 100), add("c", 1) };
    try things.expectFailure("CHECK constraint failed", 1, &failing);
    try expectEqual(.conflict, things.attempt(&failing).?.fault);
    try things.expectRows("SELECT * FROM counts", .{});
}

test "SQL that SQLite or the host refuses is said with its reason" {
    var things: testing.ReadModel(Things) = try .init();
    defer things.deinit();
    inline for (refused) |case| {
        try things.expectFailure(case[1], 0, &.{.of(Thing{ .Execute = .{ .sql = case[0] } })});
    }
}

const Signup = union(enum) { SignedUp, Verified, Astray, Asked };
const Ask = union(enum) { Deposit: struct { cents: i64 }, Remind };

const Welcome = struct {
    pub const manifest: lantern.Manifest = .{ .name = "welcome", .topics = &.{"signups"}, .sends = &.{"account"}, .headers = &.{"who"} };

    pub fn apply(event: *const lantern.Event, db: *lantern.Db) !void {
        const who = event.header("who") orelse "";
        switch (try event.decode(Signup)) {
            .SignedUp => {
                db.send(event, lantern.format("welcome/{s}", .{who}), .{ .aggregate = "account", .id = who }, Ask{ .Deposit = .{ .cents = 500 } });
                db.send(event, "remind", .{ .aggregate = "account", .id = who, .due_ms = event.timestamp_ms + 1 }, Ask.Remind);
            },
            .Verified => db.cancel("remind"),
            .Astray => db.send(event, "astray", .{ .aggregate = "elsewhere", .id = who }, Ask.Remind),
            .Asked => _ = try db.query("SELECT key FROM _lantern_outbox", .{}),
        }
    }
};

test "what is sent waits in order, with its cause" {
    var welcome: testing.ReadModel(Welcome) = try .init();
    defer welcome.deinit();
    const headers = [_]testing.Header{ .{ .name = "who", .value = "ada" }, .{ .name = "ce_id", .value = "e-1" } };
    try welcome.apply(&.{.with(Signup.SignedUp, .{ .timestamp_ms = 1000, .headers = &headers })});
    const bonus: testing.Sent = .of("welcome/ada", .{ .aggregate = "account", .id = "ada" }, Ask{ .Deposit = .{ .cents = 500 } });
    try welcome.expectSent(&.{ bonus, .of("remind", .{ .aggregate = "account", .id = "ada", .due_ms = 1001 }, Ask.Remind) });
    try welcome.expectRows("SELECT DISTINCT causation, correlation FROM _lantern_outbox", .{.{ "e-1", "e-1" }});
    try welcome.apply(&.{.of(Signup.Verified)});
    try welcome.expectSent(&.{bonus});
}

test "commands go only where the manifest says, and are not read" {
    var welcome: testing.ReadModel(Welcome) = try .init();
    defer welcome.deinit();
    try welcome.expectFailure("the manifest's `sends` does not name this aggregate", 0, &.{.of(Signup.Astray)});
    try welcome.expectFailure("_lantern_outbox cannot be read", 0, &.{.of(Signup.Asked)});
}

const Account = struct {
    cents: i64 = 0,
    owner: ?[]const u8 = null,

    pub const manifest: lantern.Manifest = .{ .name = "account", .topics = &.{"accounts"} };
    pub const Command = union(enum) { Withdraw: struct { cents: i64 }, Look };
    pub const Event = union(enum) {
        Deposited: struct { cents: i64, owner: ?[]const u8 = null },
        Withdrawn: struct { cents: i64 },
        Looked: struct { id: []const u8, version: i64, time_ms: i64, correlation: ?[]const u8 },
        Noted,
    };

    pub fn decide(account: Account, command: Command, decision: *lantern.Decision(Event)) !void {
        switch (command) {
            .Look => decision.happens(.{ .Looked = .{
                .id = decision.id,
                .version = decision.version,
                .time_ms = decision.time_ms,
                .correlation = decision.correlation,
            } }),
            .Withdraw => |asked| {
                if (asked.cents == 0) return;
                if (asked.cents > account.cents) {
                    return decision.rejectWith(.{ .missing = asked.cents - account.cents }, "overdrawn", "there are only {d} cents", .{account.cents});
                }
                decision.happens(.{ .Withdrawn = .{ .cents = asked.cents } });
                decision.happens(.Noted);
            },
        }
    }

    pub fn evolve(account: *Account, event: Event) void {
        switch (event) {
            .Deposited => |is| account.* = .{ .cents = account.cents + is.cents, .owner = is.owner orelse account.owner },
            .Withdrawn => |is| account.cents -= is.cents,
            .Looked, .Noted => {},
        }
    }
};

test "a command leads to events" {
    const account = try testing.given(Account, &.{.{ .Deposited = .{ .cents = 500, .owner = "Ada" } }});
    try account.when(.{ .Withdraw = .{ .cents = 200 } }).expectEvents(&.{ .{ .Withdrawn = .{ .cents = 200 } }, .Noted });
    try account.when(.{ .Withdraw = .{ .cents = 0 } }).expectEvents(&.{});
    const later = try account.then(&.{.{ .Withdrawn = .{ .cents = 200 } }});
    try std.testing.expectEqualDeep(Account{ .cents = 300, .owner = "Ada" }, try later.state());
    try expectEqual(2, later.version);
}

test "the domain says no, by a code and a detail" {
    const outcome = (try testing.given(Account, &.{})).when(.{ .Withdraw = .{ .cents = 1 } });
    try outcome.expectRejected("overdrawn");
    try std.testing.expectEqualStrings("there are only 0 cents", outcome.rejection.?.message);
    try std.testing.expectEqualStrings("{\"missing\":1}", outcome.rejection.?.detail.?);
}

test "integers are exact in states and events" {
    const account = try testing.given(Account, &.{.{ .Deposited = .{ .cents = 9007199254740993 } }});
    try expectEqual(9007199254740993, (try account.state()).cents);
    try account.when(.{ .Withdraw = .{ .cents = 9007199254740992 } }).expectEvents(&.{ .{ .Withdrawn = .{ .cents = 9007199254740992 } }, .Noted });
}

test "a command is decided with what is said of it" {
    const account = try testing.given(Account, &.{.Noted});
    try account.whenWith(.Look, .{ .id = "ada", .time_ms = 17, .correlation = "c-1" }).expectEvents(&.{
        .{ .Looked = .{ .id = "ada", .version = 1, .time_ms = 17, .correlation = "c-1" } },
    });
}

test "a command that fails says why" {
    const account = try testing.given(Account, &.{});
    try account.whenNamed("Burn", "{}", .{}).expectFailure("account id: the command Burn: there is no such command");
    try account.whenNamed("Withdraw", "{\"cents\":\"much\"}", .{}).expectFailure("expected an integer");
}

const Old = union(enum) { DepositedV1: struct { amount: i64 }, Closed };
const Today = union(enum) { Deposited: struct { cents: i64 }, Ended };

const Upgrades = struct {
    pub const manifest: lantern.Manifest = .{ .name = "upgrades", .topics = &.{"accounts"}, .types = lantern.typesOf(Old) };

    pub fn upcast(event: *const lantern.Event) !lantern.Upcast {
        return switch (try event.decode(Old)) {
            .DepositedV1 => |old| .to(Today{ .Deposited = .{ .cents = old.amount * 100 } }),
            .Closed => .{ .kind = "Ended", .payload = null },
        };
    }
};

test "each event becomes what it is today" {
    try testing.upcast(Upgrades, .of(Old{ .DepositedV1 = .{ .amount = 5 } })).expectEvent(Today{ .Deposited = .{ .cents = 500 } });
    try testing.upcast(Upgrades, .of(Old.Closed)).expectTombstone("Ended");
}

test "one that cannot be upgraded says why" {
    const old: testing.Event = .{ .kind = "DepositedV1", .payload = "{\"amount\":\"five\"}" };
    try testing.upcast(Upgrades, old).expectFailure("accounts/0@0 (DepositedV1): expected an integer");
}
