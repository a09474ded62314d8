// How the columns of a row are changed. Rows that are changed alike share one shape, so that what follows from it is found once.

import { LanternError } from "./errors.js";
import { ADD, MAX, MIN, SET, UNCHANGED, writeSql } from "./table.js";

class Shape {
  constructor(shapes, changes) {
    this.shapes = shapes;
    // By the columns' places.
    this.changes = changes;
    // Which places are changed.
    this.places = [];
    // Those of the columns that are changed in each way, by name. Without a prototype, so that a name finds nothing else.
    for (const how of Object.values(HOW)) this[how] = Object.create(null);
    changes.forEach((change, place) => {
      if (change === UNCHANGED) return;
      this.places.push(place);
      this[HOW[change]][shapes.table.columns[place]] = place;
    });
    // The shape with one more change, by place and change.
    this.next = [];
    // The statements that write it, by verb.
    this.statements = Object.create(null);
  }

  /** The shape with a column changed in this way. */
  changed(place, change) {
    if (this.changes[place] === change) return this;
    return (this.next[place * CHANGES + change] ??= this.shapes.of(this.changes.with(place, change)));
  }

  /** The statement that writes rows of this shape, for a row that an event touched. */
  statement(host, verb, event) {
    return (this.statements[verb] ??= prepare(host, writeSql(this.shapes.table, verb, this.changes), event));
  }
}

const HOW = { [SET]: "set", [ADD]: "add", [MAX]: "max", [MIN]: "min" };
// How many changes there are, with none.
const CHANGES = Object.keys(HOW).length + 1;

/** The shapes of a table's rows. */
export class Shapes {
  #known = new Map();

  constructor(table) {
    this.table = table;
    this.unchanged = this.of(table.columns.map(() => UNCHANGED));
    this.whole = this.of(table.columns.map(() => SET));
  }

  of(changes) {
    const name = String(changes);
    let shape = this.#known.get(name);
    if (shape === undefined) {
      shape = new Shape(this, changes);
      this.#known.set(name, shape);
    }
    return shape;
  }
}

/** That of a row that was written: no column is changed, so whoever still holds it begins anew. */
export const WRITTEN = new Shapes({ columns: [] }).unchanged;

function prepare(host, sql, event) {
  try {
    return host.prepare(sql);
  } catch (error) {
    if (error instanceof LanternError) error.index ??= event;
    throw error;
  }
}
