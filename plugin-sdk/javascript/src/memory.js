// A host whose tables are in memory. It knows the statements that write rows, which the SDK makes, and no other SQL: that is
// tested with `lantern test`, on the real SQLite.

import { LanternError, SqlError } from "./errors.js";
import { readOps, readRows, writeRows } from "./frame.js";
import { sum } from "./value.js";

const NAME = '"((?:[^"]|"")*)"';
const plainName = (quoted) => quoted.replaceAll('""', '"');
const names = (text) => Array.from(text.matchAll(new RegExp(NAME, "g")), ([, name]) => plainName(name));

export class Memory {
  #statements = [];
  #tables = new Map();

  prepare(sql) {
    this.#statements.push(understood(sql));
    return this.#statements.length - 1;
  }

  apply(frame) {
    const ops = readOps(frame);
    for (const { statement, values } of ops) this.#statements[statement].run(this.#tables, values);
    return ops.length;
  }

  query(statement, params) {
    const found = this.#statements[statement];
    if (!found.read) throw new SqlError("the statement writes: give it to `execute`");
    return found.read(this.#tables, readRows(params).rows[0]);
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
    const rows = Array.from(this.#tables.get(table) ?? []);
    return rows.sort(([left], [right]) => (left < right ? -1 : 1)).map(([, row]) => row);
  }
}

const keyOf = (values) => JSON.stringify(values, (_, value) => (typeof value === "bigint" ? String(value) : value));

function table(tables, name) {
  if (!tables.has(name)) tables.set(name, new Map());
  return tables.get(name);
}

/** What a statement of the SDK does. */
function understood(sql) {
  const insert = sql.match(new RegExp(`^INSERT INTO ${NAME} \\((.*?)\\) VALUES \\([?, ]*\\) ON CONFLICT \\((.*?)\\) DO (.*)$`));
  if (insert) {
    const [, name, columns, key, action] = insert;
    const changes = changesOf(action, names(columns).slice(names(key).length));
    return { run: (tables, values) => write(table(tables, plainName(name)), names(key), changes, values, true) };
  }
  const update = sql.match(new RegExp(`^UPDATE ${NAME} SET (.*?) WHERE (.*)$`));
  if (update) {
    const [, name, action, where] = update;
    const columns = Array.from(action.matchAll(new RegExp(`(?:^|, )${NAME} = `, "g")), ([, column]) => plainName(column));
    const changes = changesOf(action, columns);
    return { run: (tables, values) => write(table(tables, plainName(name)), keyColumns(where), changes, values, false) };
  }
  const remove = sql.match(new RegExp(`^DELETE FROM ${NAME} WHERE (.*)$`));
  if (remove) return { run: (tables, values) => table(tables, plainName(remove[1])).delete(keyOf(values)) };
  const select = sql.match(new RegExp(`^SELECT (.*) FROM ${NAME} WHERE ("[^=]* = \\?1.*)$`));
  if (select) {
    const [, listed, name] = select;
    const columns = Array.from(listed.matchAll(new RegExp(`\\.${NAME}`, "g")), ([, column]) => plainName(column));
    return {
      read(tables, values) {
        const row = table(tables, plainName(name)).get(keyOf(values));
        return writeRows(columns, row ? [columns.map((column) => row[column] ?? null)] : []);
      },
    };
  }
  throw new LanternError(`unit tests know rows of tables and no SQL (${sql}): test it with \`lantern test\``, { fault: "unsupported" });
}

const keyColumns = (where) => Array.from(where.matchAll(new RegExp(`\\.${NAME} = \\?`, "g")), ([, column]) => plainName(column));

/** Each column with how it is changed. */
function changesOf(action, columns) {
  return columns.map((column) => {
    const quoted = `"${column.replaceAll('"', '""')}"`;
    const [, change] = action.split(`${quoted} = `);
    return [column, change?.startsWith("ifnull") ? "add" : change?.startsWith("max(") ? "max" : change?.startsWith("min(") ? "min" : "set"];
  });
}

function write(rows, key, changes, values, makes) {
  const keyValues = values.slice(0, key.length);
  const name = keyOf(keyValues);
  const old = rows.get(name);
  if (old === undefined && !makes) return;
  const row = { ...(old ?? Object.fromEntries(key.map((column, n) => [column, keyValues[n]]))) };
  for (const [n, [column, change]] of changes.entries()) {
    const value = values[key.length + n];
    const before = row[column] ?? null;
    if (old === undefined || change === "set") row[column] = value;
    else if (change === "add") row[column] = sum(before ?? 0, value);
    else if (before === null) row[column] = value;
    else row[column] = (change === "max") === before > value ? before : value;
  }
  rows.set(name, row);
}
