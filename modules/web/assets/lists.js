/* The queue: what waits, what runs, what is done. Asked for only while it can be seen. */

const STATE_WORDS = { waiting: "waiting", running: "running", done: "done", interrupted: "interrupted", failed: "failed", cancelled: "cancelled" };

class JobList extends HTMLElement {
  connectedCallback() {
    this.rows = new Map();
    this.body = element("ul", { class: "at-jobs" });
    this.note = element("p", { class: "at-note", textContent: "Looking…" });
    this.replaceChildren(this.note, this.body);
    this.timer = setInterval(() => this.refresh(), 1000);
    this.refresh();
  }
  disconnectedCallback() {
    clearInterval(this.timer);
  }
  async refresh() {
    if (document.hidden || !seen(this) || this.asking) return;
    this.asking = true;
    try {
      this.paint(await ask("api/v1/jobs?recent=50"));
    } catch (trouble) {
      setText(this.note, trouble.message);
      this.note.hidden = false;
    }
    this.asking = false;
  }
  /* Rows are kept and changed in place: the focus stays where it is. */
  paint(list) {
    this.note.hidden = list.length > 0;
    setText(this.note, "Nothing has been asked for yet. Jobs appear here when you press Generate.");
    const ids = new Set(list.map((one) => one.id));
    for (const [id, row] of this.rows) if (!ids.has(id)) row.remove(), this.rows.delete(id);
    list.forEach((job, at) => {
      const row = this.rows.get(job.id) ?? new JobRow(job.id);
      this.rows.set(job.id, row);
      row.paint(job);
      if (this.body.children[at] !== row.place) this.body.insertBefore(row.place, this.body.children[at] ?? null);
    });
  }
}

class JobRow {
  constructor(id) {
    this.id = id;
    this.picture = element("span", { class: "at-job-picture" });
    this.label = element("span", { class: "at-job-label" });
    this.state = element("span", { class: "at-job-state" });
    this.reason = element("div", { class: "at-job-reason" });
    this.button = element("button", { type: "button", class: "at-quiet-button", onclick: () => this.stop() });
    this.place = element("li", {}, this.picture, element("div", { class: "at-job-words" }, this.label, this.state, this.reason), this.button);
  }
  remove() {
    this.place.remove();
  }
  stop() {
    this.button.disabled = true;
    const what = this.job.state === "waiting" ? "cancel" : "interrupt";
    ask(`api/v1/jobs/${this.id}/${what}`, { method: "POST" }).catch((trouble) => announce(trouble.message));
  }
  paint(job) {
    const mark = JSON.stringify([job.state, job.step, job.ahead, job.sentence, job.pictures.length]);
    if (mark === this.mark) return;
    this.mark = mark;
    this.job = job;
    this.place.dataset.state = job.state;
    setText(this.label, job.label || "(no prompt)");
    setText(this.state, this.words(job));
    const waits = job.state === "waiting" || job.state === "running";
    this.button.hidden = !waits;
    this.button.disabled = false;
    setText(this.button, job.state === "waiting" ? "Cancel" : "Interrupt");
    this.button.setAttribute("aria-label", `${this.button.textContent}: ${job.label}`);
    this.reason.replaceChildren(job.sentence && !waits ? problemCard(job.sentence, job.detail) : "");
    const [first] = job.pictures;
    this.picture.replaceChildren(first ? element("img", { src: address(first.url), alt: "", loading: "lazy", width: 48, height: 48 }) : "");
  }
  words(job) {
    const parts = [STATE_WORDS[job.state]];
    if (job.state === "waiting") parts.push(job.ahead ? `${job.ahead} waiting ahead` : "next");
    if (job.state === "running" && job.fraction) parts.push(`${Math.floor(job.fraction * 100)} %`);
    if (job.pictures.length) parts.push(job.pictures.length === 1 ? "1 picture" : `${job.pictures.length} pictures`);
    if (job.started && job.ended) parts.push(tookSeconds(job));
    return parts.join(" · ");
  }
}
customElements.define("at-jobs", JobList);
