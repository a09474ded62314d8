// Bytes, texts, and what went wrong.

/** Bytes that grow, outside of the collected memory. */
export class Buffer {
  ptr: usize = 0;
  len: i32 = 0;
  room: i32 = 0;

  @inline reserve(more: i32): usize {
    if (this.room - this.len < more) this.grow(more);
    return this.ptr + this.len;
  }

  private grow(more: i32): void {
    let room = max(this.room, 256);
    while (room - this.len < more) room *= 2;
    this.ptr = this.room ? heap.realloc(this.ptr, room) : heap.alloc(room);
    this.room = room;
  }

  @inline u8(value: i32): void {
    store<u8>(this.reserve(1), value);
    this.len += 1;
  }

  @inline u32(value: u32): void {
    store<u32>(this.reserve(4), value);
    this.len += 4;
  }

  append(from: usize, len: i32): void {
    copy(this.reserve(len), from, len);
    this.len += len;
  }

  text(text: string): void {
    const len = String.UTF8.byteLength(text);
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.reserve(len));
    this.len += len;
  }

  toString(): string {
    return String.UTF8.decodeUnsafe(this.ptr, this.len);
  }
}

/** A copy of a few bytes without a call of the engine. */
@inline export function copy(to: usize, from: usize, len: i32): void {
  if (len > 64) {
    memory.copy(to, from, len);
  } else if (len >= 8) {
    const last = load<u64>(from + len - 8);
    for (let at = 0; at + 8 < len; at += 8) store<u64>(to + at, load<u64>(from + at));
    store<u64>(to + len - 8, last);
  } else {
    for (let at = 0; at < len; at++) store<u8>(to + at, load<u8>(from + at));
  }
}

/** Writes a text of as many bytes as it has characters; false: it is not ASCII. */
export function encodeAscii(text: string, to: usize): bool {
  let from = changetype<usize>(text);
  let left = text.length;
  for (; left >= 4; left -= 4, from += 8, to += 4) {
    const four = load<u64>(from);
    if (four & 0xff80ff80ff80ff80) return false;
    store<u32>(to, <u32>((four & 0xff) | ((four >> 8) & 0xff00) | ((four >> 16) & 0xff0000) | ((four >> 24) & 0xff000000)));
  }
  for (; left > 0; left--, from += 2, to++) {
    const char = load<u16>(from);
    if (char > 0x7f) return false;
    store<u8>(to, char);
  }
  return true;
}

@inline export function sameBytes(left: usize, right: usize, len: i32): bool {
  for (; len >= 8; len -= 8, left += 8, right += 8) if (load<u64>(left) != load<u64>(right)) return false;
  for (; len > 0; len--, left++, right++) if (load<u8>(left) != load<u8>(right)) return false;
  return true;
}

/** Whether UTF-8 in memory is this text. */
export function sameText(at: usize, len: i32, text: string): bool {
  const chars = text.length;
  if (chars > len) return false;
  for (let i = 0; i < chars; i++) {
    const char = text.charCodeAt(i);
    if (char > 0x7f) return String.UTF8.decodeUnsafe(at, len) == text;
    if (<i32>load<u8>(at + i) != char) return false;
  }
  return chars == len;
}

export function isUtf8(at: usize, len: i32): bool {
  const end = at + len;
  while (at < end) {
    if (end - at >= 8 && !(load<u64>(at) & 0x8080808080808080)) {
      at += 8;
      continue;
    }
    const first = <u32>load<u8>(at++);
    if (first < 0x80) continue;
    let more: u32 = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || end - at < more) return false;
    const second = <u32>load<u8>(at);
    if (first == 0xe0 && second < 0xa0) return false;
    if (first == 0xed && second > 0x9f) return false;
    if (first == 0xf0 && second < 0x90) return false;
    if (first == 0xf4 && second > 0x8f) return false;
    for (; more > 0; more--) if ((load<u8>(at++) & 0xc0) != 0x80) return false;
  }
  return true;
}

/** Bytes as they are: a BLOB. They belong to the batch. */
export class Blob {
  constructor(
    readonly ptr: usize,
    readonly len: i32,
    readonly owner: ArrayBuffer | null = null,
  ) {}

  static of(bytes: Uint8Array): Blob {
    return new Blob(bytes.dataStart, bytes.length, bytes.buffer);
  }
}

/** UTF-8 as it stands in an event: a text that is not copied. It belongs to the batch; `toString` makes a string of it. */
export class Text {
  constructor(
    readonly ptr: usize,
    readonly len: i32,
    readonly owner: ArrayBuffer | null = null,
  ) {}

  is(text: string): bool {
    return sameText(this.ptr, this.len, text);
  }

  toString(): string {
    return String.UTF8.decodeUnsafe(this.ptr, this.len);
  }

  static of(text: string): Text {
    const bytes = String.UTF8.encode(text);
    return new Text(changetype<usize>(bytes), bytes.byteLength, bytes);
  }
}

/** Whose fault an error is. */
export enum Fault {
  BadInput,
  Sql,
  Conflict,
  Unsupported,
  Other,
}

export class Failure {
  constructor(
    readonly fault: Fault,
    readonly message: string,
    /** The event at fault, where that is not the one being applied; -1: it is. */
    readonly index: i64 = -1,
  ) {}

  /** The fault as it is written: `bad-input`. */
  get kind(): string {
    if (this.fault == Fault.BadInput) return "bad-input";
    if (this.fault == Fault.Sql) return "sql";
    if (this.fault == Fault.Conflict) return "conflict";
    return this.fault == Fault.Unsupported ? "unsupported" : "other";
  }
}

let failed: Failure | null = null;

/**
 * Fails the event. AssemblyScript has no exceptions, so the function goes on; nothing of what it writes is kept, and the
 * first failure is the one that is told.
 */
export function fail(fault: Fault, message: string): void {
  if (failed === null) failed = new Failure(fault, message);
}

export function failWith(failure: Failure): void {
  if (failed === null) failed = failure;
}

/** Whether something has failed. */
export function hasFailed(): bool {
  return failed !== null;
}

/** What has failed, for a plugin that goes on in spite of it: the event counts as right again. */
export function caught(): Failure | null {
  const failure = failed;
  failed = null;
  return failure;
}
