/* The subject's pictures: brought along, judged, cropped, taken away. */

const MOST = 2000;
const CAPTION_FILE = /\.(txt|caption)$/i;
const stem = (name) => name.replace(/\.[^.]*$/, "").toLowerCase();

/* Files of any kind: pictures go to the server at once, captions to the pictures of the same name. Others are named. */
async function addFiles(files, into = "pictures") {
  const texts = files.filter((one) => CAPTION_FILE.test(one.name));
  const pictures = files.filter((one) => one.type.startsWith("image/"));
  train.refused = files.filter((one) => !texts.includes(one) && !pictures.includes(one) && !/^(\.|Thumbs\.db)/i.test(one.name)).map((one) => `${one.name} is no picture.`);
  train.coming += pictures.length;
  tell("train");
  const captions = Object.fromEntries(await Promise.all(texts.map(async (one) => [stem(one.name), { caption: (await one.text()).trim(), source: one.name.split(".").pop() }])));
  for (const file of pictures) {
    await addFile(file, captions, into);
    train.coming -= 1;
    tell("train");
  }
  for (const one of DRAFT.pictures) if (captions[stem(one.name)]?.caption && !one.caption) Object.assign(one, captions[stem(one.name)]);
  changed();
  announce(`${counted(DRAFT.pictures.length, "picture")}. ${train.refused.join(" ")}`);
}

async function addFile(file, captions, into) {
  const list = into === "own" ? DRAFT.own : DRAFT.pictures;
  try {
    if (list.length >= MOST) throw new Trouble(`at most ${MOST.toLocaleString()} pictures can be trained on.`);
    const { id } = await upload(SENT_KINDS.has(file.type) ? file : await asPng(file));
    if (list.some((one) => one.id === id)) throw new Trouble("it is there already.");
    list.push({ id, name: file.name ?? "", ...(into === "own" ? {} : captions[stem(file.name ?? "")]) });
  } catch (trouble) {
    train.refused.push(`${file.name || "A picture"}: ${trouble instanceof Trouble ? trouble.message : "it cannot be read; PNG, JPEG, WebP and BMP can."}`);
  }
}

/* A folder that is dropped comes as an entry, and its files in pieces of a hundred. */
async function filesIn(transfer) {
  const entries = [...transfer.items].map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((one) => one.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}

async function useExample() {
  await attempted(async () => {
    const { pictures, class_noun, identifier, captions } = await ask(`${API}/example`, { seconds: 60 });
    const before = JSON.stringify(DRAFT);
    const had = DRAFT.pictures.length;
    DRAFT.pictures = pictures.map(({ id, name }, at) => ({ id, name: name ?? "", caption: captions?.[at] || undefined }));
    change({ class_noun, identifier });
    const wanted = train.presets.find((one) => /^try it/i.test(one.name));
    if (wanted && !DRAFT.preset) choosePreset(wanted.name);
    if (had) offerUndo("The example's pictures are here.", () => (Object.assign(DRAFT, JSON.parse(before)), changed()));
    announce(`${counted(pictures.length, "example picture")} of a ${class_noun}.`);
  });
}

async function useFolder(path) {
  if (!path.trim()) throw new Trouble("Write the path of a folder on the machine that Atelier runs on.");
  const { pictures, remarks = [] } = await send(`${API}/folder`, { path: path.trim() }, { seconds: 600 });
  const known = new Set(DRAFT.pictures.map((one) => one.id));
  DRAFT.pictures.push(...pictures.filter((one) => !known.has(one.id)).map(({ id, name, caption, caption_source }) => ({ id, name, caption: caption || undefined, source: caption ? caption_source : undefined })));
  train.refused = remarks;
  change({ folder: path.trim() });
  announce(`${counted(pictures.length, "picture")} from the folder.`);
}

function removePicture(one) {
  const at = DRAFT.pictures.indexOf(one);
  if (at < 0) return;
  setPictures(DRAFT.pictures.filter((other) => other !== one));
  offerUndo(`${one.name || "The picture"} is taken away.`, () => setPictures(DRAFT.pictures.toSpliced(at, 0, one)));
}

/* -- the drop zone and the grid ------------------------------------------------------------------------------------------------ */

class Pictures {
  constructor() {
    this.files = picker("Pictures of your subject", (files) => addFiles(files), { multiple: true, accept: "image/*,.txt,.caption" });
    this.folder = picker("Folder of pictures", (files) => addFiles(files), { webkitdirectory: true });
    this.refused = new Part("div", { class: "at-trouble-place" });
    this.words = element("p", { class: "at-note tr-counts", role: "status" });
    this.grid = element("ul", { class: "tr-pictures", "aria-label": "Pictures of your subject" });
    this.tiles = new Map();
    this.empty = this.emptyZone();
    this.full = element("div", { class: "tr-full" }, this.words, this.grid, this.addTools());
    this.place = element("section", { class: "tr-zone", "aria-label": "Your pictures" }, heading("Your pictures"), this.files, this.folder, this.refused.place, this.empty, this.full);
    this.takeDrops();
    hear("train", () => this.paint());
    hear("train check", () => this.paint());
    this.paint();
  }
  emptyZone() {
    const words = element("p", {}, element("b", { textContent: "Drop 3 to 20 pictures of your subject here" }), element("br"), "or paste them. Different places, light and poses; nothing else that is the same in all of them.");
    return element("div", { class: "tr-empty" }, words, tools(primary("Choose pictures…", () => this.files.click()), button("A whole folder…", () => this.folder.click(), { help: "With its .txt or .caption files" }), button("Folder on the server…", () => this.askFolder()), train.form.example !== false && button("Try it with example pictures", () => useExample(), { help: "A subject of the starter's world that it has never seen" })));
  }
  addTools() {
    const clear = () => {
      const before = DRAFT.pictures;
      setPictures([]);
      offerUndo("The pictures are taken away.", () => setPictures(before));
    };
    return tools(button("Add pictures…", () => this.files.click()), button("Add a folder…", () => this.folder.click()), button("Folder on the server…", () => this.askFolder()), button("Take all away", clear));
  }
  askFolder() {
    const path = element("input", { type: "text", value: value("folder"), placeholder: "/home/me/pictures/10_sks cat", "aria-label": "Path of the folder" });
    const said = element("div", { class: "at-trouble-place" });
    const take = async () => {
      said.replaceChildren(note("Reading…"));
      try {
        await useFolder(path.value);
        made.close();
      } catch (trouble) {
        if (!(trouble instanceof Trouble)) throw trouble;
        said.replaceChildren(problemCard(trouble.message));
      }
    };
    const form = element("form", { class: "tr-form", onsubmit: (event) => (event.preventDefault(), take()) }, note(`On the machine that Atelier runs on${train.form.folder?.any === false ? `, inside ${train.form.folder.open}` : ""}. Captions beside the pictures (.txt, .caption) come along; folders named like 10_sks cat are understood.`), path, said, tools(element("button", { type: "submit", class: "tr-primary", textContent: "Take these pictures" })));
    const made = sheet("Folder on the server", form);
    path.focus();
  }
  takeDrops() {
    const place = this.place;
    const here = () => seen(place);
    addEventListener("dragover", (event) => here() && takesFiles(event) && (event.preventDefault(), place.classList.add("tr-dropping")));
    addEventListener("dragleave", (event) => event.relatedTarget || place.classList.remove("tr-dropping"));
    addEventListener("drop", (event) => {
      place.classList.remove("tr-dropping");
      if (!here() || !takesFiles(event)) return;
      event.preventDefault();
      const url = event.dataTransfer.getData("text/uri-list");
      if (event.dataTransfer.files.length) filesIn(event.dataTransfer).then((files) => addFiles(files));
      else if (url.startsWith(new URL(".", document.baseURI).href)) attempted(async () => addFiles([new File([await fetched(url)], "picture.png", { type: "image/png" })]));
    });
    addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!here() || !files.length || (writing(event.target) && event.clipboardData.getData("text/plain"))) return;
      event.preventDefault();
      addFiles(files);
    });
  }
  paint() {
    const { pictures } = DRAFT;
    this.empty.hidden = pictures.length > 0;
    this.full.hidden = !pictures.length;
    this.refused.show(train.refused, train.refused.length ? refusedCard(train.refused) : null);
    setText(this.words, this.sentence());
    const ids = new Set(pictures.map((one) => one.id));
    for (const [id, tile] of this.tiles) if (!ids.has(id)) tile.place.remove(), this.tiles.delete(id);
    pictures.forEach((one, at) => {
      const tile = this.tiles.get(one.id) ?? new Tile(one.id);
      this.tiles.set(one.id, tile);
      tile.paint(one);
      if (this.grid.children[at] !== tile.place) this.grid.insertBefore(tile.place, this.grid.children[at] ?? null);
    });
  }
  sentence() {
    const told = DRAFT.pictures.map(verdictOf);
    const of = (level) => told.filter((one) => one?.level === level).length;
    const parts = [counted(DRAFT.pictures.length, "picture"), train.coming && `${train.coming} on the way…`, of("red") && `${of("red")} of no use`, of("amber") && `${of("amber")} to look at`, of("green") && `${of("green")} good`];
    return parts.filter(Boolean).join(" · ");
  }
}

function refusedCard(sentences) {
  const [shown, more] = [sentences.slice(0, 4), sentences.length - 4];
  const card = problemCard(shown.join(" ") + (more > 0 ? ` And ${more} more.` : ""));
  card.append(button("Dismiss", () => ((train.refused = []), tell("train"))));
  return card;
}

/* As large as its square allows, in the picture's shape: the crop is drawn over exactly the picture. */
function fitFrame(frame, { naturalWidth, naturalHeight }) {
  frame.style.aspectRatio = `${naturalWidth} / ${naturalHeight}`;
  frame.style[naturalWidth >= naturalHeight ? "width" : "height"] = "100%";
}

class Tile {
  constructor(id) {
    this.id = id;
    const image = element("img", { src: address(`api/v1/inputs/${id}`), alt: "", loading: "lazy" });
    image.onerror = () => this.lost();
    image.onload = () => fitFrame(this.frame, image);
    this.crop = new Part("span", { class: "tr-crop-place" });
    this.frame = element("span", { class: "tr-frame" }, image, this.crop.place);
    this.open = element("button", { type: "button", class: "tr-open", onclick: () => openPicture(this.one) }, element("span", { class: "tr-picture" }, this.frame));
    this.said = new Part("span", { class: "tr-said" });
    this.remove = element("button", { type: "button", class: "tr-remove", textContent: "×", onclick: () => removePicture(this.one) });
    this.place = element("li", {}, this.open, this.remove, this.said.place);
  }
  paint(one) {
    this.one = one;
    const told = verdictOf(one);
    const name = one.name || "Picture";
    this.open.setAttribute("aria-label", `${name}: ${told?.remarks?.join(" ") || (told?.level ? LEVELS[told.level]?.[1] : "being looked at")}`);
    this.remove.setAttribute("aria-label", `Take ${name} away`);
    this.open.title = [name, told && `${told.width} × ${told.height}`, ...(told?.remarks ?? [])].filter(Boolean).join("\n");
    const crop = cropOf(one);
    this.crop.show([crop, told?.level], wholePicture(crop) ? null : cropBox(crop));
    this.place.dataset.level = told?.level ?? "";
    this.said.show([told?.level, told?.remarks, this.gone], this.gone ? verdict("red", "is no longer here") : told ? verdict(told.level, told.remarks?.[0]) : element("span", { class: "at-note", textContent: "…" }));
  }
  lost() {
    this.gone = true; /* the server keeps pictures for a week */
    this.paint(this.one);
  }
}

/* -- one picture large: what is said of it, its crop, its caption --------------------------------------------------------------------- */

function openPicture(one) {
  const told = verdictOf(one);
  const image = element("img", { src: address(`api/v1/inputs/${one.id}`), alt: one.name || "Picture" });
  const cropPlace = element("span", { class: "tr-crop-place" });
  const frame = element("span", { class: "tr-frame" }, image, cropPlace);
  image.onload = () => fitFrame(frame, image);
  const facts = [one.name, told && `${told.width} × ${told.height} pixels`].filter(Boolean).join(" · ");
  const remarks = (told?.remarks ?? []).map((words) => element("li", { textContent: words }));
  const caption = element("textarea", { rows: 3, value: one.caption ?? "", placeholder: prompt("instance_prompt"), "aria-label": "Caption", oninput: () => ((one.caption = caption.value), (one.source = "written here"), changed()) });
  const paint = () => cropPlace.replaceChildren(...(cropOf(one) ? [cropBox(cropOf(one))] : []));
  const move = cropMover(one, paint);
  const made = sheet(one.name || "Picture", element("div", { class: "tr-large" }, element("span", { class: "tr-picture" }, frame)), note(facts), remarks.length ? element("ul", { class: "tr-remarks" }, ...remarks) : null, move, element("label", { class: "tr-field" }, element("span", { textContent: "Caption" }), caption), tools(button("Take it away", () => (made.close(), removePicture(one)))));
  paint();
}

/* The square can be moved along the longer side; "by itself" gives it back to the server's choice. */
function cropMover(one, paint) {
  const told = verdictOf(one);
  if (!told || !told.crop || Math.abs(told.width - told.height) <= 2 || value("buckets")) return null;
  const wide = told.width > told.height;
  const part = wide ? told.height / told.width : told.width / told.height;
  const from = () => (wide ? cropOf(one)[0] : cropOf(one)[1]);
  const set = (start) => {
    one.crop = wide ? [start, 0, start + part, 1] : [0, start, 1, start + part];
    paint();
    changed();
  };
  const slider = element("input", { type: "range", min: 0, max: Math.max(0.001, 1 - part), step: 0.01, value: from(), "aria-label": wide ? "Crop: left to right" : "Crop: top to bottom", oninput: () => set(Number(slider.value)) });
  const back = button("By itself", () => (delete one.crop, (slider.value = from()), paint(), changed()), { help: "Where the server would crop" });
  return element("div", { class: "tr-mover" }, element("span", { textContent: "Crop" }), slider, back);
}
