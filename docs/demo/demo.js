// The page: pictures to choose from, settings, and the result. The network runs in worker.js.

const STYLE_SIZE = 512; // long edge to which styles are reduced
const find = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const chosen = { content: null, styles: [] };
const pictures = new Map(); // opened pictures by their addresses
let asked = 0, working = false, wanted = false, ready = false;

async function openPicture(url) {
  if (!pictures.has(url)) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url}: the server answers ${answer.status}`);
    pictures.set(url, await createImageBitmap(await answer.blob()));
  }
  return pictures.get(url);
}

// Draw a picture with a long edge of at most `size` and return its canvas.
function reduce(bitmap, size, canvas = document.createElement("canvas")) {
  const factor = Math.min(1, size / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(factor * bitmap.width));
  canvas.height = Math.max(1, Math.round(factor * bitmap.height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // below transparent pixels
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function toPlanes(canvas, key) {
  const { width, height } = canvas, count = width * height;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const planes = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < 3; channel++) planes[channel * count + i] = data[4 * i + channel] / 255;
  }
  return { planes, width, height, key };
}

function show({ planes, width, height }) {
  const canvas = find("after"), count = width * height;
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < 3; channel++) image.data[4 * i + channel] = 255 * planes[channel * count + i];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0); // it is made on the processor
}

function say(text, isError = false) {
  find("status").textContent = text;
  find("status").classList.toggle("error", isError);
}

const number = (id) => Number(find(id).value);
const size = () => Number(document.querySelector("[name=size]:checked").value);

// Ask for the picture of the present settings. The last wish wins; at most one is in the making.
async function update() {
  for (const id of ["alpha", "match", "share"]) find(`${id}-value`).textContent = find(id).value;
  find("share-field").hidden = chosen.styles.length < 2;
  wanted = true;
  if (working || !ready || !chosen.content || !chosen.styles.length) return;
  wanted = false;
  working = true;
  document.body.dataset.busy = "";
  say("Painting…");
  try {
    const content = toPlanes(reduce(await openPicture(chosen.content), size(), find("before")), `${chosen.content} ${size()}`);
    const styles = [];
    for (const url of chosen.styles) styles.push(toPlanes(reduce(await openPicture(url), STYLE_SIZE), url));
    const settings = { share: number("share"), alpha: number("alpha"), match: number("match") };
    worker.postMessage({ id: ++asked, content, styles, ...settings });
  } catch (error) {
    finish(String(error.message ?? error), true);
  }
}

function finish(text, isError) {
  working = false;
  delete document.body.dataset.busy;
  say(text, isError);
  if (wanted) update();
}

worker.onmessage = ({ data }) => {
  if (data.ready) {
    ready = true;
    update();
  } else if (data.error) {
    finish(data.error, true);
  } else {
    show(data);
    find("download").disabled = false;
    finish(`${data.width} × ${data.height}, ${data.seconds.toFixed(1)} s`, false);
  }
};
worker.onerror = (event) => say(`The worker failed: ${event.message ?? "it cannot be loaded"}`, true);

function mark() {
  for (const tile of document.querySelectorAll("#contents button")) {
    tile.setAttribute("aria-pressed", tile.dataset.url === chosen.content);
  }
  for (const tile of document.querySelectorAll("#styles button.tile")) {
    tile.setAttribute("aria-pressed", chosen.styles.includes(tile.dataset.url));
  }
}

function choose(kind, url) {
  const blends = find("blend").getAttribute("aria-pressed") === "true";
  if (kind === "contents") chosen.content = url;
  else if (!blends || chosen.styles[0] === url) chosen.styles = [url];
  else chosen.styles = [chosen.styles[0], url].filter(Boolean);
  mark();
  update();
}

function addTile(kind, url, name) {
  const tile = document.createElement("button");
  Object.assign(tile, { type: "button", className: "tile", title: name });
  tile.dataset.url = url;
  const image = document.createElement("img");
  Object.assign(image, { src: url, alt: name });
  tile.append(image);
  tile.addEventListener("click", () => choose(kind, url));
  find(kind).insertBefore(tile, find(kind).lastElementChild);
}

for (const [kind, input] of [["contents", "content-file"], ["styles", "style-file"]]) {
  find(input).addEventListener("change", () => {
    const [file] = find(input).files;
    if (!file) return;
    const url = URL.createObjectURL(file);
    addTile(kind, url, file.name);
    choose(kind, url);
  });
}
for (const id of ["alpha", "match", "share"]) find(id).addEventListener("input", update);
for (const each of document.querySelectorAll("[name=size]")) each.addEventListener("change", update);
for (const id of ["compare", "blend"]) {
  find(id).addEventListener("click", () => {
    const pressed = find(id).getAttribute("aria-pressed") !== "true";
    find(id).setAttribute("aria-pressed", pressed);
    if (id === "compare") find("frame").classList.toggle("before", pressed);
    else if (!pressed && chosen.styles.length > 1) choose("styles", chosen.styles[0]);
  });
}
find("download").addEventListener("click", () => {
  find("after").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "stylized.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
});
find("panel").addEventListener("submit", (event) => event.preventDefault());

const examples = await (await fetch("examples.json")).json();
for (const kind of ["contents", "styles"]) {
  for (const url of examples[kind]) addTile(kind, url, url.split("/").pop().replace(/\.\w+$/, ""));
}
choose("contents", examples.contents[1]);
choose("styles", examples.styles[0]);
