// JSON, read strictly and lazily: an object knows where its fields are, and reads one when it is asked for.
import { parseReal } from "./real";
import { Blob, Fault, Text, fail, isUtf8, sameText } from "./memory";
import { Integer, Real } from "./value";

class Reader {
  at: usize;
  error: string = "";

  constructor(
    private start: usize,
    public end: usize,
  ) {
    this.at = start;
  }

  /** Begins anew. */
  read(start: usize, end: usize): void {
    this.start = this.at = start;
    this.end = end;
    this.error = "";
  }

  wrong(error: string): bool {
    if (this.error.length == 0) this.error = error;
    return false;
  }

  explain(): string {
    let line = 1;
    let column = 0;
    const stop = this.at < this.end ? this.at + 1 : this.end;
    for (let at = this.start; at < stop; at++) {
      column++;
      if (load<u8>(at) == 10) {
        line++;
        column = 0;
      }
    }
    return `${this.error} at line ${line} column ${column}`;
  }

  @inline peek(): i32 {
    while (this.at < this.end) {
      const byte = <i32>load<u8>(this.at);
      if (byte > 0x20 || (byte != 0x20 && byte != 10 && byte != 13 && byte != 9)) return byte;
      this.at++;
    }
    return 0;
  }

  expect(byte: i32, error: string): bool {
    if (this.peek() != byte) return this.wrong(this.at == this.end ? "the JSON ends too early" : error);
    this.at++;
    return true;
  }

  /** Passes over a text behind its first quote; answers 0: wrong, 1: as it stands, 2: with escapes. */
  text(): i32 {
    let how = 1;
    let at = this.at;
    for (const end = this.end; at < end; at++) {
      const byte = load<u8>(at);
      if (byte == 0x22) {
        this.at = at + 1;
        return how;
      }
      if (byte >= 0x20 && byte != 0x5c) continue;
      this.at = at + 1;
      if (byte == 0x5c) {
        how = 2;
        if (!this.escape()) return 0;
        at = this.at - 1;
        continue;
      }
      this.at = at;
      return this.wrong("control character in a text") ? 1 : 0;
    }
    this.at = at;
    return this.wrong("the JSON ends within a text") ? 1 : 0;
  }

  private escape(): bool {
    if (this.at == this.end) return this.wrong("the JSON ends within a text");
    const byte = load<u8>(this.at++);
    if (byte != 0x75) {
      const known = byte == 0x22 || byte == 0x5c || byte == 0x2f || byte == 0x62 || byte == 0x66 || byte == 0x6e || byte == 0x72 || byte == 0x74;
      return known || this.wrong("invalid escape");
    }
    const high = this.hex4();
    if (high < 0) return false;
    if ((high & 0xf800) != 0xd800) return true;
    if (high >= 0xdc00 || this.end - this.at < 6 || load<u16>(this.at) != 0x755c) return this.wrong("lone surrogate in an escape");
    this.at += 2;
    const low = this.hex4();
    return (low >= 0 && (low & 0xfc00) == 0xdc00) || this.wrong("lone surrogate in an escape");
  }

  hex4(): i32 {
    if (this.end - this.at < 4) return this.wrong("the JSON ends within a text") ? 0 : -1;
    let value = 0;
    for (let i = 0; i < 4; i++) {
      const digit = hexDigit(load<u8>(this.at++));
      if (digit < 0) return this.wrong("invalid escape") ? 0 : -1;
      value = (value << 4) | digit;
    }
    return value;
  }

  number(): bool {
    if (this.at < this.end && load<u8>(this.at) == 0x2d) this.at++;
    const first = this.at;
    let right = this.digits() && (this.at - first == 1 || load<u8>(first) != 0x30);
    if (right && this.at < this.end && load<u8>(this.at) == 0x2e) {
      this.at++;
      right = this.digits();
    }
    if (right && this.at < this.end && (load<u8>(this.at) | 32) == 0x65) {
      this.at++;
      if (this.at < this.end && (load<u8>(this.at) == 0x2b || load<u8>(this.at) == 0x2d)) this.at++;
      right = this.digits();
    }
    return right || this.wrong("invalid number");
  }

  private digits(): bool {
    const start = this.at;
    let at = start;
    for (const end = this.end; at < end && <u32>load<u8>(at) - 0x30 < 10; at++) {}
    this.at = at;
    return at > start;
  }

  private word(word: string): bool {
    if (<i32>(this.end - this.at) < word.length || !sameText(this.at, word.length, word)) return this.wrong("expected a JSON value");
    this.at += word.length;
    return true;
  }

  /** Passes over any value. */
  value(depth: i32): bool {
    const first = this.peek();
    if (first == 0x22) {
      this.at++;
      return this.text() != 0;
    }
    if (first == 0x2d || <u32>first - 0x30 < 10) return this.number();
    if (first == 0x74) return this.word("true");
    if (first == 0x66) return this.word("false");
    if (first == 0x6e) return this.word("null");
    if (depth > 128) return this.wrong("the JSON is nested too deeply");
    if (first == 0x5b) {
      this.at++;
      for (let i = 0; this.peek() != 0x5d; i++) {
        if (i > 0 && !this.expect(0x2c, "expected `,` or `]`")) return false;
        if (!this.value(depth + 1)) return false;
      }
      this.at++;
      return true;
    }
    if (first != 0x7b) return this.wrong(this.at == this.end ? "the JSON ends too early" : "expected a JSON value");
    this.at++;
    for (let i = 0; this.peek() != 0x7d; i++) {
      if (i > 0 && !this.expect(0x2c, "expected `,` or `}`")) return false;
      if (!this.expect(0x22, "expected a field's name") || !this.text() || !this.expect(0x3a, "expected `:`")) return false;
      if (!this.value(depth + 1)) return false;
    }
    this.at++;
    return true;
  }
}

/** Passes over objects, one at a time. */
const objects: Reader = new Reader(0, 0);

function hexDigit(byte: u8): i32 {
  const digit = <i32>byte - 0x30;
  if (<u32>digit < 10) return digit;
  const letter = (<i32>byte | 32) - 0x61;
  return <u32>letter < 6 ? letter + 10 : -1;
}

/** The bytes of hex digits; null if they are none. */
export function fromHex(text: Text): Blob | null {
  if (text.len & 1) return null;
  const bytes = new Uint8Array(text.len / 2);
  for (let i = 0; i < bytes.length; i++) {
    const high = hexDigit(load<u8>(text.ptr + i * 2));
    const low = hexDigit(load<u8>(text.ptr + i * 2 + 1));
    if (high < 0 || low < 0) return null;
    bytes[i] = <u8>((high << 4) | low);
  }
  return Blob.of(bytes);
}

/** What a message begins with. */
export interface Where {
  toString(): string;
}

/** Fields of an object that there is room for at first. */
const FIELDS: i32 = 8;

/** A piece of JSON. What is asked of it and is not there fails the event, as its fault, and says where. */
export class Json {
  /** Of an object: name's position and end, value's position and end, one after the other. */
  private fields: StaticArray<usize> = new StaticArray<usize>(FIELDS * 4);
  private used: i32 = 0;
  private next: i32 = 0;

  constructor(
    private start: usize,
    private end: usize,
    /** What is at fault: the event's coordinates, or the command. */
    readonly where: Where | null,
  ) {}

  /** Reads an object: where its fields are. */
  static object(start: usize, end: usize, where: Where | null): Json {
    const json = new Json(start, end, where);
    json.open();
    return json;
  }

  /** Another object in the place of this one: an event's data is asked for a million times. */
  reopen(start: usize, end: usize): void {
    this.start = start;
    this.end = end;
    this.used = this.next = 0;
    this.open();
  }

  private open(): void {
    const reader = objects;
    reader.read(this.start, this.end);
    let fields = this.fields;
    let used = 0;
    let right = reader.expect(0x7b, "expected an object");
    for (let i = 0; right && reader.peek() != 0x7d; i++) {
      right = (i == 0 || reader.expect(0x2c, "expected `,` or `}`")) && reader.expect(0x22, "expected a field's name");
      if (!right) break;
      if (used == fields.length) this.fields = fields = StaticArray.concat(fields, new StaticArray<usize>(used));
      unchecked((fields[used] = reader.at));
      right = reader.text() != 0;
      unchecked((fields[used + 1] = reader.at - 1));
      right = right && reader.expect(0x3a, "expected `:`");
      reader.peek();
      unchecked((fields[used + 2] = reader.at));
      right = right && reader.value(0);
      unchecked((fields[used + 3] = reader.at));
      used += 4;
    }
    this.used = used;
    if (right) {
      reader.at++;
      reader.peek();
      right = reader.at == reader.end || reader.wrong("something stands behind the JSON");
    }
    if (!right) this.fail(reader.explain());
  }

  fail(message: string): void {
    const where = this.where;
    fail(Fault.BadInput, where === null ? message : where.toString() + ": " + message);
  }

  /** Where a field's value begins in `fields`, -1 without one. Fields are mostly asked for in their order. */
  private find(name: string): i32 {
    const fields = this.fields;
    const count = this.used;
    for (let i = 0, at = this.next; i < count; i += 4, at += 4) {
      if (at >= count) at = 0;
      const from = unchecked(fields[at]);
      if (sameText(from, <i32>(unchecked(fields[at + 1]) - from), name)) {
        this.next = at + 4;
        return at + 2;
      }
    }
    return -1;
  }

  private need(name: string): i32 {
    const at = this.find(name);
    if (at < 0) this.fail(`missing field \`${name}\``);
    return at;
  }

  private wrong(at: usize, error: string): void {
    const reader = new Reader(this.start, this.end);
    reader.at = at;
    reader.wrong(error);
    this.fail(reader.explain());
  }

  /** Whether there is a field of this name that is not null. */
  has(name: string): bool {
    const at = this.find(name);
    return at >= 0 && load<u8>(this.fields[at]) != 0x6e;
  }

  /** A text. */
  text(name: string): Text {
    const at = this.need(name);
    return at < 0 ? new Text(0, 0) : this.textAt(this.fields[at], this.fields[at + 1]);
  }

  /** A text, or null where it is null or left out. */
  textOrNull(name: string): Text | null {
    return this.has(name) ? this.text(name) : null;
  }

  /** An integer, exact. */
  int(name: string): i64 {
    const at = this.need(name);
    return at < 0 ? 0 : this.intAt(this.fields[at], this.fields[at + 1]);
  }

  intOr(name: string, otherwise: i64): i64 {
    return this.has(name) ? this.int(name) : otherwise;
  }

  intOrNull(name: string): Integer | null {
    return this.has(name) ? new Integer(this.int(name)) : null;
  }

  real(name: string): f64 {
    const at = this.need(name);
    return at < 0 ? 0 : this.realAt(this.fields[at], this.fields[at + 1]);
  }

  realOrNull(name: string): Real | null {
    return this.has(name) ? new Real(this.real(name)) : null;
  }

  bool(name: string): bool {
    const at = this.need(name);
    if (at < 0) return false;
    const first = load<u8>(this.fields[at]);
    if (first != 0x74 && first != 0x66) this.wrong(this.fields[at], "expected true or false");
    return first == 0x74;
  }

  /** An object within it. */
  object(name: string): Json {
    const at = this.need(name);
    return at < 0 ? new Json(0, 0, this.where) : Json.object(this.fields[at], this.fields[at + 1], this.where);
  }

  /** The items of an array within it. */
  array(name: string): Json[] {
    const items: Json[] = [];
    const at = this.need(name);
    if (at < 0) return items;
    const reader = new Reader(this.fields[at], this.fields[at + 1]);
    if (!reader.expect(0x5b, "expected an array")) {
      this.wrong(this.fields[at], "expected an array");
      return items;
    }
    while (reader.peek() != 0x5d) {
      if (items.length > 0) reader.at++;
      reader.peek();
      const start = reader.at;
      if (!reader.value(0)) break;
      items.push(new Json(start, reader.at, this.where));
    }
    return items;
  }

  /** This itself, as an item of an array. */
  asInt(): i64 {
    return this.intAt(this.start, this.end);
  }

  asText(): Text {
    return this.textAt(this.start, this.end);
  }

  asObject(): Json {
    return Json.object(this.start, this.end, this.where);
  }

  private textAt(from: usize, to: usize): Text {
    if (load<u8>(from) != 0x22) {
      this.wrong(from, "expected a text");
      return new Text(from, 0);
    }
    const len = <i32>(to - from) - 2;
    from++;
    let at = from;
    while (at < to - 1 && load<u8>(at) != 0x5c) at++;
    const text = at == to - 1 ? new Text(from, len) : unescaped(from, to - 1);
    if (!isUtf8(text.ptr, text.len)) this.wrong(from, "invalid unicode in a text");
    return text;
  }

  private intAt(from: usize, to: usize): i64 {
    let at = from;
    const negative = load<u8>(at) == 0x2d;
    if (negative) at++;
    if (<u32>load<u8>(at) - 0x30 >= 10) {
      this.wrong(from, "expected an integer");
      return 0;
    }
    let n: u64 = 0;
    let fits = true;
    for (; at < to; at++) {
      const digit = <u64>load<u8>(at) - 0x30;
      if (digit > 9) {
        this.wrong(at, "expected an integer, found a fraction");
        return 0;
      }
      if (n > (u64.MAX_VALUE - digit) / 10) fits = false;
      n = n * 10 + digit;
    }
    if (!fits || n > <u64>i64.MAX_VALUE + (negative ? 1 : 0)) this.wrong(from, "expected an integer of 64 bits, found a larger one");
    return negative ? <i64>(0 - n) : <i64>n;
  }

  private realAt(from: usize, to: usize): f64 {
    const first = <i32>load<u8>(from);
    if (first != 0x2d && <u32>first - 0x30 >= 10) {
      this.wrong(from, "expected a number");
      return 0;
    }
    const x = parseReal(from, to);
    if (!isFinite(x)) this.wrong(from, "number out of range");
    return x;
  }
}

function unescaped(from: usize, to: usize): Text {
  const bytes = new ArrayBuffer(<i32>(to - from));
  const start = changetype<usize>(bytes);
  let out = start;
  while (from < to) {
    const byte = load<u8>(from++);
    if (byte != 0x5c) {
      store<u8>(out++, byte);
      continue;
    }
    const kind = load<u8>(from++);
    if (kind != 0x75) {
      store<u8>(out++, kind == 0x62 ? 8 : kind == 0x66 ? 12 : kind == 0x6e ? 10 : kind == 0x72 ? 13 : kind == 0x74 ? 9 : kind);
      continue;
    }
    let code = hex(from);
    from += 4;
    if ((code & 0xfc00) == 0xd800) {
      code = 0x10000 + ((code & 0x3ff) << 10) + (hex(from + 2) & 0x3ff);
      from += 6;
    }
    if (code < 0x80) {
      store<u8>(out++, code);
    } else if (code < 0x800) {
      store<u8>(out++, 0xc0 | (code >> 6));
      store<u8>(out++, 0x80 | (code & 0x3f));
    } else {
      if (code < 0x10000) {
        store<u8>(out++, 0xe0 | (code >> 12));
      } else {
        store<u8>(out++, 0xf0 | (code >> 18));
        store<u8>(out++, 0x80 | ((code >> 12) & 0x3f));
      }
      store<u8>(out++, 0x80 | ((code >> 6) & 0x3f));
      store<u8>(out++, 0x80 | (code & 0x3f));
    }
  }
  return new Text(start, <i32>(out - start), bytes);
}

function hex(at: usize): i32 {
  let value = 0;
  for (let i = 0; i < 4; i++) value = (value << 4) | hexDigit(load<u8>(at + i));
  return value;
}

/** An object that is written: `new JsonObject().int("cents", 500)`. */
export class JsonObject {
  private out: string[] = [];

  private field(name: string, json: string): JsonObject {
    this.out.push(`${quoted(name)}:${json}`);
    return this;
  }

  int(name: string, n: i64): JsonObject {
    return this.field(name, n.toString());
  }

  real(name: string, x: f64): JsonObject {
    return this.field(name, isFinite(x) ? x.toString() : "null");
  }

  bool(name: string, is: bool): JsonObject {
    return this.field(name, is ? "true" : "false");
  }

  text(name: string, text: string | null): JsonObject {
    return this.field(name, text === null ? "null" : quoted(text));
  }

  object(name: string, object: JsonObject): JsonObject {
    return this.field(name, object.toString());
  }

  /** JSON as it is. */
  raw(name: string, json: string): JsonObject {
    return this.field(name, json);
  }

  toString(): string {
    return `{${this.out.join(",")}}`;
  }
}

/** A text as JSON, with its quotes. */
export function quoted(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char == 0x22 || char == 0x5c) out += "\\" + text.charAt(i);
    else if (char < 0x20) out += "\\u00" + (char >> 4).toString(16) + (char & 15).toString(16);
    else out += text.charAt(i);
  }
  return out + '"';
}
