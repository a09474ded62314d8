//! What a command handler decides, and what an upcaster makes of an event.

const std = @import("std");
const errors = @import("errors.zig");
const event_ = @import("event.zig");
const frame = @import("frame.zig");
const host = @import("host.zig");
const json = @import("json.zig");
const value = @import("value.zig");
const Value = value.Value;

/// The domain says no.
pub const Rejection = struct {
    /// For programs: `overdrawn`.
    code: []const u8,
    /// For people, in a sentence.
    message: []const u8,
    /// More for programs, as JSON.
    detail: ?[]const u8 = null,
};

/// What becomes of a command: events, none of them, or a rejection; and what it is decided in.
pub fn Decision(comptime Event: type) type {
    return struct {
        aggregate: []const u8 = "",
        id: []const u8 = "",
        /// How many events the aggregate has had.
        version: i64 = 0,
        /// The time of the decision in Unix milliseconds. What depends on it belongs into the events.
        time_ms: i64 = 0,
        correlation: ?[]const u8 = null,
        events: std.ArrayList(Event) = .empty,
        rejection: ?Rejection = null,

        /// An event happens.
        pub fn happens(decision: *@This(), event: Event) void {
            decision.events.append(host.arena(), event) catch host.oom();
        }

        /// The domain says no. That is an answer, not an error.
        pub fn reject(decision: *@This(), code: []const u8, comptime message: []const u8, args: anytype) void {
            decision.rejection = .{ .code = code, .message = host.format(message, args) };
        }

        /// The same, with more for programs.
        pub fn rejectWith(decision: *@This(), detail: anytype, code: []const u8, comptime message: []const u8, args: anytype) void {
            decision.reject(code, message, args);
            decision.rejection.?.detail = json.stringify(detail);
        }
    };
}

/// An event as it is today.
pub const Upcast = struct {
    kind: []const u8,
    /// null: a tombstone.
    payload: ?[]const u8,

    /// The variant of a `union(enum)`, which names the type.
    pub fn to(variant: anytype) Upcast {
        const encoded = event_.encode(variant);
        return .{ .kind = encoded.kind, .payload = encoded.payload };
    }
};

/// Rows of `type` and `payload`.
pub const TypedRows = struct {
    rows: frame.Writer = .{},

    pub fn begin(typed: *TypedRows) void {
        typed.rows.clear();
        typed.rows.text("type");
        typed.rows.text("payload");
    }

    pub fn push(typed: *TypedRows, kind: []const u8, payload: ?[]const u8) errors.Error!void {
        const start = typed.rows.arena.len;
        try (Value{ .text = kind }).write(&typed.rows.arena);
        try (if (payload) |bytes| Value{ .blob = bytes } else Value{ .null = {} }).write(&typed.rows.arena);
        typed.rows.row(start, 2);
    }
};

pub const Request = struct {
    aggregate: []const u8,
    id: []const u8,
    version: i64,
    state: ?[]const u8,
    command: []const u8,
    payload: []const u8,
    time_ms: i64,
    correlation: ?[]const u8,

    pub fn read(bytes: []const u8) errors.Error!Request {
        const layout = frame.Layout.parse(bytes, .rows) catch |err| return event_.mangled(err);
        var request: Request = undefined;
        if (layout.count == 0) return errors.fail(.other, "a mangled frame: column", .{});
        inline for (comptime std.meta.fieldNames(Request), comptime std.meta.fieldTypes(Request)) |name, Field| {
            const x = try column(&layout, name);
            @field(request, name) = switch (x) {
                .blob => |blob| if (Field == []const u8 or Field == ?[]const u8) blob else return errors.fail(.other, "a mangled frame: value", .{}),
                else => try x.as(Field),
            };
        }
        return request;
    }

    /// The frame that a host makes of it.
    pub fn write(request: Request) []const u8 {
        var writer: frame.Writer = .{};
        var out: value.Buffer = .{};
        const names = comptime std.meta.fieldNames(Request);
        inline for (names) |name| writer.text(name);
        const start = writer.arena.len;
        inline for (names) |name| {
            const x = @field(request, name);
            const is_bytes = comptime std.mem.eql(u8, name, "state") or std.mem.eql(u8, name, "payload");
            const of: Value = if (@TypeOf(x) == i64) .{ .integer = x } else if (@as(?[]const u8, x)) |bytes|
                (if (is_bytes) .{ .blob = bytes } else .{ .text = bytes })
            else
                .null;
            of.write(&writer.arena) catch |err| std.debug.panic("{s}", .{errors.caught(err).message});
        }
        writer.row(start, names.len);
        return writer.finish(.rows, &out);
    }

    fn column(layout: *const frame.Layout, name: []const u8) errors.Error!Value {
        var values = layout.values(0, 0) catch |err| return event_.mangled(err);
        for (0..layout.texts()) |id| {
            const x = values.next() catch |err| return event_.mangled(err);
            const text = layout.text(@intCast(id)) catch |err| return event_.mangled(err);
            if (value.same(text, name)) return x orelse break;
        }
        return errors.fail(.other, "a mangled frame: it lacks the column `{s}`", .{name});
    }
};
