// Serves a directory of files, so that a packaged site can be seen to answer. Read-only, GET and HEAD.
import { createReadStream } from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";

const [directory, host, port] = process.argv.slice(2);
const root = await realpath(directory);
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".webp": "image/webp",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".txt": "text/plain; charset=utf-8",
};

async function find(pathname) {
  const wanted = normalize(join(root, pathname));
  if (wanted !== root && !wanted.startsWith(root + sep)) return null;
  for (const candidate of [wanted, join(wanted, "index.html"), `${wanted}.html`]) {
    try {
      const file = await realpath(candidate);
      if (file !== root && !file.startsWith(root + sep)) continue;
      const status = await lstat(file);
      if (status.isFile()) return { file, size: status.size };
    } catch {
      // Not there: the next form of the name may be.
    }
  }
  return null;
}

createServer(async (request, response) => {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405).end();
    return;
  }
  let pathname;
  try {
    pathname = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  } catch {
    response.writeHead(400).end();
    return;
  }
  // A path without an extension may be a route of the page itself.
  const found = (await find(pathname)) ?? (extname(pathname) ? null : await find("/"));
  if (found === null) {
    response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
    return;
  }
  response.writeHead(200, {
    "content-type": TYPES[extname(found.file)] ?? "application/octet-stream",
    "content-length": found.size,
  });
  if (request.method === "HEAD") response.end();
  else createReadStream(found.file).pipe(response);
}).listen(Number(port), host);
