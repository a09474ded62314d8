// The projection of tests/conformance/README.md, which says what each event does.
import { Blob, Command, Db, Event, Fault, Integer, JsonObject, Manifest, Real, Table, Text, caught, fail, fromHex, log, tuple } from "@lantern/sdk-assemblyscript";
import { row } from "./rows";

const RECORDS = new Table("records", ["topic", "partition", "position"], ["type", "timestamp_ms", "key", "payload", "trace"]);
const KEYS = new Table("keys", ["key"], ["records", "last"]);
const VALS = new Table("vals", ["id"], ["i", "r", "bits", "t", "b"]);
const COUNTERS = new Table("counters", ["account"], ["events", "sum", "largest", "smallest", "last"]);
const TOTALS = new Table("totals", ["id"], ["rows", "sum", "list", "own"]);
const CAUGHT = new Table("caught", ["position"], ["kind", "message"]);
const WORDS = new Table("words", ["id"], ["list", "still"]);

export function manifest(): Manifest {
  return new Manifest("conformance-assemblyscript")
    .version("1.0.0")
    .description("What every SDK must do the same")
    .topic("conformance")
    .allHeaders()
    .typeInHeader("type")
    .sends(["counter"])
    .query("counter", "SELECT * FROM counters WHERE account = :account", "One counter")
    .schema("CREATE TABLE records (topic TEXT, partition INTEGER, position INTEGER, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, key BLOB, payload BLOB, trace BLOB, PRIMARY KEY (topic, partition, position))")
    .schema("CREATE TABLE keys (key BLOB PRIMARY KEY, records INTEGER NOT NULL, last INTEGER)")
    .schema("CREATE TABLE vals (id PRIMARY KEY, i, r, bits, t, b)")
    .schema("CREATE TABLE counters (account TEXT PRIMARY KEY, events INTEGER, sum INTEGER, largest INTEGER, smallest INTEGER, last INTEGER)")
    .schema("CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')")
    .schema("CREATE TABLE reads (partition INTEGER, position INTEGER, step INTEGER, found INTEGER NOT NULL, n INTEGER, note TEXT, PRIMARY KEY (partition, position, step))")
    .schema("CREATE TABLE sums (id TEXT PRIMARY KEY, n INTEGER NOT NULL)")
    .schema("CREATE TABLE totals (id TEXT PRIMARY KEY, rows INTEGER, sum INTEGER, list TEXT, own INTEGER)")
    .schema("CREATE TABLE caught (position INTEGER PRIMARY KEY, kind TEXT, message TEXT)")
    .schema("CREATE TABLE words (id TEXT PRIMARY KEY, list TEXT, still INTEGER)")
    .schema("CREATE TABLE ones (n INTEGER NOT NULL CHECK (n = 1))");
}

export function apply(event: Event, db: Db): void {
  if (event.is("Count")) count(event, db);
  else if (event.is("Record")) record(event, db);
  else if (event.is("Values")) values(event, db);
  else if (event.is("Row")) row(event, db);
  else if (event.is("Sql")) sql(event, db);
  else if (event.is("Caught")) refused(event, db);
  else if (event.is("Words")) words(event, db);
  else if (event.is("Send")) send(event, db);
  else if (event.is("Cancel")) db.cancel(`send/${event.json().text("id").toString()}`);
  else if (event.is("Log")) log.warn(event.json().text("text").toString());
  else if (event.is("Fail")) fails(event, db);
}

function record(event: Event, db: Db): void {
  const key = event.key;
  const at = tuple(event.topic).and(event.partition).and(event.offset);
  const what = tuple(event.type).and(event.timestampMs).and<Blob | null>(key).and<Blob | null>(event.payload);
  db.put(RECORDS, at, what.and<Blob | null>(event.header("trace")));
  if (key !== null) db.upsert<Blob>(KEYS, key).add("records", 1).set("last", event.offset);
}

function blob(event: Event, hex: Text | null): Blob | null {
  if (hex === null) return null;
  const bytes = fromHex(hex);
  if (bytes === null) event.badInput(`${hex.toString()} is not made of hex digits`);
  return bytes;
}

function values(event: Event, db: Db): void {
  const data = event.json();
  const bits = blob(event, data.textOrNull("bits"));
  const real: Real | null = bits === null ? null : new Real(reinterpret<f64>(bswap<u64>(load<u64>(bits.ptr))));
  const what = tuple<Integer | null>(data.intOrNull("i")).and<Real | null>(data.realOrNull("r")).and<Real | null>(real);
  what.and<Text | null>(data.textOrNull("t")).and<Blob | null>(blob(event, data.textOrNull("b")));
  db.put(VALS, data.text("id"), what);
}

function count(event: Event, db: Db): void {
  const data = event.json();
  const account = data.text("account");
  const n = data.int("n");
  db.upsert(COUNTERS, account).add("events", 1).add("sum", n).max("largest", n).min("smallest", n).set("last", n);
}

function sql(event: Event, db: Db): void {
  const data = event.json();
  const id = data.text("id");
  const n = data.int("n");
  db.upsert(COUNTERS, id).add("sum", n);
  db.execute("INSERT INTO sums (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n", tuple(id).and(n));
  const rows = db.query("SELECT id, n FROM sums ORDER BY n DESC, id");
  if (rows === null) return;
  let sum: i64 = 0;
  const list: string[] = [];
  for (let i = 0; i < rows.length; i++) {
    const row = rows.row(i);
    sum += row[1].integer();
    list.push(`${row[0].text().toString()}=${row[1].integer()}`);
  }
  const own = db.query("SELECT sum FROM counters WHERE account = ?1", tuple(id));
  if (own === null) return;
  const totals = tuple(rows.length).and(sum).and(list.join(","));
  if (own.length > 0) totals.and(own.row(0)[0]);
  else totals.and<Integer | null>(null);
  db.put(TOTALS, "all", totals);
}

function refused(event: Event, db: Db): void {
  const which = event.json().text("which");
  if (which.is("missing")) db.query("SELECT n FROM missing");
  else if (which.is("overflow")) db.query("SELECT abs(?1)", tuple(i64.MIN_VALUE));
  else if (which.is("pragma")) db.query("PRAGMA user_version = 2");
  else return event.badInput(`${which.toString()} is none of the statements`);
  const failure = caught();
  if (failure === null) return fail(Fault.Other, "SQLite has not refused it");
  db.put(CAUGHT, event.offset, tuple(failure.kind).and(failure.message));
}

function words(event: Event, db: Db): void {
  const data = event.json();
  const counts = new Map<string, i64>();
  const split = data.text("text").toString().split(" ");
  for (let i = 0; i < split.length; i++) counts.set(split[i], (counts.has(split[i]) ? counts.get(split[i]) : 0) + 1);
  const sorted = counts.keys();
  // By the bytes of UTF-8, which UTF-16 does not sort as.
  sorted.sort((a, b) => {
    const left = String.UTF8.encode(a);
    const right = String.UTF8.encode(b);
    const order = memory.compare(changetype<usize>(left), changetype<usize>(right), min(left.byteLength, right.byteLength));
    return order != 0 ? order : left.byteLength - right.byteLength;
  });
  const list: string[] = [];
  for (let i = 0; i < sorted.length; i++) list.push(`${sorted[i]}=${counts.get(sorted[i])}`);
  db.put(WORDS, data.text("id"), tuple(list.join(",")).and(1));
}

function send(event: Event, db: Db): void {
  const data = event.json();
  const id = data.text("id").toString();
  const due = data.intOrNull("due");
  const command = new Command("counter", id, "Add", new JsonObject().int("n", data.int("n")));
  db.send(event, `send/${id}`, due === null ? command : command.dueMs(due.value));
}

function fails(event: Event, db: Db): void {
  const how = event.json().text("how");
  db.upsert(COUNTERS, "failed").add("events", 1);
  if (how.is("bad-input")) event.badInput("refused by the domain");
  else if (how.is("other")) fail(Fault.Other, "an ordinary error");
  else if (how.is("unknown")) db.execute("INSERT INTO missing (n) VALUES (1)");
  else if (how.is("late")) violate(db);
  else if (how.is("query")) {
    violate(db);
    db.query("SELECT count(*) FROM ones");
  } else if (how.is("crash")) throw new Error("boom");
  else if (how.is("recursion")) event.badInput(recurse(0).toString());
  // There is none here.
  else if (how.is("random")) event.badInput("random:");
  else event.badInput(`${how.toString()} is no way to fail`);
}

function recurse(depth: i32): i32 {
  return depth.toString().length + recurse(depth + 1);
}

function violate(db: Db): void {
  db.execute("INSERT INTO ones (n) VALUES (?1)", tuple(2));
}
