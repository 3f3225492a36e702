/* What a run has made: its files, how to use them, what was measured, its settings. */

const KIND_FOLDER = { lora: "models/Lora", embedding: "embeddings", checkpoint: "models/Stable-diffusion" };

class Result {
  constructor(page) {
    this.page = page;
    this.place = element("section", { class: "tr-result", "aria-label": "Result" });
    this.use = new Part("div");
    this.files = new Part("div");
    this.proof = new Part("div");
    this.place.append(this.use.place, this.files.place, this.proof.place);
    this.measured = element("section", { "aria-label": "Evaluation" });
    this.table = new Part("div");
    this.measured.append(this.table.place);
    this.settings = element("section", { "aria-label": "Settings" });
    this.plan = new Part("div");
    this.tools = new Part("div", { class: "at-tools" });
    this.settings.append(this.plan.place, this.tools.place);
  }
  paint(view) {
    const files = view.files ?? [];
    this.place.hidden = !files.length;
    const usable = usableFile(view);
    this.use.show([files, view.plan.instance_prompt], usable && element("div", { class: "tr-use" }, primary("Use in txt2img", () => useRun(view), { "data-order": "use" }), element("code", { class: "tr-trigger", textContent: usePrompt(view, usable) })));
    this.files.show(files, heading("Files"), element("ul", { class: "tr-files" }, ...files.map((one) => fileRow(one))));
    const proof = proofRows(view.status ?? {});
    this.proof.show(proof, ...(proof.length ? [heading("Checked after saving"), element("dl", { class: "at-facts tr-proof" }, ...proof.flatMap(([name, words]) => [element("dt", { textContent: name }), element("dd", { textContent: words })]))] : []));
    this.paintMeasured(view);
    this.paintSettings(view);
  }
  paintMeasured(view) {
    const told = view.evaluation;
    const running = view.evaluating;
    this.measured.hidden = !isOver(view) || (!told && !(view.files ?? []).length);
    const words = running ? `Measuring… ${running.steps ? `${Math.round((100 * (running.step ?? 0)) / running.steps)} %` : ""}` : "";
    const ask = (pack, label, help) => button(label, () => this.evaluate(pack), { help, disabled: Boolean(running) });
    const offers = tools(ask("quick", told ? "Measure again" : "Measure it", "Draws pictures of a few prompts and reads them: is it the subject, does it follow the prompt, has the class changed?"), ask("full", "Thoroughly", "More prompts and pictures"), ask("subject2subject", "Its 20 prompts (Subject2Subject)", "The prompts of the paper"));
    this.table.show([told?.made, told?.measures, running?.step, running?.state], heading("Evaluation", words && note(words)), ...(told ? evaluationParts(told, view) : [note("Not measured yet.")]), offers);
  }
  async evaluate(pack) {
    await attempted(async () => {
      await send(`${API}/${this.page.run}/evaluate`, { pack });
      this.page.following.begin();
    });
  }
  paintSettings(view) {
    const rows = settingRows(view.plan);
    const all = section("settings", "Settings of this run", element("dl", { class: "at-facts tr-proof" }, ...rows.flatMap(([name, words]) => [element("dt", { textContent: name }), element("dd", { textContent: words })])));
    this.plan.show(view.plan, all);
    const take = () => (takePlan(view.plan), showPart("new"));
    this.tools.show([view.state, view.run], button("Save settings", () => download(`${runName(view)}-training.json`, JSON.stringify(view.plan, null, 2)), { help: "As a JSON file" }), button("Change and train again…", take, { help: "Puts its pictures and settings on the first page" }), button("Train again", () => this.again(), { help: "The same once more, with the same seed" }), isOver(view) && button("Delete", () => deleteRun(view), { help: "Its folder, not its files among the models; can be undone for ten seconds", look: "at-quiet-button tr-danger" }));
  }
  async again() {
    await attempted(async () => showRun((await send(`${API}/${this.page.run}/again`, {})).run));
  }
}

async function deleteRun(view) {
  await attempted(async () => {
    const { token } = await ask(`${API}/${view.run}`, { method: "DELETE", seconds: 60 });
    showPart("runs");
    offerUndo(`${runName(view)} is deleted.`, () => attempted(async () => (await ask(`${API}/trash/${token}/restore`, { method: "POST" }), tell("train runs"))));
  });
}

/* -- files -------------------------------------------------------------------------------------------------------------------------- */

function fileRow({ name: stem_, file, kind, format, bytes, sha256, url }) {
  const name = file ?? stem_;
  const facts = [FORMAT_WORDS[format] ?? format, bytes && sizeWords(bytes), sha256 && `SHA-256 ${sha256.slice(0, 10)}`];
  const get = url && element("a", { class: "at-quiet-button", href: link(url), download: "", textContent: "Download", "aria-label": `Download ${name}` });
  return element("li", {}, element("span", { class: "tr-file" }, element("b", { textContent: name }), element("span", { class: "at-note", textContent: facts.filter(Boolean).join(" · "), title: sha256 ?? "" }), element("span", { class: "at-note", textContent: KIND_FOLDER[kind] ? `in ${KIND_FOLDER[kind]}` : "" })), get);
}

/* The file that txt2img understands; peft and diffusers forms are for other programs. */
const USABLE = ["kohya", "checkpoint", "embedding", "pt", "peft", "diffusers"];
const usableFile = ({ files = [] }) => USABLE.map((format) => files.find((one) => one.format === format)).find(Boolean) ?? files[0];
const bare = (name) => name.split("/").pop().replace(/\.(safetensors|pt|bin|ckpt)$/, "");

function usePrompt(view, file) {
  const trigger = view.plan.instance_prompt || runName(view);
  const where = `${trigger} in the snow`;
  if (file.kind === "lora") return `${where} <lora:${bare(file.name)}:1>`;
  if (file.kind === "embedding" && !where.includes(bare(file.name))) return `a photo of ${bare(file.name)} in the snow`;
  return where;
}

const withoutHash = (title) => title.replace(/ \[\w+\]$/, "").split("/").pop();

/* Into txt2img: a checkpoint becomes the model; a network needs the model that it was made for. */
async function useRun(view) {
  const file = usableFile(view);
  await attempted(async () => {
    await shelf.load(true);
    const title = file.kind === "checkpoint" ? (file.file ?? file.name) : modelOf(view);
    const wanted = shelf.of("checkpoint").find((one) => withoutHash(one.use) === withoutHash(title));
    if (!wanted) sayInToast(`The model ${withoutHash(title)} is not here any more; choose one of its kind.`);
    if (wanted && shelf.chosen.checkpoint !== wanted.id) {
      await ask(`api/v1/models/${wanted.id}/choose`, { method: "POST" });
      by("refresh_sd_model_checkpoint")?.click();
    }
    const { prompt: before } = forms.values("txt2img");
    forms.fill("txt2img", { prompt: usePrompt(view, file) });
    openTab("txt2img");
    if (before) offerUndo("Another prompt is here.", () => forms.fill("txt2img", { prompt: before }));
    announce("The prompt is in txt2img.");
  });
}

/* -- what was checked and measured ------------------------------------------------------------------------------------------------------ */

const GROUPS = { unet: "U-Net", text_encoder: "Text encoder", text_encoder_2: "Text encoder 2", embedding: "Embedding" };

function proofRows({ verified = [], moved = {}, matched = {} }) {
  const same = (one) => (one.same ?? one.difference <= one.tolerance) ? "draws the same as before saving" : "draws something else than before saving";
  const rows = [verified].flat().map((one) => [one.file ?? "Loaded back", `${same(one)}: difference ${number(one.difference)} of 255, allowed ${number(one.tolerance)}`]);
  for (const [file, { layers, missing }] of Object.entries(matched)) rows.push([file, `${counted(layers, "layer")} fit${layers === 1 ? "s" : ""} the model${missing ? `, ${missing} do not` : ""}`]);
  for (const [name, change] of Object.entries(moved)) rows.push([`${GROUPS[name] ?? name} moved`, change ? `by ${number(100 * change)} % of its size` : "not at all: it has learned nothing"]);
  return rows;
}

const range = ({ low, high }) => (low == null || high == null ? "" : `${number(low)} to ${number(high)}`);

function evaluationParts(told, view) {
  const measures = told.measures ?? [];
  const plain = measures.filter((one) => one.group !== "failure");
  const failures = measures.filter((one) => one.group === "failure");
  const row = (one) => element("tr", {}, element("th", { scope: "row", textContent: one.label ?? one.name, title: one.note ?? "" }), element("td", { textContent: one.value == null ? "–" : number(one.value) }), element("td", { textContent: range(one) }), element("td", { textContent: one.floor == null && one.ceiling == null ? "" : `${number(one.floor)} … ${number(one.ceiling)}` }), element("td", { textContent: one.n ?? "" }));
  const heads = [["Measure"], ["Value"], ["95 %", "Where the value lies with 95 % certainty"], ["Floor … ceiling", "The worst and the best that could be expected; what they are is said below"], ["N", "Number of pictures"]];
  const table = element("div", { class: "tr-scroll" }, element("table", { class: "at-table tr-table" }, element("thead", {}, element("tr", {}, ...heads.map(([words, title]) => element("th", { scope: "col", textContent: words, title })))), element("tbody", {}, ...plain.map(row))));
  const meters = failures.length && element("div", { class: "tr-meters" }, ...failures.map(failureMeter));
  const caveats = [...new Set([...(told.caveats ?? []), ...measures.map((one) => one.value == null && one.note).filter(Boolean)])];
  const about = [told.n && `${counted(told.n, "picture")}`, told.extractor && `features by ${told.extractor}`, told.snapshot > 0 && `snapshot of step ${told.snapshot}`, when(told.made)].filter(Boolean).join(" · ");
  const meanings = section("measures", "What the measures mean", element("dl", { class: "at-facts tr-proof" }, ...measures.filter((one) => one.note).flatMap((one) => [element("dt", { textContent: one.label ?? one.name }), element("dd", { textContent: one.note })])));
  return [note(about), meters, plain.length ? table : null, meanings, caveats.length ? element("ul", { class: "tr-remarks" }, ...caveats.map((one) => element("li", { textContent: one }))) : null, evaluationPictures(told, view)];
}

/* Between the best that could be expected (`ceiling`) and the worst (`floor`). */
function failureMeter({ label, name, value, n, floor, ceiling, note: words }) {
  const part = value == null ? null : floor == null || ceiling == null || floor === ceiling ? value : (value - ceiling) / (floor - ceiling);
  const level = part == null ? "amber" : part < 0.25 ? "green" : part < 0.6 ? "amber" : "red";
  const said = { green: "low", amber: part == null ? "not known" : "some", red: "high" }[level];
  return element("div", { class: "tr-meter", "data-level": level, title: words ?? "" }, element("span", { class: "tr-meter-name", textContent: label ?? name }), element("meter", { min: 0, max: 1, value: value ?? 0, "aria-label": label ?? name }), element("span", { textContent: `${value == null ? "–" : number(value, 2)}, ${said}${n ? ` (N ${n})` : ""}` }));
}

function evaluationPictures({ prompts = [] }, view) {
  if (!prompts.some((one) => one.pictures?.length)) return null;
  const file = (path) => link(/^(\/?api|https?:)/.test(path) ? path : `${API}/${view.run}/files/${path}`);
  const row = ({ prompt: text, pictures = [], base = [] }) => element("div", { class: "tr-prompt-row" }, note(text), element("div", { class: "tr-prompt-pictures" }, ...base.filter(Boolean).slice(0, 1).map((path) => element("span", { class: "tr-before" }, element("img", { src: file(path), alt: `${text}, by the base model`, loading: "lazy" }), element("span", { textContent: "base" }))), ...pictures.slice(0, 6).map((path) => element("img", { src: file(path), alt: text, loading: "lazy" }))));
  const made = section("evaluation", "Its pictures, prompt by prompt");
  const fill = () => made.open && !made.lastElementChild.children.length && made.lastElementChild.append(...prompts.map(row));
  made.addEventListener("toggle", fill);
  fill();
  return made;
}

/* Every setting that is not as usual, then the texts. */
function settingRows(plan) {
  const rows = (train.form?.fields ?? []).filter(({ name }) => plan[name] != null && plan[name] !== "" && String(plan[name]) !== String(usual(name))).map(({ name, label }) => [label, settingText(plan[name])]);
  const prompts = plan.preview_prompts?.length ? [["Preview prompts", plan.preview_prompts.join("\n")]] : [];
  return [...(plan.preset ? [["Preset", plan.preset]] : []), ...rows, ...prompts];
}
const settingText = (one) => (Array.isArray(one) ? one.join(", ") : typeof one === "boolean" ? (one ? "on" : "off") : typeof one === "number" ? (Number.isInteger(one) ? String(one) : number(one, 6)) : String(one));
