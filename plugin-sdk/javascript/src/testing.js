// Runs plugins in memory, by the code that runs them in the host, so that unit tests need no WebAssembly.

import { Db } from "./db.js";
import { readRows, writeEvents, writeRows } from "./frame.js";
import { plain } from "./rows.js";
import { parseJson, writeJson } from "./schema.js";
import { decode, encode } from "./text.js";
import { Memory } from "./memory.js";

const bytesOf = (value) => (typeof value === "string" ? encode(value) : (value ?? null));

/** An event as the host gives it. */
function made(event, topic, offset) {
  const { type, data, payload, key, headers } = event;
  return {
    type,
    topic: event.topic ?? topic,
    partition: event.partition ?? 0,
    offset: event.offset ?? offset,
    timestampMs: event.timestampMs ?? 0,
    key: bytesOf(key),
    payload: payload === undefined ? encode(writeJson(data ?? {})) : bytesOf(payload),
    headers: Object.entries(headers ?? {}).map(([name, value]) => [name, bytesOf(value)]),
  };
}

/** A projection and its tables, in memory. */
export class ReadModel {
  #projection;
  #memory;
  #db;
  #offset = 0;

  constructor(projection) {
    this.#projection = projection;
    this.#memory = new Memory();
    this.#db = new Db(this.#memory);
  }

  apply(...events) {
    const { topics, types } = this.#projection.manifest;
    const all = events.map((event) => made(event, topics[0], this.#offset++));
    const read = all.filter((event) => types.length === 0 || types.includes(event.type));
    this.#memory.transaction(() => {
      this.#memory.apply(this.#projection.apply(writeEvents(read), this.#db));
    });
    return this;
  }

  rows(table) {
    return this.#memory.rows(table).map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])));
  }

  get sent() {
    return this.rows("_lantern_outbox").map(({ payload, due_ms: dueMs, ...sent }) => ({
      ...sent,
      data: parseJson(decode(payload), true),
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
    const name = this.#aggregate.manifest.name;
    const request = {
      aggregate: name,
      id,
      version: this.version,
      state: this.version === 0 ? null : encode(writeJson(this.state)),
      command: command.type,
      payload: encode(writeJson(command.data ?? {})),
      time_ms: timeMs,
      correlation,
    };
    const decided = readRows(this.#aggregate.decide(writeRows(Object.keys(request), [Object.values(request)])));
    return decided.rows.map(([type, payload]) => ({ type, data: parseJson(decode(payload), true) }));
  }
}

export function given(aggregate, ...events) {
  let state = null;
  for (const event of events) {
    state = aggregate.evolve(state, writeEvents([made({ ...event, key: "id" }, "topic", 0)]));
  }
  return new Given(aggregate, aggregate.stored(state), events.length);
}

export function upcast(upcaster, event) {
  const { rows } = readRows(upcaster.upcast(writeEvents([made(event, upcaster.manifest.topics[0], 0)])));
  const [type, payload] = rows[0];
  if (payload === null) return { type, data: null };
  return { type, data: parseJson(typeof payload === "string" ? payload : decode(payload), true) };
}
