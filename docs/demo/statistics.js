// Blends of Gaussians in float64, as `styletransfer.linalg.wasserstein_barycenter` computes them for two.
// Matrices are Float64Array of n * n numbers, row by row.

function multiply(a, b, n) {
  const product = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) {
      const factor = a[i * n + k];
      if (factor === 0) continue;
      const row = k * n, target = i * n;
      for (let j = 0; j < n; j++) product[target + j] += factor * b[row + j];
    }
  }
  return product;
}

// Return square root and inverse square root of a symmetric matrix with no negative eigenvalue: coupled
// Newton-Schulz iterations (Higham 2008, (6.35)). Eigenvalues are raised by 1e-12 of their mean, so that the
// inverse exists; 60 iterations suffice for that condition.
function findRoots(matrix, n) {
  const raised = Float64Array.from(matrix);
  let trace = 0;
  for (let i = 0; i < n; i++) trace += matrix[i * n + i];
  const root = new Float64Array(n * n), inverse = new Float64Array(n * n);
  if (!(trace > 0)) return { root, inverse };
  for (let i = 0; i < n; i++) raised[i * n + i] += (1e-12 * trace) / n;
  const norm = Math.sqrt(raised.reduce((sum, value) => sum + value * value, 0));
  let y = raised.map((value) => value / norm), z = inverse.slice();
  for (let i = 0; i < n; i++) z[i * n + i] = 1;
  for (let iteration = 0; iteration < 60; iteration++) {
    const step = multiply(z, y, n);
    let error = 0;
    for (let i = 0; i < n * n; i++) {
      const identity = i % (n + 1) === 0 ? 1 : 0;
      error = Math.max(error, Math.abs(step[i] - identity));
      step[i] = 1.5 * identity - 0.5 * step[i];
    }
    y = multiply(y, step, n);
    z = multiply(step, z, n);
    if (error < 1e-10) break;
  }
  const scale = Math.sqrt(norm);
  return { root: y.map((value) => value * scale), inverse: z.map((value) => value / scale) };
}

// Return the covariance at a share 0..1 of the way from one to another: that of (1 - t) x + t y for optimally
// coupled x and y.
function findGeodesic(first, second, share, n) {
  const { root } = findRoots(second, n);
  const { inverse } = findRoots(multiply(multiply(root, first, n), root, n), n);
  const coupling = multiply(multiply(multiply(first, root, n), inverse, n), root, n);
  const blended = new Float64Array(n * n), rest = 1 - share;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const cross = coupling[i * n + j] + coupling[j * n + i];
      const at = i * n + j;
      blended[at] = rest * rest * first[at] + share * share * second[at] + share * rest * cross;
    }
  }
  return blended;
}

// Blend the means and covariances of all levels of two pictures; `share` is that of the second.
export function blendStatistics(first, second, share) {
  const blended = {};
  for (const [name, mean] of Object.entries(first)) {
    if (!name.startsWith("mean_")) continue;
    const key = name.replace("mean", "covariance");
    blended[name] = mean.map((value, index) => (1 - share) * value + share * second[name][index]);
    blended[key] = findGeodesic(first[key], second[key], share, mean.length);
  }
  return blended;
}
