"""add_graph: the operators of a model, grouped by module, as TensorBoard reads them."""

from __future__ import annotations

import pathlib
import warnings
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.tensorboard import EventReader, SummaryWriter


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return nn.functional.relu(self.conv(x)) + x


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(Block(), nn.MaxPool2d(2), nn.Dropout(0.5))
        self.head = nn.Linear(48, 10)

    def forward(self, images: Any) -> Any:
        return self.head(rl.flatten(self.features(images), 1))


def nodes_of(path: pathlib.Path) -> dict[str, Any]:
    graph = EventReader(path).graph()
    assert graph is not None
    return {node["name"]: node for node in graph["node"]}


def shapes(node: dict[str, Any]) -> list[list[int]]:
    (attr,) = [a["value"] for a in node["attr"] if a["key"] == "_output_shapes"]
    return [[d.get("size", 0) for d in s.get("dim", [])] for s in attr["list"].get("shape", [])]


def test_operators_stand_in_their_modules_with_edges_and_shapes(tmp_path: pathlib.Path) -> None:
    net = Net()
    net.head.eval()
    images = rl.rand(2, 3, 8, 8)
    state = rl.get_rng_state()
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(net, images)
    nodes = nodes_of(tmp_path)
    block = "Net/Sequential[features]/Block[0]"
    (conv,) = [n for n, d in nodes.items() if "Conv2d[conv]" in n and d["op"] != "Parameter"]
    assert nodes["input/images"]["op"] == "IO Node"
    assert nodes[conv]["input"] == [
        "input/images",
        f"{block}/Conv2d[conv]/weight",
        f"{block}/Conv2d[conv]/bias",
    ]
    assert shapes(nodes[conv]) == [[2, 3, 8, 8]]
    assert nodes[f"{block}/relu"]["input"] == [conv]
    assert nodes[f"{block}/add"]["input"] == [f"{block}/relu", "input/images"]
    (output,) = [node for name, node in nodes.items() if name.startswith("output/")]
    assert output["input"] == ["Net/Linear[head]/linear"]
    assert shapes(nodes["Net/Linear[head]/linear"]) == [[2, 10]]
    for node in nodes.values():  # every edge leads to a node
        assert {source.split(":")[0] for source in node.get("input", [])} <= set(nodes)
    # the model is as it was
    assert net.training and net.features[2].training and not net.head.training
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert rl.equal(rl.get_rng_state(), state)


def test_tensorboard_shows_the_graph(tmp_path: pathlib.Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(Net(), rl.rand(2, 3, 8, 8))
    found = module.EventAccumulator(str(tmp_path))
    found.Reload()
    assert found.Tags()["graph"] and found.Tags()["run_metadata"] == ["step1"]
    assert len(found.Graph().node) == len(nodes_of(tmp_path))


def test_containers_in_place_writes_views_and_detached_tensors(tmp_path: pathlib.Path) -> None:
    class Odd(nn.Module):
        def forward(self, pair: Any, more: Any) -> Any:
            total = pair[0] + pair[1]
            total.mul_(more["scale"])
            first, second = total.detach().chunk(2)
            return {"first": first, "rest": [second.exp(), 3]}

    a, b, scale = rl.rand(4), rl.rand(4), rl.rand(4)
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(Odd(), ((a, b), {"scale": scale}))
    nodes = nodes_of(tmp_path)
    assert set(nodes["Odd/add"]["input"]) == {"input/pair", "input/pair_1"}
    assert nodes["Odd/mul"]["input"] == ["Odd/add", "input/more"]
    assert nodes["Odd/exp"]["input"][0].split(":")[0] in nodes
    assert {name for name in nodes if name.startswith("output/")} == {
        "output/output.1",
        "output/output.2",
    }
    (chunks,) = [node for name, node in nodes.items() if "Odd/mul" in node.get("input", [])]
    assert len(shapes(chunks)) == 2  # the detached tensor leads back to the write


def test_a_module_used_twice_and_shared_parameters(tmp_path: pathlib.Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.layer(self.layer(x))

    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(Twice(), rl.rand(2, 3))
    nodes = nodes_of(tmp_path)
    scope = "Twice/Linear[layer]"
    assert nodes[f"{scope}/linear_1"]["input"][0] == f"{scope}/linear"
    assert nodes[f"{scope}/linear_1"]["input"][1] == f"{scope}/weight"
    assert nodes["output/output.1"]["input"] == [f"{scope}/linear_1"]


def test_mistakes(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.Linear(3, 4)
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            writer.add_graph(net, rl.zeros(2, 5))
        assert "Error occurs, No graph saved" in capsys.readouterr().out
        with pytest.raises(RuntimeError, match="example_kwarg_inputs should be a dict"):
            writer.add_graph(net)
    assert EventReader(tmp_path).graph() is None
    assert net.training and not net._forward_hooks


def test_verbose_prints_the_graph(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(nn.ReLU(), rl.zeros(2), verbose=True)
    assert "ReLU/relu = aten::relu(input/input) : [[2]]" in capsys.readouterr().out


def test_tensors_in_every_method(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", rl.tensor(0.5, requires_grad=True), rl.tensor(3))
        writer.add_scalar("half", rl.tensor([1.5], dtype=rl.bfloat16), 1)
        writer.add_scalars("both", {"a": rl.tensor(1)}, 1)
        writer.add_image("image", rl.rand(3, 4, 4), 1)
        writer.add_images("images", rl.rand(9, 3, 4, 4).permute(0, 2, 3, 1), 1, dataformats="NHWC")
        writer.add_histogram("weights", nn.Linear(3, 4).weight, 1)
        writer.add_tensor("bf16", rl.tensor([1.0, -2.5], dtype=rl.bfloat16), 1)
        writer.add_tensor("int", rl.arange(4), 1)
        writer.add_pr_curve("pr", rl.tensor([0, 1]), rl.tensor([0.2, 0.7]), 1)
        writer.add_audio("sound", rl.rand(1, 100), 1)
        writer.add_mesh("mesh", rl.rand(1, 4, 3), global_step=1)
        writer.add_embedding(rl.rand(4, 2), list("abcd"), rl.rand(4, 3, 5, 5))
        writer.add_hparams({"lr": rl.tensor(0.5)}, {"accuracy": rl.tensor(0.75)}, run_name="run")
    reader = EventReader(tmp_path)
    assert reader.scalars("loss")[0][1:] == (3, 0.5)
    assert reader.scalars("half")[0].value == 1.5
    assert reader.tensors("bf16")[0].value.tolist() == [1.0, -2.5]
    assert reader.tensors("int")[0].value.tolist() == [0, 1, 2, 3]
    assert reader.images("images")[0].value["width"] == 32
    assert EventReader(tmp_path / "run").scalars("accuracy")[0].value == 0.75
