// Welcomes whoever signs up with a bonus, and reminds those who do not verify their account within a day.

import { projection, table, text } from "@lantern/sdk";

export const DAY_MS = 24 * 60 * 60 * 1000;

const signups = table("signups", { key: "account", columns: ["state"] });

export default projection({
  name: "{{name}}",
  topics: ["signups"],
  schema: ["CREATE TABLE signups (account TEXT PRIMARY KEY, state TEXT NOT NULL)"],
  sends: ["account"],
  events: {
    SignedUp: { account: text },
    Verified: { account: text },
  },
  on: {
    SignedUp(event, db) {
      const { account } = event.data;
      db.put(signups, account, { state: "signed-up" });
      // The key says which command it is, so that it has its effect once, whatever happens.
      db.send(event, `welcome/${account}`, { aggregate: "account", id: account, command: "Deposit", data: { cents: 500 } });
      const tomorrow = event.timestampMs + DAY_MS;
      db.send(event, `remind/${account}`, { aggregate: "account", id: account, command: "Remind", dueMs: tomorrow });
    },
    Verified({ data }, db) {
      db.put(signups, data.account, { state: "verified" });
      db.cancel(`remind/${data.account}`);
    },
  },
});
