//! Every frame of plugin-sdk/wit/vectors reads as the file says, or is refused as it says: `zig build test`.

const std = @import("std");
const lantern = @import("lantern");
const frame = lantern.frame;
const Writer = std.json.Stringify;

const Vector = struct {
    name: []const u8,
    frame: []const u8,
    meaning: ?std.json.Value = null,
    @"error": ?[]const u8 = null,
    written: bool = false,
};

fn hex(bytes: ?[]const u8, json: *Writer) !void {
    if (bytes) |some| try json.print("\"{x}\"", .{some}) else try json.write(null);
}

fn values(from: frame.Values, json: *Writer) !void {
    var left = from;
    try json.beginArray();
    while (try left.next()) |value| switch (value) {
        .null => try json.write(null),
        .integer => |n| try json.write(.{ .integer = lantern.format("{d}", .{n}) }),
        .real => |x| try json.write(.{ .real = lantern.format("{x:0>16}", .{@as(u64, @bitCast(x))}) }),
        .text => |text| try json.write(.{ .text = text }),
        .blob => |blob| try json.write(.{ .blob = lantern.format("{x}", .{blob}) }),
    };
    try json.endArray();
}

fn field(name: []const u8, value: anytype, json: *Writer) !void {
    try json.objectField(name);
    try json.write(value);
}

fn events(bytes: []const u8, json: *Writer) !void {
    const layout = try frame.Layout.parse(bytes, .events);
    var left = layout.arena.len;
    try json.beginArray();
    for (0..layout.count) |at| {
        const event = try frame.Record.read(&layout, @intCast(at), &left);
        try json.beginObject();
        try json.objectField("headers");
        try json.beginArray();
        var header: usize = 0;
        while (event.header(&layout, header)) |entry| : (header += 1) {
            try json.beginArray();
            try json.write(entry.name);
            try hex(entry.value, json);
            try json.endArray();
        }
        try json.endArray();
        try json.objectField("key");
        try hex(event.key, json);
        try field("offset", lantern.format("{d}", .{event.offset}), json);
        try field("partition", event.partition, json);
        try json.objectField("payload");
        try hex(event.payload, json);
        try field("timestamp_ms", lantern.format("{d}", .{event.timestamp_ms}), json);
        try field("topic", event.topic, json);
        try field("type", event.kind, json);
        try json.endObject();
    }
    try json.endArray();
}

fn ops(bytes: []const u8, json: *Writer) !void {
    const layout = try frame.Layout.parse(bytes, .ops);
    try json.beginArray();
    for (0..layout.count) |at| {
        const item = layout.item(@intCast(at));
        const event = std.mem.readInt(u32, item[4..8], .little);
        try json.beginObject();
        try field("event", if (event == frame.none) null else @as(?u32, event), json);
        try field("statement", std.mem.readInt(u32, item[0..4], .little), json);
        try json.objectField("values");
        try values(try layout.values(@intCast(at), 8), json);
        try json.endObject();
    }
    try json.endArray();
}

fn rows(bytes: []const u8, json: *Writer) !void {
    const layout = try frame.Layout.parse(bytes, .rows);
    try json.beginObject();
    try json.objectField("columns");
    try json.beginArray();
    for (0..layout.texts()) |id| try json.write(try layout.text(@intCast(id)));
    try json.endArray();
    try json.objectField("rows");
    try json.beginArray();
    for (0..layout.count) |at| try values(try layout.values(@intCast(at), 0), json);
    try json.endArray();
    try json.endObject();
}

fn check(file: []const u8, read: *const fn ([]const u8, *Writer) anyerror!void) !void {
    var why: []const u8 = "";
    for (try lantern.json.parse([]const Vector, file, &why)) |vector| {
        errdefer std.debug.print("{s}\n", .{vector.name});
        const bytes = try std.testing.allocator.alloc(u8, vector.frame.len / 2);
        defer std.testing.allocator.free(bytes);
        _ = try std.fmt.hexToBytes(bytes, vector.frame);
        var out: std.Io.Writer.Allocating = .init(lantern.arena());
        var json: Writer = .{ .writer = &out.writer };
        if (read(bytes, &json)) {
            const meaning = vector.meaning orelse return error.ShouldBeRefused;
            try std.testing.expectEqualStrings(lantern.json.stringify(meaning), out.written());
        } else |err| try std.testing.expectEqualStrings(vector.@"error" orelse "", @errorName(err));
    }
}

test "frames of events" {
    try check(@embedFile("events"), events);
}

test "frames of writes" {
    try check(@embedFile("ops"), ops);
}

test "frames of rows" {
    try check(@embedFile("rows"), rows);
}
