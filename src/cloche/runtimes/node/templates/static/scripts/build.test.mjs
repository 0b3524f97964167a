import assert from "node:assert/strict";
import { test } from "node:test";
import { smaller } from "./build.mjs";

test("comments and indentation go", () => {
  assert.equal(smaller("<p>\n  <!-- note -->\n  hello\n</p>\n", ".html"), "<p>\nhello\n</p>\n");
  assert.equal(smaller("a {\n  /* why */\n  color: red;\n}\n", ".css"), "a {\ncolor: red;\n}\n");
});

test("preformatted text stays as it is", () => {
  const text = "<pre>\n  two spaces\n</pre>\n";
  assert.equal(smaller(text, ".html"), text);
});
