// What of an event is the same in the engine, which brings the rest of it (engine/event.c), and in tests (testing/event.js).

import { BadInput, Invalid } from "./errors.js";
import { json, readJson } from "./schema.js";

/** One event of a batch. */
export class Event {
  json() {
    return this.decode(json);
  }

  badInput(reason) {
    return new BadInput(`${this}: ${reason instanceof Error ? reason.message : reason}`, this.index);
  }

  toString() {
    return `${this.topic}/${this.partition}@${this.offset} (${this.type})`;
  }
}

/** Reads the text of an event's data as a type. */
export function read(event, source, type) {
  try {
    return readJson(source, type);
  } catch (error) {
    throw error instanceof Invalid ? event.badInput(error) : error;
  }
}
