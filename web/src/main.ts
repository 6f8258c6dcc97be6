import { Controls } from "./controls";
import { Watch } from "./watch";
import { ways } from "./ways";
import "./style.css";

const here = new URL(location.href);
const query = new URLSearchParams(here.search);
const embedded = query.get("embed") === "1";
const wanted = query.get("via") ?? undefined;
query.delete("embed");
query.delete("via");
const begin = moment(query.get("start") ?? "");
if (begin !== undefined) query.delete("start"); // the live stream has none

const base = new URL(here.href.split(/[?#]/)[0]?.replace(/\/+$/, "") ?? here.href);
const title = decodeURIComponent(base.pathname.split("/").slice(-2).join("/"));
document.title = title;
document.documentElement.dataset.embedded = String(embedded);

/** The date, in milliseconds, of a time in an address: seconds before now such as -300, or a date; undefined if it is none. */
function moment(text: string): number | undefined {
  const date = /^-\d+(\.\d+)?$/.test(text) ? Date.now() + 1000 * Number(text) : /^\d{4}-/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? undefined : date;
}

const video = document.querySelector<HTMLVideoElement>("#video");
if (video !== null) {
  const text = query.toString();
  const source = { base, query: text === "" ? "" : "?" + text };
  const watch = new Watch(video, source, ways, begin, (state, detail) => {
    controls.show(state, detail);
  });
  const controls = new Controls(video, watch, ways, source, title);
  watch.choose(ways.some((w) => w.id === wanted) ? wanted : undefined);
}
