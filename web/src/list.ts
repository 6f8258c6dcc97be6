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
  const still = document.createElement("img");
  still.alt = "";
  still.loading = "lazy";
  still.addEventListener("error", () => {
    still.remove();
  });
  still.src = path + "/snapshot.jpg";
  const name = document.createElement("strong");
  name.textContent = s.path;
  const what = document.createElement("span");
  what.textContent = [s.video, s.audio].filter((t) => t !== "").join(" · ");
  link.append(still, name, what);
  item.append(link);
  return item;
}

async function refresh(): Promise<void> {
  const answer = await fetch("streams.json");
  if (!answer.ok || list === null || lead === null) return; // the list is not for everybody
  const streams = (await answer.json()) as Stream[];
  const text = streams.length === 0 ? "No stream is live." : `${String(streams.length)} live`;
  if (lead.textContent !== text) lead.textContent = text;
  list.replaceChildren(...streams.map(card));
  setTimeout(() => {
    void refresh();
  }, period);
}

void refresh();
