// What a projection writes: SQL and rows, gathered over a batch.

import { LanternError } from "./errors.js";
import { OpsWriter, readRows, writeRows } from "./frame.js";
import { Rows, plain } from "./rows.js";
import { writeJson } from "./schema.js";
import { Table } from "./table.js";
import { decode, encode } from "./text.js";
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
  #ops = new OpsWriter();
  #tables = new Map();
  #touched = [];
  // The first error of writes that were handed over: they are lost, whatever the plugin makes of it.
  #error;

  constructor(host) {
    this.#host = host;
    this._event = null;
    // About what the gathered rows take.
    this._bytes = 0;
  }

  execute(sql, params = []) {
    this._flushRows();
    this.#ops.push(this.#prepare(sql), this._event, params.map(valueOf));
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
    const rows = this._rows(table);
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
      const parts = typeof checked === "string" ? [checked] : checked;
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
    return rows;
  }

  /** Turns the rows gathered so far into writes. */
  _flushRows() {
    for (const rows of this.#touched) {
      rows.flush(this.#host, this.#ops);
      rows.touched = false;
    }
    this.#touched.length = 0;
    this._bytes = 0;
  }

  /** Hands the writes gathered so far to the host. */
  #flushOps() {
    if (this.#ops.count === 0) return;
    try {
      this.#host.apply(this.#ops.take());
    } catch (error) {
      this.#error ??= error;
      throw error;
    }
  }

  /** Ends an event: what it wrote must be right, and must not take too much memory. */
  _end() {
    if (this.#error !== undefined) throw this.#error;
    if (this._bytes + this.#ops.bytes > BUFFER_BYTES_MAX) {
      this._flushRows();
      this.#flushOps();
    }
  }

  /** Ends a batch: the frame of all writes that the host has not seen yet. */
  _finish() {
    this._event = null;
    this._flushRows();
    return this.#ops.take();
  }

  /** Forgets everything that was written. Statements stay: they are the instance's, not the transaction's. */
  _reset() {
    this.#ops.reset();
    for (const rows of this.#tables.values()) rows.clear();
    this.#touched.length = 0;
    this.#error = undefined;
    this._event = null;
    this._bytes = 0;
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
