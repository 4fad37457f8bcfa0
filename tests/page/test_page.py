"""The page that trains in the browser: it computes what the library computes, in a real browser without a network."""

import dataclasses
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pandas as pd
import pytest

import obdistill
from helpers.browser import Browser, FolderServer
from helpers.synsets import made_synset, write_made_synset
from obdistill.core.artifacts import RETURNS, write_artifact
from obdistill.core.seeding import torch_generator
from obdistill.exports.forms import plain
from obdistill.policies import random_features
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import orthogonal_policies
from obdistill.policies.settings import BcSettings

PAGE = Path(__file__).resolve().parents[2] / "page"
SHORT = BcSettings(architecture="mlp_2", steps=20)  # for the made synsets
PROTOCOLS = {
    "paper": BcSettings(),
    "momentum": BcSettings(architecture="mlp_2", momentum=0.9),
    "adam": BcSettings(architecture="mlp_3", optimizer="adam", learning_rate=1e-3),
    "adam_zero": BcSettings(
        architecture="mlp_2_512", optimizer="adam", learning_rate=0.01, epsilon=1e-3, output_start="zero"
    ),
}
RIDGE = {
    "few": (24, BcSettings(architecture="mlp_2", optimizer="ridge")),  # number of pairs, training
    "project": (256, BcSettings(**obdistill.PROTOCOL.inner.model_dump())),
}
NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")  # npm's words for it
ENVIRONMENTS = [f"{robot}-{version}" for robot in ("HalfCheetah", "Hopper", "Walker2d") for version in ("v4", "v5")]


def module_of(path: Path):
    """Import a script of the page."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


add_synset = module_of(PAGE / "add_synset.py")


def write_returns(path: Path, returns: list[float], bc: BcSettings = SHORT) -> Path:
    """Returns of two policies, as far as the page reads them; those of an earlier snapshot are of no use."""
    rows = [(10, 0, -1e6), *((20, i % 2, value) for i, value in enumerate(returns))]
    table = pd.DataFrame(rows, columns=["step", "policy", "return"])
    write_artifact(path, table, {"kind": RETURNS, "settings": {"bc": bc.model_dump()}})
    return path


def add_made(name: str, env_id: str, source: Path, folder: Path, bc: BcSettings = SHORT) -> None:
    """Put made synsets of an environment into a folder for the page."""
    pairs = write_made_synset(source / f"{env_id}.npz", env_id=env_id)
    files = {kind: write_returns(source / f"{env_id}_{kind}.csv", [1.0, 2.0, 6.0], bc) for kind in ("a", "b")}
    add_synset.add(name, [pairs, files["a"]], [pairs, files["b"]], folder)


def test_a_synset_is_added_with_all_its_digits(tmp_path):
    for _ in range(2):  # again: the entry is replaced
        add_made("Hopper medium", "Hopper-v5", tmp_path, tmp_path / "page")
    add_made("Walker2d", "Walker2d-v5", tmp_path, tmp_path / "page")
    entries = json.loads((tmp_path / "page/index.json").read_text())
    assert [entry["name"] for entry in entries] == ["Hopper medium", "Walker2d"]
    numbers = {"mean": 3.0, "low": 1.0, "high": 6.0, "policies": 2, "episodes": 3}
    assert entries[0]["returns"] == {"distilled": numbers, "random": numbers}
    synset, found = made_synset(), json.loads((tmp_path / "page" / entries[0]["distilled"]).read_text())
    for name, array in (("observations", synset.observations[-1]), ("actions", synset.actions[-1])):
        np.testing.assert_array_equal(np.array(found[name], np.float32), array)
    np.testing.assert_array_equal(np.array(found["normalizer"]["state_std"], np.float32), synset.normalizer.state_std)
    assert (found["env_id"], found["bc"]["architecture"], found["step"]) == ("Hopper-v5", "mlp_2", 20)


def test_the_synsets_of_the_page_are_there_and_small():
    entries = json.loads((PAGE / "synsets/index.json").read_text())
    named = {entry[kind] for entry in entries for kind in ("distilled", "random")}
    assert named == {path.name for path in (PAGE / "synsets").glob("*.json")} - {"index.json"}
    for name in named:
        assert (PAGE / "synsets" / name).stat().st_size <= 100_000, name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The page, built with synsets of Hopper and Walker2d, one that it cannot train on, and one for ridge."""
    for program in ("npm", "chromium"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("page")
    for name, env_id in (("Hopper", "Hopper-v5"), ("Walker2d", "Walker2d-v5")):
        add_made(name, env_id, folder / "made", folder / "synsets")
    add_made("Residual", "Hopper-v5", folder / "made", folder / "synsets", BcSettings(architecture="residual"))
    add_made("Ridge", "Hopper-v5", folder / "made", folder / "synsets", RIDGE["few"][1])
    command = [sys.executable, PAGE / "build.py", "--out", folder / "build", "--synsets", folder / "synsets"]
    made = subprocess.run(command, capture_output=True, text=True)
    if any(code in made.stderr for code in NO_REGISTRY):
        pytest.skip("npm reaches no registry")
    assert made.returncode == 0, made.stderr
    return folder / "build"


@pytest.fixture(scope="module")
def server(built):
    server = FolderServer(built)
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.open(server.root)
    yield browser
    browser.close()


def initial_layers(bc: BcSettings, synset: obdistill.Synset, seed: int) -> list[dict]:
    """The initial weights of the first policy of `obdistill.train`, as the page keeps them."""
    dims = synset.observations.shape[-1], synset.actions.shape[-1]
    generator, architecture = torch_generator(seed, "initialisation"), ARCHITECTURES[bc.architecture]
    initial = orthogonal_policies(architecture, *dims, 1, generator, bc.output_start == "zero")
    if bc.optimizer == "ridge":
        generator = torch_generator(seed, "initialisation")
        (layer,) = random_features.fresh_layers(dims[0], *architecture.hidden_widths, 1, generator)
        initial.weights[0], initial.biases[0] = layer[None, :-1], random_features.BIAS_INPUT * layer[None, -1:]
    pairs = zip(initial.weights, initial.biases, strict=True)
    return [
        {"inputs": w.shape[1], "outputs": w.shape[2], "weight": w.flatten().tolist(), "bias": b.flatten().tolist()}
        for w, b in pairs
    ]


def learnable_synset(size: int = 256) -> obdistill.Synset:
    """Pairs whose actions follow from the states: fits of random actions are unstable and magnify rounding."""
    synset = made_synset("HalfCheetah-v5", size=size)
    states = synset.normalizer.states(synset.observations).numpy()
    actions = np.tanh(states @ np.random.default_rng(1).normal(scale=0.2, size=(17, 6)))
    return dataclasses.replace(synset, actions=actions.astype(np.float32))


# layers of JSON become those of the page, are trained, and act
TRAIN = """(async () => {
  const { makeTraining } = await import('/policy.js');
  const { synset, layers, observations } = await (await fetch('/training.json', { cache: 'no-store' })).json();
  for (const layer of layers) for (const name of ['weight', 'bias']) layer[name] = Float64Array.from(layer[name]);
  const training = makeTraining(synset, layers), losses = [];
  const shares = Array.from(training.prepare());
  while (!training.done) losses.push(training.step());
  return { losses, shares, actions: observations.map((row) => training.act(row)) };
})()"""


def trained_twice(synset: obdistill.Synset, bc: BcSettings, built: Path, browser: Browser) -> tuple[dict, np.ndarray]:
    """What the page finds from the library's initial weights, actions included, and the library's actions."""
    normalizer = synset.normalizer
    rng = np.random.default_rng(0)
    observations = rng.normal(normalizer.state_mean, normalizer.state_std, (500, 17))
    given = {"synset": plain(synset, bc), "layers": initial_layers(bc, synset, 1)}
    given["observations"] = observations.tolist()
    (built / "training.json").write_text(json.dumps(given))
    return browser.evaluate(TRAIN), obdistill.train(synset, seed=1, settings=bc)(observations)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_policy_trained_in_the_page_acts_as_the_librarys(name, built, browser):
    bc = PROTOCOLS[name]
    found, actions = trained_twice(learnable_synset(), bc, built, browser)
    assert len(found["losses"]) == bc.steps
    assert found["losses"][-1] < 0.9 * found["losses"][0]
    np.testing.assert_allclose(found["actions"], actions, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", RIDGE)
def test_a_ridge_regression_in_the_page_is_the_librarys(name, built, browser):
    size, bc = RIDGE[name]
    synset = learnable_synset(size)
    synset.actions[-1, 0] = 1.1  # beyond the bounds
    found, actions = trained_twice(synset, bc, built, browser)
    assert found["shares"] == sorted(found["shares"])
    assert found["shares"][-1] == 1
    assert found["losses"][0] == pytest.approx(np.square(synset.actions[-1]).mean())
    assert found["losses"][-1] < 0.01 * found["losses"][0]
    assert len(found["losses"]) < 60, "converged before the last step that is allowed"
    np.testing.assert_allclose(found["actions"], actions, atol=1e-4)


@pytest.mark.slow
def test_fresh_layers_are_orthogonal_with_the_gain_of_the_library(browser):
    made = """(async () => {
      const { freshLayers, randomNumbers } = await import('/policy.js');
      const make = (seed) => freshLayers({ architecture: 'mlp_3', output_start: 'SEEN' }, 17, 6, randomNumbers(seed));
      return [make(1), make(1), make(2)].map((layers) => layers.map(({ weight }) => Array.from(weight)));
    })()"""
    first, again, other = browser.evaluate(made.replace("SEEN", "orthogonal"))
    assert first == again
    assert first[0] != other[0]
    for flat, shape in zip(first, ((17, 256), (256, 256), (256, 6)), strict=True):
        weight = np.reshape(flat, shape)
        small = weight @ weight.T if shape[0] < shape[1] else weight.T @ weight
        np.testing.assert_allclose(small, 2 * np.eye(min(shape)), atol=1e-9)
        assert abs(weight.mean()) < 5 * weight.std() / weight.size**0.5
    assert not any(browser.evaluate(made.replace("SEEN", "zero"))[0][-1])


@pytest.mark.slow
def test_random_units_of_the_page_are_orthogonal_in_blocks_as_the_librarys(browser):
    hidden, last = browser.evaluate("""(async () => {
      const { freshLayers, randomNumbers } = await import('/policy.js');
      const layers = freshLayers({ architecture: 'mlp_2_16384', optimizer: 'ridge' }, 17, 6, randomNumbers(1));
      return layers.map(({ weight, bias }) => [weight, bias].map((values) => Array.from(values)));
    })()""")
    layer = np.vstack([np.reshape(hidden[0], (17, 16384)), np.divide(hidden[1], random_features.BIAS_INPUT)])
    blocks = layer[:, : 910 * 18].reshape(18, 910, 18).transpose(1, 0, 2)
    np.testing.assert_allclose(
        blocks.swapaxes(1, 2) @ blocks, np.broadcast_to(2 * np.eye(18), (910, 18, 18)), atol=1e-7
    )
    np.testing.assert_allclose(np.square(layer).sum(0), 2)
    firsts = blocks[..., 0]  # independent of each other, and uniform
    np.testing.assert_allclose(firsts.mean(0), np.zeros(18), atol=5 * (2 / 18 / 910) ** 0.5)
    np.testing.assert_allclose(firsts.T @ firsts / 910, 2 / 18 * np.eye(18), atol=0.02)
    assert not any(last[0] + last[1])


# an episode with given actions from a given state
ACT = """(async () => {
  const { Robot } = await import('/robot.js');
  const { envId, positions, velocities, actions } = await (await fetch('/episode.json', { cache: 'no-store' })).json();
  const robot = await Robot.load(envId);
  robot.begin(positions, velocities);
  const rewards = [], observations = [robot.observation()];
  while (!robot.done && rewards.length < actions.length) {
    rewards.push(robot.step(actions[rewards.length]));
    observations.push(robot.observation());
  }
  return { rewards, observations, total: robot.total, fallen: robot.fallen };
})()"""


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_a_robot_of_the_page_moves_and_is_rewarded_as_gymnasiums(env_id, built, browser):
    env = gymnasium.make(env_id)
    observation, _ = env.reset(seed=3)
    data = env.unwrapped.data
    given = {"envId": env_id, "positions": data.qpos.tolist(), "velocities": data.qvel.tolist(), "actions": []}
    rng = np.random.default_rng(0)
    observations, rewards, terminated = [observation], [], False
    while not terminated and len(rewards) < 1000:
        action = rng.uniform(-0.3, 0.3, env.action_space.shape).astype(np.float32)
        observation, reward, terminated, _, _ = env.step(action)
        given["actions"].append(action.tolist())
        observations.append(observation)
        rewards.append(reward)
    (built / "episode.json").write_text(json.dumps(given))
    found = browser.evaluate(ACT)
    assert found["fallen"] == terminated == (not env_id.startswith("HalfCheetah"))
    np.testing.assert_allclose(found["rewards"], rewards, atol=1e-5)
    np.testing.assert_allclose(found["observations"], observations, atol=1e-5)
    assert found["total"] == pytest.approx(sum(rewards), abs=1e-4)


@pytest.mark.slow
def test_a_click_trains_and_lets_both_policies_act(browser, server):
    browser.open(server.root)
    browser.wait_for("document.querySelector('#status').textContent === 'Ready.'")
    browser.evaluate("document.querySelector('#speed').value = '16'")
    losses = set()
    for clicks in (1, 2):
        browser.evaluate("document.querySelector('#train').click()")
        browser.wait_for(f"document.querySelector('tbody').rows.length === {clicks}")
        text = browser.evaluate("document.querySelector('section').innerText")
        assert f"Step {SHORT.steps} of {SHORT.steps}, loss " in text
        losses.add(text.partition("loss ")[2].split()[0])
        assert ", fallen" in text
    assert len(losses) == 2  # of another initialization
    rows = browser.evaluate("[...document.querySelector('tbody').rows].map((row) => row.innerText.split('\\t'))")
    assert [row[0] for row in rows] == ["1", "2"]
    assert all(float(cell) > 0 for row in rows for cell in row[1:])
    assert browser.evaluate("document.querySelector('tfoot').innerText").split("\t")[1:] == ["3 (1 to 6)"] * 2
    assert browser.problems == []


@pytest.mark.slow
def test_another_synset_is_chosen_and_what_cannot_be_trained_is_said(browser, server):
    choose = "(s => { s.value = NUMBER; s.dispatchEvent(new Event('change')); })(document.querySelector('#synset'))"
    ends = {
        "1": "Initialization 1 is done: train another one.",
        "2": "Error: The page has no architecture residual.",
        "3": "Initialization 3 is done: train another one.",
    }
    browser.open(server.root)
    browser.wait_for("document.querySelector('#status').textContent === 'Ready.'")
    for number, end in ends.items():
        browser.evaluate(choose.replace("NUMBER", number))
        browser.wait_for("!document.querySelector('#train').disabled")
        browser.evaluate("document.querySelector('#train').click()")
        browser.wait_for(f"document.querySelector('#status').textContent === '{end}'")
        assert browser.evaluate("document.querySelector('tbody').rows.length") == end.startswith("Initialization")
    text = browser.evaluate("document.querySelector('section').innerText")
    assert re.search(r"Iteration \d+, loss ", text)
    assert "ridge regression, penalty 0.001." in browser.evaluate("document.querySelector('footer').innerText")
    assert browser.problems == []


@pytest.mark.slow
def test_the_page_opens_again_without_its_server(built, tmp_path):
    server, browser = FolderServer(built), Browser(tmp_path / "profile")
    try:
        browser.open(server.root)
        browser.evaluate("navigator.serviceWorker.ready.then(() => true)")
        server.close()
        browser.open(server.root)
        browser.wait_for("document.querySelector('#status').textContent === 'Ready.'")
    finally:
        browser.close()
