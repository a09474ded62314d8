const std = @import("std");
const lantern = @import("lantern");

pub fn build(b: *std.Build) void {
    lantern.addPlugin(b, .{ .root_source_file = b.path("src/main.zig"), .sqlite = true });
}
