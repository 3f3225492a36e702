/* The form: about six basic fields, and every other one folded in a section, derived from the server's list. */

const SHOWN_ABOVE = new Set(["method", "model", "name", "class_noun", "identifier", "instance_prompt", "max_train_steps", "learning_rate", "num_vectors", "with_prior_preservation", "folder"]);
const IN_PRIOR = new Set(["prior_loss_weight", "class_prompt", "num_class_images", "class_source", "class_sampler", "class_steps", "class_cfg_scale", "class_seed"]);

/* One control for a field of the list: its label, its help, what is wrong with it. */
class Control {
  constructor(name, { label, wide = false } = {}) {
    this.name = name;
    this.field = fieldOf(name) ?? { name, label: label ?? name, type: "text", default: "" };
    const checkbox = typeof this.field.default === "boolean";
    this.input = checkbox ? element("input", { type: "checkbox" }) : this.choices() ? element("select", {}, ...options(this.choices())) : this.box();
    this.input.id = `train_${name}`;
    this.input.addEventListener(checkbox || this.choices() ? "change" : "input", () => this.taken());
    this.words = element("span", { textContent: label ?? this.field.label });
    this.problem = new Part("span", { class: "tr-problem" });
    const parts = checkbox ? [this.input, this.words] : [this.words, this.input];
    this.place = element("div", { class: wide ? "tr-wide" : "" }, element("label", { class: checkbox ? "tr-tick" : "tr-field", title: [this.field.help, `(${name})`].filter(Boolean).join(" ") }, ...parts), this.problem.place);
    hear("train", () => this.paint());
    hear("train check", () => this.paint());
    this.paint();
  }
  choices() {
    const { field } = this;
    const lists = { models: train.form?.models, samplers: train.form?.samplers, training_methods: train.methods.map((one) => one.name) };
    const named = lists[field.choices]?.map((one) => (typeof one === "string" ? [one, one] : [one.name ?? one.title, one.label ?? one.title ?? one.name]));
    if (named) return field.name === "model" ? [["", "The model chosen above"], ...named] : named;
    return field.options?.length ? field.options.map((one) => (Array.isArray(one) ? one : [one, sentenceCase(one || "no")])) : null;
  }
  box() {
    const { field } = this;
    if (typeof field.default === "number") return element("input", { type: "number", min: field.minimum ?? undefined, step: "any", inputmode: "decimal" });
    const long = /prompt/.test(field.name);
    return long ? element("textarea", { rows: 1 }) : element("input", { type: "text" });
  }
  taken() {
    const { input, field } = this;
    if (input.type === "checkbox") return change({ [this.name]: input.checked });
    if (input.type !== "number") return change({ [this.name]: input.value });
    change({ [this.name]: input.value === "" ? undefined : Number(input.value) });
    if (input.value !== "" && !Number.isFinite(Number(input.value))) delete DRAFT.values[field.name];
  }
  paint() {
    this.place.hidden = !applies(this.name);
    const now = value(this.name);
    const { input } = this;
    if (input.type === "checkbox") input.checked = Boolean(now);
    else if (document.activeElement !== input || input.tagName === "SELECT") {
      const text = automatic(this.field) && now === this.field.default ? "" : /_prompt$/.test(this.name) ? filled(String(now)) : String(now);
      if (input.tagName === "SELECT" && text && ![...input.options].some((one) => one.value === text)) input.append(element("option", { value: text, textContent: `${text} (not here)` }));
      if (input.value !== text) input.value = text;
    }
    if (input.type !== "checkbox" && input.tagName !== "SELECT") input.placeholder = this.placeholder();
    const problems = DRAFT.pictures.length ? problemsOf(this.name).filter((one) => one.level === "red" || (one.level === "amber" && this.name !== "identifier")) : []; /* the token's remarks stand below it; nobody is scolded before having begun */
    const red = problems.some((one) => one.level === "red");
    this.problem.show(problems, ...problems.map((one) => element("span", { class: one.level === "red" ? "at-problem" : "at-note", textContent: one.message })));
    if (red) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  /* What is taken when it is left empty. */
  placeholder() {
    if (composed[this.name]) return composed[this.name]();
    const known = train.check?.plan?.[this.name];
    if (this.name === "seed") return "drawn at the start";
    if (!automatic(this.field)) return this.name === "initializer_token" ? noun() : "";
    return known != null && known !== 0 && typeof known !== "object" ? `by itself: ${number(known)}` : "by itself";
  }
}

const control = (name, known) => new Control(name, known).place;

/* -- the token --------------------------------------------------------------------------------------------------------------------- */

let tokenNumber = 0;
let rare = [];

async function rollToken() {
  await attempted(async () => {
    if (!rare.length) rare = [...(await ask(`${API}/tokens/rare?count=20&seed=${Math.floor(Math.random() * 1e9)}`)).tokens];
    const next = rare.pop();
    renameSubject(next);
    change({ identifier: next });
    announce(`The identifier is ${value("identifier")} now.`);
  });
}

class Token {
  constructor() {
    this.pieces = new Part("p", { class: "tr-pieces", role: "status" });
    this.seen = new Part("div", { class: "tr-seen" });
    this.dice = button("", rollToken, { help: "Another rare token, of one piece and without a meaning", "aria-label": "Another rare token", look: "at-quiet-button at-square tr-dice" });
    this.draw = button("What does this token draw now?", () => this.look(), { help: "A picture by the base model, before it learns: it should not show anything in particular" });
    this.identifier = new Control("identifier");
    this.line = element("div", { class: "tr-line tr-identifier" }, this.identifier.place, this.dice);
    this.place = element("div", { class: "tr-token" }, this.line, this.pieces.place, tools(this.draw), this.seen.place);
    hear("train", () => this.paint());
    this.paint();
  }
  paint() {
    this.place.hidden = inversion();
    if (!inversion()) this.split();
  }
  split() {
    const text = String(value("identifier"));
    if (this.text === text) return;
    this.text = text;
    this.seen.show("");
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.ask(text), 200);
  }
  async ask(text) {
    const number = (tokenNumber += 1);
    if (!text.trim()) return this.pieces.show("");
    const told = await ask(`${API}/tokens?text=${encodeURIComponent(text)}`).catch(() => null);
    if (number !== tokenNumber || !told) return;
    const { pieces, remarks = [], level = "amber" } = told;
    const words = pieces.length === 1 ? "one token" : `${pieces.length} tokens`;
    this.pieces.show([pieces, remarks], ...pieces.map((one) => element("code", { class: "tr-piece", textContent: one })), element("span", { class: "at-note", textContent: ` ${words}` }), ...remarks.map((one) => element("span", { class: "tr-remark", "data-level": level, textContent: one })));
  }
  async look() {
    this.draw.disabled = true;
    this.seen.show("drawing", note("Drawing…"));
    try {
      const text = prompt("instance_prompt");
      const picture = await drawn(text, value("model"), (words) => this.seen.show(words, note(words)));
      this.seen.show(picture.url, element("figure", {}, element("img", { src: link(picture.url), alt: `${text}, drawn by the base model`, width: picture.width, height: picture.height }), element("figcaption", { textContent: `“${text}” as the base model draws it now` })));
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.seen.show(trouble.message, problemCard(trouble.message));
    }
    this.draw.disabled = false;
  }
}

/* A picture by the base model, as a job of its own that nobody keeps. */
async function drawn(text, model, say) {
  const { job } = await send(`${API}/draw`, { prompt: text, model });
  for (;;) {
    const live = await ask(`api/v1/jobs/${job}`);
    if (live.state === "failed") throw new Trouble(live.sentence || "The picture could not be drawn.");
    if (live.pictures.length) return live.pictures[0];
    if (ENDED.has(live.state)) throw new Trouble("The picture was interrupted.");
    say(live.state === "waiting" ? "Waiting…" : `Drawing… ${live.fraction ? `${Math.round(live.fraction * 100)} %` : ""}`);
    await new Promise((done) => setTimeout(done, 500));
  }
}

/* -- method and preset ----------------------------------------------------------------------------------------------------------------- */

const METHOD_WORDS = { dreambooth: "DreamBooth", lora: "LoRA", textual_inversion: "Textual inversion", custom_diffusion: "Custom Diffusion" };
const methodWords = (name) => METHOD_WORDS[name] ?? train.methods.find((one) => one.name === name)?.label ?? name;

class Methods {
  constructor() {
    this.place = element("div", { class: "tr-methods", role: "radiogroup", "aria-label": "Method" });
    this.place.addEventListener("keydown", (event) => this.walk(event));
    hear("train", () => this.paint());
    hear("train form", () => this.build());
    this.build();
  }
  build() {
    this.buttons = train.methods.map((one) => element("button", { type: "button", role: "radio", class: "tr-method", "data-method": one.name, onclick: () => this.take(one.name) }, element("b", { textContent: methodWords(one.name) }), element("span", { textContent: one.note || one.label })));
    this.place.replaceChildren(...this.buttons);
    this.paint();
  }
  /* Formats and rates belong to a method, and the paper's has the class preserved. A preset of another method is left. */
  take(name) {
    if (name === value("method")) return;
    const preset = train.presets.find((one) => one.name === DRAFT.preset);
    if (preset && (preset.values.method ?? usual("method")) !== name) DRAFT.preset = "";
    change({ method: name, formats: undefined, learning_rate: undefined, text_encoder_lr: undefined, with_prior_preservation: name === "dreambooth" || undefined });
  }
  paint() {
    for (const one of this.buttons) {
      const on = one.dataset.method === value("method");
      one.setAttribute("aria-checked", String(on));
      one.tabIndex = on ? 0 : -1;
    }
  }
  walk(event) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const at = this.buttons.indexOf(event.target.closest("button"));
    if (!step || at < 0) return;
    event.preventDefault();
    const next = this.buttons[(at + step + this.buttons.length) % this.buttons.length];
    this.take(next.dataset.method);
    next.focus();
  }
}

class Preset {
  constructor() {
    const pairs = [["", "None: my own settings"], ...train.presets.map((one) => [one.name, one.name])];
    this.choice = choice(pairs, DRAFT.preset, choosePreset, "Preset");
    this.choice.id = "train_preset";
    this.words = note("");
    this.place = element("div", { class: "tr-wide" }, element("label", { class: "tr-field", title: "Values that people use together; everything can be changed afterwards" }, element("span", { textContent: "Preset" }), this.choice), this.words);
    hear("train", () => this.paint());
    this.paint();
  }
  paint() {
    this.choice.value = DRAFT.preset;
    const preset = train.presets.find((one) => one.name === DRAFT.preset);
    const since = preset ? changedSince().length : 0;
    setText(this.words, [preset?.note, since && `${since} changed since.`].filter(Boolean).join(" "));
    this.words.hidden = !this.words.textContent;
  }
}

/* -- the folded sections ------------------------------------------------------------------------------------------------------------------ */

function sections() {
  const bySection = Map.groupBy ? Map.groupBy(rest(), (one) => one.section || "More") : grouped(rest());
  const made = [...bySection].map(([name, fields]) => fieldSection(name, fields));
  const advanced = element("div", { class: "tr-sections" }, ...made);
  return advanced;
}
const rest = () => train.form.fields.filter((one) => !SHOWN_ABOVE.has(one.name) && !IN_PRIOR.has(one.name) && !Array.isArray(one.default));
const grouped = (fields) => fields.reduce((map, one) => map.set(one.section || "More", [...(map.get(one.section || "More") ?? []), one]), new Map());

function fieldSection(name, fields) {
  const extra = { Previews: () => previewField(), Saving: () => formatsField() }[sectionWords(name)]?.();
  const made = section(name, sectionWords(name), extra, element("div", { class: "tr-grid" }, ...fields.map((one) => control(one.name))));
  const scale = fields.some((one) => one.name === "alpha") && note("");
  if (scale) made.lastElementChild.append(scale);
  const paint = () => {
    const changed = fields.filter((one) => applies(one.name) && one.name in DRAFT.values && String(DRAFT.values[one.name]) !== String(one.default));
    made.say(changed.length > 1 ? `${changed.length} changed` : (changed[0]?.label ?? ""));
    made.hidden = !fields.some((one) => applies(one.name)) && !extra;
    if (scale) setText(scale, METHOD("lora")() ? `Scale alpha / rank = ${number(value("alpha") / value("rank"))}` : "");
  };
  hear("train", paint);
  paint();
  return made;
}
const SECTIONS = { Network: "LoRA and embedding", Optimizer: "Learning", Memory: "Speed and memory", Result: "Afterwards" };
const sectionWords = (name) => SECTIONS[name] ?? name;

function previewField() {
  const area = element("textarea", { rows: 3, "aria-label": "Preview prompts, one a line", oninput: () => change({ preview_prompts: area.value.split("\n").map((one) => one.trim()).filter(Boolean) }) });
  const paint = () => document.activeElement !== area && (area.value = previewPrompts().join("\n"));
  hear("train", paint);
  paint();
  const back = button("Suggest", () => (change({ preview_prompts: undefined }), paint()), { help: "Your subject, your subject somewhere new, and the class without it, to see that it stays itself" });
  return element("div", { class: "tr-wide" }, element("label", { class: "tr-field", title: "Drawn on the way, always with the same seed (preview_prompts)" }, element("span", { textContent: "Preview prompts, one a line" }), area), tools(back));
}

const FORMAT_WORDS = { kohya: "LoRA for A1111, ComfyUI and others (kohya)", peft: "LoRA for diffusers (peft)", checkpoint: "Checkpoint, one file", diffusers: "Folder for diffusers", pt: "Embedding .pt (A1111)", embedding: "Embedding .safetensors" };

function formatsField() {
  const place = new Part("div", { class: "tr-ticks tr-wide", role: "group", "aria-label": "Files to write" });
  const paint = () => {
    const known = train.methods.find((one) => one.name === value("method"))?.formats ?? [];
    const now = DRAFT.values.formats ?? known.slice(0, 1);
    const take = (format, on) => change({ formats: known.filter((one) => (one === format ? on : now.includes(one))) });
    place.show([known, now], ...known.map((one) => {
      const box = element("input", { type: "checkbox", onchange: () => take(one, box.checked) });
      box.checked = now.includes(one);
      return element("label", { class: "tr-tick" }, box, element("span", { textContent: FORMAT_WORDS[one] ?? one }));
    }));
  };
  hear("train", paint);
  paint();
  return place.place;
}
