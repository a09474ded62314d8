// What a plugin is given.

import { BadInput, Invalid } from "./errors.js";
import { NONE } from "./frame.js";
import { bytes, json, readJson, typeOf } from "./schema.js";

const UNREAD = Symbol("unread");

/** One event of a batch. Nothing of it is decoded before it is asked for. */
export class Event {
  #events;
  #at;
  #type;
  #data = UNREAD;

  constructor(events, index, at, type) {
    this.#events = events;
    this.#at = at;
    this.#type = type;
    this.index = index;
  }

  get data() {
    if (this.#data === UNREAD) this.#data = this.#type === bytes ? this.payload : this.#read(this.#type);
    return this.#data;
  }

  get type() {
    return this.#events.texts[this.#events.words[this.#at + 6]];
  }

  get topic() {
    return this.#events.texts[this.#events.words[this.#at + 4]];
  }

  get partition() {
    return this.#events.words[this.#at + 5] | 0;
  }

  get offset() {
    return this.#events.integer(this.#at);
  }

  get timestampMs() {
    return this.#events.integer(this.#at + 2);
  }

  get key() {
    const words = this.#events.words;
    return this.#events.part(words[this.#at + 7], words[this.#at + 8]);
  }

  get keyText() {
    return this.#text(7, "it has no key", "its key is not text");
  }

  get payload() {
    const words = this.#events.words;
    return this.#events.part(words[this.#at + 9], words[this.#at + 10]);
  }

  get text() {
    return this.#text(9, "it has no data: it is a tombstone", "its data is not text");
  }

  json() {
    return this.#read(json);
  }

  decode(type) {
    return this.#read(typeOf(type));
  }

  get headers() {
    return this.#events.headers(this.#at);
  }

  header(name) {
    if (this.#events.words[this.#at + 12] === 0) return null;
    return this.headers.find(([found]) => found === name)?.[1] ?? null;
  }

  badInput(reason) {
    return new BadInput(`${this}: ${reason instanceof Error ? reason.message : reason}`, this.index);
  }

  toString() {
    return `${this.topic}/${this.partition}@${this.offset} (${this.type})`;
  }

  #text(word, missing, mangled) {
    const words = this.#events.words;
    const length = words[this.#at + word + 1];
    if (length === NONE) throw this.badInput(missing);
    try {
      return this.#events.text(words[this.#at + word], length);
    } catch {
      throw this.badInput(`${mangled}: it is not UTF-8`);
    }
  }

  #read(type) {
    try {
      return readJson(this.text, type);
    } catch (error) {
      throw error instanceof Invalid ? this.badInput(error) : error;
    }
  }
}
