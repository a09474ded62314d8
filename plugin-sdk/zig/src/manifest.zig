//! What a plugin says of itself.

const std = @import("std");
const host = @import("host.zig");

/// Where an event's type stands.
pub const Envelope = union(enum) {
    /// CloudEvents, in Kafka's binary or structured content mode.
    cloud_events,
    /// In the header of this name.
    header: []const u8,
    /// In this field of the JSON; dots lead into objects.
    json_field: []const u8,
    /// Every event is of this type; null: of the topic's name.
    topic: ?[]const u8,
};

pub const Query = struct { name: []const u8, sql: []const u8, description: []const u8 = "" };

/// What a plugin is called, what it reads, and its tables.
pub const Manifest = struct {
    /// The read model's, too: lower-case letters, digits, `-` and `_`.
    name: []const u8,
    version: []const u8 = "",
    description: []const u8 = "",
    topics: []const []const u8,
    /// The types that are read; all, if none is named.
    types: []const []const u8 = &.{},
    /// The headers that are read; null: all.
    headers: ?[]const []const u8 = &.{},
    envelope: Envelope = .cloud_events,
    /// SQL statements, run in order on an empty database.
    schema: []const []const u8 = &.{},
    /// To be raised when the same events give other rows.
    state_version: u32 = 1,
    /// Queries that are offered by name; parameters are named `:name`.
    queries: []const Query = &.{},
    /// The aggregates that commands are sent to: with any, it is a process manager.
    sends: []const []const u8 = &.{},

    pub fn toJson(manifest: Manifest) []const u8 {
        var out: std.Io.Writer.Allocating = .init(host.arena());
        var json: std.json.Stringify = .{ .writer = &out.writer };
        write(manifest, &json) catch host.oom();
        return out.written();
    }

    fn write(manifest: Manifest, json: *std.json.Stringify) !void {
        try json.beginObject();
        inline for (.{ "name", "version", "topics", "types", "schema", "state_version" }) |field| {
            try json.objectField(field);
            try json.write(@field(manifest, field));
        }
        if (manifest.description.len > 0) {
            try json.objectField("description");
            try json.write(manifest.description);
        }
        try json.objectField("headers");
        if (manifest.headers) |headers| {
            try json.beginArray();
            for (headers) |header| try json.write(header);
            // What it sends says by these what it was caused by.
            if (manifest.sends.len > 0) for ([_][]const u8{ "ce_id", "ce_correlationid" }) |header| try json.write(header);
            try json.endArray();
        } else try json.write(null);
        try json.objectField("envelope");
        switch (manifest.envelope) {
            .cloud_events => try json.write(.{ .kind = "cloud-events" }),
            .header => |name| try json.write(.{ .kind = "header", .name = name }),
            .json_field => |field| try json.write(.{ .kind = "json-field", .field = field }),
            .topic => |kind| if (kind) |of| try json.write(.{ .kind = "topic", .type = of }) else try json.write(.{ .kind = "topic" }),
        }
        try json.objectField("queries");
        try json.beginObject();
        for (manifest.queries) |query| {
            try json.objectField(query.name);
            try json.write(.{ .sql = query.sql, .description = query.description });
        }
        try json.endObject();
        if (manifest.sends.len > 0) {
            try json.objectField("sends");
            try json.write(manifest.sends);
        }
        try json.endObject();
    }
};
