// What an upcaster is: old events in, events of today out.

import { LanternError } from "./errors.js";
import { Event } from "./event.js";
import { Events, writeRows } from "./frame.js";
import { manifest } from "./manifest.js";
import { atEvent, handlersOf } from "./projection.js";
import { writeJson } from "./schema.js";
import { encode } from "./text.js";

class Upcaster {
  kind = "upcaster";
  #functions;

  constructor(definition) {
    this.#functions = handlersOf(definition.events, definition.upcast, `the upcaster ${definition.name}`);
    this.manifest = manifest(definition, { types: [...this.#functions.keys()] });
  }

  /** Upgrades a frame of events; answers a frame of rows. The host calls it. */
  upcast(frame) {
    const events = new Events(frame);
    const functions = events.handledBy(this.#functions);
    const rows = [];
    for (let index = 0; index < events.count; index++) {
      const at = events.item(index);
      const found = functions[events.words[at + 6]];
      const event = new Event(events, at);
      try {
        rows.push(found === undefined ? [event.type, event.payload] : row(found.handler(event)));
      } catch (error) {
        throw atEvent(error, index);
      }
    }
    return writeRows(["type", "payload"], rows);
  }
}

function row(answer) {
  if (typeof answer?.type !== "string") {
    throw new LanternError("an upcaster's function answered no `{ type, data }`: every event becomes one event");
  }
  const payload = "payload" in answer ? answer.payload : encode(writeJson(answer.data ?? {}));
  return [answer.type, payload];
}

export function upcaster(definition) {
  return new Upcaster(definition);
}
