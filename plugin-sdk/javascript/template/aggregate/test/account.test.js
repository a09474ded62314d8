import assert from "node:assert/strict";
import { test } from "node:test";
import { given } from "@lantern/sdk/testing";
import account from "../src/index.js";

test("what is there can be withdrawn", () => {
  const events = given(account, { type: "Deposited", data: { cents: 500 } }).when({ type: "Withdraw", data: { cents: 200 } });
  assert.deepEqual(events, [{ type: "Withdrawn", data: { cents: 200 } }]);
});

test("an account is never overdrawn", () => {
  const ada = given(account, { type: "Deposited", data: { cents: 500 } }, { type: "Withdrawn", data: { cents: 200 } });
  assert.throws(() => ada.when({ type: "Withdraw", data: { cents: 301 } }), { code: "overdrawn", detail: { missing: 1 } });
});

test("an amount is at least one cent", () => {
  assert.throws(() => given(account).when({ type: "Deposit", data: { cents: 0 } }), { code: "no-amount" });
});
