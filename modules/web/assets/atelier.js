/* The page's own script: everything that moves by itself. Plain JavaScript, nothing from outside.
   The files of this folder are put together in the order that page.py names; they share this scope. */

const atelier = (window.atelier = {});
const board = new EventTarget();
const hear = (name, call) => board.addEventListener(name, (event) => call(event.detail));
const tell = (name, detail) => board.dispatchEvent(new CustomEvent(name, { detail }));

/* What this browser remembers. Storage may be full or forbidden: then the page works without it. */
const memory = {
  get(key, otherwise) {
    try {
      return JSON.parse(localStorage.getItem(`atelier.${key}`)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`atelier.${key}`, JSON.stringify(value));
    } catch {
      /* nothing to do: it is only a convenience */
    }
  },
};

const address = (path) => new URL(path.replace(/^\//, ""), document.baseURI).href;

/* `unreachable`: the server did not answer at all. Otherwise the message is the server's sentence. */
class Trouble extends Error {
  constructor(sentence, unreachable = false, status = 0) {
    super(sentence);
    this.unreachable = unreachable;
    this.status = status;
  }
}

async function ask(path, { method = "GET", body, seconds = 10 } = {}) {
  const options = { method, signal: AbortSignal.timeout(seconds * 1000), headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(address(path), options);
  } catch {
    throw new Trouble("The server does not answer.", true);
  }
  const read = await answer.json().catch(() => ({}));
  if (answer.ok) return read;
  const sentence = typeof read.detail === "string" ? read.detail : `The server answered ${answer.status}.`;
  throw new Trouble(sentence, answer.status >= 502, answer.status);
}

/* An element: tag, attributes or properties (`onclick`, `textContent`), children. Text is always text, never markup. */
function element(tag, known = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(known)) {
    if (name.startsWith("on") || name === "textContent" || name === "value") made[name] = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((one) => one != null && one !== false));
  return made;
}

const by = (id) => document.getElementById(id);

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function seconds(number) {
  if (number == null || !isFinite(number)) return "";
  if (number < 60) return `${Math.max(1, Math.round(number))} s`;
  const minutes = Math.floor(number / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(number % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    /* Over plain http from another machine there is no clipboard API; the old way still works. */
    const area = element("textarea", { value: text, class: "at-offscreen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  announce("Copied.");
}

/* One sentence and, folded, what a developer needs. */
function problemCard(sentence, detail = "") {
  const card = element("div", { class: "at-problem-card", role: "alert" }, element("p", { textContent: sentence }));
  if (detail) {
    const button = element("button", { type: "button", class: "at-quiet-button", textContent: "Copy details", onclick: () => copy(`${sentence}\n\n${detail}`) });
    card.append(element("details", {}, element("summary", { textContent: "Details" }), element("pre", { textContent: detail }), button));
  }
  return card;
}

/* For screen readers: polite for progress, and never more than a few words. */
class Announcer extends HTMLElement {
  connectedCallback() {
    this.replaceChildren(element("div", { class: "at-offscreen", "aria-live": "polite", role: "status", id: "at_announcer" }));
  }
}
customElements.define("at-announcer", Announcer);

function announce(words) {
  const region = by("at_announcer");
  if (region) region.textContent = words;
}

/* What a tab is called, "" when there is none; of tabs that were never opened Gradio's description of the page alone knows. */
const tabName = (id) => window.gradio_config?.components?.find((one) => one.props?.elem_id === `tab_${id}`)?.props.label ?? "";

/* Tabs are Gradio's; this presses one. */
function openTab(id) {
  const buttons = document.querySelectorAll('#tabs button[role="tab"]');
  const wanted = [...buttons].find((one) => one.getAttribute("aria-controls") === `tab_${id}`);
  if (wanted) return wanted.click();
  /* On a narrow page Gradio moves tabs into a menu, where they have nothing but their names. */
  const name = tabName(id);
  [...document.querySelectorAll("#tabs .overflow-dropdown button")].find((one) => one.textContent.trim() === name)?.click();
}
atelier.openTab = openTab;

/* The first element of this selector, once there is one: a tab is drawn when it is first opened. */
async function appeared(selector) {
  for (let tries = 0; tries < 100; tries += 1) {
    const found = document.querySelector(selector);
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Trouble("This part of the page does not appear; reload the page and try again.");
}

const seen = (node) => Boolean(node?.isConnected && node.offsetParent !== null);
