//! Chess players and how strong they are: every game moves their ratings, and the best there ever were are remembered.

const std = @import("std");
const lantern = @import("lantern");
const rating = @import("rating.zig");

pub const panic = lantern.panic;
pub const std_options = lantern.std_options;

const Chess = union(enum) {
    PlayerJoined: struct { player: []const u8, country: ?[]const u8 },
    GamePlayed: Game,
    /// A game that was not fair: it counts no more, but ratings stay.
    GameAnnulled: Game,

    const Game = struct { white: []const u8, black: []const u8, result: rating.Result };
};

const Players = lantern.Table("players", struct { player: []const u8 }, struct {
    country: ?[]const u8,
    rating: i64,
    best: i64,
    games: i64,
    wins: i64,
});
const Encounters = lantern.Table("encounters", struct { white: []const u8, black: []const u8 }, struct {
    games: i64,
    last_ms: i64,
});

pub const Leaderboard = struct {
    pub const manifest: lantern.Manifest = .{
        .name = "leaderboard",
        .version = "1.0.0",
        .description = "Chess players and their ratings",
        .topics = &.{"chess"},
        .types = lantern.typesOf(Chess),
        .schema = &.{
            \\CREATE TABLE players (
            \\    player  TEXT PRIMARY KEY,
            \\    country TEXT,
            \\    rating  INTEGER NOT NULL DEFAULT 1500,
            \\    best    INTEGER NOT NULL DEFAULT 1500,
            \\    games   INTEGER NOT NULL DEFAULT 0,
            \\    wins    INTEGER NOT NULL DEFAULT 0
            \\)
            ,
            "CREATE TABLE encounters (white TEXT, black TEXT, games INTEGER, last_ms INTEGER, PRIMARY KEY (white, black))",
        },
        .queries = &.{
            .{ .name = "best", .sql = "SELECT player, rating, games FROM players ORDER BY rating DESC, player LIMIT 10", .description = "Who is strongest" },
            .{ .name = "country", .sql = "SELECT player, rating FROM players WHERE country = :country ORDER BY rating DESC, player", .description = "A country's players" },
        },
    };

    pub fn apply(event: *const lantern.Event, db: *lantern.Db) !void {
        switch (try event.decode(Chess)) {
            .PlayerJoined => |joined| db.upsert(Players, .{ .player = joined.player }, .{ .country = joined.country }),
            .GamePlayed => |game| try play(event, game, db),
            .GameAnnulled => |game| {
                db.update(Players, .{ .player = game.white }, .{ .games = lantern.add(-1), .wins = lantern.add(if (game.result == .white) -1 else 0) });
                db.update(Players, .{ .player = game.black }, .{ .games = lantern.add(-1), .wins = lantern.add(if (game.result == .black) -1 else 0) });
                db.update(Encounters, .{ .white = game.white, .black = game.black }, .{ .games = lantern.add(-1) });
            },
        }
    }

    fn play(event: *const lantern.Event, game: Chess.Game, db: *lantern.Db) !void {
        if (std.mem.eql(u8, game.white, game.black)) return event.badInput("{s} cannot play against themselves", .{game.white});
        const white = try strength(event, game.white, db);
        const black = try strength(event, game.black, db);
        const gain = rating.gain(white, black, game.result);
        result(game.white, white + gain, game.result == .white, db);
        result(game.black, black - gain, game.result == .black, db);
        db.upsert(Encounters, .{ .white = game.white, .black = game.black }, .{ .games = lantern.add(1), .last_ms = lantern.max(event.timestamp_ms) });
    }

    fn strength(event: *const lantern.Event, player: []const u8, db: *lantern.Db) !i64 {
        const known = try db.get(Players, .{ .player = player }) orelse return event.badInput("{s} never joined", .{player});
        return known.rating;
    }

    fn result(player: []const u8, now: i64, won: bool, db: *lantern.Db) void {
        db.update(Players, .{ .player = player }, .{
            .rating = now,
            .best = lantern.max(now),
            .games = lantern.add(1),
            .wins = lantern.add(@intFromBool(won)),
        });
    }
};

comptime {
    lantern.projection(Leaderboard);
}

test {
    _ = rating;
}

fn join(player: []const u8) lantern.testing.Event {
    return .of(Chess{ .PlayerJoined = .{ .player = player, .country = null } });
}

fn win(white: []const u8, black: []const u8) lantern.testing.Event {
    return .of(Chess{ .GamePlayed = .{ .white = white, .black = black, .result = .white } });
}

test "two games of a batch see each other, and the best is remembered" {
    var leaderboard: lantern.testing.ReadModel(Leaderboard) = try .init();
    defer leaderboard.deinit();
    try leaderboard.apply(&.{ join("ada"), join("bob"), win("ada", "bob"), win("bob", "ada") });
    try leaderboard.expectRows("SELECT player, rating, best, games, wins FROM players ORDER BY player", .{
        .{ "ada", 1500, 1516, 2, 1 },
        .{ "bob", 1500, 1500, 2, 1 },
    });
    try leaderboard.expectRows("best", .{ .{ "ada", 1500, 2 }, .{ "bob", 1500, 2 } });
}

test "who never joined cannot play" {
    var leaderboard: lantern.testing.ReadModel(Leaderboard) = try .init();
    defer leaderboard.deinit();
    try leaderboard.expectFailure("zoe never joined", 1, &.{ join("ada"), win("ada", "zoe") });
}
