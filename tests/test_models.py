"""Image models: the registry, weights enums, downloads through a mirror, sizes, first weights."""

from __future__ import annotations

import functools
import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

import rushlight as rl
from rushlight import hub, nn
from rushlight.errors import FileFormatError
from rushlight.vision import models

# One small member of each family: image size to try it with.
SMALL = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "googlenet": 32,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnet50": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
}


def build(name: str, package: Any = models, **config: Any) -> Any:
    if name in ("googlenet", "inception_v3"):
        config.setdefault("init_weights", False)
    return package.get_model(name, **config)


# ------------------------------------------------------------------------------------ registry


def test_registry() -> None:
    names = models.list_models()
    assert names == sorted(names) and {"vgg16", "resnet18", "resnext50_32x4d"} <= set(names)
    assert models.list_models(module=models) == names
    assert models.list_models(include="vgg*", exclude=["*_bn", "vgg19"]) == [
        "vgg11",
        "vgg13",
        "vgg16",
    ]
    assert models.get_model_builder("ResNet18") is models.resnet18
    assert models.get_model_weights("vgg16") is models.VGG16_Weights
    assert models.get_model_weights(models.vgg16_bn) is models.VGG16_BN_Weights
    weight = models.get_weight("ResNet50_Weights.IMAGENET1K_V2")
    assert weight is models.ResNet50_Weights.DEFAULT
    with pytest.raises(ValueError, match=r"^Unknown model nonsense$"):
        models.get_model("nonsense")
    with pytest.raises(ValueError, match=r"^Invalid weight name provided: 'a\.b\.c'\.$"):
        models.get_weight("a.b.c")
    with pytest.raises(ValueError, match=r"^The weight enum 'VGG' for the specific method"):
        models.get_weight("VGG.x")
    with pytest.raises(KeyError):
        models.get_weight("VGG11_Weights.x")
    with pytest.raises(ValueError, match=r"^The method is missing the 'weights' argument"):
        models.get_model_weights(len)


def test_every_model_has_complete_weights() -> None:
    for name in models.list_models():
        enum = models.get_model_weights(name)
        assert enum.DEFAULT in list(enum)
        for weights in enum:
            facts = weights.meta
            assert weights.url.startswith("https://download.pytorch.org/models/")
            assert hub.HASH_IN_NAME.search(weights.url)
            assert facts["num_params"] > 1e6 and len(facts["min_size"]) == 2
            assert facts["categories"] is None or len(facts["categories"]) == 1000
            assert isinstance(weights.transforms, functools.partial)


def test_weights_enum() -> None:
    enum = models.ResNet18_Weights
    weights = enum.IMAGENET1K_V1
    assert repr(weights) == str(weights) == "ResNet18_Weights.IMAGENET1K_V1"
    assert weights.url == "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    assert weights.meta["categories"][:2] == ["tench", "goldfish"]
    assert weights.meta["_metrics"] == {"ImageNet-1K": {"acc@1": 69.758, "acc@5": 89.078}}
    preset = weights.transforms()
    assert preset.crop_size == [224] and preset.resize_size == [256]
    assert enum.verify("IMAGENET1K_V1") is enum.verify("ResNet18_Weights.DEFAULT") is weights
    assert enum.verify(None) is None
    assert pickle.loads(pickle.dumps(weights)) is weights
    with pytest.raises(KeyError):
        enum.verify("IMAGENET1K_V9")
    expected = r"^Invalid Weight class provided; expected ResNet18_Weights but received int\.$"
    with pytest.raises(TypeError, match=expected):
        enum.verify(3)
    assert models.VGG16_Weights.IMAGENET1K_FEATURES.meta["categories"] is None


# ------------------------------------------------------------------- weights and old arguments


@pytest.fixture
def squeezenet_state(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Instead of downloading, the weights are those of a fresh model; the calls are listed."""
    calls: list[Any] = []
    state = models.squeezenet1_1().state_dict()

    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append((self, args, kwargs))
        return state

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", get)
    return calls


POSITIONAL = (
    "Using 'weights' as positional parameter(s) is deprecated since 0.13 and may be removed in the "
    "future. Please use keyword parameter(s) instead."
)
PRETRAINED = (
    "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, please "
    "use 'weights' instead."
)
NO_ENUM = (
    "Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 and may "
    "be removed in the future. The current behavior is equivalent to passing `weights={}`."
)
BETTER = (
    " You can also use `weights=SqueezeNet1_1_Weights.DEFAULT` to get the most up-to-date weights."
)
LOADED = NO_ENUM.format("SqueezeNet1_1_Weights.IMAGENET1K_V1") + BETTER


@pytest.mark.parametrize(
    ("args", "kwargs", "messages", "loads"),
    [
        ((), {}, [], False),
        ((), {"weights": None}, [], False),
        ((), {"weights": "DEFAULT"}, [], True),
        ((), {"weights": models.SqueezeNet1_1_Weights.IMAGENET1K_V1}, [], True),
        ((), {"pretrained": True}, [PRETRAINED, LOADED], True),
        ((), {"pretrained": False}, [PRETRAINED, NO_ENUM.format("None")], False),
        ((True,), {}, [POSITIONAL, LOADED], True),
        ((None,), {}, [POSITIONAL], False),
        ((), {"weights": True}, [LOADED], True),
    ],
)
def test_legacy_arguments(
    args: Any, kwargs: Any, messages: list[str], loads: bool, squeezenet_state: list[Any]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        models.squeezenet1_1(*args, **kwargs)
    assert [str(warning.message) for warning in caught] == messages
    assert bool(squeezenet_state) == loads
    if loads:
        assert squeezenet_state[0][2] == {"progress": True, "check_hash": True}


def test_weights_fix_the_number_of_classes(squeezenet_state: list[Any]) -> None:
    with pytest.raises(ValueError, match="'num_classes' expected value 1000 but got 10 instead"):
        models.squeezenet1_1(weights="DEFAULT", num_classes=10)
    with pytest.raises(TypeError, match="Invalid Weight class provided; expected SqueezeNet1_1_W"):
        models.squeezenet1_1(weights=models.VGG11_Weights.DEFAULT)
    with pytest.raises(TypeError, match="takes at most 2 positional arguments but 3 were given"):
        models.squeezenet1_1(None, True, 3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        models.squeezenet1_1(nonsense=1)


def test_weights_from_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    path = mirror / "squeezenet1_1-b8a52dc0.pth"
    original = models.squeezenet1_1()
    rl.save(original.state_dict(), path)
    sums = mirror / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    model = models.squeezenet1_1(weights=models.SqueezeNet1_1_Weights.DEFAULT, progress=False)
    for mine, theirs in zip(model.parameters(), original.parameters(), strict=True):
        assert rl.equal(mine, theirs)
    cached = tmp_path / "home" / "hub" / "checkpoints" / path.name
    assert cached.read_bytes() == path.read_bytes()
    cached.unlink()
    sums.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(FileFormatError, match=r"^invalid hash value"):
        models.squeezenet1_1(weights="DEFAULT")
    assert list(cached.parent.iterdir()) == []
    sums.write_text("")
    with pytest.raises(hub.MirrorError, match="not listed"):
        models.squeezenet1_1(weights="DEFAULT")


def test_densenet_reads_the_old_names_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    state = models.densenet121().state_dict()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.")
        if "denselayer" in key
        else key: value
        for key, value in state.items()
    }
    assert old.keys() != state.keys()
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda self, **kwargs: old)
    loaded = models.densenet121(weights="DEFAULT").state_dict()
    assert all(rl.equal(loaded[key], value) for key, value in state.items())


# ------------------------------------------------------------------------------- the models


def test_number_of_parameters() -> None:
    """Every model, built without memory, has as many parameters as its weights say."""
    for name in models.list_models():
        facts = models.get_model_weights(name).DEFAULT.meta
        config: dict[str, Any] = {}
        if name == "googlenet":  # its published weights leave out the two further classifiers
            config["aux_logits"] = False
        elif name.startswith("vit_"):  # and these may be for larger images
            config["image_size"] = facts["min_size"][0]
        with rl.device("meta"):
            model = build(name, **config)
        count = sum(parameter.numel() for parameter in model.parameters())
        assert count == facts["num_params"], name


@pytest.mark.parametrize("name", SMALL)
def test_forward(name: str) -> None:
    rl.manual_seed(0)
    model = build(name, num_classes=7).eval()
    images = rl.rand(1, 3, SMALL[name], SMALL[name])
    with rl.no_grad():
        assert model(images).shape == (1, 7)


def test_training_step() -> None:
    rl.manual_seed(0)
    model = models.resnet18(num_classes=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy(model(rl.rand(2, 3, 32, 32)), rl.tensor([0, 2]))
    loss.backward()
    optimizer.step()
    changed = [
        name for name, value in model.state_dict().items() if not rl.equal(value, before[name])
    ]
    assert changed == list(before)


def test_googlenet_outputs() -> None:
    rl.manual_seed(0)
    model = models.googlenet(num_classes=5, init_weights=False)
    out = model(rl.rand(2, 3, 32, 32))
    assert type(out).__name__ == "GoogLeNetOutputs" and out.logits.shape == (2, 5)
    assert out.aux_logits1.shape == out.aux_logits2.shape == (2, 5)
    with pytest.warns(FutureWarning, match=r"^The default weight initialization of GoogleNet"):
        models.googlenet(num_classes=5, aux_logits=False)


def test_options() -> None:
    assert models.resnet18(norm_layer=functools.partial(nn.GroupNorm, 4)).bn1.num_groups == 4
    flat = models.resnet18(num_classes=2, zero_init_residual=True)
    assert flat.layer1[0].bn2.weight.abs().sum().item() == 0
    with rl.device("meta"):
        wide = models.resnet50(replace_stride_with_dilation=[False, True, True])
        assert wide.layer4(wide.layer3(rl.rand(1, 512, 4, 4))).shape == (1, 2048, 4, 4)
        assert models.vgg.VGG(nn.Identity(), dropout=0.1).classifier[2].p == 0.1
    with pytest.raises(ValueError, match=r"^BasicBlock only supports groups=1 and base_width=64$"):
        models.resnet18(groups=2)
    with pytest.raises(NotImplementedError, match=r"^Dilation > 1 not supported in BasicBlock$"):
        models.resnet18(replace_stride_with_dilation=[True, True, True])
    with pytest.raises(ValueError, match=r"^replace_stride_with_dilation should be None or a 3-"):
        models.resnet50(replace_stride_with_dilation=[True])


# -------------------------------------------------------------------------- against torchvision


QUICK = {"densenet121", "mobilenet_v3_small", "resnet18", "squeezenet1_1"}


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in [*SMALL, "vgg11_bn"]
    ],
)
def test_like_torchvision(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchvision.models")
    torch.manual_seed(1)
    other = build(name, theirs, num_classes=7).eval()
    rl.manual_seed(1)
    mine = build(name, num_classes=7).eval()
    assert repr(mine) == repr(other)
    state, expected = mine.state_dict(), other.state_dict()
    assert list(state) == list(expected)
    for key, value in expected.items():
        assert (state[key].numpy() == value.numpy()).all(), key
    images = torch.rand(1, 3, SMALL.get(name, 32), SMALL.get(name, 32))
    with torch.no_grad(), rl.no_grad():
        want = other(images)
        got = mine(rl.from_numpy(images.numpy()))
    want = torch.nn.functional.normalize(want.double(), dim=1)
    got = torch.nn.functional.normalize(torch.from_numpy(got.numpy()).double(), dim=1)
    assert torch.allclose(got, want, atol=1e-4)


def test_weights_like_torchvision() -> None:
    theirs = pytest.importorskip("torchvision.models")
    for name in models.list_models():
        mine, other = models.get_model_weights(name), theirs.get_model_weights(name)
        assert mine.__name__ == other.__name__ and mine.DEFAULT.name == other.DEFAULT.name
        assert list(mine.__members__) == list(other.__members__)
        for key, weights in other.__members__.items():
            assert mine[key].url == weights.url
            facts = {fact: value for fact, value in weights.meta.items() if fact != "_docs"}
            assert repr(facts) == repr({fact: mine[key].meta[fact] for fact in facts})
            assert str(mine[key].transforms.keywords) == str(weights.transforms.keywords)


def swin_v2(package: Any) -> Any:
    return package.SwinTransformer(
        [4, 4],
        8,
        [2, 2],
        [1, 2],
        [4, 4],
        num_classes=3,
        block=package.swin_transformer.SwinTransformerBlockV2,
        downsample_layer=package.swin_transformer.PatchMergingV2,
    )


TRANSFORMERS = {
    "vision transformer": lambda m: m.VisionTransformer(32, 8, 2, 2, 16, 64, num_classes=3),
    "swin": lambda m: m.SwinTransformer([4, 4], 8, [2, 2], [1, 2], [3, 3], num_classes=3),
    "swin v2": swin_v2,
    "maxvit": lambda m: m.MaxVit((32, 32), 8, 2, [8, 16], [1, 2], 4, 0.3, num_classes=3),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_small_transformers(name: str) -> None:
    rl.manual_seed(1)
    mine = TRANSFORMERS[name](models)
    images = rl.rand(2, 3, 32, 32)
    rl.manual_seed(2)
    scores = mine(images)  # in training, so that branches are dropped
    assert scores.shape == (2, 3)
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in mine.parameters())


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_small_transformers_like_torchvision(name: str) -> None:
    torch = pytest.importorskip("torch")
    rl.manual_seed(1)
    mine = TRANSFORMERS[name](models)
    images = rl.rand(2, 3, 32, 32)
    torch.manual_seed(1)
    theirs = TRANSFORMERS[name](pytest.importorskip("torchvision.models"))
    assert repr(mine) == repr(theirs)
    for key, value in theirs.state_dict().items():
        assert (mine.state_dict()[key].numpy() == value.numpy()).all(), key
    rl.manual_seed(2)
    scores = mine(images)
    scores.sum().backward()
    torch.manual_seed(2)
    want = theirs(torch.from_numpy(images.numpy()))
    assert torch.allclose(torch.from_numpy(scores.detach().numpy()), want, atol=1e-5)
    want.sum().backward()
    for key, parameter in theirs.named_parameters():
        got = torch.from_numpy(mine.get_parameter(key).grad.numpy())
        assert torch.allclose(got, parameter.grad, atol=1e-4), key
