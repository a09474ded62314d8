// What the tests call: frames are said as the vectors say them, and read from what was said to be written anew.
import { EVENTS, Layout, OPS, ROWS, Writer } from "../assembly/frame";
import { Buffer, isUtf8 } from "../assembly/memory";
import { parseReal } from "../assembly/real";
import { BLOB, INTEGER, NULL, REAL, TEXT, Value } from "../assembly/value";

const NONE: u32 = 0xffffffff;

export function room(len: i32): usize {
  return heap.alloc(len);
}

export function real(at: usize, len: i32): f64 {
  return parseReal(at, at + len);
}

/** The frame as JSON, or what is wrong with it. */
export function read(at: usize, len: i32, kind: i32): string {
  const layout = Layout.parse(at, len, kind);
  if (layout.error != "") return layout.error;
  const items: string[] = [];
  let left: i64 = layout.arenaLen;
  for (let id: u32 = 0; id < layout.texts; id++) left -= layout.textLen(id);
  for (let i: u32 = 0; i < layout.count; i++) {
    const row = layout.item(i);
    if (kind == EVENTS) {
      left = layout.checkEvent(i, left);
      if (left < 0) return "bounds";
      items.push(event(layout, row));
      continue;
    }
    const values = layout.values(i, kind == OPS ? 8 : 0).map<string>((value) => said(value));
    if (layout.error != "") return layout.error;
    const list = "[" + values.join(",") + "]";
    items.push(kind == ROWS ? list : op(row, list));
  }
  const list = "[" + items.join(",") + "]";
  if (kind != ROWS) return list;
  const columns: string[] = [];
  for (let id: u32 = 0; id < layout.texts; id++) columns.push(quoted(layout.text(id)));
  return `{"columns":[${columns.join(",")}],"rows":${list}}`;
}

/** A frame of operations or rows, read and written anew. */
export function copied(at: usize, len: i32, kind: i32): string {
  const layout = Layout.parse(at, len, kind);
  const writer = new Writer();
  for (let id: u32 = 0; id < layout.texts; id++) writer.text(layout.text(id));
  for (let i: u32 = 0; i < layout.count; i++) {
    const row = layout.item(i);
    const values = layout.values(i, kind == OPS ? 8 : 0);
    const start = writer.arena.len;
    for (let v = 0; v < values.length; v++) values[v].write(writer.arena);
    if (kind == OPS) writer.op(load<u32>(row), load<u32>(row, 4), start, values.length);
    else writer.row(start, values.length);
  }
  const out = new Buffer();
  writer.finish(kind, out);
  return hex(out.ptr, out.len);
}

function event(layout: Layout, row: usize): string {
  const headers: string[] = [];
  for (let i: u32 = 0; i < load<u32>(row, 48); i++) {
    const entry = layout.arena + load<u32>(row, 44) + i * 12;
    headers.push(`[${quoted(layout.text(load<u32>(entry)))},${part(layout, entry + 4)}]`);
  }
  return (
    `{"headers":[${headers.join(",")}],"key":${part(layout, row + 28)},"offset":"${load<i64>(row)}",` +
    `"partition":${load<i32>(row, 20)},"payload":${part(layout, row + 36)},"timestamp_ms":"${load<i64>(row, 8)}",` +
    `"topic":${quoted(layout.text(load<u32>(row, 16)))},"type":${quoted(layout.text(load<u32>(row, 24)))}}`
  );
}

function part(layout: Layout, at: usize): string {
  const len = load<u32>(at, 4);
  return len == NONE ? "null" : '"' + hex(layout.arena + load<u32>(at), len) + '"';
}

function op(row: usize, values: string): string {
  const event = load<u32>(row, 4);
  return `{"event":${event == NONE ? "null" : event.toString()},"statement":${load<u32>(row)},"values":${values}}`;
}

function said(value: Value): string {
  if (value.kind == NULL) return "null";
  if (value.kind == INTEGER) return `{"integer":"${<i64>value.bits}"}`;
  if (value.kind == REAL) return `{"real":"${value.bits.toString(16).padStart(16, "0")}"}`;
  if (value.kind == BLOB) return `{"blob":"${hex(value.ptr, value.len)}"}`;
  assert(value.kind == TEXT && isUtf8(value.ptr, value.len));
  return `{"text":${quoted(String.UTF8.decodeUnsafe(value.ptr, value.len))}}`;
}

function quoted(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) out += "\\u" + text.charCodeAt(i).toString(16).padStart(4, "0");
  return out + '"';
}

function hex(at: usize, len: u32): string {
  let text = "";
  for (let i: u32 = 0; i < len; i++) text += load<u8>(at + i).toString(16).padStart(2, "0");
  return text;
}
