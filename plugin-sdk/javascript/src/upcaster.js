// What an upcaster is: old events in, events of today out.

import { LanternError } from "./errors.js";
import { manifest } from "./manifest.js";
import { handlersOf } from "./projection.js";
import { writeJson } from "./schema.js";

class Upcaster {
  kind = "upcaster";
  #functions;

  constructor(definition) {
    this.#functions = handlersOf(definition.events, definition.upcast, `the upcaster ${definition.name}`);
    this.manifest = manifest(definition, { types: [...this.#functions.keys()] });
  }

  /**
   * What says of an event of a type what it is today, [type, payload], and as what its data is read; undefined where it stays as
   * it is. A payload is JSON, bytes, or null for a tombstone.
   */
  handlerOf(type) {
    const found = this.#functions.get(type);
    return found && { type: found.type, handler: (event) => row(found.handler(event)) };
  }
}

function row(answer) {
  if (typeof answer?.type !== "string") {
    throw new LanternError("an upcaster's function answered no `{ type, data }`: every event becomes one event");
  }
  return [answer.type, "payload" in answer ? answer.payload : writeJson(answer.data ?? {})];
}

export function upcaster(definition) {
  return new Upcaster(definition);
}
