// `Row`: operations on one row.
import { Db, Event, Integer, Table, Text, Value, tuple } from "@lantern/sdk-assemblyscript";

const ROWS = new Table("rows", ["id"], ["n", "note"]);
const READS = new Table("reads", ["partition", "position", "step"], ["found", "n", "note"]);

/** Does the operations in order. */
export function row(event: Event, db: Db): void {
  const data = event.json();
  const id = data.text("id").toString();
  const ops = data.text("ops").toString().split(";");
  for (let step = 0; step < ops.length; step++) {
    const space = ops[step].indexOf(" ");
    const word = space < 0 ? ops[step] : ops[step].substring(0, space);
    operate(event, db, id, word, space < 0 ? "" : ops[step].substring(space + 1), step);
  }
}

function operate(event: Event, db: Db, id: string, word: string, argument: string, step: i32): void {
  const n = integer(event, word, argument);
  if (word == "put") db.put(ROWS, id, tuple(n).and("put"));
  else if (word == "add") db.upsert(ROWS, id).add("n", n);
  else if (word == "max") db.upsert(ROWS, id).max("n", n);
  else if (word == "min") db.upsert(ROWS, id).min("n", n);
  else if (word == "set") db.upsert(ROWS, id).set("n", n);
  else if (word == "null") db.upsert(ROWS, id).setNull("n");
  else if (word == "note") db.upsert(ROWS, id).set("note", argument);
  else if (word == "touch") db.upsert(ROWS, id);
  else if (word == "uset") db.update(ROWS, id).set("n", n);
  else if (word == "uadd") db.update(ROWS, id).add("n", n);
  else if (word == "delete") db.delete(ROWS, id);
  else if (word == "get") read(event, db, id, step);
  else event.badInput(`${word} is no operation`);
}

/** The argument of an operation that takes an integer; 0 of the others. */
function integer(event: Event, word: string, argument: string): i64 {
  if (word == "null" || word == "note" || word == "touch" || word == "delete" || word == "get") return 0;
  const n = I64.parseInt(argument);
  // parseInt takes what only begins with an integer.
  if (n.toString() != argument) event.badInput(`${argument} is no integer`);
  return n;
}

function read(event: Event, db: Db, id: string, step: i32): void {
  const found = db.get(ROWS, id);
  const at = tuple(event.partition).and(event.offset).and(step);
  if (found === null) db.put(READS, at, tuple(0).and<Integer | null>(null).and<Text | null>(null));
  else db.put(READS, at, tuple(1).and<Value>(found.get("n")).and<Value>(found.get("note")));
}
