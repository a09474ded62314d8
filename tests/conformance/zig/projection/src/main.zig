//! The projection of tests/conformance/README.md, which says what each event does.

const std = @import("std");
const lantern = @import("lantern");
const rows = @import("rows.zig");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

const Records = lantern.Table("records", struct { topic: []const u8, partition: i32, position: i64 }, struct {
    type: []const u8,
    timestamp_ms: i64,
    key: ?lantern.Blob,
    payload: ?lantern.Blob,
    trace: ?lantern.Blob,
});
const Keys = lantern.Table("keys", struct { key: lantern.Blob }, struct { records: i64, last: i64 });
const Vals = lantern.Table("vals", struct { id: []const u8 }, struct {
    i: ?i64,
    r: ?f64,
    bits: ?f64,
    t: ?[]const u8,
    b: ?lantern.Blob,
});
const Counters = lantern.Table("counters", struct { account: []const u8 }, struct {
    events: i64,
    sum: i64,
    largest: i64,
    smallest: i64,
    last: i64,
});
const Totals = lantern.Table("totals", struct { id: []const u8 }, struct { rows: i64, sum: i64, list: []const u8, own: ?i64 });
const Caught = lantern.Table("caught", struct { position: i64 }, struct { kind: []const u8, message: []const u8 });
const Words = lantern.Table("words", struct { id: []const u8 }, struct { list: []const u8, still: bool });

const Event = union(enum) {
    Record,
    Values: struct { id: []const u8, i: ?i64, r: ?f64, bits: ?[]const u8, t: ?[]const u8, b: ?[]const u8 },
    Count: struct { account: []const u8, n: i64 },
    Row: rows.Row,
    Sql: struct { id: []const u8, n: i64 },
    Caught: struct { which: []const u8 },
    Words: struct { id: []const u8, text: []const u8 },
    Send: struct { id: []const u8, n: i64, due: ?i64 },
    Cancel: struct { id: []const u8 },
    Log: struct { text: []const u8 },
    Fail: struct { how: []const u8 },
    other,
};

/// The command that is sent.
const Command = union(enum) { Add: struct { n: i64 } };

const Conformance = struct {
    pub const manifest: lantern.Manifest = .{
        .name = "conformance-zig",
        .version = "1.0.0",
        .description = "What every SDK must do the same",
        .topics = &.{"conformance"},
        .headers = null,
        .envelope = .{ .header = "type" },
        .sends = &.{"counter"},
        .queries = &.{.{ .name = "counter", .sql = "SELECT * FROM counters WHERE account = :account", .description = "One counter" }},
        .schema = &.{
            "CREATE TABLE records (topic TEXT, partition INTEGER, position INTEGER, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, key BLOB, payload BLOB, trace BLOB, PRIMARY KEY (topic, partition, position))",
            "CREATE TABLE keys (key BLOB PRIMARY KEY, records INTEGER NOT NULL, last INTEGER)",
            "CREATE TABLE vals (id PRIMARY KEY, i, r, bits, t, b)",
            "CREATE TABLE counters (account TEXT PRIMARY KEY, events INTEGER, sum INTEGER, largest INTEGER, smallest INTEGER, last INTEGER)",
            "CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')",
            "CREATE TABLE reads (partition INTEGER, position INTEGER, step INTEGER, found INTEGER NOT NULL, n INTEGER, note TEXT, PRIMARY KEY (partition, position, step))",
            "CREATE TABLE sums (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
            "CREATE TABLE totals (id TEXT PRIMARY KEY, rows INTEGER, sum INTEGER, list TEXT, own INTEGER)",
            "CREATE TABLE caught (position INTEGER PRIMARY KEY, kind TEXT, message TEXT)",
            "CREATE TABLE words (id TEXT PRIMARY KEY, list TEXT, still INTEGER)",
            "CREATE TABLE ones (n INTEGER NOT NULL CHECK (n = 1))",
        },
    };

    pub fn apply(event: *const lantern.Event, db: *lantern.Db) !void {
        switch (try event.decode(Event)) {
            .Record => record(event, db),
            .Values => |is| db.put(Vals, .{ .id = is.id }, .{
                .i = is.i,
                .r = is.r,
                .bits = if (is.bits) |hex| @bitCast(std.fmt.parseInt(u64, hex, 16) catch return event.badInput("{s} is no hex", .{hex})) else null,
                .t = is.t,
                .b = try blobOf(event, is.b),
            }),
            .Count => |is| db.upsert(Counters, .{ .account = is.account }, .{
                .events = lantern.add(1),
                .sum = lantern.add(is.n),
                .largest = lantern.max(is.n),
                .smallest = lantern.min(is.n),
                .last = is.n,
            }),
            .Row => |is| try rows.apply(event, is, db),
            .Sql => |is| try sql(is.id, is.n, db),
            .Caught => |is| try caught(event, is.which, db),
            .Words => |is| try words(is.id, is.text, db),
            .Send => |is| db.send(
                event,
                lantern.format("send/{s}", .{is.id}),
                .{ .aggregate = "counter", .id = is.id, .due_ms = is.due },
                Command{ .Add = .{ .n = is.n } },
            ),
            .Cancel => |is| db.cancel(lantern.format("send/{s}", .{is.id})),
            .Log => |is| std.log.warn("{s}", .{is.text}),
            .Fail => |is| try fail(event, is.how, db),
            .other => {},
        }
    }

    fn blob(bytes: ?[]const u8) ?lantern.Blob {
        return if (bytes) |some| .{ .bytes = some } else null;
    }

    fn record(event: *const lantern.Event, db: *lantern.Db) void {
        db.put(Records, .{ .topic = event.topic, .partition = event.partition, .position = event.offset }, .{
            .type = event.kind,
            .timestamp_ms = event.timestamp_ms,
            .key = blob(event.key),
            .payload = blob(event.payload),
            .trace = blob(event.header("trace")),
        });
        if (event.key) |key| db.upsert(Keys, .{ .key = .{ .bytes = key } }, .{ .records = lantern.add(1), .last = event.offset });
    }

    fn blobOf(event: *const lantern.Event, hex: ?[]const u8) !?lantern.Blob {
        const digits = hex orelse return null;
        const bytes = try lantern.arena().alloc(u8, digits.len / 2);
        return blob(std.fmt.hexToBytes(bytes, digits) catch return event.badInput("{s} is no hex", .{digits}));
    }

    fn sql(id: []const u8, n: i64, db: *lantern.Db) !void {
        db.upsert(Counters, .{ .account = id }, .{ .sum = lantern.add(n) });
        try db.execute("INSERT INTO sums (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n", .{ id, n });
        var sums = try db.query("SELECT id, n FROM sums ORDER BY n DESC, id", .{});
        var sum: i64 = 0;
        var list: []const u8 = "";
        while (try sums.next(struct { id: []const u8, n: i64 })) |row| {
            sum += row.n;
            list = lantern.format("{s}{s}{s}={d}", .{ list, if (list.len > 0) "," else "", row.id, row.n });
        }
        const own = try db.queryValue(?i64, "SELECT sum FROM counters WHERE account = ?1", .{id});
        db.put(Totals, .{ .id = "all" }, .{ .rows = sums.count(), .sum = sum, .list = list, .own = own orelse null });
    }

    fn caught(event: *const lantern.Event, which: []const u8, db: *lantern.Db) !void {
        const Which = enum { missing, overflow, pragma };
        const answer = switch (std.meta.stringToEnum(Which, which) orelse return event.badInput("{s} is none of the statements", .{which})) {
            .missing => db.query("SELECT n FROM missing", .{}),
            .overflow => db.query("SELECT abs(?1)", .{@as(i64, std.math.minInt(i64))}),
            .pragma => db.query("PRAGMA user_version = 2", .{}),
        };
        if (answer) |_| return lantern.fail(.other, "SQLite has not refused it", .{}) else |err| {
            const why = lantern.caught(err);
            db.put(Caught, .{ .position = event.offset }, .{ .kind = why.fault.name(), .message = why.message });
        }
    }

    fn words(id: []const u8, text: []const u8, db: *lantern.Db) !void {
        var counts: std.StringArrayHashMapUnmanaged(i64) = .empty;
        var split = std.mem.splitScalar(u8, text, ' ');
        while (split.next()) |word| {
            const entry = try counts.getOrPutValue(lantern.arena(), word, 0);
            entry.value_ptr.* += 1;
        }
        const keys = try lantern.arena().dupe([]const u8, counts.keys());
        std.mem.sort([]const u8, keys, {}, struct {
            fn less(_: void, a: []const u8, b: []const u8) bool {
                return std.mem.order(u8, a, b) == .lt;
            }
        }.less);
        var list: []const u8 = "";
        for (keys, 0..) |word, at| {
            list = lantern.format("{s}{s}{s}={d}", .{ list, if (at > 0) "," else "", word, counts.get(word).? });
        }
        db.put(Words, .{ .id = id }, .{ .list = list, .still = true });
    }

    fn fail(event: *const lantern.Event, how: []const u8, db: *lantern.Db) !void {
        const How = enum { @"bad-input", other, unknown, late, query, crash, recursion, random };
        db.upsert(Counters, .{ .account = "failed" }, .{ .events = lantern.add(1) });
        switch (std.meta.stringToEnum(How, how) orelse return event.badInput("{s} is no way to fail", .{how})) {
            .@"bad-input" => return event.badInput("refused by the domain", .{}),
            .other => return lantern.fail(.other, "an ordinary error", .{}),
            .unknown => try db.execute("INSERT INTO missing (n) VALUES (1)", .{}),
            .late => try violate(db),
            .query => {
                try violate(db);
                _ = try db.query("SELECT count(*) FROM ones", .{});
            },
            .crash => @panic("boom"),
            .recursion => return event.badInput("{d}", .{recurse(0)}),
            // There is none here.
            .random => return event.badInput("random:", .{}),
        }
    }

    fn recurse(depth: usize) usize {
        var text: [20]u8 = undefined;
        const len = (std.fmt.bufPrint(&text, "{d}", .{depth}) catch unreachable).len;
        return len + recurse(depth + 1) + text[0];
    }

    fn violate(db: *lantern.Db) !void {
        try db.execute("INSERT INTO ones (n) VALUES (?1)", .{2});
    }
};

comptime {
    lantern.projection(Conformance);
}
