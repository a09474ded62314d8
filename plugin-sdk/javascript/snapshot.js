// Makes a plugin of the engine and a plugin's code: the engine is started with it here, and its memory is kept. Whoever instantiates
// the plugin has it as it is then, so that nothing of JavaScript is parsed or run again.
//
// The form of the file: https://webassembly.github.io/spec/core/binary/modules.html

const SECTION = { custom: 0, import: 2, function: 3, memory: 5, export: 7, start: 8, code: 10, data: 11, dataCount: 12 };
const FUNCTION = 0;
const PAGE_BYTES = 65536;
// So many zeros are not worth a segment of their own.
const GAP_BYTES = 32;
const UNREACHABLE = [3, 0, 0x00, 0x0b];

const DATABASE = "lantern:plugin/sql@";
/** What each kind of plugin has beside what all have; what it exports, by the beginnings of names. */
const KINDS = {
  projection: { hasDatabase: true, exports: "lantern:plugin/projection@" },
  aggregate: { hasDatabase: false, exports: "lantern:plugin/commands@" },
  upcaster: { hasDatabase: false, exports: "lantern:plugin/upcast@" },
};
const SHARED_EXPORTS = ["memory", "cabi_realloc", "lantern:plugin/meta@"];

/** The engine with the code started in it, as a plugin of a kind. Throws what the code throws. */
export function snapshot(engine, code, kind) {
  const memory = started(engine, code);
  const sections = read(engine);
  const out = [...engine.subarray(0, 8)];
  const { imports, stubs } = importsOf(sections.get(SECTION.import), KINDS[kind]);
  const parts = new Map(sections);
  parts.set(SECTION.import, imports);
  // A function that is no longer imported is one of the module's own, which is never called: so no function's number changes.
  parts.set(SECTION.function, prepended(sections.get(SECTION.function), stubs.map((type) => number(type))));
  parts.set(SECTION.code, prepended(sections.get(SECTION.code), stubs.map(() => UNREACHABLE)));
  parts.set(SECTION.memory, [1, 0, ...number(memory.length / PAGE_BYTES)]);
  parts.set(SECTION.export, exportsOf(sections.get(SECTION.export), KINDS[kind]));
  const segments = segmentsOf(memory);
  parts.set(SECTION.data, joined([number(segments.length), ...segments]));
  // What it ran at its start, it has run.
  for (const done of [SECTION.custom, SECTION.start, SECTION.dataCount]) parts.delete(done);
  const chunks = [...parts].map(([id, content]) => joined([[id], number(content.length), content]));
  return joined([out, ...chunks]);
}

/** The memory after the code has run. */
function started(engine, code) {
  const absent = (name) => () => {
    throw new Error(`${name} was called while the plugin was made: outside of its functions it can neither log nor use a database`);
  };
  const module = new WebAssembly.Module(engine);
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) (imports[from] ??= {})[name] = absent(name);
  const { exports } = new WebAssembly.Instance(module, imports);
  exports._initialize();
  const bytes = new TextEncoder().encode(code);
  const at = exports.allocate(bytes.length + 1);
  new Uint8Array(exports.memory.buffer).set(bytes, at);
  new Uint8Array(exports.memory.buffer)[at + bytes.length] = 0;
  const wrong = exports.start(at, bytes.length);
  const memory = new Uint8Array(exports.memory.buffer);
  if (wrong !== 0) throw new Error(new TextDecoder().decode(memory.subarray(wrong, memory.indexOf(0, wrong))));
  return memory;
}

/** The sections of a module by their ids, in their order. None but custom ones comes twice. */
function read(module) {
  const sections = new Map();
  const from = new Reader(module, 8);
  while (from.at < module.length) {
    const id = from.byte();
    sections.set(id, from.bytes(from.number()));
  }
  return sections;
}

/** The imports that a kind has; and of those it has not, which must be the last, the types. */
function importsOf(section, kind) {
  const from = new Reader(section);
  const kept = [];
  const stubs = [];
  for (let count = from.number(); count > 0; count--) {
    const start = from.at;
    const module = from.text();
    from.text();
    if (from.byte() !== FUNCTION) throw new Error("the engine imports something that is no function");
    const type = from.number();
    const isKept = kind.hasDatabase || !module.startsWith(DATABASE);
    if (isKept && stubs.length > 0) throw new Error("the engine imports functions in another order than is expected");
    if (isKept) kept.push(section.subarray(start, from.at));
    else stubs.push(type);
  }
  return { imports: joined([number(kept.length), ...kept]), stubs };
}

/** The exports that a kind has, with those that end a call. */
function exportsOf(section, kind) {
  const from = new Reader(section);
  const kept = [];
  for (let count = from.number(); count > 0; count--) {
    const start = from.at;
    const name = from.text().replace(/^cabi_post_/, "");
    from.byte();
    from.number();
    if ([...SHARED_EXPORTS, kind.exports].some((each) => name.startsWith(each))) kept.push(section.subarray(start, from.at));
  }
  return joined([number(kept.length), ...kept]);
}

/** A section that is a list, with items before the others. */
function prepended(section, items) {
  const from = new Reader(section);
  const count = from.number();
  return joined([number(count + items.length), ...items, section.subarray(from.at)]);
}

/** Memory as segments of data, without the zeros. */
function segmentsOf(memory) {
  const words = new Uint32Array(memory.buffer, memory.byteOffset, memory.length >> 2);
  const segments = [];
  let at = 0;
  while (at < words.length) {
    if (words[at] === 0) {
      at++;
      continue;
    }
    const start = at;
    let end = at;
    for (; at < words.length && at - end < GAP_BYTES / 4; at++) if (words[at] !== 0) end = at + 1;
    const bytes = memory.subarray(start * 4, end * 4);
    segments.push(joined([[0, 0x41], signed(start * 4), [0x0b], number(bytes.length), bytes]));
  }
  return segments;
}

class Reader {
  constructor(bytes, at = 0) {
    this.all = bytes;
    this.at = at;
  }

  byte() {
    return this.all[this.at++];
  }

  /** An unsigned number as LEB128. */
  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  bytes(count) {
    this.at += count;
    return this.all.subarray(this.at - count, this.at);
  }

  text() {
    return new TextDecoder().decode(this.bytes(this.number()));
  }
}

function number(value) {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}

/** A number of 32 bits as the signed LEB128 of a constant. */
function signed(value) {
  const bytes = [];
  for (value |= 0; value < -64 || value > 63; value >>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value & 127];
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
