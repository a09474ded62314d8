//! Deposits were once in whole units; today they are in cents.

const std = @import("std");
const lantern = @import("lantern");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

const Old = union(enum) {
    DepositedV1: struct { account: []const u8, amount: i64 },
};

const Today = union(enum) {
    Deposited: struct { account: []const u8, cents: i64 },
};

pub const {{Name}} = struct {
    pub const manifest: lantern.Manifest = .{
        .name = "{{name}}",
        .version = "0.1.0",
        .topics = &.{"accounts"},
        .types = lantern.typesOf(Old),
    };

    pub fn upcast(event: *const lantern.Event) !lantern.Upcast {
        const old = (try event.decode(Old)).DepositedV1;
        const cents = std.math.mul(i64, old.amount, 100) catch return event.badInput("the amount is too large", .{});
        return .to(Today{ .Deposited = .{ .account = old.account, .cents = cents } });
    }
};

comptime {
    lantern.upcaster({{Name}});
}

test "whole units become cents" {
    const old: Old = .{ .DepositedV1 = .{ .account = "ada", .amount = 5 } };
    try lantern.testing.upcast({{Name}}, .of(old)).expectEvent(Today{ .Deposited = .{ .account = "ada", .cents = 500 } });
}
