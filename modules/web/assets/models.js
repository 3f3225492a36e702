/* Model files as cards: the grid of the Models tab, and the same grid as a drawer over a form. */

const KIND_WORDS = {
  checkpoint: ["Checkpoints", "checkpoint"],
  lora: ["LoRA", "LoRA"],
  embedding: ["Embeddings", "embedding"],
  hypernetwork: ["Hypernetworks", "hypernetwork"],
  vae: ["VAE", "VAE"],
  upscaler: ["Upscalers", "upscaler"],
};
const FOLDER_OF_KIND = { checkpoint: "models/Stable-diffusion", lora: "models/Lora", embedding: "embeddings", hypernetwork: "models/hypernetworks", vae: "models/VAE", upscaler: "models/ESRGAN" };
const TAG_OF_KIND = { lora: "lora", hypernetwork: "hypernet" };
const ORDERS = {
  name: ["Name", (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true })],
  newest: ["Newest first", (a, b) => b.modified - a.modified],
  largest: ["Largest first", (a, b) => b.size - a.size],
};

const shelf = {
  models: [],
  chosen: {},
  multiplier: 1,
  offline: false,
  loaded: false,
  trouble: "",
  async load(again = false) {
    try {
      Object.assign(shelf, await ask(again ? "api/v1/models/refresh" : "api/v1/models", { method: again ? "POST" : "GET", seconds: 60 }), { loaded: true, trouble: "" });
    } catch (trouble) {
      shelf.trouble = trouble.message;
    }
    tell("shelf");
  },
  of: (kind) => shelf.models.filter((one) => one.kind === kind),
};

function sizeWords(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  const at = Math.min(units.length - 1, bytes ? Math.floor(Math.log(bytes) / Math.log(1024)) : 0);
  return `${(bytes / 1024 ** at).toLocaleString(undefined, { maximumFractionDigits: at > 2 ? 1 : 0 })} ${units[at]}`;
}

async function attempted(work) {
  try {
    return await work();
  } catch (trouble) {
    sayInToast(trouble.message);
    return null;
  }
}

function sayInToast(sentence) {
  by("at_said")?.remove();
  const bar = element("div", { id: "at_said", class: "at-toast", role: "status", textContent: sentence });
  (document.querySelector("dialog[open]") ?? document.body).append(bar);
  setTimeout(() => bar.remove(), 6000);
}

/* -- into the prompt ------------------------------------------------------------------------------------------------------ */

let lastForm = "txt2img";
const lastField = {};
addEventListener("focusin", (event) => {
  const [, form, field] = /^(\w+2img)_(neg_prompt|prompt)$/.exec(event.target.closest?.('[id$="prompt"]')?.id ?? "") ?? [];
  if (form) lastForm = form, lastField[form] = field === "prompt" ? "prompt" : "negative_prompt";
});

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/* What a click on a card changes in the prompts: added, or taken out again when it is there. Null: it cannot be written. */
function withCard(card, values, field) {
  const word = TAG_OF_KIND[card.kind];
  if (!word) return toggled(values, field, card.use, new RegExp(`(?:^|[\\s,]+)${escaped(card.use)}(?=[\\s,]|$)`));
  if (/[:<>]/.test(card.use)) return null;
  const words = card.trigger ? ` ${card.trigger}` : "";
  const text = `<${word}:${card.use}:${card.weight || shelf.multiplier}>${words}`;
  const changes = toggled(values, "prompt", text, new RegExp(`\\s*<${word === "lora" ? "(?:lora|lyco)" : word}:${escaped(card.use)}(?::[^>]*)?>(?:${escaped(words)})?`));
  return card.negative_text ? { ...toggled(values, "negative_prompt", card.negative_text, new RegExp(`(?:^|[\\s,]+)${escaped(card.negative_text)}`), changes.taken), ...changes } : changes;
}

function toggled(values, field, text, pattern, taken = null) {
  const before = values[field] ?? "";
  if (taken ?? pattern.test(before)) return { [field]: before.replace(pattern, "").replace(/^[\s,]+/, ""), taken: true };
  return { [field]: before.trim() ? `${before.trimEnd()} ${text}` : text, taken: false };
}

function putIntoPrompt(card, form) {
  const values = forms.values(form);
  const changes = withCard(card, values, lastField[form] ?? "prompt");
  if (!changes) return sayInToast(`"${card.use}" holds a character that a prompt cannot hold in a name (: < >); rename the file.`);
  const { taken, ...fields } = changes;
  forms.fill(form, fields);
  sayInToast(taken ? `${card.name} is out of the ${form} prompt.` : `${card.name} is in the ${form} prompt.`);
  tell("shelf prompt");
}

const isInPrompt = (card, form) => {
  const { prompt = "", negative_prompt = "" } = forms.values(form);
  const word = TAG_OF_KIND[card.kind];
  if (word) return prompt.includes(`<${word}:${card.use}:`) || prompt.includes(`<${word}:${card.use}>`);
  return card.kind === "embedding" && `${prompt}\n${negative_prompt}`.includes(card.use);
};

async function useCard(card, form) {
  if (card.problem) return openCard(card);
  if (card.kind === "upscaler") return openCard(card);
  if (card.kind !== "checkpoint" && card.kind !== "vae") return putIntoPrompt(card, form);
  if (!(await attempted(() => ask(`api/v1/models/${card.id}/choose`, { method: "POST" })))) return;
  if (card.kind === "checkpoint") by("refresh_sd_model_checkpoint")?.click();
  sayInToast(`${card.name} is chosen.`);
  shelf.load();
}

/* -- the grid --------------------------------------------------------------------------------------------------------------- */

class CardGrid extends HTMLElement {
  connectedCallback() {
    if (this.list) return;
    this.form = this.getAttribute("form");
    const kept = memory.get("shelf", {});
    Object.assign(this, { kind: this.form && kept.kind === "checkpoint" ? "lora" : (kept.kind ?? "checkpoint"), order: kept.order in ORDERS ? kept.order : "name", folder: "", words: "" });
    this.search = element("input", { type: "search", class: "am-search", placeholder: "Search name, words, notes", "aria-label": "Search models", oninput: () => this.paint() });
    this.kinds = element("div", { class: "am-kinds", role: "group", "aria-label": "Kind" });
    this.folders = element("select", { "aria-label": "Folder", onchange: () => ((this.folder = this.folders.value), this.paint()) });
    this.orders = element("select", { "aria-label": "Order", onchange: () => ((this.order = this.orders.value), this.keep(), this.paint()) }, ...Object.entries(ORDERS).map(([name, [words]]) => element("option", { value: name, textContent: words })));
    this.orders.value = this.order;
    const refresh = element("button", { type: "button", class: "at-quiet-button", textContent: "Refresh", title: "Look at the folders again", onclick: () => shelf.load(true) });
    this.note = element("p", { class: "at-note", role: "status" });
    this.list = element("ul", { class: "am-grid", role: "list" });
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.replaceChildren(element("div", { class: "am-bar" }, this.kinds, element("div", { class: "am-tools" }, this.search, this.folders, this.orders, refresh)), this.note, this.list);
    hear("shelf", () => this.paint());
    hear("shelf prompt", () => setTimeout(() => this.mark(), 100));
    this.paint();
    if (seen(this)) shelf.load();
    new IntersectionObserver(([entry]) => entry.isIntersecting && shelf.load()).observe(this);
  }
  keep() {
    memory.set("shelf", { kind: this.kind, order: this.order });
  }
  found() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (one) => `${one.name} ${one.use} ${one.title} ${one.folder} ${one.trigger} ${one.notes} ${one.description} ${one.base} ${one.hash}`.toLowerCase();
    const inFolder = (one) => !this.folder || one.folder === this.folder || one.folder.startsWith(`${this.folder}/`);
    return shelf.of(this.kind).filter((one) => inFolder(one) && words.every((word) => text(one).includes(word))).sort(ORDERS[this.order][1]);
  }
  paint() {
    this.paintKinds();
    this.paintFolders();
    const cards = this.found();
    setText(this.note, this.sentence(cards));
    this.note.hidden = !this.note.textContent;
    this.list.replaceChildren(...cards.map((card) => this.tile(card)));
    this.mark();
  }
  sentence(cards) {
    if (shelf.trouble) return shelf.trouble;
    if (!shelf.loaded) return "Looking…";
    if (cards.length) return "";
    if (shelf.of(this.kind).length) return "Nothing fits the search.";
    return `There is no ${KIND_WORDS[this.kind][1]} yet. Put a file into ${FOLDER_OF_KIND[this.kind]}; it appears here by itself${shelf.offline ? "" : ", or fetch one under Download"}.`;
  }
  paintKinds() {
    const kinds = Object.keys(KIND_WORDS).filter((kind) => !this.form || kind !== "upscaler");
    const buttons = kinds.map((kind) => {
      const onclick = () => ((this.kind = kind), (this.folder = ""), this.keep(), this.paint(), this.kinds.querySelector(`[data-kind="${kind}"]`).focus());
      const count = element("span", { class: "am-count", textContent: shelf.of(kind).length });
      return element("button", { type: "button", class: "am-kind", "data-kind": kind, "aria-pressed": String(kind === this.kind), onclick }, KIND_WORDS[kind][0], " ", count);
    });
    this.kinds.replaceChildren(...buttons);
  }
  paintFolders() {
    const names = [...new Set(shelf.of(this.kind).map((one) => one.folder).filter(Boolean))].sort();
    this.folders.hidden = !names.length;
    this.folders.replaceChildren(element("option", { value: "", textContent: "All folders" }), ...names.map((name) => element("option", { value: name, textContent: name })));
    this.folders.value = this.folder;
  }
  tile(card) {
    const picture = card.preview ? element("img", { src: address(card.preview), alt: "", loading: "lazy" }) : element("span", { class: "am-blank", "aria-hidden": "true", textContent: card.name.slice(0, 2) });
    const use = element("button", { type: "button", class: "am-use", title: card.problem || card.name, onclick: () => useCard(card, this.form ?? lastForm) }, element("span", { class: "am-picture" }, picture), element("span", { class: "am-name", textContent: card.name }), element("span", { class: "am-facts", textContent: [card.base, sizeWords(card.size)].filter(Boolean).join(" · ") }));
    if (card.problem) use.append(element("span", { class: "am-problem", textContent: "cannot be used" }));
    const edit = element("button", { type: "button", class: "am-edit", "aria-label": `Details of ${card.name}`, title: "Details", textContent: "⋯", onclick: () => openCard(card) });
    return element("li", { class: "am-card", "data-id": card.id }, use, edit);
  }
  mark() {
    for (const item of this.list.children) {
      const card = shelf.models.find((one) => one.id === item.dataset.id);
      const used = card && (shelf.chosen[card.kind] === card.id || isInPrompt(card, this.form ?? lastForm));
      item.toggleAttribute("data-used", Boolean(used));
      item.firstChild.setAttribute("aria-pressed", String(Boolean(used)));
    }
  }
  /* Arrow keys go from card to card. */
  move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.across(), ArrowUp: -this.across() }[event.key];
    const item = event.target.closest("li");
    if (!step || !item) return;
    event.preventDefault();
    const items = [...this.list.children];
    items[items.indexOf(item) + step]?.firstChild.focus();
  }
  across() {
    const [first, ...rest] = this.list.children;
    const next = rest.findIndex((one) => one.offsetTop > first.offsetTop);
    return next < 0 ? rest.length + 1 : next + 1;
  }
}
customElements.define("at-cards", CardGrid);

/* -- the drawer --------------------------------------------------------------------------------------------------------------- */

const networks = (atelier.networks = {});

networks.open = (form) => {
  const close = element("button", { type: "button", class: "at-quiet-button", textContent: "Close", onclick: () => dialog.close() });
  const dialog = element("dialog", { class: "am-drawer", "aria-label": "Networks" }, element("div", { class: "am-drawer-head" }, element("h2", { textContent: "Networks" }), close), element("at-cards", { form }));
  dialog.onclose = () => dialog.remove();
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector(".am-search").focus();
};

/* -- the tab --------------------------------------------------------------------------------------------------------------------- */

class ModelsTab extends HTMLElement {
  connectedCallback() {
    if (this.parts) return;
    this.parts = { Files: element("at-cards"), Merge: element("at-merge"), Download: element("at-downloads") };
    this.buttons = Object.keys(this.parts).map((name) => element("button", { type: "button", class: "am-part", "data-part": name, textContent: name, onclick: () => this.show(name) }));
    this.replaceChildren(element("div", { class: "am-parts", role: "group", "aria-label": "Part" }, ...this.buttons), ...Object.values(this.parts));
    this.show(memory.get("models part", "Files"));
  }
  show(name) {
    const shown = name in this.parts ? name : "Files";
    memory.set("models part", shown);
    for (const [part, place] of Object.entries(this.parts)) place.hidden = part !== shown;
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.part === shown));
  }
}
customElements.define("at-models", ModelsTab);
