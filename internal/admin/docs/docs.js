// Shows the OpenAPI document of the server that this page came from, and sends requests to it.
"use strict";

/** element makes an element with properties and children; text is never taken as markup. */
function element(name, props, ...children) {
  const e = Object.assign(document.createElement(name), props);
  e.append(...children.filter((c) => c !== undefined && c !== null));
  return e;
}

/** rich shows text with `code` in it. */
function rich(text, props) {
  const parts = (text ?? "").split("`");
  return element("div", props, ...parts.map((p, i) => (i % 2 ? element("code", {}, p) : p)));
}

/** typeOf describes a schema in a few words, with a link if it has a name. */
function typeOf(schema) {
  if (!schema) return "anything";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return element("a", { href: "#schema-" + name }, name);
  }
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(" or ");
  const types = [schema.type ?? "anything"].flat();
  if (types.includes("array")) return element("span", {}, "list of ", typeOf(schema.items));
  if (types.includes("object") && typeof schema.additionalProperties === "object") {
    return element("span", {}, "map to ", typeOf(schema.additionalProperties));
  }
  return [types.join(" or "), schema.format === "date-time" ? "(RFC 3339)" : ""].join(" ").trim();
}

/** fields is a table of an object's properties. */
function fields(schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, s]) =>
    element("tr", {},
      element("td", {}, element("code", {}, name)),
      element("td", { className: "type" }, typeOf(s), required.has(name) ? "" : ", may be absent"),
      element("td", {}, s.description ?? "")));
  return element("table", {}, element("tbody", {}, ...rows));
}

/** trial is a form that sends the operation's request and shows the answer. */
function trial(base, path, method, op) {
  const form = element("form", {});
  const inputs = (op.parameters ?? []).map((p) => {
    const id = [op.operationId, p.in, p.name].join("-");
    const input = element("input", { id, required: !!p.required, placeholder: p.schema?.default ?? p.schema?.examples?.[0] ?? "" });
    form.append(element("label", { htmlFor: id }, element("code", {}, p.name), " ", element("span", { className: "type" }, p.in), " ", p.description ?? ""), input);
    return [p, input];
  });
  let body;
  if (op.requestBody) {
    const id = op.operationId + "-body";
    body = element("textarea", { id, value: "{}", spellcheck: false });
    form.append(element("label", { htmlFor: id }, "Body"), body);
  }
  const streams = !!op.responses?.["200"]?.content?.["text/event-stream"];
  const line = element("pre", { hidden: true });
  const out = element("pre", { hidden: true, role: "status" });
  const stop = element("button", { type: "button", hidden: true }, "Stop");
  form.append(element("div", {}, element("button", { type: "submit" }, "Send"), stop), line, out);
  let running;
  stop.onclick = () => running?.abort();
  form.onsubmit = async (event) => {
    event.preventDefault();
    running?.abort();
    const abort = (running = new AbortController());
    let url = base + path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [p, input] of inputs) {
      if (p.in === "path") url = url.replace("{" + p.name + "}", encodeURIComponent(input.value));
      else if (input.value && p.in === "query") query.set(p.name, input.value);
      else if (input.value && p.in === "header") headers[p.name] = input.value;
    }
    if (query.size) url += "?" + query;
    if (body) headers["Content-Type"] = Object.keys(op.requestBody.content)[0];
    line.hidden = false;
    line.textContent = ["curl", method === "get" ? "" : "-X " + method.toUpperCase(),
      ...Object.entries(headers).map(([k, v]) => `-H '${k}: ${v}'`), body ? `-d '${body.value.replaceAll("'", "'\\''")}'` : "",
      `'${new URL(url, location.href)}'`].filter(Boolean).join(" ");
    const token = document.getElementById("token").value;
    if (token) headers.Authorization = "Bearer " + token;
    out.hidden = false;
    out.textContent = "…";
    try {
      const answer = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value, signal: abort.signal });
      out.textContent = `${answer.status} ${answer.statusText}\n`;
      if (streams && answer.ok) {
        stop.hidden = false;
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          out.textContent = (out.textContent + value).slice(-100000);
          out.scrollTop = out.scrollHeight;
        }
      } else {
        const text = await answer.text();
        try {
          out.textContent += JSON.stringify(JSON.parse(text), null, 2);
        } catch {
          out.textContent += text;
        }
      }
    } catch (error) {
      if (!abort.signal.aborted) out.textContent += String(error);
    } finally {
      stop.hidden = true;
    }
  };
  return form;
}

/** operation shows one operation. */
function operation(base, path, method, op) {
  const answers = Object.entries(op.responses ?? {}).map(([status, r]) => {
    const content = Object.values(r.content ?? {})[0];
    return element("tr", {}, element("td", {}, status), element("td", { className: "type" }, content ? typeOf(content.schema) : "nothing"), element("td", {}, r.description ?? ""));
  });
  const request = Object.values(op.requestBody?.content ?? {})[0];
  return element("details", { id: op.operationId },
    element("summary", {}, element("span", { className: "method" }, method.toUpperCase()), element("span", { className: "path" }, path), element("span", { className: "what" }, op.summary ?? "")),
    element("div", {},
      rich(op.description, { className: "text" }),
      request ? element("p", {}, "Body: ", typeOf(request.schema)) : null,
      element("h3", {}, "Answers"), element("table", {}, element("tbody", {}, ...answers)),
      element("h3", {}, "Try it"), trial(base, path, method, op)));
}

async function main() {
  const status = document.getElementById("status");
  const answer = await fetch("v1/openapi.json");
  if (!answer.ok) throw new Error(`the description cannot be loaded: ${answer.status}`);
  const doc = await answer.json();
  const base = new URL("v1", location.href).pathname;
  const main = document.getElementById("main");
  const groups = new Map();
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const method of ["get", "post", "patch", "delete"]) {
      if (!item[method]) continue;
      const tag = item[method].tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(base, path, method, item[method]));
    }
  }
  status.remove();
  main.append(rich(doc.info.description, { className: "text" }));
  for (const [tag, list] of groups) main.append(element("section", {}, element("h2", {}, tag), ...list));
  main.append(element("h2", {}, "schemas"));
  for (const [name, schema] of Object.entries(doc.components.schemas)) {
    main.append(element("details", { id: "schema-" + name }, element("summary", {}, element("code", {}, name)), element("div", {}, fields(schema))));
  }
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();
}

document.getElementById("access").onsubmit = (event) => event.preventDefault();
main().catch((error) => {
  document.getElementById("status").textContent = String(error);
});
