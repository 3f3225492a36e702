/* Sending a picture, its settings and its mask to another tab. Each target is one entry; a tab may add its own:
   `atelier.targets.mine = {words, help, take: async (what) => …}`, where `what` is {url or blob, infotext, mask}. */

const toCanvas = (mode, words, help) => ({ words, help, take: (what) => takeToCanvas(mode, what) });

const targets = (atelier.targets = {
  txt2img: { words: "txt2img", help: "Its prompt and settings", needs: "infotext", take: ({ infotext }) => forms.paste("txt2img", infotext, true) },
  img2img: toCanvas("img2img", "img2img", "The picture and its settings"),
  sketch: toCanvas("sketch", "Sketch", "Paint on it, then draw it anew"),
  inpaint: toCanvas("inpaint", "Inpaint", "Draw a part of it anew"),
  inpaint_sketch: toCanvas("inpaint_sketch", "Inpaint sketch", "Paint in colour what is to be drawn anew"),
  extras: { words: "Extras", help: "Make it larger", take: (what) => putInto("extras", "#extras_image", what) },
  png_info: { words: "PNG Info", help: "See the text it carries", take: (what) => putInto("png_info", "#pnginfo_image", what) },
});

atelier.sendTo = (target, what) => tried(() => targets[target].take(what));

async function takeToCanvas(mode, what) {
  const blob = await blobFrom(what);
  edit.setMode(mode);
  if (what.infotext) await forms.paste(IMG2IMG, what.infotext, true);
  else openTab(IMG2IMG);
  const step = await edit.open(blob, { name: what.name ?? nameFrom(what), infotext: what.infotext ?? "", mask: what.mask ?? null });
  if (step) scrollTo({ top: 0, behavior: "smooth" });
}

const blobFrom = async ({ blob, url }) => blob ?? fetched(url);
const nameFrom = ({ infotext, blob }) => /(?:^|, )Seed: (\d+)/m.exec(infotext ?? "")?.[1]?.replace(/^/, "seed ") ?? (blob ? named(blob) : "");

/* Into a picture component of Gradio, as if the file had been chosen there. The tab may have to be drawn first. */
async function putInto(tab, place, what) {
  const blob = await blobFrom(what);
  openTab(tab);
  const empty = `${place} button[aria-label="Clear"], ${place} button[aria-label="Remove Image"]`;
  (await appeared(`${place} input[type=file], ${empty}`)).matches("button") && document.querySelector(empty).click();
  const input = await appeared(`${place} input[type=file]`);
  const files = new DataTransfer();
  files.items.add(new File([blob], "picture.png", { type: blob.type || "image/png" }));
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

/* Buttons for every target but those named. `what()` answers the picture at the time of the click, or null. */
function sendButtons(what, without = []) {
  const known = Object.entries(targets).filter(([name]) => !without.includes(name) && (name !== "extras" || tabExists("extras")));
  const buttons = known.map(([name, { words, help, needs }]) => {
    const picture = what();
    if (needs && !picture?.[needs]) return null;
    return element("button", { type: "button", class: "at-quiet-button", "data-target": name, title: help, "aria-label": `Send to ${words}`, textContent: words, onclick: () => atelier.sendTo(name, what()) });
  });
  return element("div", { class: "at-tools at-send", role: "group", "aria-label": "Send to" }, element("span", { class: "at-send-words", textContent: "Send to" }), ...buttons);
}
atelier.sendButtons = sendButtons;

const tabExists = (id) => Boolean(tabName(id));
