// Tables whose rows are gathered over a batch, and the statements that write them.

export const COLUMNS_MAX = 32;

/** A table that is written row by row, declared once. */
export class Table {
  constructor(name, { key, columns = [] }) {
    this.name = name;
    this.key = typeof key === "string" ? [key] : [...key];
    this.columns = [...columns];
    // An object, which is quicker than a Map for names that stand in the source.
    this.places = Object.assign(Object.create(null), Object.fromEntries(this.columns.map((column, place) => [column, place])));
    // The rows that are gathered of it, which are no part of what is declared.
    Object.defineProperty(this, "_open", { value: undefined, writable: true });
    if (this.key.length === 0) throw new TypeError(`the table ${name} needs a key`);
    if (this.columns.length > COLUMNS_MAX) {
      throw new TypeError(`the table ${name} has more than ${COLUMNS_MAX} columns beside its key`);
    }
  }
}

export const UPSERT = "upsert";
export const UPDATE = "update";
export const DELETE = "delete";

/** How a column is changed. */
export const UNCHANGED = 0;
export const SET = 1;
export const ADD = 2;
export const MAX = 3;
export const MIN = 4;

/** The statement for a verb and the columns' changes. Its parameters are the key, then the changed columns in their order. */
export function writeSql(table, verb, changes) {
  const name = quoted(table.name);
  const written = table.columns.filter((_, place) => changes[place]);
  const assignments = (value) => {
    const parts = written.map((column, nth) => {
      const old = `${name}.${quoted(column)}`;
      const given = value(column, nth);
      return `${quoted(column)} = ${changed(changes[table.places[column]], old, given)}`;
    });
    return parts.join(", ");
  };
  if (verb === DELETE) return `DELETE FROM ${name}${where(table)}`;
  if (verb === UPDATE) {
    return `UPDATE ${name} SET ${assignments((_, nth) => `?${table.key.length + nth + 1}`)}${where(table)}`;
  }
  const names = [...table.key, ...written];
  const marks = names.map(() => "?").join(", ");
  const insert = `INSERT INTO ${name} (${names.map(quoted).join(", ")}) VALUES (${marks})`;
  const conflict = `ON CONFLICT (${table.key.map(quoted).join(", ")}) DO`;
  if (written.length === 0) return `${insert} ${conflict} NOTHING`;
  return `${insert} ${conflict} UPDATE SET ${assignments((column) => `excluded.${quoted(column)}`)}`;
}

/** The statement that reads the declared columns of a row by its key. */
export function readSql(table) {
  // Only a qualified name is surely a column: a bare one that is misspelt would be a text.
  const name = quoted(table.name);
  const columns = table.columns.map((column) => `${name}.${quoted(column)}`).join(", ") || "1";
  return `SELECT ${columns} FROM ${name}${where(table)}`;
}

function changed(change, old, value) {
  if (change === ADD) return `ifnull(${old}, 0) + ${value}`;
  if (change === MAX) return `max(ifnull(${old}, ${value}), ${value})`;
  if (change === MIN) return `min(ifnull(${old}, ${value}), ${value})`;
  return value;
}

function where(table) {
  const name = quoted(table.name);
  return ` WHERE ${table.key.map((column, nth) => `${name}.${quoted(column)} = ?${nth + 1}`).join(" AND ")}`;
}

function quoted(name) {
  return `"${name.replaceAll('"', '""')}"`;
}
