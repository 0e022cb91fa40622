"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const main = document.getElementById("main");
document.getElementById("name").textContent = facts.name;
document.getElementById("description").textContent = facts.description;
document.title = facts.name;

// Everything a flow says comes in by `textContent` or `append`: as text, never as HTML.
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const key = make("input", { id: "key", type: "password", autocomplete: "off" });
if (facts.needs_key) {
  const form = make("form", {}, make("label", { htmlFor: "key" }, "API key"), key);
  form.addEventListener("submit", (event) => event.preventDefault());
  main.append(form);
}

function headers(accept) {
  const found = { "content-type": "application/json", accept };
  if (key.value) found.authorization = "Bearer " + key.value;
  return found;
}

async function failure(reply) {
  const text = await reply.text();
  try {
    const error = JSON.parse(text).error;
    return error.message + (error.request_id ? "\nrequest " + error.request_id : "");
  } catch {
    return text || reply.status + " " + reply.statusText;
  }
}

// Reads server-sent events and calls `take` with the name and the data of each.
async function readEvents(reply, take) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const lines = event.split("\n");
      const line = (name) => lines.find((item) => item.startsWith(name))?.slice(name.length);
      const data = line("data: ");
      if (data !== undefined) take(line("event: ") || "message", data);
    }
  }
}

function growing(area) {
  const grow = () => {
    area.style.height = "auto";
    area.style.height = area.scrollHeight + 2 + "px";
  };
  area.addEventListener("input", grow);
  return area;
}

// What somebody thinks of an answer goes to /feedback with the request's id.
function opinions(requestId) {
  const buttons = [
    ["good", "👍 Good"],
    ["bad", "👎 Bad"],
  ].map(([value, text]) => {
    const button = make("button", { type: "button", className: "quiet " + value, ariaPressed: "false" }, text);
    button.addEventListener("click", async () => {
      const body = JSON.stringify({ request_id: requestId, rating: value });
      try {
        const reply = await fetch("/feedback", { method: "POST", headers: headers("application/json"), body });
        if (!reply.ok) throw new Error(await failure(reply));
        for (const other of buttons) other.ariaPressed = String(other === button);
        thanks.textContent = "Thank you.";
      } catch (error) {
        thanks.textContent = String(error.message || error);
      }
    });
    return button;
  });
  const thanks = make("span", { role: "status" });
  return [...buttons, thanks];
}

function about(reply, started) {
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  const requestId = reply.headers.get("x-request-id");
  return make("div", { className: "about" }, make("span", {}, seconds + " s"), ...(requestId ? opinions(requestId) : []));
}

function chatPage() {
  const talk = make("div", { className: "talk", id: "talk" });
  talk.setAttribute("role", "log");
  talk.setAttribute("aria-live", "polite");
  const empty = make("p", { className: "empty" }, "Write a message to talk with this flow.");
  talk.append(empty);
  const message = growing(make("textarea", { id: "message", rows: 1, placeholder: "Write a message" }));
  const send = make("button", { id: "send", type: "submit" }, "Send");
  const fresh = make("button", { id: "fresh", type: "button", className: "quiet", hidden: true }, "New talk");
  const label = make("label", { htmlFor: "message", className: "hidden" }, "Message");
  const form = make("form", { className: "composer" }, label, message, send);
  document.querySelector("header nav").prepend(fresh);
  let messages = [];
  let running = null;

  message.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!running) form.requestSubmit();
    }
  });
  fresh.addEventListener("click", () => {
    if (running) running.abort();
    messages = [];
    talk.replaceChildren(empty);
    fresh.hidden = true;
    message.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) running.abort();
    else if (message.value.trim()) ask(message.value.trim());
  });

  async function ask(text) {
    const asked = [...messages, { role: "user", content: text }];
    const answer = make("div", { className: "said assistant waiting" }, "…");
    const mine = new AbortController();
    let said = "";
    running = mine;
    message.value = "";
    message.style.height = "auto";
    send.textContent = "Stop";
    fresh.hidden = false;
    empty.remove();
    talk.append(make("div", { className: "said user" }, text), answer);
    window.scrollTo(0, document.body.scrollHeight);
    const started = performance.now();
    try {
      const reply = await fetch("/v1/chat/completions", {
        method: "POST",
        headers: headers("text/event-stream"),
        body: JSON.stringify({ model: facts.name, messages: asked, stream: true }),
        signal: mine.signal,
      });
      if (!reply.ok) throw new Error(await failure(reply));
      await readEvents(reply, (name, data) => {
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Error(chunk.error.message);
        if (name === "end") throw new Error(chunk.message);
        said += chunk.choices[0]?.delta.content || "";
        answer.classList.toggle("waiting", !said);
        answer.textContent = said || "…";
        window.scrollTo(0, document.body.scrollHeight);
      });
      answer.classList.remove("waiting");
      answer.textContent = said;
      answer.after(about(reply, started));
      messages = [...asked, { role: "assistant", content: said }];
    } catch (error) {
      answer.classList.remove("waiting");
      if (error.name === "AbortError") {
        // What was said until then stays part of the talk.
        answer.textContent = said || "(stopped)";
        if (said && running === mine) messages = [...asked, { role: "assistant", content: said }];
      } else {
        answer.classList.add("failed");
        answer.textContent = said + (said ? "\n\n" : "") + String(error.message || error);
        message.value = message.value || text;
      }
    } finally {
      if (running === mine) {
        running = null;
        send.textContent = "Send";
      }
      window.scrollTo(0, document.body.scrollHeight);
      message.focus();
    }
  }

  main.append(talk, form);
  message.focus();
}

function written(value) {
  const line = JSON.stringify(value);
  return line.length < 70 ? line : JSON.stringify(value, null, 2);
}

function control(definition) {
  const id = "input-" + definition.name;
  const first = definition.name in facts.example ? facts.example[definition.name] : definition.default;
  const known = first !== null && first !== undefined;
  if (definition.type === "bool") {
    const field = make("select", { id }, ...["true", "false"].map((text) => make("option", {}, text)));
    field.value = String(first === true);
    return { field, read: () => field.value === "true" };
  }
  if (definition.type === "int" || definition.type === "double") {
    const field = make("input", { id, type: "number", step: definition.type === "int" ? 1 : "any" });
    field.value = known ? first : "";
    return { field, read: () => (field.value === "" ? undefined : Number(field.value)) };
  }
  const isText = definition.type === "string";
  const field = growing(make("textarea", { id, rows: 1, className: isText ? "" : "json", spellcheck: isText }));
  if (known) field.value = typeof first === "string" ? first : written(first);
  if (isText) return { field, read: () => field.value };
  const read = () => {
    if (field.value === "") return undefined;
    try {
      return JSON.parse(field.value);
    } catch (error) {
      // Only what must be JSON is refused here: a value of unknown type may be a text.
      if (definition.type !== "list" && definition.type !== "object") return field.value;
      field.ariaInvalid = "true";
      field.focus();
      throw new Error(definition.name + ": expected JSON (" + definition.type + "). " + error.message);
    }
  };
  return { field, read };
}

const IMAGE = /^data:image\/(png|jpeg|gif|webp);base64$/;

function shown(value) {
  if (typeof value === "string") return make("pre", { className: "text" }, value);
  const image = value && typeof value === "object" ? Object.keys(value).find((name) => IMAGE.test(name)) : undefined;
  if (image) return make("img", { src: image + "," + value[image], alt: "" });
  return make("pre", {}, JSON.stringify(value, null, 2));
}

function formPage() {
  const form = make("form", { noValidate: true });
  const fields = facts.inputs.map((definition) => {
    const { field, read } = control(definition);
    const notes = [definition.type, definition.required ? "" : "optional", definition.description].filter(Boolean);
    form.append(make("label", { htmlFor: field.id }, definition.name, make("small", {}, " " + notes.join(" · "))), field);
    return { name: definition.name, field, read };
  });
  const run = make("button", { id: "run", type: "submit" }, "Run");
  form.append(make("div", { className: "row" }, run));
  const result = make("div", { id: "result", className: "output" });
  result.setAttribute("aria-live", "polite");
  const command = make("pre", { id: "command" });
  const details = make("details", {}, make("summary", {}, "The same as a command"), command);

  function inputs() {
    const found = {};
    for (const { name, field, read } of fields) {
      field.ariaInvalid = "false";
      const value = read();
      if (value !== undefined) found[name] = value;
    }
    return found;
  }

  function writeCommand() {
    let body;
    try {
      body = JSON.stringify(inputs());
    } catch {
      return;
    }
    const quoted = "'" + body.replaceAll("'", "'\\''") + "'";
    const bearer = facts.needs_key ? ' -H "Authorization: Bearer $KEY"' : "";
    command.textContent = "curl " + location.origin + "/score -H 'Content-Type: application/json'" + bearer + " -d " + quoted;
  }

  function showFailure(error) {
    result.append(make("pre", { id: "output", className: "failed" }, String(error.message || error)));
  }

  async function showStream(reply) {
    const parts = new Map();
    await readEvents(reply, (name, data) => {
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      if (name === "end") throw new Error(event.message);
      for (const [output, piece] of Object.entries(event)) {
        if (!parts.has(output)) {
          parts.set(output, shown(piece));
          result.append(make("h2", {}, output), parts.get(output));
        } else parts.get(output).append(String(piece));
      }
    });
  }

  form.addEventListener("input", writeCommand);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    result.replaceChildren();
    run.disabled = true;
    run.textContent = "Running…";
    const started = performance.now();
    try {
      const body = JSON.stringify(inputs());
      const ask = (accept) => fetch("/score", { method: "POST", headers: headers(accept), body });
      let reply = await ask("text/event-stream, application/json");
      if (!reply.ok) {
        const said = await failure(reply);
        if (!said.startsWith("Multiple stream output fields")) throw new Error(said);
        reply = await ask("application/json");
        if (!reply.ok) throw new Error(await failure(reply));
      }
      if (reply.headers.get("content-type").startsWith("text/event-stream")) await showStream(reply);
      else {
        const answer = await reply.json();
        const isNamed = answer && typeof answer === "object" && !Array.isArray(answer);
        for (const [name, value] of Object.entries(isNamed ? answer : { output: answer })) {
          result.append(make("h2", {}, name), shown(value));
        }
      }
      result.append(about(reply, started));
      result.scrollIntoView({ block: "nearest" });
    } catch (error) {
      showFailure(error);
    } finally {
      run.disabled = false;
      run.textContent = "Run";
    }
  });
  main.append(form, result, details);
  for (const { field } of fields) field.dispatchEvent(new Event("input"));
  writeCommand();
  if (fields.length) fields[0].field.focus();
}

if (facts.chat) chatPage();
else formPage();
