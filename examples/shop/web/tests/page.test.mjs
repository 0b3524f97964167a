import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

const page = readFileSync("dist/index.html", "utf8");

test("every file that the page loads is in the build", () => {
  const loaded = [...page.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((found) => found[1]);
  assert.notEqual(loaded.length, 0);
  for (const file of loaded) {
    assert.ok(existsSync(`dist/${file}`), file);
  }
});
