/* PNG Info: what can be done with a picture and its text: send it on, make it again and see what differs. */

class PngText extends HTMLElement {
  static observedAttributes = ["text"];
  connectedCallback() {
    this.attributeChangedCallback();
  }
  attributeChangedCallback() {
    tell("png text", this.getAttribute("text") ?? "");
  }
  disconnectedCallback() {
    setTimeout(() => document.querySelector("at-png-text") ?? tell("png text", ""));
  }
}
customElements.define("at-png-text", PngText);

const pngImage = () => document.querySelector("#pnginfo_image img");

class PngTools extends HTMLElement {
  connectedCallback() {
    this.text = "";
    this.paint = this.paint.bind(this);
    board.addEventListener("png text", (event) => this.paint(event.detail));
    this.paint("");
  }
  paint(text) {
    this.text = text;
    if (!text) return this.replaceChildren();
    const button = (words, onclick, title) => element("button", { type: "button", class: "at-quiet-button", textContent: words, title, onclick });
    const again = button("Reproduce and compare", () => atelier.reproduce(), "Make it again from its text and show what differs");
    again.id = "pnginfo_reproduce";
    const what = () => ({ url: pngImage()?.src, infotext: this.text });
    const tools = element("div", { class: "at-tools" }, again, button("Copy text", () => copy(this.text), "Copy the whole text"));
    this.replaceChildren(tools, sendButtons(what, ["png_info"]));
  }
}
customElements.define("at-png-tools", PngTools);

/* -- again -------------------------------------------------------------------------------------------------------------- */

atelier.reproduce = () => document.querySelector("at-reproduction")?.start();

class Reproduction extends HTMLElement {
  connectedCallback() {
    this.turn = 0;
    board.addEventListener("png text", () => this.stop()); /* another picture */
  }
  stop() {
    this.turn += 1;
    this.replaceChildren();
  }
  async start() {
    this.stop();
    const turn = this.turn;
    const mine = () => turn === this.turn && this.isConnected;
    try {
      this.say("Sending the picture…");
      announce("Making the picture again.");
      const original = pngImage().src;
      const id = await upload(await fetched(original));
      const { job, sentence, remarks } = await ask("api/v1/reproduce", { method: "POST", body: { picture: id }, seconds: 60 });
      if (!job) throw new Trouble(sentence);
      const made = await this.followed(job, mine);
      if (!mine()) return;
      const found = await ask(`api/v1/reproduce/compare?picture=${id}&result=${made.id}`, { seconds: 60 });
      if (mine()) this.show(id, original, made, found, remarks);
    } catch (trouble) {
      if (mine()) this.replaceChildren(problemCard(trouble.message));
    }
    if (mine()) this.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }
  say(words) {
    if (!this.words?.isConnected) this.replaceChildren((this.words = element("p", { class: "at-note" })));
    setText(this.words, words);
  }
  async followed(job, mine) {
    for (;;) {
      const live = await ask(`api/v1/jobs/${job}`);
      if (!mine() || (ENDED.has(live.state) && live.pictures.length)) return live.pictures[0];
      if (ENDED.has(live.state)) throw new Trouble(live.sentence || "The job ended without a picture; start it again.");
      const waits = live.ahead ? `Waiting; ${live.ahead} ahead` : "Waiting for its turn";
      this.say(live.state === "waiting" ? `${waits}.` : `${live.doing || "Making it again"}: ${Math.floor((live.fraction ?? 0) * 100)} %`);
      await new Promise((done) => setTimeout(done, 300));
    }
  }
  show(id, original, made, found, remarks) {
    const figure = (url, words, alt) => element("figure", {}, element("img", { src: url, alt }), element("figcaption", { textContent: words }));
    const pictures = [figure(original, "Original", "The original"), figure(address(made.url), "Made again", "The picture made again")];
    if (found.comparable && found.psnr !== null) {
      const url = address(`api/v1/reproduce/difference.png?picture=${id}&result=${made.id}`);
      pictures.push(figure(url, found.factor > 1 ? `Difference, ${found.factor} times as bright` : "Difference", "The difference of the two"));
    }
    const numbers = found.comparable && `${percent(found.equal)} of the pixels are equal${found.psnr === null ? "" : `, PSNR ${found.psnr.toFixed(1)} dB`}.`;
    const known = new Set(found.rows.flatMap(({ why }) => why));
    const others = remarks.filter(({ words }) => ![...known].some((why) => why.includes(words)));
    this.replaceChildren(
      element("h2", { class: "at-verdict", textContent: found.verdict }),
      numbers && element("p", { class: "at-note", textContent: numbers }),
      element("div", { class: "at-pair" }, ...pictures),
      ...others.map(({ words }) => element("p", { class: "at-note", textContent: words })),
      found.rows.length ? differences(found.rows) : element("p", { class: "at-note", textContent: "Both texts say the same." }),
    );
    announce(found.verdict);
  }
}
customElements.define("at-reproduction", Reproduction);

/* Never 100 % of what is not all. */
const percent = (share) => `${share === 1 ? "100" : Math.min(99.9, share * 100).toFixed(1)} %`;

function differences(rows) {
  const head = ["Setting", "Original", "Made again", "Why"].map((words) => element("th", { scope: "col", textContent: words }));
  const lines = rows.map(({ key, theirs, here, why }) => element("tr", {}, element("th", { scope: "row", textContent: key }), ...[theirs || "–", here || "–", why].map((words) => element("td", { textContent: words }))));
  return element("div", { class: "at-differences" }, element("table", { class: "at-table" }, element("caption", { textContent: "What differs between the two texts" }), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines)));
}
