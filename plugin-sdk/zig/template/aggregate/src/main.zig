//! An account: it takes money, and gives away what it has.

const lantern = @import("lantern");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

/// What has to be known to decide.
pub const {{Name}} = struct {
    cents: i64 = 0,

    const Amount = struct { cents: i64 };

    pub const manifest: lantern.Manifest = .{
        .name = "{{name}}",
        .version = "0.1.0",
        .topics = &.{"{{name}}-events"},
    };

    /// What can be asked of an account.
    pub const Command = union(enum) { Deposit: Amount, Withdraw: Amount };

    /// What has happened to an account.
    pub const Event = union(enum) { Deposited: Amount, Withdrawn: Amount };

    pub fn decide(account: {{Name}}, command: Command, decision: *lantern.Decision(Event)) !void {
        const cents = switch (command) {
            inline else => |asked| asked.cents,
        };
        if (cents <= 0) return decision.reject("no-amount", "{d} cents are no amount", .{cents});
        switch (command) {
            .Deposit => decision.happens(.{ .Deposited = .{ .cents = cents } }),
            .Withdraw => {
                if (cents > account.cents) {
                    return decision.reject("overdrawn", "{d} cents are more than the {d} that there are", .{ cents, account.cents });
                }
                decision.happens(.{ .Withdrawn = .{ .cents = cents } });
            },
        }
    }

    pub fn evolve(account: *{{Name}}, event: Event) void {
        switch (event) {
            .Deposited => |moved| account.cents += moved.cents,
            .Withdrawn => |moved| account.cents -= moved.cents,
        }
    }
};

comptime {
    lantern.aggregate({{Name}});
}

test "an account gives away what it has and no more" {
    const account = try lantern.testing.given({{Name}}, &.{.{ .Deposited = .{ .cents = 500 } }});
    try account.when(.{ .Withdraw = .{ .cents = 500 } }).expectEvents(&.{.{ .Withdrawn = .{ .cents = 500 } }});
    try account.when(.{ .Withdraw = .{ .cents = 501 } }).expectRejected("overdrawn");
    try account.when(.{ .Deposit = .{ .cents = 0 } }).expectRejected("no-amount");
}
