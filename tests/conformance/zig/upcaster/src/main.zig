//! The upcaster of tests/conformance/README.md, which says what each event becomes.

const lantern = @import("lantern");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

const Old = union(enum) {
    CountV1: struct { account: []const u8, amount: i64 },
    RecordV1,
    GoneV1,
    BadV1,
};

const Today = union(enum) {
    Count: struct { account: []const u8, n: i64 },
};

const Conformance = struct {
    pub const manifest: lantern.Manifest = .{
        .name = "upcaster-zig",
        .topics = &.{"conformance-old"},
        .types = lantern.typesOf(Old),
    };

    pub fn upcast(event: *const lantern.Event) !lantern.Upcast {
        return switch (try event.decode(Old)) {
            .CountV1 => |old| .to(Today{ .Count = .{ .account = old.account, .n = old.amount } }),
            .RecordV1 => .{ .kind = "Record", .payload = event.payload },
            .GoneV1 => .{ .kind = "Record", .payload = null },
            .BadV1 => event.badInput("refused by the domain", .{}),
        };
    }
};

comptime {
    lantern.upcaster(Conformance);
}
