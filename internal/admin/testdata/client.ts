// A client of the API as a user writes one: its types are generated from openapi.json (schema.d.ts). TypeScript
// checks it, and the test runs it against a server and compares what it prints.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const base = process.argv[2];
if (!base) throw new Error("usage: client URL");
const api = createClient<paths>({ baseUrl: base + "/api/v1", headers: { Authorization: "Bearer t0ken" } });

const say = (what: string, value: unknown): void => console.log(`${what} ${JSON.stringify(value)}`);

// All streams, page by page.
async function page(cursor: string): Promise<components["schemas"]["Streams"]> {
  const { data, error } = await api.GET("/streams", { params: { query: { limit: 2, ...(cursor ? { cursor } : {}) } } });
  if (!data) throw new Error(error.detail);
  return data;
}
const streams: components["schemas"]["Stream"][] = [];
for (let cursor: string | undefined = ""; cursor !== undefined; ) {
  const part = await page(cursor);
  streams.push(...part.streams);
  cursor = part.next;
}
say("streams", streams.map((s) => s.path));
const bitrate: number = streams.reduce((sum, s) => sum + s.bitrate, 0);
say("bitrate", Number.isInteger(bitrate));

const detail = await api.GET("/streams/{path}", { params: { path: { path: "a/b/ü %c" } } });
if (!detail.data) throw new Error(detail.error.detail);
say("detail", [detail.data.path, detail.data.publisher?.protocol, detail.data.sessions.length, detail.data.tracks[0]?.codec]);

const missing = await api.GET("/streams/{path}", { params: { path: { path: "live/none" } } });
say("missing", [missing.response.status, missing.error?.code]);

const session = detail.data.sessions[0];
if (!session) throw new Error("the stream has no session");
const kicked = await api.DELETE("/sessions/{id}", { params: { path: { id: session.id } } });
say("kicked", kicked.response.status);

const config = await api.GET("/config");
const changed = await api.PATCH("/config", {
  params: { header: { "If-Match": config.response.headers.get("ETag") ?? "" } },
  body: { limits: { streams: 5 } },
});
say("changed", changed.data?.changed.map((c) => c.key + ": " + c.when));

const made = await api.POST("/keys", { body: { role: "publish", match: "live/*", id: "cam1" } });
say("made", [made.response.status, made.data?.key.id]);

// What happens, as it happens: the snapshot comes first, and then what was asked for.
const stop = new AbortController();
const watched = await api.GET("/events", { params: { query: { types: "publish.start" } }, parseAs: "stream", signal: stop.signal });
if (!watched.data) throw new Error("no events");
const seen: string[] = [];
const text = new TextDecoder();
let buffer = "";
const reader = watched.data.getReader();
while (seen.length < 2) {
  const { done, value } = await reader.read();
  if (done) throw new Error("the events have ended");
  buffer += text.decode(value, { stream: true });
  for (let end = buffer.indexOf("\n\n"); end >= 0; end = buffer.indexOf("\n\n")) {
    const fields = new Map(buffer.slice(0, end).split("\n").map((l) => [l.slice(0, l.indexOf(":")), l.slice(l.indexOf(":") + 1).trim()] as const));
    buffer = buffer.slice(end + 2);
    const kind = fields.get("event");
    if (kind === "snapshot") {
      const s: components["schemas"]["Snapshot"] = JSON.parse(fields.get("data") ?? "");
      seen.push(`${kind} ${s.total_streams}`);
    } else if (kind !== undefined) {
      const e: components["schemas"]["Event"] = JSON.parse(fields.get("data") ?? "");
      seen.push(`${e.type} ${e.stream?.path} ${e.session?.id}`);
    }
  }
}
stop.abort();
say("events", seen);

const hooks = await api.GET("/hooks");
const hook = hooks.data?.hooks[0];
if (!hook) throw new Error("there is no hook");
const deliveries = await api.GET("/hooks/{name}/deliveries", { params: { path: { name: hook.name } } });
const delivery = deliveries.data?.deliveries[0];
if (!delivery) throw new Error("there is no delivery");
const again = await api.POST("/hooks/{name}/deliveries/{id}/replay", { params: { path: { name: hook.name, id: delivery.id } } });
say("hooks", [hook.name, hook.state, delivery.type, delivery.attempts, again.response.status]);

const reloaded = await api.POST("/config/reload");
say("reloaded", [reloaded.response.status, reloaded.data?.changed.length]);
const recorder = await api.POST("/recorders/{name}/start", { params: { path: { name: "main" }, query: { stream: "live/a" } } });
say("recorder", [recorder.data?.state, recorder.data?.id]);

const version = await api.GET("/version");
say("version", version.data?.protocols);

// What is wrong here is an error of the compiler: the types are real.
// @ts-expect-error there is no such role
void (() => api.POST("/keys", { body: { role: "king", match: "live/*" } }));
// @ts-expect-error there is no such path
void (() => api.GET("/stream"));
// @ts-expect-error a rate is a number
void (() => streams[0]!.bitrate.trim());
