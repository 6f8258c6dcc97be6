import Hls, { type ErrorData, type Fragment } from "hls.js";
import { bufferedEnd, type Events, type Running, type Start } from "./transport";

/** How far before the end hls.js takes a viewer to be live, in seconds. */
const liveSyncDuration = 1;
/** How much is left to play at most when there is nothing more, in seconds. */
const endTime = 2;
/** How long the question may take where what cannot be loaded is, in milliseconds. */
const askTime = 8000;

/** What is recorded of a stream, from some time on, by hls.js. */
class Rewound implements Running {
  private readonly hls: Hls;
  private recovered = false;
  private stopped = false;

  constructor(
    private readonly video: HTMLVideoElement,
    url: URL,
    private readonly events: Events,
  ) {
    this.hls = new Hls({
      // The viewer has chosen where to be: nothing may take it elsewhere. Who comes to the end of what there is waits there: as
      // long as the playlist wants players to stay behind, hls.js would go back.
      lowLatencyMode: false,
      liveSyncDuration,
      liveMaxLatencyDuration: Infinity,
      maxLiveSyncPlaybackRate: 1,
      backBufferLength: 60,
      // The server withholds the first playlist of a recording that has just begun.
      manifestLoadPolicy: { default: { maxTimeToFirstByteMs: 30_000, maxLoadTimeMs: 40_000, timeoutRetry: null, errorRetry: null } },
    });
    this.hls.on(Hls.Events.ERROR, (_, data) => {
      this.failed(data);
    });
    video.addEventListener("ended", this.ended);
    this.hls.attachMedia(video);
    this.hls.loadSource(url.href);
  }

  private readonly ended = (): void => {
    if (!this.stopped) this.events.over("the recording ends here");
  };

  private failed(data: ErrorData): void {
    if (this.stopped) return;
    const code = data.response?.code ?? 0;
    const ofMedia = data.details === Hls.ErrorDetails.FRAG_LOAD_ERROR || data.details === Hls.ErrorDetails.FRAG_LOAD_TIMEOUT;
    if (ofMedia && data.frag !== undefined && code === 0 && bufferedEnd(this.video) < this.video.currentTime + 1) {
      void this.find(data.frag.url);
    }
    if (!data.fatal) return;
    const ofPlaylist = data.details === Hls.ErrorDetails.MANIFEST_LOAD_ERROR || data.details === Hls.ErrorDetails.LEVEL_LOAD_ERROR;
    if (data.details === Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR || data.details === Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) {
      this.events.unusable(data.error.message);
    } else if (ofPlaylist && code >= 400 && code < 500) {
      this.events.over(data.error.message);
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.recovered) {
      this.recovered = true;
      this.hls.recoverMediaError();
    } else {
      this.events.ended(data.error.message);
    }
  }

  /** Finds out whether what did not come is on another server: scripts are told no more than that nothing came. */
  private async find(url: string): Promise<void> {
    try {
      const answer = await fetch(url, { redirect: "manual", headers: { Range: "bytes=0-0" }, signal: AbortSignal.timeout(askTime) });
      if (!this.stopped && answer.type === "opaqueredirect") this.events.withheld();
    } catch {
      // This server does not answer either: hls.js tries again.
    }
  }

  delay(): number | undefined {
    return undefined;
  }

  bitrate(): number | undefined {
    return this.hls.levels[Math.max(0, this.hls.currentLevel)]?.bitrate;
  }

  toLive(): void {
    // Where live is this playlist does not know.
  }

  date(): number | undefined {
    if (this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || this.video.seeking) return undefined;
    const time = this.video.currentTime;
    let date: number | undefined;
    for (const f of this.fragments()) {
      if (f.start > time) break;
      if (f.programDateTime !== null) date = f.programDateTime + 1000 * (time - f.start);
    }
    return date;
  }

  atEnd(): boolean {
    const edge = this.hls.latestLevelDetails?.edge;
    return edge !== undefined && this.video.currentTime > edge - endTime;
  }

  seek(date: number): boolean {
    const list = this.fragments();
    const first = list[0];
    const f = list.find((f) => f.programDateTime !== null && f.programDateTime + 1000 * f.duration > date);
    if (first?.programDateTime == null || f?.programDateTime == null || date < first.programDateTime) return false;
    this.video.currentTime = f.start + Math.max(0, date - f.programDateTime) / 1000;
    return true;
  }

  private fragments(): readonly Fragment[] {
    return this.hls.latestLevelDetails?.fragments ?? [];
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.video.removeEventListener("ended", this.ended);
    this.hls.destroy();
  }
}

export const start: Start = (video, url, events) => new Rewound(video, url, events);
