//! The rows of one table that a batch writes: found by key, changed in memory, flushed as writes.
//!
//! Nothing is allocated per row: keys and texts lie one behind the other in an arena, in the form that they have in a frame,
//! columns in one list of cells. The order is that of first writing, so the same batch always gives the same writes.

const std = @import("std");
const errors = @import("errors.zig");
const frame = @import("frame.zig");
const host = @import("host.zig");
const value = @import("value.zig");
const Value = value.Value;
const Buffer = value.Buffer;

pub const Intent = enum { upsert, update };
pub const Change = enum { set, add, max, min };
pub const Pending = enum { nothing, upsert, update, delete, replace };
const Verb = enum { upsert, update, delete };

const Span = struct {
    pos: u32,
    len: u32,

    fn of(span: Span, arena: *const Buffer) []u8 {
        return arena.slice()[span.pos..][0..span.len];
    }
};

const Cell = union(enum) { null, integer: i64, encoded: Span };

/// Which columns are written, and how, as bits by the columns' positions. Those in none of the others are set.
const Columns = struct {
    written: u64 = 0,
    add: u64 = 0,
    max: u64 = 0,
    min: u64 = 0,

    fn eql(a: Columns, b: Columns) bool {
        return a.written == b.written and a.add == b.add and a.max == b.max and a.min == b.min;
    }
};

const Entry = struct {
    hash: u32,
    key: Span,
    /// The last event that touched the row.
    event: ?u32 = null,
    pending: Pending = .nothing,
    columns: Columns = .{},
    /// All cells have the row's values, or it is known that there is no row.
    known: bool = false,
    /// There is no row in the database.
    absent: bool = false,
};

const Statement = struct { verb: Verb, columns: Columns, id: u32 };

pub const Cache = struct {
    name: []const u8,
    key: []const [:0]const u8,
    columns: []const [:0]const u8,
    arena: Buffer = .{},
    entries: std.ArrayList(Entry) = .empty,
    cells: std.ArrayList(Cell) = .empty,
    /// An entry's position plus one, or 0. The length is a power of two, at least twice the entries.
    slots: []u32 = &.{},
    statements: std.ArrayList(Statement) = .empty,
    select: ?u32 = null,
    touched: bool = false,

    pub fn clear(cache: *Cache) void {
        cache.touched = false;
        cache.arena.len = 0;
        cache.entries.clearRetainingCapacity();
        cache.cells.clearRetainingCapacity();
        @memset(cache.slots, 0);
    }

    pub fn sizeBytes(cache: *const Cache) usize {
        return cache.arena.len + cache.entries.items.len * (@sizeOf(Entry) + 8) + cache.cells.items.len * @sizeOf(Cell);
    }

    pub fn keyOf(cache: *const Cache, at: u32) []u8 {
        return cache.entries.items[at].key.of(&cache.arena);
    }

    pub fn valueOf(cache: *const Cache, at: u32, column: usize) Value {
        return switch (cache.cells.items[at * cache.columns.len + column]) {
            .null => .null,
            .integer => |n| .{ .integer = n },
            .encoded => |span| blk: {
                var values: frame.Values = .{ .rest = span.of(&cache.arena), .left = 1 };
                break :blk values.read() catch .null;
            },
        };
    }

    /// The entry of the key that the arena has from `start` on, or the free slot for it.
    fn slotOf(cache: *const Cache, hashed: u32, start: usize) struct { found: ?u32, slot: usize } {
        const key = cache.arena.slice()[start..];
        const mask = cache.slots.len - 1;
        var slot = firstSlot(hashed, cache.slots.len);
        while (true) : (slot = (slot + 1) & mask) {
            const taken = cache.slots[slot];
            if (taken == 0) return .{ .found = null, .slot = slot };
            const candidate = &cache.entries.items[taken - 1];
            if (candidate.hash == hashed and value.same(candidate.key.of(&cache.arena), key)) return .{ .found = taken - 1, .slot = slot };
        }
    }

    pub fn find(cache: *const Cache, start: usize) ?u32 {
        if (cache.slots.len == 0) return null;
        return cache.slotOf(hash(cache.arena.slice()[start..]), start).found;
    }

    /// The entry of the key that the arena has from `start` on, and whether it was made here.
    pub fn entry(cache: *Cache, start: usize) struct { at: u32, is_new: bool } {
        if ((cache.entries.items.len + 1) * 2 > cache.slots.len) cache.grow();
        const hashed = hash(cache.arena.slice()[start..]);
        const place = cache.slotOf(hashed, start);
        if (place.found) |at| {
            cache.arena.len = start;
            return .{ .at = at, .is_new = false };
        }
        const at: u32 = @intCast(cache.entries.items.len);
        cache.slots[place.slot] = at + 1;
        cache.entries.append(host.gpa, .{
            .hash = hashed,
            .key = .{ .pos = @intCast(start), .len = @intCast(cache.arena.len - start) },
        }) catch host.oom();
        cache.cells.appendNTimes(host.gpa, .null, cache.columns.len) catch host.oom();
        return .{ .at = at, .is_new = true };
    }

    fn grow(cache: *Cache) void {
        @branchHint(.cold);
        const count = @max(cache.slots.len * 2, 64);
        host.gpa.free(cache.slots);
        cache.slots = host.gpa.alloc(u32, count) catch host.oom();
        @memset(cache.slots, 0);
        for (cache.entries.items, 1..) |row, at| {
            var slot = firstSlot(row.hash, count);
            while (cache.slots[slot] != 0) slot = (slot + 1) & (count - 1);
            cache.slots[slot] = @intCast(at);
        }
    }

    /// Enters a row with an intent. `.flush`: what is gathered of it must be flushed first.
    pub fn enter(cache: *Cache, start: usize, intent: Intent, event: ?u32) union(enum) { row: u32, no_row, flush: u32 } {
        const place = cache.entry(start);
        const row = &cache.entries.items[place.at];
        const pending: Pending = switch (row.pending) {
            .nothing => if (intent == .upsert)
                // One that was read is there.
                (if (place.is_new or row.absent) .upsert else .update)
            else if (!place.is_new and row.absent) return .no_row else .update,
            .delete => if (intent == .update) return .no_row else .replace,
            // An update may have met no row, which an upsert now makes: two writes, not one.
            .update => if (intent == .upsert and !row.known) return .{ .flush = place.at } else .update,
            else => |same| same,
        };
        if (row.absent or row.pending == .delete) {
            // A new row's other columns have defaults, which only the database knows.
            row.known = false;
            row.absent = false;
        }
        row.pending = pending;
        row.event = event;
        return .{ .row = place.at };
    }

    pub fn encode(cache: *Cache, cell: usize, x: Value) errors.Error!void {
        cache.cells.items[cell] = switch (x) {
            .null => .null,
            .integer => |n| .{ .integer = n },
            else => blk: {
                const pos = cache.arena.len;
                try x.write(&cache.arena);
                break :blk .{ .encoded = .{ .pos = @intCast(pos), .len = @intCast(cache.arena.len - pos) } };
            },
        };
    }

    /// Changes a column. False: this change cannot be put together with what is gathered.
    pub fn change(cache: *Cache, at: u32, column: usize, how: Change, x: Value) errors.Error!bool {
        const row = &cache.entries.items[at];
        const columns = &row.columns;
        const bit = @as(u64, 1) << @intCast(column);
        const before: ?Change = if (columns.written & bit == 0)
            (if (row.known) .set else null)
        else if (columns.add & bit != 0) .add else if (columns.max & bit != 0) .max else if (columns.min & bit != 0) .min else .set;
        const cell = at * cache.columns.len + column;
        // Nothing is known of the column, or it does not matter: the change itself is gathered.
        if (before == null or how == .set) {
            columns.written |= bit;
            columns.add = columns.add & ~bit | if (how == .add) bit else 0;
            columns.max = columns.max & ~bit | if (how == .max) bit else 0;
            columns.min = columns.min & ~bit | if (how == .min) bit else 0;
            try cache.encode(cell, x);
            return true;
        }
        // The column's value, or what is to be added to it, is known, and changes here.
        const n = x.integer;
        const merged = switch (cache.cells.items[cell]) {
            .null => if (before == .set) n else return false,
            .integer => |old| if (before != .set and before != how) return false else switch (how) {
                .add => std.math.add(i64, old, n) catch return false,
                .max => @max(old, n),
                .min => @min(old, n),
                .set => n,
            },
            .encoded => return false,
        };
        columns.written |= bit;
        cache.cells.items[cell] = .{ .integer = merged };
        return true;
    }

    /// Makes a row that was put or read into a known one.
    pub fn known(cache: *Cache, at: u32, pending: Pending, event: ?u32) void {
        const row = &cache.entries.items[at];
        row.pending = pending;
        row.known = true;
        row.absent = false;
        row.event = event;
        const width = cache.columns.len;
        row.columns = .{ .written = if (width == 0) 0 else ~@as(u64, 0) >> @intCast(64 - width) };
    }

    /// Turns all rows into writes, and forgets them.
    pub fn flush(cache: *Cache, ops: *frame.Writer) errors.Error!void {
        for (cache.entries.items, 0..) |row, at| {
            const verbs: []const Verb = switch (row.pending) {
                .nothing => &.{},
                .update => if (row.columns.written == 0) &.{} else &.{.update},
                .upsert => &.{.upsert},
                .delete => &.{.delete},
                .replace => &.{ .delete, .upsert },
            };
            for (verbs) |verb| {
                const columns: Columns = if (verb == .delete) .{} else row.columns;
                const statement = cache.statementFor(verb, columns) catch |err| {
                    var failure = errors.caught(err);
                    failure.index = failure.index orelse row.event;
                    return errors.failWith(failure);
                };
                const start = ops.arena.len;
                ops.arena.append(row.key.of(&cache.arena));
                var rest = columns.written;
                while (rest != 0) : (rest &= rest - 1) {
                    switch (cache.cells.items[at * cache.columns.len + @ctz(rest)]) {
                        .null => try (Value{ .null = {} }).write(&ops.arena),
                        .integer => |n| try (Value{ .integer = n }).write(&ops.arena),
                        .encoded => |span| ops.arena.append(span.of(&cache.arena)),
                    }
                }
                ops.op(statement, row.event, start, @intCast(cache.key.len + @popCount(columns.written)));
            }
        }
        cache.clear();
    }

    fn statementFor(cache: *Cache, verb: Verb, columns: Columns) errors.Error!u32 {
        for (cache.statements.items) |made| {
            if (made.verb == verb and made.columns.eql(columns)) return made.id;
        }
        const id = try prepare(cache.writeSql(verb, columns));
        cache.statements.append(host.gpa, .{ .verb = verb, .columns = columns, .id = id }) catch host.oom();
        return id;
    }

    /// The statement for a verb and columns. Its parameters are the key, then the columns by position.
    fn writeSql(cache: *const Cache, verb: Verb, columns: Columns) []const u8 {
        var out: std.Io.Writer.Allocating = .init(host.arena());
        cache.writeSqlTo(&out.writer, verb, columns) catch host.oom();
        return out.written();
    }

    fn writeSqlTo(cache: *const Cache, out: *std.Io.Writer, verb: Verb, columns: Columns) !void {
        switch (verb) {
            .delete => try out.print("DELETE FROM {f}", .{quoted(cache.name)}),
            .update => {
                try out.print("UPDATE {f} SET ", .{quoted(cache.name)});
                try cache.assign(out, columns, true);
            },
            .upsert => {
                try out.print("INSERT INTO {f} (", .{quoted(cache.name)});
                try cache.keyList(out);
                var rest = columns.written;
                while (rest != 0) : (rest &= rest - 1) try out.print(", {f}", .{quoted(cache.columns[@ctz(rest)])});
                try out.writeAll(") VALUES (");
                for (0..cache.key.len + @popCount(columns.written)) |at| try out.writeAll(if (at == 0) "?" else ", ?");
                try out.writeAll(") ON CONFLICT (");
                try cache.keyList(out);
                try out.writeAll(if (columns.written == 0) ") DO NOTHING" else ") DO UPDATE SET ");
                return cache.assign(out, columns, false);
            },
        }
        try cache.where(out);
    }

    fn keyList(cache: *const Cache, out: *std.Io.Writer) !void {
        for (cache.key, 0..) |name, at| try out.print("{s}{f}", .{ if (at == 0) "" else ", ", quoted(name) });
    }

    fn assign(cache: *const Cache, out: *std.Io.Writer, columns: Columns, is_update: bool) !void {
        var rest = columns.written;
        var nth: usize = 0;
        while (rest != 0) : (rest &= rest - 1) {
            const bit = rest & (~rest + 1);
            const column = quoted(cache.columns[@ctz(rest)]);
            const table = quoted(cache.name);
            const new = if (is_update)
                host.format("?{d}", .{cache.key.len + nth + 1})
            else
                host.format("excluded.{f}", .{column});
            try out.print("{s}{f} = ", .{ if (nth == 0) "" else ", ", column });
            if (columns.add & bit != 0) {
                try out.print("ifnull({f}.{f}, 0) + {s}", .{ table, column, new });
            } else if ((columns.max | columns.min) & bit != 0) {
                const function = if (columns.max & bit != 0) "max" else "min";
                try out.print("{s}(ifnull({f}.{f}, {s}), {s})", .{ function, table, column, new, new });
            } else try out.writeAll(new);
            nth += 1;
        }
    }

    fn where(cache: *const Cache, out: *std.Io.Writer) !void {
        for (cache.key, 1..) |name, at| {
            try out.print("{s} {f}.{f} = ?{d}", .{ if (at == 1) " WHERE" else " AND", quoted(cache.name), quoted(name), at });
        }
    }

    /// The statement that reads the declared columns of a row by its key.
    pub fn selectRow(cache: *Cache) errors.Error!u32 {
        if (cache.select) |id| return id;
        var out: std.Io.Writer.Allocating = .init(host.arena());
        cache.selectSqlTo(&out.writer) catch host.oom();
        const id = try prepare(out.written());
        cache.select = id;
        return id;
    }

    fn selectSqlTo(cache: *const Cache, out: *std.Io.Writer) !void {
        try out.writeAll("SELECT ");
        // Only a qualified name is surely a column: a bare one that is misspelt would be a text.
        for (cache.columns, 0..) |name, at| {
            try out.print("{s}{f}.{f}", .{ if (at == 0) "" else ", ", quoted(cache.name), quoted(name) });
        }
        try out.print("{s} FROM {f}", .{ if (cache.columns.len == 0) "1" else "", quoted(cache.name) });
        try cache.where(out);
    }
};

pub fn prepare(sql: []const u8) errors.Error!u32 {
    var answer: host.Answer = .{};
    host.imports.prepare(sql.ptr, sql.len, &answer);
    try errors.answered(&answer);
    return answer.is.number;
}

/// An identifier of SQL.
const Quoted = struct {
    name: []const u8,

    pub fn format(quoted_name: Quoted, out: *std.Io.Writer) std.Io.Writer.Error!void {
        try out.writeByte('"');
        for (quoted_name.name) |byte| {
            if (byte == '"') try out.writeByte('"');
            try out.writeByte(byte);
        }
        try out.writeByte('"');
    }
};

fn quoted(name: []const u8) Quoted {
    return .{ .name = name };
}

/// A hash by multiplication, eight bytes at a time. A batch is bounded, so chosen keys do no harm.
fn hash(bytes: []const u8) u32 {
    const factor: u64 = 0x517cc1b727220a95;
    var hashed: u64 = bytes.len;
    var last: u64 = 0;
    if (bytes.len >= 8) {
        last = std.mem.readInt(u64, bytes[bytes.len - 8 ..][0..8], .little);
        var at: usize = 0;
        while (bytes.len - at >= 8) : (at += 8) {
            hashed = (std.math.rotl(u64, hashed, 5) ^ std.mem.readInt(u64, bytes[at..][0..8], .little)) *% factor;
        }
    } else for (bytes) |byte| {
        last = last << 8 | byte;
    }
    return @truncate(((std.math.rotl(u64, hashed, 5) ^ last) *% factor) >> 32);
}

/// Where the search for a hash begins: at its highest bits, which every bit of the key has had a part in.
fn firstSlot(hashed: u32, slots: usize) usize {
    return hashed >> @intCast(32 - @ctz(@as(u32, @intCast(slots))));
}
