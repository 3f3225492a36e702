/* Following a job: from Generate to its pictures, through reloads, second tabs and restarts of the server. */

const jobs = (atelier.jobs = {
  live: null /* the job that is followed, or the last one that ended */,
  sendingSince: 0,
  form: "txt2img" /* the form that asked last */,
  refusal: null /* {form, sentence} why nothing was queued */,
  connected: true,
});

/* Jobs that the Train tab follows: they last, and pictures are made meanwhile. */
const LONG_KINDS = new Set(["train", "evaluate"]);
const ENDED = new Set(["done", "interrupted", "failed", "cancelled"]);
const active = () => Boolean(jobs.live && !ENDED.has(jobs.live.state));
let following = "";
let stream = null;
let patience = 0;

/* -- Generate ------------------------------------------------------------------------------------------------------- */

/* Forms are known by the prefix of their elements' ids: txt2img, img2img. */
jobs.sending = (form, values) => {
  forms.clearProblems(form);
  jobs.form = form;
  jobs.refusal = null;
  if (!active()) jobs.live = null; /* what an earlier job said is over */
  jobs.sendingSince = Date.now();
  viewing.watch();
  tell("jobs");
  return values;
};

jobs.sent = (form, ticket) => {
  jobs.sendingSince = 0;
  const { job, sentence, fields } = JSON.parse(ticket);
  if (job) {
    if (!following) {
      jobs.live = { id: job, state: "waiting", step: 0, steps: 0, fraction: 0, ahead: 0, preview_number: 0, pictures: [] };
      follow(job);
    } /* else its turn comes when the followed one has ended: see findMine */
  } else {
    const placed = forms.showProblems(form, fields ?? {});
    jobs.refusal = { form, sentence: placed ? "Nothing was queued: see the marked field." : sentence };
    announce(sentence);
  }
  tell("jobs");
  tell("ticket", { form, job });
};

jobs.notSent = (form) => {
  jobs.sendingSince = 0;
  jobs.refusal = { form, sentence: "The server could not take this job. Nothing is lost: press Generate again in a moment." };
  announce(jobs.refusal.sentence);
  tell("jobs");
  tell("ticket", { form });
};

const order = (what) => ask(`api/v1/jobs/${following}/${what}`, { method: "POST" }).catch((trouble) => announce(trouble.message));

jobs.interrupt = () => {
  if (!active()) return;
  jobs.live.stopping = true;
  tell("jobs");
  order(jobs.live.state === "waiting" ? "cancel" : "interrupt");
};

jobs.skip = () => {
  if (!active()) return;
  order("skip");
  announce("Skipping.");
};

/* The form whose Generate can be seen; on another tab the one that asked last. */
const formInSight = () => Object.keys(formStates).find((form) => seen(by(`${form}_generate`))) ?? jobs.form;

/* Ctrl+Enter while a job runs: that one is given up for the new one. */
jobs.generate = () => {
  if (active()) jobs.interrupt();
  by(`${formInSight()}_generate`)?.click();
};

/* -- following -------------------------------------------------------------------------------------------------------- */

function follow(id) {
  following = id;
  patience = 0;
  listen();
}

function listen() {
  silence();
  if (!following || document.hidden) return;
  stream = new EventSource(address(`api/v1/jobs/${following}/events`));
  const news = ({ data }) => received(JSON.parse(data));
  stream.onmessage = news;
  stream.addEventListener("end", news);
  stream.onerror = () => (silence(), lookAgain());
}

function silence() {
  stream?.close();
  stream = null;
}

function received(live) {
  if (live.id !== following) return;
  patience = 0;
  connection(true);
  live.stopping = jobs.live?.id === live.id && jobs.live.stopping;
  jobs.live = live;
  if (ENDED.has(live.state)) ended(live);
  tell("jobs");
}

function ended(live) {
  silence();
  following = "";
  memory.set("last", live.id);
  tell("ended", live);
  findMine();
}

/* The stream broke: is the server gone, or only the stream? */
async function lookAgain() {
  const id = following;
  try {
    const live = await ask(`api/v1/jobs/${id}`);
    if (id !== following) return;
    received(live);
    if (following) setTimeout(listen, 300);
  } catch (trouble) {
    if (id !== following) return;
    if (trouble.status === 404) return forget(trouble.message);
    connection(false);
    patience += 1;
    setTimeout(() => id === following && !stream && lookAgain(), Math.min(5000, 500 * patience));
  }
}

function forget(sentence) {
  following = "";
  jobs.live = null;
  jobs.refusal = { form: jobs.form, sentence };
  tell("jobs");
}

function connection(up) {
  if (jobs.connected === up) return;
  jobs.connected = up;
  announce(up ? "The server is back." : "The server does not answer; it may be restarting.");
  tell("jobs");
}

/* What is mine and not done yet, the oldest first: after a reload, in a second tab, after the one before. */
async function findMine() {
  if (following || document.hidden) return;
  try {
    const mine = (await ask("api/v1/jobs?mine=1")).filter((one) => !LONG_KINDS.has(one.kind));
    if (!following && mine.length) follow(mine[0].id);
  } catch {
    /* the status line says that the server is gone */
  }
}

async function findLast() {
  const id = memory.get("last", "");
  if (!id || following || jobs.live) return;
  const live = await ask(`api/v1/jobs/${id}`).catch(() => null);
  if (live && !following && !jobs.live && live.state === "failed") {
    jobs.live = live;
    tell("jobs");
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) silence();
  else if (following) lookAgain();
  else findMine();
});
hear("busy", findMine);
findMine().then(findLast);
