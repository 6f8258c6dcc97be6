import mpegts from "mpegts.js";
import { answered, bufferedEnd, type Events, type Running, type Source, type Transport } from "./transport";

/** The delay that is kept between what has come in and what is shown, in seconds. */
const target = 0.5;
/** What comes in at once, in seconds, from which on the viewer is taken to the newest picture. */
const leap = 1;

mpegts.LoggingControl.applyConfig({ enableAll: false });

/** FLV over a response without end, or over a WebSocket, by mpegts.js. */
class FLV implements Running {
  private readonly player: mpegts.Player;
  private kilobytes: number | undefined;
  private stopped = false;
  private end = 0;

  constructor(private readonly video: HTMLVideoElement, url: URL, events: Events) {
    this.player = mpegts.createPlayer(
      { type: "flv", isLive: true, url: url.href },
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
    this.player.on(mpegts.Events.ERROR, (type: string, detail: string, info: { code?: number; msg?: string } | undefined) => {
      // Not within the event: mpegts.js goes on with what this ends.
      setTimeout(() => {
        if (!this.stopped) this.failed(type, detail, info, events);
      });
    });
    this.player.on(mpegts.Events.LOADING_COMPLETE, () => {
      setTimeout(() => {
        if (!this.stopped) events.absent();
      });
    });
    this.player.on(mpegts.Events.STATISTICS_INFO, (s: { speed?: number }) => {
      this.kilobytes = s.speed;
    });
    video.addEventListener("progress", this.place);
    this.player.attachMediaElement(video);
    this.player.load();
  }

  private failed(type: string, detail: string, info: { code?: number; msg?: string } | undefined, events: Events): void {
    const why = info?.msg ?? detail;
    const unsupported: string[] = [mpegts.ErrorDetails.MEDIA_CODEC_UNSUPPORTED, mpegts.ErrorDetails.MEDIA_FORMAT_UNSUPPORTED];
    if (detail === mpegts.ErrorDetails.NETWORK_STATUS_CODE_INVALID && info?.code !== undefined) answered(info.code, events);
    else if (type === mpegts.ErrorTypes.NETWORK_ERROR) events.broken(why);
    else if (unsupported.includes(detail) || (detail === mpegts.ErrorDetails.MEDIA_MSE_ERROR && info?.code === DOMException.NOT_SUPPORTED_ERR)) events.unusable(why);
    else events.broken(why);
  }

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

  toLive(): void {
    const end = bufferedEnd(this.video);
    if (end > 0) this.video.currentTime = Math.max(0, end - target);
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.video.removeEventListener("progress", this.place);
    this.player.destroy();
  }
}

function mediaURL(source: Source, protocol: (p: string) => string): URL {
  const u = new URL(source.base.href + ".flv" + source.query);
  u.protocol = protocol(u.protocol);
  return u;
}

export const flv: Transport = {
  id: "flv",
  label: "FLV",
  supported: () => mpegts.getFeatureList().mseLivePlayback,
  start: (video, source, events) => new FLV(video, mediaURL(source, (p) => p), events),
};

export const websocket: Transport = {
  id: "ws",
  label: "FLV by WebSocket",
  supported: () => mpegts.isSupported() && "WebSocket" in globalThis,
  start: (video, source, events) => new FLV(video, mediaURL(source, (p) => (p === "https:" ? "wss:" : "ws:")), events),
};
