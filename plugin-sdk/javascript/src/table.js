// Tables whose rows are gathered over a batch.

const COLUMNS_MAX = 64;

/** A table that is written row by row, declared once. */
export class Table {
  constructor(name, { key, columns = [] }) {
    this.name = name;
    this.key = typeof key === "string" ? [key] : [...key];
    this.columns = [...columns];
    // What the engine knows it by, which is no part of what is declared.
    Object.defineProperty(this, "_native", { value: undefined, writable: true });
    if (this.key.length === 0) throw new TypeError(`the table ${name} needs a key`);
    if (this.columns.length > COLUMNS_MAX) {
      throw new TypeError(`the table ${name} has more than ${COLUMNS_MAX} columns beside its key`);
    }
  }
}
