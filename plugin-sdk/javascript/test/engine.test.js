// What the engine does itself, in a plugin as every other. TOOLS is a folder with node_modules/esbuild, unless npm has installed that here.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Host } from "./host.js";

const sdk = join(import.meta.dirname, "..");
const tools = process.env.TOOLS ?? sdk;
const folder = mkdtempSync(join(tmpdir(), "lantern-engine-test-"));
const plugin = join(folder, "plugin.wasm");

before(() => {
  execFileSync("node", [join(sdk, "build.js"), "--tools", tools, "--project", join(sdk, "test/engine"), "--out", plugin]);
});
after(() => rmSync(folder, { recursive: true }));

const host = () => new Host(plugin);
const event = (type, data) => ({ type, payload: JSON.stringify(data) });

/** Numbers that follow from a seed: xorshift, as in Marsaglia's "Xorshift RNGs". */
function random(seed) {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const TYPES = ["text", "integer", "bigint", "number", "boolean", "json", "list", "record", "object", "maybe", "kind"];
const LEAVES = [
  "0", "-0", "1", "-7", "3.5", "1e3", "2e400", "-1.25E-2", "01", "1.", ".5", "+1", "1e", "9007199254740991", "9007199254740993", "-9223372036854775808",
  "9223372036854775808", "123456789012345678901234567890", "0.1", "1.7976931348623157e308", "5e-324", "123456789012345.6", "true", "false", "null", "nul", "tru",
  '""', '"a"', '"b"', '"\\u0041\\n"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\udc00x"', '"\\x"', '"é€😀"', '"tab\there"', '"open', "[]", "{}", "", " ", "NaN", "'a'",
];
const NAMES = ["a", "b\u00e9", "c", "d", "e", "f", "__proto__", "constructor", "\\u0061", "1", ""];

/** JSON, or nearly so. */
function text(next, depth) {
  const kind = depth > 0 ? next(4) : 0;
  const space = () => ["", "", "", " ", "\n", "\t "][next(6)];
  if (kind < 2) return space() + LEAVES[next(LEAVES.length)] + space();
  const items = Array.from({ length: next(4) }, () => text(next, depth - 1));
  if (kind === 2) return `[${items.join(",")}]`;
  return `{${items.map((item) => `${space()}"${NAMES[next(NAMES.length)]}"${space()}:${item}`).join(",")}}`;
}

// Events are read by two readers: the quick one must never say anything else than the one that says what is wrong.
test("what the engine reads is what javascript reads, and refuses the same in the same words", () => {
  const seed = Number(process.env.SEED ?? (Date.now() % 1_000_000) + 1);
  console.log(`SEED=${seed}`);
  const next = random(seed);
  const reader = host();
  for (let batch = 0; batch < 100; batch++) {
    const events = Array.from({ length: 100 }, () => {
      let payload = text(next, next(4));
      // Cut, or with a wrong letter in it.
      if (next(8) === 0) payload = payload.slice(0, next(payload.length + 1));
      if (next(8) === 0) payload = payload.replace(payload[next(payload.length + 1)], '{}[],:"\\0'[next(9)]);
      return { type: TYPES[next(TYPES.length)], payload };
    });
    reader.apply(...events);
  }
});

test("json of any depth and width is read, or refused", () => {
  const reader = host();
  for (const depth of [10, 63, 64, 65, 200]) reader.apply({ type: "json", payload: "[".repeat(depth) + "]".repeat(depth) });
  reader.apply({ type: "json", payload: "[".repeat(100) });
  reader.apply({ type: "text", payload: `"${"[".repeat(5_000)}\\"${"{".repeat(5_000)}"` });
  // What reads it calls itself: the host's stack must not be what ends it.
  for (const payload of ["[".repeat(1_001), `${'{"a":'.repeat(100_000)}`]) {
    assert.throws(() => reader.apply(event("Rows", 1), { type: "Rows", payload }), (error) => error.index === 1 && /nested more than 1000 deep/.test(error.message));
  }
  const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`field ${n}`, n]));
  reader.apply(event("json", wide), event("object", { ...wide, a: 1 }));
});

test("bytes that are no text are refused", () => {
  assert.throws(() => host().apply({ type: "Rows", payload: new Uint8Array([34, 255, 34]) }), /engine\/0@0 \(Rows\): its data is not text: it is not UTF-8/);
  assert.throws(() => host().apply({ type: "Rows", payload: null }), /it is a tombstone/);
});

// A plugin that calls itself for ever is wrong at one event; with the instance, what the others have would be gone too.
test("recursion without end is an error of the event, and the instance lives on", () => {
  const one = host();
  for (const how of ["call", "arguments", "map", "sort", "getter", "stringify", "replace", "class", "generator", "proxy", "bound"]) {
    assert.throws(
      () => one.apply(event("Rows", 1), event("Deep", how)),
      (error) => error.index === 1 && error.message.startsWith("RangeError: Maximum call stack size exceeded"),
    );
    assert.equal(one.apply(event("Rows", 3)), 3);
  }
});

test("an event is nothing any more behind its batch", () => {
  const one = host();
  one.apply(event("Kept", 1));
  assert.throws(() => one.apply(event("Kept", 2)), /an event is used behind its batch/);
});

test("what is async fails, since nothing awaits it", () => {
  for (const type of ["Async", "Helped"]) {
    const one = host();
    assert.throws(() => one.apply(event("Rows", 1), event(type, 1)), (error) => error.index === 1 && /is async, or calls what is/.test(error.message));
    assert.equal(one.apply(event("Rows", 3)), 3);
  }
});

// Such a text would end the instance: no string of the contract has one.
test("half of a surrogate pair is mended where people read it and refused where it is stored", () => {
  const one = host();
  assert.throws(() => one.apply(event("Halves", "thrown")), /Error: a \ufffd/);
  assert.deepEqual(one.logged.slice(0, 2), [[2, "\ufffd"], [2, "239,191,189 true"]]);
  assert.throws(() => one.apply(event("Halves", "sql")), /the statement is not text/);
  assert.throws(() => one.apply(event("Halves", "row")), /a text is not UTF-8/);
});

test("a failure is one of the contract, whatever was thrown", () => {
  const one = host();
  assert.throws(() => one.apply(event("Thrown", "fault")), /of no kind/);
  assert.throws(() => one.apply(event("Rows", 1), event("Thrown", "index")), (error) => error.index === 1);
});

test("a statement has as many parameters as it has, and values are as they were read", () => {
  const one = host();
  for (const count of [0, 127, 128, 129, 5_000]) assert.equal(one.apply(event("Parameters", count)), 1);
  one.apply(event("Fresh", 1));
  assert.ok(one.written.includes("A".repeat(40)));
});

test("rows are held while they are written", () => {
  assert.equal(host().apply(event("Held", 1)), 2);
});

test("texts, bytes and the log are there as in every javascript", () => {
  const one = host();
  one.apply({ type: "Words", payload: '"grüße 😀"', headers: { name: "x" } });
  const [[level, said], [warned]] = one.logged;
  assert.equal(level, 2);
  assert.match(said, /^grüße 😀 \[12\] Error: said\n +at .*index\.js:\d+/);
  assert.equal(warned, 1);
});

// An instance lives as long as the host: what a batch leaves behind adds up.
test("batches leave no memory behind", () => {
  const one = host();
  const batch = Array.from({ length: 50 }, (_, n) => event(["Rows", "object", "record", "list"][n % 4], [5, { a: 1, c: [{ d: 2 }] }, { x: "y" }, [1, 2]][n % 4]));
  for (let n = 0; n < 50; n++) one.apply(...batch, event("Made", { n }));
  const { memory } = one;
  for (let n = 0; n < 400; n++) one.apply(...batch, event("Made", { n }));
  assert.equal(one.memory, memory);
});
