/* What somebody is about to train: kept in this browser, checked by the server after each change. */

const { element, ask, hear, tell, memory, address, by, setText, seconds, copy, problemCard, announce, openTab, seen, appeared, forms, offerUndo, sayInToast, attempted } = atelier.shared;
const { shelf, sizeWords, Trouble, SENT_KINDS, asPng, takesFiles, fetched, upload, writing, model, ENDED, sentenceCase, options } = atelier.shared;

const API = "api/v1/training";
/* `pictures`: {id, name, caption, source, crop}; `own`: class pictures, {id, name}. */
const empty = () => ({ values: {}, preset: "", pictures: [], own: [] });
const DRAFT = { ...empty(), ...memory.get("train.draft", {}) };

const train = (atelier.train = { form: null, presets: [], methods: [], known: {}, check: null, checking: false, trouble: "", refused: [], coming: 0 });

/* Fields that mean something for some plans only. */
const METHOD = (...names) => () => names.includes(value("method"));
const PRIOR = () => Boolean(value("with_prior_preservation"));
const WHEN = {
  rank: METHOD("lora"), alpha: METHOD("lora"), targets: METHOD("lora"),
  num_vectors: METHOD("textual_inversion"), initializer_token: METHOD("textual_inversion"),
  prior_loss_weight: PRIOR, class_prompt: PRIOR, num_class_images: PRIOR, class_source: PRIOR, class_sampler: PRIOR, class_steps: PRIOR, class_cfg_scale: PRIOR, class_seed: PRIOR,
  text_encoder_lr: () => value("train_text_encoder"), stop_text_encoder: () => value("train_text_encoder"), ema_decay: () => value("use_ema"),
  lr_num_cycles: () => value("lr_scheduler") === "cosine_with_restarts", lr_power: () => value("lr_scheduler") === "polynomial",
};
const applies = (name) => WHEN[name]?.() ?? true;

const fieldOf = (name) => train.known[name];
const usual = (name) => fieldOf(name)?.default ?? "";
const value = (name) => DRAFT.values[name] ?? usual(name);
/* Numbers of which 0 means "choose for me". */
const automatic = (field) => typeof field.default === "number" && field.default <= 0 && /(^|\s)(0|-1): /.test(field.help ?? "");

/* -- prompts, composed while one types ------------------------------------------------------------------------------------- */

const noun = () => String(value("class_noun")).trim();
const inversion = () => value("method") === "textual_inversion";
const ownName = () => String(value("name")).trim();
const composedName = () => `${value("identifier")} ${noun()}`.replace(/[^\p{L}\p{N}_.]+/gu, "-").replace(/^[-_.]+|[-_.]+$/g, "") || "subject";
/* The word that will stand for the subject. */
const word = () => (inversion() ? ownName() || told("name") || composedName() : String(value("identifier")).trim());
const filled = (text) => text.replaceAll("[identifier]", word()).replaceAll("[class noun]", noun());
/* What the server made of a field that was left empty, unless something was typed since. */
const told = (name) => (train.checking ? undefined : train.check?.plan?.[name]);
const LIVE = {
  name: composedName,
  instance_prompt: () => (inversion() ? `a photo of ${word()}` : `a photo of ${word()} ${noun() || "…"}`),
  class_prompt: () => `a photo of ${noun() || "…"}`,
};
const composed = Object.fromEntries(Object.entries(LIVE).map(([name, live]) => [name, () => told(name) || live()]));
const prompt = (name) => filled(String(value(name)).trim()) || composed[name]();
const resultName = () => ownName() || composed.name();
const previewPrompts = () => DRAFT.values.preview_prompts ?? told("preview_prompts") ?? [prompt("instance_prompt"), `${prompt("instance_prompt")} in the snow`, `a photo of a ${noun() || "…"}`];

/* -- changes ----------------------------------------------------------------------------------------------------------------- */

function change(changes) {
  for (const [name, wanted] of Object.entries(changes)) {
    if (wanted === undefined || wanted === "" || wanted === null) delete DRAFT.values[name];
    else DRAFT.values[name] = wanted;
  }
  changed();
}

function changed() {
  memory.set("train.draft", DRAFT);
  tell("train");
  checkSoon();
}

function setPictures(pictures) {
  DRAFT.pictures = pictures;
  changed();
}

/* A preset replaces what the one before it set; what was said about the subject stays. */
const OF_SUBJECT = new Set(["class_noun", "identifier", "name", "model", "seed", "folder", "class_source", "class_seed", "num_processes"]);
function choosePreset(name) {
  const preset = train.presets.find((one) => one.name === name);
  const kept = Object.fromEntries(Object.entries(DRAFT.values).filter(([field]) => OF_SUBJECT.has(field)));
  DRAFT.preset = preset?.name ?? "";
  DRAFT.values = { ...kept, ...(preset?.values ?? {}) };
  changed();
}

/* Fields that somebody changed since the preset was chosen. */
function changedSince() {
  const of = train.presets.find((one) => one.name === DRAFT.preset)?.values ?? {};
  return Object.keys(DRAFT.values).filter((name) => !OF_SUBJECT.has(name) && fieldOf(name) && String(DRAFT.values[name]) !== String(of[name] ?? usual(name)));
}

/* -- what is sent -------------------------------------------------------------------------------------------------------------- */

function plan(more = {}) {
  const { pictures } = DRAFT;
  const sent = { ...DRAFT.values, preset: DRAFT.preset };
  for (const name of Object.keys(sent)) if (!applies(name)) delete sent[name];
  if (PRIOR() && value("class_source") === "own") sent.class_pictures = DRAFT.own.map((one) => one.id);
  sent.pictures = pictures.map((one) => one.id);
  sent.names = pictures.map((one) => one.name ?? "");
  sent.captions = pictures.map((one) => filled(one.caption ?? ""));
  if (pictures.some((one) => one.crop)) sent.crops = pictures.map((one) => one.crop ?? cropOf(one) ?? [0, 0, 1, 1]);
  return { ...sent, ...more };
}

/* -- what the server says of it -------------------------------------------------------------------------------------------------- */

let checkTimer = 0;
let checkNumber = 0;

function checkSoon(milliseconds = 350) {
  clearTimeout(checkTimer);
  train.checking = true; /* what it said last is of another plan */
  checkTimer = setTimeout(checkNow, milliseconds);
}

async function checkNow() {
  const number = (checkNumber += 1);
  try {
    const read = await ask(`${API}/check`, { method: "POST", body: plan(), seconds: 60 });
    if (number !== checkNumber) return;
    Object.assign(train, { check: read, trouble: "" });
  } catch (trouble) {
    if (number !== checkNumber) return;
    if (!(trouble instanceof Trouble)) throw trouble;
    train.trouble = trouble.message;
    if (trouble.unreachable) checkTimer = setTimeout(checkNow, 3000);
  }
  train.checking = false;
  tell("train check");
}

const verdictOf = (one) => train.check?.pictures?.find((told) => told.id === one.id);
const cropOf = (one) => one.crop ?? verdictOf(one)?.crop;
const problemsOf = (name) => (train.check?.problems ?? []).filter((one) => one.field === name);

/* What a sentence's button does: {label, changes}; of pictures it names those that stay. */
function applyFix({ changes }) {
  const { pictures, captions, crops, ...others } = changes;
  for (const name of ["instance_prompt", "class_prompt"]) if (!DRAFT.values[name]) delete others[name]; /* composed anyway */
  if (crops) DRAFT.pictures.forEach((one) => delete one.crop);
  if (captions) DRAFT.pictures.forEach((one, at) => captions[at] && Object.assign(one, { caption: captions[at], source: "written here" }));
  if (pictures) DRAFT.pictures = DRAFT.pictures.filter((one) => pictures.includes(one.id));
  if (others.identifier) renameSubject(others.identifier);
  change(others);
}

/* Captions follow when another identifier is taken as a whole, not while one is typed. */
function renameSubject(to) {
  const from = String(value("identifier")).trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  if (from) for (const one of DRAFT.pictures) if (one.caption) one.caption = one.caption.replace(new RegExp(`(?<!\\w)${from}(?!\\w)`, "gi"), () => to);
}

/* -- the server's lists ------------------------------------------------------------------------------------------------------------ */

const METHOD_ORDER = ["lora", "dreambooth", "textual_inversion", "custom_diffusion"]; /* then those of extensions */

async function loadForm() {
  const form = await ask(`${API}/form`, { seconds: 60 });
  const place = ({ name }) => (METHOD_ORDER.indexOf(name) + 1 || 99);
  const methods = (form.methods ?? []).toSorted((a, b) => place(a) - place(b));
  Object.assign(train, { form, presets: form.presets ?? [], methods, known: Object.fromEntries(form.fields.map((one) => [one.name, one])) });
  tell("train form");
}

/* Errors about fields come as a list; the sentences are what people read. */
async function send(path, body, { method = "POST", seconds = 60 } = {}) {
  const answer = await fetch(address(path), { method, body: body && JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(seconds * 1000) }).catch(() => null);
  if (!answer) throw new Trouble("The server does not answer.", true);
  const read = await answer.json().catch(() => ({}));
  if (answer.ok) return read;
  const { detail } = read;
  throw new Trouble(Array.isArray(detail) ? detail.map((one) => one.msg).join(" ") : detail || `The server answered ${answer.status}.`, answer.status >= 502, answer.status);
}

/* -- settings as a file ---------------------------------------------------------------------------------------------------------------- */

function download(name, text, kind = "application/json") {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: kind })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const saveSettings = () => download(`${resultName()}-training.json`, JSON.stringify(plan(), null, 2));

/* A plan: our settings file, a run's plan.json, or a run's plan to go on from. */
function takePlan(read) {
  const { pictures = [], names = [], captions = [], crops = [], class_pictures = [], preset = "", ...values } = read.plan ?? read;
  const fields = Object.entries(values).filter(([name, one]) => (fieldOf(name) || name === "preview_prompts") && String(one) !== String(usual(name)) && !(Array.isArray(one) && !one.length));
  if (!fields.length && !pictures.length) throw new Trouble("This file holds no settings of a training.");
  const before = JSON.stringify(DRAFT);
  DRAFT.values = Object.fromEntries(fields);
  DRAFT.preset = preset;
  if (pictures.length) DRAFT.pictures = pictures.map((id, at) => ({ id, name: names[at] ?? "", caption: captions[at] || undefined, crop: crops[at] ?? undefined }));
  DRAFT.own = class_pictures.map((id) => ({ id, name: "" }));
  changed();
  offerUndo("The settings are loaded.", () => (Object.assign(DRAFT, JSON.parse(before)), changed()));
}

const loadSettings = async (file) => {
  try {
    takePlan(JSON.parse(await file.text()));
  } catch (trouble) {
    sayInToast(trouble instanceof Trouble ? trouble.message : `${file.name} holds no settings of a training: it is no JSON.`);
  }
};
