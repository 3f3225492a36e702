/* The first page of the tab: pictures at the left, what to do with them at the right, the plan and Start below. */

class StartPage {
  constructor() {
    const pictures = new Pictures();
    this.bar = new StartBar();
    const left = element("div", { class: "tr-left" }, pictures.place, new Captions().place);
    const basic = element("div", { class: "tr-grid" }, element("div", { class: "tr-stack" }, control("class_noun"), control("name")), new Token().place, element("div", { class: "tr-wide tr-label", id: "train_method", textContent: "Method" }), element("div", { class: "tr-wide" }, new Methods().place), new Preset().place, control("model"), control("max_train_steps"), control("learning_rate"), control("num_vectors"), control("instance_prompt", { wide: true }), new Prior().place);
    const load = picker("Settings file", ([file]) => file && loadSettings(file), { accept: ".json,application/json" });
    const files = tools(button("Save settings", saveSettings, { help: "As a JSON file" }), button("Load settings…", () => load.click(), { help: "From such a file, or a run's plan.json" }), button("Start over", startOver, { help: "Empty this page; can be undone for ten seconds" }), load);
    this.place = element("div", { class: "tr-start" }, left, element("div", { class: "tr-right" }, heading("Your training"), basic, sections(), files, this.bar.place));
  }
}

function startOver() {
  const before = JSON.stringify(DRAFT);
  Object.assign(DRAFT, empty());
  train.refused = [];
  changed();
  offerUndo("The page is empty.", () => (Object.assign(DRAFT, JSON.parse(before)), changed()));
}

/* -- what keeps it from starting, what it will cost ------------------------------------------------------------------------------------ */

const CONSENT = "Train only on pictures that you may use, and on people who agreed. The files will say how they were made.";

/* What a measurement holds for: everything but the texts and the number of steps. */
const costKey = () => {
  const { max_train_steps, name, identifier, class_noun, instance_prompt, class_prompt, preview_prompts, captions, names, seed, preset, ...rest } = plan();
  return JSON.stringify({ ...rest, pictures: rest.pictures.length });
};

class StartBar {
  constructor() {
    this.problems = new Part("div", { class: "tr-problems" });
    this.line = new Part("dl", { class: "tr-plan", "aria-label": "Plan" });
    this.reason = element("p", { class: "tr-reason", role: "status", id: "train_reason" });
    this.fix = new Part("span", { class: "tr-fix" });
    this.start = primary("Start training", () => this.go("start"), { id: "train_start", "aria-describedby": "train_reason" });
    this.measure = button("Measure", () => this.go("measure"), { id: "train_measure", help: "Takes a few steps to find out how long it takes and how much memory it needs; nothing is kept" });
    this.place = element("div", { class: "tr-bar" }, this.problems.place, this.line.place, element("div", { class: "tr-because" }, this.reason, this.fix.place), element("div", { class: "tr-line tr-go" }, this.start, this.measure), note(CONSENT, { class: "at-note tr-consent" }));
    for (const name of ["train", "train check", "train measure"]) hear(name, () => this.paint());
    this.paint();
  }
  problems_() {
    const known = (train.check?.problems ?? []).filter((one) => one.level !== "green");
    const measured = this.measured();
    const small = measured?.fits === false && { field: "", level: "amber", message: measured.advice || "It does not fit: choose less." };
    return small ? [small, ...known] : known;
  }
  measured() {
    return train.measured && train.measuredFor === costKey() ? train.measured : null;
  }
  /* "" when it can start. */
  obstacle() {
    if (train.coming) return "Pictures are on the way…";
    if (!DRAFT.pictures.length) return "Add pictures of your subject first.";
    if (train.sending) return train.sending;
    if (train.trouble) return train.trouble;
    if (!train.check) return "Looking at your pictures…";
    const red = train.check.problems.find((one) => one.level === "red");
    if (red) return red.message;
    return train.check.level === "red" ? "One of the pictures is of no use: take it away." : "";
  }
  paint() {
    const obstacle = this.obstacle();
    this.start.disabled = Boolean(obstacle);
    this.measure.disabled = Boolean(obstacle);
    setText(this.reason, obstacle || (train.check?.level === "amber" ? `It can start; look at the ${this.problems_().length ? "remarks above" : "pictures with a remark"} first.` : ""));
    const shown = DRAFT.pictures.length ? this.problems_().filter((one) => one.message !== obstacle) : [];
    const because = this.problems_().find((one) => one.message === obstacle);
    this.fix.show([because?.message, Boolean(because?.fix)], because && this.remedy(because));
    this.problems.show(shown, ...shown.map((one) => this.problem(one)));
    const facts = this.facts();
    this.line.show(facts, ...facts.flatMap(([name, words]) => [element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: words }))]));
  }
  /* A button that puts it right, else one that shows where. */
  remedy(one) {
    if (one.fix) return button(one.fix.label, () => applyFix(one.fix));
    return by(`train_${one.field}`) && button("Show", () => reveal(by(`train_${one.field}`)), { "aria-label": `Show: ${fieldOf(one.field)?.label ?? one.field}` });
  }
  problem(one) {
    return element("div", { class: "tr-problem-line", "data-level": one.level }, verdict(one.level, one.message), this.remedy(one));
  }
  facts() {
    const told = train.check?.plan ?? {};
    const measured = this.measured();
    const facts = [];
    if (!DRAFT.pictures.length) return facts;
    if (told.steps) facts.push(["Steps", `${told.steps.toLocaleString()}${told.epochs ? `, ${counted(number(told.epochs), "epoch")}` : ""}`]);
    if (told.pictures_seen) facts.push(["Pictures seen", told.pictures_seen.toLocaleString()]);
    if (measured) {
      const total = told.steps ? measured.seconds_per_step * told.steps + (measured.class_seconds ?? 0) : measured.seconds_total;
      facts.push(["Time", seconds(total)], ["Disk", `${sizeWords(measured.disk_needed)} of ${sizeWords(measured.disk_free)} free`]);
      facts.push(["Memory", `${sizeWords(measured.memory_peak)}${measured.memory_available ? ` of ${sizeWords(measured.memory_available)}` : ""}${measured.fits === false ? ": too little" : ""}`]);
    } else if (told.steps) {
      if (told.disk) facts.push(["Disk", `about ${sizeWords(told.disk)}`]);
      if (told.memory) facts.push(["Memory", `about ${sizeWords(told.memory)}`]);
      facts.push(["Time", "press Measure"]);
    }
    return facts;
  }
  async go(what) {
    const key = costKey();
    train.sending = what === "start" ? "Starting…" : "Measuring: a few steps are taken…";
    tell("train measure");
    try {
      await train.deleteNow?.();
      const view = await send(what === "start" ? API : `${API}/measure`, plan());
      if (what === "start") return showRun(view.run);
      await this.waitMeasured(view.run);
      train.measuredFor = key;
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.problems.show(trouble.message, problemCard(trouble.message));
      announce(trouble.message);
      this.problems.place.scrollIntoView({ block: "nearest" });
    } finally {
      train.sending = "";
      if (what === "start") setText(this.reason, ""), (this.start.disabled = false);
      else tell("train measure");
    }
  }
  async waitMeasured(run) {
    for (;;) {
      const view = await ask(`${API}/${run}`);
      if (view.measure) train.measured = view.measure;
      if (OVER.has(view.state)) {
        if (view.state === "failed") throw new Trouble(sentenceOf(view) || "It could not be measured.");
        announce("Measured.");
        return;
      }
      train.sending = `Measuring: ${view.doing || view.state}…`;
      tell("train measure");
      await new Promise((done) => setTimeout(done, 500));
    }
  }
}

function reveal(place) {
  for (let one = place.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  place.scrollIntoView({ block: "center", behavior: "smooth" });
  place.focus();
}
