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

const version = await api.GET("/version");
say("version", version.data?.protocols);

// What is wrong here is an error of the compiler: the types are real.
// @ts-expect-error there is no such role
void (() => api.POST("/keys", { body: { role: "king", match: "live/*" } }));
// @ts-expect-error there is no such path
void (() => api.GET("/stream"));
// @ts-expect-error a rate is a number
void (() => streams[0]!.bitrate.trim());
