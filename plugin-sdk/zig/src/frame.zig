//! Frames: plugin-sdk/wit/frames.md. A reader never reads outside, and says by the names of the test vectors what is wrong.

const std = @import("std");
const errors = @import("errors.zig");
const value = @import("value.zig");
const Value = value.Value;
const Buffer = value.Buffer;

pub const none = std.math.maxInt(u32);
pub const Kind = enum(u16) {
    events = 1,
    ops = 2,
    rows = 3,

    /// Bytes of an item.
    fn stride(kind: Kind) u32 {
        return switch (kind) {
            .events => 56,
            .ops => 16,
            .rows => 8,
        };
    }
};
pub const Mangled = error{ short, magic, version, kind, stride, length, bounds, utf8, tag };

fn u32At(bytes: []const u8, at: usize) u32 {
    return std.mem.readInt(u32, bytes[at..][0..4], .little);
}

fn i64At(bytes: []const u8, at: usize) i64 {
    return std.mem.readInt(i64, bytes[at..][0..8], .little);
}

fn part(bytes: []const u8, pos: u32, len: u32) Mangled![]const u8 {
    if (pos > bytes.len or len > bytes.len - pos) return error.bounds;
    return bytes[pos..][0..len];
}

/// A frame whose lengths add up and whose dictionary is right.
pub const Layout = struct {
    count: u32,
    stride: u32,
    dictionary: []const u8,
    index: []const u8,
    arena: []const u8,

    pub fn parse(frame: []const u8, kind: Kind) Mangled!Layout {
        if (frame.len < 32) return error.short;
        if (!std.mem.eql(u8, frame[0..4], "LTRN")) return error.magic;
        if (std.mem.readInt(u16, frame[4..6], .little) != 1) return error.version;
        if (std.mem.readInt(u16, frame[6..8], .little) != @intFromEnum(kind)) return error.kind;
        const count, const stride, const dictionary, const arena = .{ u32At(frame, 8), u32At(frame, 12), u32At(frame, 16), u32At(frame, 20) };
        if (stride < kind.stride()) return error.stride;
        const index = @as(u64, count) * stride;
        if (index > frame.len or 32 + @as(u64, dictionary) * 8 + index + arena != frame.len) return error.length;
        const at: usize = 32 + @as(usize, dictionary) * 8;
        const layout: Layout = .{
            .count = count,
            .stride = stride,
            .dictionary = frame[32..at],
            .index = frame[at..][0..@intCast(index)],
            .arena = frame[frame.len - arena ..],
        };
        var left: usize = arena;
        for (0..dictionary) |id| {
            const entry = try layout.text(@intCast(id));
            if (!value.isUtf8(entry)) return error.utf8;
            if (entry.len > left) return error.bounds;
            left -= entry.len;
        }
        return layout;
    }

    pub fn texts(layout: *const Layout) u32 {
        return @intCast(layout.dictionary.len / 8);
    }

    pub fn text(layout: *const Layout, id: u32) Mangled![]const u8 {
        if (id >= layout.texts()) return error.bounds;
        const at = @as(usize, id) * 8;
        return part(layout.arena, u32At(layout.dictionary, at), u32At(layout.dictionary, at + 4));
    }

    pub fn item(layout: *const Layout, at: u32) []const u8 {
        return layout.index[@as(usize, at) * layout.stride ..][0..layout.stride];
    }

    /// The values of an item, which end where the next item's begin.
    pub fn values(layout: *const Layout, at: u32, field: usize) Mangled!Values {
        const row = layout.item(at);
        const pos, const count = .{ u32At(row, field), u32At(row, field + 4) };
        const end = if (at + 1 < layout.count) u32At(layout.item(at + 1), field) else layout.arena.len;
        if (pos > end or end > layout.arena.len or count > end - pos) return error.bounds;
        return .{ .rest = layout.arena[pos..@intCast(end)], .left = count };
    }
};

/// The values of an item, one behind the other.
pub const Values = struct {
    rest: []const u8,
    left: u32,

    pub fn next(values: *Values) Mangled!?Value {
        if (values.left == 0) return null;
        values.left -= 1;
        return try values.read();
    }

    fn take(values: *Values, len: usize) Mangled![]const u8 {
        if (len > values.rest.len) return error.bounds;
        defer values.rest = values.rest[len..];
        return values.rest[0..len];
    }

    fn sized(values: *Values) Mangled![]const u8 {
        return values.take(u32At(try values.take(4), 0));
    }

    pub fn read(values: *Values) Mangled!Value {
        switch ((try values.take(1))[0]) {
            0 => return .null,
            1 => return .{ .integer = i64At(try values.take(8), 0) },
            2 => return .{ .real = @bitCast(i64At(try values.take(8), 0)) },
            3 => {
                const text = try values.sized();
                return if (value.isUtf8(text)) .{ .text = text } else error.utf8;
            },
            4 => return .{ .blob = try values.sized() },
            else => return error.tag,
        }
    }
};

pub const Header = struct { name: []const u8, value: ?[]const u8 };

/// What a frame says of one event.
pub const Record = struct {
    kind: []const u8,
    topic: []const u8,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: ?[]const u8,
    payload: ?[]const u8,
    headers: []const u8,

    /// Reads an event. `left` is what of the arena no event before has taken: none share bytes.
    pub fn read(layout: *const Layout, at: u32, left: *usize) Mangled!Record {
        const row = layout.item(at);
        const key = try take(layout, row, 28, left);
        const payload = try take(layout, row, 36, left);
        const headers_len = @as(u64, u32At(row, 48)) * 12;
        if (headers_len > left.*) return error.bounds;
        const headers = try part(layout.arena, u32At(row, 44), @intCast(headers_len));
        left.* -= headers.len;
        var entry = headers;
        while (entry.len > 0) : (entry = entry[12..]) {
            if (u32At(entry, 0) >= layout.texts()) return error.bounds;
            _ = try take(layout, entry, 4, left);
        }
        return .{
            .offset = i64At(row, 0),
            .timestamp_ms = i64At(row, 8),
            .topic = try layout.text(u32At(row, 16)),
            .partition = @bitCast(u32At(row, 20)),
            .kind = try layout.text(u32At(row, 24)),
            .key = key,
            .payload = payload,
            .headers = headers,
        };
    }

    fn take(layout: *const Layout, row: []const u8, at: usize, left: *usize) Mangled!?[]const u8 {
        const len = u32At(row, at + 4);
        if (len == none) return null;
        const bytes = try part(layout.arena, u32At(row, at), len);
        if (len > left.*) return error.bounds;
        left.* -= len;
        return bytes;
    }

    /// A header by its place. All were checked when the event was read.
    pub fn header(record: *const Record, layout: *const Layout, at: usize) ?Header {
        if (at * 12 >= record.headers.len) return null;
        const entry = record.headers[at * 12 ..];
        var all: usize = none;
        return .{
            .name = layout.text(u32At(entry, 0)) catch return null,
            .value = take(layout, entry, 4, &all) catch return null,
        };
    }
};

/// Items and what they point to, until they are written one behind the other.
pub const Writer = struct {
    count: u32 = 0,
    dictionary: Buffer = .{},
    index: Buffer = .{},
    arena: Buffer = .{},

    pub fn text(writer: *Writer, name: []const u8) void {
        writer.dictionary.int(u32, @intCast(writer.arena.len));
        writer.dictionary.int(u32, @intCast(name.len));
        writer.arena.append(name);
    }

    pub fn op(writer: *Writer, statement: u32, event: ?u32, start: usize, count: u32) void {
        writer.index.int(u32, statement);
        writer.index.int(u32, event orelse none);
        writer.row(start, count);
    }

    pub fn row(writer: *Writer, start: usize, count: u32) void {
        writer.index.int(u32, @intCast(start));
        writer.index.int(u32, count);
        writer.count += 1;
    }

    /// An event with those of its headers that are `wanted`; all of them where that is null.
    pub fn record(writer: *Writer, from: Record, headers: []const Header, wanted: ?[]const []const u8) void {
        const topic, const kind = .{ writer.named(from.topic), writer.named(from.kind) };
        const key, const payload = .{ writer.bytes(from.key), writer.bytes(from.payload) };
        var entries: Buffer = .{};
        for (headers) |header| {
            const is_wanted = for (wanted orelse &.{header.name}) |name| {
                if (value.same(name, header.name)) break true;
            } else false;
            if (!is_wanted) continue;
            const name = writer.named(header.name);
            const at = writer.bytes(header.value);
            for ([_]u32{ name, at[0], at[1] }) |n| entries.int(u32, n);
        }
        const index = &writer.index;
        index.int(i64, from.offset);
        index.int(i64, from.timestamp_ms);
        index.int(u32, topic);
        index.int(i32, from.partition);
        for ([_]u32{ kind, key[0], key[1], payload[0], payload[1] }) |n| index.int(u32, n);
        writer.row(writer.arena.len, @intCast(entries.len / 12));
        index.int(u32, 0);
        writer.arena.append(entries.slice());
    }

    fn named(writer: *Writer, name: []const u8) u32 {
        writer.text(name);
        return @intCast(writer.dictionary.len / 8 - 1);
    }

    /// Position and length of bytes in the arena.
    fn bytes(writer: *Writer, from: ?[]const u8) [2]u32 {
        const some = from orelse return .{ 0, none };
        const at: u32 = @intCast(writer.arena.len);
        writer.arena.append(some);
        return .{ at, @intCast(some.len) };
    }

    pub fn clear(writer: *Writer) void {
        writer.count = 0;
        inline for (.{ &writer.dictionary, &writer.index, &writer.arena }) |buffer| buffer.len = 0;
    }

    pub fn finish(writer: *Writer, kind: Kind, out: *Buffer) []const u8 {
        out.len = 0;
        out.append("LTRN\x01\x00");
        out.int(u16, @intFromEnum(kind));
        for ([_]u32{ writer.count, kind.stride(), @intCast(writer.dictionary.len / 8), @intCast(writer.arena.len), 0, 0 }) |n| out.int(u32, n);
        inline for (.{ &writer.dictionary, &writer.index, &writer.arena }) |buffer| out.append(buffer.slice());
        writer.clear();
        return out.slice();
    }
};
