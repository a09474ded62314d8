//! What a plugin is given.

const std = @import("std");
const errors = @import("errors.zig");
const frame = @import("frame.zig");
const host = @import("host.zig");
const json_ = @import("json.zig");
const value = @import("value.zig");

/// One event of a batch. Nothing of its data is decoded before it is asked for.
pub const Event = struct {
    /// Its type, as its envelope has it.
    kind: []const u8,
    topic: []const u8,
    partition: i32,
    offset: i64,
    /// Unix milliseconds; -1 when it has none. This is the only clock there is.
    timestamp_ms: i64,
    key: ?[]const u8,
    /// Its data; null is a tombstone.
    payload: ?[]const u8,
    /// Its place in the batch, counted from 0.
    index: u32,
    record: frame.Record,
    layout: *const frame.Layout,

    pub fn read(layout: *const frame.Layout, at: u32, left: *usize) errors.Error!Event {
        const record = frame.Record.read(layout, at, left) catch |err| return mangled(err);
        return .{
            .kind = record.kind,
            .topic = record.topic,
            .partition = record.partition,
            .offset = record.offset,
            .timestamp_ms = record.timestamp_ms,
            .key = record.key,
            .payload = record.payload,
            .index = at,
            .record = record,
            .layout = layout,
        };
    }

    /// The event as one of the variants of a `union(enum)`: the one that is named as the event's type, with the event's JSON
    /// as its content. A variant `other` without content takes all types that have none.
    pub fn decode(event: *const Event, comptime Union: type) errors.Error!Union {
        const info = @typeInfo(Union).@"union";
        inline for (info.field_names, info.field_types) |name, Content| {
            if (value.same(name, event.kind)) {
                if (Content == void) return @unionInit(Union, name, {});
                return @unionInit(Union, name, try event.json(Content));
            }
        }
        if (@hasField(Union, "other")) return @unionInit(Union, "other", {});
        return event.badInput("unknown type, expected one of {s}", .{comptime json_.names(info.field_names)});
    }

    /// The event's JSON, whatever its type.
    pub fn json(event: *const Event, comptime T: type) errors.Error!T {
        var why: []const u8 = "";
        return json_.parse(T, try event.data(), &why) catch event.badInput("{s}", .{why});
    }

    fn data(event: *const Event) errors.Error![]const u8 {
        return event.payload orelse event.badInput("it has no data: it is a tombstone", .{});
    }

    /// The event's data as text.
    pub fn text(event: *const Event) errors.Error![]const u8 {
        const bytes = try event.data();
        return if (value.isUtf8(bytes)) bytes else event.badInput("its data is not text", .{});
    }

    /// The event's key as text.
    pub fn keyText(event: *const Event) errors.Error![]const u8 {
        const key = event.key orelse return event.badInput("it has no key", .{});
        return if (value.isUtf8(key)) key else event.badInput("its key is not text", .{});
    }

    /// The value of the first header of this name; null where there is none, or it has none.
    pub fn header(event: *const Event, name: []const u8) ?[]const u8 {
        var at: usize = 0;
        while (event.record.header(event.layout, at)) |entry| : (at += 1) {
            if (value.same(entry.name, name)) return entry.value;
        }
        return null;
    }

    /// An error that names this event: `return event.badInput("no {s}", .{what});`
    pub fn badInput(event: *const Event, comptime reason: []const u8, args: anytype) errors.Error {
        return errors.fail(.bad_input, "{s}/{d}@{d} ({s}): " ++ reason, .{ event.topic, event.partition, event.offset, event.kind } ++ args);
    }
};

pub fn mangled(err: frame.Mangled) errors.Error {
    return errors.fail(.other, "a mangled frame: {s}", .{@errorName(err)});
}

/// A variant's name as the type of an event or command, and its content as JSON.
pub fn encode(variant: anytype) struct { kind: []const u8, payload: []const u8 } {
    // A variant without content may come as its bare tag.
    if (@typeInfo(@TypeOf(variant)) == .@"enum") return .{ .kind = @tagName(variant), .payload = "{}" };
    switch (variant) {
        inline else => |content, tag| return .{ .kind = @tagName(tag), .payload = json_.stringify(content) },
    }
}
