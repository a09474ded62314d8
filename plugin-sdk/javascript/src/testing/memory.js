// A database whose tables are in memory. It knows rows, and no SQL: that is tested with `lantern test`, on the real SQLite.

import { Database } from "../database.js";
import { BadInput, LanternError } from "../errors.js";
import { Table } from "../table.js";
import { Real, sum, valueOf } from "../value.js";

const isInteger = (value) => typeof value === "bigint" || Number.isInteger(value);
const plain = (value) => (value instanceof Real ? value.value : value);

/** A value as it is stored, apart from what it was made of. */
function storedOf(given) {
  const value = valueOf(given);
  if (typeof value === "string" && !value.isWellFormed()) throw new BadInput("a text is not UTF-8: write it as a blob");
  return value instanceof Uint8Array ? value.slice() : value;
}

const nameOf = (key) => JSON.stringify(key, (_, part) => (typeof part === "bigint" ? { integer: String(part) } : part));

const noSql = (sql) => {
  throw new LanternError(`unit tests know rows of tables and no SQL (${sql}): test it with \`lantern test\``, { fault: "unsupported" });
};

export class MemoryDb extends Database {
  // By a table's name its rows, and by a row's key its columns.
  #tables = new Map();

  execute = noSql;
  query = noSql;
  queryValue = noSql;

  put(table, key, columns) {
    const names = Object.keys(columns);
    if (names.length !== table.columns.length || !table.columns.every((column) => names.includes(column))) {
      throw new LanternError(`${names.join(", ") || "nothing"} was put into \`${table.name}\`, which declares ${table.columns.join(", ")}`);
    }
    this.upsert(table, key).set(columns);
  }

  upsert(table, key) {
    const { rows, name, parts } = this.#at(table, key);
    if (!rows.has(name)) rows.set(name, Object.fromEntries(table.key.map((column, nth) => [column, parts[nth]])));
    return new Row(table, rows, name);
  }

  update(table, key) {
    const { rows, name } = this.#at(table, key);
    return new Row(table, rows, name);
  }

  delete(table, key) {
    const { rows, name } = this.#at(table, key);
    rows.delete(name);
  }

  get(table, key) {
    const { rows, name } = this.#at(table, key);
    const row = rows.get(name);
    return row ? Object.fromEntries(table.columns.map((column) => [column, plain(row[column] ?? null)])) : null;
  }

  /** Does work, and takes it back when it throws. */
  transaction(work) {
    const before = new Map(Array.from(this.#tables, ([name, rows]) => [name, new Map(rows)]));
    try {
      work();
    } catch (error) {
      this.#tables = before;
      throw error;
    }
  }

  /** The rows of a table, in the order of their keys. */
  rows(table) {
    const rows = Array.from(this.#tables.get(table) ?? []).sort(([left], [right]) => (left < right ? -1 : 1));
    return rows.map(([, row]) => Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plain(value)])));
  }

  #at(table, key) {
    if (!(table instanceof Table)) throw new LanternError("no table was given: declare one with `table(name, { key, columns })`");
    if (!this.#tables.has(table.name)) this.#tables.set(table.name, new Map());
    const parts = (Array.isArray(key) ? key : [key]).map(storedOf);
    if (parts.length !== table.key.length) {
      throw new LanternError(`a key of \`${table.name}\` has the parts ${table.key.join(", ")}; ${parts.length} were given`);
    }
    const wrong = parts.find((part) => !(typeof part === "string" || isInteger(part) || part instanceof Uint8Array));
    if (wrong !== undefined) {
      throw new LanternError(`a key of \`${table.name}\` has NULL or a real in it: keys are texts, integers and blobs`);
    }
    return { rows: this.#tables.get(table.name), name: nameOf(parts), parts };
  }
}

/** A row that is being written. Rows are not changed but replaced, so that a transaction can go back to them. */
class Row {
  #table;
  #rows;
  #name;

  constructor(table, rows, name) {
    this.#table = table;
    this.#rows = rows;
    this.#name = name;
  }

  set(column, value) {
    for (const [name, each] of typeof column === "string" ? [[column, value]] : Object.entries(column)) {
      const checked = storedOf(each);
      this.#change(name, () => checked);
    }
    return this;
  }

  add(column, n) {
    // SQLite makes a real of a sum beyond 64 bits.
    return this.#change(column, (old, by) => sum(old ?? 0, by) ?? new Real(Number(old) + Number(by)), n);
  }

  max(column, n) {
    return this.#change(column, (old, by) => (old !== null && old > by ? old : by), n);
  }

  min(column, n) {
    return this.#change(column, (old, by) => (old !== null && old < by ? old : by), n);
  }

  #change(column, changed, n) {
    const { name, columns } = this.#table;
    if (!columns.includes(column)) {
      throw new LanternError(`table \`${name}\` declares no column \`${column}\`, only ${columns.join(", ")}`);
    }
    const by = n === undefined ? undefined : valueOf(n);
    if (by !== undefined && !isInteger(by)) {
      throw new LanternError(`column \`${column}\`: ${String(n)} is no integer, and only those are added and compared`);
    }
    const row = this.#rows.get(this.#name);
    if (row) this.#rows.set(this.#name, { ...row, [column]: changed(row[column] ?? null, by) });
    return this;
  }
}
