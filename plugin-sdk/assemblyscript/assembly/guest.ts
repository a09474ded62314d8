// What the host calls. Only the entry that build.mjs writes uses it.
import { Asked, Decision, Upcasts } from "./aggregate";
import { Db } from "./db";
import { Event } from "./event";
import { EVENTS, Layout, ROWS } from "./frame";
import { giveBack, lend } from "./host";
import { Json, JsonObject } from "./json";
import { Manifest } from "./manifest";
import { Blob, Buffer, Failure, Fault, caught, fail, hasFailed } from "./memory";
import { BLOB, INTEGER, NULL, TEXT, Value, endValues } from "./value";

/** Answers as the contract lays them out. */
const area: usize = memory.data(40, 8);
const out: Buffer = new Buffer();
const text: Buffer = new Buffer();
const db: Db = new Db();
const decision: Decision = new Decision();
const upcasts: Upcasts = new Upcasts();

export function realloc(old: usize, oldLen: usize, len: usize): usize {
  const at = lend(<i32>len);
  if (oldLen) memory.copy(at, old, min(oldLen, len));
  return at;
}

/** The host has read the answer: all of the batch is given back. */
export function done(): void {
  giveBack();
  endValues();
  __collect();
}

export function describe(manifest: Manifest): usize {
  out.len = 0;
  out.text(manifest.toString());
  store<u32>(area, out.ptr);
  store<u32>(area, out.len, 4);
  return area;
}

function success(): usize {
  store<u8>(area, 0);
  store<u32>(area, out.ptr, 4);
  store<u32>(area, out.len, 8);
  return area;
}

/** A text, until the answer is read. */
function told(at: usize, message: string): void {
  const start = text.len;
  text.text(message);
  store<u32>(area + at, start);
  store<u32>(area + at, text.len - start, 4);
}

/** Places become addresses when nothing moves any more. */
function settle(at: usize): void {
  store<u32>(area + at, <u32>text.ptr + load<u32>(area + at));
}

function failure(index: i64): usize {
  const why = caught();
  if (why === null) return unreachable();
  text.len = 0;
  store<u8>(area, 1);
  store<u8>(area, <u8>why.fault, 4);
  told(8, why.message);
  settle(8);
  const at = why.index >= 0 ? why.index : index;
  store<u8>(area, at >= 0 ? 1 : 0, 16);
  store<u32>(area, <u32>at, 20);
  return area;
}

function mangled(error: string): void {
  fail(Fault.Other, "a mangled frame: " + error);
}

function events(at: usize, len: i32): Layout {
  caught();
  const layout = Layout.parse(at, len, EVENTS);
  if (layout.error.length > 0) mangled(layout.error);
  let left = <i64>layout.arenaLen;
  for (let item: u32 = 0; !hasFailed() && item < layout.count; item++) {
    left = layout.checkEvent(item, left);
    if (left < 0) mangled(`bounds of item ${item}`);
  }
  return layout;
}

export function apply(at: usize, len: i32, each: (event: Event, db: Db) => void): usize {
  const layout = events(at, len);
  const event = new Event(layout);
  let item: u32 = 0;
  for (; !hasFailed() && item < layout.count; item++) {
    db.event = item;
    each(event.move(item), db);
    endValues();
    db.end();
    if (hasFailed()) break;
  }
  let index: i64 = item < layout.count ? item : -1;
  if (!hasFailed()) db.finish();
  if (hasFailed()) {
    db.reset();
    return failure(index);
  }
  out.len = 0;
  out.append(db.frame.ptr, db.frame.len);
  return success();
}

export function upcast(at: usize, len: i32, each: (event: Event, today: Upcasts) => void): usize {
  const layout = events(at, len);
  upcasts.events.begin();
  const event = new Event(layout);
  let item: u32 = 0;
  for (; !hasFailed() && item < layout.count; item++) {
    each(event.move(item), upcasts);
    if (!hasFailed() && upcasts.events.count != item + 1) event.badInput("an upcaster says of each event once what it becomes");
    if (hasFailed()) break;
  }
  if (hasFailed()) return failure(item);
  upcasts.events.finish(out);
  return success();
}

function textOf(value: Value): string {
  return String.UTF8.decodeUnsafe(value.ptr, value.len);
}

const IS_TEXT: i32 = 1 << TEXT;
const IS_BYTES: i32 = (1 << TEXT) | (1 << BLOB);
const IS_NULL: i32 = 1 << NULL;

/** The value of a column, which is of one of these kinds. */
function column(layout: Layout, values: Value[], name: string, kinds: i32): Value {
  for (let id: u32 = 0; id < layout.texts && <i32>id < values.length; id++) {
    if (layout.text(id) != name) continue;
    if ((kinds >> values[id].kind) & 1) return values[id];
    mangled(`its column ${name} has another kind of value`);
    return new Value(NULL, 0, 0, 0);
  }
  mangled(`it lacks the column ${name}`);
  return new Value(NULL, 0, 0, 0);
}

const NO_STATE: ArrayBuffer = String.UTF8.encode("{}");


function stateOf(at: usize, len: i32): Json {
  return len == 0
    ? Json.object(changetype<usize>(NO_STATE), changetype<usize>(NO_STATE) + 2, null)
    : Json.object(at, at + len, null);
}

export function decide(at: usize, len: i32, decides: (state: Json, command: Asked, decision: Decision) => void): usize {
  caught();
  const layout = Layout.parse(at, len, ROWS);
  if (layout.error.length > 0) mangled(layout.error);
  else if (layout.count == 0) mangled("column");
  if (hasFailed()) return failure(-1);
  const values = layout.values(0, 0);
  const payload = column(layout, values, "payload", IS_BYTES);
  const state = column(layout, values, "state", IS_BYTES | IS_NULL);
  const correlation = column(layout, values, "correlation", IS_TEXT | IS_NULL);
  const command = new Asked(
    textOf(column(layout, values, "command", IS_TEXT)),
    textOf(column(layout, values, "aggregate", IS_TEXT)),
    textOf(column(layout, values, "id", IS_TEXT)),
    <i64>column(layout, values, "version", 1 << INTEGER).bits,
    <i64>column(layout, values, "time_ms", 1 << INTEGER).bits,
    correlation.isNull ? null : textOf(correlation),
    new Blob(payload.ptr, payload.len),
  );
  if (hasFailed()) return failure(-1);
  decision.rejected = false;
  decision.detail = null;
  decision.events.begin();
  decides(stateOf(state.ptr, state.isNull ? 0 : state.len), command, decision);
  if (hasFailed()) return failure(-1);
  text.len = 0;
  store<u8>(area, 0);
  store<u8>(area, decision.rejected ? 1 : 0, 4);
  if (decision.rejected) {
    const detail = decision.detail;
    told(8, decision.code);
    told(16, decision.message);
    store<u8>(area, detail === null ? 0 : 1, 24);
    told(28, detail === null ? "" : detail);
    settle(8);
    settle(16);
    settle(28);
  } else {
    decision.events.finish(out);
    store<u32>(area, out.ptr, 8);
    store<u32>(area, out.len, 12);
  }
  return area;
}

export function evolve(
  is: i32,
  state: usize,
  stateLen: i32,
  at: usize,
  len: i32,
  evolves: (state: Json, event: Event) => JsonObject,
): usize {
  const layout = events(at, len);
  out.len = 0;
  if (is) out.append(state, stateLen);
  const event = new Event(layout);
  let item: u32 = 0;
  for (; !hasFailed() && item < layout.count; item++) {
    const next = evolves(stateOf(out.ptr, out.len), event.move(item)).toString();
    if (hasFailed()) break;
    out.len = 0;
    out.text(next);
  }
  if (hasFailed()) return failure(item);
  if (out.len == 0) out.text("{}");
  return success();
}
