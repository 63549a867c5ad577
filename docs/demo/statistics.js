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

// Return the eigenvalues of a symmetric matrix, and its eigenvectors as rows: cyclic Jacobi rotations
// (Golub & Van Loan, Matrix Computations, 8.5), which are exact to rounding for singular matrices too.
function decompose(matrix, n) {
  const a = Float64Array.from(matrix), vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  const norm = a.reduce((sum, value) => sum + value * value, 0);
  for (let sweep = 0; sweep < 30; sweep++) {
    let rest = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rest += a[p * n + q] ** 2;
    if (rest <= 1e-30 * norm) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (a[p * n + q] === 0) continue;
        const theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const cosine = 1 / Math.hypot(tangent, 1), sine = tangent * cosine;
        for (const rows of [a, vectors]) rotate(rows, p * n, q * n, 1, n, cosine, sine);
        rotate(a, p, q, n, n, cosine, sine);
      }
    }
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * n + i]), vectors };
}

function rotate(a, first, second, stride, n, cosine, sine) {
  for (let k = 0; k < n; k++, first += stride, second += stride) {
    const x = a[first], y = a[second];
    a[first] = cosine * x - sine * y;
    a[second] = sine * x + cosine * y;
  }
}

// Return square root and inverse square root of a covariance. Eigenvalues that are rounding count as zero, and
// have an inverse of zero.
function findRoots(matrix, n) {
  const { values, vectors } = decompose(matrix, n);
  const least = n * Number.EPSILON * Math.max(...values);
  const transposed = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) transposed[j * n + i] = vectors[i * n + j];
  const apply = (change) => {
    const factors = values.map((value) => (value > least ? change(Math.sqrt(value)) : 0));
    return multiply(transposed, vectors.map((value, at) => value * factors[Math.floor(at / n)]), n);
  };
  return { root: apply((value) => value), inverse: apply((value) => 1 / value) };
}

// Return the covariance at a share 0..1 of the way from one to another: that of (1 - t) x + t y for optimally
// coupled x and y.
function findGeodesic(first, second, share, n) {
  const { root } = findRoots(second, n);
  const product = multiply(multiply(root, first, n), root, n);
  const { inverse } = findRoots(product.map((value, at) => (value + product[(at % n) * n + Math.floor(at / n)]) / 2), n);
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
