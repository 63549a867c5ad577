// The picture: content and result on each other, a divider between them, fitted or at 100 %.

const find = (id) => document.getElementById(id);
const frame = find("frame"), scroll = find("scroll"), handle = find("handle"), divider = find("divider");

export class Viewer {
  constructor() {
    this.width = 3; // of the full result, in pixels
    this.height = 2;
    this.actual = false;
    this.paints = false; // the mask is being painted, so that the divider is away
    new ResizeObserver(() => this.#fit()).observe(scroll);
    divider.addEventListener("input", () => this.#split(divider.value / 1000));
    frame.addEventListener("pointerdown", (event) => this.#drag(event));
    find("compare").addEventListener("click", () => this.compare(!frame.classList.contains("comparing")));
    find("zoom").addEventListener("click", () => this.zoom(!this.actual));
  }

  // Set the size of the full result; the frame has its shape.
  resize(width, height, transparent) {
    Object.assign(this, { width, height });
    frame.classList.toggle("transparent", transparent);
    find("stage").style.setProperty("--aspect", width / height);
    this.#fit();
  }

  // Pixels of the screen along the long edge of the picture.
  get shownEdge() { return Math.max(frame.clientWidth, frame.clientHeight) * devicePixelRatio; }

  async setBefore(blob) { await exchange(find("before"), blob); }
  async setAfter(blob) { return exchange(find("after"), blob); }

  compare(on) {
    frame.classList.toggle("comparing", on && !this.paints);
    find("compare").setAttribute("aria-pressed", on);
    divider.value = on ? 500 : 0;
    this.#split(on ? 0.5 : 0);
  }

  zoom(actual) {
    this.actual = actual;
    find("zoom").setAttribute("aria-pressed", actual);
    frame.classList.toggle("actual", actual);
    scroll.tabIndex = actual ? 0 : -1; // so that arrow keys scroll it
    this.#fit();
    if (actual) scroll.scrollTo((scroll.scrollWidth - scroll.clientWidth) / 2, (scroll.scrollHeight - scroll.clientHeight) / 2);
    this.onzoom?.(actual);
  }

  #fit() {
    const style = getComputedStyle(scroll);
    const room = (edge, a, b) => edge - parseFloat(style[a]) - parseFloat(style[b]);
    let scale = 1 / devicePixelRatio;
    if (!this.actual) {
      scale = Math.min(
        room(scroll.clientWidth, "paddingLeft", "paddingRight") / this.width,
        room(scroll.clientHeight, "paddingTop", "paddingBottom") / this.height,
      );
    }
    frame.style.width = `${Math.max(1, this.width * scale)}px`;
    frame.style.height = `${Math.max(1, this.height * scale)}px`;
  }

  #split(share) { frame.style.setProperty("--split", share); }

  #drag(event) {
    const onHandle = handle.contains(event.target);
    if (!frame.classList.contains("comparing") || (this.actual && !onHandle)) return;
    const move = ({ clientX }) => {
      const box = frame.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
      divider.value = Math.round(1000 * share);
      this.#split(share);
    };
    move(event);
    event.preventDefault();
    divider.focus({ preventScroll: true, focusVisible: false });
    frame.setPointerCapture(event.pointerId);
    frame.addEventListener("pointermove", move);
    frame.addEventListener("lostpointercapture", () => frame.removeEventListener("pointermove", move), { once: true });
  }
}

// Show a blob in an image once it is decoded, so that nothing flickers; return its size as a text.
async function exchange(image, blob) {
  const url = URL.createObjectURL(blob);
  const loaded = new Image();
  loaded.src = url;
  await loaded.decode();
  const old = image.src;
  image.src = url;
  if (old) URL.revokeObjectURL(old);
  return `${loaded.naturalWidth} × ${loaded.naturalHeight}`;
}
