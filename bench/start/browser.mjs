// Opens the watch page in Chromium and prints the number in each picture that it shows; see film.go.
// The page's address is that of the stream; start= and the way to play are taken from it.
import { createRequire } from "node:module";
const { chromium } = createRequire(new URL("../../web/package.json", import.meta.url))("playwright-core");

const stream = new URL(process.argv[2]);
const start = stream.searchParams.get("start") ?? "";
const print = (o) => process.stdout.write(JSON.stringify(o) + "\n");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--autoplay-policy=no-user-gesture-required"],
});
const page = await browser.newPage({ viewport: { width: 400, height: 300 } });
page.on("pageerror", (e) => print({ complaint: String(e) }));
page.on("console", (m) => {
  if (m.type() === "error" || m.type() === "warning") print({ complaint: m.text() });
});
await page.exposeFunction("shown", (number, at) => print({ number, at }));
await page.addInitScript((start) => {
  const ask = (url) => {
    const u = new URL(url, location.href);
    if (start && /\/live\/film/.test(u.pathname)) u.searchParams.set("start", start);
    return u.href;
  };
  const { fetch, WebSocket } = window;
  window.fetch = (url, o) => fetch(typeof url === "string" ? ask(url) : url, o);
  window.WebSocket = new Proxy(WebSocket, { construct: (of, [url, ...more]) => new of(ask(url), ...more) });
  const canvas = document.createElement("canvas");
  canvas.width = 14 * 16;
  canvas.height = 16;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const look = (video) => {
    const at = performance.timeOrigin + performance.now();
    context.drawImage(video, 0, 0, canvas.width, 16, 0, 0, canvas.width, 16);
    const { data } = context.getImageData(0, 8, canvas.width, 1);
    let number = 0;
    for (let i = 0; i < 14; i++) if (data[(i * 16 + 8) * 4] > 128) number |= 1 << i;
    window.shown(number, at);
    video.requestVideoFrameCallback(() => look(video));
  };
  addEventListener("DOMContentLoaded", () => {
    const wait = setInterval(() => {
      const video = document.querySelector("video");
      if (!video) return;
      clearInterval(wait);
      video.requestVideoFrameCallback(() => look(video));
    }, 10);
  });
}, start);
await page.goto(`${stream.origin}/live/film/${stream.hash}`);
