// What JSON may look like: checked when it is read, and the type of what is read.

import { Invalid } from "./errors.js";
import { Real } from "./value.js";

// Names of the module are quicker than those of the world.
const { parse } = JSON;
const { isArray } = Array;

const said = (value) => {
  const text = written(value, (each) => each) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
};

const expected = (words, value) => new Invalid(`expected ${words}, found ${said(value)}`);

const NOWHERE = 0;
const TYPED = 1;
const EVERYWHERE = 2;

/** A kind of value. `read` answers the value itself where nothing is to be changed. */
class Type {
  constructor(read, { optional = false, exact = 0 } = {}) {
    this.read = read;
    this.optional = optional;
    // Whether integers beyond 2^53 have to be read as they are written: nowhere, where a type says so, or everywhere.
    this.exact = exact;
    // Whether what `JSON.parse` gives can be read first, and anew where that is refused.
    this.isQuick = exact !== EVERYWHERE;
  }
}

export const text = new Type((value) => {
  if (typeof value === "string") return value;
  throw expected("a text", value);
});

// What a type throws for a number that may have lost digits: then the text is read anew, exactly.
const INEXACT = Symbol("inexact");
let isExact = false;

/** An integer that a number holds exactly. One beyond 2^53 is refused: `bigint` reads it. */
export const integer = new Type((value) => {
  if (Number.isSafeInteger(value)) return value;
  if (Number.isInteger(value) && !isExact) throw INEXACT;
  if (typeof value === "bigint" || Number.isInteger(value)) {
    throw new Invalid(`${said(value)} is beyond 2^53 and would not be exact: declare the field as \`bigint\``);
  }
  throw expected("an integer", value);
});

/** An integer of 64 bits, as a bigint. */
export const bigint = new Type(
  (value) => {
    if (Number.isSafeInteger(value)) return BigInt(value);
    if (Number.isInteger(value) && !isExact) throw INEXACT;
    if (typeof value === "bigint" && value >= -(2n ** 63n) && value < 2n ** 63n) return value;
    throw expected("an integer of 64 bits", value);
  },
  { exact: TYPED },
);

export const number = new Type((value) => {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "bigint") return Number(value);
  throw expected("a number", value);
});

export const boolean = new Type((value) => {
  if (typeof value === "boolean") return value;
  throw expected("true or false", value);
});

/** Whatever it is. Integers beyond 2^53 are bigints. */
export const json = new Type(
  (value) => {
    if (value === undefined) throw expected("a value", value);
    return value;
  },
  { exact: EVERYWHERE },
);

/** The payload as bytes, null for a tombstone: it is not read as JSON. Of an event, not of a field. */
export const bytes = new Type((value) => value, { exact: EVERYWHERE });

export function optional(of) {
  const type = typeOf(of);
  const read = (value) => (value === null || value === undefined ? null : type.read(value));
  return new Type(read, { optional: true, exact: type.exact });
}

export function nullable(of) {
  const type = typeOf(of);
  return new Type((value) => (value === null ? null : type.read(value)), { exact: type.exact });
}

export function list(of) {
  const type = typeOf(of);
  const read = (value) => {
    if (!Array.isArray(value)) throw expected("a list", value);
    return value.map((item, place) => at(`[${place}]`, type, item));
  };
  return new Type(read, { exact: type.exact });
}

export function record(of) {
  const type = typeOf(of);
  const read = (value) => {
    if (!isObject(value)) throw expected("an object", value);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, at(key, type, item)]));
  };
  return new Type(read, { exact: type.exact });
}

export function oneOf(...values) {
  return new Type((value) => {
    if (values.includes(value)) return value;
    throw expected(`one of ${values.map(said).join(", ")}`, value);
  });
}

// What a field's value usually is, by its type. Integers of 32 bits are told without a call.
const IS_INTEGER = 'typeof value === "number" && ((value | 0) === value || isSafe(value))';
const USUAL = new Map([
  [text, 'typeof value === "string"'],
  [boolean, 'typeof value === "boolean"'],
  [integer, IS_INTEGER],
  [bigint, IS_INTEGER],
]);

/**
 * An object with these fields. Others are passed over. It is read by code of its own, without a loop and with few calls: that is
 * what an interpreter is quickest at.
 */
export function object(fields) {
  const entries = Object.entries(fields).map(([name, of]) => [name, typeOf(of)]);
  const lines = entries.map(([name, type], nth) => {
    const field = `object[${JSON.stringify(name)}]`;
    const read = `{ read = reads[${nth}](value); if (read !== value) ${field} = read; }`;
    const usual = USUAL.get(type) ?? "false";
    return `at = ${nth}; value = ${field}; if (${usual}) { ${type === bigint ? `${field} = toBigInt(value);` : ""} } else ${read}`;
  });
  const source = `return (object) => {
    if (typeof object !== "object" || object === null || isArray(object)) throw expected("an object", object);
    let at, value, read;
    try { ${lines.join("\n")} } catch (error) { throw named(at, value, error); }
    return object;
  };`;
  const named = (at, value, error) => {
    if (!(error instanceof Invalid)) return error;
    const [name, type] = entries[at];
    const isMissing = value === undefined && !type.optional;
    return new Invalid(isMissing ? `the field \`${name}\` is missing` : `\`${name}\`: ${error.message}`);
  };
  const reads = entries.map(([, type]) => type.read);
  const make = new Function("isArray", "isSafe", "toBigInt", "expected", "reads", "named", source);
  const exact = Math.max(NOWHERE, ...entries.map(([, type]) => type.exact));
  return new Type(make(isArray, Number.isSafeInteger, BigInt, expected, reads, named), { exact });
}

/** A type as it is, or the fields of an object. */
export function typeOf(of) {
  if (of instanceof Type) return of;
  if (isObject(of)) return object(of);
  throw new TypeError(`${String(of)} is no type of JSON: give text, integer, list(…) and so on, or an object of them`);
}

function at(path, type, value) {
  try {
    return type.read(value);
  } catch (error) {
    throw error instanceof Invalid ? new Invalid(`${path}: ${error.message}`) : error;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads JSON as a type. */
export function readJson(source, type) {
  try {
    return type.read(type.exact === EVERYWHERE ? parseJson(source, true) : parse(source));
  } catch (error) {
    // What is wrong is said by the second reading, with all digits.
    const isToSay = error instanceof SyntaxError || (error instanceof Invalid && type.exact === TYPED);
    if (error !== INEXACT && !isToSay) throw error;
  }
  const value = parseJson(source, type.exact !== NOWHERE);
  isExact = true;
  try {
    return type.read(value);
  } finally {
    isExact = false;
  }
}

/** Reads JSON. With `exact`, integers that no number holds are bigints. */
export function parseJson(source, exact) {
  try {
    const value = JSON.parse(source);
    // Sixteen digits may be too many: only then it is worth the while to look closer.
    return exact && /[0-9]{16}/.test(source) ? new Exact(source).whole() : value;
  } catch (error) {
    throw error instanceof SyntaxError ? new Invalid(`it is not JSON: ${error.message}`) : error;
  }
}

/** Reads JSON that is known to be right, with exact integers. */
class Exact {
  #tokens;
  #at = 0;

  constructor(source) {
    this.#tokens = source.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g);
  }

  whole() {
    const token = this.#tokens[this.#at++];
    if (token === "{") return this.#object();
    if (token === "[") return this.#list();
    if (/^-?[0-9]{16,}$/.test(token)) {
      const value = BigInt(token);
      return Number.isSafeInteger(Number(token)) ? Number(token) : value;
    }
    return JSON.parse(token);
  }

  #object() {
    const value = {};
    while (this.#tokens[this.#at] !== "}") {
      if (this.#tokens[this.#at] === ",") this.#at++;
      const key = JSON.parse(this.#tokens[this.#at]);
      this.#at += 2;
      // `__proto__` is a field like any other here.
      Object.defineProperty(value, key, { value: this.whole(), writable: true, enumerable: true, configurable: true });
    }
    this.#at++;
    return value;
  }

  #list() {
    const value = [];
    while (this.#tokens[this.#at] !== "]") {
      if (this.#tokens[this.#at] === ",") this.#at++;
      value.push(this.whole());
    }
    this.#at++;
    return value;
  }
}

/** Writes JSON, bigints as the integers that they are, and numbers only where they are exact. */
export function writeJson(value) {
  let source;
  try {
    source = JSON.stringify(value, (_, each) => exactly(each));
  } catch (error) {
    // It has no bigints.
    if (!(error instanceof TypeError)) throw error;
    source = written(value);
  }
  if (source === undefined) throw new Invalid(`${String(value)} has no JSON`);
  return source;
}

/** A value as JSON has it; what would be written as something else is refused. */
function exactly(value) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    if (!Number.isFinite(value)) throw new Invalid(`${value} has no JSON`);
    // What has more than 64 bits is no integer to anyone who reads it.
    if (Number.isInteger(value) && Math.abs(value) < 2 ** 63) {
      throw new Invalid(`${value} is beyond 2^53 and no longer exact: give a bigint, or real(…) if it is no integer`);
    }
  }
  return value instanceof Real ? value.value : value;
}

function written(value, as = exactly) {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => written(item, as) ?? "null").join(",")}]`;
  if (!isObject(value) || value.toJSON || value instanceof Real) return JSON.stringify(as(value));
  const fields = Object.entries(value)
    .map(([key, item]) => [key, written(item, as)])
    .filter(([, item]) => item !== undefined);
  return `{${fields.map(([key, item]) => `${JSON.stringify(key)}:${item}`).join(",")}}`;
}
