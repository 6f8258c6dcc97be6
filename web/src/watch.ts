import { undecodable, type Events, type Running, type Source, type Transport } from "./transport";

/** What the viewer is told. */
export type State = "connecting" | "playing" | "waiting" | "forbidden" | "impossible";

/** How soon it is tried again, in milliseconds: doubled each time, and spread so that many viewers do not come at once. */
const firstRetry = 500;
const lastRetry = 8000;
/** How long a stream that cannot be played is left alone, in milliseconds: it may change its codecs. */
const impossibleTime = 30_000;
/** How long nothing may move before the connection is given up, and before a gap is jumped. */
const stuckTime = 12_000;
const gapTime = 400;
/** How long nothing may come before the viewer is told that the stream is not there: the server withholds its answer meanwhile. */
const silentTime = 2500;

/**
 * Watch keeps a stream playing: it picks a way, tries again when the stream is gone, and
 * goes on when playback gets stuck.
 */
export class Watch {
  private running: Running | undefined;
  private current: Transport | undefined;
  private readonly unusable = new Set<string>();
  private readonly undecodable = new Set<string>(); // codecs
  private chosen: string | undefined; // by the viewer
  private retry: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private moved = { at: 0, time: 0 };
  private attempt = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly source: Source,
    private readonly ways: readonly Transport[],
    private readonly changed: (state: State, detail: string) => void,
  ) {
    video.addEventListener("playing", () => {
      this.tries = 0;
      this.changed("playing", "");
    });
    setInterval(() => {
      this.look();
    }, 200);
  }

  /** The way that is in use. */
  get transport(): Transport | undefined {
    return this.current;
  }

  get delay(): number | undefined {
    return this.running?.delay();
  }

  get bitrate(): number | undefined {
    return this.running?.bitrate();
  }

  toLive(): void {
    this.running?.toLive();
  }

  /** Plays by the way with an id, or by the best one. */
  choose(id: string | undefined): void {
    this.chosen = id;
    this.unusable.clear();
    this.undecodable.clear();
    this.tries = 0;
    this.start();
  }

  start(): void {
    clearTimeout(this.retry);
    this.running?.stop();
    this.running = undefined;
    const way = this.ways.find((w) => w.supported() && !this.unusable.has(w.id) && (this.chosen === undefined || w.id === this.chosen));
    this.current = way;
    if (way === undefined) {
      const lacking = [...this.undecodable].join(", ");
      this.changed("impossible", lacking === "" ? "This browser cannot play the stream." : `This browser has no decoder for ${lacking}.`);
      this.retry = setTimeout(() => {
        this.tries = 1; // nothing is said before it plays
        this.unusable.clear();
        this.undecodable.clear();
        this.start();
      }, impossibleTime);
      return;
    }
    if (this.tries === 0) this.changed("connecting", "");
    this.moved = { at: performance.now(), time: -1 };
    const attempt = ++this.attempt;
    this.running = way.start(this.video, this.source, this.events(way, attempt));
    this.play();
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

  private events(way: Transport, attempt: number): Events {
    // What a way that is no longer in use has to say is not heard.
    const still = (f: () => void): void => {
      if (attempt === this.attempt) f();
    };
    return {
      absent: () => {
        still(() => {
          this.changed("waiting", "");
          this.again();
        });
      },
      forbidden: () => {
        still(() => {
          this.changed("forbidden", "");
          this.tries = Math.max(this.tries, 5);
          this.again();
        });
      },
      unusable: (why) => {
        still(() => {
          this.unusable.add(way.id);
          for (const c of undecodable(why)) this.undecodable.add(c);
          console.info(`${way.label} cannot be used: ${why}`);
          this.start();
        });
      },
      broken: (why) => {
        still(() => {
          console.info(`${way.label}: ${why}`);
          if (++this.tries > 6 && this.chosen === undefined && this.ways.some((w) => w !== way && w.supported() && !this.unusable.has(w.id))) {
            this.unusable.add(way.id);
            this.tries = 0;
          }
          this.changed("connecting", "");
          this.again();
        });
      },
    };
  }

  private again(): void {
    clearTimeout(this.retry);
    const wait = Math.min(lastRetry, firstRetry * 2 ** this.tries++);
    this.attempt++;
    this.running?.stop();
    this.running = undefined;
    this.retry = setTimeout(
      () => {
        this.start();
      },
      wait * (0.7 + 0.6 * Math.random()),
    );
  }

  /** Looks whether the picture moves. */
  private look(): void {
    if (this.running === undefined || this.video.paused) {
      this.moved.at = performance.now();
      return;
    }
    const now = performance.now();
    if (this.video.currentTime !== this.moved.time) {
      this.moved = { at: now, time: this.video.currentTime };
      return;
    }
    const still = now - this.moved.at;
    if (still > gapTime) this.jump();
    if (still > silentTime) this.changed("waiting", "");
    else if (still > 2 * gapTime && this.tries === 0) this.changed("connecting", "");
    if (still > stuckTime) {
      console.info("nothing comes any more: connecting anew");
      this.again();
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
