/* Forms: remember and restore values, fill them from elsewhere, put a sentence below the field it is about.
   Values are set through one hidden Gradio button per form, whose event writes all fields at once. */

const forms = (atelier.forms = {});
const formStates = {};
const formState = (prefix) => (formStates[prefix] ??= { fields: {}, values: {}, pending: null, restored: false, text: "" });

/* -- values ------------------------------------------------------------------------------------------------------- */

const tabled = (names, values) => Object.fromEntries(names.map((name, at) => [name, values[at]]));

forms.remember = (prefix, names, values) => {
  const state = formState(prefix);
  state.values = tabled(names, values);
  if (!state.restored) return;
  memory.set(`form.${prefix}`, { values: state.values, native: model.known });
  countTokens(prefix);
  if (prefix in shownProblems) clearChangedProblems(prefix);
  tell(`form ${prefix}`);
};

forms.restored = (prefix, names, values) => {
  const state = formState(prefix);
  const kept = memory.get(`form.${prefix}`, null);
  state.restored = true;
  const merged = { ...tabled(names, values), ...(kept?.values ?? {}) };
  if (kept) adoptNativeSize(merged, kept.native);
  state.values = merged;
  setTimeout(() => {
    countTokens(prefix);
    tell(`form ${prefix}`);
    by(`${prefix}_refresh_choices`)?.click(); /* what is remembered is to be on the lists */
  });
  return names.map((name, at) => merged[name] ?? values[at]);
};

/* What is asked for at the same time is filled in together: each filling writes all fields. */
forms.fill = (prefix, changes) => {
  const state = formState(prefix);
  if (!state.pending) setTimeout(() => by(`${prefix}_fill`)?.click());
  state.pending = { ...state.pending, ...changes };
};

forms.filled = (prefix, names, values) => {
  const state = formState(prefix);
  const changes = state.pending ?? {};
  state.pending = null;
  return names.map((name, at) => (name in changes ? changes[name] : values[at]));
};

forms.values = (prefix) => formState(prefix).values;

/* -- sizes and seeds ------------------------------------------------------------------------------------------------ */

const model = { known: null, problem: "" };

/* A size that nobody changed belongs to the model: another model brings its own. */
function adoptNativeSize(values, native) {
  const untouched = native && Number(values.width) === native.width && Number(values.height) === native.height;
  if (!untouched || !model.known) return false;
  const same = model.known.width === native.width && model.known.height === native.height;
  values.width = model.known.width;
  values.height = model.known.height;
  return !same;
}

/* Elements that Gradio writes anew carry words in attributes and have no children: it would remove them. */
class ModelElement extends HTMLElement {
  static observedAttributes = ["model", "problem"];
  connectedCallback() {
    this.attributeChangedCallback();
  }
  attributeChangedCallback() {
    clearTimeout(this.soon); /* all attributes of one answer together */
    this.soon = setTimeout(() => this.isConnected && this.read());
  }
  read() {
    const native = model.known;
    model.known = JSON.parse(this.getAttribute("model") ?? "null");
    model.problem = this.getAttribute("problem") ?? "";
    for (const prefix of Object.keys(formStates)) {
      const values = { ...formStates[prefix].values };
      if (adoptNativeSize(values, native)) forms.fill(prefix, { width: values.width, height: values.height });
    }
    tell("model");
  }
}
customElements.define("at-model", ModelElement);

class ModelNote extends HTMLElement {
  connectedCallback() {
    this.paint();
    hear("model", () => this.paint());
  }
  paint() {
    this.replaceChildren(model.problem && element("p", { class: "at-problem", role: "alert", textContent: model.problem }));
  }
}
customElements.define("at-model-note", ModelNote);

forms.swapSize = (prefix) => {
  const { width, height } = forms.values(prefix);
  forms.fill(prefix, { width: height, height: width });
};

forms.randomSeed = (prefix) => forms.fill(prefix, { seed: "-1" });

forms.reuseSeed = (prefix) => {
  const picture = viewing.selected();
  if (picture) forms.fill(prefix, { seed: String(picture.seed) });
  else announce("There is no picture yet whose seed could be used.");
};

forms.clear = (prefix) => {
  const { prompt, negative_prompt } = forms.values(prefix);
  if (!prompt && !negative_prompt) return;
  forms.fill(prefix, { prompt: "", negative_prompt: "" });
  offerUndo("The prompts are cleared.", () => forms.fill(prefix, { prompt, negative_prompt }));
};

/* Width and height with (about) the model's own number of pixels, in whole eights. */
function sizeOfRatio(across, down) {
  const area = model.known ? model.known.width * model.known.height : 512 * 512;
  const eights = (side) => Math.max(64, Math.min(2048, Math.round(side / 8) * 8));
  return { width: eights(Math.sqrt((area * across) / down)), height: eights(Math.sqrt((area * down) / across)) };
}

class Ratios extends HTMLElement {
  connectedCallback() {
    const prefix = this.getAttribute("form");
    const buttons = ["1:1", "4:3", "3:4", "16:9", "9:16"].map((ratio) => {
      const onclick = () => forms.fill(prefix, sizeOfRatio(...ratio.split(":").map(Number)));
      return element("button", { type: "button", textContent: ratio, "aria-label": `Aspect ratio ${ratio.replace(":", " to ")}`, onclick });
    });
    this.setAttribute("role", "group");
    this.setAttribute("aria-label", "Aspect ratio");
    this.replaceChildren(...buttons);
  }
}
customElements.define("at-ratios", Ratios);

/* -- a picture's text back into the form ------------------------------------------------------------------------------ */

/* Called by Gradio just before the event: what is to be read. Without a waiting text it is the prompt itself. */
forms.textToPaste = (prefix) => {
  const state = formState(prefix);
  const text = state.text || state.values.prompt || "";
  state.text = "";
  return text;
};

/* `sent`: from another tab; the settings say whether seed and size come along. */
forms.paste = (prefix, text, sent = false) => {
  formState(prefix).text = text;
  openTab(prefix);
  return appeared(`#${prefix}_${sent ? "receive" : "paste"}`).then((button) => {
    button.click();
    announce("The settings of the picture are in the form.");
  });
};

/* -- labels, help, problems -------------------------------------------------------------------------------------------- */

const shownProblems = {};

/* By form: where a sentence goes that is about no component of Gradio: {field: {id}}. */
forms.places = {};

class FormElement extends HTMLElement {
  connectedCallback() {
    const state = formState(this.getAttribute("prefix"));
    state.fields = { ...JSON.parse(this.getAttribute("fields")), ...forms.places[this.getAttribute("prefix")] };
    dress();
  }
}
customElements.define("at-form", FormElement);

/* Gradio places components when it likes, after ours too, and may place one anew: look again whenever something came. */
let dressing = false;
function dress() {
  if (dressing) return;
  dressing = true;
  requestAnimationFrame(() => {
    dressing = false;
    for (const { fields } of Object.values(formStates)) Object.values(fields ?? {}).forEach(explain);
    for (const [prefix, { fields }] of Object.entries(formStates)) if (uncounted(fields?.prompt) || uncounted(fields?.hr_prompt)) countTokens(prefix);
    restoreSections();
    for (const prefix of Object.keys(formStates)) noteSections(prefix);
  });
}
new MutationObserver(dress).observe(document.documentElement, { childList: true, subtree: true });

function explain({ id, help }) {
  const place = by(id);
  if (!place || !help || by(`${id}_help`)) return;
  place.title = help;
  const note = element("span", { class: "at-offscreen", id: `${id}_help`, textContent: help });
  place.append(note);
  for (const input of place.querySelectorAll("input, textarea")) input.setAttribute("aria-describedby", note.id);
}

forms.showProblems = (prefix, byField) => {
  forms.clearProblems(prefix);
  const { fields, values } = formState(prefix);
  const known = Object.entries(byField).filter(([name]) => fields[name] && (by(fields[name].id) || fields[name].within?.length));
  shownProblems[prefix] = Object.fromEntries(known.map(([name]) => [name, values[name]]));
  const places = known.map(([name, sentence]) => showProblem(prefix, name, sentence).catch(() => null));
  Promise.all(places).then(([first]) => {
    first?.focus();
    first?.scrollIntoView({ block: "center", behavior: "smooth" });
  });
  return known.length > 0;
};

/* Below its field, wherever that is folded away; answers what is to get the focus. */
async function showProblem(prefix, name, sentence) {
  const { id, within = [] } = formState(prefix).fields[name];
  for (const section of within) unfold(await appeared(`#${section}`));
  const place = by(id) ?? (await appeared(`#${id}`));
  if (!(name in (shownProblems[prefix] ?? {}))) return null; /* meanwhile it was asked for again */
  for (let section = place.closest(".at-section"); section; section = section.parentElement.closest(".at-section")) unfold(section);
  if (place.closest(".at-styles")) styles.toggle(prefix, true);
  place.append(element("p", { class: "at-problem", role: "alert", textContent: sentence }));
  const inputs = place.querySelectorAll("input, textarea");
  inputs.forEach((input) => input.setAttribute("aria-invalid", "true"));
  return inputs[0] ?? place;
}

function unfold(section) {
  const head = section.querySelector(":scope > button.label-wrap");
  if (head && !head.classList.contains("open")) head.click();
}

forms.clearProblems = (prefix) => {
  for (const name of Object.keys(shownProblems[prefix] ?? {})) clearProblem(prefix, name);
  delete shownProblems[prefix];
};

function clearProblem(prefix, name) {
  const place = by(formState(prefix).fields[name]?.id);
  place?.querySelectorAll(".at-problem").forEach((one) => one.remove());
  place?.querySelectorAll("[aria-invalid]").forEach((one) => one.removeAttribute("aria-invalid"));
  delete shownProblems[prefix][name];
}

function clearChangedProblems(prefix) {
  const { values } = formState(prefix);
  for (const [name, value] of Object.entries(shownProblems[prefix])) if (values[name] !== value) clearProblem(prefix, name);
}

/* Gradio's sliders silently move a number into their range when the box loses the focus. Here it stays, and the
   server's sentence about it appears below the field: nobody gets 64 pixels who typed 7. */
addEventListener("blur", (event) => event.target.matches?.(".at-studio input[type=number]") && event.stopPropagation(), true);

/* -- live token count ---------------------------------------------------------------------------------------------------- */

const counted = {};
const countTimers = {};

/* A prompt that came to the page after its tokens were counted: on a tab that is drawn when it is first opened. */
const uncounted = (field) => Boolean(field && by(field.id) && !by(field.id).querySelector(".at-count"));

function countTokens(prefix) {
  clearTimeout(countTimers[prefix]);
  countTimers[prefix] = setTimeout(() => ["prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt"].forEach((name) => countField(prefix, name)), 150);
}

async function countField(prefix, name) {
  const { fields, values } = formState(prefix);
  const place = fields?.[name] && by(fields[name].id);
  const text = values[name] ?? "";
  const steps = Number((name.startsWith("hr_") && values.hr_steps) || values.steps) || 20; /* [from:to:0.5] is another text at each */
  const mark = /[[{]/.test(text) ? `${steps} ${text}` : text;
  if (!place || (counted[fields[name].id] === mark && !uncounted(fields[name]))) return;
  counted[fields[name].id] = mark;
  let badge = place.querySelector(".at-count");
  if (!badge) place.append((badge = element("span", { class: "at-count", title: "Tokens of the text encoder: used / room" })));
  try {
    if (text.length > fields[name].longest) return setText(badge, "too long");
    const { count, limit } = text.trim() ? await ask("api/v1/tokens", { method: "POST", body: { text, steps, positive: !name.includes("negative") } }) : { count: 0, limit: 75 };
    if (counted[fields[name].id] !== mark) return;
    setText(badge, `${count}/${limit}`);
    badge.setAttribute("aria-label", `${count} of ${limit} tokens`);
  } catch {
    delete counted[fields[name].id];
    setText(badge, "");
  }
}

/* -- undo ------------------------------------------------------------------------------------------------------------------ */

function offerUndo(sentence, undo) {
  by("at_undo")?.remove();
  const bar = element("div", { id: "at_undo", class: "at-toast", role: "status" }, element("span", { textContent: sentence }));
  const close = () => bar.remove();
  bar.append(element("button", { type: "button", textContent: "Undo", onclick: () => (undo(), close()) }));
  document.body.append(bar);
  setTimeout(close, 10000);
}

/* -- sections ---------------------------------------------------------------------------------------------------------- */

const BUTTON_HELP = {
  generate: "Make the picture (Ctrl+Enter)",
  skip: "Leave this batch and go on with the next (Alt+Enter)",
  interrupt: "Stop; what is finished is kept (Esc)",
  paste: "Read prompt and settings from a picture's text that stands in the prompt",
  copy_prompts: "Copy both prompts from txt2img",
  clear_prompt: "Empty both prompts; can be undone for ten seconds",
  extra_networks: "LoRAs, embeddings and models as cards; a click puts them into the prompt",
  styles_show: "Kept prompts to add, and wildcards to insert",
  style_create: "Keep prompt and negative prompt under this name",
  style_delete: "Delete the chosen styles; can be undone for ten seconds",
};

/* Folded sections stay folded. On a narrow page all start folded, because the picture comes first; anywhere those marked
   `at-folded`, for what few people need. */
const narrow = matchMedia("(max-width: 900px)");

function restoreSections() {
  const kept = memory.get("sections", {});
  for (const head of document.querySelectorAll(".at-section > button.label-wrap:not([aria-expanded])")) {
    const section = head.parentElement;
    const open = () => head.classList.contains("open");
    const wanted = kept[section.id] ?? !(narrow.matches || section.classList.contains("at-folded"));
    head.setAttribute("aria-expanded", String(open())); /* at once: this head is taken care of */
    if (open() !== wanted) head.click();
    setTimeout(() => head.setAttribute("aria-expanded", String(open())));
    head.addEventListener("click", () =>
      setTimeout(() => {
        head.setAttribute("aria-expanded", String(open()));
        memory.set("sections", { ...memory.get("sections", {}), [section.id]: open() });
      }),
    );
  }
  for (const button of document.querySelectorAll("button.at-icon")) button.title ||= button.textContent.trim();
  for (const form of Object.keys(formStates)) for (const [id, words] of Object.entries(BUTTON_HELP)) by(`${form}_${id}`)?.setAttribute("title", words);
}
