//! The balance of every account.

const lantern = @import("lantern");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

/// What happens in the topic `accounts`.
const Account = union(enum) {
    Deposited: Moved,
    Withdrawn: Moved,

    const Moved = struct { account: []const u8, cents: i64 };
};

const Balances = lantern.Table("balances", struct { account: []const u8 }, struct { cents: i64 });

pub const {{Name}} = struct {
    pub const manifest: lantern.Manifest = .{
        .name = "{{name}}",
        .version = "0.1.0",
        .topics = &.{"accounts"},
        .types = lantern.typesOf(Account),
        .schema = &.{"CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)"},
    };

    pub fn apply(event: *const lantern.Event, db: *lantern.Db) !void {
        const moved, const cents = switch (try event.decode(Account)) {
            .Deposited => |moved| .{ moved, moved.cents },
            .Withdrawn => |moved| .{ moved, -moved.cents },
        };
        db.upsert(Balances, .{ .account = moved.account }, .{ .cents = lantern.add(cents) });
    }
};

comptime {
    lantern.projection({{Name}});
}

test "a balance is what came in without what went out" {
    var balances: lantern.testing.ReadModel({{Name}}) = try .init();
    defer balances.deinit();
    try balances.apply(&.{
        .of(Account{ .Deposited = .{ .account = "ada", .cents = 500 } }),
        .of(Account{ .Deposited = .{ .account = "grace", .cents = 70 } }),
        .of(Account{ .Withdrawn = .{ .account = "ada", .cents = 200 } }),
    });
    try balances.expectRows("SELECT account, cents FROM balances ORDER BY account", .{ .{ "ada", 300 }, .{ "grace", 70 } });
}
