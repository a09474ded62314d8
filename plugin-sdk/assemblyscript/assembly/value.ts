// How values become SQLite's five kinds, as they lie in a frame.
import { Blob, Buffer, Fault, Text, copy, encodeAscii, fail, isUtf8 } from "./memory";

export const NULL: i32 = 0;
export const INTEGER: i32 = 1;
export const REAL: i32 = 2;
export const TEXT: i32 = 3;
export const BLOB: i32 = 4;

function sized(out: Buffer, tag: i32, ptr: usize, len: i32): void {
  const to = out.reserve(5 + len);
  store<u8>(to, tag);
  store<u32>(to, len, 1);
  copy(to + 5, ptr, len);
  out.len += 5 + len;
}

export function writeInteger(out: Buffer, n: i64): void {
  const to = out.reserve(9);
  store<u8>(to, INTEGER);
  store<i64>(to, n, 1);
  out.len += 9;
}

/** Writes a value by its type: integers, bool, floats, string, Text, Blob, null, Integer, Real. NaN becomes NULL. */
export function write<T>(out: Buffer, x: T): void {
  if (isInteger<T>()) {
    if (!isSigned<T>() && sizeof<T>() == 8 && <i64>x < 0) {
      fail(Fault.BadInput, `${<u64>x} is above the largest integer that SQLite holds: write it as text`);
    }
    writeInteger(out, <i64>x);
  } else if (isFloat<T>()) {
    if (<f64>x != <f64>x) {
      out.u8(NULL);
    } else {
      const to = out.reserve(9);
      store<u8>(to, REAL);
      store<f64>(to, <f64>x, 1);
      out.len += 9;
    }
  } else if (changetype<usize>(x) == 0) {
    out.u8(NULL);
  } else if (isString<T>()) {
    const text = changetype<string>(x);
    let len = text.length;
    let to = out.reserve(5 + len);
    if (!encodeAscii(text, to + 5)) {
      len = String.UTF8.byteLength(text);
      to = out.reserve(5 + len);
      String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, to + 5);
    }
    store<u8>(to, TEXT);
    store<u32>(to, len, 1);
    out.len += 5 + len;
  } else if (idof<T>() == idof<Text>()) {
    const text = changetype<Text>(x);
    if (!isUtf8(text.ptr, text.len)) fail(Fault.BadInput, "a text is not UTF-8: write it as a Blob");
    sized(out, TEXT, text.ptr, text.len);
  } else if (idof<T>() == idof<Blob>()) {
    const blob = changetype<Blob>(x);
    sized(out, BLOB, blob.ptr, blob.len);
  } else if (idof<T>() == idof<Integer>()) {
    writeInteger(out, changetype<Integer>(x).value);
  } else if (idof<T>() == idof<Real>()) {
    write<f64>(out, changetype<Real>(x).value);
  } else if (idof<T>() == idof<Value>()) {
    changetype<Value>(x).write(out);
  } else {
    ERROR("no value of SQLite is made of this type");
  }
}

/** An integer where there may be none: `Integer | null`. */
export class Integer {
  constructor(readonly value: i64) {}
}

/** A real where there may be none: `Real | null`. */
export class Real {
  constructor(readonly value: f64) {}
}

/** Values in order, of a key, a row or a statement's parameters: `tuple(topic).and(partition)`. */
export class Values {
  bytes: Buffer = new Buffer();
  count: i32 = 0;

  and<T>(x: T): Values {
    write<T>(this.bytes, x);
    this.count++;
    return this;
  }
}

let pool: Values[] = [];
let used: i32 = 0;

/** No values. They belong to the batch. */
export function none(): Values {
  if (used == pool.length) pool.push(new Values());
  const values = pool[used++];
  values.bytes.len = 0;
  values.count = 0;
  return values;
}

/** Values, of which this is the first. */
export function tuple<T>(x: T): Values {
  return none().and<T>(x);
}

/** Values may be used again: the event that made them is applied. */
export function endValues(): void {
  used = 0;
}

/** A value that was read. */
export class Value {
  constructor(
    readonly kind: i32,
    readonly bits: u64,
    readonly ptr: usize,
    readonly len: i32,
  ) {}

  get isNull(): bool {
    return this.kind == NULL;
  }

  write(out: Buffer): void {
    if (this.kind == NULL) out.u8(NULL);
    else if (this.kind == INTEGER) writeInteger(out, <i64>this.bits);
    else if (this.kind == REAL) write<f64>(out, reinterpret<f64>(this.bits));
    else sized(out, this.kind, this.ptr, this.len);
  }

  integer(): i64 {
    this.check(INTEGER, "an integer");
    return <i64>this.bits;
  }

  real(): f64 {
    if (this.kind == INTEGER) return <f64>(<i64>this.bits);
    this.check(REAL, "a number");
    return reinterpret<f64>(this.bits);
  }

  text(): Text {
    this.check(TEXT, "a text");
    return new Text(this.ptr, this.len);
  }

  blob(): Blob {
    this.check(BLOB, "a blob");
    return new Blob(this.ptr, this.len);
  }

  private check(kind: i32, expected: string): void {
    if (this.kind != kind) fail(Fault.Other, `a value is not ${expected}`);
  }
}
