import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { makeApp } from "./app.js";

let server: Server;
let url: string;

before(async () => {
  server = makeApp().listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => server.close());

async function post(body: unknown): Promise<Response> {
  return await fetch(`${url}/notes`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

test("a note that was posted is listed", async () => {
  const made = await post({ text: "water the ferns" });
  assert.equal(made.status, 201);

  const listed = await (await fetch(`${url}/notes`)).json();
  assert.deepEqual(listed, [{ id: 1, text: "water the ferns" }]);
});

test("a note without text is refused", async () => {
  assert.equal((await post({})).status, 400);
});
