import assert from "node:assert/strict";
import { test } from "node:test";
import { upcast } from "@lantern/sdk/testing";
import upcaster from "../src/index.js";

test("whole units become cents", () => {
  const old = { type: "DepositedV1", data: { account: "ada", amount: 5 } };
  assert.deepEqual(upcast(upcaster, old), { type: "Deposited", data: { account: "ada", cents: 500 } });
});
