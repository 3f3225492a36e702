/* The folded sections of a form: the size of the second pass, kept styles, wildcards. */

/* As the engine works it out: one side given keeps the shape, both are covered and cut; whole latents of 8 pixels. */
function hiresSize({ width, height, hr_scale, hr_resize_x, hr_resize_y }) {
  const [w, h, x, y] = [width, height, hr_resize_x, hr_resize_y].map(Number);
  let size = [Math.floor(w * hr_scale), Math.floor(h * hr_scale)];
  if (x && y) size = [x, y];
  else if (x) size = [x, Math.floor((x * h) / w)];
  else if (y) size = [Math.floor((y * w) / h), y];
  return size.map((side) => Math.floor(side / 8) * 8);
}
atelier.hiresSize = hiresSize;

class HiresSize extends HTMLElement {
  connectedCallback() {
    this.prefix = this.getAttribute("form");
    hear(`form ${this.prefix}`, () => this.paint());
    this.paint();
  }
  paint() {
    const values = forms.values(this.prefix);
    const [width, height] = hiresSize(values);
    const known = Number.isFinite(width) && Number.isFinite(height);
    const from = `${values.width}x${values.height}`;
    const words = known && (values.enable_hr ? `From ${from} to ${width}x${height}` : `Off; it would be ${width}x${height}`);
    this.replaceChildren(element("p", { class: "at-note", textContent: words || "" }));
  }
}
customElements.define("at-hires-size", HiresSize);

const styles = (atelier.styles = {});

/* Called by Gradio just before the event: the name under which the prompts are kept; "" when somebody thought better of it. */
styles.naming = (prefix, [, prompt, negative]) => {
  if (!prompt?.trim() && !negative?.trim()) {
    announce("There is no prompt to keep yet.");
    return ["", prompt, negative];
  }
  const name = (window.prompt("Name of the style:") ?? "").trim();
  if (name) announce(`The prompts are kept as style ${name}.`);
  return [name, prompt, negative];
};

styles.deleting = (prefix, chosen) => {
  if (!chosen?.length) {
    announce("Choose the styles to delete first.");
    return [[]];
  }
  return [window.confirm(`Delete ${chosen.join(", ")}? The texts are gone then.`) ? chosen : []];
};

/* A wildcard goes to where the cursor was in the prompt; the list is empty again, ready for the next. */
styles.insert = (prefix, word) => {
  if (!word) return null;
  const box = document.querySelector(`#${prefix}_prompt textarea`);
  const { prompt } = forms.values(prefix);
  const place = box ? box.selectionEnd : prompt.length;
  const glue = place && !/[\s,({|]$/.test(prompt.slice(0, place)) ? " " : "";
  forms.fill(prefix, { prompt: `${prompt.slice(0, place)}${glue}__${word}__${prompt.slice(place)}` });
  return null;
};
