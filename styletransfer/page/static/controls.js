// Controls for the options, built from their description. An option that the program gains appears by itself.

// Options that are shown first, with their labels. All others follow under "More options".
const MAIN = { alpha: "Strength", match: "Pieces of the style", stroke_scale: "Stroke size", preserve_color: "Keep colors" };
// Options that the page sets in other ways, and lists of numbers.
const ELSEWHERE = ["style_weights"];
const LABELS = { refine: "Refine, iterations", size: "Size of the result, pixels", style_size: "Size of the style, pixels" };
const AUTO_STROKES = 0, MOST_STROKES = 8;

export class Controls {
  // `onchange` receives whether the value may change many times in a second.
  constructor(described, onchange) {
    this.values = Object.fromEntries(described.map(({ name, default: value }) => [name, value]));
    this.defaults = { ...this.values };
    this.onchange = onchange;
    for (const option of described) {
      if (ELSEWHERE.includes(option.name) || option.kind === "numbers") continue;
      const label = MAIN[option.name] ?? LABELS[option.name] ?? capitalize(option.name.replaceAll("_", " "));
      const isMain = option.name in MAIN || option.name === "color_only";
      const place = document.getElementById(isMain ? "main-options" : "more-options");
      const control = this.#build(option, label);
      place.append(control);
      if (isMain) control.title = option.help;
      else describe(control, option);
    }
    const order = Object.keys(MAIN);
    const main = document.getElementById("main-options");
    for (const name of order) main.append(...main.querySelectorAll(`[data-option="${name}"]`));
  }

  // The options that differ from their defaults.
  get changed() {
    return Object.fromEntries(Object.entries(this.values).filter(([name, value]) => value !== this.defaults[name]));
  }

  #set(name, value, live = false) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    this.onchange(live);
  }

  #build(option, label) {
    const builders = {
      number: () => this.#slider(option, label),
      choice: () => this.#choice(option, label),
      boolean: () => this.#check(option, label),
      integer: () => this.#integer(option, label),
    };
    const control = option.name === "stroke_scale" ? this.#strokes(option, label) : builders[option.kind]();
    control.dataset.option = option.name;
    return control;
  }

  #slider({ name, default: value }, label) {
    const format = (number) => number.toFixed(2).replace(/0$/, "");
    return slider(label, name, { min: 0, max: 1, step: 0.01, value }, format, (number) => this.#set(name, number, true));
  }

  #strokes({ name }, label) {
    const format = (number) => (number === AUTO_STROKES ? "Auto" : `${number}×`);
    const range = { min: AUTO_STROKES, max: MOST_STROKES, step: 1, value: AUTO_STROKES };
    // Styles are measured for each size, so this waits until the slider is released.
    return slider(label, name, range, format, null, (number) => this.#set(name, number === AUTO_STROKES ? null : number));
  }

  #choice({ name, choices, default: value }, label) {
    if (choices.length > 3) {
      const select = make("select", { id: `option-${name}` });
      select.append(...choices.map((each) => make("option", { value: each, textContent: capitalize(each) })));
      select.value = value;
      select.addEventListener("change", () => this.#set(name, select.value));
      return wrap(label, select);
    }
    const set = make("fieldset");
    const row = make("div", { className: "choices" });
    set.append(make("legend", { textContent: label }), row);
    for (const each of choices) {
      const input = make("input", { type: "radio", name, value: each, checked: each === value });
      input.addEventListener("change", () => this.#set(name, each));
      const item = make("label");
      item.append(input, capitalize(each));
      row.append(item);
    }
    return set;
  }

  #check({ name, default: value }, label) {
    const input = make("input", { type: "checkbox", id: `option-${name}`, checked: value });
    input.addEventListener("change", () => this.#set(name, input.checked));
    const row = make("label", { className: "check" });
    row.append(input, label);
    return row;
  }

  #integer({ name, default: value, optional }, label) {
    const input = make("input", { type: "number", id: `option-${name}`, min: optional ? 1 : 0, step: 1, value: value ?? "" });
    input.placeholder = optional ? "Auto" : "";
    input.addEventListener("change", () => {
      if (!input.validity.valid) input.value = this.values[name] ?? "";
      this.#set(name, input.value === "" ? this.defaults[name] : Number(input.value));
    });
    return wrap(label, input);
  }
}

// A slider with its label and its value. `onmove` is called while it moves, `onrelease` once it rests.
export function slider(label, name, range, format, onmove, onrelease) {
  const input = make("input", { type: "range", id: `option-${name}`, ...range });
  const output = make("output", { htmlFor: input.id });
  const show = () => {
    output.textContent = format(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  show();
  input.addEventListener("input", () => {
    show();
    onmove?.(Number(input.value));
  });
  input.addEventListener("change", () => onrelease?.(Number(input.value)));
  const field = wrap(label, output);
  field.append(input);
  return field;
}

export function make(tag, properties = {}) {
  const element = document.createElement(tag);
  // A range has to know its bounds before its value.
  const { value, ...others } = properties;
  Object.assign(element, others);
  if (value !== undefined) element.value = value;
  return element;
}

function wrap(label, ...children) {
  const field = make("label", { className: "field" });
  field.append(make("span", { textContent: label }), ...children);
  return field;
}

// Write the help text below a control; a fieldset and a label both take it.
function describe(control, { name, help }) {
  const note = make("small", { className: "quiet", id: `help-${name}`, textContent: help });
  const inputs = control.matches("fieldset") ? [control] : control.querySelectorAll("input, select");
  for (const each of inputs) each.setAttribute("aria-describedby", note.id);
  control.after(note);
}

const capitalize = (text) => text[0].toUpperCase() + text.slice(1);
