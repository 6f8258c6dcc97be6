import type { Events, Running, Start } from "./transport";

/** HLS by the browser itself, as on Apple's systems. */
class Native implements Running {
  private stopped = false;
  private readonly rewound: boolean; // what plays is a recording

  constructor(
    private readonly video: HTMLVideoElement,
    url: URL,
    private readonly events: Events,
  ) {
    this.rewound = url.searchParams.has("start");
    video.addEventListener("error", this.failed);
    video.addEventListener("ended", this.ended);
    video.src = url.href;
  }

  private readonly failed = (): void => {
    const error = this.video.error;
    if (this.stopped || error === null) return;
    if (error.code === MediaError.MEDIA_ERR_DECODE && this.video.currentTime === 0) this.events.unusable(error.message);
    else this.events.ended(error.message);
  };

  private readonly ended = (): void => {
    if (this.stopped) return;
    if (this.rewound) this.events.over("the recording ends here");
    else this.events.ended("the stream has ended");
  };

  delay(): number | undefined {
    const date = this.date();
    return date === undefined ? undefined : Math.max(0, (Date.now() - date) / 1000);
  }

  date(): number | undefined {
    const v: HTMLVideoElement & { getStartDate?: () => Date } = this.video;
    const begun = v.getStartDate?.().getTime();
    return begun === undefined || Number.isNaN(begun) ? undefined : begun + 1000 * v.currentTime;
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

export const start: Start = (video, url, events) => new Native(video, url, events);
