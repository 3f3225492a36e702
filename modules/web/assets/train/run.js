/* One run: while it trains its numbers and previews, afterwards its result. Followed over the server's event stream. */

const OVER = new Set(["done", "stopped", "paused", "failed"]);
const STATE_NOTES = { waiting: "waiting", preparing: "preparing", "class pictures": "making class pictures", training: "training", saving: "saving", evaluating: "evaluating", done: "done", stopped: "stopped", paused: "paused", failed: "failed" };
const isOver = (view) => OVER.has(view?.state);
const modelOf = (view) => view.base?.title ?? view.plan.model ?? "";
const sentenceOf = (view) => view.sentence || view.status?.sentence || "";
const runName = (view) => view.plan?.name || view.run.slice(0, 8);

/* What the server says of a run, kept up to date until `close`. */
class Following {
  constructor(run, told) {
    Object.assign(this, { run, told, view: null, numbers: [], patience: 0 });
    this.visible = () => (document.hidden ? this.silence() : this.begin());
    document.addEventListener("visibilitychange", this.visible);
    this.begin();
  }
  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.visible);
    this.silence();
  }
  silence() {
    clearTimeout(this.timer);
    this.stream?.close();
    this.stream = null;
  }
  async begin() {
    if (this.closed) return;
    this.silence();
    try {
      const [view, log] = await Promise.all([ask(`${API}/${this.run}`), ask(`${API}/${this.run}/log?after=${this.numbers.at(-1)?.step ?? 0}`)]);
      if (this.closed) return;
      this.patience = 0;
      this.take(view);
      this.append(log);
      if (!isOver(view) || view.evaluating) this.listen();
      else this.timer = setTimeout(() => this.begin(), 10000); /* somebody else may resume or measure it */
    } catch (trouble) {
      if (this.closed) return;
      if (!(trouble instanceof Trouble)) throw trouble;
      this.told("trouble", trouble);
      if (trouble.status === 404) return;
      this.patience += 1;
      this.timer = setTimeout(() => this.begin(), Math.min(5000, 500 * this.patience));
    }
  }
  listen() {
    if (document.hidden) return;
    this.stream = new EventSource(address(`${API}/${this.run}/events?after=${this.numbers.at(-1)?.step ?? 0}`));
    const on = (name, call) => this.stream.addEventListener(name, ({ data }) => call(JSON.parse(data)));
    on("numbers", (log) => this.append(log));
    on("status", (view) => this.take(view));
    on("preview", (preview) => this.preview(preview));
    on("end", (view) => (this.take(view), this.silence(), this.begin()));
    this.stream.onerror = () => (this.silence(), (this.timer = setTimeout(() => this.begin(), 500)));
  }
  take(view) {
    this.view = view;
    this.told("view", view);
  }
  preview(one) {
    if (!this.view) return;
    const others = (this.view.previews ?? []).filter((other) => other.step !== one.step);
    this.take({ ...this.view, previews: [...others, one].sort((a, b) => a.step - b.step) });
  }
  append({ after = null, numbers = [] }) {
    if (after != null) this.numbers = this.numbers.filter((one) => one.step <= after);
    const known = this.numbers.at(-1)?.step ?? 0;
    this.numbers.push(...numbers.filter((one) => one.step > known));
    this.told("numbers", this.numbers);
  }
}

/* -- the page -------------------------------------------------------------------------------------------------------------------- */

class RunPage {
  constructor(run) {
    this.run = run;
    this.trouble = new Part("div", { class: "at-trouble-place" });
    this.head = new Part("div", { class: "tr-run-head" });
    this.controls = new Part("div", { class: "at-tools tr-controls" });
    this.bar = element("progress", { max: 1, "aria-label": "Progress of the training" });
    this.words = element("p", { class: "tr-words" });
    this.facts = new Part("dl", { class: "tr-plan" });
    this.inputs = new Part("div");
    this.previews = new Previews(this);
    this.result = new Result(this);
    const points = (pick) => () => (this.following?.numbers ?? []).map((one) => [one.step, pick(one)]).filter(([, y]) => y != null);
    const prior = () => (this.following?.numbers ?? []).some((one) => one.prior_loss != null);
    this.loss = new Chart("Loss", () => (prior() ? [{ label: "instance", points: points((one) => one.instance_loss)() }, { label: "prior", points: points((one) => one.prior_loss)() }, { label: "both", points: points((one) => one.loss)() }] : [{ label: "loss", points: points((one) => one.loss)() }]));
    this.rate = new Chart("Learning rate", () => [{ label: "learning rate", raw: true, points: points((one) => one.learning_rate)() }], { height: 96, smooth: false, from0: true });
    const charts = element("section", { "aria-label": "Curves" }, heading("Curves", logToggle()), this.loss.place, this.rate.place);
    this.live = element("section", { class: "tr-live", "aria-label": "Progress" }, this.bar, this.words, this.facts.place, this.controls.place);
    const left = element("div", { class: "tr-left" }, this.inputs.place, this.previews.place, this.result.measured);
    const right = element("div", { class: "tr-right" }, this.live, this.result.place, charts, this.result.settings);
    this.place = element("div", { class: "tr-run" }, this.head.place, this.trouble.place, element("div", { class: "tr-columns" }, left, right));
    this.following = new Following(run, (what, told) => this.hear(what, told));
  }
  close() {
    this.following.close();
  }
  get view() {
    return this.following?.view;
  }
  hear(what, told) {
    if (what === "trouble") return this.lost(told);
    if (what === "view") this.paint(told);
    if (what !== "numbers" || !this.view) return;
    this.rate.place.hidden = !told.length;
    for (const chart of [this.loss, this.rate]) chart.paint();
    this.paintLive(this.view);
  }
  lost(trouble) {
    if (trouble.status === 404) return this.place.replaceChildren(problemCard(trouble.message), tools(button("All runs", () => showPart("runs"))));
    this.trouble.show(trouble.message, problemCard(`${trouble.message} The training goes on by itself; trying again…`));
  }
  paint(view) {
    this.paintHead(view);
    this.paintTrouble(view);
    this.paintInputs(view);
    this.paintLive(view);
    this.previews.paint(view);
    this.result.paint(view);
    this.say(view);
  }
  paintHead(view) {
    const { plan, state } = view;
    const facts = [methodWords(plan.method), plan.class_noun && `${inversionOf(plan) ? runName(view) : plan.identifier} ${inversionOf(plan) ? `(${plan.class_noun})` : plan.class_noun}`, `on ${modelOf(view).replace(/ \[\w+\]$/, "")}`, when(view.created)];
    this.head.show([view.run, plan.name, state, facts], button("‹ All runs", () => showPart("runs")), element("h2", { textContent: runName(view) }), stateChip(state), note(facts.filter(Boolean).join(" · ")));
  }
  paintTrouble(view) {
    const failed = view.state === "failed";
    const sentence = sentenceOf(view);
    const last = failed && view.snapshots?.length && !/kept/.test(sentence) ? ` The last good snapshot, of step ${snapshotSteps(view).at(-1)}, is kept.` : "";
    this.trouble.show([failed, sentence], failed ? problemCard(`${sentence || "This training failed."}${last}`, view.detail ?? "") : null);
  }
  paintInputs(view) {
    const pictures = view.pictures ?? [];
    const learns = isOver(view) ? "Learned from" : "Learns from";
    this.inputs.show([pictures, learns], ...(pictures.length ? [heading(`${learns} ${counted(pictures.length, "picture")}`), element("ul", { class: "tr-strip" }, ...pictures.slice(0, 40).map(({ url, name, caption }) => element("li", {}, element("img", { src: link(url), alt: name || "Picture it learns from", title: caption || name, loading: "lazy" }))))] : []));
  }
  paintLive(view) {
    const over = isOver(view);
    const { numbers } = this.following;
    const last = numbers.at(-1) ?? view.numbers;
    const step = Math.max(last?.step ?? 0, over ? 0 : (view.step ?? 0));
    const steps = last?.steps || view.steps || 0;
    this.bar.hidden = over;
    if (view.state === "training" && steps) this.bar.value = step / steps;
    else if (view.fraction) this.bar.value = view.fraction;
    else this.bar.removeAttribute("value");
    setText(this.words, this.sentence(view, step, steps));
    this.words.hidden = !this.words.textContent;
    const facts = this.figures(view, last, step, steps, over);
    this.facts.show(facts, ...facts.map(([name, words]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: words }))));
    this.paintControls(view);
  }
  sentence(view, step, steps) {
    if (view.state === "training") {
      const eta = view.eta ?? this.eta(step, steps);
      return [`${steps ? Math.floor((100 * step) / steps) : 0} %`, `step ${step.toLocaleString()} of ${steps.toLocaleString()}`, eta != null && step < steps && `${seconds(eta)} left`, view.doing && !/^training/i.test(view.doing) && view.doing].filter(Boolean).join(" · ");
    }
    if (view.state === "failed") return "";
    if (isOver(view)) return [sentenceOf(view) || { paused: "Paused. It goes on from here when you press Resume." }[view.state], view.note].filter(Boolean).join(" ");
    return `${sentenceCase(view.doing || STATE_NOTES[view.state] || view.state)}…`;
  }
  speed() {
    const some = this.following.numbers.slice(-30);
    const [first, last] = [some[0], some.at(-1)];
    return some.length > 1 && last.seconds > first.seconds ? (last.step - first.step) / (last.seconds - first.seconds) : null;
  }
  eta(step, steps) {
    const speed = this.speed();
    return speed && steps ? (steps - step) / speed : null;
  }
  figures(view, last, step, steps, over) {
    const speed = this.speed();
    const facts = [];
    if (over && step) facts.push(["Steps", `${step.toLocaleString()} of ${steps.toLocaleString()}`]);
    if (last?.epoch != null) facts.push(["Epoch", number(last.epoch)]);
    if (last) facts.push(["Loss", number(smoothed(this.following.numbers.slice(-50).map((one) => one.loss), 0.9).at(-1) ?? last.loss)]);
    if (speed) facts.push(["Speed", speed >= 1 ? `${number(speed)} it/s` : `${number(1 / speed)} s/it`]);
    if (over && last?.seconds) facts.push(["Time", seconds(last.seconds)]);
    if (last?.memory) facts.push(["Memory", sizeWords(last.memory)]);
    if (view.status?.device) facts.push(["Device", view.status.device]);
    return facts;
  }
  paintControls(view) {
    const order = (words, what, help, more) => button(words, () => this.order(what), { help, "data-order": what, ...more });
    const training = view.state === "training";
    const buttons = isOver(view)
      ? [view.state !== "done" && !["failed"].includes(view.state) && primary("Resume", () => this.order("resume"), { help: "Goes on from its last checkpoint", "data-order": "resume" }), view.state === "failed" && view.step > 0 && button("Resume", () => this.order("resume"), { help: "From its last checkpoint", "data-order": "resume" })]
      : [training && order("Pause", "pause", "Frees the machine; it goes on later where it was"), training && order("Stop and save", "finish", "Ends here with its files"), training && order("Sample now", "sample", "Previews after this step"), training && order("Save now", "save", "A snapshot and a checkpoint after this step"), order("Cancel", "stop", "Ends without files; its checkpoints stay", { look: "at-quiet-button tr-danger" })];
    this.controls.show([view.state, Boolean(view.step)], ...buttons);
  }
  async order(what) {
    const said = { pause: "Pausing after this step…", finish: "Stopping after this step, then saving…", sample: "Previews come after this step.", save: "Saving after this step.", stop: "Cancelling…", resume: "Going on…" };
    announce(said[what]);
    sayInToast(said[what]);
    await attempted(async () => {
      const view = await send(`${API}/${this.run}/${what}`, {});
      if (view?.run && view.run !== this.run) return showRun(view.run);
      if (what === "resume" || isOver(this.view)) this.following.begin();
    });
  }
  /* A screen reader hears states and quarters, not steps. */
  say(view) {
    const quarter = Math.floor((view.fraction ?? 0) * 4) * 25;
    const words = view.state === "training" ? `Training ${runName(view)}: ${quarter} percent` : `${runName(view)}: ${STATE_NOTES[view.state] ?? view.state}. ${isOver(view) ? sentenceOf(view) : ""}`;
    if (words !== this.said && this.said !== undefined) announce(words);
    this.said = words;
  }
}

const inversionOf = (plan) => plan.method === "textual_inversion";
const snapshotSteps = (view) => (view.snapshots ?? []).map((one) => one.step ?? one).sort((a, b) => a - b);
const stateChip = (state) => element("span", { class: "tr-chip", "data-state": state, textContent: STATE_NOTES[state] ?? state });

/* -- previews: one column for each prompt, the chosen step above the picture before training ----------------------------------------- */

class Previews {
  constructor(page) {
    this.page = page;
    this.at = null; /* index of the chosen step; null follows the newest */
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Step of the previews", oninput: () => this.choose(Number(this.slider.value)) });
    this.words = element("output", { class: "tr-step" });
    this.keep = new Part("span");
    this.grid = new Part("div", { class: "tr-previews" });
    this.line = element("div", { class: "tr-line tr-slider" }, this.words, this.slider, this.keep.place);
    this.place = element("section", { "aria-label": "Previews" }, heading("Previews"), this.line, this.grid.place);
  }
  choose(at) {
    this.at = at === this.steps.length - 1 && !isOver(this.page.view) ? null : at;
    this.paint(this.page.view);
    announce(this.words.textContent);
  }
  paint(view) {
    const previews = view.previews ?? [];
    this.steps = previews;
    this.line.hidden = previews.length < 2;
    const off = !(view.plan.preview_prompts ?? []).length || view.plan.preview_every === -1;
    if (!previews.length) return this.grid.show(`none ${off} ${view.state}`, element("div", { class: "at-stage tr-nothing" }, note(off ? "This training draws no previews." : isOver(view) ? "There are no previews." : "Previews appear here, the first before training.")));
    const at = Math.min(this.at ?? previews.length - 1, previews.length - 1);
    const now = previews[at];
    this.slider.max = previews.length - 1;
    this.slider.value = at;
    this.slider.setAttribute("aria-valuetext", this.stepWords(now));
    setText(this.words, this.stepWords(now));
    this.paintGrid(view, now, previews[0].step === 0 && now.step > 0 ? previews[0] : null);
    this.paintKeep(view, now);
  }
  stepWords({ step }) {
    return step ? `Step ${step.toLocaleString()}` : "Before training";
  }
  paintGrid(view, now, before) {
    const prompts = view.plan.preview_prompts ?? [];
    const picture = (url, alt, look) => element("img", { src: link(url), alt, class: look, loading: "lazy" });
    const column = (url, at) => element("figure", {}, element("a", { href: link(url), target: "_blank", rel: "noopener", title: "Open in full size" }, picture(url, `${prompts[at] ?? "Preview"}, ${this.stepWords(now).toLowerCase()}`)), before?.pictures[at] && element("span", { class: "tr-before" }, picture(before.pictures[at], `${prompts[at] ?? "Preview"}, before training`), element("span", { textContent: "before" })), element("figcaption", { textContent: prompts[at] ?? "" }));
    this.grid.show([now, before?.pictures, prompts], ...now.pictures.map(column));
  }
  /* The snapshot nearest before the previews that are looked at can become the result. */
  paintKeep(view, now) {
    const steps = snapshotSteps(view);
    const snapshot = steps.filter((one) => one <= now.step).at(-1);
    const fits = isOver(view) && now.step > 0 && snapshot != null;
    const last = steps.at(-1);
    if (!fits) return this.keep.show("");
    const words = snapshot === now.step ? "Use this snapshot" : `Use the snapshot of step ${snapshot}`;
    this.keep.show([words, snapshot === last], snapshot === last && (view.files ?? []).length ? note("This is the result.") : button(words, () => this.publish(snapshot), { help: "Puts its files among the models, beside those of the last step" }));
  }
  async publish(snapshot) {
    await attempted(async () => {
      const { files } = await send(`${API}/${this.page.run}/publish`, { snapshot }, { seconds: 300 });
      sayInToast(`${(files ?? []).map((one) => one.name).join(", ") || "It"} can be used now.`);
      this.page.following.begin();
      shelf.load(true);
    });
  }
}
