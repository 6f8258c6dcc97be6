import type { Source } from "./stream";

/** Time at which nothing was recorded, by the server's clock in milliseconds. */
export interface Gap {
  from: number;
  to: number;
}

/** What the server says of what was recorded. */
interface Recorded {
  now: string;
  spans: { from: string; to: string }[];
  gaps: { from: string; to: string }[];
}

/** How many seconds must have been recorded so that one can go back. */
export const leastPast = 10;
/** How long the answer may take to come, in milliseconds. */
const readTime = 8000;
/** How long ago what was recorded may end while it is recorded, in milliseconds. */
const restTime = 10_000;
/** How far back the server lets one go, in milliseconds. */
const farthest = 24 * 3600 * 1000;

/** Past is what was recorded of a stream. */
export class Past {
  /** The gaps, in order. */
  gaps: readonly Gap[] = [];
  /** When the newest of it ends; Infinity while it is recorded. */
  to = Infinity;
  private begin: number;
  private skew = 0; // by how much the server's clock is ahead of this one
  private asked = -Infinity;

  /** One can go back by some seconds now. */
  constructor(
    private readonly source: Source,
    seconds: number,
  ) {
    this.begin = Date.now() - 1000 * seconds;
  }

  /** The time by the server's clock, in milliseconds. */
  now(): number {
    return Date.now() + this.skew;
  }

  /** The oldest date to which one can go. */
  get from(): number {
    return Math.max(this.begin, this.now() - farthest);
  }

  /** The gap in which a date lies; undefined if something was recorded then. */
  gapAt(date: number): Gap | undefined {
    return this.gaps.find((g) => g.from <= date && date < g.to);
  }

  /** Asks the server what there is, unless it was asked in the last milliseconds. */
  async refresh(age: number): Promise<void> {
    const now = performance.now();
    if (now - this.asked < age) return;
    this.asked = now;
    try {
      const answer = await fetch(this.source.base.href + "/recordings.json" + this.source.query, { cache: "no-store", signal: AbortSignal.timeout(readTime) });
      if (!answer.ok) return;
      const of = (await answer.json()) as Recorded;
      this.skew = Date.parse(of.now) - Date.now();
      this.gaps = of.gaps.map((g) => ({ from: Date.parse(g.from), to: Date.parse(g.to) }));
      const [first] = of.spans;
      if (first !== undefined) this.begin = Date.parse(first.from);
      const end = Math.max(...of.spans.map((s) => Date.parse(s.to)));
      this.to = of.spans.length > 0 && this.now() - end > restTime ? end : Infinity;
      if (this.to < Infinity) this.gaps = [...this.gaps, { from: this.to, to: Infinity }];
    } catch {
      // What is known stays: playing tells what cannot be had.
    }
  }
}
