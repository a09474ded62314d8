// Deposits were once counted in whole units; today they are in cents.

import { integer, text, upcaster } from "@lantern/sdk";

export default upcaster({
  name: "{{name}}",
  topics: ["accounts"],
  events: {
    DepositedV1: { account: text, amount: integer },
  },
  upcast: {
    DepositedV1({ data }) {
      return { type: "Deposited", data: { account: data.account, cents: data.amount * 100 } };
    },
  },
});
