// Write Lantern plugins in JavaScript and TypeScript. What there is, with its types, is in index.d.ts.

import { Table } from "./table.js";

export { aggregate } from "./aggregate.js";
export { BadInput, LanternError, Rejection, SqlError } from "./errors.js";
export { log } from "./log.js";
export { envelope } from "./manifest.js";
export { projection, rejected, sentBy } from "./projection.js";
export { bigint, boolean, bytes, integer, json, list, nullable, number, object, oneOf, optional, record, text } from "./schema.js";
export { upcaster } from "./upcaster.js";
export { real } from "./value.js";

export function table(name, definition) {
  return new Table(name, definition);
}
