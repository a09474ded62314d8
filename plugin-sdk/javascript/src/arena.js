// Values as bytes: what the frames of writes and rows consist of.

import { MangledFrame } from "./errors.js";
import { decode, encode } from "./text.js";
import { Real, valueOf } from "./value.js";

// A text that is no longer is quicker written by hand, if it is ASCII.
const SHORT = 8;
// What any value takes at most that is written without asking for room.
const SMALL = 64;
// Texts that come again and again, such as those of an event's type, with their bytes as a value.
const KNOWN_MAX = 256;
const known = new Map();

/** Has the bytes of a text kept, since many rows have it. */
export function remember(text) {
  if (known.has(text) || text.length > SMALL) return;
  if (known.size >= KNOWN_MAX) known.clear();
  const arena = new Arena(SMALL);
  arena.text(text);
  if (arena.length <= SMALL) known.set(text, arena.data().slice());
}

/** Bytes that grow. */
export class Arena {
  constructor(bytes = 4096) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
    this.length = 0;
  }

  /** Makes room, and answers where it begins. */
  take(count) {
    const at = this.length;
    const length = at + count;
    if (length > this.bytes.length) this.#grow(length);
    this.length = length;
    return at;
  }

  #grow(length) {
    const grown = new Uint8Array(Math.max(length, this.bytes.length * 2));
    grown.set(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
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

  /**
   * Appends fields of an object by their names, or of an array by their numbers, checked as `valueOf` does it. Answers how many there
   * are that no key has: null and reals. One loop without calls, where the values are usual: that is what an interpreter is quickest at.
   */
  fields(source, names) {
    let { bytes, view, length: at } = this;
    let others = 0;
    const count = names.length;
    for (let n = 0; n < count; n++) {
      const value = source[names[n]];
      if (at + SMALL > bytes.length) {
        this.#grow(at + SMALL);
        ({ bytes, view } = this);
      }
      if (value === null) {
        bytes[at++] = 0;
        others++;
      } else if (typeof value === "number" && (value | 0) === value) {
        bytes[at] = 1;
        view.setInt32(at + 1, value, true);
        view.setInt32(at + 5, value >> 31, true);
        at += 9;
      } else {
        const cell = typeof value === "string" ? known.get(value) : undefined;
        if (cell !== undefined) {
          bytes.set(cell, at);
          at += cell.length;
          continue;
        }
        this.length = at;
        if (typeof value === "string") this.text(value);
        else if (value instanceof Uint8Array) this.#sized(4, value);
        else {
          const checked = valueOf(value);
          if (checked === null || checked instanceof Real || (typeof checked === "number" && !Number.isInteger(checked))) others++;
          this.value(checked);
        }
        ({ bytes, view, length: at } = this);
      }
    }
    this.length = at;
    return others;
  }

  /** Appends a value of those that `valueOf` answers. */
  value(value) {
    if (typeof value === "string") this.text(value);
    else if (typeof value === "number") {
      if (Number.isInteger(value)) this.#integer(value);
      else this.#real(value);
    } else if (typeof value === "bigint") {
      const at = this.take(9);
      this.bytes[at] = 1;
      this.view.setBigInt64(at + 1, value, true);
    } else if (value === null) this.bytes[this.take(1)] = 0;
    else if (value instanceof Real) this.#real(value.value);
    else this.#sized(4, value);
  }

  /** Appends a text. */
  text(text) {
    const bytes = known.get(text);
    if (bytes !== undefined) return this.put(bytes);
    const length = text.length;
    if (length <= SHORT) {
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

  #integer(value) {
    const at = this.take(9);
    const view = this.view;
    this.bytes[at] = 1;
    // The lower half is what is left of it when it is made an integer of 32 bits.
    view.setInt32(at + 1, value, true);
    view.setInt32(at + 5, (value | 0) === value ? value >> 31 : Math.floor(value / 0x100000000), true);
  }

  #real(value) {
    const at = this.take(9);
    this.bytes[at] = 2;
    this.view.setFloat64(at + 1, value, true);
  }

  #sized(tag, data) {
    const at = this.take(5 + data.length);
    this.bytes[at] = tag;
    this.view.setUint32(at + 1, data.length, true);
    this.bytes.set(data, at + 5);
  }

  data() {
    return this.bytes.subarray(0, this.length);
  }
}

export const outside = (what) => new MangledFrame("bounds", `${what} points outside of the frame`);

/** Reads UTF-8 of a frame. */
export function utf8(arena, pos, length) {
  try {
    return decode(arena.subarray(pos, pos + length));
  } catch {
    throw new MangledFrame("utf8", "a text is not UTF-8");
  }
}

/** Reads so many values that lie one behind the other, no further than to the end. */
export function values(arena, pos, end, count) {
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
