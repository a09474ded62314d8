// What plugins do, run natively by the code that runs them in the host.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Rejection, aggregate, bigint, bytes, integer, json, list, number, object, oneOf, optional, projection, real, record, table, text, upcaster } from "../src/index.js";
import { parseJson, readJson, typeOf, writeJson } from "../src/schema.js";
import { ReadModel, given, upcast } from "../src/testing.js";

const rows = table("rows", { key: "id", columns: ["n", "note"] });
const pairs = table("pairs", { key: ["a", "b"], columns: ["v"] });

const model = () =>
  new ReadModel(
    projection({
      name: "rows",
      topics: ["rows"],
      sends: ["account"],
      events: { Op: { id: text, ops: text }, Pair: json, Send: json },
      on: {
        Op(event, db) {
          const { id, ops } = event.data;
          for (const op of ops.split(";")) {
            const [word, argument] = op.split(" ");
            const n = BigInt(argument ?? 0);
            if (word === "put") db.put(rows, id, { n, note: "put" });
            else if (word === "set") db.upsert(rows, id).set("n", n);
            else if (word === "null") db.upsert(rows, id).set({ n: null });
            else if (word === "touch") db.upsert(rows, id);
            else if (word === "uset") db.update(rows, id).set("n", n);
            else if (word === "uadd") db.update(rows, id).add("n", n);
            else if (word === "delete") db.delete(rows, id);
            else if (word === "get") db.get(rows, id);
            else if (word === "fail") throw event.badInput("refused");
            else if (word === "throw") throw "a text";
            else if (word === "held") {
              const row = db.upsert(rows, id).add("n", n);
              db.get(pairs, ["x", 1]);
              db.get(rows, id);
              row.add("n", n);
            } else db.upsert(rows, id)[word]("n", n);
          }
        },
        Pair({ data: [a, b, v] }, db) {
          db.upsert(pairs, [a, b]).set("v", v);
        },
        Send(event, db) {
          db.send(event, "k/1", { aggregate: "account", id: "ada", command: "Deposit", data: { cents: 5n }, dueMs: 7 });
          db.send(event, "k/2", { aggregate: "account", id: "ada", command: "Deposit" });
          db.cancel("k/2");
        },
      },
    }),
  );

const op = (ops) => ({ type: "Op", data: { id: "x", ops } });

// What is gathered over a batch must be what the operations would have given in batches of their own.
test("changes of a row are as if written one by one", () => {
  const check = (ops, expected) => {
    const n = (rows) => (rows.length > 0 ? (rows[0].n ?? null) : undefined);
    assert.equal(n(model().apply(op(ops)).rows("rows")), expected, ops);
    const apart = model();
    for (const each of ops.split(";")) apart.apply(op(each));
    assert.equal(n(apart.rows("rows")), expected, `${ops}, apart`);
  };
  check("add 1;add 2", 3);
  check("put 5;add 2;max 9;min 8", 8);
  check("set 5;max 3;min 4", 4);
  check("add 5;max 3", 5);
  check("max 3;add 5", 8);
  check("null;add 4", 4);
  check("touch", null);
  check("uset 4", undefined);
  check("uset 4;add 3", 3);
  check("touch;uadd 3;uadd 3", 6);
  check("put 1;delete", undefined);
  check("put 1;delete;uset 4", undefined);
  check("put 1;delete;add 4", 4);
  check("get;uset 4", undefined);
  check("get;add 4;get;add 5", 9);
  check("put 1;get;delete;get;set 3", 3);
  check("held 2;held 3", 10);
  check("set 9223372036854775807;add -1", 9223372036854775806n);
  check("set 9007199254740991;add 2;add -2", 9007199254740991);
});

test("a failure takes the batch back and names the event, and the next batch is applied", () => {
  const read = model();
  assert.throws(() => read.apply(op("add 1"), op("add 1;fail")), { fault: "bad-input", index: 1, message: "rows/0@1 (Op): refused" });
  assert.throws(() => read.apply(op("throw")), { fault: "other", index: 0, message: "thrown: a text" });
  assert.deepEqual(read.rows("rows"), []);
  assert.equal(read.apply(op("add 1")).rows("rows")[0].n, 1);
});

test("an event that is not understood names itself and what is wrong", () => {
  const check = (payload, words) =>
    assert.throws(() => model().apply({ type: "Op", payload, offset: 42 }), (error) => {
      assert.ok(error.message.startsWith("rows/0@42 (Op): ") && error.message.includes(words), error.message);
      return error.fault === "bad-input";
    });
  check("{", "it is not JSON");
  check(new Uint8Array([34, 255, 34]), "not UTF-8");
  check('{"id": "x"}', "the field `ops` is missing");
  check('{"id": 7, "ops": ""}', "`id`: expected a text, found 7");
  check("[]", "expected an object");
  check(null, "it is a tombstone");
});

test("keys have parts and their kinds", () => {
  const read = model().apply({ type: "Pair", data: ["a", 1, 2] }, { type: "Pair", data: ["a", true, 3] });
  assert.deepEqual(read.rows("pairs"), [{ a: "a", b: 1, v: 3 }]);
  assert.throws(() => read.apply({ type: "Pair", data: ["a", 1.5, 2] }), /keys are texts, integers and blobs/);
  assert.throws(() => read.apply({ type: "Pair", data: ["a", null, 2] }), /keys are texts, integers and blobs/);
});

test("integers are exact or refused", () => {
  const big = '{"n":9007199254740993,"more":[1,{"x":-9223372036854775808}]}';
  assert.deepEqual(parseJson(big, true), { n: 9007199254740993n, more: [1, { x: -9223372036854775808n }] });
  assert.deepEqual(readJson('{"n":9007199254740993,"m":1}', typeOf({ n: bigint, m: bigint })), { n: 9007199254740993n, m: 1n });
  assert.throws(() => readJson('{"n":9007199254740993}', typeOf({ n: integer })), /declare the field as `bigint`/);
  assert.throws(() => readJson('{"n":9223372036854775808}', typeOf({ n: bigint })), /an integer of 64 bits/);
  assert.throws(() => model().apply({ type: "Pair", data: ["a", 1, 9223372036854775808n] }), /64 bits/);
  assert.deepEqual(model().apply({ type: "Pair", data: ["a", 1, 9007199254740993n] }).rows("pairs")[0].v, 9007199254740993n);
  assert.equal(writeJson({ a: [1n, { b: 9007199254740993n }], c: "x", d: undefined }), '{"a":[1,{"b":9007199254740993}],"c":"x"}');
  assert.equal(readJson('{"a":"1234567890123456","b":1.5}', json).b, 1.5);
});

// What is written here is decided events, states and commands: rounded once, they stay so.
test("json is written exactly or not at all", () => {
  assert.equal(writeJson({ a: 2 ** 53 - 1, b: 0.1, c: 1e300, d: real(2 ** 60), e: 5n }), '{"a":9007199254740991,"b":0.1,"c":1e+300,"d":1152921504606847000,"e":5}');
  for (const wrong of [2 ** 53, -(2 ** 60), Number.NaN, Number.POSITIVE_INFINITY]) {
    const words = Number.isFinite(wrong) ? /beyond 2\^53 and no longer exact: give a bigint/ : /has no JSON/;
    assert.throws(() => writeJson({ wrong }), words);
    assert.throws(() => writeJson({ big: 1n, list: [{ wrong }] }), words);
  }
  assert.throws(() => readJson('{"n":9007199254740993}', typeOf({ n: text })), /expected a text, found 9007199254740992/);
});

test("json is checked where it is read", () => {
  const type = object({ n: number, maybe: optional(text), kind: oneOf("a", "b"), parts: list({ x: integer }), names: record(integer) });
  const right = { n: 1.5, kind: "b", parts: [{ x: 1 }], names: { y: 2 }, other: 0 };
  const { other, ...declared } = right;
  assert.deepEqual(readJson(JSON.stringify(right), type), { ...declared, maybe: null });
  const check = (wrong, words) => assert.throws(() => readJson(JSON.stringify({ ...right, ...wrong }), type), { message: words });
  assert.throws(() => readJson("{}", object({ any: json })), { message: "the field `any` is missing" });
  check({ n: "x" }, '`n`: expected a number, found "x"');
  check({ kind: "c" }, '`kind`: expected one of "a", "b", found "c"');
  check({ parts: [{ x: 1.5 }] }, "`parts`: [0]: `x`: expected an integer, found 1.5");
  check({ names: { y: null } }, "`names`: y: expected an integer, found null");
});

// A mistake would take for ever to be found if each object read its fields anew to say it.
test("a mistake deep down is found and named in one reading", () => {
  let type = object({ n: integer });
  let data = { n: "one" };
  let path = "`n`: expected an integer";
  for (let depth = 0; depth < 40; depth++) {
    type = object({ in: type });
    data = { in: data };
    path = `\`in\`: ${path}`;
  }
  assert.throws(() => readJson(JSON.stringify(data), type), { message: `${path}, found "one"` });
});

// Also those that every object of JavaScript has.
test("fields of any name are read, and only what is missing is said to be", () => {
  const names = ['a "quoted" one', "back\\slash", "new\nline", "${n}", "object", "value", "constructor"];
  const type = object(Object.fromEntries(names.map((name) => [name, integer])));
  const whole = Object.fromEntries(names.map((name, n) => [name, n]));
  assert.deepEqual(readJson(JSON.stringify(whole), type), whole);
  for (const name of names) {
    const { [name]: _, ...rest } = whole;
    assert.throws(() => readJson(JSON.stringify(rest), type), { message: `the field \`${name}\` is missing` });
  }
  const late = 2 ** 40;
  assert.deepEqual(readJson(`{"at":${late},"n":${-late}}`, typeOf({ at: integer, n: bigint })), { at: late, n: BigInt(-late) });
});

test("commands are sent and taken back", () => {
  const [sent, ...others] = model().apply({ type: "Send", headers: { ce_id: "e-1" } }).sent;
  assert.deepEqual([sent.key, sent.command, sent.data, sent.dueMs, others], ["k/1", "Deposit", { cents: 5 }, 7, []]);
  assert.deepEqual([sent.correlation, sent.causation], ["e-1", "e-1"]);
});

test("a command leads to events or a rejection", () => {
  const account = aggregate({
    name: "account",
    topic: "accounts",
    state: { cents: integer },
    initial: { cents: 0 },
    commands: { Deposit: { cents: integer }, Forget: {} },
    events: { Deposited: { cents: integer }, Forgotten: {} },
    decide: {
      Deposit(_, { cents }) {
        if (cents <= 0) throw new Rejection("no-amount", "nothing to deposit", { cents });
        return [{ type: "Deposited", data: { cents } }];
      },
      Forget: () => [{ type: "Forgotten", data: {} }],
    },
    evolve: { Deposited: (state, { cents }) => ({ cents: state.cents + cents }) },
  });
  const deposited = (cents) => ({ type: "Deposited", data: { cents } });
  assert.deepEqual(given(account, deposited(5), deposited(6)).state, { cents: 11 });
  assert.deepEqual(given(account).when({ type: "Deposit", data: { cents: 5 } }), [deposited(5)]);
  assert.throws(() => given(account).when({ type: "Deposit", data: { cents: 0 } }), { code: "no-amount", detail: { cents: 0 } });
  assert.throws(() => given(account).when({ type: "Deposit", data: {} }), /the command Deposit: the field `cents` is missing/);
  assert.throws(() => given(account).when({ type: "Forget" }), /Forgotten, which nothing evolves/);
});

test("an old event becomes one of today", () => {
  const accounts = upcaster({
    name: "accounts-v2",
    topics: ["accounts"],
    events: { DepositedV1: { account: text, amount: integer }, Gone: bytes },
    upcast: {
      DepositedV1: ({ data }) => ({ type: "Deposited", data: { account: data.account, cents: data.amount * 100 } }),
      Gone: () => ({ type: "Closed", payload: null }),
    },
  });
  const old = { type: "DepositedV1", data: { account: "ada", amount: 5 } };
  assert.deepEqual(upcast(accounts, old), { type: "Deposited", data: { account: "ada", cents: 500 } });
  assert.deepEqual(upcast(accounts, { type: "Gone" }), { type: "Closed", data: null });
});

test("whole numbers are integers, unless they are said to be real", () => {
  const read = model().apply({ type: "Pair", data: ["a", 1, 1.5] });
  assert.equal(read.rows("pairs")[0].v, 1.5);
  assert.equal(real(1).value, 1);
  assert.equal(real(null), null);
});
