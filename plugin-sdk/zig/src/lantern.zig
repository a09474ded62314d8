//! Write Lantern plugins in Zig: projections, process managers, command handlers and upcasters.
//!
//!     const lantern = @import("lantern");
//!
//!     pub const panic = lantern.panic; // a panic's message reaches the plugin's log
//!     pub const std_options = lantern.std_options; // and so does std.log
//!
//!     comptime { lantern.projection(Balances); }
//!
//! Memory that the SDK hands out, and `lantern.arena()`, lives until the batch ends: there is nothing to free.

const std = @import("std");
const aggregate_ = @import("aggregate.zig");
const db = @import("db.zig");
const errors = @import("errors.zig");
const host = @import("host.zig");
const plugin = @import("plugin.zig");
const value = @import("value.zig");

pub const projection = plugin.projection;
pub const aggregate = plugin.aggregate;
pub const upcaster = plugin.upcaster;

pub const Manifest = @import("manifest.zig").Manifest;
pub const Query = @import("manifest.zig").Query;
pub const Envelope = @import("manifest.zig").Envelope;
pub const Event = @import("event.zig").Event;

pub const Db = db.Db;
pub const Table = db.Table;
pub const Rows = db.Rows;
pub const add = db.add;
pub const max = db.max;
pub const min = db.min;
pub const Value = value.Value;
pub const Blob = value.Blob;

pub const Decision = aggregate_.Decision;
pub const Rejection = aggregate_.Rejection;
pub const Upcast = aggregate_.Upcast;

pub const Error = errors.Error;
pub const Fault = errors.Fault;
pub const fail = errors.fail;
pub const caught = errors.caught;

pub const arena = host.arena;
pub const format = host.format;
pub const json = @import("json.zig");
pub const frame = @import("frame.zig");
/// Unit tests: given events, when a command, then rows, events, a rejection.
pub const testing = @import("testing.zig");

pub const panic = std.debug.FullPanic(host.panic);
pub const std_options: std.Options = .{ .logFn = host.stdLog };

/// The names of a union's variants, for a manifest's `types`.
pub fn typesOf(comptime Union: type) []const []const u8 {
    comptime {
        var names: []const []const u8 = &.{};
        for (std.meta.fieldNames(Union)) |name| names = names ++ [_][]const u8{name};
        return names;
    }
}
