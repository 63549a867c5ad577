// Runs the exported graphs, so that the page stays responsive. It gets pictures as planes of floats in 0..1
// and answers with one.

import * as ort from "./ort/ort.wasm.min.mjs";
import { blendStatistics } from "./statistics.js";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that static hosts do not send

const WEIGHTS = "weights.bin"; // shared by both graphs
const remembered = new Map(); // what was measured of pictures, and blends, by their keys

async function fetchBytes(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: the server answers ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function openGraphs() {
  const [data, ...graphs] = await Promise.all([WEIGHTS, "style.onnx", "content.onnx"].map(fetchBytes));
  const options = { externalData: [{ path: WEIGHTS, data }] };
  const sessions = [];
  for (const graph of graphs) sessions.push(await ort.InferenceSession.create(graph, options));
  return sessions;
}

const opened = openGraphs();
opened.then(() => postMessage({ ready: true }), (error) => postMessage({ error: String(error.message ?? error) }));

function remember(key, value) {
  while (remembered.size >= 12) remembered.delete(remembered.keys().next().value);
  remembered.set(key, value);
  return value;
}

const toTensor = ({ planes, width, height }) => new ort.Tensor("float32", planes, [1, 3, height, width]);
const isStatistic = (name) => /^(mean|covariance)_/.test(name);

// Measure a picture: its tensors, and its statistics in float64.
async function measure(picture, session) {
  if (remembered.has(picture.key)) return remembered.get(picture.key);
  const tensors = await session.run({ style: toTensor(picture) });
  const names = Object.keys(tensors).filter(isStatistic);
  const statistics = Object.fromEntries(names.map((name) => [name, Float64Array.from(tensors[name].data)]));
  return remember(picture.key, { tensors, statistics });
}

// Blend two measured pictures; their pieces are joined where the second share is not zero or one.
function blend(first, second, share, key, join) {
  if (share === 0) return first;
  if (share === 1) return second;
  if (remembered.has(key)) return remembered.get(key);
  const statistics = blendStatistics(first.statistics, second.statistics, share);
  const tensors = { ...second.tensors };
  for (const [name, values] of Object.entries(statistics)) {
    tensors[name] = new ort.Tensor("float32", Float32Array.from(values), tensors[name].dims);
  }
  const [near, far] = [first.tensors.colors.data, second.tensors.colors.data];
  const colors = near.map((value, index) => value + share * (far[index] - value));
  tensors.colors = new ort.Tensor("float32", colors, second.tensors.colors.dims);
  if (join) {
    for (const name of Object.keys(tensors).filter((each) => /^(pieces|shares)_/.test(each))) {
      const parts = [first.tensors[name], second.tensors[name]];
      const factors = name.startsWith("shares_") ? [1 - share, share] : [1, 1];
      const data = new Float32Array(parts[0].data.length + parts[1].data.length);
      data.set(parts[0].data.map((value) => value * factors[0]));
      data.set(parts[1].data.map((value) => value * factors[1]), parts[0].data.length);
      tensors[name] = new ort.Tensor("float32", data, [parts[0].dims[0] + parts[1].dims[0], ...parts[0].dims.slice(1)]);
    }
  }
  return remember(key, { tensors, statistics });
}

async function stylize({ content, styles, share, alpha, match }) {
  const [style, repaint] = await opened;
  let target = await measure(styles[0], style);
  let key = styles[0].key;
  if (styles.length > 1) {
    key = `${key} ${styles[1].key} ${share}`;
    target = blend(target, await measure(styles[1], style), share, key, true);
  }
  // Strength blends the statistics with the content's own, and lets the pieces fade out.
  if (alpha < 1) {
    target = blend(await measure(content, style), target, alpha, `${content.key} ${key} ${alpha}`, false);
  }
  const tensors = { ...target.tensors, match: new ort.Tensor("float32", [match * alpha], [1]) };
  const { picture } = await repaint.run({ content: toTensor(content), ...tensors });
  return picture.data;
}

onmessage = async ({ data: request }) => {
  try {
    const start = performance.now();
    const planes = await stylize(request);
    const { width, height } = request.content;
    postMessage({ id: request.id, planes, width, height, seconds: (performance.now() - start) / 1000 }, [planes.buffer]);
  } catch (error) {
    postMessage({ id: request.id, error: String(error.message ?? error) });
  }
};
