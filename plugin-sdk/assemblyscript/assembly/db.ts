// What a projection writes: SQL and rows, gathered over a batch.
import { ADD, Cache, MAX, MIN, SET, UPDATE, UPSERT } from "./cache";
import { Event } from "./event";
import { Layout, NONE, OPS, ROWS, Writer } from "./frame";
import * as host from "./host";
import { JsonObject } from "./json";
import { Blob, Buffer, Failure, Fault, Text, caught, copy, fail, failWith, hasFailed, isUtf8 } from "./memory";
import { BLOB, Integer, NULL, Value, Values, none, tuple, write, writeInteger } from "./value";

/** The most bytes that writes may take before they are handed to the host, in the middle of a batch if need be. */
const BUFFER_BYTES_MAX: i32 = 8 * 1024 * 1024;

/**
 * A table that is written row by row: its name, its key columns, and the other columns that are written. Writes to one row
 * are gathered over a batch and reach SQLite once. The key is the primary key or a unique index.
 */
export class Table {
  readonly cache: Cache;

  constructor(name: string, key: string[], columns: string[]) {
    assert(key.length > 0, "a table needs a key");
    assert(columns.length <= 64, "a table has at most 64 columns beside its key");
    this.cache = new Cache(name, key, columns);
  }

  column(name: string): i32 {
    const columns = this.cache.columns;
    // The same literal is the same address.
    for (let i = 0; i < columns.length; i++) if (changetype<usize>(unchecked(columns[i])) == changetype<usize>(name)) return i;
    const at = columns.indexOf(name);
    if (at < 0) fail(Fault.Other, `table \`${this.cache.name}\` declares no column \`${name}\`, only ${columns.join(", ")}`);
    return at;
  }
}

const scratch: Buffer = new Buffer();

/** The key that `scratch` has; or of Values. False: it does not fit the table. */
function writeKey<K>(table: Table, key: K): bool {
  scratch.len = 0;
  let parts = 1;
  if (isManaged<K>()) {
    if (idof<K>() == idof<Values>()) {
      const values = changetype<Values>(key);
      parts = values.count;
      scratch.append(values.bytes.ptr, values.bytes.len);
    } else {
      write<K>(scratch, key);
    }
  } else {
    write<K>(scratch, key);
  }
  if (parts == table.cache.key.length) return true;
  fail(Fault.Other, `a key of \`${table.cache.name}\` has the parts ${table.cache.key.join(", ")}; ${parts} were given`);
  return false;
}

/** A row that is being written. What is wrong with it fails the event. Enter it anew behind a statement or a query. */
export class Row {
  constructor(
    private readonly db: Db,
    private readonly table: Table,
    /** -1: there is no row to write to. */
    private at: i64,
    private readonly isUpdate: bool,
    private generation: i32,
  ) {}

  /** Sets a column. */
  set<T>(column: string, value: T): Row {
    scratch.len = 0;
    write<T>(scratch, value);
    return this.change(column, SET);
  }

  setNull(column: string): Row {
    scratch.len = 0;
    scratch.u8(NULL);
    return this.change(column, SET);
  }

  /** Adds to a column of integers; NULL counts as 0. */
  add(column: string, n: i64): Row {
    return this.number(column, ADD, n);
  }

  /** Raises a column of integers to `n`, if it is less or NULL. */
  max(column: string, n: i64): Row {
    return this.number(column, MAX, n);
  }

  /** Lowers a column of integers to `n`, if it is more or NULL. */
  min(column: string, n: i64): Row {
    return this.number(column, MIN, n);
  }

  private number(column: string, how: i32, n: i64): Row {
    scratch.len = 0;
    writeInteger(scratch, n);
    return this.change(column, how);
  }

  private change(column: string, how: i32): Row {
    const cache = this.table.cache;
    const position = this.table.column(column);
    if (this.at < 0 || position < 0) return this;
    if (this.generation != this.db.generation) {
      fail(Fault.Other, `a row of \`${cache.name}\` was entered before a statement or a query: enter it anew behind it`);
    } else if (!cache.change(<u32>this.at, position, how, scratch.ptr, scratch.len)) {
      // What is gathered and what comes now are not one change: the first is written, the second begins anew.
      const entry = cache.entry(<u32>this.at);
      const key = kept(cache.arena.ptr + entry.key, entry.keyLen);
      this.at = this.db.reenter(this.table, changetype<usize>(key), key.byteLength, this.isUpdate);
      this.generation = this.db.generation;
      if (this.at >= 0) cache.change(<u32>this.at, position, how, scratch.ptr, scratch.len);
    }
    return this;
  }
}

function kept(from: usize, len: i32): ArrayBuffer {
  const bytes = new ArrayBuffer(len);
  memory.copy(changetype<usize>(bytes), from, len);
  return bytes;
}

/** A row as it is stored, with what this batch wrote to it. */
export class StoredRow {
  constructor(
    private readonly table: Table,
    private readonly values: Value[],
    private readonly owner: ArrayBuffer,
  ) {}

  get(column: string): Value {
    const at = this.table.column(column);
    return at < 0 ? new Value(NULL, 0, 0, 0) : this.values[at];
  }
}

/** The rows that a query answers, in its order. */
export class Rows {
  constructor(private readonly layout: Layout) {}

  get length(): i32 {
    return <i32>this.layout.count;
  }

  /** The values of a row, counted from 0. */
  row(at: i32): Value[] {
    return this.layout.values(at, 0);
  }
}

const OUTBOX = new Table("_lantern_outbox", ["key"], ["aggregate", "id", "command", "payload", "due_ms", "correlation", "causation"]);

/** A command that a process manager sends. */
export class Command {
  due: Integer | null = null;

  constructor(
    readonly aggregate: string,
    readonly id: string,
    readonly name: string,
    readonly data: JsonObject = new JsonObject(),
  ) {}

  /** Has it wait until then, in Unix milliseconds: a timeout. */
  dueMs(due: i64): Command {
    this.due = new Integer(due);
    return this;
  }
}

class Prepared {
  constructor(
    readonly sql: string,
    readonly id: u32,
  ) {}
}

/** The read model, within the transaction of a batch. */
export class Db {
  private ops: Writer = new Writer();
  private params: Writer = new Writer();
  readonly frame: Buffer = new Buffer();
  private touched: Cache[] = [];
  private prepared: Prepared[] = [];
  private lost: Failure | null = null;
  event: u32 = NONE;
  /** Counts flushes of rows. */
  generation: i32 = 0;

  /** Writes some columns of a row, which is made if there is none. Those that are not written have their default. */
  upsert<K>(table: Table, key: K): Row {
    return this.enter(table, writeKey<K>(table, key), false);
  }

  /** Writes some columns of a row, if there is one. */
  update<K>(table: Table, key: K): Row {
    return this.enter(table, writeKey<K>(table, key), true);
  }

  private enter(table: Table, fits: bool, isUpdate: bool): Row {
    if (!fits) return new Row(this, table, -1, isUpdate, 0);
    this.touch(table.cache);
    let at = table.cache.enter(scratch.ptr, scratch.len, isUpdate, this.event);
    if (at == -2) at = this.reenter(table, scratch.ptr, scratch.len, isUpdate);
    return new Row(this, table, at, isUpdate, this.generation);
  }

  /** Writes what is gathered, then enters a row again. */
  reenter(table: Table, key: usize, len: i32, isUpdate: bool): i64 {
    if (!this.flushRows()) return -1;
    this.touch(table.cache);
    const at = table.cache.enterKey(key, len);
    const entry = table.cache.entry(at);
    entry.pending = isUpdate ? UPDATE : UPSERT;
    entry.event = this.event;
    return at;
  }

  /** Writes a whole row: the values of all columns that the table declares, in their order: `tuple(a).and(b)`. */
  put<K>(table: Table, key: K, values: Values): void {
    if (!writeKey<K>(table, key)) return;
    const cache = table.cache;
    if (values.count != cache.width) {
      fail(Fault.Other, `${values.count} values were put into \`${cache.name}\`, which declares ${cache.columns.join(", ")}`);
      return;
    }
    this.touch(cache);
    const at = cache.enterKey(scratch.ptr, scratch.len);
    cache.write(at, values.bytes.ptr, values.bytes.len);
    cache.put(at, this.event);
  }

  /** Deletes a row, if there is one. */
  delete<K>(table: Table, key: K): void {
    if (!writeKey<K>(table, key)) return;
    this.touch(table.cache);
    table.cache.delete(table.cache.enterKey(scratch.ptr, scratch.len), this.event);
  }

  /** The row of this key as it is now; null: there is none (or it failed: the event ends). */
  get<K>(table: Table, key: K): StoredRow | null {
    if (!writeKey<K>(table, key)) return null;
    const cache = table.cache;
    this.touch(cache);
    const bytes = kept(scratch.ptr, scratch.len);
    let at = cache.find(changetype<usize>(bytes), bytes.byteLength);
    if (at == NONE || !cache.entry(at).known) {
      // A row that was written in part: the database puts the parts together.
      if (at != NONE && !this.flushRows()) return null;
      this.touch(cache);
      const statement = cache.selectRow();
      if (statement < 0) return null;
      const rows = this.select(<u32>statement, changetype<usize>(bytes), bytes.byteLength, cache.key.length);
      if (rows === null) return null;
      at = cache.enterKey(changetype<usize>(bytes), bytes.byteLength);
      const entry = cache.entry(at);
      entry.known = true;
      entry.absent = rows.length == 0;
      if (rows.length > 0) {
        const row = rows.row(0);
        for (let column = 0; column < cache.width; column++) {
          scratch.len = 0;
          row[column].write(scratch);
          cache.encode(at, column, scratch.ptr, scratch.len);
        }
      }
    }
    if (!cache.exists(at)) return null;
    // The cache's memory moves when it grows.
    const arena = kept(cache.arena.ptr, 0);
    const values: Value[] = [];
    for (let column = 0; column < cache.width; column++) {
      const value = cache.value(at, column);
      if (value.ptr == 0) {
        values.push(value);
      } else {
        values.push(new Value(value.kind, 0, host.keep(value.ptr, value.len), value.len));
      }
    }
    return new StoredRow(table, values, arena);
  }

  /** Runs any statement that writes. It runs when the batch ends, or before a query. */
  execute(sql: string, params: Values = none()): void {
    if (!this.flushRows()) return;
    const statement = this.prepare(sql);
    if (statement < 0) return;
    const start = this.ops.arena.len;
    this.ops.arena.append(params.bytes.ptr, params.bytes.len);
    this.ops.op(<u32>statement, this.event, start, params.count);
  }

  /** Runs any statement that reads, on everything written so far; null: it failed, see `caught`. */
  query(sql: string, params: Values = none()): Rows | null {
    if (!this.flushRows()) return null;
    const statement = this.prepare(sql);
    return statement < 0 ? null : this.select(<u32>statement, params.bytes.ptr, params.bytes.len, params.count);
  }

  /**
   * Sends a command because of an event, once the event is applied. `key` says which command of the process it is
   * (`transfer-7/debit`): it has its effect once. The manifest names the aggregate in `sends`.
   */
  send(event: Event, key: string, command: Command): void {
    const cause = textOf(event.header("ce_id"));
    const correlation = textOf(event.header("ce_correlationid"));
    const payload = String.UTF8.encode(command.data.toString());
    const values = tuple<string>(command.aggregate).and<string>(command.id).and<string>(command.name);
    values.and<Blob>(new Blob(changetype<usize>(payload), payload.byteLength, payload)).and<Integer | null>(command.due);
    // What an event without a correlation begins is known by that event.
    values.and<Text | null>(correlation === null ? cause : correlation).and<Text | null>(cause);
    this.put<string>(OUTBOX, key, values);
  }

  /** Takes a command back that was not sent yet. */
  cancel(key: string): void {
    this.delete<string>(OUTBOX, key);
  }

  private touch(cache: Cache): void {
    if (cache.touched) return;
    cache.touched = true;
    this.touched.push(cache);
  }

  private prepare(sql: string): i64 {
    for (let i = 0; i < this.prepared.length; i++) if (unchecked(this.prepared[i]).sql == sql) return this.prepared[i].id;
    const id = host.prepare(sql);
    if (id >= 0) this.prepared.push(new Prepared(sql, <u32>id));
    return id;
  }

  private select(statement: u32, params: usize, len: i32, count: i32): Rows | null {
    if (!this.flushOps()) return null;
    this.params.clear();
    this.params.arena.append(params, len);
    this.params.row(0, count);
    this.params.finish(ROWS, this.frame);
    const answer = host.query(statement, this.frame);
    if (answer === null) return null;
    const layout = Layout.parse(answer.ptr, answer.len, ROWS);
    if (layout.error.length > 0) {
      fail(Fault.Other, "a mangled frame: " + layout.error);
      return null;
    }
    return new Rows(layout);
  }

  private flushRows(): bool {
    if (this.touched.length == 0) return true;
    this.generation++;
    for (let i = 0; i < this.touched.length; i++) if (!this.touched[i].flush(this.ops)) return false;
    this.touched.length = 0;
    return true;
  }

  private flushOps(): bool {
    if (this.ops.count == 0) return true;
    this.ops.finish(OPS, this.frame);
    if (host.apply(this.frame)) return true;
    // Whatever the plugin makes of it, these writes are lost: the event cannot count as applied.
    const failure = caught();
    if (failure !== null) {
      if (this.lost === null) this.lost = failure;
      failWith(failure);
    }
    return false;
  }

  /** Ends an event: what it wrote must be right, and must not take too much memory. */
  end(): void {
    const lost = this.lost;
    if (lost !== null) failWith(lost);
    let bytes = this.ops.arena.len + this.ops.index.len;
    for (let i = 0; i < this.touched.length; i++) bytes += this.touched[i].sizeBytes();
    if (bytes > BUFFER_BYTES_MAX && this.flushRows()) this.flushOps();
  }

  /** Ends a batch: `frame` has all writes that the host has not seen yet. */
  finish(): void {
    this.event = NONE;
    if (this.flushRows()) this.ops.finish(OPS, this.frame);
  }

  /** Forgets what was written. Statements stay: they are the instance's, not the transaction's. */
  reset(): void {
    for (let i = 0; i < this.touched.length; i++) this.touched[i].clear();
    this.touched.length = 0;
    this.ops.clear();
    this.lost = null;
    this.event = NONE;
    this.generation++;
  }
}

function textOf(blob: Blob | null): Text | null {
  return blob === null || !isUtf8(blob.ptr, blob.len) ? null : new Text(blob.ptr, blob.len);
}
