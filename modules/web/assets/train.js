/* The Train tab: an element that fetches its scripts and looks (assets/train/) when it is first seen, so that nobody
   else's page waits for them. They find what the page's own scripts share here. */

atelier.shared = {
  element, ask, hear, tell, board, memory, address, by, setText, seconds, copy, problemCard, announce, openTab, seen, appeared, forms, offerUndo, sayInToast, attempted,
  shelf, sizeWords, Trouble, SENT_KINDS, asPng, takesFiles, fetched, upload: extrasUpload, writing, model, jobs, ENDED, sentenceCase, options,
};

let trainParts = null; /* once for the page, even if Gradio draws the tab anew */

/* A link to the tab: #train, or #train/<run>. */
const trainLink = () => /^#train(?:\/([\w-]*))?$/.exec(location.hash);

class TrainTab extends HTMLElement {
  connectedCallback() {
    if (this.watching) return;
    this.replaceChildren(element("p", { class: "at-note", textContent: "Opening…" }));
    this.watching = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && this.fetch());
    this.watching.observe(this);
  }
  async fetch() {
    this.watching.disconnect();
    try {
      const sheet = { rel: "stylesheet", href: address("api/v1/page-parts/train.css") };
      await (trainParts ??= trainPart("link", sheet).then(() => trainPart("script", { src: address("api/v1/page-parts/train.js") })));
      atelier.train.open(this);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      trainParts = null;
      const again = element("button", { type: "button", class: "at-quiet-button", textContent: "Try again", onclick: () => this.fetch() });
      this.replaceChildren(problemCard(trouble.message), element("div", { class: "at-tools" }, again));
    }
  }
}
customElements.define("at-train", TrainTab);

function trainPart(tag, known) {
  return new Promise((done, failed) => {
    const part = element(tag, known);
    part.onload = done;
    part.onerror = () => (part.remove(), failed(new Trouble("The Train tab could not be fetched: the server does not answer.")));
    document.head.append(part);
  });
}

if (trainLink()) appeared('#tabs button[role="tab"]').then(() => openTab("train"));
