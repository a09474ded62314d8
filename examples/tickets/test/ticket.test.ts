import assert from "node:assert/strict";
import { test } from "node:test";
import { given } from "@lantern/sdk/testing";
import ticket from "../src/index.js";

const opened = { type: "Opened", data: { customer: 9007199254740993n, subject: "No light", priority: "urgent" } } as const;
const assigned = { type: "Assigned", data: { agent: "mia" } } as const;
const answered = { type: "Answered", data: { agent: "mia", text: "Try the switch." } } as const;
const DAY_MS = 24 * 60 * 60 * 1000;

test("the ids of customers stay exact", () => {
  const [event] = given(ticket).when({ type: "Open", data: { customer: 9007199254740993n, subject: " No light ", priority: null } });
  assert.deepEqual(event, { type: "Opened", data: { customer: 9007199254740993n, subject: "No light", priority: "normal" } });
});

test("who works on a ticket answers and closes it, and nobody else", () => {
  const works = given(ticket, opened, assigned, answered);
  assert.throws(() => works.when({ type: "Close", data: { agent: "bo" } }), { code: "not-yours", message: "mia works on it" });
  assert.deepEqual(works.when({ type: "Close", data: { agent: "mia" } }, { timeMs: 7 }), [
    { type: "Closed", data: { agent: "mia", atMs: 7 } },
  ]);
});

test("a closed ticket is reopened for two weeks", () => {
  const closed = given(ticket, opened, assigned, answered, { type: "Closed", data: { agent: "mia", atMs: 0 } });
  const reopen = { type: "Reopen", data: { why: "still dark" } } as const;
  assert.equal(closed.when(reopen, { timeMs: 14 * DAY_MS })[0]?.type, "Reopened");
  assert.throws(() => closed.when(reopen, { timeMs: 14 * DAY_MS + 1 }), { code: "too-late" });
});

test("a tag is added once", () => {
  const tagged = given(ticket, opened, { type: "Tagged", data: { tag: "lamp" } });
  assert.deepEqual(tagged.when({ type: "Tag", data: { tags: ["Lamp", "cable", "CABLE"] } }), [{ type: "Tagged", data: { tag: "cable" } }]);
});
