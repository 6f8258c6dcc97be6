// How media gets from the server into the video element: one file for each way.

/** What a way of playing tells its owner. */
export interface Events {
  /** The stream is not there, or has ended: it may come (back). */
  absent(): void;
  /** The viewer may not watch. */
  forbidden(): void;
  /** This way does not work with this stream or browser; another one may. */
  unusable(why: string): void;
  /** Something broke; the same way may work again. */
  broken(why: string): void;
}

/** A way of playing that is in use. */
export interface Running {
  /** Seconds from the newest picture at the server to the one on screen; undefined if unknown. */
  delay(): number | undefined;
  /** Bits per second of what comes in; undefined if unknown. */
  bitrate(): number | undefined;
  /** Goes to the newest picture. */
  toLive(): void;
  stop(): void;
}

export interface Transport {
  id: string;
  label: string;
  supported(): boolean;
  start(video: HTMLVideoElement, source: Source, events: Events): Running;
}

/** Where a stream is found. */
export interface Source {
  /** What the media URLs begin with: the page's URL without the slash at its end. */
  base: URL;
  /** The query that media URLs carry, with a key perhaps: "" or "?…". */
  query: string;
}

/** The end of what is buffered, 0 if nothing is. */
export function bufferedEnd(video: HTMLVideoElement): number {
  const b = video.buffered;
  return b.length > 0 ? b.end(b.length - 1) : 0;
}

/** Maps the status of an HTTP answer to an event. */
export function answered(status: number, events: Events): void {
  switch (status) {
    case 401:
    case 403:
      events.forbidden();
      return;
    case 406:
      events.unusable("the server cannot send this stream so");
      return;
    case 404:
    case 503:
      events.absent();
      return;
    default:
      events.broken(`the server answered ${String(status)}`);
  }
}

const codecs: readonly [RegExp, string][] = [
  [/^h(vc|ev)1/, "H.265"],
  [/^avc[13]/, "H.264"],
  [/^av01/, "AV1"],
  [/^vp09/, "VP9"],
  [/^mp4a/, "AAC"],
  [/^opus/i, "Opus"],
  [/^flac/i, "FLAC"],
  [/^ec-3/, "E-AC-3"],
  [/^ac-3/, "AC-3"],
];

/** The codecs, in people's words, that are named in a complaint (RFC 6381) and that the browser cannot decode. */
export function undecodable(complaint: string): string[] {
  const video = document.createElement("video");
  const lacking = (complaint.match(/[\w.-]+/g) ?? []).filter((id) => video.canPlayType(`video/mp4; codecs="${id}"`) === "");
  return codecs.filter(([name]) => lacking.some((id) => name.test(id))).map(([, name]) => name);
}
