import { element } from "./elements";
import { leastPast, Past } from "./past";
import type { Source } from "./stream";
import type { Watch } from "./watch";

// Times before now are negative, in seconds.

/** What is this near is live. */
const nearLive = 5;
/** How far the keys go. */
const step = 10;
const bigStep = 60;
/** How long after the last key the viewer is taken there, and how old what is known of the past may get, in milliseconds. */
const keyRest = 350;
const oldAge = 30_000;
const freshAge = 5000;

/** The bar on which the viewer goes back in time. */
export class SeekBar {
  private readonly root = document.documentElement;
  private readonly area = element("past", HTMLElement);
  private readonly track = element("track", HTMLElement);
  private readonly input = element("seek", HTMLInputElement);
  private readonly hint = element("then", HTMLElement);
  private past: Past | undefined;
  private wanted: number | undefined; // while the viewer chooses
  private hovered: number | undefined;
  private rest: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly watch: Watch,
    private readonly source: Source,
  ) {
    this.input.addEventListener("input", () => {
      this.wanted = Number(this.input.value);
      this.draw();
    });
    this.input.addEventListener("change", () => {
      this.go();
    });
    this.input.addEventListener("keydown", (e) => {
      this.key(e);
    });
    for (const e of ["pointerenter", "focus"]) {
      this.input.addEventListener(e, () => {
        this.refresh(freshAge);
      });
    }
    this.input.addEventListener("pointermove", (e) => {
      const at = this.input.getBoundingClientRect();
      const min = Number(this.input.min);
      this.hovered = Math.min(0, Math.max(min, min * (1 - (e.clientX - at.left) / at.width)));
      this.draw();
    });
    for (const e of ["pointerleave", "blur"]) {
      this.input.addEventListener(e, () => {
        this.hovered = undefined;
        this.draw();
      });
    }
  }

  /** Whether there is a bar. */
  get isShown(): boolean {
    return !this.area.hidden;
  }

  /** Shows the bar if the viewer can go back. */
  show(): void {
    const seconds = this.watch.past;
    if (seconds === undefined) this.past = undefined;
    else if (this.past === undefined) {
      this.past = new Past(this.source, seconds);
      this.refresh(0);
    }
    this.area.hidden = !(this.past && this.past.now() - this.past.from >= 1000 * leastPast);
    this.root.dataset.recorded = String(this.isShown);
    this.draw();
  }

  /** Where the viewer is, or chooses to be. */
  get position(): number {
    if (this.wanted !== undefined) return this.wanted;
    if (this.past === undefined || this.watch.date === undefined) return 0;
    return Math.min(0, (this.watch.date - this.past.now()) / 1000);
  }

  /** Moves by some seconds, a little later: the viewer may go on. */
  move(by: number): void {
    if (this.past === undefined) return;
    this.wanted = Math.min(0, Math.max((this.past.from - this.past.now()) / 1000, this.position + by));
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.go();
    }, keyRest);
    this.draw();
  }

  /** Moves by one step of the keys, -1 or 1. */
  step(direction: number): void {
    this.move(direction * step);
  }

  /** Takes the viewer where it has chosen to be. */
  private go(): void {
    clearTimeout(this.rest);
    const { wanted, past } = this;
    this.wanted = undefined;
    if (wanted === undefined || past === undefined) return;
    if (wanted > -nearLive) this.watch.toLive();
    else this.watch.goBack(Math.max(past.from, Math.min(past.now() + 1000 * wanted, past.to - 1000 * step)));
    this.draw();
  }

  private key(e: KeyboardEvent): void {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    const by: Partial<Record<string, number>> = {
      ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -bigStep, PageUp: bigStep, Home: -Infinity, End: Infinity,
    };
    const to = by[e.key];
    if (to === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    this.move(to);
  }

  private refresh(age: number): void {
    void this.past?.refresh(age).then(() => {
      this.draw();
    });
  }

  /** Draws what has changed; it is called twice a second. */
  draw(): void {
    const { past, position } = this;
    if (past === undefined) return;
    if (this.watch.date !== undefined) void past.refresh(oldAge);
    const span = (past.now() - past.from) / 1000;
    const at = (seconds: number): number => Math.min(100, Math.max(0, 100 * (1 + seconds / span)));
    this.input.min = (-span).toFixed(0);
    this.input.value = position.toFixed(0);
    this.input.setAttribute("aria-valuetext", this.words(position));
    // What has been passed is bright, and the line has the gaps that the recording has.
    const shown = at(position).toFixed(2);
    const stops = [`var(--passed) ${shown}%`, `var(--ahead) ${shown}%`];
    const holes = past.gaps.flatMap((g) => {
      const from = at((g.from - past.now()) / 1000);
      const to = Math.max(from + 0.3, at((g.to - past.now()) / 1000)); // short ones are seen too
      return [`#000 ${from.toFixed(2)}%`, `transparent ${from.toFixed(2)}%`, `transparent ${to.toFixed(2)}%`, `#000 ${to.toFixed(2)}%`];
    });
    this.track.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    this.track.style.maskImage = holes.length > 0 ? `linear-gradient(to right, ${holes.join(", ")})` : "none";
    const told = this.wanted ?? this.hovered;
    this.hint.hidden = told === undefined;
    if (told !== undefined) {
      this.hint.textContent = this.label(told);
      this.hint.style.left = `clamp(4.5rem, ${at(told).toFixed(2)}%, calc(100% - 4.5rem))`;
    }
    this.root.dataset.ago = (-position).toFixed(1);
  }

  /** A time as it is shown. */
  private label(seconds: number): string {
    if (seconds > -nearLive || this.past === undefined) return "Live";
    const date = this.past.now() + 1000 * seconds;
    return `${clock(seconds)} · ${this.past.gapAt(date) ? "not recorded" : new Date(date).toLocaleTimeString()}`;
  }

  /** A time as it is read out. */
  private words(seconds: number): string {
    if (seconds > -nearLive) return "Live";
    const s = Math.round(-seconds);
    const parts = [
      [Math.floor(s / 3600), "hour"],
      [Math.floor(s / 60) % 60, "minute"],
      [s % 60, "second"],
    ] as const;
    const text = parts.flatMap(([n, name]) => (n > 0 ? [`${String(n)} ${name}${n > 1 ? "s" : ""}`] : [])).join(" ");
    return `${text} before live${this.past?.gapAt(this.past.now() + 1000 * seconds) ? ", not recorded" : ""}`;
  }
}

/** Seconds before now as a clock has them, such as −2:05. */
export function clock(seconds: number): string {
  const s = Math.round(Math.abs(seconds));
  const two = (n: number): string => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  return `−${hours > 0 ? `${String(hours)}:` : ""}${hours > 0 ? two(Math.floor(s / 60) % 60) : String(Math.floor(s / 60))}:${two(s % 60)}`;
}
