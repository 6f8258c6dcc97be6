// Opens pages in one Chromium and tells what is to be seen on each: a line of JSON every 200 ms,
// one for each complaint, and one for each answer to a command. It ends with its input.
//
// Pages are looked at by the DevTools protocol itself: to Chromium page.evaluate() is a touch by the
// viewer, which lets a page play with sound that otherwise may not.
//
// Commands, one a line, each with the name of a page first:
//   NAME open URL WIDTH HEIGHT light|dark      NAME close
//   NAME key KEY        NAME click SELECTOR    NAME select WAY
//   NAME size WIDTH HEIGHT                     NAME shot FILE
//   NAME run SCRIPT
import { once } from "node:events";
import readline from "node:readline";
import { chromium } from "playwright-core";

const say = (event, page, more) => process.stdout.write(JSON.stringify({ event, page, ...more }) + "\n");
const complain = (page, of) => say("complaint", page, { text: String(of) });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const pages = new Map();

async function open(name, url, width, height, colorScheme) {
  const page = await browser.newPage({ viewport: { width: Number(width), height: Number(height) }, colorScheme, ignoreHTTPSErrors: true });
  page.on("console", (m) => {
    if (m.type() === "error") complain(name, `${m.text()} ${m.location().url}`);
    else say("said", name, { text: m.text() });
  });
  page.on("pageerror", (e) => complain(name, `${e} ${e.stack ?? ""}`.slice(0, 400)));
  // A player that asks for the same file again and again plays, but is a burden to the server.
  const asked = new Map();
  page.on("request", (r) => {
    const to = new URL(r.url());
    if (!["data:", "blob:"].includes(to.protocol) && to.host !== new URL(url).host) complain(name, `a request to ${to.host}`);
    if (!/\.(m4s|mp4)$/.test(to.pathname)) return;
    const what = r.url() + (r.headers().range ?? "");
    const times = (asked.get(what) ?? 0) + 1;
    asked.set(what, times);
    if (times === 5) complain(name, `asks again and again for ${r.url()}`);
  });
  const devtools = await page.context().newCDPSession(page);
  await page.goto(url, { timeout: 55_000, waitUntil: "domcontentloaded" });
  pages.set(name, page);
  void watch(name, page, devtools);
}

// watch tells what is to be seen on a page until it is closed. While one document gives way to
// the next there is nothing to see.
async function watch(name, page, devtools) {
  const expression = `(${look})()`;
  while (pages.get(name) === page) {
    try {
      const { result, exceptionDetails } = await devtools.send("Runtime.evaluate", { expression, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      if (pages.get(name) === page) say("seen", name, result.value);
    } catch (e) {
      if (pages.get(name) === page && !/navigated|context was destroyed|Cannot find (default execution )?context/.test(String(e))) complain(name, e);
    }
    await new Promise((r) => setTimeout(r, 200));
  }
}

const look = () => {
  const root = document.documentElement;
  if (document.body === null) return {};
  const video = document.querySelector("video");
  const quality = video?.getVideoPlaybackQuality();
  const text = (selector) => document.querySelector(selector)?.textContent ?? "";
  return {
    ...root.dataset,
    message: text("#message"),
    what: text("#what"),
    word: text("#word"),
    bars: (document.querySelector("#sound")?.clientHeight ?? 0) > 0,
    text: document.body.innerText,
    at: performance.now() / 1000,
    time: video?.currentTime ?? 0,
    end: video?.buffered.length > 0 ? video.buffered.end(video.buffered.length - 1) : 0,
    frames: (quality?.totalVideoFrames ?? 0) - (quality?.droppedVideoFrames ?? 0),
    sound: video?.webkitAudioDecodedByteCount ?? 0,
    width: video?.videoWidth ?? 0,
    height: video?.videoHeight ?? 0,
    muted: video?.muted ?? false,
    wide: root.scrollWidth > root.clientWidth,
    stills: [...document.images].filter((i) => i.complete && i.naturalWidth > 0).length,
    hevc: MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L93.B0"'),
  };
};

async function obey(name, command, args) {
  const page = pages.get(name);
  switch (command) {
    case "open":
      return open(name, ...args);
    case "close":
      pages.delete(name);
      return page.close();
    case "key":
      return page.keyboard.press(args[0]);
    case "click":
      return page.click(args.join(" "), { timeout: 55_000 });
    case "size":
      return page.setViewportSize({ width: Number(args[0]), height: Number(args[1]) });
    case "select":
      return page.selectOption("#transport", args[0] ?? "");
    case "run":
      return page.evaluate(args.join(" "));
    case "shot":
      return page.screenshot({ path: args[0] });
  }
}

const input = readline.createInterface({ input: process.stdin });
input.on("line", async (line) => {
  const [name, command, ...args] = line.split(" ");
  try {
    await obey(name, command, args);
  } catch (e) {
    complain(name, `${line}: ${e}`);
  }
  say("done", name, { text: line });
});
await once(input, "close");
pages.clear();
await browser.close();
