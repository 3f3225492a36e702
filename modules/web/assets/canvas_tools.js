/* What stands around the canvas: the tools above it, the picture's own line below, and what an empty canvas offers. */

const DRAWINGS = {
  brush: "M20 4 10 14M10 14c-2-.5-4 .6-4.300 3C5.500 19 4.500 20 3 20c2 1.500 7.500 1.500 9-2 .8-2-.4-3.500-2-4",
  eraser: "M4 15 14 5l6 6-9 9H8zM9 10l6 6M8 20h12",
  move: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  picker: "M11 7l6 6M13 9l-8.500 8.500V20H7l8.500-8.500M14 6l2-2a2.500 2.500 0 0 1 4 4l-2 2z",
  undo: "M9 14 4 9l5-5M4 9h10a5.500 5.500 0 0 1 0 11h-4",
  redo: "M15 14l5-5-5-5M20 9H10a5.500 5.500 0 0 0 0 11h4",
  invert: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18v18M12 8h7M12 12h9M12 16h7",
  fill: "M5 12l8-8 7 7-8 8zM5 12h14M20 15s2 2.500 2 4a2 2 0 0 1-4 0c0-1.500 2-4 2-4",
  clear: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6",
  extend: "M8 8h8v8H8zM12 5V2M10.500 3.500 12 2l1.500 1.500M12 19v3M10.500 20.500 12 22l1.500-1.500M5 12H2M3.500 10.500 2 12l1.500 1.500M19 12h3M20.500 10.500 22 12l-1.500 1.500",
  out: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5M8 11h6",
  in: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5M8 11h6M11 8v6",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  large: "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7",
  small: "M20 10h-6V4M14 10l6-6M4 14h6v6M10 14l-6 6",
};

function drawing(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", DRAWINGS[name]);
  made.append(path);
  return made;
}

const toolButton = (name, words, onclick) => element("button", { type: "button", class: "ac-tool", "aria-label": words, title: words, onclick, "data-tool": name }, drawing(name));
const plainButton = (words, onclick, title) => element("button", { type: "button", class: "at-quiet-button", textContent: words, onclick, title });

/* A file chooser that is asked by a button. `take(files)`. */
function chooser(accept, take, more = {}) {
  const input = element("input", { type: "file", accept, class: "at-offscreen", tabindex: -1, "aria-hidden": "true", ...more });
  input.onchange = () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) take(files);
  };
  return input;
}

/* A slider with its value written beside it. `read()` answers [position 0..1, words]; `write(position)`. */
class CanvasSlider {
  constructor(label, read, write) {
    this.read = read;
    this.input = element("input", { type: "range", min: 0, max: 1, step: 0.005, "aria-label": label });
    this.input.oninput = () => write(Number(this.input.value));
    this.words = element("output");
    this.place = element("label", { class: "ac-slider" }, element("span", { textContent: label }), this.input, this.words);
  }
  paint() {
    const [position, words] = this.read();
    this.input.value = position;
    this.input.style.setProperty("--range_progress", `${position * 100}%`);
    this.input.setAttribute("aria-valuetext", words);
    setText(this.words, words);
  }
}

class CanvasBar {
  constructor(canvas) {
    this.canvas = canvas;
    const hand = (name, words) => toolButton(name, words, () => tools.change({ tool: name }));
    this.hands = [hand("brush", "Brush (B)"), hand("eraser", "Eraser (E)"), hand("picker", "Pick a colour from the picture (I)"), hand("move", "Move the picture (H, or hold Space)")];
    this.colour = element("input", { type: "color", class: "ac-colour", "aria-label": "Colour of the brush", title: "Colour of the brush" });
    this.colour.oninput = () => tools.change({ colour: this.colour.value, tool: "brush" });
    this.undo = toolButton("undo", "Undo (Ctrl+Z)", sheet.undo);
    this.redo = toolButton("redo", "Redo (Ctrl+Shift+Z)", sheet.redo);
    this.invert = toolButton("invert", "Invert the mask", sheet.invertMask);
    this.fill = toolButton("fill", "Mask everything", sheet.fillMask);
    this.clear = toolButton("clear", "Clear the mask", () => clearLayer());
    this.extend = toolButton("extend", "Outpainting: extend the picture", () => tools.change({ extending: !tools.extending }));
    this.percent = element("span", { class: "ac-percent" });
    this.largeButton = toolButton("large", "Whole window (F)", () => canvas.toggleLarge());
    this.views = [toolButton("out", "Zoom out (-)", () => canvas.zoom(0.8)), this.percent, toolButton("in", "Zoom in (+)", () => canvas.zoom(1.25)), toolButton("fit", "Fit (0)", () => canvas.fit()), this.largeButton];
    const group = (words, ...children) => element("div", { class: "ac-group", role: "group", "aria-label": words }, ...children);
    this.paints = group("Tools", ...this.hands, this.colour);
    this.masks = group("Mask", this.invert, this.fill);
    this.changes = group("Changes", this.undo, this.redo, this.clear);
    this.buttons = element("div", { class: "ac-buttons" }, this.paints, this.changes, this.masks, group("Frame", this.extend), group("View", ...this.views));
    this.sliders = [sizeSlider(), new CanvasSlider("Softness", () => [tools.softness, `${Math.round(tools.softness * 100)} %`], (softness) => tools.change({ softness }))];
    this.sliders[1].place.title = "A soft edge of a mask counts with Soft inpainting; otherwise the edge is where it is half";
    this.sliderRow = element("div", { class: "ac-sliders" }, ...this.sliders.map((one) => one.place));
    this.sides = new CanvasSides();
    this.place = element("div", { class: "ac-bar", role: "toolbar", "aria-label": "Canvas" }, this.buttons, this.sliderRow, this.sides.place);
  }

  paint() {
    const layer = layerInHand();
    this.place.hidden = !sheet.picture;
    this.paints.hidden = !layer;
    this.masks.hidden = layer !== "mask";
    this.clear.hidden = this.sliderRow.hidden = !layer;
    for (const one of this.hands) {
      one.setAttribute("aria-pressed", String(one.dataset.tool === tools.tool));
      if (one.dataset.tool === "picker") one.hidden = layer !== "paint";
    }
    this.colour.hidden = layer !== "paint";
    this.colour.value = tools.colour;
    this.undo.disabled = !sheet.past.length;
    this.redo.disabled = !sheet.future.length;
    const words = layer === "paint" ? "Clear the colour" : "Clear the mask";
    this.clear.title = words;
    this.clear.setAttribute("aria-label", words);
    this.clear.disabled = !sheet[layer];
    this.extend.setAttribute("aria-pressed", String(tools.extending));
    setText(this.percent, `${Math.round(this.canvas.place.scale * 100)} %`);
    this.paintLarge();
    this.sliders.forEach((one) => one.paint());
    this.sides.paint();
  }

  paintLarge() {
    const { large } = this.canvas;
    if (this.largeButton.dataset.now === String(large)) return;
    this.largeButton.dataset.now = large;
    this.largeButton.replaceChildren(drawing(large ? "small" : "large"));
    this.largeButton.setAttribute("aria-label", large ? "Back to the page (Esc)" : "Whole window (F)");
    this.largeButton.title = this.largeButton.getAttribute("aria-label");
  }
}

/* Small sizes need more of the way than large ones: the position is the square root of the share. */
const sizeSlider = () => new CanvasSlider("Brush size", () => [Math.sqrt(tools.share), `${tools.size} px`], (position) => tools.change({ share: Math.max(0.002, position ** 2) }));

function clearLayer() {
  const layer = layerInHand();
  const step = sheet.clear(layer);
  offerUndo(layer === "paint" ? "The colour is cleared." : "The mask is cleared.", () => sheet.undoTo(step));
}

/* Outpainting in numbers; the handles on the picture do the same. */
class CanvasSides {
  constructor() {
    this.inputs = ["Left", "Up", "Right", "Down"].map((words, side) => {
      const input = element("input", { type: "number", min: 0, max: 1024, step: 8, id: `img2img_outpaint_${words.toLowerCase()}`, "aria-label": `Outpainting: pixels ${words.toLowerCase()}` });
      input.onchange = () => sheet.extend(sheet.outpaint.map((known, at) => (at === side ? Number(input.value) : known)));
      return input;
    });
    const labels = this.inputs.map((input, side) => element("label", {}, element("span", { textContent: ["Left", "Up", "Right", "Down"][side] }), input));
    const each = plainButton("64 on each side", () => sheet.extend([64, 64, 64, 64]));
    const none = plainButton("None", () => sheet.extend([0, 0, 0, 0]), "Extend nothing");
    this.place = element("div", { class: "ac-sides", id: "img2img_outpaint", role: "group", "aria-label": "Outpainting, in pixels" }, ...labels, each, none);
  }
  paint() {
    this.place.hidden = !tools.extending;
    this.inputs.forEach((input, side) => document.activeElement === input || (input.value = sheet.outpaint[side]));
  }
}

/* -- the picture's line ---------------------------------------------------------------------------------------------------- */

class CanvasFoot {
  constructor() {
    this.words = element("span", { class: "ac-words" });
    this.open = chooser("image/*", ([file]) => edit.open(file));
    this.openMask = chooser("image/*", ([file]) => edit.openMask(file));
    this.mask = plainButton("Open mask…", () => this.openMask.click(), "A picture whose white is painted anew");
    const describe = plainButton("Describe", () => edit.describe(), "Write what the picture shows into the prompt (interrogate)");
    const save = plainButton("Save", () => edit.download(), "Download the picture with the colour on it");
    const remove = plainButton("Remove", () => edit.remove(), "Take the picture away; can be undone for ten seconds");
    this.tools = element("div", { class: "at-tools" }, plainButton("Open…", () => this.open.click(), "Another picture; so does dropping or pasting one"), this.mask, describe, save, remove);
    this.place = element("div", { class: "ac-foot" }, this.words, this.tools, this.open, this.openMask);
  }
  paint() {
    this.place.hidden = !sheet.picture;
    this.mask.hidden = edit.mode !== "inpaint_upload";
    const [width, height] = sheet.fullSize;
    const grown = width !== sheet.width || height !== sheet.height ? ` → ${width}×${height}` : "";
    setText(this.words, `${sheet.width}×${sheet.height}${grown}${sheet.name ? ` · ${sheet.name}` : ""}`);
    this.words.title = sheet.name;
  }
}

function emptyCanvas() {
  const open = chooser("image/*", ([file]) => edit.open(file));
  const last = plainButton("Use the last picture", () => edit.useLast());
  const blank = plainButton("Start with an empty one", () => edit.blank(), "White, of the width and height below");
  const place = element(
    "div",
    { class: "ac-empty" },
    element("p", {}, element("b", { textContent: "Drop a picture here" }), ", paste one, or"),
    element("div", { class: "at-tools" }, element("button", { type: "button", class: "ac-first", textContent: "Open a picture", onclick: () => open.click() }), last, blank),
    open,
  );
  const paint = () => (last.hidden = !viewing.recent.length);
  hear("viewing", paint);
  hear("jobs", paint);
  paint();
  return place;
}
