// Runs plugins in memory, so that unit tests need no WebAssembly: events and tables are those of testing/, all else is what runs in the host.

import { LanternError } from "./errors.js";
import { failureOf } from "./failure.js";
import { parseJson, writeJson } from "./schema.js";
import { TestEvent } from "./testing/event.js";
import { MemoryDb } from "./testing/memory.js";

const textOf = (payload) => (typeof payload === "string" ? payload : new TextDecoder().decode(payload));

/** Does the work of an event; what it throws says which event it was. */
function atEvent(event, work) {
  try {
    const answered = work();
    if (!(answered instanceof Promise)) return answered;
    throw new LanternError(`the handler of ${event.type} is async, or calls what is, and nothing awaits it: leave \`async\` away`);
  } catch (error) {
    const failure = failureOf(error);
    failure.index ??= event.index;
    throw failure;
  }
}

/** A projection and its tables, in memory. */
export class ReadModel {
  #projection;
  #db = new MemoryDb();
  #offset = 0;

  constructor(projection) {
    this.#projection = projection;
  }

  apply(...events) {
    const [topic] = this.#projection.manifest.topics;
    const all = events.map((event) => ({ topic, offset: this.#offset++, ...event }));
    const read = all.filter((event) => this.#projection.handlerOf(event.type));
    this.#db.transaction(() => {
      for (const [index, each] of read.entries()) {
        const { handler, type } = this.#projection.handlerOf(each.type);
        const event = new TestEvent(each, index, type);
        atEvent(event, () => handler(event, this.#db));
      }
    });
    return this;
  }

  rows(table) {
    return this.#db.rows(table);
  }

  get sent() {
    return this.rows("_lantern_outbox").map(({ payload, due_ms: dueMs, ...sent }) => ({
      ...sent,
      data: parseJson(textOf(payload), true),
      dueMs,
    }));
  }
}

/** An aggregate to which something has happened. */
class Given {
  #aggregate;

  constructor(aggregate, state, version) {
    this.#aggregate = aggregate;
    this.state = state;
    this.version = version;
  }

  when(command, { id = "id", timeMs = 0, correlation = null } = {}) {
    const decided = this.#aggregate.decide({
      aggregate: this.#aggregate.manifest.name,
      id,
      version: this.version,
      state: this.version === 0 ? null : this.#aggregate.stored(this.state),
      command: command.type,
      payload: writeJson(command.data ?? {}),
      time_ms: timeMs,
      correlation,
    });
    return decided.map(([type, payload]) => ({ type, data: parseJson(payload, true) }));
  }
}

export function given(aggregate, ...events) {
  const [topic] = aggregate.manifest.topics;
  let stored = null;
  for (const [index, each] of events.entries()) {
    const { handler, type } = aggregate.handlerOf(each.type);
    const event = new TestEvent({ ...each, topic, key: "id" }, index, type);
    stored = aggregate.stored(atEvent(event, () => handler(aggregate.stateOf(stored), event)));
  }
  return new Given(aggregate, aggregate.stateOf(stored), events.length);
}

export function upcast(upcaster, event) {
  const [topic] = upcaster.manifest.topics;
  const found = upcaster.handlerOf(event.type);
  const given = new TestEvent({ topic, ...event }, 0, found?.type);
  const [type, payload] = found ? atEvent(given, () => found.handler(given)) : [given.type, given.payload];
  return { type, data: payload === null ? null : parseJson(textOf(payload), true) };
}
