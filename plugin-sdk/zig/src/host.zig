//! The host as a plugin sees it: memory, log, and the database's functions.

const std = @import("std");
const builtin = @import("builtin");

pub const is_wasm = builtin.cpu.arch.isWasm();

/// Memory that outlives a batch.
pub const gpa: std.mem.Allocator = if (is_wasm) std.heap.wasm_allocator else std.heap.page_allocator;

var arena_state: std.heap.ArenaAllocator = .init(gpa);

/// Memory that lives until the batch ends: nothing of it is freed by hand.
pub fn arena() std.mem.Allocator {
    return arena_state.allocator();
}

/// Gives the batch's memory back.
pub fn endBatch() void {
    _ = arena_state.reset(.{ .retain_with_limit = 1024 * 1024 });
}

pub fn oom() noreturn {
    @panic("out of memory");
}

/// A text in memory that lives until the batch ends.
pub fn format(comptime text: []const u8, args: anytype) []const u8 {
    return std.fmt.allocPrint(arena(), text, args) catch oom();
}

pub fn copied(bytes: []const u8) []u8 {
    return arena().dupe(u8, bytes) catch oom();
}

pub const Level = enum(u32) { err, warn, info, debug, trace };

pub fn log(level: Level, message: []const u8) void {
    if (is_wasm) {
        imports.write(@intFromEnum(level), message.ptr, message.len);
    } else {
        std.debug.print("{s}: {s}\n", .{ @tagName(level), message });
    }
}

/// Says why, then ends the instance: the event fails with the message.
pub fn panic(message: []const u8, _: ?usize) noreturn {
    @branchHint(.cold);
    if (!is_wasm) std.debug.defaultPanic(message, @returnAddress());
    log(.err, message);
    @trap();
}

/// Lets `std.log` write to the plugin's log.
pub fn stdLog(
    comptime level: std.log.Level,
    comptime scope: @EnumLiteral(),
    comptime text: []const u8,
    args: anytype,
) void {
    const to: Level = switch (level) {
        .err => .err,
        .warn => .warn,
        .info => .info,
        .debug => .debug,
    };
    const prefix = if (scope == .default) "" else "(" ++ @tagName(scope) ++ ") ";
    log(to, format(prefix ++ text, args));
}

/// An answer as the contract lays it out: of the host to the plugin, and of the plugin to the host.
pub const Answer = extern struct {
    failed: u8 = 0,
    is: extern union {
        number: u32,
        bytes: Bytes,
        failure: extern struct { fault: u8, message: Bytes, has_index: u8, index: u32 },
        decision: extern struct {
            rejected: u8,
            is: extern union {
                events: Bytes,
                rejection: extern struct { code: Bytes, message: Bytes, has_detail: u8, detail: Bytes },
            },
        },
    } = .{ .number = 0 },
};

pub const Bytes = extern struct {
    ptr: [*]const u8,
    len: usize,

    pub fn of(bytes: []const u8) Bytes {
        return .{ .ptr = bytes.ptr, .len = bytes.len };
    }

    pub fn slice(bytes: Bytes) []const u8 {
        return bytes.ptr[0..bytes.len];
    }
};

pub const imports = if (is_wasm) struct {
    pub extern "lantern:plugin/logger@0.1.0" fn write(level: u32, ptr: [*]const u8, len: usize) void;
    pub extern "lantern:plugin/sql@0.1.0" fn prepare(ptr: [*]const u8, len: usize, answer: *Answer) void;
    pub extern "lantern:plugin/sql@0.1.0" fn apply(ptr: [*]const u8, len: usize, answer: *Answer) void;
    pub extern "lantern:plugin/sql@0.1.0" fn query(
        statement: u32,
        ptr: [*]const u8,
        len: usize,
        rows_max: u32,
        answer: *Answer,
    ) void;
} else struct {
    pub fn prepare(ptr: [*]const u8, len: usize, answer: *Answer) void {
        if (database) |is| is.prepare(ptr[0..len], answer) else answer.* = .{};
    }
    pub fn apply(ptr: [*]const u8, len: usize, answer: *Answer) void {
        if (database) |is| is.apply(ptr[0..len], answer) else answer.* = .{};
    }
    pub fn query(statement: u32, ptr: [*]const u8, len: usize, rows_max: u32, answer: *Answer) void {
        if (database) |is| return is.query(statement, ptr[0..len], rows_max, answer);
        answer.* = refusal(3, "there is no database here: test it by lantern.testing.ReadModel", null);
    }
};

/// What answers natively, where a test has a database.
pub const Database = struct {
    prepare: *const fn (sql: []const u8, answer: *Answer) void,
    apply: *const fn (ops: []const u8, answer: *Answer) void,
    query: *const fn (statement: u32, params: []const u8, rows_max: u32, answer: *Answer) void,
};

pub var database: ?*const Database = null;

pub fn refusal(fault: u8, why: []const u8, event: ?u32) Answer {
    return .{ .failed = 1, .is = .{ .failure = .{
        .fault = fault,
        .message = .of(why),
        .has_index = @intFromBool(event != null),
        .index = event orelse 0,
    } } };
}
