//! Tests plugins natively, without WebAssembly and without a host: given events, when a command, then rows, events, a rejection.
//!
//!     test "a balance is what came in without what went out" {
//!         var balances: testing.ReadModel(Balances) = try .init();
//!         defer balances.deinit();
//!         try balances.apply(&.{
//!             .of(Account{ .Deposited = .{ .account = "ada", .cents = 500 } }),
//!             .of(Account{ .Withdrawn = .{ .account = "ada", .cents = 200 } }),
//!         });
//!         try balances.expectRows("SELECT account, cents FROM balances", .{.{ "ada", 300 }});
//!     }
//!
//!     test "an account is never overdrawn" {
//!         const account = try testing.given(Account, &.{.{ .Deposited = .{ .cents = 500 } }});
//!         try account.when(.{ .Withdraw = .{ .cents = 501 } }).expectRejected("overdrawn");
//!     }
//!
//!     test "old deposits have cents" {
//!         try testing.upcast(Upgrades, .of(Old{ .DepositedV1 = .{ .amount = 5 } })).expectEvent(Today{ .Deposited = .{ .cents = 500 } });
//!     }
//!
//! Events, commands and states take the way that they take in the host: as frames, and as JSON. What is handed out lives as long as
//! the program of the tests. A panic of the plugin ends that program, with its message and its stack.

const db = @import("db.zig");
const decisions = @import("testing/decisions.zig");
const errors = @import("errors.zig");
const event_ = @import("event.zig");
const frame = @import("frame.zig");

pub const ReadModel = @import("testing/read_model.zig").ReadModel;
pub const given = decisions.given;
pub const upcast = decisions.upcast;

/// Why events or a command failed, and which of the events is at fault, counted from 0.
pub const Failure = errors.Failure;

pub const Header = frame.Header;

/// What an event has beside its type and data.
pub const Record = struct {
    key: ?[]const u8 = null,
    headers: []const Header = &.{},
    /// The manifest's first.
    topic: ?[]const u8 = null,
    partition: i32 = 0,
    /// Counts up.
    offset: ?i64 = null,
    /// That of the event before; of the first, 2026-01-01T00:00:00Z.
    timestamp_ms: ?i64 = null,
};

/// An event that is given.
pub const Event = struct {
    kind: []const u8,
    /// null: a tombstone.
    payload: ?[]const u8 = "{}",
    record: Record = .{},

    /// A variant of a `union(enum)`, which names the type.
    pub fn of(variant: anytype) Event {
        return .with(variant, .{});
    }

    pub fn with(variant: anytype, record: Record) Event {
        const encoded = event_.encode(variant);
        return .{ .kind = encoded.kind, .payload = encoded.payload, .record = record };
    }
};

/// A command that a process manager has sent: what it gives to `db.send`.
pub const Sent = struct {
    key: []const u8,
    to: db.To,
    kind: []const u8,
    payload: []const u8,

    /// A variant of a `union(enum)`, which names the command.
    pub fn of(key: []const u8, to: db.To, command: anytype) Sent {
        const encoded = event_.encode(command);
        return .{ .key = key, .to = to, .kind = encoded.kind, .payload = encoded.payload };
    }
};
