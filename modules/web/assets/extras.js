/* The Extras tab: pictures that are to become larger, and the results beside what they were made of. */

const EXTRAS = "extras";
const EXTRAS_MOST = 500;
forms.places[EXTRAS] = { pictures: { id: "extras_problems" } };

const extras = (atelier.extras = {
  pictures: memory.get("extras.pictures", []) /* {id, name, width, height}; on the server already */,
  coming: 0 /* that are being sent */,
  job: memory.get("extras.job", "") /* whose results are shown */,
  results: [] /* {id, url, infotext, width, height, name, before} */,
  chosen: 0,

  say(sentence) {
    forms.showProblems(EXTRAS, { pictures: sentence });
    announce(sentence);
  },
  keep(pictures) {
    extras.pictures = pictures;
    memory.set("extras.pictures", pictures);
    tell("extras");
  },
  async add(files) {
    const pictures = [...files].filter((file) => file.type.startsWith("image/"));
    forms.clearProblems(EXTRAS);
    if (!pictures.length) return extras.say("None of these files is a picture that can be read: PNG, JPEG, WebP, GIF and BMP can.");
    if (extras.pictures.length + pictures.length > EXTRAS_MOST) return extras.say(`At most ${EXTRAS_MOST} pictures can be made larger at a time.`);
    const refused = [];
    extras.coming += pictures.length;
    tell("extras");
    for (const file of pictures) {
      try {
        const blob = SENT_KINDS.has(file.type) ? file : await asPng(file);
        const known = await extrasUpload(blob);
        extras.keep([...extras.pictures, { ...known, name: file.name ?? "" }]);
      } catch (trouble) {
        refused.push(`${file.name || "A picture"}: ${trouble instanceof Trouble ? trouble.message : "it cannot be read."}`);
      }
      extras.coming -= 1;
      tell("extras");
    }
    if (refused.length) extras.say(refused.slice(0, 3).join(" ") + (refused.length > 3 ? ` And ${refused.length - 3} more.` : ""));
    else announce(`${pictures.length === 1 ? "One picture" : `${pictures.length} pictures`} added.`);
  },
  drop(one) {
    extras.keep(extras.pictures.filter((other) => other !== one));
  },
  clear() {
    const before = extras.pictures;
    extras.keep([]);
    offerUndo(before.length === 1 ? "The picture is taken away." : `${before.length} pictures are taken away.`, () => extras.keep(before));
  },
  generate() {
    forms.clearProblems(EXTRAS);
    if (extras.coming) return extras.say("Some pictures are still on their way to the server; press Generate again in a moment.");
    if (!extras.pictures.length) return extras.say("There is no picture yet: drop some here, paste one, or choose files.");
    by("extras_send").click();
  },
  sending(values) {
    const task = extras.pictures.map(({ id, name }) => ({ id, name }));
    return jobs.sending(EXTRAS, [...values.slice(0, -1), JSON.stringify(task)]);
  },
  choose(at) {
    extras.chosen = Math.max(0, Math.min(extras.results.length - 1, at));
    tell("extras results");
  },
});

async function extrasUpload(blob) {
  const options = { method: "POST", body: blob, headers: { "Content-Type": blob.type || "image/png" } };
  const answer = await fetch(address("api/v1/inputs"), options).catch(() => null);
  if (!answer) throw new Trouble("The server does not answer; add it again in a moment.");
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble(typeof read.detail === "string" ? read.detail : `The server did not take it (${answer.status}).`);
  return read;
}

/* -- words for a picture --------------------------------------------------------------------------------------------------- */

/* What a picture shows, in words, for any tab: `what` is {blob}, {url} or {input: an id of the server}. Throws Trouble. */
atelier.describe = async (what) => {
  const picture = what.input ?? (await extrasUpload(await blobFrom(what))).id;
  const { job } = await ask("api/v1/describe", { method: "POST", body: { picture } });
  for (;;) {
    const live = await ask(`api/v1/jobs/${job}`);
    if (live.state === "failed") throw new Trouble(live.sentence || "The picture could not be described.");
    if (ENDED.has(live.state)) return live.result || "";
    await new Promise((done) => setTimeout(done, 400));
  }
};

class ExtrasWords extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "status");
    this.say("");
  }
  say(text, ready = false) {
    const use = () => (forms.fill("txt2img", { prompt: text }), openTab("txt2img"));
    const button = (words, onclick) => element("button", { type: "button", class: "at-quiet-button", textContent: words, onclick });
    const tools = ready && element("div", { class: "at-tools" }, button("Use as prompt", use), button("Copy text", () => copy(text)));
    this.hidden = !text;
    this.replaceChildren(...[element("p", { class: "ax-text", textContent: text }), tools].filter(Boolean));
  }
  async describe(input) {
    this.say("Looking at the picture…");
    try {
      const text = await atelier.describe({ input });
      this.say(text || "Nothing was found to say about this picture.", Boolean(text));
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.say("");
      extras.say(trouble.message);
    }
  }
}
customElements.define("at-extras-words", ExtrasWords);

/* -- what is to be made larger ------------------------------------------------------------------------------------------ */

class ExtrasPictures extends HTMLElement {
  connectedCallback() {
    this.files = element("input", { type: "file", multiple: true, accept: "image/*", hidden: true, "aria-label": "Pictures", onchange: () => this.taken(this.files) });
    this.folder = element("input", { type: "file", webkitdirectory: true, hidden: true, "aria-label": "Folder of pictures", onchange: () => this.taken(this.folder) });
    const button = (words, onclick, help, look = "at-quiet-button") => element("button", { type: "button", class: look, textContent: words, title: help, onclick });
    const first = button("Choose pictures…", () => this.files.click(), "One or several", "ac-first");
    const words = element("p", {}, element("b", { textContent: "Drop pictures here" }), " or paste one. They are made larger by the settings below.");
    this.empty = element("div", { class: "ax-empty" }, words, element("div", { class: "at-tools" }, first, button("A whole folder…", () => this.folder.click(), "All pictures in it")));
    this.list = element("ul", { class: "ac-batch ax-list", "aria-label": "Pictures to make larger" });
    this.words = element("p", { class: "at-note", role: "status" });
    this.told = new ExtrasWords();
    this.describe = button("Describe", () => this.told.describe(extras.pictures[0].id), "Put what the picture shows into words");
    this.tools = element("div", { class: "at-tools" }, button("Add pictures…", () => this.files.click()), button("Add a folder…", () => this.folder.click()), button("Take all away", () => extras.clear()), this.describe);
    this.replaceChildren(this.files, this.folder, this.empty, this.list, this.words, this.tools, this.told);
    this.paint = this.paint.bind(this);
    board.addEventListener("extras", this.paint);
    this.paint();
    appeared("#extras_refresh_choices").then((refresh) => refresh.click());
  }
  disconnectedCallback() {
    board.removeEventListener("extras", this.paint);
  }
  taken(input) {
    const files = [...input.files];
    input.value = ""; /* so that the same file can be chosen again */
    extras.add(files);
  }
  paint() {
    const many = extras.pictures.length;
    this.empty.hidden = many > 0;
    this.list.hidden = this.tools.hidden = !many;
    this.describe.hidden = many !== 1;
    if (this.first !== extras.pictures[0]?.id) this.told.say("");
    this.first = extras.pictures[0]?.id;
    const parts = [many === 1 ? extrasSize(extras.pictures[0]) : many && `${many} pictures`, extras.coming && `${extras.coming} on the way…`];
    setText(this.words, parts.filter(Boolean).join(" · "));
    this.list.replaceChildren(...extras.pictures.map((one) => extrasRow(one)));
  }
}
customElements.define("at-extras-pictures", ExtrasPictures);

const extrasSize = ({ name, width, height }) => `${name ? `${name}, ` : ""}${width} × ${height}`;

function extrasRow(one) {
  const image = element("img", { src: address(`api/v1/inputs/${one.id}`), alt: one.name || "Picture", title: extrasSize(one), loading: "lazy" });
  image.onerror = () => extras.drop(one); /* the server keeps pictures for a week */
  const remove = element("button", { type: "button", class: "ac-remove", "aria-label": `Take ${one.name || "this picture"} away`, textContent: "×", onclick: () => extras.drop(one) });
  return element("li", {}, image, remove);
}

const extrasInSight = () => seen(by("extras_layout"));

addEventListener("dragover", (event) => {
  if (!extrasInSight() || !takesFiles(event)) return;
  event.preventDefault();
  by("extras_layout").classList.add("ax-dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget || by("extras_layout")?.classList.remove("ax-dropping"));
addEventListener("drop", (event) => {
  by("extras_layout")?.classList.remove("ax-dropping");
  if (!extrasInSight() || !takesFiles(event)) return;
  event.preventDefault();
  if (event.dataTransfer.files.length) return extras.add(event.dataTransfer.files);
  const link = event.dataTransfer.getData("text/uri-list");
  if (link.startsWith(new URL(".", document.baseURI).href)) fetched(link).then((blob) => extras.add([new File([blob], "picture.png", { type: blob.type })]), (trouble) => extras.say(trouble.message));
});
addEventListener("paste", (event) => {
  const files = event.clipboardData?.files ?? [];
  if (!extrasInSight() || !files.length) return;
  event.preventDefault();
  extras.add(files);
});

/* -- by a factor, or to a size ------------------------------------------------------------------------------------------ */

class ExtrasSize extends HTMLElement {
  connectedCallback() {
    const choice = (value, words, id) => element("button", { type: "button", role: "radio", id, textContent: words, onclick: () => this.choose(value), onkeydown: (event) => this.walk(event) });
    this.choices = [choice(false, "Scale by", "extras_scale_by_tab"), choice(true, "Scale to", "extras_scale_to_tab")];
    this.replaceChildren(element("div", { class: "ac-choice", role: "radiogroup", "aria-label": "Size of the result" }, ...this.choices));
    this.words = element("p", { class: "ac-words", role: "status" });
    this.append(this.words);
    this.paint = this.paint.bind(this);
    ["extras", "form extras"].forEach((name) => board.addEventListener(name, this.paint));
    this.paint();
  }
  disconnectedCallback() {
    ["extras", "form extras"].forEach((name) => board.removeEventListener(name, this.paint));
  }
  choose(bySize) {
    forms.fill(EXTRAS, { by_size: bySize });
    this.choices[Number(bySize)].focus();
  }
  walk(event) {
    const to = { ArrowLeft: false, ArrowUp: false, ArrowRight: true, ArrowDown: true }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(to);
  }
  paint() {
    const values = forms.values(EXTRAS);
    const bySize = Boolean(values.by_size);
    document.body.toggleAttribute("data-extras-to", bySize);
    this.choices.forEach((one, at) => {
      one.setAttribute("aria-checked", String(bySize === Boolean(at)));
      one.tabIndex = bySize === Boolean(at) ? 0 : -1;
    });
    setText(this.words, extras.pictures.length === 1 ? extrasTarget(extras.pictures[0], values) : "");
  }
}
customElements.define("at-extras-size", ExtrasSize);

/* What the picture will become, in words; the server works it out in the same way. */
function extrasTarget({ width, height }, values) {
  const wanted = [Number(values.upscale_w), Number(values.upscale_h)];
  const scale = values.by_size ? Math.max(wanted[0] / width, wanted[1] / height) : Number(values.upscale_by);
  const size = values.by_size && values.crop ? wanted : [Math.round(width * scale), Math.round(height * scale)];
  return size.every((side) => side > 0) ? `${width} × ${height} becomes ${size[0]} × ${size[1]}` : "";
}

/* -- results -------------------------------------------------------------------------------------------------------------- */

/* Results of the job that is followed, with the pictures they were made of: only the job in full knows those. */
function extrasFollow(live) {
  if (live?.kind !== "upscale") return;
  if (live.id !== extras.job) {
    Object.assign(extras, { job: live.id, results: [], chosen: 0 });
    memory.set("extras.job", live.id);
    tell("extras results");
  }
  if (live.pictures.length > extras.results.length) extrasShow(live.id);
}

/* An answer may be overtaken by a later one that knows more, or not come at all while the server is busy. */
async function extrasShow(id, tries = 5) {
  let job;
  try {
    job = await ask(`api/v1/jobs/${id}`);
  } catch (trouble) {
    if (trouble.status !== 404 && tries) setTimeout(() => extrasShow(id, tries - 1), 1000);
    return;
  }
  if (id !== extras.job || job.kind !== "upscale" || job.pictures.length < extras.results.length) return;
  const { pictures, names } = job.request;
  extras.results = job.pictures.map((one) => ({ ...one, before: `api/v1/inputs/${pictures[one.index]}`, name: names[one.index] ?? "" }));
  tell("extras results");
}

hear("jobs", () => extrasFollow(jobs.live));
if (extras.job) extrasShow(extras.job);

class ExtrasResults extends HTMLElement {
  connectedCallback() {
    this.trouble = element("div", { class: "at-trouble-place" });
    this.stage = element("div", { class: "at-stage ax-stage" });
    this.strip = element("div", { class: "at-strip", role: "listbox", "aria-label": "Results", tabindex: "0", onkeydown: (event) => this.keys(event) });
    this.below = element("div", { class: "at-below" });
    this.replaceChildren(this.trouble, this.stage, this.strip, this.below);
    this.paint = this.paint.bind(this);
    ["jobs", "extras results"].forEach((name) => board.addEventListener(name, this.paint));
    this.paint();
  }
  disconnectedCallback() {
    ["jobs", "extras results"].forEach((name) => board.removeEventListener(name, this.paint));
  }
  paint() {
    const failed = jobs.live?.kind === "upscale" && jobs.live.state === "failed" ? jobs.live : null;
    const shown = extras.results[extras.chosen] ?? null;
    const mark = [failed?.id, shown?.id, ...extras.results.map((one) => one.id)].join();
    if (mark === this.mark) return;
    this.mark = mark;
    this.trouble.replaceChildren(failed ? problemCard(failed.sentence || "This job failed.", failed.detail) : "");
    this.stage.replaceChildren(shown ? new ExtrasCompare(shown).place : element("div", { class: "at-empty" }, element("p", { textContent: "The result will appear here, beside the picture it was made of." })));
    this.paintStrip();
    this.paintBelow(shown);
  }
  paintStrip() {
    this.strip.hidden = extras.results.length < 2;
    this.strip.replaceChildren(
      ...extras.results.map((one, at) => {
        const known = { role: "option", class: "at-thumb", "aria-selected": String(at === extras.chosen), "aria-label": extrasSize(one), onclick: () => extras.choose(at) };
        return element("div", known, element("img", { src: address(one.url), alt: "", loading: "lazy", width: 64, height: 64 }));
      }),
    );
  }
  paintBelow(shown) {
    if (!shown) return this.below.replaceChildren();
    const download = element("a", { class: "at-quiet-button", href: address(shown.url), download: extrasFileName(shown), textContent: "Download" });
    const all = extras.results.length > 1 && element("button", { type: "button", class: "at-quiet-button", textContent: "Download all", onclick: () => extrasDownloadAll() });
    const again = element("button", { type: "button", class: "at-quiet-button", textContent: "Enlarge again", title: "Take this result as the picture to make larger", onclick: () => extrasAgain(shown) });
    this.below.replaceChildren(
      element("p", { class: "at-note", textContent: extrasSize(shown) }),
      element("div", { class: "at-tools" }, download, all, again),
      typeof sendButtons === "function" ? sendButtons(() => shown, [EXTRAS]) : "",
      shown.infotext ? element("pre", { class: "at-infotext", tabindex: "0", "aria-label": "Text of the picture", textContent: shown.infotext }) : "",
    );
  }
  keys(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    extras.choose(extras.chosen + step);
    announce(extrasSize(extras.results[extras.chosen]));
  }
}
customElements.define("at-extras-results", ExtrasResults);

const extrasFileName = ({ name, id }) => `${(name || id).replace(/\.[^.]*$/, "")}-large.png`;

function extrasDownloadAll() {
  for (const one of extras.results) element("a", { href: address(one.url), download: extrasFileName(one) }).click();
}

async function extrasAgain(shown) {
  try {
    const blob = await fetched(shown.url);
    extras.keep([]);
    await extras.add([new File([blob], extrasFileName(shown), { type: "image/png" })]);
  } catch (trouble) {
    extras.say(trouble.message);
  }
}

/* Before and after, one over the other: a slider moves the line between them, by pointer or arrow keys. */
class ExtrasCompare {
  constructor({ url, before, width, height, name }) {
    const image = (src, alt, look) => element("img", { src: address(src), alt, class: look, width, height, draggable: "false" });
    this.old = image(before, "", "ax-before");
    this.old.onerror = () => (this.place.classList.add("ax-alone"), this.set(0)); /* the server has forgotten it */
    this.slider = element("input", { type: "range", min: 0, max: 100, step: 1, value: 50, "aria-label": "Line between before (left) and after (right)", oninput: () => this.set(this.slider.value) });
    const words = (text, look) => element("span", { class: `ax-word ${look}`, textContent: text, "aria-hidden": "true" });
    this.frame = element("div", { class: "ax-frame" }, image(url, `${name || "The picture"}, made larger`, "ax-after"), this.old, element("span", { class: "ax-line" }), words("before", "ax-left"), words("after", "ax-right"), this.slider);
    this.frame.style.setProperty("--ax-shape", `${width} / ${height}`);
    this.frame.style.setProperty("--ax-ratio", width / height);
    this.place = element("div", { class: "ax-compare" }, this.frame);
    this.set(50);
  }
  set(percent) {
    this.frame.style.setProperty("--ax-at", `${percent}%`);
  }
}
