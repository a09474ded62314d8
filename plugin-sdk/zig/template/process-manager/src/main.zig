//! Welcomes who signs up with some money, and reminds them a day later unless they are verified by then.

const lantern = @import("lantern");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

const welcome_cents = 500;
const day_ms = 24 * 60 * 60 * 1000;

/// What happens in the topic `signups`.
const Signup = union(enum) {
    SignedUp: Who,
    Verified: Who,

    const Who = struct { account: []const u8 };
};

/// What is asked of an account.
const Command = union(enum) {
    Deposit: struct { cents: i64 },
    Remind,
};

const Signups = lantern.Table("signups", struct { account: []const u8 }, struct { state: []const u8 });

pub const {{Name}} = struct {
    pub const manifest: lantern.Manifest = .{
        .name = "{{name}}",
        .version = "0.1.0",
        .topics = &.{"signups"},
        .types = lantern.typesOf(Signup),
        .sends = &.{"account"},
        .schema = &.{"CREATE TABLE signups (account TEXT PRIMARY KEY, state TEXT NOT NULL)"},
    };

    pub fn apply(event: *const lantern.Event, db: *lantern.Db) !void {
        switch (try event.decode(Signup)) {
            .SignedUp => |who| {
                const welcome: Command = .{ .Deposit = .{ .cents = welcome_cents } };
                const due_ms = event.timestamp_ms + day_ms;
                db.send(event, welcomeKey(who.account), .{ .aggregate = "account", .id = who.account }, welcome);
                db.send(event, remindKey(who.account), .{ .aggregate = "account", .id = who.account, .due_ms = due_ms }, Command.Remind);
                db.put(Signups, .{ .account = who.account }, .{ .state = "waiting" });
            },
            .Verified => |who| {
                db.cancel(remindKey(who.account));
                db.put(Signups, .{ .account = who.account }, .{ .state = "verified" });
            },
        }
    }

    fn welcomeKey(account: []const u8) []const u8 {
        return lantern.format("welcome/{s}", .{account});
    }

    fn remindKey(account: []const u8) []const u8 {
        return lantern.format("remind/{s}", .{account});
    }
};

comptime {
    lantern.projection({{Name}});
}

fn given(signup: Signup) lantern.testing.Event {
    return .with(signup, .{ .timestamp_ms = 1000 });
}

fn welcomed() lantern.testing.Sent {
    return .of("welcome/ada", .{ .aggregate = "account", .id = "ada" }, Command{ .Deposit = .{ .cents = welcome_cents } });
}

test "who signs up gets a bonus, and a reminder a day later" {
    var model: lantern.testing.ReadModel({{Name}}) = try .init();
    defer model.deinit();
    try model.apply(&.{given(.{ .SignedUp = .{ .account = "ada" } })});
    const reminder: lantern.testing.Sent = .of("remind/ada", .{ .aggregate = "account", .id = "ada", .due_ms = 1000 + day_ms }, Command.Remind);
    try model.expectSent(&.{ welcomed(), reminder });
}

test "who verifies the account is not reminded" {
    var model: lantern.testing.ReadModel({{Name}}) = try .init();
    defer model.deinit();
    try model.apply(&.{ given(.{ .SignedUp = .{ .account = "ada" } }), given(.{ .Verified = .{ .account = "ada" } }) });
    try model.expectSent(&.{welcomed()});
    try model.expectRows("SELECT account, state FROM signups", .{.{ "ada", "verified" }});
}
