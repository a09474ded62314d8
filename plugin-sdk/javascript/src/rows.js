// The rows of one table that a batch writes: found by key, changed in memory, flushed as writes. The order is that of first
// writing, so the same batch always gives the same writes.

import { LanternError } from "./errors.js";
import { ADD, DELETE, MAX, MIN, SET, UNCHANGED, UPDATE, UPSERT, readSql, writeSql } from "./table.js";
import { Real, sum, valueOf } from "./value.js";

// What is to be written of a row.
const NOTHING = 0;
const UPSERTED = 1;
const UPDATED = 2;
const DELETED = 3;
const REPLACED = 4;
const FLUSHED = 5;
const VERBS = [[], [UPSERT], [UPDATE], [DELETE], [DELETE, UPSERT]];

// About what a row takes beside its long texts.
const ROW_BYTES = 160;
const LONG = 64;

/** A row that is being written. */
export class Row {
  constructor(db, rows, key) {
    this._db = db;
    this._rows = rows;
    this._key = key;
    // The last event that touched the row.
    this._event = null;
    this._pending = NOTHING;
    // By the columns' places: what is written, and how.
    this._values = rows.nulls.slice();
    this._changes = rows.unchanged.slice();
    // All values are the row's, or it is known that there is no row.
    this._known = false;
    // There is no row in the database.
    this._absent = false;
  }

  set(column, value) {
    if (typeof column === "string") return this._change(column, SET, valueOf(value));
    let row = this;
    for (const [name, each] of Object.entries(column)) row = row._change(name, SET, valueOf(each));
    return row;
  }

  add(column, n) {
    return this._change(column, ADD, integerOf(column, n));
  }

  max(column, n) {
    return this._change(column, MAX, integerOf(column, n));
  }

  min(column, n) {
    return this._change(column, MIN, integerOf(column, n));
  }

  _change(column, change, value) {
    if (this._pending === FLUSHED) {
      // What was gathered is written: another row stands for this one. A flushed row keeps in `_absent` whether it was to be made.
      return this._db._rows(this._rows.table).enter(this._key, this._absent)._change(column, change, value);
    }
    const place = this._rows.table.places.get(column);
    if (place === undefined) {
      const { name, columns } = this._rows.table;
      throw new LanternError(`table \`${name}\` declares no column \`${column}\`, only ${columns.join(", ")}`);
    }
    const before = this._changes[place];
    if (change === SET || (before === UNCHANGED && !this._known)) {
      // It does not matter, or it is not known, what the column was: the change itself is gathered.
      this._changes[place] = change;
      this._values[place] = value;
      if (typeof value === "string" && value.length > LONG) this._db._bytes += value.length;
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
    if (isSet) this._changes[place] = SET;
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
    this.nulls = new Array(table.columns.length).fill(null);
    this.unchanged = new Array(table.columns.length).fill(UNCHANGED);
    this.rows = new Map();
    this.statements = new Map();
    this.select = undefined;
    this.touched = false;
  }

  /** A key's parts, checked: reals and NULL have no place in one, since what is equal must be equal byte for byte. */
  key(key) {
    const width = this.table.key.length;
    if (width === 1 && typeof key === "string") return key;
    const parts = Array.isArray(key) ? key : [key];
    if (parts.length !== width) {
      throw new LanternError(
        `a key of \`${this.table.name}\` has the parts ${this.table.key.join(", ")}; ${parts.length} were given`,
      );
    }
    return parts.map((part) => {
      const value = valueOf(part);
      if (typeof value === "string" || isInteger(value) || value instanceof Uint8Array) return value;
      throw new LanternError(`a key of \`${this.table.name}\` has ${String(part)}: keys are texts, integers and blobs`);
    });
  }

  /** The row of a checked key; undefined where none was touched. */
  find(key) {
    return this.rows.get(found(key));
  }

  row(key) {
    const name = found(key);
    let row = this.rows.get(name);
    if (row === undefined) {
      row = new Row(this.db, this, key);
      this.rows.set(name, row);
      this.db._bytes += ROW_BYTES;
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

  /** Writes a whole row. */
  put(key, columns) {
    const { name, columns: names, places } = this.table;
    const given = Object.keys(columns);
    if (given.length !== names.length || !given.every((column) => places.has(column))) {
      const listed = given.join(", ") || "nothing";
      throw new LanternError(`${listed} was put into \`${name}\`, which declares ${names.join(", ")}`);
    }
    const values = names.map((column) => valueOf(columns[column]));
    const row = this.row(this.key(key));
    row._pending = row._pending === DELETED || row._pending === REPLACED ? REPLACED : UPSERTED;
    row._values = values;
    row._changes = names.map(() => SET);
    row._known = true;
    row._absent = false;
    row._event = this.db._event;
    for (const value of values) if (value?.length > LONG) this.db._bytes += value.length;
  }

  /** Deletes a row. */
  delete(key) {
    const row = this.row(this.key(key));
    if (row._known && row._absent) return;
    row._pending = DELETED;
    row._changes = this.unchanged.slice();
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
    const rows = this.rows;
    this.rows = new Map();
    for (const row of rows.values()) {
      const { _pending: pending, _changes: changes, _event: event, _key: key } = row;
      row._absent = pending !== UPDATED;
      row._pending = FLUSHED;
      for (const verb of VERBS[pending]) this.#write(host, ops, verb, row, changes, event, key);
    }
  }

  #write(host, ops, verb, row, changes, event, key) {
    if (verb === DELETE) changes = this.unchanged;
    const name = nameOf(verb, changes);
    let known = this.statements.get(name);
    if (known === undefined) {
      const places = [];
      for (const [place, change] of changes.entries()) if (change) places.push(place);
      known = { places, statement: undefined };
      if (verb !== UPDATE || places.length > 0) known.statement = this.#prepare(host, verb, changes, event);
      this.statements.set(name, known);
    }
    const { statement, places } = known;
    if (statement === undefined) return;
    const arena = ops.arena;
    ops.begin(statement, event, this.table.key.length + places.length);
    if (typeof key === "string") arena.value(key);
    else for (const part of key) arena.value(part);
    for (const place of places) arena.value(row._values[place]);
  }

  #prepare(host, verb, changes, event) {
    try {
      return host.prepare(writeSql(this.table, verb, changes));
    } catch (error) {
      if (error instanceof LanternError) error.index ??= event;
      throw error;
    }
  }

  /** Forgets all rows. */
  clear() {
    this.rows = new Map();
    this.touched = false;
  }
}

const VERB_CODES = { [UPSERT]: 1, [UPDATE]: 2, [DELETE]: 3 };
// So many columns, of five changes each, are told apart by a number that is exact.
const COLUMNS_IN_A_NUMBER = 20;

/** What a statement is known by. A number is made quicker than a text. */
function nameOf(verb, changes) {
  const count = changes.length;
  if (count > COLUMNS_IN_A_NUMBER) return verb + changes;
  let name = VERB_CODES[verb];
  for (let place = 0; place < count; place++) name = name * 5 + changes[place];
  return name;
}

/** A key as a key of a Map: a text alone is itself, all others begin with a character that such a text does not have. */
function found(key) {
  if (typeof key === "string") return key.charCodeAt(0) === 0 ? `\0t${key}` : key;
  const parts = key.map((part) => {
    const text = part instanceof Uint8Array ? part.join() : String(part);
    return `${part instanceof Uint8Array ? "b" : typeof part === "string" ? "t" : "i"}${text.length}:${text}`;
  });
  return `\0k${parts.join("")}`;
}

/** A value as a plugin sees it. */
export function plain(value) {
  return value instanceof Real ? value.value : value;
}
