import { element, write } from "./elements";
import { clock, SeekBar } from "./seek";
import type { Source } from "./stream";
import { nearestBuffered } from "./transport";
import type { State, Watch } from "./watch";
import type { Way } from "./ways";

const icons = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  sound: "M4 9v6h4l5 5V4L8 9zM16 8a5 5 0 0 1 0 8M18 5a9 9 0 0 1 0 14",
  silent: "M4 9v6h4l5 5V4L8 9zM16 9l6 6M22 9l-6 6",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};

/** What the viewer reads in each state: a message, a detail where there is none of its own, and the button's word. */
const texts: Record<State, { message: string; detail: string; button: string }> = {
  connecting: { message: "Connecting…", detail: "", button: "Connecting" },
  playing: { message: "", detail: "", button: "Live" },
  waiting: { message: "Waiting for the stream", detail: "Its publisher is away for a moment. It goes on by itself.", button: "Waiting" },
  stalled: { message: "Waiting for the stream", detail: "Its publisher is connected, but sends nothing at the moment.", button: "Waiting" },
  offline: { message: "The stream is offline", detail: "It starts by itself as soon as it is live.", button: "Offline" },
  forbidden: { message: "You may not watch this stream", detail: "It needs a key, or is not for your address.", button: "No access" },
  impossible: { message: "This stream cannot be played here", detail: "", button: "Error" },
  withheld: {
    message: "What was recorded then does not come",
    detail: "It is in a storage that does not answer, or that does not let this page read it: its bucket must allow this page's origin (CORS).",
    button: "Error",
  },
  error: { message: "The server does not answer", detail: "This page goes on trying.", button: "Error" },
};

/** The delay from which on the button takes the viewer to the newest picture, in seconds. */
const behindTime = 10;

/** How long the controls stay after the pointer has moved, in milliseconds. */
const restTime = 2500;

/** Controls are the page around the picture. */
export class Controls {
  private readonly root = document.documentElement;
  private readonly player = element("player", HTMLElement);
  private readonly message = element("message", HTMLElement);
  private readonly detail = element("detail", HTMLElement);
  private readonly unmute = element("unmute", HTMLButtonElement);
  private readonly play = element("play", HTMLButtonElement);
  private readonly mute = element("mute", HTMLButtonElement);
  private readonly volume = element("volume", HTMLInputElement);
  private readonly live = element("live", HTMLButtonElement);
  private readonly word = element("word", HTMLElement);
  private readonly what = element("what", HTMLElement);
  private readonly delay = element("delay", HTMLOutputElement);
  private readonly quality = element("quality", HTMLOutputElement);
  private readonly transport = element("transport", HTMLSelectElement);
  private readonly full = element("full", HTMLButtonElement);
  private frames = { count: 0, at: performance.now(), rate: 0 };
  private rest: ReturnType<typeof setTimeout> | undefined;
  private readonly seek: SeekBar;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly watch: Watch,
    ways: readonly Way[],
    source: Source,
    title: string,
  ) {
    this.seek = new SeekBar(watch, source);
    element("title", HTMLHeadingElement).textContent = title;
    this.transport.append(new Option("Automatic", ""));
    for (const w of ways) if (w.supported()) this.transport.append(new Option(w.label, w.id));
    this.transport.addEventListener("change", () => {
      watch.choose(this.transport.value === "" ? undefined : this.transport.value);
    });
    this.play.addEventListener("click", () => {
      this.toggle();
    });
    this.mute.addEventListener("click", () => {
      this.silence(!video.muted);
    });
    this.unmute.addEventListener("click", () => {
      this.silence(false);
      this.mute.focus();
    });
    this.volume.addEventListener("input", () => {
      video.volume = Number(this.volume.value);
      this.silence(video.volume === 0);
    });
    this.live.addEventListener("click", () => {
      this.toLive();
    });
    this.full.hidden = !document.fullscreenEnabled;
    this.full.addEventListener("click", () => {
      this.toggleFull();
    });
    for (const e of ["play", "pause", "volumechange"]) {
      video.addEventListener(e, () => {
        this.draw();
      });
    }
    video.addEventListener("dblclick", () => {
      this.toggleFull();
    });
    document.addEventListener("keydown", (e) => {
      this.key(e);
    });
    for (const e of ["pointermove", "pointerdown", "keydown", "focusin"]) {
      document.addEventListener(e, () => {
        this.stir();
      });
    }
    setInterval(() => {
      this.measure();
    }, 500);
    this.draw();
    this.stir();
  }

  /** Tells the viewer what goes on. */
  show(state: State, detail: string): void {
    this.root.dataset.state = state;
    const text = texts[state];
    write(this.message, text.message);
    write(this.detail, detail || text.detail);
    const plan = this.watch.plan;
    const of = this.watch.description;
    write(this.what, state === "playing" ? (plan?.sentence ?? "") : "");
    this.root.dataset.silent = String(state === "playing" && plan?.silent === true);
    this.root.dataset.sound = String(state === "playing" && of?.audio !== undefined && of.video === undefined);
    this.draw();
    this.measure();
  }

  private toggle(): void {
    if (this.video.paused) {
      if (this.watch.date === undefined) this.watch.toLive(); // who has gone back goes on there
      void this.video.play();
    } else {
      this.video.pause();
    }
  }

  private toLive(): void {
    const isBack = this.watch.date !== undefined;
    this.watch.toLive();
    if (this.video.paused && !isBack) void this.video.play();
  }

  private silence(on: boolean): void {
    this.video.muted = on;
    delete this.video.dataset.silenced;
    if (!on && this.video.volume === 0) this.video.volume = 0.5;
    this.draw();
  }

  private toggleFull(): void {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.player.requestFullscreen();
  }

  private key(e: KeyboardEvent): void {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target instanceof HTMLSelectElement) return;
    const onButton = e.target instanceof HTMLButtonElement;
    const onSlider = e.target instanceof HTMLInputElement;
    switch (e.key) {
      case " ":
        if (onButton) return;
        this.toggle();
        break;
      case "k":
        this.toggle();
        break;
      case "m":
        this.silence(!this.video.muted);
        break;
      case "f":
        this.toggleFull();
        break;
      case "ArrowUp":
      case "ArrowDown":
        if (onSlider) return;
        this.video.volume = Math.min(1, Math.max(0, this.video.volume + (e.key === "ArrowUp" ? 0.1 : -0.1)));
        break;
      case "ArrowLeft":
        if (onSlider) return;
        if (this.seek.isShown) this.seek.step(-1);
        else this.video.currentTime = nearestBuffered(this.video, this.video.currentTime - 5) ?? this.video.currentTime;
        break;
      case "ArrowRight":
        if (onSlider) return;
        if (this.seek.isShown && this.seek.position < 0) this.seek.step(1);
        else this.toLive();
        break;
      default:
        return;
    }
    e.preventDefault();
  }

  /** Shows the controls, and hides them when nothing moves for a while. */
  private stir(): void {
    this.root.dataset.idle = "false";
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.root.dataset.idle = "true";
    }, restTime);
  }

  private measure(): void {
    const quality = this.video.getVideoPlaybackQuality();
    const now = performance.now();
    const took = (now - this.frames.at) / 1000;
    if (took >= 2) {
      this.frames = { count: quality.totalVideoFrames, at: now, rate: Math.max(0, Math.round((quality.totalVideoFrames - this.frames.count) / took)) };
    }
    const delay = this.watch.delay;
    const playing = this.root.dataset.state === "playing";
    const isBack = this.watch.date !== undefined;
    this.delay.value = isBack ? clock(this.seek.position) : playing && delay !== undefined ? `${delay.toFixed(1)} s` : "";
    this.delay.title = isBack ? "Before what is live" : "From the newest picture at the server to this one";
    this.root.dataset.back = String(isBack);
    this.seek.show();
    this.root.dataset.delay = delay?.toFixed(2) ?? "";
    this.root.dataset.transport = this.watch.plan?.way?.id ?? "";
    const parts: string[] = [];
    if (this.video.videoWidth > 0) parts.push(`${String(this.video.videoWidth)}×${String(this.video.videoHeight)}`);
    if (this.frames.rate > 0) parts.push(`${String(this.frames.rate)} fps`);
    const bitrate = this.watch.bitrate;
    if (bitrate !== undefined && bitrate > 0) parts.push(bitrate >= 1e6 ? `${(bitrate / 1e6).toFixed(1)} Mbit/s` : `${(bitrate / 1e3).toFixed(0)} kbit/s`);
    this.quality.value = playing ? parts.join(" · ") : "";
    const behind = playing && (this.video.paused || (delay !== undefined && delay > behindTime));
    this.live.dataset.behind = String(behind || isBack);
    this.live.disabled = !playing && !isBack;
    const state = this.root.dataset.state as State | undefined;
    write(this.word, isBack ? "Back to live" : behind ? "Go live" : texts[state ?? "connecting"].button);
  }

  private draw(): void {
    const v = this.video;
    icon(this.play, v.paused ? icons.play : icons.pause, v.paused ? "Play" : "Pause", "space");
    icon(this.mute, v.muted ? icons.silent : icons.sound, v.muted ? "Unmute" : "Mute", "m");
    icon(this.full, icons.full, "Full screen", "f");
    this.volume.value = String(v.muted ? 0 : v.volume);
    this.unmute.hidden = !(v.muted && "silenced" in v.dataset && this.root.dataset.state === "playing" && this.root.dataset.silent !== "true");
    this.root.dataset.paused = String(v.paused);
  }
}

function icon(button: HTMLButtonElement, path: string, label: string, key: string): void {
  if (button.getAttribute("aria-label") === label && button.firstChild !== null) return;
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const p = document.createElementNS(ns, "path");
  p.setAttribute("d", path);
  svg.append(p);
  button.replaceChildren(svg);
  button.setAttribute("aria-label", label);
  button.title = `${label} (${key})`;
}
