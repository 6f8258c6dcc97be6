// The ways of playing: which player takes what, and the choice of one for a stream. That the table is right is tested
// in Chromium for every pair of codecs.
import { decodes, type Description, type Source } from "./stream";
import type { Start } from "./transport";

export interface Way {
  id: string;
  label: string;
  /** Reports whether the browser can run the player at all. */
  supported(): boolean;
  /** The codecs that the player takes; undefined if it takes what the browser decodes. */
  takes?: { video: readonly string[]; audio: readonly string[] };
  /** The query parameter with which the server leaves the sound out, if it can. */
  silent?: string;
  /** Reports whether the server leaves the sound of a stream out by itself. */
  leavesOut?(d: Description): boolean;
  /** Whether it stops when one of the tracks falls silent; by HLS the server fills the track. */
  needsAll?: boolean;
  /** Where the media is. */
  url(source: Source): URL;
  /** Loads the player, which the page does without until it needs it. */
  load(): Promise<Start>;
}

const hasMediaSource = (): boolean => "MediaSource" in globalThis || "ManagedMediaSource" in globalThis;

const isApple = navigator.vendor.startsWith("Apple");

function at(source: Source, suffix: string, protocol: (p: string) => string = (p) => p): URL {
  const u = new URL(source.base.href + suffix + source.query);
  u.protocol = protocol(u.protocol);
  return u;
}

// mpegts.js 1.8: its FLAC is refused by browsers, and its AV1 never begins.
const mpegts = { video: ["H.264", "H.265"], audio: ["AAC", "MP3", "Opus"] };

const flv: Way = {
  id: "flv",
  label: "FLV",
  supported: hasMediaSource,
  takes: mpegts,
  silent: "onlyVideo",
  needsAll: true,
  url: (s) => at(s, ".flv"),
  load: async () => (await import("./flv")).start,
};

const websocket: Way = {
  ...flv,
  id: "ws",
  label: "FLV by WebSocket",
  supported: () => hasMediaSource() && "WebSocket" in globalThis,
  url: (s) => at(s, ".flv", (p) => (p === "https:" ? "wss:" : "ws:")),
};

/** MP3 goes out in MPEG-TS, since no browser takes it in MP4; but MPEG-TS has no place for these pictures. */
const hlsLeavesOut = (d: Description): boolean => d.audio?.codec === "MP3" && (d.video?.codec === "AV1" || d.video?.codec === "VP9");

const hls: Way = {
  id: "hls",
  label: "HLS",
  supported: hasMediaSource,
  takes: { video: ["H.264", "H.265", "AV1", "VP9"], audio: ["AAC", "MP3", "Opus", "FLAC", "AC-3", "E-AC-3"] },
  leavesOut: hlsLeavesOut,
  url: (s) => at(s, "/index.m3u8"),
  load: async () => (await import("./hls")).start,
};

const native: Way = {
  id: "native",
  label: "HLS by the browser",
  // Others that have it, as newer Chromium, play less by it than by hls.js, and without a word about the rest.
  supported: () => (isApple || !hasMediaSource()) && document.createElement("video").canPlayType("application/vnd.apple.mpegurl") !== "",
  leavesOut: hlsLeavesOut,
  url: (s) => at(s, "/index.m3u8"),
  load: async () => (await import("./native")).start,
};

// No browser takes MP3 in MP4, which recordings are.
const recorded = { video: ["H.264", "H.265", "AV1", "VP9"], audio: ["AAC", "Opus", "FLAC", "AC-3", "E-AC-3"] };

const rewound: Way = {
  id: "past",
  label: "HLS of the recording",
  supported: hasMediaSource,
  takes: recorded,
  url: (s) => at(s, "/index.m3u8"),
  load: async () => (await import("./rewound")).start,
};

/** How what was recorded of a stream is played, from a date on; undefined if this browser cannot. */
export function wayBack(d: Description): Way | undefined {
  const way = isApple ? { ...native, id: rewound.id, label: rewound.label } : rewound;
  const takes = (["video", "audio"] as const).every((kind) => d[kind] === undefined || (recorded[kind].includes(d[kind].codec) && decodes(kind, d[kind])));
  return takes && way.supported() ? way : undefined;
}

/** All ways, the best one first. */
export const ways: readonly Way[] = isApple ? [native, flv, websocket, hls] : [flv, websocket, hls, native];

/** What is to be done about a stream: play it in some way, or say why not. */
export interface Plan {
  way: Way | undefined;
  /** Whether the stream's sound is left out. */
  silent: boolean;
  /** One sentence about it. */
  sentence: string;
}

/** Chooses among ways the best one for a stream, as the server has described it. */
export function plan(d: Description, among: readonly Way[]): Plan {
  if (d.silent !== undefined) {
    const p = planFor(
      d,
      among.filter((w) => w.needsAll !== true),
    );
    if (p.way) return p.silent ? p : { ...p, sentence: `One of the tracks has fallen silent: playing by ${p.way.label}.` };
  }
  return planFor(d, among);
}

function planFor(d: Description, among: readonly Way[]): Plan {
  const lacking = [];
  if (d.video && !decodes("video", d.video)) lacking.push(d.video.codec);
  const deaf = d.audio !== undefined && !decodes("audio", d.audio);
  if (deaf) lacking.push(d.audio?.codec ?? "");
  const decoder = `this browser has no decoder for ${lacking.join(" and ")}.`;
  const of = [d.video, d.audio].flatMap((t) => t?.codec ?? []).join(" and ");
  const usable = among.filter((w) => w.supported());
  const takes = (w: Way, kind: "video" | "audio"): boolean => d[kind] === undefined || w.takes === undefined || w.takes[kind].includes(d[kind].codec);
  const isSilent = (w: Way): boolean => w.leavesOut?.(d) === true;

  let way = lacking.length > 0 ? undefined : usable.find((w) => takes(w, "video") && takes(w, "audio") && !isSilent(w));
  if (way) return { way, silent: false, sentence: `Plays ${of} by ${way.label}.` };
  if (d.video && d.audio && lacking.every((c) => c === d.audio?.codec)) {
    way = usable.find((w) => takes(w, "video") && (w.silent !== undefined || isSilent(w)));
    const why = deaf ? decoder : `${d.audio.codec} cannot be played beside ${d.video.codec} by ${way?.label ?? ""}.`;
    if (way) return { way, silent: true, sentence: `Plays the picture without the sound: ${why}` };
  }
  if (lacking.length > 0) return { way, silent: false, sentence: decoder.replace("this", "This") };
  return { way, silent: false, sentence: `${of} cannot be played ${among.length === 1 ? `by ${among[0]?.label ?? ""}` : "in this browser"}.` };
}
