"use strict";
// Quoted text (names, logs, prompts) is inserted as text nodes, never as markup.

const find = selector => document.querySelector(selector);

/** An element with attributes, and children that are elements or text. */
function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "text", "path", "circle", "title", "defs", "marker"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/* --- dark or light ----------------------------------------------------------------------------------------- */

find("#scheme").addEventListener("click", () => {
  const style = document.documentElement.style;
  const now = style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  style.colorScheme = now === "dark" ? "light" : "dark";
});

/* --- tables: a click on a heading sorts, a second one turns the order round ---------------------------------- */

for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const cells = [...table.tBodies[0].rows].map(row => row.cells[column]);
    if (cells.some(cell => cell.classList.contains("number"))) heading.classList.add("number");
    heading.firstElementChild.addEventListener("click", () => sort(table, headings, column));
  });
}

function sort(table, headings, column) {
  const down = headings[column].getAttribute("aria-sort") === "ascending";
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const isNumber = headings[column].classList.contains("number");
  const order = (a, b) => {
    const [x, y] = [a.cells[column], b.cells[column]];
    if (!isNumber) return (down ? -1 : 1) * x.textContent.localeCompare(y.textContent, "en", { numeric: true });
    const [known, other] = ["order" in x.dataset, "order" in y.dataset];
    if (!known || !other) return known ? -1 : other ? 1 : 0;  // missing values go last in both orders
    return (down ? -1 : 1) * (x.dataset.order - y.dataset.order);
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
}

/* --- plots ------------------------------------------------------------------------------------------------- */

const embed = (place, spec) => vegaEmbed(place, spec, { actions: false, renderer: "svg" });

for (const place of document.querySelectorAll("section:not(#replay) .chart")) {
  embed(place, JSON.parse(place.nextElementSibling.textContent));
}

/* --- one episode, step by step ------------------------------------------------------------------------------- */

if (find("#replay")) {
  const packed = new Map([...document.querySelectorAll("script.replay")].map(s => [s.dataset.key, s.textContent]));
  const spec = JSON.parse(find("#timeline").textContent);
  const plots = new Map();
  let episode, position = 0, followed = 0;

  async function unpack(key) {
    const bytes = Uint8Array.from(atob(packed.get(key)), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async function open(key) {
    find("#episode").value = key;
    episode = await unpack(key);
    const first = episode.frames.find(frame => frame.suspects.length)?.suspects[0].index;
    followed = episode.roots[0] ?? first ?? 0;
    find("#position").max = episode.frames.length - 1;
    find("#drawn").textContent = episode.left_out;
    find("#suspicion-title").textContent = `Suspicion: ${episode.suspicion.name}`;
    const metric = find("#metric").value;
    find("#metric").replaceChildren(...Object.keys(episode.metrics).map(name => make("option", {}, name)));
    if (metric in episode.metrics) find("#metric").value = metric;
    show(0);
  }

  function show(to) {
    position = Math.max(0, Math.min(to, episode.frames.length - 1));
    find("#position").value = position;
    const frame = episode.frames[position], last = episode.frames.length - 1;
    const where = frame.step ? `Step ${position + 1} of ${last || 1}` : "Afterwards";
    find("#moment").textContent = `${where} · tick ${frame.tick} · ${frame.facts}`;
    draw(frame);
    tell(frame);
    quote(frame);
    plot();
  }

  function draw(frame) {
    const [width, height] = episode.size;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "call graph" });
    svg.append(make("defs", {}, make("marker",
      { id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" },
      make("path", { d: "M0,0 L8,4 L0,8 z", class: "arrow" }))));
    svg.append(...episode.calls.map(drawCall));
    episode.services.forEach((name, index) => svg.append(drawService(frame, name, index)));
    const focused = document.activeElement?.dataset?.service;
    find("#graph").replaceChildren(svg);
    if (focused !== undefined) find(`[data-service="${focused}"]`)?.focus();
  }

  function drawCall([caller, callee]) {
    const [w, h] = episode.box, [x1, y1] = episode.corners[caller], [x2, y2] = episode.corners[callee];
    const from = [x1 + w, y1 + h / 2], to = [x2, y2 + h / 2];
    const bend = x2 > x1 ? (to[0] - from[0]) / 2 : 40;  // a call within a circle leaves and arrives in a bow
    const near = [caller, callee].includes(followed) ? " near" : "";
    return make("path", {
      class: `call${near}`, "marker-end": "url(#head)",
      d: `M${from} C${from[0] + bend},${from[1]} ${to[0] - bend},${to[1]} ${to}`,
    });
  }

  function drawService(frame, name, index) {
    const [x, y] = episode.corners[index], [w, h] = episode.box;
    const status = ["healthy", "degraded", "critical", "down"].includes(frame.status[index]) ? frame.status[index] : "unknown";
    const rank = frame.suspects.findIndex(suspect => suspect.index === index) + 1;
    const root = episode.roots.includes(index);
    const label = `${name}: ${frame.status[index]}, ${frame.notes[index]}` + (rank ? `, suspect ${rank}` : "") + (root ? ", root cause" : "");
    const shown = name.length > 19 ? name.slice(0, 18) + "…" : name;
    const group = make("g", {
      class: `service ${status}${index === followed ? " followed" : ""}`, transform: `translate(${x},${y})`,
      tabindex: 0, role: "button", "aria-label": label, "data-service": index,
    },
      make("title", {}, label),
      make("rect", { class: "box", width: w, height: h, rx: 6 }),
      make("rect", { class: "edge", width: 5, height: h, rx: 2 }),
      make("text", { x: 13, y: 17 }, (root ? "★ " : "") + shown),
      make("text", { x: 13, y: 32, class: "figures" }, frame.notes[index]));
    if (rank) group.append(
      make("circle", { class: "rank", cx: w - 2, cy: 3, r: 9 }),
      make("text", { class: "rank-number", x: w - 2, y: 7 }, String(rank)));
    if (frame.target === index && frame.step) group.append(
      make("text", { class: "acted", x: 6, y: h + 11 }, "▸ " + frame.step.action.split(" ")[0]));
    const follow = () => { followed = index; show(position); };
    group.addEventListener("click", follow);
    group.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); follow(); } });
    return group;
  }

  /** What was done here, who decided it and why, and whom the ranker suspected. */
  function tell(frame) {
    const parts = [], step = frame.step, say = (text, kind = "") => parts.push(make("p", { class: kind }, text));
    if (step) {
      say(step.action, "action");
      say(`Decided by ${step.by}${step.model && step.by !== "rules" ? ` (${step.model})` : ""}${step.tokens ? `, ${step.tokens} tokens` : ""}.`);
      if (step.reason) say(`Why: ${step.reason}`);
      if (step.why_not_model) say(`Not by the model: ${step.why_not_model}.`, "note");
      if (step.recommended) say(`Wanted, but not sent: ${step.recommended}.`);
      for (const refusal of step.refusals ?? []) say(`Refused by the guard – ${refusal}`, "problem");
      if (step.error) say(step.error, "problem");
      if (step.feedback) parts.push(make("h3", {}, "What came back"), make("p", {}, step.feedback));
    } else {
      say("The end of the episode.", "action");
    }
    if (frame.suspects.length) {
      parts.push(make("h3", {}, frame.unsure ? "Suspects (the ranker is unsure)" : "Suspects"));
      parts.push(make("ol", { class: "suspects" }, ...frame.suspects.map(drawSuspect)));
    }
    if (step?.prompt) parts.push(make("details", { class: "conversation" }, make("summary", {}, "Prompt and reply"),
      ...step.prompt.flatMap(message => [make("h3", {}, message.role), make("pre", {}, message.content)]),
      make("h3", {}, "reply"), make("pre", {}, step.reply ?? "no reply")));
    const open = find(".conversation")?.open;
    find("#decision").replaceChildren(...parts);
    if (open && find(".conversation")) find(".conversation").open = true;
  }

  function drawSuspect(suspect, place) {
    const item = make("li", {}, make("span", { class: "share" }, suspect.shown), `${place + 1}. ${suspect.service}`);
    if (suspect.value !== null) {
      const filled = make("span");
      filled.style.width = `${100 * suspect.value}%`;
      item.append(make("span", { class: "bar" }, filled));
    }
    if (suspect.evidence.length) item.append(make("div", { class: "note" }, suspect.evidence.join("; ")));
    return item;
  }

  function quote(frame) {
    const services = Object.entries(frame.logs), box = find("#logs");
    box.firstElementChild.textContent = `Alerts (${frame.alerts.length}) and logs (${services.length === 1 ? "1 service" : `${services.length} services`}) at this step`;
    box.lastElementChild.replaceChildren(
      ...(frame.alerts.length ? [make("h3", {}, "alerts"), make("pre", {}, frame.alerts.join("\n"))] : []),
      ...services.flatMap(([name, lines]) => [make("h3", {}, name), make("pre", {}, lines.join("\n"))]));
  }

  function plot() {
    const metric = find("#metric").value;
    find("#followed").textContent = `${episode.services[followed]} in colour`;
    drawLines("#suspicion", episode.suspicion.values);
    drawLines("#metrics", episode.metrics[metric] ?? []);
  }

  /** Values by service and step as lines, the followed service in front; without any there is no plot. */
  async function drawLines(place, values) {
    const rows = values.flatMap((line, index) => line.map((value, step) =>
      ({ service: episode.services[index], picked: index === followed, step: step + 1, value })));
    const known = rows.filter(row => row.value !== null);
    find(place).parentElement.hidden = !known.length;
    if (!known.length) return;
    const at = { now: position + 1, last: episode.frames.length };
    if (!plots.has(place)) {
      // Points beyond the axis would count as part of the plot and leave it no width, so it starts out complete.
      const params = spec.params.map(param => ({ ...param, value: at[param.name] }));
      plots.set(place, embed(find(place), { ...spec, params, datasets: { ...spec.datasets, series: known } }));
    }
    const { view } = await plots.get(place);
    view.signal("now", at.now).signal("last", at.last).data("series", known).runAsync();
  }

  const keys = {
    ArrowLeft: () => show(position - 1), ArrowRight: () => show(position + 1),
    Home: () => show(0), End: () => show(episode.frames.length - 1),
    p: () => neighbour(-1), n: () => neighbour(1),
  };

  function neighbour(by) {
    const all = [...packed.keys()], next = all[all.indexOf(find("#episode").value) + by];
    if (next !== undefined) open(next);
  }

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys) || !episode) return;
    if (event.target.closest("select, input, pre, .table") || !inView(find("#replay"))) return;
    event.preventDefault();
    keys[event.key]();
  });

  /** Whether the episode fills much of the window: elsewhere the keys scroll the page as ever. */
  function inView(section) {
    const { top, bottom } = section.getBoundingClientRect();
    return top < innerHeight * 0.6 && bottom > innerHeight * 0.3;
  }

  find("#back").addEventListener("click", () => show(position - 1));
  find("#forward").addEventListener("click", () => show(position + 1));
  find("#position").addEventListener("input", event => show(Number(event.target.value)));
  find("#episode").addEventListener("change", event => open(event.target.value));
  find("#metric").addEventListener("change", plot);
  for (const button of document.querySelectorAll("button.open")) {
    button.addEventListener("click", async () => {
      await open(button.dataset.replay);
      find("#replay").scrollIntoView();
    });
  }
  open(packed.keys().next().value);
}
