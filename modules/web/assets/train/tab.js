/* The tab itself: new training, runs, one run, a comparison. The address names what is shown: #train/<run>. */

let place = null;
let page = null;
let start = null;

function showPart(name, made = null) {
  page?.close?.();
  page = name === "new" ? (start ??= new StartPage()) : (made ?? new RunsPage());
  memory.set("train.part", name);
  for (const one of place.parts) one.setAttribute("aria-pressed", String(one.dataset.part === name));
  place.body.replaceChildren(page.place);
  if (name !== "run") locate("");
  if (name === "new" && !train.check) checkSoon(0);
  tell("train chart");
}

function showRun(run) {
  memory.set("train.run", run);
  showPart("run", new RunPage(run));
  locate(run);
  place.element.scrollIntoView({ block: "nearest" });
}
train.showRun = showRun;

const showCompare = (runs) => showPart("compare", new ComparePage(runs));

/* The address follows the tab without a step in the browser's history. */
function locate(run) {
  const wanted = seen(place.element) ? `#train${run ? `/${run}` : ""}` : "";
  if (location.hash !== wanted) history.replaceState(null, "", wanted || location.pathname + location.search);
}

train.open = async (host) => {
  const parts = [["new", "New training"], ["runs", "Runs"]].map(([name, words]) => element("button", { type: "button", class: "am-part", "data-part": name, textContent: words, onclick: () => showPart(name) }));
  const body = element("div", { class: "tr-body" });
  place = { element: host, parts, body };
  host.replaceChildren(element("div", { class: "am-parts", role: "group", "aria-label": "Part" }, ...parts), body);
  await begin(body);
  new IntersectionObserver((entries) => locate(entries.at(-1).isIntersecting && page instanceof RunPage ? page.run : "")).observe(host);
};

/* The form is asked for until it comes: the server may be starting. */
async function begin(body) {
  for (let patience = 1; !train.form; patience += 1) {
    try {
      await loadForm();
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      body.replaceChildren(problemCard(trouble.message), note("Trying again…"));
      await new Promise((done) => setTimeout(done, Math.min(5000, 1000 * patience)));
    }
  }
  const asked = /^#train\/([\w-]+)$/.exec(location.hash)?.[1] ?? (memory.get("train.part", "new") === "run" ? memory.get("train.run", "") : "");
  if (asked) showRun(asked);
  else showPart(memory.get("train.part", "new") === "runs" ? "runs" : "new");
}

addEventListener("hashchange", () => {
  const run = /^#train\/([\w-]+)$/.exec(location.hash)?.[1];
  if (run && page?.run !== run) openTab("train"), showRun(run);
});
