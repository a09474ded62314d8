// The upcaster of tests/conformance/README.md, which says what each event becomes.

import { bigint, bytes, text, upcaster } from "@lantern/sdk";

export default upcaster({
  name: "upcaster-typescript",
  topics: ["conformance-old"],
  events: {
    CountV1: { account: text, amount: bigint },
    RecordV1: bytes,
    GoneV1: bytes,
    BadV1: bytes,
  },
  upcast: {
    CountV1: ({ data: { account, amount } }) => ({ type: "Count", data: { account, n: amount } }),
    RecordV1: ({ payload }) => ({ type: "Record", payload }),
    GoneV1: () => ({ type: "Record", payload: null }),
    BadV1(event) {
      throw event.badInput("refused by the domain");
    },
  },
});
