/* What is edited: a picture, colour laid on it, a mask over it, and the way back (undo, redo). It knows nothing of how it
   is shown; whoever shows it hears "sheet". Layers are canvases of the picture's size, made when they are first needed. */

const MOST_SHEET_PIXELS = 4096 * 4096; /* more than this no phone's canvas can hold; a larger picture is made smaller */
const MOST_STEPS = 100;
const MOST_STEP_BYTES = 192 * 2 ** 20;
const MASK_COLOUR = "#ff2f92";
const LAYERS = ["paint", "mask"];

function newCanvas(width, height) {
  const made = document.createElement("canvas");
  made.width = width;
  made.height = height;
  return made;
}

const penOf = (canvas) => canvas.getContext("2d");
const blobOf = (canvas) => new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Trouble("This browser could not pack the picture."))), "image/png"));

const sheet = (atelier.sheet = {
  picture: null /* a canvas; opaque */,
  source: null /* the file it came from, where that is the same pixels */,
  paint: null,
  mask: null,
  name: "",
  infotext: "",
  outpaint: [0, 0, 0, 0] /* pixels added left, up, right, down */,
  note: "" /* what was done to the picture when it was loaded */,
  past: [],
  future: [],
  stroke: null,
  versions: { picture: 0, paint: 0, mask: 0 } /* of the contents, for what is made of them */,

  get width() {
    return sheet.picture?.width ?? 0;
  },
  get height() {
    return sheet.picture?.height ?? 0;
  },
  /* With what outpainting adds. */
  get fullSize() {
    const [left, up, right, down] = sheet.outpaint;
    return [sheet.width + left + right, sheet.height + up + down];
  },
});

function sheetChanged(...parts) {
  for (const part of parts) if (part in sheet.versions) sheet.versions[part] += 1;
  tell("sheet", parts);
}

/* -- the way back ------------------------------------------------------------------------------------------------- */

/* A step holds what was there before: a piece of one layer, what outpainting adds, or everything.
   `{layer, x, y, piece}`, `{sides}` or `{whole}`. */
const stepBytes = (step) => {
  const held = [step.piece, step.whole?.picture, step.whole?.paint, step.whole?.mask];
  return held.reduce((sum, canvas) => sum + (canvas ? canvas.width * canvas.height * 4 : 0), 0);
};

function remember(step) {
  sheet.past.push(step);
  sheet.future = [];
  let bytes = sheet.past.reduce((sum, one) => sum + stepBytes(one), 0);
  while (sheet.past.length > 1 && (sheet.past.length > MOST_STEPS || bytes > MOST_STEP_BYTES)) bytes -= stepBytes(sheet.past.shift());
  return step;
}

const wholeSheet = () => ({ picture: sheet.picture, source: sheet.source, paint: sheet.paint, mask: sheet.mask, name: sheet.name, infotext: sheet.infotext, outpaint: sheet.outpaint, note: sheet.note });

function pieceOf(layer, x, y, width, height) {
  const piece = newCanvas(width, height);
  if (sheet[layer]) penOf(piece).drawImage(sheet[layer], x, y, width, height, 0, 0, width, height);
  return piece;
}

/* Bring back what a step holds; answers the step that leads here again. */
function takeStep(step) {
  if (step.whole) {
    const back = { whole: wholeSheet() };
    Object.assign(sheet, step.whole);
    sheetChanged("picture", "paint", "mask", "outpaint");
    return back;
  }
  if (step.sides) {
    const back = { sides: sheet.outpaint };
    sheet.outpaint = step.sides;
    sheetChanged("outpaint");
    return back;
  }
  const { layer, x, y, piece } = step;
  const back = { layer, x, y, piece: pieceOf(layer, x, y, piece.width, piece.height) };
  const pen = penOf(layerOf(layer));
  pen.clearRect(x, y, piece.width, piece.height);
  pen.drawImage(piece, x, y);
  sheetChanged(layer);
  return back;
}

sheet.undo = () => {
  if (sheet.stroke) return sheet.cancelStroke();
  const step = sheet.past.pop();
  if (step) sheet.future.push(takeStep(step));
};

sheet.redo = () => {
  const step = sheet.future.pop();
  if (step) sheet.past.push(takeStep(step));
};

/* Back to before this step, if it is still known. */
sheet.undoTo = (step) => {
  if (!sheet.past.includes(step)) return;
  while (sheet.past.includes(step)) sheet.undo();
};

/* -- layers ---------------------------------------------------------------------------------------------------------- */

function layerOf(name) {
  return (sheet[name] ??= newCanvas(sheet.width, sheet.height));
}

/* Change a whole layer by `draw(pen)`. */
function changeLayer(layer, draw) {
  const step = remember({ layer, x: 0, y: 0, piece: pieceOf(layer, 0, 0, sheet.width, sheet.height) });
  const pen = penOf(layerOf(layer));
  pen.save();
  draw(pen);
  pen.restore();
  sheetChanged(layer);
  return step;
}

sheet.clear = (layer) => changeLayer(layer, (pen) => pen.clearRect(0, 0, sheet.width, sheet.height));

sheet.fillMask = () =>
  changeLayer("mask", (pen) => {
    pen.fillStyle = MASK_COLOUR;
    pen.fillRect(0, 0, sheet.width, sheet.height);
  });

sheet.invertMask = () =>
  changeLayer("mask", (pen) => {
    pen.globalCompositeOperation = "source-out";
    pen.fillStyle = MASK_COLOUR;
    pen.fillRect(0, 0, sheet.width, sheet.height);
  });

/* A picture's brightness as mask: white is painted anew. Transparent counts as black, as it would be seen on black. */
sheet.readMask = async (blob) => {
  const bitmap = await decoded(blob);
  const canvas = newCanvas(sheet.width, sheet.height);
  const pen = penOf(canvas);
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(MASK_COLOUR.slice(at, at + 2), 16));
  const { data } = pixels;
  for (let at = 0; at < data.length; at += 4) {
    data[at + 3] = Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
    [data[at], data[at + 1], data[at + 2]] = [red, green, blue];
  }
  pen.putImageData(pixels, 0, 0);
  return changeLayer("mask", (layer) => {
    layer.globalCompositeOperation = "copy";
    layer.drawImage(canvas, 0, 0);
  });
};

function isBlank(layer) {
  if (!sheet[layer]) return true;
  /* In strips: a whole large layer as numbers would be as large again. */
  const rows = Math.max(1, Math.floor(2 ** 20 / sheet.width));
  const pen = newCanvas(sheet.width, rows).getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < sheet.height; top += rows) {
    pen.clearRect(0, 0, sheet.width, rows);
    pen.drawImage(sheet[layer], 0, -top);
    const { data } = pen.getImageData(0, 0, sheet.width, Math.min(rows, sheet.height - top));
    for (let at = 3; at < data.length; at += 4) if (data[at]) return false;
  }
  return true;
}

/* -- strokes ---------------------------------------------------------------------------------------------------------- */

/* `brush`: {layer, size (pixels of the picture), softness 0..1, colour, erase}. */
sheet.startStroke = (brush, point) => {
  const before = pieceOf(brush.layer, 0, 0, sheet.width, sheet.height);
  sheet.stroke = { ...brush, before, last: point, left: 0, box: null, stamp: brush.softness > 0 ? softStamp(brush) : null };
  sheet.continueStroke(point);
};

function softStamp({ size, softness, colour, erase }) {
  const stamp = newCanvas(Math.ceil(size) + 2, Math.ceil(size) + 2);
  const middle = stamp.width / 2;
  const pen = penOf(stamp);
  const shade = pen.createRadialGradient(middle, middle, (size / 2) * (1 - softness), middle, middle, Math.max(0.5, size / 2));
  const solid = erase ? "#000000" : colour;
  /* Stamps lie over each other; a falling curve keeps the edge soft where they do. */
  for (let at = 0; at <= 8; at += 1) shade.addColorStop(at / 8, solid + Math.round(255 * (1 - (at / 8) ** 2) ** 2).toString(16).padStart(2, "0"));
  pen.fillStyle = shade;
  pen.fillRect(0, 0, stamp.width, stamp.height);
  return stamp;
}

/* `point`: {x, y, pressure 0..1}. */
sheet.continueStroke = (point) => {
  const { stroke } = sheet;
  const pen = penOf(layerOf(stroke.layer));
  pen.save();
  pen.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
  if (stroke.stamp) stampAlong(pen, stroke, point);
  else lineTo(pen, stroke, point);
  pen.restore();
  const reach = stroke.size / 2 + 2;
  for (const { x, y } of [stroke.last, point]) {
    const box = (stroke.box ??= [x, y, x, y]);
    stroke.box = [Math.min(box[0], x - reach), Math.min(box[1], y - reach), Math.max(box[2], x + reach), Math.max(box[3], y + reach)];
  }
  stroke.last = point;
  tell("sheet", ["stroke"]);
};

function lineTo(pen, { last, size, colour }, point) {
  pen.strokeStyle = colour;
  pen.lineCap = "round";
  pen.lineWidth = Math.max(1, size * (point.pressure ?? 1));
  pen.beginPath();
  pen.moveTo(last.x, last.y);
  pen.lineTo(point.x + (last.x === point.x && last.y === point.y ? 0.01 : 0), point.y);
  pen.stroke();
}

function stampAlong(pen, stroke, point) {
  const { last, stamp, size } = stroke;
  const length = Math.hypot(point.x - last.x, point.y - last.y);
  const gap = Math.max(0.5, size / 10);
  const scale = point.pressure ?? 1;
  for (; stroke.left <= length; stroke.left += gap) {
    const part = length ? stroke.left / length : 0;
    const [x, y] = [last.x + (point.x - last.x) * part, last.y + (point.y - last.y) * part];
    pen.drawImage(stamp, x - (stamp.width / 2) * scale, y - (stamp.height / 2) * scale, stamp.width * scale, stamp.height * scale);
  }
  stroke.left -= length;
}

sheet.endStroke = () => {
  const { stroke } = sheet;
  sheet.stroke = null;
  if (!stroke) return;
  const left = Math.max(0, Math.floor(stroke.box[0]));
  const top = Math.max(0, Math.floor(stroke.box[1]));
  const width = Math.min(sheet.width, Math.ceil(stroke.box[2])) - left;
  const height = Math.min(sheet.height, Math.ceil(stroke.box[3])) - top;
  if (width <= 0 || height <= 0) return;
  const piece = newCanvas(width, height);
  penOf(piece).drawImage(stroke.before, left, top, width, height, 0, 0, width, height);
  remember({ layer: stroke.layer, x: left, y: top, piece });
  sheetChanged(stroke.layer);
};

/* As if it had not begun: a second finger came, or Ctrl+Z while drawing. */
sheet.cancelStroke = () => {
  const { stroke } = sheet;
  sheet.stroke = null;
  if (!stroke) return;
  const pen = penOf(layerOf(stroke.layer));
  pen.clearRect(0, 0, sheet.width, sheet.height);
  pen.drawImage(stroke.before, 0, 0);
  tell("sheet", ["stroke"]);
};

/* -- pictures in -------------------------------------------------------------------------------------------------------- */

async function decoded(blob) {
  try {
    return await createImageBitmap(blob);
  } catch {
    throw new Trouble("This file is no picture that can be read: PNG, JPEG, WebP, GIF and BMP can.");
  }
}

/* Whether the server reads the same pixels from the file itself: PNG of eight bits, without transparency. */
async function isPlainPng(blob) {
  if (blob.type !== "image/png") return false;
  const start = new DataView(await blob.slice(0, 33).arrayBuffer());
  return start.byteLength === 33 && start.getUint8(24) === 8 && start.getUint8(25) === 2 && !(await hasChunk(blob, "tRNS"));
}

async function hasChunk(blob, wanted) {
  for (let at = 33; at + 8 <= blob.size; ) {
    const head = new DataView(await blob.slice(at, at + 8).arrayBuffer());
    const name = String.fromCharCode(...[4, 5, 6, 7].map((one) => head.getUint8(one)));
    if (name === wanted) return true;
    if (name === "IDAT") return false;
    at += 12 + head.getUint32(0);
  }
  return false;
}

/* Put a picture on the sheet; what was there can be undone. `mask`: a canvas, laid over it at its size. Answers the step. */
sheet.load = async (blob, { name = "", infotext = "", mask = null } = {}) => {
  const bitmap = await decoded(blob);
  const full = bitmap.width * bitmap.height;
  const scale = full > MOST_SHEET_PIXELS ? Math.sqrt(MOST_SHEET_PIXELS / full) : 1;
  const picture = newCanvas(Math.max(1, Math.floor(bitmap.width * scale)), Math.max(1, Math.floor(bitmap.height * scale)));
  const pen = penOf(picture);
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, picture.width, picture.height);
  const note = scale < 1 ? `The picture had ${bitmap.width}×${bitmap.height} pixels and was made smaller: ${picture.width}×${picture.height}.` : "";
  bitmap.close();
  const source = scale === 1 && (await isPlainPng(blob)) ? blob : null;
  return sheet.replace({ picture, source, name, infotext, note, mask: mask && fitted(mask, picture) });
};

function fitted(mask, { width, height }) {
  const canvas = newCanvas(width, height);
  penOf(canvas).drawImage(mask, 0, 0, width, height);
  return canvas;
}

sheet.replace = (known) => {
  const step = remember({ whole: wholeSheet() });
  Object.assign(sheet, { picture: null, source: null, paint: null, mask: null, name: "", infotext: "", outpaint: [0, 0, 0, 0], note: "" }, known);
  sheetChanged("picture", "paint", "mask", "outpaint");
  return step;
};

sheet.blank = (width, height, colour = "#ffffff") => {
  const picture = newCanvas(width, height);
  const pen = penOf(picture);
  pen.fillStyle = colour;
  pen.fillRect(0, 0, width, height);
  return sheet.replace({ picture, name: "new" });
};

/* `pulling`: more of the same change, so no step of its own. */
sheet.extend = (sides, pulling = false) => {
  if (!pulling) remember({ sides: sheet.outpaint });
  sheet.outpaint = sides.map((side) => Math.max(0, Math.min(1024, Math.round(side / 8) * 8 || 0)));
  sheetChanged("outpaint");
};

/* -- pictures out --------------------------------------------------------------------------------------------------------- */

/* The picture as a file, with the colour on it when `painted`; `opacity` of that colour. */
sheet.pictureFile = async (painted = false, opacity = 1) => {
  if (!painted || !sheet.paint) return sheet.source ?? blobOf(sheet.picture);
  const canvas = newCanvas(sheet.width, sheet.height);
  const pen = penOf(canvas);
  pen.drawImage(sheet.picture, 0, 0);
  pen.globalAlpha = opacity;
  pen.drawImage(sheet.paint, 0, 0);
  return blobOf(canvas);
};

/* A layer as a mask: white where there is something, black elsewhere. */
sheet.maskFile = (layer = "mask") => {
  const canvas = newCanvas(sheet.width, sheet.height);
  const pen = penOf(canvas);
  if (sheet[layer]) pen.drawImage(sheet[layer], 0, 0);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.globalCompositeOperation = "destination-over";
  pen.fillStyle = "#000000";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  return blobOf(canvas);
};
