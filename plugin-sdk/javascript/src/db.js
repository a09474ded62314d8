// What a projection writes: SQL and rows, gathered over a batch.

import { LanternError } from "./errors.js";
import { OpsWriter, readRows, writeRows } from "./frame.js";
import { Rows, UPSERTED, plain } from "./rows.js";
import { writeJson } from "./schema.js";
import { Table } from "./table.js";
import { decode, encode, nameOfBytes } from "./text.js";
import { valueOf } from "./value.js";

/** The most bytes that writes may take before they are handed to the host, in the middle of a batch if need be. */
export const BUFFER_BYTES_MAX = 8 * 1024 * 1024;
/** The most rows that a query answers. */
export const ROWS_MAX = 100_000;

const OUTBOX = new Table("_lantern_outbox", {
  key: "key",
  columns: ["aggregate", "id", "command", "payload", "due_ms", "correlation", "causation"],
});

/** The read model, within the transaction of a batch. */
export class Db {
  #host;
  #statements = new Map();
  // Not private by `#`: it is looked at after each event.
  _ops = new OpsWriter();
  #tables = new Map();
  #touched = [];

  constructor(host) {
    this.#host = host;
    this._event = null;
    // The first error of writes that were handed over: they are lost, whatever the plugin makes of it.
    this._error = undefined;
    // About what the gathered rows take.
    this._bytes = 0;
    // Whether the event has to be ended: most change rows that are there, and nothing else.
    this._grew = false;
  }

  /** Counts what is gathered. */
  _grow(bytes) {
    this._bytes += bytes;
    this._grew = true;
  }

  execute(sql, params = []) {
    this._flushRows();
    this._ops.push(this.#prepare(sql), this._event, params.map(valueOf));
  }

  query(sql, params = []) {
    const { columns, rows } = this.#ask(sql, params);
    return rows.map((row) => Object.fromEntries(columns.map((column, place) => [column, plain(row[place])])));
  }

  queryValue(sql, params = []) {
    const { rows } = this.#ask(sql, params);
    return rows.length > 0 ? plain(rows[0][0]) : null;
  }

  put(table, key, columns) {
    this._rows(table).put(key, columns);
  }

  upsert(table, key) {
    // What is usual, in the fewest steps: a text or bytes that were found before.
    const open = table?._open;
    const rows = open !== undefined && open.db === this ? open : this._rows(table);
    let known;
    if (typeof key === "string") known = rows.list[rows.texts.get(key)];
    else if (rows.parts === 1 && key instanceof Uint8Array) known = rows.list[rows.others.get(nameOfBytes(key))];
    if (known?._pending === UPSERTED) {
      known._event = this._event;
      return known;
    }
    return rows.enter(rows.key(key), true);
  }

  update(table, key) {
    const rows = this._rows(table);
    return rows.enter(rows.key(key), false);
  }

  delete(table, key) {
    this._rows(table).delete(key);
  }

  get(table, key) {
    let rows = this._rows(table);
    const checked = rows.key(key);
    let row = rows.find(checked);
    if (!row?._known) {
      if (row) {
        // The row was written in part: the database puts the parts together.
        this._flushRows();
        rows = this._rows(table);
      }
      const parts = Array.isArray(checked) ? checked : [checked];
      row = rows.load(checked, this.#query(rows.selectId(this.#host), parts).rows[0]);
    }
    return rows.stored(row);
  }

  send(event, key, command) {
    const cause = header(event, "ce_id");
    this.put(OUTBOX, key, {
      aggregate: command.aggregate,
      id: command.id,
      command: command.command,
      payload: encode(writeJson(command.data ?? {})),
      due_ms: command.dueMs ?? null,
      // What an event without a correlation begins is known by that event.
      correlation: header(event, "ce_correlationid") ?? cause,
      causation: cause,
    });
  }

  cancel(key) {
    this.delete(OUTBOX, key);
  }

  #ask(sql, params) {
    this._flushRows();
    return this.#query(this.#prepare(sql), params.map(valueOf));
  }

  #prepare(sql) {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#host.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #query(statement, params) {
    this.#flushOps();
    return readRows(this.#host.query(statement, writeRows([], [params]), ROWS_MAX));
  }

  _rows(table) {
    const open = table?._open;
    if (open !== undefined && open.db === this) return open;
    let rows = this.#tables.get(table.name);
    if (rows === undefined) {
      if (!(table instanceof Table)) throw new LanternError("no table was given: declare one with `table(name, { key, columns })`");
      rows = new Rows(this, table);
      this.#tables.set(table.name, rows);
    } else if (rows.table !== table && String([rows.table.key, rows.table.columns]) !== String([table.key, table.columns])) {
      throw new LanternError(`table \`${table.name}\` is declared twice, with other columns: declare each table once`);
    }
    if (!rows.touched) {
      rows.touched = true;
      this.#touched.push(rows);
    }
    table._open = rows;
    return rows;
  }

  /** Turns the rows gathered so far into writes. */
  _flushRows() {
    this._grew = true;
    for (const rows of this.#touched) {
      rows.flush(this.#host, this._ops);
      rows.touched = false;
    }
    this.#touched.length = 0;
    this._bytes = 0;
  }

  /** Hands the writes gathered so far to the host. */
  #flushOps() {
    if (this._ops.count === 0) return;
    try {
      this.#host.apply(this._ops.take());
    } catch (error) {
      this._error ??= error;
      this._grew = true;
      throw error;
    }
  }

  /** Ends an event: what it wrote must be right, and must not take too much memory. */
  _end() {
    this._grew = false;
    if (this._error !== undefined) throw this._error;
    if (this._bytes + this._ops.arena.length > BUFFER_BYTES_MAX) {
      this._flushRows();
      this.#flushOps();
    }
  }

  /** Ends a batch: the frame of all writes that the host has not seen yet. */
  _finish() {
    this._event = null;
    this._flushRows();
    return this._ops.take();
  }

  /** Forgets everything that was written. Statements stay: they are the instance's, not the transaction's. */
  _reset() {
    this._ops.reset();
    for (const rows of this.#tables.values()) rows.clear();
    this.#touched.length = 0;
    this._error = undefined;
    this._event = null;
    this._bytes = 0;
    this._grew = false;
  }
}

function header(event, name) {
  const value = event.header(name);
  try {
    return value === null ? null : decode(value);
  } catch {
    return null;
  }
}
