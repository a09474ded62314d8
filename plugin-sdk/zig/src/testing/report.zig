//! What has failed, and how that is said.

const std = @import("std");
const errors = @import("../errors.zig");
const host = @import("../host.zig");
const Failure = errors.Failure;
const failPrint = std.testing.failPrint;

pub fn failureOf(answer: *const host.Answer) ?Failure {
    if (answer.failed == 0) return null;
    const is = answer.is.failure;
    return .{
        .fault = @enumFromInt(is.fault),
        .message = host.copied(is.message.slice()),
        .index = if (is.has_index != 0) is.index else null,
    };
}

pub fn printFailure(failure: Failure) void {
    if (failure.index) |index| failPrint("event {d} fails: ", .{index}) else failPrint("it fails: ", .{});
    failPrint("{t}: {s}\n", .{ failure.fault, failure.message });
}

pub fn expectWords(words: []const u8, failure: ?Failure) !void {
    const is = failure orelse {
        failPrint("it does not fail, and was expected to with \"{s}\"\n", .{words});
        return error.TestExpectedFailure;
    };
    if (std.mem.find(u8, is.message, words) != null) return;
    failPrint("it fails otherwise\n  - {s}\n  + {s}\n", .{ words, is.message });
    return error.TestExpectedFailure;
}

pub fn expectLines(what: []const u8, expected: []const []const u8, found: []const []const u8) !void {
    const same = expected.len == found.len and for (expected, found) |a, b| {
        if (!std.mem.eql(u8, a, b)) break false;
    } else true;
    if (same) return;
    failPrint("{s}: - is what was expected, + is what came\n", .{what});
    for (expected) |one| failPrint("  - {s}\n", .{one});
    for (found) |one| failPrint("  + {s}\n", .{one});
    return error.TestExpectedEqual;
}
