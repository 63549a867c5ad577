// What is chosen, previewed, made in full and saved.

import { Controls, make, slider } from "./controls.js";
import { MaskEditor, save } from "./mask.js";
import { Picture, getCommand, getExample, getSettings, preview, render } from "./server.js";
import { Viewer } from "./viewer.js";

const SHOWN = 1600, TILE = 192, PREVIEW = 384; // pixels along the long edge of a fitted content, a tile and a live preview
const FIRST = { content: "chelsea.jpg", style: "nocturne.jpg" };
const COMMAND_DELAY = 200, REST = 350; // milliseconds

const find = (id) => document.getElementById(id);
const viewer = new Viewer();
const mask = new MaskEditor(() => change());

let controls = null;
let content = null; // a picture
let styles = []; // pictures, in the order in which they were chosen
const weights = new Map(); // of the styles, by picture
let result = null; // the last full result: its key, blob and name
let aborter = null; // of the render that runs
let largestPreview = PREVIEW, largestUpload = Infinity;

function say(text, isError = false) {
  find("status").textContent = text;
  find("status").classList.toggle("error", isError);
}

const complain = (error) => say(error.message, true);

// ---- What is asked for

const hasMaskEach = () => find("mask-each").checked && styles.length > 1;

async function describe() {
  const options = { ...controls.changed };
  const masks = await mask.pictures(hasMaskEach() ? styles : null);
  if (styles.length > 1 && masks.length < 2) options.style_weights = styles.map((each) => weights.get(each) ?? 1);
  return { content, styles: [...styles], masks, options };
}

function keyOf({ content, styles, masks, options }) {
  numbers.set(content, numbers.get(content) ?? numbers.size);
  for (const each of [...styles, ...masks]) numbers.set(each, numbers.get(each) ?? numbers.size);
  return JSON.stringify([numbers.get(content), styles.map((each) => numbers.get(each)), masks.map((each) => numbers.get(each)), options]);
}
const numbers = new Map();

function chosenOutput() {
  const [format, depth] = find("format").value.split(" ");
  return { format, bit_depth: Number(depth) };
}

// ---- Preview: the last change wins, and at most one is in flight. At rest, a sharper one follows.

let wanted = false, isBusy = false, commandTimer = null, restTimer = null, sharpener = null;

function change() {
  clearTimeout(commandTimer);
  clearTimeout(restTimer);
  sharpener?.abort();
  commandTimer = setTimeout(showCommand, COMMAND_DELAY);
  wanted = true;
  if (!isBusy) showPreviews();
}

async function showPreviews() {
  isBusy = true;
  document.body.dataset.busy = "true";
  while (wanted) {
    wanted = false;
    if (!content || !styles.length) continue;
    try {
      await fitFrame();
      const asked = await describe();
      const isFull = result?.key === keyOf(asked);
      const size = await viewer.setAfter(isFull ? result.blob : await preview(asked, PREVIEW));
      if (!aborter) say(isFull ? `Full size, ${size}` : "Preview");
      if (!isFull) restTimer = setTimeout(sharpen, REST);
    } catch (error) { // the next change is asked for nevertheless
      complain(error);
    }
  }
  isBusy = false;
  delete document.body.dataset.busy;
}

async function sharpen() {
  const shown = Math.ceil(viewer.shownEdge / 64) * 64;
  const edge = Math.min(largestPreview, shown);
  if (isBusy || edge <= PREVIEW) return;
  const own = sharpener = new AbortController();
  try {
    const blob = await preview(await describe(), edge, own.signal);
    if (!own.signal.aborted) await viewer.setAfter(blob);
  } catch (error) {
    if (!own.signal.aborted) complain(error);
  }
}

async function showCommand() {
  if (!content || !styles.length) return;
  try {
    find("command").textContent = await getCommand(await describe(), chosenOutput());
  } catch (error) {
    find("command").textContent = "";
    complain(error);
  }
}

// Give the frame the size of the full result.
async function fitFrame() {
  const size = controls.values.size;
  const { width, height, has_alpha } = await content.upload();
  const factor = size ? size / Math.max(width, height) : 1;
  viewer.resize(Math.round(width * factor), Math.round(height * factor), has_alpha);
}

// ---- Content and styles

async function chooseContent(picture, tile) {
  content = picture;
  press("contents", [tile]);
  try {
    const { width, height, animated } = await picture.upload();
    if (content !== picture) return;
    mask.reset(width, height);
    find("before").alt = `Content: ${picture.name}`;
    find("after").alt = `${picture.name} in the chosen style`;
    const before = picture.show(viewer.actual ? undefined : SHOWN);
    change();
    await viewer.setBefore(await before);
    if (animated) say(`${picture.name} is animated; only its first frame is used`);
  } catch (error) {
    complain(error);
  }
}

const styleTiles = new Map(); // by picture

function chooseStyle(picture) {
  const isBlend = find("blend").getAttribute("aria-pressed") === "true";
  if (!isBlend) styles = [picture];
  else if (!styles.includes(picture)) styles.push(picture);
  else if (styles.length > 1) styles = styles.filter((each) => each !== picture);
  press("styles", styles.map((each) => styleTiles.get(each)));
  buildWeights();
  buildMaskLayers();
  change();
}

function press(id, tiles) {
  const list = find(id);
  for (const each of list.querySelectorAll("button")) each.setAttribute("aria-pressed", tiles.includes(each));
  const last = tiles.at(-1); // which may be out of sight
  if (last.offsetLeft < list.scrollLeft || last.offsetLeft + last.offsetWidth > list.scrollLeft + list.clientWidth) {
    list.scrollTo({ left: last.offsetLeft - (list.clientWidth - last.offsetWidth) / 2 });
  }
}

function addTile(id, picture, url, onchoose) {
  const tile = make("button", { type: "button", className: "tile", title: picture.name });
  tile.setAttribute("aria-pressed", "false");
  tile.append(make("img", { alt: picture.name.replace(/\.[^.]*$/, "").replaceAll("_", " "), src: url, draggable: false }));
  tile.addEventListener("click", () => onchoose(picture, tile));
  return tile;
}

async function addOwn(id, file, onchoose) {
  const picture = new Picture(file, file.name || "pasted.png");
  if (file.size > largestUpload) {
    say(`${picture.name} is larger than ${Math.floor(largestUpload / 2 ** 20)} MB; see --max-upload`, true);
    return;
  }
  say(`Reading ${picture.name} …`);
  try {
    const url = URL.createObjectURL(await picture.show(TILE));
    const tile = addTile(id, picture, url, onchoose);
    find(id).querySelector(".add").after(tile);
    if (id === "styles") styleTiles.set(picture, tile);
    say("");
    onchoose(picture, tile);
  } catch (error) {
    complain(error);
  }
}

const addContent = (file) => addOwn("contents", file, chooseContent);

async function addStyles(files) {
  for (const [index, file] of [...files].entries()) {
    if (index === 1) find("blend").setAttribute("aria-pressed", "true"); // several at once are meant together
    await addOwn("styles", file, chooseStyle);
  }
}

// Examples are fetched when they are chosen, or shown as they are.
async function addExamples(paths, id, first) {
  for (const path of paths) {
    const name = path.split("/").pop();
    const picture = new Picture(null, name);
    const onchoose = async (chosen, tile) => {
      try {
        picture.blob ??= await getExample(path);
        (id === "styles" ? chooseStyle : chooseContent)(chosen, tile);
      } catch (error) {
        complain(error);
      }
    };
    const tile = addTile(id, picture, path, onchoose);
    find(id).append(tile);
    if (id === "styles") styleTiles.set(picture, tile);
    if (name === first) await onchoose(picture, tile);
  }
}

find("blend").addEventListener("click", ({ target }) => {
  const isBlend = target.getAttribute("aria-pressed") !== "true";
  target.setAttribute("aria-pressed", isBlend);
  if (!isBlend && styles.length > 1) {
    styles = [];
    chooseStyle([...styleTiles].find(([, tile]) => tile.getAttribute("aria-pressed") === "true")[0]);
  } else if (isBlend) say("Choose further styles to blend them");
});

function buildWeights() {
  const isNeeded = styles.length > 1 && !hasMaskEach();
  find("weights").hidden = !isNeeded;
  if (!isNeeded) return;
  const sliders = styles.map((each, index) => slider(
    each.name.replace(/\.[^.]*$/, "").replaceAll("_", " "),
    `weight-${index}`,
    { min: 0, max: 1, step: 0.01, value: weights.get(each) ?? 1 },
    (value) => value.toFixed(2),
    (value) => {
      weights.set(each, value);
      if (styles.every((style) => weights.get(style) === 0)) weights.set(each, 0.01);
      change();
    },
  ));
  find("weights").replaceChildren(make("h2", { textContent: "Weights" }), ...sliders);
}

// ---- Mask

function buildMaskLayers() {
  find("mask-each-row").hidden = styles.length < 2;
  find("mask-layers").hidden = !hasMaskEach();
  mask.select(hasMaskEach() ? styles[0] : "all");
  find("mask-layers").replaceChildren(...(hasMaskEach() ? styles : []).map((each, index) => {
    const input = make("input", { type: "radio", name: "mask-layer", checked: index === 0 });
    input.addEventListener("change", () => mask.select(each));
    const label = make("label");
    label.append(input, each.name.replace(/\.[^.]*$/, "").replaceAll("_", " "));
    return label;
  }));
}

find("mask-each").addEventListener("change", () => {
  buildMaskLayers();
  buildWeights();
  change();
});

find("mask-section").addEventListener("toggle", ({ target }) => {
  find("mask").hidden = !target.open;
  viewer.paints = target.open;
  viewer.compare(find("compare").getAttribute("aria-pressed") === "true" && !target.open);
  find("compare").disabled = target.open;
  mask.draw();
});

// ---- Full size

async function makeResult(output) {
  const asked = await describe();
  const key = keyOf(asked);
  aborter = new AbortController();
  find("cancel").hidden = find("progress-row").hidden = false;
  find("render").disabled = find("download").disabled = true;
  find("progress").value = 0;
  find("time-left").textContent = "";
  find("cancel").focus();
  say("Rendering …");
  try {
    const report = ({ state, progress, seconds_left }) => {
      find("progress").value = progress;
      find("time-left").textContent = state === "queued" ? "Waiting" : seconds_left === null ? "" : describeTime(seconds_left);
    };
    return { key, ...(await render(asked, output, report, aborter.signal)) };
  } finally {
    aborter = null;
    const hadFocus = document.activeElement === find("cancel");
    find("cancel").hidden = find("progress-row").hidden = true;
    find("render").disabled = find("download").disabled = false;
    if (hadFocus) find("render").focus();
  }
}

function describeTime(seconds) {
  const rounded = Math.max(1, Math.round(seconds));
  return rounded < 90 ? `${rounded} s left` : `${Math.round(rounded / 60)} min left`;
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (error.name === "AbortError" || error.status === 409) say("Canceled");
    else complain(error);
  }
}

find("render").addEventListener("click", () => attempt(async () => {
  result = await makeResult({ format: "png", bit_depth: 8 });
  if (result.key === keyOf(await describe())) change();
  else say("The full picture is done, but the settings have changed since");
}));

find("download").addEventListener("click", () => attempt(async () => {
  const made = await makeResult(chosenOutput());
  save(made.blob, made.file);
  say(`${made.file} is saved`);
}));

find("cancel").addEventListener("click", () => aborter?.abort());
find("format").addEventListener("change", showCommand);

viewer.onzoom = (actual) => {
  if (actual && content) content.show().then((blob) => viewer.setBefore(blob)).catch(complain);
};

find("copy").addEventListener("click", async () => {
  const text = find("command").textContent;
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
  } catch { // without HTTPS, browsers have no clipboard on other machines
    getSelection().selectAllChildren(find("command"));
    say("The command line is selected");
  }
});

// ---- Files: chosen, dropped, pasted

find("content-file").addEventListener("change", ({ target }) => {
  if (target.files[0]) addContent(target.files[0]);
  target.value = "";
});
find("style-file").addEventListener("change", ({ target }) => {
  addStyles([...target.files]);
  target.value = "";
});

const drop = find("drop");
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => { if (hasFiles(event)) drop.hidden = false; });
addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  for (const each of drop.children) each.classList.toggle("over", each === event.target);
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.hidden = true; });
addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  drop.hidden = true;
  const files = [...event.dataTransfer.files];
  // Several on the picture's side: the first is the picture, the others are its styles.
  if (event.target !== find("drop-style")) addContent(files.shift());
  addStyles(files);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (!file) return;
  event.preventDefault();
  if (find("strip").contains(document.activeElement)) addStyles([file]);
  else addContent(file);
});

// ---- Begin

attempt(async () => {
  const settings = await getSettings();
  controls = new Controls(settings.options, change);
  largestPreview = settings.largest_preview;
  largestUpload = settings.max_upload;
  find("about").textContent = `Version ${settings.version}, model ${settings.model} on ${settings.device}.`;
  await addExamples(settings.contents, "contents", FIRST.content);
  await addExamples(settings.styles, "styles", FIRST.style);
});
