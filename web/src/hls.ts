import Hls, { type ErrorData } from "hls.js";
import { answered, bufferedEnd, type Events, type Running, type Source, type Transport } from "./transport";

/** Low-Latency HLS, or what the server makes of it, by hls.js. */
class HLS implements Running {
  private readonly hls: Hls;
  private recovered = false;
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
    video.addEventListener("ended", this.ended);
    this.hls.attachMedia(video);
    this.hls.loadSource(url.href);
  }

  private readonly ended = (): void => {
    if (!this.stopped) this.events.absent();
  };

  private failed(data: ErrorData): void {
    if (this.stopped || !data.fatal) return;
    if (data.details === Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR || data.details === Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) {
      this.events.unusable(data.error.message);
    } else if (data.type === Hls.ErrorTypes.NETWORK_ERROR && data.response?.code !== undefined && data.response.code > 0) {
      answered(data.response.code, this.events);
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.recovered) {
      this.recovered = true;
      this.hls.recoverMediaError();
    } else {
      this.events.broken(data.error.message);
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
    this.hls.destroy();
  }
}

/** HLS by the browser itself, as on Apple's systems. */
class Native implements Running {
  private stopped = false;

  constructor(private readonly video: HTMLVideoElement, private readonly url: URL, private readonly events: Events) {
    video.addEventListener("error", this.failed);
    video.addEventListener("ended", this.ended);
    video.src = url.href;
  }

  /** The element does not tell the status of an answer: the playlist is asked for again. */
  private readonly failed = (): void => {
    if (this.stopped) return;
    fetch(this.url).then(
      (r) => {
        if (this.stopped) return;
        if (r.ok) this.events.broken(this.video.error?.message ?? "playback failed");
        else answered(r.status, this.events);
      },
      () => {
        if (!this.stopped) this.events.broken("the server cannot be reached");
      },
    );
  };

  private readonly ended = (): void => {
    if (!this.stopped) this.events.absent();
  };

  delay(): number | undefined {
    const v: HTMLVideoElement & { getStartDate?: () => Date } = this.video;
    const begun = v.getStartDate?.().getTime();
    return begun === undefined || Number.isNaN(begun) ? undefined : Math.max(0, (Date.now() - begun) / 1000 - v.currentTime);
  }

  bitrate(): number | undefined {
    return undefined;
  }

  toLive(): void {
    const s = this.video.seekable;
    if (s.length > 0) this.video.currentTime = s.end(s.length - 1);
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.video.removeEventListener("error", this.failed);
    this.video.removeEventListener("ended", this.ended);
    this.video.removeAttribute("src");
    this.video.load();
  }
}

function playlistURL(source: Source): URL {
  return new URL(source.base.href + "/index.m3u8" + source.query);
}

export const hls: Transport = {
  id: "hls",
  label: "HLS",
  supported: () => Hls.isSupported(),
  start: (video, source, events) => new HLS(video, playlistURL(source), events),
};

export const native: Transport = {
  id: "native",
  label: "HLS by the browser",
  supported: () => document.createElement("video").canPlayType("application/vnd.apple.mpegurl") !== "",
  start: (video, source, events) => new Native(video, playlistURL(source), events),
};
