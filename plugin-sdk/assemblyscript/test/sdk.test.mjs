// The SDK's own tests: `TOOLS=folder node --test test/`, where TOOLS/node_modules has assemblyscript.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { compile } from "../build.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const entry = "guest.ts";
const source = `${readFileSync(join(HERE, entry), "utf8")}
function __abort(message: string | null, file: string | null, line: u32, column: u32): void { unreachable(); }`;
const wasm = await compile({ tools: process.env.TOOLS, project: HERE, entry, source, names: {} });
const modules = WebAssembly.Module.imports(new WebAssembly.Module(wasm));
const imports = {};
for (const { module, name } of modules) (imports[module] ??= {})[name] = () => assert.fail(`${module}#${name} was called`);
const { exports: guest } = (await WebAssembly.instantiate(wasm, imports)).instance;

const memory = () => new Uint8Array(guest.memory.buffer);

/** The address of bytes, for as long as the tests run. */
function lent(bytes) {
  const at = guest.room(bytes.length + 1);
  memory().set(bytes, at);
  return at;
}

/** A string of AssemblyScript: UTF-16, its length in bytes before it. */
function text(at) {
  const len = new DataView(guest.memory.buffer).getUint32(at - 4, true);
  return Buffer.from(guest.memory.buffer, at, len).toString("utf16le");
}

const KINDS = { events: 1, ops: 2, rows: 3 };
for (const [name, kind] of Object.entries(KINDS)) {
  const file = new URL(`../../wit/vectors/${name}.json`, import.meta.url);
  for (const vector of JSON.parse(readFileSync(file, "utf8"))) {
    test(`${name}: ${vector.name}`, () => {
      const bytes = Buffer.from(vector.frame, "hex");
      const at = lent(bytes);
      const said = text(guest.read(at, bytes.length, kind));
      if (vector.error) {
        assert.equal(said, vector.error);
        return;
      }
      assert.deepEqual(JSON.parse(said), vector.meaning);
      if (kind !== KINDS.events && vector.written) assert.equal(text(guest.copied(at, bytes.length, kind)), vector.frame);
    });
  }
}

const at = guest.room(4096);
function check(number) {
  const bytes = Buffer.from(number);
  memory().set(bytes, at);
  assert.ok(Object.is(guest.real(at, bytes.length), Number(number)), number);
}

test("numbers are the nearest doubles", () => {
  const hard = [
    "0", "-0", "-0.0", "0e999", "0.1", "1E-7", "1E+7", "9007199254740993", "9007199254740993.00000000000000000000001", "8.5e22", "1e23",
    "2.2250738585072011e-308", "2.2250738585072014e-308", "5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "1e-400",
    "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "1e309", "123456789012345680",
  ];
  hard.forEach(check);
  // Repeatable; the bits of doubles, and digits of any length.
  let state = 88172645463325252n;
  const random = () => {
    state ^= (state << 13n) & 0xffffffffffffffffn;
    state ^= state >> 7n;
    state ^= (state << 17n) & 0xffffffffffffffffn;
    return state;
  };
  const view = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < 5_000; i++) {
    view.setBigUint64(0, random());
    const number = view.getFloat64(0);
    if (Number.isFinite(number)) check(String(number));
    check(`${random()}${random()}.${random()}e${(random() % 700n) - 350n}`);
  }
  for (let i = 0; i < 300; i++) {
    // Exactly between two doubles, and a little above: the smallest ones, whose digits are the longest.
    const half = ((random() % 2n ** 40n) * 2n + 1n) * 5n ** 1075n;
    check(`${half}e-1075`);
    check(`${half}1e-1076`);
    const large = (2n ** 53n + (random() % 2n ** 40n) * 2n + 1n) * 2n ** (random() % 60n);
    check(`${large}.${"0".repeat(900)}`);
    check(`${large}.${"0".repeat(900)}1`);
  }
});
