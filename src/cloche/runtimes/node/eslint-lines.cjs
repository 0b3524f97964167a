// An ESLint formatter: one short JSON object a line, since the kernel reads lines of at most 8 KiB.
"use strict";

module.exports = function lines(results) {
  const out = [];
  for (const result of results) {
    for (const message of result.messages) {
      out.push(
        JSON.stringify({
          file: String(result.filePath).slice(0, 1024),
          line: message.line || 0,
          column: message.column || 0,
          severity: message.fatal ? 2 : message.severity,
          rule: message.ruleId || "",
          message: String(message.message).slice(0, 2048),
        }),
      );
    }
  }
  return out.join("\n");
};
