// A projection that tries what the engine does itself (engine/) against what JavaScript does: for engine.test.js.

import { BadInput, LanternError, bigint, boolean, integer, json, list, log, nullable, number, object, oneOf, optional, projection, record, table, text } from "@lantern/sdk";
import { readJson, writeJson } from "../../src/schema.js";

const rows = table("rows", { key: ["kind", "n"], columns: ["value"] });

/** Types by name, so that an event can say as what it is to be read. */
const TYPES = {
  text,
  integer,
  bigint,
  number,
  boolean,
  json,
  list: list(integer),
  record: record(nullable(text)),
  object: object({ a: integer, "b\u00e9": optional(text), c: optional(list(object({ d: nullable(number) }))), e: optional(json), f: optional(bigint) }),
  maybe: optional(object({ a: optional(number) })),
  kind: oneOf("a", "b", 3),
};

/** What is read, or what is wrong with it. */
function outcome(read) {
  try {
    return described(read());
  } catch (error) {
    return error.message.replace(/^[^ ]* \([a-zA-Z]*\): /, "");
  }
}

/** A value with all that JSON would not tell: its integers' kinds, its properties' order. */
function described(value) {
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  if (Array.isArray(value)) return `[${value.map(described).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? String(value);
  return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}:${described(item)}`).join()}}`;
}

let kept;

/** Ways to call oneself without end: directly, and through what the engine does itself. */
const ENDLESS = {
  call: (n) => 1 + ENDLESS.call(n + 1),
  arguments: (...given) => 1 + ENDLESS.arguments(...given, 1),
  map: (n) => [n].map(ENDLESS.map),
  sort: (n) => [1, 2].sort(() => ENDLESS.sort(n + 1)),
  getter: (n) => ({ get next() { return ENDLESS.getter(n + 1); } }).next,
  stringify: (n) => JSON.stringify({ toJSON: () => ENDLESS.stringify(n + 1) }),
  replace: (n) => "a".replace(/a/, () => ENDLESS.replace(n + 1)),
  class: (n) => new (class { constructor() { this.next = ENDLESS.class(n + 1); } })(),
  generator: (n) => [...(function* () { yield ENDLESS.generator(n + 1); })()],
  proxy: (n) => new Proxy({}, { get: () => ENDLESS.proxy(n + 1) }).next,
  bound: (n) => ENDLESS.bound.call.bind(ENDLESS.bound)(null, n + 1),
};

export default projection({
  name: "engine",
  topics: ["engine"],
  headers: "all",
  events: Object.fromEntries(["Kept", "Async", "Helped", "Rows", "Deep", "Words", "Held", "Halves", "Thrown", "Made", "Parameters", "Fresh"].map((type) => [type, json])),
  on: {
    Kept(event) {
      if (kept) throw new Error(outcome(() => kept.data));
      kept = event;
    },
    async Async() {},
    Helped() {
      const help = async () => await 1;
      help();
    },
    Rows({ data }, db) {
      for (let n = 0; n < data; n++) db.upsert(rows, ["some", n % 7]).set("value", `value ${n}`);
    },
    Deep({ data }) {
      ENDLESS[data](0);
    },
    Words(event) {
      const bytes = new TextEncoder().encode(event.data);
      console.log(new TextDecoder().decode(bytes), [bytes.length], new Error("said"));
      log.warn(event.header("name"));
    },
    // Each is written, by the query, while the other is held.
    Held(_, db) {
      const [one, other] = [1, 2].map((n) => db.upsert(rows, ["held", n]).add("value", n));
      db.query("SELECT 1");
      one.add("value", 10);
      other.add("value", 20);
    },
    // Half of a surrogate pair, which no text of UTF-8 has.
    Halves({ data }, db) {
      log.info("\ud83d");
      console.log(new TextEncoder().encode("\ud83d").join(), new TextDecoder().decode(new Uint8Array([0xed, 0xa0, 0x80])) === "\ufffd");
      if (data === "thrown") throw new Error("a \ud83d");
      if (data === "sql") db.execute("SELECT '\ud83d'");
      else db.put(rows, ["half", 1], { value: "\ud83d" });
    },
    Thrown({ data }) {
      throw data === "fault" ? new LanternError("of no kind", { fault: "none" }) : new BadInput("of the second", null);
    },
    // Types and tables that are made at each call.
    Made(event, db) {
      for (let n = 0; n < 100; n++) {
        event.decode(object({ n: integer }));
        event.decode({ n: integer });
        db.upsert(table("rows", { key: ["kind", "n"], columns: ["value"] }), ["made", n]);
      }
    },
    Parameters({ data }, db) {
      db.execute("SELECT", Array.from({ length: data }, (_, n) => `parameter ${n}`));
    },
    // Values that are there only while they are read.
    Fresh(_, db) {
      db.put(rows, ["fresh", 1], { get value() { return new Uint8Array(40).fill(65); } });
    },
    "*"(event) {
      const type = TYPES[event.type];
      const [native, own] = [outcome(() => event.decode(type)), outcome(() => readJson(event.text, type))];
      if (native !== own) throw new Error(`as ${event.type}, ${event.text} is ${native} to the engine, and ${own} to JavaScript`);
    },
  },
});
