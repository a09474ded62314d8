//! Makes frames of the events that a test gives.

const frame = @import("../frame.zig");
const Event = @import("../testing.zig").Event;

/// 2026-01-01T00:00:00Z
pub const first_ms = 1767225600000;

/// Where the events of a test stand in the log, and when they happen.
pub const Batch = struct {
    topic: []const u8,
    next: i64 = 0,
    time_ms: i64 = first_ms,

    pub fn of(comptime Plugin: type) Batch {
        return .{ .topic = if (Plugin.manifest.topics.len > 0) Plugin.manifest.topics[0] else "topic" };
    }

    pub fn push(batch: *Batch, writer: *frame.Writer, event: Event, headers: ?[]const []const u8) void {
        const record = event.record;
        const offset = record.offset orelse batch.next;
        batch.next = offset + 1;
        batch.time_ms = record.timestamp_ms orelse batch.time_ms;
        writer.record(.{
            .kind = event.kind,
            .topic = record.topic orelse batch.topic,
            .partition = record.partition,
            .offset = offset,
            .timestamp_ms = batch.time_ms,
            .key = record.key,
            .payload = event.payload,
            .headers = "",
        }, record.headers, headers);
    }
};
