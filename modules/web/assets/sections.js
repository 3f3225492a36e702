/* The folded sections of a form: what is set in them, the size of the second pass, kept styles, wildcards. */

/* As the engine works it out: one side given keeps the shape, both are covered and cut; whole latents of 8 pixels. */
function hiresSize({ width, height, hr_scale, hr_resize_x, hr_resize_y }) {
  const [w, h, x, y] = [width, height, hr_resize_x, hr_resize_y].map(Number);
  let size = [Math.floor(w * hr_scale), Math.floor(h * hr_scale)];
  if (x && y) size = [x, y];
  else if (x) size = [x, Math.floor((x * h) / w)];
  else if (y) size = [Math.floor((y * w) / h), y];
  return size.map((side) => Math.floor(side / 8) * 8);
}
atelier.hiresSize = hiresSize;

const hiresWords = (values) => {
  const [width, height] = hiresSize(values);
  return Number.isFinite(width) && Number.isFinite(height) ? `${width}x${height}` : "";
};

class HiresSize extends HTMLElement {
  connectedCallback() {
    this.tab = this.getAttribute("form");
    this.paint = this.paint.bind(this);
    board.addEventListener(`form ${this.tab}`, this.paint);
    this.paint();
  }
  disconnectedCallback() {
    board.removeEventListener(`form ${this.tab}`, this.paint);
  }
  paint() {
    const values = forms.values(this.tab);
    const size = hiresWords(values);
    const words = size && (values.enable_hr ? `from ${values.width}x${values.height} to ${size}` : `off; would be ${size}`);
    this.replaceChildren(element("p", { class: "at-note", textContent: words || "" }));
  }
}
customElements.define("at-hires-size", HiresSize);

/* -- what is set in a folded section ------------------------------------------------------------------------------------ */

/* Sections that are on or off; all others say how many of their fields are not as usual. */
const SECTION_WORDS = {
  hr: (values) => (values.enable_hr ? hiresWords(values) : ""),
  enable: (values) => values.refiner_model ?? "",
  subseed_show: (values) => (Number(values.subseed_strength) ? `strength ${values.subseed_strength}` : changedWords(values, ["seed_resize_from_w", "seed_resize_from_h"])),
};
const changedWords = (values, names) => (names.some((name) => Number(values[name])) ? "seed of another size" : "");
const asUsual = (value, usual) => value == null || String(value) === String(usual);

function sectionWords(prefix, id) {
  const { fields, values } = formState(prefix);
  const special = SECTION_WORDS[id.replace(`${prefix}_`, "")];
  if (special) return special(values);
  const changed = Object.entries(fields).filter(([name, { within, usual }]) => within?.includes(id) && name in values && !asUsual(values[name], usual));
  return changed.length > 1 ? `${changed.length} changed` : (changed[0]?.[1].label ?? "");
}

function noteSections(prefix) {
  const sections = new Set(Object.values(formState(prefix).fields ?? {}).flatMap(({ within }) => within ?? []));
  for (const id of sections) {
    const head = by(id)?.querySelector(":scope > button.label-wrap");
    if (!head) continue;
    const note = head.querySelector(".at-section-note") ?? element("span", { class: "at-section-note" });
    if (!note.isConnected) head.insertBefore(note, head.lastElementChild);
    setText(note, sectionWords(prefix, id));
  }
  const chosen = formState(prefix).values.styles?.length ?? 0;
  const button = by(`${prefix}_styles_show`);
  if (!button) return;
  button.dataset.chosen = chosen || "";
  if (!button.hasAttribute("aria-expanded")) styles.toggle(prefix, Boolean(memory.get("styles", {})[prefix]));
}
["txt2img", "img2img"].forEach((prefix) => hear(`form ${prefix}`, () => noteSections(prefix)));

/* -- kept styles ---------------------------------------------------------------------------------------------------------- */

const styles = (atelier.styles = {});
const stylesToRestore = {};

/* Seen or not is an attribute of the page: Gradio may write the elements anew. */
styles.toggle = (prefix, open = !document.body.hasAttribute(`data-styles-${prefix}`)) => {
  document.body.toggleAttribute(`data-styles-${prefix}`, open);
  by(`${prefix}_styles_show`)?.setAttribute("aria-expanded", String(open));
  memory.set("styles", { ...memory.get("styles", {}), [prefix]: open });
};

styles.said = (prefix, text) => {
  const { sentence, problem, before = [], kept } = JSON.parse(text || "{}");
  tell("styles said", { prefix, problem: problem ?? "" });
  if (!sentence) return;
  announce(sentence);
  const undo = () => {
    stylesToRestore[prefix] = text;
    by(`${prefix}_style_restore`)?.click();
  };
  if (before.length) offerUndo(sentence, undo);
  else if (kept) sayBriefly(sentence);
};

styles.toRestore = (prefix) => [stylesToRestore[prefix] ?? ""];

class StylesSaid extends HTMLElement {
  connectedCallback() {
    const form = this.getAttribute("form");
    hear("styles said", ({ prefix, problem }) => prefix === form && this.isConnected && this.replaceChildren(problem && element("p", { class: "at-problem", role: "alert", textContent: problem })));
  }
}
customElements.define("at-styles-said", StylesSaid);

/* A wildcard goes to where the cursor was in the prompt; the list is empty again, ready for the next. */
styles.insert = (prefix, word) => {
  if (!word) return null;
  const box = document.querySelector(`#${prefix}_prompt textarea`);
  const { prompt } = forms.values(prefix);
  const place = box ? box.selectionEnd : prompt.length;
  const glue = place && !/[\s,({|]$/.test(prompt.slice(0, place)) ? " " : "";
  forms.fill(prefix, { prompt: `${prompt.slice(0, place)}${glue}__${word}__${prompt.slice(place)}` });
  return null;
};

/* -- the model of a picture whose text was read ----------------------------------------------------------------------------- */

const modelsToChoose = {};

/* Gradio may change the element that is there or write another; `turn` is another one for each text that was read. */
class OtherModel extends HTMLElement {
  static observedAttributes = ["turn"];
  attributeChangedCallback() {
    clearTimeout(this.soon); /* all attributes of one answer together */
    this.soon = setTimeout(() => this.isConnected && this.read());
  }
  read() {
    const form = this.getAttribute("form");
    const { named, here, problem } = JSON.parse(this.getAttribute("model") ?? "{}");
    if (!named) return;
    const use = () => {
      modelsToChoose[form] = here;
      by(`${form}_choose_model`)?.click();
    };
    sayBriefly(problem || `It was made with the model ${here}.`, here ? { "Use that model": use } : {});
  }
}
customElements.define("at-other-model", OtherModel);

forms.modelToChoose = (prefix) => modelsToChoose[prefix] ?? "";
forms.modelChosen = () => by("refresh_sd_model_checkpoint")?.click();

/* A sentence for ten seconds, with things to do about it. */
function sayBriefly(sentence, offers = {}) {
  by("at_said")?.remove();
  const bar = element("div", { id: "at_said", class: "at-toast", role: "status" }, element("span", { textContent: sentence }));
  for (const [words, call] of Object.entries(offers)) bar.append(element("button", { type: "button", textContent: words, onclick: () => (call(), bar.remove()) }));
  document.body.append(bar);
  setTimeout(() => bar.remove(), 10000);
}
