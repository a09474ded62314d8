//! Why an event could not be applied. Zig's errors carry no text, so what the last one says is kept beside them.

const std = @import("std");
const host = @import("host.zig");

/// Whose fault an error is.
pub const Fault = enum(u8) {
    /// The event cannot be understood: it is at fault, not the plugin.
    bad_input,
    /// SQLite refused a statement.
    sql,
    /// A write conflicts with what is stored.
    conflict,
    /// What was asked for is not offered.
    unsupported,
    other,

    /// As the contract writes it: `bad-input`.
    pub fn name(fault: Fault) []const u8 {
        return if (fault == .bad_input) "bad-input" else @tagName(fault);
    }
};

pub const Error = error{ BadInput, Sql, Conflict, Unsupported, Other };

pub const Failure = struct {
    fault: Fault,
    message: []const u8,
    /// The event at fault, where that is not the one being applied.
    index: ?u32 = null,
};

var last: ?Failure = null;

fn errorOf(fault: Fault) Error {
    return switch (fault) {
        .bad_input => error.BadInput,
        .sql => error.Sql,
        .conflict => error.Conflict,
        .unsupported => error.Unsupported,
        .other => error.Other,
    };
}

/// An error with its text: `return lantern.fail(.other, "no {s}", .{name});`
pub fn fail(fault: Fault, comptime text: []const u8, args: anytype) Error {
    @branchHint(.cold);
    return failWith(.{ .fault = fault, .message = host.format(text, args) });
}

pub fn failWith(failure: Failure) Error {
    last = failure;
    return errorOf(failure.fault);
}

/// What an error says, for a plugin that goes on in spite of it. An error that is not the SDK's says its name.
pub fn caught(err: anyerror) Failure {
    if (last) |failure| if (errorOf(failure.fault) == err) {
        last = null;
        return failure;
    };
    return .{ .fault = .other, .message = @errorName(err) };
}

pub fn forget() void {
    last = null;
}

/// What the host answered, or why it refused.
pub fn answered(answer: *const host.Answer) Error!void {
    if (answer.failed == 0) return;
    const failure = answer.is.failure;
    return failWith(.{
        .fault = @enumFromInt(failure.fault),
        .message = failure.message.slice(),
        .index = if (failure.has_index != 0) failure.index else null,
    });
}
