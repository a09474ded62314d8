import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadModel } from "@lantern/sdk/testing";
import polls from "../src/index.js";

const lunch = { type: "PollOpened", data: { poll: "lunch", question: "What?", options: ["soup", "salad"], closesMs: 1000 } };
const voted = (voter, option, timestampMs = 0) => ({ type: "Voted", data: { poll: "lunch", voter, option }, timestampMs });
const standing = (model) => Object.fromEntries(model.rows("options").map(({ option, votes }) => [option, votes]));

test("a vote that is changed counts once", () => {
  const model = new ReadModel(polls).apply(lunch, voted("ada", "soup"), voted("ada", "soup"), voted("ada", "salad"), voted("bob", "salad"));
  assert.deepEqual(standing(model), { salad: 2, soup: 0 });
  assert.equal(model.rows("polls")[0].votes, 2);
  assert.equal(model.rows("votes").find(({ voter }) => voter === "ada").changed, 1);
});

test("a vote after the end does not count", () => {
  assert.deepEqual(standing(new ReadModel(polls).apply(lunch, voted("ada", "soup", 1000))), { salad: 0, soup: 0 });
  const closed = new ReadModel(polls).apply(lunch, { type: "PollClosed", data: { poll: "lunch" } }, voted("ada", "soup"));
  assert.deepEqual(standing(closed), { salad: 0, soup: 0 });
});

test("a poll has at least two options", () => {
  const alone = { type: "PollOpened", data: { ...lunch.data, options: ["soup"] } };
  assert.throws(() => new ReadModel(polls).apply(alone), { fault: "bad-input", index: 0 });
});
