//! The host that native tests have: what the contract says, on the system's SQLite, in memory.

const std = @import("std");
const errors = @import("../errors.zig");
const frame = @import("../frame.zig");
const host = @import("../host.zig");
const manifest_ = @import("../manifest.zig");
const value = @import("../value.zig");
const Answer = host.Answer;
const Fault = errors.Fault;
const Value = value.Value;

/// SQLite's own functions: only tests that have a database are linked with it.
const c = struct {
    const Connection = opaque {};
    const Statement = opaque {};
    const Text = [*:0]const u8;
    const Judge = fn (?*anyopaque, Action, ?Text, ?Text, ?Text, ?Text) callconv(.c) c_int;
    /// Has SQLite take a copy.
    const transient: isize = -1;

    /// What a statement would do.
    const Action = enum(c_int) {
        delete = 9,
        insert = 18,
        pragma = 19,
        read = 20,
        select = 21,
        transaction = 22,
        update = 23,
        attach = 24,
        detach = 25,
        function = 31,
        savepoint = 32,
        recursive = 33,
        _,
    };
    const Kind = enum(c_int) { integer = 1, real = 2, text = 3, blob = 4, null = 5, _ };

    extern fn sqlite3_open(path: Text, into: *?*Connection) c_int;
    extern fn sqlite3_close(*Connection) c_int;
    extern fn sqlite3_errmsg(*Connection) Text;
    extern fn sqlite3_errcode(*Connection) c_int;
    extern fn sqlite3_exec(*Connection, sql: Text, each: ?*anyopaque, with: ?*anyopaque, why: ?*?Text) c_int;
    extern fn sqlite3_set_authorizer(*Connection, judge: ?*const Judge, with: ?*anyopaque) c_int;
    extern fn sqlite3_prepare_v2(*Connection, sql: [*]const u8, len: c_int, into: *?*Statement, rest: ?*[*]const u8) c_int;
    extern fn sqlite3_finalize(?*Statement) c_int;
    extern fn sqlite3_reset(*Statement) c_int;
    extern fn sqlite3_step(*Statement) c_int;
    extern fn sqlite3_stmt_readonly(*Statement) c_int;
    extern fn sqlite3_bind_parameter_count(*Statement) c_int;
    extern fn sqlite3_bind_null(*Statement, at: c_int) c_int;
    extern fn sqlite3_bind_int64(*Statement, at: c_int, x: i64) c_int;
    extern fn sqlite3_bind_double(*Statement, at: c_int, x: f64) c_int;
    extern fn sqlite3_bind_text(*Statement, at: c_int, ptr: [*]const u8, len: c_int, free: isize) c_int;
    extern fn sqlite3_bind_blob(*Statement, at: c_int, ptr: [*]const u8, len: c_int, free: isize) c_int;
    extern fn sqlite3_column_count(*Statement) c_int;
    extern fn sqlite3_column_name(*Statement, at: c_int) Text;
    extern fn sqlite3_column_type(*Statement, at: c_int) Kind;
    extern fn sqlite3_column_int64(*Statement, at: c_int) i64;
    extern fn sqlite3_column_double(*Statement, at: c_int) f64;
    extern fn sqlite3_column_blob(*Statement, at: c_int) ?[*]const u8;
    extern fn sqlite3_column_bytes(*Statement, at: c_int) c_int;

    const ok = 0;
    const constraint = 19;
    const row = 100;
    const done = 101;
    const deny = 1;
};

/// A plugin's statements by id. Ids stay as long as the program runs, as the SDK does; each database prepares them for itself.
var known: std.ArrayList([]const u8) = .empty;
/// The database that the plugin is called with.
var current: ?*Sqlite = null;

const database: host.Database = .{ .prepare = prepareKnown, .apply = applyOps, .query = queryKnown };

const Refused = error{Refused};

/// A database in memory, and what is said of the last statement that it refused.
pub const Sqlite = struct {
    connection: *c.Connection,
    statements: std.ArrayList(?*c.Statement) = .empty,
    answer: Answer = .{},
    is_plugin: bool = false,
    is_sending: bool = false,
    /// Why the authorizer has refused.
    reason: ?[]const u8 = null,

    /// With the tables of a manifest.
    pub fn open(manifest: manifest_.Manifest) Refused!*Sqlite {
        var connection: ?*c.Connection = null;
        _ = c.sqlite3_open(":memory:", &connection);
        const sqlite = host.gpa.create(Sqlite) catch host.oom();
        sqlite.* = .{ .connection = connection orelse host.oom() };
        errdefer sqlite.close();
        try sqlite.run("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
        errdefer std.testing.failPrint("the schema: {s}\n", .{sqlite.failure().message});
        for (manifest.schema) |sql| try sqlite.run(sql);
        if (manifest.sends.len > 0) try sqlite.makeOutbox(manifest.sends);
        _ = c.sqlite3_set_authorizer(sqlite.connection, judge, sqlite);
        return sqlite;
    }

    pub fn close(sqlite: *Sqlite) void {
        for (sqlite.statements.items) |statement| _ = c.sqlite3_finalize(statement);
        sqlite.statements.deinit(host.gpa);
        _ = c.sqlite3_close(sqlite.connection);
        if (current == sqlite) current = null;
        host.gpa.destroy(sqlite);
    }

    /// From now on the plugin's host, until `leave`.
    pub fn enter(sqlite: *Sqlite) void {
        current = sqlite;
        host.database = &database;
        sqlite.is_plugin = true;
    }

    pub fn leave(sqlite: *Sqlite) void {
        sqlite.is_plugin = false;
    }

    /// Runs statements of the host's own.
    pub fn run(sqlite: *Sqlite, sql: []const u8) Refused!void {
        const text = host.arena().dupeSentinel(u8, sql, 0) catch host.oom();
        if (c.sqlite3_exec(sqlite.connection, text, null, null, null) != c.ok) return sqlite.fails(sql, null);
    }

    /// The rows of a query of the test's own, as a frame.
    pub fn ask(sqlite: *Sqlite, sql: []const u8, params: []const Value) Refused![]const u8 {
        const statement = try sqlite.prepare(sql);
        defer _ = c.sqlite3_finalize(statement);
        for (params, 1..) |param, at| try sqlite.bind(statement, @intCast(at), param, sql, null);
        try sqlite.expectCount(statement, params.len, sql, null);
        return sqlite.rows(statement, std.math.maxInt(u32), sql);
    }

    /// What was refused, and why.
    pub fn failure(sqlite: *const Sqlite) errors.Failure {
        const is = sqlite.answer.is.failure;
        return .{
            .fault = @enumFromInt(is.fault),
            .message = is.message.slice(),
            .index = if (is.has_index != 0) is.index else null,
        };
    }

    /// The outbox of a process manager, which takes commands for the aggregates that the manifest names.
    fn makeOutbox(sqlite: *Sqlite, sends: []const []const u8) Refused!void {
        try sqlite.run(
            \\CREATE TABLE _lantern_outbox (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, aggregate TEXT NOT NULL,
            \\    id TEXT NOT NULL, command TEXT NOT NULL, payload BLOB NOT NULL, due_ms INTEGER, correlation TEXT, causation TEXT)
        );
        const names = std.mem.join(host.arena(), "', '", sends) catch host.oom();
        try sqlite.run(host.format(
            \\CREATE TRIGGER _lantern_outbox_sends BEFORE INSERT ON _lantern_outbox WHEN NEW.aggregate NOT IN ('{s}')
            \\BEGIN SELECT RAISE(ABORT, 'the manifest''s `sends` does not name this aggregate'); END
        , .{names}));
    }

    fn refuse(sqlite: *Sqlite, fault: Fault, event: ?u32, comptime why: []const u8, args: anytype) Refused {
        sqlite.answer = host.refusal(@intFromEnum(fault), host.format(why, args), event);
        return error.Refused;
    }

    fn fails(sqlite: *Sqlite, sql: []const u8, event: ?u32) Refused {
        const fault: Fault = if (c.sqlite3_errcode(sqlite.connection) == c.constraint) .conflict else .sql;
        const why = sqlite.reason orelse std.mem.span(c.sqlite3_errmsg(sqlite.connection));
        return sqlite.refuse(fault, event, "{s}\n  in: {s}", .{ why, sql[0..@min(sql.len, 200)] });
    }

    fn mangled(sqlite: *Sqlite, err: frame.Mangled) Refused {
        return sqlite.refuse(.other, null, "a mangled frame: {s}", .{@errorName(err)});
    }

    fn prepare(sqlite: *Sqlite, sql: []const u8) Refused!*c.Statement {
        var statement: ?*c.Statement = null;
        var rest: [*]const u8 = undefined;
        sqlite.is_sending = false;
        sqlite.reason = null;
        if (c.sqlite3_prepare_v2(sqlite.connection, sql.ptr, @intCast(sql.len), &statement, &rest) != c.ok) return sqlite.fails(sql, null);
        const made = statement orelse return sqlite.refuse(.sql, null, "an empty statement", .{});
        if (std.mem.trim(u8, sql[rest - sql.ptr ..], " \t\r\n;").len == 0) return made;
        _ = c.sqlite3_finalize(made);
        return sqlite.refuse(.sql, null, "Multiple statements: send one, and the others after it", .{});
    }

    fn opened(sqlite: *Sqlite, id: u32) Refused!*c.Statement {
        if (id >= known.items.len) return sqlite.refuse(.other, null, "statement {d} was never prepared", .{id});
        const more = known.items.len - sqlite.statements.items.len;
        sqlite.statements.appendNTimes(host.gpa, null, more) catch host.oom();
        return sqlite.statements.items[id] orelse {
            const statement = try sqlite.prepare(known.items[id]);
            sqlite.statements.items[id] = statement;
            return statement;
        };
    }

    fn expectCount(sqlite: *Sqlite, statement: *c.Statement, count: usize, sql: []const u8, event: ?u32) Refused!void {
        const wanted: usize = @intCast(c.sqlite3_bind_parameter_count(statement));
        if (wanted == count) return;
        return sqlite.refuse(.sql, event, "the statement has {d} parameters, {d} values were given\n  in: {s}", .{ wanted, count, sql });
    }

    fn bind(sqlite: *Sqlite, statement: *c.Statement, at: c_int, x: Value, sql: []const u8, event: ?u32) Refused!void {
        const code = switch (x) {
            .null => c.sqlite3_bind_null(statement, at),
            .integer => |n| c.sqlite3_bind_int64(statement, at, n),
            .real => |n| c.sqlite3_bind_double(statement, at, n),
            .text => |text| c.sqlite3_bind_text(statement, at, text.ptr, @intCast(text.len), c.transient),
            .blob => |blob| c.sqlite3_bind_blob(statement, at, blob.ptr, @intCast(blob.len), c.transient),
        };
        if (code != c.ok) return sqlite.fails(sql, event);
    }

    /// The statement of an item of a frame, with its values.
    fn bound(sqlite: *Sqlite, id: u32, layout: *const frame.Layout, item: u32, field: usize, event: ?u32) Refused!*c.Statement {
        const statement = try sqlite.opened(id);
        const sql = known.items[id];
        var values = layout.values(item, field) catch |err| return sqlite.mangled(err);
        try sqlite.expectCount(statement, values.left, sql, event);
        var at: c_int = 1;
        while (values.next() catch |err| return sqlite.mangled(err)) |x| : (at += 1) try sqlite.bind(statement, at, x, sql, event);
        return statement;
    }

    pub fn apply(sqlite: *Sqlite, ops: []const u8) Refused!void {
        const layout = frame.Layout.parse(ops, .ops) catch |err| return sqlite.mangled(err);
        for (0..layout.count) |at| {
            const item = layout.item(@intCast(at));
            const id = std.mem.readInt(u32, item[0..4], .little);
            const index = std.mem.readInt(u32, item[4..8], .little);
            const event = if (index == frame.none) null else index;
            const statement = try sqlite.bound(id, &layout, @intCast(at), 8, event);
            defer _ = c.sqlite3_reset(statement);
            switch (c.sqlite3_step(statement)) {
                c.done => {},
                c.row => return sqlite.refuse(.sql, event, "a write must not answer rows\n  in: {s}", .{known.items[id]}),
                else => return sqlite.fails(known.items[id], event),
            }
        }
    }

    fn query(sqlite: *Sqlite, id: u32, params: []const u8, rows_max: u32) Refused![]const u8 {
        const layout = frame.Layout.parse(params, .rows) catch |err| return sqlite.mangled(err);
        const statement = try sqlite.bound(id, &layout, 0, 0, null);
        defer _ = c.sqlite3_reset(statement);
        if (c.sqlite3_stmt_readonly(statement) == 0) {
            return sqlite.refuse(.sql, null, "a query must not write\n  in: {s}", .{known.items[id]});
        }
        return sqlite.rows(statement, rows_max, known.items[id]);
    }

    fn rows(sqlite: *Sqlite, statement: *c.Statement, rows_max: u32, sql: []const u8) Refused![]const u8 {
        var writer: frame.Writer = .{};
        var out: value.Buffer = .{};
        const columns: u32 = @intCast(c.sqlite3_column_count(statement));
        for (0..columns) |at| writer.text(std.mem.span(c.sqlite3_column_name(statement, @intCast(at))));
        while (writer.count < rows_max) {
            switch (c.sqlite3_step(statement)) {
                c.done => break,
                c.row => {},
                else => return sqlite.fails(sql, null),
            }
            const start = writer.arena.len;
            for (0..columns) |at| column(statement, @intCast(at)).write(&writer.arena) catch unreachable; // its texts are UTF-8
            writer.row(start, columns);
        }
        return host.copied(writer.finish(.rows, &out));
    }
};

fn column(statement: *c.Statement, at: c_int) Value {
    const kind = c.sqlite3_column_type(statement, at);
    switch (kind) {
        .integer => return .{ .integer = c.sqlite3_column_int64(statement, at) },
        .real => return .{ .real = c.sqlite3_column_double(statement, at) },
        .text, .blob => {},
        else => return .null,
    }
    const len: usize = @intCast(c.sqlite3_column_bytes(statement, at));
    const bytes: []const u8 = if (c.sqlite3_column_blob(statement, at)) |ptr| ptr[0..len] else "";
    return if (kind == .text and value.isUtf8(bytes)) .{ .text = bytes } else .{ .blob = bytes };
}

/// What the host refuses, in its words.
fn judge(with: ?*anyopaque, action: c.Action, first: ?c.Text, second: ?c.Text, _: ?c.Text, _: ?c.Text) callconv(.c) c_int {
    const sqlite: *Sqlite = @ptrCast(@alignCast(with));
    if (!sqlite.is_plugin) return c.ok;
    const name = std.mem.span(first orelse "");
    sqlite.reason = switch (action) {
        .read => judgeTable(sqlite, name, false),
        .insert, .update, .delete => judgeTable(sqlite, name, true),
        .select, .recursive => null,
        .function => judgeFunction(std.mem.span(second orelse "")),
        .pragma => host.format("PRAGMA {s} is not offered: the engine owns the settings", .{name}),
        .transaction, .savepoint => host.format("{s} and its like belong to the engine: a batch is one transaction", .{name}),
        .attach, .detach => "ATTACH and DETACH are not offered: a read model is one file",
        else => "tables are made by the manifest's schema, not while events are applied",
    };
    return if (sqlite.reason == null) c.ok else c.deny;
}

fn judgeTable(sqlite: *Sqlite, name: []const u8, writes: bool) ?[]const u8 {
    if (!std.mem.startsWith(u8, name, "_lantern_")) return null;
    if (!std.mem.eql(u8, name, "_lantern_outbox")) {
        return host.format("{s} is Lantern's own: names starting with _lantern_ are reserved", .{name});
    }
    if (writes) sqlite.is_sending = true;
    if (sqlite.is_sending) return null;
    return host.format("{s} cannot be read: when a command was sent is no fact of the log; keep what you need in a table", .{name});
}

fn judgeFunction(name: []const u8) ?[]const u8 {
    const is_random = std.ascii.eqlIgnoreCase(name, "random") or std.ascii.eqlIgnoreCase(name, "randomblob");
    return if (is_random) host.format("{s}() gives other rows at every replay: derive what you need from the event", .{name}) else null;
}

fn prepareKnown(sql: []const u8, answer: *Answer) void {
    const sqlite = current orelse return;
    const id: u32 = for (known.items, 0..) |text, at| {
        if (value.same(text, sql)) break @intCast(at);
    } else @intCast(known.items.len);
    if (id == known.items.len) known.append(host.gpa, host.gpa.dupe(u8, sql) catch host.oom()) catch host.oom();
    answer.* = .{ .is = .{ .number = id } };
    _ = sqlite.opened(id) catch {
        answer.* = sqlite.answer;
    };
}

fn applyOps(ops: []const u8, answer: *Answer) void {
    const sqlite = current orelse return;
    answer.* = .{};
    sqlite.apply(ops) catch {
        answer.* = sqlite.answer;
    };
}

fn queryKnown(statement: u32, params: []const u8, rows_max: u32, answer: *Answer) void {
    const sqlite = current orelse return;
    answer.* = .{ .is = .{ .bytes = .of(sqlite.query(statement, params, rows_max) catch {
        answer.* = sqlite.answer;
        return;
    }) } };
}
