// What a command handler is: a state, and functions that decide and evolve.

import { BadInput, Invalid, LanternError } from "./errors.js";
import { Event } from "./event.js";
import { Events, readRows, writeRows } from "./frame.js";
import { manifest } from "./manifest.js";
import { atEvent, handlersOf } from "./projection.js";
import { readJson, typeOf, writeJson } from "./schema.js";
import { decode, encode } from "./text.js";

class Aggregate {
  kind = "aggregate";
  #definition;
  #commands;
  #evolvers;
  #state;

  constructor(definition) {
    this.#definition = definition;
    this.#commands = handlersOf(definition.commands, definition.decide, `the aggregate ${definition.name}`);
    this.#evolvers = handlersOf(definition.events, definition.evolve, `the aggregate ${definition.name}`);
    this.#state = typeOf(definition.state);
    this.manifest = manifest({ ...definition, topics: [definition.topic] }, { types: [], headers: [] });
  }

  /** The events that a command leads to; throws a Rejection when the domain says no. */
  decided(state, command, context) {
    const found = this.#commands.get(command.type);
    const whose = `${context.aggregate} ${context.id}`;
    if (found === undefined) {
      throw new BadInput(`${whose}: there is no command ${command.type}, only ${[...this.#commands.keys()].join(", ")}`);
    }
    const events = found.handler(state, command.data, context) ?? [];
    for (const event of events) {
      if (!this.#evolvers.has(event.type)) {
        throw new LanternError(`${whose}: ${command.type} led to ${event.type}, which nothing evolves: add it to \`evolve\``);
      }
    }
    return events;
  }

  /** Decides the command of a frame; answers a frame of events. The host calls it. */
  decide(frame) {
    const { columns, rows } = readRows(frame);
    const request = Object.fromEntries(columns.map((column, place) => [column, rows[0][place]]));
    const { aggregate, id, version, time_ms: timeMs, correlation } = request;
    const type = this.#commands.get(request.command)?.type;
    let data;
    try {
      data = type && readJson(text(request.payload), type);
    } catch (error) {
      throw error instanceof Invalid ? new BadInput(`${aggregate} ${id}: the command ${request.command}: ${error.message}`) : error;
    }
    const context = { aggregate, id, version, timeMs, correlation };
    const events = this.decided(this.stored(request.state), { type: request.command, data }, context);
    return writeRows(
      ["type", "payload"],
      events.map((event) => [event.type, encode(writeJson(event.data ?? {}))]),
    );
  }

  /** Applies a frame of events to a state; answers the new one. The host calls it. */
  evolve(stored, frame) {
    let state = this.stored(stored);
    const events = new Events(frame);
    const functions = events.handledBy(this.#evolvers);
    for (let index = 0; index < events.count; index++) {
      const at = events.item(index);
      const found = functions[events.words[at + 6]];
      const event = new Event(events, at);
      try {
        if (found === undefined) throw event.badInput(`nothing evolves ${event.type}: add it to \`evolve\``);
        state = found.handler(state, event.data) ?? state;
      } catch (error) {
        throw atEvent(error, index);
      }
    }
    return encode(writeJson(state));
  }

  /** A state as it is stored; what it is at first where there is none. */
  stored(bytes) {
    if (bytes === null || bytes === undefined) return readJson(writeJson(this.#definition.initial), this.#state);
    try {
      return readJson(text(bytes), this.#state);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      throw new LanternError(`the stored state is not of this form: ${error.message}; raise the aggregate's stateVersion`);
    }
  }
}

function text(bytes) {
  try {
    return decode(bytes);
  } catch {
    throw new Invalid("it is not UTF-8");
  }
}

export function aggregate(definition) {
  return new Aggregate(definition);
}
