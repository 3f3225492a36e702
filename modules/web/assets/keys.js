/* Keys of the field: Ctrl+Enter, Alt+Enter, Esc, Ctrl+Up and Ctrl+Down; `?` lists them. */

const SHORTCUTS = [
  ["Ctrl+Enter", "Generate; while a picture is made: interrupt it and start again"],
  ["Alt+Enter", "Skip to the next batch"],
  ["Esc", "Interrupt; what is finished is kept"],
  ["Ctrl+↑ / Ctrl+↓", "In a prompt: weight of the word or selection ±0.1"],
  ["← / →", "In the pictures: previous, next"],
  ["Enter", "On a picture: show it large"],
  ["B / E / H", "On the canvas: brush, eraser, move"],
  ["[ / ]", "Size of the brush"],
  ["+ / - / 0", "Zoom, fit; the wheel zooms, Space and dragging moves"],
  ["Ctrl+Z / Ctrl+Shift+Z", "Undo, redo"],
  ["F", "The canvas in the whole window, and back"],
  ["?", "This list"],
];

function showShortcuts() {
  const rows = SHORTCUTS.flatMap(([keys, words]) => [element("dt", {}, element("kbd", { textContent: keys })), element("dd", { textContent: words })]);
  const close = element("button", { type: "button", class: "at-quiet-button", textContent: "Close", onclick: () => dialog.close() });
  const dialog = element("dialog", { class: "at-dialog", "aria-labelledby": "at_keys_title" }, element("h2", { id: "at_keys_title", textContent: "Keyboard" }), element("dl", {}, ...rows), close);
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}

const writing = (target) => target.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]");

addEventListener(
  "keydown",
  (event) => {
    if (event.isComposing || document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && control) return taken(event, jobs.generate);
    if (event.key === "Enter" && event.altKey) return taken(event, jobs.skip);
    if (event.key === "Escape" && active() && !openList()) return taken(event, jobs.interrupt);
    if (control && (event.key === "ArrowUp" || event.key === "ArrowDown") && promptBox(event.target)) {
      return taken(event, () => changeWeight(event.target, event.key === "ArrowUp" ? 0.1 : -0.1));
    }
    if (event.key === "?" && !writing(event.target)) return taken(event, showShortcuts);
  },
  true,
);

function taken(event, call) {
  event.preventDefault();
  event.stopPropagation();
  call();
}

/* An open drop-down list has the first right to Esc. */
const openList = () => document.querySelector('[role="combobox"][aria-expanded="true"], input[aria-expanded="true"]');
const promptBox = (target) => target.matches?.('.at-studio [id$="_prompt"] textarea');

/* -- weights ----------------------------------------------------------------------------------------------------------- */

const WEIGHTED = /\(([^()\\]*(?:\\.[^()\\]*)*):(\d*\.?\d+)\)/g;

function changeWeight(box, change) {
  const { start, end, inner, weight } = weightedPart(box.value, box.selectionStart, box.selectionEnd);
  if (!inner.trim()) return;
  const next = Math.round((weight + change) * 100) / 100;
  if (next < 0) return;
  const text = next === 1 ? inner : `(${inner}:${next})`;
  replaceText(box, start, end, text);
  const from = start + (next === 1 ? 0 : 1);
  box.setSelectionRange(from, from + inner.length);
}

/* The part that a change is about: the `(text:1.2)` around the cursor, else the selection, else the word there. */
function weightedPart(text, from, to) {
  for (const found of text.matchAll(WEIGHTED)) {
    const [start, end] = [found.index, found.index + found[0].length];
    if (start <= from && to <= end) return { start, end, inner: found[1], weight: Number(found[2]) };
  }
  if (from === to) {
    const edge = /[\s,()[\]<>:|]/;
    while (from > 0 && !edge.test(text[from - 1])) from -= 1;
    while (to < text.length && !edge.test(text[to])) to += 1;
  }
  while (to > from && /\s/.test(text[to - 1])) to -= 1;
  while (to > from && /\s/.test(text[from])) from += 1;
  return { start: from, end: to, inner: text.slice(from, to), weight: 1 };
}

/* As if typed, so that the browser's own undo takes it back. */
function replaceText(box, start, end, text) {
  box.focus();
  box.setSelectionRange(start, end);
  if (document.execCommand("insertText", false, text)) return;
  box.setRangeText(text, start, end, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
}
atelier.weightedPart = weightedPart;
