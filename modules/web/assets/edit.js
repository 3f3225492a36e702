/* The img2img tab: its modes, what is handed to the server, and the way of a picture from anywhere to anywhere. */

const IMG2IMG = "img2img";
const MODES = {
  img2img: { words: "img2img", id: "img2img_img2img_tab", help: "Draw the picture anew, guided by the prompt" },
  sketch: { words: "Sketch", id: "img2img_img2img_sketch_tab", help: "Paint on the picture, then draw it anew" },
  inpaint: { words: "Inpaint", id: "img2img_inpaint_tab", help: "Paint over the place that is to be drawn anew" },
  inpaint_sketch: { words: "Inpaint sketch", id: "img2img_inpaint_sketch_tab", help: "Paint in colour; what is painted is drawn anew" },
  inpaint_upload: { words: "Inpaint upload", id: "img2img_inpaint_upload_tab", help: "Inpaint with a mask from a file" },
  batch: { words: "Batch", id: "img2img_batch_tab", help: "Many pictures, one job for each" },
};
const MASKED = new Set(["inpaint", "inpaint_sketch", "inpaint_upload"]);
forms.places[IMG2IMG] = Object.fromEntries(["init_images", "mask", "outpaint", "inputs"].map((field) => [field, { id: "img2img_problems" }]));
const SENT_KINDS = new Set(["image/png", "image/jpeg", "image/webp", "image/bmp"]);

const edit = (atelier.edit = {
  mode: MODES[memory.get("edit.mode", "")] ? memory.get("edit.mode", "") : "img2img",
  resize: memory.get("edit.resize", "to") /* to: width and height of the form; by: a factor of the picture's */,
  factor: memory.get("edit.factor", 1),
  sizeOf: "" /* the size that was set because of a picture; another one is the user's own */,
  pending: null,
  busy: false,
  describing: "" /* the job that finds words for the picture */,
  uploaded: new Map() /* ids of what the server has, by what it was made of */,

  opacity: () => 1 - Number(edit.transparency ?? 0) / 100,
  transparency: memory.get("edit.transparency", 0),
});

hear("form img2img", () => document.body.toggleAttribute("data-edit-soft", Boolean(forms.values(IMG2IMG).soft_inpainting)));

function showMode() {
  document.body.dataset.editMode = edit.mode;
  document.body.dataset.editResize = edit.resize;
  document.body.toggleAttribute("data-edit-masked", MASKED.has(edit.mode));
}
showMode();

edit.setMode = (mode) => {
  edit.mode = mode;
  memory.set("edit.mode", mode);
  if (tools.tool === "picker" && layerInHand() !== "paint") tools.tool = "brush";
  showMode();
  tell("edit");
};

class EditModes extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "tablist");
    this.setAttribute("aria-label", "Kind of change");
    this.id = "mode_img2img";
    this.tabs = Object.entries(MODES).map(([mode, { words, id, help }]) => element("button", { type: "button", role: "tab", id, title: help, textContent: words, "aria-controls": "img2img_picture", "data-mode": mode, onclick: () => edit.setMode(mode) }));
    this.onkeydown = (event) => this.walk(event);
    this.replaceChildren(...this.tabs);
    this.paint = this.paint.bind(this);
    board.addEventListener("edit", this.paint);
    this.paint();
    appeared("#img2img_refresh_choices").then((button) => button.click());
  }
  disconnectedCallback() {
    board.removeEventListener("edit", this.paint);
  }
  paint() {
    for (const tab of this.tabs) {
      const chosen = tab.dataset.mode === edit.mode;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
  }
  walk(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = this.tabs.findIndex((tab) => tab.dataset.mode === edit.mode);
    const next = this.tabs[(at + step + this.tabs.length) % this.tabs.length];
    edit.setMode(next.dataset.mode);
    next.focus();
  }
}
customElements.define("at-edit-modes", EditModes);

/* -- pictures in ------------------------------------------------------------------------------------------------------------ */

const named = (file) => file.name?.replace(/\.[^.]*$/, "") ?? "";

async function tried(call) {
  try {
    return await call();
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    say(trouble.message);
    return null;
  }
}

/* A sentence at the canvas. */
function say(sentence) {
  forms.showProblems(IMG2IMG, { init_images: sentence });
  announce(sentence);
}

edit.open = (blob, known = {}) =>
  tried(async () => {
    await keeper.ready;
    const before = sheet.picture;
    const step = await sheet.load(blob, { name: named(blob), ...known });
    forms.clearProblems(IMG2IMG);
    if (before) offerUndo("Another picture is on the canvas.", () => sheet.undoTo(step));
    announce(`Picture of ${sheet.width} by ${sheet.height} pixels.`);
    return step;
  });

edit.openMask = (blob) =>
  tried(async () => {
    if (!sheet.picture) throw new Trouble("There is no picture yet; open one, then its mask.");
    const before = !isBlank("mask");
    const step = await sheet.readMask(blob);
    if (before) offerUndo("Another mask is on the picture.", () => sheet.undoTo(step));
  });

edit.remove = () => {
  const step = sheet.replace({});
  offerUndo("The picture is removed.", () => sheet.undoTo(step));
};

edit.blank = () => {
  const { width, height } = forms.values(IMG2IMG);
  const side = (number) => Math.max(64, Math.min(2048, Number(number) || 512));
  sheet.blank(side(width), side(height));
};

edit.useLast = () => {
  const picture = viewing.selected();
  if (picture) tried(async () => edit.open(await fetched(picture.url), { name: `seed ${picture.seed}`, infotext: picture.infotext }));
};

edit.download = async () => {
  const link = element("a", { href: URL.createObjectURL(await sheet.pictureFile(layerInHand() === "paint")), download: `${sheet.name || "picture"}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

async function fetched(url) {
  const answer = await fetch(address(url)).catch(() => null);
  if (!answer?.ok) throw new Trouble("The picture could not be fetched; it may have been deleted.");
  return answer.blob();
}

/* The form's size follows the picture, until somebody sets another: its shape, and about as many pixels as the model likes. */
edit.adoptSize = (always = false) => {
  const { width, height } = forms.values(IMG2IMG);
  const now = `${width}x${height}`;
  const native = model.known ? `${model.known.width}x${model.known.height}` : "512x512";
  if (!sheet.picture || !(always || now === edit.sizeOf || now === native)) return;
  const [across, down] = sheet.fullSize;
  const likes = model.known ? model.known.width * model.known.height : 512 * 512;
  const much = across * down;
  const scale = !always && (much > 2.5 * likes || much < likes / 2.5) ? Math.sqrt(likes / much) : 1;
  const side = (length) => Math.max(64, Math.min(2048, Math.round((length * scale) / 8) * 8));
  const size = { width: side(across), height: side(down) };
  edit.sizeOf = `${size.width}x${size.height}`;
  memory.set("edit.sizeOf", edit.sizeOf);
  if (edit.sizeOf !== now) forms.fill(IMG2IMG, size);
};
edit.sizeOf = memory.get("edit.sizeOf", "");
hear("sheet", (parts) => parts.includes("outpaint") && forms.values(IMG2IMG).width && edit.adoptSize());

/* Dropped or pasted anywhere on the tab. A picture of this page may be dragged as well: it comes as an address. */
const editInSight = () => seen(by("img2img_layout"));
const takesFiles = (event) => [...(event.dataTransfer?.types ?? [])].some((type) => type === "Files" || type === "text/uri-list");

addEventListener("dragover", (event) => {
  if (!editInSight() || !takesFiles(event)) return;
  event.preventDefault();
  by("img2img_layout").classList.add("ac-dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget || by("img2img_layout")?.classList.remove("ac-dropping"));
addEventListener("drop", (event) => {
  by("img2img_layout")?.classList.remove("ac-dropping");
  if (!editInSight() || !takesFiles(event)) return;
  event.preventDefault();
  const files = [...event.dataTransfer.files];
  const link = event.dataTransfer.getData("text/uri-list");
  if (files.length) edit.take(files);
  else if (link.startsWith(new URL(".", document.baseURI).href) || link.startsWith("data:image/")) tried(async () => edit.take([await fetched(link)]));
});
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!editInSight() || !files.length) return;
  if (writing(event.target) && event.clipboardData.getData("text/plain")) return; /* a text that brought its picture along */
  event.preventDefault();
  edit.take(files);
});

edit.take = (files) => {
  const pictures = files.filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return say("This file is no picture that can be read: PNG, JPEG, WebP, GIF and BMP can.");
  if (edit.mode === "batch" || pictures.length > 1) return edit.setMode("batch"), batch.add(pictures);
  edit.open(pictures[0]);
};

/* -- to the server ------------------------------------------------------------------------------------------------------------- */

async function upload(blob) {
  let answer;
  try {
    answer = await fetch(address("api/v1/inputs"), { method: "POST", body: blob, headers: { "Content-Type": blob.type || "image/png" } });
  } catch {
    throw new Trouble("The server does not answer, so the picture was not sent. Press Generate again in a moment.", true);
  }
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble(typeof read.detail === "string" ? read.detail : `The server did not take the picture (${answer.status}).`);
  return read.id;
}

/* The same thing is sent once. `key` says what it is made of. */
async function uploadOnce(key, make) {
  if (!edit.uploaded.has(key)) edit.uploaded.set(key, await upload(await make()));
  if (edit.uploaded.size > 200) edit.uploaded.delete(edit.uploaded.keys().next().value);
  return edit.uploaded.get(key);
}

async function sentPicture() {
  const painted = layerInHand() === "paint" && Boolean(sheet.paint);
  const opacity = edit.mode === "inpaint_sketch" ? edit.opacity() : 1;
  const { picture, paint } = sheet.versions;
  const key = painted ? `painted ${picture} ${paint} ${opacity}` : `picture ${picture}`;
  return uploadOnce(key, () => sheet.pictureFile(painted, opacity));
}

async function sentMask() {
  const layer = edit.mode === "inpaint_sketch" ? "paint" : "mask";
  if (isBlank(layer)) {
    const how = { inpaint: "Paint over the place that is to be drawn anew", inpaint_sketch: "Paint what is to be there", inpaint_upload: "Open a mask, or paint one" }[edit.mode];
    throw new Trouble(`${how}: the mask is empty.`);
  }
  return uploadOnce(`${layer} as mask ${sheet.versions.picture} ${sheet.versions[layer]}`, () => sheet.maskFile(layer));
}

async function oneTask() {
  if (!sheet.picture) throw new Trouble("There is no picture to start from: drop one on the canvas, paste it, or open a file.");
  const task = { init_images: [await sentPicture()], outpaint: sheet.outpaint, ...scaled(...sheet.fullSize) };
  const outpaintOnly = edit.mode === "inpaint" && isBlank("mask") && sheet.outpaint.some(Boolean);
  if (MASKED.has(edit.mode) && !outpaintOnly) task.mask = await sentMask();
  return task;
}

/* Width and height by a factor; nothing where the form's own count. */
function scaled(width, height) {
  if (edit.resize !== "by") return {};
  const side = (length) => Math.max(8, Math.round((length * edit.factor) / 8) * 8);
  return { width: side(width), height: side(height) };
}
edit.scaledSize = () => scaled(...sheet.fullSize);

edit.generate = () => {
  if (canvasElement()?.large) canvasElement().toggleLarge(false);
  return sendOff(async () => (edit.mode === "batch" ? batch.send() : submit(await oneTask())));
};

/* Words for the picture; they go into the prompt when they are there. */
edit.describe = () => sendOff(async () => (edit.describing = await submit({ init_images: [await sentPicture()] }, "img2img_interrogate")));

hear("ended", (live) => {
  if (live.id !== edit.describing || !live.result) return;
  const { prompt } = forms.values(IMG2IMG);
  forms.fill(IMG2IMG, { prompt: live.result });
  announce(`The picture shows: ${live.result}`);
  if (prompt) offerUndo("The picture's description is the prompt now.", () => forms.fill(IMG2IMG, { prompt }));
});

async function sendOff(call) {
  if (edit.busy) return;
  edit.busy = true;
  forms.clearProblems(IMG2IMG);
  Object.assign(jobs, { form: IMG2IMG, refusal: null, sendingSince: Date.now() });
  tell("jobs");
  try {
    await call();
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    refuse(trouble.message);
  } finally {
    edit.busy = false;
    jobs.sendingSince = 0;
    tell("jobs");
  }
}

function refuse(sentence) {
  const placed = forms.showProblems(IMG2IMG, { init_images: sentence });
  jobs.refusal = { form: IMG2IMG, sentence: placed ? "Nothing was queued: see the canvas." : sentence };
  announce(sentence);
}

/* Press the hidden button whose event carries the form and this task; answers the job's id, "" when it was refused. */
function submit(task, button = "img2img_send") {
  edit.pending = task;
  return new Promise((done) => {
    const answered = ({ detail }) => {
      if (detail.form !== IMG2IMG) return;
      board.removeEventListener("ticket", answered);
      done(detail.job ?? "");
    };
    board.addEventListener("ticket", answered);
    by(button).click();
  }).then((job) => {
    if (!job) edit.uploaded.clear(); /* perhaps the server has forgotten a picture: next time all are sent again */
    return job;
  });
}

/* Called by Gradio just before the event; the last value is the task. */
edit.sending = (values) => jobs.sending(IMG2IMG, [...values.slice(0, -1), JSON.stringify(edit.pending)]);

/* -- many pictures --------------------------------------------------------------------------------------------------------------- */

const MOST_SHOWN = 60;

const batch = (edit.batch = {
  files: [] /* {file, url, state} */,
  masked: false,
  add(files) {
    const pictures = files.filter((file) => file.type.startsWith("image/"));
    batch.files.push(...pictures.map((file) => ({ file, url: URL.createObjectURL(file), state: "" })));
    announce(`${pictures.length} pictures added.`);
    batch.changed();
  },
  /* Kept over a reload like the sheet. */
  changed() {
    tell("batch");
    inStore("readwrite", (store) => store.put(batch.files.map(({ file, state }) => ({ file, state })), "batch")).catch(() => {});
  },
  async restore() {
    const kept = await inStore("readonly", (store) => store.get("batch")).catch(() => null);
    if (!kept?.length || batch.files.length) return;
    batch.files = kept.map((one) => ({ ...one, url: URL.createObjectURL(one.file) }));
    tell("batch");
  },
  drop(one) {
    URL.revokeObjectURL(one.url);
    batch.files = batch.files.filter((other) => other !== one);
    batch.changed();
  },
  clear() {
    const before = batch.files;
    batch.files = [];
    batch.changed();
    offerUndo(`${before.length} pictures are taken from the list.`, () => ((batch.files = before), batch.changed()));
  },
  async send() {
    const waiting = batch.files.filter((one) => one.state !== "sent");
    if (!waiting.length) throw new Trouble(batch.files.length ? "All of these pictures were sent; add others, or start the list anew." : "The list is empty: add pictures or a folder.");
    for (const one of waiting) {
      const task = await batch.task(one);
      if (!(await submit(task))) return;
      one.state = "sent";
      batch.changed();
    }
  },
  async task(one) {
    const { width, height } = await sizeOf(one.file);
    const init = await upload(SENT_KINDS.has(one.file.type) ? one.file : await asPng(one.file)).catch((trouble) => {
      throw new Trouble(`${one.file.name}: ${trouble.message}`, trouble.unreachable);
    });
    const mask = batch.masked && sheet.mask ? await uploadOnce(`mask as mask ${sheet.versions.picture} ${sheet.versions.mask}`, () => sheet.maskFile("mask")) : "";
    return { init_images: [init], mask, ...scaled(width, height) };
  },
});

batch.restore();

async function sizeOf(file) {
  const bitmap = await decoded(file).catch(() => {
    throw new Trouble(`${file.name} is no picture that can be read; take it from the list.`);
  });
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
}

async function asPng(file) {
  return blobOf(await canvasOf(file));
}

class BatchList extends HTMLElement {
  connectedCallback() {
    const images = (files) => batch.add(files);
    this.files = chooser("image/*", images, { multiple: true, id: "img2img_batch_files" });
    this.folder = chooser("", images, { webkitdirectory: true, id: "img2img_batch_folder" });
    this.list = element("ul", { class: "ac-batch", "aria-label": "Pictures to change" });
    this.words = element("p", { class: "at-note", role: "status" });
    this.masked = element("input", { type: "checkbox", id: "img2img_batch_masked" });
    this.masked.onchange = () => (batch.masked = this.masked.checked);
    this.again = plainButton("Start anew", () => (batch.files.forEach((one) => (one.state = "")), batch.changed()), "Mark all as not sent");
    this.clear = plainButton("Clear the list", () => batch.clear());
    const tools = element("div", { class: "at-tools" }, plainButton("Add pictures…", () => this.files.click()), plainButton("Add a folder…", () => this.folder.click()), this.again, this.clear);
    const mask = element("label", { class: "ac-check" }, this.masked, "Change only what the mask of Inpaint covers, on every picture");
    this.replaceChildren(tools, this.words, this.list, mask, this.files, this.folder);
    this.paint = this.paint.bind(this);
    board.addEventListener("batch", this.paint);
    this.paint();
  }
  disconnectedCallback() {
    board.removeEventListener("batch", this.paint);
  }
  paint() {
    const sent = batch.files.filter((one) => one.state === "sent").length;
    const many = batch.files.length;
    const words = many ? `${many} ${many === 1 ? "picture" : "pictures"}, one job for each${sent ? `; ${sent} sent` : ""}.` : "Add pictures or a folder: each becomes a job of its own with the settings below. Results appear at the right and in the queue.";
    setText(this.words, words);
    this.again.hidden = !sent;
    this.clear.hidden = !many;
    this.list.hidden = !many;
    this.list.replaceChildren(...batch.files.slice(0, MOST_SHOWN).map(batchRow), many > MOST_SHOWN ? element("li", { class: "at-note", textContent: `and ${many - MOST_SHOWN} more` }) : "");
  }
}
customElements.define("at-batch", BatchList);

function batchRow(one) {
  const remove = element("button", { type: "button", class: "ac-remove", "aria-label": `Take ${one.file.name} from the list`, textContent: "×", onclick: () => batch.drop(one) });
  const picture = element("img", { src: one.url, alt: one.file.name, title: one.file.name, loading: "lazy" });
  return element("li", { "data-state": one.state }, picture, remove);
}

/* -- resize to, resize by -------------------------------------------------------------------------------------------------------- */

class ResizeChoice extends HTMLElement {
  connectedCallback() {
    const choice = (value, words, id) => {
      const button = element("button", { type: "button", role: "radio", id, textContent: words, onclick: () => this.choose(value) });
      button.dataset.value = value;
      return button;
    };
    this.choices = [choice("to", "Resize to", "img2img_tab_resize_to"), choice("by", "Resize by", "img2img_tab_resize_by")];
    this.slider = new CanvasSlider("Scale", () => [(edit.factor - 0.05) / 3.95, String(edit.factor)], (position) => this.set(Math.round((0.05 + 3.95 * position) / 0.05) * 0.05));
    this.slider.input.id = "img2img_scale";
    this.slider.input.step = 0.05 / 3.95;
    this.words = element("p", { class: "ac-words", id: "img2img_scale_resolution_preview", role: "status" });
    this.replaceChildren(element("div", { class: "ac-choice", role: "radiogroup", "aria-label": "Size of the result" }, ...this.choices), this.slider.place, this.words);
    this.paint = this.paint.bind(this);
    ["edit", "sheet", "form img2img"].forEach((name) => board.addEventListener(name, this.paint));
    this.paint();
  }
  disconnectedCallback() {
    ["edit", "sheet", "form img2img"].forEach((name) => board.removeEventListener(name, this.paint));
  }
  choose(value) {
    edit.resize = value;
    memory.set("edit.resize", value);
    showMode();
    tell("edit");
  }
  set(factor) {
    edit.factor = Math.max(0.05, Math.min(4, Number(factor.toFixed(2))));
    memory.set("edit.factor", edit.factor);
    tell("edit");
  }
  paint() {
    for (const one of this.choices) one.setAttribute("aria-checked", String(one.dataset.value === edit.resize));
    this.slider.place.hidden = edit.resize !== "by";
    this.slider.paint();
    setText(this.words, this.result());
  }
  result() {
    const [width, height] = sheet.fullSize;
    const form = forms.values(IMG2IMG);
    const size = edit.resize === "by" ? edit.scaledSize() : form;
    if (!sheet.picture || edit.mode === "batch") return edit.resize === "by" ? "Each picture keeps its shape." : "";
    return `${width}×${height} → ${size.width}×${size.height}`;
  }
}
customElements.define("at-resize", ResizeChoice);

class Transparency extends HTMLElement {
  connectedCallback() {
    this.slider = new CanvasSlider("Mask transparency", () => [edit.transparency / 100, `${edit.transparency} %`], (position) => this.set(Math.round(position * 100)));
    this.slider.input.id = "img2img_mask_alpha";
    this.replaceChildren(this.slider.place);
    this.slider.paint();
  }
  set(percent) {
    edit.transparency = percent;
    memory.set("edit.transparency", percent);
    this.slider.paint();
    tell("edit");
  }
}
customElements.define("at-transparency", Transparency);

edit.copyPrompts = () => {
  const { prompt, negative_prompt } = forms.values("txt2img");
  const before = forms.values(IMG2IMG);
  forms.fill(IMG2IMG, { prompt, negative_prompt });
  if (before.prompt || before.negative_prompt) offerUndo("The prompts of txt2img are here.", () => forms.fill(IMG2IMG, { prompt: before.prompt, negative_prompt: before.negative_prompt }));
};

/* A result of inpainting takes its mask along. */
edit.withMask = (picture) => (picture && MASKED.has(edit.mode) && sheet.mask ? { ...picture, mask: sheet.mask } : picture);

/* The result back on the canvas. The mask stays where it was; colour that was painted is in the picture already. */
edit.again = () => {
  const picture = viewing.selected();
  if (!picture) return;
  tried(async () => edit.open(await fetched(picture.url), { name: `seed ${picture.seed}`, infotext: picture.infotext, mask: sheet.mask }));
};
