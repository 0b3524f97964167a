// Copies site/ to dist/, and makes HTML and CSS smaller on the way. No dependencies.
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";

/** Drops comments, and white space at both ends of lines; what is inside <pre> stays. */
export function smaller(text, extension) {
  if (extension === ".css") text = text.replace(/\/\*[\s\S]*?\*\//g, "");
  if (extension === ".html") {
    if (/<pre|<textarea/i.test(text)) return text;
    text = text.replace(/<!--(?!\[)[\s\S]*?-->/g, "");
  }
  const lines = text.split("\n").map((line) => line.trim());
  return `${lines.filter((line) => line !== "").join("\n")}\n`;
}

export async function build(from, to) {
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    const source = join(entry.parentPath, entry.name);
    const target = join(to, source.slice(from.length));
    const extension = extname(entry.name);
    if (entry.isDirectory()) await mkdir(target, { recursive: true });
    else if (extension === ".html" || extension === ".css")
      await writeFile(target, smaller(await readFile(source, "utf8"), extension));
    else await cp(source, target);
  }
}

function serve(directory, host, port) {
  const types = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
  createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    try {
      const name = path.endsWith("/") ? `${path}index.html` : path;
      const content = await readFile(join(directory, name));
      response.writeHead(200, { "content-type": types[extname(name)] ?? "application/octet-stream" });
      response.end(content);
    } catch {
      response.writeHead(404).end("not found\n");
    }
  }).listen(port, host, () => console.log(`http://${host}:${port}`));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes("--serve")) {
    serve("site", process.env.HOST ?? "127.0.0.1", Number(process.env.PORT ?? 3000));
  } else {
    await build("site", "dist");
    console.log("site/ is built to dist/");
  }
}
