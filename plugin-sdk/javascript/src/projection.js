// What a projection is: a read model as a fold of events.

import { remember } from "./arena.js";
import { LanternError } from "./errors.js";
import { Event } from "./event.js";
import { Events } from "./frame.js";
import { manifest } from "./manifest.js";
import { json, optional, object, text, typeOf } from "./schema.js";

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
    handlers.set(type, { handler, type: type === "*" ? json : typeOf(events[type]) });
  }
  return handlers;
}

/** The error with the event's place, where it has none: of a batch the host wants to know it. */
export function atEvent(error, index) {
  if (error instanceof LanternError) {
    error.index ??= index;
    return error;
  }
  const thrown = new LanternError(explain(error), { index });
  thrown.cause = error;
  return thrown;
}

/** What was thrown, whatever it is, with its stack. */
export function explain(error) {
  if (!(error instanceof Error)) {
    const said = typeof error === "object" && error !== null ? JSON.stringify(error) : String(error);
    return `thrown: ${said}`;
  }
  const head = `${error.name}: ${error.message}`;
  // Engines differ in whether the stack begins with the message.
  const stack = inSources(String(error.stack ?? "").replace(head, "")).trim();
  const cause = error.cause === undefined ? "" : `\n  caused by ${explain(error.cause)}`;
  return (stack ? `${head}\n    ${stack}` : head) + cause;
}

/** A stack in lines of the plugin's own sources, where the build has left word of them; what is the SDK's is left out. */
function inSources(stack) {
  const known = globalThis.__lanternLines;
  if (known === undefined) return stack;
  const lines = stack.split("\n").flatMap((line) => {
    const [place, number] = line.match(/[^\s()]*plugin\.js:(\d+)(?::\d+)?/) ?? [];
    const found = known.lines[number - 1];
    if (!found) return [line];
    const source = known.sources[found[0]];
    return source === "@lantern/sdk" ? [] : [line.replace(place, `${source}:${found[1]}`)];
  });
  return lines.filter((line) => !line.includes("(native)")).join("\n");
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

  /** Applies a frame of events; answers the frame of writes that were not handed over yet. The host calls it. */
  apply(frame, db) {
    let index;
    try {
      const events = new Events(frame);
      const handlers = events.handledBy(this.#handlers, this.#handlers.get("*")).map((found) => found?.handler);
      // What many rows have.
      events.texts.forEach(remember);
      const { count, words, step } = events;
      for (let at = events.base, n = 0; n < count; n++, at += step) {
        const handler = handlers[words[at + 6]];
        if (handler === undefined) continue;
        index = n;
        db._event = n;
        handler(new Event(events, at), db);
        if (db._grew) db._end();
      }
      index = undefined;
      return db._finish();
    } catch (error) {
      db._reset();
      throw atEvent(error, index);
    }
  }
}

export function projection(definition) {
  return new Projection(definition);
}
