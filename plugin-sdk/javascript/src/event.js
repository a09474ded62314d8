// What a plugin is given.

import { BadInput, Invalid } from "./errors.js";
import { NONE } from "./frame.js";
import { bytes, json, readJson, typeOf } from "./schema.js";

const UNREAD = Symbol("unread");

/** One event of a batch. Nothing of it is decoded before it is asked for. */
export class Event {
  // Not private by `#`: there is one of it for every event, and QuickJS is slower at those.
  constructor(events, index, at, type) {
    this._events = events;
    this._at = at;
    this._type = type;
    this._data = UNREAD;
    this.index = index;
  }

  get data() {
    let data = this._data;
    if (data === UNREAD) {
      data = this._type === bytes ? this.payload : this._read(this._type);
      this._data = data;
    }
    return data;
  }

  get type() {
    return this._events.texts[this._events.words[this._at + 6]];
  }

  get topic() {
    return this._events.texts[this._events.words[this._at + 4]];
  }

  get partition() {
    return this._events.words[this._at + 5] | 0;
  }

  get offset() {
    return this._events.integer(this._at);
  }

  get timestampMs() {
    return this._events.integer(this._at + 2);
  }

  get key() {
    const words = this._events.words;
    return this._events.part(words[this._at + 7], words[this._at + 8]);
  }

  get keyText() {
    return this._text(7, "it has no key", "its key is not text");
  }

  get payload() {
    const words = this._events.words;
    return this._events.part(words[this._at + 9], words[this._at + 10]);
  }

  get text() {
    return this._text(9, "it has no data: it is a tombstone", "its data is not text");
  }

  json() {
    return this._read(json);
  }

  decode(type) {
    return this._read(typeOf(type));
  }

  get headers() {
    return this._events.headers(this._at);
  }

  header(name) {
    if (this._events.words[this._at + 12] === 0) return null;
    return this.headers.find(([found]) => found === name)?.[1] ?? null;
  }

  badInput(reason) {
    return new BadInput(`${this}: ${reason instanceof Error ? reason.message : reason}`, this.index);
  }

  toString() {
    return `${this.topic}/${this.partition}@${this.offset} (${this.type})`;
  }

  _text(word, missing, mangled) {
    const words = this._events.words;
    const length = words[this._at + word + 1];
    if (length === NONE) throw this.badInput(missing);
    try {
      return this._events.text(words[this._at + word], length);
    } catch {
      throw this.badInput(`${mangled}: it is not UTF-8`);
    }
  }

  _read(type) {
    const events = this._events;
    const length = events.words[this._at + 10];
    // In the fewest steps, where the frame is text already.
    const isText = events.isAscii && length !== NONE;
    const source = isText ? events.characters.substr(events.words[this._at + 9], length) : this.text;
    try {
      return readJson(source, type);
    } catch (error) {
      throw error instanceof Invalid ? this.badInput(error) : error;
    }
  }
}
