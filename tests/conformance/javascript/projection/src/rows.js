// `Row`: operations on one row.

import { table, text } from "@lantern/sdk";

const rows = table("rows", { key: "id", columns: ["n", "note"] });
const reads = table("reads", { key: ["partition", "position", "step"], columns: ["found", "n", "note"] });

export const Row = { id: text, ops: text };

/** Does the operations in order. */
export function row(event, db) {
  const { id, ops } = event.data;
  for (const [step, op] of ops.split(";").entries()) {
    const space = op.indexOf(" ");
    const [word, argument] = space < 0 ? [op, ""] : [op.slice(0, space), op.slice(space + 1)];
    const n = () => {
      if (!/^[+-]?[0-9]+$/.test(argument)) throw event.badInput(`the operation ${op}: ${argument} is no integer`);
      return BigInt(argument.replace("+", ""));
    };
    switch (word) {
      case "put":
        db.put(rows, id, { n: n(), note: "put" });
        break;
      case "add":
        db.upsert(rows, id).add("n", n());
        break;
      case "max":
        db.upsert(rows, id).max("n", n());
        break;
      case "min":
        db.upsert(rows, id).min("n", n());
        break;
      case "set":
        db.upsert(rows, id).set("n", n());
        break;
      case "null":
        db.upsert(rows, id).set("n", null);
        break;
      case "note":
        db.upsert(rows, id).set("note", argument);
        break;
      case "touch":
        db.upsert(rows, id);
        break;
      case "uset":
        db.update(rows, id).set("n", n());
        break;
      case "uadd":
        db.update(rows, id).add("n", n());
        break;
      case "delete":
        db.delete(rows, id);
        break;
      case "get": {
        const found = db.get(rows, id);
        db.put(reads, [event.partition, event.offset, step], { found: found !== null, n: found?.n ?? null, note: found?.note ?? null });
        break;
      }
      default:
        throw event.badInput(`${op} is no operation`);
    }
  }
}
