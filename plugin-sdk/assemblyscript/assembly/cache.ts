// The rows of one table that a batch writes: found by key, changed in memory, flushed as writes.
//
// Nothing is allocated per row: keys and texts lie one behind the other in an arena, in the form that they have in a frame,
// entries and cells in memory of fixed steps. The order is that of first writing, so the same batch always gives the same writes.
import { prepare } from "./host";
import { NONE, Writer } from "./frame";
import { Buffer, Failure, caught, copy, failWith, hasFailed, sameBytes } from "./memory";
import { BLOB, INTEGER, NULL, REAL, Value, writeInteger } from "./value";

export const SET: i32 = 0;
export const ADD: i32 = 1;
export const MAX: i32 = 2;
export const MIN: i32 = 3;

const NOTHING: i32 = 0;
export const UPSERT: i32 = 1;
export const UPDATE: i32 = 2;
export const DELETE: i32 = 3;
const REPLACE: i32 = 4;

const ENCODED: u32 = 2;

/** A row: all bits of columns are by the columns' positions; those in none but `written` are set. */
@unmanaged class Entry {
  hash: u32;
  key: u32;
  keyLen: i32;
  /** Of a row that was put and not touched since: how many bytes its key and values have, one behind the other. */
  whole: i32;
  /** Where its cells begin, plus one; 0: it has none yet. */
  cells: u32;
  /** The last event that touched the row. */
  event: u32;
  pending: i32;
  /** All cells have the row's values, or it is known that there is no row. */
  known: bool;
  /** There is no row in the database. */
  absent: bool;
  written: u64;
  add: u64;
  max: u64;
  min: u64;
}

/** A column of a row: null, an integer, or a place in the arena. */
@unmanaged class Cell {
  kind: u32;
  len: u32;
  value: i64;
}

class Statement {
  constructor(
    readonly verb: i32,
    readonly written: u64,
    readonly add: u64,
    readonly max: u64,
    readonly min: u64,
    readonly id: u32,
  ) {}
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export class Cache {
  arena: Buffer = new Buffer();
  entries: Buffer = new Buffer();
  cells: Buffer = new Buffer();
  private slots: usize = 0;
  private slotsCount: u32 = 0;
  private statements: Statement[] = [];
  private select: i64 = -1;
  touched: bool = false;
  width: i32;

  constructor(
    readonly name: string,
    readonly key: string[],
    readonly columns: string[],
  ) {
    this.width = columns.length;
  }

  get count(): u32 {
    return this.entries.len / offsetof<Entry>();
  }

  @inline entry(at: u32): Entry {
    return changetype<Entry>(this.entries.ptr + at * offsetof<Entry>());
  }

  @inline cell(at: u32, column: i32): Cell {
    const entry = this.entry(at);
    const cells = entry.cells != 0 ? this.cells.ptr + (entry.cells - 1) : this.makeCells(entry);
    return changetype<Cell>(cells + column * offsetof<Cell>());
  }

  /** The cells of an entry that had none: a row that was put is taken apart. */
  private makeCells(entry: Entry): usize {
    const len = this.width * <i32>offsetof<Cell>();
    const cells = this.cells.reserve(len);
    entry.cells = this.cells.len + 1;
    this.cells.len += len;
    let from = this.arena.ptr + entry.key + entry.keyLen;
    for (let to = cells; to < cells + len; to += offsetof<Cell>()) {
      const cell = changetype<Cell>(to);
      cell.kind = NULL;
      if (entry.whole == 0) continue;
      const tag = <i32>load<u8>(from);
      if (tag == INTEGER) {
        cell.kind = INTEGER;
        cell.value = load<i64>(from, 1);
      } else if (tag != NULL) {
        cell.kind = ENCODED;
        cell.len = lengthOf(from);
        cell.value = from - this.arena.ptr;
      }
      from += lengthOf(from);
    }
    entry.whole = 0;
    return cells;
  }

  clear(): void {
    this.touched = false;
    this.arena.len = this.entries.len = this.cells.len = 0;
    memory.fill(this.slots, 0, this.slotsCount * 4);
  }

  sizeBytes(): i32 {
    return this.arena.len + this.entries.len + this.cells.len;
  }

  /** Where the search for a hash begins: at its highest bits, which every bit of the key has had a part in. */
  @inline private first(hash: u32): u32 {
    return hash >> (32 - ctz(this.slotsCount));
  }

  /** The entry of a key; NONE: there is none. */
  find(key: usize, len: i32): u32 {
    return this.slotsCount == 0 ? NONE : this.search(hashOf(key, len), key, len) - 1;
  }

  private slot: u32 = 0;

  private search(hash: u32, key: usize, len: i32): u32 {
    const mask = this.slotsCount - 1;
    let slot = this.first(hash);
    let taken = load<u32>(this.slots + slot * 4);
    while (taken != 0) {
      const entry = this.entry(taken - 1);
      if (entry.hash == hash && entry.keyLen == len && sameBytes(this.arena.ptr + entry.key, key, len)) break;
      slot = (slot + 1) & mask;
      taken = load<u32>(this.slots + slot * 4);
    }
    this.slot = slot;
    return taken;
  }

  /** The entry of a key, made if there is none; `isNew` says whether it was. */
  isNew: bool = false;

  enterKey(key: usize, len: i32): u32 {
    const count = this.count;
    if ((count + 1) * 2 > this.slotsCount) this.moreSlots();
    const hash = hashOf(key, len);
    const taken = this.search(hash, key, len);
    this.isNew = taken == 0;
    if (taken != 0) return taken - 1;
    store<u32>(this.slots + this.slot * 4, count + 1);
    const at = this.entries.reserve(offsetof<Entry>());
    // By hand, since it is few bytes and the other way is a call of the engine.
    for (let word: usize = 0; word < offsetof<Entry>(); word += 8) store<u64>(at + word, 0);
    this.entries.len += offsetof<Entry>();
    const entry = changetype<Entry>(at);
    entry.hash = hash;
    entry.key = this.arena.len;
    entry.keyLen = len;
    entry.event = NONE;
    this.arena.append(key, len);
    return count;
  }

  private moreSlots(): void {
    if (this.slotsCount) heap.free(this.slots);
    this.slotsCount = max<u32>(this.slotsCount * 2, 64);
    this.slots = heap.alloc(this.slotsCount * 4);
    memory.fill(this.slots, 0, this.slotsCount * 4);
    const mask = this.slotsCount - 1;
    for (let at: u32 = 0; at < this.count; at++) {
      let slot = this.first(this.entry(at).hash);
      while (load<u32>(this.slots + slot * 4)) slot = (slot + 1) & mask;
      store<u32>(this.slots + slot * 4, at + 1);
    }
  }

  /** Enters a row; -1: there is none to write to, -2: what is gathered of it must be flushed first. */
  enter(key: usize, len: i32, isUpdate: bool, event: u32): i64 {
    const at = this.enterKey(key, len);
    const entry = this.entry(at);
    const before = entry.pending;
    if (isUpdate) {
      if (before == DELETE || (before == NOTHING && entry.absent)) return -1;
      if (before == NOTHING) entry.pending = UPDATE;
    } else if (before == NOTHING) {
      // One that was read is there.
      entry.pending = this.isNew || entry.absent ? UPSERT : UPDATE;
    } else if (before == DELETE) {
      entry.pending = REPLACE;
    } else if (before == UPDATE && !entry.known) {
      // An update may have met no row, which an upsert now makes: two writes, not one.
      return -2;
    }
    // A new row's other columns have defaults, which only the database knows.
    if (entry.absent || before == DELETE) entry.known = entry.absent = false;
    entry.event = event;
    return at;
  }

  /** Sets a cell to the value that stands in a frame's form at a place. */
  encode(at: u32, column: i32, from: usize, len: i32): void {
    const cell = this.cell(at, column);
    const tag = <i32>load<u8>(from);
    if (tag == NULL) {
      cell.kind = NULL;
    } else if (tag == INTEGER) {
      cell.kind = INTEGER;
      cell.value = load<i64>(from, 1);
    } else {
      cell.kind = ENCODED;
      cell.len = len;
      cell.value = this.arena.len;
      this.arena.append(from, len);
    }
  }

  /** Changes a column. False: this change cannot be put together with what is gathered. */
  change(at: u32, column: i32, how: i32, from: usize, len: i32): bool {
    const entry = this.entry(at);
    const bit = <u64>1 << column;
    let before = SET;
    if (!(entry.written & bit)) before = entry.known ? SET : -1;
    else if (entry.add & bit) before = ADD;
    else if (entry.max & bit) before = MAX;
    else if (entry.min & bit) before = MIN;
    // Nothing is known of the column, or it does not matter: the change itself is gathered.
    if (before < 0 || how == SET) {
      entry.written |= bit;
      entry.add = (entry.add & ~bit) | (how == ADD ? bit : 0);
      entry.max = (entry.max & ~bit) | (how == MAX ? bit : 0);
      entry.min = (entry.min & ~bit) | (how == MIN ? bit : 0);
      this.encode(at, column, from, len);
      return true;
    }
    // The column's value, or what is to be added to it, is known, and changes here.
    const n = load<i64>(from, 1);
    const cell = this.cell(at, column);
    let merged = n;
    if (cell.kind == INTEGER && (before == SET || before == how)) {
      const old = cell.value;
      if (how == ADD) {
        merged = old + n;
        if (((old ^ merged) & (n ^ merged)) < 0) return false;
      } else {
        merged = how == MAX ? max(old, n) : min(old, n);
      }
    } else if (cell.kind != NULL || before != SET) {
      return false;
    }
    entry.written |= bit;
    cell.kind = INTEGER;
    cell.value = merged;
    return true;
  }

  /** Writes all columns of an entry, whose values stand in a frame's form at a place. */
  write(at: u32, from: usize, len: i32): void {
    if (this.isNew) {
      // It stays as it is written in the end, behind its key.
      this.arena.append(from, len);
      const entry = this.entry(at);
      entry.whole = entry.keyLen + len;
      return;
    }
    for (let column = 0; column < this.width; column++) {
      const len = lengthOf(from);
      this.encode(at, column, from, len);
      from += len;
    }
  }

  /** Makes an entry whose columns were all written one that is put. */
  put(at: u32, event: u32): void {
    const entry = this.entry(at);
    entry.pending = entry.pending == DELETE || entry.pending == REPLACE ? REPLACE : UPSERT;
    entry.written = this.width == 0 ? 0 : u64.MAX_VALUE >> (64 - this.width);
    entry.add = entry.max = entry.min = 0;
    entry.known = true;
    entry.absent = false;
    entry.event = event;
  }

  delete(at: u32, event: u32): void {
    const entry = this.entry(at);
    if (entry.absent) return;
    entry.pending = DELETE;
    entry.whole = 0;
    entry.written = entry.add = entry.max = entry.min = 0;
    entry.known = true;
    entry.event = event;
  }

  exists(at: u32): bool {
    const entry = this.entry(at);
    return !entry.absent && entry.pending != DELETE;
  }

  value(at: u32, column: i32): Value {
    const cell = this.cell(at, column);
    if (cell.kind == NULL) return new Value(NULL, 0, 0, 0);
    if (cell.kind == INTEGER) return new Value(INTEGER, cell.value, 0, 0);
    const from = this.arena.ptr + <usize>cell.value;
    const tag = <i32>load<u8>(from);
    if (tag == REAL) return new Value(REAL, load<u64>(from, 1), 0, 0);
    return new Value(tag, 0, from + 5, load<u32>(from, 1));
  }

  /** Turns all rows into writes, and forgets them. */
  flush(ops: Writer): bool {
    for (let at: u32 = 0; at < this.count; at++) {
      const pending = this.entry(at).pending;
      if (pending == NOTHING || (pending == UPDATE && !this.entry(at).written)) continue;
      if (this.entry(at).whole != 0) {
        at = this.flushWhole(ops, at);
        if (at == NONE) return false;
      } else if (pending == REPLACE) {
        if (!this.flushRow(ops, at, DELETE) || !this.flushRow(ops, at, UPSERT)) return false;
      } else if (!this.flushRow(ops, at, pending)) {
        return false;
      }
    }
    this.clear();
    return true;
  }

  /** Writes the rows that were put from one on, as long as they lie one behind the other; answers the last, NONE if it failed. */
  private flushWhole(ops: Writer, at: u32): u32 {
    const first = this.entry(at);
    const statement = this.statement(UPSERT, first);
    if (statement < 0) return NONE;
    const count = this.count;
    const start = first.key;
    let end = start;
    for (; at < count; at++) {
      const entry = this.entry(at);
      if (entry.whole == 0 || entry.key != end) break;
      ops.op(<u32>statement, entry.event, ops.arena.len + <i32>(end - start), this.key.length + this.width);
      end += entry.whole;
    }
    ops.arena.append(this.arena.ptr + start, end - start);
    return at - 1;
  }

  private flushRow(ops: Writer, at: u32, verb: i32): bool {
    const entry = this.entry(at);
    const written = verb == DELETE ? 0 : entry.written;
    const statement = this.statement(verb, entry);
    if (statement < 0) return false;
    const start = ops.arena.len;
    ops.arena.append(this.arena.ptr + entry.key, entry.keyLen);
    for (let rest = written; rest; rest &= rest - 1) {
      const cell = this.cell(at, <i32>ctz(rest));
      if (cell.kind == NULL) ops.arena.u8(NULL);
      else if (cell.kind == INTEGER) writeInteger(ops.arena, cell.value);
      else ops.arena.append(this.arena.ptr + <usize>cell.value, cell.len);
    }
    ops.op(<u32>statement, entry.event, start, this.key.length + <i32>popcnt(written));
    return true;
  }

  private statement(verb: i32, entry: Entry): i64 {
    const rows = verb != DELETE;
    const written = rows ? entry.written : 0;
    const adds = rows ? entry.add : 0;
    const maxs = rows ? entry.max : 0;
    const mins = rows ? entry.min : 0;
    for (let i = 0; i < this.statements.length; i++) {
      const made = unchecked(this.statements[i]);
      if (made.verb == verb && made.written == written && made.add == adds && made.max == maxs && made.min == mins) return made.id;
    }
    const id = prepare(this.sql(verb, written, adds, maxs, mins));
    if (id < 0) {
      const failure = caught();
      if (failure !== null) failWith(new Failure(failure.fault, failure.message, failure.index < 0 ? entry.event : failure.index));
    } else this.statements.push(new Statement(verb, written, adds, maxs, mins, <u32>id));
    return id;
  }

  private where(): string {
    const parts: string[] = [];
    for (let i = 0; i < this.key.length; i++) parts.push(`${quoted(this.name)}.${quoted(this.key[i])} = ?${i + 1}`);
    return " WHERE " + parts.join(" AND ");
  }

  private sql(verb: i32, written: u64, adds: u64, maxs: u64, mins: u64): string {
    const table = quoted(this.name);
    if (verb == DELETE) return `DELETE FROM ${table}` + this.where();
    const isUpdate = verb == UPDATE;
    const keys: string[] = [];
    for (let i = 0; i < this.key.length; i++) keys.push(quoted(this.key[i]));
    const names = keys.slice();
    const assigned: string[] = [];
    for (let rest = written; rest; rest &= rest - 1) {
      const bit = rest & -rest;
      const column = quoted(this.columns[<i32>ctz(rest)]);
      names.push(column);
      const fresh = isUpdate ? `?${names.length}` : `excluded.${column}`;
      const old = `${table}.${column}`;
      let value = fresh;
      if (adds & bit) value = `ifnull(${old}, 0) + ${fresh}`;
      else if (maxs & bit) value = `max(ifnull(${old}, ${fresh}), ${fresh})`;
      else if (mins & bit) value = `min(ifnull(${old}, ${fresh}), ${fresh})`;
      assigned.push(`${column} = ${value}`);
    }
    if (isUpdate) return `UPDATE ${table} SET ${assigned.join(", ")}` + this.where();
    const marks = new Array<string>(names.length).fill("?");
    const then = assigned.length == 0 ? "NOTHING" : "UPDATE SET " + assigned.join(", ");
    return `INSERT INTO ${table} (${names.join(", ")}) VALUES (${marks.join(", ")}) ON CONFLICT (${keys.join(", ")}) DO ${then}`;
  }

  /** The statement that reads a row by its key; -1: SQLite refused it. */
  selectRow(): i64 {
    if (this.select >= 0) return this.select;
    // Only a qualified name is surely a column: a bare one that is misspelt would be a text.
    const columns: string[] = [];
    for (let i = 0; i < this.width; i++) columns.push(`${quoted(this.name)}.${quoted(this.columns[i])}`);
    const list = this.width == 0 ? "1" : columns.join(", ");
    this.select = prepare(`SELECT ${list} FROM ${quoted(this.name)}` + this.where());
    return this.select;
  }
}

/** How many bytes a value has that stands in a frame's form at a place. */
@inline function lengthOf(at: usize): i32 {
  const tag = <i32>load<u8>(at);
  return tag == NULL ? 1 : tag <= REAL ? 9 : 5 + load<u32>(at, 1);
}

/** A hash by multiplication, eight bytes at a time. A batch is bounded, so chosen keys do no harm. */
function hashOf(at: usize, len: i32): u32 {
  const factor: u64 = 0x517cc1b727220a95;
  let hash: u64 = len;
  let last: u64 = 0;
  if (len >= 8) {
    last = load<u64>(at + len - 8);
    for (; len >= 8; at += 8, len -= 8) hash = (rotl(hash, 5) ^ load<u64>(at)) * factor;
  } else {
    for (let i = 0; i < len; i++) last = (last << 8) | load<u8>(at + i);
  }
  return <u32>(((rotl(hash, 5) ^ last) * factor) >> 32);
}
