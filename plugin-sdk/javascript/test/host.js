// A host of projections for tests of the engine: it gives events, and keeps what is written in the form of SQL.

import { readFileSync } from "node:fs";

const NONE = 0xffffffff;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const APPLY = "lantern:plugin/projection@0.1.0#apply";

/** A frame of events, as ../wit/frames.md has it. */
function eventsFrame(events) {
  const arena = [];
  const put = (text) => {
    const bytes = typeof text === "string" ? encoder.encode(text) : text;
    for (const byte of bytes) arena.push(byte);
    return [arena.length - bytes.length, bytes.length];
  };
  const texts = [];
  const ids = new Map();
  const intern = (text) => {
    if (!ids.has(text)) ids.set(text, texts.push(put(text)) - 1);
    return ids.get(text);
  };
  const items = events.map(({ type, payload, headers = {} }, offset) => {
    const words = [offset, 0, 0, 0, intern("engine"), 0, intern(type), 0, NONE, ...(payload === null ? [0, NONE] : put(payload))];
    const entries = Object.entries(headers).flatMap(([name, value]) => [intern(name), ...put(value)]);
    const [at] = put(new Uint8Array(new Uint32Array(entries).buffer));
    return [...words, at, entries.length / 3, 0];
  });
  const head = [0x4e52544c, 1 | (1 << 16), items.length, 56, texts.length, arena.length, 0, 0, ...texts.flat()];
  const words = new Uint8Array(new Uint32Array([...head, ...items.flat()]).buffer);
  const frame = new Uint8Array(words.length + arena.length);
  frame.set(words);
  frame.set(arena, words.length);
  return frame;
}

/** An instance of a projection. */
export class Host {
  /** What was logged, as [level, message]. */
  logged = [];
  /** The last frame of writes, as text. */
  written = "";
  #exports;

  constructor(path) {
    const answered = (answer, number) => {
      this.#view.setUint8(answer, 0);
      this.#view.setUint32(answer + 4, number, true);
    };
    const imports = {
      "lantern:plugin/logger@0.1.0": { write: (level, at, length) => void this.logged.push([level, this.#text(at, length)]) },
      "lantern:plugin/sql@0.1.0": {
        prepare: (_sql, _length, answer) => answered(answer, 0),
        apply: (_frame, _length, answer) => answered(answer, 0),
        query: (_statement, _params, _length, _rows, answer) => {
          const none = this.#give(new Uint8Array(new Uint32Array([0x4e52544c, 1 | (3 << 16), 0, 8, 0, 0, 0, 0]).buffer));
          answered(answer, none);
          this.#view.setUint32(answer + 8, 32, true);
        },
      },
    };
    this.#exports = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(path)), imports).exports;
  }

  /** How much memory the instance has, in bytes. */
  get memory() {
    return this.#exports.memory.buffer.byteLength;
  }

  /** Applies a batch; answers how many writes it led to, and throws its failure, with the index of the event. */
  apply(...events) {
    const frame = eventsFrame(events);
    const answer = this.#exports[APPLY](this.#give(frame), frame.length);
    const word = (at) => this.#view.getUint32(answer + at, true);
    try {
      if (this.#view.getUint8(answer) === 0) {
        this.written = new TextDecoder("latin1").decode(new Uint8Array(this.#exports.memory.buffer, word(4), word(8)));
        return this.#view.getUint32(word(4) + 8, true);
      }
      throw Object.assign(new Error(this.#text(word(8), word(12))), { index: this.#view.getUint8(answer + 16) ? word(20) : undefined });
    } finally {
      this.#exports[`cabi_post_${APPLY}`](answer);
    }
  }

  get #view() {
    return new DataView(this.#exports.memory.buffer);
  }

  #text(at, length) {
    return decoder.decode(new Uint8Array(this.#exports.memory.buffer, at, length));
  }

  #give(bytes) {
    const at = this.#exports.cabi_realloc(0, 0, 4, bytes.length);
    new Uint8Array(this.#exports.memory.buffer).set(bytes, at);
    return at;
  }
}
