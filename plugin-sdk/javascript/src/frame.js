// Frames, layout 1: the bytes in which events, writes and rows cross between host and plugin. Their form is written down
// in frames.md beside the contract; the tests go through its vectors.

import { MangledFrame } from "./errors.js";
import { TextArena, decode, encode } from "./text.js";
import { Real } from "./value.js";

export const NONE = 0xffffffff;
export const EVENTS = 1;
export const OPS = 2;
export const ROWS = 3;
const KINDS = ["", "events", "writes", "rows"];
const HEADER = 32;

const outside = (what) => new MangledFrame("bounds", `${what} points outside of the frame`);

/** Splits a frame into its parts, checked as a whole. */
export function parse(frame, kind, strideLeast) {
  if (frame.length < HEADER) throw new MangledFrame("short", `${frame.length} bytes, its header alone has ${HEADER}`);
  // Its parts but the arena are read as 32-bit words.
  if (frame.byteOffset % 4 !== 0) frame = frame.slice();
  const words = new Uint32Array(frame.buffer, frame.byteOffset, frame.length >> 2);
  if (words[0] !== 0x4e52544c) throw new MangledFrame("magic", 'it does not start with "LTRN"');
  const version = words[1] & 0xffff;
  if (version !== 1) {
    throw new MangledFrame("version", `layout ${version}, this side reads 1: build the plugin with the SDK of this Lantern`);
  }
  const found = words[1] >>> 16;
  if (found !== kind) throw new MangledFrame("kind", `expected ${KINDS[kind]}, found a frame of kind ${found}`);
  const [count, stride, textCount, arenaBytes] = words.subarray(2, 6);
  if (stride < strideLeast) throw new MangledFrame("stride", `${stride} bytes per item, at least ${strideLeast} expected`);
  const indexAt = HEADER + textCount * 8;
  const arenaAt = indexAt + count * stride;
  if (arenaAt + arenaBytes !== frame.length) {
    throw new MangledFrame("length", `its header states ${arenaAt + arenaBytes} bytes, it has ${frame.length}`);
  }
  const arena = frame.subarray(arenaAt);
  const texts = [];
  let left = arenaBytes;
  for (let at = HEADER; at < indexAt; at += 8) {
    const pos = words[at >> 2];
    const length = words[(at >> 2) + 1];
    left -= length;
    if (pos + length > arenaBytes || left < 0) throw outside("a text of the dictionary");
    texts.push(utf8(arena, pos, length));
  }
  // A later writer's items may be of any size; those of this layout are words.
  const view = new DataView(frame.buffer, frame.byteOffset);
  return { frame, words, view, count, stride, texts, indexAt, arenaAt, arena };
}

function utf8(arena, pos, length) {
  try {
    return decode(arena.subarray(pos, pos + length));
  } catch {
    throw new MangledFrame("utf8", "a text is not UTF-8");
  }
}

const EVENT_BYTES = 56;

/** A frame of events, of which each is read by its place. */
export class Events {
  #texts;

  constructor(frame) {
    const layout = parse(frame, EVENTS, EVENT_BYTES);
    this.count = layout.count;
    this.texts = layout.texts;
    this.arena = layout.arena;
    this.end = layout.arena.length;
    // How many bytes the items may still use: none is used twice.
    this.left = this.end;
    if (layout.stride % 4 === 0) {
      this.words = layout.words;
      this.base = layout.indexAt >> 2;
      this.step = layout.stride >> 2;
    } else {
      this.words = new Uint32Array(layout.count * 14);
      this.base = 0;
      this.step = 14;
      for (let item = 0; item < layout.count; item++) {
        const from = layout.indexAt + item * layout.stride;
        for (let n = 0; n < 14; n++) this.words[item * 14 + n] = layout.view.getUint32(from + n * 4, true);
      }
    }
  }

  /** Checks an item, and answers where its words begin. */
  item(index) {
    const words = this.words;
    const at = this.base + index * this.step;
    const end = this.end;
    if (words[at + 4] >= this.texts.length || words[at + 6] >= this.texts.length) throw outside("the topic or type");
    let used = words[at + 8];
    if (used === NONE) used = 0;
    else if (words[at + 7] + used > end) throw outside("the key");
    const payload = words[at + 10];
    if (payload !== NONE) {
      used += payload;
      if (words[at + 9] + payload > end) throw outside("the payload");
    }
    if (words[at + 12] !== 0) used += this.#headers(at);
    this.left -= used;
    if (this.left < 0) throw outside("an item uses bytes twice, and");
    return at;
  }

  #headers(at) {
    let used = this.words[at + 12] * 12;
    if (this.words[at + 11] + used > this.end) throw outside("the headers");
    for (const [, pos, length] of this.entries(at)) {
      if (length === NONE) continue;
      used += length;
      if (pos + length > this.end) throw outside("a header");
    }
    return used;
  }

  /** The headers of an item: the number of the name, position and length of the value. */
  *entries(at) {
    const view = new DataView(this.arena.buffer, this.arena.byteOffset);
    const count = this.words[at + 12];
    for (let n = 0, pos = this.words[at + 11]; n < count; n++, pos += 12) {
      yield [view.getUint32(pos, true), view.getUint32(pos + 4, true), view.getUint32(pos + 8, true)];
    }
  }

  /** The headers of an item, by name, in their order. */
  headers(at) {
    return Array.from(this.entries(at), ([name, pos, length]) => {
      if (name >= this.texts.length) throw outside("a header's name");
      return [this.texts[name], this.part(pos, length)];
    });
  }

  /** A key, payload or header as bytes of its own; null where there is none. */
  part(pos, length) {
    return length === NONE ? null : this.arena.slice(pos, pos + length);
  }

  /** A key or payload as text; throws for what is no UTF-8. */
  text(pos, length) {
    this.#texts ??= new TextArena(this.arena);
    return this.#texts.text(pos, length);
  }

  /** A 64-bit integer of an item: a number where that is exact, else a bigint. */
  integer(at) {
    const high = this.words[at + 1] | 0;
    const number = high * 0x100000000 + this.words[at];
    if (Number.isSafeInteger(number)) return number;
    return (BigInt(high) << 32n) + BigInt(this.words[at]);
  }
}

/** A frame of rows: `columns`, and the values of each row. */
export function readRows(frame) {
  const layout = parse(frame, ROWS, 8);
  return { columns: layout.texts, rows: items(layout, 0).map(([, values]) => values) };
}

/** A frame of writes: for tests. */
export function readOps(frame) {
  const layout = parse(frame, OPS, 16);
  return items(layout, 8).map(([at, values]) => {
    const event = layout.view.getUint32(at + 4, true);
    return { statement: layout.view.getUint32(at, true), event: event === NONE ? null : event, values };
  });
}

function items({ count, stride, indexAt, arena, view }, valuesAt) {
  const found = [];
  for (let n = 0; n < count; n++) {
    const at = indexAt + n * stride;
    const pos = view.getUint32(at + valuesAt, true);
    // The values of an item end where those of the next begin.
    const end = n + 1 < count ? view.getUint32(at + stride + valuesAt, true) : arena.length;
    found.push([at, values(arena, pos, end, view.getUint32(at + valuesAt + 4, true))]);
  }
  return found;
}

function values(arena, pos, end, count) {
  if (pos > end || end > arena.length || count > end - pos) throw outside("the values of an item");
  const view = new DataView(arena.buffer, arena.byteOffset, arena.length);
  const take = (bytes) => {
    const at = pos;
    pos += bytes;
    if (pos > end) throw outside("a value");
    return at;
  };
  const read = [];
  for (let n = 0; n < count; n++) {
    const tag = arena[take(1)];
    if (tag === 0) read.push(null);
    else if (tag === 1) read.push(exact(view, take(8)));
    else if (tag === 2) read.push(new Real(view.getFloat64(take(8), true)));
    else if (tag === 3 || tag === 4) {
      const length = view.getUint32(take(4), true);
      const at = take(length);
      read.push(tag === 3 ? utf8(arena, at, length) : arena.slice(at, at + length));
    } else throw new MangledFrame("tag", `a value has the unknown tag ${tag}`);
  }
  return read;
}

function exact(view, at) {
  const number = view.getInt32(at + 4, true) * 0x100000000 + view.getUint32(at, true);
  return Number.isSafeInteger(number) ? number : view.getBigInt64(at, true);
}

/** Bytes that grow. */
class Arena {
  constructor(bytes = 4096) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
    this.length = 0;
  }

  /** Makes room, and answers where it begins. */
  take(count) {
    const at = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    return at;
  }

  put(bytes) {
    // Room first: it may move the bytes.
    const at = this.take(bytes.length);
    this.bytes.set(bytes, at);
  }

  u32(...numbers) {
    for (const number of numbers) {
      const at = this.take(4);
      this.view.setUint32(at, number, true);
    }
  }

  /** Appends a value of those that `valueOf` answers. */
  value(value) {
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number": {
        const at = this.take(9);
        if (Number.isInteger(value)) {
          this.bytes[at] = 1;
          this.view.setUint32(at + 1, value >>> 0, true);
          this.view.setInt32(at + 5, Math.floor(value / 0x100000000), true);
        } else this.#real(at, value);
        return;
      }
      case "bigint": {
        const at = this.take(9);
        this.bytes[at] = 1;
        this.view.setBigInt64(at + 1, value, true);
        return;
      }
      default:
        if (value === null) this.put([0]);
        else if (value instanceof Real) this.#real(this.take(9), value.value);
        else this.#sized(4, value);
    }
  }

  #real(at, value) {
    this.bytes[at] = 2;
    this.view.setFloat64(at + 1, value, true);
  }

  #sized(tag, data) {
    const at = this.take(5 + data.length);
    this.bytes[at] = tag;
    this.view.setUint32(at + 1, data.length, true);
    this.bytes.set(data, at + 5);
  }

  #text(text) {
    const length = text.length;
    // Short texts are mostly ASCII, and quicker written by hand.
    if (length <= 32) {
      const at = this.take(5 + length);
      const bytes = this.bytes;
      let n = 0;
      for (let to = at + 5; n < length; n++) {
        const code = text.charCodeAt(n);
        if (code > 127) break;
        bytes[to + n] = code;
      }
      if (n === length) {
        bytes[at] = 3;
        this.view.setUint32(at + 1, length, true);
        return;
      }
      this.length = at;
    }
    this.#sized(3, encode(text));
  }

  data() {
    return this.bytes.subarray(0, this.length);
  }
}

function build(kind, count, stride, dictionary, index, arena) {
  const size = HEADER + dictionary.length * 8 + index.length + arena.length;
  const frame = new Arena(size);
  frame.u32(0x4e52544c, 1 | (kind << 16), count, stride, dictionary.length, arena.length, 0, 0);
  for (const entry of dictionary) frame.u32(...entry);
  frame.put(index.data());
  frame.put(arena.data());
  return frame.data();
}

/** A frame of writes that grows. */
export class OpsWriter {
  constructor() {
    this.reset();
  }

  reset() {
    this.count = 0;
    this.index = new Arena();
    this.arena = new Arena();
  }

  get bytes() {
    return this.index.length + this.arena.length;
  }

  /** Begins a write; `count` values follow, by `value`. */
  begin(statement, event, count) {
    const index = this.index;
    const at = index.take(16);
    const view = index.view;
    view.setUint32(at, statement, true);
    view.setUint32(at + 4, event ?? NONE, true);
    view.setUint32(at + 8, this.arena.length, true);
    view.setUint32(at + 12, count, true);
    this.count++;
  }

  push(statement, event, values) {
    this.begin(statement, event, values.length);
    for (const value of values) this.arena.value(value);
  }

  /** The frame of all writes; starts anew. */
  take() {
    const frame = build(OPS, this.count, 16, [], this.index, this.arena);
    this.reset();
    return frame;
  }
}

/** A frame of rows. Of two columns of one name the second is called `name:2`. */
export function writeRows(columns, rows) {
  const names = [];
  for (const column of columns) {
    let name = column;
    for (let nth = 2; names.includes(name); nth++) name = `${column}:${nth}`;
    names.push(name);
  }
  const arena = new Arena(256);
  const index = new Arena(64);
  const dictionary = names.map((name) => span(arena, encode(name)));
  for (const row of rows) {
    index.u32(arena.length, row.length);
    for (const value of row) arena.value(value);
  }
  return build(ROWS, rows.length, 8, dictionary, index, arena);
}

/** A frame of events, as the host makes it: for tests. */
export function writeEvents(events) {
  const arena = new Arena();
  const index = new Arena();
  const dictionary = [];
  const ids = new Map();
  const intern = (text) => {
    if (!ids.has(text)) {
      ids.set(text, dictionary.length);
      dictionary.push(span(arena, encode(text)));
    }
    return ids.get(text);
  };
  const optional = (data) => (data === null || data === undefined ? [0, NONE] : span(arena, data));
  for (const event of events) {
    const topic = intern(event.topic);
    const type = intern(event.type);
    const key = optional(event.key);
    const payload = optional(event.payload);
    const headers = (event.headers ?? []).flatMap(([name, value]) => [intern(name), ...optional(value)]);
    const headersAt = arena.length;
    arena.u32(...headers);
    for (const number of [event.offset ?? 0, event.timestampMs ?? -1]) {
      const at = index.take(8);
      index.view.setBigInt64(at, BigInt(number), true);
    }
    index.u32(topic, event.partition ?? 0, type, ...key, ...payload, headersAt, headers.length / 3, 0);
  }
  return build(EVENTS, events.length, EVENT_BYTES, dictionary, index, arena);
}

function span(arena, data) {
  const pos = arena.length;
  arena.put(data);
  return [pos, data.length];
}
