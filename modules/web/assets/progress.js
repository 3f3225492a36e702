/* The line below Generate: what is going on, how far, how long. */

function progressWords(form) {
  const live = jobs.live;
  if (jobs.sendingSince) return { words: sendingWords(), fraction: null };
  if (!jobs.connected) return { words: "The server does not answer; it may be restarting. Your job is kept, trying again…", fraction: null, trouble: true };
  if (active()) return live.state === "waiting" ? waitingWords(live) : runningWords(live);
  if (jobs.refusal?.form === form) return { words: jobs.refusal.sentence, trouble: true };
  if (live) return { words: endedWords(live), trouble: live.state === "failed" };
  return idleWords();
}

/* At the very first start the server waits until an engine has told what it can do. */
function sendingWords() {
  const slow = Date.now() - jobs.sendingSince > 1500;
  return (slow && engineSentence()) || "Sending…";
}

function waitingWords(live) {
  if (live.stopping) return { words: "Cancelling…", fraction: null };
  if (live.ahead > 0) return { words: `Waiting: ${live.ahead} ${live.ahead === 1 ? "job" : "jobs"} ahead of this one.`, fraction: 0 };
  const words = engineSentence();
  if (words) return { words: `${words} This job begins as soon as it is up.`, fraction: 0 };
  return { words: status.running ? "Next: begins when the running job ends." : "Waiting for the engine…", fraction: 0 };
}

function runningWords(live) {
  if (live.stopping) return { words: "Interrupting after this step…", fraction: live.fraction };
  if (!live.step && !live.fraction) return { words: `${sentenceCase(live.doing || "starting")}…`, fraction: null };
  const parts = [`${Math.floor(live.fraction * 100)} %`, `step ${live.step} of ${live.steps}`];
  if (live.eta != null) parts.push(`${seconds(live.eta)} left`);
  if (live.doing && !/^(drawing|sampling|step)/i.test(live.doing)) parts.push(live.doing);
  return { words: parts.join(" · "), fraction: live.fraction };
}

function endedWords(live) {
  const took = live.ended && live.started ? ` in ${tookSeconds(live)}` : "";
  const words = {
    done: live.pictures.length < 2 ? `Done${took}.` : `${live.pictures.length} pictures${took}.`,
    interrupted: live.pictures.length ? "Interrupted; what was finished is kept." : "Interrupted.",
    cancelled: "Cancelled before it began.",
    failed: "This job failed; the reason stands with the picture.",
  }[live.state];
  return live.note ? `${words} ${live.note}` : words;
}

function tookSeconds(live) {
  const took = (new Date(asDate(live.ended)) - new Date(asDate(live.started))) / 1000;
  return took < 10 ? `${took.toFixed(1)} s` : seconds(took);
}

/* The server's times are seconds since 1970 or ISO texts. */
const asDate = (time) => (typeof time === "number" ? time * 1000 : time);
const sentenceCase = (words) => words.charAt(0).toUpperCase() + words.slice(1);

const READY = matchMedia("(hover: hover)").matches ? "Ctrl+Enter generates · ? shows all keys" : "Ready.";

function idleWords() {
  if (model.problem) return { words: "", quiet: true };
  const sentence = engineSentence();
  return { words: sentence ? `${sentence} You can press Generate already.` : READY, quiet: !sentence };
}

class ProgressLine extends HTMLElement {
  connectedCallback() {
    this.form = this.getAttribute("form");
    this.bar = element("div", { class: "at-bar", role: "progressbar", "aria-label": "Progress of the picture", "aria-valuemin": 0, "aria-valuemax": 100 });
    this.fillPart = element("div", { class: "at-bar-fill" });
    this.bar.append(this.fillPart);
    this.words = element("p", { class: "at-words" });
    this.replaceChildren(this.bar, this.words);
    this.paint = this.paint.bind(this);
    ["jobs", "status", "model"].forEach((name) => board.addEventListener(name, this.paint));
    this.paint();
  }
  disconnectedCallback() {
    ["jobs", "status", "model"].forEach((name) => board.removeEventListener(name, this.paint));
  }
  paint() {
    const { words, fraction, trouble, quiet } = progressWords(this.form);
    const busy = jobs.sendingSince || active() || !jobs.connected;
    setText(this.words, words);
    this.className = [busy && "at-busy", trouble && "at-trouble", quiet && "at-quiet", busy && fraction == null && "at-unknown"].filter(Boolean).join(" ");
    const percent = Math.round((fraction ?? 0) * 100);
    this.fillPart.style.transform = `scaleX(${busy ? (fraction ?? 0) : 0})`;
    if (fraction == null) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", percent);
    paintButtons(this.form, busy);
    document.title = active() && jobs.live.state === "running" && fraction ? `${percent} % · Atelier` : "Atelier";
    speakNow(percent);
  }
}
customElements.define("at-progress", ProgressLine);

function paintButtons(form, busy) {
  document.body.toggleAttribute("data-busy", Boolean(busy));
  for (const what of ["skip", "interrupt"]) {
    const button = by(`${form}_${what}`);
    if (button) button.disabled = !active();
  }
  by(`${form}_generate`)?.setAttribute("aria-busy", String(Boolean(jobs.sendingSince && jobs.form === form)));
}

/* A screen reader hears quarters, not steps. */
let spoken = "";
function speakNow(percent) {
  const live = jobs.live;
  if (!live) return;
  const quarter = Math.floor(percent / 25) * 25;
  const words = active() ? (live.state === "waiting" ? waitingWords(live).words : `${quarter} percent`) : endedWords(live);
  const mark = `${live.id} ${words}`;
  if (mark === spoken) return;
  const first = spoken === "";
  spoken = mark;
  if (!(first && !active())) announce(words);
}
