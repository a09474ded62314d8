//! JSON as Zig's types. It is stricter than `std.json`, which takes the text "5" and the number 1.0 for an integer, and
//! it says where it stopped. What is of no fixed type is read as `std.json.Value`, or kept as `Raw`.

const std = @import("std");
const host = @import("host.zig");
const value = @import("value.zig");

/// A piece of JSON as it stands; it is well formed.
pub const Raw = struct { text: []const u8 };

const Error = error{Json};
const depth_max = 128;

/// Reads a whole text as a type: integers, floats, bool, `[]const u8`, optionals (null, or left out), enums (their
/// names), slices, structs (unknown fields are passed over, fields with a default may be left out).
pub fn parse(comptime T: type, text: []const u8, why: *[]const u8) Error!T {
    var reader: Reader = .{ .text = text };
    return reader.whole(T) catch {
        why.* = reader.explain();
        return error.Json;
    };
}

/// A value as JSON, in memory that lives until the batch ends.
pub fn stringify(x: anytype) []const u8 {
    if (@TypeOf(x) == void) return "{}";
    return std.json.Stringify.valueAlloc(host.arena(), x, .{}) catch host.oom();
}

const Reader = struct {
    text: []const u8,
    at: usize = 0,
    wrong: []const u8 = "",

    fn fail(reader: *Reader, wrong: []const u8) Error {
        @branchHint(.cold);
        reader.wrong = wrong;
        return error.Json;
    }

    fn explain(reader: *const Reader) []const u8 {
        const before = reader.text[0..@min(reader.at + 1, reader.text.len)];
        const line = std.mem.count(u8, before, "\n") + 1;
        const column = before.len - if (std.mem.lastIndexOfScalar(u8, before, '\n')) |at| at + 1 else 0;
        return host.format("{s} at line {d} column {d}", .{ reader.wrong, line, column });
    }

    fn whole(reader: *Reader, comptime T: type) Error!T {
        const result = try reader.read(T);
        _ = reader.peek();
        if (reader.at < reader.text.len) return reader.fail("something stands behind the JSON");
        return result;
    }

    /// The next byte that is no space; 0 at the end.
    inline fn peek(reader: *Reader) u8 {
        while (reader.at < reader.text.len) : (reader.at += 1) switch (reader.text[reader.at]) {
            ' ', '\n', '\r', '\t' => {},
            else => |byte| return byte,
        };
        return 0;
    }

    inline fn expect(reader: *Reader, byte: u8, wrong: []const u8) Error!void {
        if (reader.peek() != byte) return reader.fail(if (reader.at == reader.text.len) "the JSON ends too early" else wrong);
        reader.at += 1;
    }

    fn word(reader: *Reader, comptime expected: []const u8) Error!void {
        if (!std.mem.startsWith(u8, reader.text[reader.at..], expected)) return reader.fail("expected a JSON value");
        reader.at += expected.len;
    }

    fn read(reader: *Reader, comptime T: type) Error!T {
        const first = reader.peek();
        if (T == Raw) {
            const start = reader.at;
            try reader.skip(0);
            return .{ .text = reader.text[start..reader.at] };
        }
        if (T == std.json.Value) {
            const raw = try reader.read(Raw);
            return std.json.parseFromSliceLeaky(T, host.arena(), raw.text, .{}) catch reader.fail("expected a JSON value");
        }
        switch (@typeInfo(T)) {
            .bool => {
                if (first == 't') return if (reader.word("true")) true else |err| err;
                if (first == 'f') return if (reader.word("false")) false else |err| err;
                return reader.fail("expected true or false");
            },
            .int => return reader.integer(T),
            .float => return reader.real(T),
            .optional => |optional| {
                if (first == 'n') return if (reader.word("null")) null else |err| err;
                return try reader.read(optional.child);
            },
            .@"enum" => {
                const name = try reader.read([]const u8);
                return std.meta.stringToEnum(T, name) orelse
                    reader.fail(host.format("{s} is none of {s}", .{ name, comptime names(std.meta.fieldNames(T)) }));
            },
            .@"struct" => return reader.object(T),
            .pointer => |pointer| if (pointer.size == .slice) {
                if (pointer.child == u8) {
                    if (first != '"') return reader.fail("expected a text");
                    reader.at += 1;
                    return reader.string(true);
                }
                return reader.array(pointer.child);
            },
            else => {},
        }
        @compileError("JSON is not read as " ++ @typeName(T));
    }

    fn integer(reader: *Reader, comptime T: type) Error!T {
        const start = reader.at;
        const negative = start < reader.text.len and reader.text[start] == '-';
        var at = start + @intFromBool(negative);
        const digits = at;
        var n: u64 = 0;
        var fits = true;
        while (at < reader.text.len) : (at += 1) {
            const digit = reader.text[at] -% '0';
            if (digit > 9) break;
            if (at - digits >= 19) {
                const larger, const over = @mulWithOverflow(n, 10);
                const sum, const over_sum = @addWithOverflow(larger, digit);
                if (over != 0 or over_sum != 0) fits = false;
                n = sum;
            } else n = n * 10 + digit;
        }
        if (at == digits) return reader.fail("expected an integer");
        if (at - digits > 1 and reader.text[digits] == '0') return reader.fail("invalid number");
        if (at < reader.text.len) switch (reader.text[at]) {
            '.', 'e', 'E' => return reader.fail("expected an integer, found a fraction"),
            else => {},
        };
        const signed: i128 = if (negative) -@as(i128, n) else n;
        if (fits) if (std.math.cast(T, signed)) |exact| {
            reader.at = at;
            return exact;
        };
        return reader.fail("expected an integer that fits " ++ @typeName(T) ++ ", found a larger one");
    }

    fn real(reader: *Reader, comptime T: type) Error!T {
        const start = reader.at;
        switch (reader.peek()) {
            '-', '0'...'9' => {},
            else => return reader.fail("expected a number"),
        }
        try reader.number();
        const x = std.fmt.parseFloat(T, reader.text[start..reader.at]) catch return reader.fail("invalid number");
        if (!std.math.isFinite(x)) {
            reader.at = start;
            return reader.fail("number out of range");
        }
        return x;
    }

    fn digitsAt(reader: *Reader) bool {
        const start = reader.at;
        while (reader.at < reader.text.len and std.ascii.isDigit(reader.text[reader.at])) reader.at += 1;
        return reader.at > start;
    }

    fn accept(reader: *Reader, any: []const u8) bool {
        const is = reader.at < reader.text.len and std.mem.indexOfScalar(u8, any, reader.text[reader.at]) != null;
        reader.at += @intFromBool(is);
        return is;
    }

    fn number(reader: *Reader) Error!void {
        _ = reader.accept("-");
        const first = reader.at;
        var right = reader.digitsAt() and (reader.at - first == 1 or reader.text[first] != '0');
        if (right and reader.accept(".")) right = reader.digitsAt();
        if (right and reader.accept("eE")) {
            _ = reader.accept("+-");
            right = reader.digitsAt();
        }
        if (!right) return reader.fail("invalid number");
    }

    fn object(reader: *Reader, comptime T: type) Error!T {
        const info = @typeInfo(T).@"struct";
        if (info.is_tuple) @compileError("an object is read as a struct with names, not as " ++ @typeName(T));
        var read_struct: T = undefined;
        var seen: [info.field_names.len]bool = @splat(false);
        try reader.expect('{', "expected an object");
        var is_first = true;
        // Fields mostly stand in the order of the struct: the search begins behind the one that was found last.
        var next: usize = 0;
        while (reader.peek() != '}') : (is_first = false) {
            if (!is_first) try reader.expect(',', "expected `,` or `}`");
            try reader.expect('"', "expected a field's name");
            const name = try reader.string(false);
            const found = find(info.field_names, name, next);
            if (found) |index| {
                if (seen[index]) return reader.fail(host.format("duplicate field `{s}`", .{name}));
                seen[index] = true;
                next = index + 1;
            }
            try reader.expect(':', "expected `:`");
            const index = found orelse {
                try reader.skip(0);
                continue;
            };
            switch (index) {
                inline 0...@max(info.field_names.len, 1) - 1 => |which| if (which < info.field_names.len) {
                    @field(read_struct, info.field_names[which]) = try reader.read(info.field_types[which]);
                },
                else => unreachable,
            }
        }
        inline for (info.field_names, info.field_types, info.field_attrs, 0..) |name, Field, attrs, index| {
            if (!seen[index]) {
                if (attrs.defaultValue(Field)) |default| {
                    @field(read_struct, name) = default;
                } else if (@typeInfo(Field) == .optional) {
                    @field(read_struct, name) = null;
                } else return reader.fail("missing field `" ++ name ++ "`");
            }
        }
        reader.at += 1;
        return read_struct;
    }

    inline fn find(comptime names_of: []const [:0]const u8, name: []const u8, next: usize) ?usize {
        inline for (names_of, 0..) |candidate, at| {
            if (at == next and value.same(candidate, name)) return at;
        }
        inline for (names_of, 0..) |candidate, at| {
            if (value.same(candidate, name)) return at;
        }
        return null;
    }

    fn array(reader: *Reader, comptime Item: type) Error![]Item {
        var items: std.ArrayList(Item) = .empty;
        try reader.expect('[', "expected an array");
        while (reader.peek() != ']') {
            if (items.items.len > 0) try reader.expect(',', "expected `,` or `]`");
            const item = try reader.read(Item);
            items.append(host.arena(), item) catch host.oom();
        }
        reader.at += 1;
        return items.items;
    }

    /// Passes over bytes of a text up to its end or a backslash; whether any is beyond ASCII is added to `high`.
    inline fn plain(reader: *Reader, high: *u64) Error!u8 {
        const ones: u64 = 0x0101010101010101;
        const tops = ones << 7;
        const text = reader.text;
        var at = reader.at;
        while (text.len - at >= 8) {
            const bytes = std.mem.readInt(u64, text[at..][0..8], .little);
            const quote = bytes ^ ones * '"';
            const slash = bytes ^ ones * '\\';
            // Bytes below 0x20, quotes and backslashes; what is beyond ASCII is no hit.
            const hits = ((quote -% ones & ~quote) | (slash -% ones & ~slash) | (bytes -% ones * 0x20 & ~bytes)) & tops;
            if (hits != 0) {
                const passed: u7 = @intCast(@ctz(hits) / 8);
                if (passed != 0) high.* |= bytes << @intCast(64 - 8 * passed);
                at += passed;
                break;
            }
            high.* |= bytes;
            at += 8;
        }
        while (at < text.len) : (at += 1) {
            const byte = text[at];
            if (byte == '"' or byte == '\\') {
                reader.at = at;
                return byte;
            }
            if (byte < 0x20) {
                reader.at = at;
                return reader.fail("control character in a text");
            }
            high.* |= @as(u64, byte);
        }
        reader.at = at;
        return reader.fail("the JSON ends within a text");
    }

    /// Reads a text, behind its first quote. Without escapes it is borrowed.
    fn string(reader: *Reader, check: bool) Error![]const u8 {
        const start = reader.at;
        var high: u64 = 0;
        var text: []const u8 = undefined;
        if (try reader.plain(&high) == '"') {
            text = reader.text[start..reader.at];
        } else {
            var out: std.ArrayList(u8) = .empty;
            var from = start;
            while (true) {
                out.appendSlice(host.arena(), reader.text[from..reader.at]) catch host.oom();
                if (reader.text[reader.at] == '"') break;
                reader.at += 1;
                var bytes: [4]u8 = undefined;
                const code = try reader.escape();
                const len = std.unicode.utf8Encode(code, &bytes) catch return reader.fail("invalid escape");
                out.appendSlice(host.arena(), bytes[0..len]) catch host.oom();
                from = reader.at;
                _ = try reader.plain(&high);
            }
            text = out.items;
        }
        if (check and high & 0x8080808080808080 != 0 and !value.isUtf8(text)) return reader.fail("invalid unicode in a text");
        reader.at += 1;
        return text;
    }

    fn escape(reader: *Reader) Error!u21 {
        if (reader.at == reader.text.len) return reader.fail("the JSON ends too early");
        const byte = reader.text[reader.at];
        reader.at += 1;
        return switch (byte) {
            '"', '\\', '/' => byte,
            'b' => 8,
            'f' => 12,
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => reader.unicode(),
            else => reader.fail("invalid escape"),
        };
    }

    fn unicode(reader: *Reader) Error!u21 {
        const high: u21 = try reader.hex();
        if (high & 0xf800 != 0xd800) return high;
        if (high >= 0xdc00 or !std.mem.startsWith(u8, reader.text[reader.at..], "\\u")) return reader.fail("lone surrogate in an escape");
        reader.at += 2;
        const low: u21 = try reader.hex();
        if (low & 0xfc00 != 0xdc00) return reader.fail("lone surrogate in an escape");
        return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
    }

    fn hex(reader: *Reader) Error!u16 {
        if (reader.text.len - reader.at < 4) return reader.fail("the JSON ends too early");
        const digits = reader.text[reader.at..][0..4];
        for (digits) |digit| if (!std.ascii.isHex(digit)) return reader.fail("invalid escape");
        reader.at += 4;
        return std.fmt.parseInt(u16, digits, 16) catch reader.fail("invalid escape");
    }

    /// Passes over any value, and checks that it is one.
    fn skip(reader: *Reader, depth: usize) Error!void {
        var high: u64 = 0;
        if (depth > depth_max) return reader.fail("the JSON is nested too deeply");
        switch (reader.peek()) {
            '"' => {
                reader.at += 1;
                while (try reader.plain(&high) != '"') {
                    reader.at += 1;
                    _ = try reader.escape();
                }
                reader.at += 1;
            },
            '-', '0'...'9' => try reader.number(),
            't' => try reader.word("true"),
            'f' => try reader.word("false"),
            'n' => try reader.word("null"),
            '[' => {
                reader.at += 1;
                var is_first = true;
                while (reader.peek() != ']') : (is_first = false) {
                    if (!is_first) try reader.expect(',', "expected `,` or `]`");
                    try reader.skip(depth + 1);
                }
                reader.at += 1;
            },
            '{' => {
                reader.at += 1;
                var is_first = true;
                while (reader.peek() != '}') : (is_first = false) {
                    if (!is_first) try reader.expect(',', "expected `,` or `}`");
                    if (reader.peek() != '"') return reader.fail("expected a field's name");
                    try reader.skip(depth + 1);
                    try reader.expect(':', "expected `:`");
                    try reader.skip(depth + 1);
                }
                reader.at += 1;
            },
            else => return reader.fail(if (reader.at == reader.text.len) "the JSON ends too early" else "expected a JSON value"),
        }
    }
};

/// Names in a message.
pub fn names(comptime list: []const [:0]const u8) []const u8 {
    comptime var text: []const u8 = "";
    inline for (list, 0..) |name, at| text = text ++ (if (at == 0) "" else ", ") ++ name;
    return text;
}
