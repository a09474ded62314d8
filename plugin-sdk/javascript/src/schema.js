// What JSON may look like: checked when it is read, and the type of what is read.

import { Invalid } from "./errors.js";
import { Real } from "./value.js";

const said = (value) => {
  const text = written(value, (each) => each) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
};

const expected = (words, value) => new Invalid(`expected ${words}, found ${said(value)}`);

const NOWHERE = 0;
const TYPED = 1;
const EVERYWHERE = 2;

// Kinds of types, as engine/json.c numbers them, which reads JSON by them in a single pass. What it does not understand it leaves to
// `read`: only there is said what is wrong.
const KINDS = ["other", "text", "integer", "bigint", "number", "boolean", "json", "bytes", "optional", "nullable", "list", "record", "object"];

/** A kind of value. `read` checks what `JSON.parse` has made. */
class Type {
  constructor(kind, read, { of, exact = of?.exact ?? NOWHERE } = {}) {
    this.kind = KINDS.indexOf(kind);
    this.read = read;
    // What it consists of: a type, or [name, type] of an object's fields.
    this.of = of;
    // Whether integers beyond 2^53 have to be read as they are written: nowhere, where a type says so, or everywhere.
    this.exact = exact;
    // What the engine knows it by.
    Object.defineProperty(this, "_native", { value: undefined, writable: true });
  }

  get optional() {
    return KINDS[this.kind] === "optional";
  }
}

export const text = new Type("text", (value) => {
  if (typeof value === "string") return value;
  throw expected("a text", value);
});

// What a type throws for a number that may have lost digits: then the text is read anew, exactly.
const INEXACT = Symbol("inexact");
let isExact = false;

/** An integer that a number holds exactly. One beyond 2^53 is refused: `bigint` reads it. */
export const integer = new Type("integer", (value) => {
  if (Number.isSafeInteger(value)) return value;
  if (Number.isInteger(value) && !isExact) throw INEXACT;
  if (typeof value === "bigint" || Number.isInteger(value)) {
    throw new Invalid(`${said(value)} is beyond 2^53 and would not be exact: declare the field as \`bigint\``);
  }
  throw expected("an integer", value);
});

/** An integer of 64 bits, as a bigint. */
export const bigint = new Type(
  "bigint",
  (value) => {
    if (Number.isSafeInteger(value)) return BigInt(value);
    if (Number.isInteger(value) && !isExact) throw INEXACT;
    if (typeof value === "bigint" && value >= -(2n ** 63n) && value < 2n ** 63n) return value;
    throw expected("an integer of 64 bits", value);
  },
  { exact: TYPED },
);

export const number = new Type("number", (value) => {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "bigint") return Number(value);
  throw expected("a number", value);
});

export const boolean = new Type("boolean", (value) => {
  if (typeof value === "boolean") return value;
  throw expected("true or false", value);
});

/** Whatever it is. Integers beyond 2^53 are bigints. */
export const json = new Type(
  "json",
  (value) => {
    if (value === undefined) throw expected("a value", value);
    return value;
  },
  { exact: EVERYWHERE },
);

/** The payload as bytes, null for a tombstone: it is not read as JSON. Of an event, not of a field. */
export const bytes = new Type("bytes", (value) => value, { exact: EVERYWHERE });

export function optional(of) {
  const type = typeOf(of);
  return new Type("optional", (value) => (value === null || value === undefined ? null : type.read(value)), { of: type });
}

export function nullable(of) {
  const type = typeOf(of);
  return new Type("nullable", (value) => (value === null ? null : type.read(value)), { of: type });
}

export function list(of) {
  const type = typeOf(of);
  const read = (value) => {
    if (!Array.isArray(value)) throw expected("a list", value);
    return value.map((item, place) => at(`[${place}]`, type, item));
  };
  return new Type("list", read, { of: type });
}

export function record(of) {
  const type = typeOf(of);
  const read = (value) => {
    if (!isObject(value)) throw expected("an object", value);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, at(key, type, item)]));
  };
  return new Type("record", read, { of: type });
}

export function oneOf(...values) {
  const read = (value) => {
    if (values.includes(value)) return value;
    throw expected(`one of ${values.map(said).join(", ")}`, value);
  };
  return new Type("other", read);
}

/** An object with these fields. Others are passed over. */
export function object(fields) {
  const of = Object.entries(fields).map(([name, type]) => [name, typeOf(type)]);
  const read = (value) => {
    if (!isObject(value)) throw expected("an object", value);
    const entries = of.map(([name, type]) => {
      const item = Object.hasOwn(value, name) ? value[name] : undefined;
      if (item === undefined && !type.optional) throw new Invalid(`the field \`${name}\` is missing`);
      return [name, at(`\`${name}\``, type, item)];
    });
    return Object.fromEntries(entries);
  };
  return new Type("object", read, { of, exact: Math.max(NOWHERE, ...of.map(([, type]) => type.exact)) });
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
    return type.read(type.exact === EVERYWHERE ? parseJson(source, true) : JSON.parse(source));
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
