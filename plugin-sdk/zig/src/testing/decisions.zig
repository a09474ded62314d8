//! Aggregates and upcasters in tests.

const std = @import("std");
const aggregate_ = @import("../aggregate.zig");
const errors = @import("../errors.zig");
const event_ = @import("../event.zig");
const frame = @import("../frame.zig");
const host = @import("../host.zig");
const json = @import("../json.zig");
const plugin = @import("../plugin.zig");
const report = @import("report.zig");
const value = @import("../value.zig");
const Answer = host.Answer;
const Batch = @import("batch.zig").Batch;
const Event = @import("../testing.zig").Event;
const Failure = errors.Failure;
const failPrint = std.testing.failPrint;
const first_ms = @import("batch.zig").first_ms;

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
            if (report.failureOf(answer)) |failure| {
                report.printFailure(failure);
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
            if (report.failureOf(answer)) |failure| return .{ .failure = failure };
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
                report.printFailure(failure);
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
            try report.expectLines("other events happen", lines, found);
        }

        /// Expects the domain to say no, with this code.
        pub fn expectRejected(is: Is, code: []const u8) !void {
            if (is.failure) |failure| {
                report.printFailure(failure);
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
            try report.expectWords(words, is.failure);
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
    if (report.failureOf(answer)) |failure| return .{ .failure = failure };
    return .{ .event = typed(answer.is.bytes.slice())[0] };
}

pub const Upcasted = struct {
    event: ?aggregate_.Upcast = null,
    failure: ?Failure = null,

    /// Expects the event to have become this variant of a `union(enum)`.
    pub fn expectEvent(is: Upcasted, expected: anytype) !void {
        if (is.failure) |failure| report.printFailure(failure);
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
        if (is.failure) |failure| report.printFailure(failure);
        const event = is.event orelse return error.UpcasterFails;
        try std.testing.expectEqualStrings(kind, event.kind);
        if (event.payload) |payload| {
            failPrint("it has data: {s}\n", .{payload});
            return error.TestExpectedEqual;
        }
    }

    /// Expects the upcaster to fail, with these words in the message.
    pub fn expectFailure(is: Upcasted, words: []const u8) !void {
        try report.expectWords(words, is.failure);
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
