// SQLite's five kinds of value, as JavaScript has them.

import { BadInput, LanternError } from "./errors.js";

const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;

/** A number that is stored as a real, also when it is whole. */
export class Real {
  constructor(value) {
    this.value = value;
  }
}

/** Has a number stored as a real, also when it is whole: `real(1)` is 1.0 where `1` is an integer. */
export function real(value) {
  if (value === null || value === undefined) return null;
  if (typeof value !== "number") throw new LanternError(`${String(value)} is no number, so it cannot be a real`);
  return new Real(value);
}

/** An integer in the one form in which it is kept: a number as long as that is exact, else a bigint. */
export function integer(value) {
  if (typeof value === "bigint") {
    if (value >= -9007199254740991n && value <= 9007199254740991n) return Number(value);
    if (value < LEAST || value > MOST) {
      throw new BadInput(`${value} does not fit the integers that SQLite holds, 64 bits: write it as text`);
    }
  }
  return value;
}

/** A value as one of SQLite's five kinds: null, a number, bigint or Real, a string, a Uint8Array. */
export function valueOf(value) {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
      if (Number.isInteger(value)) {
        throw new BadInput(`${value} is beyond 2^53 and no longer exact: give a bigint, or real(…) if it is no integer`);
      }
      return Number.isNaN(value) ? null : value;
    case "bigint":
      return integer(value);
    case "boolean":
      return value ? 1 : 0;
    case "undefined":
      throw new LanternError("undefined is no value of SQLite: give null where there is none");
    default:
      if (value === null || value instanceof Uint8Array) return value;
      if (value instanceof Real) return Number.isNaN(value.value) ? null : value;
      throw new LanternError(
        `${Object.prototype.toString.call(value)} is no value of SQLite: give null, a number, bigint, string, boolean or Uint8Array`,
      );
  }
}

/** The sum of two integers, exact; undefined beyond 64 bits. */
export function sum(left, right) {
  if (typeof left === "number" && typeof right === "number") {
    const added = left + right;
    if (Number.isSafeInteger(added)) return added;
  }
  const exact = BigInt(left) + BigInt(right);
  return exact < LEAST || exact > MOST ? undefined : integer(exact);
}
