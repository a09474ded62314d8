//! Projections and process managers in tests: their tables in memory.

const std = @import("std");
const db = @import("../db.zig");
const errors = @import("../errors.zig");
const frame = @import("../frame.zig");
const host = @import("../host.zig");
const manifest_ = @import("../manifest.zig");
const plugin = @import("../plugin.zig");
const report = @import("report.zig");
const testing = @import("../testing.zig");
const value = @import("../value.zig");
const Batch = @import("batch.zig").Batch;
const Event = testing.Event;
const Failure = errors.Failure;
const Sent = testing.Sent;
const Sqlite = @import("sqlite.zig").Sqlite;
const Value = value.Value;
const failPrint = std.testing.failPrint;

/// A projection or a process manager, and its tables in memory. The tests are linked with the system's SQLite: `.sqlite = true`
/// in build.zig.
pub fn ReadModel(comptime Plugin: type) type {
    return struct {
        sqlite: *Sqlite,
        batch: Batch = .of(Plugin),

        const Model = @This();
        const manifest: manifest_.Manifest = Plugin.manifest;

        /// Empty tables, of the manifest's schema.
        pub fn init() !Model {
            return .{ .sqlite = try .open(manifest) };
        }

        pub fn deinit(model: *Model) void {
            model.sqlite.close();
        }

        /// Applies events as one batch, in a transaction.
        pub fn apply(model: *Model, events: []const Event) !void {
            const failure = model.attempt(events) orelse return;
            report.printFailure(failure);
            return error.EventsFail;
        }

        /// Applies events as one batch, in a transaction; answers why it cannot. Nothing of the batch is left behind then.
        pub fn attempt(model: *Model, events: []const Event) ?Failure {
            var writer: frame.Writer = .{};
            var out: value.Buffer = .{};
            var places: std.ArrayList(u32) = .empty;
            for (events, 0..) |event, at| {
                if (manifest.types.len > 0 and !isListed(manifest.types, event.kind)) {
                    model.batch.next += 1;
                    continue;
                }
                model.batch.push(&writer, event, headers());
                places.append(host.arena(), @intCast(at)) catch host.oom();
            }
            var failure = model.applyFrame(writer.finish(.events, &out)) orelse return null;
            if (failure.index) |index| failure.index = places.items[index];
            return failure;
        }

        /// Expects a batch to fail, with these words in the message, because of this event.
        pub fn expectFailure(model: *Model, words: []const u8, index: ?u32, events: []const Event) !void {
            const failure = model.attempt(events);
            try report.expectWords(words, failure);
            try std.testing.expectEqual(index, failure.?.index);
        }

        /// Expects a query, or one of the manifest's by its name, to answer these rows and no others, in this order: a tuple of tuples.
        /// Kinds count: 3 is an integer, 3.0 a real, "3" a text, a `lantern.Blob` a blob.
        pub fn expectRows(model: *Model, sql: []const u8, expected: anytype) !void {
            var lines: std.ArrayList([]const u8) = .empty;
            inline for (expected) |row| {
                var values: [row.len]Value = undefined;
                inline for (row, &values) |x, *to| to.* = try Value.of(x);
                lines.append(host.arena(), line(&values)) catch host.oom();
            }
            var found: std.ArrayList([]const u8) = .empty;
            const layout = try model.ask(sql, &.{});
            for (0..layout.count) |at| {
                const values = host.arena().alloc(Value, layout.texts()) catch host.oom();
                var left = try layout.values(@intCast(at), 0);
                for (values) |*to| to.* = (try left.next()).?;
                found.append(host.arena(), line(values)) catch host.oom();
            }
            try report.expectLines(sql, lines.items, found.items);
        }

        /// The rows of a query, or of one of the manifest's by its name, as structs or tuples whose fields are its columns in order.
        pub fn query(model: *Model, comptime Row: type, sql: []const u8, params: anytype) ![]const Row {
            var values: [params.len]Value = undefined;
            inline for (params, &values) |x, *to| to.* = try Value.of(x);
            var rows: db.Rows = .{ .layout = try model.ask(sql, &values) };
            var found: std.ArrayList(Row) = .empty;
            while (rows.next(Row) catch |err| {
                failPrint("{s}\n", .{errors.caught(err).message});
                return err;
            }) |row| found.append(host.arena(), row) catch host.oom();
            return found.items;
        }

        /// The commands that wait to be sent, in the order in which they were.
        pub fn sent(model: *Model) ![]const Sent {
            const Row = struct { []const u8, []const u8, []const u8, ?i64, []const u8, []const u8 };
            const rows = try model.query(Row,
                \\SELECT key, aggregate, id, due_ms, command, CAST(payload AS TEXT) FROM _lantern_outbox ORDER BY seq
            , .{});
            const all = host.arena().alloc(Sent, rows.len) catch host.oom();
            for (rows, all) |row, *to| {
                to.* = .{ .key = row[0], .to = .{ .aggregate = row[1], .id = row[2], .due_ms = row[3] }, .kind = row[4], .payload = row[5] };
            }
            return all;
        }

        /// Expects these commands and no others to wait to be sent, in this order.
        pub fn expectSent(model: *Model, expected: []const Sent) !void {
            try report.expectLines("sent are other commands", sentLines(expected), sentLines(try model.sent()));
        }

        fn headers() ?[]const []const u8 {
            const read = manifest.headers orelse return null;
            return if (manifest.sends.len == 0) read else read ++ .{ "ce_id", "ce_correlationid" };
        }

        fn applyFrame(model: *Model, events: []const u8) ?Failure {
            const sqlite = model.sqlite;
            sqlite.run("BEGIN") catch return sqlite.failure();
            sqlite.enter();
            defer sqlite.leave();
            const answer = plugin.Projection(Plugin).apply(events.ptr, events.len);
            const failure = report.failureOf(answer) orelse failure: {
                sqlite.apply(answer.is.bytes.slice()) catch break :failure sqlite.failure();
                sqlite.leave();
                sqlite.run("COMMIT") catch break :failure sqlite.failure();
                return null;
            };
            sqlite.leave();
            sqlite.run("ROLLBACK") catch return sqlite.failure();
            return failure;
        }

        fn ask(model: *Model, sql: []const u8, params: []const Value) !frame.Layout {
            const text = for (manifest.queries) |offered| {
                if (std.mem.eql(u8, offered.name, sql)) break offered.sql;
            } else sql;
            const bytes = model.sqlite.ask(text, params) catch |err| {
                failPrint("{s}\n", .{model.sqlite.failure().message});
                return err;
            };
            return frame.Layout.parse(bytes, .rows);
        }
    };
}

fn sentLines(all: []const Sent) []const []const u8 {
    const lines = host.arena().alloc([]const u8, all.len) catch host.oom();
    for (all, lines) |sent, *to| {
        const due = if (sent.to.due_ms) |ms| host.format(", due {d}", .{ms}) else "";
        to.* = host.format("{s}: {s} {s} {s} {s}{s}", .{ sent.key, sent.to.aggregate, sent.to.id, sent.kind, sent.payload, due });
    }
    return lines;
}

/// A row as SQL writes its values.
fn line(values: []const Value) []const u8 {
    var parts: std.ArrayList([]const u8) = .empty;
    for (values) |x| parts.append(host.arena(), switch (x) {
        .null => "NULL",
        .integer => |n| host.format("{d}", .{n}),
        // An integer that is a real says so.
        .real => |n| host.format("{d}{s}", .{ n, if (n == @trunc(n)) ".0" else "" }),
        .text => |text| host.format("'{s}'", .{text}),
        .blob => |blob| host.format("x'{x}'", .{blob}),
    }) catch host.oom();
    return std.mem.join(host.arena(), ", ", parts.items) catch host.oom();
}

fn isListed(list: []const []const u8, name: []const u8) bool {
    for (list) |known| if (std.mem.eql(u8, known, name)) return true;
    return false;
}
