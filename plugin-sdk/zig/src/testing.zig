//! Tests plugins natively, without WebAssembly and without a host: given events, when a command, then rows, events, a rejection.
//!
//!     test "a balance is what came in without what went out" {
//!         var balances: testing.ReadModel(Balances) = try .init();
//!         defer balances.deinit();
//!         try balances.apply(&.{
//!             .of(Account{ .Deposited = .{ .account = "ada", .cents = 500 } }),
//!             .of(Account{ .Withdrawn = .{ .account = "ada", .cents = 200 } }),
//!         });
//!         try balances.expectRows("SELECT account, cents FROM balances", .{.{ "ada", 300 }});
//!     }
//!
//!     test "an account is never overdrawn" {
//!         const account = try testing.given(Account, &.{.{ .Deposited = .{ .cents = 500 } }});
//!         try account.when(.{ .Withdraw = .{ .cents = 501 } }).expectRejected("overdrawn");
//!     }
//!
//!     test "old deposits have cents" {
//!         try testing.upcast(Upgrades, .of(Old{ .DepositedV1 = .{ .amount = 5 } })).expectEvent(Today{ .Deposited = .{ .cents = 500 } });
//!     }
//!
//! Events, commands and states take the way that they take in the host: as frames, and as JSON. What is handed out lives as long as
//! the program of the tests. A panic of the plugin ends that program, with its message and its stack.

const std = @import("std");
const aggregate_ = @import("aggregate.zig");
const errors = @import("errors.zig");
const event_ = @import("event.zig");
const frame = @import("frame.zig");
const host = @import("host.zig");
const json = @import("json.zig");
const plugin = @import("plugin.zig");
const value = @import("value.zig");
const Answer = host.Answer;
const Sqlite = @import("sqlite.zig").Sqlite;
const To = @import("db.zig").To;
const Value = value.Value;
const failPrint = std.testing.failPrint;

/// Why events or a command failed, and which of the events is at fault, counted from 0.
pub const Failure = errors.Failure;

/// 2026-01-01T00:00:00Z
const first_ms = 1767225600000;

pub const Header = frame.Header;

/// What an event has beside its type and data.
pub const Record = struct {
    key: ?[]const u8 = null,
    headers: []const Header = &.{},
    /// The manifest's first.
    topic: ?[]const u8 = null,
    partition: i32 = 0,
    /// Counts up.
    offset: ?i64 = null,
    /// That of the event before; of the first, 2026-01-01T00:00:00Z.
    timestamp_ms: ?i64 = null,
};

/// An event that is given.
pub const Event = struct {
    kind: []const u8,
    /// null: a tombstone.
    payload: ?[]const u8 = "{}",
    record: Record = .{},

    /// A variant of a `union(enum)`, which names the type.
    pub fn of(variant: anytype) Event {
        return .with(variant, .{});
    }

    pub fn with(variant: anytype, record: Record) Event {
        const encoded = event_.encode(variant);
        return .{ .kind = encoded.kind, .payload = encoded.payload, .record = record };
    }
};

/// A command that a process manager has sent: what it gives to `db.send`.
pub const Sent = struct {
    key: []const u8,
    to: To,
    kind: []const u8,
    payload: []const u8,

    /// A variant of a `union(enum)`, which names the command.
    pub fn of(key: []const u8, to: To, command: anytype) Sent {
        const encoded = event_.encode(command);
        return .{ .key = key, .to = to, .kind = encoded.kind, .payload = encoded.payload };
    }
};

/// Makes frames of events.
const Batch = struct {
    topic: []const u8,
    next: i64 = 0,
    time_ms: i64 = first_ms,

    fn of(comptime Plugin: type) Batch {
        return .{ .topic = if (Plugin.manifest.topics.len > 0) Plugin.manifest.topics[0] else "topic" };
    }

    fn push(batch: *Batch, writer: *frame.Writer, event: Event, headers: ?[]const []const u8) void {
        const record = event.record;
        const offset = record.offset orelse batch.next;
        batch.next = offset + 1;
        batch.time_ms = record.timestamp_ms orelse batch.time_ms;
        writer.record(.{
            .kind = event.kind,
            .topic = record.topic orelse batch.topic,
            .partition = record.partition,
            .offset = offset,
            .timestamp_ms = batch.time_ms,
            .key = record.key,
            .payload = event.payload,
            .headers = "",
        }, record.headers, headers);
    }
};

fn isListed(list: []const []const u8, name: []const u8) bool {
    for (list) |known| if (std.mem.eql(u8, known, name)) return true;
    return false;
}

fn failureOf(answer: *const Answer) ?Failure {
    if (answer.failed == 0) return null;
    const is = answer.is.failure;
    return .{
        .fault = @enumFromInt(is.fault),
        .message = host.copied(is.message.slice()),
        .index = if (is.has_index != 0) is.index else null,
    };
}

fn printFailure(failure: Failure) void {
    if (failure.index) |index| failPrint("event {d} fails: ", .{index}) else failPrint("it fails: ", .{});
    failPrint("{t}: {s}\n", .{ failure.fault, failure.message });
}

fn expectWords(words: []const u8, failure: ?Failure) !void {
    const is = failure orelse {
        failPrint("it does not fail, and was expected to with \"{s}\"\n", .{words});
        return error.TestExpectedFailure;
    };
    if (std.mem.find(u8, is.message, words) != null) return;
    failPrint("it fails otherwise\n  - {s}\n  + {s}\n", .{ words, is.message });
    return error.TestExpectedFailure;
}

fn expectLines(what: []const u8, expected: []const []const u8, found: []const []const u8) !void {
    const same = expected.len == found.len and for (expected, found) |a, b| {
        if (!std.mem.eql(u8, a, b)) break false;
    } else true;
    if (same) return;
    failPrint("{s}: - is what was expected, + is what came\n", .{what});
    for (expected) |one| failPrint("  - {s}\n", .{one});
    for (found) |one| failPrint("  + {s}\n", .{one});
    return error.TestExpectedEqual;
}

/// A projection or a process manager, and its tables in memory. The tests are linked with the system's SQLite: `.sqlite = true`
/// in build.zig.
pub fn ReadModel(comptime Plugin: type) type {
    return struct {
        sqlite: *Sqlite,
        batch: Batch = .of(Plugin),

        const Model = @This();
        const manifest: @import("manifest.zig").Manifest = Plugin.manifest;

        /// Empty tables, of the manifest's schema.
        pub fn init() !Model {
            return .{ .sqlite = try .open(manifest) };
        }

        pub fn deinit(model: *Model) void {
            model.sqlite.close();
        }

        /// Applies events as one batch, in a transaction.
        pub fn apply(model: *Model, events: []const Event) !void {
            const failure = model.attempt(events) orelse return;
            printFailure(failure);
            return error.EventsFail;
        }

        /// Applies events as one batch, in a transaction; answers why it cannot. Nothing of the batch is left behind then.
        pub fn attempt(model: *Model, events: []const Event) ?Failure {
            var writer: frame.Writer = .{};
            var out: value.Buffer = .{};
            var places: std.ArrayList(u32) = .empty;
            for (events, 0..) |event, at| {
                if (manifest.types.len > 0 and !isListed(manifest.types, event.kind)) {
                    model.batch.next += 1;
                    continue;
                }
                model.batch.push(&writer, event, headers());
                places.append(host.arena(), @intCast(at)) catch host.oom();
            }
            var failure = model.applyFrame(writer.finish(.events, &out)) orelse return null;
            if (failure.index) |index| failure.index = places.items[index];
            return failure;
        }

        /// Expects a batch to fail, with these words in the message, because of this event.
        pub fn expectFailure(model: *Model, words: []const u8, index: ?u32, events: []const Event) !void {
            const failure = model.attempt(events);
            try expectWords(words, failure);
            try std.testing.expectEqual(index, failure.?.index);
        }

        /// Expects a query, or one of the manifest's by its name, to answer these rows and no others, in this order: a tuple of tuples.
        /// Kinds count: 3 is an integer, 3.0 a real, "3" a text, a `lantern.Blob` a blob.
        pub fn expectRows(model: *Model, sql: []const u8, expected: anytype) !void {
            var lines: std.ArrayList([]const u8) = .empty;
            inline for (expected) |row| {
                var values: [row.len]Value = undefined;
                inline for (row, &values) |x, *to| to.* = try Value.of(x);
                lines.append(host.arena(), line(&values)) catch host.oom();
            }
            var found: std.ArrayList([]const u8) = .empty;
            const layout = try model.ask(sql, &.{});
            for (0..layout.count) |at| {
                const values = host.arena().alloc(Value, layout.texts()) catch host.oom();
                var left = try layout.values(@intCast(at), 0);
                for (values) |*to| to.* = (try left.next()).?;
                found.append(host.arena(), line(values)) catch host.oom();
            }
            try expectLines(sql, lines.items, found.items);
        }

        /// The rows of a query, or of one of the manifest's by its name, as structs or tuples whose fields are its columns in order.
        pub fn query(model: *Model, comptime Row: type, sql: []const u8, params: anytype) ![]const Row {
            var values: [params.len]Value = undefined;
            inline for (params, &values) |x, *to| to.* = try Value.of(x);
            var rows: @import("db.zig").Rows = .{ .layout = try model.ask(sql, &values) };
            var found: std.ArrayList(Row) = .empty;
            while (rows.next(Row) catch |err| {
                failPrint("{s}\n", .{errors.caught(err).message});
                return err;
            }) |row| found.append(host.arena(), row) catch host.oom();
            return found.items;
        }

        /// The commands that wait to be sent, in the order in which they were.
        pub fn sent(model: *Model) ![]const Sent {
            const Row = struct { []const u8, []const u8, []const u8, ?i64, []const u8, []const u8 };
            const rows = try model.query(Row,
                \\SELECT key, aggregate, id, due_ms, command, CAST(payload AS TEXT) FROM _lantern_outbox ORDER BY seq
            , .{});
            const all = host.arena().alloc(Sent, rows.len) catch host.oom();
            for (rows, all) |row, *to| {
                to.* = .{ .key = row[0], .to = .{ .aggregate = row[1], .id = row[2], .due_ms = row[3] }, .kind = row[4], .payload = row[5] };
            }
            return all;
        }

        /// Expects these commands and no others to wait to be sent, in this order.
        pub fn expectSent(model: *Model, expected: []const Sent) !void {
            try expectLines("sent are other commands", sentLines(expected), sentLines(try model.sent()));
        }

        fn headers() ?[]const []const u8 {
            const read = manifest.headers orelse return null;
            return if (manifest.sends.len == 0) read else read ++ .{ "ce_id", "ce_correlationid" };
        }

        fn applyFrame(model: *Model, events: []const u8) ?Failure {
            const sqlite = model.sqlite;
            sqlite.run("BEGIN") catch return sqlite.failure();
            sqlite.enter();
            defer sqlite.leave();
            const answer = plugin.Projection(Plugin).apply(events.ptr, events.len);
            const failure = failureOf(answer) orelse failure: {
                sqlite.apply(answer.is.bytes.slice()) catch break :failure sqlite.failure();
                sqlite.leave();
                sqlite.run("COMMIT") catch break :failure sqlite.failure();
                return null;
            };
            sqlite.leave();
            sqlite.run("ROLLBACK") catch return sqlite.failure();
            return failure;
        }

        fn ask(model: *Model, sql: []const u8, params: []const Value) !frame.Layout {
            const text = for (manifest.queries) |offered| {
                if (std.mem.eql(u8, offered.name, sql)) break offered.sql;
            } else sql;
            const bytes = model.sqlite.ask(text, params) catch |err| {
                failPrint("{s}\n", .{model.sqlite.failure().message});
                return err;
            };
            return frame.Layout.parse(bytes, .rows);
        }
    };
}

fn sentLines(all: []const Sent) []const []const u8 {
    const lines = host.arena().alloc([]const u8, all.len) catch host.oom();
    for (all, lines) |sent, *to| {
        const due = if (sent.to.due_ms) |ms| host.format(", due {d}", .{ms}) else "";
        to.* = host.format("{s}: {s} {s} {s} {s}{s}", .{ sent.key, sent.to.aggregate, sent.to.id, sent.kind, sent.payload, due });
    }
    return lines;
}

/// A row as SQL writes its values.
fn line(values: []const Value) []const u8 {
    var parts: std.ArrayList([]const u8) = .empty;
    for (values) |x| parts.append(host.arena(), switch (x) {
        .null => "NULL",
        .integer => |n| host.format("{d}", .{n}),
        // An integer that is a real says so.
        .real => |n| host.format("{d}{s}", .{ n, if (n == @trunc(n)) ".0" else "" }),
        .text => |text| host.format("'{s}'", .{text}),
        .blob => |blob| host.format("x'{x}'", .{blob}),
    }) catch host.oom();
    return std.mem.join(host.arena(), ", ", parts.items) catch host.oom();
}

/// An aggregate to which these events have happened.
pub fn given(comptime Aggregate: type, events: []const Aggregate.Event) !Given(Aggregate) {
    const none: Given(Aggregate) = .{ .json = null, .version = 0 };
    return none.then(events);
}

fn Given(comptime Aggregate: type) type {
    return struct {
        /// Its state, as it is stored; null before its first event.
        json: ?[]const u8,
        /// How many events it has had.
        version: i64,

        const Is = @This();

        /// Which aggregate it is, and what else a command is decided with.
        pub const Context = struct {
            id: []const u8 = "id",
            time_ms: i64 = first_ms,
            correlation: ?[]const u8 = null,
        };

        /// The same aggregate, when these events have happened too.
        pub fn then(is: Is, events: []const Aggregate.Event) !Is {
            if (events.len == 0) return is;
            var writer: frame.Writer = .{};
            var out: value.Buffer = .{};
            var batch: Batch = .of(Aggregate);
            batch.next = is.version;
            for (events) |event| batch.push(&writer, .with(event, .{ .key = "id" }), null);
            const bytes = writer.finish(.events, &out);
            const before = is.json orelse "";
            const answer = plugin.Commands(Aggregate).evolve(@intFromBool(is.json != null), before.ptr, before.len, bytes.ptr, bytes.len);
            if (failureOf(answer)) |failure| {
                printFailure(failure);
                return error.EventsFail;
            }
            return .{ .json = host.copied(answer.is.bytes.slice()), .version = is.version + @as(i64, @intCast(events.len)) };
        }

        /// What the events have led to.
        pub fn state(is: Is) !Aggregate {
            return decoded(Aggregate, is.json orelse return .{});
        }

        /// Decides a command.
        pub fn when(is: Is, command: Aggregate.Command) Outcome(Aggregate) {
            return is.whenWith(command, .{});
        }

        pub fn whenWith(is: Is, command: Aggregate.Command, context: Context) Outcome(Aggregate) {
            const encoded = event_.encode(command);
            return is.whenNamed(encoded.kind, encoded.payload, context);
        }

        /// Decides a command by its name and its data as JSON, such as one that there is not.
        pub fn whenNamed(is: Is, name: []const u8, payload: []const u8, context: Context) Outcome(Aggregate) {
            const request: aggregate_.Request = .{
                .aggregate = Aggregate.manifest.name,
                .id = context.id,
                .version = is.version,
                .state = is.json,
                .command = name,
                .payload = payload,
                .time_ms = context.time_ms,
                .correlation = context.correlation,
            };
            const bytes = request.write();
            return .of(plugin.Commands(Aggregate).decide(bytes.ptr, bytes.len));
        }
    };
}

/// What was decided about a command.
fn Outcome(comptime Aggregate: type) type {
    return struct {
        events: []const aggregate_.Upcast = &.{},
        rejection: ?aggregate_.Rejection = null,
        failure: ?Failure = null,

        const Is = @This();

        fn of(answer: *const Answer) Is {
            if (failureOf(answer)) |failure| return .{ .failure = failure };
            const decision = answer.is.decision;
            if (decision.rejected == 0) return .{ .events = typed(decision.is.events.slice()) };
            const said = decision.is.rejection;
            return .{ .rejection = .{
                .code = host.copied(said.code.slice()),
                .message = host.copied(said.message.slice()),
                .detail = if (said.has_detail != 0) host.copied(said.detail.slice()) else null,
            } };
        }

        /// Expects these events and no others, in this order; none is that nothing has to happen.
        pub fn expectEvents(is: Is, expected: []const Aggregate.Event) !void {
            if (is.failure) |failure| {
                printFailure(failure);
                return error.CommandFails;
            }
            if (is.rejection) |rejection| {
                failPrint("it is rejected: {s}: {s}\n", .{ rejection.code, rejection.message });
                return error.CommandRejected;
            }
            const lines = host.arena().alloc([]const u8, expected.len) catch host.oom();
            for (expected, lines) |event, *to| {
                const encoded = event_.encode(event);
                to.* = host.format("{s} {s}", .{ encoded.kind, encoded.payload });
            }
            const found = host.arena().alloc([]const u8, is.events.len) catch host.oom();
            for (is.events, found) |event, *to| to.* = host.format("{s} {s}", .{ event.kind, event.payload orelse "null" });
            try expectLines("other events happen", lines, found);
        }

        /// Expects the domain to say no, with this code.
        pub fn expectRejected(is: Is, code: []const u8) !void {
            if (is.failure) |failure| {
                printFailure(failure);
                return error.CommandFails;
            }
            const rejection = is.rejection orelse {
                failPrint("it is not rejected, and was expected to be: {s}\n", .{code});
                return error.TestExpectedRejection;
            };
            try std.testing.expectEqualStrings(code, rejection.code);
        }

        /// Expects the command to fail, with these words in the message.
        pub fn expectFailure(is: Is, words: []const u8) !void {
            try expectWords(words, is.failure);
        }
    };
}

/// What an event is today.
pub fn upcast(comptime Upcaster: type, event: Event) Upcasted {
    var writer: frame.Writer = .{};
    var out: value.Buffer = .{};
    var batch: Batch = .of(Upcaster);
    batch.push(&writer, event, null);
    const bytes = writer.finish(.events, &out);
    const answer = plugin.Upcaster(Upcaster).upcast(bytes.ptr, bytes.len);
    if (failureOf(answer)) |failure| return .{ .failure = failure };
    return .{ .event = typed(answer.is.bytes.slice())[0] };
}

pub const Upcasted = struct {
    event: ?aggregate_.Upcast = null,
    failure: ?Failure = null,

    /// Expects the event to have become this variant of a `union(enum)`.
    pub fn expectEvent(is: Upcasted, expected: anytype) !void {
        if (is.failure) |failure| printFailure(failure);
        const event = is.event orelse return error.UpcasterFails;
        const encoded = event_.encode(expected);
        try std.testing.expectEqualStrings(encoded.kind, event.kind);
        const payload = event.payload orelse {
            failPrint("it has become a tombstone\n", .{});
            return error.TestExpectedEqual;
        };
        switch (expected) {
            inline else => |content| if (@TypeOf(content) != void) {
                try std.testing.expectEqualDeep(content, try decoded(@TypeOf(content), payload));
            },
        }
    }

    /// Expects the event to have become one of this type without data.
    pub fn expectTombstone(is: Upcasted, kind: []const u8) !void {
        if (is.failure) |failure| printFailure(failure);
        const event = is.event orelse return error.UpcasterFails;
        try std.testing.expectEqualStrings(kind, event.kind);
        if (event.payload) |payload| {
            failPrint("it has data: {s}\n", .{payload});
            return error.TestExpectedEqual;
        }
    }

    /// Expects the upcaster to fail, with these words in the message.
    pub fn expectFailure(is: Upcasted, words: []const u8) !void {
        try expectWords(words, is.failure);
    }
};

fn decoded(comptime T: type, text: []const u8) !T {
    var why: []const u8 = "";
    return json.parse(T, text, &why) catch |err| {
        failPrint("{s}: {s}\n", .{ text, why });
        return err;
    };
}

/// The rows of `type` and `payload` that a plugin has answered.
fn typed(bytes: []const u8) []const aggregate_.Upcast {
    const layout = frame.Layout.parse(host.copied(bytes), .rows) catch |err| mangled(err);
    const all = host.arena().alloc(aggregate_.Upcast, layout.count) catch host.oom();
    for (all, 0..) |*to, at| {
        var values = layout.values(@intCast(at), 0) catch |err| mangled(err);
        const kind = values.read() catch |err| mangled(err);
        const payload = values.read() catch |err| mangled(err);
        to.* = .{ .kind = kind.text, .payload = if (payload == .null) null else payload.blob };
    }
    return all;
}

/// The SDK's own writer has made the frame.
fn mangled(err: frame.Mangled) noreturn {
    std.debug.panic("a mangled frame: {t}", .{err});
}
