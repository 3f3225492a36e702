/* The picture: preview while it forms, then the result with its text; the last pictures stay at hand below it. */

const MOST_RECENT = 24;

const viewing = {
  recent: memory.get("recent", []) /* newest job first, its pictures in order: {id, url, infotext, seed, width, height, job} */,
  chosen: "",
  watching: true /* show the preview of the running job; off when somebody picks a picture meanwhile */,

  selected() {
    return viewing.recent.find((one) => one.id === viewing.chosen) ?? viewing.recent[0] ?? null;
  },
  watch() {
    viewing.watching = true;
  },
  choose(id) {
    viewing.chosen = id;
    viewing.watching = false;
    tell("viewing");
  },
  move(by) {
    const at = viewing.recent.indexOf(viewing.selected());
    const next = viewing.recent[Math.max(0, Math.min(viewing.recent.length - 1, at + by))];
    if (next) viewing.choose(next.id);
  },
  keep(live) {
    const known = new Set(viewing.recent.map((one) => one.id));
    const fresh = live.pictures.filter((one) => !known.has(one.id)).map((one) => ({ ...one, job: live.id }));
    if (!fresh.length) return;
    const same = viewing.recent.filter((one) => one.job === live.id);
    const others = viewing.recent.filter((one) => one.job !== live.id);
    viewing.recent = [...same, ...fresh, ...others].slice(0, Math.max(MOST_RECENT, same.length + fresh.length));
    if (viewing.watching) viewing.chosen = (same[0] ?? fresh[0]).id;
    memory.set("recent", viewing.recent.slice(0, MOST_RECENT));
  },
  drop(id) {
    viewing.recent = viewing.recent.filter((one) => one.id !== id);
    memory.set("recent", viewing.recent);
    tell("viewing");
  },
};
atelier.viewing = viewing;

hear("jobs", () => jobs.live?.pictures && viewing.keep(jobs.live));
hear("ended", () => tell("viewing"));

class Viewer extends HTMLElement {
  connectedCallback() {
    this.tab = this.getAttribute("form");
    this.trouble = element("div", { class: "at-trouble-place" });
    this.stage = element("div", { class: "at-stage" });
    this.strip = element("div", { class: "at-strip", role: "listbox", "aria-label": "Recent pictures", tabindex: "0", onkeydown: (event) => this.keys(event) });
    this.below = element("div", { class: "at-below" });
    this.replaceChildren(this.trouble, this.stage, this.strip, this.below);
    this.marks = {};
    this.paint = this.paint.bind(this);
    ["jobs", "viewing", "model", "status"].forEach((name) => board.addEventListener(name, this.paint));
    this.paint();
  }
  disconnectedCallback() {
    ["jobs", "viewing", "model", "status"].forEach((name) => board.removeEventListener(name, this.paint));
  }

  paint() {
    this.paintTrouble();
    const live = jobs.live;
    const preview = viewing.watching && active() && live.preview_number > 0 && live.state === "running";
    const picture = preview ? null : viewing.selected();
    if (preview) this.paintPreview(live);
    else if (picture) this.paintPicture(picture);
    else this.paintEmpty();
    this.paintStrip(preview);
    this.paintBelow(preview ? null : picture);
  }

  /* Repaint a part only when what it shows has changed: focus and selection in it survive. */
  changed(part, mark) {
    if (this.marks[part] === mark) return false;
    this.marks[part] = mark;
    return true;
  }

  paintTrouble() {
    const failed = jobs.live?.state === "failed" ? jobs.live : null;
    if (!this.changed("trouble", failed?.id ?? "")) return;
    this.trouble.replaceChildren(failed ? problemCard(failed.sentence || "This job failed.", failed.detail) : "");
  }

  paintPreview(live) {
    if (!this.changed("stage", `preview ${live.id}`)) return this.nextFrame(live);
    this.frame = element("img", { class: "at-preview", alt: "Live preview of the picture being made" });
    this.shownFrame = 0;
    this.stage.replaceChildren(this.frame);
    this.nextFrame(live);
  }

  /* One frame at a time, and only decoded ones are shown: no flicker, no queue of requests on a slow line. */
  nextFrame(live) {
    if (this.loading || live.preview_number <= this.shownFrame) return;
    const number = live.preview_number;
    const next = new Image();
    this.loading = true;
    next.onload = () => {
      this.loading = false;
      this.shownFrame = number;
      this.frame.src = next.src;
      if (active() && jobs.live.preview_number > number) this.nextFrame(jobs.live);
    };
    next.onerror = () => (this.loading = false);
    next.src = address(`api/v1/jobs/${live.id}/preview.jpg?n=${number}`);
  }

  paintPicture(picture) {
    if (!this.changed("stage", picture.id)) return;
    const image = element("img", { src: address(picture.url), alt: altText(picture), width: picture.width, height: picture.height });
    image.onerror = () => viewing.drop(picture.id);
    const open = element("button", { type: "button", class: "at-open", "aria-label": "Show the picture large", onclick: () => openLarge(), onkeydown: (event) => this.keys(event) }, image);
    this.stage.replaceChildren(open);
  }

  paintEmpty() {
    const words = model.problem || (active() ? "The picture will appear here." : "Your picture will appear here.");
    if (!this.changed("stage", `empty ${words}`)) return;
    const example = "a red cat wearing an astronaut helmet in space";
    const use = () => forms.fill(this.tab, { prompt: example });
    const offer = element("button", { type: "button", class: "at-quiet-button", textContent: `Try “${example}”`, onclick: use });
    this.stage.replaceChildren(element("div", { class: "at-empty" }, element("p", { textContent: words }), model.problem || active() ? "" : offer));
  }

  paintStrip(preview) {
    const chosen = preview ? "" : viewing.selected()?.id;
    const mark = viewing.recent.map((one) => one.id).join() + `|${chosen}`;
    if (!this.changed("strip", mark)) return;
    this.strip.hidden = viewing.recent.length < 2 && !preview;
    this.strip.replaceChildren(
      ...viewing.recent.map((one) => {
        const image = element("img", { src: address(one.url), alt: "", loading: "lazy", width: 64, height: 64 });
        image.onerror = () => viewing.drop(one.id);
        const known = { role: "option", class: "at-thumb", "aria-selected": String(one.id === chosen), "aria-label": altText(one), onclick: () => viewing.choose(one.id) };
        return element("div", known, image);
      }),
    );
    const current = this.strip.querySelector('[aria-selected="true"]');
    if (current) this.strip.scrollLeft = Math.max(0, current.offsetLeft - this.strip.clientWidth / 2);
  }

  paintBelow(picture) {
    if (!this.changed("below", `${picture?.id ?? ""} ${edit.mode}`)) return;
    if (!picture) return this.below.replaceChildren();
    const button = (words, onclick, title) => element("button", { type: "button", class: "at-quiet-button", textContent: words, title, onclick });
    const download = element("a", { class: "at-quiet-button", href: address(picture.url), download: `${picture.seed}-${picture.id}.png`, textContent: "Download", title: "Save the picture with its text" });
    const tools = [
      download,
      button("Reuse settings", () => forms.paste(this.tab, picture.infotext), "Put prompt, seed and all settings of this picture into the form"),
      button("Reuse seed", () => forms.reuseSeed(this.tab), "Only the seed"),
      button("Copy text", () => copy(picture.infotext), "Copy the text below"),
    ];
    const edits = this.tab === "img2img" && button("Edit again", () => edit.again(), "Put this picture on the canvas; an inpainting mask stays");
    this.below.replaceChildren(
      element("div", { class: "at-tools" }, edits, ...tools),
      sendButtons(() => (this.tab === "img2img" ? edit.withMask(picture) : picture), [this.tab]),
      element("pre", { class: "at-infotext", tabindex: "0", "aria-label": "Text of the picture", textContent: picture.infotext }),
    );
  }

  keys(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    const large = event.key === "Enter" && event.currentTarget === this.strip;
    if (!step && !large) return;
    event.preventDefault(); /* also Enter: it would press the button that gets the focus */
    if (large) return openLarge();
    viewing.move(step);
    const picture = viewing.selected();
    if (picture) announce(altText(picture));
  }
}
customElements.define("at-viewer", Viewer);

function altText(picture) {
  const prompt = (picture.infotext ?? "").split("\n")[0].slice(0, 200);
  return prompt ? `${prompt}, seed ${picture.seed}` : `Picture with seed ${picture.seed}`;
}

/* The picture over the whole window; arrows go on, Esc or a click closes. */
function openLarge() {
  const picture = viewing.selected();
  if (!picture) return;
  const image = element("img", { src: address(picture.url), alt: altText(picture) });
  const close = element("button", { type: "button", class: "at-close", "aria-label": "Close", textContent: "×", onclick: () => dialog.close() });
  const dialog = element("dialog", { class: "at-large", "aria-label": "Picture" }, image, close);
  const fit = () => {
    /* A small picture is enlarged in whole multiples, so that it stays what it is. */
    const now = viewing.selected();
    const room = Math.min((innerWidth - 32) / now.width, (innerHeight - 32) / now.height);
    const scale = room >= 1 ? Math.min(Math.floor(room), 6) : room;
    image.style.width = `${now.width * scale}px`;
  };
  dialog.onclick = (event) => event.target !== close && dialog.close();
  dialog.onclose = () => dialog.remove();
  dialog.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    viewing.move(step);
    image.src = address(viewing.selected().url);
    image.alt = altText(viewing.selected());
    fit();
  };
  document.body.append(dialog);
  dialog.showModal();
  fit();
}
