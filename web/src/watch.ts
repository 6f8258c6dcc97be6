import { leastPast } from "./past";
import { describe, type Description, type Source } from "./stream";
import type { Events, Running, Start } from "./transport";
import { plan, wayBack, type Plan, type Way } from "./ways";

/** What the viewer is told. */
export type State = "connecting" | "playing" | "waiting" | "stalled" | "offline" | "forbidden" | "impossible" | "withheld" | "error";

// All times are in milliseconds.

/** How soon it is tried again what broke: doubled each time, and spread so that many viewers do not come at once. */
const firstRetry = 300;
const lastRetry = 8000;
/** How often the server is asked for a stream that is not there: growing from the first to the last. */
const firstLook = 700;
const lastLook = 4000;
/** How long what cannot be played, or may not be, is left alone: it may change. */
const impossibleTime = 10_000;
/** How long nothing may move before the connection is given up, and before a gap is jumped. */
const stuckTime = 12_000;
const gapTime = 400;
/** How long nothing may move before the server is asked why, and how often then: growing from the first to the last. */
const stillTime = 1000;
const firstAsk = 500;
const lastAsk = 4000;
/** How often the server is asked whether a silent track is back, and for how long it must be: doubled each time. */
const backLook = 5000;
const backTime = 10_000;
const lastBackTime = 160_000;
/** Over which time playback is judged, and how many leaps it may make then if it plays less than half of it. */
const judgedTime = 8000;
const mostLeaps = 3;
/** How many seconds must have played so that the next trouble is the first. */
const goodTime = 3;

const silentDetail = "One of its tracks has fallen silent, and this way of playing needs both. HLS and Automatic play on.";

/**
 * Watch keeps a stream playing: it asks the server what the stream is, picks a player that
 * takes it, and begins anew when the stream ends, changes or gets stuck.
 */
export class Watch {
  private running: Running | undefined;
  private state: State = "connecting"; // what the viewer has been told
  private chosen: string | undefined; // by the viewer
  private readonly unusable = new Set<string>(); // players that failed with the stream as it was described
  private described = "";
  private planned: Plan | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private looks = 0;
  private moved = { at: 0, time: 0 };
  private pictured = { at: 0, time: 0, frames: 0 }; // when a picture came, the last time
  private judged = { since: 0, last: 0, time: 0, played: 0, leaps: 0 };
  private shown = 0; // seconds that this attempt has played
  private attempt = 0;
  private asked = { at: 0, wait: firstAsk }; // why nothing moves
  private isStalled = false; // the publisher sends nothing, as the server says
  private back = { looked: 0, since: 0, needed: backTime }; // since when no track is silent any more
  private gone: number | undefined; // the date, by the server's clock, that is shown to a viewer who has gone back in time

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly source: Source,
    private readonly ways: readonly Way[],
    private begin: number | undefined, // the date at which it begins, in milliseconds, until it has
    private readonly show: (state: State, detail: string) => void,
  ) {
    video.addEventListener("playing", () => {
      if (this.running === undefined) return;
      this.looks = 0;
      this.changed("playing", "");
    });
    setInterval(() => {
      this.look();
    }, 200);
  }

  private changed(state: State, detail: string): void {
    this.state = state;
    this.show(state, detail);
  }

  /** What is played, or why nothing is; undefined while it is not known. */
  get plan(): Plan | undefined {
    return this.planned;
  }

  /** What the server said of the stream; undefined while nothing plays. */
  description: Description | undefined;

  get delay(): number | undefined {
    return this.running?.delay();
  }

  get bitrate(): number | undefined {
    return this.running?.bitrate();
  }

  /** How many seconds the viewer can go back; undefined if not at all. */
  get past(): number | undefined {
    const d = this.description;
    const way = d?.past === undefined ? undefined : wayBack(d);
    return way === undefined || this.unusable.has(way.id) ? undefined : d?.past;
  }

  /** The date of what is shown, by the server's clock in milliseconds, if the viewer has gone back in time. */
  get date(): number | undefined {
    return this.gone;
  }

  /** Goes to the newest picture, by the normal way. */
  toLive(): void {
    if (this.gone === undefined) {
      this.running?.toLive();
      return;
    }
    this.gone = undefined;
    this.tries = 0;
    this.looks = 0;
    this.changed("connecting", "");
    void this.start();
  }

  /** Shows what was recorded from a date on, by the server's clock in milliseconds. */
  goBack(date: number): void {
    const isThere = this.gone !== undefined && this.running?.seek?.(date) === true;
    this.gone = date;
    if (isThere) {
      this.play();
      return;
    }
    this.tries = 0;
    this.changed("connecting", "");
    void this.start();
  }

  /** Plays by the way with an id, or by the best one. */
  choose(id: string | undefined): void {
    this.chosen = id;
    this.gone = undefined;
    this.unusable.clear();
    this.tries = 0;
    this.looks = 0;
    this.changed("connecting", "");
    void this.start();
  }

  /** Asks what the stream is, and plays it. */
  private async start(known?: Description): Promise<void> {
    const attempt = this.halt();
    if (this.gone !== undefined) {
      await this.rewind(attempt, this.gone);
      return;
    }
    const d = known ?? (await describe(this.source));
    if (attempt !== this.attempt) return;
    if (d.state !== "live" || (d.video === undefined && d.audio === undefined)) {
      if (d.state !== "error") this.description = d.state === "forbidden" ? undefined : d;
      if (d.past === undefined || !this.begins()) this.absent(d.state === "live" ? "waiting" : d.state);
      return;
    }
    const { way, silent, sentence } = this.decide(d);
    if (this.begins()) return;
    if (way === undefined) {
      this.changed("impossible", this.unusable.size > 0 ? "The players of this page have failed with it." : sentence);
      this.unusable.clear();
      this.again(impossibleTime);
      return;
    }
    const player = await this.load(way, attempt);
    const url = way.url(this.source);
    if (silent && way.silent !== undefined) url.searchParams.set(way.silent, "1");
    if (player !== undefined) this.run(player, url, way, attempt);
  }

  /** Goes back to where the page's address has it begin, once. Reports false if it does not. */
  private begins(): boolean {
    const { begin, past } = this;
    this.begin = undefined;
    if (begin === undefined || past === undefined || past < leastPast || begin >= Date.now()) return false;
    this.goBack(Math.max(begin, Date.now() - 1000 * past));
    return true;
  }

  /** Plays what was recorded from a date on. */
  private async rewind(attempt: number, date: number): Promise<void> {
    const way = this.description && wayBack(this.description);
    if (way === undefined || this.unusable.has(way.id)) {
      this.toLive();
      return;
    }
    this.planned = { way, silent: false, sentence: "Plays what was recorded." };
    const player = await this.load(way, attempt);
    const url = way.url(this.source);
    url.searchParams.set("start", new Date(date).toISOString());
    if (player !== undefined) this.run(player, url, way, attempt);
  }

  /** Loads a player; undefined if that fails, which the viewer is told, or if the attempt is over. */
  private async load(way: Way, attempt: number): Promise<Start | undefined> {
    const player = await way.load().catch(() => undefined);
    if (attempt !== this.attempt) return undefined;
    if (player === undefined) {
      this.changed("error", "The player could not be loaded. Reload this page.");
      this.again(lastRetry);
    }
    return player;
  }

  private run(player: Start, url: URL, way: Way, attempt: number): void {
    const now = performance.now();
    this.moved = { at: now, time: -1 };
    this.judged = { since: now, last: now, time: 0, played: 0, leaps: 0 };
    this.shown = 0;
    this.isStalled = false;
    this.back = { ...this.back, looked: now, since: 0 };
    this.running = player(this.video, url, this.events(way, attempt));
    this.play();
  }

  /** Chooses how a stream is played. */
  private decide(d: Description): Plan {
    const known = JSON.stringify([d.video, d.audio]);
    if (known !== this.described) this.unusable.clear();
    this.described = known;
    this.description = d;
    this.planned = plan(
      d,
      this.ways.filter((w) => !this.unusable.has(w.id) && (this.chosen === undefined || w.id === this.chosen)),
    );
    return this.planned;
  }

  /** Ends what plays. What it still has to say is not heard. */
  private halt(): number {
    clearTimeout(this.retry);
    this.running?.stop();
    this.running = undefined;
    return ++this.attempt;
  }

  private again(wait: number): void {
    this.halt();
    this.retry = setTimeout(
      () => {
        void this.start();
      },
      wait * (0.7 + 0.6 * Math.random()),
    );
  }

  /** Tells the viewer why there is nothing to play, and asks again later. */
  private absent(state: "waiting" | "offline" | "forbidden" | "error"): void {
    this.tries = 0;
    this.changed(state, "");
    if (state === "forbidden") this.again(impossibleTime);
    else this.again(Math.min(lastLook, firstLook * 1.5 ** this.looks++));
  }

  /** Starts playback with sound if the browser allows it, else without. */
  private play(): void {
    this.video.play().catch((e: unknown) => {
      if (e instanceof DOMException && e.name === "NotAllowedError" && !this.video.muted) {
        this.video.muted = true;
        this.video.dataset.silenced = "";
        this.play();
      }
    });
  }

  private events(way: Way, attempt: number): Events {
    return {
      ended: (why) => {
        if (attempt === this.attempt) this.restart(`${way.label}: ${why}`);
      },
      reconfigured: () => {
        void this.review(attempt);
      },
      over: (why) => {
        if (attempt !== this.attempt) return;
        console.info(`${way.label}: ${why}`);
        this.toLive();
      },
      withheld: () => {
        if (attempt !== this.attempt) return;
        this.changed("withheld", "");
        this.again(impossibleTime);
      },
      unusable: (why) => {
        if (attempt !== this.attempt) return;
        console.info(`${way.label} cannot be used: ${why}`);
        this.unusable.add(way.id);
        void this.start();
      },
    };
  }

  /** Asks again what the stream is: another player may be better for it now. */
  private async review(attempt: number): Promise<void> {
    const d = await describe(this.source);
    if (attempt !== this.attempt || d.state !== "live" || JSON.stringify([d.video, d.audio]) === this.described) return;
    if (this.differs(d)) void this.start(d);
    else this.changed(this.video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA ? "playing" : "connecting", "");
  }

  /** Decides again about a stream. Reports whether what plays does not fit it any more. */
  private differs(d: Description): boolean {
    const old = this.planned;
    const had = this.description;
    this.decide(d);
    const hasOthers = (had?.video === undefined) !== (d.video === undefined) || (had?.audio === undefined) !== (d.audio === undefined);
    return old?.way !== this.planned?.way || old?.silent !== this.planned?.silent || (hasOthers && old?.way?.needsAll === true);
  }

  /** Asks the server why nothing moves: the publisher may be away, or go on with fewer tracks. */
  private async ask(now: number): Promise<void> {
    if (this.moved.at > this.asked.at) this.asked.wait = firstAsk;
    else if (now - this.asked.at < this.asked.wait) return;
    else this.asked.wait = Math.min(lastAsk, 1.5 * this.asked.wait);
    this.asked.at = now;
    const { attempt } = this;
    const { at } = this.moved;
    const d = await describe(this.source);
    if (attempt !== this.attempt || at !== this.moved.at) return;
    this.isStalled = d.stalled === true;
    if (d.state !== "live") this.changed(d.state, "");
    else if (this.planned?.way?.needsAll === true && this.differs(d)) {
      if (d.silent !== undefined) this.back.needed = Math.min(lastBackTime, 2 * this.back.needed);
      void this.start(d);
    } else if (this.isStalled) this.changed("stalled", "");
    else if (d.silent !== undefined && this.planned?.way?.needsAll === true) this.changed("stalled", silentDetail);
    else this.changed("connecting", "");
  }

  /** Returns to the best way when the track that had fallen silent has been back for some time. */
  private async comeBack(now: number): Promise<void> {
    if (this.description?.silent === undefined || this.planned?.way?.needsAll === true || now - this.back.looked < backLook) return;
    this.back.looked = now;
    const { attempt } = this;
    const d = await describe(this.source);
    if (attempt !== this.attempt || d.state !== "live") return;
    if (d.silent !== undefined) this.back.since = 0;
    else if (this.back.since === 0) this.back.since = now;
    else if (now - this.back.since >= this.back.needed) {
      if (this.differs(d)) void this.start(d);
      else this.changed("playing", "");
    }
  }

  /** Begins anew: at once what has played well, and later and later what has not. */
  private restart(why: string): void {
    console.info(why);
    if (this.shown > goodTime) this.tries = 0;
    this.changed("connecting", "");
    this.again(this.tries === 0 ? 0 : Math.min(lastRetry, firstRetry * 2 ** this.tries));
    this.tries++;
  }

  /** Looks whether the picture moves, and as it should. */
  private look(): void {
    const now = performance.now();
    if (this.running === undefined || this.video.paused) {
      this.moved.at = now;
      this.judged = { since: now, last: now, time: this.video.currentTime, played: 0, leaps: 0 };
      return;
    }
    const isBack = this.gone !== undefined;
    this.gone = isBack ? (this.running.date?.() ?? this.gone) : undefined;
    this.judge(now);
    this.unfreeze(now);
    if (this.video.currentTime !== this.moved.time) {
      // What the server said of a standstill may have come when it was just over.
      const plays = this.moved.time >= 0 && !this.video.seeking && this.video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA;
      if (plays && this.state !== "playing") this.changed("playing", "");
      this.moved = { at: now, time: this.video.currentTime };
      this.isStalled = false;
      if (!isBack) void this.comeBack(now);
      return;
    }
    const still = now - this.moved.at;
    if (still > gapTime) this.jump();
    // Who has gone back waits for what was recorded, and at its end for the publisher.
    const waitsForPublisher = !isBack || this.running.atEnd?.() === true;
    if (still > stillTime && waitsForPublisher) void this.ask(now);
    else if (still > stillTime && this.state !== "withheld") this.changed("connecting", "");
    else if (still > 2 * gapTime && this.shown === 0 && this.tries === 0) this.changed("connecting", "");
    if (still > stuckTime && !this.isStalled && !(isBack && waitsForPublisher)) this.restart("nothing comes any more");
  }

  /** Begins anew if time moves by leaps more than by playing: nothing else would notice. */
  private judge(now: number): void {
    const j = this.judged;
    const step = this.video.currentTime - j.time;
    const passed = (now - j.last) / 1000;
    j.last = now;
    j.time = this.video.currentTime;
    if (step > 0 && step < 2 * passed + 0.1) {
      j.played += step;
      this.shown += step;
    } else if (step !== 0) j.leaps++;
    if (now - j.since < judgedTime) return;
    // A viewer who has gone back leaps at will.
    const isBad = this.gone === undefined && j.leaps > mostLeaps && j.played < (now - j.since) / 2000;
    this.judged = { ...j, since: now, played: 0, leaps: 0 };
    if (isBad) this.restart("playback leaps again and again");
  }

  /**
   * Brings back the picture behind a gap that only it had. Chromium plays the sound over the gap and would stop for the
   * picture after three seconds only; a seek to where it is has it begin anew.
   */
  private unfreeze(now: number): void {
    const { currentTime: time, buffered } = this.video;
    const frames = this.video.getVideoPlaybackQuality().totalVideoFrames;
    const p = this.pictured;
    if (frames !== p.frames || time < p.time) this.pictured = { at: now, time, frames };
    else if (now - p.at > gapTime && rangeStart(buffered, time) > p.time) {
      this.pictured = { at: now, time, frames };
      this.video.currentTime = time;
    }
  }

  /** Goes over a gap in what is buffered, such as a publisher leaves that was away. */
  private jump(): void {
    const b = this.video.buffered;
    for (let i = 0; i < b.length; i++) {
      if (b.start(i) > this.video.currentTime && b.end(i) - b.start(i) > 0.1) {
        this.video.currentTime = b.start(i) + 0.05;
        return;
      }
    }
  }
}

/** Where the range begins in which a time is; -1 if it is in none. */
function rangeStart(b: TimeRanges, time: number): number {
  for (let i = 0; i < b.length; i++) if (b.start(i) <= time && time <= b.end(i)) return b.start(i);
  return -1;
}
