/**
 * Behavior cloning as the library computes it (src/obdistill/policies): the same networks, losses and trainings.
 *
 * The library computes in single precision, this page in double. Matrices are flat arrays, row by row.
 */

// widths of the hidden layers, as in src/obdistill/policies/architectures.py
const HIDDEN_WIDTHS = {
  mlp_2: [256],
  mlp_2_512: [512],
  mlp_2_1024: [1024],
  mlp_2_16384: [16384],
  mlp_3: [256, 256],
  mlp_4: [256, 256, 256],
  mlp_5: [256, 256, 256, 256],
  mlp_6: [256, 256, 256, 256, 256],
};
const GAIN = Math.SQRT2; // of the orthogonal initialization
const BETAS = [0.9, 0.999]; // of Adam
// of ridge, the first two as in src/obdistill/policies/random_features.py
const LARGEST_SUM = 5; // actions at the bounds count as tanh(5), of a finite sum
const BIAS_INPUT = 3; // the constant that biases multiply
const SLICE = 512; // units of which features are multiplied at once
const MOST_STEPS = 60;
const TOLERANCE = 1e-7; // of the residual, as a share of the targets

/** A generator of uniform numbers in [0, 1) from a seed: xorshift, after some rounds that spread small seeds. */
export function randomNumbers(seed) {
  let state = (seed + 1) * 0x9e3779b9 | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 20; i++) next();
  return next;
}

/** A number of the standard normal distribution (Box and Muller). */
export function normalNumber(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** An array of as many numbers, of a function of their place. */
function filled(length, value) {
  return new Float64Array(length).map((_, k) => value(k));
}

/** A matrix (rows, columns) with orthonormal rows or columns, whichever are fewer, times the gain. */
function orthogonal(rows, columns, random) {
  const count = Math.min(rows, columns), length = Math.max(rows, columns);
  const vectors = [];
  while (vectors.length < count) { // Gram-Schmidt of normal vectors: uniform over all orthogonal matrices
    const vector = filled(length, () => normalNumber(random));
    for (const other of vectors) {
      const product = vector.reduce((sum, value, i) => sum + value * other[i], 0);
      for (let i = 0; i < length; i++) vector[i] -= product * other[i];
    }
    const norm = Math.hypot(...vector);
    vectors.push(vector.map((value) => value / norm));
  }
  const at = rows <= columns ? (i, j) => vectors[i][j] : (i, j) => vectors[j][i];
  return filled(rows * columns, (k) => GAIN * at(Math.floor(k / columns), k % columns));
}

/** A layer of units with uniform directions, orthogonal in blocks, biases being a further coordinate. */
function randomUnits(inputs, outputs, random) {
  const side = inputs + 1;
  const blocks = Array.from({ length: Math.ceil(outputs / side) }, () => orthogonal(side, side, random));
  const at = (i, unit) => blocks[Math.floor(unit / side)][unit % side * side + i];
  const weight = filled(inputs * outputs, (k) => at(Math.floor(k / outputs), k % outputs));
  return { inputs, outputs, weight, bias: filled(outputs, (unit) => BIAS_INPUT * at(inputs, unit)) };
}

/**
 * The layers of a fresh policy: orthogonal weights and zero biases, the last weights zero if the settings say so; for
 * ridge, random units and a last layer of zeros.
 */
export function freshLayers(bc, stateSize, actionSize, random) {
  if (!HIDDEN_WIDTHS[bc.architecture]) throw new Error(`The page has no architecture ${bc.architecture}.`);
  const widths = [stateSize, ...HIDDEN_WIDTHS[bc.architecture], actionSize];
  const ridge = bc.optimizer === 'ridge';
  return widths.slice(1).map((outputs, i) => {
    const inputs = widths[i], last = i === widths.length - 2;
    if (ridge && !last) return randomUnits(inputs, outputs, random);
    const zero = last && (ridge || bc.output_start === 'zero');
    const weight = zero ? new Float64Array(inputs * outputs) : orthogonal(inputs, outputs, random);
    return { inputs, outputs, weight, bias: new Float64Array(outputs) };
  });
}

/** The product of matrices (rows, inner) and (inner, columns). Zeros on the left are skipped: many units are off. */
function multiply(left, right, rows, inner, columns) {
  const product = new Float64Array(rows * columns);
  const factors = new Float64Array(inner + 3), starts = new Int32Array(inner + 3); // of rows on the right
  for (let r = 0; r < rows; r++) {
    let count = 0;
    for (let i = 0; i < inner; i++) {
      const factor = left[r * inner + i];
      if (factor === 0) continue;
      factors[count] = factor;
      starts[count++] = i * columns;
    }
    factors.fill(0, count, count + 3);
    const start = r * columns;
    for (let k = 0; k < count; k += 4) { // four at once: less time goes to memory
      const f0 = factors[k], f1 = factors[k + 1], f2 = factors[k + 2], f3 = factors[k + 3];
      const s0 = starts[k], s1 = starts[k + 1], s2 = starts[k + 2], s3 = starts[k + 3];
      for (let j = 0; j < columns; j++) {
        product[start + j] += f0 * right[s0 + j] + f1 * right[s1 + j] + f2 * right[s2 + j] + f3 * right[s3 + j];
      }
    }
  }
  return product;
}

function transpose(matrix, rows, columns) {
  const transposed = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) transposed[j * rows + i] = matrix[i * columns + j];
  return transposed;
}

/** Outputs of all layers for `count` states: ReLU between layers, tanh at the end. */
function forward(layers, states, count) {
  const outputs = [];
  layers.forEach((layer, depth) => {
    const here = multiply(outputs[depth - 1] ?? states, layer.weight, count, layer.inputs, layer.outputs);
    const last = depth === layers.length - 1;
    for (let k = 0; k < here.length; k++) {
      const sum = here[k] + layer.bias[k % layer.outputs];
      here[k] = last ? Math.tanh(sum) : Math.max(sum, 0);
    }
    outputs.push(here);
  });
  return outputs;
}

/** Training of a policy on pairs: `prepare`, then `step` until it is `done`, then `act`. */
class Training {
  /**
   * @param {object} synset observations (N, S) and actions (N, A) in the environment's units, normalizer, bc.
   * @param {object[]} layers from `freshLayers`; they are changed.
   */
  constructor(synset, layers) {
    const { bc } = synset, { action_low: low, action_high: high } = synset.normalizer;
    Object.assign(this, { bc, layers, normalizer: synset.normalizer, steps: 0, count: synset.actions.length });
    this.center = low.map((value, j) => (high[j] + value) / 2);
    this.half = low.map((value, j) => (high[j] - value) / 2);
    this.states = Float64Array.from(synset.observations.flatMap((row) => this.normalized(row)));
    const target = (row) => row.map((action, j) => (action - this.center[j]) / this.half[j]);
    this.targets = Float64Array.from(synset.actions.flatMap(target));
  }

  normalized(observation) {
    const { state_mean: mean, state_std: std, std_floor: floor } = this.normalizer;
    return Array.from(observation, (value, i) => (value - mean[i]) / (std[i] + floor));
  }

  /** What the steps need, computed in parts of some milliseconds: an iterator over the share that is done. */
  *prepare() {}

  /** The mean of the squared errors of all elements of normalized actions. */
  loss(actions) {
    return actions.reduce((sum, y, k) => sum + (y - this.targets[k]) ** 2, 0) / actions.length;
  }

  /** The action for one observation, in the environment's units and within its bounds. */
  act(observation) {
    const output = forward(this.layers, this.normalized(observation), 1).at(-1);
    const { action_low: low, action_high: high } = this.normalizer;
    return Array.from(output, (y, j) => Math.min(Math.max(y * this.half[j] + this.center[j], low[j]), high[j]));
  }
}

/** Training of all layers by gradients of the loss. */
class Descent extends Training {
  constructor(synset, layers) {
    super(synset, layers);
    if (this.bc.batch_size) throw new Error('The page trains on all pairs at once; bc.batch_size is not supported.');
    this.slots = layers.flatMap(({ weight, bias }) => [weight, bias]).map((values) => ({
      values,
      first: new Float64Array(values.length), // the velocity of SGD, or Adam's mean of gradients
      second: new Float64Array(values.length), // Adam's mean of their squares
    }));
  }

  get mostSteps() {
    return this.bc.steps;
  }

  get done() {
    return this.steps >= this.bc.steps;
  }

  get progress() {
    return `Step ${this.steps} of ${this.bc.steps}`;
  }

  /** One full-batch step; returns the loss before it. */
  step() {
    const outputs = forward(this.layers, this.states, this.count);
    const actions = outputs.at(-1);
    const delta = actions.map((y, k) => 2 / actions.length * (y - this.targets[k]) * (1 - y ** 2));
    const gradients = this.gradients(outputs, delta);
    this.steps += 1;
    const update = this.bc.optimizer === 'adam' ? this.adam : this.sgd;
    this.slots.forEach((slot, i) => update.call(this, slot, gradients[i]));
    return this.loss(actions);
  }

  /** Gradients of all weights and biases, in the order of `slots`, from that of the last layer's sums. */
  gradients(outputs, delta) {
    const gradients = [], ones = new Float64Array(this.count).fill(1);
    for (let depth = this.layers.length - 1; depth >= 0; depth--) {
      const { inputs, outputs: width, weight } = this.layers[depth];
      const below = depth ? outputs[depth - 1] : this.states;
      gradients.unshift(
        multiply(transpose(below, this.count, inputs), delta, inputs, this.count, width),
        multiply(ones, delta, 1, this.count, width),
      );
      if (!depth) break;
      const gradient = multiply(delta, transpose(weight, inputs, width), this.count, width, inputs);
      delta = gradient.map((value, k) => (below[k] > 0 ? value : 0));
    }
    return gradients;
  }

  sgd({ values, first }, gradient) {
    const { learning_rate: rate, momentum = 0 } = this.bc;
    for (let k = 0; k < values.length; k++) {
      first[k] = momentum * first[k] + gradient[k];
      values[k] -= rate * first[k];
    }
  }

  adam({ values, first, second }, gradient) {
    const { learning_rate: rate, epsilon = 1e-8 } = this.bc;
    const [c1, c2] = BETAS.map((beta) => 1 - beta ** this.steps);
    for (let k = 0; k < values.length; k++) {
      first[k] += (1 - BETAS[0]) * (gradient[k] - first[k]);
      second[k] += (1 - BETAS[1]) * (gradient[k] ** 2 - second[k]);
      values[k] -= rate / c1 * first[k] / (Math.sqrt(second[k] / c2) + epsilon);
    }
  }
}

/**
 * Training of the last layer only, V, by ridge regression before the tanh: V = Phi' alpha / H, Phi having the features
 * of the N pairs as rows, (Phi Phi' / H + ridge k I) alpha = arctanh(actions), k the mean of the diagonal.
 *
 * Steps solve it by conjugate residuals: as conjugate gradients, but the residual never grows, and the loss hardly ever.
 */
class Ridge extends Training {
  constructor(synset, layers) {
    super(synset, layers);
    const limit = Math.tanh(LARGEST_SUM), zeros = () => new Float64Array(this.targets.length);
    this.sums = this.targets.map((action) => Math.atanh(Math.min(Math.max(action, -limit), limit)));
    // (N, A): the solution so far, what it leaves of the sums, the direction of the last iteration and its image
    Object.assign(this, { alpha: zeros(), residual: this.sums.slice(), direction: zeros(), image: zeros() });
    const before = new Float64Array(layers.at(-1).outputs).fill(Infinity); // the first direction keeps nothing
    Object.assign(this, { iterations: 0, mostSteps: MOST_STEPS, before });
  }

  get done() {
    const squares = (values) => values.reduce((sum, value) => sum + value * value, 0);
    return this.steps >= MOST_STEPS || squares(this.residual) <= TOLERANCE ** 2 * squares(this.sums);
  }

  get progress() {
    return `Iteration ${this.iterations}`;
  }

  /** The features (H, N) and the matrix of the system (N, N). */
  *prepare() {
    const [{ inputs, outputs: units, weight, bias }] = this.layers, { count, bc } = this;
    const states = transpose(this.states, count, inputs), directions = transpose(weight, inputs, units);
    this.features = new Float64Array(units * count);
    this.system = new Float64Array(count * count);
    for (let start = 0; start < units; start += SLICE) {
      const end = Math.min(start + SLICE, units), rows = end - start;
      const sums = multiply(directions.subarray(start * inputs, end * inputs), states, rows, inputs, count);
      const slice = sums.map((sum, k) => Math.max(sum + bias[start + Math.floor(k / count)], 0));
      this.features.set(slice, start * count);
      const products = multiply(transpose(slice, rows, count), slice, count, rows, count);
      for (let k = 0; k < products.length; k++) this.system[k] += products[k] / units;
      yield end / units;
    }
    const diagonal = Array.from({ length: count }, (_, i) => i * (count + 1));
    this.penalty = bc.ridge * diagonal.reduce((sum, k) => sum + this.system[k], 0) / count;
    for (const k of diagonal) this.system[k] += this.penalty;
  }

  /** Some iterations, ever more of them, for they gain ever less; returns the loss before. The last fits the layer. */
  step() {
    const fitted = this.sums.map((sum, k) => Math.tanh(sum - this.residual[k] - this.penalty * this.alpha[k]));
    this.steps += 1;
    for (let i = 0; i < this.steps / 4; i++) this.iterate();
    const [{ outputs: units }, last] = this.layers;
    if (this.done) {
      last.weight = multiply(this.features, this.alpha, units, this.count, last.outputs).map((value) => value / units);
    }
    return this.loss(fitted);
  }

  /** One iteration, for each action dimension by itself. */
  iterate() {
    const { alpha, residual, direction, image, count } = this, columns = residual.length / count;
    const products = (left, right) => {
      const sums = new Float64Array(columns);
      for (let k = 0; k < left.length; k++) sums[k % columns] += left[k] * right[k];
      return sums;
    };
    const shares = (over, under) => over.map((value, j) => value / under[j] || 0); // 0 of 0 is 0: nothing is left
    const next = multiply(this.system, residual, count, count, columns);
    const now = products(residual, next);
    const kept = shares(now, this.before);
    for (let k = 0; k < image.length; k++) {
      direction[k] = residual[k] + kept[k % columns] * direction[k];
      image[k] = next[k] + kept[k % columns] * image[k];
    }
    const length = shares(now, products(image, image));
    for (let k = 0; k < image.length; k++) {
      alpha[k] += length[k % columns] * direction[k];
      residual[k] -= length[k % columns] * image[k];
    }
    this.before = now;
    this.iterations += 1;
  }
}

const TRAININGS = { sgd: Descent, adam: Descent, ridge: Ridge };

/** The training that the synset's settings ask for; see `Training`. */
export function makeTraining(synset, layers) {
  const { optimizer } = synset.bc;
  if (!TRAININGS[optimizer]) throw new Error(`The page has no optimizer ${optimizer}.`);
  return new TRAININGS[optimizer](synset, layers);
}
