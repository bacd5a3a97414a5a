// A running `llm api` for the tests of its clients, for Node: what served.py is for Python.
//
// The environment names PROGRAM (the binary) and SERVED (a folder that make_served.sh filled). A
// Server takes a free port, waits until it listens, and must end with status 0 at SIGTERM. Claims
// are counted by claim(); a script ends with finish(). Exit 77 means: skipped, something is missing.
import { spawn } from "node:child_process";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

let claims = 0, wrong = 0;

export function skip(why) {
  console.log(`skipped: ${why}`);
  process.exit(77);
}

/** Counts a claim; `seen` is shown where it does not hold. */
export function claim(text, holds, seen) {
  claims += 1;
  if (holds) return true;
  wrong += 1;
  console.log(`WRONG: ${text}`);
  if (seen !== undefined) console.log(`    ${(JSON.stringify(seen) ?? String(seen)).slice(0, 1500)}`);
  return false;
}

/** Claims that both are the same value, member by member in any order. */
export function same(text, seen, wanted) {
  const sorted = value => JSON.stringify(value, (_, inner) => inner && typeof inner === "object" && !Array.isArray(inner)
    ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner);
  return claim(text, sorted(seen) === sorted(wanted), { seen, wanted });
}

export function finish() {
  console.log(`${claims} claims, ${wrong} wrong`);
  process.exitCode = wrong > 0 || claims === 0 ? 1 : 0;
}

/** True once `question` is; false after so many seconds. */
export async function soon(question, seconds = 20) {
  for (const until = Date.now() + seconds * 1000; Date.now() < until; await sleep(30)) {
    if (await question()) return true;
  }
  return false;
}

export class Server {
  /** A model of SERVED with flags of llm api; `keys` becomes LLM_API_KEY. */
  static async start(model = "small", flags = [], keys = "") {
    const server = new Server(model, flags, keys);
    const begun = await soon(() => server.url !== "" || server.process.exitCode !== null, 120);
    if (!begun || server.url === "") {
      server.process.kill("SIGKILL");
      throw new Error("the server did not start:\n" + server.log);
    }
    return server;
  }

  constructor(model, flags, keys) {
    const { LLM_API_KEY: _, ...environment } = process.env;
    if (keys) environment.LLM_API_KEY = keys;
    environment.OMP_NUM_THREADS = "1";
    this.url = "";
    this.log = "";
    this.key = keys;
    this.process = spawn(process.env.PROGRAM, ["api", path.join(process.env.SERVED, model), "--port", "0", "--threads", "1", ...flags],
                         { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    this.ended = new Promise(resolve => this.process.on("exit", resolve));
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.on("data", data => {
        this.log += data;
        this.url ||= /serving '.*' at (http:\/\/[^ ]*:\d+)/.exec(this.log)?.[1] ?? "";
      });
    }
  }

  async stop() {
    if (this.process.exitCode === null) this.process.kill("SIGTERM");
    const status = await Promise.race([this.ended, sleep(60_000, "still there after 60 s", { ref: false })]);
    this.process.kill("SIGKILL");
    claim("the server ends with status 0 at SIGTERM", status === 0, [status, this.log.slice(-1500)]);
  }

  async ask(method, route, body) {
    const headers = { "Content-Type": "application/json", ...(this.key ? { Authorization: "Bearer " + this.key } : {}) };
    const answer = await fetch(this.url + route, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${route}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
  get(route) { return this.ask("GET", route); }
  post(route, body) { return this.ask("POST", route, body); }
  async running() { return (await this.get("/v1/queue/status")).running; }
}
