import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadModel } from "@lantern/sdk/testing";
import balances from "../src/index.js";

test("a withdrawal lowers the balance", () => {
  const model = new ReadModel(balances).apply(
    { type: "Deposited", data: { account: "ada", cents: 500 } },
    { type: "Withdrawn", data: { account: "ada", cents: 200 } },
    { type: "Deposited", data: { account: "bob", cents: 7 } },
  );
  assert.deepEqual(model.rows("balances"), [
    { account: "ada", cents: 300 },
    { account: "bob", cents: 7 },
  ]);
});
