// Masks: where styles are painted. White is painted and black is left, as in the files that the program reads.

import { Picture } from "./server.js";

const LONGEST = 1024; // pixels along the long edge of a mask that is painted here
const STEPS = 20; // that can be undone

const find = (id) => document.getElementById(id);
const canvas = find("mask"), circle = find("brush");

class Layer {
  constructor(width, height) {
    this.canvas = new OffscreenCanvas(width, height);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.undo = [];
    this.file = null; // the file it came from, as long as nothing was painted over it
    this.painted = false;
    this.clear();
  }

  clear() {
    this.context.globalCompositeOperation = "source-over";
    this.context.fillStyle = "black";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.painted = false;
    this.file = this.picture = null;
  }

  remember() {
    const { width, height } = this.canvas;
    const { painted, file } = this;
    this.undo.push({ pixels: this.context.getImageData(0, 0, width, height), painted, file });
    this.undo.splice(0, this.undo.length - STEPS);
  }

  back() {
    const step = this.undo.pop();
    if (!step) return;
    this.context.putImageData(step.pixels, 0, 0);
    Object.assign(this, { painted: step.painted, file: step.file, picture: null });
  }

  // Paint a dab. "lighten" keeps the soft edges of strokes where they overlap.
  dab(x, y, radius, softness, erase) {
    const gradient = this.context.createRadialGradient(x, y, 0, x, y, radius);
    const [inside, outside] = erase ? ["black", "white"] : ["white", "black"];
    gradient.addColorStop(0, inside);
    gradient.addColorStop(Math.min(0.98, 1 - softness), inside);
    gradient.addColorStop(1, outside);
    this.context.globalCompositeOperation = erase ? "darken" : "lighten";
    this.context.fillStyle = gradient;
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.fill();
    this.painted = true;
    this.file = this.picture = null;
  }

  async toPicture(name) {
    this.picture ??= this.file ?? new Picture(await this.canvas.convertToBlob({ type: "image/png" }), name);
    return this.picture;
  }
}

export class MaskEditor {
  // `onchange` is called after every stroke.
  constructor(onchange) {
    this.onchange = onchange;
    this.layers = new Map();
    this.key = "all"; // the layer that is painted: "all" or a style
    this.width = this.height = 1;
    this.position = null; // of the brush of the keyboard, 0..1
    canvas.addEventListener("pointerdown", (event) => this.#stroke(event));
    canvas.addEventListener("pointermove", (event) => this.#showBrush(...this.#locate(event)));
    canvas.addEventListener("pointerleave", () => { circle.hidden = true; });
    canvas.addEventListener("keydown", (event) => this.#press(event));
    canvas.addEventListener("blur", () => { circle.hidden = true; });
    find("mask-erase").addEventListener("click", () => this.#erase(!this.erases));
    find("mask-undo").addEventListener("click", () => { this.layer.back(); this.#changed(); });
    find("mask-clear").addEventListener("click", () => {
      this.layer.remember();
      this.layer.clear();
      this.#changed();
    });
    find("mask-save").addEventListener("click", async () => {
      const { blob, name } = await this.layer.toPicture(this.#name(this.key));
      save(blob, name);
    });
    find("mask-file").addEventListener("change", ({ target }) => {
      if (target.files[0]) this.open(target.files[0]);
      target.value = "";
    });
    for (const name of ["brush-size", "brush-softness"]) {
      const show = () => { find(`${name}-value`).textContent = `${find(name).value} %`; };
      find(name).addEventListener("input", show);
      show();
    }
  }

  get layer() {
    if (!this.layers.has(this.key)) this.layers.set(this.key, new Layer(canvas.width, canvas.height));
    return this.layers.get(this.key);
  }

  get erases() { return find("mask-erase").getAttribute("aria-pressed") === "true"; }

  get radius() { return (find("brush-size").value / 100) ** 1.5 * Math.max(canvas.width, canvas.height) / 4 + 1; }

  // Begin anew for a content of some size.
  reset(width, height) {
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    this.layers.clear();
    this.position = null;
    this.draw();
  }

  select(key) {
    this.key = key;
    this.draw();
  }

  // Return the pictures of the masks of some styles, or of the one of all; empty if nothing is masked.
  async pictures(styles) {
    const keys = styles ?? ["all"];
    if (!keys.some((key) => this.layers.get(key)?.painted)) return [];
    const each = keys.map((key) => {
      if (!this.layers.has(key)) this.layers.set(key, new Layer(canvas.width, canvas.height));
      return this.layers.get(key).toPicture(this.#name(key));
    });
    return Promise.all(each);
  }

  async open(file) {
    const image = await createImageBitmap(file).catch(() => null);
    this.layer.remember();
    this.layer.clear();
    if (image) this.layer.context.drawImage(image, 0, 0, canvas.width, canvas.height);
    this.layer.file = new Picture(file, file.name);
    this.layer.painted = true;
    this.#changed();
  }

  draw() {
    canvas.getContext("2d").drawImage(this.layer.canvas, 0, 0);
    canvas.classList.toggle("empty", !this.layer.painted);
    find("mask-undo").disabled = !this.layer.undo.length;
    find("mask-clear").disabled = find("mask-save").disabled = !this.layer.painted;
  }

  #name(key) { return key === "all" ? "mask.png" : `mask_${key.name.replace(/\.[^.]*$/, "")}.png`; }

  #erase(on) { find("mask-erase").setAttribute("aria-pressed", on); }

  #changed() {
    this.draw();
    this.onchange();
  }

  #locate({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  }

  #showBrush(x, y) {
    const size = `${200 * this.radius / canvas.width}%`;
    Object.assign(circle.style, { left: `${100 * x}%`, top: `${100 * y}%`, width: size, aspectRatio: "1" });
    circle.hidden = false;
  }

  #dab(x, y) {
    const softness = find("brush-softness").value / 100;
    this.layer.dab(x * canvas.width, y * canvas.height, this.radius, softness, this.erases);
  }

  #stroke(event) {
    if (event.button) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true, focusVisible: false });
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("painting");
    this.layer.remember();
    let last = this.#locate(event);
    this.#dab(...last);
    this.draw();
    const move = (moved) => {
      for (const each of moved.getCoalescedEvents?.() ?? [moved]) {
        const next = this.#locate(each);
        const [dx, dy] = [(next[0] - last[0]) * canvas.width, (next[1] - last[1]) * canvas.height];
        const count = Math.ceil(Math.hypot(dx, dy) / Math.max(1, this.radius / 4));
        for (let step = 1; step <= count; step++) {
          this.#dab(last[0] + (next[0] - last[0]) * step / count, last[1] + (next[1] - last[1]) * step / count);
        }
        if (count) last = next;
      }
      this.draw();
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("lostpointercapture", () => {
      canvas.removeEventListener("pointermove", move);
      canvas.classList.remove("painting");
      this.#changed();
    }, { once: true });
  }

  #press(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.position ??= [0.5, 0.5];
    if (steps[event.key]) {
      const step = this.radius / 2;
      const [dx, dy] = steps[event.key];
      const clamp = (value) => Math.min(1, Math.max(0, value));
      const [x, y] = this.position;
      this.position = [clamp(x + dx * step / canvas.width), clamp(y + dy * step / canvas.height)];
    } else if (event.key === " ") {
      this.layer.remember();
      this.#dab(...this.position);
      this.#changed();
    } else return;
    event.preventDefault();
    this.#showBrush(...this.position);
  }
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
