/* Small parts of the tab. */

const button = (words, onclick, { help, look = "at-quiet-button", ...more } = {}) => element("button", { type: "button", class: look, textContent: words, title: help, onclick, ...more });
const primary = (words, onclick, more) => button(words, onclick, { look: "tr-primary", ...more });
const tools = (...parts) => element("div", { class: "at-tools" }, ...parts);
const note = (words = "", more = {}) => element("p", { class: "at-note", textContent: words, ...more });
const heading = (words, ...more) => element("div", { class: "tr-heading" }, element("h3", { textContent: words }), ...more);
const choice = (pairs, now, onchange, label) => {
  const made = element("select", { "aria-label": label, onchange: () => onchange(made.value) }, ...options(pairs));
  made.value = now;
  return made;
};

/* Green, amber and red also have a sign and a word. */
const LEVELS = { green: ["✓", "good"], amber: ["!", "look"], red: ["✕", "no use"] };
const verdict = (level, words) => element("span", { class: "tr-verdict", "data-level": level }, element("span", { "aria-hidden": "true", textContent: (LEVELS[level] ?? LEVELS.amber)[0] }), ` ${words ?? (LEVELS[level] ?? LEVELS.amber)[1]}`);

const counted = (many, one, several = `${one}s`) => `${Number(many).toLocaleString()} ${many === 1 ? one : several}`;
const number = (one, digits = 3) => (one == null || !isFinite(one) ? "–" : Math.abs(one) && (Math.abs(one) < 1e-3 || Math.abs(one) >= 1e5) ? one.toExponential(Math.max(0, digits - 1)).replace(/\.?0*e\+?/, "e") : one.toLocaleString(undefined, { maximumSignificantDigits: digits }));
const link = (path) => (/^(?:https?:|blob:|data:)/.test(path) ? path : address(path));
const when = (time) => (time ? new Date(typeof time === "number" ? time * 1000 : time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "");

/* A part that paints itself anew only when what it shows has changed: the focus and open parts in it stay. */
class Part {
  constructor(tag, known) {
    this.place = element(tag, known);
    this.marks = "";
  }
  show(mark, ...children) {
    const now = typeof mark === "string" ? mark : JSON.stringify(mark);
    if (this.marks === now) return;
    this.marks = now;
    this.place.replaceChildren(...children.flatMap((one) => (typeof one === "function" ? one() : one)).filter((one) => one != null && one !== false));
  }
}

/* Like `hear`, until the element has been taken off the page: charts come and go. */
function hearWhile(node, name, call) {
  const { board } = atelier.shared;
  let shown = false;
  const listener = () => {
    shown ||= node.isConnected;
    if (shown && !node.isConnected) board.removeEventListener(name, listener);
    else call();
  };
  board.addEventListener(name, listener);
}

/* A folded section that remembers whether it is open. */
function section(name, words, ...children) {
  const said = element("span", { class: "tr-section-note" });
  const made = element("details", { class: "tr-section", "data-section": name }, element("summary", {}, element("span", { textContent: words }), said), element("div", { class: "tr-section-body" }, ...children));
  made.open = Boolean(memory.get("train.sections", {})[name]);
  made.addEventListener("toggle", () => memory.set("train.sections", { ...memory.get("train.sections", {}), [name]: made.open }));
  made.say = (text) => setText(said, text);
  return made;
}

function sheet(title, ...children) {
  const close = button("Close", () => made.close());
  const made = element("dialog", { class: "at-dialog tr-sheet", "aria-label": title }, element("div", { class: "tr-heading" }, element("h2", { textContent: title }), close), ...children);
  made.onclose = () => made.remove();
  made.onclick = (event) => event.target === made && made.close();
  document.body.append(made);
  made.showModal();
  return made;
}

/* A file in a hidden picker. */
function picker(words, ontaken, known = {}) {
  const input = element("input", { type: "file", class: "at-offscreen", tabindex: -1, "aria-label": words, ...known, onchange: () => (ontaken([...input.files]), (input.value = "")) });
  return input;
}

/* The square of a picture that is trained on, drawn over all of it. */
function cropBox([left, top, right, bottom]) {
  const box = element("span", { class: "tr-crop", "aria-hidden": "true" });
  Object.assign(box.style, { left: `${left * 100}%`, top: `${top * 100}%`, width: `${(right - left) * 100}%`, height: `${(bottom - top) * 100}%` });
  return box;
}
const wholePicture = (crop) => !crop || (crop[0] <= 0.005 && crop[1] <= 0.005 && crop[2] >= 0.995 && crop[3] >= 0.995);
