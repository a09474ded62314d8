//! How Zig's types become SQLite's five kinds of value, and back.

const std = @import("std");
const errors = @import("errors.zig");
const host = @import("host.zig");
const fail = errors.fail;

/// Bytes that are written as a BLOB; `[]const u8` is a text.
pub const Blob = struct { bytes: []const u8 };

/// One of SQLite's five values.
pub const Value = union(enum) {
    null,
    integer: i64,
    real: f64,
    text: []const u8,
    blob: []const u8,

    /// The value of a variable, by its type. NaN becomes NULL; an integer that is no i64 is refused.
    pub fn of(x: anytype) errors.Error!Value {
        const T = @TypeOf(x);
        if (T == Value) return x;
        if (T == Blob) return .{ .blob = x.bytes };
        switch (@typeInfo(T)) {
            .null => return .null,
            .bool => return .{ .integer = @intFromBool(x) },
            .int, .comptime_int => return .{ .integer = std.math.cast(i64, x) orelse return tooLarge(x) },
            .float, .comptime_float => return if (x != x) .null else .{ .real = x },
            .optional => return if (x) |some| of(some) else .null,
            else => return .{ .text = x },
        }
    }

    fn tooLarge(x: anytype) errors.Error {
        return fail(.bad_input, "{d} is above the largest integer that SQLite holds, {d}: write it as text", .{ x, std.math.maxInt(i64) });
    }

    /// The value as a Zig type.
    pub fn as(value: Value, comptime T: type) errors.Error!T {
        if (T == Value) return value;
        if (T == Blob) return if (value == .blob) .{ .bytes = value.blob } else value.isNot("a blob");
        switch (@typeInfo(T)) {
            .bool => if (value == .integer and value.integer >> 1 == 0) return value.integer == 1,
            .int => if (value == .integer) if (std.math.cast(T, value.integer)) |n| return n,
            .float => switch (value) {
                .real => |x| return @floatCast(x),
                .integer => |n| return @floatFromInt(n),
                else => {},
            },
            .optional => |optional| return if (value == .null) null else try value.as(optional.child),
            else => if (T == []const u8) {
                if (value == .text) return value.text;
            } else @compileError("no value of SQLite becomes a " ++ @typeName(T)),
        }
        return value.isNot(@typeName(T));
    }

    fn isNot(value: Value, expected: []const u8) errors.Error {
        return fail(.other, "a value is {s}, not {s}", .{ @tagName(value), expected });
    }

    pub fn write(value: Value, out: *Buffer) errors.Error!void {
        switch (value) {
            .null => out.reserve(1)[0] = 0,
            .integer => |n| number(out, 1, @bitCast(n)),
            .real => |x| number(out, 2, @bitCast(x)),
            .text => |text| {
                if (!isUtf8(text)) return fail(.bad_input, "a text is not UTF-8: write it as a Blob", .{});
                sized(out, 3, text);
                return;
            },
            .blob => |blob| {
                sized(out, 4, blob);
                return;
            },
        }
        out.len += if (value == .null) 1 else 9;
    }

    fn number(out: *Buffer, tag: u8, bits: u64) void {
        const to = out.reserve(9);
        to[0] = tag;
        std.mem.writeInt(u64, to[1..9], bits, .little);
    }

    fn sized(out: *Buffer, tag: u8, bytes: []const u8) void {
        const to = out.reserve(5 + bytes.len);
        to[0] = tag;
        std.mem.writeInt(u32, to[1..5], @intCast(bytes.len), .little);
        copy(to[5..], bytes);
        out.len += 5 + bytes.len;
    }
};

/// Bytes that grow.
pub const Buffer = struct {
    ptr: [*]u8 = undefined,
    len: usize = 0,
    room: usize = 0,

    pub fn slice(buffer: *const Buffer) []u8 {
        return if (buffer.len == 0) &.{} else buffer.ptr[0..buffer.len];
    }

    pub inline fn reserve(buffer: *Buffer, more: usize) [*]u8 {
        if (buffer.room - buffer.len < more) buffer.grow(more);
        return buffer.ptr + buffer.len;
    }

    fn grow(buffer: *Buffer, more: usize) void {
        @branchHint(.cold);
        var room = @max(buffer.room, 256);
        while (room - buffer.len < more) room *= 2;
        const old: []u8 = if (buffer.room == 0) &.{} else buffer.ptr[0..buffer.room];
        const new = host.gpa.realloc(old, room) catch host.oom();
        buffer.ptr = new.ptr;
        buffer.room = room;
    }

    pub inline fn append(buffer: *Buffer, bytes: []const u8) void {
        copy(buffer.reserve(bytes.len), bytes);
        buffer.len += bytes.len;
    }

    pub inline fn int(buffer: *Buffer, comptime T: type, n: T) void {
        std.mem.writeInt(T, buffer.reserve(@sizeOf(T))[0..@sizeOf(T)], n, .little);
        buffer.len += @sizeOf(T);
    }
};

/// A copy whose length is only known when it runs is a call of the engine, which takes longer than a few bytes: copies of
/// known lengths, which may overlap, need none.
inline fn copy(to: [*]u8, from: []const u8) void {
    switch (from.len) {
        0 => {},
        1...3 => for (from, 0..) |byte, at| {
            to[at] = byte;
        },
        4...7 => ends(4, to, from),
        8...15 => ends(8, to, from),
        16...32 => ends(16, to, from),
        else => @memcpy(to[0..from.len], from),
    }
}

inline fn ends(comptime n: usize, to: [*]u8, from: []const u8) void {
    const last = from[from.len - n ..][0..n].*;
    to[0..n].* = from[0..n].*;
    to[from.len - n ..][0..n].* = last;
}

pub fn isUtf8(bytes: []const u8) bool {
    var at: usize = 0;
    while (bytes.len - at >= 8) : (at += 8) {
        if (std.mem.readInt(u64, bytes[at..][0..8], .little) & 0x8080808080808080 != 0) break;
    }
    return std.unicode.utf8ValidateSlice(bytes[at..]);
}

/// Whether both are the same. WebAssembly has no instruction for it.
pub inline fn same(left: []const u8, right: []const u8) bool {
    if (left.len != right.len) return false;
    var at: usize = 0;
    while (left.len - at >= 8) : (at += 8) {
        const a = std.mem.readInt(u64, left[at..][0..8], .little);
        if (a != std.mem.readInt(u64, right[at..][0..8], .little)) return false;
    }
    while (at < left.len) : (at += 1) if (left[at] != right[at]) return false;
    return true;
}
