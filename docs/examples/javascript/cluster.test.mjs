// A JavaScript test against a real cluster: onemore run 3 -- node --test cluster.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

const status = () => JSON.parse(execFileSync("onemore", ["status", "--json"]));

test("every node sees all", async () => {
  for (const address of process.env.ONEMORE_HTTP.split(",")) {
    const answer = await fetch(`http://${address}/status`);
    assert.equal((await answer.json()).members, Number(process.env.ONEMORE_NODES));
  }
});

test("a node is lost and comes back", () => {
  execFileSync("onemore", ["kill", "3"]);
  assert.equal(status().state, "degraded");
  execFileSync("onemore", ["start", "3"]);
  assert.equal(status().state, "running");
});
