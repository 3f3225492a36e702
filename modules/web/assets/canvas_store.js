/* The sheet outlives a reload: picture, colour and mask are kept in the browser's IndexedDB, a moment after each change. */

const keeper = (atelier.keeper = { saved: { picture: 0, paint: 0, mask: 0 }, busy: null, works: true, timer: 0, restored: null });

function openStore() {
  return new Promise((done, failed) => {
    const asked = indexedDB.open("atelier", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("sheet");
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
}

async function inStore(mode, call) {
  const store = await openStore();
  try {
    return await new Promise((done, failed) => {
      const change = store.transaction("sheet", mode);
      const asked = call(change.objectStore("sheet"));
      change.oncomplete = () => done(asked?.result);
      change.onerror = change.onabort = () => failed(change.error);
    });
  } finally {
    store.close();
  }
}

const unsaved = () => Object.keys(sheet.versions).some((part) => sheet.versions[part] !== keeper.saved[part]);

async function saveSheet() {
  const versions = { ...sheet.versions };
  const changed = Object.keys(versions).filter((part) => versions[part] !== keeper.saved[part]);
  const about = { name: sheet.name, infotext: sheet.infotext, outpaint: sheet.outpaint, note: sheet.note, plain: Boolean(sheet.source) };
  const files = await Promise.all(changed.map((part) => (part === "picture" && sheet.source) || (sheet[part] && blobOf(sheet[part]))));
  await inStore("readwrite", (store) => {
    changed.forEach((part, at) => (files[at] ? store.put(files[at], part) : store.delete(part)));
    return store.put(about, "about");
  });
  keeper.saved = versions;
}

/* One after the other; what changed meanwhile is saved next. */
keeper.save = () => {
  clearTimeout(keeper.timer);
  keeper.busy ??= saveSheet()
    .then(() => (keeper.works = true))
    .catch(() => (keeper.works = false))
    .finally(() => {
      keeper.busy = null;
      tell("kept");
      if (keeper.works && unsaved()) keeper.save();
    });
  return keeper.busy;
};

hear("sheet", (parts) => {
  if (!keeper.restored || parts.includes("stroke")) return;
  clearTimeout(keeper.timer);
  keeper.timer = setTimeout(keeper.save, 200);
});

document.addEventListener("visibilitychange", () => document.hidden && keeper.restored && unsaved() && keeper.save());
addEventListener("beforeunload", (event) => {
  if (!keeper.works || !sheet.picture || !(unsaved() || keeper.busy)) return;
  keeper.save();
  event.preventDefault(); /* the browser asks, and meanwhile it is saved */
});

async function restoreSheet() {
  const known = { about: "about", picture: "picture", paint: "paint", mask: "mask" };
  const kept = {};
  for (const key of Object.keys(known)) kept[key] = await inStore("readonly", (store) => store.get(key));
  if (!kept.picture || sheet.picture) return;
  const canvases = {};
  for (const part of ["picture", ...LAYERS]) canvases[part] = kept[part] ? await canvasOf(kept[part]) : null;
  if (sheet.picture) return; /* somebody was faster */
  const { plain, ...about } = kept.about ?? {};
  Object.assign(sheet, about, canvases, { source: plain ? kept.picture : null });
  sheetChanged("picture", "paint", "mask", "outpaint");
  keeper.saved = { ...sheet.versions };
}

async function canvasOf(blob) {
  const bitmap = await decoded(blob);
  const canvas = newCanvas(bitmap.width, bitmap.height);
  penOf(canvas).drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

keeper.ready = restoreSheet()
  .catch(() => (keeper.works = false))
  .then(() => {
    keeper.restored = true;
    tell("kept");
  });
