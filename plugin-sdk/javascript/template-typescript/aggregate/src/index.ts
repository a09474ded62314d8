// An account that is never overdrawn.

import { Rejection, aggregate, integer } from "@lantern/sdk";

export default aggregate({
  name: "{{name}}",
  topic: "{{name}}-events",
  // What the next decision needs to know.
  state: { cents: integer },
  initial: { cents: 0 },
  commands: {
    Deposit: { cents: integer },
    Withdraw: { cents: integer },
  },
  events: {
    Deposited: { cents: integer },
    Withdrawn: { cents: integer },
  },
  decide: {
    Deposit(_state, { cents }) {
      checkAmount(cents);
      return [{ type: "Deposited", data: { cents } }];
    },
    Withdraw(state, { cents }) {
      checkAmount(cents);
      if (cents > state.cents) {
        throw new Rejection("overdrawn", `the account has ${state.cents} cents`, { missing: cents - state.cents });
      }
      return [{ type: "Withdrawn", data: { cents } }];
    },
  },
  evolve: {
    Deposited(state, { cents }) {
      state.cents += cents;
    },
    Withdrawn(state, { cents }) {
      state.cents -= cents;
    },
  },
});

function checkAmount(cents: number) {
  if (cents <= 0) throw new Rejection("no-amount", "an amount is at least one cent");
}
