/** The page: trains one policy on distilled pairs and one on random pairs, and lets both act side by side. */

import { drawLoss, drawRobot } from './draw.js';
import { freshLayers, makeTraining, randomNumbers } from './policy.js';
import { Robot } from './robot.js';

const KINDS = { distilled: 'distilled pairs', random: 'random pairs' };
const element = (selector, within = document) => within.querySelector(selector);
const nextFrame = () => new Promise(requestAnimationFrame);
const number = (value) => value.toLocaleString('en', { maximumFractionDigits: 0 });

let panels = []; // one of each kind, of the chosen synset
let initialization = 0; // number of the last one; also its seed
let run = null; // what the last click started: an older run that sees another one here stops

async function readJson(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return answer.json();
}

/** One half of the page: a synset, a robot, and the policy that is trained for it. */
class Panel {
  static async load(kind, entry) {
    const synset = await readJson(`synsets/${entry[kind]}`);
    return new Panel(kind, entry, synset, await Robot.load(synset.env_id));
  }

  constructor(kind, entry, synset, robot) {
    Object.assign(this, { kind, synset, robot, library: entry.returns?.[kind], losses: [] });
    this.section = element('#panel').content.cloneNode(true).firstElementChild;
    const heading = element('h2', this.section);
    heading.textContent = `${synset.actions.length} ${KINDS[kind]}`;
    heading.className = kind;
    element('main').append(this.section);
    this.color = getComputedStyle(heading).color;
  }

  /** Draw both canvases, as wide as they are now. */
  draw() {
    drawLoss(element('.loss', this.section), this.losses, this.training?.mostSteps, this.color);
    drawRobot(element('.robot', this.section), this.robot);
  }

  say(where, text) {
    element(where, this.section).textContent = text;
  }

  /** Train a fresh policy, and show the loss of each step. */
  async train(seed, stillWanted) {
    const { bc, observations, actions } = this.synset;
    const layers = freshLayers(bc, observations[0].length, actions[0].length, randomNumbers(seed));
    this.training = makeTraining(this.synset, layers);
    this.losses = [];
    for (const share of this.training.prepare()) {
      if (!stillWanted()) return;
      this.say('.training', `Preparing: ${number(100 * share)} %`);
      await nextFrame();
    }
    while (!this.training.done && stillWanted()) {
      this.losses.push(this.training.step());
      this.say('.training', `${this.training.progress}, loss ${this.losses.at(-1).toPrecision(3)}`);
      this.draw();
      await nextFrame();
    }
  }

  /** Act until the simulated time is reached. */
  advance(seconds) {
    const { robot } = this;
    while (!robot.done && robot.steps * robot.interval < seconds) robot.step(this.training.act(robot.observation()));
    const end = robot.fallen ? ', fallen' : '';
    this.say('.episode', `Return ${number(robot.total)} after ${robot.steps} steps${end}`);
    this.draw();
  }
}

/** What a click does: train both, from the same initial weights; then both act, from the same initial state. */
async function start() {
  const mine = run = Symbol('run');
  const stillWanted = () => run === mine;
  const seed = initialization += 1;
  for (const panel of panels) {
    panel.robot.reset(randomNumbers(-seed));
    panel.say('.training', 'Waiting …');
    panel.say('.episode', '\u00a0');
  }
  for (const panel of panels) {
    show(`Training on ${KINDS[panel.kind]} from initialization ${seed} …`);
    await panel.train(seed, stillWanted);
  }
  let time = 0, before = performance.now(); // seconds of the simulation, milliseconds of the clock
  while (stillWanted() && panels.some(({ robot }) => !robot.done)) {
    show(`Acting: ${time.toFixed(1)} s of the robots' time`);
    await nextFrame();
    const now = performance.now();
    // a slow frame is not caught up with: the page would only become slower
    time += Math.min(now - before, 50) / 1000 * element('#speed').value;
    before = now;
    for (const panel of panels) panel.advance(time);
  }
  if (!stillWanted()) return;
  show(`Initialization ${seed} is done: train another one.`);
  addRow(element('tbody'), seed, panels.map(({ robot }) => number(robot.total)));
}

function addRow(body, head, cells) {
  const row = body.insertRow();
  row.append(Object.assign(document.createElement('th'), { textContent: head, scope: 'row' }));
  for (const cell of cells) row.insertCell().textContent = cell;
}

function show(text) {
  element('#status').textContent = text;
}

function settingsText({ optimizer, ridge, learning_rate: rate, steps }) {
  if (optimizer !== 'ridge') return `${optimizer}, learning rate ${rate}, ${steps} steps`;
  return `a hidden layer that stays as drawn, and a last one by ridge regression, penalty ${ridge}`;
}

/** Load a synset of the list; until then, nothing can be clicked. */
async function choose(entry) {
  run = null;
  element('#train').disabled = element('#synset').disabled = true;
  show('Loading MuJoCo …');
  try {
    await load(entry);
    element('#train').disabled = false;
    show('Ready.');
  } finally {
    element('#synset').disabled = false;
  }
}

/** Make the panels of a synset, with their robots. */
async function load(entry) {
  for (const { robot } of panels) robot.delete();
  for (const container of ['main', 'tbody', 'tfoot']) element(container).replaceChildren();
  panels = [];
  for (const kind of Object.keys(KINDS)) panels.push(await Panel.load(kind, entry));
  for (const panel of panels) panel.draw();
  const { bc, observations, task } = panels[0].synset;
  element('#size').textContent = observations.length;
  element('#origin').textContent = `the dataset ${task}`;
  element('#training-settings').textContent = `Training on all pairs: ${bc.architecture}, ${settingsText(bc)}.`;
  if (entry.returns) {
    const range = ({ mean, low, high }) => `${number(mean)} (${number(low)} to ${number(high)})`;
    const cells = panels.map(({ library }) => range(library));
    const { policies, episodes } = entry.returns.distilled;
    addRow(element('tfoot'), `Library: mean (range), ${policies} policies, ${episodes} episodes`, cells);
  }
}

async function begin() {
  const entries = await readJson('synsets/index.json');
  const select = element('#synset');
  entries.forEach(({ name }, i) => select.append(new Option(name, i)));
  const guarded = (action) => () => action().catch((error) => show(`Error: ${error.message}`));
  select.addEventListener('change', guarded(() => choose(entries[select.value])));
  element('#train').addEventListener('click', guarded(start));
  window.addEventListener('resize', () => panels.forEach((panel) => panel.draw()));
  await choose(entries[0]);
}

navigator.serviceWorker?.register('worker.js'); // opens the page again without a network
begin().catch((error) => show(`Error: ${error.message}`));
