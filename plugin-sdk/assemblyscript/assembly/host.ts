// The host's functions, and its answers as the contract lays them out.
import { Buffer, Failure, Fault, failWith } from "./memory";

@external("lantern:plugin/logger@0.1.0", "write")
declare function hostWrite(level: u32, at: usize, len: i32): void;
@external("lantern:plugin/sql@0.1.0", "prepare")
declare function hostPrepare(at: usize, len: i32, answer: usize): void;
@external("lantern:plugin/sql@0.1.0", "apply")
declare function hostApply(at: usize, len: i32, answer: usize): void;
@external("lantern:plugin/sql@0.1.0", "query")
declare function hostQuery(statement: u32, at: usize, len: i32, rowsMax: u32, answer: usize): void;

const ROWS_MAX: u32 = 100_000;
const answer: usize = memory.data(40, 8);
const message: Buffer = new Buffer();

/** Messages for the plugin's log. They never reach the read model. */
export namespace log {
  export function write(level: u32, text: string): void {
    message.len = 0;
    message.text(text);
    hostWrite(level, message.ptr, message.len);
  }
  export function error(text: string): void {
    write(0, text);
  }
  export function warn(text: string): void {
    write(1, text);
  }
  export function info(text: string): void {
    write(2, text);
  }
  export function debug(text: string): void {
    write(3, text);
  }
}

/** Whether the host did what it was asked for; if not, that is what has failed. */
function answered(): bool {
  if (load<u8>(answer) == 0) return true;
  const text = String.UTF8.decodeUnsafe(load<u32>(answer, 8), load<u32>(answer, 12));
  const index: i64 = load<u8>(answer, 16) != 0 ? load<u32>(answer, 20) : -1;
  failWith(new Failure(<Fault>load<u8>(answer, 4), text, index));
  return false;
}

/** The statement's id; -1: SQLite refused it. */
export function prepare(sql: string): i64 {
  message.len = 0;
  message.text(sql);
  hostPrepare(message.ptr, message.len, answer);
  return answered() ? load<u32>(answer, 4) : -1;
}

export function apply(frame: Buffer): bool {
  hostApply(frame.ptr, frame.len, answer);
  return answered();
}

export class Frame {
  constructor(
    readonly ptr: usize,
    readonly len: i32,
  ) {}
}

export function query(statement: u32, params: Buffer): Frame | null {
  hostQuery(statement, params.ptr, params.len, ROWS_MAX, answer);
  return answered() ? new Frame(load<u32>(answer, 4), load<u32>(answer, 8)) : null;
}

/** Memory that the host has written to, or that is handed out: it is given back when the batch ends. */
const lent: usize[] = [];

export function lend(len: i32): usize {
  const at = heap.alloc(len);
  lent.push(at);
  return at;
}

/** A copy that lives until the batch ends. */
export function keep(from: usize, len: i32): usize {
  const to = lend(len);
  memory.copy(to, from, len);
  return to;
}

export function giveBack(): void {
  for (let i = 0; i < lent.length; i++) heap.free(lent[i]);
  lent.length = 0;
}
