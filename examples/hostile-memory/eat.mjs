// Takes memory that the size of the heap does not bound, until it is stopped.
import { readFileSync } from "node:fs";

// Outside of a jar this would hurt whoever tries it.
if (process.cwd() !== "/project" || readFileSync("/etc/hostname", "utf8") !== "cloche\n") {
  console.error("this runs only in the jar: cloche build examples/hostile-memory");
  process.exit(1);
}

const eaten = [];
for (;;) {
  eaten.push(Buffer.alloc(256 << 20, 1));
  console.log(`[build] exhaust memory: ${eaten.length * 256} MiB so far`);
}
