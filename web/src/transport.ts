// How media gets from the server into the video element: one file for each player.

/** What a player tells its owner. */
export interface Events {
  /** The stream has ended or broken off; it may be there again at once. */
  ended(why: string): void;
  /** This player does not take this stream as it is; another one may. */
  unusable(why: string): void;
  /** The stream goes on with another configuration, which is played too. */
  reconfigured(): void;
  /** There is no more of what is played, or nothing of it at all: it is of no use to try again. */
  over(why: string): void;
  /** What is to be played now is on another server, from which this page does not get it. */
  withheld(): void;
}

/** A player that is in use. */
export interface Running {
  /** Seconds from the newest picture at the server to the one on screen; undefined if unknown. */
  delay(): number | undefined;
  /** Bits per second of what comes in; undefined if unknown. */
  bitrate(): number | undefined;
  /** Goes to the newest picture. */
  toLive(): void;
  /** The date of what is shown, by the server's clock in milliseconds; undefined if unknown. Only a recording has one. */
  date?(): number | undefined;
  /** Reports whether all that there is so far has been played. Only a recording tells. */
  atEnd?(): boolean;
  /** Goes to a date. Reports false if it cannot. */
  seek?(date: number): boolean;
  stop(): void;
}

/** Starts a player with the URL of the media. */
export type Start = (video: HTMLVideoElement, url: URL, events: Events) => Running;

/** The last range of what is buffered; undefined if nothing is. */
export function newestRange(video: HTMLVideoElement): { start: number; end: number } | undefined {
  const b = video.buffered;
  const last = b.length - 1;
  return last < 0 ? undefined : { start: b.start(last), end: b.end(last) };
}

/** The end of what is buffered, 0 if nothing is. */
export function bufferedEnd(video: HTMLVideoElement): number {
  return newestRange(video)?.end ?? 0;
}

/** The buffered time that is nearest to the one wanted; undefined if nothing is buffered. */
export function nearestBuffered(video: HTMLVideoElement, wanted: number): number | undefined {
  const b = video.buffered;
  let best: number | undefined;
  for (let i = 0; i < b.length; i++) {
    const t = Math.min(Math.max(wanted, b.start(i) + margin), Math.max(b.start(i), b.end(i) - margin));
    if (best === undefined || Math.abs(t - wanted) < Math.abs(best - wanted)) best = t;
  }
  return best;
}

/** How far within a range a position must be so that rounding does not take it out, in seconds. */
const margin = 0.01;
