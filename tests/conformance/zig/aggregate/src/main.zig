//! The aggregate of tests/conformance/README.md, which says what each command and event does.

const std = @import("std");
const lantern = @import("lantern");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

const Counter = struct {
    count: i64 = 0,
    sum: i64 = 0,
    note: ?[]const u8 = null,

    pub const manifest: lantern.Manifest = .{ .name = "counter-zig", .topics = &.{"counter-zig"} };

    pub const Command = union(enum) {
        Add: struct { n: i64 },
        AddMany: struct { n: []const i64 },
        Note: struct { text: []const u8 },
        Crash: struct {},
    };

    pub const Event = union(enum) {
        Added: struct { n: i64 },
        Noted: struct {
            text: []const u8,
            aggregate: []const u8,
            id: []const u8,
            version: i64,
            time_ms: i64,
            correlation: ?[]const u8,
        },
        Crashed: struct {},
    };

    pub fn decide(counter: Counter, command: Command, decision: *lantern.Decision(Event)) !void {
        switch (command) {
            .Add => |add| {
                if (add.n < 0) return decision.rejectWith(.{ .n = add.n }, "negative", "n is {d}", .{add.n});
                if (add.n == 0) return;
                _ = std.math.add(i64, counter.sum, add.n) catch return decision.reject("overflow", "the sum is {d}", .{counter.sum});
                decision.happens(.{ .Added = .{ .n = add.n } });
            },
            .AddMany => |add| for (add.n) |n| decision.happens(.{ .Added = .{ .n = n } }),
            .Note => |note| decision.happens(.{ .Noted = .{
                .text = note.text,
                .aggregate = decision.aggregate,
                .id = decision.id,
                .version = decision.version,
                .time_ms = decision.time_ms,
                .correlation = decision.correlation,
            } }),
            .Crash => @panic("boom"),
        }
    }

    pub fn evolve(counter: *Counter, event: Event) void {
        counter.count += 1;
        switch (event) {
            .Added => |added| counter.sum += added.n,
            .Noted => |noted| counter.note = noted.text,
            .Crashed => @panic("boom"),
        }
    }
};

comptime {
    lantern.aggregate(Counter);
}
