/* Prior preservation: pictures of the class, so that not every cat becomes yours. Made by the base model, or brought along. */

class Prior {
  constructor() {
    this.toggle = new Control("with_prior_preservation", { label: "Prior preservation" });
    this.sets = [];
    this.going = new Map(); /* what is being deleted, while it can be undone: by its path, what deletes it now */
    train.deleteNow = () => Promise.all([...this.going.values()].map((now) => now()));
    this.grid = new Part("div");
    this.files = picker("Class pictures", (files) => addFiles(files, "own"), { multiple: true, accept: "image/*" });
    this.own = new Part("div", { class: "tr-own" });
    const fields = ["class_prompt", "num_class_images", "class_source", "prior_loss_weight"].map((one) => control(one, { wide: one === "class_prompt" }));
    const more = section("class", "How class pictures are made", element("div", { class: "tr-grid" }, ...["class_sampler", "class_steps", "class_cfg_scale", "class_seed"].map((one) => control(one))));
    this.more = more;
    this.inner = element("div", { class: "tr-prior" }, element("div", { class: "tr-grid" }, ...fields), this.files, this.own.place, this.grid.place, more);
    this.place = element("div", { class: "tr-wide" }, this.toggle.place, note("Also learns from pictures of the class, so that it does not forget what others look like."), this.inner);
    hear("train", () => this.paint());
    hear("train check", () => this.paint());
    this.paint();
  }
  paint() {
    const on = PRIOR();
    this.inner.hidden = !on;
    if (!on) return;
    const own = value("class_source") === "own";
    this.more.hidden = own;
    this.paintOwn(own);
    if (own) return this.grid.show("");
    if (!this.asked) this.load();
    this.paintSets();
  }
  paintOwn(own) {
    const tile = (one) => element("li", {}, element("img", { src: address(`api/v1/inputs/${one.id}`), alt: one.name, loading: "lazy" }), element("button", { type: "button", class: "tr-remove", textContent: "×", "aria-label": `Take ${one.name || "this class picture"} away`, onclick: () => this.dropOwn(one) }));
    this.own.show([own, DRAFT.own], own && tools(button("Add class pictures…", () => this.files.click()), note(counted(DRAFT.own.length, "picture"))), own && element("ul", { class: "tr-small" }, ...DRAFT.own.map(tile)));
  }
  dropOwn(one) {
    const before = DRAFT.own;
    DRAFT.own = before.filter((other) => other.id !== one.id);
    changed();
    offerUndo(`${one.name || "The class picture"} is taken away.`, () => ((DRAFT.own = before), changed()));
  }
  /* Deleted after the ten seconds in which it can be undone, or when a training begins. */
  delete(path, words) {
    const end = () => (clearTimeout(timer), this.going.delete(path));
    const now = async () => {
      end();
      await attempted(() => ask(`${API}/class-pictures/${path}`, { method: "DELETE" }));
      await this.load();
    };
    const timer = setTimeout(now, 10000);
    this.going.set(path, now);
    this.paintSets();
    offerUndo(words, () => (end(), this.paintSets()));
  }
  async load() {
    this.asked = true;
    const told = await ask(`${API}/class-pictures`).catch(() => null);
    this.sets = told?.sets ?? [];
    this.paintSets();
  }
  /* Those that a training with this class prompt will find. */
  fitting() {
    const model = String(train.check?.plan?.model ?? value("model"));
    return this.sets.filter((one) => !this.going.has(one.key) && one.prompt === prompt("class_prompt") && (!model || !one.model || one.model === model));
  }
  paintSets() {
    const wanted = Number(value("num_class_images"));
    const sets = this.fitting();
    const there = sets.reduce((sum, one) => sum + one.pictures.filter(({ seed }) => !this.going.has(`${one.key}/${seed}`)).length, 0);
    const known = this.going.size ? null : train.check?.plan?.class_pictures_missing; /* the server knows about sampler and seeds, too */
    const missing = Math.min(wanted, known ?? Math.max(0, wanted - there));
    const words = missing ? `${wanted - missing} of ${wanted} class pictures are there; ${missing} will be made before the training begins.` : `All ${wanted} class pictures are there from earlier trainings.`;
    this.grid.show([words, sets, [...this.going.keys()]], note(words), ...sets.map((one) => this.set(one)));
  }
  set({ key, pictures }) {
    const left = pictures.filter(({ seed }) => !this.going.has(`${key}/${seed}`));
    const tile = ({ seed, url }) => element("li", {}, element("img", { src: link(url), alt: `Class picture, seed ${seed}`, loading: "lazy" }), element("button", { type: "button", class: "tr-remove", textContent: "×", "aria-label": `Delete the class picture with seed ${seed}`, title: "Another one is made instead", onclick: () => this.delete(`${key}/${seed}`, "The class picture is deleted; another one will be made.") }));
    const body = element("ul", { class: "tr-small" });
    const made = section(`class ${key}`, `Look at the ${counted(left.length, "class picture")}`, body, tools(button("Delete them all", () => this.delete(key, "The class pictures are deleted; they will be made again."), { look: "at-quiet-button tr-danger" })));
    const fill = () => made.open && !body.children.length && body.append(...left.map(tile));
    made.addEventListener("toggle", fill);
    fill();
    return made;
  }
}
