//! Elo's ratings, in whole numbers: a replay on another machine gives the same ones.

const std = @import("std");

pub const Result = enum { white, black, draw };

/// What a player of strength `white` wins of `black`'s rating by this result; negative: loses. At most 32.
pub fn gain(white: i64, black: i64, result: Result) i64 {
    const score: i64 = switch (result) {
        .white => 1000,
        .draw => 500,
        .black => 0,
    };
    return @divTrunc(32 * (score - expected(black - white)), 1000);
}

/// Thousandths of a point that are expected against somebody who is this much stronger: 1000 / (1 + 10^(d/400)), from a table
/// of FIDE's kind.
fn expected(stronger: i64) i64 {
    const steps = [_]i64{ 500, 443, 387, 334, 285, 240, 201, 166, 137, 112, 91, 74, 59, 48, 38, 31, 24 };
    const distance: usize = @intCast(@min(@abs(stronger) / 40, steps.len - 1));
    return if (stronger >= 0) steps[distance] else 1000 - steps[distance];
}

test "equals share, the weaker win more" {
    try std.testing.expectEqual(16, gain(1500, 1500, .white));
    try std.testing.expectEqual(-16, gain(1500, 1500, .black));
    try std.testing.expectEqual(0, gain(1500, 1500, .draw));
    try std.testing.expect(gain(1300, 1700, .white) > 28);
    try std.testing.expect(gain(1700, 1300, .white) < 4);
}
