// The aggregate of tests/conformance/README.md, which says what each command and event does.

import { Rejection, aggregate, bigint, integer, list, optional, text } from "@lantern/sdk";

const MOST = 2n ** 63n - 1n;

export default aggregate({
  name: "counter-javascript",
  topic: "counter-javascript",
  state: { count: integer, sum: bigint, note: optional(text) },
  initial: { count: 0, sum: 0n, note: null },
  commands: {
    Add: { n: bigint },
    AddMany: { n: list(bigint) },
    Note: { text },
    Crash: {},
  },
  events: {
    Added: { n: bigint },
    Noted: { text, aggregate: text, id: text, version: integer, time_ms: integer, correlation: optional(text) },
    Crashed: {},
  },
  decide: {
    Add({ sum }, { n }) {
      if (n < 0n) throw new Rejection("negative", `n is ${n}`, { n });
      if (sum + n > MOST) throw new Rejection("overflow", `the sum is ${sum}`);
      return n === 0n ? [] : [{ type: "Added", data: { n } }];
    },
    AddMany: (_, { n }) => n.map((n) => ({ type: "Added", data: { n } })),
    Note(_, { text }, { aggregate, id, version, timeMs, correlation }) {
      return [{ type: "Noted", data: { text, aggregate, id, version, time_ms: timeMs, correlation } }];
    },
    Crash() {
      throw new Error("boom");
    },
  },
  evolve: {
    Added: ({ count, sum, note }, { n }) => ({ count: count + 1, sum: sum + n, note }),
    Noted: ({ count, sum }, { text }) => ({ count: count + 1, sum, note: text }),
    Crashed() {
      throw new Error("boom");
    },
  },
});
