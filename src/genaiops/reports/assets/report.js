"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  // Everything from the experiment is set as text, never as markup.
  const make = (tag, props, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(props || {})) {
      if (key === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
      else if (key in node && key !== "list") node[key] = value;
      else node.setAttribute(key, value);
    }
    for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
    return node;
  };

  const theme = byId("theme");
  const store = { get: () => { try { return localStorage.getItem("genaiops-theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("genaiops-theme", value); } catch { /* a private window */ } } };
  if (store.get()) document.documentElement.dataset.theme = store.get();
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    store.set(document.documentElement.dataset.theme);
  });

  const PAGE = 25, CHANGES = { failed: "✕ failed", worse: "▼ worse", better: "▲ better", changed: "≠ changed", missed: "○ missed", same: "= same" };
  const ORDER = Object.keys(CHANGES), STATUS = ["completed", "failed", "bypassed", "not run"];
  const block = byId("rows-data");
  const unpack = async () => {
    if (block.dataset.encoding === "json") return JSON.parse(block.textContent);
    const bytes = Uint8Array.from(atob(block.textContent), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };

  unpack().then((data) => { if (data.rows.length) explore(data); }).catch((problem) => {
    byId("static-rows").prepend(make("p", { className: "note" }, `The rows could not be unpacked (${problem.message}); all are in the CSV files.`));
  });

  // A long name may be broken after its dots, dashes and underscores.
  const soft = (name) => name.length < 14 ? name : name.split(/(?<=[._/-])(?=[\p{L}\p{N}_])/u).flatMap((part, at) => at ? [make("wbr"), part] : [part]);

  const figure = (value) => value === null || value === undefined ? "–"
    : String(Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toFixed(3))).replace("-", "−");
  const seconds = (value) => value === null || value === undefined ? "–" : value < 0.001 ? `${Math.round(value * 1e6)} µs` : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;

  function explore(data) {
    const [DATASET, NUMBER, CHANGE, INPUTS, CELLS] = [0, 1, 2, 3, 4];
    const base = data.variants.indexOf(data.baseline);
    const view = { text: "", dataset: "", score: 0, change: "", sort: "", up: true, page: 0, open: new Set() };
    const counts = {};
    for (const row of data.rows) counts[row[CHANGE]] = (counts[row[CHANGE]] || 0) + 1;
    const texts = new Map();
    const textOf = (row) => {
      if (!texts.has(row)) {
        const parts = row[INPUTS].flat();
        for (const cell of row[CELLS]) if (cell) parts.push(...(cell[1] || []).flat(), ...(cell[3] || []));
        texts.set(row, `${row[NUMBER]} ${parts.join(" ")}`.toLowerCase());
      }
      return texts.get(row);
    };
    const scoreOf = (row, place) => (row[CELLS][place] ? row[CELLS][place][2][view.score] : null);
    const rank = { number: (row) => row[DATASET] * 1e9 + row[NUMBER], change: (row) => ORDER.indexOf(row[CHANGE]) };
    const key = (row) => view.sort.startsWith("v") ? scoreOf(row, Number(view.sort.slice(1))) ?? -Infinity : rank[view.sort || "change"](row);

    function chosen() {
      const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
      const found = data.rows.filter((row) => (view.dataset === "" || row[DATASET] === Number(view.dataset))
        && (view.change === "" || row[CHANGE] === view.change) && words.every((word) => textOf(row).includes(word)));
      const sign = view.up ? 1 : -1;
      return found.map((row) => [key(row), rank.number(row), row]).sort((a, b) => sign * (a[0] - b[0]) || a[1] - b[1]).map((entry) => entry[2]);
    }

    function head() {
      const column = (name, text, className) => {
        const cell = make("th", { scope: "col", className: className || "" }, make("button", { type: "button",
          on: { click: () => { view.up = view.sort === name ? !view.up : true; view.sort = name; view.page = 0; draw(); } } },
          soft(text), view.sort === name ? (view.up ? " ↑" : " ↓") : ""));
        if (view.sort === name) cell.setAttribute("aria-sort", view.up ? "ascending" : "descending");
        return cell;
      };
      return make("thead", {}, make("tr", {}, column("number", "Row", "num"), make("th", { scope: "col", className: "about" }, "Input"),
        column("change", data.variants.length > 1 ? "Change" : "Result"),
        data.variants.map((name, place) => column(`v${place}`, name, "out"))));
    }

    function scoreCell(row, place) {
      const cell = row[CELLS][place], name = { "data-label": data.variants[place] };
      if (!cell) return make("td", { className: "out light", ...name }, "not run");
      if (cell[0] === 1) return make("td", { className: "out", ...name }, make("span", { className: "down" }, "✕ failed"), make("span", { className: "gave" }, cell[3] ? cell[3][0] : ""));
      const value = scoreOf(row, place), before = place === base || base < 0 ? null : scoreOf(row, base);
      const moved = value !== null && before !== null && value !== before;
      const good = moved && (value > before) === data.up[view.score];
      const outputs = cell[1] === 0 ? row[CELLS][base][1] : cell[1], gave = outputs.length ? outputs[0][1] : "";
      return make("td", { className: "out", ...name }, make("span", { className: moved ? (good ? "up" : "down") : "" }, `${moved ? (good ? "▲ " : "▼ ") : ""}${figure(value)}`),
        gave ? make("span", { className: "gave" }, gave.slice(0, 90)) : null);
    }

    const rowId = (row) => `row-${data.anchors[row[DATASET]]}-${row[NUMBER]}`;
    function line(row) {
      const open = view.open.has(row), first = row[INPUTS].length ? row[INPUTS][0][1] : "";
      const button = make("button", { type: "button", className: "open-row", "aria-expanded": String(open),
        on: { click: () => { if (open) view.open.delete(row); else view.open.add(row); draw(); byId(rowId(row))?.querySelector("button")?.focus(); } } }, first || "(no input)");
      const parts = [make("tr", { id: rowId(row), className: open ? "open" : "" }, make("td", { className: "num" }, String(row[NUMBER])),
        make("td", { className: "about" }, button, data.datasets.length > 1 ? make("span", { className: "set" }, data.datasets[row[DATASET]]) : null),
        make("td", {}, make("span", { className: `change ${row[CHANGE]}` }, CHANGES[row[CHANGE]] || row[CHANGE])),
        data.variants.map((_, place) => scoreCell(row, place)))];
      if (open) parts.push(make("tr", {}, make("td", { className: "detail", colSpan: 3 + data.variants.length }, detail(row))));
      return parts;
    }

    const values = (pairs, others) => make("dl", { className: "values" }, pairs.map(([name, text]) => {
      const before = others && others.find((pair) => pair[0] === name);
      const same = before && before[1] === text;
      return make("div", {}, make("dt", {}, name, same ? make("span", { className: "light" }, " as the default") : null),
        make("dd", {}, before && !same ? diff(before[1], text) : text));
    }));

    function detail(row) {
      const before = base >= 0 ? row[CELLS][base] : null;
      const column = (cell, place) => {
        if (!cell) return null;
        const other = place === base ? null : before;
        const scores = data.scores.map((name, at) => make("span", {}, make("i", {}, `${name.split(".").pop()} `), make("b", {}, figure(cell[2][at]))));
        const outputs = cell[1] === 0 ? before[1] : cell[1];
        const error = cell[3] ? make("p", { className: "error" }, make("b", {}, cell[3][0]), cell[3][1] ? ` in ${cell[3][1]}` : "", `: ${cell[3][2]}`) : null;
        return make("div", { className: "column" }, make("h3", {}, soft(data.variants[place]), " ", place === base ? make("span", { className: "tag" }, "default") : null),
          make("p", { className: "scores" }, scores, make("span", {}, make("i", {}, "time "), seconds(cell[4])), cell[5] ? make("span", {}, make("i", {}, "tokens "), String(cell[5])) : null,
            cell[7] > 1 ? make("span", {}, make("i", {}, "mean of "), String(cell[7])) : null),
          error, values(outputs, other && other[0] === 0 ? other[1] : null), nodes(cell, other));
      };
      return [values(row[INPUTS], null), make("div", { className: "columns", tabIndex: 0, role: "region", "aria-label": `Row ${row[NUMBER]} of ${data.datasets[row[DATASET]]} by variant` }, row[CELLS].map(column))].reduce((box, part) => (box.append(part), box), make("div", {}));
    }

    // When a node ran within its row, as a bar.
    function span(begun, time, whole) {
      if (typeof begun !== "number" || !time || !whole) return null;
      const draw = (tag, props) => { const node = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const key in props) node.setAttribute(key, props[key]); return node; };
      const share = (value) => `${Math.max(0, Math.min(100, 100 * value / whole)).toFixed(1)}%`;
      const box = draw("svg", { width: "100%", height: 5, class: "span", "aria-hidden": "true" });
      box.append(draw("rect", { x: share(begun), width: share(time), height: 5, rx: 1, class: "fill-bar" }));
      return box;
    }

    // A long output is one line until somebody asks for it.
    const long = (text) => text.length < 360 ? text : make("details", {}, make("summary", {}, `${text.slice(0, 140)}… `), text);

    function nodes(cell, other) {
      if (!cell[6].length) return null;
      const lines = cell[6].map(([at, status, output, time, kept, tokens, begun]) => {
        const twin = other && other[6].find((node) => node[0] === at);
        const differs = other && twin && output !== 0 && output !== twin[2];
        const text = output === 0 ? (twin ? twin[2] : "") : output;
        const tag = (words, tone) => make("span", { className: `tag ${tone || ""}` }, words);
        return make("tr", { className: differs ? "differs" : "" }, make("th", { scope: "row" }, make("code", {}, soft(data.nodes[at])), " ",
          differs ? tag("differs") : null, kept ? tag("kept") : null, status ? tag(STATUS[status], status === 1 ? "worse" : "") : null),
          make("td", {}, differs ? diff(twin[2], text) : output === 0 && twin && text ? make("span", { className: "light" }, "as the default") : long(text)), make("td", { className: "num" }, seconds(time), span(begun, time, cell[4]), tokens ? make("span", { className: "light" }, `${tokens} ${tokens === 1 ? "token" : "tokens"}`) : null));
      });
      return make("table", { className: "nodes" }, make("thead", {}, make("tr", {}, ["Node", "Output", "Time"].map((name) => make("th", { scope: "col", className: name === "Time" ? "num" : "" }, name)))), make("tbody", {}, lines));
    }

    function draw() {
      const found = chosen(), pages = Math.max(1, Math.ceil(found.length / PAGE));
      view.page = Math.min(view.page, pages - 1);
      const start = view.page * PAGE, shown = found.slice(start, start + PAGE);
      byId("row-table").replaceChildren(head(), make("tbody", {}, shown.flatMap(line)));
      const turn = (text, by, off) => make("button", { type: "button", disabled: off, on: { click: () => { view.page += by; draw(); byId("rows").scrollIntoView(); } } }, text);
      byId("pager").replaceChildren(turn("← Back", -1, view.page === 0), `${found.length ? start + 1 : 0}–${start + shown.length} of ${found.length.toLocaleString("en")}`, turn("On →", 1, view.page >= pages - 1));
      byId("filters").replaceChildren(...["", ...ORDER.filter((name) => counts[name])].map((name) => make("button", { type: "button", "aria-pressed": String(view.change === name),
        on: { click: () => { view.change = name; view.page = 0; draw(); } } }, `${name ? CHANGES[name] : "All"} ${(name ? counts[name] : data.rows.length).toLocaleString("en")}`)));
      const missing = Number(block.dataset.total) - data.rows.length;
      byId("row-status").textContent = [missing > 0 ? `${missing.toLocaleString("en")} more ${missing === 1 ? "row is" : "rows are"} in the CSV files.` : "",
        `Values are cut at ${Number(block.dataset.cut).toLocaleString("en")} characters, outputs of nodes at a third of that; whole ones are in the run's folder.`].join(" ").trim();
    }

    function jump() {
      const found = data.rows.find((row) => `#${rowId(row)}` === location.hash);
      if (!found) return;
      Object.assign(view, { text: "", dataset: "", change: "", sort: "change", up: true });
      byId("search").value = "";
      view.open.add(found);
      view.page = Math.floor(chosen().indexOf(found) / PAGE);
      draw();
      byId(rowId(found)).scrollIntoView({ behavior: "instant", block: "center" });
    }

    byId("static-rows").remove();
    byId("explorer").hidden = false;
    byId("search").addEventListener("input", (event) => { view.text = event.target.value; view.page = 0; draw(); });
    byId("dataset")?.addEventListener("change", (event) => { view.dataset = event.target.value; view.page = 0; draw(); });
    byId("score")?.addEventListener("change", (event) => { view.score = Number(event.target.value); draw(); });
    addEventListener("hashchange", jump);
    addEventListener("keydown", (event) => {
      if (event.key === "/" && !/input|select|textarea/i.test(event.target.tagName)) { event.preventDefault(); byId("search").focus(); }
    });
    draw();
    jump();
  }

  // Word by word, by the longest common run of words. A lone common word between two changes counts as changed, and
  // texts with little in common are shown one after the other: a patchwork of single words cannot be read.
  function diff(before, after) {
    const words = (text) => text.match(/[\p{L}\p{N}_]+\s*|[^\s\p{L}\p{N}_]\s*|\s+/gu) || [];
    const old = words(before), now = words(after), box = document.createDocumentFragment();
    const add = (tag, text) => { if (text) box.append(tag ? make(tag, {}, text) : text); };
    const whole = () => { add("del", before); add("ins", after); return box; };
    if (old.length * now.length > 1e6) return whole();
    const width = now.length + 1, table = new Uint16Array((old.length + 1) * width);
    for (let i = old.length - 1; i >= 0; i--) for (let j = now.length - 1; j >= 0; j--)
      table[i * width + j] = old[i] === now[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    if (table[0] < 0.35 * Math.max(old.length, now.length)) return whole();
    const runs = [];
    const put = (same, gone, added) => {
      let run = runs[runs.length - 1];
      if (!run || run.same !== same) runs.push(run = { same, gone: [], added: [] });
      run.gone.push(...gone); run.added.push(...added);
    };
    for (let i = 0, j = 0; i < old.length || j < now.length;) {
      if (i < old.length && j < now.length && old[i] === now[j]) { put(true, [old[i++]], [now[j++]]); }
      else if (i < old.length && (j >= now.length || table[(i + 1) * width + j] >= table[i * width + j + 1])) put(false, [old[i++]], []);
      else put(false, [], [now[j++]]);
    }
    const merged = [];
    runs.forEach((run, at) => {
      const same = run.same && (run.gone.length > 1 || at === 0 || at === runs.length - 1), last = merged[merged.length - 1];
      if (last && !last.same && !same) { last.gone.push(...run.gone); last.added.push(...run.added); }
      else merged.push({ same, gone: [...run.gone], added: [...run.added] });
    });
    for (const run of merged) {
      if (run.same) add("", run.gone.join(""));
      else { add("del", run.gone.join("")); add("ins", run.added.join("")); }
    }
    return box;
  }
})();
