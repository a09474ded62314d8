//! `Row`: operations on one row.

const std = @import("std");
const lantern = @import("lantern");

const Rows = lantern.Table("rows", struct { id: []const u8 }, struct { n: ?i64, note: ?[]const u8 });
const Reads = lantern.Table("reads", struct { partition: i32, position: i64, step: u32 }, struct {
    found: bool,
    n: ?i64,
    note: ?[]const u8,
});

pub const Row = struct { id: []const u8, ops: []const u8 };

const Word = enum { put, add, max, min, set, null, note, touch, uset, uadd, delete, get };

/// Does the operations in order.
pub fn apply(event: *const lantern.Event, row: Row, db: *lantern.Db) !void {
    var ops = std.mem.splitScalar(u8, row.ops, ';');
    var step: u32 = 0;
    while (ops.next()) |op| : (step += 1) {
        const space = std.mem.indexOfScalar(u8, op, ' ') orelse op.len;
        const argument = op[@min(space + 1, op.len)..];
        const word = std.meta.stringToEnum(Word, op[0..space]) orelse return event.badInput("{s} is no operation", .{op});
        const n: i64 = switch (word) {
            .put, .add, .max, .min, .set, .uset, .uadd => std.fmt.parseInt(i64, argument, 10) catch
                return event.badInput("{s} has no number", .{op}),
            else => 0,
        };
        switch (word) {
            .put => db.put(Rows, .{ .id = row.id }, .{ .n = n, .note = "put" }),
            .add => db.upsert(Rows, .{ .id = row.id }, .{ .n = lantern.add(n) }),
            .max => db.upsert(Rows, .{ .id = row.id }, .{ .n = lantern.max(n) }),
            .min => db.upsert(Rows, .{ .id = row.id }, .{ .n = lantern.min(n) }),
            .set => db.upsert(Rows, .{ .id = row.id }, .{ .n = n }),
            .null => db.upsert(Rows, .{ .id = row.id }, .{ .n = null }),
            .note => db.upsert(Rows, .{ .id = row.id }, .{ .note = argument }),
            .touch => db.upsert(Rows, .{ .id = row.id }, .{}),
            .uset => db.update(Rows, .{ .id = row.id }, .{ .n = n }),
            .uadd => db.update(Rows, .{ .id = row.id }, .{ .n = lantern.add(n) }),
            .delete => db.delete(Rows, .{ .id = row.id }),
            .get => {
                const found = try db.get(Rows, .{ .id = row.id });
                db.put(Reads, .{ .partition = event.partition, .position = event.offset, .step = step }, .{
                    .found = found != null,
                    .n = if (found) |is| is.n else null,
                    .note = if (found) |is| is.note else null,
                });
            },
        }
    }
}
