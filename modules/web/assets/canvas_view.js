/* The sheet on the screen: where it stands, how large, what of it is shown in which mode. */

const tools = (atelier.tools = {
  tool: "brush" /* brush, eraser, move, picker */,
  share: memory.get("canvas.share", 0.12) /* the brush's size as a part of the picture's shorter side */,
  softness: memory.get("canvas.softness", 0),
  colour: memory.get("canvas.colour", "#e53935"),
  extending: false,

  get size() {
    return Math.max(1, Math.round(tools.share * Math.min(sheet.width, sheet.height) || 1));
  },
  change(known) {
    Object.assign(tools, known);
    for (const name of ["share", "softness", "colour"]) if (name in known) memory.set(`canvas.${name}`, known[name]);
    tell("tools");
  },
});

/* What each mode shows, and what its brush paints on. */
const PAINTS = { sketch: "paint", inpaint: "mask", inpaint_sketch: "paint", inpaint_upload: "mask" };
const layerInHand = () => PAINTS[edit.mode] ?? null;

const LARGEST_ZOOM = 32;
const MARGIN = 16;
const HANDLE = { long: 40, thick: 8, reach: 22 };

class CanvasElement extends HTMLElement {
  connectedCallback() {
    this.place = { scale: 1, x: 0, y: 0, fitted: true };
    this.view = element("canvas", { class: "ac-view" });
    this.ring = element("div", { class: "ac-ring", hidden: true });
    this.stage = element("div", { class: "ac-stage", id: "img2maskimg", tabindex: 0, role: "application", "aria-label": "Canvas", "aria-describedby": "ac_keys" }, this.view, this.ring);
    const keys = element("p", { class: "at-offscreen", id: "ac_keys", textContent: "Arrows move the brush, with Shift they paint; Enter paints a dab. B brush, E eraser, [ and ] size, + and - zoom, 0 fits, Ctrl+Z undoes." });
    this.empty = emptyCanvas();
    this.note = element("p", { class: "at-note ac-note", role: "status" });
    this.bar = new CanvasBar(this);
    this.foot = new CanvasFoot();
    this.replaceChildren(this.bar.place, element("div", { class: "ac-frame" }, this.stage, this.empty), this.foot.place, this.note, keys);
    this.hand = new CanvasHand(this);
    this.heard = () => this.changed();
    ["sheet", "tools", "edit", "kept", "looks", "viewing"].forEach((name) => board.addEventListener(name, this.heard));
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(this.stage);
    this.shown = null;
    this.changed();
  }

  disconnectedCallback() {
    this.sizes.disconnect();
    ["sheet", "tools", "edit", "kept", "looks", "viewing"].forEach((name) => board.removeEventListener(name, this.heard));
  }

  changed() {
    if (this.shown !== sheet.picture) {
      this.shown = sheet.picture;
      this.fit();
    } else if (this.place.fitted && !this.hand?.pulling) this.fit();
    this.empty.hidden = Boolean(sheet.picture) || !keeper.restored;
    this.stage.classList.toggle("ac-bare", !sheet.picture);
    this.stage.style.touchAction = sheet.picture && (layerInHand() || !this.place.fitted || tools.extending) ? "none" : "pan-y";
    setText(this.note, [sheet.note, keeper.works ? "" : "This browser keeps no pictures: after a reload this one is gone."].filter(Boolean).join(" "));
    this.note.hidden = !this.note.textContent;
    this.bar.paint();
    this.foot.paint();
    this.hand?.paintRing();
    this.draw();
  }

  /* -- where it stands ---------------------------------------------------------------------------------------------- */

  resized() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.stage;
    if (!clientWidth) return; /* on a tab that cannot be seen */
    this.view.width = Math.round(clientWidth * ratio);
    this.view.height = Math.round(clientHeight * ratio);
    this.changed();
    this.paintNow();
  }

  fit() {
    const { clientWidth, clientHeight } = this.stage;
    if (!clientWidth || !sheet.picture) return;
    const [width, height] = sheet.fullSize;
    const margin = tools.extending ? 2 * MARGIN : MARGIN;
    const scale = Math.min((clientWidth - 2 * margin) / width, (clientHeight - 2 * margin) / height, 12);
    const [left, up] = sheet.outpaint;
    this.place = { scale, x: (clientWidth - width * scale) / 2 + left * scale, y: (clientHeight - height * scale) / 2 + up * scale, fitted: true };
    this.draw();
  }

  /* Zoom so that what is at (x, y) of the stage stays there. */
  zoom(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const { place } = this;
    const least = Math.min(1, 16 / Math.max(sheet.width, sheet.height, 1));
    const scale = Math.max(least, Math.min(LARGEST_ZOOM, place.scale * factor));
    const real = scale / place.scale;
    this.place = { scale, x: x - (x - place.x) * real, y: y - (y - place.y) * real, fitted: false };
    this.changed();
  }

  pan(across, down) {
    this.place = { ...this.place, x: this.place.x + across, y: this.place.y + down, fitted: false };
    this.changed();
  }

  /* A place on the screen as a place in the picture. */
  pointAt(clientX, clientY) {
    const box = this.stage.getBoundingClientRect();
    return { x: (clientX - box.left - this.place.x) / this.place.scale, y: (clientY - box.top - this.place.y) / this.place.scale };
  }

  get large() {
    return this.classList.contains("ac-large");
  }

  toggleLarge(wanted = !this.large) {
    this.classList.toggle("ac-large", wanted);
    document.documentElement.classList.toggle("ac-still", wanted);
    this.place.fitted = true;
    this.stage.focus({ preventScroll: true });
    requestAnimationFrame(() => this.resized());
    this.bar.paint();
  }

  /* -- drawing -------------------------------------------------------------------------------------------------------- */

  draw() {
    this.frame ??= requestAnimationFrame(() => this.paintNow());
  }

  paintNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const pen = penOf(this.view);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.view.width, this.view.height);
    if (!sheet.picture) return;
    const ratio = devicePixelRatio || 1;
    const { scale, x, y } = this.place;
    pen.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    pen.imageSmoothingEnabled = scale < 6;
    pen.imageSmoothingQuality = scale < 1 ? "high" : "low";
    this.paintExtension(pen);
    pen.drawImage(sheet.picture, 0, 0);
    this.paintLayers(pen);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (tools.extending) this.paintHandles(pen);
  }

  paintLayers(pen) {
    const painted = layerInHand() === "paint" && sheet.paint;
    if (painted) {
      pen.globalAlpha = edit.mode === "inpaint_sketch" ? Math.max(0.15, edit.opacity()) : 1;
      pen.drawImage(sheet.paint, 0, 0);
    }
    const masked = layerInHand() === "mask" && sheet.mask;
    if (masked) {
      pen.globalAlpha = 0.55;
      pen.drawImage(sheet.mask, 0, 0);
    }
    pen.globalAlpha = 1;
  }

  /* What outpainting adds: striped, because nothing is there yet. */
  paintExtension(pen) {
    const [left, up] = sheet.outpaint;
    const [width, height] = sheet.fullSize;
    if (width === sheet.width && height === sheet.height) return;
    const colours = getComputedStyle(this);
    pen.save();
    pen.beginPath();
    pen.rect(-left, -up, width, height);
    pen.clip();
    pen.fillStyle = colours.getPropertyValue("--at-surface");
    pen.fillRect(-left, -up, width, height);
    pen.strokeStyle = colours.getPropertyValue("--at-edge");
    pen.lineWidth = 2 / this.place.scale;
    const gap = 12 / this.place.scale;
    pen.beginPath();
    for (let at = -up - height; at < width + height; at += gap) {
      pen.moveTo(-left + at, -up);
      pen.lineTo(-left + at + height, -up + height);
    }
    pen.stroke();
    pen.restore();
  }

  /* Left, up, right, down: the middle of each side, in pixels of the stage. */
  handles() {
    const [left, up, right, down] = sheet.outpaint;
    const { scale, x, y } = this.place;
    const [west, north] = [x - left * scale, y - up * scale];
    const [east, south] = [x + (sheet.width + right) * scale, y + (sheet.height + down) * scale];
    const [across, along] = [(west + east) / 2, (north + south) / 2];
    return [
      [west, along],
      [across, north],
      [east, along],
      [across, south],
    ];
  }

  paintHandles(pen) {
    const colours = getComputedStyle(this);
    const places = this.handles();
    pen.strokeStyle = colours.getPropertyValue("--at-accent");
    pen.lineWidth = 1.5;
    pen.setLineDash([6, 4]);
    pen.strokeRect(places[0][0], places[1][1], places[2][0] - places[0][0], places[3][1] - places[1][1]);
    pen.setLineDash([]);
    places.forEach(([x, y], side) => {
      const [width, height] = side % 2 ? [HANDLE.long, HANDLE.thick] : [HANDLE.thick, HANDLE.long];
      pen.beginPath();
      pen.roundRect(x - width / 2, y - height / 2, width, height, HANDLE.thick / 2);
      pen.fillStyle = colours.getPropertyValue("--at-accent");
      pen.fill();
      pen.strokeStyle = "#ffffff";
      pen.stroke();
    });
  }
}
customElements.define("at-canvas", CanvasElement);

const canvasElement = () => document.querySelector("at-canvas");
