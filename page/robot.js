/** Gymnasium's robots in MuJoCo's WebAssembly build: the same models, rewards and ends of an episode. */

import loadMujoco from './mujoco/mujoco.js';
import { normalNumber } from './policy.js';

const TIME_LIMIT = 1000; // steps of an episode

// What gymnasium/envs/mujoco says of each environment. Units are MuJoCo's: m, rad, s.
const cheetah = { model: 'half_cheetah.xml', frameSkip: 5, controlCost: 0.1, noise: 0.1, normalVelocities: true };
const walking = { frameSkip: 4, controlCost: 1e-3, noise: 5e-3, healthyReward: 1, velocityLimit: 10 };
const hopper = { ...walking, model: 'hopper.xml', height: [0.7, Infinity], angle: [-0.2, 0.2], stateLimit: 100 };
const walker = { ...walking, height: [0.8, 2], angle: [-1, 1] };
export const ENVIRONMENTS = {
  'HalfCheetah-v4': cheetah,
  'HalfCheetah-v5': cheetah,
  'Hopper-v4': { ...hopper, rewardedFall: true }, // v4 gives the healthy reward of the last step too
  'Hopper-v5': hopper,
  'Walker2d-v4': { ...walker, model: 'walker2d.xml', rewardedFall: true },
  'Walker2d-v5': { ...walker, model: 'walker2d_v5.xml' },
};

let mujoco; // the promise of the WebAssembly module: one for all robots

/** One robot and its episode. */
export class Robot {
  /** Load a robot by its environment's id. */
  static async load(envId) {
    const environment = ENVIRONMENTS[envId];
    if (!environment) throw new Error(`The page has no environment ${envId}.`);
    mujoco ??= loadMujoco();
    const answer = await fetch(`models/${environment.model}`);
    if (!answer.ok) throw new Error(`models/${environment.model}: ${answer.status} ${answer.statusText}`);
    return new Robot(await mujoco, environment, await answer.text());
  }

  constructor(library, environment, xml) {
    Object.assign(this, { library, environment });
    this.model = library.MjModel.from_xml_string(xml);
    this.data = new library.MjData(this.model);
    this.interval = environment.frameSkip * this.model.opt.timestep; // seconds between two actions
    this.start = Float64Array.from(this.data.qpos);
    this.begin(this.start, new Float64Array(this.model.nv));
  }

  /** Begin an episode near the model's own posture, as Gymnasium does. */
  reset(random) {
    const { noise, normalVelocities } = this.environment;
    const uniform = () => noise * (2 * random() - 1);
    const velocity = normalVelocities ? () => noise * normalNumber(random) : uniform;
    this.begin(this.start.map((value) => value + uniform()), Float64Array.from({ length: this.model.nv }, velocity));
  }

  /** Begin an episode at given positions and velocities of the joints. */
  begin(positions, velocities) {
    this.library.mj_resetData(this.model, this.data);
    this.data.qpos.set(positions);
    this.data.qvel.set(velocities);
    this.library.mj_forward(this.model, this.data);
    Object.assign(this, { steps: 0, total: 0, fallen: false });
  }

  get done() {
    return this.fallen || this.steps >= TIME_LIMIT;
  }

  /** Positions without the first, then velocities: what Gymnasium shows a policy. */
  observation() {
    const limit = this.environment.velocityLimit ?? Infinity;
    return [...this.data.qpos.slice(1), ...this.data.qvel.map((v) => Math.min(Math.max(v, -limit), limit))];
  }

  /** Act for one interval; returns the reward and adds it to `total`. */
  step(action) {
    const { frameSkip, controlCost, healthyReward = 0, rewardedFall } = this.environment;
    const before = this.data.qpos[0];
    this.data.ctrl.set(action);
    for (let i = 0; i < frameSkip; i++) this.library.mj_step(this.model, this.data);
    this.steps += 1;
    this.fallen = !this.healthy();
    const effort = action.reduce((sum, a) => sum + a * a, 0);
    const alive = this.fallen && !rewardedFall ? 0 : healthyReward;
    const reward = (this.data.qpos[0] - before) / this.interval + alive - controlCost * effort;
    this.total += reward;
    return reward;
  }

  healthy() {
    const { height = [-Infinity, Infinity], angle = [-Infinity, Infinity], stateLimit = Infinity } = this.environment;
    const [, z, tilt] = this.data.qpos;
    const within = (value, [low, high]) => low < value && value < high;
    const state = [...this.data.qpos.slice(2), ...this.data.qvel];
    return within(z, height) && within(tilt, angle) && state.every((value) => within(value, [-stateLimit, stateLimit]));
  }

  /** Free what the WebAssembly module keeps. */
  delete() {
    this.data.delete();
    this.model.delete();
  }

  /** The robot's capsules and spheres as seen from the side: ends (x, z), radius, color. */
  shapes() {
    const { geom_type: types, geom_size: sizes, geom_rgba: colors } = this.model;
    const { geom_xpos: places, geom_xmat: turns } = this.data;
    const { mjGEOM_CAPSULE: capsule, mjGEOM_SPHERE: sphere } = this.library.mjtGeom;
    const shapes = [];
    types.forEach((type, g) => {
      if (type !== capsule.value && type !== sphere.value) return;
      const half = type === capsule.value ? sizes[3 * g + 1] : 0; // along the third axis of the geom
      const [x, z, dx, dz] = [places[3 * g], places[3 * g + 2], half * turns[9 * g + 2], half * turns[9 * g + 8]];
      const color = Array.from(colors.slice(4 * g, 4 * g + 3), (c) => Math.round(255 * c));
      shapes.push({ from: [x - dx, z - dz], to: [x + dx, z + dz], radius: sizes[3 * g], color: `rgb(${color})` });
    });
    return shapes;
  }
}
