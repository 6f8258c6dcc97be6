import mpegts from "mpegts.js";
import { bufferedEnd, newestRange, nearestBuffered, type Events, type Running, type Start } from "./transport";

/** The delay that is kept between what has come in and what is shown, in seconds. */
const target = 0.5;
/** What comes in at once, in seconds, from which on the viewer is taken to the newest picture. */
const leap = 1;

mpegts.LoggingControl.applyConfig({ enableAll: false });

/** What an error of mpegts.js says of itself. */
type Info = { code?: number; msg?: string } | undefined;

/** FLV over a response without end, or over a WebSocket, by mpegts.js. */
class FLV implements Running {
  private readonly player: mpegts.Player;
  private kilobytes: number | undefined;
  private stopped = false;
  private end = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    url: URL,
    private readonly events: Events,
  ) {
    this.player = mpegts.createPlayer(
      // With the sound left out mpegts.js must not wait for it.
      { type: "flv", isLive: true, url: url.href, ...(url.searchParams.has("onlyVideo") ? { hasAudio: false } : {}) },
      {
        enableWorker: false,
        enableStashBuffer: false,
        lazyLoad: false,
        autoCleanupSourceBuffer: true,
        liveSync: true,
        liveSyncTargetLatency: target,
        liveSyncMaxLatency: target + 0.4,
        liveSyncPlaybackRate: 1.15,
      },
    );
    this.player.on(mpegts.Events.ERROR, (type: string, detail: string, info: Info) => {
      this.failed(type, detail, info);
    });
    this.player.on(mpegts.Events.LOADING_COMPLETE, () => {
      this.later(() => {
        events.ended("the stream has ended");
      });
    });
    this.player.on(mpegts.Events.MEDIA_INFO, () => {
      this.later(() => {
        events.reconfigured();
      });
    });
    this.player.on(mpegts.Events.STATISTICS_INFO, (s: { speed?: number }) => {
      this.kilobytes = s.speed;
    });
    video.addEventListener("progress", this.place);
    video.addEventListener("error", this.undecodable);
    this.player.attachMediaElement(video);
    this.player.load();
  }

  /** Does something not within an event: mpegts.js goes on with what it ends. */
  private later(f: () => void): void {
    setTimeout(() => {
      if (!this.stopped) f();
    });
  }

  private failed(type: string, detail: string, info: Info): void {
    const why = info?.msg ?? detail;
    const notAcceptable = detail === mpegts.ErrorDetails.NETWORK_STATUS_CODE_INVALID && info?.code === 406;
    this.later(() => {
      if (notAcceptable || (type === mpegts.ErrorTypes.MEDIA_ERROR && this.video.currentTime === 0)) this.events.unusable(why);
      else this.events.ended(why);
    });
  }

  /** The element could not decode what mpegts.js has given it, which does not tell. */
  private readonly undecodable = (): void => {
    const error = this.video.error;
    if (error !== null) this.failed(mpegts.ErrorTypes.MEDIA_ERROR, error.message, undefined);
  };

  /**
   * Follows leaps of what is buffered: at the beginning, where the newest group of pictures comes
   * at once, and after a publisher's absence, which mpegts.js fills with silence that would be
   * watched as a still picture and stay as delay. A viewer who has gone back makes no leap.
   */
  private readonly place = (): void => {
    const end = bufferedEnd(this.video);
    const leapt = end - this.end > leap;
    this.end = end;
    if (leapt && !this.video.paused) this.toLive();
  };

  delay(): number | undefined {
    const end = bufferedEnd(this.video);
    return end > 0 ? Math.max(0, end - this.video.currentTime) : undefined;
  }

  bitrate(): number | undefined {
    return this.kilobytes === undefined ? undefined : this.kilobytes * 8000;
  }

  /**
   * Goes to the newest picture, but nowhere that is not buffered: mpegts.js would throw away all that
   * is. The newest range may be shorter than the delay, as when a publisher has just returned.
   */
  toLive(): void {
    const newest = newestRange(this.video);
    if (newest === undefined) return;
    const to = nearestBuffered(this.video, Math.max(newest.start, newest.end - target));
    const isThere = this.video.currentTime >= newest.start && Math.abs(newest.end - this.video.currentTime) <= target;
    if (to !== undefined && !isThere) this.video.currentTime = to;
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.video.removeEventListener("progress", this.place);
    this.video.removeEventListener("error", this.undecodable);
    this.player.destroy();
  }
}

export const start: Start = (video, url, events) => new FLV(video, url, events);
