/**
 * Behavior cloning as the library computes it (src/obdistill/policies): the same networks, losses and optimizers.
 *
 * The library computes in single precision, this page in double. Matrices are flat arrays, row by row.
 */

// widths of the hidden layers, as in src/obdistill/policies/architectures.py
const HIDDEN_WIDTHS = {
  mlp_2: [256],
  mlp_2_512: [512],
  mlp_2_1024: [1024],
  mlp_3: [256, 256],
  mlp_4: [256, 256, 256],
  mlp_5: [256, 256, 256, 256],
  mlp_6: [256, 256, 256, 256, 256],
};
const STD_FLOOR = 1e-3; // the library adds it to every standard deviation
const GAIN = Math.SQRT2; // of the orthogonal initialization
const BETAS = [0.9, 0.999]; // of Adam

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

/** A matrix (rows, columns) with orthonormal rows or columns, whichever are fewer, times the gain. */
function orthogonal(rows, columns, random) {
  const count = Math.min(rows, columns), length = Math.max(rows, columns);
  const vectors = [];
  while (vectors.length < count) { // Gram-Schmidt of normal vectors: uniform over all orthogonal matrices
    const vector = Float64Array.from({ length }, () => normalNumber(random));
    for (const other of vectors) {
      const product = vector.reduce((sum, value, i) => sum + value * other[i], 0);
      for (let i = 0; i < length; i++) vector[i] -= product * other[i];
    }
    const norm = Math.hypot(...vector);
    vectors.push(vector.map((value) => value / norm));
  }
  const at = rows <= columns ? (i, j) => vectors[i][j] : (i, j) => vectors[j][i];
  return Float64Array.from({ length: rows * columns }, (_, k) => GAIN * at(Math.floor(k / columns), k % columns));
}

/** The layers of a fresh policy: orthogonal weights and zero biases, the last weights zero if the settings say so. */
export function freshLayers(bc, stateSize, actionSize, random) {
  if (!HIDDEN_WIDTHS[bc.architecture]) throw new Error(`The page has no architecture ${bc.architecture}.`);
  const widths = [stateSize, ...HIDDEN_WIDTHS[bc.architecture], actionSize];
  return widths.slice(1).map((outputs, i) => {
    const inputs = widths[i];
    const zero = bc.output_start === 'zero' && i === widths.length - 2;
    const weight = zero ? new Float64Array(inputs * outputs) : orthogonal(inputs, outputs, random);
    return { inputs, outputs, weight, bias: new Float64Array(outputs) };
  });
}

/** Outputs of all layers for `count` states: ReLU between layers, tanh at the end. */
function forward(layers, states, count) {
  const outputs = [];
  let below = states;
  layers.forEach((layer, depth) => {
    const here = new Float64Array(count * layer.outputs);
    for (let n = 0; n < count; n++) {
      const row = here.subarray(n * layer.outputs, (n + 1) * layer.outputs);
      row.set(layer.bias);
      for (let i = 0; i < layer.inputs; i++) {
        const value = below[n * layer.inputs + i];
        if (value !== 0) addScaled(row, layer.weight, i * layer.outputs, value); // about half of the units are off
      }
    }
    const last = depth === layers.length - 1;
    for (let k = 0; k < here.length; k++) here[k] = last ? Math.tanh(here[k]) : Math.max(here[k], 0);
    outputs.push(here);
    below = here;
  });
  return outputs;
}

/** Add a multiple of the row of `matrix` that starts at `start` to `row`. */
function addScaled(row, matrix, start, factor) {
  for (let j = 0; j < row.length; j++) row[j] += factor * matrix[start + j];
}

/** Where a unit is on, the products of its row of weights with the gradient above; elsewhere 0. */
function backward(layer, delta, below) {
  const gradient = new Float64Array(below.length);
  const { inputs, outputs, weight } = layer;
  for (let k = 0; k < below.length; k++) {
    if (below[k] <= 0) continue;
    const start = (k % inputs) * outputs, row = Math.floor(k / inputs) * outputs;
    let sum = 0;
    for (let j = 0; j < outputs; j++) sum += weight[start + j] * delta[row + j];
    gradient[k] = sum;
  }
  return gradient;
}

/** Training of a policy on pairs; `step` until it is `done`, then `act`. */
export class Training {
  /**
   * @param {object} synset observations (N, S) and actions (N, A) in the environment's units, mean, std, bc.
   * @param {object[]} layers from `freshLayers`; they are changed.
   * @param {object} bounds low and high of each action.
   */
  constructor(synset, layers, bounds) {
    const { bc } = synset;
    if (!['sgd', 'adam'].includes(bc.optimizer)) throw new Error(`The page has no optimizer ${bc.optimizer}.`);
    if (bc.batch_size) throw new Error('The page trains on all pairs at once; bc.batch_size is not supported.');
    Object.assign(this, { synset, bc, layers, bounds, steps: 0, count: synset.actions.length });
    this.center = bounds.low.map((low, j) => (bounds.high[j] + low) / 2);
    this.half = bounds.low.map((low, j) => (bounds.high[j] - low) / 2);
    this.states = Float64Array.from(synset.observations.flatMap((row) => this.normalized(row)));
    this.targets = Float64Array.from(synset.actions.flatMap((row) => row.map((a, j) => (a - this.center[j]) / this.half[j])));
    this.slots = layers.flatMap(({ weight, bias }) => [weight, bias]).map((values) => ({
      values,
      first: new Float64Array(values.length), // the velocity of SGD, or Adam's mean of gradients
      second: new Float64Array(values.length), // Adam's mean of their squares
    }));
  }

  get done() {
    return this.steps >= this.bc.steps;
  }

  normalized(observation) {
    const { mean, std } = this.synset;
    return Array.from(observation, (value, i) => (value - mean[i]) / (std[i] + STD_FLOOR));
  }

  /** One full-batch step; returns the loss before it: the mean of the squared errors of all elements. */
  step() {
    const outputs = forward(this.layers, this.states, this.count);
    const delta = outputs.at(-1).map((y, k) => y - this.targets[k]);
    const loss = delta.reduce((sum, error) => sum + error * error, 0) / delta.length;
    const gradients = this.gradients(outputs, delta.map((error, k) => 2 / delta.length * error * (1 - outputs.at(-1)[k] ** 2)));
    this.steps += 1;
    const update = this.bc.optimizer === 'adam' ? this.adam : this.sgd;
    this.slots.forEach((slot, i) => update.call(this, slot, gradients[i]));
    return loss;
  }

  /** Gradients of all weights and biases, in the order of `slots`, from that of the last layer's sums. */
  gradients(outputs, delta) {
    const gradients = [];
    for (let depth = this.layers.length - 1; depth >= 0; depth--) {
      const layer = this.layers[depth], below = depth ? outputs[depth - 1] : this.states;
      const weight = new Float64Array(layer.weight.length), bias = new Float64Array(layer.outputs);
      for (let n = 0; n < this.count; n++) {
        addScaled(bias, delta, n * layer.outputs, 1);
        for (let i = 0; i < layer.inputs; i++) {
          const value = below[n * layer.inputs + i];
          if (value === 0) continue;
          addScaled(weight.subarray(i * layer.outputs, (i + 1) * layer.outputs), delta, n * layer.outputs, value);
        }
      }
      gradients.unshift(weight, bias);
      if (depth) delta = backward(layer, delta, below);
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

  /** The action for one observation, in the environment's units and within its bounds. */
  act(observation) {
    const output = forward(this.layers, this.normalized(observation), 1).at(-1);
    const { low, high } = this.bounds;
    return Array.from(output, (y, j) => Math.min(Math.max(y * this.half[j] + this.center[j], low[j]), high[j]));
  }
}
