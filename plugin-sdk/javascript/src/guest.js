// What stands between the engine (engine/) and a plugin, in WebAssembly only. It is imported before the plugin, so that nothing of
// the plugin sees a clock or randomness: a replay must give the same rows.

import { Database } from "./database.js";
import { FAULTS, LanternError, Rejection, errorOf } from "./errors.js";
import { Event, read } from "./event.js";
import { failureOf, told } from "./failure.js";
import { LEVELS, log, writeTo } from "./log.js";
import { typeOf, writeJson } from "./schema.js";
import { Table } from "./table.js";
import { Real } from "./value.js";

const native = globalThis.__lantern;

const forbidden = (name, instead) => () => {
  throw new LanternError(`${name} is not there: a replay would give other rows; ${instead}`, { fault: "unsupported" });
};

const noClock = (name) => forbidden(name, "use event.timestampMs, or context.timeMs");
Math.random = forbidden("Math.random()", "derive it from the event");
const ThisDate = Date;
globalThis.Date = function (...given) {
  if (new.target === undefined || given.length === 0) noClock("the time now")();
  return Reflect.construct(ThisDate, given, new.target);
};
Date.prototype = ThisDate.prototype;
Date.prototype.constructor = Date;
Date.parse = ThisDate.parse;
Date.UTC = ThisDate.UTC;
Date.now = noClock("Date.now()");
Object.defineProperty(globalThis, "performance", { value: { now: noClock("performance.now()") } });

globalThis.TextEncoder = class TextEncoder {
  encoding = "utf-8";

  encode(text = "") {
    return native.encode(String(text));
  }
};

globalThis.TextDecoder = class TextDecoder {
  encoding = "utf-8";

  constructor(encoding = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^(utf-?8|unicode-1-1-utf-8)$/i.test(encoding)) throw new RangeError(`${encoding} is not read here, only UTF-8`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  decode(bytes = new Uint8Array()) {
    const given = ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
    const text = native.decode(given, this.fatal);
    return !this.ignoreBOM && text.startsWith("\ufeff") ? text.slice(1) : text;
  }
};

// The log is where a plugin's words go.
const written = (level) => (...words) => log[level](words.map((word) => (typeof word === "string" ? word : inspected(word))).join(" "));
const inspected = (value) => {
  if (value instanceof Error) return failureOf(value).message;
  if (value === null || typeof value !== "object") return String(value);
  try {
    return writeJson(value);
  } catch {
    return String(value);
  }
};
globalThis.console = { ...Object.fromEntries(LEVELS.map((level) => [level, written(level)])), log: written("info") };

Object.setPrototypeOf(native.event, Event.prototype);
Object.setPrototypeOf(native.db, Database.prototype);
writeTo(native.log);

/** What the engine calls of a plugin. */
export function guestOf(plugin) {
  return {
    Real,
    Table,
    read,
    typeOf,
    describe: () => JSON.stringify(plugin.manifest),
    handlerOf: (type) => plugin.handlerOf(type),
    stateOf: (json) => plugin.stateOf(json),
    stored: (state) => plugin.stored(state),
    /** A rejection is an answer, not a failure. */
    decide(request) {
      try {
        return plugin.decide(request);
      } catch (error) {
        if (!(error instanceof Rejection)) throw error;
        const { code, message, detail } = error;
        return { code, message, detail: detail === undefined ? null : writeJson(detail) };
      }
    },
    /** Of whatever was thrown: the number of its fault, its message, and which event is at fault, if it says so. */
    failure(error) {
      const { fault, index } = failureOf(error);
      const number = FAULTS.indexOf(fault);
      return [number < 0 ? FAULTS.indexOf("other") : number, told(error), Number.isInteger(index) ? index : undefined];
    },
    /** What is thrown for an error that the engine has found. */
    error: (fault, message, index) => errorOf(FAULTS[fault], message, index),
  };
}
