// What the server says of a stream, and what the browser can decode of it.

/** Where a stream is found. */
export interface Source {
  /** What the media URLs begin with: the page's URL without the slash at its end. */
  base: URL;
  /** The query that media URLs carry, with a key perhaps: "" or "?…". */
  query: string;
}

/** A track, as the server describes it. */
export interface Track {
  /** In people's words, such as "H.264". */
  codec: string;
  /** As MIME types have it (RFC 6381), such as "avc1.64001f"; "" if the server does not know. */
  id: string;
}

/** A stream, as the server describes it: publishers come and go, and change their codecs. */
export interface Description {
  state: "live" | "waiting" | "offline" | "forbidden" | "error";
  video?: Track;
  audio?: Track;
  /** The publisher is connected, and sends nothing. */
  stalled?: boolean;
  /** The track that sends nothing while the other one goes on. */
  silent?: "video" | "audio";
  /** How many seconds one can go back; only if the stream is recorded. */
  past?: number;
}

/** How long the description may take to come, in milliseconds. */
const describeTime = 8000;

/** Asks the server for a stream's description. */
export async function describe(source: Source): Promise<Description> {
  try {
    const answer = await fetch(source.base.href + "/stream.json" + source.query, { cache: "no-store", signal: AbortSignal.timeout(describeTime) });
    if (answer.status === 401 || answer.status === 403 || answer.status === 429) return { state: "forbidden" };
    return answer.ok ? ((await answer.json()) as Description) : { state: "error" };
  } catch {
    return { state: "error" };
  }
}

/** The codec's name where the server does not know it better. */
const usual: Record<string, string> = { "H.264": "avc1.42e01e", "H.265": "hvc1.1.6.L93.B0", AV1: "av01.0.04M.08", VP9: "vp09.00.31.08", AAC: "mp4a.40.2" };

/** Reports whether the browser has a decoder for a track. */
export function decodes(kind: "video" | "audio", t: Track): boolean {
  const id = t.id === "" ? (usual[t.codec] ?? t.codec) : t.id;
  const type = t.codec === "MP3" ? "audio/mpeg" : `${kind}/mp4; codecs="${/^(opus|flac)$/i.test(id) ? id.toLowerCase() : id}"`;
  const sources = globalThis as { MediaSource?: typeof MediaSource; ManagedMediaSource?: typeof MediaSource };
  const source = sources.MediaSource ?? sources.ManagedMediaSource;
  return source === undefined ? document.createElement("video").canPlayType(type) !== "" : source.isTypeSupported(type);
}
