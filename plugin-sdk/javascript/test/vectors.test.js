// The shared vectors of frames: bytes and what they mean, the same in every language.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Events, OpsWriter, readOps, readRows, writeEvents, writeRows } from "../src/frame.js";
import { Real, valueOf } from "../src/value.js";

const hex = (bytes) => (bytes === null ? null : Buffer.from(bytes).toString("hex"));
const raw = (text) => (text === null ? null : new Uint8Array(Buffer.from(text, "hex")));

function meaning(value) {
  if (value === null) return null;
  if (typeof value === "string") return { text: value };
  if (value instanceof Uint8Array) return { blob: hex(value) };
  if (value instanceof Real) {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value.value);
    return { real: bytes.toString("hex") };
  }
  return { integer: String(value) };
}

function value(meaning) {
  if (meaning === null) return null;
  if ("integer" in meaning) return valueOf(BigInt(meaning.integer));
  if ("real" in meaning) return new Real(Buffer.from(meaning.real, "hex").readDoubleBE());
  if ("text" in meaning) return meaning.text;
  return raw(meaning.blob);
}

const kinds = {
  events: {
    read(bytes) {
      const events = new Events(bytes);
      return Array.from({ length: events.count }, (_, n) => {
        const at = events.item(n);
        const words = events.words;
        return {
          offset: String(events.integer(at)),
          timestamp_ms: String(events.integer(at + 2)),
          topic: events.texts[words[at + 4]],
          partition: words[at + 5] | 0,
          type: events.texts[words[at + 6]],
          key: hex(events.part(words[at + 7], words[at + 8])),
          payload: hex(events.part(words[at + 9], words[at + 10])),
          headers: events.headers(at).map(([name, value]) => [name, hex(value)]),
        };
      });
    },
    write: (meaning) =>
      writeEvents(
        meaning.map((event) => ({
          ...event,
          timestampMs: event.timestamp_ms,
          key: raw(event.key),
          payload: raw(event.payload),
          headers: event.headers.map(([name, value]) => [name, raw(value)]),
        })),
      ),
  },
  rows: {
    read(bytes) {
      const { columns, rows } = readRows(bytes);
      return { columns, rows: rows.map((row) => row.map(meaning)) };
    },
    write: ({ columns, rows }) =>
      writeRows(
        columns,
        rows.map((row) => row.map(value)),
      ),
  },
  ops: {
    read: (bytes) => readOps(bytes).map((op) => ({ ...op, values: op.values.map(meaning) })),
    write(meaning) {
      const writer = new OpsWriter();
      for (const op of meaning) writer.push(op.statement, op.event, op.values.map(value));
      return writer.take();
    },
  },
};

for (const [kind, { read, write }] of Object.entries(kinds)) {
  const file = new URL(`../../wit/vectors/${kind}.json`, import.meta.url);
  for (const vector of JSON.parse(readFileSync(file, "utf8"))) {
    test(`${kind}: ${vector.name}`, () => {
      const bytes = raw(vector.frame);
      if (vector.error) {
        assert.throws(() => read(bytes), { code: vector.error });
        return;
      }
      assert.deepEqual(read(bytes), vector.meaning);
      const written = write(vector.meaning);
      assert.deepEqual(read(written), vector.meaning);
      if (vector.written) assert.equal(hex(written), vector.frame);
    });
  }
}

test("what outgrows the first bytes is whole", () => {
  const event = {
    offset: "0",
    timestampMs: "0",
    topic: "t",
    partition: 0,
    type: "T",
    key: null,
    payload: new Uint8Array(777).fill(7),
    headers: [],
  };
  const payloads = kinds.events.read(writeEvents(Array.from({ length: 100 }, () => event))).map(({ payload }) => payload);
  assert.deepEqual(payloads, Array(100).fill("07".repeat(777)));
});
