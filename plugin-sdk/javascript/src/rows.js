// The rows of one table that a batch writes: found by key, changed in memory, flushed as writes. The order is that of first
// writing, so the same batch always gives the same writes.

import { Arena, values as readValues } from "./arena.js";
import { LanternError } from "./errors.js";
import { Shapes, WRITTEN } from "./shape.js";
import { ADD, DELETE, MAX, MIN, SET, UNCHANGED, UPDATE, UPSERT, readSql } from "./table.js";
import { nameOfBytes } from "./text.js";
import { Real, sum, valueOf } from "./value.js";

// What is to be written of a row.
const NOTHING = 0;
export const UPSERTED = 1;
const UPDATED = 2;
const DELETED = 3;
const REPLACED = 4;
const FLUSHED = 5;
const VERBS = [[], [UPSERT], [UPDATE], [DELETE], [DELETE, UPSERT]];

// About what a row takes beside its long texts.
const ROW_BYTES = 160;
const LONG = 64;
const MOST = Number.MAX_SAFE_INTEGER;
const toNumber = Number;

/** A row that is being written. */
export class Row {
  constructor(db, rows, key) {
    this._db = db;
    this._rows = rows;
    this._key = key;
    // The last event that touched the row.
    this._event = null;
    this._pending = NOTHING;
    // By the columns' places, what is written; and how.
    this._values = rows.nulls.slice();
    this._shape = rows.shapes.unchanged;
    // All values are the row's, or it is known that there is no row.
    this._known = false;
    // There is no row in the database.
    this._absent = false;
  }

  // Each first tries what is usual, in the fewest steps: an integer of 32 bits, to a column that was changed in the same way.

  set(column, value) {
    if (typeof column !== "string") {
      let row = this;
      for (const [name, each] of Object.entries(column)) row = row._change(name, SET, valueOf(each));
      return row;
    }
    const by = typeof value === "bigint" ? toNumber(value) : value;
    const place = this._shape.set[column];
    if (place !== undefined && (by | 0) === by) {
      this._values[place] = by | 0;
      return this;
    }
    return this._change(column, SET, valueOf(value));
  }

  add(column, n) {
    const by = typeof n === "bigint" ? toNumber(n) : n;
    const place = this._shape.add[column];
    if (place !== undefined && (by | 0) === by) {
      const old = this._values[place];
      if (typeof old === "number") {
        const now = old + by;
        if (now <= MOST && now >= -MOST) {
          this._values[place] = now;
          return this;
        }
      }
    }
    return this._change(column, ADD, integerOf(column, n));
  }

  max(column, n) {
    const by = typeof n === "bigint" ? toNumber(n) : n;
    const place = this._shape.max[column];
    if (place !== undefined && (by | 0) === by) {
      if (by > this._values[place]) this._values[place] = by;
      return this;
    }
    return this._change(column, MAX, integerOf(column, n));
  }

  min(column, n) {
    const by = typeof n === "bigint" ? toNumber(n) : n;
    const place = this._shape.min[column];
    if (place !== undefined && (by | 0) === by) {
      if (by < this._values[place]) this._values[place] = by;
      return this;
    }
    return this._change(column, MIN, integerOf(column, n));
  }

  _change(column, change, value) {
    if (this._pending === FLUSHED) {
      // What was gathered is written: another row stands for this one. A flushed row keeps in `_absent` whether it was to be made.
      return this._db._rows(this._rows.table).enter(this._key, this._absent)._change(column, change, value);
    }
    const place = this._rows.places[column];
    if (place === undefined) {
      const { name, columns } = this._rows.table;
      throw new LanternError(`table \`${name}\` declares no column \`${column}\`, only ${columns.join(", ")}`);
    }
    const before = this._shape.changes[place];
    if (change === SET || (before === UNCHANGED && !this._known)) {
      // It does not matter, or it is not known, what the column was: the change itself is gathered.
      this._shape = this._shape.changed(place, change);
      this._values[place] = value;
      if (typeof value === "string" && value.length > LONG) this._db._grow(value.length);
      return this;
    }
    // The column's value, or what is to be added to it, is known, and changes here.
    const old = this._values[place];
    const isSet = before === SET || before === UNCHANGED;
    let merged;
    if (isSet && old === null) merged = value;
    else if ((isSet || before === change) && isInteger(old)) {
      if (change === ADD) merged = sum(old, value);
      else if (change === MAX) merged = old > value ? old : value;
      else merged = old < value ? old : value;
    }
    if (merged === undefined) return this._changeAnew(column, change, value);
    if (isSet) this._shape = this._shape.changed(place, SET);
    this._values[place] = merged;
    return this;
  }

  /** What is gathered and what comes now are not one change: the first is written, the second begins anew. */
  _changeAnew(column, change, value) {
    const upsert = this._pending !== UPDATED;
    this._db._flushRows();
    return this._db._rows(this._rows.table).insert(this._key, upsert)._change(column, change, value);
  }
}

function isInteger(value) {
  return typeof value === "bigint" || Number.isInteger(value);
}

function integerOf(column, value) {
  if (Number.isSafeInteger(value)) return value;
  const n = valueOf(value);
  if (isInteger(n)) return n;
  throw new LanternError(`column \`${column}\`: ${String(value)} is no integer, and only those are added and compared`);
}

/** The rows of a table. */
export class Rows {
  constructor(db, table) {
    this.db = db;
    this.table = table;
    this.places = table.places;
    this.parts = table.key.length;
    this.numbers = table.key.map((_, n) => n);
    this.nulls = new Array(table.columns.length).fill(null);
    this.shapes = new Shapes(table);
    this.select = undefined;
    this.scratch = new Arena(64);
    this.clear();
  }

  /** A key, checked: reals and NULL have no place in one, since what is equal must be equal byte for byte. */
  key(key) {
    if (this.parts === 1 && !Array.isArray(key)) return this._part(key);
    if (!Array.isArray(key) || key.length !== this.parts) {
      const given = Array.isArray(key) ? key.length : 1;
      throw new LanternError(
        `a key of \`${this.table.name}\` has the parts ${this.table.key.join(", ")}; ${given} were given`,
      );
    }
    const parts = key.map((part) => this._part(part));
    return this.parts === 1 ? parts[0] : parts;
  }

  _part(part) {
    if (typeof part === "string") return part;
    const value = valueOf(part);
    if (isInteger(value) || value instanceof Uint8Array) return value;
    throw new LanternError(`a key of \`${this.table.name}\` has ${String(part)}: keys are texts, integers and blobs`);
  }

  /** What a checked key is known by among the others: each kind of key has a map of its own, or cannot be taken for another. */
  #name(key) {
    if (key instanceof Uint8Array) return nameOfBytes(key);
    if (!Array.isArray(key)) return key;
    const scratch = this.scratch;
    scratch.length = 0;
    for (const part of key) scratch.value(part);
    return nameOfBytes(scratch.data());
  }

  /** The row of a checked key; undefined where none was touched. */
  find(key) {
    const isText = typeof key === "string";
    const place = isText ? this.texts.get(key) : this.others.get(this.#name(key));
    if (place === undefined) return undefined;
    return this.list[place] ?? this.#opened(place, key);
  }

  /** A row that was put, to be changed or read. */
  #opened(place, key) {
    const row = new Row(this.db, this, key);
    const [event, start, end] = this.spans.slice(place * 3, place * 3 + 3);
    row._values = this.#columnsAt(start, end);
    row._shape = this.shapes.whole;
    row._pending = UPSERTED;
    row._known = true;
    row._event = event;
    this.list[place] = row;
    return row;
  }

  row(key) {
    let row = this.find(key);
    if (row === undefined) {
      row = new Row(this.db, this, key);
      if (typeof key === "string") this.texts.set(key, this.list.length);
      else this.others.set(this.#name(key), this.list.length);
      this.list.push(row);
      this.spans.push(0, 0, 0);
      this.db._grow(ROW_BYTES);
    }
    return row;
  }

  /** Enters a row to write columns of it. */
  enter(key, upsert) {
    const row = this.row(key);
    let pending = row._pending;
    if (pending === UPSERTED && upsert) {
      row._event = this.db._event;
      return row;
    }
    if (pending === NOTHING) {
      if (!row._known) pending = upsert ? UPSERTED : UPDATED;
      else if (row._absent && !upsert) return this.#nowhere(key);
      // If it was read and is there, it is there to be updated.
      else pending = row._absent ? UPSERTED : UPDATED;
    } else if (pending === DELETED) {
      if (!upsert) return this.#nowhere(key);
      pending = REPLACED;
    } else if (pending === UPDATED && upsert && !row._known) {
      // The update may have met no row, which the upsert now makes: two writes, not one.
      this.db._flushRows();
      return this.db._rows(this.table).insert(key, true);
    }
    if (row._absent || row._pending === DELETED) {
      // A new row's other columns have defaults, which only the database knows.
      row._known = false;
      row._absent = false;
    }
    row._pending = pending;
    row._event = this.db._event;
    return row;
  }

  /** Enters a row that nothing is gathered of. */
  insert(key, upsert) {
    const row = this.row(key);
    row._pending = upsert ? UPSERTED : UPDATED;
    row._event = this.db._event;
    return row;
  }

  /** Takes writes to a row that is not there, and loses them. */
  #nowhere(key) {
    const row = new Row(this.db, this, key);
    row._pending = UPDATED;
    return row;
  }

  /** Writes a whole row. It is kept as the bytes that are written in the end, and taken apart only if it is touched again. */
  put(key, columns) {
    const names = this.table.columns;
    const { arena, parts } = this;
    const start = arena.length;
    try {
      if (Object.keys(columns).length !== names.length) throw this.#mismatch(columns);
      let map = this.others;
      let name;
      if (parts === 1) {
        const checked = typeof key === "string" ? key : this.key(key);
        arena.value(checked);
        if (typeof checked === "string") map = this.texts;
        name = this.#name(checked);
      } else {
        if (!Array.isArray(key) || key.length !== parts || arena.fields(key, this.numbers) > 0) this.key(key);
        name = nameOfBytes(arena.bytes.subarray(start, arena.length));
      }
      arena.fields(columns, names);
      const end = arena.length;
      const { list, spans, db } = this;
      const place = map.get(name);
      db._grow(end - start);
      if (place === undefined) {
        map.set(name, list.length);
        list.push(null);
        spans.push(db._event, start, end);
        db._bytes += ROW_BYTES;
      } else if (list[place] === null) {
        spans[place * 3] = db._event;
        spans[place * 3 + 1] = start;
        spans[place * 3 + 2] = end;
      } else this.#replace(list[place], start, end);
    } catch (error) {
      arena.length = start;
      // A column that is missing was taken for undefined.
      throw names.every((column) => Object.hasOwn(columns, column)) ? error : this.#mismatch(columns);
    }
  }

  #mismatch(columns) {
    const { name, columns: names } = this.table;
    const listed = Object.keys(columns).join(", ") || "nothing";
    return new LanternError(`${listed} was put into \`${name}\`, which declares ${names.join(", ")}`);
  }

  /** Writes all columns of a row that something else was gathered of. */
  #replace(row, start, end) {
    row._pending = row._pending === DELETED || row._pending === REPLACED ? REPLACED : UPSERTED;
    row._values = this.#columnsAt(start, end);
    row._shape = this.shapes.whole;
    row._known = true;
    row._absent = false;
    row._event = this.db._event;
  }

  /** The columns of a row that was put. */
  #columnsAt(start, end) {
    return readValues(this.arena.bytes, start, end, this.parts + this.nulls.length).slice(this.parts);
  }

  /** Deletes a row. */
  delete(key) {
    const row = this.row(this.key(key));
    if (row._known && row._absent) return;
    row._pending = DELETED;
    row._shape = this.shapes.unchanged;
    row._known = true;
    row._event = this.db._event;
  }

  /** The declared columns of a known row; null where there is none. */
  stored(row) {
    if (row._absent || row._pending === DELETED) return null;
    return Object.fromEntries(this.table.columns.map((column, place) => [column, plain(row._values[place])]));
  }

  /** Enters a row as the database has it. */
  load(key, stored) {
    const row = this.row(key);
    row._known = true;
    row._absent = stored === undefined;
    if (stored !== undefined) row._values = stored.slice(0, this.table.columns.length);
    return row;
  }

  selectId(host) {
    this.select ??= host.prepare(readSql(this.table));
    return this.select;
  }

  /** Turns all rows into writes, and forgets them. */
  flush(host, ops) {
    const { list, spans, arena } = this;
    this.clear();
    for (let place = 0; place < list.length; place++) {
      const row = list[place];
      if (row === null) {
        place = this.#writeWhole(host, ops, list, spans, arena, place);
        continue;
      }
      const { _pending: pending, _shape: shape } = row;
      row._absent = pending !== UPDATED;
      row._pending = FLUSHED;
      row._shape = WRITTEN;
      const verbs = VERBS[pending];
      for (let nth = 0; nth < verbs.length; nth++) this.#write(host, ops, verbs[nth], row, shape);
    }
  }

  /** Writes the rows that were put from a place on, as long as their bytes lie one behind the other; answers the last place. */
  #writeWhole(host, ops, list, spans, arena, place) {
    const statement = this.shapes.whole.statement(host, UPSERT, spans[place * 3]);
    const count = this.parts + this.nulls.length;
    const start = spans[place * 3 + 1];
    const to = ops.arena.length - start;
    for (; ; place++) {
      const at = place * 3;
      ops.entry(statement, spans[at], to + spans[at + 1], count);
      if (list[place + 1] !== null || spans[at + 4] !== spans[at + 2]) {
        ops.arena.put(arena.bytes.subarray(start, spans[at + 2]));
        return place;
      }
    }
  }

  #write(host, ops, verb, row, shape) {
    const written = verb === DELETE ? this.shapes.unchanged : shape;
    const { places } = written;
    if (verb === UPDATE && places.length === 0) return;
    const { _event: event, _key: key } = row;
    const arena = ops.arena;
    ops.begin(written.statement(host, verb, event), event, this.parts + places.length);
    if (Array.isArray(key)) arena.fields(key, this.numbers);
    else arena.value(key);
    arena.fields(row._values, places);
  }

  /** Forgets all rows. */
  clear() {
    // By the order of first writing: a row, or null for one that was put, whose event, start and end in the arena are in `spans`.
    this.list = [];
    this.spans = [];
    this.arena = new Arena();
    // Where a key's row is in the list: of texts, and of all others.
    this.texts = new Map();
    this.others = new Map();
    this.touched = false;
    this.table._open = undefined;
  }
}

/** A value as a plugin sees it. */
export function plain(value) {
  return value instanceof Real ? value.value : value;
}
