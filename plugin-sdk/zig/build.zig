//! The SDK as a package. In a project's build.zig:
//!
//!     const lantern = @import("lantern");
//!
//!     pub fn build(b: *std.Build) void {
//!         lantern.addPlugin(b, .{ .root_source_file = b.path("src/main.zig") });
//!     }

const std = @import("std");

pub const Plugin = struct {
    root_source_file: std.Build.LazyPath,
    /// Whether unit tests run a projection, by lantern.testing.ReadModel: they are linked with the system's SQLite then.
    sqlite: bool = false,
};

/// Builds the plugin as `plugin.wasm`, and its unit tests natively as the step `test`.
pub fn addPlugin(b: *std.Build, plugin: Plugin) void {
    const dependency = b.dependencyFromBuildZig(@This(), .{});
    const wasm = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .freestanding });
    const exe = b.addExecutable(.{
        .name = "plugin",
        .root_module = b.createModule(.{
            .root_source_file = plugin.root_source_file,
            .target = wasm,
            // Its mistakes are panics, not wrong rows; the SDK itself is compiled for speed.
            .optimize = .ReleaseSafe,
            .strip = true,
            .imports = &.{.{ .name = "lantern", .module = module(dependency.builder, wasm, .ReleaseFast) }},
        }),
    });
    exe.entry = .disabled;
    exe.rdynamic = true;
    b.getInstallStep().dependOn(&b.addInstallFile(exe.getEmittedBin(), "plugin.wasm").step);

    const native = b.resolveTargetQuery(.{});
    const tests = b.addTest(.{ .root_module = b.createModule(.{
        .root_source_file = plugin.root_source_file,
        .target = native,
        .imports = &.{.{ .name = "lantern", .module = module(dependency.builder, native, .Debug) }},
    }) });
    if (plugin.sqlite) linkSqlite(tests.root_module);
    b.step("test", "Run the unit tests").dependOn(&b.addRunArtifact(tests).step);
}

fn linkSqlite(tests: *std.Build.Module) void {
    tests.link_libc = true;
    tests.linkSystemLibrary("sqlite3", .{});
}

fn module(b: *std.Build, target: std.Build.ResolvedTarget, optimize: std.builtin.OptimizeMode) *std.Build.Module {
    return b.createModule(.{
        .root_source_file = b.path("src/lantern.zig"),
        .target = target,
        .optimize = optimize,
    });
}

/// The SDK's own tests: every frame of the vectors beside the contract, and plugins that are tested by lantern.testing.
pub fn build(b: *std.Build) void {
    const native = b.resolveTargetQuery(.{});
    const run = b.step("test", "Run the tests");
    for ([_][]const u8{ "vectors", "harness" }) |name| {
        const tests = b.createModule(.{
            .root_source_file = b.path(b.fmt("test/{s}.zig", .{name})),
            .target = native,
            .imports = &.{.{ .name = "lantern", .module = module(b, native, .Debug) }},
        });
        for ([_][]const u8{ "events", "ops", "rows" }) |kind| {
            const path = b.fmt("../wit/vectors/{s}.json", .{kind});
            tests.addAnonymousImport(kind, .{ .root_source_file = b.path(path) });
        }
        linkSqlite(tests);
        run.dependOn(&b.addRunArtifact(b.addTest(.{ .root_module = tests })).step);
    }
}
