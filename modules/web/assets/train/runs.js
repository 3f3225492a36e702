/* All runs: what was trained, how it went; two or more side by side; comparisons with one click. */

class RunsPage {
  constructor() {
    this.chosen = new Set();
    this.note = note("Looking…");
    this.list = element("ul", { class: "tr-runs", "aria-label": "Trainings" });
    this.rows = new Map();
    this.compare = primary("Compare", () => showCompare([...this.chosen]), { disabled: true });
    this.search = element("input", { type: "search", placeholder: "Search name, method, model", "aria-label": "Search trainings", oninput: () => this.paint() });
    const tools_ = element("div", { class: "tr-line tr-runs-tools" }, this.search, this.compare, note("Tick two or more to compare them."));
    this.limit = 50;
    this.more = button("Show more", () => ((this.limit = Math.min(200, this.limit + 50)), this.load()), { hidden: true });
    this.place = element("div", { class: "tr-page" }, heading("Runs"), tools_, this.note, this.list, this.more, new Comparisons().place);
    this.reload = () => this.load();
    board_("train runs", this.reload, this);
    this.load();
  }
  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }
  /* Looked at often only while something is at work. */
  async load() {
    clearTimeout(this.timer);
    try {
      if (!document.hidden) this.runs = (await ask(`${API}?limit=${this.limit}`, { seconds: 30 })).runs;
      this.trouble = "";
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.trouble = trouble.message;
    }
    if (this.closed) return;
    this.paint();
    this.timer = setTimeout(this.reload, this.trouble || this.runs?.some((one) => !isOver(one)) ? 2000 : 10000);
  }
  paint() {
    const runs = (this.runs ?? []).filter((one) => !one.dry);
    this.more.hidden = (this.runs?.length ?? 0) < this.limit || this.limit >= 200;
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = runs.filter((one) => words.every((word) => `${one.plan.name} ${methodWords(one.plan.method)} ${one.plan.method} ${modelOf(one)} ${one.plan.class_noun} ${one.plan.preset} ${one.state}`.toLowerCase().includes(word)));
    setText(this.note, this.trouble || (!this.runs ? "Looking…" : !runs.length ? "Nothing has been trained yet. Begin with New training: example pictures are there." : shown.length ? "" : "Nothing fits the search."));
    this.note.hidden = !this.note.textContent;
    const ids = new Set(shown.map((one) => one.run));
    for (const [id, row] of this.rows) if (!ids.has(id)) row.place.remove(), this.rows.delete(id);
    shown.forEach((view, at) => {
      const row = this.rows.get(view.run) ?? new RunRow(this, view.run);
      this.rows.set(view.run, row);
      row.paint(view);
      if (this.list.children[at] !== row.place) this.list.insertBefore(row.place, this.list.children[at] ?? null);
    });
    for (const id of this.chosen) if (!runs.some((one) => one.run === id)) this.chosen.delete(id);
    this.compare.disabled = this.chosen.size < 2;
    setText(this.compare, this.chosen.size > 1 ? `Compare ${this.chosen.size}` : "Compare");
  }
}

/* Pages are made anew each time they are shown: what they hear ends with them. */
function board_(name, call, page) {
  const { board } = atelier.shared;
  board.addEventListener(name, call);
  const close = page.close?.bind(page);
  page.close = () => (board.removeEventListener(name, call), close?.());
}

class RunRow {
  constructor(page, run) {
    this.box = element("input", { type: "checkbox", onchange: () => (this.box.checked ? page.chosen.add(run) : page.chosen.delete(run), page.paint()) });
    this.picture = new Part("span", { class: "tr-run-picture" });
    this.words = new Part("span", { class: "tr-run-words" });
    this.open = element("button", { type: "button", class: "tr-run-open", onclick: () => showRun(run) }, this.picture.place, this.words.place);
    this.place = element("li", {}, element("label", { class: "tr-run-box" }, this.box), this.open);
  }
  paint(view) {
    const { plan, state } = view;
    this.box.setAttribute("aria-label", `Compare ${runName(view)}`);
    const url = view.previews?.at(-1)?.pictures[0] ?? view.pictures?.[0]?.url;
    this.picture.show(url ?? "none", url ? element("img", { src: link(url), alt: "", loading: "lazy" }) : null);
    const step = view.numbers?.step ?? view.step ?? 0;
    const steps = view.numbers?.steps ?? view.steps ?? 0;
    const facts = [methodWords(plan.method), steps ? `${step.toLocaleString()} of ${steps.toLocaleString()} steps` : "", view.numbers ? `loss ${number(view.numbers.loss)}` : "", view.numbers?.seconds ? seconds(view.numbers.seconds) : "", when(view.created)];
    const result = state === "failed" ? sentenceOf(view) : (view.files ?? []).map((one) => one.file ?? one.name).join(", ");
    this.words.show([plan.name, state, facts, result], element("span", { class: "tr-line" }, element("b", { textContent: runName(view) }), stateChip(state), plan.preset && note(plan.preset)), note(facts.filter(Boolean).join(" · ")), result && note(result, { class: state === "failed" ? "tr-failed" : "at-note" }));
  }
}

/* -- two or more side by side --------------------------------------------------------------------------------------------------------- */

class ComparePage {
  constructor(runs) {
    this.runs = runs;
    this.place = element("div", { class: "tr-page" }, button("‹ All runs", () => showPart("runs")), note("Looking…"));
    this.load();
  }
  async load() {
    try {
      this.views = await Promise.all(this.runs.map((one) => ask(`${API}/${one}`)));
      this.logs = await Promise.all(this.runs.map((one) => ask(`${API}/${one}/log?after=0`)));
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      return this.place.append(problemCard(trouble.message));
    }
    this.paint();
  }
  label(at) {
    const name = runName(this.views[at]);
    const same = this.views.filter((one) => runName(one) === name).length > 1;
    return same ? `${name} (${when(this.views[at].created)})` : name;
  }
  paint() {
    const chart = new Chart("Loss, smoothed", () => this.views.map((_, at) => ({ label: this.label(at), points: this.logs[at].numbers.map((one) => [one.step, one.instance_loss ?? one.loss]) })), { height: 300 });
    this.place.replaceChildren(button("‹ All runs", () => showPart("runs")), heading(`${this.views.length} runs side by side`, logToggle()), chart.place, this.previews(), this.differences());
    chart.paint();
  }
  previews() {
    const steps = [...new Set(this.views.flatMap((one) => (one.previews ?? []).map(({ step }) => step)))].sort((a, b) => a - b);
    if (!steps.length) return note("None of them drew previews.");
    const words = element("output", { class: "tr-step" });
    const rows = element("div", { class: "tr-side" });
    const slider = element("input", { type: "range", min: 0, max: steps.length - 1, step: 1, value: steps.length - 1, "aria-label": "Step of the previews", oninput: () => show() });
    const row = (view, at, step) => {
      const found = (view.previews ?? []).filter((one) => one.step <= step).at(-1);
      const pictures = (found?.pictures ?? []).map((url, index) => element("img", { src: link(url), alt: `${this.label(at)}: ${view.plan.preview_prompts?.[index] ?? ""}`, title: view.plan.preview_prompts?.[index], loading: "lazy" }));
      return element("div", { class: "tr-prompt-row" }, element("p", { class: "tr-line" }, legendLine(at), element("b", { textContent: this.label(at) }), note(found && found.step !== step ? `step ${found.step}` : "")), element("div", { class: "tr-prompt-pictures" }, ...pictures));
    };
    const show = () => {
      const step = steps[Number(slider.value)];
      setText(words, step ? `Step ${step.toLocaleString()}` : "Before training");
      slider.setAttribute("aria-valuetext", words.textContent);
      rows.replaceChildren(...this.views.map((view, at) => row(view, at, step)));
    };
    show();
    return element("section", { "aria-label": "Previews" }, heading("Previews at the same step"), element("div", { class: "tr-line tr-slider" }, words, slider), rows);
  }
  differences() {
    const fields = (train.form?.fields ?? []).filter(({ name }) => new Set(this.views.map((one) => String(one.plan[name] ?? ""))).size > 1);
    if (!fields.length) return note("Their settings are the same.");
    const head = element("tr", {}, element("td"), ...this.views.map((_, at) => element("th", { scope: "col", textContent: this.label(at) })));
    const rows = fields.map(({ name, label }) => element("tr", {}, element("th", { scope: "row", textContent: label, title: name }), ...this.views.map((one) => element("td", { textContent: settingText(one.plan[name] ?? "") }))));
    return element("section", { "aria-label": "Settings that differ" }, heading("Settings that differ"), element("div", { class: "tr-scroll" }, element("table", { class: "at-table tr-table" }, element("thead", {}, head), element("tbody", {}, ...rows))));
  }
}

/* -- comparisons of the papers, with one click ------------------------------------------------------------------------------------------- */

class Comparisons {
  constructor() {
    this.offers = new Part("div", { class: "tr-offers" });
    this.list = element("div", { class: "tr-groups" });
    this.seeds = choice([1, 2, 3, 5, 10].map((one) => [one, counted(one, "seed")]), 3, () => {}, "Seeds: how often each way is trained");
    this.groups = new Map();
    this.place = element("section", { "aria-label": "Comparisons" }, heading("Compare methods", this.seeds), note("Trains several ways on the pictures of New training, measures each, and makes a table. On the starter this takes from a quarter of an hour."), this.offers.place, this.list);
    this.load();
  }
  async load() {
    const [offers, made] = await Promise.all([ask(`${API}/compare/presets/all`).catch(() => null), ask(`${API}/compare`).catch(() => null)]);
    this.paintOffers(offers?.presets ?? []);
    for (const one of made?.comparisons ?? []) this.add(one);
  }
  paintOffers(presets) {
    const offer = ({ name, label, note: words, arms }) => element("div", { class: "tr-offer" }, element("b", { textContent: label ?? name }), note(words ?? ""), note((arms ?? []).map((one) => one.label ?? one.arm).join(" · ")), tools(button("Train and compare", () => this.begin(name), { "data-compare": name })));
    this.offers.show(presets, ...presets.map(offer));
  }
  async begin(preset) {
    if (!DRAFT.pictures.length) return sayInToast("Add pictures under New training first; the example's will do.");
    await attempted(async () => {
      const made = await send(`${API}/compare`, { preset, plan: plan(), seeds: Number(this.seeds.value) });
      this.add(made, true);
    });
  }
  add(one, first = false) {
    if (this.groups.has(one.group)) return;
    const card = new ComparisonCard(one);
    this.groups.set(one.group, card);
    if (first) this.list.prepend(card.place);
    else this.list.append(card.place);
  }
}

const GROUP_OVER = ["done", "failed", "partly"];

class ComparisonCard {
  constructor(one) {
    this.group = one.group;
    this.body = new Part("div", { class: "tr-group-body" });
    this.place = section(`group ${one.group}`, `${one.label ?? one.preset}, ${when(one.created)}`, this.body.place);
    this.place.say(one.state ?? "");
    this.place.addEventListener("toggle", () => this.follow());
    this.follow();
  }
  async follow() {
    clearTimeout(this.timer);
    if (!this.place.open) return;
    try {
      const told = await ask(`${API}/compare/${this.group}`, { seconds: 60 });
      this.paint(told);
      if (!GROUP_OVER.includes(told.state)) this.timer = setTimeout(() => this.follow(), 3000);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.body.show(trouble.message, problemCard(trouble.message));
    }
  }
  paint(told) {
    this.place.say(told.state);
    const cell = ({ text, value: mean, sd }) => element("td", { textContent: text ?? (mean == null ? "–" : `${number(mean)}${sd == null ? "" : ` ± ${number(sd, 2)}`}`) });
    const head = element("tr", {}, element("th", { scope: "col", textContent: "Measure" }), ...(told.columns ?? []).map((words) => element("th", { scope: "col", textContent: words })));
    const rows = (told.rows ?? []).map((one) => element("tr", {}, element("th", { scope: "row", textContent: one.label ?? one.name, title: one.note ?? "" }), ...one.cells.map(cell)));
    const arms = element("ul", { class: "tr-arms" }, ...(told.arms ?? []).map(({ label, runs = [] }) => element("li", {}, element("b", { textContent: label }), ...runs.map((run) => run.run ? button(`${STATE_NOTES[run.state] ?? run.state}${run.state === "training" && run.fraction ? ` ${Math.round(100 * run.fraction)} %` : ""}`, () => showRun(run.run), { help: run.sentence || `Seed ${run.seed}` }) : note(STATE_NOTES[run.state] ?? run.state ?? "")))));
    const shot = (url, alt) => element("td", {}, url && element("img", { src: link(url), alt, loading: "lazy" }));
    const pictures = ({ prompt: text, pictures: of = {}, base }) => element("tr", {}, element("th", { scope: "row", textContent: text }), shot(base, `${text}, base model`), ...(told.arms ?? []).map(({ arm, label }) => shot(of[arm], `${text}, ${label}`)));
    const grid = (told.grid ?? []).some((one) => Object.keys(one.pictures ?? {}).length) && element("div", { class: "tr-scroll" }, element("table", { class: "at-table tr-table tr-pack" }, element("thead", {}, element("tr", {}, ...["Prompt", "Base model", ...(told.columns ?? [])].map((words) => element("th", { scope: "col", textContent: words })))), element("tbody", {}, ...told.grid.map(pictures))));
    const get = (path, words) => path && element("a", { class: "at-quiet-button", href: link(path), download: "", textContent: words });
    const busy = !GROUP_OVER.includes(told.state);
    const stop = busy && button("Cancel", () => attempted(async () => (await send(`${API}/compare/${this.group}/cancel`, {}), this.follow())), { look: "at-quiet-button tr-danger" });
    const caveats = (told.notes ?? []).length ? element("ul", { class: "tr-remarks" }, ...told.notes.map((one) => element("li", { textContent: one }))) : null;
    this.body.show(told, note(told.note ?? ""), arms, rows.length ? element("div", { class: "tr-scroll" }, element("table", { class: "at-table tr-table" }, element("thead", {}, head), element("tbody", {}, ...rows))) : note("The table fills as the trainings end."), caveats, grid, tools(get(told.csv, "CSV"), get(told.markdown, "Markdown"), stop));
  }
}
