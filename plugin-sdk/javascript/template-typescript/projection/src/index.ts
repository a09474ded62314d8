// Keeps the balance of every account.

import { integer, projection, table, text } from "@lantern/sdk";

const balances = table("balances", { key: "account", columns: ["cents"] });

export default projection({
  name: "{{name}}",
  topics: ["accounts"],
  schema: ["CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)"],
  events: {
    Deposited: { account: text, cents: integer },
    Withdrawn: { account: text, cents: integer },
  },
  on: {
    Deposited({ data }, db) {
      db.upsert(balances, data.account).add("cents", data.cents);
    },
    Withdrawn({ data }, db) {
      db.upsert(balances, data.account).add("cents", -data.cents);
    },
  },
});
