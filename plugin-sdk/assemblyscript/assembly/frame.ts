// Frames: plugin-sdk/wit/frames.md. A reader never reads outside, and says by the names of the test vectors what is wrong.
import { Buffer, isUtf8 } from "./memory";
import { BLOB, NULL, REAL, TEXT, Value } from "./value";

export const NONE: u32 = 0xffffffff;
export const EVENTS: i32 = 1;
export const OPS: i32 = 2;
export const ROWS: i32 = 3;

export class Layout {
  error: string = "";
  count: u32 = 0;
  stride: u32 = 0;
  texts: u32 = 0;
  arenaLen: u32 = 0;
  dictionary: usize = 0;
  index: usize = 0;
  arena: usize = 0;

  static parse(at: usize, len: i32, kind: i32): Layout {
    const layout = new Layout();
    layout.error = layout.read(at, len, kind);
    return layout;
  }

  private read(at: usize, len: i32, kind: i32): string {
    if (len < 32) return "short";
    if (load<u32>(at) != 0x4e52544c) return "magic";
    if (load<u16>(at, 4) != 1) return "version";
    if (<i32>load<u16>(at, 6) != kind) return "kind";
    this.count = load<u32>(at, 8);
    this.stride = load<u32>(at, 12);
    this.texts = load<u32>(at, 16);
    this.arenaLen = load<u32>(at, 20);
    if (this.stride < <u32>(kind == EVENTS ? 56 : kind == OPS ? 16 : 8)) return "stride";
    const index = <u64>this.count * this.stride;
    if (index > <u64>len || 32 + <u64>this.texts * 8 + index + this.arenaLen != <u64>len) return "length";
    this.dictionary = at + 32;
    this.index = this.dictionary + this.texts * 8;
    this.arena = this.index + <usize>index;
    let left = this.arenaLen;
    for (let id: u32 = 0; id < this.texts; id++) {
      const pos = load<u32>(this.dictionary + id * 8);
      const size = this.textLen(id);
      if (!this.inArena(pos, size)) return "bounds";
      if (!isUtf8(this.arena + pos, size)) return "utf8";
      if (size > left) return "bounds";
      left -= size;
    }
    return "";
  }

  @inline inArena(pos: u32, len: u32): bool {
    return pos <= this.arenaLen && len <= this.arenaLen - pos;
  }

  @inline textAt(id: u32): usize {
    return this.arena + load<u32>(this.dictionary + id * 8);
  }

  @inline textLen(id: u32): u32 {
    return load<u32>(this.dictionary + id * 8, 4);
  }

  /** Texts of the dictionary as strings, once they were asked for: many events have the same. */
  private strings: StaticArray<string | null> = new StaticArray<string | null>(0);

  text(id: u32): string {
    if (this.strings.length == 0) this.strings = new StaticArray<string | null>(<i32>this.texts);
    const known = this.strings[id];
    if (known !== null) return known;
    const made = String.UTF8.decodeUnsafe(this.textAt(id), this.textLen(id));
    this.strings[id] = made;
    return made;
  }

  @inline item(at: u32): usize {
    return this.index + at * this.stride;
  }

  /** Checks an event; answers what is left of the arena, -1 if it points outside or takes bytes twice. */
  checkEvent(at: u32, left: i64): i64 {
    const row = this.item(at);
    if (load<u32>(row, 16) >= this.texts || load<u32>(row, 24) >= this.texts) return -1;
    left = this.take(row + 28, left);
    if (left >= 0) left = this.take(row + 36, left);
    const count = load<u32>(row, 48);
    const bytes = <u64>count * 12;
    if (left < 0 || bytes > <u64>left || !this.inArena(load<u32>(row, 44), <u32>bytes)) return -1;
    left -= <i64>bytes;
    let entry = this.arena + load<u32>(row, 44);
    for (let i: u32 = 0; i < count && left >= 0; i++, entry += 12) {
      if (load<u32>(entry) >= this.texts) return -1;
      left = this.take(entry + 4, left);
    }
    return left;
  }

  private take(at: usize, left: i64): i64 {
    const len = load<u32>(at, 4);
    if (len == NONE) return left;
    return !this.inArena(load<u32>(at), len) || <i64>len > left ? -1 : left - len;
  }

  /** The values of an item, which end where the next item's begin; `error` says what is wrong with them. */
  values(item: u32, field: usize): Value[] {
    const row = this.item(item) + field;
    const values: Value[] = [];
    const pos = load<u32>(row);
    const count = load<u32>(row, 4);
    const end = item + 1 < this.count ? load<u32>(row + this.stride) : this.arenaLen;
    this.error = "bounds";
    if (pos > end || end > this.arenaLen || count > end - pos) return values;
    let from = this.arena + pos;
    const to = this.arena + end;
    for (let i: u32 = 0; i < count; i++) {
      if (from >= to) return values;
      const tag = <i32>load<u8>(from++);
      if (tag > BLOB) {
        this.error = "tag";
        return values;
      }
      const fixed: u32 = tag == NULL ? 0 : tag <= REAL ? 8 : 4;
      if (to - from < fixed) return values;
      let len: u32 = 0;
      let bits: u64 = 0;
      if (fixed == 8) bits = load<u64>(from);
      if (fixed == 4) len = load<u32>(from);
      from += fixed;
      if (to - from < len) return values;
      if (tag == TEXT && !isUtf8(from, len)) {
        this.error = "utf8";
        return values;
      }
      values.push(new Value(tag, bits, from, len));
      from += len;
    }
    this.error = "";
    return values;
  }
}

/** Items and what they point to, until they are written one behind the other. */
export class Writer {
  count: u32 = 0;
  dictionary: Buffer = new Buffer();
  index: Buffer = new Buffer();
  arena: Buffer = new Buffer();

  text(name: string): void {
    this.dictionary.u32(this.arena.len);
    this.dictionary.u32(String.UTF8.byteLength(name));
    this.arena.text(name);
  }

  op(statement: u32, event: u32, start: i32, count: i32): void {
    this.index.u32(statement);
    this.index.u32(event);
    this.row(start, count);
  }

  row(start: i32, count: i32): void {
    this.index.u32(start);
    this.index.u32(count);
    this.count++;
  }

  clear(): void {
    this.count = 0;
    this.dictionary.len = this.index.len = this.arena.len = 0;
  }

  finish(kind: i32, out: Buffer): void {
    out.len = 0;
    out.u32(0x4e52544c);
    out.u32(1 | (kind << 16));
    out.u32(this.count);
    out.u32(kind == OPS ? 16 : 8);
    out.u32(this.dictionary.len / 8);
    out.u32(this.arena.len);
    out.u32(0);
    out.u32(0);
    out.append(this.dictionary.ptr, this.dictionary.len);
    out.append(this.index.ptr, this.index.len);
    out.append(this.arena.ptr, this.arena.len);
    this.clear();
  }
}
