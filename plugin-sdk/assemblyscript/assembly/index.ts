// Lantern plugins in AssemblyScript. assembly/index.ts of a project exports what the plugin is:
//
//   export function manifest(): Manifest                                              every plugin
//   export function apply(event: Event, db: Db): void                                 a projection or process manager
//   export function decide(state: Json, command: Asked, decision: Decision): void     a command handler: these two
//   export function evolve(state: Json, event: Event): JsonObject
//   export function upcast(event: Event, today: Upcasts): void                        an upcaster
export { Asked, Decision, Upcasts } from "./aggregate";
export { Command, Db, Row, Rows, StoredRow, Table } from "./db";
export { Event } from "./event";
export { log } from "./host";
export { Json, JsonObject, fromHex } from "./json";
export { Manifest } from "./manifest";
export { Blob, Failure, Fault, Text, caught, fail, hasFailed } from "./memory";
export { Integer, Real, Value, Values, none, tuple } from "./value";
