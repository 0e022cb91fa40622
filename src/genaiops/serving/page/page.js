"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const main = document.getElementById("main");
document.getElementById("name").textContent = facts.name;
document.getElementById("description").textContent = facts.description;
document.title = facts.name;

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const key = make("input", { id: "key", type: "password", autocomplete: "off" });
if (facts.needs_key) {
  main.append(make("label", { htmlFor: "key" }, "API key"), key);
}

function headers(accept) {
  const found = { "content-type": "application/json", accept };
  if (key.value) found.authorization = "Bearer " + key.value;
  return found;
}

async function failure(reply) {
  const text = await reply.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text || reply.status + " " + reply.statusText;
  }
}

// Reads server-sent events and calls `take` with the data of each.
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
      const line = event.split("\n").find((item) => item.startsWith("data: "));
      if (line) take(line.slice(6));
    }
  }
}

function chatPage() {
  const talk = make("div", { className: "talk", id: "talk" });
  talk.setAttribute("role", "log");
  talk.setAttribute("aria-live", "polite");
  const message = make("textarea", { id: "message", rows: 2, placeholder: "Write a message" });
  const send = make("button", { id: "send", type: "submit" }, "Send");
  const form = make("form", {}, make("label", { htmlFor: "message" }, "Message"), message, send);
  const messages = [];
  message.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = message.value.trim();
    if (!text || send.disabled) return;
    message.value = "";
    send.disabled = true;
    messages.push({ role: "user", content: text });
    talk.append(make("div", { className: "said user" }, text));
    const answer = make("div", { className: "said assistant" }, "…");
    talk.append(answer);
    try {
      const reply = await fetch("/v1/chat/completions", {
        method: "POST",
        headers: headers("text/event-stream"),
        body: JSON.stringify({ model: facts.name, messages, stream: true }),
      });
      if (!reply.ok) throw new Error(await failure(reply));
      let said = "";
      await readEvents(reply, (data) => {
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Error(chunk.error.message);
        const piece = chunk.choices.length ? chunk.choices[0].delta.content : "";
        if (piece) {
          said += piece;
          answer.textContent = said;
        }
      });
      answer.textContent = said;
      messages.push({ role: "assistant", content: said });
    } catch (error) {
      answer.classList.add("failed");
      answer.textContent = String(error.message || error);
      messages.pop();
    } finally {
      send.disabled = false;
      message.focus();
    }
  });
  main.append(talk, form);
  message.focus();
}

// A text that looks like JSON is JSON where the input is not a text.
function valueOf(definition, text) {
  if (definition.type === "string" || text === "") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function formPage() {
  const form = make("form", {});
  const fields = facts.inputs.map((definition) => {
    const id = "input-" + definition.name;
    const field = make("textarea", { id, rows: 1 });
    if (definition.default !== null && definition.default !== undefined) {
      field.value = typeof definition.default === "string" ? definition.default : JSON.stringify(definition.default);
    }
    const small = make("small", {}, " " + definition.type + (definition.description ? " · " + definition.description : ""));
    form.append(make("label", { htmlFor: id }, definition.name, small), field);
    return [definition, field];
  });
  const run = make("button", { id: "run", type: "submit" }, "Run");
  const result = make("div", { id: "result" });
  result.setAttribute("aria-live", "polite");
  form.append(run);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    run.disabled = true;
    const inputs = {};
    for (const [definition, field] of fields) inputs[definition.name] = valueOf(definition, field.value);
    const started = performance.now();
    try {
      const reply = await fetch("/score", { method: "POST", headers: headers("application/json"), body: JSON.stringify(inputs) });
      if (!reply.ok) throw new Error(await failure(reply));
      const text = JSON.stringify(await reply.json(), null, 2);
      const seconds = ((performance.now() - started) / 1000).toFixed(2);
      result.replaceChildren(make("pre", { id: "output" }, text), make("p", { className: "note" }, seconds + " s"));
    } catch (error) {
      result.replaceChildren(make("pre", { id: "output", className: "failed" }, String(error.message || error)));
    } finally {
      run.disabled = false;
    }
  });
  main.append(form, result);
}

if (facts.chat) chatPage();
else formPage();
