/* New model files: merged from others, or fetched from the internet when somebody asks. */

const labelled = (words, input, help = "") => element("label", { class: "am-field", title: help }, element("span", { textContent: words }), input);
const ticked = (words, input, help = "") => element("label", { class: "am-tick", title: help }, input, element("span", { textContent: words }));
const options = (pairs) => pairs.map(([value, words]) => element("option", { value, textContent: words }));

function refill(select, pairs) {
  const { value } = select;
  select.replaceChildren(...options(pairs));
  if (pairs.some(([one]) => one === value)) select.value = value;
}

/* The server's sentences about single values, else the one about all. */
async function sentenceOf(path, body, seconds) {
  const answer = await fetch(address(path), { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(seconds * 1000) }).catch(() => null);
  if (!answer) return { sentence: "The server does not answer." };
  const read = await answer.json().catch(() => ({}));
  if (answer.ok) return { read };
  const { detail } = read;
  return { sentence: Array.isArray(detail) ? detail.map((one) => one.msg).join(" ") : detail || `The server answered ${answer.status}.` };
}

/* -- merging --------------------------------------------------------------------------------------------------------------- */

const METHODS = {
  "Weighted sum": ["A · (1 − M) + B · M", ["model_b"]],
  "Add difference": ["A + (B − C) · M", ["model_b", "model_c"]],
  "No interpolation": ["A alone, with another VAE or half the size", []],
};

class Merger extends HTMLElement {
  connectedCallback() {
    if (this.fields) return;
    const select = () => element("select", { onchange: () => this.explain() });
    const range = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0.3, "aria-label": "Multiplier", oninput: () => (this.fields.multiplier.value = range.value) });
    this.fields = { model_a: select(), model_b: select(), model_c: select(), method: select(), multiplier: element("input", { type: "number", min: -2, max: 2, step: 0.05, value: 0.3, oninput: () => (range.value = this.fields.multiplier.value) }), vae: select(), name: element("input", { type: "text", maxlength: 120, placeholder: "made of the names" }), half: element("input", { type: "checkbox" }), keep_metadata: element("input", { type: "checkbox" }) };
    this.fields.half.checked = this.fields.keep_metadata.checked = true;
    refill(this.fields.method, Object.keys(METHODS).map((one) => [one, one]));
    this.formula = element("p", { class: "at-note" });
    this.places = { model_b: labelled("Secondary model (B)", this.fields.model_b), model_c: labelled("Tertiary model (C)", this.fields.model_c), multiplier: element("div", { class: "am-slider" }, labelled("Multiplier (M)", this.fields.multiplier, "0 is A alone"), range) };
    this.start = element("button", { type: "submit", class: "am-primary", textContent: "Merge" });
    this.stop = element("button", { type: "button", class: "at-quiet-button", textContent: "Cancel", hidden: true, onclick: () => ask(`api/v1/jobs/${this.job}/cancel`, { method: "POST" }).catch(() => {}) });
    this.bar = element("progress", { max: 1, value: 0, hidden: true, "aria-label": "Merging" });
    this.said = element("div", { class: "at-trouble-place", role: "status" });
    this.replaceChildren(
      element("form", { class: "am-form am-narrow", onsubmit: (event) => (event.preventDefault(), this.merge()) },
        labelled("Primary model (A)", this.fields.model_a), labelled("Interpolation method", this.fields.method), this.formula, this.places.model_b, this.places.model_c, this.places.multiplier,
        labelled("Bake in VAE", this.fields.vae, "Another autoencoder in place of A's"), labelled("Custom name", this.fields.name),
        element("div", { class: "am-ticks" }, ticked("Save as float16", this.fields.half, "Half the size, which is what most files are"), ticked("Save metadata", this.fields.keep_metadata, "What A says about itself, and how this file was made")),
        element("div", { class: "at-tools" }, this.start, this.stop), this.bar, this.said),
    );
    hear("shelf", () => this.paint());
    this.paint();
    this.job = memory.get("merge", null);
    if (this.job) this.follow();
  }
  paint() {
    const usable = shelf.of("checkpoint").filter((one) => !one.problem).map((one) => [one.use, one.name]);
    for (const name of ["model_a", "model_b", "model_c"]) refill(this.fields[name], [["", "—"], ...usable]);
    if (!this.fields.model_a.value) this.fields.model_a.value = shelf.models.find((one) => one.id === shelf.chosen.checkpoint)?.use ?? "";
    refill(this.fields.vae, [["None", "None"], ...shelf.of("vae").filter((one) => !one.problem).map((one) => [one.name, one.name])]);
    this.explain();
  }
  explain() {
    const [formula, needed] = METHODS[this.fields.method.value];
    setText(this.formula, formula);
    this.places.model_b.hidden = !needed.includes("model_b");
    this.places.model_c.hidden = !needed.includes("model_c");
    this.places.multiplier.hidden = !needed.length;
  }
  async merge() {
    const { fields } = this;
    const values = Object.entries(fields).map(([name, input]) => [name, input.type === "checkbox" ? input.checked : name === "multiplier" ? Number(input.value) : input.value]);
    this.said.replaceChildren();
    const { read, sentence } = await sentenceOf("api/v1/merges", Object.fromEntries(values), 20);
    if (sentence) return this.said.replaceChildren(problemCard(sentence));
    this.job = read.id;
    memory.set("merge", this.job);
    this.follow();
  }
  async follow() {
    this.start.disabled = true;
    this.stop.hidden = this.bar.hidden = false;
    let live = null;
    do {
      await new Promise((resolve) => setTimeout(resolve, live ? 500 : 0));
      live = await ask(`api/v1/jobs/${this.job}`).catch((trouble) => (trouble.unreachable ? (live ?? {}) : null));
      if (live) this.bar.value = live.fraction ?? 0;
    } while (live && !live.over && this.isConnected);
    memory.set("merge", null);
    this.start.disabled = false;
    this.stop.hidden = this.bar.hidden = true;
    if (live) this.ended(live);
  }
  ended(live) {
    if (live.state === "failed") return this.said.replaceChildren(problemCard(live.sentence, live.detail));
    this.said.replaceChildren(element("p", { class: "at-note", textContent: live.state === "done" ? `${live.result || "The model"} is there.` : "The merge was cancelled; nothing is left of it." }));
    shelf.load(true);
    by("refresh_sd_model_checkpoint")?.click();
  }
}
customElements.define("at-merge", Merger);

/* -- downloads ------------------------------------------------------------------------------------------------------------------ */

const DOWNLOAD_WORDS = { waiting: "waiting", running: "", checking: "checking", done: "done", failed: "failed", cancelled: "cancelled", paused: "paused: the server was restarted" };
const UNFINISHED = ["waiting", "running", "checking"];

class DownloadList extends HTMLElement {
  connectedCallback() {
    if (this.source) return;
    this.source = element("input", { type: "text", required: true, maxlength: 2000, placeholder: "https://civitai.com/models/… · owner/name · https://…", autocomplete: "off" });
    this.token = element("input", { type: "password", maxlength: 500, autocomplete: "off" });
    this.pickles = element("input", { type: "checkbox" });
    this.look = element("button", { type: "submit", class: "am-primary", textContent: "Look" });
    this.said = element("div", { class: "at-trouble-place", role: "status" });
    this.offers = element("ul", { class: "am-rows" });
    this.list = element("ul", { class: "am-rows", "aria-label": "Downloads" });
    this.form = element("form", { class: "am-form am-narrow", onsubmit: (event) => (event.preventDefault(), this.lookThere()) },
      labelled("Where from", this.source, "A page of Civitai, an id of the Hugging Face hub, or an address"),
      element("details", { class: "am-more" }, element("summary", { textContent: "Token, other kinds of file" }), labelled("Access token", this.token, "For what needs a login there; used once, kept nowhere"), ticked("Also other kinds (.ckpt, .pt, .pth)", this.pickles, "They could run code when loaded by others; here they are read without")),
      element("div", { class: "at-tools" }, this.look));
    this.offline = element("p", { class: "at-note", hidden: true, textContent: "This server was started with --offline, so it downloads nothing. Start it without to fetch models, or put files into the models folder." });
    this.replaceChildren(this.offline, this.form, this.said, this.offers, this.list);
    this.timer = setInterval(() => this.refresh(), 1000);
    this.refresh(true);
  }
  disconnectedCallback() {
    clearInterval(this.timer);
  }
  async lookThere() {
    this.said.replaceChildren(element("p", { class: "at-note", textContent: "Asking…" }));
    this.offers.replaceChildren();
    this.look.disabled = true;
    const { read, sentence } = await sentenceOf("api/v1/downloads/look", this.asked(), 90);
    this.look.disabled = false;
    this.said.replaceChildren(sentence ? problemCard(sentence) : "");
    if (read) this.offers.replaceChildren(...read.offers.map((offer) => this.offerRow(offer)));
  }
  asked() {
    return { source: this.source.value.trim(), token: this.token.value.trim(), pickles: this.pickles.checked };
  }
  offerRow(offer) {
    const kind = element("select", { "aria-label": `Kind of ${offer.name}` }, ...options(Object.entries(KIND_WORDS).map(([name, [, words]]) => [name, words])));
    kind.value = offer.kind || "checkpoint";
    const get = element("button", { type: "button", class: "at-quiet-button", textContent: "Download", "aria-label": `Download ${offer.name}`, onclick: () => this.fetch(offer, kind.value) });
    const facts = [offer.size ? sizeWords(offer.size) : "", offer.base, offer.sha256 ? "hash known" : "no hash: only the size is checked"].filter(Boolean).join(" · ");
    return element("li", {}, element("div", { class: "am-row-words" }, element("span", { textContent: offer.name }), element("span", { class: "at-note", textContent: facts })), kind, get);
  }
  async fetch(offer, kind) {
    const { read, sentence } = await sentenceOf("api/v1/downloads", { ...this.asked(), file: offer.name, kind, sha256: offer.sha256 }, 90);
    this.said.replaceChildren(sentence ? problemCard(sentence) : "");
    if (read) this.offers.replaceChildren();
    this.refresh(true);
  }
  async refresh(now = false) {
    if (!now && (document.hidden || !seen(this))) return;
    const found = await ask("api/v1/downloads").catch(() => null);
    if (!found) return;
    this.offline.hidden = !found.offline;
    this.form.hidden = found.offline;
    const mark = JSON.stringify(found.downloads);
    if (mark === this.mark) return;
    const doneBefore = this.done ?? 0;
    this.mark = mark;
    this.done = found.downloads.filter((one) => one.state === "done").length;
    if (this.done > doneBefore) shelf.load();
    this.paintRows(found.downloads.reverse());
  }
  paintRows(downloads) {
    const focused = document.activeElement?.closest("li")?.dataset.id && this.list.contains(document.activeElement) ? [document.activeElement.closest("li").dataset.id, document.activeElement.dataset.does] : null;
    this.list.replaceChildren(...downloads.map((one) => this.row(one)));
    if (focused) this.list.querySelector(`[data-id="${focused[0]}"] [data-does="${focused[1]}"]`)?.focus();
  }
  row(one) {
    const words = [DOWNLOAD_WORDS[one.state], `${sizeWords(one.done)} of ${sizeWords(one.size)}`, one.rate ? `${sizeWords(one.rate)}/s` : "", one.rate ? `${seconds((one.size - one.done) / one.rate)} left` : ""].filter(Boolean).join(" · ");
    const button = (does, label, method, path = `/${does}`) => element("button", { type: "button", class: "at-quiet-button", "data-does": does, textContent: label, "aria-label": `${label} ${one.name}`, onclick: () => attempted(async () => (await ask(`api/v1/downloads/${one.id}${path}`, { method }), this.refresh(true))) });
    const active = UNFINISHED.includes(one.state);
    const again = ["failed", "paused", "cancelled"].includes(one.state);
    return element("li", { "data-id": one.id, "data-state": one.state },
      element("div", { class: "am-row-words" }, element("span", { textContent: one.name }), element("progress", { max: one.size, value: one.done, "aria-label": one.name }), element("span", { class: "at-note", textContent: words }), one.sentence && element("p", { class: "at-problem", textContent: one.sentence })),
      again && button("resume", "Resume", "POST"), active ? button("cancel", "Cancel", "POST") : button("forget", "Remove", "DELETE", ""));
  }
}
customElements.define("at-downloads", DownloadList);
