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
// A header: the number of its name, position and length of its value.
const HEADER_ENTRY = 12;

/** A frame of events, checked as a whole, of which each is read by its place. */
export class Events {
  constructor(frame) {
    const layout = parse(frame, EVENTS, EVENT_BYTES);
    this.count = layout.count;
    this.texts = layout.texts;
    // As what the data of events is read, by the number of their type.
    this.types = [];
    this.arena = layout.arena;
    // Headers lie anywhere in the arena, not only where words do.
    this.view = new DataView(this.arena.buffer, this.arena.byteOffset);
    // What is before the headers, as one text of a character for each byte, so that positions are the same in both; once it was
    // asked for.
    this.characters = undefined;
    this.isAscii = false;
    this.bodyEnd = this.arena.length;
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
    // Where keys and payloads end.
    let reach = 0;
    // Where the headers begin and end, as long as those of an event follow those of the one before.
    let headersAt = -1;
    let headersEnd = -1;
    let areInOrder = true;
    for (let at = this.base; at < last; at += step) {
      if (words[at + 4] >= texts || words[at + 6] >= texts) throw outside("the topic or type");
      const key = words[at + 8];
      if (key !== NONE) {
        const until = words[at + 7] + key;
        if (until > end) throw outside("the key");
        if (until > reach) reach = until;
        used += key;
      }
      const payload = words[at + 10];
      if (payload !== NONE) {
        const until = words[at + 9] + payload;
        if (until > end) throw outside("the payload");
        if (until > reach) reach = until;
        used += payload;
      }
      const headers = words[at + 12];
      if (headers !== 0) {
        if (headersAt < 0) headersAt = headersEnd = words[at + 11];
        else if (words[at + 11] !== headersEnd) areInOrder = false;
        headersEnd += headers * HEADER_ENTRY;
        used += headers * HEADER_ENTRY;
      }
      if (used > end) throw outside("an item uses bytes twice, and");
    }
    if (headersAt < 0) return;
    // As the host writes them, they are behind everything else.
    const isBlock = areInOrder && headersEnd === end && (this.arena.byteOffset + headersAt) % 4 === 0;
    if (isBlock && reach <= headersAt) this.bodyEnd = headersAt;
    used += isBlock ? this.#valuesOfBlock(headersAt, end) : this.#valuesOfEach(last, end);
    if (used > end) throw outside("a header uses bytes twice, and");
  }

  /** How many bytes the values of headers use that stand one behind the other. */
  #valuesOfBlock(from, end) {
    const words = new Uint32Array(this.arena.buffer, this.arena.byteOffset + from, (end - from) >> 2);
    const last = words.length;
    let used = 0;
    for (let at = 2; at < last; at += 3) {
      const length = words[at];
      if (length === NONE) continue;
      if (words[at - 1] + length > end) throw outside("a header");
      used += length;
    }
    return used;
  }

  /** How many bytes the values of headers use, wherever those stand. */
  #valuesOfEach(last, end) {
    const words = this.words;
    let used = 0;
    for (let at = this.base; at < last; at += this.step) {
      if (words[at + 11] + words[at + 12] * HEADER_ENTRY > end && words[at + 12] > 0) throw outside("the headers");
      for (const [, pos, length] of this.entries(at)) {
        if (length === NONE) continue;
        if (pos + length > end) throw outside("a header");
        used += length;
      }
    }
    return used;
  }

  /** Who handles the events of each type, by its number: of a map by their names, else `others`. Their data is read as they say. */
  handledBy(handlers, others) {
    const found = this.texts.map((type) => handlers.get(type) ?? others);
    this.types = found.map((each) => each?.type);
    return found;
  }

  /** Where the words of an item begin. */
  item(index) {
    return this.base + index * this.step;
  }

  /** The headers of an item: the number of the name, position and length of the value. */
  *entries(at) {
    const view = this.view;
    const end = this.words[at + 11] + this.words[at + 12] * HEADER_ENTRY;
    for (let pos = this.words[at + 11]; pos < end; pos += HEADER_ENTRY) {
      yield [view.getUint32(pos, true), view.getUint32(pos + 4, true), view.getUint32(pos + 8, true)];
    }
  }

  /** The headers of an item, by name, in their order. */
  headers(at) {
    return Array.from(this.entries(at), ([name, pos, length]) => [this.#name(name), this.part(pos, length)]);
  }

  /** The value of an item's first header of this name; null where there is none, or it has none. */
  header(at, name) {
    const view = this.view;
    const end = this.words[at + 11] + this.words[at + 12] * HEADER_ENTRY;
    for (let pos = this.words[at + 11]; pos < end; pos += HEADER_ENTRY) {
      if (this.#name(view.getUint32(pos, true)) !== name) continue;
      return this.part(view.getUint32(pos + 4, true), view.getUint32(pos + 8, true));
    }
    return null;
  }

  #name(number) {
    const name = this.texts[number];
    if (name === undefined) throw outside("a header's name");
    return name;
  }

  /** A key, payload or header as bytes of its own; null where there is none. */
  part(pos, length) {
    return length === NONE ? null : this.arena.slice(pos, pos + length);
  }

  /** A key or payload as text; throws for what is no UTF-8. */
  text(pos, length) {
    if (this.characters === undefined) {
      const body = this.arena.subarray(0, this.bodyEnd);
      this.characters = latin1(body);
      this.isAscii = isAscii(body);
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
  const items = events.map((event) => {
    const topic = intern(event.topic);
    const type = intern(event.type);
    const key = optional(event.key);
    const payload = optional(event.payload);
    const headers = (event.headers ?? []).flatMap(([name, value]) => [intern(name), ...optional(value)]);
    return { event, words: [topic, event.partition ?? 0, type, ...key, ...payload], headers };
  });
  // The headers of all events stand behind everything else.
  if (items.some(({ headers }) => headers.length > 0)) arena.take(-arena.length & 3);
  for (const { event, words, headers } of items) {
    for (const number of [event.offset ?? 0, event.timestampMs ?? -1]) {
      const at = index.take(8);
      index.view.setBigInt64(at, BigInt(number), true);
    }
    index.u32(...words, headers.length === 0 ? 0 : arena.length, headers.length / 3, 0);
    arena.u32(...headers);
  }
  return build(EVENTS, events.length, EVENT_BYTES, dictionary, index.data(), arena.data());
}

function span(arena, data) {
  const pos = arena.length;
  arena.put(data);
  return [pos, data.length];
}
