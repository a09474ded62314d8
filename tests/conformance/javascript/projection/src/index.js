// The projection of tests/conformance/README.md, which says what each event does.

import { LanternError, bigint, bytes, envelope, log, nullable, number, projection, real, table, text } from "@lantern/sdk";
import { Row, row } from "./rows.js";

const records = table("records", {
  key: ["topic", "partition", "position"],
  columns: ["type", "timestamp_ms", "key", "payload", "trace"],
});
const keys = table("keys", { key: "key", columns: ["records", "last"] });
const vals = table("vals", { key: "id", columns: ["i", "r", "bits", "t", "b"] });
const counters = table("counters", { key: "account", columns: ["events", "sum", "largest", "smallest", "last"] });
const totals = table("totals", { key: "id", columns: ["rows", "sum", "list", "own"] });
const caught = table("caught", { key: "position", columns: ["kind", "message"] });
const words = table("words", { key: "id", columns: ["list", "still"] });

const Sql = { id: text, n: bigint };
const Fail = { how: text };

export default projection({
  name: "conformance-javascript",
  version: "1.0.0",
  description: "What every SDK must do the same",
  topics: ["conformance"],
  headers: "all",
  envelope: envelope.header("type"),
  sends: ["counter"],
  queries: { counter: { sql: "SELECT * FROM counters WHERE account = :account", description: "One counter" } },
  schema: [
    "CREATE TABLE records (topic TEXT, partition INTEGER, position INTEGER, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, key BLOB, payload BLOB, trace BLOB, PRIMARY KEY (topic, partition, position))",
    "CREATE TABLE keys (key BLOB PRIMARY KEY, records INTEGER NOT NULL, last INTEGER)",
    "CREATE TABLE vals (id PRIMARY KEY, i, r, bits, t, b)",
    "CREATE TABLE counters (account TEXT PRIMARY KEY, events INTEGER, sum INTEGER, largest INTEGER, smallest INTEGER, last INTEGER)",
    "CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')",
    "CREATE TABLE reads (partition INTEGER, position INTEGER, step INTEGER, found INTEGER NOT NULL, n INTEGER, note TEXT, PRIMARY KEY (partition, position, step))",
    "CREATE TABLE sums (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
    "CREATE TABLE totals (id TEXT PRIMARY KEY, rows INTEGER, sum INTEGER, list TEXT, own INTEGER)",
    "CREATE TABLE caught (position INTEGER PRIMARY KEY, kind TEXT, message TEXT)",
    "CREATE TABLE words (id TEXT PRIMARY KEY, list TEXT, still INTEGER)",
    "CREATE TABLE ones (n INTEGER NOT NULL CHECK (n = 1))",
  ],
  events: {
    Record: bytes,
    Values: {
      id: text,
      i: nullable(bigint),
      r: nullable(number),
      bits: nullable(text),
      t: nullable(text),
      b: nullable(text),
    },
    Count: { account: text, n: bigint },
    Row,
    Sql,
    Caught: { which: text },
    Words: { id: text, text },
    Send: { id: text, n: bigint, due: nullable(number) },
    Cancel: { id: text },
    Log: { text },
    Fail,
  },
  on: {
    Record(event, db) {
      const { topic, partition, offset, type, timestampMs, key, payload } = event;
      const trace = event.header("trace");
      db.put(records, [topic, partition, offset], { type, timestamp_ms: timestampMs, key, payload, trace });
      if (key !== null) db.upsert(keys, key).add("records", 1).set("last", offset);
    },

    Values(event, db) {
      const { id, i, r, bits, t, b } = event.data;
      db.put(vals, id, { i, r: real(r), bits: bits === null ? null : real(double(event, bits)), t, b: b === null ? null : blob(event, b) });
    },

    Count({ data: { account, n } }, db) {
      db.upsert(counters, account).add("events", 1).add("sum", n).max("largest", n).min("smallest", n).set("last", n);
    },

    Row: row,
    Sql: sql,

    Caught(event, db) {
      const { which } = event.data;
      try {
        if (which === "missing") db.query("SELECT n FROM missing");
        else if (which === "overflow") db.query("SELECT abs(?1)", [-(2n ** 63n)]);
        else if (which === "pragma") db.query("PRAGMA user_version = 2");
        else throw event.badInput(`${which} is none of the statements`);
      } catch (error) {
        if (!(error instanceof LanternError) || error.fault === "bad-input") throw error;
        db.put(caught, event.offset, { kind: error.fault, message: error.message });
      }
    },

    Words(event, db) {
      const counts = new Map();
      for (const word of event.data.text.split(" ")) counts.set(word, (counts.get(word) ?? 0) + 1);
      const listed = [...counts].sort(([left], [right]) => compare(left, right)).map(([word, count]) => `${word}=${count}`);
      db.put(words, event.data.id, { list: listed.join(","), still: still() });
    },

    Send(event, db) {
      const { id, n, due } = event.data;
      const command = { aggregate: "counter", id, command: "Add", data: { n } };
      db.send(event, `send/${id}`, due === null ? command : { ...command, dueMs: due });
    },

    Cancel({ data: { id } }, db) {
      db.cancel(`send/${id}`);
    },

    Log({ data: { text } }) {
      log.warn(text);
    },

    Fail: fail,

    "*"() {},
  },
});

function double(event, hex) {
  if (!/^[0-9a-f]{16}$/i.test(hex)) throw event.badInput(`${hex} is not made of 16 hex digits`);
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${hex}`));
  return view.getFloat64(0);
}

function blob(event, hex) {
  if (!/^([0-9a-f]{2})*$/i.test(hex)) throw event.badInput("`b` is not made of hex digits");
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** In the order of their UTF-8 bytes, which is that of their code points; JavaScript compares halves of surrogate pairs. */
function compare(left, right) {
  const [a, b] = [[...left], [...right]];
  const at = a.findIndex((point, place) => point !== b[place]);
  if (at < 0) return a.length - b.length;
  return (a[at]?.codePointAt(0) ?? 0) - (b[at]?.codePointAt(0) ?? -1);
}

function chance() {
  try {
    return String(Math.random());
  } catch (error) {
    if (!(error instanceof LanternError)) throw error;
    return "refused";
  }
}

function still() {
  try {
    return Math.floor(Date.now() / 1000) === 0;
  } catch {
    // There is no clock.
    return true;
  }
}

function sql(event, db) {
  const { id, n } = event.data;
  db.upsert(counters, id).add("sum", n);
  db.execute("INSERT INTO sums (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n", [id, n]);
  const found = db.query("SELECT id, n FROM sums ORDER BY n DESC, id");
  const own = db.queryValue("SELECT sum FROM counters WHERE account = ?1", [id]);
  const sum = found.reduce((sum, row) => sum + BigInt(row.n), 0n);
  db.put(totals, "all", { rows: found.length, sum, list: found.map((row) => `${row.id}=${row.n}`).join(","), own });
}

function fail(event, db) {
  const { how } = event.data;
  db.upsert(counters, "failed").add("events", 1);
  const violate = () => db.execute("INSERT INTO ones (n) VALUES (?1)", [2]);
  if (how === "bad-input") throw event.badInput("refused by the domain");
  else if (how === "other") throw new RangeError("an ordinary error");
  else if (how === "unknown") db.execute("INSERT INTO missing (n) VALUES (1)");
  else if (how === "late") violate();
  else if (how === "query") {
    violate();
    db.query("SELECT count(*) FROM ones");
  } else if (how === "crash") throw "boom";
  else if (how === "recursion") recurse(0);
  else if (how === "random") throw event.badInput(`random: ${chance()}`);
  else throw event.badInput(`${how} is no way to fail`);
}

function recurse(depth) {
  return String(depth).length + recurse(depth + 1);
}
