// What a plugin is given.

import { BadInput, Invalid } from "./errors.js";
import { NONE } from "./frame.js";
import { bytes, json, readJson, typeOf } from "./schema.js";

const UNREAD = Symbol("unread");
// A name of the module is quicker than one of the world.
const { parse } = JSON;

/** One event of a batch. Nothing of it is decoded before it is asked for. */
export class Event {
  // As little as can be, and not private by `#`: there is one of it for every event.
  constructor(events, at) {
    this._events = events;
    this._at = at;
  }

  get index() {
    return (this._at - this._events.base) / this._events.step;
  }

  get data() {
    let data = this._data;
    if (data === UNREAD) {
      data = this._usual();
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
    return this._events.header(this._at, name);
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

  /** The data of an event as its handler has it: what is right and ASCII in the fewest steps, all else by `_read`. */
  _usual() {
    const { words, types, characters, isAscii } = this._events;
    const at = this._at;
    const type = types[words[at + 6]];
    if (isAscii && type.isQuick && words[at + 10] !== NONE) {
      try {
        return type.read(parse(characters.substr(words[at + 9], words[at + 10])));
      } catch {
        // It is said below what is wrong.
      }
    }
    return type === bytes ? this.payload : this._read(type);
  }

  _read(type) {
    const source = this.text;
    try {
      return readJson(source, type);
    } catch (error) {
      throw error instanceof Invalid ? this.badInput(error) : error;
    }
  }
}

// Until it was asked for.
Event.prototype._data = UNREAD;
