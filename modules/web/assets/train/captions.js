/* Captions: one line of text for each picture, edited one by one or all at once. */

const captionOf = (one) => one.caption ?? "";

function everyCaption(change, words) {
  const before = DRAFT.pictures.map((one) => [one, one.caption, one.source]);
  let touched = 0;
  for (const one of DRAFT.pictures) {
    const after = change(captionOf(one), one);
    if (after === captionOf(one)) continue;
    Object.assign(one, { caption: after, source: "written here" });
    touched += 1;
  }
  changed();
  if (!touched) return sayInToast("No caption was changed.");
  offerUndo(`${counted(touched, "caption")} ${words}.`, () => (before.forEach(([one, caption, source]) => Object.assign(one, { caption, source })), changed()));
}

class Captions {
  constructor() {
    this.counts = note("");
    this.rows = new Map();
    this.body = element("tbody");
    this.find = element("input", { type: "text", placeholder: "Find", "aria-label": "Find" });
    this.replacement = element("input", { type: "text", placeholder: "Replace by", "aria-label": "Replace by" });
    this.text = element("input", { type: "text", placeholder: "a photo of [identifier] [class noun], ", "aria-label": "Prefix or template", title: "[identifier] and [class noun] stand for what is written on this page" });
    const replace = () => this.find.value && everyCaption((caption) => caption.replaceAll(this.find.value, this.replacement.value), "changed");
    const prefix = () => this.text.value && everyCaption((caption) => (caption.startsWith(filled(this.text.value)) ? caption : filled(this.text.value) + caption), "changed");
    const template = () => this.text.value && everyCaption(() => filled(this.text.value).replace(/[,\s]+$/, ""), "written");
    const clear = () => everyCaption(() => "", "emptied");
    this.describing = button("Describe each", () => this.describe(), { help: "The instance prompt, then what the picture shows, for pictures without a caption" });
    const bulk = element("div", { class: "tr-bulk" }, element("div", { class: "tr-line" }, this.find, this.replacement, button("Replace in all", replace)), element("div", { class: "tr-line" }, this.text, button("Put before all", prefix), button("Write to all", template), button("Empty all", clear), this.describing));
    const table = element("table", { class: "tr-captions" }, element("caption", { class: "at-offscreen", textContent: "Captions" }), element("thead", { class: "at-offscreen" }, element("tr", {}, ...["Picture", "Caption", "From"].map((words) => element("th", { scope: "col", textContent: words })))), this.body);
    this.place = section("captions", "Captions", this.counts, bulk, table);
    hear("train", () => this.paint());
    hear("train check", () => this.paint());
    this.paint();
  }
  paint() {
    this.place.hidden = !DRAFT.pictures.length;
    const own = DRAFT.pictures.filter((one) => captionOf(one).trim()).length;
    this.place.say(own ? `${own} of ${DRAFT.pictures.length}` : "all as the instance prompt");
    setText(this.counts, this.sentence(own));
    const ids = new Set(DRAFT.pictures.map((one) => one.id));
    for (const [id, row] of this.rows) if (!ids.has(id)) row.place.remove(), this.rows.delete(id);
    DRAFT.pictures.forEach((one, at) => {
      const row = this.rows.get(one.id) ?? new CaptionRow(one);
      this.rows.set(one.id, row);
      row.paint(one);
      if (this.body.children[at] !== row.place) this.body.insertBefore(row.place, this.body.children[at] ?? null);
    });
  }
  async describe() {
    this.describing.disabled = true;
    await attempted(async () => {
      for (const one of DRAFT.pictures.filter((each) => !captionOf(each).trim())) {
        setText(this.describing, `Describing ${one.name || "a picture"}…`);
        const text = await atelier.describe({ input: one.id });
        Object.assign(one, { caption: [prompt("instance_prompt"), text].filter(Boolean).join(", "), source: "described" });
        changed();
      }
    });
    this.describing.disabled = false;
    setText(this.describing, "Describe each");
  }
  sentence(own) {
    const from = (source) => DRAFT.pictures.filter((one) => one.source === source && captionOf(one)).length;
    const sources = [["txt", ".txt"], ["caption", ".caption"], ["filename", "file names"]].filter(([name]) => from(name)).map(([name, words]) => `${from(name)} from ${words}`);
    const without = DRAFT.pictures.length - own;
    return [sources.join(", "), without && `${own ? `${without} without: they use` : "All use"} the instance prompt “${prompt("instance_prompt")}”.`].filter(Boolean).join(". ");
  }
}

class CaptionRow {
  constructor(one) {
    this.input = element("textarea", { rows: 1, oninput: () => (Object.assign(this.one, { caption: this.input.value, source: "written here" }), changed()) });
    this.from = element("td", { class: "at-note" });
    this.place = element("tr", {}, element("td", {}, element("img", { src: address(`api/v1/inputs/${one.id}`), alt: "", loading: "lazy" })), element("td", {}, this.input), this.from);
  }
  paint(one) {
    this.one = one;
    this.input.setAttribute("aria-label", `Caption of ${one.name || "the picture"}`);
    this.input.placeholder = prompt("instance_prompt");
    if (document.activeElement !== this.input && this.input.value !== captionOf(one)) this.input.value = captionOf(one);
    const sources = { txt: "from .txt", caption: "from .caption", filename: "file name", none: "" };
    setText(this.from, captionOf(one) ? (sources[one.source] ?? one.source ?? "") : "");
    this.from.title = one.name ?? "";
  }
}
