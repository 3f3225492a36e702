/* Curves on a canvas: each loss as it is (faint) and smoothed, steps even or as their logarithm. Several runs in one. */

const CURVE_COLOURS = ["--at-accent-text", "--at-warn", "--at-good", "--at-problem", "--at-quiet"];
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 2]];
const CHART_LEFT = 52;
const CHART_BOTTOM = 22;

/* Exponential mean without the bias of its beginning. */
function smoothed(values, weight) {
  let mean = 0;
  let sum = 0;
  return values.map((one) => {
    mean = mean * weight + one * (1 - weight);
    sum = sum * weight + (1 - weight);
    return mean / sum;
  });
}
atelier.train.smoothed = smoothed;

/* Round numbers between two ends, at most about `many`. */
function ticks(low, high, many) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / many;
  const base = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * base >= rough) * base;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((high - first) / step + 1e-6) + 1) }, (_, at) => first + at * step);
}

class Chart {
  /* `curves()`: [{label, points: [[step, value]], raw: draw it unsmoothed only}]. */
  constructor(label, curves, { height = 220, smooth = true, from0 = false } = {}) {
    Object.assign(this, { label, curves, smooth, from0 });
    this.canvas = element("canvas", { role: "img", "aria-label": label, tabindex: "0", class: "tr-canvas", style: `height:${height}px` });
    this.legend = element("ul", { class: "tr-legend" });
    this.said = element("p", { class: "at-note tr-read", "aria-hidden": "true" });
    this.place = element("figure", { class: "tr-chart" }, element("figcaption", {}, element("span", { textContent: label }), this.said), this.canvas, this.legend);
    this.canvas.onpointermove = (event) => this.point(event.offsetX);
    this.canvas.onpointerleave = () => this.point(null);
    this.canvas.onkeydown = (event) => this.walk(event);
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    for (const name of ["looks", "train chart"]) hearWhile(this.canvas, name, () => this.paint());
  }
  paint() {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    const sharp = devicePixelRatio || 1;
    canvas.width = width * sharp;
    canvas.height = height * sharp;
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    const shown = this.curves().filter((one) => one.points.length);
    this.frame = this.bounds(shown, width, height);
    this.colours = getComputedStyle(canvas);
    this.axes(pen, shown.length);
    shown.forEach((one, at) => this.curve(pen, one, at));
    this.paintLegend(shown);
    this.last = shown;
    canvas.setAttribute("aria-label", `${this.label}: ${shown.map((one) => `${one.label} ${number(one.points[0][1])} at first, ${number(smoothed(one.points.map(([, y]) => y), this.weight(one)).at(-1))} at step ${one.points.at(-1)[0]}`).join("; ") || "no numbers yet"}`);
    if (this.at != null) this.cross(pen);
  }
  weight(one) {
    return !this.smooth || one.raw ? 0 : Math.min(0.98, 1 - 4 / Math.max(4, one.points.length));
  }
  bounds(shown, width, height) {
    const steps = shown.flatMap((one) => [one.points[0][0], one.points.at(-1)[0]]);
    const values = shown.flatMap((one) => one.points.map(([, y]) => y)).filter(isFinite).sort((a, b) => a - b);
    const low = this.from0 ? 0 : (values[0] ?? 0);
    const high = values.length > 50 ? values[Math.floor(values.length * 0.995)] : (values.at(-1) ?? 1);
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return { x0: Math.min(...steps, 1), x1: Math.max(...steps, 2), y0: this.from0 ? 0 : low - room, y1: high + room, width, height };
  }
  x(step) {
    const { x0, x1, width } = this.frame;
    const log = memory.get("train.log", false);
    const part = log ? (Math.log(step) - Math.log(Math.max(1, x0))) / (Math.log(x1) - Math.log(Math.max(1, x0)) || 1) : (step - x0) / (x1 - x0 || 1);
    return CHART_LEFT + part * (width - CHART_LEFT - 8);
  }
  y(value) {
    const { y0, y1, height } = this.frame;
    return 6 + (1 - (value - y0) / (y1 - y0)) * (height - CHART_BOTTOM - 6);
  }
  colour(name) {
    return this.colours.getPropertyValue(name).trim();
  }
  axes(pen, any) {
    const { x0, x1, y0, y1, width, height } = this.frame;
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = this.colour("--at-quiet");
    pen.strokeStyle = this.colour("--at-line");
    pen.lineWidth = 1;
    if (!any) return pen.fillText("The curve begins with the first step.", CHART_LEFT, height / 2);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const one of ticks(y0, y1, Math.max(2, height / 50))) {
      const y = Math.round(this.y(one)) + 0.5;
      pen.beginPath(), pen.moveTo(CHART_LEFT, y), pen.lineTo(width - 8, y), pen.stroke();
      pen.fillText(number(one), CHART_LEFT - 8, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    const log = memory.get("train.log", false);
    const marks = log ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000].filter((one) => one >= x0 && one <= x1) : ticks(x0, x1, Math.max(2, width / 90)).map(Math.round);
    for (const one of new Set(marks)) if (one >= x0) pen.fillText(one.toLocaleString(), Math.min(width - 16, Math.max(CHART_LEFT + 4, this.x(one))), height - 6);
  }
  curve(pen, one, at) {
    const weight = this.weight(one);
    pen.save();
    pen.beginPath(), pen.rect(CHART_LEFT, 0, this.frame.width, this.frame.height - CHART_BOTTOM + 2), pen.clip();
    pen.strokeStyle = pen.fillStyle = this.colour(CURVE_COLOURS[at % CURVE_COLOURS.length]);
    pen.lineJoin = "round";
    if (weight) {
      pen.globalAlpha = 0.28;
      this.line(pen, one.points, 1);
      pen.globalAlpha = 1;
    }
    pen.setLineDash(DASHES[at % DASHES.length]);
    const values = smoothed(one.points.map(([, y]) => y), weight);
    this.line(pen, one.points.map(([step], index) => [step, values[index]]), 2);
    pen.restore();
  }
  line(pen, points, width) {
    pen.lineWidth = width;
    pen.beginPath();
    points.forEach(([step, y], at) => (at ? pen.lineTo(this.x(step), this.y(y)) : pen.moveTo(this.x(step), this.y(y))));
    if (points.length === 1) pen.arc(this.x(points[0][0]), this.y(points[0][1]), 2, 0, 7);
    pen.stroke();
  }
  paintLegend(shown) {
    const mark = shown.map((one) => one.label).join("|");
    if (mark === this.legendMark) return;
    this.legendMark = mark;
    this.legend.hidden = shown.length < 2;
    this.legend.replaceChildren(...shown.map((one, at) => element("li", {}, legendLine(at), element("span", { textContent: one.label }))));
  }
  /* The numbers below the pointer, or of the step that arrow keys went to. */
  point(x) {
    this.at = x;
    if (x == null) setText(this.said, "");
    this.paint();
  }
  walk(event) {
    const step = { ArrowLeft: -12, ArrowRight: 12 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.point(Math.max(CHART_LEFT, Math.min(this.canvas.clientWidth - 8, (this.at ?? CHART_LEFT) + step)));
    announce(this.said.textContent);
  }
  cross(pen) {
    const found = this.last.map((one) => one.points.reduce((best, point) => (Math.abs(this.x(point[0]) - this.at) < Math.abs(this.x(best[0]) - this.at) ? point : best)));
    if (!found.length) return;
    pen.strokeStyle = this.colour("--at-edge");
    pen.beginPath(), pen.moveTo(this.x(found[0][0]), 4), pen.lineTo(this.x(found[0][0]), this.frame.height - CHART_BOTTOM), pen.stroke();
    setText(this.said, `step ${found[0][0].toLocaleString()}: ${found.map(([, y], at) => `${this.last.length > 1 ? `${this.last[at].label} ` : ""}${number(y, 4)}`).join(", ")}`);
  }
}

function legendLine(at) {
  const made = element("span", { class: "tr-legend-line", "aria-hidden": "true" });
  made.innerHTML = `<svg width="28" height="8"><line x1="0" y1="4" x2="28" y2="4" stroke="var(${CURVE_COLOURS[at % CURVE_COLOURS.length]})" stroke-width="2" stroke-dasharray="${DASHES[at % DASHES.length].join(" ")}"/></svg>`;
  return made;
}

/* Steps even, or as their logarithm: one choice for all charts. */
function logToggle() {
  const box = element("input", { type: "checkbox", onchange: () => (memory.set("train.log", box.checked), tell("train chart")) });
  box.checked = memory.get("train.log", false);
  return element("label", { class: "tr-tick", title: "Early steps wide, late ones narrow" }, box, element("span", { textContent: "Log steps" }));
}
