// What a projection is: a read model as a fold of events.

import { manifest } from "./manifest.js";
import { json, object, optional, text, typeOf } from "./schema.js";

/** The type of the event that says that an aggregate refused a command, and its data. */
export const rejected = {
  "lantern.rejected": object({
    command: text,
    key: optional(text),
    code: optional(text),
    message: optional(text),
    detail: optional(json),
  }),
};

/** The key under which the process manager of this name sent a command that was rejected; null if it did not. */
export function sentBy(plugin, data) {
  const prefix = `${plugin}:`;
  return data.key?.startsWith(prefix) ? data.key.slice(prefix.length) : null;
}

/** Handlers by type, checked against the events that are declared. */
export function handlersOf(events, on, what) {
  const handlers = new Map();
  for (const [type, handler] of Object.entries(on)) {
    if (type !== "*" && !Object.hasOwn(events, type)) throw new TypeError(`${what} has a handler for ${type}, which \`events\` does not declare`);
    if (typeof handler !== "function") throw new TypeError(`${what} has ${String(handler)} for ${type}: give a function`);
    handlers.set(type, { handler, type: type === "*" ? json : typeOf(events[type]) });
  }
  return handlers;
}

class Projection {
  kind = "projection";
  #handlers;

  constructor(definition) {
    this.#handlers = handlersOf(definition.events, definition.on, `the projection ${definition.name}`);
    const sends = definition.sends?.length > 0;
    let headers = definition.headers ?? [];
    // What is sent says by these what it was caused by.
    if (sends && headers !== "all") headers = [...new Set([...headers, "ce_id", "ce_correlationid"])];
    const types = this.#handlers.has("*") ? [] : [...this.#handlers.keys()];
    this.manifest = manifest(definition, { types, headers });
  }

  /** What handles events of a type, `(event, db)`, and as what their data is read; undefined where nothing does. */
  handlerOf(type) {
    return this.#handlers.get(type) ?? this.#handlers.get("*");
  }
}

export function projection(definition) {
  return new Projection(definition);
}
