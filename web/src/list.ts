import "./style.css";

interface Stream {
  path: string;
  video: string;
  audio: string;
}

/** How often the list is read again, in milliseconds. */
const period = 10_000;

const list = document.getElementById("streams");
const lead = document.getElementById("lead");

function card(s: Stream): HTMLLIElement {
  const path = s.path.split("/").map(encodeURIComponent).join("/");
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = path + "/";
  const still = document.createElement("div");
  still.className = "still";
  if (s.video !== "") {
    const picture = document.createElement("img");
    picture.alt = "";
    picture.loading = "lazy";
    picture.addEventListener("error", () => {
      picture.remove();
    });
    picture.src = path + "/snapshot.jpg";
    still.append(picture);
  }
  const name = document.createElement("strong");
  name.textContent = s.path;
  const what = document.createElement("span");
  what.textContent = [s.video, s.audio].filter((t) => t !== "").join(" · ");
  link.append(still, name, what);
  item.append(link);
  return item;
}

async function read(): Promise<Stream[] | undefined> {
  const answer = await fetch("streams.json", { signal: AbortSignal.timeout(period) });
  return answer.ok ? ((await answer.json()) as Stream[]) : undefined;
}

async function refresh(): Promise<void> {
  const streams = await read().catch(() => undefined);
  if (list !== null && lead !== null) {
    let text = "The server does not answer. This page goes on trying.";
    if (streams !== undefined) text = streams.length === 0 ? "No public stream is live." : `${String(streams.length)} live`;
    if (lead.textContent !== text) lead.textContent = text;
    list.replaceChildren(...(streams ?? []).map(card));
  }
  setTimeout(() => {
    void refresh();
  }, period);
}

if (list?.dataset.list === "public") void refresh();
