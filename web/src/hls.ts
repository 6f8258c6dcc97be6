import Hls, { type ErrorData } from "hls.js";
import { bufferedEnd, type Events, type Running, type Start } from "./transport";

/** How long before the end of the only segment sound alone begins, in seconds. */
const soundDelay = 1;
/** How often a part may be asked for before hls.js is taken to be in a loop. */
const partLoads = 3;
/** How long hls.js may ask for nothing although the playlist has more and the viewer needs it, in milliseconds. */
const idleTime = 4000;
/** How much more than the delay aimed at remains after a stall without going to the newest picture, in seconds. */
const slack = 1.5;

/** Low-Latency HLS, or what the server makes of it, by hls.js. */
class HLS implements Running {
  private readonly hls: Hls;
  private readonly loads = new Map<string, number>(); // of parts
  private worked = 0; // when hls.js asked for media or had got some into the buffer, the last time
  private isBusy = false; // with media that it has asked for
  private discontinuity: number | undefined; // which of them is shown
  private recovered = false;
  private stalled = false;
  private stopped = false;

  constructor(private readonly video: HTMLVideoElement, url: URL, private readonly events: Events) {
    this.hls = new Hls({
      lowLatencyMode: true,
      backBufferLength: 30,
      maxLiveSyncPlaybackRate: 1.3,
      manifestLoadPolicy: {
        // The server withholds the first playlist until there is something to play.
        default: { maxTimeToFirstByteMs: 30_000, maxLoadTimeMs: 40_000, timeoutRetry: null, errorRetry: null },
      },
    });
    this.hls.on(Hls.Events.ERROR, (_, data) => {
      this.failed(data);
    });
    this.hls.on(Hls.Events.MANIFEST_PARSED, (_, data) => {
      if (data.audio && !data.video) this.beginWhole();
    });
    this.hls.on(Hls.Events.FRAG_LOADING, (_, data) => {
      this.works(true);
      if (data.part) this.count(data.part.url);
    });
    for (const e of [Hls.Events.FRAG_BUFFERED, Hls.Events.FRAG_LOAD_EMERGENCY_ABORTED, Hls.Events.ERROR] as const) {
      this.hls.on(e, () => {
        this.works(false);
      });
    }
    this.hls.on(Hls.Events.FRAG_CHANGED, (_, data) => {
      if (this.discontinuity !== undefined && this.discontinuity !== data.frag.cc) this.events.reconfigured();
      this.discontinuity = data.frag.cc;
    });
    this.hls.on(Hls.Events.LEVEL_UPDATED, (_, data) => {
      this.urge(data.details.edge);
    });
    video.addEventListener("waiting", this.waits);
    video.addEventListener("playing", this.goesOn);
    video.addEventListener("ended", this.ended);
    this.hls.attachMedia(video);
    this.hls.loadSource(url.href);
  }

  /**
   * Begins with a whole segment, and goes on with parts. Of sound alone every part is one to
   * begin with; having begun within the newest segment, hls.js 1.7 forgets that it has the
   * segment's last part, and asks for it without a pause until the next segment is complete.
   */
  private beginWhole(): void {
    this.hls.lowLatencyMode = false;
    this.hls.once(Hls.Events.FRAG_BUFFERED, () => {
      if (this.stopped) return;
      this.hls.lowLatencyMode = true;
      const details = this.hls.latestLevelDetails;
      const sync = this.hls.liveSyncPosition;
      if (details === null || details.partList === null || sync === null) return; // not of low latency
      // The first viewer has the only segment; later ones are some segments behind.
      const end = bufferedEnd(this.video);
      this.video.currentTime = end >= details.fragmentEnd - 0.1 ? Math.max(this.video.currentTime, end - soundDelay) : sync;
    });
  }

  /**
   * Ends such a loop wherever else there is one, as with pictures if the browser is slow to take
   * them: a new player begins at the newest picture.
   */
  private count(part: string): void {
    const n = (this.loads.get(part) ?? 0) + 1;
    if (this.loads.size > 200) this.loads.clear(); // those of a loop come soon one after the other
    this.loads.set(part, n);
    if (n !== partLoads) return;
    // Not within the event: hls.js goes on with what this ends.
    setTimeout(() => {
      if (!this.stopped) this.events.ended("hls.js asks for the same part again and again");
    });
  }

  private works(isBusy: boolean): void {
    this.isBusy = isBusy;
    this.worked = performance.now();
  }

  /**
   * Begins anew if hls.js does not ask for what the playlist has got, as it sometimes does where a publisher has
   * returned. While it is busy it only is slow, as on a slow machine, and would be slower if it began anew.
   */
  private urge(edge: number): void {
    const worked = this.worked;
    setTimeout(() => {
      if (this.stopped || this.isBusy || this.worked !== worked || this.video.paused || this.video.seeking) return;
      const end = bufferedEnd(this.video);
      // Before anything is buffered hls.js is slow rather than idle: the watchdog sees to a start that fails.
      if (end > 0 && edge > end + 1 && end < this.video.currentTime + 1) this.events.ended("hls.js asks for nothing");
    }, idleTime);
  }

  /** A viewer who seeks waits too, but has chosen where to be. */
  private readonly waits = (): void => {
    this.stalled = !this.video.seeking;
  };

  /** hls.js plays faster to make up for a small delay only. */
  private readonly goesOn = (): void => {
    const aim = this.hls.targetLatency;
    if (this.stalled && aim !== null && this.hls.latency > aim + slack) this.toLive();
    this.stalled = false;
  };

  private readonly ended = (): void => {
    if (!this.stopped) this.events.ended("the stream has ended");
  };

  private failed(data: ErrorData): void {
    if (this.stopped || !data.fatal) return;
    const code = data.response?.code;
    if (data.details === Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR || data.details === Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR || code === 406) {
      this.events.unusable(data.error.message);
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.recovered) {
      this.recovered = true;
      this.hls.recoverMediaError();
    } else {
      this.events.ended(data.error.message);
    }
  }

  delay(): number | undefined {
    return this.hls.latency > 0 ? this.hls.latency : undefined;
  }

  bitrate(): number | undefined {
    return this.hls.levels[Math.max(0, this.hls.currentLevel)]?.bitrate;
  }

  toLive(): void {
    this.video.currentTime = this.hls.liveSyncPosition ?? bufferedEnd(this.video);
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.video.removeEventListener("ended", this.ended);
    this.video.removeEventListener("waiting", this.waits);
    this.video.removeEventListener("playing", this.goesOn);
    this.hls.destroy();
  }
}

export const start: Start = (video, url, events) => new HLS(video, url, events);
