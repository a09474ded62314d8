// Frames, layout 1: the bytes in which events, writes and rows cross between host and plugin. Their form is written down
// in frames.md beside the contract; the tests go through its vectors.

import { Arena, outside, utf8, values } from "./arena.js";
import { MangledFrame } from "./errors.js";
import { encode, isAscii, latin1, textOf } from "./text.js";

export const NONE = 0xffffffff;
export const EVENTS = 1;
export const OPS = 2;
export const ROWS = 3;
const KINDS = ["", "events", "writes", "rows"];
const HEADER = 32;

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

const EVENT_BYTES = 56;

/** A frame of events, checked as a whole, of which each is read by its place. */
export class Events {
  constructor(frame) {
    const layout = parse(frame, EVENTS, EVENT_BYTES);
    this.count = layout.count;
    this.texts = layout.texts;
    this.arena = layout.arena;
    // Headers lie anywhere in the arena, not only where words do.
    this.view = new DataView(this.arena.buffer, this.arena.byteOffset);
    // The arena as one text of a character for each byte, so that positions are the same in both, once it was asked for. Headers
    // lie between, so that it is rarely ASCII as a whole where there are some; its parts are all the same.
    this.characters = undefined;
    this.isAscii = false;
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
    this.#check();
  }

  #check() {
    const words = this.words;
    const texts = this.texts.length;
    const end = this.arena.length;
    const step = this.step;
    const last = this.base + this.count * step;
    // How many bytes the items use: none is used twice.
    let used = 0;
    for (let at = this.base; at < last; at += step) {
      if (words[at + 4] >= texts || words[at + 6] >= texts) throw outside("the topic or type");
      const key = words[at + 8];
      if (key !== NONE) {
        if (words[at + 7] + key > end) throw outside("the key");
        used += key;
      }
      const payload = words[at + 10];
      if (payload !== NONE) {
        if (words[at + 9] + payload > end) throw outside("the payload");
        used += payload;
      }
      if (words[at + 12] !== 0) used += this.#headers(at, end);
      if (used > end) throw outside("an item uses bytes twice, and");
    }
  }

  #headers(at, end) {
    const from = this.words[at + 11];
    let used = this.words[at + 12] * 12;
    const last = from + used;
    if (last > end) throw outside("the headers");
    const view = this.view;
    for (let entry = from; entry < last; entry += 12) {
      const length = view.getUint32(entry + 8, true);
      if (length === NONE) continue;
      used += length;
      if (view.getUint32(entry + 4, true) + length > end) throw outside("a header");
    }
    return used;
  }

  /** Where the words of an item begin. */
  item(index) {
    return this.base + index * this.step;
  }

  /** The headers of an item: the number of the name, position and length of the value. */
  *entries(at) {
    const view = this.view;
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
    if (this.characters === undefined) {
      this.characters = latin1(this.arena);
      this.isAscii = isAscii(this.arena);
    }
    const characters = this.characters.substr(pos, length);
    return this.isAscii ? characters : textOf(characters);
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

function build(kind, count, stride, dictionary, index, arena) {
  const size = HEADER + dictionary.length * 8 + index.length + arena.length;
  const frame = new Arena(size);
  frame.u32(0x4e52544c, 1 | (kind << 16), count, stride, dictionary.length, arena.length, 0, 0);
  for (const entry of dictionary) frame.u32(...entry);
  frame.put(index);
  frame.put(arena);
  return frame.data();
}

/** A frame of writes that grows. */
export class OpsWriter {
  constructor() {
    this.reset();
  }

  reset() {
    this.count = 0;
    // Of each write: its statement, its event, where its values begin, and how many there are.
    this.words = new Uint32Array(1024);
    this.arena = new Arena();
  }

  /** Adds a write whose values begin at a position of the arena. */
  entry(statement, event, pos, count) {
    let words = this.words;
    const at = this.count * 4;
    if (at === words.length) {
      words = new Uint32Array(at * 2);
      words.set(this.words);
      this.words = words;
    }
    words[at] = statement;
    words[at + 1] = event ?? NONE;
    words[at + 2] = pos;
    words[at + 3] = count;
    this.count++;
  }

  /** Begins a write; `count` values follow, by `value`. */
  begin(statement, event, count) {
    this.entry(statement, event, this.arena.length, count);
  }

  push(statement, event, values) {
    this.begin(statement, event, values.length);
    for (const value of values) this.arena.value(value);
  }

  /** The frame of all writes; starts anew. */
  take() {
    const index = new Uint8Array(this.words.buffer, 0, this.count * 16);
    const frame = build(OPS, this.count, 16, [], index, this.arena.data());
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
  return build(ROWS, rows.length, 8, dictionary, index.data(), arena.data());
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
  return build(EVENTS, events.length, EVENT_BYTES, dictionary, index.data(), arena.data());
}

function span(arena, data) {
  const pos = arena.length;
  arena.put(data);
  return [pos, data.length];
}
