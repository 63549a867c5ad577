// Requests to the server. The token comes in the fragment of the address, which no server and no other site sees.

const KEY = "styletransfer-token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEY, given); // so that the page can be reloaded
  history.replaceState(null, "", location.pathname);
}

export class ServerError extends Error {
  constructor(status, facts) {
    super(facts.hint ? `${facts.error}; ${facts.hint}` : facts.error);
    this.status = status;
    this.picture = facts.picture;
  }
}

async function request(method, path, body, signal) {
  const token = sessionStorage.getItem(KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { method, body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(0, { error: "the server does not answer" });
  }
  if (response.ok) return response;
  const facts = await response.json().catch(() => ({ error: `the server answers ${response.status}` }));
  throw new ServerError(response.status, facts);
}

export const getSettings = async () => (await request("GET", "settings")).json();
export const getExample = async (path) => (await request("GET", path)).blob();

// A picture that the user chose: a blob and its name; its id on the server once it is there.
export class Picture {
  constructor(blob, name) {
    this.blob = blob;
    this.name = name;
    this.facts = null;
  }

  // Returns the facts that the server has: id, width, height, has_alpha, animated.
  upload() {
    this.facts ??= request("POST", `pictures?name=${encodeURIComponent(this.name)}`, this.blob)
      .then((response) => response.json());
    this.facts.catch(() => { this.facts = null; });
    return this.facts;
  }

  async show(size) {
    const { id } = await this.upload();
    try {
      return await (await request("GET", `pictures/${id}${size ? `?size=${size}` : ""}`)).blob();
    } catch (error) {
      if (error.picture !== id) throw error;
      this.facts = null; // the server forgot it
      return this.show(size);
    }
  }
}

// What is asked for: { content, styles, masks, options } with pictures, and members of the API in `extra`.
async function describe({ content, styles, masks, options }, extra) {
  const [first, second, third] = await Promise.all([
    content.upload(),
    Promise.all(styles.map((each) => each.upload())),
    Promise.all(masks.map((each) => each.upload())),
  ]);
  return JSON.stringify({
    content: first.id,
    styles: second.map(({ id }) => id),
    masks: third.map(({ id }) => id),
    options,
    ...extra,
  });
}

async function ask(path, wanted, extra, signal) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await request("POST", path, await describe(wanted, extra), signal);
    } catch (error) {
      if (!error.picture || attempt === 2) throw error;
      for (const each of [wanted.content, ...wanted.styles, ...wanted.masks]) each.facts = null;
    }
  }
}

export const preview = async (wanted, edge, signal) => (await ask("stylize", wanted, { preview: edge }, signal)).blob();
export const getCommand = async (wanted, output) => (await (await ask("command", wanted, output)).json()).command;

// Make the full result; `report` receives state, progress and seconds left while it is made.
export async function render(wanted, output, report, signal) {
  const name = crypto.getRandomValues(new Uint32Array(4)).join("-");
  let done = false;
  const watch = async () => {
    while (!done) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const facts = done ? null : await request("GET", `renders/${name}`).catch(() => null);
      const state = facts && await facts.json();
      if (!done && state && state.state !== "unknown") report(state);
    }
  };
  const cancel = () => request("DELETE", `renders/${name}`).catch(() => {});
  signal.addEventListener("abort", cancel);
  watch();
  try {
    const response = await ask("stylize", wanted, { ...output, render: name }, signal);
    const disposition = response.headers.get("Content-Disposition") ?? "";
    const file = decodeURIComponent(disposition.split("filename*=UTF-8''")[1] ?? "picture");
    return { blob: await response.blob(), file };
  } finally {
    done = true;
    signal.removeEventListener("abort", cancel);
  }
}
