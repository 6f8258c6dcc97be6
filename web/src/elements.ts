/** The element of the page that has an id. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const e = document.getElementById(id);
  if (!(e instanceof type)) throw new Error(`the page has no ${id}`);
  return e;
}

/** Changes a text: what has not changed must not be read out again. */
export function write(e: HTMLElement, text: string): void {
  if (e.textContent !== text) e.textContent = text;
}
