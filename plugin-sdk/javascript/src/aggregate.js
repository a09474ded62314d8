// What a command handler is: a state, and functions that decide and evolve.

import { BadInput, Invalid, LanternError } from "./errors.js";
import { manifest } from "./manifest.js";
import { handlersOf } from "./projection.js";
import { readJson, typeOf, writeJson } from "./schema.js";

class Aggregate {
  kind = "aggregate";
  #initial;
  #commands;
  #evolvers;
  #state;

  constructor(definition) {
    this.#initial = definition.initial;
    this.#commands = handlersOf(definition.commands, definition.decide, `the aggregate ${definition.name}`);
    this.#evolvers = handlersOf(definition.events, definition.evolve, `the aggregate ${definition.name}`);
    this.#state = typeOf(definition.state);
    this.manifest = manifest({ ...definition, topics: [definition.topic] }, { types: [], headers: [] });
  }

  /** Decides a command, with the host's names of what it consists of; answers [type, JSON] of each event. Throws a Rejection when the domain says no. */
  decide({ aggregate, id, version, state, command, payload, time_ms: timeMs, correlation }) {
    const whose = `${aggregate} ${id}`;
    const found = this.#commands.get(command);
    if (found === undefined) {
      throw new BadInput(`${whose}: there is no command ${command}, only ${[...this.#commands.keys()].join(", ")}`);
    }
    let data;
    try {
      data = readJson(payload, found.type);
    } catch (error) {
      throw error instanceof Invalid ? new BadInput(`${whose}: the command ${command}: ${error.message}`) : error;
    }
    const events = found.handler(this.stateOf(state), data, { aggregate, id, version, timeMs, correlation }) ?? [];
    return events.map((event) => {
      if (!this.#evolvers.has(event.type)) {
        throw new LanternError(`${whose}: ${command} led to ${event.type}, which nothing evolves: add it to \`evolve\``);
      }
      return [event.type, writeJson(event.data ?? {})];
    });
  }

  /** What evolves a state by events of a type, `(state, event)`, and as what their data is read. */
  handlerOf(type) {
    const found = this.#evolvers.get(type);
    return {
      type: found?.type,
      handler(state, event) {
        if (found === undefined) throw event.badInput(`nothing evolves ${type}: add it to \`evolve\``);
        return found.handler(state, event.data) ?? state;
      },
    };
  }

  /** A state of its JSON; what it is at first where there is none. */
  stateOf(json) {
    if (json === null) return readJson(this.stored(this.#initial), this.#state);
    try {
      return readJson(json, this.#state);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      throw new LanternError(`the stored state is not of this form: ${error.message}; raise the aggregate's stateVersion`);
    }
  }

  /** A state as JSON. */
  stored(state) {
    return writeJson(state);
  }
}

export function aggregate(definition) {
  return new Aggregate(definition);
}
