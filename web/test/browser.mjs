// Opens a page in Chromium and tells what is to be seen on it: a line of JSON every 200 ms,
// one for each complaint, and one for each answer to a command. It ends with its input.
//
//   node browser.mjs URL [WIDTH HEIGHT light|dark]
//
// Commands, one a line: "key NAME", "click SELECTOR", "size WIDTH HEIGHT", "select WAY", "shot FILE".
import readline from "node:readline";
import { chromium } from "playwright-core";

const [url, width = "1280", height = "720", colorScheme = "light"] = process.argv.slice(2);
const say = (event, more) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({ viewport: { width: Number(width), height: Number(height) }, colorScheme, ignoreHTTPSErrors: true });
page.on("console", (m) => {
  if (m.type() === "error" || m.type() === "warning") say("complaint", { text: m.text(), level: m.type() });
});
page.on("pageerror", (e) => say("complaint", { text: String(e), level: "error" }));
page.on("request", (r) => {
  const to = new URL(r.url());
  if (!["data:", "blob:"].includes(to.protocol) && to.host !== new URL(url).host) say("complaint", { text: `a request to ${to.host}`, level: "error" });
});
// A player that asks for the same file again and again plays, but is a burden to the server.
const asked = new Map();
page.on("request", (r) => {
  if (!/\.(m4s|mp4)$/.test(new URL(r.url()).pathname)) return;
  const times = (asked.get(r.url()) ?? 0) + 1;
  asked.set(r.url(), times);
  if (times === 5) say("complaint", { text: `asks again and again for ${r.url()}`, level: "error" });
});
await page.goto(url);

const look = () =>
  page.evaluate(() => {
    const root = document.documentElement;
    const video = document.querySelector("video");
    const quality = video?.getVideoPlaybackQuality();
    return {
      ...root.dataset,
      message: document.querySelector("#message")?.textContent ?? "",
      text: document.body.innerText,
      time: video?.currentTime ?? 0,
      frames: (quality?.totalVideoFrames ?? 0) - (quality?.droppedVideoFrames ?? 0),
      sound: video?.webkitAudioDecodedByteCount ?? 0,
      width: video?.videoWidth ?? 0,
      height: video?.videoHeight ?? 0,
      muted: video?.muted ?? false,
      wide: root.scrollWidth > root.clientWidth,
      stills: [...document.images].filter((i) => i.complete && i.naturalWidth > 0).length,
      hevc: MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L93.B0"'),
    };
  });

let over = false;
const commands = {
  key: (name) => page.keyboard.press(name),
  click: (selector) => page.click(selector, { timeout: 5000 }),
  size: (w, h) => page.setViewportSize({ width: Number(w), height: Number(h) }),
  select: (way) => page.selectOption("#transport", way),
  shot: (file) => page.screenshot({ path: file }),
};
const input = readline.createInterface({ input: process.stdin });
input.on("close", () => (over = true));
input.on("line", async (line) => {
  const [name, ...args] = line.split(" ");
  try {
    await commands[name](...args);
    say("done", { text: line });
  } catch (e) {
    say("complaint", { text: `${line}: ${e}`, level: "error" });
  }
});
while (!over) {
  try {
    say("seen", await look());
  } catch (e) {
    say("complaint", { text: String(e), level: "error" });
  }
  await new Promise((r) => setTimeout(r, 200));
}
await browser.close();
