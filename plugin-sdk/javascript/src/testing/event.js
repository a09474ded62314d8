// An event of a test.

import { Event, read } from "../event.js";
import { bytes, typeOf, writeJson } from "../schema.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text as UTF-8; bytes, and null for nothing, as they are. */
const bytesOf = (value) => (typeof value === "string" ? encoder.encode(value) : (value ?? null));

export class TestEvent extends Event {
  #as;
  #data;

  /** An event as a test gives it, the index-th of its batch, whose data is read as a type. */
  constructor({ type, data, payload, key, headers, ...rest }, index, as) {
    super();
    this.type = type;
    this.index = index;
    this.topic = rest.topic;
    this.partition = rest.partition ?? 0;
    this.offset = rest.offset ?? index;
    this.timestampMs = rest.timestampMs ?? 0;
    this.key = bytesOf(key);
    this.payload = payload === undefined ? encoder.encode(writeJson(data ?? {})) : bytesOf(payload);
    this.headers = Object.entries(headers ?? {}).map(([name, value]) => [name, bytesOf(value)]);
    this.#as = as;
  }

  get data() {
    this.#data ??= { read: this.decode(this.#as) };
    return this.#data.read;
  }

  get keyText() {
    return this.#text(this.key, "it has no key", "its key is not text");
  }

  get text() {
    return this.#text(this.payload, "it has no data: it is a tombstone", "its data is not text");
  }

  decode(of) {
    const type = typeOf(of);
    return type === bytes ? this.payload : read(this, this.text, type);
  }

  header(name) {
    return this.headers.find(([each]) => each === name)?.[1] ?? null;
  }

  #text(data, missing, mangled) {
    if (data === null) throw this.badInput(missing);
    try {
      return decoder.decode(data);
    } catch {
      throw this.badInput(`${mangled}: it is not UTF-8`);
    }
  }
}
