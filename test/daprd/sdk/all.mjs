// What Dapr's SDK for JavaScript does over HTTP: state, secrets, publishing, invocation, metadata.
// The directory with node_modules is the first argument, the app's id the second.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [dir, app] = process.argv.slice(2);
const require = createRequire(`${dir}/`);
const { CommunicationProtocolEnum, DaprClient, HttpMethod } = require("@dapr/dapr");

const client = new DaprClient({
  daprHost: "127.0.0.1",
  daprPort: process.env.DAPR_HTTP_PORT ?? "3500",
  communicationProtocol: CommunicationProtocolEnum.HTTP,
});
await client.start();
assert.equal(await client.health.isHealthy(), true);

// The SDK returns errors that it catches.
const done = (result) => assert.equal(result?.error, undefined, String(result?.error));
const store = "statestore";
done(await client.state.save(store, [
  { key: "one", value: { n: 1 } },
  { key: "two", value: "zwei" },
]));
assert.deepEqual(await client.state.get(store, "one"), { n: 1 });
assert.equal(await client.state.get(store, "none"), "");
const bulk = await client.state.getBulk(store, ["one", "two", "none"]);
assert.deepEqual(bulk.map(({ key, data }) => [key, data]), [["one", { n: 1 }], ["two", "zwei"], ["none", undefined]]);
done(await client.state.delete(store, "one", { etag: "no such" }).then((result) => {
  assert.match(String(result.error), /etag mismatch/);
  return {};
}));
await client.state.transaction(store, [
  { operation: "upsert", request: { key: "three", value: 3 } },
  { operation: "delete", request: { key: "two" } },
]);
assert.equal(await client.state.get(store, "three"), 3);
assert.equal(await client.state.get(store, "two"), "");
done(await client.state.delete(store, "one"));
assert.equal(await client.state.get(store, "one"), "");

assert.deepEqual(await client.secret.get("secretstore", "database"), { database: "correct horse battery staple" });
assert.ok("database" in (await client.secret.getBulk("secretstore")));

assert.equal(await client.invoker.invoke(app, "echo", HttpMethod.POST, "from JavaScript"), "from JavaScript");
done(await client.pubsub.publish("pubsub", "orders", { from: "JavaScript" }));

assert.equal(await client.metadata.set("written-by", "JavaScript"), true);
const metadata = await client.metadata.get();
assert.equal(metadata.id, app);
assert.equal(metadata.extended["written-by"], "JavaScript");
await client.stop();
console.log("@dapr/dapr", require("@dapr/dapr/package.json").version, "ok");
