//! What a projection writes: SQL and rows, gathered over a batch.

const std = @import("std");
const cache_ = @import("cache.zig");
const errors = @import("errors.zig");
const event_ = @import("event.zig");
const frame = @import("frame.zig");
const host = @import("host.zig");
const value = @import("value.zig");
const Cache = cache_.Cache;
const Event = event_.Event;
const Value = value.Value;

/// The most bytes that writes may take before they are handed to the host, in the middle of a batch if need be.
const buffer_bytes_max = 8 * 1024 * 1024;
/// The most rows that a query answers.
pub const rows_max = 100_000;

/// A table that is written row by row: its name, its key columns, and the other columns that are written, by the
/// names and types of two structs:
///
///     const Balances = lantern.Table("balances", struct { account: []const u8 }, struct { cents: i64 });
///
/// Writes to one row are gathered over a batch and reach SQLite once. The key is the primary key or a unique index.
pub fn Table(comptime table_name: []const u8, comptime KeyColumns: type, comptime OtherColumns: type) type {
    if (std.meta.fieldNames(KeyColumns).len == 0) @compileError("the table " ++ table_name ++ " needs a key");
    if (std.meta.fieldNames(OtherColumns).len > 64) @compileError("the table " ++ table_name ++ " has more than 64 columns beside its key");
    for (std.meta.fieldTypes(KeyColumns)) |Part| switch (@typeInfo(Part)) {
        .optional, .float => @compileError("a key of " ++ table_name ++ " has NULL or a real in it: those are never equal"),
        else => {},
    };
    return struct {
        pub const name = table_name;
        pub const Key = KeyColumns;
        pub const Columns = OtherColumns;
        var cache: ?*Cache = null;
    };
}

fn Changed(comptime how: cache_.Change) type {
    return struct {
        pub const change = how;
        n: i64,
    };
}

/// Adds to a column of integers; NULL counts as 0.
pub fn add(n: i64) Changed(.add) {
    return .{ .n = n };
}

/// Raises a column of integers to `n`, if it is less or NULL.
pub fn max(n: i64) Changed(.max) {
    return .{ .n = n };
}

/// Lowers a column of integers to `n`, if it is more or NULL.
pub fn min(n: i64) Changed(.min) {
    return .{ .n = n };
}

const Outbox = Table("_lantern_outbox", struct { key: []const u8 }, struct {
    aggregate: []const u8,
    id: []const u8,
    command: []const u8,
    payload: value.Blob,
    due_ms: ?i64,
    correlation: ?[]const u8,
    causation: ?[]const u8,
});

/// Where a command is sent to.
pub const To = struct {
    aggregate: []const u8,
    id: []const u8,
    /// A timeout: it is sent then or later, unless it is cancelled.
    due_ms: ?i64 = null,
};

/// The read model, within the transaction of a batch.
pub const Db = struct {
    ops: frame.Writer = .{},
    params: frame.Writer = .{},
    frame: value.Buffer = .{},
    /// Caches that hold rows, in the order in which they were first touched.
    touched: std.ArrayList(*Cache) = .empty,
    event: ?u32 = null,
    /// The first error of a write that could not answer one itself. It fails the event.
    kept: ?errors.Failure = null,

    /// Writes some columns of a row, which is made if there is none:
    ///
    ///     db.upsert(Balances, .{ .account = account }, .{ .cents = lantern.add(cents) });
    ///
    /// Columns that are not named have their default.
    pub fn upsert(db: *Db, comptime T: type, key: T.Key, changes: anytype) void {
        db.write(T, key, .upsert, changes) catch |err| db.keep(err);
    }

    /// Writes some columns of a row, if there is one.
    pub fn update(db: *Db, comptime T: type, key: T.Key, changes: anytype) void {
        db.write(T, key, .update, changes) catch |err| db.keep(err);
    }

    /// Writes a whole row.
    pub fn put(db: *Db, comptime T: type, key: T.Key, columns: T.Columns) void {
        db.tryPut(T, key, columns) catch |err| db.keep(err);
    }

    /// Deletes a row, if there is one.
    pub fn delete(db: *Db, comptime T: type, key: T.Key) void {
        db.tryDelete(T, key) catch |err| db.keep(err);
    }

    /// The row of this key: as it was written in this batch, or else as the database has it.
    pub fn get(db: *Db, comptime T: type, key: T.Key) errors.Error!?T.Columns {
        const cache = db.cacheOf(T);
        var start = try writeKey(cache, key);
        var found = cache.find(start);
        cache.arena.len = start;
        if (found == null or !cache.entries.items[found.?].known) {
            if (found != null) {
                // The row was written in part: the database puts the parts together.
                try db.flushRows();
                _ = db.cacheOf(T);
            }
            var rows = try db.select(try cache.selectRow(), key);
            start = try writeKey(cache, key);
            const at = cache.entry(start).at;
            cache.entries.items[at].known = true;
            cache.entries.items[at].absent = true;
            if (try rows.values()) |row| {
                var values = row;
                cache.entries.items[at].absent = false;
                for (0..cache.columns.len) |column| {
                    const x = values.next() catch |err| return event_.mangled(err);
                    try cache.encode(at * cache.columns.len + column, x orelse break);
                }
            }
            found = at;
        }
        const entry = &cache.entries.items[found.?];
        if (entry.absent or entry.pending == .delete) return null;
        var columns: T.Columns = undefined;
        inline for (comptime std.meta.fieldNames(T.Columns), comptime std.meta.fieldTypes(T.Columns), 0..) |name, Column, at| {
            // The cache's memory moves when it grows.
            const x: Value = switch (cache.valueOf(found.?, at)) {
                .text => |text| .{ .text = host.copied(text) },
                .blob => |blob| .{ .blob = host.copied(blob) },
                else => |x| x,
            };
            @field(columns, name) = try x.as(Column);
        }
        return columns;
    }

    /// Runs any statement that writes, with a tuple of its parameters. It runs when the batch ends, or before a query.
    pub fn execute(db: *Db, comptime sql: []const u8, params: anytype) errors.Error!void {
        try db.flushRows();
        const statement = try prepared(sql);
        const start = db.ops.arena.len;
        errdefer db.ops.arena.len = start;
        db.ops.op(statement, db.event, start, try writeAll(&db.ops.arena, params));
    }

    /// Runs any statement that reads, on everything written so far; answers at most `rows_max` rows:
    ///
    ///     var rows = try db.query("SELECT id, n FROM sums WHERE n > ?1", .{5});
    ///     while (try rows.next(struct { []const u8, i64 })) |row| { … }
    pub fn query(db: *Db, comptime sql: []const u8, params: anytype) errors.Error!Rows {
        try db.flushRows();
        return db.select(try prepared(sql), params);
    }

    /// The first column of a query's first row; null when it has no row.
    pub fn queryValue(db: *Db, comptime T: type, comptime sql: []const u8, params: anytype) errors.Error!?T {
        var rows = try db.query(sql, params);
        const row = try rows.next(struct { T }) orelse return null;
        return row[0];
    }

    /// Sends a command because of an event, once the event is applied: a variant of a `union(enum)`, which names it. `key`
    /// says which command of the process it is (`transfer-7/debit`): it has its effect once. The manifest names
    /// the aggregate in `sends`.
    pub fn send(db: *Db, event: *const Event, key: []const u8, to: To, command: anytype) void {
        const encoded = event_.encode(command);
        const cause = textHeader(event, "ce_id");
        db.put(Outbox, .{ .key = key }, .{
            .aggregate = to.aggregate,
            .id = to.id,
            .command = encoded.kind,
            .payload = .{ .bytes = encoded.payload },
            .due_ms = to.due_ms,
            // What an event without a correlation begins is known by that event.
            .correlation = textHeader(event, "ce_correlationid") orelse cause,
            .causation = cause,
        });
    }

    /// Takes a command back that was not sent yet.
    pub fn cancel(db: *Db, key: []const u8) void {
        db.delete(Outbox, .{ .key = key });
    }

    fn textHeader(event: *const Event, name: []const u8) ?[]const u8 {
        const bytes = event.header(name) orelse return null;
        return if (value.isUtf8(bytes)) bytes else null;
    }

    fn write(db: *Db, comptime T: type, key: T.Key, intent: cache_.Intent, changes: anytype) errors.Error!void {
        const cache = db.cacheOf(T);
        const start = try writeKey(cache, key);
        var at = switch (cache.enter(start, intent, db.event)) {
            .row => |at| at,
            .no_row => return,
            .flush => |at| try db.reenter(cache, host.copied(cache.keyOf(at)), intent),
        };
        inline for (comptime std.meta.fieldNames(@TypeOf(changes))) |name| {
            const column = comptime std.meta.fieldIndex(T.Columns, name) orelse
                @compileError("the table " ++ T.name ++ " declares no column " ++ name);
            const x = @field(changes, name);
            const is_changed = comptime @typeInfo(@TypeOf(x)) == .@"struct" and @hasDecl(@TypeOf(x), "change");
            const how: cache_.Change = if (is_changed) @TypeOf(x).change else .set;
            const new: Value = if (is_changed) .{ .integer = x.n } else try Value.of(@as(@FieldType(T.Columns, name), x));
            if (!try cache.change(at, column, how, new)) {
                // What is gathered and what comes now are not one change: the first is written, the second begins anew.
                at = try db.reenter(cache, host.copied(cache.keyOf(at)), intent);
                _ = try cache.change(at, column, how, new);
            }
        }
    }

    /// Writes what is gathered, then enters the row again.
    fn reenter(db: *Db, cache: *Cache, key: []const u8, intent: cache_.Intent) errors.Error!u32 {
        try db.flushRows();
        db.touch(cache);
        const start = cache.arena.len;
        cache.arena.append(key);
        const at = cache.entry(start).at;
        cache.entries.items[at].pending = if (intent == .upsert) .upsert else .update;
        cache.entries.items[at].event = db.event;
        return at;
    }

    fn tryPut(db: *Db, comptime T: type, key: T.Key, columns: T.Columns) errors.Error!void {
        const cache = db.cacheOf(T);
        const at = cache.entry(try writeKey(cache, key)).at;
        inline for (comptime std.meta.fieldNames(T.Columns), 0..) |name, column| {
            try cache.encode(at * cache.columns.len + column, try Value.of(@field(columns, name)));
        }
        const before = cache.entries.items[at].pending;
        cache.known(at, if (before == .delete or before == .replace) .replace else .upsert, db.event);
    }

    fn tryDelete(db: *Db, comptime T: type, key: T.Key) errors.Error!void {
        const cache = db.cacheOf(T);
        const at = cache.entry(try writeKey(cache, key)).at;
        const entry = &cache.entries.items[at];
        if (entry.absent) return;
        entry.pending = .delete;
        entry.columns = .{};
        entry.known = true;
        entry.event = db.event;
    }

    /// Appends a key to the cache's arena; answers where it begins.
    inline fn writeKey(cache: *Cache, key: anytype) errors.Error!usize {
        const start = cache.arena.len;
        errdefer cache.arena.len = start;
        _ = try writeAll(&cache.arena, key);
        return start;
    }

    inline fn writeAll(out: *value.Buffer, params: anytype) errors.Error!u32 {
        const names = comptime std.meta.fieldNames(@TypeOf(params));
        inline for (names) |name| try (try Value.of(@field(params, name))).write(out);
        return names.len;
    }

    /// The cache of a table, which counts as touched from now on.
    inline fn cacheOf(db: *Db, comptime T: type) *Cache {
        const cache = T.cache orelse newCache(T);
        if (!cache.touched) db.touch(cache);
        return cache;
    }

    fn newCache(comptime T: type) *Cache {
        const cache = host.gpa.create(Cache) catch host.oom();
        cache.* = .{ .name = T.name, .key = std.meta.fieldNames(T.Key), .columns = std.meta.fieldNames(T.Columns) };
        T.cache = cache;
        return cache;
    }

    fn touch(db: *Db, cache: *Cache) void {
        if (cache.touched) return;
        cache.touched = true;
        db.touched.append(host.gpa, cache) catch host.oom();
    }

    fn select(db: *Db, statement: u32, params: anytype) errors.Error!Rows {
        try db.flushOps();
        db.params.clear();
        db.params.row(0, try writeAll(&db.params.arena, params));
        const bytes = db.params.finish(.rows, &db.frame);
        var answer: host.Answer = .{};
        host.imports.query(statement, bytes.ptr, bytes.len, rows_max, &answer);
        try errors.answered(&answer);
        const layout = frame.Layout.parse(answer.is.bytes.slice(), .rows) catch |err| return event_.mangled(err);
        return .{ .layout = layout };
    }

    fn prepared(comptime sql: []const u8) errors.Error!u32 {
        const Statement = struct {
            const text = sql;
            var id: ?u32 = null;
        };
        return Statement.id orelse {
            const id = try cache_.prepare(Statement.text);
            Statement.id = id;
            return id;
        };
    }

    fn flushRows(db: *Db) errors.Error!void {
        for (db.touched.items) |cache| try cache.flush(&db.ops);
        db.touched.clearRetainingCapacity();
    }

    fn flushOps(db: *Db) errors.Error!void {
        if (db.ops.count == 0) return;
        const bytes = db.ops.finish(.ops, &db.frame);
        var answer: host.Answer = .{};
        host.imports.apply(bytes.ptr, bytes.len, &answer);
        errors.answered(&answer) catch |err| {
            // Whatever the caller makes of it, these writes are lost: the event cannot count as applied.
            const failure = errors.caught(err);
            if (db.kept == null) db.kept = failure;
            return errors.failWith(failure);
        };
    }

    fn keep(db: *Db, err: errors.Error) void {
        @branchHint(.cold);
        const failure = errors.caught(err);
        if (db.kept == null) db.kept = failure;
    }

    pub fn begin(db: *Db, event: u32) void {
        db.event = event;
        errors.forget();
    }

    /// Ends an event: what it wrote must be right, and must not take too much memory.
    pub fn end(db: *Db) errors.Error!void {
        if (db.kept) |failure| return errors.failWith(failure);
        var bytes = db.ops.arena.len + db.ops.index.len;
        for (db.touched.items) |cache| bytes += cache.sizeBytes();
        if (bytes > buffer_bytes_max) {
            try db.flushRows();
            try db.flushOps();
        }
    }

    /// Ends a batch: the frame of all writes that the host has not seen yet.
    pub fn finish(db: *Db) errors.Error![]const u8 {
        db.event = null;
        try db.flushRows();
        return db.ops.finish(.ops, &db.frame);
    }

    /// Forgets everything that was written. Statements stay: they are the instance's, not the transaction's.
    pub fn reset(db: *Db) void {
        db.ops.clear();
        for (db.touched.items) |cache| cache.clear();
        db.touched.clearRetainingCapacity();
        db.event = null;
        db.kept = null;
    }
};

/// The rows that a query answers, in its order.
pub const Rows = struct {
    layout: frame.Layout,
    at: u32 = 0,

    pub fn count(rows: *const Rows) u32 {
        return rows.layout.count;
    }

    /// The next row as a struct or tuple, whose fields are the columns in order.
    pub fn next(rows: *Rows, comptime Row: type) errors.Error!?Row {
        var left = try rows.values() orelse return null;
        var row: Row = undefined;
        inline for (comptime std.meta.fieldNames(Row), comptime std.meta.fieldTypes(Row)) |name, Column| {
            const x = left.next() catch |err| return event_.mangled(err);
            const found = x orelse return errors.fail(.other, "the row has fewer columns than {s}", .{@typeName(Row)});
            @field(row, name) = try found.as(Column);
        }
        return row;
    }

    fn values(rows: *Rows) errors.Error!?frame.Values {
        if (rows.at == rows.layout.count) return null;
        defer rows.at += 1;
        return rows.layout.values(rows.at, 0) catch |err| event_.mangled(err);
    }
};
