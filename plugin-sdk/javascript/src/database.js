// What of the database is the same in the engine, which brings the rest of it (engine/db.c), and in tests (testing/memory.js).

import { writeJson } from "./schema.js";
import { Table } from "./table.js";

const OUTBOX = new Table("_lantern_outbox", {
  key: "key",
  columns: ["aggregate", "id", "command", "payload", "due_ms", "correlation", "causation"],
});

/** The read model, within the transaction of a batch. */
export class Database {
  send(event, key, command) {
    const cause = header(event, "ce_id");
    this.put(OUTBOX, key, {
      aggregate: command.aggregate,
      id: command.id,
      command: command.command,
      payload: new TextEncoder().encode(writeJson(command.data ?? {})),
      due_ms: command.dueMs ?? null,
      // What an event without a correlation begins is known by that event.
      correlation: header(event, "ce_correlationid") ?? cause,
      causation: cause,
    });
  }

  cancel(key) {
    this.delete(OUTBOX, key);
  }
}

function header(event, name) {
  const value = event.header(name);
  try {
    return value === null ? null : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return null;
  }
}
