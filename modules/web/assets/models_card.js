/* One card large: what the file is, what people wrote about it, its picture; saved beside the file. */

async function openCard(card) {
  const whole = await attempted(() => ask(`api/v1/models/${card.id}`));
  if (whole) new CardSheet(whole).open();
}

class CardSheet {
  constructor(card) {
    this.card = card;
    this.picture = element("div", { class: "am-large" });
    this.problem = element("div", { class: "at-trouble-place" });
    this.fields = {
      activation_text: this.area("Trigger words", "Written into the prompt together with the network", 2),
      preferred_weight: this.line("Preferred weight", "0: as in the settings", "number", { step: 0.05, min: -10, max: 10 }),
      negative_text: this.area("Words for the negative prompt", "", 1),
      base: this.line("Made for", "Which base model; filled in by the file's header when empty", "text", { maxlength: 80 }),
      description: this.area("Description", "", 2),
      notes: this.area("Notes", "", 3),
    };
  }
  get isNetwork() {
    return ["lora", "hypernetwork", "embedding"].includes(this.card.kind);
  }
  area(label, help, rows) {
    return this.labelled(label, help, element("textarea", { rows }));
  }
  line(label, help, type, more) {
    return this.labelled(label, help, element("input", { type, ...more }));
  }
  labelled(label, help, input) {
    const place = element("label", { class: "am-field", title: help }, element("span", { textContent: label }), input);
    return { place, input };
  }
  open() {
    const { card } = this;
    const close = element("button", { type: "button", class: "at-quiet-button", textContent: "Close", onclick: () => this.dialog.close() });
    const save = element("button", { type: "submit", class: "am-primary", textContent: "Save" });
    const form = element("form", { class: "am-form", onsubmit: (event) => (event.preventDefault(), this.save()) }, ...this.shownFields(), this.problem, element("div", { class: "at-tools" }, save, close));
    const side = element("div", { class: "am-side" }, this.picture, this.pictureTools(), this.facts(), this.fileTools());
    this.dialog = element("dialog", { class: "at-dialog am-sheet", "aria-labelledby": "am_sheet_title" }, element("h2", { id: "am_sheet_title", textContent: card.name }), card.problem && problemCard(card.problem), element("div", { class: "am-columns" }, side, form));
    this.dialog.onclose = () => this.dialog.remove();
    this.fill();
    document.body.append(this.dialog);
    this.dialog.showModal();
    save.focus({ preventScroll: true });
  }
  shownFields() {
    const networkOnly = ["activation_text", "preferred_weight", "negative_text"];
    const shown = Object.entries(this.fields).filter(([name]) => this.isNetwork || !networkOnly.includes(name));
    const places = shown.map(([, field]) => field.place);
    if (this.isNetwork && this.card.tags.length) places.splice(1, 0, this.tags());
    return places;
  }
  /* The words that stood most often beside the training pictures: a click adds one to the trigger words. */
  tags() {
    const { input } = this.fields.activation_text;
    const add = (tag) => (input.value = [...input.value.split(",").map((one) => one.trim()).filter((one) => one && one !== tag), tag].join(", "));
    const buttons = this.card.tags.slice(0, 16).map((tag) => element("button", { type: "button", class: "am-tag", textContent: tag, onclick: () => add(tag) }));
    return element("div", { class: "am-tags", role: "group", "aria-label": "Words it was trained with" }, ...buttons);
  }
  fill() {
    const { card, fields } = this;
    const values = { activation_text: card.activation_text, preferred_weight: card.weight, negative_text: card.negative_text, base: card.own_base, description: card.description, notes: card.notes };
    for (const [name, { input }] of Object.entries(fields)) input.value = values[name];
    fields.base.input.placeholder = card.own_base ? "" : card.base;
    this.paintPicture();
  }
  paintPicture() {
    const { card } = this;
    this.picture.replaceChildren(card.preview ? element("img", { src: address(card.preview), alt: `Preview of ${card.name}` }) : element("span", { class: "am-blank", textContent: "no preview yet" }));
  }
  pictureTools() {
    const file = element("input", { type: "file", accept: "image/png,image/jpeg,image/webp", class: "at-offscreen", tabindex: -1, "aria-label": "Picture file", onchange: () => file.files[0] && this.bring(file.files[0]) });
    const choose = element("button", { type: "button", class: "at-quiet-button", textContent: "Choose picture…", onclick: () => file.click() });
    const last = viewing.selected();
    const take = element("button", { type: "button", class: "at-quiet-button", textContent: "Use the last picture", disabled: !last, title: last ? "The picture that the txt2img tab shows" : "There is no picture yet", onclick: () => this.setPicture({ picture: last.id }) });
    return element("div", { class: "at-tools" }, take, choose, file);
  }
  async bring(file) {
    const answer = await fetch(address("api/v1/inputs"), { method: "POST", body: file, headers: { "Content-Type": file.type || "image/png" } }).catch(() => null);
    const read = await answer?.json().catch(() => ({}));
    if (!answer?.ok) return this.say(read?.detail ?? "The server does not answer.");
    await this.setPicture({ input: read.id });
  }
  async setPicture(body) {
    await this.tried(async () => {
      this.changed(await ask(`api/v1/models/${this.card.id}/preview`, { method: "POST", body, seconds: 30 }));
      this.paintPicture();
    });
  }
  facts() {
    const { card } = this;
    const rows = [["Kind", KIND_WORDS[card.kind][1]], ["Title", card.title], ["In prompts", this.isNetwork ? card.use : ""], ["Base", card.base], ["Folder", card.folder], ["Size", sizeWords(card.size)], ["Changed", new Date(card.modified * 1000).toLocaleString()], ["Hash", card.hash || "being computed"]];
    const known = rows.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]);
    const said = Object.entries(card.metadata);
    const more = said.length && element("details", { class: "am-metadata" }, element("summary", { textContent: `What the file says (${said.length})` }), element("dl", { class: "at-facts" }, ...said.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })])));
    return element("div", { class: "am-about" }, element("dl", { class: "at-facts am-known" }, ...known), more);
  }
  fileTools() {
    const { card } = this;
    const remove = element("button", { type: "button", class: "at-quiet-button am-danger", textContent: "Delete", title: "Can be undone for ten seconds", onclick: () => this.remove() });
    const convert = card.convertible && element("button", { type: "button", class: "at-quiet-button", textContent: "Convert to safetensors", title: "Reads it in a process of its own that cannot run what is in it", onclick: (event) => this.convert(event.target) });
    return element("div", { class: "at-tools am-about" }, convert, remove);
  }
  async convert(button) {
    button.disabled = true;
    setText(button, "Converting…");
    await this.tried(async () => {
      const made = await ask(`api/v1/models/${this.card.id}/convert`, { method: "POST", seconds: 1800 });
      this.dialog.close();
      sayInToast(`${made.name} is there now.`);
      shelf.load();
    });
    button.disabled = false;
    setText(button, "Convert to safetensors");
  }
  async remove() {
    const { card } = this;
    await this.tried(async () => {
      const { token } = await ask(`api/v1/models/${card.id}`, { method: "DELETE", seconds: 60 });
      this.dialog.close();
      shelf.load();
      by("refresh_sd_model_checkpoint")?.click();
      offerUndo(`${card.name} is deleted.`, () => attempted(async () => (await ask(`api/v1/models/trash/${token}/restore`, { method: "POST" }), shelf.load())));
    });
  }
  async save() {
    const body = Object.fromEntries(Object.entries(this.fields).map(([name, { input }]) => [name, name === "preferred_weight" ? Number(input.value) || 0 : input.value]));
    await this.tried(async () => {
      this.changed(await ask(`api/v1/models/${this.card.id}/notes`, { method: "PUT", body }));
      this.dialog.close();
      sayInToast(`${this.card.name} is saved.`);
    });
  }
  changed(card) {
    Object.assign(this.card, card);
    shelf.load();
  }
  async tried(work) {
    this.problem.replaceChildren();
    try {
      await work();
    } catch (trouble) {
      this.say(trouble.message);
    }
  }
  say(sentence) {
    this.problem.replaceChildren(problemCard(sentence));
  }
}
