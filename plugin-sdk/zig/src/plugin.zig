//! What the host calls: the contract's functions, by their names.

const std = @import("std");
const aggregate_ = @import("aggregate.zig");
const db_ = @import("db.zig");
const errors = @import("errors.zig");
const event_ = @import("event.zig");
const frame = @import("frame.zig");
const host = @import("host.zig");
const json = @import("json.zig");
const value = @import("value.zig");
const Answer = host.Answer;
const Bytes = host.Bytes;

/// Makes a type the plugin that this program is: `comptime { lantern.projection(Balances); }`. It has
///
///     pub const manifest: lantern.Manifest = .{ … };
///     pub fn apply(event: *const lantern.Event, db: *lantern.Db) !void { … }
pub fn projection(comptime Plugin: type) void {
    describes(Plugin);
    exports("lantern:plugin/projection@0.1.0#apply", &Projection(Plugin).apply);
}

/// Makes a type, whose values are the state of an aggregate, the plugin that this program is. It has
///
///     pub const manifest: lantern.Manifest = .{ … };
///     pub const Command = union(enum) { … };
///     pub const Event = union(enum) { … };
///     pub fn decide(state: State, command: Command, decision: *lantern.Decision(Event)) !void { … }
///     pub fn evolve(state: *State, event: Event) void { … }
pub fn aggregate(comptime Plugin: type) void {
    describes(Plugin);
    exports("lantern:plugin/commands@0.1.0#decide", &Commands(Plugin).decide);
    exports("lantern:plugin/commands@0.1.0#evolve", &Commands(Plugin).evolve);
}

/// Makes a type the plugin that this program is. It has
///
///     pub const manifest: lantern.Manifest = .{ … };
///     pub fn upcast(event: *const lantern.Event) !lantern.Upcast { … }
pub fn upcaster(comptime Plugin: type) void {
    describes(Plugin);
    exports("lantern:plugin/upcast@0.1.0#upcast", &Upcaster(Plugin).upcast);
}

fn exports(comptime name: []const u8, comptime function: anytype) void {
    if (!host.is_wasm) return;
    @export(function, .{ .name = name });
    const Post = struct {
        fn done(_: *const anyopaque) callconv(.c) void {
            host.endBatch();
        }
    };
    @export(&Post.done, .{ .name = "cabi_post_" ++ name });
}

fn describes(comptime Plugin: type) void {
    const Meta = struct {
        fn describe() callconv(.c) *const Bytes {
            const manifest: @import("manifest.zig").Manifest = Plugin.manifest;
            return kept(Bytes, .of(manifest.toJson()));
        }

        fn realloc(old: ?[*]u8, old_len: usize, alignment: usize, len: usize) callconv(.c) ?[*]u8 {
            // Of no bytes there is no place; nobody looks at it.
            if (len == 0) return @ptrFromInt(alignment);
            const new = host.arena().rawAlloc(len, .fromByteUnits(alignment), @returnAddress()) orelse host.oom();
            if (old) |from| @memcpy(new[0..@min(old_len, len)], from[0..@min(old_len, len)]);
            return new;
        }
    };
    exports("lantern:plugin/meta@0.1.0#describe", &Meta.describe);
    if (host.is_wasm) @export(&Meta.realloc, .{ .name = "cabi_realloc" });
}

fn kept(comptime T: type, x: T) *const T {
    const place = host.arena().create(T) catch host.oom();
    place.* = x;
    return place;
}

fn success(bytes: []const u8) *const Answer {
    return kept(Answer, .{ .is = .{ .bytes = .of(bytes) } });
}

/// An error, as it is to be said; of one that is no error of the SDK, its name and the event.
fn failure(err: anyerror, event: ?*const event_.Event, index: ?u32) *const Answer {
    @branchHint(.cold);
    var why = errors.caught(err);
    if (event) |of| if (std.mem.eql(u8, why.message, @errorName(err))) {
        why.message = host.format("{s}/{d}@{d} ({s}): {s}", .{ of.topic, of.partition, of.offset, of.kind, why.message });
    };
    const at = why.index orelse index;
    return kept(Answer, .{ .failed = 1, .is = .{ .failure = .{
        .fault = @intFromEnum(why.fault),
        .message = .of(why.message),
        .has_index = @intFromBool(at != null),
        .index = at orelse 0,
    } } });
}

/// The events of a frame, and which of them is at fault.
const Batch = struct {
    layout: frame.Layout,
    left: usize,
    at: u32 = 0,
    event: event_.Event = undefined,

    fn parse(bytes: []const u8) errors.Error!Batch {
        errors.forget();
        const layout = frame.Layout.parse(bytes, .events) catch |err| return event_.mangled(err);
        return .{ .layout = layout, .left = layout.arena.len };
    }

    fn next(batch: *Batch) errors.Error!?*const event_.Event {
        if (batch.at == batch.layout.count) return null;
        batch.event = try .read(&batch.layout, batch.at, &batch.left);
        return &batch.event;
    }
};

pub fn Projection(comptime Plugin: type) type {
    return struct {
        var db: db_.Db = .{};

        pub fn apply(ptr: [*]const u8, len: usize) callconv(.c) *const Answer {
            var batch = Batch.parse(ptr[0..len]) catch |err| return failure(err, null, null);
            const bytes = applyAll(&batch) catch |err| {
                db.reset();
                const ended = batch.at == batch.layout.count;
                return failure(err, if (ended) null else &batch.event, if (ended) null else batch.at);
            };
            return success(bytes);
        }

        fn applyAll(batch: *Batch) anyerror![]const u8 {
            while (try batch.next()) |event| : (batch.at += 1) {
                db.begin(batch.at);
                try Plugin.apply(event, &db);
                try db.end();
            }
            return db.finish();
        }
    };
}

pub fn Upcaster(comptime Plugin: type) type {
    return struct {
        var typed: aggregate_.TypedRows = .{};
        var out: value.Buffer = .{};

        pub fn upcast(ptr: [*]const u8, len: usize) callconv(.c) *const Answer {
            var batch = Batch.parse(ptr[0..len]) catch |err| return failure(err, null, null);
            typed.begin();
            upcastAll(&batch) catch |err| return failure(err, &batch.event, batch.at);
            return success(typed.rows.finish(.rows, &out));
        }

        fn upcastAll(batch: *Batch) anyerror!void {
            while (try batch.next()) |event| : (batch.at += 1) {
                const today: aggregate_.Upcast = try Plugin.upcast(event);
                try typed.push(today.kind, today.payload);
            }
        }
    };
}

pub fn Commands(comptime State: type) type {
    const Decision = aggregate_.Decision(State.Event);
    return struct {
        var typed: aggregate_.TypedRows = .{};
        var out: value.Buffer = .{};

        pub fn decide(ptr: [*]const u8, len: usize) callconv(.c) *const Answer {
            errors.forget();
            const decision = tryDecide(ptr[0..len]) catch |err| return failure(err, null, null);
            var answer: Answer = .{ .is = .{ .decision = .{ .rejected = 0, .is = .{ .events = undefined } } } };
            if (decision.rejection) |rejection| {
                answer.is.decision.rejected = 1;
                answer.is.decision.is = .{ .rejection = .{
                    .code = .of(rejection.code),
                    .message = .of(rejection.message),
                    .has_detail = @intFromBool(rejection.detail != null),
                    .detail = .of(rejection.detail orelse ""),
                } };
            } else {
                typed.begin();
                for (decision.events.items) |event| {
                    const encoded = event_.encode(event);
                    typed.push(encoded.kind, encoded.payload) catch |err| return failure(err, null, null);
                }
                answer.is.decision.is.events = .of(typed.rows.finish(.rows, &out));
            }
            return kept(Answer, answer);
        }

        fn tryDecide(bytes: []const u8) anyerror!Decision {
            const request = try aggregate_.Request.read(bytes);
            var decision: Decision = .{
                .aggregate = request.aggregate,
                .id = request.id,
                .version = request.version,
                .time_ms = request.time_ms,
                .correlation = request.correlation,
            };
            const state = try read(request.state);
            try state.decide(try command(&request), &decision);
            return decision;
        }

        fn command(request: *const aggregate_.Request) errors.Error!State.Command {
            const info = @typeInfo(State.Command).@"union";
            var why: []const u8 = "there is no such command, only " ++ comptime json.names(info.field_names);
            inline for (info.field_names, info.field_types) |name, Content| {
                if (value.same(name, request.command)) {
                    if (Content == void) return @unionInit(State.Command, name, {});
                    if (json.parse(Content, request.payload, &why)) |content| {
                        return @unionInit(State.Command, name, content);
                    } else |_| {}
                }
            }
            return errors.fail(.bad_input, "{s} {s}: the command {s}: {s}", .{ request.aggregate, request.id, request.command, why });
        }

        fn read(stored: ?[]const u8) errors.Error!State {
            var why: []const u8 = "";
            return json.parse(State, stored orelse return .{}, &why) catch
                errors.fail(.other, "the stored state is not of this form: {s}; raise the manifest's state_version", .{why});
        }

        pub fn evolve(has_state: u32, state_ptr: [*]const u8, state_len: usize, ptr: [*]const u8, len: usize) callconv(.c) *const Answer {
            var batch = Batch.parse(ptr[0..len]) catch |err| return failure(err, null, null);
            var state = read(if (has_state != 0) state_ptr[0..state_len] else null) catch |err| return failure(err, null, null);
            evolveAll(&batch, &state) catch |err| return failure(err, &batch.event, batch.at);
            return success(json.stringify(state));
        }

        fn evolveAll(batch: *Batch, state: *State) anyerror!void {
            while (try batch.next()) |event| : (batch.at += 1) state.evolve(try event.decode(State.Event));
        }
    };
}
