import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadModel } from "@lantern/sdk/testing";
import welcome, { DAY_MS } from "../src/index.js";

test("who signs up gets a bonus, and a reminder a day later", () => {
  const { sent } = new ReadModel(welcome).apply({ type: "SignedUp", data: { account: "ada" }, timestampMs: 1000 });
  assert.deepEqual(
    sent.map(({ key, id, command, data, dueMs }) => [key, id, command, data, dueMs]),
    [
      ["remind/ada", "ada", "Remind", {}, 1000 + DAY_MS],
      ["welcome/ada", "ada", "Deposit", { cents: 500 }, null],
    ],
  );
});

test("who verifies the account is not reminded", () => {
  const model = new ReadModel(welcome).apply(
    { type: "SignedUp", data: { account: "ada" } },
    { type: "Verified", data: { account: "ada" } },
  );
  assert.deepEqual(model.sent.map(({ key }) => key), ["welcome/ada"]);
  assert.deepEqual(model.rows("signups"), [{ account: "ada", state: "verified" }]);
});
