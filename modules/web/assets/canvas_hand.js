/* The hand on the canvas: mouse, pen, fingers, wheel and keys. */

class CanvasHand {
  constructor(canvas) {
    this.canvas = canvas;
    this.stage = canvas.stage;
    this.touches = new Map(); /* fingers that are down, by their ids: {x, y} */
    this.pinch = null;
    this.panning = null;
    this.pulling = null; /* the side that is being pulled out */
    this.pen = null; /* where the keyboard's brush is */
    this.hover = null;
    this.lastEnd = null;
    const on = (name, call, options) => this.stage.addEventListener(name, call.bind(this), options);
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.lost);
    on("pointerenter", this.move);
    on("pointerleave", this.leave);
    on("wheel", this.wheel, { passive: false });
    on("keydown", this.key);
    on("contextmenu", (event) => event.preventDefault());
  }

  /* -- pointers ------------------------------------------------------------------------------------------------------ */

  down(event) {
    if (!sheet.picture || event.button > 1) return;
    this.stage.focus({ preventScroll: true });
    this.pen = null;
    if (event.pointerType === "touch") {
      this.touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (this.touches.size === 2) return this.startPinch();
      if (this.touches.size > 2) return;
    }
    this.capture(event);
    const side = this.sideAt(event);
    const scrolls = event.pointerType === "touch" && !layerInHand() && this.canvas.place.fitted && side < 0;
    if (scrolls) return; /* one finger on a picture that is only looked at scrolls the page */
    const moves = event.button === 1 || canvasKeys.space || !layerInHand() || tools.tool === "move";
    if (side >= 0) this.pulling = { side, start: this.canvas.pointAt(event.clientX, event.clientY), before: sheet.outpaint[side] };
    else if (moves) this.panning = { x: event.clientX, y: event.clientY };
    else if (tools.tool === "picker" || event.altKey) this.pick(event);
    else this.startStroke(event);
    this.paintRing(event);
  }

  capture(event) {
    try {
      this.stage.setPointerCapture(event.pointerId);
    } catch {
      /* the pointer is gone already */
    }
  }

  startStroke(event) {
    const point = this.pointOf(event);
    const straight = event.shiftKey && this.lastEnd;
    sheet.startStroke(this.brush(), straight ? this.lastEnd : point);
    if (straight) sheet.continueStroke(point);
    this.drawing = event.pointerId;
  }

  brush() {
    const layer = layerInHand();
    return { layer, size: tools.size, softness: tools.softness, colour: layer === "mask" ? MASK_COLOUR : tools.colour, erase: tools.tool === "eraser" };
  }

  /* A pen's pressure changes the width; a mouse has none to speak of. */
  pointOf(event) {
    const pressed = event.pointerType === "pen" && event.pressure > 0 ? 0.2 + 0.8 * event.pressure : 1;
    return { ...this.canvas.pointAt(event.clientX, event.clientY), pressure: pressed };
  }

  move(event) {
    this.hover = event.pointerType === "touch" ? null : { x: event.clientX, y: event.clientY };
    canvasKeys.pointer = true;
    if (this.touches.has(event.pointerId)) this.touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pinch) return this.movePinch();
    if (this.pulling) this.pull(event);
    else if (this.panning) this.movePan(event);
    else if (sheet.stroke && event.pointerId === this.drawing) {
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) sheet.continueStroke(this.pointOf(one));
    }
    this.paintRing(event);
  }

  movePan(event) {
    this.canvas.pan(event.clientX - this.panning.x, event.clientY - this.panning.y);
    this.panning = { x: event.clientX, y: event.clientY };
  }

  up(event) {
    this.touches.delete(event.pointerId);
    if (this.touches.size < 2) this.pinch = null;
    if (sheet.stroke && event.pointerId === this.drawing) {
      this.lastEnd = sheet.stroke.last;
      sheet.endStroke();
    }
    const pulled = this.pulling;
    this.pulling = this.panning = null;
    if (pulled) this.canvas.changed();
    this.paintRing(event);
  }

  /* The browser took the pointer for something else (a gesture of the system). */
  lost(event) {
    if (sheet.stroke && event.pointerId === this.drawing) sheet.cancelStroke();
    this.up(event);
  }

  leave() {
    this.hover = null;
    this.ringAway();
  }

  /* -- two fingers ------------------------------------------------------------------------------------------------------ */

  startPinch() {
    sheet.cancelStroke();
    this.panning = this.pulling = null;
    this.pinch = this.pinchNow();
  }

  pinchNow() {
    const [one, other] = [...this.touches.values()];
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, apart: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)) };
  }

  movePinch() {
    const now = this.pinchNow();
    const box = this.stage.getBoundingClientRect();
    this.canvas.pan(now.x - this.pinch.x, now.y - this.pinch.y);
    this.canvas.zoom(now.apart / this.pinch.apart, now.x - box.left, now.y - box.top);
    this.pinch = now;
  }

  /* With Alt the wheel changes the brush. It zooms once somebody works on the canvas, with Ctrl or Shift always; else the page scrolls. */
  wheel(event) {
    if (!sheet.picture) return;
    if (event.altKey) return event.preventDefault(), resizeBrush(event.deltaY < 0 ? 1.1 : 0.9);
    const engaged = this.canvas.large || this.canvas.contains(document.activeElement);
    if (!engaged && !event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const box = this.stage.getBoundingClientRect();
    const turned = event.deltaY || event.deltaX;
    const lines = event.deltaMode === 1 ? turned * 16 : turned;
    this.canvas.zoom(Math.exp(-Math.max(-240, Math.min(240, lines)) / (event.ctrlKey ? 120 : 400)), event.clientX - box.left, event.clientY - box.top);
  }

  /* -- outpainting --------------------------------------------------------------------------------------------------------- */

  sideAt(event) {
    if (!tools.extending) return -1;
    const box = this.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return this.canvas.handles().findIndex(([left, top]) => Math.abs(x - left) <= HANDLE.reach && Math.abs(y - top) <= HANDLE.reach);
  }

  pull(event) {
    const { side, start, before } = this.pulling;
    const now = this.canvas.pointAt(event.clientX, event.clientY);
    const way = side % 2 ? now.y - start.y : now.x - start.x;
    const sides = sheet.outpaint.map((known, at) => (at === side ? before + (side < 2 ? -way : way) : known));
    sheet.extend(sides, this.pulling.moved);
    this.pulling.moved = true;
  }

  /* -- colour ------------------------------------------------------------------------------------------------------------- */

  pick(event) {
    const { x, y } = this.canvas.pointAt(event.clientX, event.clientY);
    const one = newCanvas(1, 1);
    const pen = penOf(one);
    for (const layer of [sheet.picture, sheet.paint]) if (layer) pen.drawImage(layer, Math.floor(x), Math.floor(y), 1, 1, 0, 0, 1, 1);
    const [red, green, blue, there] = pen.getImageData(0, 0, 1, 1).data;
    if (!there) return;
    const colour = `#${[red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
    tools.change({ colour, tool: "brush" });
    announce(`Colour ${colour}.`);
  }

  /* -- the brush's outline ---------------------------------------------------------------------------------------------------- */

  paintRing(event) {
    if (event && event.pointerType === "touch") return this.ringAway();
    const box = this.stage.getBoundingClientRect();
    const { scale, x, y } = this.canvas.place;
    const at = this.pen ? { x: this.pen.x * scale + x, y: this.pen.y * scale + y } : this.hover && { x: this.hover.x - box.left, y: this.hover.y - box.top };
    const brush = layerInHand() && sheet.picture && ["brush", "eraser"].includes(tools.tool) && !canvasKeys.space && !this.pulling;
    const { ring } = this.canvas;
    ring.hidden = !(at && brush);
    this.stage.style.cursor = this.cursor(event, Boolean(brush));
    if (ring.hidden) return;
    const across = Math.max(3, tools.size * scale);
    ring.style.cssText = `width:${across}px;height:${across}px;transform:translate(${at.x - across / 2}px,${at.y - across / 2}px)`;
  }

  cursor(event, brush) {
    if (!sheet.picture) return "";
    const side = this.pulling?.side ?? (event?.clientX != null ? this.sideAt(event) : -1);
    if (side >= 0) return side % 2 ? "ns-resize" : "ew-resize";
    if (brush) return "crosshair";
    if (tools.tool === "picker" && layerInHand()) return "copy";
    return this.panning ? "grabbing" : "grab";
  }

  ringAway() {
    this.canvas.ring.hidden = true;
  }

  /* -- painting with the keyboard --------------------------------------------------------------------------------------------- */

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const dab = event.key === "Enter" && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (!sheet.picture || !layerInHand() || !(way || dab)) return;
    event.preventDefault();
    event.stopPropagation();
    const from = (this.pen ??= { x: sheet.width / 2, y: sheet.height / 2, pressure: 1 });
    if (way) {
      const step = Math.max(1, tools.size / 4);
      const within = (place, side) => Math.max(0, Math.min(side, place));
      this.pen = { x: within(from.x + way[0] * step, sheet.width), y: within(from.y + way[1] * step, sheet.height), pressure: 1 };
    }
    if (dab || event.shiftKey) {
      sheet.startStroke(this.brush(), from);
      sheet.continueStroke(this.pen);
      sheet.endStroke();
    }
    this.paintRing();
  }
}

/* -- keys of the whole tab ------------------------------------------------------------------------------------------------------ */

/* `pointer`: a mouse or pen was used last, so Space is about the canvas below it, not about a button that has the focus. */
const canvasKeys = { space: false, pointer: false };

/* They count while the canvas is used: it has the focus, the mouse is over it, or it fills the window. */
function canvasInUse() {
  const canvas = canvasElement();
  if (!seen(canvas) && !canvas?.large) return null;
  return canvas.large || canvas.matches(":hover") || canvas.contains(document.activeElement) ? canvas : null;
}

const resizeBrush = (factor) => {
  const short = Math.max(1, Math.min(sheet.width, sheet.height));
  const step = Math.max(1, Math.round(tools.size * Math.abs(factor - 1)));
  tools.change({ share: Math.max(1, Math.min(short, tools.size + (factor > 1 ? step : -step))) / short });
};

const CANVAS_KEYS = {
  "[": () => resizeBrush(0.85),
  "]": () => resizeBrush(1.15),
  b: () => tools.change({ tool: "brush" }),
  e: () => tools.change({ tool: "eraser" }),
  h: () => tools.change({ tool: "move" }),
  i: () => layerInHand() === "paint" && tools.change({ tool: "picker" }),
  "+": (canvas) => canvas.zoom(1.25),
  "=": (canvas) => canvas.zoom(1.25),
  "-": (canvas) => canvas.zoom(0.8),
  0: (canvas) => canvas.fit(),
  f: (canvas) => canvas.toggleLarge(),
};

addEventListener(
  "keydown",
  (event) => {
    if (event.isComposing || document.querySelector("dialog[open]") || writing(event.target)) return;
    const canvas = canvasInUse();
    if (!canvas) return;
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (key === "tab") canvasKeys.pointer = false;
    if (event.key === "Escape" && canvas.large) return event.stopImmediatePropagation(), taken(event, () => canvas.toggleLarge(false));
    if (control && key === "z") return taken(event, event.shiftKey ? sheet.redo : sheet.undo);
    if (control && key === "y") return taken(event, sheet.redo);
    if (control || event.altKey || !sheet.picture) return;
    const onButton = event.target.closest?.("button, a, input, summary");
    if (key === " " && (canvasKeys.pointer || !onButton)) return taken(event, () => (canvasKeys.space = true)), canvas.hand.paintRing();
    if (CANVAS_KEYS[key]) taken(event, () => CANVAS_KEYS[key](canvas));
  },
  true,
);

addEventListener("keyup", (event) => {
  if (event.key !== " " || !canvasKeys.space) return;
  canvasKeys.space = false;
  canvasElement()?.hand.paintRing();
});
addEventListener("blur", () => (canvasKeys.space = false));
