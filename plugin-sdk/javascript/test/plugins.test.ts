// What the types promise: compiled by tsc, run by nobody.

import { Rejection, aggregate, bigint, integer, list, oneOf, optional, projection, table, text, upcaster } from "../src/index.js";
import { ReadModel, given } from "../src/testing.js";

const balances = table("balances", { key: "account", columns: ["cents", "note"] });

const balance = projection({
  name: "balances",
  topics: ["accounts"],
  events: {
    Deposited: { account: text, cents: integer, big: bigint, tags: list(text), by: optional({ name: text }) },
    Closed: { account: text, why: oneOf("moved", "dead") },
  },
  on: {
    Deposited({ data }, db) {
      const cents: number = data.cents;
      const big: bigint = data.big;
      const tags: string[] = data.tags;
      const by: string | undefined = data.by?.name;
      db.upsert(balances, data.account).add("cents", cents).add("cents", big).set("note", by ?? tags[0] ?? null);
      // @ts-expect-error no such column
      db.upsert(balances, data.account).add("centz", 1);
      // @ts-expect-error no such field
      data.centz;
      // @ts-expect-error a column is missing
      db.put(balances, data.account, { cents });
    },
    Closed({ data }, db) {
      const why: "moved" | "dead" = data.why;
      db.put(balances, data.account, { cents: 0, note: why });
    },
  },
});
new ReadModel(balance).apply({ type: "Closed", data: { account: "ada", why: "moved" } }).rows("balances");

const account = aggregate({
  name: "account",
  topic: "accounts",
  state: { cents: integer },
  initial: { cents: 0 },
  commands: { Withdraw: { cents: integer } },
  events: { Withdrawn: { cents: integer } },
  decide: {
    Withdraw(state, { cents }, { id }) {
      if (cents > state.cents) throw new Rejection("overdrawn", `${id} has ${state.cents} cents`, { missing: cents - state.cents });
      return [{ type: "Withdrawn", data: { cents } }];
    },
  },
  evolve: {
    Withdrawn(state, { cents }) {
      state.cents -= cents;
    },
  },
});
// @ts-expect-error no such command
given(account, { type: "Withdrawn", data: { cents: 5 } }).when({ type: "Withdrew", data: { cents: 5 } });

upcaster({
  name: "accounts-v2",
  topics: ["accounts"],
  events: { DepositedV1: { account: text, amount: integer } },
  upcast: { DepositedV1: ({ data }) => ({ type: "Deposited", data: { account: data.account, cents: data.amount * 100 } }) },
});
