// What stands between the host and a plugin, in WebAssembly only. It is imported before the plugin, so that nothing of the
// plugin sees a clock or randomness: a replay must give the same rows.

import { Db } from "./db.js";
import { LanternError, Rejection, SqlError } from "./errors.js";
import { writeTo } from "./log.js";
import { atEvent } from "./projection.js";
import { writeJson } from "./schema.js";

const forbidden = (name, instead) => () => {
  throw new LanternError(`${name} is not there: a replay would give other rows; ${instead}`, { fault: "unsupported" });
};

const noClock = (name) => forbidden(name, "use event.timestampMs, or context.timeMs");
Math.random = forbidden("Math.random()", "derive it from the event");
const ThisDate = Date;
globalThis.Date = function (...given) {
  if (new.target === undefined || given.length === 0) noClock("the time now")();
  return new ThisDate(...given);
};
Date.prototype = ThisDate.prototype;
Date.parse = ThisDate.parse;
Date.UTC = ThisDate.UTC;
Date.now = noClock("Date.now()");
Object.defineProperty(globalThis, "performance", { value: { now: noClock("performance.now()") } });

/** The host's functions, which throw failures, with errors of the SDK. */
function raising(call) {
  return (...given) => {
    try {
      return call(...given);
    } catch (thrown) {
      const failure = thrown?.payload ?? thrown;
      if (typeof failure?.kind !== "string") throw thrown;
      const { kind: fault, message, index } = failure;
      const SomeError = fault === "sql" || fault === "conflict" ? SqlError : LanternError;
      throw new SomeError(message, { fault, index: index ?? undefined });
    }
  };
}

/** Answers what the work does, or throws a failure as the contract has it. */
function answer(work) {
  try {
    return work();
  } catch (error) {
    const { fault, message, index } = atEvent(error);
    throw { kind: fault, message, index: index ?? null };
  }
}

/** What the plugin exports. */
export function exportsOf(plugin, logger, sql) {
  writeTo((level, message) => logger.write(level, message));
  const meta = { describe: () => JSON.stringify(plugin.manifest) };
  if (plugin.kind === "projection") {
    const db = new Db({ prepare: raising(sql.prepare), apply: raising(sql.apply), query: raising(sql.query) });
    return { meta, projection: { apply: (events) => answer(() => plugin.apply(events, db)) } };
  }
  if (plugin.kind === "upcaster") {
    return { meta, upcast: { upcast: (events) => answer(() => plugin.upcast(events)) } };
  }
  const decide = (request) => {
    try {
      return { tag: "events", val: plugin.decide(request) };
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      const { code, message, detail } = error;
      return { tag: "rejected", val: { code, message, detail: detail === undefined ? null : writeJson(detail) } };
    }
  };
  return {
    meta,
    commands: {
      decide: (request) => answer(() => decide(request)),
      evolve: (state, events) => answer(() => plugin.evolve(state, events)),
    },
  };
}
