/* The line at the top: what the engine is doing, its memory, how many jobs wait; and the toggles. */

const status = { engines: [], waiting: 0, running: 0, up: true, asked: false };
const PERIOD = 2000;

async function readStatus() {
  const before = engineState();
  try {
    Object.assign(status, await ask("api/v1/engines", { seconds: 5 }), { up: true, asked: true });
    const working = ["ready", "busy"];
    if (!working.includes(before) && working.includes(engineState())) Object.keys(formStates).forEach((form) => by(`${form}_refresh_choices`)?.click());
    if (status.waiting || status.running) tell("busy");
  } catch {
    status.up = false;
  }
  tell("status");
}

async function pollStatus() {
  if (!document.hidden) await readStatus();
  setTimeout(pollStatus, PERIOD);
}
document.addEventListener("visibilitychange", () => document.hidden || readStatus());
hear("ended", readStatus);

/* The engine that trains is another process: what it does is no reason to wait or to be sorry in a form. */
const trainer = () => status.engines.find((one) => one.role === "training");
const drawingEngines = () => status.engines.filter((one) => one.role !== "training");

/* The best of all engines: one that can work is enough. */
function engineState() {
  if (!status.up) return "away";
  const rank = ["busy", "ready", "starting", "restarting", "failed"];
  const states = drawingEngines().map((one) => one.state);
  return rank.find((state) => states.includes(state)) ?? (status.asked ? "starting" : "");
}

/* What keeps a job from starting, as a sentence; "" when nothing does. */
function engineSentence() {
  const failed = drawingEngines().find((one) => one.state === "failed");
  return {
    away: "The server does not answer; it may be restarting.",
    starting: "The engine is starting.",
    restarting: "The engine ended unexpectedly and is being restarted.",
    failed: `The engine cannot run${failed?.doing ? `: ${failed.doing}` : "; its log says why"}.`,
  }[engineState()] ?? "";
}

function engineWords() {
  const state = engineState();
  const words = { away: "server not reachable", starting: "engine starting", restarting: "engine restarting", failed: "engine failed", ready: "engine ready", busy: "engine busy" }[state] ?? "";
  const engine = drawingEngines().find((one) => one.state === state);
  if (trainer()?.state === "busy" && state !== "busy") return "training";
  return state === "busy" && engine?.doing && engine.doing.length < 32 ? engine.doing : words;
}

/* Used, and of how much; the second is left out where there is no room. */
function memoryWords() {
  const engine = status.engines.find((one) => one.memory_total);
  if (!engine) return ["", "", ""];
  const giga = (bytes) => (bytes / 2 ** 30).toFixed(1);
  return [giga(engine.memory_used), ` of ${giga(engine.memory_total)}`, " GB"];
}

class StatusLine extends HTMLElement {
  connectedCallback() {
    this.queue = element("button", { type: "button", class: "at-quiet-button", onclick: () => openTab("queue") });
    this.light = element("span", { class: "at-light", "aria-hidden": "true" });
    this.words = element("span", { class: "at-engine-words" });
    this.memory = [element("span"), element("span", { class: "at-memory-total" }), element("span")];
    const memory = element("span", { class: "at-memory", title: "Memory of the device" }, ...this.memory);
    const look = element("button", { type: "button", class: "at-quiet-button at-square", title: "Light or dark", "aria-label": "Light or dark", textContent: "◐", onclick: looks.toggle });
    const keys = element("button", { type: "button", class: "at-quiet-button at-square", title: "Keyboard shortcuts", "aria-label": "Keyboard shortcuts", textContent: "?", onclick: () => showShortcuts() });
    this.replaceChildren(element("span", { class: "at-engine" }, this.light, this.words, memory), this.queue, look, keys);
    this.paint = this.paint.bind(this);
    board.addEventListener("status", this.paint);
    this.paint();
  }
  disconnectedCallback() {
    board.removeEventListener("status", this.paint);
  }
  paint() {
    const waiting = status.waiting + status.running;
    this.light.dataset.state = trainer()?.state === "busy" ? "busy" : engineState();
    setText(this.words, engineWords());
    memoryWords().forEach((words, at) => setText(this.memory[at], words));
    setText(this.queue, `Queue ${waiting}`);
    this.queue.setAttribute("aria-label", `${waiting} ${waiting === 1 ? "job" : "jobs"} in the queue; show them`);
    this.title = status.engines.map((one) => [one.name, one.device_name ?? one.device, one.model].filter(Boolean).join(", ")).join("\n");
  }
}
customElements.define("at-status", StatusLine);
pollStatus();
